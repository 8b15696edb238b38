//! UDX as a transport of rust-libp2p.
//!
//! [`upgraded`](upgraded()) makes a transport that a Swarm takes as it is, with Noise and Yamux; [`Transport`] is the bare one, for
//! other upgrades. A [`Handle`] shows the connections and their statistics while the Swarm owns the transport. [`UdxAddr`] stands
//! between the `/udx` addresses of the world and those that the `multiaddr` crate can express.
//!
//! One UDX connection is one libp2p connection, whose first stream carries everything (UDX 20), as in go-, js- and
//! dart-libp2p.
#![forbid(unsafe_code)]

mod addr;
mod config;
mod error;
mod listener;
mod mux;
mod socket;
mod stats;
mod stream;
mod transport;
mod upgrade;

pub use addr::{AddrError, UdxAddr};
pub use config::{Config, DialFrom};
pub use error::{Error, connection_error};
/// The UDX layer below, for the types in [`Config`], [`ConnectionInfo`] and [`UdxStream`].
pub use gapless;
pub use gapless::ConnectionError;
pub use stats::{ConnectionInfo, Handle};
pub use stream::UdxStream;
pub use transport::Transport;
pub use upgrade::{Upgraded, upgraded};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
