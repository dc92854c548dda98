//! libqmail_auth.a: the crate qmail-auth with what it needs of a platform, and no more: malloc, and an end for a process that must
//! not go on. Rust's standard library would bring a hundred times that, and write to descriptor 2, which is the report pipe of a
//! qmail-remote.
#![no_std]
#![cfg(not(test))] // clippy --all-targets compiles a test of each library, with the panic handler of std

extern crate auth as _;

mod ffi;

use core::panic::PanicInfo;
use ffi::{Malloc, abort};

#[global_allocator]
static MALLOC: Malloc = Malloc;

/// A mistake of the library, or no memory. qmail-rspawn defers the mail of a program that a signal ends, and no octet is written: the
/// program's descriptors may have become anything.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    abort()
}
