//! c-glue/delivery.h: how qmail-remote-check starts and ends a delivery.

use super::delivery::{arguments, paths, qmail_auth_delivery};
use crate::check;
use crate::control::home::Surroundings;
use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// Starts a check with main's arguments; the others as for qmail_auth_delivery_new, but `uid`, which is the effective one of
/// the process. NULL where nothing is to be run: then `status`, which is not NULL, is set to the exit status, and what there
/// is to say is written.
///
/// # Safety
/// `argv` points to `argc` NUL-terminated strings, the others are NULL or NUL-terminated; `status` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_check_new(
    argc: c_int,
    argv: *const *const c_char,
    qmailhome: *const c_char,
    cwd: *const c_char,
    execfn: *const c_char,
    uid: u32,
    status: *mut c_int,
) -> *mut qmail_auth_delivery {
    // SAFETY: the contract of this function.
    let (arguments, [qmailhome, cwd, execfn]) = unsafe { (arguments(argc, argv), paths([qmailhome, cwd, execfn])) };
    let arguments = arguments.into_iter().map(|argument| OsStr::from_bytes(argument).to_owned()).collect();
    let surroundings = Surroundings { qmailhome, cwd, execfn, pid: 0 };
    match check::start(arguments, &surroundings, uid) {
        Ok(machine) => qmail_auth_delivery::boxed(machine),
        Err(code) => {
            // SAFETY: the contract of this function.
            unsafe { status.write(code.into()) };
            std::ptr::null_mut()
        }
    }
}

/// The exit status of a check that is done: 0 when the mail would go out, else 1.
///
/// # Safety
/// `check` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_check_status(check: *const qmail_auth_delivery) -> c_int {
    // SAFETY: the contract of this function.
    let is_good = unsafe { check.as_ref() }.is_some_and(qmail_auth_delivery::is_good);
    c_int::from(!is_good)
}
