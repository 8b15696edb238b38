//! The packet header.

use gapless_seq::Wire32;

use super::error::{DecodeError, Field};
use super::id::{ConnectionId, IdError};
use super::reader::Reader;

/// The header of a packet (UDX 2.1).
///
/// | Offset | Size | Field |
/// |---|---|---|
/// | 0 | 4 | [`version`](Self::version) |
/// | 4 | 1 + D | length and bytes of [`destination`](Self::destination) |
/// | 5 + D | 1 + S | length and bytes of [`source`](Self::source) |
/// | 6 + D + S | 4 | [`number`](Self::number) |
/// | 10 + D + S | 4 | [`destination_stream`](Self::destination_stream) |
/// | 14 + D + S | 4 | [`source_stream`](Self::source_stream) |
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub struct Header {
    /// The wire version. The codec does not check it; 0 is not a packet's (UDX 2.4).
    pub version: u32,
    /// The id that the receiver is known by; the only one that routes (UDX 7.1).
    pub destination: ConnectionId,
    /// The id that the sender is known by.
    pub source: ConnectionId,
    /// The sequence number. It means something only for numbered packets (UDX 3).
    pub number: Wire32,
    /// The receiver's id of the stream that the frames are about, or 0.
    pub destination_stream: u32,
    /// The sender's id of the stream that the frames are about, or 0.
    pub source_stream: u32,
}

impl Header {
    /// The size of a header whose ids are empty, in bytes: no packet is shorter.
    pub const MIN_LEN: usize = 18;

    /// The size of the encoded header, in bytes.
    #[inline]
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        Self::MIN_LEN
            .saturating_add(self.destination.len())
            .saturating_add(self.source.len())
    }

    /// Whether the header names a stream.
    #[inline]
    #[must_use]
    pub const fn names_stream(&self) -> bool {
        self.destination_stream != 0 || self.source_stream != 0
    }

    #[inline]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = reader.len();
        let too_short = DecodeError::TooShort { len };
        let version = reader
            .u32()
            .filter(|_| len >= Self::MIN_LEN)
            .ok_or(too_short)?;
        let destination = id(reader, Field::DestinationId)?;
        let source = id(reader, Field::SourceId)?;
        let number = reader
            .u32()
            .ok_or(DecodeError::FieldPastEnd(Field::Number))?;
        let destination_stream = reader
            .u32()
            .ok_or(DecodeError::FieldPastEnd(Field::DestinationStream))?;
        let source_stream = reader
            .u32()
            .ok_or(DecodeError::FieldPastEnd(Field::SourceStream))?;
        Ok(Self {
            version,
            destination,
            source,
            number: number.into(),
            destination_stream,
            source_stream,
        })
    }
}

/// The version and the destination id of a datagram, without a look at the rest: enough to find its connection (UDX 7.1).
///
/// `None` if the datagram is too short for them. A stateless reset may answer any pair, or `None`.
#[inline]
#[must_use]
pub fn peek_destination(datagram: &[u8]) -> Option<(u32, ConnectionId)> {
    let mut reader = Reader::new(datagram);
    Some((reader.u32()?, ConnectionId::decode(&mut reader).ok()?))
}

/// The version, the destination id and the source id of a datagram: what an answer needs to a version not spoken here (UDX 13).
#[inline]
#[must_use]
pub fn peek_ids(datagram: &[u8]) -> Option<(u32, ConnectionId, ConnectionId)> {
    let mut reader = Reader::new(datagram);
    Some((
        reader.u32()?,
        ConnectionId::decode(&mut reader).ok()?,
        ConnectionId::decode(&mut reader).ok()?,
    ))
}

/// Reads an id of a header; `field` says which.
#[inline]
pub(super) fn id(reader: &mut Reader<'_>, field: Field) -> Result<ConnectionId, DecodeError> {
    ConnectionId::decode(reader).map_err(|error| match error {
        IdError::TooLong(len) => DecodeError::ConnectionIdTooLong { field, len },
        IdError::PastEnd => DecodeError::FieldPastEnd(field),
    })
}
