/* A qmail-remote.c in miniature, for tests/suite/library/contrib.rs: what the code of docs/linking.md uses of a classic
   one, in its shape (one static text of 5000 octets for the server's words, a code read from it, one way to quit), and the calls where that
   page has them. linking.c is that code, as it stands there.

   host FLAGS once|again: the environment's HOST_ROUTE is `port user password`. `again` connects a second time after
   AUTH_END_RECONNECT; `once` has one connection, and reading never returns when that is lost. With HOST_FORGETS in the
   environment it does not mask what it prints. */

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HUGESMTPTEXT 5000

typedef struct {
    char octets[8192];
    size_t len;
} substdio;

static substdio smtpto;
static char text[HUGESMTPTEXT];
static struct {
    char *s;
    unsigned int len;
} smtptext = {text, 0};
static int smtpfd = -1;
static int once;

static void outsmtptext(void);
static void zerodie(void);

static void out(char *s)
{
    fputs(s, stdout);
}

static void outhost(void)
{
    out("127.0.0.1");
}

static void dropped(void)
{
    out("ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n");
    zerodie();
}

static void substdio_put(substdio *to, char *octets, size_t len)
{
    memcpy(to->octets + to->len, octets, len);
    to->len += len;
}

static int substdio_flush(substdio *to)
{
    size_t len = to->len;
    size_t done = 0;

    to->len = 0;
    while (done < len) {
        ssize_t n = write(smtpfd, to->octets + done, len - done);

        if (n <= 0 && !once)
            return -1;
        if (n <= 0)
            dropped();
        done += (size_t)n;
    }
    return 0;
}

/* -1 at the end of the connection. */
static int get(void)
{
    unsigned char c;

    if (read(smtpfd, &c, 1) == 1) {
        if (c != '\r' && smtptext.len < HUGESMTPTEXT)
            smtptext.s[smtptext.len++] = (char)c;
        return c;
    }
    if (once)
        dropped();
    return -1;
}

/* 0 at the end of the connection. */
static unsigned long smtpcode(void)
{
    unsigned long code;
    int i;
    int c;
    int more;

    smtptext.len = 0;
    do {
        code = 0;
        more = 0;
        for (i = 0; (c = get()) != '\n'; i++) {
            if (c == -1)
                return 0;
            if (i < 3)
                code = code * 10 + ((unsigned long)c - '0');
            if (i == 3)
                more = c == '-';
        }
    } while (more);
    return code;
}

#include "linking.c"

static void zerodie(void)
{
    putchar(0);
    auth_free(auth);
    exit(0);
}

static void outsmtptext(void)
{
    size_t i;

    if (getenv("HOST_FORGETS") == NULL)
        auth_mask(auth, smtptext.s, smtptext.len);
    if (smtptext.len > 0)
        out("Remote host said: ");
    for (i = 0; i < smtptext.len; i++)
        putchar(smtptext.s[i] ? smtptext.s[i] : '?');
    if (smtptext.len > 0 && smtptext.s[smtptext.len - 1] != '\n')
        out("\n");
}

static void quit(char *prepend, char *append)
{
    substdio_put(&smtpto, "QUIT\r\n", 6);
    substdio_flush(&smtpto);
    out(prepend);
    outhost();
    out(append);
    out(".\n");
    outsmtptext();
    zerodie();
}

static unsigned long command(char *line)
{
    unsigned long code;

    substdio_put(&smtpto, line, strlen(line));
    code = substdio_flush(&smtpto) == 0 ? smtpcode() : 0;
    if (code == 0)
        dropped();
    return code;
}

static void mail(char *line, char *refusal)
{
    unsigned long code = command(line);

    if (code >= 500 && !about_login(code))
        quit("D", refusal);
    if (code >= 400)
        quit("Z", refusal);
}

/* Returns when another connection is to be made. */
static void smtp(unsigned flags)
{
    if (smtpcode() != 220)
        quit("ZConnected to ", " but greeting failed");
    if (command("EHLO client.example.net\r\n") != 250 && command("HELO client.example.net\r\n") != 250)
        quit("ZConnected to ", " but my name was rejected");
    if (once) {
        login(flags);
    } else {
        int n = qmail_auth_login(&auth_io, smtptext.s, smtptext.len, user, password, flags);

        if (n == AUTH_END_RECONNECT)
            return;
        if (n != 0)
            no_login(n);
    }
    mail("MAIL FROM:<sender@example.net>\r\n", " but sender was rejected");
    mail("RCPT TO:<recipient@example.org>\r\n", " does not like recipient");
    mail("DATA\r\n", " failed on DATA command");
    mail("Subject: login\r\n\r\nhello\r\n.\r\n", " failed after I sent the message");
    quit("K", " accepted message");
}

int main(int argc, char **argv)
{
    struct timeval patience = {20, 0};
    struct sockaddr_in server;
    char *route = getenv("HOST_ROUTE");

    if (argc != 3 || route == NULL)
        return 100;
    signal(SIGPIPE, SIG_IGN);
    cut_login(route);
    memset(&server, 0, sizeof server);
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((unsigned short)atoi(route));
    once = strcmp(argv[2], "once") == 0;
    for (;;) {
        smtpfd = socket(AF_INET, SOCK_STREAM, 0);
        if (setsockopt(smtpfd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1 ||
            connect(smtpfd, (struct sockaddr *)&server, sizeof server) == -1)
            dropped();
        smtp((unsigned)atoi(argv[1]));
        close(smtpfd);
    }
}
