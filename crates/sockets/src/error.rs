//! What calls can say instead of doing.

use crate::waits::OutOfMemory;
use gapless_tcp::CloseReason;

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing has arrived yet; only of the calls that do not wait.
    #[error("nothing has arrived yet")]
    WouldBlock,
    /// The connection broke before the peer's end of the stream.
    #[error("the connection ended before the stream did: {}", why(*.0))]
    Ended(CloseReason),
    /// Nobody moves packets any more.
    #[error("the network interface is gone")]
    Down,
    /// The allocator refused to remember that somebody waits.
    #[error("there is no memory to wait")]
    OutOfMemory,
}

/// Why nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum WriteError {
    /// The send buffer is full; only of the calls that do not wait.
    #[error("the send buffer is full")]
    WouldBlock,
    /// We said that we send no more.
    #[error("the stream was shut down for writing")]
    ShutDown,
    /// The connection is over.
    #[error("the connection is over: {}", why(*.0))]
    Ended(CloseReason),
    /// Nobody moves packets any more.
    #[error("the network interface is gone")]
    Down,
    /// The allocator refused to remember that somebody waits.
    #[error("there is no memory to wait")]
    OutOfMemory,
}

/// Why there is no connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ConnectError {
    /// It was not even tried.
    #[error(transparent)]
    Local(#[from] gapless_tcp::ConnectError),
    /// It is not decided yet; only of the calls that do not wait.
    #[error("the peer has not answered yet")]
    WouldBlock,
    /// It was tried.
    #[error("{}", why(*.0))]
    Failed(CloseReason),
    /// Nobody moves packets any more.
    #[error("the network interface is gone")]
    Down,
    /// The allocator refused to remember that somebody waits.
    #[error("there is no memory to wait")]
    OutOfMemory,
}

/// Why nobody was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nobody has come yet; only of the calls that do not wait.
    #[error("nobody has come yet")]
    WouldBlock,
    /// Nobody moves packets any more.
    #[error("the network interface is gone")]
    Down,
    /// The allocator refused to remember that somebody waits.
    #[error("there is no memory to wait")]
    OutOfMemory,
}

const fn why(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Finished => "both sides had finished",
        CloseReason::Refused => "the peer refused it",
        CloseReason::Reset => "the peer reset it",
        CloseReason::Aborted => "it was aborted on this side",
        CloseReason::TimedOut => "the peer did not answer in time",
    }
}

impl From<gapless_tcp::ReadError> for ReadError {
    fn from(error: gapless_tcp::ReadError) -> Self {
        match error {
            gapless_tcp::ReadError::WouldBlock => Self::WouldBlock,
            gapless_tcp::ReadError::Ended(reason) => Self::Ended(reason),
        }
    }
}

impl From<gapless_tcp::WriteError> for WriteError {
    fn from(error: gapless_tcp::WriteError) -> Self {
        match error {
            gapless_tcp::WriteError::WouldBlock => Self::WouldBlock,
            gapless_tcp::WriteError::ShutDown => Self::ShutDown,
            gapless_tcp::WriteError::Ended(reason) => Self::Ended(reason),
        }
    }
}

/// An error of a call that can wait.
pub(crate) trait Waits: From<OutOfMemory> {
    /// Nobody moves packets any more.
    const DOWN: Self;

    fn is_wait(&self) -> bool;
}

macro_rules! waits {
    ($($error:ty: $wait:pat),*) => {$(
        impl From<OutOfMemory> for $error {
            fn from(OutOfMemory: OutOfMemory) -> Self {
                Self::OutOfMemory
            }
        }

        impl Waits for $error {
            const DOWN: Self = Self::Down;

            fn is_wait(&self) -> bool {
                matches!(self, $wait)
            }
        }
    )*};
}

waits!(ReadError: Self::WouldBlock, WriteError: Self::WouldBlock, AcceptError: Self::WouldBlock, ConnectError: Self::WouldBlock);

#[cfg(feature = "std")]
mod io {
    use super::{AcceptError, CloseReason, ConnectError, ReadError, WriteError};
    use gapless_tcp::ConnectError as Local;
    use std::io::{Error, ErrorKind};

    fn kind(reason: CloseReason) -> ErrorKind {
        match reason {
            CloseReason::Refused => ErrorKind::ConnectionRefused,
            CloseReason::Reset => ErrorKind::ConnectionReset,
            CloseReason::TimedOut => ErrorKind::TimedOut,
            CloseReason::Finished => ErrorKind::BrokenPipe,
            CloseReason::Aborted => ErrorKind::ConnectionAborted,
        }
    }

    impl From<ReadError> for Error {
        fn from(error: ReadError) -> Self {
            let kind = match error {
                ReadError::WouldBlock => ErrorKind::WouldBlock,
                ReadError::Ended(reason) => kind(reason),
                ReadError::Down => ErrorKind::NetworkDown,
                ReadError::OutOfMemory => ErrorKind::OutOfMemory,
            };
            Self::new(kind, error)
        }
    }

    impl From<WriteError> for Error {
        fn from(error: WriteError) -> Self {
            let kind = match error {
                WriteError::WouldBlock => ErrorKind::WouldBlock,
                WriteError::ShutDown => ErrorKind::BrokenPipe,
                WriteError::Ended(reason) => kind(reason),
                WriteError::Down => ErrorKind::NetworkDown,
                WriteError::OutOfMemory => ErrorKind::OutOfMemory,
            };
            Self::new(kind, error)
        }
    }

    impl From<ConnectError> for Error {
        fn from(error: ConnectError) -> Self {
            let kind = match error {
                ConnectError::Local(Local::NoAddress) => ErrorKind::AddrNotAvailable,
                ConnectError::Local(Local::BadAddress) => ErrorKind::InvalidInput,
                ConnectError::Local(Local::InUse) => ErrorKind::AddrInUse,
                ConnectError::Local(Local::Full) => ErrorKind::OutOfMemory,
                ConnectError::WouldBlock => ErrorKind::WouldBlock,
                ConnectError::Failed(reason) => kind(reason),
                ConnectError::Down => ErrorKind::NetworkDown,
                ConnectError::OutOfMemory => ErrorKind::OutOfMemory,
            };
            Self::new(kind, error)
        }
    }

    impl From<AcceptError> for Error {
        fn from(error: AcceptError) -> Self {
            let kind = match error {
                AcceptError::WouldBlock => ErrorKind::WouldBlock,
                AcceptError::Down => ErrorKind::NetworkDown,
                AcceptError::OutOfMemory => ErrorKind::OutOfMemory,
            };
            Self::new(kind, error)
        }
    }
}
