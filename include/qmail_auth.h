/* SMTP AUTH (RFC 4954) for C programs.

   Link with -lqmail_auth, as `pkg-config --libs qmail-auth` says. It is a static library and needs libc alone.

   auth_new and the functions after it are a complete login: which mechanism to try, what to send, when to stop. The functions
   before auth_new are its parts, for programs that decide this themselves. A result below 0 is never a success: it is an
   auth_error, or an auth_end of a complete login.

   No function keeps a pointer, calls back into the program, or uses a descriptor. All may be called from several threads, but one
   auth_client only from one thread at a time. If there is no memory, the process ends by abort(), and nothing is written:
   qmail-rspawn then defers the mail.

   TLS is the caller's task. No function here starts TLS, looks for STARTTLS in an EHLO reply, or knows whether the connection is
   encrypted. auth_begin trusts its flags, and the parts send a password in clear if they are told to. So the caller must see to
   this:
   - PLAIN and LOGIN show the password to the server and to anybody who can read the connection. Use them only over TLS with a
     certificate that was verified for the server's name, or on a connection that stays on this machine. SCRAM and CRAM-MD5 do not
     show the password, but an eavesdropper can try passwords against them.
   - If data follows the 220 to STARTTLS before the handshake, close the connection: the data may have been injected.
   - After the handshake send EHLO again, and give the new reply to auth_detect or auth_begin. Forget what the old reply offered
     (RFC 3207 section 4.2).
   - The -PLUS mechanisms and EXTERNAL are only reported as offered. Nothing here computes channel bindings or shows a client
     certificate.
   The program qmail-remote of this project does all of this itself.

   Made by cbindgen from parts.rs and client.rs in auth/src/ffi, and from auth/src/mechanisms.rs: do not edit. */

#ifndef QMAIL_AUTH_H
#define QMAIL_AUTH_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header, as a string and as numbers. */
#define QMAIL_AUTH_VERSION "0.1.0"
#define QMAIL_AUTH_VERSION_MAJOR 0
#define QMAIL_AUTH_VERSION_MINOR 1
#define QMAIL_AUTH_VERSION_PATCH 0

/* In the result of auth_detect: there was an AUTH line, even an empty one. */
#define AUTH_OFFERED 0x001

/* In the result of auth_detect: the mechanisms, by their registered names. */
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
#define AUTH_SCRAM_SHA_512 0x800

/* For auth_begin: the connection is TLS, and the certificate was verified, its chain and its name. The password may be sent. A
   handshake that succeeds says neither: a TLS patch verifies only where it is told to. */
#define AUTH_FLAG_TLS_VERIFIED 1

/* For auth_begin: the password may be sent without verified TLS. Set it only if the administrator permits that, or if the
   connection stays on this machine. */
#define AUTH_FLAG_CLEAR_ALLOWED 2

/* Negative return values: the function failed and has written nothing. The first two are errors of the caller. */
enum auth_error {
  /* A pointer is NULL, or a length is larger than any object. */
  AUTH_ERROR_NULL = -1,
  /* The buffer is too small. */
  AUTH_ERROR_SPACE = -2,
  /* auth_cram only: the server's challenge is not base64. Send `*` to cancel the exchange; the server answers 501. */
  AUTH_ERROR_CHALLENGE = -3
};

/* Negative return values: the login has ended without success. Try the mail again later, never bounce it: the report is Z, and not
   K, h or D. */
enum auth_end {
  /* No login on this connection. Close it. Then either connect to the same server again and call auth_begin with the same
     client, or try the mail later. */
  AUTH_END_RECONNECT = -11,
  /* No login now: the server has deferred it, or has sent a reply that does not belong in a login. */
  AUTH_END_DEFERRED = -12,
  /* No login until somebody has looked at the set-up: the server refuses user and password, or no mechanism is offered,
     permitted or left to try. */
  AUTH_END_FAILED = -13
};

/* One login, on one connection or two: which mechanism to try, what to send, when to stop. The program qmail-remote of this
   project uses the same code. Mechanisms: PLAIN, LOGIN, SCRAM without -PLUS, CRAM-MD5, and for a token XOAUTH2 or OAUTHBEARER;
   without a flag of auth_begin only SCRAM and CRAM-MD5, which do not show the password. With SCRAM the server has to prove that it knows
   the password, too. Since relays lock accounts, it makes at most three tries, and two on one connection. After a try that showed the
   password, or proved it by SCRAM, and was refused, it makes only one more. If one of the refused logins is by SCRAM, there is no third.
   So a server that offers two SCRAMs, but keeps a hash for CRAM-MD5 alone, may need auth_prefer.

   Made by auth_new or auth_new_token, freed by auth_free. It keeps the password until then, also after the login, since auth_mask needs
   it. Do not use one client in two threads at the same time.

   This is a complete login. send_octets and read_reply are functions of your program: they send octets and read a whole reply, and
   return 0 unless the connection has ended.

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

/* The version of the library, as in QMAIL_AUTH_VERSION. The two differ if the program was compiled with another version's header.
   The string is static: do not free it. */
const char *auth_version(void);

/* Returns the mechanisms that an EHLO reply offers, as a set of AUTH_ bits; other bits are 0. They say what is offered, not what
   may be sent: anybody on the way can have written a reply that came in clear, and a reply from before STARTTLS is void.

   `smtptext` is the whole reply with its codes, in wire form or as a classic qmail-remote.c keeps it (CR removed, lines ending in
   LF, possibly cut). It need not end in NUL; `len` is its length in octets.

   All AUTH and AUTH= lines count, in upper or lower case. The first line does not count, unless it is the only one. If the text is
   cut within a line that others follow (`250-`), the last word of that line does not count, since it may be the beginning of a
   longer one. The last line (`250 `) may lack its line end. Reading stops after the last line, at a line that does not begin with
   250, and at 65536 octets or 512 lines; the time is proportional to the length. For NULL the result is 0.

   RFC 4954 section 3, RFC 5321 section 4.1.1.1.

       if (auth_detect(smtptext.s, smtptext.len) & AUTH_PLAIN) ... */
uint32_t auth_detect(const char *smtptext,
                     size_t len);

/* Writes the base64 for AUTH PLAIN: the initial response after `AUTH PLAIN `, or the answer to a 334. Whoever reads it has the
   password: send it only over TLS with a verified certificate. If the reply is not 235, report Z and send no MAIL.

   `user` and `password` end in NUL. A stralloc has none: qmail leaves a Z there, and the relay is sent a wrong password. Call
   stralloc_0 first.

   Writes to `out` and returns the length in octets: 4 * ((strlen(user) + strlen(password) + 4) / 3), in integer arithmetic. Writes
   no verb, no CRLF and no NUL. The authorization identity is empty. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than
   the length). The caller owns the buffer and must clear the secret in it.

   RFC 4616.

       n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);

   Here n is 28, and out begins with AHRpbQB0YW5zdGFhZnRhbnN0YWFm. */
ptrdiff_t auth_plain(const char *user,
                     const char *password,
                     char *out,
                     size_t size);

/* Writes the base64 for one answer of AUTH LOGIN. Call it with the user for the first 334 and with the password for the second,
   whatever the prompts say. Whoever reads them has the password: send them only over TLS with a verified certificate. If the
   reply to the password is not 235, report Z and send no MAIL.

   `user_or_password` ends in NUL. A stralloc has none: see auth_plain.

   Writes to `out` and returns the length in octets: 4 * ((strlen(user_or_password) + 2) / 3), in integer arithmetic. Writes no
   CRLF and no NUL. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns the buffer and must
   clear the secret in it.

   draft-murchison-sasl-login.

       n = auth_login("tim", out, sizeof out);

   Here n is 4, and out begins with dGlt. */
ptrdiff_t auth_login(const char *user_or_password,
                     char *out,
                     size_t size);

/* Writes the base64 for AUTH CRAM-MD5: the answer to the 334 with the challenge. It does not show the password, but whoever reads
   the exchange can try passwords against it. If the reply is not 235, report Z and send no MAIL.

   `user` and `password` end in NUL. A stralloc has none: see auth_plain.

   `challenge` is the text after `334 `, still in base64. It need not end in NUL; `len` is its length in octets. Blanks and tabs
   before it are skipped, and it ends at the next blank, tab, CR or LF.

   Writes to `out` and returns the length in octets: 4 * ((strlen(user) + 35) / 3), in integer arithmetic. Writes no CRLF and no
   NUL. Errors: AUTH_ERROR_NULL, AUTH_ERROR_CHALLENGE, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns the
   buffer.

   RFC 2195.

       n = auth_cram("tim", "tanstaaftanstaaf", text, strlen(text), out, sizeof out);

   For the text PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+ n is 48, and out begins with
   dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw. */
ptrdiff_t auth_cram(const char *user,
                    const char *password,
                    const char *challenge,
                    size_t len,
                    char *out,
                    size_t size);

/* Writes the base64 for AUTH XOAUTH2: the initial response after `AUTH XOAUTH2 `, or the answer to an empty 334. Whoever reads it has
   the access token: send it only over TLS with a verified certificate. If the reply is a 334, it says in base64 why the token is
   refused: send an empty line, and the server answers 535. If the reply is not 235, report Z and send no MAIL.

   `user` and `token` end in NUL. A stralloc has none: see auth_plain.

   Writes to `out` and returns the length in octets: 4 * ((strlen(user) + strlen(token) + 22) / 3), in integer arithmetic. Writes no
   verb, no CRLF and no NUL. Where `AUTH XOAUTH2 `, this and CRLF are more than 512 octets, send `AUTH XOAUTH2` alone and this after
   the 334: servers cut longer lines, and then refuse the token. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the
   length). The caller owns the buffer and must clear the secret in it.

       n = auth_xoauth2("tim@example.com", "ya29.token", out, sizeof out);

   Here n is 60, and out begins with dXNlcj10aW1AZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgeWEyOS50b2tlbgEB. */
ptrdiff_t auth_xoauth2(const char *user,
                       const char *token,
                       char *out,
                       size_t size);

/* The same for AUTH OAUTHBEARER. `host` and `port` are those of the server; where `host` is NULL they are left out. If the reply is
   a 334 that says why the token is refused, send `AQ==`.

   The length depends on the user, too, in which each comma and equals sign counts as three. A buffer is large enough for
   4 * ((3 * strlen(user) + strlen(host) + strlen(token) + 44) / 3). Errors: as for auth_xoauth2.

   RFC 7628.

       n = auth_oauthbearer("tim@example.com", "ya29.token", "smtp.example.com", 587, out, sizeof out);

   Here n is 104, and out begins with bixhPXRpbUBleGFtcGxlLmNvbSwBaG9zdD1zbXRwLmV4YW1wbGUuY29t. */
ptrdiff_t auth_oauthbearer(const char *user,
                           const char *token,
                           const char *host,
                           uint16_t port,
                           char *out,
                           size_t size);

/* Makes a client for this user and password, which it copies. Both end in NUL. A stralloc has none: see auth_plain. Free it with
   auth_free. Returns NULL if one of them is NULL or empty. */
struct auth_client *auth_new(const char *user,
                             const char *password);

/* The same for this user and an access token of OAuth 2.0, in the place of a password. It is used by XOAUTH2, or by OAUTHBEARER where
   the server does not offer XOAUTH2; once, and only with a flag of auth_begin. `host` and `port` are those of the server, which
   OAUTHBEARER tells; `host` may be NULL. If the token is refused, AUTH_END_FAILED; auth_why has what the server says of it.

   A token is long: auth_begin and auth_step need a buffer of 4 * ((3 * strlen(user) + strlen(host) + strlen(token) + 44) / 3) + 2
   octets. */
struct auth_client *auth_new_token(const char *user,
                                   const char *token,
                                   const char *host,
                                   uint16_t port);

/* Starts the login on a connection. `ehlo` is the EHLO reply, in a form that auth_detect takes; over TLS, it is the one that came
   over TLS. `flags` are AUTH_FLAG_ values for this connection. After AUTH_END_RECONNECT call it again on the next connection.

   Returns a length above 0: send that many octets of `out`, which are a line with its CRLF, and pass the reply to auth_step. They
   are secret: do not log them, and clear `out` when the login is over. A result below 0 means what it means for auth_step.

   The caller owns the buffer of `size` octets; no NUL is written. 512 octets are enough if user and password have together at most
   340, where each comma and equals sign of the user counts as three. */
ptrdiff_t auth_begin(struct auth_client *auth,
                     const char *ehlo,
                     size_t len,
                     uint32_t flags,
                     char *out,
                     size_t size);

/* Continues the login with the reply to the line of auth_begin or auth_step. `reply` is the whole reply with its codes and line
   ends, in wire form or as a classic qmail-remote.c keeps it. It counts as cut if it has no LF at its end, or if its last line
   says that others follow (`334-`). A challenge of SCRAM or CRAM-MD5 that is cut is cancelled.

   Returns one of these:
   - Above 0: a length. Send that many octets of `out`, as for auth_begin. An empty line is 2 octets long.
   - 0: logged in. Go on with MAIL. Send no EHLO, HELO or RSET before it: each of them drops the login on some server.
   - Below 0: no login. Send no mail; auth_why says why. The value is an auth_end. Or it is AUTH_ERROR_NULL or AUTH_ERROR_SPACE, an
     error of the caller, which ends the login, too.

   RFC 4954 section 4. */
ptrdiff_t auth_step(struct auth_client *auth,
                    const char *reply,
                    size_t len,
                    char *out,
                    size_t size);

/* Call this instead of auth_step if the connection ends during the login. `line_sent` is 0 if the last line of auth_begin or
   auth_step could not be sent: if that was an AUTH command, it does not count as a try. Otherwise the server has closed the
   connection, which counts as a refusal.

   Returns an auth_end, or AUTH_ERROR_NULL. */
ptrdiff_t auth_closed(struct auth_client *auth,
                      int line_sent);

/* Tells a new client which mechanism logged in with the same user and password at the same server last time: one AUTH_ bit, as
   auth_mechanism returned it then. Call it before auth_begin. That mechanism is then tried first, where it is offered and
   permitted. When the server refuses the login by 535 or another code that is not about the command, or closes the connection when it
   has the password, no other mechanism is tried: the password is wrong now. So a mail is one failed login and not two. 0, or a bit of
   no usable mechanism, changes nothing. */
void auth_prefer(struct auth_client *auth,
                 uint32_t mechanism);

/* Returns the AUTH_ bit of the mechanism that has logged in, to keep for auth_prefer. 0: there is no login. Keep it beside the
   user and the server, and forget it when the password changes or a login is refused: the server may have lost the hash for it. */
uint32_t auth_mechanism(const struct auth_client *auth);

/* Says why there is no login, after a result below 0: what was offered, what was tried, and what to do. It is one line for a log
   or a report, ends in NUL and has no secret in it. It is valid until the next call with the same client. For NULL, it says that
   user or password is missing. */
const char *auth_why(const struct auth_client *auth);

/* Replaces secrets in a server's reply by `*`: the password, the token, and what this login has sent, the digest of CRAM-MD5 and the
   proofs of SCRAM included. A server may repeat them, so do this before you show any of its replies, also those after the login.

   `text` is a whole reply with its codes and line ends. If it counts as cut (see auth_step), the octets at its end that could be
   the beginning of a secret are replaced, too. NULL is allowed and does nothing. */
void auth_mask(const struct auth_client *auth,
               char *text,
               size_t len);

/* Clears the password from memory and frees the client. NULL is allowed and does nothing. */
void auth_free(struct auth_client *auth);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* QMAIL_AUTH_H */
