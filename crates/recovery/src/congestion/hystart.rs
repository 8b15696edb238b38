//! HyStart++, RFC 9406: leaves slow start when the round trip time rises, before packets are lost.

use gapless_seq::mark;

use crate::num::nanos;

use super::Ack;

/// RFC 9406 4.3: 4 ms and 16 ms bound the rise that counts, ns.
const MIN_RTT_THRESH: u64 = 4_000_000;
const MAX_RTT_THRESH: u64 = 16_000_000;
/// RFC 9406 4.3: the rise that counts is this part of the round trip time.
const MIN_RTT_DIVISOR: u64 = 8;
/// RFC 9406 4.3: samples of a round before it is judged.
const N_RTT_SAMPLE: u32 = 8;
/// RFC 9406 4.3: growth in conservative slow start is this part of slow start's.
pub(crate) const CSS_GROWTH_DIVISOR: u64 = 4;
/// RFC 9406 4.3: packets that one acknowledgement adds to the window at most when nothing paces the sender (L).
pub(crate) const L_UNPACED: u64 = 8;
/// RFC 9406 4.3: rounds of conservative slow start.
const CSS_ROUNDS: u32 = 5;

/// How much of the acknowledged bytes the window may grow by.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Growth {
    Full,
    Conservative,
    /// Congestion avoidance begins.
    Stop,
}

#[derive(Clone, Debug)]
pub(crate) struct HyStart {
    /// The round ends when this transmission is acknowledged; `None` before the first.
    window_end: Option<u64>,
    last_round_min: u64,
    current_round_min: u64,
    samples: u32,
    /// Conservative slow start: the minimum that began it, and its rounds so far.
    conservative: Option<(u64, u32)>,
}

impl HyStart {
    pub(crate) const fn new() -> Self {
        HyStart {
            window_end: None,
            last_round_min: u64::MAX,
            current_round_min: u64::MAX,
            samples: 0,
            conservative: None,
        }
    }

    pub(crate) fn is_conservative(&self) -> bool {
        self.conservative.is_some()
    }

    pub(crate) fn on_ack(&mut self, ack: &Ack<'_>) -> Growth {
        if let Some(sample) = ack.rtt_sample {
            self.current_round_min = self.current_round_min.min(nanos(sample));
            self.samples = self.samples.saturating_add(1);
        }
        self.judge();
        let growth = match self.conservative {
            Some((_, rounds)) if rounds >= CSS_ROUNDS => Growth::Stop,
            Some(_) => Growth::Conservative,
            None => Growth::Full,
        };
        if self.window_end.is_none_or(|end| ack.newest >= end) {
            self.start_round(ack.next);
        }
        growth
    }

    fn start_round(&mut self, next: u64) {
        if let Some((_, rounds)) = &mut self.conservative {
            *rounds = rounds.saturating_add(1);
        }
        // RFC 9406 4.2: at the start of each round.
        self.window_end = Some(next);
        self.last_round_min = self.current_round_min;
        self.current_round_min = u64::MAX;
        self.samples = 0;
    }

    fn judge(&mut self) {
        if self.samples < N_RTT_SAMPLE || self.current_round_min == u64::MAX {
            return;
        }
        if let Some((baseline, _)) = self.conservative {
            // RFC 9406 4.2: the rise was no congestion after all.
            if self.current_round_min < baseline {
                mark!(CssLeft);
                self.conservative = None;
            }
            return;
        }
        if self.last_round_min == u64::MAX {
            return;
        }
        let threshold =
            (self.last_round_min / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
        if self.current_round_min >= self.last_round_min.saturating_add(threshold) {
            mark!(CssEntered);
            self.conservative = Some((self.current_round_min, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtt::Rtt;
    use crate::time::Instant;
    use alloc::vec::Vec;
    use core::time::Duration;

    /// Runs rounds of ten acknowledgements with the given round trip times (ms); what the last one of each answered.
    fn rounds(hystart: &mut HyStart, start: u64, times: &[u64]) -> Vec<Growth> {
        let rtt = Rtt::new(Duration::from_millis(1));
        let mut answers = Vec::new();
        for (round, &millis) in times.iter().enumerate() {
            let base = start + u64::try_from(round).unwrap() * 10;
            let mut last = Growth::Full;
            for packet in 0..10 {
                let mut ack = super::super::testing::ack(
                    Instant::ZERO,
                    1000,
                    base + packet,
                    base + packet + 10,
                    &rtt,
                );
                ack.rtt_sample = Some(Duration::from_millis(millis));
                last = hystart.on_ack(&ack);
            }
            answers.push(last);
        }
        answers
    }

    #[test]
    fn a_steady_round_trip_never_leaves_slow_start() {
        let mut hystart = HyStart::new();
        assert!(
            rounds(&mut hystart, 0, &[40; 50])
                .iter()
                .all(|&growth| growth == Growth::Full)
        );
    }

    #[test]
    fn rfc9406_4_2_a_rise_leads_through_conservative_slow_start_to_avoidance() {
        let mut hystart = HyStart::new();
        // An eighth of 40 ms is 5 ms: 44 is not enough, and the round after it is measured against 44.
        let answers = rounds(&mut hystart, 0, &[40, 40, 44, 50]);
        assert_eq!(
            answers,
            [
                Growth::Full,
                Growth::Full,
                Growth::Full,
                Growth::Conservative
            ]
        );
        let answers = rounds(&mut hystart, 40, &[50; 6]);
        assert_eq!(answers[..4], [Growth::Conservative; 4]);
        assert_eq!(answers[5], Growth::Stop);
    }

    #[test]
    fn rfc9406_4_2_a_fall_resumes_slow_start() {
        let mut hystart = HyStart::new();
        let answers = rounds(&mut hystart, 0, &[40, 40, 60, 60, 45, 45]);
        assert_eq!(
            answers[2..],
            [
                Growth::Conservative,
                Growth::Conservative,
                Growth::Full,
                Growth::Full
            ]
        );
    }

    #[test]
    fn rfc9406_4_3_the_threshold_is_clamped() {
        // 1 ms paths need 4 ms, 400 ms paths 16 ms.
        assert_eq!(rounds(&mut HyStart::new(), 0, &[1, 1, 4])[2], Growth::Full);
        assert_eq!(
            rounds(&mut HyStart::new(), 0, &[1, 1, 5])[2],
            Growth::Conservative
        );
        assert_eq!(
            rounds(&mut HyStart::new(), 0, &[400, 400, 415])[2],
            Growth::Full
        );
        assert_eq!(
            rounds(&mut HyStart::new(), 0, &[400, 400, 416])[2],
            Growth::Conservative
        );
    }
}
