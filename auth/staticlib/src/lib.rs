//! libqmail_auth.a: the crate qmail-auth with what it needs of a platform, and no more: malloc, and an end for a process that must
//! not go on. Rust's standard library would bring a hundred times that, and write to descriptor 2, which is the report pipe of a
//! qmail-remote.
#![no_std]
#![cfg(not(test))] // clippy --all-targets compiles a test of each library, with the panic handler of std
#![allow(unsafe_code)] // the functions of libc; the other crates have theirs in ffi

extern crate auth as _;

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::panic::PanicInfo;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    safe fn abort() -> !;
}

/// The calling program's malloc. Where it has no memory, Rust calls [`panic`].
struct Malloc;

/// What malloc aligns to, at least: C11's max_align_t. No type in this library asks for more.
const ALIGNMENT: usize = 2 * size_of::<usize>();

// SAFETY: malloc and free keep the contract of an allocator, for alignments up to ALIGNMENT.
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNMENT {
            return core::ptr::null_mut();
        }
        // SAFETY: malloc takes any size.
        unsafe { malloc(layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: the contract of this function: `memory` is from alloc, so from malloc.
        unsafe { free(memory.cast()) }
    }
}

#[global_allocator]
static MALLOC: Malloc = Malloc;

/// A mistake of the library, or no memory. qmail-rspawn defers the mail of a program that a signal ends, and no octet is written: the
/// program's descriptors may have become anything.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    abort()
}

// Rust's core names these two for unwinding. Nothing unwinds here, so they are never run. As weak references they bring in no
// libgcc_s, and a program that has the real ones keeps them. Only assembler can say that, and for one object: LTO makes one of all of
// Rust's code. A debug build has several, so there they need a definition.
core::arch::global_asm!(".weak rust_eh_personality", ".weak _Unwind_Resume");
#[cfg(debug_assertions)]
core::arch::global_asm!(".text", "rust_eh_personality:", "_Unwind_Resume:", ".long 0");
