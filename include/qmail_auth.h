/* SMTP AUTH for C programs. To link: -lqmail_auth -lgcc_eh, as `pkg-config --libs --static qmail-auth` says; with a glibc
   before 2.34 also -lutil -lrt -lpthread -lm -ldl. Without -lgcc_eh the program would need libgcc_s.so.1 where it runs.

   No function keeps a pointer, calls back or touches a descriptor. All may be called from several threads at once. Where there is
   no memory the process ends by a signal, with a line on descriptor 2.

   auth_new and the functions behind it are a whole login: which mechanism, what to send, when to stop. The ones before it are its
   parts, for programs that decide for themselves. A result below 0 is never a success: an auth_error, or, of a whole login, an
   auth_end.

   TLS is the caller's. No function here begins it, reads STARTTLS in an EHLO reply, or knows whether there is any. auth_begin
   believes its flags; the parts refuse nothing because it would go out in clear. So, of the caller:
   - PLAIN and LOGIN show the password to whoever can read the connection, and to whoever is at its other end. They are for TLS
     whose certificate was verified for the server's name, or for a connection that stays on this machine. CRAM-MD5 does not show
     the password, but an eavesdropper can try passwords against it.
   - If anything follows the 220 to STARTTLS before the handshake, close the connection: it may have been put there on the way.
   - After the handshake, EHLO is to be sent again, and the new reply given to auth_detect or auth_begin; what the old one offered
     is to be forgotten (RFC 3207 section 4.2).
   - The -PLUS mechanisms and EXTERNAL are reported as offered; nothing here computes channel bindings, and the client certificate
     for EXTERNAL is the caller's to show.
   The program qmail-remote of the same source does all of this by itself.

   Made by cbindgen from parts.rs and client.rs of auth/src/ffi, and from auth/src/mechanisms.rs: do not edit. */

#ifndef QMAIL_AUTH_H
#define QMAIL_AUTH_H

#include <stddef.h>
#include <stdint.h>

/* As in 1.2.3: whole, and its numbers. */
#define QMAIL_AUTH_VERSION "0.1.0"
#define QMAIL_AUTH_VERSION_MAJOR 0
#define QMAIL_AUTH_VERSION_MINOR 1
#define QMAIL_AUTH_VERSION_PATCH 0

/* Of auth_detect: an AUTH line was there, even an empty one. */
#define AUTH_OFFERED 0x001

/* Of auth_detect: the mechanisms by their registered names. */
#define AUTH_PLAIN 0x002
#define AUTH_LOGIN 0x004
#define AUTH_CRAM_MD5 0x008
#define AUTH_SCRAM_SHA_1 0x010
#define AUTH_SCRAM_SHA_256 0x020
#define AUTH_SCRAM_SHA_1_PLUS 0x040
#define AUTH_SCRAM_SHA_256_PLUS 0x080
#define AUTH_XOAUTH2 0x100
#define AUTH_OAUTHBEARER 0x200
#define AUTH_EXTERNAL 0x400

/* For auth_begin: the connection is TLS, and the certificate was verified for the server's name. So the password may be shown. */
#define AUTH_FLAG_TLS_VERIFIED 1

/* For auth_begin: the password may be shown although the connection is not such a TLS: the administrator permits it, or it stays on
   this machine. */
#define AUTH_FLAG_CLEAR_ALLOWED 2

/* What a function of this library returns instead of a length when it cannot do its work. The first two are the caller's fault. */
enum auth_error {
  /* A pointer is NULL, or a length more than any object has. */
  AUTH_ERROR_NULL = -1,
  /* The buffer is too small. Nothing was written to it. */
  AUTH_ERROR_SPACE = -2,
  /* Of auth_cram: the server's challenge is not base64. Send `*` to end the exchange; the server answers 501. */
  AUTH_ERROR_CHALLENGE = -3
};

/* How a login ends without success. The mail is to be tried later, never to be bounced. */
enum auth_end {
  /* Not on this connection, on a new one perhaps. Close it; then connect to the same server again and call auth_begin there with
     the same client, or try the mail later. */
  AUTH_END_RECONNECT = -11,
  /* Not now: the server defers the login, or what it says has no place in one. */
  AUTH_END_DEFERRED = -12,
  /* Nothing is offered, permitted or left to try, or user and password are refused. Somebody has to look at the set-up. */
  AUTH_END_FAILED = -13
};

/* One login, over one connection or two: which mechanism to try, what to send, when to stop. It is what qmail-remote of
   the same source runs on. No more than three tries, two on a connection, since relays lock accounts; once the password
   was shown and refused, only one more. Mechanisms: PLAIN, LOGIN, CRAM-MD5. Without a flag of auth_begin only
   CRAM-MD5, which does not show the password.

   Made by auth_new, freed by auth_free. Until then it keeps the password, also after the login, since auth_mask must know it.
   Not for two threads at once. This is all of it, with functions of the caller's that send octets and read a whole reply, and return
   0 unless the connection has ended:

       struct auth_client *auth = auth_new("tim", "tanstaaftanstaaf");
       ptrdiff_t n = auth_begin(auth, ehlo.s, ehlo.len, AUTH_FLAG_TLS_VERIFIED, line, sizeof line);
       while (n > 0) {
           if (send_octets(line, n) != 0)
               n = auth_closed(auth, 0);
           else if (read_reply(&reply) != 0)
               n = auth_closed(auth, 1);
           else
               n = auth_step(auth, reply.s, reply.len, line, sizeof line);
       }
       if (n != 0)
           printf("login failed: %s\n", auth_why(auth)); */
struct auth_client;

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/* QMAIL_AUTH_VERSION of the library, which another header may have been compiled with. */
const char *auth_version(void);

/* The mechanisms that an EHLO reply offers, as a set of AUTH_ bits. Bits not named here are 0. It says what is offered, not
   what may be sent: a reply that came in clear can be anybody's, and TLS begun later makes it void.

   `smtptext` is the reply with its codes, in wire form or as a classic qmail-remote.c keeps it (CR removed, lines ending
   in LF, possibly cut). It need not end in NUL; `len` is its length. All AUTH and AUTH= lines count, in upper or lower
   case; the first line does not, unless it is the only one. Where a text is cut within a line that others follow
   (`250-`), its last word does not count, since it may be the beginning of a longer one; the last line (`250 `) may stand
   without its line end. Reading ends behind the last line, at a line that is no 250, and at 65536 octets or 512 lines; it
   takes time in proportion to the length. NULL answers 0.

   RFC 4954 section 3, RFC 5321 section 4.1.1.1.

       if (auth_detect(smtptext.s, smtptext.len) & AUTH_PLAIN) ... */
uint32_t auth_detect(const char *smtptext,
                     size_t len);

/* The base64 to send for AUTH PLAIN, as initial response behind `AUTH PLAIN ` or as answer to a 334. Whoever reads it has the
   password: send it over TLS with a verified certificate only.

   `user` and `password` end in NUL: a stralloc of qmail does not by itself, and what is behind it would be sent as well.

   Writes to `out` and returns the length: 4 * ((strlen(user) + strlen(password) + 4) / 3), in whole numbers. No verb, no
   CRLF and no NUL is written. The authorization identity is empty. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is
   less than the length). The caller owns both the buffer and the secret in it.

   RFC 4616.

       n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);

   That is 28, and out begins with AHRpbQB0YW5zdGFhZnRhbnN0YWFm. */
ptrdiff_t auth_plain(const char *user,
                     const char *password,
                     char *out,
                     size_t size);

/* The base64 to send for AUTH LOGIN: call it with the user for the first 334, with the password for the second, whatever
   the prompts say. Whoever reads it has the password: send it over TLS with a verified certificate only.

   `user_or_password` ends in NUL: a stralloc of qmail does not by itself.

   Writes to `out` and returns the length: 4 * ((strlen(user_or_password) + 2) / 3), in whole numbers. No CRLF and no NUL
   is written. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns both the buffer
   and the secret in it.

   draft-murchison-sasl-login.

       n = auth_login("tim", out, sizeof out);

   That is 4, and out begins with dGlt. */
ptrdiff_t auth_login(const char *user_or_password,
                     char *out,
                     size_t size);

/* The base64 to send for AUTH CRAM-MD5, in answer to the 334 with the challenge. It does not show the password, but whoever
   reads it can try passwords against it.

   `user` and `password` end in NUL: a stralloc of qmail does not by itself.

   `challenge` is the text after `334 `, base64 as it came; it need not end in NUL, `len` is its length. Blanks and tabs at
   its beginning are passed over; it ends at the next blank, tab, CR or LF. Writes to `out` and returns the length:
   4 * ((strlen(user) + 35) / 3), in whole numbers. No CRLF and no NUL is written. Errors: AUTH_ERROR_NULL,
   AUTH_ERROR_CHALLENGE, AUTH_ERROR_SPACE (`size` is less than the length).

   RFC 2195.

       n = auth_cram("tim", "tanstaaftanstaaf", text, strlen(text), out, sizeof out);

   For text PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+ that is 48, and out begins with
   dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw. */
ptrdiff_t auth_cram(const char *user,
                    const char *password,
                    const char *challenge,
                    size_t len,
                    char *out,
                    size_t size);

/* A login for this user and password, which are copied. Both end in NUL: a stralloc of qmail does not by itself. NULL where one of
   them is NULL or empty. */
struct auth_client *auth_new(const char *user,
                             const char *password);

/* Begins on a connection whose EHLO reply is `ehlo`, in a form that auth_detect takes: over TLS, the one that came over TLS.
   `flags` are of AUTH_FLAG_, about this connection. Once more on the next one, after AUTH_END_RECONNECT.

   Returns a length: send so many octets of `out`, which are a line with its CRLF, and give the reply to auth_step. They are secret:
   do not log them, and clear `out` in the end. Or what auth_step returns at an end. 512 octets of `size` are enough for each line of
   a user and a password that are together no longer than 340; the caller owns the buffer, and no NUL is written. */
ptrdiff_t auth_begin(struct auth_client *auth,
                     const char *ehlo,
                     size_t len,
                     uint32_t flags,
                     char *out,
                     size_t size);

/* Goes on with the reply to what auth_begin or auth_step gave to send: the whole of it with its codes and line ends, in wire form or as
   a classic qmail-remote.c keeps it. Without LF at its end, or with a last line that others follow (`334-`), it counts as cut, and a
   challenge in it is cancelled.

   Returns a length above 0: send that, as in auth_begin; an empty line is 2 octets long. Or 0: logged in. Go on with MAIL, without
   EHLO, HELO or RSET before it, since each drops the login on some server. Or below 0: there is no login, auth_why says why, and no
   mail is to be sent. That is an auth_end; or AUTH_ERROR_NULL or AUTH_ERROR_SPACE, the caller's own fault, which ends the login, too.

   RFC 4954 section 4. */
ptrdiff_t auth_step(struct auth_client *auth,
                    const char *reply,
                    size_t len,
                    char *out,
                    size_t size);

/* Goes on when the connection has ended in the middle of a login, in place of auth_step. `line_sent` is 0 where the line that
   auth_begin or auth_step gave last could not be sent, which was no try then; else the server has closed.

   Returns an auth_end, or AUTH_ERROR_NULL. */
ptrdiff_t auth_closed(struct auth_client *auth,
                      int line_sent);

/* Why there is no login, after a result below 0: what was offered and tried, and what to do, in one line for a log or a report.
   No secret is in it. NUL-terminated, good until the next call with the same client. */
const char *auth_why(const struct auth_client *auth);

/* Overwrites in `text`, which is a reply of the server, the password and what this login has sent, the digest of CRAM-MD5 in it, too,
   by `*`: a server may repeat it. Do so before words of the server are shown anywhere, those of later replies too.
   `text` is a whole reply with its codes and line ends. Of one that counts as cut, as in auth_step, the last octets, as many
   as may be the beginning of a secret, are overwritten as well. NULL: nothing is done. */
void auth_mask(const struct auth_client *auth,
               char *text,
               size_t len);

/* Clears the password from memory and frees the client. NULL: nothing is done. */
void auth_free(struct auth_client *auth);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* QMAIL_AUTH_H */
