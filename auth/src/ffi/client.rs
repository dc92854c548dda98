//! include/qmail_auth.h, second part: a whole login for C programs. The comments here become the header's.

use super::parts::{auth_error, write};
use super::{getrandom, octets, text};
use crate::LoginKind;
use crate::cause::CallError;
use crate::client::past::Past;
use crate::client::{Channel, Client, Permission, Step};
use crate::detect;
use crate::login::{Login, PasswordLogin, TokenLogin};
use crate::mechanisms::{self, Mechanism, NONCE};
use crate::reply::{code_of, is_cut, last_text};
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::{String, ToString};
use core::ffi::{c_char, c_int};

/// For auth_begin: the connection is TLS, and the certificate was verified, its chain and its name. The password may be sent. A
/// handshake that succeeds says neither: a TLS patch verifies only where it is told to.
pub const AUTH_FLAG_TLS_VERIFIED: u32 = 1;
/// For auth_begin: the password may be sent without verified TLS. Set it only if the administrator permits that, or if the
/// connection stays on this machine.
pub const AUTH_FLAG_CLEAR_ALLOWED: u32 = 2;

/// Negative return values: the login has ended without success. Try the mail again later, never bounce it: the report is Z, and not
/// K, h or D.
#[allow(non_camel_case_types)] // the C name
#[derive(Clone, Copy)]
#[repr(C)]
pub enum auth_end {
    /// No login on this connection. Close it. Then either connect to the same server again and call auth_begin with the same
    /// client, or try the mail later.
    Reconnect = -11,
    /// No login now: the server has deferred it, or has sent a reply that does not belong in a login.
    Deferred = -12,
    /// No login until somebody has looked at the set-up: the server refuses user and password, or no mechanism is offered,
    /// permitted or left to try.
    Failed = -13,
}

/// One login, on one connection or two: which mechanism to try, what to send, when to stop. The program qmail-remote of this
/// project uses the same code. Mechanisms: PLAIN, LOGIN, SCRAM without -PLUS, CRAM-MD5, and for a token XOAUTH2 or OAUTHBEARER;
/// without a flag of auth_begin only SCRAM and CRAM-MD5, which do not show the password. With SCRAM the server has to prove that it knows
/// the password, too. Since relays lock accounts, it makes at most three tries, and two on one connection. After a try that showed the
/// password, or proved it by SCRAM, and was refused, it makes only one more. If one of the refused logins is by SCRAM, there is no third.
/// So a server that offers two SCRAMs, but keeps a hash for CRAM-MD5 alone, may need auth_prefer.
///
/// Made by auth_new or auth_new_token, freed by auth_free. It keeps the password until then, also after the login, since auth_mask needs
/// it. Do not use one client in two threads at the same time.
///
/// This is a complete login. send_octets and read_reply are functions of your program: they send octets and read a whole reply, and
/// return 0 unless the connection has ended.
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

/// Stands for the text of a reply that is cut. It is not base64, so as a challenge it is cancelled.
const CUT: &[u8] = b"*";

impl auth_client {
    fn made(login: Login) -> *mut auth_client {
        Box::into_raw(Box::new(auth_client { client: Client::new(login, None, None), why: CString::default() }))
    }

    /// A pointer is NULL where a reply should be. The reply is unknown, so the current try ends.
    fn null(&mut self) -> isize {
        self.client.closed(true);
        self.because(CallError::Null);
        auth_error::Null as isize
    }

    fn because(&mut self, why: impl ToString) {
        self.why = CString::new(why.to_string()).unwrap_or_default(); // no NUL: only fixed words, numbers and names
    }
}

/// Makes a client for this user and password, which it copies. Both end in NUL. A stralloc has none: see auth_plain. Free it with
/// auth_free. Returns NULL if one of them is NULL or empty.
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
    let clear_allowed = false; // not used here: the flags of auth_begin decide
    auth_client::made(Login::Password(PasswordLogin { user: user.to_vec(), password: password.into(), clear_allowed }))
}

/// The same for this user and an access token of OAuth 2.0, in the place of a password. It is used by XOAUTH2, or by OAUTHBEARER where
/// the server does not offer XOAUTH2; once, and only with a flag of auth_begin. `host` and `port` are those of the server, which
/// OAUTHBEARER tells; `host` may be NULL. If the token is refused, AUTH_END_FAILED; auth_why has what the server says of it.
///
/// A token is long: auth_begin and auth_step need a buffer of 4 * ((3 * strlen(user) + strlen(host) + strlen(token) + 44) / 3) + 2
/// octets.
///
/// # Safety
/// `user`, `token` and `host` are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_new_token(
    user: *const c_char,
    token: *const c_char,
    host: *const c_char,
    port: u16,
) -> *mut auth_client {
    // SAFETY: the contract of this function is that of text().
    let (login, host) = unsafe { (text(user).zip(text(token)), text(host)) };
    let Some((user, token)) = login.filter(|(user, token)| !user.is_empty() && !token.is_empty()) else {
        return core::ptr::null_mut();
    };
    let server = host.map(|host| (String::from_utf8_lossy(host).into_owned(), port));
    let clear_allowed = false; // as in auth_new
    auth_client::made(Login::Token(TokenLogin { user: user.to_vec(), token: token.into(), server, clear_allowed }))
}

/// Starts the login on a connection. `ehlo` is the EHLO reply, in a form that auth_detect takes; over TLS, it is the one that came
/// over TLS. `flags` are AUTH_FLAG_ values for this connection. After AUTH_END_RECONNECT call it again on the next connection.
///
/// Returns a length above 0: send that many octets of `out`, which are a line with its CRLF, and pass the reply to auth_step. They
/// are secret: do not log them, and clear `out` when the login is over. A result below 0 means what it means for auth_step.
///
/// The caller owns the buffer of `size` octets; no NUL is written. 512 octets are enough if user and password have together at most
/// 340, where each comma and equals sign of the user counts as three.
///
/// # Safety
/// `auth` is NULL or a live client; `ehlo` is NULL or points to `len` octets; `out` is NULL or points to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_begin(
    auth: *mut auth_client,
    ehlo: *const c_char,
    len: usize,
    flags: u32,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function includes that of octets().
    let (auth, ehlo) = unsafe { (auth.as_mut(), octets(ehlo, len)) };
    let Some(auth) = auth else { return auth_error::Null as isize };
    let Some(ehlo) = ehlo else { return auth.null() };
    let over_tls = flags & AUTH_FLAG_TLS_VERIFIED != 0;
    let permission =
        if over_tls || flags & AUTH_FLAG_CLEAR_ALLOWED != 0 { Permission::Any } else { Permission::ChallengeOnly };
    let channel = if over_tls { Channel::Tls } else { Channel::Clear };
    let step = auth.client.begin(detect::offer(ehlo), permission, channel);
    // SAFETY: the contract of this function includes that of answer().
    unsafe { answer(auth, step, out, size) }
}

/// Continues the login with the reply to the line of auth_begin or auth_step. `reply` is the whole reply with its codes and line
/// ends, in wire form or as a classic qmail-remote.c keeps it. It counts as cut if it has no LF at its end, or if its last line
/// says that others follow (`334-`). A challenge of SCRAM or CRAM-MD5 that is cut is cancelled.
///
/// Returns one of these:
/// - Above 0: a length. Send that many octets of `out`, as for auth_begin. An empty line is 2 octets long.
/// - 0: logged in. Go on with MAIL. Send no EHLO, HELO or RSET before it: each of them drops the login on some server.
/// - Below 0: no login. Send no mail; auth_why says why. The value is an auth_end. Or it is AUTH_ERROR_NULL or AUTH_ERROR_SPACE, an
///   error of the caller, which ends the login, too.
///
/// RFC 4954 section 4.
///
/// # Safety
/// `auth` is NULL or a live client; `reply` is NULL or points to `len` octets; `out` is NULL or points to `size` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_step(
    auth: *mut auth_client,
    reply: *const c_char,
    len: usize,
    out: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: the contract of this function includes that of octets().
    let (auth, reply) = unsafe { (auth.as_mut(), octets(reply, len)) };
    let Some(auth) = auth else { return auth_error::Null as isize };
    let Some(reply) = reply else { return auth.null() };
    // The server would count the answer to half a challenge as a wrong password.
    let text = if is_cut(reply) { CUT } else { last_text(reply) };
    let step = auth.client.step(code_of(reply).unwrap_or(0), text);
    // SAFETY: the contract of this function includes that of answer().
    unsafe { answer(auth, step, out, size) }
}

/// Call this instead of auth_step if the connection ends during the login. `line_sent` is 0 if the last line of auth_begin or
/// auth_step could not be sent: if that was an AUTH command, it does not count as a try. Otherwise the server has closed the
/// connection, which counts as a refusal.
///
/// Returns an auth_end, or AUTH_ERROR_NULL.
///
/// # Safety
/// `auth` is NULL or a live client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_closed(auth: *mut auth_client, line_sent: c_int) -> isize {
    // SAFETY: the contract of this function.
    let Some(auth) = (unsafe { auth.as_mut() }) else { return auth_error::Null as isize };
    let step = auth.client.closed(line_sent != 0);
    // SAFETY: `out` may be NULL. Nothing is written without a connection.
    unsafe { answer(auth, step, core::ptr::null_mut(), 0) }
}

/// Tells a new client which mechanism logged in with the same user and password at the same server last time: one AUTH_ bit, as
/// auth_mechanism returned it then. Call it before auth_begin. That mechanism is then tried first, where it is offered and
/// permitted. When the server refuses the login by 535 or another code that is not about the command, or closes the connection when it
/// has the password, no other mechanism is tried: the password is wrong now. So a mail is one failed login and not two. 0, or a bit of
/// no usable mechanism, changes nothing.
///
/// # Safety
/// `auth` is NULL or a live client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_prefer(auth: *mut auth_client, mechanism: u32) {
    // SAFETY: the contract of this function.
    if let Some(auth) = unsafe { auth.as_mut() } {
        let is_ours = |one: &&Mechanism| one.kind() == Some(LoginKind::Password) && !one.is_bound();
        let good = mechanisms::all_usable().filter(is_ours).find(|one| one.bit == mechanism);
        auth.client.remember(Past { good, ..Past::default() });
    }
}

/// Returns the AUTH_ bit of the mechanism that has logged in, to keep for auth_prefer. 0: there is no login. Keep it beside the
/// user and the server, and forget it when the password changes or a login is refused: the server may have lost the hash for it.
///
/// # Safety
/// `auth` is NULL or a live client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_mechanism(auth: *const auth_client) -> u32 {
    // SAFETY: the contract of this function.
    let auth = unsafe { auth.as_ref() };
    auth.and_then(|auth| auth.client.accepted()).map_or(0, |mechanism| mechanism.bit)
}

/// Says why there is no login, after a result below 0: what was offered, what was tried, and what to do. It is one line for a log
/// or a report, ends in NUL and has no secret in it. It is valid until the next call with the same client. For NULL, it says that
/// user or password is missing.
///
/// # Safety
/// `auth` is NULL or a live client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_why(auth: *const auth_client) -> *const c_char {
    // SAFETY: the contract of this function.
    let auth = unsafe { auth.as_ref() };
    auth.map_or(c"user or password is missing", |auth| auth.why.as_c_str()).as_ptr()
}

/// Replaces secrets in a server's reply by `*`: the password, the token, and what this login has sent, the digest of CRAM-MD5 and the
/// proofs of SCRAM included. A server may repeat them, so do this before you show any of its replies, also those after the login.
///
/// `text` is a whole reply with its codes and line ends. If it counts as cut (see auth_step), the octets at its end that could be
/// the beginning of a secret are replaced, too. NULL is allowed and does nothing.
///
/// # Safety
/// `auth` is NULL or a live client; `text` is NULL or points to `len` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_mask(auth: *const auth_client, text: *mut c_char, len: usize) {
    // SAFETY: the contract of this function.
    let Some(auth) = (unsafe { auth.as_ref() }) else { return };
    if !text.is_null() && len <= isize::MAX as usize {
        // SAFETY: not NULL and not larger than isize::MAX; the rest is this function's contract.
        auth.client.mask().mask_in_place(unsafe { core::slice::from_raw_parts_mut(text.cast(), len) });
    }
}

/// Clears the password from memory and frees the client. NULL is allowed and does nothing.
///
/// # Safety
/// `auth` is NULL, or was made by auth_new or auth_new_token and is not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auth_free(auth: *mut auth_client) {
    if !auth.is_null() {
        // SAFETY: not NULL; the rest is this function's contract.
        drop(unsafe { Box::from_raw(auth) });
    }
}

/// Random octets of the system. None: it has none to give.
fn random() -> Option<[u8; NONCE]> {
    let mut octets = [0; NONCE];
    // SAFETY: it writes no more than `len` octets, and so many are not cut short (getrandom(2)).
    let got = unsafe { getrandom(octets.as_mut_ptr().cast(), NONCE, 0) };
    usize::try_from(got).is_ok_and(|got| got == NONCE).then_some(octets)
}

/// Hands a step to C. For the end of a login it returns the auth_end and keeps the reason for auth_why.
///
/// # Safety
/// `out` is NULL or points to `size` writable octets.
unsafe fn answer(auth: &mut auth_client, step: Step, out: *mut c_char, size: usize) -> isize {
    let (end, why) = match step {
        Step::Proceed => return 0,
        Step::Send(mut line) => {
            line.add(b"\r\n");
            // SAFETY: the contract of this function is that of write().
            let length = unsafe { write(&line, out, size) };
            if length < 0 {
                auth.client.closed(false); // it cannot be sent, so there will be no reply to it
                let is_null = length == auth_error::Null as isize;
                auth.because(if is_null { CallError::Null } else { CallError::TooLong });
            }
            return length;
        }
        Step::Random { .. } => {
            let step = auth.client.random(random(), None);
            // SAFETY: the contract of this function.
            return unsafe { answer(auth, step, out, size) };
        }
        Step::Reconnect(why) => (auth_end::Reconnect, why),
        Step::Deferred(why) => (auth_end::Deferred, why),
        Step::Failed(why) => (auth_end::Failed, why),
    };
    auth.because(why);
    end as isize
}
