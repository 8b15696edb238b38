//! Wire versions, and the dialects in which peers speak them.

/// The version field of a version 3 packet (UDX 2.1).
pub const VERSION: u32 = 3;

/// A wire version that this implementation speaks: a property of the connection (UDX 19).
///
/// The versions share the packet header and every frame but STREAM, so this is all that the codec has to ask a connection.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Version {
    /// Version 3: a STREAM frame says at which offset its data belong.
    #[default]
    V3,
}

impl Version {
    /// The version that a packet's version field names, if it is spoken here.
    #[inline]
    #[must_use]
    pub const fn from_wire(wire: u32) -> Option<Self> {
        match wire {
            VERSION => Some(Self::V3),
            _ => None,
        }
    }

    /// The value of the version field.
    #[inline]
    #[must_use]
    pub const fn wire(self) -> u32 {
        match self {
            Self::V3 => VERSION,
        }
    }

    /// How many bytes of a STREAM frame precede its data, the type byte included (UDX 2.3).
    #[inline]
    #[must_use]
    pub const fn stream_header_len(self) -> usize {
        match self {
            Self::V3 => 12,
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
}

impl Dialect {
    /// The version whose layouts this dialect has.
    #[inline]
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::V3 | Self::Dart30 => Version::V3,
        }
    }
}
