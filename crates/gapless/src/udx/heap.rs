//! One hint to the allocator.

use std::hint::black_box;
use std::sync::Once;

/// Bytes of the block that is freed once. glibc then keeps twice as much of free memory, rather than 128 KiB, and goes on mapping
/// larger blocks, such as a socket's receive buffers, one by one: their pages come only as they are used.
const FREED: usize = 448 * 1024;

/// Has glibc keep some freed memory for the next buffer.
///
/// It returns the top of its heap to the system as soon as 128 KiB of it are free. What carries fast streams, here and in layers
/// above (Noise and Yamux take five buffers of 64 KiB for each message), allocates and frees so much all the time, and then pays
/// more for page faults than for its own work. Both thresholds rise once a larger block was freed (mallopt(3),
/// M_MMAP_THRESHOLD), so here one is. In other allocators this is an allocation and nothing else.
pub(crate) fn keep_some_free_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(black_box(Vec::<u8>::with_capacity(FREED))));
}
