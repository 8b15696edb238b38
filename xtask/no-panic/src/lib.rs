//! Every entry point that must not panic, linked into one library without `std`.
//!
//! `cargo xtask no-panic` builds this, optimised as a whole, and looks for the call of the panic handler.
//! When it is gone, the compiler has proved that no argument of any function below leads to a panic.
//! The functions are exported, so their arguments are unknown to the compiler. That no
//! public function of the engines is missing here is checked by name.
#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

#[cfg(feature = "deliberate")]
mod deliberate;
mod recovery;
mod seq;
mod sockets;
mod tcp;
mod tcp_wire;
mod udx_wire;

unsafe extern "C" {
    /// What the inspection looks for. Nobody defines it: as an import it keeps its name.
    fn gapless_panic_reached() -> !;
    fn gapless_allocate(size: usize, align: usize) -> *mut u8;
    fn gapless_free(block: *mut u8, size: usize, align: usize);
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never run; this library is only inspected.
    unsafe { gapless_panic_reached() }
}

/// An allocator of which the compiler knows nothing: each allocation may fail.
struct Unknown;

// SAFETY: never run; this library is only inspected.
unsafe impl GlobalAlloc for Unknown {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { gapless_allocate(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { gapless_free(block, layout.size(), layout.align()) }
    }
}

#[global_allocator]
static ALLOCATOR: Unknown = Unknown;
