/* A qmail-remote.c in miniature, for tests/smtp_auth.rs: it has the shape of the classic one (one static text of 5000 octets
   for the server's words, a code read from it, one way to quit) and the calls to smtp_auth where docs/linking.md has them.

   host PORT FLAGS once|again: user and password are the environment's HOST_USER and HOST_PASSWORD. `again` connects a second
   time after AUTH_ERROR_RECONNECT; `once` has one connection, and reading never returns when that is lost. With HOST_FORGETS in
   the environment it does not mask what it prints. */

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "smtp_auth.h"

#define HUGESMTPTEXT 5000

static char smtptext[HUGESMTPTEXT];
static size_t smtptextlen;
static int smtpfd = -1;
static int once;
static unsigned flags;
static struct auth_machine *auth;

static void outsmtptext(void)
{
    size_t i;

    if (getenv("HOST_FORGETS") == NULL)
        auth_mask(auth, smtptext, smtptextlen);
    if (smtptextlen > 0)
        printf("Remote host said: ");
    for (i = 0; i < smtptextlen; i++)
        putchar(smtptext[i] ? smtptext[i] : '?');
    if (smtptextlen > 0 && smtptext[smtptextlen - 1] != '\n')
        putchar('\n');
}

static void finish(void)
{
    putchar(0);
    auth_free(auth);
    exit(0);
}

static int put(const char *line, size_t len)
{
    static char out[8192];
    size_t done = 0;

    memcpy(out, line, len);
    memcpy(out + len, "\r\n", 2);
    while (done < len + 2) {
        ssize_t n = write(smtpfd, out + done, len + 2 - done);

        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static void quit(const char *report, const char *why)
{
    put("QUIT", 4);
    printf("%s%s.\n", report, why);
    outsmtptext();
    finish();
}

static void dropped(void)
{
    printf("ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n");
    finish();
}

/* -1 at the end of the connection. */
static int get(void)
{
    unsigned char c;

    if (read(smtpfd, &c, 1) == 1) {
        if (c != '\r' && smtptextlen < HUGESMTPTEXT)
            smtptext[smtptextlen++] = (char)c;
        return c;
    }
    if (once)
        dropped();
    return -1;
}

/* 0 at the end of the connection. */
static int smtpcode(void)
{
    int code;
    int i;
    int c;
    int more;

    smtptextlen = 0;
    do {
        code = 0;
        more = 0;
        for (i = 0; (c = get()) != '\n'; i++) {
            if (c == -1)
                return 0;
            if (i < 3)
                code = code * 10 + (c - '0');
            if (i == 3)
                more = c == '-';
        }
    } while (more);
    return code;
}

static int command(const char *line)
{
    int code = put(line, strlen(line)) == 0 ? smtpcode() : 0;

    if (code == 0)
        dropped();
    return code;
}

/* For smtp_auth. */
static int reply(char **text, size_t *len)
{
    int code = smtpcode();

    *text = smtptext;
    *len = smtptextlen;
    return code;
}

/* A refusal that is about the login is no reason to bounce. */
static const char *refused(int code)
{
    int login = code == 530 || code == 534 || code == 535 || code == 538;

    return code >= 500 && !login ? "D" : "Z";
}

static void mail(const char *line, const char *what)
{
    int code = command(line);

    if (code >= 400) {
        printf("%s", refused(code));
        quit("127.0.0.1 failed on ", what);
    }
}

/* Returns when another connection is to be made. */
static void smtp(void)
{
    static const struct smtp_auth_io io = {put, reply, &auth};
    int n;

    if (smtpcode() != 220)
        quit("ZConnected to 127.0.0.1 but greeting failed", "");
    if (command("EHLO client.example.net") != 250 && command("HELO client.example.net") != 250)
        quit("ZConnected to 127.0.0.1 but my name was rejected", "");
    n = smtp_auth(&io, smtptext, smtptextlen, getenv("HOST_USER"), getenv("HOST_PASSWORD"), flags);
    if (n == AUTH_ERROR_RECONNECT && !once)
        return;
    if (n == AUTH_ERROR_RECONNECT)
        quit("ZConnected to 127.0.0.1 but login failed here: ", auth_why(auth));
    if (n == AUTH_ERROR_DEFERRED)
        quit("ZConnected to 127.0.0.1 but login was put off: ", auth_why(auth));
    if (n != 0)
        quit("ZConnected to 127.0.0.1 but login failed: ", auth_why(auth));
    mail("MAIL FROM:<sender@example.net>", "MAIL");
    mail("RCPT TO:<recipient@example.org>", "RCPT");
    mail("DATA", "DATA");
    mail("Subject: login\r\n\r\nhello\r\n.", "the message");
    quit("K127.0.0.1 accepted message", "");
}

int main(int argc, char **argv)
{
    struct timeval patience = {20, 0};
    struct sockaddr_in server;

    if (argc != 4)
        return 100;
    signal(SIGPIPE, SIG_IGN);
    memset(&server, 0, sizeof server);
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((unsigned short)atoi(argv[1]));
    flags = (unsigned)atoi(argv[2]);
    once = strcmp(argv[3], "once") == 0;
    for (;;) {
        smtpfd = socket(AF_INET, SOCK_STREAM, 0);
        if (setsockopt(smtpfd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1 ||
            connect(smtpfd, (struct sockaddr *)&server, sizeof server) == -1)
            dropped();
        smtp();
        close(smtpfd);
    }
}
