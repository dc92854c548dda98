/* SMTP AUTH for a qmail-remote.c of your own: the call between EHLO and MAIL. It needs qmail_auth_login.c and libqmail_auth.a of
   qmail-remote-auth, and nothing of qmail. docs/linking.md shows where it goes. The program qmail-remote of the same source has
   nothing of these two files: they are for other programs to compile in. */

#ifndef QMAIL_AUTH_LOGIN_H
#define QMAIL_AUTH_LOGIN_H

#include <stddef.h>

#include "qmail_auth.h"

/* What qmail_auth_login needs of the program that calls it. */
struct qmail_auth_io {
    /* Sends these octets, which are a line with its CRLF, at once. Returns 0, or -1 when they cannot be sent. They are secret: do
       not log them. */
    int (*send)(const char *octets, size_t len);

    /* Reads a reply to its end. Returns 0 and sets where it is: all of its lines with their codes and LF, CR kept or removed,
       possibly cut. Returns -1 when the connection has ended. It need not return then, if it ends the process with a report Z. */
    int (*reply)(char **text, size_t *len);

    /* The login, for auth_why, auth_mask and auth_free. What this points to is NULL before the first call, and qmail_auth_login
       sets it. */
    struct auth_client **auth;
};

/* Logs in on a connection whose EHLO reply is `ehlo` (over TLS, the one that came over TLS): sends AUTH and what else it
   takes, and reads the replies, in which it overwrites by `*` what the server repeats of the secrets. `flags` are
   AUTH_FLAG_TLS_VERIFIED and AUTH_FLAG_CLEAR_ALLOWED of qmail_auth.h; with none, only CRAM-MD5 is used. No pointer is
   kept, but the login has a copy of the password until auth_free; user and password may be NULL or empty, which is
   AUTH_ERROR_NULL.

   Returns 0: logged in. Go on with MAIL, and no EHLO, HELO or RSET before it.
   Anything else is an enum auth_end or auth_error: send no MAIL. The report is Z, never D, and auth_why(*io->auth) has the words
   for it.
   - AUTH_END_DEFERRED: the server defers the login.
   - AUTH_END_RECONNECT: this connection is of no more use. Be content with Z; or close it, connect to the same server
     again, say EHLO there (and STARTTLS, and EHLO again) and call this once more with the same `io`: it goes on with what
     was not tried yet. The flags are those of the new connection; user and password count in the first call only.
   - Any other: somebody has to look at the set-up: user, password, port, TLS. */
int qmail_auth_login(const struct qmail_auth_io *io, const char *ehlo, size_t len, const char *user,
                     const char *password, unsigned flags);

#endif
