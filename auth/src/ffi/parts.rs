//! include/qmail_auth.h, first part: functions for programs that choose the mechanism themselves. The comments here become the
//! header's.

use super::{octets, text};
use crate::base64_secret;
use crate::mechanisms::bearer::{oauthbearer_message, xoauth2_message};
use crate::mechanisms::plain::message;
use core::ffi::c_char;

/// Negative return values: the function failed and has written nothing. The first two are errors of the caller.
#[allow(non_camel_case_types)] // the C name
#[derive(Clone, Copy)]
#[repr(C)]
pub enum auth_error {
    /// A pointer is NULL, or a length is larger than any object.
    Null = -1,
    /// The buffer is too small.
    Space = -2,
    /// auth_cram only: the server's challenge is not base64. Send `*` to cancel the exchange; the server answers 501.
    Challenge = -3,
}

/// The version of the library, as in QMAIL_AUTH_VERSION. The two differ if the program was compiled with another version's header.
/// The string is static: do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn auth_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// Returns the mechanisms that an EHLO reply offers, as a set of AUTH_ bits; other bits are 0. They say what is offered, not what
/// may be sent: anybody on the way can have written a reply that came in clear, and a reply from before STARTTLS is void.
///
/// `smtptext` is the whole reply with its codes, in wire form or as a classic qmail-remote.c keeps it (CR removed, lines ending in
/// LF, possibly cut). It need not end in NUL; `len` is its length in octets.
///
/// All AUTH and AUTH= lines count, in upper or lower case. The first line does not count, unless it is the only one. If the text is
/// cut within a line that others follow (`250-`), the last word of that line does not count, since it may be the beginning of a
/// longer one. The last line (`250 `) may lack its line end. Reading stops after the last line, at a line that does not begin with
/// 250, and at 65536 octets or 512 lines; the time is proportional to the length. For NULL the result is 0.
///
/// RFC 4954 section 3, RFC 5321 section 4.1.1.1.
///
///     if (auth_detect(smtptext.s, smtptext.len) & AUTH_PLAIN) ...
///
/// # Safety
/// `smtptext` is NULL or points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_detect(smtptext: *const c_char, len: usize) -> u32 {
    // SAFETY: the contract of this function is that of octets().
    unsafe { octets(smtptext, len) }.map_or(0, crate::detect::detect)
}

/// Writes the base64 for AUTH PLAIN: the initial response after `AUTH PLAIN `, or the answer to a 334. Whoever reads it has the
/// password: send it only over TLS with a verified certificate. If the reply is not 235, report Z and send no MAIL.
///
/// `user` and `password` end in NUL. A stralloc has none: qmail leaves a Z there, and the relay is sent a wrong password. Call
/// stralloc_0 first.
///
/// Writes to `out` and returns the length in octets: 4 * ((strlen(user) + strlen(password) + 4) / 3), in integer arithmetic. Writes
/// no verb, no CRLF and no NUL. The authorization identity is empty. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than
/// the length). The caller owns the buffer and must clear the secret in it.
///
/// RFC 4616.
///
///     n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);
///
/// Here n is 28, and out begins with AHRpbQB0YW5zdGFhZnRhbnN0YWFm.
///
/// # Safety
/// `user` and `password` are NULL or NUL-terminated; `out` is NULL or points to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_plain(
    user: *const c_char,
    password: *const c_char,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function is that of text().
    let Some((user, password)) = (unsafe { text(user).zip(text(password)) }) else { return auth_error::Null as isize };
    // SAFETY: the contract of this function includes that of write().
    unsafe { write(&base64_secret(&message(user, password)), out, size) }
}

/// Writes the base64 for one answer of AUTH LOGIN. Call it with the user for the first 334 and with the password for the second,
/// whatever the prompts say. Whoever reads them has the password: send them only over TLS with a verified certificate. If the
/// reply to the password is not 235, report Z and send no MAIL.
///
/// `user_or_password` ends in NUL. A stralloc has none: see auth_plain.
///
/// Writes to `out` and returns the length in octets: 4 * ((strlen(user_or_password) + 2) / 3), in integer arithmetic. Writes no
/// CRLF and no NUL. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns the buffer and must
/// clear the secret in it.
///
/// draft-murchison-sasl-login.
///
///     n = auth_login("tim", out, sizeof out);
///
/// Here n is 4, and out begins with dGlt.
///
/// # Safety
/// `user_or_password` is NULL or NUL-terminated; `out` is NULL or points to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_login(user_or_password: *const c_char, out: *mut c_char, size: usize) -> isize {
    // SAFETY: the contract of this function is that of text().
    let Some(word) = (unsafe { text(user_or_password) }) else { return auth_error::Null as isize };
    // SAFETY: the contract of this function includes that of write().
    unsafe { write(&base64_secret(word), out, size) }
}

/// Writes the base64 for AUTH CRAM-MD5: the answer to the 334 with the challenge. It does not show the password, but whoever reads
/// the exchange can try passwords against it. If the reply is not 235, report Z and send no MAIL.
///
/// `user` and `password` end in NUL. A stralloc has none: see auth_plain.
///
/// `challenge` is the text after `334 `, still in base64. It need not end in NUL; `len` is its length in octets. Blanks and tabs
/// before it are skipped, and it ends at the next blank, tab, CR or LF.
///
/// Writes to `out` and returns the length in octets: 4 * ((strlen(user) + 35) / 3), in integer arithmetic. Writes no CRLF and no
/// NUL. Errors: AUTH_ERROR_NULL, AUTH_ERROR_CHALLENGE, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns the
/// buffer.
///
/// RFC 2195.
///
///     n = auth_cram("tim", "tanstaaftanstaaf", text, strlen(text), out, sizeof out);
///
/// For the text PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+ n is 48, and out begins with
/// dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw.
///
/// # Safety
/// `user` and `password` are NULL or NUL-terminated; `challenge` is NULL or points to `len` octets; `out` is NULL or points
/// to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_cram(
    user: *const c_char,
    password: *const c_char,
    challenge: *const c_char,
    len: usize,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function is that of text() and octets().
    let (login, challenge) = unsafe { (text(user).zip(text(password)), octets(challenge, len)) };
    let Some(((user, password), challenge)) = login.zip(challenge) else { return auth_error::Null as isize };
    match crate::cram_md5(user, password, challenge) {
        // SAFETY: the contract of this function includes that of write().
        Some(answer) => unsafe { write(&answer, out, size) },
        None => auth_error::Challenge as isize,
    }
}

/// Writes the base64 for AUTH XOAUTH2: the initial response after `AUTH XOAUTH2 `, or the answer to an empty 334. Whoever reads it has
/// the access token: send it only over TLS with a verified certificate. If the reply is a 334, it says in base64 why the token is
/// refused: send an empty line, and the server answers 535. If the reply is not 235, report Z and send no MAIL.
///
/// `user` and `token` end in NUL. A stralloc has none: see auth_plain.
///
/// Writes to `out` and returns the length in octets: 4 * ((strlen(user) + strlen(token) + 22) / 3), in integer arithmetic. Writes no
/// verb, no CRLF and no NUL. Where `AUTH XOAUTH2 `, this and CRLF are more than 512 octets, send `AUTH XOAUTH2` alone and this after
/// the 334: servers cut longer lines, and then refuse the token. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the
/// length). The caller owns the buffer and must clear the secret in it.
///
///     n = auth_xoauth2("tim@example.com", "ya29.token", out, sizeof out);
///
/// Here n is 60, and out begins with dXNlcj10aW1AZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgeWEyOS50b2tlbgEB.
///
/// # Safety
/// `user` and `token` are NULL or NUL-terminated; `out` is NULL or points to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_xoauth2(
    user: *const c_char,
    token: *const c_char,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function is that of text().
    let Some((user, token)) = (unsafe { text(user).zip(text(token)) }) else { return auth_error::Null as isize };
    // SAFETY: the contract of this function includes that of write().
    unsafe { write(&base64_secret(&xoauth2_message(user, token)), out, size) }
}

/// The same for AUTH OAUTHBEARER. `host` and `port` are those of the server; where `host` is NULL they are left out. If the reply is
/// a 334 that says why the token is refused, send `AQ==`.
///
/// The length depends on the user, too, in which each comma and equals sign counts as three. A buffer is large enough for
/// 4 * ((3 * strlen(user) + strlen(host) + strlen(token) + 44) / 3). Errors: as for auth_xoauth2.
///
/// RFC 7628.
///
///     n = auth_oauthbearer("tim@example.com", "ya29.token", "smtp.example.com", 587, out, sizeof out);
///
/// Here n is 104, and out begins with bixhPXRpbUBleGFtcGxlLmNvbSwBaG9zdD1zbXRwLmV4YW1wbGUuY29t.
///
/// # Safety
/// `user`, `token` and `host` are NULL or NUL-terminated; `out` is NULL or points to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_oauthbearer(
    user: *const c_char,
    token: *const c_char,
    host: *const c_char,
    port: u16,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function is that of text().
    let (login, host) = unsafe { (text(user).zip(text(token)), text(host)) };
    let Some((user, token)) = login else { return auth_error::Null as isize };
    let message = oauthbearer_message(user, token, host.map(|host| (host, port)));
    // SAFETY: the contract of this function includes that of write().
    unsafe { write(&base64_secret(&message), out, size) }
}

/// Copies octets to the caller's buffer. Returns their number, or an auth_error.
///
/// # Safety
/// `out` is NULL or points to `size` writable octets.
pub(super) unsafe fn write(answer: &[u8], out: *mut c_char, size: usize) -> isize {
    if out.is_null() {
        return auth_error::Null as isize;
    }
    if answer.len() > size {
        return auth_error::Space as isize;
    }
    // SAFETY: `out` has room for `size` octets, which is enough, and the caller's buffer cannot overlap one of this library.
    unsafe { core::ptr::copy_nonoverlapping(answer.as_ptr(), out.cast(), answer.len()) };
    answer.len() as isize
}
