/* A qmail-remote.c in miniature, for tests/suite/library: the shape of a classic one (one text of 5000 octets for the server's
   words, a code read from it, one way to quit), and the code of docs/linking.md where that page puts it. The page-*.c are its blocks,
   as they stand there.

   CHANGE is the change of that page: 0 to 3 of a tree with an AUTH patch (patch.c), or 4 for the third one of a tree without.

   qmail-remote FLAGS once|again: the environment's HOST_ROUTE is the value of a line of smtproutes. `again` connects a second time
   after AUTH_END_RECONNECT; `once` has one connection, and reading never returns when that is lost. With HOST_FORGETS in the
   environment it does not mask what it prints. With HOST_INSISTS it logs in also where the route has no login. With HOST_STARVES there
   is no memory left when the login begins. */

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tree.h"
#if CHANGE == 1 || CHANGE == 2
#include "page-header.c"
#endif
#if CHANGE >= 3
#include "page-login-header.c"
#endif

#define HUGESMTPTEXT 5000

static stralloc helohost = {0, 0, 0};
#if CHANGE < 4
static stralloc user = {0, 0, 0};
static stralloc pass = {0, 0, 0};
#endif
#if CHANGE < 3
static stralloc auth = {0, 0, 0};
#else
/* A patch's, which are not used any more, but may stay. */
stralloc auth = {0, 0, 0};
#endif

static unsigned long port = 25;
static int smtpfd = -1;
static unsigned int connection_flags;
static int once;

static void outsmtptext(void);

static ssize_t report(char *octets, size_t len)
{
    return write(1, octets, len);
}

static char outbuf[1024];
static substdio subfdoutsmall = {outbuf, 0, sizeof outbuf, report};

static void out(const char *s)
{
    substdio_puts(&subfdoutsmall, s);
}

static void zero(void)
{
    substdio_put(&subfdoutsmall, "", 1);
}

static void zerodie(void)
{
    zero();
    substdio_flush(&subfdoutsmall);
#if CHANGE >= 3
    auth_free(this_login);
#endif
    exit(0);
}

static void temp_nomem(void)
{
    out("ZOut of memory. (#4.3.0)\n");
    zerodie();
}

static void temp_control(void)
{
    out("ZUnable to read control files. (#4.3.0)\n");
    zerodie();
}

static void outhost(void)
{
    out("127.0.0.1");
}

static void dropped(void)
{
    out("ZConnected to ");
    outhost();
    out(" but connection died. (#4.4.2)\n");
    zerodie();
}

static ssize_t safewrite(char *octets, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(smtpfd, octets + done, len - done);

        if (n <= 0 && once)
            dropped();
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return (ssize_t)len;
}

static char smtptobuf[1024];
static substdio smtpto = {smtptobuf, 0, sizeof smtptobuf, safewrite};

static stralloc smtptext = {0, 0, 0};

/* -1 at the end of the connection. */
static int get(void)
{
    char c;

    if (read(smtpfd, &c, 1) == 1) {
        if (c != '\r' && smtptext.len < HUGESMTPTEXT && !stralloc_append(&smtptext, &c))
            temp_nomem();
        return (unsigned char)c;
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

    if (!stralloc_copys(&smtptext, ""))
        temp_nomem();
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

static void quit(const char *prepend, const char *append)
{
    substdio_puts(&smtpto, "QUIT\r\n");
    substdio_flush(&smtpto);
    out(prepend);
    outhost();
    out(append);
    out(".\n");
    outsmtptext();
    zerodie();
}

#include "patch.c"
#if CHANGE >= 3
#include "page-login.c"
#endif
#if CHANGE == 4
#include "page-hello.c"
#endif

static void outsmtptext(void)
{
    unsigned int i;

#if CHANGE >= 3
    if (getenv("HOST_FORGETS") == NULL)
        auth_mask(this_login, smtptext.s, smtptext.len);
#endif
    if (smtptext.len == 0)
        return;
    out("Remote host said: ");
    for (i = 0; i < smtptext.len; i++)
        if (smtptext.s[i] == 0)
            smtptext.s[i] = '?';
    substdio_put(&subfdoutsmall, smtptext.s, smtptext.len);
    if (smtptext.s[smtptext.len - 1] != '\n')
        out("\n");
    smtptext.len = 0;
}

/* A bit for each of the first descriptors that is open. */
static unsigned long descriptors(void)
{
    unsigned long open = 0;
    int fd;

    for (fd = 0; fd < 32; fd++)
        if (fcntl(fd, F_GETFD) != -1)
            open |= 1UL << fd;
    return open;
}

/* What is free is used up, and there will be no more. */
static void starve(void)
{
    static const struct rlimit none = {0, 0};
    static void *volatile taken; /* a compiler may leave out a malloc whose result nobody sees */
    size_t size;

    setrlimit(RLIMIT_AS, &none);
    for (size = 1 << 16; size > 0; size /= 2)
        do
            taken = malloc(size);
        while (taken != NULL);
}

static unsigned long command(const char *line)
{
    unsigned long code;

    substdio_puts(&smtpto, line);
    code = substdio_flush(&smtpto) == 0 ? smtpcode() : 0;
    if (code == 0)
        dropped();
    return code;
}

#if CHANGE < 4
static int hello(void)
{
    return command("EHLO client.example.net\r\n") == 250 || command("HELO client.example.net\r\n") == 250;
}
#endif

/* Returns when another connection is to be made: the login did not come about on this one. */
static int log_in(void)
{
#if CHANGE < 3
    if (user.len && pass.len) {
        smtp_auth();
#if CHANGE == 2
        mailfrom();
#endif
    } else {
        mailfrom();
    }
#else
    const char *name;
    const char *password;
    int wanted;

#if CHANGE == 3
    name = user.len ? user.s : NULL;
    password = pass.s;
#else
    name = login_user;
    password = login_password;
#endif
    wanted = name != NULL || getenv("HOST_INSISTS") != NULL;
    if (wanted && once) {
        login(name, password, connection_flags);
    } else if (wanted) {
        int n = qmail_auth_login(&login_io, smtptext.s, smtptext.len, name, password, connection_flags);

        if (n == AUTH_END_RECONNECT)
            return -1;
        if (n != 0)
            no_login(n);
    }
    mailfrom();
#endif
    return 0;
}

#if CHANGE < 3
static int about_login(unsigned long code)
{
    return code == 0;
}
#endif

static void look_at(unsigned long code, const char *refusal)
{
    if (code == 0)
        dropped();
    if (code >= 500 && !about_login(code))
        quit("DConnected to ", refusal);
    if (code >= 400)
        quit("ZConnected to ", refusal);
}

/* Returns when another connection is to be made. */
static void smtp(void)
{
    unsigned long before;
    unsigned long code;

    if (smtpcode() != 220)
        quit("ZConnected to ", " but greeting failed");
    if (!hello())
        quit("ZConnected to ", " but my name was rejected");
    before = descriptors();
    if (getenv("HOST_STARVES") != NULL)
        starve();
    if (log_in() == -1)
        return;
    if (descriptors() != before)
        abort();
    look_at(smtpcode(), " but sender was rejected");
    code = command("RCPT TO:<recipient@example.org>\r\n");
    if (code >= 400) {
        out(code >= 500 && !about_login(code) ? "h" : "s");
        outhost();
        out(" does not like recipient.\n");
        outsmtptext();
        zero();
        quit("DGiving up on ", "");
    }
    out("r");
    zero();
    look_at(command("DATA\r\n"), " failed on DATA command");
    look_at(command("Subject: login\r\n\r\nhello\r\n.\r\n"), " failed after I sent the message");
    quit("K", " accepted message");
}

#if CHANGE < 4
/* `relay:port|user|password`. */
static void cut_route(char *relayhost)
{
    unsigned int i = str_chr(relayhost, '|');
    unsigned int j;

    if (!relayhost[i])
        return;
    j = str_chr(relayhost + i + 1, '|');
    if (!relayhost[i + 1 + j])
        temp_control();
    relayhost[i] = 0;
    relayhost[i + j + 1] = 0;
    if (!stralloc_copys(&user, relayhost + i + 1) || !stralloc_copys(&pass, relayhost + i + j + 2))
        temp_nomem();
#if CHANGE >= 2
#include "page-nul.c"
#endif
}
#else
#include "page-route.c"

static void cut_route(char *relayhost)
{
    if (!cut_login(relayhost))
        temp_control();
}
#endif

int main(int argc, char **argv)
{
    struct timeval patience = {20, 0};
    struct sockaddr_in server;
    char *relayhost = getenv("HOST_ROUTE");
    unsigned int i;

    if (argc != 3 || relayhost == NULL)
        return 100;
    signal(SIGPIPE, SIG_IGN);
    connection_flags = (unsigned int)atoi(argv[1]);
    once = strcmp(argv[2], "once") == 0;
    if (!stralloc_copys(&helohost, "client.example.net"))
        temp_nomem();
    cut_route(relayhost);
    i = str_chr(relayhost, ':');
    if (relayhost[i]) {
        port = strtoul(relayhost + i + 1, NULL, 10);
        relayhost[i] = 0;
    }
    if (strcmp(relayhost, "127.0.0.1") != 0) {
        out("DSorry, I couldn't find any host named ");
        out(relayhost);
        out(". (#5.1.2)\n");
        zerodie();
    }
    memset(&server, 0, sizeof server);
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((unsigned short)port);
    for (;;) {
        smtpfd = socket(AF_INET, SOCK_STREAM, 0);
        if (setsockopt(smtpfd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1 ||
            connect(smtpfd, (struct sockaddr *)&server, sizeof server) == -1)
            dropped();
        smtp();
        close(smtpfd);
    }
}
