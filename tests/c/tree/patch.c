/* What an AUTH patch of the old kind brings: it compares the AUTH line with each wording that was met so far, has a base64 of its
   own, and sends MAIL. qmail-remote.c includes it. Which part of it is left is by CHANGE, the change of docs/linking.md. */

static void mailfrom(void)
{
    substdio_puts(&smtpto, "MAIL FROM:<sender@example.net>\r\n");
    substdio_flush(&smtpto);
}

#if CHANGE < 2
static void base64(const char *s, unsigned int len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned int i;
    unsigned int j;

    if (!stralloc_copys(&auth, ""))
        temp_nomem();
    for (i = 0; i < len; i += 3) {
        unsigned long three = 0;

        for (j = 0; j < 3; j++)
            three = three << 8 | (i + j < len ? (unsigned char)s[i + j] : 0);
        for (j = 0; j < 4; j++)
            if (!stralloc_append(&auth, i + j <= len ? &digits[three >> (18 - 6 * j) & 63] : "="))
                temp_nomem();
    }
}

/* Sends the line in auth. The code of the reply. */
static unsigned long answer(void)
{
    substdio_put(&smtpto, auth.s, auth.len);
    substdio_puts(&smtpto, "\r\n");
    substdio_flush(&smtpto);
    return smtpcode();
}

static unsigned long begin(const char *line)
{
    if (!stralloc_copys(&auth, line))
        temp_nomem();
    return answer();
}

/* Behind the password. To tell one refusal from another it reads a second reply. */
static void end(void)
{
    if (answer() != 235) {
        if (smtpcode() == 432)
            quit("ZConnected to ", " but password expired");
        quit("ZConnected to ", " but authentication was rejected");
    }
    mailfrom();
}

static void mailfrom_plain(void)
{
    stralloc plain = {0, 0, 0};

    if (begin("AUTH PLAIN") != 334)
        quit("ZConnected to ", " but authentication was rejected");
    if (!stralloc_append(&plain, "") || !stralloc_cat(&plain, &user) || !stralloc_append(&plain, "") ||
        !stralloc_cat(&plain, &pass))
        temp_nomem();
    base64(plain.s, plain.len);
    free(plain.s);
    end();
}

static void mailfrom_login(void)
{
    if (begin("AUTH LOGIN") != 334)
        quit("ZConnected to ", " but authentication was rejected");
    base64(user.s, user.len);
    if (answer() != 334)
        quit("ZConnected to ", " but authentication was rejected");
    base64(pass.s, pass.len);
    end();
}
#endif

#if CHANGE == 0
static const struct {
    const char *line;
    void (*login)(void);
} wordings[] = {
    {"LOGIN\n", mailfrom_login},
    {"LOGIN PLAIN\n", mailfrom_login},
    {"PLAIN LOGIN\n", mailfrom_login},
    {"LOGIN CRAM-MD5\n", mailfrom_login},
    {"PLAIN LOGIN CRAM-MD5\n", mailfrom_login},
    {"PLAIN DIGEST-MD5\n", mailfrom_plain},
};

static void smtp_auth(void)
{
    unsigned int line;
    unsigned int i;

    for (line = 0; line + 8 < smtptext.len; line += str_chr(smtptext.s + line, '\n') + 1)
        if (!str_diffn(smtptext.s + line + 4, "AUTH ", 5) || !str_diffn(smtptext.s + line + 4, "AUTH=", 5))
            for (i = 0; i < sizeof wordings / sizeof *wordings; i++)
                if (case_starts(smtptext.s + line + 9, wordings[i].line)) {
                    wordings[i].login();
                    return;
                }
    mailfrom();
}
#endif

#if CHANGE == 1
/* A patch has an MD5 of its own. What stands for it here is not what is tested. */
static void mailfrom_cram(void)
{
    char out[200];
    ptrdiff_t n;

    if (begin("AUTH CRAM-MD5") != 334)
        quit("ZConnected to ", " but authentication was rejected");
    if (!stralloc_0(&user) || !stralloc_0(&pass))
        temp_nomem();
    n = auth_cram(user.s, pass.s, smtptext.s + 4, smtptext.len - 4, out, sizeof out - 1);
    out[n < 0 ? 0 : n] = 0;
    if (!stralloc_copys(&auth, out))
        temp_nomem();
    end();
}
#endif

#if CHANGE == 2
#include "page-parts.c"
#endif

#if CHANGE == 1 || CHANGE == 2
static void smtp_auth(void)
{
#include "page-comparison.c"
}
#endif
