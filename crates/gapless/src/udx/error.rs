//! What can go wrong, one enum per operation, and how it looks as an [`io::Error`].

use gapless_udx as engine;
use gapless_udx::wire::Version;
use std::io;
use std::net::SocketAddr;
use thiserror::Error;

/// Why a connection is over.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The application on this side closed it, or closed the whole endpoint.
    #[error("closed by this side with code {code}")]
    LocallyClosed {
        /// The code that was given to `close`.
        code: u32,
    },
    /// The peer closed it. Code 0 is a clean end.
    #[error("closed by the peer with code {code}{}", Reason(.reason))]
    ClosedByPeer {
        /// The peer's code: 0 clean, 1 to 6 UDX's own (UDX 15), others are the application's.
        code: u32,
        /// The peer's explanation, bytes that should be UTF-8 but come from the network.
        reason: Vec<u8>,
    },
    /// Nothing was heard from the peer for the configured idle timeout: the network or the peer is gone.
    #[error("nothing heard from the peer for the whole idle timeout")]
    IdleTimeout,
    /// The peer never answered the dial.
    #[error("the peer did not answer{}", Silence(*.refused, *.only))]
    NoAnswer {
        /// The network reported (by ICMP, which anybody can forge) that the port or host cannot be reached.
        refused: bool,
        /// The one wire version that was tried, because the settings force it or the peer was remembered for it; `None` if the
        /// peer could choose.
        only: Option<Version>,
    },
    /// The peer no longer knows this connection, most likely because it was restarted.
    #[error("the peer no longer knows this connection")]
    StatelessReset,
    /// The peer says that it speaks other versions of UDX than the one that the settings force.
    #[error(
        "the peer does not speak the version of UDX that the settings force: let it be discovered"
    )]
    VersionMismatch,
    /// All 2^32 packet numbers were used, some terabytes after the start. Connect again.
    #[error("the connection has used up its packet numbers")]
    NumbersExhausted,
    /// A packet of the peer's never came, although the peer lives and sent later ones. Old Dart peers take numbers for packets that they
    /// never send again. Version 2 only.
    #[error("a packet that all others wait for never came")]
    MissingPacket,
    /// The peer counts the packets of each stream by themselves, as dart-udx 2.0.0 does: it can be used with one stream. Version 2 only.
    #[error("the peer numbers the packets of each stream by themselves")]
    NumberedPerStream,
    /// A defect on this side, contained in this one connection. Please report it.
    #[error("internal error of this side")]
    Internal,
    /// The endpoint's task is gone, because its runtime was shut down or its socket failed for good.
    #[error("the endpoint has stopped")]
    EndpointStopped,
}

/// Shows a reason as `: text`, or as nothing.
struct Reason<'a>(&'a [u8]);

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        // UDX D24: lossy; control characters of a stranger do not belong on a terminal.
        write!(f, ": {}", String::from_utf8_lossy(self.0).escape_debug())
    }
}

/// Shows what is known about why nobody answered, and what may help.
struct Silence(bool, Option<Version>);

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Then the version is hardly the cause.
            Self(true, _) => f.write_str(": its host says that nobody listens on that port"),
            Self(false, Some(version)) => write!(
                f,
                " in UDX version {}, the only one that was tried: if it may speak another, let the version be discovered",
                version.wire()
            ),
            Self(false, None) => Ok(()),
        }
    }
}

impl ConnectionError {
    /// Why a connection is over.
    pub(crate) fn of(connection: &engine::Connection, refused: bool) -> Self {
        use engine::CloseReason;
        let Some(reason) = connection.close_reason() else {
            return Self::EndpointStopped;
        };
        match reason {
            CloseReason::Local { code } => Self::LocallyClosed { code: *code },
            CloseReason::Peer { code, reason } => Self::ClosedByPeer {
                code: *code,
                reason: reason.clone(),
            },
            CloseReason::IdleTimeout => Self::IdleTimeout,
            CloseReason::NoAnswer => Self::NoAnswer {
                refused,
                only: connection.version(),
            },
            CloseReason::StatelessReset => Self::StatelessReset,
            CloseReason::VersionMismatch => Self::VersionMismatch,
            CloseReason::NumbersExhausted => Self::NumbersExhausted,
            CloseReason::MissingPacket => Self::MissingPacket,
            CloseReason::NumberedPerStream => Self::NumberedPerStream,
            // Reasons of later engines: unknown here, so a defect of this side.
            _ => Self::Internal,
        }
    }

    /// Whether this is an orderly end: closed with code 0 by either side.
    pub fn is_clean(&self) -> bool {
        matches!(
            self,
            Self::LocallyClosed { code: 0 } | Self::ClosedByPeer { code: 0, .. }
        )
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::LocallyClosed { .. } | Self::EndpointStopped => io::ErrorKind::NotConnected,
            Self::ClosedByPeer { code: 0, .. } => io::ErrorKind::ConnectionAborted,
            Self::ClosedByPeer { .. } | Self::StatelessReset => io::ErrorKind::ConnectionReset,
            Self::NoAnswer { refused: true, .. } => io::ErrorKind::ConnectionRefused,
            Self::NoAnswer { refused: false, .. } | Self::IdleTimeout | Self::MissingPacket => {
                io::ErrorKind::TimedOut
            }
            Self::VersionMismatch | Self::NumberedPerStream => io::ErrorKind::Unsupported,
            Self::NumbersExhausted | Self::Internal => io::ErrorKind::Other,
        }
    }
}

/// Why a dial could not even start.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint was closed, or its task is gone.
    #[error("the endpoint is closed")]
    EndpointClosed,
    /// The endpoint holds as many connections as its limits allow.
    #[error("the endpoint has as many connections as its limits allow")]
    TooManyConnections,
    /// Nobody can answer from there: an unspecified, multicast or broadcast address, or port 0.
    #[error("{0} is no address that can be dialed")]
    InvalidAddress(SocketAddr),
    /// The endpoint's socket is bound to the other family: an IPv4 socket cannot send to an IPv6 address.
    #[error("{0} is of another address family than the endpoint's socket")]
    AddressFamily(SocketAddr),
    /// The dial was to leave from a fresh port ([`DialFrom`](crate::DialFrom)), and the system has no socket for it.
    #[error(
        "cannot have a fresh UDP port ({0}): allow more open files, or dial from the endpoint's own port"
    )]
    NoFreshPort(io::ErrorKind),
    /// The connection's settings contradict each other or the protocol.
    #[error("the settings of the connection are invalid")]
    InvalidConfig,
}

impl ConnectError {
    pub(crate) fn from_engine(error: &engine::ConnectError, remote: SocketAddr) -> Self {
        match error {
            engine::ConnectError::TooManyConnections => Self::TooManyConnections,
            engine::ConnectError::InvalidAddress => Self::InvalidAddress(remote),
            engine::ConnectError::EndpointClosed => Self::EndpointClosed,
            // Refusals of later engines can only be about what they were given.
            _ => Self::InvalidConfig,
        }
    }
}

/// Why nothing could be written.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer reset the stream, or asked to stop sending (UDX ends both directions then), with this code.
    #[error("the peer stopped the stream with code {0}")]
    Stopped(u32),
    /// This side already finished or reset the stream.
    #[error("the stream was finished or reset by this side")]
    Finished,
    /// The whole connection is over.
    #[error("connection lost: {0}")]
    ConnectionLost(#[from] ConnectionError),
}

/// Why nothing could be read.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer reset the stream with this code. What was not read by then is lost.
    #[error("the peer reset the stream with code {0}")]
    Reset(u32),
    /// This side already stopped or reset the stream.
    #[error("the stream was stopped by this side")]
    Stopped,
    /// The whole connection is over.
    #[error("connection lost: {0}")]
    ConnectionLost(#[from] ConnectionError),
}

/// Why a buffer could not be filled.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum ReadExactError {
    /// The stream ended after this many bytes.
    #[error("the stream ended after {0} bytes")]
    FinishedEarly(usize),
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a stream could not be read to its end.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum ReadToEndError {
    /// The stream is longer than the caller allows.
    #[error("the stream is longer than allowed")]
    TooLong,
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The stream is over: finished, reset or stopped before, or its connection is gone.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("the stream is closed")]
pub struct ClosedStream;

impl From<ConnectionError> for io::Error {
    fn from(error: ConnectionError) -> Self {
        Self::new(error.kind(), error)
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match error {
            ConnectError::EndpointClosed => io::ErrorKind::NotConnected,
            ConnectError::TooManyConnections => io::ErrorKind::QuotaExceeded,
            ConnectError::InvalidAddress(_) | ConnectError::InvalidConfig => {
                io::ErrorKind::InvalidInput
            }
            ConnectError::AddressFamily(_) => io::ErrorKind::AddrNotAvailable,
            ConnectError::NoFreshPort(kind) => kind,
        };
        Self::new(kind, error)
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Stopped(_) => io::ErrorKind::ConnectionReset,
            WriteError::Finished => io::ErrorKind::BrokenPipe,
            WriteError::ConnectionLost(cause) => cause.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Reset(_) => io::ErrorKind::ConnectionReset,
            ReadError::Stopped => io::ErrorKind::NotConnected,
            ReadError::ConnectionLost(cause) => cause.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<ReadExactError> for io::Error {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(_) => Self::new(io::ErrorKind::UnexpectedEof, error),
            ReadExactError::Read(cause) => cause.into(),
        }
    }
}

impl From<ReadToEndError> for io::Error {
    fn from(error: ReadToEndError) -> Self {
        match error {
            ReadToEndError::TooLong => Self::new(io::ErrorKind::FileTooLarge, error),
            ReadToEndError::Read(cause) => cause.into(),
        }
    }
}

impl From<ClosedStream> for io::Error {
    fn from(error: ClosedStream) -> Self {
        Self::new(io::ErrorKind::NotConnected, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_reason_cannot_drive_the_terminal() {
        let error = ConnectionError::ClosedByPeer {
            code: 7,
            reason: b"go\x1b[2J\xff".to_vec(),
        };
        let text = error.to_string();
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.starts_with("closed by the peer with code 7: go"));
    }

    #[test]
    fn io_errors_keep_kind_and_cause() {
        let lost = WriteError::ConnectionLost(ConnectionError::IdleTimeout);
        let error = io::Error::from(lost.clone());
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let cause = error.get_ref().and_then(|e| e.downcast_ref::<WriteError>());
        assert_eq!(cause, Some(&lost));
        let refused = io::Error::from(ConnectionError::NoAnswer {
            refused: true,
            only: None,
        });
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
