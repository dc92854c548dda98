//! SMTP AUTH (RFC 4954): what an EHLO reply offers, which mechanism to try, and what each mechanism sends.

#![cfg_attr(not(test), no_std)] // so that the C library is small; see auth/staticlib

extern crate alloc;

pub mod cause;
pub mod client;
pub mod detect;
pub mod ffi;
mod hmac;
pub mod login;
pub mod mask;
pub mod mechanisms;
pub mod reply;
pub mod secret;
mod texts_macro;

pub use login::{Login, LoginKind, PasswordLogin, TokenLogin};
pub use mechanisms::cram_md5::cram_md5;

use crate::secret::Secret;
use alloc::vec;

/// Base64 (RFC 4648 section 4) of a secret, in a buffer that is cleared when dropped.
pub(crate) fn base64_secret(plain: &[u8]) -> Secret {
    use base64::Engine;
    let mut out = vec![0; base64_length(plain.len())];
    base64::engine::general_purpose::STANDARD.encode_slice(plain, &mut out).expect("the size is exact");
    Secret::from(out)
}

/// The length of the base64 of `octets` octets, padding included.
fn base64_length(octets: usize) -> usize {
    octets.div_ceil(3) * 4
}

/// The two hexadecimal digits of an octet, in lower case.
const fn hex(octet: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[(octet >> 4) as usize], DIGITS[(octet & 15) as usize]]
}
