//! BBR version 3: draft-ietf-ccwg-bbr-06, whose section numbers the comments give and whose names the fields have.
//!
//! It keeps a model of the path, the greatest delivery rate and the least round trip time seen of late, and sends at that rate.
//! Loss bounds the model only where it exceeds 2 % of a round trip's data, so that a path which loses by chance is still filled.
//!
//! One file for each part of section 5: the model (`model`), what loss does to it (`loss`), the phases of `ProbeBW` (`cycle`),
//! `ProbeRTT` (`probe_rtt`), and window and rate (`control`).
//!
//! Left out: the offload budget beyond one send quantum (5.5.8), because the pacer hands out quanta of that size itself; ECN, of
//! which the draft says nothing either.

mod control;
mod cycle;
mod loss;
mod model;
mod probe_rtt;
#[cfg(test)]
mod tests;

use core::time::Duration;

use gapless_seq::mark;

use crate::config::Config;
use crate::time::Instant;

use super::{Ack, Congestion, CongestionPhase, Controller, LostPacket};
use cycle::{AckPhase, Phase};
use loss::{Chance, LongTerm, Loss, ShortTerm, Undo};
use model::{Aggregation, FullPipe, MaxBandwidth, Rounds};
use probe_rtt::MinRtt;

/// "Infinity" of the draft: no bound is known.
const UNBOUNDED: u64 = u64::MAX;
/// 2.8: `BBR.MinPipeCwnd`, packets.
const MIN_PIPE_PACKETS: u64 = 4;

/// Sends at the rate at which the path delivered, and keeps no more in flight than that takes.
#[derive(Clone, Debug)]
pub struct Bbr {
    mtu: u64,
    /// `C.InitialCwnd`, bytes.
    initial: u64,
    max: u64,
    /// `C.cwnd`, bytes.
    window: u64,
    /// `BBR.prior_cwnd`: the last one that neither recovery nor `ProbeRTT` had reduced.
    prior_window: u64,
    /// Bytes per second.
    pacing_rate: u64,
    /// The rate still stands on the guess of 5.6.2, not on a round trip time.
    rate_is_guess: bool,
    phase: Phase,
    rounds: Rounds,
    bandwidth: MaxBandwidth,
    full_pipe: FullPipe,
    aggregation: Aggregation,
    min_rtt: MinRtt,
    short_term: ShortTerm,
    long_term: LongTerm,
    loss: Loss,
    chance: Chance,
    undo: Undo,
    ack_phase: AckPhase,
    /// `BBR.cycle_stamp`: when `ProbeBW_DOWN` began.
    cycle_at: Instant,
    /// `BBR.bw_probe_wait`.
    probe_wait: Duration,
    /// `BBR.idle_restart`.
    idle_restart: bool,
    random: u64,
}

impl Bbr {
    /// A controller at the start of a connection. `config.seed` mixes the times at which flows probe.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mtu = u64::from(config.mtu.start()).max(1);
        let least = mtu.saturating_mul(MIN_PIPE_PACKETS);
        let initial = mtu
            .saturating_mul(u64::from(config.initial_window_packets))
            .max(least);
        Bbr::start(mtu, initial, config.max_window.max(least), config.seed)
    }

    /// 5.2.1: `OnInit`.
    fn start(mtu: u64, initial: u64, max: u64, random: u64) -> Self {
        let mut bbr = Bbr {
            mtu,
            initial,
            max,
            window: initial,
            prior_window: 0,
            pacing_rate: 0,
            rate_is_guess: true,
            phase: Phase::Startup,
            rounds: Rounds::default(),
            bandwidth: MaxBandwidth::default(),
            full_pipe: FullPipe::default(),
            aggregation: Aggregation::default(),
            min_rtt: MinRtt::new(),
            short_term: ShortTerm::new(),
            long_term: LongTerm::new(),
            loss: Loss::default(),
            chance: Chance::default(),
            undo: Undo::default(),
            ack_phase: AckPhase::Init,
            cycle_at: Instant::ZERO,
            probe_wait: Duration::ZERO,
            idle_restart: false,
            random,
        };
        bbr.guess_pacing_rate(None);
        bbr
    }

    /// `BBR.bw`: what the model lets be sent, bytes per second (5.5.10.3, `BoundBWForModel`).
    fn bw(&self) -> u64 {
        self.bandwidth.max().min(self.short_term.bandwidth)
    }

    /// A number below `bound`, at random (SplitMix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

impl Controller for Bbr {
    fn on_sent(&mut self, _now: Instant, _bytes: u64, _in_flight: u64) {}

    /// 5.2.3: `UpdateOnACK`.
    fn on_ack(&mut self, ack: &Ack<'_>) {
        self.update_latest_delivery(ack);
        self.update_congestion_signals(ack);
        self.update_aggregation(ack);
        self.full_pipe.check(ack, self.rounds.start);
        self.check_startup_done();
        self.check_drain_done(ack);
        self.update_cycle(ack);
        self.update_min_rtt(ack);
        self.check_probe_rtt(ack);
        self.loss.advance_latest(ack);
        self.set_pacing_rate(ack);
        self.set_window(ack);
    }

    fn on_lost(&mut self, lost: &LostPacket) {
        self.handle_lost(lost);
    }

    /// 5.6.4.4: `OnEnterFastRecovery`; the losses themselves come by [`Controller::on_lost`].
    fn on_congestion(&mut self, _congestion: &Congestion) {
        self.save_window();
        self.loss.enter_recovery(self.rounds.count);
    }

    /// 5.6.4.4: as on a retransmission timeout, of which this is the outcome.
    fn on_persistent_congestion(&mut self, _now: Instant) {
        self.save_window();
        self.window = self.least_window();
        self.loss.restore_after_recovery = true;
    }

    /// 5.5.11.2: `HandleSpuriousLossDetection`.
    fn on_spurious_congestion(&mut self, _now: Instant) {
        self.undo_loss();
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu).max(1);
        self.window = self.window.max(self.least_window());
    }

    fn on_initial_window(&mut self, bytes: u64) {
        let is_untouched = self.rate_is_guess && self.window == self.initial;
        self.initial = bytes.max(self.least_window());
        if is_untouched {
            self.window = self.initial;
            self.guess_pacing_rate(None);
        }
    }

    fn on_path_change(&mut self, _now: Instant) {
        *self = Bbr::start(self.mtu, self.initial, self.max, self.random);
    }

    /// 5.4.1: `HandleRestartFromIdle`.
    fn on_restart(&mut self, now: Instant) {
        mark!(BbrRestarted);
        self.idle_restart = true;
        self.aggregation.restart(now);
        if self.phase.is_probe_bw() {
            // 5.4.1: paces at exactly the bandwidth, to fill the path again without a queue.
            self.pace_with_gain(100);
        } else if self.phase == Phase::ProbeRtt {
            self.check_probe_rtt_done(now);
        }
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn ssthresh(&self) -> u64 {
        if self.full_pipe.reached {
            self.window
        } else {
            u64::MAX
        }
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn bandwidth(&self) -> Option<u64> {
        Some(self.bandwidth.max()).filter(|&rate| rate > 0)
    }

    fn phase(&self) -> CongestionPhase {
        match self.phase {
            Phase::Startup => CongestionPhase::Startup,
            Phase::Drain { .. } => CongestionPhase::Drain,
            Phase::Down => CongestionPhase::ProbeBwDown,
            Phase::Cruise => CongestionPhase::ProbeBwCruise,
            Phase::Refill => CongestionPhase::ProbeBwRefill,
            Phase::Up => CongestionPhase::ProbeBwUp,
            Phase::ProbeRtt => CongestionPhase::ProbeRtt,
        }
    }

    fn wants_rate_reduction(&self) -> bool {
        false
    }

    fn in_slow_start(&self) -> bool {
        !self.full_pipe.reached
    }

    /// 5.3.4.3: what is measured in `ProbeRTT` is not the path's rate.
    fn limits_samples(&self) -> bool {
        self.phase == Phase::ProbeRtt
    }
}
