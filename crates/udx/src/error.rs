//! What can go wrong: one enum per operation, variants named after the cause.

use alloc::vec::Vec;

use thiserror::Error;

/// Error codes of the protocol (UDX 15). Applications use others freely.
pub mod code {
    /// No error.
    pub const NONE: u32 = 0;
    /// The sender of the code failed.
    pub const INTERNAL: u32 = 1;
    /// Too many streams.
    pub const STREAM_LIMIT: u32 = 2;
    /// Data beyond the limit, or more out-of-order data than is kept.
    pub const FLOW_CONTROL: u32 = 3;
    /// A rule of the protocol was broken.
    pub const PROTOCOL_VIOLATION: u32 = 4;
    /// A migration that is not allowed.
    pub const INVALID_MIGRATION: u32 = 5;
    /// Nothing came for too long.
    pub const TIMEOUT: u32 = 6;
}

/// Why a connection ended.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it.
    #[error("closed by this side with code {code}")]
    Local {
        /// The application's code.
        code: u32,
    },
    /// The peer closed it.
    #[error("closed by the peer with code {code}")]
    Peer {
        /// The peer's code.
        code: u32,
        /// The peer's words, at most 256 bytes, meant to be UTF-8 but not checked.
        reason: Vec<u8>,
    },
    /// Nothing came from the peer for the idle timeout.
    #[error("the peer fell silent")]
    IdleTimeout,
    /// The dial was never answered.
    #[error("nobody answered")]
    NoAnswer,
    /// The peer lost its state, most likely because it was restarted.
    #[error("the peer no longer knows this connection")]
    StatelessReset,
    /// The peer speaks other wire versions only.
    #[error("the peer speaks no version that this side speaks")]
    VersionMismatch,
    /// A packet of the peer's never came, although later ones did and the peer lives, so that all that followed it waited in
    /// vain. Only version 2 has an order that can be broken so (UDX2 H17).
    #[error("a packet that all others wait for never came")]
    MissingPacket,
    /// Two packets of the peer's that open streams have one number. So numbers who counts them for each stream, as dart-udx 2.0.0
    /// does, and in version 2 the order of two such streams cannot be told (UDX2 1). One stream works.
    #[error("the peer numbers the packets of each stream by themselves")]
    NumberedPerStream,
    /// The peer never proved its address, and so many others opened connections that the limit of those was
    /// reached (`Limits::half_open`). If it is there, it opens the connection again.
    #[error("the peer's address was not proven before others needed the place")]
    Displaced,
    /// Packet numbers ran out (UDX 3: after some 5 TB).
    #[error("the connection used up its packet numbers")]
    NumbersExhausted,
    /// An invariant of this engine was broken: a bug here, confined to this connection.
    #[error("internal error of this side")]
    Internal,
}

/// What of a peer's was refused. The connection goes on: nothing is authenticated below Noise, so
/// what is wrong may be somebody else's, and ending the connection would be the greater harm.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// An acknowledgement of a number that was never sent (R3). Ignored whole.
    #[error("it acknowledged a packet that was never sent")]
    AcknowledgedUnsent,
    /// Data more than a window beyond the stream's limit. The stream is reset with code 3.
    #[error("it sent beyond a stream's limit")]
    BeyondLimit,
    /// Data beyond the end of the stream. The stream is reset with code 4.
    #[error("it sent beyond the end of a stream")]
    BeyondFinalSize,
    /// Two different ends of one stream. The stream is reset with code 4.
    #[error("it ended a stream twice, at different sizes")]
    FinalSizeChanged,
    /// More separate pieces ahead of a gap than are kept. The packet is not acknowledged and so
    /// comes again (V13).
    #[error("it sent a stream in too many separate pieces")]
    TooFragmented,
    /// More streams than allowed. The stream is reset with code 2.
    #[error("it opened too many streams")]
    TooManyStreams,
    /// A control frame or an acknowledgement from an address that is not proven to be the
    /// peer's (V6). Ignored.
    #[error("a control frame came from an unproven address")]
    UnprovenAddress,
}

/// Why a dial could not start.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be answered from: unspecified, multicast, broadcast or port 0 (R24).
    #[error("not an address that a datagram can be sent to")]
    InvalidAddress,
    /// `Limits::max_connections` are alive.
    #[error("too many connections")]
    TooManyConnections,
    /// The endpoint was closed.
    #[error("the endpoint is closed")]
    EndpointClosed,
    /// The settings contradict each other or the protocol.
    #[error("invalid settings")]
    InvalidConfig,
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer's limit of open streams is reached. `Event::StreamsAvailable` follows.
    #[error("the peer's limit of open streams is reached")]
    Limit,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
}

/// Why bytes could not be written.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum WriteError {
    /// The send buffer is full. `Event::Writable` follows.
    #[error("the send buffer is full")]
    Blocked,
    /// The stream was finished by this side.
    #[error("the stream is finished")]
    Finished,
    /// The stream was reset, by the peer (RESET_STREAM, STOP_SENDING) or by this side.
    #[error("the stream was reset with code {0}")]
    Reset(u32),
    /// No such stream, or it was released.
    #[error("no such stream")]
    Unknown,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing has arrived. `Event::Readable` follows.
    #[error("nothing to read yet")]
    Blocked,
    /// The stream was reset, by the peer or by this side.
    #[error("the stream was reset with code {0}")]
    Reset(u32),
    /// No such stream, or it was released.
    #[error("no such stream")]
    Unknown,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
}

/// A part of the engine contradicts another. Found by `check`, for tests and the lab.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("broken invariant: {0}")]
pub struct Broken(pub &'static str);
