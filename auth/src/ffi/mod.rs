//! The C interface: pointers become slices here, and no logic is added.
//!
//! Every pointer is checked for NULL, no pointer from C is kept, and nothing calls back into C. A panic ends the process by a
//! signal (`panic = "abort"`), and qmail-rspawn then defers the mail.
#![allow(unsafe_code)] // pointers from C; denied in all other modules of this crate (Cargo.toml)

pub mod client;
pub mod parts;

use core::ffi::{CStr, c_char, c_uint, c_void};

/// cbindgen:ignore
mod libc {
    use super::{c_uint, c_void};

    unsafe extern "C" {
        pub fn getrandom(octets: *mut c_void, len: usize, flags: c_uint) -> isize;
    }
}
use libc::getrandom;

/// The octets at `start`. None: it is NULL, or `len` is larger than any object.
///
/// # Safety
/// `start` is NULL or points to `len` octets that stay as they are while the slice is used.
pub unsafe fn octets<'a>(start: *const c_char, len: usize) -> Option<&'a [u8]> {
    // SAFETY: not NULL and not larger than isize::MAX; the rest is this function's contract.
    (!start.is_null() && len <= isize::MAX as usize).then(|| unsafe { core::slice::from_raw_parts(start.cast(), len) })
}

/// The octets of a C string without its NUL. None: it is NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays as it is while the slice is used.
pub unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not NULL; the rest is this function's contract.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
