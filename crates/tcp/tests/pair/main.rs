//! Two engines against each other in virtual time: over bad links, and with forged segments in between.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod links;
mod matrix;
mod path;
mod plain_peer;
mod slow_start;
mod storms;
mod support;
mod tuning;
