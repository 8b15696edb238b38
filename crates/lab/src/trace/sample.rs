//! The numbers that an engine gives about itself, at one time.

use crate::plan::Time;
use gapless_udx::{BlockedOn, CongestionPhase, Connection, Instant};
use std::time::Duration;

/// What a connection said of itself after a wake. Sizes are bytes, rates bytes per second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Time,
    /// The congestion window.
    pub window: u64,
    /// Where slow start ends, if that is known.
    pub ssthresh: Option<u64>,
    /// Sent and neither acknowledged nor given up.
    pub in_flight: u64,
    /// The smoothed round trip time.
    pub rtt: Option<Time>,
    /// The latest one.
    pub latest_rtt: Option<Time>,
    /// The least one.
    pub min_rtt: Option<Time>,
    /// What the pacer spreads datagrams to.
    pub pacing_rate: Option<u64>,
    /// What BBR believes that the path delivers.
    pub bandwidth: Option<u64>,
    /// Probe timeouts in a row.
    pub pto_count: u32,
    /// Probe timeouts so far.
    pub timeouts: u64,
    /// What the congestion controller does.
    pub phase: CongestionPhase,
    /// A loss is being repaired.
    pub in_recovery: bool,
    /// UDP payload that the path is known to carry.
    pub mtu: u16,
    /// What the peer lets be in flight.
    pub peer_max_data: u64,
    /// Written by the application and not acknowledged.
    pub buffered: u64,
    /// Stream bytes acknowledged so far.
    pub acked: u64,
    /// Stream bytes received so far.
    pub received: u64,
    /// What the engine holds.
    pub memory: usize,
    /// What is waited for.
    pub blocked: BlockedOn,
}

impl Sample {
    pub(super) fn of(connection: &Connection, memory: usize, at: Time) -> Self {
        let stats = connection.stats();
        Self {
            at,
            window: stats.congestion_window,
            ssthresh: stats.ssthresh,
            in_flight: stats.in_flight,
            rtt: stats.rtt.map(nanos),
            latest_rtt: stats.latest_rtt.map(nanos),
            min_rtt: stats.min_rtt.map(nanos),
            pacing_rate: stats.pacing_rate,
            bandwidth: stats.bandwidth,
            pto_count: stats.pto_count,
            timeouts: stats.recovery.ptos,
            phase: stats.phase,
            in_recovery: stats.in_recovery,
            mtu: stats.mtu,
            peer_max_data: stats.peer_max_data,
            buffered: stats.buffered,
            acked: stats.stream_bytes_acknowledged,
            received: stats.stream_bytes_received,
            memory,
            blocked: connection.blocked_on(Instant::from_nanos(at)),
        }
    }

    /// Whether all but the time is as in `other`.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let at = other.at;
        Self { at, ..self.clone() } == *other
    }
}

fn nanos(time: Duration) -> Time {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
