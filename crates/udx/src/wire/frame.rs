//! Frames: what packets are made of.

use gapless_seq::Wire32;

use super::ack::Ack;
use super::error::DecodeError;
use super::id::{ConnectionId, IdError};
use super::reader::Reader;
use super::reset::Token;
use super::version::{Dialect, Version};

/// A frame (UDX 2.2, 2.3). Where a frame is about a stream, the packet's header names it.
///
/// Where the fields lie, counted from the type byte, as offset:size in bytes:
///
/// | Type | Frame | Fields |
/// |---|---|---|
/// | 0x00 | PADDING | none |
/// | 0x01 | PING | none |
/// | 0x02 | ACK | see [`Ack`] |
/// | 0x03 | STREAM | see [`Stream`], in version 2 [`Ordered`] |
/// | 0x04 | WINDOW_UPDATE | limit 1:4 |
/// | 0x05 | MAX_DATA | limit 1:8 |
/// | 0x06 | RESET_STREAM | code 1:4 |
/// | 0x07 | MAX_STREAMS | count 1:4 |
/// | 0x08 | MTU_PROBE | filler 1: to the end |
/// | 0x09 | PATH_CHALLENGE | nonce 1:8 |
/// | 0x0a | PATH_RESPONSE | nonce 1:8 |
/// | 0x0b | CONNECTION_CLOSE | code 1:4, frame type 5:4, n 9:2, reason 11:n |
/// | 0x0d | STOP_SENDING | stream 1:4, code 5:4 |
/// | 0x0e | DATA_BLOCKED | limit 1:8 |
/// | 0x0f | STREAM_DATA_BLOCKED | stream 1:4, limit 5:8 |
/// | 0x10 | NEW_CONNECTION_ID | index 1:8, retire below 9:8, n 17:1, id 18:n, token 18+n:16 |
/// | 0x11 | RETIRE_CONNECTION_ID | index 1:8 |
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Frame<'a> {
    /// PADDING: one byte each, without effect. A run of them is one value.
    Padding {
        /// How many PADDING frames there are.
        len: usize,
    },
    /// PING: asks for an acknowledgement of the packet's number (UDX 12, D9).
    Ping,
    /// ACK: which numbers arrived.
    Ack(Ack<'a>),
    /// STREAM of version 3: a piece of a stream, with its place.
    Stream(Stream<'a>),
    /// STREAM of version 2: a piece of a stream, in the order of the packets' numbers.
    Ordered(Ordered<'a>),
    /// WINDOW_UPDATE: how far the stream may reach.
    WindowUpdate {
        /// The stream's limit, a byte position modulo 2^32 (UDX 10.1).
        limit: Wire32,
    },
    /// MAX_DATA: how much the receiver of the frame may have in flight.
    MaxData {
        /// Unacknowledged bytes; a cap, not a position (UDX 10.2).
        limit: u64,
    },
    /// RESET_STREAM: both directions of the stream end at once (UDX 8.4).
    ResetStream {
        /// The error code.
        code: u32,
    },
    /// MAX_STREAMS: how many streams the receiver of the frame may have open.
    MaxStreams {
        /// A count; peers count differently (UDX 8.5).
        count: u32,
    },
    /// MTU_PROBE: reaches to the end of the datagram.
    MtuProbe {
        /// The size of the frame with its type byte, in bytes. Its content means nothing and is sent as zeros.
        size: usize,
    },
    /// PATH_CHALLENGE: asks for a PATH_RESPONSE with the same bytes (UDX 11).
    PathChallenge {
        /// Eight opaque bytes, read as big-endian.
        nonce: u64,
    },
    /// PATH_RESPONSE: answers a PATH_CHALLENGE.
    PathResponse {
        /// The eight bytes of the challenge.
        nonce: u64,
    },
    /// CONNECTION_CLOSE: the connection ends (UDX 7.4).
    ConnectionClose {
        /// The error code.
        code: u32,
        /// The type of the frame at fault, or 0.
        frame_type: u32,
        /// Why, in UTF-8 by the specification; Dart writes Latin-1. To be read lossily (D24). At most 65535 bytes.
        reason: &'a [u8],
    },
    /// STOP_SENDING: asks the peer to end its direction of the stream (UDX 8.4).
    StopSending {
        /// A stream id that no peer reads: the header names the stream.
        stream: u32,
        /// The error code.
        code: u32,
    },
    /// DATA_BLOCKED: MAX_DATA keeps the sender from sending (UDX 10.2).
    DataBlocked {
        /// The cap at which it is blocked, in bytes.
        limit: u64,
    },
    /// STREAM_DATA_BLOCKED: the stream's limit keeps the sender from sending (UDX 10.1).
    StreamDataBlocked {
        /// The sender's own id of the stream; informative.
        stream: u32,
        /// The byte position at which it is blocked; informative.
        limit: u64,
    },
    /// NEW_CONNECTION_ID: in practice a stateless reset token for the id in use (UDX 14).
    NewConnectionId {
        /// The index of the id.
        index: u64,
        /// Ids with a smaller index are to be retired.
        retire_below: u64,
        /// The id.
        id: ConnectionId,
        /// The stateless reset token that belongs to the id.
        token: Token,
    },
    /// RETIRE_CONNECTION_ID: an id is no longer in use.
    RetireConnectionId {
        /// The index of the id.
        index: u64,
    },
}

/// A STREAM frame (UDX 2.3).
///
/// | Offset | Size | Field |
/// |---|---|---|
/// | 1 | 1 | flags: 0x01 FIN, 0x02 SYN, others ignored |
/// | 2 | 8 | offset |
/// | 10 | 2 | size of the data |
/// | 12 | size | data |
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Stream<'a> {
    /// The stream ends where these data end.
    pub fin: bool,
    /// The frame opens its stream, or its connection (UDX 7.2).
    pub syn: bool,
    /// The position of the first data byte in the stream.
    pub offset: u64,
    /// The data. At most 65535 bytes.
    pub data: &'a [u8],
}

impl Stream<'_> {
    /// The position after the last data byte; with FIN, the final size.
    ///
    /// A peer can send an offset near 2^64, where this saturates: far above every limit.
    #[inline]
    #[must_use]
    pub fn end(&self) -> u64 {
        // A slice has no more than 2^63 bytes.
        self.offset
            .saturating_add(u64::try_from(self.data.len()).unwrap_or(u64::MAX))
    }

    /// Whether the frame gives its packet a number: it has data, SYN or FIN (UDX 3).
    #[inline]
    #[must_use]
    pub const fn is_numbered(&self) -> bool {
        self.fin || self.syn || !self.data.is_empty()
    }
}

/// A STREAM frame of version 2 (UDX2 2.3). Its place in the stream is known only once every packet with a smaller number is
/// there: [`at`](Self::at) is how it becomes a [`Stream`].
///
/// | Offset | Size | Field |
/// |---|---|---|
/// | 1 | 1 | flags: 0x01 FIN, 0x02 SYN, others ignored |
/// | 2 | 2 | size of the data |
/// | 4 | size | data |
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Ordered<'a> {
    /// The stream ends where these data end.
    pub fin: bool,
    /// The frame opens its stream, or its connection (UDX2 5.4).
    pub syn: bool,
    /// The data. At most 65535 bytes.
    pub data: &'a [u8],
}

impl<'a> Ordered<'a> {
    /// The same piece at a place in its stream: how many bytes the numbers before it carried there.
    #[inline]
    #[must_use]
    pub const fn at(&self, offset: u64) -> Stream<'a> {
        Stream {
            fin: self.fin,
            syn: self.syn,
            offset,
            data: self.data,
        }
    }

    /// Whether the frame gives its packet a number: it has data, SYN or FIN (UDX2 3).
    #[inline]
    #[must_use]
    pub const fn is_numbered(&self) -> bool {
        self.fin || self.syn || !self.data.is_empty()
    }
}

/// The type bytes of frames (UDX 2.2).
pub mod kind {
    /// PADDING.
    pub const PADDING: u8 = 0x00;
    /// PING.
    pub const PING: u8 = 0x01;
    /// ACK.
    pub const ACK: u8 = 0x02;
    /// STREAM.
    pub const STREAM: u8 = 0x03;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 0x04;
    /// MAX_DATA.
    pub const MAX_DATA: u8 = 0x05;
    /// RESET_STREAM.
    pub const RESET_STREAM: u8 = 0x06;
    /// MAX_STREAMS.
    pub const MAX_STREAMS: u8 = 0x07;
    /// MTU_PROBE.
    pub const MTU_PROBE: u8 = 0x08;
    /// PATH_CHALLENGE.
    pub const PATH_CHALLENGE: u8 = 0x09;
    /// PATH_RESPONSE.
    pub const PATH_RESPONSE: u8 = 0x0a;
    /// CONNECTION_CLOSE.
    pub const CONNECTION_CLOSE: u8 = 0x0b;
    /// STOP_SENDING as Dart numbers it before 3.1.0; to everybody else no frame (D4, UDX2 D1).
    pub const DART30_STOP_SENDING: u8 = 0x0c;
    /// STOP_SENDING.
    pub const STOP_SENDING: u8 = 0x0d;
    /// DATA_BLOCKED.
    pub const DATA_BLOCKED: u8 = 0x0e;
    /// STREAM_DATA_BLOCKED.
    pub const STREAM_DATA_BLOCKED: u8 = 0x0f;
    /// NEW_CONNECTION_ID.
    pub const NEW_CONNECTION_ID: u8 = 0x10;
    /// RETIRE_CONNECTION_ID.
    pub const RETIRE_CONNECTION_ID: u8 = 0x11;
}

/// STREAM flags (UDX 2.3).
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;

/// What follows the type byte of STOP_SENDING, in bytes.
const STOP_SENDING_LEN: usize = 8;
/// What follows the type byte of DATA_BLOCKED and RETIRE_CONNECTION_ID, in bytes.
const VALUE_LEN: usize = 8;
/// What follows the type byte of STREAM_DATA_BLOCKED, in bytes.
const STREAM_DATA_BLOCKED_LEN: usize = 12;

/// What reading a frame depends on besides its bytes.
#[derive(Copy, Clone, Debug)]
pub(super) struct Context {
    pub(super) dialect: Dialect,
    /// Whether the header names a stream.
    pub(super) names_stream: bool,
}

impl<'a> Frame<'a> {
    /// The type byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Padding { .. } => kind::PADDING,
            Self::Ping => kind::PING,
            Self::Ack(_) => kind::ACK,
            Self::Stream(_) | Self::Ordered(_) => kind::STREAM,
            Self::WindowUpdate { .. } => kind::WINDOW_UPDATE,
            Self::MaxData { .. } => kind::MAX_DATA,
            Self::ResetStream { .. } => kind::RESET_STREAM,
            Self::MaxStreams { .. } => kind::MAX_STREAMS,
            Self::MtuProbe { .. } => kind::MTU_PROBE,
            Self::PathChallenge { .. } => kind::PATH_CHALLENGE,
            Self::PathResponse { .. } => kind::PATH_RESPONSE,
            Self::ConnectionClose { .. } => kind::CONNECTION_CLOSE,
            Self::StopSending { .. } => kind::STOP_SENDING,
            Self::DataBlocked { .. } => kind::DATA_BLOCKED,
            Self::StreamDataBlocked { .. } => kind::STREAM_DATA_BLOCKED,
            Self::NewConnectionId { .. } => kind::NEW_CONNECTION_ID,
            Self::RetireConnectionId { .. } => kind::RETIRE_CONNECTION_ID,
        }
    }

    /// Whether it is a STREAM frame with SYN, of either version.
    #[inline]
    #[must_use]
    pub const fn has_syn(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.syn,
            Self::Ordered(stream) => stream.syn,
            _ => false,
        }
    }

    /// Whether it is a STREAM frame that gives its packet a number, of either version.
    #[inline]
    #[must_use]
    pub const fn is_numbered_stream(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_numbered(),
            Self::Ordered(stream) => stream.is_numbered(),
            _ => false,
        }
    }

    /// The size of the encoded frame, in bytes (UDX 2.2).
    #[inline]
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Padding { len } => *len,
            Self::Ping => 1,
            Self::Ack(ack) => ack.encoded_len(),
            Self::Stream(stream) => Version::V3
                .stream_header_len()
                .saturating_add(stream.data.len()),
            Self::Ordered(stream) => Version::V2
                .stream_header_len()
                .saturating_add(stream.data.len()),
            Self::WindowUpdate { .. } | Self::ResetStream { .. } | Self::MaxStreams { .. } => 5,
            // The type byte is there whatever `size` says.
            Self::MtuProbe { size: 0 } => 1,
            Self::MtuProbe { size } => *size,
            Self::ConnectionClose { reason, .. } => reason.len().saturating_add(11),
            Self::MaxData { .. }
            | Self::PathChallenge { .. }
            | Self::PathResponse { .. }
            | Self::StopSending { .. }
            | Self::DataBlocked { .. }
            | Self::RetireConnectionId { .. } => 9,
            Self::StreamDataBlocked { .. } => 13,
            Self::NewConnectionId { id, .. } => id.len().saturating_add(34),
        }
    }

    /// Reads the frame at the front. PADDING takes its whole run.
    #[inline]
    pub(super) fn decode(reader: &mut Reader<'a>, context: Context) -> Result<Self, DecodeError> {
        let kind = reader.u8().ok_or(DecodeError::TruncatedFrame {
            kind: kind::PADDING,
        })?;
        // Ordered so that what fills most packets is found first.
        let frame = match kind {
            kind::STREAM => stream(reader, context.dialect.version()),
            kind::ACK => Ack::decode(reader).map(Self::Ack),
            kind::PADDING => Some(Self::Padding {
                len: reader.take_zeros().saturating_add(1),
            }),
            kind::PING => Some(Self::Ping),
            _ if kind >= kind::DART30_STOP_SENDING && context.dialect == Dialect::V2 => {
                renumbered(kind, reader, context.names_stream)?
            }
            kind::NEW_CONNECTION_ID => new_connection_id(reader)?,
            kind::DART30_STOP_SENDING => {
                // D4: only where nothing else can be meant.
                let certain = reader.len() == STOP_SENDING_LEN && context.names_stream;
                if context.dialect != Dialect::Dart30 || !certain {
                    return Err(DecodeError::UnknownFrame { kind });
                }
                stop_sending(reader)
            }
            _ if kind > kind::RETIRE_CONNECTION_ID => {
                return Err(DecodeError::UnknownFrame { kind });
            }
            _ => fixed(kind, reader),
        };
        frame.ok_or(DecodeError::TruncatedFrame { kind })
    }
}

#[inline]
fn stream<'a>(reader: &mut Reader<'a>, version: Version) -> Option<Frame<'a>> {
    let flags = reader.u8()?;
    let (fin, syn) = (flags & FIN != 0, flags & SYN != 0);
    Some(match version {
        Version::V3 => {
            let offset = reader.u64()?;
            let len = reader.u16()?;
            Frame::Stream(Stream {
                fin,
                syn,
                offset,
                data: reader.slice(len.into())?,
            })
        }
        Version::V2 => {
            let len = reader.u16()?;
            Frame::Ordered(Ordered {
                fin,
                syn,
                data: reader.slice(len.into())?,
            })
        }
    })
}

/// UDX2 D1: a frame whose number means one thing to Go and another to Dart. `Ok(None)` if the datagram ends within.
fn renumbered<'a>(
    kind: u8,
    reader: &mut Reader<'a>,
    names_stream: bool,
) -> Result<Option<Frame<'a>>, DecodeError> {
    let meant = match (kind, reader.len()) {
        (kind::DART30_STOP_SENDING, _) => kind::STOP_SENDING,
        (kind::STOP_SENDING, _) if !names_stream => kind::DATA_BLOCKED,
        (kind::DATA_BLOCKED, STREAM_DATA_BLOCKED_LEN) => kind::STREAM_DATA_BLOCKED,
        // Two frames could be meant, and no peer sends either with something behind it.
        (kind::DATA_BLOCKED, left) if left > VALUE_LEN => {
            return Err(DecodeError::UnknownFrame { kind });
        }
        (kind::STREAM_DATA_BLOCKED, left) if left != STREAM_DATA_BLOCKED_LEN => {
            kind::NEW_CONNECTION_ID
        }
        (kind::NEW_CONNECTION_ID, VALUE_LEN) => kind::RETIRE_CONNECTION_ID,
        _ if kind > kind::RETIRE_CONNECTION_ID => return Err(DecodeError::UnknownFrame { kind }),
        _ => kind,
    };
    if meant == kind::NEW_CONNECTION_ID {
        return new_connection_id(reader);
    }
    Ok(fixed(meant, reader))
}

/// The frames that come seldom and fail only by their end. `None` if the datagram ends within, or for a type not among them.
fn fixed<'a>(kind: u8, reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    Some(match kind {
        kind::WINDOW_UPDATE => Frame::WindowUpdate {
            limit: reader.u32()?.into(),
        },
        kind::MAX_DATA => Frame::MaxData {
            limit: reader.u64()?,
        },
        kind::RESET_STREAM => Frame::ResetStream {
            code: reader.u32()?,
        },
        kind::MAX_STREAMS => Frame::MaxStreams {
            count: reader.u32()?,
        },
        kind::MTU_PROBE => Frame::MtuProbe {
            size: reader.take_rest().len().saturating_add(1),
        },
        kind::PATH_CHALLENGE => Frame::PathChallenge {
            nonce: reader.u64()?,
        },
        kind::PATH_RESPONSE => Frame::PathResponse {
            nonce: reader.u64()?,
        },
        kind::CONNECTION_CLOSE => {
            let code = reader.u32()?;
            let frame_type = reader.u32()?;
            let len = reader.u16()?;
            Frame::ConnectionClose {
                code,
                frame_type,
                reason: reader.slice(len.into())?,
            }
        }
        kind::STOP_SENDING => stop_sending(reader)?,
        kind::DATA_BLOCKED => Frame::DataBlocked {
            limit: reader.u64()?,
        },
        kind::STREAM_DATA_BLOCKED => Frame::StreamDataBlocked {
            stream: reader.u32()?,
            limit: reader.u64()?,
        },
        kind::RETIRE_CONNECTION_ID => Frame::RetireConnectionId {
            index: reader.u64()?,
        },
        _ => return None,
    })
}

fn stop_sending<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    Some(Frame::StopSending {
        stream: reader.u32()?,
        code: reader.u32()?,
    })
}

/// `Ok(None)` if the datagram ends within.
fn new_connection_id<'a>(reader: &mut Reader<'a>) -> Result<Option<Frame<'a>>, DecodeError> {
    let (Some(index), Some(retire_below)) = (reader.u64(), reader.u64()) else {
        return Ok(None);
    };
    let id = match ConnectionId::decode(reader) {
        Ok(id) => id,
        Err(IdError::TooLong(len)) => return Err(DecodeError::NewConnectionIdTooLong { len }),
        Err(IdError::PastEnd) => return Ok(None),
    };
    Ok(reader.array().map(|token| Frame::NewConnectionId {
        index,
        retire_below,
        id,
        token: Token(token),
    }))
}
