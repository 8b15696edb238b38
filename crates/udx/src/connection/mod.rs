//! One connection: a value that packets and the time go into, and packets come out of.

mod acks;
mod api;
mod check;
mod control;
mod path;
mod recv;
mod send;
mod stats;
mod streams;
mod timers;
mod v2;
mod write;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::SocketAddr;

use gapless_recovery::{Algorithm, Bbr, Config, Instant, MtuConfig, Numbering, Recovery};

use crate::config::{ConnectionConfig, VersionChoice};
use crate::endpoint::{Nonces, Remains};
use crate::error::{CloseReason, PeerMisbehaved, code};
use crate::event::Event;
use crate::limits::Limits;
use crate::peer::{Clues, MAX_ACK_DELAY, Peer, Rules, announce_max_data};
use crate::stream::Piece;
use crate::wire::reset::Token;
use crate::wire::{ConnectionId, Version};
use acks::Acks;
use path::Path;
use streams::Streams;

pub use stats::{BlockedOn, Stats};
pub use streams::StreamId;

/// Events kept for an application that does not fetch them; then those of loss recovery are
/// dropped, which are the only ones that come without end.
const MAX_TRACE_EVENTS: usize = 64;

/// MAX_DATA until it is heard (UDX 10.2), in bytes.
const INITIAL_MAX_DATA: u64 = 1 << 20;

/// The largest datagram of version 2, in bytes: what Dart sends (UDX2 D22).
const LARGEST_V2: u16 = 1422;

/// The longest pause between repetitions (UDX 5, 18.2), in the peers and here.
const MAX_BACKOFF: core::time::Duration = core::time::Duration::from_secs(2);

/// The longest single timeout (UDX 5.3), as the peers have it. A JS acceptor whose challenges were lost holds its acknowledgements back
/// until its allowance lets them go, and calls them prompt.
const MAX_TIMEOUT: core::time::Duration = core::time::Duration::from_secs(5);

/// One connection of an [`Endpoint`](crate::Endpoint).
#[derive(Debug)]
pub struct Connection {
    side: Side,
    /// A property of the connection, not of the engine (UDX 19): the version of what it sends.
    version: Version,
    /// What version 2 needs besides; also of a dialer that may come to speak it.
    v2: Option<Box<v2::V2>>,
    /// Before its first answer, a dialer was told that its version is not spoken there.
    refused_version: bool,
    local_id: ConnectionId,
    peer_id: ConnectionId,
    config: Arc<ConnectionConfig>,
    limits: SendLimits,
    closed: Option<Closed>,
    peer: Peer,
    rules: &'static Rules,
    clues: Clues,
    path: Path,
    recovery: Recovery<Carried>,
    acks: Acks,
    streams: Streams,
    owed: Owed,
    clock: Clock,
    events: VecDeque<Event>,
    counts: stats::Counts,
}

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// This side sent the first packet.
    Dialer,
    /// The peer did.
    Acceptor,
}

/// What a number carried: the record of the sent log (P1). The bytes of a stream stay in its send
/// buffer; the boundaries never change (V1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Carried {
    /// A STREAM frame.
    Stream { id: u32, piece: Piece },
    /// A SYN for no stream, as Go and JS dial (UDX 7.2): it opens the connection when the stream that
    /// was to do so was given up before.
    Open,
    /// RESET_STREAM or STOP_SENDING with a PING, towards peers that acknowledge PINGs (V5).
    End(control::Ending),
    /// PATH_RESPONSE with a PING, likewise: a lost one would hold an acceptor at three times what
    /// it received.
    Response { nonce: u64 },
    /// A PING that asks for an acknowledgement and nothing else.
    Ping,
    /// PING and MTU_PROBE.
    MtuProbe,
}

/// What bounds sending besides congestion control.
#[derive(Debug)]
struct SendLimits {
    /// MAX_DATA: bytes the peer lets us have in flight (D11).
    max_data: u64,
    send_buffer: u64,
    max_records: usize,
    /// What we announce.
    own_max_data: u64,
}

/// Control frames that wait to be sent.
#[derive(Debug, Default)]
struct Owed {
    /// PATH_RESPONSEs and where to.
    responses: VecDeque<(SocketAddr, u64)>,
    /// MAX_DATA and MAX_STREAMS, in a packet of their own.
    announcement: bool,
    /// The peer has our MAX_DATA and MAX_STREAMS: something that went with them was acknowledged.
    announced: bool,
    /// The connection is still to be opened, and no stream may be left that does it.
    opening: bool,
    endings: VecDeque<control::PendingEnd>,
    /// NEW_CONNECTION_ID with this token.
    token: Option<Token>,
    data_blocked_at: Option<Instant>,
}

/// Times that matter.
#[derive(Debug)]
struct Clock {
    /// The latest time that the endpoint told.
    now: Instant,
    opened: Instant,
    /// A packet of this connection last came then.
    heard: Instant,
    /// Something valid ever came from the peer.
    answered: bool,
    keep_alive_asked: Option<Instant>,
    /// The pacer lets the next packet go then.
    paced_until: Option<Instant>,
    /// `ping` was called then.
    pinged: Option<Instant>,
    /// More streams may be opened then (D12).
    opening_until: Option<Instant>,
    /// Since when the streams of this round trip are counted, and how many were opened (D12).
    round: (Instant, u32),
    /// Every number of a packet that opened a stream is below this one.
    opened_below: u64,
}

#[derive(Debug)]
struct Closed {
    reason: CloseReason,
    /// What the endpoint keeps of the connection, until it fetches it.
    remains: Option<Remains>,
}

/// What the endpoint knows of a new connection.
pub(crate) struct Start {
    pub(crate) now: Instant,
    pub(crate) local_id: ConnectionId,
    pub(crate) peer_id: ConnectionId,
    pub(crate) remote: SocketAddr,
    /// Where the IDs of streams start: seen by everybody on the path.
    pub(crate) seed: u64,
    /// What challenges are derived from: seen by nobody.
    pub(crate) nonce_key: [u8; 32],
    pub(crate) token: Option<Token>,
}

impl Connection {
    /// UDX 18.2: one packet opens the connection and its first stream.
    pub(crate) fn dial(start: Start, config: Arc<ConnectionConfig>, limits: &Limits) -> Self {
        let path = Path::dialed(start.remote, Nonces::new(start.nonce_key));
        let v2 = v2::V2::for_dialer(&config);
        let version = match config.version {
            VersionChoice::Only(version) => version,
            // UDX 13: a version 3 SYN is answered in either version.
            VersionChoice::Discover => Version::V3,
        };
        let mut connection =
            Connection::new(start, Side::Dialer, path, config, limits, version, v2);
        let first = connection.streams.open();
        if connection.v2.is_some()
            && let Some(stream) = connection.streams.get_mut(first)
        {
            stream.send.open_connection();
        }
        connection.streams.first = Some(first);
        connection.streams.queue(first);
        connection
    }

    /// UDX 18.3. The packet that opens it is handled next; its version is the connection's (UDX 13).
    pub(crate) fn accept_from(
        start: Start,
        config: Arc<ConnectionConfig>,
        limits: &Limits,
        version: Version,
    ) -> Self {
        let path = Path::accepted(start.remote, Nonces::new(start.nonce_key), start.now);
        let v2 = match version {
            Version::V3 => None,
            Version::V2 => Some(v2::V2::new(&config, false)),
        };
        let mut connection =
            Connection::new(start, Side::Acceptor, path, config, limits, version, v2);
        connection.events.push_back(Event::Incoming);
        connection
    }

    fn new(
        start: Start,
        side: Side,
        path: Path,
        config: Arc<ConnectionConfig>,
        limits: &Limits,
        version: Version,
        v2: Option<v2::V2>,
    ) -> Self {
        let now = start.now;
        // Until the version is known, the one record there is goes under one number (UDX 13).
        let numbered_as = if v2.is_some() { Version::V2 } else { version };
        let recovery = Config {
            seed: start.seed,
            ..recovery_config(&config, limits.max_records, numbered_as)
        };
        let recovery = match recovery.algorithm {
            Algorithm::Bbr => {
                Recovery::with_controller(&recovery, now, Box::new(Bbr::new(&recovery)))
            }
            _ => Recovery::new(&recovery, now),
        };
        let rules = match v2 {
            Some(_) => Peer::Unknown.rules_v2(),
            None => Peer::Unknown.rules(),
        };
        let own_max_data = announce_max_data(side, config.max_in_flight, limits.max_streams);
        Connection {
            side,
            version,
            v2: v2.map(Box::new),
            refused_version: false,
            local_id: start.local_id,
            peer_id: start.peer_id,
            limits: SendLimits {
                max_data: INITIAL_MAX_DATA,
                send_buffer: limits.send_buffer,
                max_records: limits.max_records,
                own_max_data,
            },
            closed: None,
            peer: Peer::Unknown,
            rules,
            clues: Clues::default(),
            path,
            recovery,
            acks: Acks::new(config.first_number, now),
            streams: Streams::new(limits, &config, rules, start.seed),
            owed: Owed {
                token: start.token,
                ..Owed::default()
            },
            clock: Clock {
                now,
                opened: now,
                heard: now,
                answered: side == Side::Acceptor,
                keep_alive_asked: None,
                paced_until: None,
                pinged: None,
                opening_until: None,
                round: (now, 0),
                opened_below: 0,
            },
            config,
            events: VecDeque::new(),
            counts: stats::Counts::default(),
        }
    }

    pub(crate) fn local_id(&self) -> ConnectionId {
        self.local_id
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            // An idle connection keeps no room for what once happened.
            self.events = VecDeque::new();
        }
        event
    }

    /// What the endpoint is to remember, once, when the connection is over.
    pub(crate) fn take_remains(&mut self) -> Option<Remains> {
        self.closed.as_mut()?.remains.take()
    }

    /// The end. `tell` is the code that the peer is told.
    fn terminate(&mut self, reason: CloseReason, tell: Option<u32>, words: &[u8]) {
        if self.closed.is_some() {
            return;
        }
        // UDX 7.5: a timeout is silent. But whoever speaks after it is told (V3).
        // UDX2 5.5, H23: peers of version 2 notice nothing by themselves.
        let unheard = matches!(
            reason,
            CloseReason::IdleTimeout | CloseReason::NoAnswer | CloseReason::VersionMismatch
        );
        let silent = unheard && (self.version == Version::V3 || !self.clock.answered);
        let remains = Remains {
            local_id: self.local_id,
            unasked: !silent,
            peer_id: self.peer_id,
            version: self.version,
            remote: self.path.remote(),
            tell,
            reason: Box::from(words.get(..256).unwrap_or(words)),
            pto: self.recovery.pto(),
            allowance: self.path.allowance(),
        };
        self.closed = Some(Closed {
            reason,
            remains: Some(remains),
        });
        self.streams.shut();
        self.owed = Owed::default();
        self.events.push_back(Event::Closed);
    }

    /// Others need the place, and the peer never proved that it is there (UDX2 H19). Nothing is left of the connection.
    pub(crate) fn displace(&mut self) {
        self.terminate(CloseReason::Displaced, None, b"");
        self.take_remains();
        self.streams.clear();
    }

    /// Whether the peer proved its address, or was chosen by this side.
    pub(crate) fn is_proven(&self) -> bool {
        self.path.is_validated()
    }

    /// A bug of ours, confined to this connection.
    fn broken(&mut self) {
        self.terminate(
            CloseReason::Internal,
            Some(code::INTERNAL),
            b"internal error",
        );
    }

    fn refuse(&mut self, what: PeerMisbehaved) {
        self.counts.refused = self.counts.refused.saturating_add(1);
        self.trace(Event::Refused(what));
    }

    /// Tells what an application can do without.
    fn trace(&mut self, event: Event) {
        if self.events.len() < MAX_TRACE_EVENTS {
            self.events.push_back(event);
        }
    }
}

fn recovery_config(config: &ConnectionConfig, max_records: usize, version: Version) -> Config {
    let (numbering, search) = match version {
        Version::V3 => (Numbering::Fresh, config.mtu_search),
        // UDX2 11: nobody acknowledges a probe, and what was too large could not be cut (H7).
        Version::V2 => (Numbering::Reuse, false),
    };
    let base = match version {
        Version::V3 => config.base_datagram,
        Version::V2 => config.base_datagram.min(LARGEST_V2),
    };
    Config {
        numbering,
        first_number: config.first_number,
        initial_rtt: config.initial_rtt,
        max_ack_delay: MAX_ACK_DELAY,
        min_pto: Peer::Unknown.rules().min_pto,
        max_pto: MAX_BACKOFF,
        max_timeout: MAX_TIMEOUT,
        algorithm: config.algorithm,
        pacing: config.pacing,
        max_records,
        mtu: MtuConfig {
            base,
            max: config.max_datagram,
            search,
            ..MtuConfig::default()
        },
        ..Config::default()
    }
}
