//! What the two halves are held to: models, small worlds tried out whole, and bounds.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod exhaustive_recv;
mod exhaustive_send;
mod pair;
mod recv;
mod recv_buffer;
mod send;
mod send_buffer;
mod window;

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use gapless_recovery::Instant;

/// Where streams start in tests: at the beginning, across a block's end, and across the places where limits
/// wrap on the wire, once and far beyond 10 GB.
const STARTS: [u64; 5] = [
    0,
    16_384 - 5,
    (1 << 32) - 40_000,
    (3 << 32) - 1,
    (1 << 45) - 70_000,
];

/// The byte of every test stream at `position`: no two places look alike nearby.
fn byte(position: u64) -> u8 {
    let mixed = position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

fn bytes(range: Range<u64>) -> Vec<u8> {
    range.map(byte).collect()
}

fn ms(millis: u64) -> Instant {
    Instant::ZERO.saturating_add(Duration::from_millis(millis))
}
