//! What can go wrong between a multiaddr and a byte stream.

use std::{io, time::Duration};

use gapless::{ConnectError, ConnectionError};
use libp2p_core::transport::TransportError;

/// Why listening, dialing or accepting failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A UDP socket could not be bound or configured, or the watch over the network interfaces not started.
    #[error("cannot use the UDP socket: {0}")]
    Socket(#[source] io::Error),
    /// The dial could not even begin.
    #[error("cannot dial: {0}")]
    Dial(#[source] ConnectError),
    /// The connection ended before its first stream was there.
    #[error("the connection ended before its first stream: {0}")]
    Connection(#[source] ConnectionError),
    /// A dialer made a connection and opened no stream on it.
    #[error("the peer opened no stream within {0:?}")]
    NoFirstStream(Duration),
    /// The socket of a listener failed for good, or the runtime is shutting down.
    #[error("the endpoint has stopped")]
    EndpointStopped,
    /// A dial in the role of the listener (hole punching) was asked for, which UDX does not do.
    #[error("UDX cannot dial as the listener of a connection (hole punching)")]
    DialAsListener,
}

impl From<Error> for TransportError<Error> {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
