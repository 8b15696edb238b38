//! 5.6: the pacing rate and the window that follow from the model.

use core::time::Duration;

use crate::congestion::Ack;
use crate::num::{nanos, scale};

use super::cycle::Phase;
use super::model::volume;
use super::probe_rtt::WINDOW_GAIN;
use super::{Bbr, MIN_PIPE_PACKETS, UNBOUNDED};

const NANOS_PER_SEC: u64 = 1_000_000_000;
/// 2.8: gains, percent. `BBR.StartupPacingGain`, `BBR.DrainPacingGain`, `BBR.DefaultCwndGain`.
const STARTUP_PACING_GAIN: u64 = 277;
const DRAIN_PACING_GAIN: u64 = 50;
const WINDOW_GAIN_DEFAULT: u64 = 200;
/// 5.6.1: the table of `ProbeBW`.
const DOWN_PACING_GAIN: u64 = 90;
const UP_PACING_GAIN: u64 = 125;
const UP_WINDOW_GAIN: u64 = 225;
/// 5.6.2: `BBR.PacingMarginPercent` is one.
const PACING_PERCENT: u64 = 99;
/// 5.6.2: the round trip time assumed before the first sample.
const NOMINAL_RTT: Duration = Duration::from_millis(1);
/// 5.6.3: a send quantum is what a millisecond takes, within these bounds, bytes and packets.
const MAX_QUANTUM: u64 = 65_536;
const MIN_QUANTUM_PACKETS: u64 = 2;

impl Phase {
    /// 5.6.1, percent.
    fn pacing_gain(self) -> u64 {
        match self {
            Phase::Startup => STARTUP_PACING_GAIN,
            Phase::Drain { .. } => DRAIN_PACING_GAIN,
            Phase::Down => DOWN_PACING_GAIN,
            Phase::Cruise | Phase::Refill | Phase::ProbeRtt => 100,
            Phase::Up => UP_PACING_GAIN,
        }
    }

    /// 5.6.1, percent.
    fn window_gain(self) -> u64 {
        match self {
            Phase::Up => UP_WINDOW_GAIN,
            Phase::ProbeRtt => WINDOW_GAIN,
            _ => WINDOW_GAIN_DEFAULT,
        }
    }
}

impl Bbr {
    /// 5.6.2: `InitPacingRate`.
    pub(super) fn guess_pacing_rate(&mut self, rtt: Option<Duration>) {
        let rtt = nanos(rtt.unwrap_or(NOMINAL_RTT)).max(1);
        let nominal = scale(self.initial, NANOS_PER_SEC, rtt);
        self.pacing_rate = scale(nominal, STARTUP_PACING_GAIN, 100);
    }

    /// 5.6.2: `SetPacingRate`.
    pub(super) fn set_pacing_rate(&mut self, ack: &Ack<'_>) {
        if self.rate_is_guess && ack.rtt.samples() > 0 {
            self.rate_is_guess = false;
            self.guess_pacing_rate(Some(ack.rtt.smoothed()));
        }
        self.pace_with_gain(self.phase.pacing_gain());
    }

    /// 5.6.2: `SetPacingRateWithGain`, percent.
    ///
    /// Not of the draft: what chance takes is sent in addition. The model's rate is of what was delivered, so a path that loses two of a
    /// hundred whatever is sent has it two percent below what it carries; sent at that rate, of which it takes two percent
    /// again, it would stand idle for as long.
    pub(super) fn pace_with_gain(&mut self, gain: u64) {
        let sent = self.chance.sent_for(self.bw());
        let rate = scale(sent, gain.saturating_mul(PACING_PERCENT), 10_000);
        if self.full_pipe.reached || rate > self.pacing_rate {
            self.pacing_rate = rate;
        }
    }

    /// 5.6.4.6: `SetCwnd`.
    pub(super) fn set_window(&mut self, ack: &Ack<'_>) {
        let most = self.max_in_flight();
        let grown = self.window.saturating_add(ack.bytes);
        if self.full_pipe.reached {
            self.window = grown.min(most);
        } else if self.window < most || ack.delivered < self.initial {
            self.window = grown;
        }
        self.window = self.window.max(self.least_window());
        if self.phase == Phase::ProbeRtt {
            self.window = self.window.min(self.probe_rtt_window());
        }
        self.window = self.window.min(self.model_bound()).min(self.max);
    }

    /// 5.6.4.7: `BoundCwndForModel`.
    fn model_bound(&self) -> u64 {
        let long = match self.phase {
            Phase::Startup | Phase::Drain { .. } => UNBOUNDED,
            Phase::Down | Phase::Refill | Phase::Up => self.long_term.in_flight,
            Phase::Cruise | Phase::ProbeRtt => self.in_flight_with_headroom(),
        };
        long.min(self.short_term.in_flight).max(self.least_window())
    }

    /// 5.6.4.2: `UpdateMaxInflight`.
    fn max_in_flight(&self) -> u64 {
        let bound = self
            .bdp(self.phase.window_gain())
            .saturating_add(self.aggregation.extra());
        self.with_quanta(bound)
    }

    /// 5.6.4.2: `Inflight`, for a gain in percent.
    pub(super) fn in_flight_for(&self, gain: u64) -> u64 {
        self.with_quanta(self.bdp(gain))
    }

    /// 5.6.4.2: `QuantizationBudget`.
    fn with_quanta(&self, bound: u64) -> u64 {
        let quantum = volume(self.pacing_rate, Duration::from_millis(1))
            .min(MAX_QUANTUM)
            .max(self.mtu.saturating_mul(MIN_QUANTUM_PACKETS));
        let bound = bound.max(quantum).max(self.least_window());
        if self.phase == Phase::Up {
            bound.saturating_add(self.mtu.saturating_mul(2))
        } else {
            bound
        }
    }

    /// 5.6.4.2: `BDPMultiple`, for a gain in percent.
    pub(super) fn bdp(&self, gain: u64) -> u64 {
        self.bdp_at(self.bw(), gain)
    }

    pub(super) fn bdp_at(&self, rate: u64, gain: u64) -> u64 {
        if self.min_rtt.value == UNBOUNDED {
            return self.initial;
        }
        let bdp = scale(rate, self.min_rtt.value, NANOS_PER_SEC);
        scale(bdp, gain, 100)
    }

    /// 5.3.3.8.3: `TargetInflight`.
    pub(super) fn target_in_flight(&self) -> u64 {
        self.bdp(100).min(self.window)
    }

    /// 5.6.4.3: `BBR.MinPipeCwnd`, bytes.
    pub(super) fn least_window(&self) -> u64 {
        self.mtu.saturating_mul(MIN_PIPE_PACKETS)
    }

    /// 5.6.4.4: `SaveCwnd`.
    pub(super) fn save_window(&mut self) {
        let reduced = self.loss.is_recovering() || self.phase == Phase::ProbeRtt;
        self.prior_window = if reduced {
            self.prior_window.max(self.window)
        } else {
            self.window
        };
    }

    /// 5.6.4.4: `RestoreCwnd`.
    pub(super) fn restore_window(&mut self) {
        self.window = self.window.max(self.prior_window);
    }
}
