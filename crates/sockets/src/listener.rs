//! Who waits for connections.

use crate::Host;
use crate::error::AcceptError;
use crate::shared::Core;
use crate::sockets::Sockets;
use crate::stream::Stream;
use crate::waits::{Place, Ticket};
use core::net::SocketAddr;
use core::task::{Context, Poll};
use gapless_tcp::ListenerId;

/// Takes connections that others open. Dropping it resets those that were not accepted.
///
/// Any number of threads and tasks may wait at once; each connection goes to one of them.
#[derive(Debug)]
pub struct Listener<H: Host> {
    sockets: Sockets<H>,
    id: ListenerId,
}

impl<H: Host> Listener<H> {
    pub(crate) const fn new(sockets: Sockets<H>, id: ListenerId) -> Self {
        Self { sockets, id }
    }

    /// The next connection. Of a listener that holds, its SYN is answered now: whoever wants to decide before takes [`offered`](Self::offered).
    ///
    /// Cancel-safe: a dropped future has accepted nobody.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub async fn accept(&self) -> Result<Stream<H>, AcceptError> {
        self.offered().await.map(Offered::answer)
    }

    /// The next connection of a listener that holds, before it is answered.
    ///
    /// Cancel-safe: a dropped future has accepted nobody.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub async fn offered(&self) -> Result<Offered<H>, AcceptError> {
        let attempt = |core: &mut Core| self.attempt(core);
        self.sockets.wait(self.place(), attempt).await
    }

    /// [`accept`](Self::accept) for futures written by hand. The task that polled last is woken.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn poll_accept(&self, cx: &Context<'_>) -> Poll<Result<Stream<H>, AcceptError>> {
        let ticket = &mut Some(Ticket::POLLED);
        let attempt = |core: &mut Core| self.attempt(core);
        let offered = self.sockets.poll(self.place(), ticket, cx.waker(), attempt);
        offered.map_ok(Offered::answer)
    }

    /// The next connection, if there is one.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn try_accept(&self) -> Result<Stream<H>, AcceptError> {
        self.sockets
            .with(|core| self.attempt(core))
            .map(Offered::answer)
    }

    const fn place(&self) -> Place {
        Place::Listener(self.id)
    }

    fn attempt(&self, core: &mut Core) -> Result<Offered<H>, AcceptError> {
        let (id, tuple) = core
            .stack
            .accept_from(self.id)
            .ok_or(AcceptError::WouldBlock)?;
        Ok(Offered {
            stream: Stream::new(self.sockets.clone(), id, tuple),
        })
    }
}

impl<H: Host> Drop for Listener<H> {
    fn drop(&mut self) {
        let now = self.sockets.now();
        let place = self.place();
        let _dropped_unlocked = self.sockets.with(|core| {
            core.stack.unlisten(now, self.id);
            core.leave(place, Ticket::POLLED)
        });
    }
}

/// Somebody who asks for a connection, and has no answer yet. Dropping it refuses.
#[derive(Debug)]
pub struct Offered<H: Host> {
    stream: Stream<H>,
}

impl<H: Host> Offered<H> {
    /// Whom he asks for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr()
    }

    /// Who asks.
    #[must_use]
    pub const fn peer_addr(&self) -> SocketAddr {
        self.stream.peer_addr()
    }

    /// Says yes. What is written goes once the handshake is through; [`Stream::connected`] waits for that.
    #[must_use]
    pub fn answer(self) -> Stream<H> {
        self.stream.answer();
        self.stream
    }
}
