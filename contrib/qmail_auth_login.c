/* SMTP AUTH for your own qmail-remote.c: the loop around libqmail_auth.a. */

#include "qmail_auth_login.h"

/* Room for a line, whatever the mechanism, if user and password have together at most 2900 octets. */
#define LINE 4096

/* A compiler may drop a memset of a buffer that is not read again; the volatile stores stay. */
static void clear(volatile char *octets, size_t len)
{
    while (len > 0)
        octets[--len] = 0;
}

int qmail_auth_login(const struct qmail_auth_io *io, const char *ehlo, size_t len, const char *user,
                     const char *password, unsigned flags)
{
    char line[LINE];
    ptrdiff_t n;

    if (*io->auth == NULL)
        *io->auth = auth_new(user, password);
    n = auth_begin(*io->auth, ehlo, len, flags, line, sizeof line);
    while (n > 0) {
        char *text = NULL;
        size_t size = 0;

        if (io->send(line, (size_t)n) != 0)
            n = auth_closed(*io->auth, 0);
        else if (io->reply(&text, &size) != 0)
            n = auth_closed(*io->auth, 1);
        else
            n = auth_step(*io->auth, text, size, line, sizeof line);
        auth_mask(*io->auth, text, size);
    }
    clear(line, sizeof line);
    return (int)n;
}
