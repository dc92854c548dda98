//! include/qmail_auth.h: the AUTH machine for C programs. The comments here are the header's.

use super::parts::{auth_error, write};
use super::{octets, text};
use crate::client::{Client, Permission, Step};
use crate::reply::{is_cut, last_text};
use crate::{Login, PasswordLogin, detect};
use std::ffi::{CString, c_char, c_int};

/// For auth_begin: the connection is TLS, and the certificate was verified for the server's name. So the password may be shown.
pub const AUTH_FLAG_TLS_VERIFIED: u32 = 1;
/// For auth_begin: the password may be shown although the connection is no such TLS, since the administrator gave leave, or
/// since it does not leave this machine.
pub const AUTH_FLAG_CLEAR_ALLOWED: u32 = 2;

/// One login, over one connection or two: which mechanism to try, what to send, when to stop. It is what qmail-remote of
/// the same source runs on. No more than three tries, two on a connection, since relays lock accounts; once the password
/// was shown and refused, only one more. Mechanisms: PLAIN, LOGIN, CRAM-MD5. Without a flag of auth_begin only
/// CRAM-MD5, which does not show the password.
///
/// Made by auth_new, freed by auth_free. Until then it keeps the password, also after the login, since auth_mask must know it.
/// Not for two threads at once. This is all of it, with functions of the caller's that send a line with CRLF and read a
/// reply:
///
///     struct auth_machine *auth = auth_new("tim", "tanstaaftanstaaf");
///     ptrdiff_t n = auth_begin(auth, ehlo.s, ehlo.len, AUTH_FLAG_TLS_VERIFIED, line, sizeof line);
///     while (n > 0) {
///         send(line, n);
///         code = read_reply(&reply);
///         n = auth_step(auth, code, reply.s, reply.len, line, sizeof line);
///     }
///     if (n != 0) printf("login failed: %s\n", auth_why(auth));
#[allow(non_camel_case_types)] // the C name
pub struct auth_machine {
    machine: Client,
    why: CString,
}

/// Why there is no login where the caller is at fault.
const NULL: &str = "a pointer is NULL, or a length is more than any object has";

/// No base64, so as a challenge it is cancelled.
const CUT: &[u8] = b"*";

impl auth_machine {
    /// Ends what is under way, since its reply is unknown.
    fn null(&mut self) -> isize {
        self.machine.closed(true);
        self.why = CString::new(NULL).unwrap_or_default();
        auth_error::Null as isize
    }
}

/// A login for this user and password, which are copied. NULL where one of them is NULL or empty.
///
/// # Safety
/// `user` and `password` are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_new(user: *const c_char, password: *const c_char) -> *mut auth_machine {
    // SAFETY: the contract of this function is that of text().
    let Some((user, password)) = (unsafe { text(user).zip(text(password)) }) else { return std::ptr::null_mut() };
    if user.is_empty() || password.is_empty() {
        return std::ptr::null_mut();
    }
    let clear_allowed = false; // auth_begin's flags say so
    let login = Login::Password(PasswordLogin { user: user.to_vec(), password: password.into(), clear_allowed });
    Box::into_raw(Box::new(auth_machine { machine: Client::new(login, None, None), why: CString::default() }))
}

/// Begins on a connection whose EHLO reply is `ehlo`, in a form that auth_detect takes: over TLS, the one that came over TLS.
/// `flags` are of AUTH_FLAG_, about this connection. Once more on the next one, after AUTH_ERROR_RECONNECT.
///
/// Returns a length: send so many octets of `out`, add CRLF, and give the reply to auth_step. They are secret: do not log
/// them, and clear `out` in the end. Or 0 or an auth_error, as auth_step. 512 octets of `size` are enough for each line of a
/// user and a password that are together no longer than 340; the caller owns the buffer, and no NUL is written.
///
/// # Safety
/// `auth` is NULL or lives; `ehlo` is NULL or points to `len` octets; `out` is NULL or points to `size` octets that can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_begin(
    auth: *mut auth_machine,
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
    let permission = match over_tls || flags & AUTH_FLAG_CLEAR_ALLOWED != 0 {
        true => Permission::Any,
        false => Permission::ChallengeOnly,
    };
    let step = auth.machine.begin(detect::offer(ehlo), permission, over_tls);
    // SAFETY: likewise that of answer().
    unsafe { answer(auth, step, out, size) }
}

/// Goes on with the reply to what auth_begin or auth_step gave to send. `code` is the reply's; `reply` is the whole of it with
/// its codes and line ends, in wire form or as a classic qmail-remote.c keeps it. Without LF at its end, or with a last line that
/// others follow (`334-`), it counts as cut, and a challenge in it is cancelled. Or the connection has ended: `code` is 0 when the line
/// had gone out, -1 when it could not be sent, and `reply` does not count.
///
/// Returns a length: send that, as in auth_begin. Or 0: logged in; go on with MAIL, without EHLO, HELO or RSET before it,
/// since each drops the login on some server. Or AUTH_ERROR_RECONNECT, AUTH_ERROR_DEFERRED, AUTH_ERROR_FAILED: there is no
/// login, auth_why says why, and no mail is to be sent. AUTH_ERROR_NULL and AUTH_ERROR_SPACE are such ends, too. All of
/// them are reasons to try the mail later, never to bounce it.
///
/// RFC 4954 section 4.
///
/// # Safety
/// `auth` is NULL or lives; `reply` is NULL or points to `len` octets; `out` is NULL or points to `size` octets that can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_step(
    auth: *mut auth_machine,
    code: c_int,
    reply: *const c_char,
    len: usize,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function, also that of octets().
    let (auth, reply) = unsafe { (auth.as_mut(), octets(reply, len)) };
    let Some(auth) = auth else { return auth_error::Null as isize };
    let step = match (code, reply) {
        (..=0, _) => auth.machine.closed(code == 0),
        (_, None) => return auth.null(),
        (_, Some(reply)) => {
            // Half a challenge would be answered with what the server counts as a wrong password.
            let text = if is_cut(reply) { CUT } else { last_text(reply) };
            auth.machine.step(u16::try_from(code).unwrap_or(u16::MAX), text)
        }
    };
    // SAFETY: likewise that of answer().
    unsafe { answer(auth, step, out, size) }
}

/// Why there is no login, after an auth_error: what was offered and tried, and what to do, in one line for a log or a report.
/// No secret is in it. NUL-terminated, good until the next call with the same machine.
///
/// # Safety
/// `auth` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_why(auth: *const auth_machine) -> *const c_char {
    // SAFETY: the contract of this function.
    let auth = unsafe { auth.as_ref() };
    auth.map_or(c"user or password is missing", |auth| auth.why.as_c_str()).as_ptr()
}

/// Overwrites in `text`, which is of the server's words, what this login has sent, the digest of CRAM-MD5 in it, and the
/// password, by `*`: a server may repeat it. Do so before words of the server are shown anywhere, those of later replies too.
/// `text` is a whole reply with its codes and line ends. Of one that counts as cut, as in auth_step, the last octets, as many
/// as may be the beginning of a secret, are overwritten as well. NULL: nothing is done.
///
/// # Safety
/// `auth` is NULL or lives; `text` is NULL or points to `len` octets that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_mask(auth: *const auth_machine, text: *mut c_char, len: usize) {
    // SAFETY: the contract of this function.
    let Some(auth) = (unsafe { auth.as_ref() }) else { return };
    if !text.is_null() && len <= isize::MAX as usize {
        // SAFETY: not NULL, no larger than any object, and the caller vouches for the rest.
        auth.machine.mask().blot(unsafe { std::slice::from_raw_parts_mut(text.cast(), len) });
    }
}

/// Clears the password from memory and frees the machine. NULL: nothing is done.
///
/// # Safety
/// `auth` is NULL or was made by auth_new and not yet freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_free(auth: *mut auth_machine) {
    if !auth.is_null() {
        // SAFETY: not NULL, and the caller vouches for the rest.
        drop(unsafe { Box::from_raw(auth) });
    }
}

/// Gives a step to C, and keeps why it is the last one.
///
/// # Safety
/// `out` is NULL or points to `size` octets that can be written.
unsafe fn answer(auth: &mut auth_machine, step: Step, out: *mut c_char, size: usize) -> isize {
    let (error, why) = match step {
        Step::Proceed => return 0,
        // SAFETY: the contract of this function is that of write().
        Step::Send(line) => match unsafe { write(&line, out, size) } {
            length @ 0.. => return length,
            error => {
                auth.machine.closed(false); // what could not be handed out is never answered
                let null = error == auth_error::Null as isize;
                let why = if null { NULL } else { "user and password are too long for this program" };
                (error, why.to_owned())
            }
        },
        Step::Reconnect(why) => (auth_error::Reconnect as isize, why),
        Step::Deferred(why) => (auth_error::Deferred as isize, why),
        Step::Failed(why) => (auth_error::Failed as isize, why),
    };
    auth.why = CString::new(why).unwrap_or_default(); // it has no NUL: numbers, names of mechanisms, words of ours
    error
}
