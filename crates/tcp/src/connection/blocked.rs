//! What a connection waits for, and how it fares: for callers who want to know why nothing happens.

use super::plan::Idle;
use super::{Connection, State};
use core::time::Duration;
use gapless_recovery::{Instant, Stats as RecoveryStats};

/// What keeps a connection from sending.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BlockedOn {
    /// Nothing: [`Connection::poll_transmit`] has an answer.
    Nothing,
    /// The peer, which has not answered our SYN, or not acknowledged its answer to ours.
    Opening,
    /// The application: everything it wrote is acknowledged.
    Application,
    /// Everything that was written is sent, and not all of it is acknowledged.
    Acknowledgment,
    /// The peer's window.
    Window,
    /// The congestion window, or the number of segments in flight.
    Congestion,
    /// The pacer, until this time.
    Pacer(Instant),
    /// A small segment waits for the acknowledgment of others (RFC 896).
    Nagle,
    /// The connection is over, or in TIME-WAIT.
    Over,
}

/// How a connection fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionStats {
    /// Octets that count against the congestion window, headers included.
    pub in_flight: u64,
    /// Octets that may be in flight.
    pub congestion_window: u64,
    /// The retransmission timeout, backoff included.
    pub timeout: Duration,
    /// Octets of the largest segment that is sent, header included.
    pub segment: u16,
    /// What recovery counted.
    pub recovery: RecoveryStats,
}

impl Connection {
    /// What keeps it from sending at `now`.
    #[must_use]
    pub fn blocked_on(&self, now: Instant) -> BlockedOn {
        if self.out.reset.is_some() || self.plan(now).is_some() {
            return BlockedOn::Nothing;
        }
        match self.state {
            State::Closed | State::TimeWait => return BlockedOn::Over,
            State::SynSent | State::SynReceived => return BlockedOn::Opening,
            _ => {}
        }
        match self.plan_data(now) {
            Ok(_) => BlockedOn::Nothing,
            Err(Idle::Window) => BlockedOn::Window,
            Err(Idle::Congestion) => BlockedOn::Congestion,
            Err(Idle::Pacer(at)) => BlockedOn::Pacer(at),
            Err(Idle::Nagle) => BlockedOn::Nagle,
            Err(Idle::Nothing) if self.is_outstanding() => BlockedOn::Acknowledgment,
            Err(Idle::Nothing) => BlockedOn::Application,
        }
    }

    /// How it fares.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            in_flight: self.recovery.bytes_in_flight(),
            congestion_window: self.recovery.congestion_window(),
            timeout: self.recovery.pto(),
            segment: self.path_mtu(),
            recovery: *self.recovery.stats(),
        }
    }
}
