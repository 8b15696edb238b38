//! 5.3.4: the least round trip time, and sending little for a while to measure it without a queue.

use core::time::Duration;

use gapless_seq::mark;

use crate::congestion::Ack;
use crate::num::nanos;
use crate::time::Instant;

use super::cycle::{AckPhase, Phase};
use super::loss::ShortTerm;
use super::{Bbr, UNBOUNDED};

/// 2.8: `BBR.ProbeRTTInterval`.
const INTERVAL: Duration = Duration::from_secs(5);
/// 2.8: `BBR.MinRTTFilterLen`.
const FILTER: Duration = Duration::from_secs(10);
/// 2.8: `BBR.ProbeRTTDuration`.
const DURATION: Duration = Duration::from_millis(200);
/// 2.8: `BBR.ProbeRTTCwndGain`, percent.
pub(super) const WINDOW_GAIN: u64 = 50;

/// A sample within this part above the least one matches it: what timers and other packets before this one add. A queue as short as
/// that need not be emptied.
const MATCH_SHARE: u64 = 64;
/// ... for so long. Flows that share a queue find their shares while it is empty, and each of them may take the queue of the others for
/// the path.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub(super) struct MinRtt {
    /// `BBR.min_rtt`, ns; [`UNBOUNDED`] before the first sample.
    pub(super) value: u64,
    at: Instant,
    /// `BBR.probe_rtt_min_delay`, ns.
    recent: u64,
    recent_at: Instant,
    /// `BBR.probe_rtt_expired`.
    expired: bool,
    /// `BBR.probe_rtt_done_stamp`.
    done_at: Option<Instant>,
    /// `BBR.probe_rtt_round_done`.
    round_done: bool,
    /// When the last `ProbeRTT` began.
    emptied_at: Instant,
}

impl MinRtt {
    pub(super) const fn new() -> Self {
        MinRtt {
            value: UNBOUNDED,
            at: Instant::ZERO,
            recent: UNBOUNDED,
            recent_at: Instant::ZERO,
            expired: false,
            done_at: None,
            round_done: false,
            emptied_at: Instant::ZERO,
        }
    }

    fn is_matched(&self, now: Instant, sample: u64) -> bool {
        sample <= self.value.saturating_add(self.value / MATCH_SHARE)
            && now.saturating_duration_since(self.emptied_at) < LONGEST
    }
}

impl Bbr {
    /// 5.3.4.3: `UpdateMinRTT`.
    pub(super) fn update_min_rtt(&mut self, ack: &Ack<'_>) {
        let min = &mut self.min_rtt;
        let measured = min.recent != UNBOUNDED;
        min.expired = measured && ack.now.saturating_duration_since(min.recent_at) > INTERVAL;
        if let Some(sample) = ack.rtt_sample.map(nanos)
            && (sample < min.recent || min.expired)
        {
            min.recent = sample;
            min.recent_at = ack.now;
        } else if ack
            .rtt_sample
            .is_some_and(|sample| min.is_matched(ack.now, nanos(sample)))
        {
            // 5.3.4: a path that shows its least time by itself needs no emptying, which costs some percent of its rate.
            min.recent_at = ack.now;
        }
        let stale = ack.now.saturating_duration_since(min.at) > FILTER;
        if min.recent < min.value || (stale && measured) {
            min.value = min.recent;
            min.at = min.recent_at;
        }
    }

    /// 5.3.4.3: `CheckProbeRTT`.
    pub(super) fn check_probe_rtt(&mut self, ack: &Ack<'_>) {
        if self.phase != Phase::ProbeRtt && self.min_rtt.expired && !self.idle_restart {
            mark!(BbrProbeRtt);
            self.save_window();
            self.phase = Phase::ProbeRtt;
            self.min_rtt.emptied_at = ack.now;
            self.min_rtt.done_at = None;
            self.ack_phase = AckPhase::ProbeStopping;
            self.rounds.restart(ack);
        }
        if self.phase == Phase::ProbeRtt {
            self.handle_probe_rtt(ack);
        }
        if ack.bytes > 0 {
            self.idle_restart = false;
        }
    }

    /// `HandleProbeRTT`.
    fn handle_probe_rtt(&mut self, ack: &Ack<'_>) {
        if self.min_rtt.done_at.is_none() {
            if ack.in_flight <= self.probe_rtt_window() {
                self.min_rtt.done_at = Some(ack.now.saturating_add(DURATION));
                self.min_rtt.round_done = false;
                self.rounds.restart(ack);
            }
            return;
        }
        self.min_rtt.round_done |= self.rounds.start;
        if self.min_rtt.round_done {
            self.check_probe_rtt_done(ack.now);
        }
    }

    /// `CheckProbeRTTDone`.
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.min_rtt.done_at.is_some_and(|done_at| now > done_at) {
            mark!(BbrProbeRttDone);
            self.min_rtt.recent_at = now;
            self.min_rtt.done_at = None;
            self.restore_window();
            self.exit_probe_rtt(now);
        }
    }

    /// 5.3.4.4: `ExitProbeRTT`.
    fn exit_probe_rtt(&mut self, now: Instant) {
        self.short_term = ShortTerm::new();
        if self.full_pipe.reached {
            self.start_down(now);
            self.phase = Phase::Cruise;
        } else {
            self.phase = Phase::Startup;
        }
    }

    /// 5.6.4.5: `ProbeRTTCwnd`. Of this cycle's rate alone: where the path became slower, half of what the old rate would hold is
    /// still a queue, whose delay would be taken for the path's.
    pub(super) fn probe_rtt_window(&self) -> u64 {
        let rate = self.bw().min(self.bandwidth.of_this_cycle());
        self.bdp_at(rate, WINDOW_GAIN).max(self.least_window())
    }
}
