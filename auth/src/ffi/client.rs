//! include/qmail_auth.h: a whole login for C programs. The comments here are the header's.

use super::parts::{auth_error, write};
use super::{octets, text};
use crate::cause::Call;
use crate::client::{Client, Permission, Step};
use crate::detect;
use crate::login::{Login, PasswordLogin};
use crate::reply::{code_of, is_cut, last_text};
use core::ffi::{c_char, c_int};
use std::ffi::CString;

/// For auth_begin: the connection is TLS, and the certificate was verified for the server's name. So the password may be shown.
pub const AUTH_FLAG_TLS_VERIFIED: u32 = 1;
/// For auth_begin: the password may be shown although the connection is not such a TLS: the administrator permits it, or it stays on
/// this machine.
pub const AUTH_FLAG_CLEAR_ALLOWED: u32 = 2;

/// How a login ends without success. The mail is to be tried later, never to be bounced.
#[allow(non_camel_case_types)] // the C name
#[derive(Clone, Copy)]
#[repr(C)]
pub enum auth_end {
    /// Not on this connection, on a new one perhaps. Close it; then connect to the same server again and call auth_begin there with
    /// the same client, or try the mail later.
    Reconnect = -11,
    /// Not now: the server defers the login, or what it says has no place in one.
    Deferred = -12,
    /// Nothing is offered, permitted or left to try, or user and password are refused. Somebody has to look at the set-up.
    Failed = -13,
}

/// One login, over one connection or two: which mechanism to try, what to send, when to stop. It is what qmail-remote of
/// the same source runs on. No more than three tries, two on a connection, since relays lock accounts; once the password
/// was shown and refused, only one more. Mechanisms: PLAIN, LOGIN, CRAM-MD5. Without a flag of auth_begin only
/// CRAM-MD5, which does not show the password.
///
/// Made by auth_new, freed by auth_free. Until then it keeps the password, also after the login, since auth_mask must know it.
/// Not for two threads at once. This is all of it, with functions of the caller's that send octets and read a whole reply, and return
/// 0 unless the connection has ended:
///
///     struct auth_client *auth = auth_new("tim", "tanstaaftanstaaf");
///     ptrdiff_t n = auth_begin(auth, ehlo.s, ehlo.len, AUTH_FLAG_TLS_VERIFIED, line, sizeof line);
///     while (n > 0) {
///         if (send_octets(line, n) != 0)
///             n = auth_closed(auth, 0);
///         else if (read_reply(&reply) != 0)
///             n = auth_closed(auth, 1);
///         else
///             n = auth_step(auth, reply.s, reply.len, line, sizeof line);
///     }
///     if (n != 0)
///         printf("login failed: %s\n", auth_why(auth));
#[allow(non_camel_case_types)] // the C name
pub struct auth_client {
    client: Client,
    why: CString,
}

/// This is not base64, so as a challenge it is cancelled.
const CUT: &[u8] = b"*";

impl auth_client {
    /// Ends what is under way, since its reply is unknown.
    fn null(&mut self) -> isize {
        self.client.closed(true);
        self.because(Call::Null);
        auth_error::Null as isize
    }

    fn because(&mut self, why: impl ToString) {
        self.why = CString::new(why.to_string()).unwrap_or_default(); // no NUL is in it: numbers, names of mechanisms, our words
    }
}

/// A login for this user and password, which are copied. Both end in NUL: a stralloc of qmail does not by itself. NULL where one of
/// them is NULL or empty.
///
/// # Safety
/// `user` and `password` are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_new(user: *const c_char, password: *const c_char) -> *mut auth_client {
    // SAFETY: the contract of this function is that of text().
    let Some((user, password)) = (unsafe { text(user).zip(text(password)) }) else { return core::ptr::null_mut() };
    if user.is_empty() || password.is_empty() {
        return core::ptr::null_mut();
    }
    let clear_allowed = false; // auth_begin's flags say so
    let login = Login::Password(PasswordLogin { user: user.to_vec(), password: password.into(), clear_allowed });
    Box::into_raw(Box::new(auth_client { client: Client::new(login, None, None), why: CString::default() }))
}

/// Begins on a connection whose EHLO reply is `ehlo`, in a form that auth_detect takes: over TLS, the one that came over TLS.
/// `flags` are of AUTH_FLAG_, about this connection. Once more on the next one, after AUTH_END_RECONNECT.
///
/// Returns a length: send so many octets of `out`, which are a line with its CRLF, and give the reply to auth_step. They are secret:
/// do not log them, and clear `out` in the end. Or what auth_step returns at an end. 512 octets of `size` are enough for each line of
/// a user and a password that are together no longer than 340; the caller owns the buffer, and no NUL is written.
///
/// # Safety
/// `auth` is NULL or lives; `ehlo` is NULL or points to `len` octets; `out` is NULL or points to `size` octets that can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_begin(
    auth: *mut auth_client,
    ehlo: *const c_char,
    len: usize,
    flags: u32,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function, also that of octets().
    let (auth, ehlo) = unsafe { (auth.as_mut(), octets(ehlo, len)) };
    let Some(auth) = auth else { return auth_error::Null as isize };
    let Some(ehlo) = ehlo else { return auth.null() };
    let over_tls = flags & AUTH_FLAG_TLS_VERIFIED != 0;
    let permission =
        if over_tls || flags & AUTH_FLAG_CLEAR_ALLOWED != 0 { Permission::Any } else { Permission::ChallengeOnly };
    let step = auth.client.begin(detect::offer(ehlo), permission, over_tls);
    // SAFETY: likewise that of answer().
    unsafe { answer(auth, step, out, size) }
}

/// Goes on with the reply to what auth_begin or auth_step gave to send: the whole of it with its codes and line ends, in wire form or as
/// a classic qmail-remote.c keeps it. Without LF at its end, or with a last line that others follow (`334-`), it counts as cut, and a
/// challenge in it is cancelled.
///
/// Returns a length above 0: send that, as in auth_begin; an empty line is 2 octets long. Or 0: logged in. Go on with MAIL, without
/// EHLO, HELO or RSET before it, since each drops the login on some server. Or below 0: there is no login, auth_why says why, and no
/// mail is to be sent. That is an auth_end; or AUTH_ERROR_NULL or AUTH_ERROR_SPACE, the caller's own fault, which ends the login, too.
///
/// RFC 4954 section 4.
///
/// # Safety
/// `auth` is NULL or lives; `reply` is NULL or points to `len` octets; `out` is NULL or points to `size` octets that can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_step(
    auth: *mut auth_client,
    reply: *const c_char,
    len: usize,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function, also that of octets().
    let (auth, reply) = unsafe { (auth.as_mut(), octets(reply, len)) };
    let Some(auth) = auth else { return auth_error::Null as isize };
    let Some(reply) = reply else { return auth.null() };
    // Half a challenge would be answered with what the server counts as a wrong password.
    let text = if is_cut(reply) { CUT } else { last_text(reply) };
    let step = auth.client.step(code_of(reply).unwrap_or(0), text);
    // SAFETY: likewise that of answer().
    unsafe { answer(auth, step, out, size) }
}

/// Goes on when the connection has ended in the middle of a login, in place of auth_step. `line_sent` is 0 where the line that
/// auth_begin or auth_step gave last could not be sent, which was no try then; else the server has closed.
///
/// Returns an auth_end, or AUTH_ERROR_NULL.
///
/// # Safety
/// `auth` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_closed(auth: *mut auth_client, line_sent: c_int) -> isize {
    // SAFETY: the contract of this function.
    let Some(auth) = (unsafe { auth.as_mut() }) else { return auth_error::Null as isize };
    let step = auth.client.closed(line_sent != 0);
    // SAFETY: NULL is allowed, and there is nothing to write, since there is no connection.
    unsafe { answer(auth, step, core::ptr::null_mut(), 0) }
}

/// Why there is no login, after a result below 0: what was offered and tried, and what to do, in one line for a log or a report.
/// No secret is in it. NUL-terminated, good until the next call with the same client.
///
/// # Safety
/// `auth` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_why(auth: *const auth_client) -> *const c_char {
    // SAFETY: the contract of this function.
    let auth = unsafe { auth.as_ref() };
    auth.map_or(c"user or password is missing", |auth| auth.why.as_c_str()).as_ptr()
}

/// Overwrites in `text`, which is a reply of the server, the password and what this login has sent, the digest of CRAM-MD5 in it, too,
/// by `*`: a server may repeat it. Do so before words of the server are shown anywhere, those of later replies too.
/// `text` is a whole reply with its codes and line ends. Of one that counts as cut, as in auth_step, the last octets, as many
/// as may be the beginning of a secret, are overwritten as well. NULL: nothing is done.
///
/// # Safety
/// `auth` is NULL or lives; `text` is NULL or points to `len` octets that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_mask(auth: *const auth_client, text: *mut c_char, len: usize) {
    // SAFETY: the contract of this function.
    let Some(auth) = (unsafe { auth.as_ref() }) else { return };
    if !text.is_null() && len <= isize::MAX as usize {
        // SAFETY: not NULL, no larger than any object, and the caller is answerable for the rest.
        auth.client.mask().blot(unsafe { core::slice::from_raw_parts_mut(text.cast(), len) });
    }
}

/// Clears the password from memory and frees the client. NULL: nothing is done.
///
/// # Safety
/// `auth` is NULL or was made by auth_new and not yet freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_free(auth: *mut auth_client) {
    if !auth.is_null() {
        // SAFETY: not NULL, and the caller is answerable for the rest.
        drop(unsafe { Box::from_raw(auth) });
    }
}

/// Gives a step to C, and keeps why it is the last one.
///
/// # Safety
/// `out` is NULL or points to `size` octets that can be written.
unsafe fn answer(auth: &mut auth_client, step: Step, out: *mut c_char, size: usize) -> isize {
    let (end, why) = match step {
        Step::Proceed => return 0,
        Step::Send(mut line) => {
            line.add(b"\r\n");
            // SAFETY: the contract of this function is that of write().
            let length = unsafe { write(&line, out, size) };
            if length < 0 {
                auth.client.closed(false); // what could not be handed out is never answered
                let is_null = length == auth_error::Null as isize;
                auth.because(if is_null { Call::Null } else { Call::TooLong });
            }
            return length;
        }
        Step::Reconnect(why) => (auth_end::Reconnect, why),
        Step::Deferred(why) => (auth_end::Deferred, why),
        Step::Failed(why) => (auth_end::Failed, why),
    };
    auth.because(why);
    end as isize
}
