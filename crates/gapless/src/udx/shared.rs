//! What the driver and the handles share: the engine behind one lock, and who waits for what.

use super::early::Told;
use super::error::ConnectionError;
use super::farewell::Dropped;
use super::socket::{Counters, Socket};
use super::streams::{Stream, Streams};
use super::trace;
use super::versions::PeerVersions;
use super::wakes::{Signals, Wake, Wakes};
use gapless_udx::{self as engine, ConnectionHandle, Event, Instant};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;

/// One endpoint: everything its handles, its connections and its driver have in common.
pub(crate) struct Shared {
    state: Mutex<State>,
    epoch: std::time::Instant,
    /// A connection waits to be accepted, or none will ever come.
    pub(crate) incoming: Notify,
    /// The last connection is gone.
    pub(crate) idle: Notify,
    pub(crate) counters: Arc<Counters>,
}

impl Shared {
    pub(crate) fn new(
        engine: engine::Endpoint,
        socket: Arc<Socket>,
        options: Options,
        versions: PeerVersions,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(engine, socket, options, versions)),
            epoch: std::time::Instant::now(),
            incoming: Notify::new(),
            idle: Notify::new(),
            counters,
        }
    }

    /// The lock is held for short, bounded work: never across a system call, an await or foreign code.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // The engine has no panic path; should this layer have one, other tasks are better served by the state as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks, works, then wakes whom the work concerns.
    pub(crate) fn operate<R>(&self, work: impl FnOnce(&mut State, Instant, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        let now = self.now();
        let result = work(&mut state, now, &mut wakes);
        state.rouse(&mut wakes);
        drop(state);
        wakes.wake(self);
        result
    }

    /// Waits until no connection is left and all goodbyes are said.
    pub(crate) async fn wait_idle(&self) {
        self.lock().idle_waiters += 1;
        let _waiter = IdleWaiter(self);
        loop {
            // Before the look, so that no change falls between the two.
            let idle = self.idle.notified();
            if self.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.instant(std::time::Instant::now())
    }

    pub(crate) fn instant(&self, time: std::time::Instant) -> Instant {
        let since = time.saturating_duration_since(self.epoch).as_nanos();
        Instant::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// `None` beyond what the system's clock can express: never.
    pub(crate) fn system_time(&self, at: Instant) -> Option<std::time::Instant> {
        self.epoch.checked_add(Duration::from_nanos(at.as_nanos()))
    }
}

struct IdleWaiter<'a>(&'a Shared);

impl Drop for IdleWaiter<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.idle_waiters = state.idle_waiters.saturating_sub(1);
    }
}

/// What the application chose for this layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) linger: Duration,
    pub(crate) refusal_patience: Duration,
    pub(crate) version_patience: Duration,
}

pub(crate) struct State {
    pub(crate) engine: engine::Endpoint,
    pub(crate) socket: Arc<Socket>,
    pub(crate) connections: HashMap<ConnectionHandle, Entry>,
    pub(crate) driver: DriverState,
    pub(crate) options: Options,
    pub(super) versions: PeerVersions,
    /// Times at which this layer itself has something to do for a connection.
    pub(super) alarms: BTreeSet<(Instant, ConnectionHandle)>,
    /// Dials without an answer, for which hints of the network matter.
    pub(super) dialing: BTreeSet<ConnectionHandle>,
    /// Whether any `Endpoint` handle is left.
    pub(crate) endpoint_held: bool,
    pub(crate) accepting: bool,
    pub(crate) closed: bool,
    pub(crate) idle_waiters: usize,
    /// What the impairment did, out and back, when the driver last looked.
    pub(crate) impairment: Option<(gapless_link::Counters, gapless_link::Counters)>,
}

/// What handles need to know about the driver's task to wake it no more often than needed.
#[derive(Default)]
pub(crate) struct DriverState {
    pub(crate) waker: Option<Waker>,
    /// It is at work, and will look at `roused` before it sleeps.
    pub(crate) running: bool,
    pub(crate) roused: bool,
    /// It is gone; nothing will ever move again.
    pub(crate) stopped: bool,
}

/// One connection, as this layer sees it.
pub(crate) struct Entry {
    pub(crate) signals: Arc<Signals>,
    pub(crate) streams: Streams,
    pub(crate) connected: bool,
    pub(crate) over: Option<ConnectionError>,
    pub(crate) pongs: u64,
    pub(crate) last_pong: Duration,
    pub(crate) refused: bool,
    /// What an early dial was told so far, as long as it may have to be told again.
    pub(super) told: Option<Box<Told>>,
    pub(super) alarm: Option<Instant>,
    /// No handle is left. It lives on until what was written has arrived.
    pub(super) dropped: Option<Dropped>,
}

impl Entry {
    fn new(connected: bool) -> Self {
        Self {
            signals: Arc::default(),
            streams: Streams::default(),
            connected,
            over: None,
            pongs: 0,
            last_pong: Duration::ZERO,
            refused: false,
            told: None,
            alarm: None,
            dropped: None,
        }
    }

    pub(super) fn end(&mut self, error: ConnectionError, wakes: &mut Wakes) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(error);
        self.told = None;
        // Whoever waits for anything learns of the end, however it came.
        self.streams.wake_all(wakes);
        wakes.add(Wake::Connection(self.signals.clone()));
    }
}

impl State {
    fn new(
        engine: engine::Endpoint,
        socket: Arc<Socket>,
        options: Options,
        versions: PeerVersions,
    ) -> Self {
        Self {
            engine,
            socket,
            connections: HashMap::new(),
            driver: DriverState::default(),
            options,
            versions,
            alarms: BTreeSet::new(),
            dialing: BTreeSet::new(),
            endpoint_held: true,
            accepting: true,
            closed: false,
            idle_waiters: 0,
            impairment: None,
        }
    }

    /// Has the driver look at the engine, by waking it unless it is up anyway.
    pub(crate) fn rouse(&mut self, wakes: &mut Wakes) {
        if !self.driver.roused {
            self.driver.roused = true;
            if !self.driver.running {
                wakes.task(self.driver.waker.clone());
            }
        }
    }

    /// Makes a connection known that the engine has begun.
    pub(crate) fn insert(&mut self, handle: ConnectionHandle, connected: bool) -> Arc<Signals> {
        let mut entry = Entry::new(connected);
        if !connected {
            self.dialing.insert(handle);
        }
        let signals = entry.signals.clone();
        // It may have ended before it was accepted.
        let connection = self.engine.connection(handle);
        if let Some(connection) = connection.filter(|connection| connection.is_closed()) {
            entry.over = Some(ConnectionError::of(connection, false));
        }
        self.connections.insert(handle, entry);
        signals
    }

    /// Passes the engine's events on to those who wait for them. Whether there were any.
    pub(crate) fn dispatch(&mut self, now: Instant, wakes: &mut Wakes) -> bool {
        let mut any = false;
        while let Some((handle, event)) = self.engine.poll_event() {
            any = true;
            trace::event(handle, &event);
            if let Event::Incoming = event {
                self.on_incoming(wakes);
                continue;
            }
            let Some(entry) = self.connections.get_mut(&handle) else {
                // Not accepted yet: all that `accept` needs to know, the engine still knows then.
                continue;
            };
            let signal = |which| Wake::Signal(entry.signals.clone(), which);
            match event {
                Event::Connected => {
                    wakes.add(signal(|s| &s.connected));
                    entry.connected = true;
                    entry.told = None;
                    self.dialing.remove(&handle);
                    self.learn(handle);
                }
                Event::StreamOpened => wakes.add(signal(|s| &s.stream_opened)),
                Event::StreamsAvailable => wakes.add(signal(|s| &s.streams_available)),
                Event::Pong { rtt } => {
                    wakes.add(signal(|s| &s.pong));
                    entry.pongs = entry.pongs.wrapping_add(1);
                    entry.last_pong = rtt;
                }
                Event::Closed => self.on_closed(handle, wakes),
                Event::Readable(id) => {
                    if let Some(connection) = self.engine.connection_mut(handle) {
                        entry.streams.on_readable(id, connection, wakes);
                    }
                    self.settle(handle, now);
                }
                Event::Writable(id) => entry.streams.on_writable(id, wakes),
                Event::Acknowledged(id) => {
                    entry.streams.on_acknowledged(id, wakes);
                    self.tidy(handle, id, now);
                }
                Event::Reset { id, code } => {
                    entry.streams.on_reset(id, code, wakes);
                    self.tidy(handle, id, now);
                }
                // Only for those who watch: `trace` has passed them on.
                _ => {}
            }
        }
        any
    }

    fn on_incoming(&mut self, wakes: &mut Wakes) {
        if self.accepting {
            wakes.add(Wake::Incoming);
            return;
        }
        while let Some(handle) = self.engine.accept() {
            self.engine.release(handle);
        }
    }

    pub(crate) fn set_accepting(&mut self, accepting: bool, wakes: &mut Wakes) {
        self.accepting = accepting;
        self.on_incoming(wakes);
        wakes.add(Wake::Incoming);
    }

    fn on_closed(&mut self, handle: ConnectionHandle, wakes: &mut Wakes) {
        let Some(entry) = self.connections.get_mut(&handle) else {
            return;
        };
        let error = match self.engine.connection(handle) {
            Some(connection) => ConnectionError::of(connection, entry.refused),
            None => ConnectionError::EndpointStopped,
        };
        let dropped = entry.dropped.is_some();
        self.review(handle);
        if let Some(entry) = self.connections.get_mut(&handle) {
            entry.end(error, wakes);
        }
        self.dialing.remove(&handle);
        if dropped {
            self.remove(handle);
        }
    }

    /// The application closes one connection now.
    pub(crate) fn close(
        &mut self,
        handle: ConnectionHandle,
        now: Instant,
        code: u32,
        reason: &[u8],
        wakes: &mut Wakes,
    ) {
        if let Some(connection) = self.engine.connection_mut(handle) {
            connection.close(now, code, reason);
        }
        self.review(handle);
        if let Some(entry) = self.connections.get_mut(&handle) {
            entry.end(ConnectionError::LocallyClosed { code }, wakes);
        }
        self.dialing.remove(&handle);
    }

    /// The application closes everything now.
    pub(crate) fn close_all(&mut self, now: Instant, code: u32, reason: &[u8], wakes: &mut Wakes) {
        self.closed = true;
        self.engine.close(now, code, reason);
        self.end_all(&ConnectionError::LocallyClosed { code }, wakes);
    }

    /// The driver is gone.
    pub(crate) fn stop(&mut self, wakes: &mut Wakes) {
        self.driver.stopped = true;
        self.driver.waker = None;
        self.closed = true;
        self.end_all(&ConnectionError::EndpointStopped, wakes);
    }

    fn end_all(&mut self, error: &ConnectionError, wakes: &mut Wakes) {
        for entry in self.connections.values_mut() {
            entry.end(error.clone(), wakes);
        }
        let dropped = self.connections.iter().filter(|(_, e)| e.dropped.is_some());
        for handle in dropped.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            self.remove(handle);
        }
        self.dialing.clear();
        wakes.add(Wake::Incoming);
        wakes.add(Wake::Idle);
    }

    /// The next time at which the driver must work without being asked.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let engine = self.engine.next_deadline();
        alarm.into_iter().chain(engine).min()
    }

    /// Does what is due; whether anything was.
    pub(crate) fn on_timeout(&mut self, now: Instant, wakes: &mut Wakes) -> bool {
        let mut any = false;
        if self.engine.next_deadline().is_some_and(|at| at <= now) {
            any = true;
            self.engine.handle_timeout(now);
        }
        while let Some((at, handle)) = self.alarms.first().copied() {
            if at > now {
                break;
            }
            any = true;
            self.alarms.remove(&(at, handle));
            self.on_alarm(handle, now, wakes);
        }
        any
    }

    /// Nothing is left that needs the driver, and nobody who could begin something.
    pub(crate) fn is_finished(&self) -> bool {
        !self.endpoint_held && self.connections.is_empty() && self.engine.is_idle()
    }

    /// Tells those who wait for it that nothing is left.
    pub(crate) fn tell_idle(&self, wakes: &mut Wakes) {
        if self.idle_waiters > 0 && self.is_idle() {
            wakes.add(Wake::Idle);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.driver.stopped || self.engine.is_idle()
    }

    /// The stream's bookkeeping, if both it and its connection are known.
    pub(crate) fn stream_mut(
        &mut self,
        handle: ConnectionHandle,
        id: engine::StreamId,
    ) -> Option<&mut Stream> {
        self.connections.get_mut(&handle)?.streams.get_mut(id)
    }

    /// What to add to if an early dial is told something.
    pub(crate) fn told(&mut self, handle: ConnectionHandle) -> Option<&mut Told> {
        self.connections.get_mut(&handle)?.told.as_deref_mut()
    }

    /// Whether it is a dial that nobody has answered yet.
    pub(crate) fn is_unanswered(&self, handle: ConnectionHandle) -> bool {
        self.dialing.contains(&handle)
    }

    /// Why a connection that somebody holds is over, if it is.
    pub(crate) fn over(&self, handle: ConnectionHandle) -> Option<ConnectionError> {
        match self.connections.get(&handle) {
            Some(entry) => entry.over.clone(),
            None => Some(ConnectionError::EndpointStopped),
        }
    }

    /// Why the connection is over, when the engine says that it is.
    pub(crate) fn error_of(&self, handle: ConnectionHandle) -> ConnectionError {
        let entry = self.connections.get(&handle);
        if let Some(error) = entry.and_then(|entry| entry.over.clone()) {
            return error;
        }
        let refused = entry.is_some_and(|entry| entry.refused);
        match self.engine.connection(handle) {
            Some(connection) => ConnectionError::of(connection, refused),
            None => ConnectionError::EndpointStopped,
        }
    }
}
