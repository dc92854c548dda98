//! The border to the calling program: the functions of libc that the library calls, and the names that it leaves to the linker.
#![allow(unsafe_code)] // denied in all other modules of this crate

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    /// Ends the process by SIGABRT. Writes nothing.
    pub safe fn abort() -> !;
}

/// The calling program's malloc. Where it has no memory, Rust calls the panic handler.
pub struct Malloc;

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

// Rust's core names these two for unwinding. Nothing unwinds here, so they are never run. As weak references they bring in no
// libgcc_s, and a program that has the real ones keeps them. Only assembler can say that, and for one object: LTO makes one of all of
// Rust's code. A debug build has several, so there they need a definition.
core::arch::global_asm!(".weak rust_eh_personality", ".weak _Unwind_Resume");
#[cfg(debug_assertions)]
core::arch::global_asm!(".text", "rust_eh_personality:", "_Unwind_Resume:", ".long 0");
