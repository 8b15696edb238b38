//! What is asked of an engine after each wake.

use crate::host::{Departing, Host};
use crate::judge::Judge;
use crate::plan::{HostPlan, Scenario, Time};
use crate::report::Rule;
use crate::watch::Fault;
use gapless_udx::Stats;
use gapless_udx::wire::{Datagram, Frame};

/// The checks of one engine and what they remember of it.
pub(crate) struct Check {
    memory_bound: usize,
    check_every: u32,
    wakes: u32,
    flight: Flight,
    most_memory: usize,
    judge: Judge,
}

impl Check {
    pub(crate) fn new(scenario: &Scenario, host: usize) -> Self {
        let HostPlan { memory_bound, .. } = scenario.hosts[host];
        Self {
            memory_bound,
            check_every: scenario.check_every.max(1),
            wakes: 0,
            flight: Flight::default(),
            most_memory: 0,
            judge: Judge::new(scenario, host),
        }
    }

    pub(crate) fn most_memory(&self) -> usize {
        self.most_memory
    }

    /// What the engine said of its connection last.
    pub(crate) fn last_stats(&self) -> &Stats {
        self.judge.last()
    }

    /// After a wake in which the host sent this.
    pub(crate) fn after_wake(
        &mut self,
        now: Time,
        host: &Host,
        sent: &[Departing],
    ) -> Result<(), Fault> {
        self.check_in_flight(now, host, sent)?;
        self.wakes = self.wakes.wrapping_add(1);
        if self.wakes.is_multiple_of(self.check_every) {
            self.check_books(host)?;
        }
        Ok(())
    }

    /// All of it, whatever `check_every` says.
    pub(crate) fn check_books(&mut self, host: &Host) -> Result<(), Fault> {
        let Some(endpoint) = host.machine.ours() else {
            return Ok(());
        };
        endpoint
            .check()
            .map_err(|broken| (Rule::Books, broken.to_string()))?;
        let memory = endpoint.memory();
        self.most_memory = self.most_memory.max(memory);
        if memory > self.memory_bound {
            return Err((
                Rule::Memory,
                format!("{memory} bytes are held, {} are allowed", self.memory_bound),
            ));
        }
        Ok(())
    }

    fn check_in_flight(&mut self, now: Time, host: &Host, sent: &[Departing]) -> Result<(), Fault> {
        let Some(connection) = host.machine.connection() else {
            return Ok(());
        };
        let stats = connection.stats();
        let told = Told {
            in_flight: stats.in_flight,
            window: stats.congestion_window.max(host.widest),
            mtu: stats.mtu.into(),
            timeouts: stats.recovery.ptos,
        };
        self.flight.judge(told, control_bytes(sent) + RIDERS)?;
        self.judge.look(now, connection, stats)
    }
}

/// Whether what is in flight is what may be.
#[derive(Default)]
pub(crate) struct Flight {
    before: u64,
    /// Probes that timeouts and the path's size have asked for so far, at most.
    probes_before: u64,
    /// Those of them that may still be underway out of the engine.
    probes_left: u64,
}

impl Flight {
    /// More may be in flight than allowed, because the allowance shrank; but then nothing is added to it, probes and `besides` excepted.
    pub(crate) fn judge(&mut self, told: Told, besides: u64) -> Result<(), Fault> {
        let before = std::mem::replace(&mut self.before, told.in_flight);
        // RFC 9002 7.5: probes go whatever the congestion window says. A caller who fetches few datagrams at a time fetches
        // the probes of one wake at the next.
        let owed = PROBES_PER_TIMEOUT * told.timeouts;
        let probes = owed - std::mem::replace(&mut self.probes_before, owed);
        self.probes_left = (self.probes_left + probes).min(PROBES_LEFT_AT_MOST);
        // Answers to challenges, resets and probes of the path's size have records too, and go at once. What rides along in the
        // last packet that fits is not asked for. And a window smaller than a packet does not stop an idle sender.
        let allowed = told.window.max(before).max(told.mtu) + besides;
        let excess = told.in_flight.saturating_sub(allowed);
        let used = excess.div_ceil(told.mtu.max(1));
        if used > self.probes_left {
            return Err((
                Rule::InFlight,
                format!(
                    "{} bytes are in flight, {before} were before, the congestion window is {}",
                    told.in_flight, told.window
                ),
            ));
        }
        self.probes_left -= used;
        Ok(())
    }
}

/// What an engine says of its sending.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) in_flight: u64,
    pub(crate) window: u64,
    pub(crate) mtu: u64,
    /// Probe timeouts so far.
    pub(crate) timeouts: u64,
}

/// Bytes of numbered packets that carry no piece of a stream.
fn control_bytes(sent: &[Departing]) -> u64 {
    let is_control = |datagram: &&Departing| match crate::watch::decode(&datagram.payload) {
        Ok(Datagram::Packet(packet)) => {
            let mut frames = packet.frames();
            let has_piece = packet
                .frames()
                .any(|frame| matches!(frame, Frame::Stream(_) | Frame::Ordered(_)));
            // In version 2 such a packet has a number by an empty SYN.
            !has_piece
                || frames.any(|frame| {
                    matches!(frame, Frame::ResetStream { .. } | Frame::StopSending { .. })
                })
        }
        _ => false,
    };
    let bytes = sent
        .iter()
        .filter(is_control)
        .map(|datagram| datagram.payload.len() as u64);
    bytes.sum()
}

/// An ACK of 32 ranges, MAX_DATA and MAX_STREAMS.
const RIDERS: u64 = 12 + 5 * 32 + 14;
/// RFC 9002 6.2.4: one or two.
const PROBES_PER_TIMEOUT: u64 = 2;
/// Of two timeouts.
const PROBES_LEFT_AT_MOST: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in flight after each wake, with the timeouts by then; the first one that is too much.
    fn first_wrong(wakes: &[(u64, u64)]) -> Option<usize> {
        let mut flight = Flight::default();
        wakes.iter().position(|&(in_flight, timeouts)| {
            let told = Told {
                in_flight,
                window: 10_000,
                mtu: 1_200,
                timeouts,
            };
            flight.judge(told, RIDERS).is_err()
        })
    }

    #[test]
    fn more_in_flight_than_the_window_is_found() {
        assert_eq!(first_wrong(&[(9_000, 0), (10_000, 0), (10_100, 0)]), None);
        assert_eq!(first_wrong(&[(9_000, 0), (11_000, 0)]), Some(1));
    }

    #[test]
    fn probes_are_two_for_each_timeout() {
        assert_eq!(first_wrong(&[(10_000, 0), (12_400, 1)]), None);
        assert_eq!(first_wrong(&[(10_000, 0), (13_700, 1)]), Some(1));
        assert_eq!(
            first_wrong(&[(10_000, 0), (12_400, 1), (13_600, 1)]),
            Some(2)
        );
        assert_eq!(first_wrong(&[(10_000, 0), (12_400, 1), (14_700, 2)]), None);
    }
}
