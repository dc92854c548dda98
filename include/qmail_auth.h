/* SMTP AUTH for C programs: link libqmail_auth.a. No function keeps a pointer, writes to a descriptor or calls
   back. All may be called from several threads at once. Out of memory ends the process by a signal.

   TLS is the caller's. No function here begins it, reads STARTTLS in an EHLO reply, or knows whether there is any;
   nothing is refused because it would go out in clear. So, of the caller:
   - PLAIN and LOGIN show the password to whoever can read the connection, and to whoever is at its other end. They
     are for TLS whose certificate was verified for the server's name, or for a connection that stays on this
     machine. CRAM-MD5 does not show the password, but an eavesdropper can try passwords against it.
   - Octets received behind the 220 to STARTTLS, before the handshake, are to end the connection: anybody on the way
     can have put them there.
   - After the handshake, EHLO is to be sent again, and the new reply given to auth_detect; what the old one offered
     is to be forgotten (RFC 3207 section 4.2).
   - The -PLUS mechanisms and EXTERNAL are reported as offered; nothing here computes channel bindings, and the
     client certificate for EXTERNAL is the caller's to show.
   The program qmail-remote of the same source does all of this by itself.

   Made by cbindgen from src/auth/bits.rs and src/ffi/auth.rs: do not edit. */

#ifndef QMAIL_AUTH_H
#define QMAIL_AUTH_H

#include <stddef.h>
#include <stdint.h>

// An AUTH line was there, even an empty one.
#define AUTH_OFFERED 1

// PLAIN (RFC 4616).
#define AUTH_PLAIN 2

// LOGIN (draft-murchison-sasl-login).
#define AUTH_LOGIN 4

// CRAM-MD5 (RFC 2195).
#define AUTH_CRAM_MD5 8

// SCRAM-SHA-1 (RFC 5802).
#define AUTH_SCRAM_SHA_1 16

// SCRAM-SHA-256 (RFC 7677).
#define AUTH_SCRAM_SHA_256 32

// SCRAM-SHA-1-PLUS (RFC 5802), bound to the TLS connection.
#define AUTH_SCRAM_SHA_1_PLUS 64

// SCRAM-SHA-256-PLUS (RFC 7677), bound to the TLS connection.
#define AUTH_SCRAM_SHA_256_PLUS 128

// XOAUTH2 (Google's, with a bearer token).
#define AUTH_XOAUTH2 256

// OAUTHBEARER (RFC 7628).
#define AUTH_OAUTHBEARER 512

// EXTERNAL (RFC 4422 appendix A).
#define AUTH_EXTERNAL 1024

// What a function of this library answers instead of a length.
enum auth_error {
  // A pointer is NULL, or a length more than any object has.
  AUTH_ERROR_NULL = -1,
  // The buffer is too small. Nothing was written to it.
  AUTH_ERROR_SPACE = -2,
  // The challenge is not base64. Send `*` to end the exchange; the server answers 501.
  AUTH_ERROR_CHALLENGE = -3,
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The mechanisms that an EHLO reply offers, as a set of AUTH_ bits. Bits not named here are 0. It says what is offered, not
// what may be sent: a reply that came in clear can be anybody's, and TLS begun later makes it void.
//
// `smtptext` is the reply with its codes, in wire form or as a classic qmail-remote.c keeps it (CR removed, lines ending
// in LF, possibly cut). It need not end in NUL; `len` is its length. All AUTH and AUTH= lines count, in upper or lower
// case; the first line does not, unless it is the only one. Where a text is cut within a line that others follow
// (`250-`), its last word does not count, since it may be the beginning of a longer one; the last line (`250 `) may stand
// without its line end. Reading ends behind the last line, at a line that is no 250, and at 65536 octets or 512 lines; it
// takes time in proportion to the length. NULL answers 0.
//
// RFC 4954 section 3, RFC 5321 section 4.1.1.1.
//
//     if (auth_detect(smtptext.s, smtptext.len) & AUTH_PLAIN) ...
uint32_t auth_detect(const char *smtptext,
                     size_t len);

// The base64 to send for AUTH PLAIN, as initial response behind `AUTH PLAIN ` or as answer to a 334. Whoever reads it has the
// password: send it over TLS with a verified certificate only.
//
// Writes to `out` and returns the length: 4 * ((strlen(user) + strlen(password) + 4) / 3), in whole numbers. No verb, no
// CRLF and no NUL is written. The authorization identity is empty. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is
// less than the length). The caller owns both the buffer and the secret in it.
//
// RFC 4616.
//
//     n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);
//     // n is 28, out begins with AHRpbQB0YW5zdGFhZnRhbnN0YWFm
ptrdiff_t auth_plain(const char *user,
                     const char *password,
                     char *out,
                     size_t size);

// The base64 to send for AUTH LOGIN: call it with the user for the first 334, with the password for the second, whatever
// the prompts say. Whoever reads it has the password: send it over TLS with a verified certificate only.
//
// Writes to `out` and returns the length: 4 * ((strlen(user_or_password) + 2) / 3), in whole numbers. No CRLF and no NUL
// is written. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns both the buffer
// and the secret in it.
//
// draft-murchison-sasl-login.
//
//     n = auth_login("tim", out, sizeof out);
//     // n is 4, out begins with dGlt
ptrdiff_t auth_login(const char *user_or_password,
                     char *out,
                     size_t size);

// The base64 to send for AUTH CRAM-MD5, in answer to the 334 with the challenge. It does not show the password, but whoever
// reads it can try passwords against it.
//
// `challenge` is the text after `334 `, base64 as it came; it need not end in NUL, `len` is its length. Blanks and tabs at
// its beginning are passed over; it ends at the next blank, tab, CR or LF. Writes to `out` and returns the length:
// 4 * ((strlen(user) + 35) / 3), in whole numbers. No CRLF and no NUL is written. Errors: AUTH_ERROR_NULL,
// AUTH_ERROR_CHALLENGE, AUTH_ERROR_SPACE (`size` is less than the length).
//
// RFC 2195.
//
//     n = auth_cram("tim", "tanstaaftanstaaf", text, strlen(text), out, sizeof out);
//     // for text PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
//     // n is 48, out begins with dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw
ptrdiff_t auth_cram(const char *user,
                    const char *password,
                    const char *challenge,
                    size_t len,
                    char *out,
                    size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* QMAIL_AUTH_H */
