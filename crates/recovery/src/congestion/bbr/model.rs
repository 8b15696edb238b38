//! 5.5.1 to 5.5.9 and 5.3.1.2: rounds, the greatest bandwidth, whether the pipe is full, and how acknowledgements clump.

use core::time::Duration;

use gapless_seq::mark;

use crate::congestion::Ack;
use crate::num::{nanos, scale};
use crate::time::Instant;

use super::Bbr;

const NANOS_PER_SEC: u64 = 1_000_000_000;
/// 5.3.1.2: so many rounds without growth mean a full pipe.
const FULL_PIPE_ROUNDS: u8 = 3;
/// 5.5.9: `BBR.ExtraAckedFilterLen` is ten rounds, kept in two halves.
const EXTRA_ACKED_HALF: u64 = 5;

/// 5.5.1: round trips timed by packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    /// `BBR.next_round_delivered`.
    next_delivered: u64,
    pub(super) count: u64,
    /// The present acknowledgement begins one.
    pub(super) start: bool,
    /// `BBR.rounds_since_probe_up`.
    pub(super) since_probe_up: u64,
}

impl Rounds {
    fn update(&mut self, ack: &Ack<'_>) {
        self.start = ack.sent.delivered >= self.next_delivered;
        if self.start {
            self.restart(ack);
            self.count = self.count.saturating_add(1);
            self.since_probe_up = self.since_probe_up.saturating_add(1);
        }
    }

    #[cfg(test)]
    pub(super) fn next_delivered(&self) -> u64 {
        self.next_delivered
    }

    /// `StartRound`: the round that is measured begins with the next packet.
    pub(super) fn restart(&mut self, ack: &Ack<'_>) {
        self.next_delivered = ack.delivered;
    }
}

/// 5.5.3: the greatest delivery rate of this cycle of `ProbeBW` and the one before (`BBR.MaxBwFilterLen` is two).
#[derive(Clone, Debug, Default)]
pub(super) struct MaxBandwidth {
    previous: u64,
    current: u64,
    advanced_at: Instant,
}

/// Not of the draft, whose filter advances once in a cycle of probing: on a path that became much slower a cycle takes longer than
/// the time between two visits to `ProbeRTT`, which begin it anew, and the old rate would be remembered for ever.
const REMEMBER: Duration = Duration::from_secs(10);

impl MaxBandwidth {
    pub(super) fn max(&self) -> u64 {
        self.previous.max(self.current)
    }

    /// Of this cycle, if it measured any.
    pub(super) fn of_this_cycle(&self) -> u64 {
        if self.current > 0 {
            self.current
        } else {
            self.previous
        }
    }

    /// 5.5.5: `UpdateMaxBw`.
    fn update(&mut self, ack: &Ack<'_>) {
        let rate = ack.delivery_rate();
        if rate > 0 && (rate >= self.max() || !ack.sent.app_limited) {
            self.current = self.current.max(rate);
        }
    }

    /// 5.5.6: `AdvanceMaxBwFilter`. A cycle that measured nothing is no reason to forget.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.current > 0 {
            self.previous = self.current;
            self.current = 0;
        }
        self.advanced_at = now;
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.advanced_at) > REMEMBER
    }
}

/// 5.3.1.2: a plateau of the delivery rate.
#[derive(Clone, Debug, Default)]
pub(super) struct FullPipe {
    baseline: u64,
    count: u8,
    /// `BBR.full_bw_now`.
    pub(super) now: bool,
    /// `BBR.full_bw_reached`: ever.
    pub(super) reached: bool,
}

impl FullPipe {
    /// `ResetFullBW`, with the rate that has to be exceeded from now on.
    pub(super) fn reset(&mut self, baseline: u64) {
        self.baseline = baseline;
        self.count = 0;
        self.now = false;
    }

    /// `CheckFullBWReached`.
    pub(super) fn check(&mut self, ack: &Ack<'_>, round_start: bool) {
        if self.now || !round_start || ack.sent.app_limited {
            return;
        }
        let rate = ack.delivery_rate();
        // A quarter of growth.
        if rate >= self.baseline.saturating_add(self.baseline / 4) {
            return self.reset(rate);
        }
        self.count = self.count.saturating_add(1);
        self.now = self.count >= FULL_PIPE_ROUNDS;
        mark!(BbrPipeFull, self.now && !self.reached);
        self.reached |= self.now;
    }
}

/// 5.5.9: how much more is acknowledged at once than the rate explains.
#[derive(Clone, Debug, Default)]
pub(super) struct Aggregation {
    interval_start: Instant,
    delivered: u64,
    /// The greatest excess of these rounds and of those before.
    current: u64,
    previous: u64,
    half_began: u64,
}

impl Aggregation {
    /// `BBR.extra_acked`, bytes.
    pub(super) fn extra(&self) -> u64 {
        self.current.max(self.previous)
    }

    /// A silence of the application is no aggregation.
    pub(super) fn restart(&mut self, now: Instant) {
        self.interval_start = now;
        self.delivered = 0;
    }

    fn note(&mut self, round: u64, window: u64, length: u64) {
        if round.saturating_sub(self.half_began) >= length {
            self.previous = self.current;
            self.current = 0;
            self.half_began = round;
        }
        self.current = self.current.max(window);
    }
}

impl Bbr {
    /// 5.5.10.3 `UpdateCongestionSignals`, which begins with 5.5.5 `UpdateMaxBw`.
    pub(super) fn update_congestion_signals(&mut self, ack: &Ack<'_>) {
        self.rounds.update(ack);
        self.bandwidth.update(ack);
        if self.loss.round_start {
            self.adapt_short_term(ack);
            self.loss.end_round(self.rounds.count);
            if core::mem::take(&mut self.loss.restore_window) {
                mark!(BbrWindowRestored);
                self.restore_window();
            }
        }
    }

    /// 5.5.9: `UpdateACKAggregation`.
    pub(super) fn update_aggregation(&mut self, ack: &Ack<'_>) {
        let elapsed = ack
            .now
            .saturating_duration_since(self.aggregation.interval_start);
        let mut expected = volume(self.bw(), elapsed);
        if self.aggregation.delivered <= expected {
            self.aggregation.restart(ack.now);
            expected = 0;
        }
        self.aggregation.delivered = self.aggregation.delivered.saturating_add(ack.bytes);
        let extra = self.aggregation.delivered.saturating_sub(expected);
        let length = if self.full_pipe.reached {
            EXTRA_ACKED_HALF
        } else {
            1
        };
        self.aggregation
            .note(self.rounds.count, extra.min(self.window), length);
    }
}

/// What a rate delivers in a time, bytes.
pub(super) fn volume(rate: u64, time: Duration) -> u64 {
    scale(rate, nanos(time), NANOS_PER_SEC)
}
