//! Wire versions, and the dialects in which peers speak them.

/// The version field of a version 3 packet (UDX 2.1).
pub const VERSION: u32 = 3;

/// The version field of a version 2 packet (UDX2 2.1).
const VERSION_2: u32 = 2;

/// A wire version that this implementation speaks: a property of the connection (UDX 19).
///
/// The versions share the packet header and every frame but STREAM, so this is all that the codec has to ask a connection.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Version {
    /// Version 3: a STREAM frame says at which offset its data belong.
    #[default]
    V3,
    /// Version 2: a STREAM frame says nothing of its place; the packet's number does (UDX2 1).
    V2,
}

impl Version {
    /// The version that a packet's version field names, if it is spoken here.
    #[inline]
    #[must_use]
    pub const fn from_wire(wire: u32) -> Option<Self> {
        match wire {
            VERSION => Some(Self::V3),
            VERSION_2 => Some(Self::V2),
            _ => None,
        }
    }

    /// The value of the version field.
    #[inline]
    #[must_use]
    pub const fn wire(self) -> u32 {
        match self {
            Self::V3 => VERSION,
            Self::V2 => VERSION_2,
        }
    }

    /// How to read a sender of whom nothing is known but that it speaks this version.
    #[inline]
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::V3 => Dialect::Dart30,
            Self::V2 => Dialect::V2,
        }
    }

    /// How many bytes of a STREAM frame precede its data, the type byte included (UDX 2.3, UDX2 2.3).
    #[inline]
    #[must_use]
    pub const fn stream_header_len(self) -> usize {
        match self {
            Self::V3 => 12,
            Self::V2 => 4,
        }
    }
}

/// How a peer's bytes are to be read.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// Version 3 as Go, JS, Dart from 3.1.0 and this implementation speak it.
    #[default]
    V3,
    /// Version 3 with the frame numbers of Dart 3.0.0.
    ///
    /// D4: that release counts STOP_SENDING as 0x0c. Here a frame 0x0c is STOP_SENDING if exactly its 8 bytes are left in the
    /// datagram and the header names a stream; any other 0x0c stays an error. Everything else reads as [`Dialect::V3`], so this
    /// is the dialect for a peer that might be Dart 3.0.0 ([`Packet::speaks_dart30`](super::Packet::speaks_dart30) tells that it
    /// is).
    Dart30,
    /// Version 2, whoever speaks it.
    ///
    /// UDX2 D1: from 0x0c on Go and Dart number frames differently. Both put one frame into a packet, so what is left in the
    /// datagram tells them apart, the type byte counted:
    ///
    /// | Type | Read as |
    /// |---|---|
    /// | 0x0c | STOP_SENDING |
    /// | 0x0d | STOP_SENDING if the header names a stream, else DATA_BLOCKED |
    /// | 0x0e | DATA_BLOCKED with 9 bytes left, STREAM_DATA_BLOCKED with 13, else unknown |
    /// | 0x0f | STREAM_DATA_BLOCKED with 13 bytes left, else NEW_CONNECTION_ID |
    /// | 0x10 | RETIRE_CONNECTION_ID with 9 bytes left, else NEW_CONNECTION_ID |
    /// | 0x11 | RETIRE_CONNECTION_ID |
    ///
    /// That a peer proved to be Go or Dart would decide only about forms that neither sends (UDX2 2.2).
    V2,
}

impl Dialect {
    /// The version whose layouts this dialect has.
    #[inline]
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::V3 | Self::Dart30 => Version::V3,
            Self::V2 => Version::V2,
        }
    }
}
