//! c-glue/delivery.h: how qmail-remote-check starts and ends a delivery.

use super::delivery::{Job, arguments, paths, qmail_auth_delivery};
use crate::check::{self, Check};
use crate::control::home::Surroundings;
use std::ffi::{OsStr, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

/// A check that has not begun. Made by qmail_auth_check_new, freed by qmail_auth_check_start.
#[allow(non_camel_case_types)] // the C name
pub struct qmail_auth_check {
    check: Check,
}

/// Prepares a check with main's arguments; the others as for qmail_auth_delivery_new, but `uid`, which is the effective one of
/// the process. NULL where nothing is to be run: then `status`, which is not NULL, is set to the exit status, and what there
/// is to say is written.
///
/// # Safety
/// `argv` points to `argc` NUL-terminated strings, the others are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_check_new(
    argc: c_int,
    argv: *const *const c_char,
    qmailhome: *const c_char,
    cwd: *const c_char,
    execfn: *const c_char,
    uid: u32,
    status: Option<&mut MaybeUninit<c_int>>,
) -> Option<Box<qmail_auth_check>> {
    // SAFETY: the contract of this function.
    let (arguments, [qmailhome, cwd, execfn]) = unsafe { (arguments(argc, argv), paths([qmailhome, cwd, execfn])) };
    let arguments = arguments.into_iter().map(|argument| OsStr::from_bytes(argument).to_owned()).collect();
    let surroundings = Surroundings { qmailhome, cwd, execfn, ..Surroundings::default() };
    match check::prepare(arguments, &surroundings, uid) {
        Ok(check) => Some(Box::new(qmail_auth_check { check })),
        Err(code) => {
            status.expect("a place for the status").write(code.into());
            None
        }
    }
}

/// Whether the process must become another user before the check begins. If so, sets `uid` and `gid`, which are not NULL.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_check_user(
    check: Option<&qmail_auth_check>,
    uid: Option<&mut MaybeUninit<u32>>,
    gid: Option<&mut MaybeUninit<u32>>,
) -> c_int {
    let Some(change) = check.and_then(|check| check.check.change_of_user()) else { return 0 };
    uid.expect("a place for the user").write(change.0);
    gid.expect("a place for the group").write(change.1);
    1
}

/// Begins a check, which reads the control files, and frees `check`. NULL if `error` is not 0: it is errno of a process that could
/// not become the user. Then the reason is written. Also NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_check_start(
    check: Option<Box<qmail_auth_check>>,
    error: c_int,
) -> Option<Box<qmail_auth_delivery>> {
    let check = check?.check;
    if error != 0 {
        check.cannot_change_user(&io::Error::from_raw_os_error(error));
        return None;
    }
    Some(qmail_auth_delivery::boxed(Job::Delivery(check.start())))
}

/// The exit status of a check that is done: 0 when the mail would go out, else 1.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_check_status(check: Option<&qmail_auth_delivery>) -> c_int {
    let is_good = check.is_some_and(|check| matches!(&check.job, Job::Delivery(check) if check.log().is_good()));
    c_int::from(!is_good)
}
