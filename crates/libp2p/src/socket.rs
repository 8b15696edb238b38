//! One socket of the transport, from its binding until its last connection is gone.

use std::{io, net::SocketAddr, pin::pin};

use futures::future::{Either, select};
use gapless::Endpoint;
use tokio::runtime;

use crate::{Config, Error, Handle, stats::Registration};

/// An endpoint in use by a listener or for dials.
///
/// When dropped it takes no new connections; those that live keep the socket until they have ended, and
/// [`Handle::wait_idle`] waits for them.
#[derive(Debug)]
pub(crate) struct Socket {
    endpoint: Endpoint,
    registration: Option<Registration>,
    /// Dropping may happen outside of the runtime; what it begins must happen in it.
    runtime: runtime::Handle,
}

impl Socket {
    /// Fails outside of a tokio runtime.
    pub(crate) fn bind(
        config: &Config,
        handle: &Handle,
        local: SocketAddr,
        accept: bool,
    ) -> Result<Self, Error> {
        let runtime =
            runtime::Handle::try_current().map_err(|e| Error::Socket(io::Error::other(e)))?;
        let endpoint = config.bind(local, accept)?;
        Ok(Self {
            registration: Some(handle.register_endpoint(endpoint.clone())),
            endpoint,
            runtime,
        })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let endpoint = self.endpoint.clone();
        let registration = self.registration.take();
        self.runtime.spawn(async move {
            retire(&endpoint).await;
            drop(registration);
        });
    }
}

/// Turns newcomers away until the last connection has ended.
async fn retire(endpoint: &Endpoint) {
    loop {
        let (idle, accepted) = (pin!(endpoint.wait_idle()), pin!(endpoint.accept()));
        match select(idle, accepted).await {
            Either::Right((Some(newcomer), _)) => newcomer.close(NOT_LISTENING, b"not listening"),
            Either::Right((None, _)) | Either::Left(_) => return,
        }
    }
}

/// An application's code: those up to 6 are UDX's own (UDX 15).
const NOT_LISTENING: u32 = 8;
