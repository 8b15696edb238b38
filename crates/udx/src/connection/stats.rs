//! What a connection did, and what it waits for.

use core::time::Duration;

use gapless_recovery::{CongestionPhase, Instant, Permission};

use super::{Connection, Side};
use crate::peer::Peer;
use crate::wire::Version;
use crate::wire::reset::Token;

/// Counts kept by the connection itself; the others are kept by recovery.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) datagrams_received: u64,
    pub(crate) datagrams_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) stream_bytes_sent: u64,
    pub(crate) stream_bytes_acknowledged: u64,
    pub(crate) stream_bytes_received: u64,
    pub(crate) refused: u64,
    /// The stateless reset token that the peer announced, until the endpoint fetches it.
    pub(crate) peer_token: Option<Token>,
}

impl Counts {
    pub(crate) fn on_received(&mut self, bytes: u64) {
        self.datagrams_received = self.datagrams_received.saturating_add(1);
        self.bytes_received = self.bytes_received.saturating_add(bytes);
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.datagrams_sent = self.datagrams_sent.saturating_add(1);
        self.bytes_sent = self.bytes_sent.saturating_add(bytes);
    }
}

/// What a connection did so far. Bytes are UDP payload unless said otherwise; counts saturate.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams received that were valid packets.
    pub datagrams_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes received in them.
    pub bytes_received: u64,
    /// Bytes sent in them.
    pub bytes_sent: u64,
    /// Stream data sent for the first time.
    pub stream_bytes_sent: u64,
    /// Stream data acknowledged by the peer.
    pub stream_bytes_acknowledged: u64,
    /// Stream data received, each byte once.
    pub stream_bytes_received: u64,
    /// Frames of the peer that were refused; [`PeerMisbehaved`](crate::PeerMisbehaved) tells why.
    pub refused: u64,
    /// What loss recovery counted: packets lost, sent again, and so on.
    pub recovery: gapless_recovery::Stats,
    /// Smoothed round trip time, once measured.
    pub rtt: Option<Duration>,
    /// Least round trip time, once measured.
    pub min_rtt: Option<Duration>,
    /// The latest round trip time, once measured.
    pub latest_rtt: Option<Duration>,
    /// Bytes that may be in flight by congestion control.
    pub congestion_window: u64,
    /// Bytes of the window at which slow start ends, once known.
    pub ssthresh: Option<u64>,
    /// What the congestion controller is doing.
    pub phase: CongestionPhase,
    /// Whether a loss is being repaired.
    pub in_recovery: bool,
    /// The rate over which datagrams are spread, bytes per second; `None` without pacing.
    pub pacing_rate: Option<u64>,
    /// What the path delivers by the model of a controller that has one (BBR), bytes per second.
    pub bandwidth: Option<u64>,
    /// Bytes in flight.
    pub in_flight: u64,
    /// Bytes that may be in flight by the peer's MAX_DATA.
    pub peer_max_data: u64,
    /// Bytes of UDP payload that the path is known to carry.
    pub mtu: u16,
    /// Streams that exist.
    pub streams: usize,
    /// Bytes written and not yet acknowledged.
    pub buffered: u64,
    /// Probe timeouts since the last acknowledgement.
    pub pto_count: u32,
    /// The present probe timeout.
    pub pto: Duration,
}

/// What a connection waits for before it sends more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum BlockedOn {
    /// The application: all that it wrote was sent and acknowledged.
    NothingToSend,
    /// Acknowledgements: all that was written was sent.
    Acknowledgement,
    /// The congestion window.
    CongestionWindow,
    /// The limit that the peer set for every stream with something to send.
    PeerStreamWindow,
    /// MAX_DATA of the peer.
    PeerConnectionWindow,
    /// The pacer, which spreads packets over the round trip.
    Pacer,
    /// The next round trip: the peer is handed only so many new streams in one (D12, V11).
    StreamOpening,
    /// The first answer of the peer: no more is sent before it (D23).
    FirstAnswer,
    /// The acknowledgement of the oldest packet: too many numbers are outstanding behind it for the peer (UDX2 H4).
    NumberSpan,
    /// Another stream: the peer takes one at a time, each to its end (UDX2 D10).
    OtherStream,
    /// Proof of the peer's address (V18).
    PathValidation,
    /// Room in the sent log: too many packets are unacknowledged.
    SentLog,
    /// Nothing: the next `poll_transmit` sends.
    Nothing,
    /// The connection is over.
    Closed,
}

impl Connection {
    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = &self.counts;
        let measured = Some(self.recovery.rtt()).filter(|rtt| rtt.samples() > 0);
        Stats {
            datagrams_received: counts.datagrams_received,
            datagrams_sent: counts.datagrams_sent,
            bytes_received: counts.bytes_received,
            bytes_sent: counts.bytes_sent,
            stream_bytes_sent: counts.stream_bytes_sent,
            stream_bytes_acknowledged: counts.stream_bytes_acknowledged,
            stream_bytes_received: counts.stream_bytes_received,
            refused: counts.refused,
            recovery: *self.recovery.stats(),
            rtt: measured.map(|rtt| rtt.smoothed()),
            min_rtt: self.recovery.rtt().min(),
            latest_rtt: measured.map(|rtt| rtt.latest()),
            congestion_window: self.recovery.congestion_window(),
            ssthresh: Some(self.recovery.ssthresh()).filter(|&window| window != u64::MAX),
            phase: self.recovery.phase(),
            in_recovery: self.recovery.in_recovery(),
            pacing_rate: self.recovery.pacing_rate(),
            bandwidth: self.recovery.bandwidth(),
            in_flight: self.recovery.bytes_in_flight(),
            peer_max_data: self.limits.max_data,
            mtu: self.recovery.mtu(),
            streams: self.streams.len(),
            buffered: self.streams.buffered,
            pto_count: self.recovery.pto_count(),
            pto: self.recovery.pto(),
        }
    }

    /// What the connection waits for right now.
    #[must_use]
    pub fn blocked_on(&self, now: Instant) -> BlockedOn {
        if self.closed.is_some() {
            return BlockedOn::Closed;
        }
        let lost = self.recovery.next_lost().is_some();
        let new = self
            .streams
            .iter()
            .any(|(_, stream)| stream.send.has_next());
        if !lost && !new {
            return self.idle_reason();
        }
        let bytes = self.recovery.mtu();
        if self.data_allowance() < u64::from(bytes) {
            return BlockedOn::PathValidation;
        }
        let paced = self.clock.paced_until.is_some_and(|at| at > now);
        match self.recovery.may_send(now, u32::from(bytes)) {
            Permission::Now if paced => return BlockedOn::Pacer,
            Permission::Congestion => return BlockedOn::CongestionWindow,
            Permission::Pacer(_) => return BlockedOn::Pacer,
            Permission::LogFull => return BlockedOn::SentLog,
            Permission::Now | Permission::Probe => {}
        }
        if lost {
            BlockedOn::Nothing
        } else if self.awaits_answer() {
            BlockedOn::FirstAnswer
        } else if self.is_span_used_up() {
            BlockedOn::NumberSpan
        } else if self.is_data_blocked(u64::from(bytes)) {
            BlockedOn::PeerConnectionWindow
        } else if self.clock.opening_until.is_some() {
            BlockedOn::StreamOpening
        } else if self.waits_for_sender() {
            BlockedOn::OtherStream
        } else {
            BlockedOn::Nothing
        }
    }

    fn idle_reason(&self) -> BlockedOn {
        if self
            .streams
            .iter()
            .any(|(_, stream)| stream.send.is_blocked_by_limit())
        {
            BlockedOn::PeerStreamWindow
        } else if !self.recovery.has_unacknowledged() {
            BlockedOn::NothingToSend
        } else if self.clock.answered {
            BlockedOn::Acknowledgement
        } else {
            BlockedOn::FirstAnswer
        }
    }

    /// Which implementation the peer is, as far as its packets told.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The wire version of the connection. `None` for a dialer that asks for it
    /// ([`VersionChoice::Discover`](crate::VersionChoice::Discover)), before the first answer.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.is_decided().then_some(self.version)
    }

    /// Who sent the first packet.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }
}
