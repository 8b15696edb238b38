//! The pacer: a token bucket that spreads a window over the round trip (RFC 9002 7.7).

use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::num::{nanos, scale};
use crate::time::Instant;

const NANOS_PER_SEC: u64 = 1_000_000_000;
/// Bucket size in time, ns. Timers of operating systems are about a millisecond coarse; a bucket of two keeps the rate
/// although each wake-up is late. On loopback two milliseconds exceed every window: there the pacer is out of the way.
const BURST: u64 = 2_000_000;
/// Least bucket, packets. RFC 9002 7.7: the initial window (10) may leave at once.
const BURST_PACKETS: u64 = 10;
/// A refused sender waits for this much, ns, so that the next sending is worth a batch ...
const QUANTUM: u64 = 1_000_000;
/// ... of at most what segmentation offload takes at a time, bytes.
const QUANTUM_BYTES: u64 = 65_536;
/// Never slower than this, bytes per second: one small packet each 10 ms, so that nothing starves.
const MIN_RATE: u64 = 120_000;

#[derive(Debug)]
pub(crate) struct Pacer {
    enabled: bool,
    /// Bytes per second.
    rate: u64,
    capacity: u64,
    tokens: u64,
    filled_at: Instant,
}

impl Pacer {
    pub(crate) fn new(enabled: bool, now: Instant, burst: u64) -> Self {
        Pacer {
            enabled,
            rate: MIN_RATE,
            capacity: burst,
            tokens: burst,
            filled_at: now,
        }
    }

    /// The rate for a window and a round trip time: RFC 9002 7.7 asks for N = 1.25 windows per round trip; in slow
    /// start the window doubles within the round, so there it is 2.
    pub(crate) fn rate_for(window: u64, smoothed: u64, slow_start: bool) -> u64 {
        let window = if slow_start {
            window.saturating_mul(2)
        } else {
            window.saturating_add(window / 4)
        };
        scale(window, NANOS_PER_SEC, smoothed.max(1))
    }

    /// The rate, bytes per second; `None` if nothing is paced.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.enabled.then_some(self.rate)
    }

    /// A new rate, from now on.
    pub(crate) fn set_rate(&mut self, now: Instant, rate: u64, mtu: u64) {
        if !self.enabled {
            return;
        }
        self.tokens = self.tokens_at(now);
        self.filled_at = self.filled_at.max(now);
        self.rate = rate.max(MIN_RATE);
        self.capacity =
            scale(self.rate, BURST, NANOS_PER_SEC).max(mtu.saturating_mul(BURST_PACKETS));
        self.tokens = self.tokens.min(self.capacity);
    }

    /// When `bytes` may be sent; `None` for at once. Later than `now` otherwise.
    pub(crate) fn blocked_until(&self, now: Instant, bytes: u32) -> Option<Instant> {
        if !self.enabled {
            return None;
        }
        // A packet beyond the bucket's size would wait for ever.
        let needed = u64::from(bytes).min(self.capacity);
        let tokens = self.tokens_at(now);
        if tokens >= needed {
            return None;
        }
        mark!(PacerWaits);
        let quantum = scale(self.rate, QUANTUM, NANOS_PER_SEC)
            .min(QUANTUM_BYTES)
            .min(self.capacity);
        let missing = quantum.max(needed).saturating_sub(tokens);
        let wait = sabotage!(
            PacedInThePast,
            0,
            scale(missing, NANOS_PER_SEC, self.rate).max(1)
        );
        Some(now.saturating_add(Duration::from_nanos(wait)))
    }

    /// How many packets of `bytes` may be sent at once.
    pub(crate) fn allowed(&self, now: Instant, bytes: u32) -> u64 {
        let bytes = u64::from(bytes);
        if !self.enabled {
            return u64::MAX;
        }
        // Packets beyond the bucket's size are asked for one by one.
        if bytes > self.capacity {
            return 0;
        }
        self.tokens_at(now).checked_div(bytes).unwrap_or(0)
    }

    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u64) {
        if self.enabled {
            self.tokens = self.tokens_at(now).saturating_sub(bytes);
            self.filled_at = self.filled_at.max(now);
        }
    }

    /// A fresh path starts with a full bucket.
    pub(crate) fn reset(&mut self, now: Instant) {
        self.tokens = self.capacity;
        self.filled_at = self.filled_at.max(now);
    }

    fn tokens_at(&self, now: Instant) -> u64 {
        let elapsed = nanos(now.saturating_duration_since(self.filled_at));
        if elapsed == 0 {
            return self.tokens;
        }
        // Saturation is right: it means more than any bucket holds.
        let gained = self.rate.saturating_mul(elapsed) / NANOS_PER_SEC;
        self.tokens.saturating_add(gained).min(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::ZERO + Duration::from_micros(micros)
    }

    /// Sends packets as fast as the pacer allows until `end`; returns the bytes and the greatest batch.
    fn run(pacer: &mut Pacer, end: Instant) -> (u64, u64) {
        let (mut now, mut total, mut batch, mut greatest) = (at(0), 0, 0, 0);
        while now < end {
            match pacer.blocked_until(now, 1200) {
                None => {
                    pacer.on_sent(now, 1200);
                    total += 1200;
                    batch += 1200;
                    greatest = batch.max(greatest);
                }
                Some(until) => {
                    assert!(until > now, "R9");
                    now = until;
                    batch = 0;
                }
            }
        }
        (total, greatest)
    }

    #[test]
    fn keeps_the_rate_over_time() {
        for rate in [200_000, 1_000_000, 12_500_000, 125_000_000, 1_000_000_000] {
            let mut pacer = Pacer::new(true, at(0), 12_000);
            pacer.set_rate(at(0), rate, 1200);
            let (total, greatest) = run(&mut pacer, at(1_000_000));
            let burst = (rate / 500).max(12_000);
            assert!(total <= rate + burst + 1200, "{rate}: {total}");
            assert!(total >= rate / 100 * 97, "{rate}: {total}");
            assert!(greatest <= burst + 1200, "{rate}: {greatest}");
        }
    }

    #[test]
    fn the_initial_window_leaves_at_once() {
        let mut pacer = Pacer::new(true, at(0), 12_000);
        for _ in 0..10 {
            assert_eq!(pacer.blocked_until(at(0), 1200), None);
            pacer.on_sent(at(0), 1200);
        }
        assert!(pacer.blocked_until(at(0), 1200).is_some());
    }

    #[test]
    fn a_window_over_a_loopback_round_trip_is_not_paced() {
        let mut pacer = Pacer::new(true, at(0), 12_000);
        let window = 1 << 20;
        pacer.set_rate(at(0), Pacer::rate_for(window, 100_000, false), 1472);
        pacer.reset(at(0));
        let mut sent = 0;
        while sent < window {
            assert_eq!(pacer.blocked_until(at(0), 1472), None);
            pacer.on_sent(at(0), 1472);
            sent += 1472;
        }
    }

    #[test]
    fn extremes_neither_starve_nor_overflow() {
        let mut pacer = Pacer::new(true, Instant::MAX, 1000);
        assert_eq!(
            pacer.blocked_until(at(0), u32::MAX),
            None,
            "larger than the bucket passes with a full one"
        );
        pacer.set_rate(Instant::MAX, u64::MAX, u64::MAX);
        pacer.set_rate(Instant::ZERO, 0, 0);
        assert!(pacer.rate >= MIN_RATE);
        assert!(Pacer::rate_for(u64::MAX, 0, true) > 0);
        let mut disabled = Pacer::new(false, at(0), 0);
        disabled.on_sent(at(0), 5000);
        assert_eq!(disabled.blocked_until(at(0), 5000), None);
    }

    #[test]
    fn the_rate_follows_rfc9002_7_7() {
        assert_eq!(Pacer::rate_for(100_000, 100_000_000, false), 1_250_000);
        assert_eq!(Pacer::rate_for(100_000, 100_000_000, true), 2_000_000);
    }
}
