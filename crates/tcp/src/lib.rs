//! TCP as an engine without I/O, for kernels, TUN and VPN programs.
//!
//! So far this crate holds the wire format. Comments name sections of RFCs; R are the rules of this project.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[cfg(test)]
extern crate alloc;

pub mod wire;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
