//! The wire: datagrams of UDX to values and back.
//!
//! A datagram is a [`Packet`] (UDX 2.1), a [`VersionNegotiation`] (UDX 2.4) or, when it can be routed to no connection, perhaps a
//! stateless reset (UDX 2.5, [`reset`]). [`Datagram::decode`] looks at a datagram once, whole: afterwards no accessor and no
//! iterator can fail. [`Encoder`] writes into the caller's buffer, says [`EncodeError::NoRoom`] before it writes half of
//! anything, and never allocates.
//!
//! Nothing here knows a connection. Numbers stay the 32 bits that the wire carries ([`gapless_seq::Wire32`]).
//!
//! ```
//! use gapless_udx::wire::{ConnectionId, Datagram, Encoder, Frame, Header, Stream, VERSION, Version};
//!
//! let header = Header {
//!     version: VERSION,
//!     destination: ConnectionId::new(&[1; 8]).ok_or("id")?,
//!     source: ConnectionId::new(&[2; 8]).ok_or("id")?,
//!     number: 7.into(),
//!     destination_stream: 2,
//!     source_stream: 1,
//! };
//! let hello = Frame::Stream(Stream { fin: true, syn: false, offset: 1372, data: b"hello" });
//!
//! let mut buffer = [0; 1200];
//! let mut encoder = Encoder::new(&mut buffer, Version::V3);
//! encoder.header(&header)?;
//! encoder.frame(&hello)?;
//! let len = encoder.written();
//!
//! let Datagram::Packet(packet) = Datagram::decode(&buffer[..len])? else { return Err("not a packet".into()) };
//! assert_eq!(packet.header(), &header);
//! assert_eq!(packet.frames().next(), Some(hello));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ack;
mod encode;
mod error;
mod frame;
mod header;
mod id;
mod negotiation;
mod packet;
mod reader;
pub mod reset;
mod version;

pub use ack::{Ack, AckRanges, ExtraRange, ExtraRanges};
pub use encode::Encoder;
pub use error::{DecodeError, EncodeError, Field};
pub use frame::{Frame, Ordered, Stream, kind};
pub use header::{Header, peek_destination, peek_ids};
pub use id::ConnectionId;
pub use negotiation::VersionNegotiation;
pub use packet::{Datagram, Frames, Packet};
pub use version::{Dialect, VERSION, Version};

/// The largest value that a 64 bit field or a stream position may have when it is sent.
///
/// Unit: as the field. UDX 2.3, V14: JS drops the whole packet for more, because its numbers are exact only up to 2^53-1. A
/// decoder accepts more, as Go does.
pub const MAX_VALUE: u64 = (1 << 53) - 1;
