//! Round trip times: RFC 6298 and RFC 9002 section 5.

use core::time::Duration;

use gapless_seq::mark;

use crate::num::nanos;
use crate::time::Instant;

/// Timer granularity, ns. RFC 9002 6.1.2 (kGranularity): 1 ms, what an operating system's timers keep.
pub(crate) const GRANULARITY: u64 = 1_000_000;
/// The longest that a peer waits on purpose before it acknowledges, ns. UDX 4.2: 25 ms.
const ORDINARY_DELAY: u64 = 25_000_000;
/// How long a minimum counts, ns. RFC 8985 6.2 step 1 asks for a windowed minimum, so that a path which
/// became longer is believed; a minute outlasts every queue that loss recovery could mistake for one.
const MIN_WINDOW: u64 = 60_000_000_000;

/// The estimate of one path's round trip time.
#[derive(Clone, Debug)]
pub struct Rtt {
    initial: u64,
    latest: u64,
    /// Of the last sample, what the path and an ordinary delay of the peer took.
    prompt: u64,
    smoothed: u64,
    variation: u64,
    /// Minimum of the running window and of the one before: the older one only shields the start of the newer.
    min: u64,
    previous_min: u64,
    window_started: Instant,
    samples: u64,
}

impl Rtt {
    pub(crate) fn new(initial: Duration) -> Self {
        // RFC 9002 5.3: before any sample smoothed = kInitialRtt, rttvar = kInitialRtt / 2. A timer of zero
        // would fire for ever (R9), so the guess is at least one nanosecond.
        let initial = nanos(initial).max(1);
        Rtt {
            initial,
            latest: 0,
            prompt: 0,
            smoothed: initial,
            variation: initial / 2,
            min: u64::MAX,
            previous_min: u64::MAX,
            window_started: Instant::ZERO,
            samples: 0,
        }
    }

    /// The last sample; zero before the first.
    #[must_use]
    pub fn latest(&self) -> Duration {
        Duration::from_nanos(self.latest)
    }

    /// The smoothed round trip time (srtt); the configured guess before the first sample.
    #[must_use]
    pub fn smoothed(&self) -> Duration {
        Duration::from_nanos(self.smoothed)
    }

    /// The mean deviation (rttvar).
    #[must_use]
    pub fn variation(&self) -> Duration {
        Duration::from_nanos(self.variation)
    }

    /// The least sample of the last one to two minutes; `None` before the first.
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        (self.samples > 0).then(|| Duration::from_nanos(self.min_nanos()))
    }

    /// How many samples were taken.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Takes a sample. `ack_delay` is what the peer says it waited.
    pub(crate) fn sample(&mut self, now: Instant, sample: Duration, ack_delay: Duration) {
        let sample = nanos(sample).max(1);
        self.latest = sample;
        self.update_min(now, sample);
        // RFC 9002 5.3: the peer's delay is no part of the path. V16: delays of hundreds of milliseconds are
        // real, so the whole of it is subtracted; the minimum bounds what a peer can pretend.
        // The first sample knows no minimum yet, and is often the one that waited: for an answer that was lost. Taken whole, it would
        // make the timeout too long for many samples to come; too short a one costs a probe.
        let floor = if self.samples == 0 {
            GRANULARITY.min(sample)
        } else {
            self.min_nanos()
        };
        // An acknowledgement that repeats what a lost one said names a number that came long ago. Counted whole, that time would put off
        // the next loss by as much.
        let late = nanos(ack_delay).saturating_sub(ORDINARY_DELAY);
        mark!(AckDelayLong, late > 0);
        self.prompt = sample.saturating_sub(late).max(floor);
        let adjusted = sample.saturating_sub(nanos(ack_delay)).max(floor);
        if self.samples == 0 {
            // RFC 6298 2.2.
            self.smoothed = adjusted;
            self.variation = adjusted / 2;
        } else {
            // RFC 6298 2.3: the variation first, with the old smoothed value.
            let deviation = self.smoothed.abs_diff(adjusted);
            self.variation = weigh(self.variation, deviation, 4);
            self.smoothed = weigh(self.smoothed, adjusted, 8);
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// RFC 9002 9.4 and 5.2: a new path has another round trip time.
    pub(crate) fn reset(&mut self) {
        *self = Rtt::new(Duration::from_nanos(self.initial));
    }

    /// RFC 9002 6.2.1: smoothed + max(4 * rttvar, kGranularity), ns.
    pub(crate) fn timeout(&self) -> u64 {
        self.smoothed
            .saturating_add(self.variation.saturating_mul(4).max(GRANULARITY))
    }

    pub(crate) fn smoothed_nanos(&self) -> u64 {
        self.smoothed
    }

    pub(crate) fn prompt_nanos(&self) -> u64 {
        self.prompt
    }

    /// `u64::MAX` before the first sample.
    pub(crate) fn min_nanos(&self) -> u64 {
        self.min.min(self.previous_min)
    }

    fn update_min(&mut self, now: Instant, sample: u64) {
        if self.samples == 0 {
            self.window_started = now;
        } else if nanos(now.saturating_duration_since(self.window_started)) >= MIN_WINDOW {
            mark!(LeastRttExpired);
            self.previous_min = self.min;
            self.min = u64::MAX;
            self.window_started = now;
        }
        self.min = self.min.min(sample);
    }
}

/// Exponential average with weight 1/`parts` for the new value.
fn weigh(old: u64, new: u64, parts: u64) -> u64 {
    old.saturating_mul(parts.saturating_sub(1))
        .saturating_add(new)
        .checked_div(parts)
        .unwrap_or(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + ms(millis)
    }

    #[test]
    fn rfc6298_2_2_first_sample() {
        let mut rtt = Rtt::new(ms(100));
        assert_eq!(rtt.smoothed(), ms(100));
        assert_eq!(rtt.timeout(), nanos(ms(300)));
        assert_eq!(rtt.min(), None);
        rtt.sample(at(0), ms(60), Duration::ZERO);
        assert_eq!(
            (rtt.smoothed(), rtt.variation(), rtt.min()),
            (ms(60), ms(30), Some(ms(60)))
        );
    }

    #[test]
    fn what_the_peer_held_back_for_long_does_not_put_off_the_next_loss() {
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(at(0), ms(2), Duration::ZERO);
        rtt.sample(at(10), ms(12), ms(10));
        assert_eq!(
            rtt.prompt_nanos(),
            nanos(ms(12)),
            "an ordinary delay counts"
        );
        rtt.sample(at(6000), ms(5862), ms(5860));
        assert_eq!(
            (rtt.latest(), rtt.prompt_nanos()),
            (ms(5862), nanos(ms(27)))
        );
        rtt.sample(at(6100), ms(50), ms(60_000));
        assert_eq!(
            rtt.prompt_nanos(),
            nanos(ms(2)),
            "no peer can lie below the least"
        );
    }

    #[test]
    fn rfc6298_2_3_table() {
        // (sample, srtt, rttvar) in microseconds; computed by hand from the formulas.
        let table = [
            (100_000, 100_000, 50_000),
            (200_000, 112_500, 62_500),
            (100_000, 110_937, 50_000),
            (110_937, 110_937, 37_500),
        ];
        let mut rtt = Rtt::new(ms(333));
        for (sample, smoothed, variation) in table {
            rtt.sample(at(0), Duration::from_micros(sample), Duration::ZERO);
            assert!(
                rtt.smoothed().abs_diff(Duration::from_micros(smoothed)) < Duration::from_micros(2)
            );
            assert!(
                rtt.variation().abs_diff(Duration::from_micros(variation))
                    < Duration::from_micros(2)
            );
        }
    }

    #[test]
    fn a_constant_path_is_a_fixed_point() {
        let mut rtt = Rtt::new(ms(100));
        for _ in 0..1000 {
            rtt.sample(at(0), Duration::from_nanos(33_333_333), Duration::ZERO);
        }
        assert_eq!(rtt.smoothed(), Duration::from_nanos(33_333_333));
        assert!(rtt.variation() < Duration::from_nanos(10));
    }

    #[test]
    fn v16_the_true_delay_is_subtracted_down_to_the_minimum() {
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(at(0), ms(40), ms(20));
        assert_eq!(rtt.smoothed(), ms(20), "from the first sample on");
        assert_eq!(rtt.min(), Some(ms(40)), "the minimum is never guessed");
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(at(0), ms(40), Duration::MAX);
        assert_eq!(rtt.smoothed(), ms(1), "nor is there a path without time");
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(at(0), ms(40), Duration::ZERO);
        rtt.sample(at(1), ms(440), ms(400));
        assert_eq!(
            rtt.smoothed(),
            ms(40),
            "400 ms of waiting are no round trip"
        );
        rtt.sample(at(2), ms(60), Duration::MAX);
        assert_eq!(rtt.smoothed(), ms(40), "a lie cannot go below the minimum");
        assert_eq!(rtt.latest(), ms(60));
    }

    #[test]
    fn a_longer_path_is_believed_in_time() {
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(at(0), ms(10), Duration::ZERO);
        rtt.sample(at(61_000), ms(50), Duration::ZERO);
        assert_eq!(rtt.min(), Some(ms(10)));
        rtt.sample(at(122_000), ms(50), Duration::ZERO);
        assert_eq!(rtt.min(), Some(ms(50)));
    }

    #[test]
    fn extremes_saturate() {
        let mut rtt = Rtt::new(Duration::MAX);
        rtt.sample(at(0), Duration::MAX, Duration::MAX);
        rtt.sample(at(1), Duration::ZERO, Duration::MAX);
        assert!(rtt.timeout() > 0);
        rtt.reset();
        assert_eq!(rtt.samples(), 0);
    }
}
