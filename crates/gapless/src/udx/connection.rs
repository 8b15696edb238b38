//! One connection: its streams, its end, and what can be known about it.

use super::early::Early;
use super::error::ConnectionError;
use super::recv::RecvStream;
use super::send::SendStream;
use super::shared::{Shared, State};
use super::wakes::{Signals, Wakes};
use gapless_udx::wire::Version;
use gapless_udx::{
    self as engine, BlockedOn, ConnectionHandle, Instant, OpenError, Peer, Side, StreamId,
};
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// A ping that stays unanswered for so long is sent again: the question or its answer was lost. The longest PTO between peers that
/// are there (UDX 5: 2 s) would be later than anybody who pings wants.
const PING_AGAIN: Duration = Duration::from_secs(1);

/// A UDX connection.
///
/// A handle: clones, and the streams, share the connection. When the last of them is dropped, the connection delivers what was
/// written (for [`Builder::linger`](crate::Builder::linger) at most) and closes with code 0. Between two programs that may end at
/// any time the surest end is still that of the application: the side that receives last closes
/// ([`close`](Self::close)), the other waits for it ([`closed`](Self::closed)).
#[derive(Clone)]
pub struct Connection {
    pub(super) inner: Arc<ConnectionInner>,
}

/// What a connection's handles and streams share; the last one to go lets the connection go.
pub(crate) struct ConnectionInner {
    pub(super) shared: Arc<Shared>,
    pub(super) handle: ConnectionHandle,
    pub(super) signals: Arc<Signals>,
    pub(super) early: Early,
}

impl ConnectionInner {
    /// Where the connection is: here, unless an early dial was answered only at its second attempt.
    fn place(&self) -> &Self {
        self.early.moved().map_or(self, |second| &second.inner)
    }

    /// The lock of the place where the connection is, and stays as long as the lock is held.
    pub(crate) fn lock(&self) -> (&Self, MutexGuard<'_, State>) {
        loop {
            let place = self.place();
            let state = place.shared.lock();
            // It moves under this lock only.
            if std::ptr::eq(place, self.place()) {
                return (place, state);
            }
        }
    }

    /// Locks, works, then wakes whom the work concerns.
    pub(crate) fn operate<R>(
        &self,
        work: impl FnOnce(&mut State, ConnectionHandle, Instant, &mut Wakes) -> R,
    ) -> R {
        let mut wakes = Wakes::default();
        let (place, mut state) = self.lock();
        let result = work(&mut state, place.handle, place.shared.now(), &mut wakes);
        state.rouse(&mut wakes);
        drop(state);
        wakes.wake(&place.shared);
        self.early.begin();
        result
    }

    /// What a stream is called where the connection is. To be asked under its lock.
    pub(crate) fn name(&self, id: StreamId) -> StreamId {
        self.early.name(id)
    }

    pub(crate) fn rouse(&self) {
        self.operate(|_, _, _, _| ());
    }
}

impl Drop for ConnectionInner {
    fn drop(&mut self) {
        // Here only: whoever else holds the place that it moved to still needs it.
        self.shared
            .operate(|state, now, _| state.abandon(self.handle, now));
        self.early.begin();
    }
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handle: ConnectionHandle,
        signals: Arc<Signals>,
    ) -> Self {
        Self {
            inner: Arc::new(ConnectionInner {
                shared,
                handle,
                signals,
                early: Early::default(),
            }),
        }
    }

    /// Opens a stream. It costs nothing until it is written to, and the peer hears of it only then.
    ///
    /// Waits while as many streams are open as the peer allows. Cancel-safe: a dropped future has opened nothing.
    ///
    /// # Errors
    ///
    /// Why the connection is over.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), ConnectionError> {
        self.when(|signals| &signals.streams_available, Self::try_open)
            .await
    }

    /// The next stream that the peer opened.
    ///
    /// After the peer has closed the connection, streams that had arrived completely before are still given.
    ///
    /// Cancel-safe: a dropped future has taken no stream. Any number of tasks may accept.
    ///
    /// # Errors
    ///
    /// Why the connection is over.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), ConnectionError> {
        self.when(|signals| &signals.stream_opened, Self::try_accept)
            .await
    }

    /// Tries again after each signal until there is a result.
    async fn when<R>(
        &self,
        signal: fn(&Signals) -> &Notify,
        attempt: fn(&Self, &mut State, ConnectionHandle) -> Result<Option<R>, ConnectionError>,
    ) -> Result<R, ConnectionError> {
        loop {
            let place = self.inner.place();
            // Before the attempt, so that no signal falls between the two.
            let again = signal(&place.signals).notified();
            {
                let (here, mut state) = self.inner.lock();
                if !std::ptr::eq(place, here) {
                    continue;
                }
                if let Some(result) = attempt(self, &mut state, here.handle)? {
                    return Ok(result);
                }
            }
            again.await;
        }
    }

    fn try_open(
        &self,
        state: &mut State,
        handle: ConnectionHandle,
    ) -> Result<Option<(SendStream, RecvStream)>, ConnectionError> {
        match state
            .engine
            .connection_mut(handle)
            .map(engine::Connection::open)
        {
            Some(Ok(id)) => {
                if let Some(told) = state.told(handle) {
                    told.opened(id);
                }
                Ok(Some(self.stream(state, handle, id)))
            }
            Some(Err(OpenError::Limit)) => unless_over(state, handle),
            Some(Err(_)) | None => Err(state.error_of(handle)),
        }
    }

    fn try_accept(
        &self,
        state: &mut State,
        handle: ConnectionHandle,
    ) -> Result<Option<(SendStream, RecvStream)>, ConnectionError> {
        let connection = state.engine.connection_mut(handle);
        match connection.and_then(engine::Connection::accept) {
            Some(id) => Ok(Some(self.stream(state, handle, id))),
            None => unless_over(state, handle),
        }
    }

    fn stream(
        &self,
        state: &mut State,
        handle: ConnectionHandle,
        id: StreamId,
    ) -> (SendStream, RecvStream) {
        if let Some(entry) = state.connections.get_mut(&handle) {
            entry.streams.insert(id);
        }
        let place = self.inner.early.moved().unwrap_or(self);
        (
            SendStream::new(place.inner.clone(), id),
            RecvStream::new(place.inner.clone(), id),
        )
    }

    /// Closes the connection now, with an application's code and reason. Code 0 is a clean end.
    ///
    /// What was written and not yet acknowledged is lost, and what the peer's application has not read may be (UDX 7.4: some
    /// implementations discard it). All that waits on the connection, here and there, ends with an error. At most 256 bytes of the
    /// reason are sent. Closing twice is harmless; the first close counts.
    pub fn close(&self, code: u32, reason: &[u8]) {
        self.inner.operate(|state, handle, now, wakes| {
            state.close(handle, now, code, reason, wakes);
        });
    }

    /// Waits until the connection is over, and says why. Cancel-safe.
    pub async fn closed(&self) -> ConnectionError {
        self.inner.rouse();
        let closed = self.when(
            |signals| &signals.closed,
            |_, state, handle| Ok(state.over(handle)),
        );
        closed.await.unwrap_or_else(|error| error)
    }

    /// Why the connection is over, if it is.
    pub fn close_reason(&self) -> Option<ConnectionError> {
        let (place, state) = self.inner.lock();
        state.over(place.handle)
    }

    /// Waits for the first answer of the peer. At once for accepted connections.
    pub(super) async fn established(&self) -> Result<(), ConnectionError> {
        let connected = |_: &Self, state: &mut State, handle| match state.connections.get(&handle) {
            Some(entry) if entry.connected => Ok(Some(())),
            _ => unless_over(state, handle),
        };
        self.when(|signals| &signals.connected, connected).await
    }

    /// Whether the network reported, before any answer, that nobody listens there.
    pub(super) fn is_refused(&self) -> bool {
        let (place, state) = self.inner.lock();
        let entry = state.connections.get(&place.handle);
        entry.is_some_and(|entry| entry.refused)
    }

    /// Asks the peer whether it is there; gives the time its answer took. Every implementation answers.
    ///
    /// Goes on asking until the connection is over: wrap it in a timeout to wait less. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Why the connection is over.
    pub async fn ping(&self) -> Result<Duration, ConnectionError> {
        let before = self.pongs()?.0;
        loop {
            let pong = self.inner.place().signals.pong.notified();
            let (pongs, rtt) = self.pongs()?;
            if pongs != before {
                return Ok(rtt);
            }
            self.inner.operate(|state, handle, now, _| {
                if let Some(connection) = state.engine.connection_mut(handle) {
                    connection.ping(now);
                }
            });
            let _ = tokio::time::timeout(PING_AGAIN, pong).await;
        }
    }

    fn pongs(&self) -> Result<(u64, Duration), ConnectionError> {
        let (place, state) = self.inner.lock();
        match state.connections.get(&place.handle) {
            None => Err(ConnectionError::EndpointStopped),
            Some(entry) => match &entry.over {
                Some(error) => Err(error.clone()),
                None => Ok((entry.pongs, entry.last_pong)),
            },
        }
    }

    /// The peer's address. It changes when the peer moves.
    pub fn remote_address(&self) -> SocketAddr {
        self.ask(engine::Connection::remote_address, || UNKNOWN)
    }

    /// The smoothed round trip time, once measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.stats().rtt
    }

    /// What the connection did so far, and how its path is doing.
    pub fn stats(&self) -> engine::Stats {
        self.ask(engine::Connection::stats, engine::Stats::default)
    }

    /// What the connection waits for right now: the answer to "why is this slow".
    pub fn blocked_on(&self) -> BlockedOn {
        let (place, state) = self.inner.lock();
        let connection = state.engine.connection(place.handle);
        connection.map_or(BlockedOn::Closed, |connection| {
            connection.blocked_on(place.shared.now())
        })
    }

    /// Which implementation the peer is, as far as its packets told.
    pub fn peer(&self) -> Peer {
        self.ask(engine::Connection::peer, Peer::default)
    }

    /// The wire version that the connection speaks; `None` for a dial that is to find out and has no answer yet.
    pub fn version(&self) -> Option<Version> {
        self.ask(engine::Connection::version, || None)
    }

    /// Which side of the connection this is.
    pub fn side(&self) -> Side {
        self.ask(engine::Connection::side, || Side::Dialer)
    }

    /// A number that no other connection in this process has while this one is in use.
    pub fn stable_id(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// Asks the engine, which knows the connection as long as there is a handle.
    fn ask<R>(&self, what: impl FnOnce(&engine::Connection) -> R, unknown: fn() -> R) -> R {
        let (place, state) = self.inner.lock();
        match state.engine.connection(place.handle) {
            Some(connection) => what(connection),
            None => unknown(),
        }
    }
}

fn unless_over<R>(state: &State, handle: ConnectionHandle) -> Result<Option<R>, ConnectionError> {
    match state.over(handle) {
        Some(error) => Err(error),
        None => Ok(None),
    }
}

/// Stands for the address of a connection that the engine does not know.
const UNKNOWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("handle", &self.inner.place().handle)
            .finish_non_exhaustive()
    }
}
