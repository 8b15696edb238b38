//! Sockets for `gapless-tcp`: one engine, any number of threads and tasks.
//!
//! The engine is a value that one caller at a time may use. [`Sockets`] is a handle on it that is `Clone`, `Send` and `Sync`: it takes a lock that the
//! caller supplies ([`Host`]: a mutex, or in a kernel a spin lock with interrupts off), gives [`Stream`]s and [`Listener`]s, and wakes who waits
//! through [`core::task::Waker`]s. Whoever owns the device, a task, a thread or an interrupt handler, or several of them, moves packets between it and
//! [`handle`](Sockets::handle) and [`poll_transmit`](Sockets::poll_transmit). Who calls what, how often, and from where decides when bytes arrive,
//! never which.
//!
//! `no_std` with `alloc`. The feature `std` adds a lock and a clock of the system, streams that block (`blocking`) and errors as `std::io` has
//! them. For tokio there is `gapless::tcp`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
pub mod blocking;
mod error;
mod host;
mod listener;
mod shared;
mod sockets;
mod stream;
mod waits;

pub use error::{AcceptError, ConnectError, ReadError, WriteError};
pub use gapless_tcp::{
    Arrival, BlockedOn, CloseReason, ConnectionStats, Instant, ListenError, Stack, StackConfig,
    Stats, Transmit, Tuple,
};
pub use host::Host;
#[cfg(feature = "std")]
pub use host::System;
pub use listener::{Listener, Offered};
pub use shared::Core;
pub use sockets::{Sleep, Sockets};
pub use stream::Stream;

#[doc = include_str!("../README.md")]
#[cfg(all(doctest, feature = "std"))]
struct Readme;
