//! Whole datagrams.

use core::iter::FusedIterator;

use super::error::DecodeError;
use super::frame::{Context, Frame, kind};
use super::header::Header;
use super::negotiation::VersionNegotiation;
use super::reader::Reader;
use super::version::Dialect;

/// A datagram by its version field: 0 is a version negotiation, everything else a packet (UDX 2).
#[derive(Copy, Clone, Debug)]
pub enum Datagram<'a> {
    /// A packet (UDX 2.1).
    Packet(Packet<'a>),
    /// A version negotiation (UDX 2.4), which is never answered.
    VersionNegotiation(VersionNegotiation<'a>),
}

impl<'a> Datagram<'a> {
    /// Reads a datagram of version 3.
    ///
    /// The version of a packet is not checked: [`Header::version`] has to be looked at, best before
    /// ([`peek_destination`](super::peek_destination), [`Version::dialect`](super::Version::dialect)).
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong. Nothing of such a datagram counts.
    #[inline]
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_as(datagram, Dialect::V3)
    }

    /// Reads a datagram in the dialect of its sender.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    #[inline]
    pub fn decode_as(datagram: &'a [u8], dialect: Dialect) -> Result<Self, DecodeError> {
        if let Some((&[0, 0, 0, 0], rest)) = datagram.split_first_chunk() {
            return VersionNegotiation::decode(Reader::new(rest), datagram.len())
                .map(Self::VersionNegotiation);
        }
        Packet::decode_as(datagram, dialect).map(Self::Packet)
    }
}

/// A valid packet: header and frames, all of them looked at.
#[derive(Copy, Clone, Debug)]
pub struct Packet<'a> {
    header: Header,
    payload: &'a [u8],
    context: Context,
    speaks_dart30: bool,
}

impl<'a> Packet<'a> {
    /// Reads a packet, whatever its version field says; 0 as well. [`Datagram::decode_as`] is for what comes from the network.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong.
    #[inline]
    pub fn decode_as(datagram: &'a [u8], dialect: Dialect) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(datagram);
        let header = Header::decode(&mut reader)?;
        let context = Context {
            dialect,
            names_stream: header.names_stream(),
        };
        let payload = reader.rest();
        let mut speaks_dart30 = false;
        // UDX 2.1: one bad frame, and nothing of the packet counts.
        while let Some(first) = reader.rest().first() {
            speaks_dart30 |= *first == kind::DART30_STOP_SENDING;
            Frame::decode(&mut reader, context)?;
        }
        Ok(Self {
            header,
            payload,
            context,
            speaks_dart30,
        })
    }

    /// The header.
    #[inline]
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The frames in wire order. There may be none (UDX 2.1).
    #[inline]
    #[must_use]
    pub const fn frames(&self) -> Frames<'a> {
        Frames {
            reader: Reader::new(self.payload),
            context: self.context,
        }
    }

    /// The bytes of all frames.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the packet has a frame that of the senders of its version only one sends: Dart 3.0.0 (UDX 18.1), whose numbers
    /// are [`Dialect::Dart30`]'s, or in version 2 any Dart (UDX2 2.2).
    #[inline]
    #[must_use]
    pub const fn speaks_dart30(&self) -> bool {
        self.speaks_dart30
    }
}

/// The frames of a valid packet, in wire order.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    context: Context,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        if self.reader.is_empty() {
            return None;
        }
        // The packet was read whole before it got here: an error cannot be. If it could, the frames would end with it.
        Frame::decode(&mut self.reader, self.context).ok()
    }
}

impl FusedIterator for Frames<'_> {}
