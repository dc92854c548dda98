/* The public ABI, and contrib/qmail_auth_login.c, from C: every row of a file through auth_detect, the RFCs' examples, logins, and each error. */

#include <stdio.h>
#include <string.h>

#include "qmail_auth_login.h"

static int wrong = 0;

static void check(int right, const char *what)
{
    if (!right) {
        printf("wrong: %s\n", what);
        wrong = 1;
    }
}

static int is(const char *out, ptrdiff_t n, const char *expected)
{
    return n == (ptrdiff_t)strlen(expected) && memcmp(out, expected, strlen(expected)) == 0;
}

static int rows(const char *name)
{
    static char reply[65536];
    char id[16];
    unsigned bits;
    unsigned length;
    int count = 0;
    FILE *file = fopen(name, "rb");

    if (file == NULL)
        return 0;
    while (fscanf(file, "%15s %u %u", id, &bits, &length) == 3 && fgetc(file) == '\n') {
        if (length > sizeof reply || fread(reply, 1, length, file) != length)
            break;
        check(auth_detect(reply, length) == bits, id);
        count++;
    }
    fclose(file);
    return count;
}

static void examples(void)
{
    static const char challenge[] = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    char out[64];
    ptrdiff_t n;

    n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);
    check(is(out, n, "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"), "PLAIN of RFC 4616");
    n = auth_cram("tim", "tanstaaftanstaaf", challenge, strlen(challenge), out, sizeof out);
    check(is(out, n, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"), "CRAM-MD5 of RFC 2195");
    n = auth_login("tim", out, sizeof out);
    check(is(out, n, "dGlt"), "LOGIN");
    n = auth_login("", out, sizeof out);
    check(is(out, n, ""), "LOGIN of nothing");
}

static void errors(void)
{
    char out[64];

    memset(out, 'x', sizeof out);
    check(auth_plain("tim", "tanstaaftanstaaf", out, 27) == AUTH_ERROR_SPACE, "PLAIN, buffer of one less");
    check(out[0] == 'x', "nothing is written on an error");
    check(auth_plain("tim", "tanstaaftanstaaf", out, 28) == 28 && out[28] == 'x', "PLAIN, buffer of the length, no NUL");
    check(auth_login("tim", out, 3) == AUTH_ERROR_SPACE, "LOGIN, buffer of one less");
    check(auth_cram("tim", "x", "PDE4", 4, out, 47) == AUTH_ERROR_SPACE, "CRAM-MD5, buffer of one less");
    check(auth_cram("tim", "x", "Username:", 9, out, sizeof out) == AUTH_ERROR_CHALLENGE, "no base64");
    check(auth_cram("tim", "x", "PDE4 words", 10, out, sizeof out) == 48, "words behind the challenge");
    check(auth_plain(NULL, "x", out, sizeof out) == AUTH_ERROR_NULL, "PLAIN, NULL user");
    check(auth_plain("x", NULL, out, sizeof out) == AUTH_ERROR_NULL, "PLAIN, NULL password");
    check(auth_plain("x", "x", NULL, 64) == AUTH_ERROR_NULL, "PLAIN, NULL buffer");
    check(auth_login(NULL, out, sizeof out) == AUTH_ERROR_NULL, "LOGIN, NULL");
    check(auth_login("x", NULL, 64) == AUTH_ERROR_NULL, "LOGIN, NULL buffer");
    check(auth_cram(NULL, "x", "PDE4", 4, out, sizeof out) == AUTH_ERROR_NULL, "CRAM-MD5, NULL user");
    check(auth_cram("x", NULL, "PDE4", 4, out, sizeof out) == AUTH_ERROR_NULL, "CRAM-MD5, NULL password");
    check(auth_cram("x", "x", NULL, 4, out, sizeof out) == AUTH_ERROR_NULL, "CRAM-MD5, NULL challenge");
    check(auth_cram("x", "x", "PDE4", 4, NULL, 64) == AUTH_ERROR_NULL, "CRAM-MD5, NULL buffer");
    check(auth_detect(NULL, 4) == 0, "NULL reply");
    check(auth_detect("250 AUTH PLAIN\r\n", 0) == 0, "no reply");
}

static int step(struct auth_client *auth, const char *reply, const char *expected)
{
    char out[64];
    ptrdiff_t n = auth_step(auth, reply, strlen(reply), out, sizeof out);

    return is(out, n, expected);
}

static void logins(void)
{
    static const char ehlo[] = "250-host\n250 AUTH PLAIN LOGIN CRAM-MD5\n";
    static const char challenge[] = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n";
    char user[] = "tim";
    char password[] = "tanstaaftanstaaf";
    char text[] = "535-tanstaaf\r\n535 tanstaaf, AHRpbQB0\r\n";
    char out[64];
    struct auth_client *auth = auth_new(user, password);
    ptrdiff_t n;

    memset(user, 'x', strlen(user)); /* they were copied */
    memset(password, 'x', strlen(password));
    check(strcmp(auth_why(auth), "") == 0, "nothing went wrong yet");
    n = auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, sizeof out);
    check(is(out, n, "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"), "PLAIN first over TLS");
    check(step(auth, "504 no\r\n", "AUTH LOGIN\r\n"), "LOGIN next");
    check(auth_closed(auth, 1) == AUTH_END_RECONNECT, "closed");
    check(strcmp(auth_why(auth), "offered PLAIN, LOGIN, CRAM-MD5; tried PLAIN (504), LOGIN (connection closed); "
                                 "the relay refused each way to log in") == 0, "why");
    n = auth_begin(auth, ehlo, strlen(ehlo), 0, out, sizeof out);
    check(is(out, n, "AUTH CRAM-MD5\r\n"), "without a flag");
    check(step(auth, challenge, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n"), "CRAM-MD5 of RFC 2195");
    check(auth_step(auth, "235 ok\n", 7, out, sizeof out) == 0, "logged in");
    auth_mask(auth, text, strlen(text));
    check(strcmp(text, "535-**********************, ********\r\n") == 0, "masked after the login");
    check(auth_begin(auth, ehlo, strlen(ehlo), 0, out, sizeof out) == AUTH_END_DEFERRED, "a login is made once");
    auth_free(auth);

    /* what logged in last time goes first, and alone where the password is refused */
    auth = auth_new("tim", "tanstaaftanstaaf");
    auth_prefer(auth, AUTH_LOGIN);
    check(auth_mechanism(auth) == 0, "no login yet");
    n = auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, sizeof out);
    check(is(out, n, "AUTH LOGIN\r\n"), "LOGIN first");
    check(auth_step(auth, "235 ok\n", 7, out, sizeof out) == 0 && auth_mechanism(auth) == AUTH_LOGIN, "by LOGIN");
    auth_free(auth);
    auth = auth_new("tim", "tanstaaftanstaaf");
    auth_prefer(auth, AUTH_LOGIN);
    n = auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, sizeof out);
    check(n > 0 && auth_step(auth, "535 no\n", 7, out, sizeof out) == AUTH_END_FAILED, "and alone");
    auth_free(auth);
    auth = auth_new("tim", "tanstaaftanstaaf");
    auth_prefer(auth, AUTH_XOAUTH2 | AUTH_LOGIN);
    auth_prefer(auth, AUTH_XOAUTH2);
    n = auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, sizeof out);
    check(is(out, n, "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"), "no mechanism that can be used");
    auth_free(auth);

    auth = auth_new("tim", "tanstaaftanstaaf");
    check(auth_begin(auth, ehlo, strlen(ehlo), 0, out, sizeof out) == 15, "begun");
    check(auth_step(auth, "454 later\n", 10, out, sizeof out) == AUTH_END_DEFERRED, "deferred");
    auth_free(auth);

    auth = auth_new("tim", "tanstaaftanstaaf");
    check(auth_begin(auth, "250 host\n", 9, 0, out, sizeof out) == AUTH_END_FAILED, "no AUTH");
    auth_free(auth);
}

/* What was under way when a call failed is over: no answer comes to it, and no login of it. */
static void after_an_error(void)
{
    static const char ehlo[] = "250 AUTH LOGIN\n";
    char out[64];
    struct auth_client *auth = auth_new("tim", "tanstaaftanstaaf");
    ptrdiff_t n = auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, sizeof out);

    check(is(out, n, "AUTH LOGIN\r\n"), "begun over TLS");
    check(auth_begin(auth, ehlo, strlen(ehlo), 0, out, sizeof out) == AUTH_END_FAILED, "nothing to use in clear");
    check(auth_step(auth, "334 \n", 5, out, sizeof out) == AUTH_END_DEFERRED, "no answer in clear");
    auth_free(auth);

    auth = auth_new("tim", "tanstaaftanstaaf");
    check(auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, sizeof out) == 12, "begun again");
    check(auth_begin(auth, NULL, 4, 0, out, sizeof out) == AUTH_ERROR_NULL, "NULL");
    check(strncmp(auth_why(auth), "a pointer is NULL", 17) == 0, "why NULL");
    check(auth_step(auth, "334 \n", 5, out, sizeof out) == AUTH_END_DEFERRED, "no answer after NULL");
    auth_free(auth);

    auth = auth_new("tim", "tanstaaftanstaaf");
    check(auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_TLS_VERIFIED, out, 3) == AUTH_ERROR_SPACE, "a small buffer");
    check(auth_step(auth, "235 ok\n", 7, out, sizeof out) == AUTH_END_DEFERRED, "no login by a line never sent");
    auth_free(auth);
}

static int sent = 0;

static int send_the_second(const char *line, size_t len)
{
    check(is(line, (ptrdiff_t)len, "AUTH PLAIN AHRpbQB4\r\n"), "the same line again");
    return sent++ == 0 ? -1 : 0;
}

static int accept_it(char **text, size_t *len)
{
    static char reply[] = "235 ok\n";

    *text = reply;
    *len = strlen(reply);
    return 0;
}

/* A line that could not be sent was no try, so it is made again on the next connection. */
static void not_sent(void)
{
    static const char ehlo[] = "250 AUTH PLAIN LOGIN\n";
    struct auth_client *auth = NULL;
    struct qmail_auth_io io = {send_the_second, accept_it, &auth};

    check(qmail_auth_login(&io, ehlo, strlen(ehlo), "tim", "x", AUTH_FLAG_TLS_VERIFIED) == AUTH_END_RECONNECT, "not sent");
    check(qmail_auth_login(&io, ehlo, strlen(ehlo), NULL, NULL, AUTH_FLAG_TLS_VERIFIED) == 0, "sent");
    check(sent == 2, "two lines");
    auth_free(auth);
}

static void errors_of_logins(void)
{
    static const char ehlo[] = "250 AUTH PLAIN\n";
    static const struct {
        const char *text;
        int is_login;
    } replies[] = {
        {"235 ok\n", 1},      {"235 ok\r\n", 1},       {"235\n", 1},  {"235-a\n235 b\n", 1}, {"235 cut", 1},
        {"", 0},              {"\n", 0},               {"23", 0},     {"2350 no\n", 0},       {"-235 no\n", 0},
        {"235-a\n535 b\n", 0}, {"535-a\n235 b\n", 0}, {"099 a\n", 0}, {"100 a\n", 0},         {"334 a\n", 0},
        {"454 a\n", 0},       {"535 a\n", 0},         {"600 a\n", 0}, {"65771 a\n", 0},       {"ok\n", 0},
    };
    char out[64];
    char text[] = "535 x\n";
    ptrdiff_t n;
    size_t i;
    struct auth_client *auth = auth_new("tim", "x");

    check(auth_new(NULL, "x") == NULL, "NULL user");
    check(auth_new("tim", NULL) == NULL, "NULL password");
    check(auth_new("", "x") == NULL, "empty user");
    check(auth_new("tim", "") == NULL, "empty password");
    check(auth_begin(NULL, ehlo, strlen(ehlo), 0, out, sizeof out) == AUTH_ERROR_NULL, "begin, NULL client");
    check(auth_step(NULL, "235\n", 4, out, sizeof out) == AUTH_ERROR_NULL, "step, NULL client");
    check(auth_closed(NULL, 1) == AUTH_ERROR_NULL, "closed, NULL client");
    check(strcmp(auth_why(NULL), "user or password is missing") == 0, "why, NULL client");
    auth_prefer(NULL, AUTH_PLAIN);
    check(auth_mechanism(NULL) == 0, "mechanism, NULL client");
    auth_mask(NULL, text, strlen(text));
    auth_mask(auth, NULL, 5);
    auth_mask(auth, text, 0);
    check(strcmp(text, "535 x\n") == 0, "nothing is masked");
    auth_free(NULL);
    check(auth_begin(auth, NULL, 4, 0, out, sizeof out) == AUTH_ERROR_NULL, "NULL reply to EHLO");
    check(auth_step(auth, NULL, 4, out, sizeof out) == AUTH_ERROR_NULL, "NULL reply");
    check(auth_step(auth, "235\n", 4, out, sizeof out) == AUTH_END_DEFERRED, "235 before AUTH");
    check(auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_CLEAR_ALLOWED, NULL, 64) == AUTH_ERROR_NULL, "NULL buffer");
    auth_free(auth);
    auth = auth_new("tim", "x");
    memset(out, 'x', sizeof out);
    check(auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_CLEAR_ALLOWED, out, 20) == AUTH_ERROR_SPACE, "one less");
    check(out[0] == 'x', "nothing is written on an error");
    check(strcmp(auth_why(auth), "user and password are too long for this program") == 0, "why, no space");
    auth_free(auth);
    for (i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        auth = auth_new("tim", "x");
        check(auth_begin(auth, ehlo, strlen(ehlo), AUTH_FLAG_CLEAR_ALLOWED, out, 21) == 21, "the length");
        n = auth_step(auth, replies[i].text, strlen(replies[i].text), out, sizeof out);
        check((n == 0) == replies[i].is_login, replies[i].text);
        auth_free(auth);
    }
}

static void version(void)
{
    char numbers[32];

    sprintf(numbers, "%d.%d.%d", QMAIL_AUTH_VERSION_MAJOR, QMAIL_AUTH_VERSION_MINOR, QMAIL_AUTH_VERSION_PATCH);
    check(strcmp(QMAIL_AUTH_VERSION, numbers) == 0, "the version and its numbers");
    check(strcmp(auth_version(), QMAIL_AUTH_VERSION) == 0, "the version of header and library");
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? rows(argv[1]) : 0;

    version();
    examples();
    errors();
    logins();
    after_an_error();
    not_sent();
    errors_of_logins();
    if (wrong == 0)
        printf("%d replies, all right\n", count);
    return wrong;
}
