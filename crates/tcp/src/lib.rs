//! TCP as an engine without I/O, for kernels, TUN and VPN programs.
//!
//! So far this crate holds the wire format and one [`Connection`]; listener and stack are to come. Comments name sections of RFCs; R are
//! the rules of this project, and letters with numbers (A8, C15) entries of its list of ways in which TCP stacks have failed.
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

extern crate alloc;

mod buffer;
mod connection;
mod num;
mod receive;
mod send;
pub mod wire;

pub use connection::{
    Addresses, CloseReason, Config, Connection, KeepAlive, Opening, Ports, ReadError, State,
    WriteError,
};
pub use gapless_recovery::{Algorithm, Instant};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
