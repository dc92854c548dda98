//! c-glue/delivery.h: how qmail-remote-oauth starts and ends, and what happens to it alone.

use super::delivery::{
    Job, arguments, keep, of_delivery, paths, qmail_auth_delivery, qmail_auth_want, qmail_auth_what,
};
use super::octets;
use crate::control::home::Surroundings;
use crate::oauth::want::{Happened, Machine, Want};
use crate::oauth::{self, Prepared};
use std::ffi::{CString, OsStr, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

/// What qmail-remote-oauth will do. Made by qmail_auth_oauth_new, freed by qmail_auth_oauth_start.
#[allow(non_camel_case_types)] // the C name
pub struct qmail_auth_oauth {
    prepared: Prepared,
}

/// Prepares it with main's arguments; the others as for qmail_auth_check_new. NULL where nothing is to be run: then `status`, which is
/// not NULL, is set to the exit status, and what there is to say is written.
///
/// # Safety
/// `argv` points to `argc` NUL-terminated strings, the others are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_oauth_new(
    argc: c_int,
    argv: *const *const c_char,
    qmailhome: *const c_char,
    cwd: *const c_char,
    execfn: *const c_char,
    uid: u32,
    status: Option<&mut MaybeUninit<c_int>>,
) -> Option<Box<qmail_auth_oauth>> {
    // SAFETY: the contract of this function.
    let (arguments, [qmailhome, cwd, execfn]) = unsafe { (arguments(argc, argv), paths([qmailhome, cwd, execfn])) };
    let arguments = arguments.into_iter().map(|argument| OsStr::from_bytes(argument).to_owned()).collect();
    let surroundings = Surroundings { qmailhome, cwd, execfn, ..Surroundings::default() };
    match oauth::prepare(arguments, &surroundings, uid) {
        Ok(prepared) => Some(Box::new(qmail_auth_oauth { prepared })),
        Err(code) => {
            status.expect("a place for the status").write(code.into());
            None
        }
    }
}

/// Whether the process must become another user before it starts. If so, sets `uid` and `gid`, which are not NULL.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_user(
    oauth: Option<&qmail_auth_oauth>,
    uid: Option<&mut MaybeUninit<u32>>,
    gid: Option<&mut MaybeUninit<u32>>,
) -> c_int {
    let Some(change) = oauth.and_then(|oauth| oauth.prepared.change_of_user()) else { return 0 };
    uid.expect("a place for the user").write(change.0);
    gid.expect("a place for the group").write(change.1);
    1
}

/// Whether a signal to end is to be ignored: the process may be about to store what exists nowhere else.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_goes_on(oauth: Option<&qmail_auth_oauth>) -> c_int {
    oauth.is_some_and(|oauth| oauth.prepared.goes_on_to_its_end()).into()
}

/// Begins, and frees `oauth`. `unix_time` is in seconds. NULL if `error` is not 0: it is errno of a process that could not become the
/// user. Then `status`, which is not NULL, is set to the exit status, and the reason is written. Also NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_start(
    oauth: Option<Box<qmail_auth_oauth>>,
    error: c_int,
    unix_time: u64,
    status: Option<&mut MaybeUninit<c_int>>,
) -> Option<Box<qmail_auth_delivery>> {
    let prepared = oauth?.prepared;
    if error != 0 {
        let code = prepared.cannot_change_user(&io::Error::from_raw_os_error(error));
        status.expect("a place for the status").write(code.into());
        return None;
    }
    Some(qmail_auth_delivery::boxed(Job::Machine(prepared.start(unix_time))))
}

/// The exit status, when it is done.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_status(oauth: Option<&qmail_auth_delivery>) -> c_int {
    match oauth.map(|oauth| &oauth.job) {
        Some(Job::Machine(machine)) => machine.status().into(),
        _ => 1,
    }
}

/// The file is prepared or replaced, or where `error` is not 0 it is not.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_stored(oauth: Option<&mut qmail_auth_delivery>, error: c_int) {
    happened(oauth, Happened::Stored(result(error)));
}

/// Browsers can connect to this port, or where `error` is not 0 they cannot.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_listening(oauth: Option<&mut qmail_auth_delivery>, error: c_int, port: u16) {
    happened(oauth, Happened::Listening(result(error).map(|()| port)));
}

/// The octets of descriptor 0; its end for `len` 0.
///
/// # Safety
/// `line` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_oauth_line(
    oauth: Option<&mut qmail_auth_delivery>,
    line: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    happened(oauth, Happened::Line(unsafe { octets(line, len) }.unwrap_or_default()));
}

/// What the browser with this number, 0 to 3, has said. A browser that has connected has said nothing.
///
/// # Safety
/// `said` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_oauth_browser(
    oauth: Option<&mut qmail_auth_delivery>,
    number: usize,
    said: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    happened(oauth, Happened::Browser(number, unsafe { octets(said, len) }.unwrap_or_default()));
}

/// The answer to the browser is sent, as far as that could be done.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_answered(oauth: Option<&mut qmail_auth_delivery>) {
    happened(oauth, Happened::Answered);
}

/// The deadline passed; `now` is in milliseconds of the monotonic clock.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_oauth_timed_out(oauth: Option<&mut qmail_auth_delivery>, now: u64) {
    happened(oauth, Happened::TimedOut(now));
}

fn happened(oauth: Option<&mut qmail_auth_delivery>, event: Happened) {
    if let Some(Job::Machine(machine)) = oauth.map(|oauth| &mut oauth.job) {
        machine.happened(event);
    }
}

/// Its lock is about to be released.
pub(super) fn released(machine: &mut dyn Machine, unix: u64) {
    machine.happened(Happened::Released(unix));
}

/// What happens to a delivery, too.
pub(super) fn happened_on_the_network(machine: &mut dyn Machine, event: crate::want::Happened) {
    machine.happened(Happened::Net(event));
}

fn result(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// What it wants, in C.
pub(super) fn wanted(want: Want, name: &mut CString) -> qmail_auth_want {
    let mut path = &b""[..];
    let mut until = 0;
    let (what, octets): (_, &[u8]) = match want {
        Want::Net(want) => return of_delivery(want, name),
        Want::Prepare(file) => {
            path = file.as_os_str().as_bytes();
            (qmail_auth_what::Prepare, b"")
        }
        Want::Replace(file, octets) => {
            path = file.as_os_str().as_bytes();
            (qmail_auth_what::Replace, octets)
        }
        Want::Listen => (qmail_auth_what::Listen, b""),
        Want::Hear(deadline) => {
            until = deadline;
            (qmail_auth_what::Hear, b"")
        }
        Want::Answer(octets) => (qmail_auth_what::Answer, octets),
        Want::Wait(deadline) => {
            until = deadline;
            (qmail_auth_what::Wait, b"")
        }
        Want::Print(octets) => (qmail_auth_what::Print, octets),
        Want::Done => (qmail_auth_what::Done, b""),
    };
    keep(name, path);
    qmail_auth_want { deadline: until, ..qmail_auth_want::of(what, octets, name) }
}
