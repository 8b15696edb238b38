//! The hazards of UDX 17 (V), the differences between peers of UDX 16 (D) and this engine's bounds, each as a
//! test that fails if the rule is broken. One endpoint against datagrams made by hand or recorded from
//! real peers, or against a second endpoint over a wire that loses what a test wants lost.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions
)]

mod closing;
mod differences;
mod differences_late;
mod duo;
mod hand;
mod hazards;
mod hazards_late;
mod index;
mod limits;
mod misbehaved;
mod outsiders;
mod path;
mod peers;
mod replay;
mod rig;
mod timing;
mod trials;
mod version2;
