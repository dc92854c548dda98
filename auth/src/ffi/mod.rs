//! The C ABI and nothing else: pointers become slices here, and no logic is added.
//!
//! Every pointer is checked for NULL, no pointer that C passes is kept, and nothing calls back into C. A panic ends the
//! process by a signal (`panic = "abort"`), which qmail-rspawn defers.
#![allow(unsafe_code)] // the only place: see Cargo.toml

pub mod client;
pub mod parts;

use core::ffi::{CStr, c_char};

/// The octets at `start`, or none for NULL.
///
/// # Safety
/// `start` is NULL or points to `len` octets that stay as they are while the slice is used.
pub unsafe fn octets<'a>(start: *const c_char, len: usize) -> Option<&'a [u8]> {
    // SAFETY: not NULL, and the caller vouches for the rest. No object is larger than isize::MAX.
    (!start.is_null() && len <= isize::MAX as usize).then(|| unsafe { core::slice::from_raw_parts(start.cast(), len) })
}

/// The octets of a C string without its NUL, or none for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays as it is while the slice is used.
pub unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not NULL, and the caller vouches for the rest.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
