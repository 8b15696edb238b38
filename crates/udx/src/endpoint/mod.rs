//! All connections of one UDP socket: routing, accepting, and whose turn it is.

mod closed;
mod crowd;
mod early;
mod incoming;
mod random;
mod stateless;
mod table;

use alloc::sync::Arc;
use core::net::SocketAddr;

use gapless_recovery::Instant;

pub(crate) use closed::Remains;
pub(crate) use random::Nonces;

use crate::config::{ConnectionConfig, EndpointConfig, LEAST_DATAGRAM};
use crate::connection::{Connection, Start};
use crate::error::{Broken, ConnectError};
use crate::event::Event;
use crate::wire::ConnectionId;
use closed::ClosedList;
use crowd::Crowd;
use early::Early;
use random::{Random, reset_token};
use stateless::StatelessAnswers;
use table::Table;

pub use table::ConnectionHandle;

/// The engine of one UDP socket: a value that takes datagrams and the time, and gives datagrams, one
/// next deadline, and events. It never looks at a clock and never sends by itself.
///
/// # How to drive it
///
/// After every call that gives it something ([`handle`](Self::handle),
/// [`handle_timeout`](Self::handle_timeout), anything through
/// [`connection_mut`](Self::connection_mut)), call [`poll_transmit`](Self::poll_transmit) until it
/// answers `None`, [`poll_event`](Self::poll_event) until it answers `None`, and set a timer to
/// [`next_deadline`](Self::next_deadline). A caller who does so late, early, or twice loses time and
/// never bytes (P6).
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    /// The settings shared by all connections that have none of their own.
    shared: Arc<ConnectionConfig>,
    random: Random,
    table: Table,
    /// Connections that wait for the application's `accept`, or for the proof of their address.
    crowd: Crowd,
    early: Early,
    closed: ClosedList,
    answers: StatelessAnswers,
    /// No new connections.
    shut: bool,
    /// The latest time the caller told.
    now: Instant,
    stats: EndpointStats,
}

/// What was received, by what became of it. All counts saturate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Datagrams given to `handle`.
    pub datagrams_received: u64,
    /// Datagrams given out by `poll_transmit`.
    pub datagrams_sent: u64,
    /// Datagrams that are no valid packet.
    pub undecodable: u64,
    /// Valid packets of connections nobody knows.
    pub unroutable: u64,
    /// Packets of other wire versions.
    pub other_versions: u64,
    /// Packets of closed connections.
    pub after_close: u64,
    /// First packets ignored because of a limit.
    pub refused: u64,
    /// Accepted connections that made room for others because they never proved their address.
    pub displaced: u64,
    /// Connections dialed and accepted.
    pub connections: u64,
    /// Datagrams that came with an ECN "congestion experienced" mark. Version 3 cannot tell the
    /// sender, so they are only counted.
    pub congestion_marks: u64,
}

/// Explicit congestion notification of a datagram (RFC 3168).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ecn {
    /// ECN-capable transport, codepoint 10.
    Ect0,
    /// ECN-capable transport, codepoint 01.
    Ect1,
    /// Congestion experienced.
    Ce,
}

/// Datagrams that came from one address: one, or a train of equal ones (GRO).
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Who sent them.
    pub from: SocketAddr,
    /// Their ECN mark.
    pub ecn: Option<Ecn>,
    /// The size of each but the last, which may be shorter. At least `data.len()` for one datagram.
    pub segment_size: usize,
    /// The payloads, back to back.
    pub data: &'a [u8],
}

/// Datagrams to send to one address: one, or a train of equal ones (GSO).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// How many bytes of the caller's buffer are filled.
    pub len: usize,
    /// The size of each datagram but the last, which may be shorter. Equal to `len` for one.
    pub segment_size: usize,
    /// Always `None`: version 3 has no frame by which the receiver could report marks, and a sender
    /// that cannot hear of them must not ask for them (RFC 3168 6.1).
    pub ecn: Option<Ecn>,
}

impl Endpoint {
    /// An endpoint without connections. `seed` must be unguessable: connection IDs are drawn from
    /// it, and whoever knows one can close or redirect its connection (V6).
    #[must_use]
    pub fn new(config: EndpointConfig, seed: [u8; 32]) -> Self {
        Endpoint {
            shared: Arc::new(config.connection.clone()),
            answers: StatelessAnswers::new(config.limits.stateless_answers_per_second),
            config,
            random: Random::new(seed),
            table: Table::default(),
            crowd: Crowd::default(),
            early: Early::default(),
            closed: ClosedList::default(),
            shut: false,
            now: Instant::ZERO,
            stats: EndpointStats::default(),
        }
    }

    /// Dials `remote` with the endpoint's settings. The first packet opens the connection and its
    /// first stream at once; that stream is what [`Connection::open`] returns first.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says why nothing was started.
    pub fn connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
    ) -> Result<ConnectionHandle, ConnectError> {
        let config = Arc::clone(&self.shared);
        self.dial(now, remote, config)
    }

    /// Dials `remote` with settings of its own.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says why nothing was started.
    pub fn connect_with(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        config: ConnectionConfig,
    ) -> Result<ConnectionHandle, ConnectError> {
        self.dial(now, remote, Arc::new(config))
    }

    fn dial(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        config: Arc<ConnectionConfig>,
    ) -> Result<ConnectionHandle, ConnectError> {
        self.advance(now);
        if self.shut {
            return Err(ConnectError::EndpointClosed);
        }
        if !is_answerable(&remote) {
            return Err(ConnectError::InvalidAddress);
        }
        config.validate()?;
        if !self.make_place() {
            return Err(ConnectError::TooManyConnections);
        }
        let local_id = self.unused_id();
        let peer_id = self.random.connection_id();
        let start = self.start(local_id, peer_id, remote);
        let connection = Connection::dial(start, config, &self.config.limits);
        self.stats.connections = self.stats.connections.saturating_add(1);
        Ok(self.table.insert(local_id, connection))
    }

    fn start(
        &mut self,
        local_id: ConnectionId,
        peer_id: ConnectionId,
        remote: SocketAddr,
    ) -> Start {
        let secret = self.config.reset_secret.as_ref();
        Start {
            now: self.now,
            local_id,
            peer_id,
            remote,
            seed: self.random.number(),
            nonce_key: self.random.key(),
            token: secret.map(|secret| reset_token(secret, &local_id)),
        }
    }

    /// UDX 7.1: an ID that nothing is routed by.
    fn unused_id(&mut self) -> ConnectionId {
        loop {
            let id = self.random.connection_id();
            if self.table.route(&id).is_none() && !self.closed.contains(&id) {
                return id;
            }
        }
    }

    /// A connection that a peer opened, in order of arrival. May answer differently after
    /// [`handle`](Self::handle), which announces each by [`Event::Incoming`].
    #[must_use]
    pub fn accept(&mut self) -> Option<ConnectionHandle> {
        while let Some(handle) = self.crowd.accept() {
            if self.table.get(handle).is_some() {
                return Some(handle);
            }
        }
        None
    }

    /// The connection, until it is over and [released](Self::release).
    #[must_use]
    pub fn connection(&self, handle: ConnectionHandle) -> Option<&Connection> {
        self.table.get(handle)
    }

    /// The connection, to be used; it then has its turn in the next
    /// [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn connection_mut(&mut self, handle: ConnectionHandle) -> Option<&mut Connection> {
        self.table.get_mut(handle)
    }

    /// All connections that are not gone.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionHandle> + '_ {
        self.table.handles()
    }

    /// The application no longer needs the connection. If it is still open, it is closed with
    /// code 0; its handle names nothing from now on.
    pub fn release(&mut self, handle: ConnectionHandle) {
        let now = self.now;
        if let Some(connection) = self.table.get_mut(handle) {
            connection.close(now, crate::error::code::NONE, b"");
            self.settle(handle);
            self.table.remove(handle);
            self.crowd.forget(handle);
        }
    }

    /// Closes all connections, and refuses new ones from now on.
    pub fn close(&mut self, now: Instant, code: u32, reason: &[u8]) {
        self.advance(now);
        self.shut = true;
        let handles: alloc::vec::Vec<_> = self.table.handles().collect();
        for handle in handles {
            if let Some(connection) = self.table.get_mut(handle) {
                connection.close(self.now, code, reason);
            }
            self.settle(handle);
        }
    }

    /// Whether packets of unknown connections may open one from now on. Those that live go on.
    pub fn set_accepting(&mut self, accept: bool) {
        self.config.accept = accept;
    }

    /// Whether no connection is alive and every peer of a closed one was told. After
    /// [`close`](Self::close), the socket may be dropped then.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.closed.is_quiet() && self.table.connections().all(|(_, c)| c.is_closed())
    }

    /// Writes datagrams that are due into `buffer`, which should have room for at least one of
    /// [`max_datagram`](ConnectionConfig::max_datagram) bytes; with more room, many at once. `None`
    /// when there is nothing to send now, and always with room for less than 256 bytes.
    ///
    /// May answer differently after any call that takes `&mut self`, and after the time of
    /// [`next_deadline`](Self::next_deadline).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        self.advance(now);
        if buffer.len() < usize::from(LEAST_DATAGRAM) {
            return None;
        }
        let transmit = self
            .poll_stateless(buffer)
            .or_else(|| self.poll_connections(buffer))?;
        let sent = transmit.len.div_ceil(transmit.segment_size.max(1));
        let sent = u64::try_from(sent).unwrap_or(u64::MAX);
        self.stats.datagrams_sent = self.stats.datagrams_sent.saturating_add(sent);
        Some(transmit)
    }

    fn poll_stateless(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let (to, len) = self
            .answers
            .poll_transmit(buffer)
            .or_else(|| self.closed.poll_transmit(self.now, buffer))?;
        Some(Transmit {
            to,
            len,
            segment_size: len,
            ecn: None,
        })
    }

    fn poll_connections(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        while let Some(handle) = self.table.next_ready() {
            let now = self.now;
            let max_segments = self.config.limits.max_segments;
            let transmit = self
                .table
                .ready_connection(handle)
                .and_then(|connection| connection.poll_transmit(now, buffer, max_segments));
            self.settle(handle);
            match transmit {
                // The others get their turn before this one's next train.
                Some(transmit) => {
                    self.table.rotate_ready(handle);
                    return Some(transmit);
                }
                None => self.table.done_ready(handle, now),
            }
        }
        self.poll_stateless(buffer)
    }

    /// What happened, in order for each connection. May answer differently after any call that takes
    /// `&mut self`.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<(ConnectionHandle, Event)> {
        self.table.poll_event()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called. After
    /// [`poll_transmit`](Self::poll_transmit) answered `None`, this lies in the future; it may come
    /// earlier than anything is due. May answer differently after any call that takes `&mut self`.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.table.has_ready() || !self.answers.is_empty() {
            return Some(self.now);
        }
        let timers = [
            self.table.next_deadline(),
            self.closed.next_deadline(),
            self.early.next_deadline(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) may have something now; `true` may be wrong.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        self.next_deadline().is_some_and(|at| at <= self.now)
    }

    /// The time of [`next_deadline`](Self::next_deadline) has come. Harmless early, late, and twice.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.closed.expire(self.now);
        self.early.expire(self.now);
        while let Some(handle) = self.table.pop_due(self.now) {
            let now = self.now;
            if let Some(connection) = self.table.get_mut(handle) {
                connection.handle_timeout(now);
            }
            self.settle(handle);
        }
    }

    /// What was received and sent.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        self.stats
    }

    /// Bytes of memory held, but for the application's own copies of `Bytes`.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table
            .connections()
            .map(|(_, connection)| connection.memory())
            .fold(0_usize, usize::saturating_add)
            .saturating_add(self.early.memory())
            .saturating_add(self.closed.memory())
    }

    /// Compares the parts of the engine with each other: for tests and the lab. Slow.
    ///
    /// # Errors
    ///
    /// What contradicts what.
    pub fn check(&self) -> Result<(), Broken> {
        self.table
            .connections()
            .try_for_each(|(_, connection)| connection.check(self.now))
    }

    /// Time does not go back (P6): a caller who tells an earlier time is taken to mean the latest.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Draws the consequences of what just happened to a connection.
    fn settle(&mut self, handle: ConnectionHandle) {
        let capacity = self.config.limits.closed_ids;
        let Some(connection) = self.table.get_mut_quietly(handle) else {
            return;
        };
        if self.crowd.unproven() > 0 && connection.is_proven() {
            self.crowd.prove(handle);
        }
        let token = connection.take_peer_token();
        let remains = connection.take_remains();
        if let Some(token) = token {
            self.table.set_token(handle, token);
        }
        if let Some(remains) = remains {
            self.table.unroute(handle);
            self.closed.add(self.now, remains, capacity);
        }
        self.table.note_events(handle);
    }
}

/// R24: whether an answer to this address could arrive.
fn is_answerable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = match ip {
        core::net::IpAddr::V4(ip) => ip.is_broadcast(),
        core::net::IpAddr::V6(_) => false,
    };
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
