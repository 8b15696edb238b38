//! Waiting for connections.

use super::stack::{Handles, Stack, listen_error};
use super::stream::TcpStream;
use gapless_sockets::{Listener, System};
use gapless_tcp::ListenError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Connections that may wait to be accepted, as with `tokio::net`.
const BACKLOG: usize = 1024;

/// RFC 6335 section 6: ports that nobody is assigned.
const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// Random ports that are tried before all are taken to be in use.
const TRIES: usize = 128;

/// Takes connections that others open, as `tokio::net::TcpListener` does. Dropping it resets those that were not accepted.
#[derive(Debug)]
pub struct TcpListener {
    listener: Listener<System>,
    local: SocketAddr,
    handles: Arc<Handles>,
}

impl TcpListener {
    /// Waits for connections to this address, which may be unspecified (all addresses of the host), and port; 0 is any that is free.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable` if the address is not the host's, `OutOfMemory`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<Self> {
        Self::bind_with(stack, local, BACKLOG)
    }

    /// As [`bind`](Self::bind); at most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub fn bind_with(stack: &Stack, local: SocketAddr, backlog: usize) -> io::Result<Self> {
        let address = Some(local.ip()).filter(|address| !address.is_unspecified());
        let sockets = stack.sockets();
        if address.is_some_and(|it| !sockets.with_stack(|stack| stack.is_ours(it))) {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the address is not this host's",
            ));
        }
        let mut port = local.port();
        for _ in 0..TRIES {
            if local.port() == 0 {
                port = any_port()?;
            }
            match sockets.listen(address, Some(port), backlog) {
                Ok(listener) => {
                    return Ok(Self {
                        listener,
                        local: SocketAddr::new(local.ip(), port),
                        handles: stack.handles(),
                    });
                }
                Err(ListenError::InUse) if local.port() == 0 => {}
                Err(error) => return Err(listen_error(error)),
            }
        }
        Err(listen_error(ListenError::InUse))
    }

    /// The next connection, and who opened it.
    ///
    /// Cancel-safe: a dropped future has accepted nobody.
    ///
    /// # Errors
    /// `NetworkDown`: the device is gone.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let stream = self.listener.accept().await?;
        Ok(self.accepted(stream))
    }

    /// [`accept`](Self::accept) for futures written by hand: the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let stream = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok(self.accepted(stream)))
    }

    /// Where it waits.
    ///
    /// # Errors
    /// None; `tokio::net` has some.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn accepted(&self, stream: gapless_sockets::Stream<System>) -> (TcpStream, SocketAddr) {
        let from = stream.peer_addr();
        (TcpStream::new(stream, self.handles.clone()), from)
    }
}

fn any_port() -> io::Result<u16> {
    let ports = u32::from(*DYNAMIC_PORTS.end() - *DYNAMIC_PORTS.start()) + 1;
    let drawn = getrandom::u32()? % ports;
    Ok(u16::try_from(drawn).unwrap_or(0) + *DYNAMIC_PORTS.start())
}
