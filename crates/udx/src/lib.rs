//! The UDX transport protocol as an engine without I/O.
//!
//! An [`Endpoint`] is a value that takes datagrams and the time, and gives datagrams, one next
//! deadline, and events. No sockets, clocks, threads, or hidden randomness: the same code runs under
//! tokio, in a kernel, under a fuzzer, and in a simulator in virtual time.
//!
//! "UDX 8.3" and the like in comments name sections of `docs/udx.md`, V and D its hazards and differences
//! between peers; "UDX2 9.3", "UDX2 H9" and "UDX2 D16" the same of wire version 2. R are the rules and P the
//! principles of this project.
//!
//! # Example
//!
//! Two endpoints joined by a wire that is a variable:
//!
//! ```
//! use gapless_udx::{Endpoint, EndpointConfig, Instant, Received, Version, VersionChoice};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::from_nanos(0);
//! // A dialer that knows its peer has data in its first packet.
//! let mut config = EndpointConfig::default();
//! config.connection.version = VersionChoice::Only(Version::V3);
//! let mut client = Endpoint::new(config, [1; 32]);
//! let mut server = Endpoint::new(EndpointConfig::default(), [2; 32]);
//! let (client_address, server_address) = ("10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?);
//!
//! let dialed = client.connect(now, server_address)?;
//! let connection = client.connection_mut(dialed).ok_or("gone")?;
//! let stream = connection.open()?;
//! connection.write(stream, &mut "hello".into())?;
//!
//! let mut buffer = vec![0; 65_536];
//! while let Some(transmit) = client.poll_transmit(now, &mut buffer) {
//!     let data = &buffer[..transmit.len];
//!     let segment_size = transmit.segment_size;
//!     server.handle(now, Received { from: client_address, ecn: None, segment_size, data });
//! }
//!
//! let accepted = server.accept().ok_or("nobody dialed")?;
//! let connection = server.connection_mut(accepted).ok_or("gone")?;
//! let stream = connection.accept().ok_or("no stream")?;
//! assert_eq!(connection.read(stream, 100)?.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```
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
#[cfg(test)]
extern crate std;

mod config;
mod connection;
mod endpoint;
mod error;
mod event;
mod limits;
#[cfg(feature = "marks")]
pub mod marks;
mod peer;
#[cfg(feature = "sabotage")]
pub mod sabotage;
mod stream;
pub mod wire;

pub use config::{ConnectionConfig, EndpointConfig, VersionChoice};
pub use connection::{BlockedOn, Connection, Side, Stats, StreamId};
pub use endpoint::{ConnectionHandle, Ecn, Endpoint, EndpointStats, Received, Transmit};
pub use error::{
    Broken, CloseReason, ConnectError, OpenError, PeerMisbehaved, ReadError, WriteError, code,
};
pub use event::Event;
pub use limits::Limits;
pub use peer::Peer;
pub use wire::Version;

pub use gapless_recovery::{
    Algorithm, CongestionPhase, Event as RecoveryEvent, Instant, Stats as RecoveryStats,
};
