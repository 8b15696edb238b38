//! What the engine tells the application.

use core::net::SocketAddr;
use core::time::Duration;

use crate::error::PeerMisbehaved;
use crate::wire::Version;
use crate::{RecoveryEvent, StreamId};

/// Something the application may want to act on.
///
/// `Readable` and `Writable` are edges: one comes after a read or write answered `Blocked`, and
/// not again before the next such answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A peer opened this connection: `Endpoint::accept` hands it out.
    Incoming,
    /// The first valid packet came from the peer of a dialed connection.
    Connected,
    /// A dialer that did not know its peer's wire version learned it; comes once, with the first valid packet.
    Version(Version),
    /// The peer opened a stream: `Connection::accept` hands it out.
    StreamOpened,
    /// A stream can be opened again after `OpenError::Limit`.
    StreamsAvailable,
    /// Data, the end, or a reset can be read.
    Readable(StreamId),
    /// There is room to write again, or an error to learn of.
    Writable(StreamId),
    /// All that was written and the end of the stream were acknowledged by the peer.
    Acknowledged(StreamId),
    /// The peer wants no more data on this stream, or reset it; both directions are over.
    Reset {
        /// The stream.
        id: StreamId,
        /// The peer's code.
        code: u32,
    },
    /// The answer to `Connection::ping`.
    Pong {
        /// Time from the question to the answer.
        rtt: Duration,
    },
    /// The peer's address changed, and the new one is proven to be the peer's.
    Moved {
        /// Where packets went until now.
        from: SocketAddr,
        /// Where they go from now on.
        to: SocketAddr,
    },
    /// The connection is over; `Connection::close_reason` says why.
    Closed,
    /// Something of the peer's was refused; the connection goes on.
    Refused(PeerMisbehaved),
    /// What loss recovery did.
    Recovery(RecoveryEvent),
}
