//! One connection: its streams, its end, and what can be known about it.

use super::error::ConnectionError;
use super::recv::RecvStream;
use super::send::SendStream;
use super::shared::{Shared, Signals, State};
use gapless_udx::wire::Version;
use gapless_udx::{self as engine, BlockedOn, ConnectionHandle, OpenError, Peer, Side, StreamId};
use std::net::SocketAddr;
use std::sync::Arc;
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
    inner: Arc<ConnectionInner>,
}

/// What a connection's handles and streams share; the last one to go lets the connection go.
pub(crate) struct ConnectionInner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handle: ConnectionHandle,
    signals: Arc<Signals>,
}

impl Drop for ConnectionInner {
    fn drop(&mut self) {
        self.shared
            .operate(|state, now, _| state.abandon(self.handle, now));
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
        attempt: fn(&Self, &mut State) -> Result<Option<R>, ConnectionError>,
    ) -> Result<R, ConnectionError> {
        loop {
            // Before the attempt, so that no signal falls between the two.
            let again = signal(&self.inner.signals).notified();
            if let Some(result) = attempt(self, &mut self.inner.shared.lock())? {
                return Ok(result);
            }
            again.await;
        }
    }

    fn try_open(
        &self,
        state: &mut State,
    ) -> Result<Option<(SendStream, RecvStream)>, ConnectionError> {
        let handle = self.inner.handle;
        match state
            .engine
            .connection_mut(handle)
            .map(engine::Connection::open)
        {
            Some(Ok(id)) => Ok(Some(self.stream(state, id))),
            Some(Err(OpenError::Limit)) => self.unless_over(state),
            Some(Err(_)) | None => Err(state.error_of(handle)),
        }
    }

    fn try_accept(
        &self,
        state: &mut State,
    ) -> Result<Option<(SendStream, RecvStream)>, ConnectionError> {
        let connection = state.engine.connection_mut(self.inner.handle);
        match connection.and_then(engine::Connection::accept) {
            Some(id) => Ok(Some(self.stream(state, id))),
            None => self.unless_over(state),
        }
    }

    fn stream(&self, state: &mut State, id: StreamId) -> (SendStream, RecvStream) {
        if let Some(entry) = state.connections.get_mut(&self.inner.handle) {
            entry.streams.insert(id);
        }
        (
            SendStream::new(self.inner.clone(), id),
            RecvStream::new(self.inner.clone(), id),
        )
    }

    fn unless_over<R>(&self, state: &State) -> Result<Option<R>, ConnectionError> {
        match self.over(state) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    fn over(&self, state: &State) -> Option<ConnectionError> {
        match state.connections.get(&self.inner.handle) {
            Some(entry) => entry.over.clone(),
            None => Some(ConnectionError::EndpointStopped),
        }
    }

    /// Closes the connection now, with an application's code and reason. Code 0 is a clean end.
    ///
    /// What was written and not yet acknowledged is lost, and what the peer's application has not read may be (UDX 7.4: some
    /// implementations discard it). All that waits on the connection, here and there, ends with an error. At most 256 bytes of the
    /// reason are sent. Closing twice is harmless; the first close counts.
    pub fn close(&self, code: u32, reason: &[u8]) {
        self.inner.shared.operate(|state, now, wakes| {
            state.close(self.inner.handle, now, code, reason, wakes);
        });
    }

    /// Waits until the connection is over, and says why. Cancel-safe.
    pub async fn closed(&self) -> ConnectionError {
        self.inner.rouse();
        loop {
            let closed = self.inner.signals.closed.notified();
            let over = self.over(&self.inner.shared.lock());
            if let Some(error) = over {
                return error;
            }
            closed.await;
        }
    }

    /// Why the connection is over, if it is.
    pub fn close_reason(&self) -> Option<ConnectionError> {
        self.over(&self.inner.shared.lock())
    }

    /// Waits for the first answer of the peer. At once for accepted connections.
    pub(super) async fn established(&self) -> Result<(), ConnectionError> {
        loop {
            let connected = self.inner.signals.connected.notified();
            {
                let state = self.inner.shared.lock();
                match state.connections.get(&self.inner.handle) {
                    Some(entry) if entry.connected => return Ok(()),
                    _ => {}
                }
                if let Some(error) = self.over(&state) {
                    return Err(error);
                }
            }
            connected.await;
        }
    }

    /// Whether the network reported, before any answer, that nobody listens there.
    pub(super) fn is_refused(&self) -> bool {
        let state = self.inner.shared.lock();
        let entry = state.connections.get(&self.inner.handle);
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
        let handle = self.inner.handle;
        let before = self.pongs()?.0;
        loop {
            let pong = self.inner.signals.pong.notified();
            let (pongs, rtt) = self.pongs()?;
            if pongs != before {
                return Ok(rtt);
            }
            self.inner.shared.operate(|state, now, _| {
                if let Some(connection) = state.engine.connection_mut(handle) {
                    connection.ping(now);
                }
            });
            let _ = tokio::time::timeout(PING_AGAIN, pong).await;
        }
    }

    fn pongs(&self) -> Result<(u64, Duration), ConnectionError> {
        let state = self.inner.shared.lock();
        match state.connections.get(&self.inner.handle) {
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
        let now = self.inner.shared.now();
        self.ask(
            |connection| connection.blocked_on(now),
            || BlockedOn::Closed,
        )
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
        let state = self.inner.shared.lock();
        match state.engine.connection(self.inner.handle) {
            Some(connection) => what(connection),
            None => unknown(),
        }
    }
}

/// Stands for the address of a connection that the engine does not know.
const UNKNOWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl ConnectionInner {
    pub(crate) fn rouse(&self) {
        self.shared.operate(|_, _, _| ());
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("handle", &self.inner.handle)
            .finish_non_exhaustive()
    }
}
