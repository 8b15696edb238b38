//! The wire codec against the golden vectors, recorded conversations, malformed datagrams and random ones.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

mod acks;
mod conversations;
mod encoding;
mod golden;
mod harness;
mod malformed;
mod random;
mod vectors;
mod vectors_v2;
mod version2;
