//! Sockets: what threads and tasks share, who is woken, and what is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing
)]

mod calls;
mod crowd;
mod net;
mod orders;
mod pattern;
