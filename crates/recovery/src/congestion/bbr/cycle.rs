//! 5.3.1 to 5.3.3: the phases, and when one follows the other.

use core::time::Duration;

use gapless_seq::mark;

use crate::congestion::Ack;
use crate::time::Instant;

use super::loss::ShortTerm;
use super::{Bbr, UNBOUNDED};

/// 5.3.3.8.2: T_bbr is 2 s and up to a second more.
const PROBE_WAIT: Duration = Duration::from_secs(2);
const PROBE_WAIT_SPREAD_NANOS: u64 = 1_000_000_000;
/// 5.3.3.8.2: T_reno's bound, rounds.
const RENO_ROUNDS: u64 = 63;
/// 5.3.2: `Drain` ends after so many rounds at the latest.
const DRAIN_ROUNDS: u64 = 3;
/// 2.8: `BBR.Headroom`, percent.
const HEADROOM_PERCENT: u64 = 15;
/// 5.3.3.9: `RaiseInflightLongtermSlope` doubles so often at most.
const MAX_SLOPE_DOUBLINGS: u32 = 30;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Startup,
    Drain {
        since_round: u64,
    },
    /// `ProbeBW_DOWN`.
    Down,
    /// `ProbeBW_CRUISE`.
    Cruise,
    /// `ProbeBW_REFILL`.
    Refill,
    /// `ProbeBW_UP`.
    Up,
    ProbeRtt,
}

impl Phase {
    /// `IsInAProbeBWState`.
    pub(super) fn is_probe_bw(self) -> bool {
        matches!(
            self,
            Phase::Down | Phase::Cruise | Phase::Refill | Phase::Up
        )
    }

    /// `IsProbingBW`.
    pub(super) fn is_probing(self) -> bool {
        matches!(self, Phase::Startup | Phase::Refill | Phase::Up)
    }
}

/// What the acknowledgements that arrive tell of (`BBR.ack_phase`).
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

impl Bbr {
    /// 5.3.1.1: `CheckStartupDone`; the loss criterion was checked as the round ended.
    pub(super) fn check_startup_done(&mut self) {
        if self.phase == Phase::Startup && self.full_pipe.reached {
            self.phase = Phase::Drain {
                since_round: self.rounds.count,
            };
        }
    }

    /// 5.3.2: `CheckDrainDone`.
    pub(super) fn check_drain_done(&mut self, ack: &Ack<'_>) {
        let Phase::Drain { since_round } = self.phase else {
            return;
        };
        let late = self.rounds.count > since_round.saturating_add(DRAIN_ROUNDS);
        if late || ack.in_flight <= self.in_flight_for(100) {
            mark!(BbrDrainTooLong, ack.in_flight > self.in_flight_for(100));
            mark!(BbrDrained, ack.in_flight <= self.in_flight_for(100));
            self.start_down(ack.now);
            self.rounds.restart(ack);
        }
    }

    /// 5.3.3.9: `UpdateProbeBWCyclePhase`.
    pub(super) fn update_cycle(&mut self, ack: &Ack<'_>) {
        if !self.full_pipe.reached || self.adapt_long_term(ack) {
            return;
        }
        let phase = self.phase;
        match phase {
            Phase::Down if self.is_time_to_probe(ack.now) => self.start_refill(ack),
            Phase::Down if self.is_time_to_cruise(ack) => {
                mark!(BbrCruise);
                self.phase = Phase::Cruise;
            }
            Phase::Cruise if self.is_time_to_probe(ack.now) => self.start_refill(ack),
            // After one round of filling.
            Phase::Refill if self.rounds.start => self.start_up(ack),
            Phase::Up if self.is_time_to_go_down(ack) => {
                self.long_term.probe_was_too_high = false;
                self.start_down(ack.now);
                self.rounds.restart(ack);
            }
            _ => {}
        }
    }

    /// `AdaptLongTermModel`; whether it decided the phase.
    fn adapt_long_term(&mut self, ack: &Ack<'_>) -> bool {
        if self.rounds.start {
            if self.bandwidth.is_stale(ack.now) {
                mark!(BbrRateStale);
                self.bandwidth.advance(ack.now);
            }
            let phase = self.ack_phase;
            match phase {
                AckPhase::ProbeStarting => self.ack_phase = AckPhase::ProbeFeedback,
                AckPhase::ProbeStopping if self.end_of_probe_samples(ack) => return true,
                _ => {}
            }
        }
        let lost = ack.lost.saturating_sub(ack.sent.lost);
        if self.is_too_much(lost, ack.sent.in_flight) || self.long_term.in_flight == UNBOUNDED {
            return false;
        }
        self.long_term.in_flight = self.long_term.in_flight.max(ack.sent.in_flight);
        if self.phase == Phase::Up {
            self.probe_long_term_upward(ack);
        }
        false
    }

    /// The last sample of a probing phase has come; whether another one follows at once.
    fn end_of_probe_samples(&mut self, ack: &Ack<'_>) -> bool {
        self.long_term.is_probe_sample = false;
        self.ack_phase = AckPhase::Init;
        if !self.phase.is_probe_bw() {
            return false;
        }
        if !ack.sent.app_limited {
            self.bandwidth.advance(ack.now);
        }
        // 5.3.3.6: the cautious probe did no harm.
        let again = self.long_term.probe_was_precautionary && !self.long_term.probe_was_too_high;
        if again {
            mark!(BbrProbeAgain);
            self.start_refill(ack);
        }
        again
    }

    /// `ProbeInflightLongtermUpward`.
    fn probe_long_term_upward(&mut self, ack: &Ack<'_>) {
        if !ack.window_limited || self.window < self.long_term.in_flight {
            return;
        }
        let long = &mut self.long_term;
        long.acked = long.acked.saturating_add(ack.bytes);
        let packets = long.acked.checked_div(long.acked_per_packet).unwrap_or(0);
        long.acked = long
            .acked
            .saturating_sub(packets.saturating_mul(long.acked_per_packet));
        long.in_flight = long
            .in_flight
            .saturating_add(packets.saturating_mul(self.mtu));
        if self.rounds.start {
            self.raise_slope();
        }
    }

    /// `RaiseInflightLongtermSlope`.
    fn raise_slope(&mut self) {
        let growth = 1_u64.checked_shl(self.long_term.rounds).unwrap_or(1);
        self.long_term.rounds = self
            .long_term
            .rounds
            .saturating_add(1)
            .min(MAX_SLOPE_DOUBLINGS);
        self.long_term.acked_per_packet = self
            .window
            .checked_div(growth)
            .unwrap_or(self.window)
            .max(self.mtu);
    }

    /// `IsTimeToProbeBW`.
    fn is_time_to_probe(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.cycle_at) > self.probe_wait;
        // IsRenoCoexistenceProbeTime: as many rounds as there are packets in flight.
        let reno = self
            .target_in_flight()
            .checked_div(self.mtu)
            .unwrap_or(0)
            .min(RENO_ROUNDS);
        waited || self.rounds.since_probe_up >= reno
    }

    /// `IsTimeToCruise`.
    fn is_time_to_cruise(&self, ack: &Ack<'_>) -> bool {
        ack.in_flight <= self.in_flight_with_headroom() && ack.in_flight <= self.in_flight_for(100)
    }

    /// `IsTimeToGoDown`.
    fn is_time_to_go_down(&mut self, ack: &Ack<'_>) -> bool {
        let bound = self.long_term.in_flight;
        if self.long_term.probe_was_too_high && ack.in_flight >= bound {
            // 5.3.3.6: no longer than it takes to reach the level that was too high.
            mark!(BbrProbeCautious);
            self.long_term.probe_was_precautionary = true;
            return true;
        }
        if ack.window_limited && self.window >= bound {
            // The bound, not the path, keeps the rate from growing.
            self.full_pipe.reset(ack.delivery_rate());
            return false;
        }
        mark!(BbrProbeDone, self.full_pipe.now);
        self.full_pipe.now
    }

    /// `StartProbeBW_DOWN`. The round begins with the acknowledgement at hand, where there is one.
    pub(super) fn start_down(&mut self, now: Instant) {
        self.loss.reset_signals();
        self.long_term.acked_per_packet = UNBOUNDED;
        self.pick_wait();
        self.cycle_at = now;
        self.ack_phase = AckPhase::ProbeStopping;
        self.phase = Phase::Down;
    }

    /// `PickProbeWait`.
    fn pick_wait(&mut self) {
        self.rounds.since_probe_up = self.below(2);
        let spread = Duration::from_nanos(self.below(PROBE_WAIT_SPREAD_NANOS));
        self.probe_wait = PROBE_WAIT.saturating_add(spread);
    }

    fn start_refill(&mut self, ack: &Ack<'_>) {
        self.rounds.restart(ack);
        self.refill();
    }

    /// `StartProbeBW_REFILL`, but for the round.
    pub(super) fn refill(&mut self) {
        mark!(BbrRefill);
        self.short_term = ShortTerm::new();
        self.long_term.rounds = 0;
        self.long_term.acked = 0;
        self.long_term.probe_was_precautionary = false;
        self.ack_phase = AckPhase::Refilling;
        self.phase = Phase::Refill;
    }

    /// `StartProbeBW_UP`.
    fn start_up(&mut self, ack: &Ack<'_>) {
        mark!(BbrUp);
        self.long_term.is_probe_sample = true;
        self.ack_phase = AckPhase::ProbeStarting;
        self.rounds.restart(ack);
        self.full_pipe.reset(ack.delivery_rate());
        self.phase = Phase::Up;
        self.raise_slope();
    }

    /// `InflightWithHeadroom`.
    pub(super) fn in_flight_with_headroom(&self) -> u64 {
        let bound = self.long_term.in_flight;
        if bound == UNBOUNDED {
            return UNBOUNDED;
        }
        let headroom = crate::num::scale(bound, HEADROOM_PERCENT, 100).max(self.mtu);
        bound.saturating_sub(headroom).max(self.least_window())
    }
}
