//! Reliable byte streams over networks that lose, reorder, duplicate and delay packets: UDX for tokio.
//!
//! An [`Endpoint`] is a UDP socket with any number of [`Connection`]s, dialed and accepted; a connection carries any number of
//! streams, each a [`SendStream`] with a [`RecvStream`]. Names and shapes are those of tokio and quinn.
//!
//! ```
//! use gapless::Endpoint;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Endpoint::server("127.0.0.1:0".parse()?)?;
//! let address = server.local_addr()?;
//!
//! let echo = tokio::spawn(async move {
//!     let connection = server.accept().await.expect("the endpoint is open");
//!     let (mut send, mut recv) = connection.accept_bi().await?;
//!     tokio::io::copy(&mut recv, &mut send).await?;
//!     send.finish()?;
//!     connection.closed().await;
//!     Ok::<_, std::io::Error>(())
//! });
//!
//! let client = Endpoint::client("127.0.0.1:0".parse()?)?;
//! let connection = client.connect(address)?.await?;
//! let (mut send, mut recv) = connection.open_bi().await?;
//! send.write_all(b"is anybody there?").await?;
//! send.finish()?;
//! assert_eq!(recv.read_to_end(100).await?, b"is anybody there?");
//!
//! connection.close(0, b"bye");
//! client.wait_idle().await;
//! echo.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # No encryption
//!
//! UDX protects nothing: whoever can read the packets can read and change the streams. Run Noise or TLS in a stream (the
//! `libp2p-udx` crate does), or use it where the network is trusted.
//!
//! # Explicit congestion notification
//!
//! Wire version 3 has no frame that reports marks back to a sender. So datagrams leave as Not-ECT, as RFC 3168 asks of transports
//! without feedback; marks on datagrams that arrive are counted ([`SocketStats::congestion_marks`]) and otherwise without effect.
//!
//! # Events
//!
//! What the engines report goes to [`tracing`] under the target `gapless`: connections that begin, move and end at `debug`, what loss
//! recovery does at `trace`.
#![forbid(unsafe_code)]

pub mod tcp;
mod timer;
mod udx;

/// The examples of the front page compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;

pub use bytes::Bytes;
pub use gapless_link as link;
pub use gapless_udx::wire::Version;
pub use gapless_udx::{
    BlockedOn, ConnectionConfig, EndpointConfig, Limits, Peer, Side, Stats, StreamId, VersionChoice,
};
pub use udx::builder::Builder;
pub use udx::connection::Connection;
pub use udx::dial::Connecting;
pub use udx::endpoint::{Endpoint, EndpointStats, SocketStats};
pub use udx::error::{
    ClosedStream, ConnectError, ConnectionError, ReadError, ReadExactError, ReadToEndError,
    WriteError,
};
pub use udx::ports::DialFrom;
pub use udx::recv::RecvStream;
pub use udx::send::SendStream;
pub use udx::versions::PeerVersions;
