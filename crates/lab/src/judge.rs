//! What an engine says of itself, held against what it said before and against the path: nothing here knows how it comes to its
//! numbers.

use crate::plan::{Scenario, Time};
use crate::report::Rule;
use crate::watch::Fault;
use gapless_udx::{Connection, Stats, Version};

/// One side's numbers so far.
pub(crate) struct Judge {
    /// What light needs for the round trip; 0 where packets arrive damaged and may say anything, and by a clock that stands still.
    least_rtt: Time,
    last: Stats,
    most_window: u64,
}

impl Judge {
    pub(crate) fn new(scenario: &Scenario, host: usize) -> Self {
        let routes = scenario.routes.iter().map(|route| &route.paths);
        let paths = || routes.clone().chain([&scenario.faults, &scenario.calm]);
        // A packet may go by one route and be answered by another.
        let [there, back] =
            [0, 1].map(|way| paths().map(|paths| paths[way].delay.as_nanos()).min());
        let least = there.unwrap_or(0) + back.unwrap_or(0);
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        let is_blind = scenario.is_poisoned() || scenario.hosts[host].manners.tick > 0;
        Self {
            least_rtt: if is_blind { 0 } else { least },
            last: Stats::default(),
            most_window: 0,
        }
    }

    /// What the engine said last.
    pub(crate) fn last(&self) -> &Stats {
        &self.last
    }

    pub(crate) fn look(&mut self, connection: &Connection, now: Stats) -> Result<(), Fault> {
        self.check_rtt(&now)?;
        self.check_window(&now)?;
        self.check_max_data(&now)?;
        if connection.version() == Some(Version::V3) {
            self.check_backoff(&now)?;
        }
        // Several acknowledgements may lie between two looks: it grew, and then a loss reduced it.
        let acknowledged = now.recovery.bytes_acked - self.last.recovery.bytes_acked;
        let grown = self.last.congestion_window + acknowledged;
        self.most_window = self.most_window.max(now.congestion_window).max(grown);
        self.last = now;
        Ok(())
    }

    /// Karn: a round trip time that no packet can have made was measured from the wrong one.
    fn check_rtt(&self, now: &Stats) -> Result<(), Fault> {
        let least = now.min_rtt.map(|rtt| rtt.as_nanos());
        match least {
            Some(least) if least < u128::from(self.least_rtt) => Err((
                Rule::Speed,
                format!(
                    "a round trip of {least} ns on a path of {} ns",
                    self.least_rtt
                ),
            )),
            _ => Ok(()),
        }
    }

    /// RFC 9002 7.3.1: a window grows by what is acknowledged at most; or it returns to what it was, when a reduction was an error.
    fn check_window(&self, now: &Stats) -> Result<(), Fault> {
        let acknowledged = now.recovery.bytes_acked - self.last.recovery.bytes_acked;
        // RFC 9937: what may be in flight while a loss is repaired is counted from what is.
        let most = self.most_window.max(self.last.in_flight).max(now.in_flight);
        let allowed = most + acknowledged + GROWTH_SLACK * u64::from(now.mtu);
        if self.most_window > 0 && now.congestion_window > allowed {
            let fault = format!(
                "the congestion window went from {} to {} with {acknowledged} bytes acknowledged, and was {} at most before",
                self.last.congestion_window, now.congestion_window, self.most_window
            );
            return Err((Rule::InFlight, fault));
        }
        Ok(())
    }

    /// UDX 10.2: more than MAX_DATA may be in flight only if it was before; probes excepted.
    fn check_max_data(&self, now: &Stats) -> Result<(), Fault> {
        let allowed = now.peer_max_data.max(self.last.in_flight) + CONTROL_ROOM;
        if now.in_flight > allowed {
            let fault = format!(
                "{} bytes are in flight, {} were before, MAX_DATA is {}",
                now.in_flight, self.last.in_flight, now.peer_max_data
            );
            return Err((Rule::InFlight, fault));
        }
        Ok(())
    }

    /// RFC 9002 6.2.1: an acknowledgement ends the backoff. Where each transmission has a number of its own, each says which one it
    /// means.
    fn check_backoff(&self, now: &Stats) -> Result<(), Fault> {
        let progress = now.recovery.bytes_acked > self.last.recovery.bytes_acked;
        let timed_out = now.recovery.ptos > self.last.recovery.ptos;
        if progress && !timed_out && now.pto_count > 0 {
            let fault = format!(
                "after an acknowledgement the probe timeout is still backed off {} times",
                now.pto_count
            );
            return Err((Rule::Timers, fault));
        }
        Ok(())
    }
}

/// Packets that a window may exceed its bound by: proportional rate reduction lets one go at once, and its minimum is in packets.
const GROWTH_SLACK: u64 = 3;
/// Probes, answers and what rides along, in bytes.
const CONTROL_ROOM: u64 = 8 * 1500;
