//! A connection.

use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::stack::{Handles, Stack};
use gapless_sockets::{Stream, System};
use gapless_tcp::{BlockedOn, ConnectionStats};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A connection, as `tokio::net::TcpStream`: what each call means at its end is in the table of `docs/tcp.md`.
///
/// Dropping it lets go: what was written is still delivered, as long as the runtime lives. If something is unread then, or comes later, the peer is told
/// by a reset.
#[derive(Debug)]
pub struct TcpStream {
    pub(super) inner: Arc<Inner>,
}

/// The stream goes before what keeps the host alive.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) stream: Stream<System>,
    #[expect(dead_code, reason = "held, so that the host lives")]
    handles: Arc<Handles>,
}

impl TcpStream {
    pub(super) fn new(stream: Stream<System>, handles: Arc<Handles>) -> Self {
        Self {
            inner: Arc::new(Inner { stream, handles }),
        }
    }

    /// Dials.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `AddrNotAvailable` if the host has no address of the peer's family, `InvalidInput` for an address
    /// that is no host's, `NetworkDown`.
    pub async fn connect(stack: &Stack, remote: SocketAddr) -> io::Result<Self> {
        let stream = stack.sockets().connect(None, remote).await?;
        Ok(Self::new(stream, stack.handles()))
    }

    /// As [`connect`](Self::connect), from this address of the host and this port; 0 is any that is free.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and `AddrInUse`.
    pub async fn connect_from(
        stack: &Stack,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Self> {
        let stream = stack.sockets().connect(Some(local), remote).await?;
        Ok(Self::new(stream, stack.handles()))
    }

    /// Our end.
    ///
    /// # Errors
    /// None; `tokio::net` has some.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.stream().local_addr())
    }

    /// The peer's end.
    ///
    /// # Errors
    /// None; `tokio::net` has some.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.stream().peer_addr())
    }

    /// Waits until there is something to read, or the end, or an error.
    ///
    /// # Errors
    /// None: reading tells.
    pub async fn readable(&self) -> io::Result<()> {
        let _ = self.stream().readable().await;
        Ok(())
    }

    /// Waits until there is room to write, or an error.
    ///
    /// # Errors
    /// None: writing tells.
    pub async fn writable(&self) -> io::Result<()> {
        let _ = self.stream().writable().await;
        Ok(())
    }

    /// Reads and does not wait; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock`, and those of reading.
    pub fn try_read(&self, to: &mut [u8]) -> io::Result<usize> {
        Ok(self.stream().try_read(to)?)
    }

    /// Writes and does not wait.
    ///
    /// # Errors
    /// `WouldBlock`, and those of writing.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        Ok(self.stream().try_write(octets)?)
    }

    /// Copies what could be read and leaves it to be read; waits for it. 0 is the end.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn peek(&self, to: &mut [u8]) -> io::Result<usize> {
        Ok(self.stream().peek(to).await?)
    }

    /// Waits until the peer's host has acknowledged everything that was written, and after a shutdown the end of the stream. `flush` does nothing, as
    /// that of `tokio::net`.
    ///
    /// # Errors
    /// The connection ended before.
    pub async fn delivered(&self) -> io::Result<()> {
        Ok(self.stream().delivered().await?)
    }

    /// Whether small segments leave at once.
    ///
    /// # Errors
    /// None; `tokio::net` has some.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream().set_nodelay(nodelay);
        Ok(())
    }

    /// Whether they do.
    ///
    /// # Errors
    /// None; `tokio::net` has some.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.stream().nodelay())
    }

    /// With zero, dropping the stream resets the connection. With any other, and with none, what was written is delivered in the background: dropping
    /// never waits.
    ///
    /// # Errors
    /// None; `tokio::net` has some.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.stream().set_linger(linger);
        Ok(())
    }

    /// How long something sent may go unacknowledged before the connection is given up; `None`: for ever.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        self.stream().set_user_timeout(timeout);
    }

    /// What keeps it from sending now.
    #[must_use]
    pub fn blocked_on(&self) -> BlockedOn {
        self.stream().blocked_on()
    }

    /// How it fares.
    #[must_use]
    pub fn stats(&self) -> Option<ConnectionStats> {
        self.stream().stats()
    }

    /// Both directions, as long as the stream is borrowed.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self.stream()), WriteHalf(self.stream()))
    }

    /// Both directions, to be taken anywhere. Dropping the one that writes ends the stream of what is written.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        super::split::split(self)
    }

    pub(super) fn stream(&self) -> &Stream<System> {
        &self.inner.stream
    }
}
