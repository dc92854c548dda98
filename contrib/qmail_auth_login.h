/* SMTP AUTH for your own qmail-remote.c: the call between EHLO and MAIL. It needs qmail_auth_login.c and libqmail_auth.a of
   qmail-remote-auth, and no file of qmail. docs/linking.md shows where the call goes. The program qmail-remote of qmail-remote-auth
   does not use these two files. */

#ifndef QMAIL_AUTH_LOGIN_H
#define QMAIL_AUTH_LOGIN_H

#include <stddef.h>

#include "qmail_auth.h"

/* What the calling program provides. */
struct qmail_auth_io {
    /* Sends `len` octets, which are a line with its CRLF, without waiting for more. Returns 0, or -1 if they cannot be sent.
       They are secret: do not log them. */
    int (*send)(const char *octets, size_t len);

    /* Reads a whole reply. Returns 0 and sets `text` and `len` to it: all lines with their codes and LF, with or without CR,
       possibly cut. The memory stays the program's and must be writable until the next call. Returns -1 if the connection has
       ended; or ends the process then, with a report Z. */
    int (*reply)(char **text, size_t *len);

    /* Points to the client, for auth_why, auth_mask and auth_free. It must be NULL before the first call; qmail_auth_login sets
       it. The program frees it. */
    struct auth_client **auth;
};

/* Logs in on a connection whose EHLO reply is `ehlo`; over TLS, that is the one that came over TLS. Sends AUTH and all that
   follows, and reads the replies. Secrets that the server repeats in them are replaced by `*`. `flags` are AUTH_FLAG_TLS_VERIFIED
   and AUTH_FLAG_CLEAR_ALLOWED of qmail_auth.h; without a flag, only SCRAM and CRAM-MD5 are used. `user` and `password` end in NUL: a stralloc
   has none, and the relay would be sent a wrong password. No pointer is kept, but the client has a copy of the password until
   auth_free. If user or password is NULL or empty, the result is AUTH_ERROR_NULL.

   Returns 0: logged in. Go on with MAIL, without EHLO, HELO or RSET before it.
   Any other result is an enum auth_end or auth_error: send no MAIL. The report is Z, never K, h or D, and auth_why(*io->auth) is
   its text.
   - AUTH_END_DEFERRED: the server has deferred the login, or has sent a reply that does not belong in a login.
   - AUTH_END_RECONNECT: there is no login on this connection. Either report Z. Or close it, connect to the same server again, send
     EHLO (and STARTTLS, and EHLO again), and call this function again with the same `io` and the flags of the new connection: it
     goes on with what was not tried yet. `user` and `password` are not used then.
   - Any other: somebody has to look at the set-up: user, password, port, TLS. */
int qmail_auth_login(const struct qmail_auth_io *io, const char *ehlo, size_t len, const char *user,
                     const char *password, unsigned flags);

#endif
