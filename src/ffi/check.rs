//! c-glue/delivery.h: how qmail-remote-check starts and ends a delivery.

use super::delivery::{arguments, paths, qmail_auth_delivery};
use crate::check;
use crate::control::home::Surroundings;
use std::ffi::{OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

/// Starts a check with main's arguments; the others as for qmail_auth_delivery_new, but `uid`, which is the effective one of
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
) -> Option<Box<qmail_auth_delivery>> {
    // SAFETY: the contract of this function.
    let (arguments, [qmailhome, cwd, execfn]) = unsafe { (arguments(argc, argv), paths([qmailhome, cwd, execfn])) };
    let arguments = arguments.into_iter().map(|argument| OsStr::from_bytes(argument).to_owned()).collect();
    let surroundings = Surroundings { qmailhome, cwd, execfn, ..Surroundings::default() };
    match check::start(arguments, &surroundings, uid) {
        Ok(check) => Some(qmail_auth_delivery::boxed(check)),
        Err(code) => {
            status.expect("a place for the status").write(code.into());
            None
        }
    }
}

/// The exit status of a check that is done: 0 when the mail would go out, else 1.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_check_status(check: Option<&qmail_auth_delivery>) -> c_int {
    c_int::from(!check.is_some_and(|check| check.delivery.is_good()))
}
