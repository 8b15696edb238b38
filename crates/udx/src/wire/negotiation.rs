//! Version negotiation.

use super::encode::Encoder;
use super::error::{DecodeError, EncodeError, Field};
use super::header::id;
use super::id::ConnectionId;
use super::reader::Reader;

/// A version negotiation datagram (UDX 2.4): says which versions its sender speaks.
///
/// | Offset | Size | Field |
/// |---|---|---|
/// | 0 | 4 | 0 |
/// | 4 | 1 + D | length and bytes of [`destination`](Self::destination) |
/// | 5 + D | 1 + S | length and bytes of [`source`](Self::source) |
/// | 6 + D + S | 4 k | versions |
///
/// Anybody can forge one (V7), and lists lie (UDX 13): it is a hint.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct VersionNegotiation<'a> {
    /// The source id of the packet that is answered.
    pub destination: ConnectionId,
    /// The destination id of the packet that is answered.
    pub source: ConnectionId,
    versions: &'a [[u8; 4]],
}

impl<'a> VersionNegotiation<'a> {
    /// Reads a datagram whose version field is 0 from its ids on; `len` is its whole size.
    ///
    /// UDX 2.4: bytes at the end that make no whole version are ignored.
    pub(super) fn decode(mut reader: Reader<'a>, len: usize) -> Result<Self, DecodeError> {
        if len < Self::encoded_len(ConnectionId::EMPTY, ConnectionId::EMPTY, 0) {
            return Err(DecodeError::TooShort { len });
        }
        let destination = id(&mut reader, Field::DestinationId)?;
        let source = id(&mut reader, Field::SourceId)?;
        let (versions, _) = reader.rest().as_chunks();
        Ok(Self {
            destination,
            source,
            versions,
        })
    }

    /// The versions, the preferred one first.
    #[inline]
    pub fn versions(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a> {
        self.versions
            .iter()
            .map(|version| u32::from_be_bytes(*version))
    }

    /// Whether the list names `version`.
    #[must_use]
    pub fn lists(&self, version: u32) -> bool {
        self.versions().any(|listed| listed == version)
    }

    /// The size of a version negotiation with `count` versions, in bytes.
    ///
    /// UDX 13: an answer must not be longer than what it answers.
    #[must_use]
    pub const fn encoded_len(
        destination: ConnectionId,
        source: ConnectionId,
        count: usize,
    ) -> usize {
        count
            .saturating_mul(4)
            .saturating_add(destination.len())
            .saturating_add(source.len())
            .saturating_add(6)
    }

    /// Writes a version negotiation and says how many bytes it has.
    ///
    /// `destination` and `source` are the source and the destination id of the packet that is answered. UDX 13: more than two
    /// versions make an older Dart dialer answer in turn.
    ///
    /// # Errors
    /// [`EncodeError::NoRoom`]; nothing is written then.
    pub fn encode(
        buffer: &mut [u8],
        destination: ConnectionId,
        source: ConnectionId,
        versions: &[u32],
    ) -> Result<usize, EncodeError> {
        if buffer.len() < Self::encoded_len(destination, source, versions.len()) {
            return Err(EncodeError::NoRoom);
        }
        let mut encoder = Encoder::new(buffer, super::Version::V3);
        encoder.put_u32(0)?;
        encoder.put_id(&destination)?;
        encoder.put_id(&source)?;
        versions
            .iter()
            .try_for_each(|version| encoder.put_u32(*version))?;
        Ok(encoder.written())
    }
}
