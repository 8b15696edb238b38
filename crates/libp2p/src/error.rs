//! What can go wrong between a multiaddr and a byte stream.

use std::{error, io, time::Duration};

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

/// Finds out why the UDX connection ended, if that is what an error of a Swarm comes from.
///
/// A dial that nobody answers fails in the middle of the upgrade, and the Swarm wraps the cause in the errors of every
/// layer in between.
///
/// ```
/// # fn explain(errors: &[(libp2p::Multiaddr, libp2p::TransportError<std::io::Error>)]) {
/// use libp2p_udx::ConnectionError;
///
/// // From `DialError::Transport(errors)`:
/// for (address, error) in errors {
///     match libp2p_udx::connection_error(error) {
///         Some(ConnectionError::NoAnswer { .. }) => println!("nobody answers at {address}"),
///         Some(cause) => println!("{address}: {cause}"),
///         None => println!("{address}: {error}"),
///     }
/// }
/// # }
/// ```
#[must_use]
pub fn connection_error<'a>(
    error: &'a (dyn error::Error + 'static),
) -> Option<&'a ConnectionError> {
    let mut next = Some(error);
    for _ in 0..MOST_LAYERS {
        let error = next?;
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The error inside an io::Error is not its source; that would be the inner error's source.
        let inner = error.downcast_ref().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// No chain of errors is so long, unless it has a ring in it.
const MOST_LAYERS: usize = 100;
