//! One connection.

use crate::error::{ConnectError, ReadError, WriteError};
use crate::shared::Core;
use crate::sockets::Sockets;
use crate::waits::{Place, Side, Ticket};
use crate::{Host, Tuple};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use gapless_tcp::{BlockedOn, CloseReason, ConnectionStats, Id};

/// A connection's two streams of octets.
///
/// Everything takes `&self`: any number of threads and tasks may read and write at once; each octet is read once, by whoever came
/// first. What `async fn`s wait for, they wait for beside each other. The `poll_` functions share one place for each direction: the task that polled
/// last is woken, as with the streams of tokio.
///
/// Dropping it lets go: what was written is still delivered. If something is unread then, or comes later, the peer is told by a reset (RFC 1122
/// 4.2.2.13), as by the sockets of systems.
#[derive(Debug)]
pub struct Stream<H: Host> {
    sockets: Sockets<H>,
    id: Id,
    tuple: Tuple,
    aborts: AtomicBool,
    is_read_shut: AtomicBool,
}

impl<H: Host> Stream<H> {
    pub(crate) const fn new(sockets: Sockets<H>, id: Id, tuple: Tuple) -> Self {
        Self {
            sockets,
            id,
            tuple,
            aborts: AtomicBool::new(false),
            is_read_shut: AtomicBool::new(false),
        }
    }

    /// Our end.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.tuple.local
    }

    /// The peer's end.
    #[must_use]
    pub const fn peer_addr(&self) -> SocketAddr {
        self.tuple.remote
    }

    /// The handle it came from.
    #[must_use]
    pub const fn sockets(&self) -> &Sockets<H> {
        &self.sockets
    }

    /// Waits until it is open.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connected(&self) -> Result<(), ConnectError> {
        let place = self.place(Side::Open);
        self.sockets
            .wait(place, |core| self.attempt_open(core))
            .await
    }

    /// Takes up to `to.len()` octets; none at the end of the peer's stream.
    ///
    /// Cancel-safe: a dropped future has read nothing.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self, to: &mut [u8]) -> Result<usize, ReadError> {
        let place = self.place(Side::Read);
        self.sockets
            .wait(place, |core| self.attempt_read(core, to))
            .await
    }

    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    /// [`ReadError`]: as [`read`](Self::read) would.
    pub async fn readable(&self) -> Result<(), ReadError> {
        let place = self.place(Side::Read);
        self.sockets
            .wait(place, |core| self.attempt_peek(core, &mut []).map(drop))
            .await
    }

    /// Copies up to `to.len()` octets and leaves them to be read; none at the end of the peer's stream.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn peek(&self, to: &mut [u8]) -> Result<usize, ReadError> {
        let place = self.place(Side::Read);
        self.sockets
            .wait(place, |core| self.attempt_peek(core, to))
            .await
    }

    /// Gives as many octets as there is room for, one at least.
    ///
    /// Cancel-safe: a dropped future has written nothing.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn write(&self, octets: &[u8]) -> Result<usize, WriteError> {
        let place = self.place(Side::Write);
        self.sockets
            .wait(place, |core| self.attempt_write(core, octets))
            .await
    }

    /// Waits until there is room to write.
    ///
    /// # Errors
    /// [`WriteError`]: as [`write`](Self::write) would.
    pub async fn writable(&self) -> Result<(), WriteError> {
        let place = self.place(Side::Write);
        self.sockets
            .wait(place, |core| self.attempt_room(core))
            .await
    }

    /// Gives all octets.
    ///
    /// Not cancel-safe: a dropped future may have written any part.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn write_all(&self, octets: &[u8]) -> Result<(), WriteError> {
        let mut written = 0_usize;
        while let Some(rest) = octets.get(written..).filter(|rest| !rest.is_empty()) {
            written = written.saturating_add(self.write(rest).await?);
        }
        Ok(())
    }

    /// Waits until the peer has acknowledged everything that was written, and after [`shutdown`](Self::shutdown) the end of the stream. The peer's
    /// host has it then; whether its application does, only an answer tells.
    ///
    /// # Errors
    /// [`WriteError::Ended`]: the peer may not have everything.
    pub async fn delivered(&self) -> Result<(), WriteError> {
        let place = self.place(Side::Flush);
        self.sockets
            .wait(place, |core| self.attempt_flush(core))
            .await
    }

    /// Reads and does not wait.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn try_read(&self, to: &mut [u8]) -> Result<usize, ReadError> {
        self.sockets.with(|core| self.attempt_read(core, to))
    }

    /// Writes and does not wait.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn try_write(&self, octets: &[u8]) -> Result<usize, WriteError> {
        self.sockets.with(|core| self.attempt_write(core, octets))
    }

    /// [`connected`](Self::connected) for futures written by hand.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn poll_connected(&self, cx: &Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.poll(Side::Open, cx, |core| self.attempt_open(core))
    }

    /// [`read`](Self::read) for futures written by hand. May change its answer: when packets arrive, and when a timer of the connection ends it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn poll_read(&self, cx: &Context<'_>, to: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        self.poll(Side::Read, cx, |core| self.attempt_read(core, to))
    }

    /// [`peek`](Self::peek) for futures written by hand.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn poll_peek(&self, cx: &Context<'_>, to: &mut [u8]) -> Poll<Result<usize, ReadError>> {
        self.poll(Side::Read, cx, |core| self.attempt_peek(core, to))
    }

    /// [`write`](Self::write) for futures written by hand. May change its answer: when the peer acknowledges, when a timer ends the connection, and
    /// when somebody shuts the stream down.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn poll_write(&self, cx: &Context<'_>, octets: &[u8]) -> Poll<Result<usize, WriteError>> {
        self.poll(Side::Write, cx, |core| self.attempt_write(core, octets))
    }

    /// [`delivered`](Self::delivered) for futures written by hand.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn poll_delivered(&self, cx: &Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll(Side::Flush, cx, |core| self.attempt_flush(core))
    }

    /// We send no more: the peer reads the end of the stream behind what was written. Who waits for room to write is told.
    pub fn shutdown(&self) {
        let now = self.sockets.now();
        self.sockets.with(|core| core.stack.shutdown(now, self.id));
        self.wake(Side::Write);
    }

    /// Nothing that comes from now on matters: a read that would wait says that the stream has ended. The peer is not told, and after a while has no
    /// room to send; dropping the stream tells.
    pub fn shutdown_read(&self) {
        self.is_read_shut.store(true, Ordering::Relaxed);
        self.wake(Side::Read);
    }

    /// Ends it at once: what was not delivered is lost, the peer gets a reset, and who waits is told.
    pub fn abort(&self) {
        let now = self.sockets.now();
        self.sockets.with(|core| core.stack.abort(now, self.id));
    }

    /// With a linger of zero, dropping it is as [`abort`](Self::abort). With any other, and with none, what was written is still delivered, in the
    /// background: dropping never waits.
    pub fn set_linger(&self, linger: Option<Duration>) {
        self.aborts
            .store(linger == Some(Duration::ZERO), Ordering::Relaxed);
    }

    /// Whether small segments leave at once, instead of waiting for the acknowledgment of others (RFC 9293 3.7.4).
    pub fn set_nodelay(&self, nodelay: bool) {
        self.sockets
            .with(|core| core.stack.set_nagle(self.id, !nodelay));
    }

    /// Whether they do.
    #[must_use]
    pub fn nodelay(&self) -> bool {
        self.ask(|connection| !connection.has_nagle())
            .unwrap_or_default()
    }

    /// How long something sent may go unacknowledged before the connection is given up; `None`: for ever.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        let now = self.sockets.now();
        self.sockets
            .with(|core| core.stack.set_user_timeout(now, self.id, timeout));
    }

    /// What keeps it from sending now.
    #[must_use]
    pub fn blocked_on(&self) -> BlockedOn {
        let now = self.sockets.now();
        self.ask(|connection| connection.blocked_on(now))
            .unwrap_or(BlockedOn::Over)
    }

    /// How it fares.
    #[must_use]
    pub fn stats(&self) -> Option<ConnectionStats> {
        self.ask(gapless_tcp::Connection::stats)
    }

    /// Why it ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        self.ask(gapless_tcp::Connection::ended).flatten()
    }

    /// Answers a SYN that was held.
    pub(crate) fn answer(&self) {
        let now = self.sockets.now();
        self.sockets.with(|core| core.stack.answer(now, self.id));
    }

    fn ask<R>(&self, question: impl FnOnce(&gapless_tcp::Connection) -> R) -> Option<R> {
        self.sockets
            .with(|core| core.stack.connection(self.id).map(question))
    }

    const fn place(&self, side: Side) -> Place {
        Place::Connection(self.id, side)
    }

    fn poll<R, E: crate::error::Waits>(
        &self,
        side: Side,
        cx: &Context<'_>,
        attempt: impl FnOnce(&mut Core) -> Result<R, E>,
    ) -> Poll<Result<R, E>> {
        let place = self.place(side);
        let ticket = &mut Some(Ticket::POLLED);
        self.sockets.poll(place, ticket, cx.waker(), attempt)
    }

    /// Wakes who waits on this side for something that the engine does not know of.
    fn wake(&self, side: Side) {
        while let Some(waker) = self.sockets.with(|core| core.next_wake_of(self.id, side)) {
            waker.wake();
        }
    }

    fn attempt_open(&self, core: &mut Core) -> Result<(), ConnectError> {
        let connection = core.stack.connection(self.id).ok_or(ConnectError::Down)?;
        match connection.ended() {
            _ if !crate::waits::is_open(connection) => Err(ConnectError::WouldBlock),
            // The peer may have sent all it had and gone by now.
            None | Some(CloseReason::Finished) => Ok(()),
            Some(reason) => Err(ConnectError::Failed(reason)),
        }
    }

    fn attempt_read(&self, core: &mut Core, to: &mut [u8]) -> Result<usize, ReadError> {
        match core.stack.read(self.id, to) {
            Err(gapless_tcp::ReadError::WouldBlock) => self.nothing_to_read(),
            read => Ok(read?),
        }
    }

    fn nothing_to_read(&self) -> Result<usize, ReadError> {
        if self.is_read_shut.load(Ordering::Relaxed) {
            return Ok(0);
        }
        Err(ReadError::WouldBlock)
    }

    fn attempt_peek(&self, core: &mut Core, to: &mut [u8]) -> Result<usize, ReadError> {
        let connection = core.stack.connection(self.id).ok_or(ReadError::Down)?;
        if !connection.may_read() {
            return self.nothing_to_read();
        }
        let (first, second) = connection.peek();
        if first.is_empty() {
            // The end, or an error: reading tells, and there is nothing that it could take.
            return Ok(core.stack.read(self.id, &mut [0])?);
        }
        let octets = first.iter().chain(second);
        let copied = to.iter_mut().zip(octets).map(|(to, octet)| *to = *octet);
        Ok(copied.count())
    }

    fn attempt_write(&self, core: &mut Core, octets: &[u8]) -> Result<usize, WriteError> {
        if core.is_down() {
            return Err(WriteError::Down);
        }
        Ok(core.stack.write(self.id, octets)?)
    }

    fn attempt_room(&self, core: &mut Core) -> Result<(), WriteError> {
        let connection = core.stack.connection(self.id).ok_or(WriteError::Down)?;
        if !connection.may_write() {
            return Err(WriteError::WouldBlock);
        }
        self.attempt_write(core, &[]).map(drop)
    }

    fn attempt_flush(&self, core: &mut Core) -> Result<(), WriteError> {
        let connection = core.stack.connection(self.id).ok_or(WriteError::Down)?;
        match connection.ended() {
            _ if connection.is_flushed() => Ok(()),
            Some(reason) => Err(WriteError::Ended(reason)),
            None => Err(WriteError::WouldBlock),
        }
    }
}

impl<H: Host> Drop for Stream<H> {
    fn drop(&mut self) {
        let now = self.sockets.now();
        let aborts = self.aborts.load(Ordering::Relaxed);
        let _dropped_unlocked = self.sockets.with(|core| {
            if aborts {
                core.stack.abort(now, self.id);
            }
            core.stack.release(now, self.id);
            // What polled it last waits for nothing any more, and its place will be another's.
            let sides = [Side::Open, Side::Read, Side::Write, Side::Flush];
            sides.map(|side| core.leave(self.place(side), Ticket::POLLED))
        });
    }
}
