//! What an engine says of itself, held against what it said before and against the path: nothing here knows how it comes to its
//! numbers.

use crate::plan::{SECOND, Scenario, Time};
use crate::report::Rule;
use crate::watch::Fault;
use gapless_udx::{Algorithm, Connection, Stats, Version};
use std::net::IpAddr;

/// One side's numbers so far.
pub(crate) struct Judge {
    /// What light needs for the round trip; 0 where packets arrive damaged and may say anything, and by a clock that stands still.
    least_rtt: Time,
    last: Stats,
    most_window: u64,
    /// The peer's address, and the largest datagram before anything is known of a path.
    remote: Option<IpAddr>,
    base_datagram: u16,
    algorithm: Algorithm,
    reduced: Option<Reduction>,
}

/// The latest reduction of the window.
#[derive(Clone, Copy)]
struct Reduction {
    at: Time,
    /// The window before it.
    from: u64,
    /// Reductions that were taken back by then.
    undone: u64,
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
            remote: None,
            base_datagram: scenario.hosts[host].config.connection.base_datagram,
            algorithm: scenario.hosts[host].config.connection.algorithm,
            reduced: None,
        }
    }

    /// What the engine said last.
    pub(crate) fn last(&self) -> &Stats {
        &self.last
    }

    pub(crate) fn look(
        &mut self,
        at: Time,
        connection: &Connection,
        now: Stats,
    ) -> Result<(), Fault> {
        self.check_rtt(&now)?;
        self.check_window(&now)?;
        let remote = connection.remote_address().ip();
        if self.remote.replace(remote).is_some_and(|it| it != remote) {
            self.check_fresh_path(&now)?;
        } else if self.judges_reductions(connection) {
            self.check_reductions(at, &now)?;
        }
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

    /// RFC 9000 9.4: of the path of before nothing counts on another one.
    fn check_fresh_path(&mut self, now: &Stats) -> Result<(), Fault> {
        self.reduced = None;
        let timed_out = now.recovery.ptos > self.last.recovery.ptos;
        let fault = if now.mtu > self.base_datagram {
            format!(
                "datagrams of {} bytes on a path that nothing is known of",
                now.mtu
            )
        } else if now.pto_count > 0 && !timed_out {
            format!("{} timeouts of the path of before", now.pto_count)
        } else {
            return Ok(());
        };
        Err((Rule::Speed, fault))
    }

    /// Where numbers are used again (version 2), an answer may mean either of two transmissions, and what is taken for lost by the wrong one is
    /// reduced for although nothing was. BBR's window is another thing.
    fn judges_reductions(&self, connection: &Connection) -> bool {
        let is_clear = connection.version() == Some(Version::V3);
        is_clear && self.least_rtt > 0 && self.algorithm != Algorithm::Bbr
    }

    /// RFC 9002 7.3.2: a loss reduces the window, and those of one flight reduce it once. RFC 9438 4.2, 4.3: it is back where it was only after
    /// some round trips.
    fn check_reductions(&mut self, at: Time, now: &Stats) -> Result<(), Fault> {
        let (events, undone) = (
            now.recovery.congestion_events,
            now.recovery.congestion_undone,
        );
        let new = events - self.last.recovery.congestion_events;
        let taken_back = undone > self.last.recovery.congestion_undone;
        // RFC 9002 6.1.2, 6.2.2: before the first sample a guess stands for the round trip, which may be much longer.
        let is_guessed = now.rtt.is_none();
        let persistent =
            now.recovery.persistent_congestion > self.last.recovery.persistent_congestion;
        if taken_back || persistent || is_guessed {
            self.reduced = None;
            return Ok(());
        }
        let mtu = u64::from(now.mtu);
        if new == 0 {
            let Some(reduction) = self.reduced else {
                return Ok(());
            };
            let packets = reduction.from / mtu;
            let rounds = packets / LEAST_ROUNDS_SHARE;
            let is_early = at - reduction.at < (rounds * self.least_rtt).min(CUBIC_PLATEAU);
            if is_early && packets >= WIDE && now.congestion_window > reduction.from {
                return Err((
                    Rule::InFlight,
                    format!(
                        "the window was {} before a loss, and is {} only {} ns later",
                        reduction.from,
                        now.congestion_window,
                        at - reduction.at
                    ),
                ));
            }
            return Ok(());
        }
        // In recovery the window is what may be sent just now, and ssthresh is what it comes to.
        let ssthresh = self.last.ssthresh.filter(|_| self.last.in_recovery);
        let from = self.last.congestion_window.max(ssthresh.unwrap_or(0));
        let acknowledged = now.recovery.bytes_acked - self.last.recovery.bytes_acked;
        // What was acknowledged since the last look made it grow first.
        let grown = from + acknowledged;
        let reduction = Reduction {
            at,
            from: grown,
            undone,
        };
        let before = self.reduced.replace(reduction);
        // What is sent after a reduction is answered after a round trip at the earliest.
        let again = before.filter(|it| it.undone == undone && at - it.at < self.least_rtt);
        if again.is_some() || new > 1 {
            return Err((
                Rule::InFlight,
                format!("{new} reductions within a round trip of another one"),
            ));
        }
        let allowed = grown * 3 / 4 + acknowledged + FRESH_WINDOW * mtu;
        // RFC 9937: in recovery the window comes down to ssthresh step by step.
        let window = now
            .ssthresh
            .map_or(now.congestion_window, |to| to.min(now.congestion_window));
        if window > allowed {
            return Err((
                Rule::InFlight,
                format!("after a loss the window went from {from} to {window}"),
            ));
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
/// Packets in the least window that a controller keeps, and some that the looks at it lie apart.
const FRESH_WINDOW: u64 = 4;
/// RFC 9438 4.3, 4.6: an increase of 0.53 packets a round trip makes good 0.3 windows after 0.57 of them in round trips, and NewReno's takes 0.5. A quarter,
/// since a look may come late.
const LEAST_ROUNDS_SHARE: u64 = 4;
/// RFC 9438 4.2: of 25 packets the plateau is 2.6 s away; the share of it that an estimate of the round trip may be ahead is small.
const CUBIC_PLATEAU: Time = SECOND;
/// Packets of a window of which rounding is no matter.
const WIDE: u64 = 25;
/// Probes, answers and what rides along, in bytes.
const CONTROL_ROOM: u64 = 8 * 1500;
