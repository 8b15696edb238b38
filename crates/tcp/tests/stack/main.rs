//! Whole stacks: packets in, packets out.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod budgets;
mod contract;
mod corpus;
mod listening;
mod many;
mod net;
mod noise;
mod trains;
