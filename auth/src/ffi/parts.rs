//! include/qmail_auth.h: SMTP AUTH for any C program. The comments here are the header's.

use super::{octets, text};
use crate::base64_secret;
use crate::mechanisms::plain::message;
use core::ffi::c_char;

/// What a function of this library returns instead of a length when it cannot do its work. The first two are the caller's fault.
#[allow(non_camel_case_types)] // the C name
#[derive(Clone, Copy)]
#[repr(C)]
pub enum auth_error {
    /// A pointer is NULL, or a length more than any object has.
    Null = -1,
    /// The buffer is too small. Nothing was written to it.
    Space = -2,
    /// Of auth_cram: the server's challenge is not base64. Send `*` to end the exchange; the server answers 501.
    Challenge = -3,
}

/// QMAIL_AUTH_VERSION of the library, which another header may have been compiled with.
#[unsafe(no_mangle)]
pub extern "C" fn auth_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// The mechanisms that an EHLO reply offers, as a set of AUTH_ bits. Bits not named here are 0. It says what is offered, not
/// what may be sent: a reply that came in clear can be anybody's, and TLS begun later makes it void.
///
/// `smtptext` is the reply with its codes, in wire form or as a classic qmail-remote.c keeps it (CR removed, lines ending
/// in LF, possibly cut). It need not end in NUL; `len` is its length. All AUTH and AUTH= lines count, in upper or lower
/// case; the first line does not, unless it is the only one. Where a text is cut within a line that others follow
/// (`250-`), its last word does not count, since it may be the beginning of a longer one; the last line (`250 `) may stand
/// without its line end. Reading ends behind the last line, at a line that is no 250, and at 65536 octets or 512 lines; it
/// takes time in proportion to the length. NULL answers 0.
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

/// The base64 to send for AUTH PLAIN, as initial response behind `AUTH PLAIN ` or as answer to a 334. Whoever reads it has the
/// password: send it over TLS with a verified certificate only.
///
/// `user` and `password` end in NUL: a stralloc of qmail does not by itself, and what is behind it would be sent as well.
///
/// Writes to `out` and returns the length: 4 * ((strlen(user) + strlen(password) + 4) / 3), in whole numbers. No verb, no
/// CRLF and no NUL is written. The authorization identity is empty. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is
/// less than the length). The caller owns both the buffer and the secret in it.
///
/// RFC 4616.
///
///     n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);
///
/// That is 28, and out begins with AHRpbQB0YW5zdGFhZnRhbnN0YWFm.
///
/// # Safety
/// `user` and `password` are NULL or NUL-terminated; `out` is NULL or points to `size` octets that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_plain(
    user: *const c_char,
    password: *const c_char,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function is that of text().
    let Some((user, password)) = (unsafe { text(user).zip(text(password)) }) else { return auth_error::Null as isize };
    // SAFETY: likewise that of write().
    unsafe { write(&base64_secret(&message(user, password)), out, size) }
}

/// The base64 to send for AUTH LOGIN: call it with the user for the first 334, with the password for the second, whatever
/// the prompts say. Whoever reads it has the password: send it over TLS with a verified certificate only.
///
/// `user_or_password` ends in NUL: a stralloc of qmail does not by itself.
///
/// Writes to `out` and returns the length: 4 * ((strlen(user_or_password) + 2) / 3), in whole numbers. No CRLF and no NUL
/// is written. Errors: AUTH_ERROR_NULL, AUTH_ERROR_SPACE (`size` is less than the length). The caller owns both the buffer
/// and the secret in it.
///
/// draft-murchison-sasl-login.
///
///     n = auth_login("tim", out, sizeof out);
///
/// That is 4, and out begins with dGlt.
///
/// # Safety
/// `user_or_password` is NULL or NUL-terminated; `out` is NULL or points to `size` octets that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_login(user_or_password: *const c_char, out: *mut c_char, size: usize) -> isize {
    // SAFETY: the contract of this function is that of text().
    let Some(word) = (unsafe { text(user_or_password) }) else { return auth_error::Null as isize };
    // SAFETY: likewise that of write().
    unsafe { write(&base64_secret(word), out, size) }
}

/// The base64 to send for AUTH CRAM-MD5, in answer to the 334 with the challenge. It does not show the password, but whoever
/// reads it can try passwords against it.
///
/// `user` and `password` end in NUL: a stralloc of qmail does not by itself.
///
/// `challenge` is the text after `334 `, base64 as it came; it need not end in NUL, `len` is its length. Blanks and tabs at
/// its beginning are passed over; it ends at the next blank, tab, CR or LF. Writes to `out` and returns the length:
/// 4 * ((strlen(user) + 35) / 3), in whole numbers. No CRLF and no NUL is written. Errors: AUTH_ERROR_NULL,
/// AUTH_ERROR_CHALLENGE, AUTH_ERROR_SPACE (`size` is less than the length).
///
/// RFC 2195.
///
///     n = auth_cram("tim", "tanstaaftanstaaf", text, strlen(text), out, sizeof out);
///
/// For text PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+ that is 48, and out begins with
/// dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw.
///
/// # Safety
/// `user` and `password` are NULL or NUL-terminated; `challenge` is NULL or points to `len` octets; `out` is NULL or points
/// to `size` octets that can be written.
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
        // SAFETY: likewise that of write().
        Some(answer) => unsafe { write(&answer, out, size) },
        None => auth_error::Challenge as isize,
    }
}

/// Copies an answer to the caller's buffer.
///
/// # Safety
/// `out` is NULL or points to `size` octets that can be written.
pub(super) unsafe fn write(answer: &[u8], out: *mut c_char, size: usize) -> isize {
    if out.is_null() {
        return auth_error::Null as isize;
    }
    if answer.len() > size {
        return auth_error::Space as isize;
    }
    // SAFETY: out has room for size octets, which is enough, and no buffer of the caller overlaps one of this library.
    unsafe { core::ptr::copy_nonoverlapping(answer.as_ptr(), out.cast(), answer.len()) };
    answer.len() as isize
}
