/* SMTP AUTH for a qmail-remote.c of your own: a loop over libqmail_auth.a. */

#include "qmail_auth_login.h"

/* A user and a password of 2900 octets together fit in any form. */
#define LINE 4096

/* The compiler may not leave this out, as it may a memset of what is not read again. */
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
