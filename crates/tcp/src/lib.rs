//! TCP as an engine without I/O, for kernels, TUN and VPN programs.
//!
//! A [`Stack`] takes IP packets and the time, and gives IP packets and one deadline; a [`Connection`] is one of its connections, usable alone by who
//! has segments already. Comments name sections of RFCs; R are the rules of this project, and letters with numbers (A8, C15) entries of its
//! list of ways in which TCP stacks have failed.
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
#[cfg(feature = "marks")]
pub mod marks;
mod num;
mod place;
mod receive;
#[cfg(feature = "sabotage")]
pub mod sabotage;
mod send;
mod stack;
pub mod wire;

pub use connection::{
    Addresses, BlockedOn, CloseReason, Config, Connection, ConnectionStats, KeepAlive,
    MakeController, Opening, Ports, ReadError, State, Train, UserTimeoutOption, WriteError,
};
pub use gapless_recovery::{
    Algorithm, Bbr, Config as RecoveryConfig, Controller, Instant, Stats as RecoveryStats,
};
pub use stack::{
    Arrival, Checksums, ConnectError, Id, ListenError, ListenerId, PartialChecksum, Stack,
    StackConfig, Stats, Trains, Transmit, Tuple,
};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
