//! What can be wrong with bytes, and with what one wants to turn into bytes.

use core::fmt;

/// Why a datagram is no valid packet and no valid version negotiation. The peer, or the path, caused it.
///
/// Such a datagram is dropped whole and silently: nothing of it is processed, nothing acknowledged (UDX 2.1). Only a look for a
/// stateless reset is left (UDX 14).
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The datagram is shorter than the smallest of its kind: a packet of 18 bytes, a version negotiation of 6.
    #[error("a datagram of {len} bytes is too short")]
    TooShort {
        /// The size of the datagram, in bytes.
        len: usize,
    },
    /// An id of the header claims more than 20 bytes.
    #[error("the {field} claims {len} bytes, at most 20 are allowed")]
    ConnectionIdTooLong {
        /// Which id.
        field: Field,
        /// The size that it claims, in bytes.
        len: usize,
    },
    /// A field of the header reaches beyond the end of the datagram.
    #[error("the {0} reaches beyond the end of the datagram")]
    FieldPastEnd(Field),
    /// No frame has this type.
    #[error("frame type {kind:#04x} does not exist")]
    UnknownFrame {
        /// The type byte.
        kind: u8,
    },
    /// The datagram ends within a frame.
    #[error("the datagram ends within a frame of type {kind:#04x}")]
    TruncatedFrame {
        /// The type byte of that frame.
        kind: u8,
    },
    /// A NEW_CONNECTION_ID frame names an id of more than 20 bytes.
    #[error("a NEW_CONNECTION_ID frame names an id of {len} bytes, at most 20 are allowed")]
    NewConnectionIdTooLong {
        /// The size that it claims, in bytes.
        len: usize,
    },
}

/// A field of a header.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum Field {
    /// The destination connection id with its length.
    DestinationId,
    /// The source connection id with its length.
    SourceId,
    /// The sequence number.
    Number,
    /// The destination stream id.
    DestinationStream,
    /// The source stream id.
    SourceStream,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DestinationId => "destination connection id",
            Self::SourceId => "source connection id",
            Self::Number => "sequence number",
            Self::DestinationStream => "destination stream id",
            Self::SourceStream => "source stream id",
        })
    }
}

/// Why something was not written. The caller caused it; the buffer is as it was before the call.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, thiserror::Error)]
pub enum EncodeError {
    /// What is to be written does not fit into the rest of the buffer.
    #[error("no room in the datagram")]
    NoRoom,
    /// A 64 bit value or the end of a stream's data lies above [`MAX_VALUE`](super::MAX_VALUE).
    #[error("a value lies above 2^53-1")]
    ValueTooLarge,
    /// The frame is a STREAM frame of the other version.
    #[error("a STREAM frame of the other version")]
    OtherVersion,
    /// Stream data or a reason has more than 65535 bytes.
    #[error("more than 65535 bytes in one frame")]
    DataTooLong,
    /// An MTU_PROBE reaches to the end of its datagram: nothing can follow (UDX 2.3).
    #[error("nothing can follow an MTU_PROBE")]
    AfterProbe,
    /// An ACK frame acknowledges one number at least.
    #[error("an ACK frame needs a range")]
    NoRange,
}
