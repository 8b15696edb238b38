//! What the Dart and JS models share of the sender: round trip times, CUBIC and pacing (UDX 5, 6; UDX2 10).
//!
//! The peers took all three from one root, so one model of it serves both. Times are in milliseconds with fractions, as theirs are.

use gapless_udx::Instant;
use std::time::Duration;

/// A congestion window with its round trip estimate and its pacer.
pub(crate) struct Window {
    /// Bytes that may be in flight.
    pub(crate) size: u64,
    /// Bytes that are, as far as this sender knows.
    pub(crate) in_flight: u64,
    pub(crate) rtt: Rtt,
    threshold: u64,
    /// The window at the last reduction, and when that was.
    peak: u64,
    epoch: Option<Instant>,
    /// Seconds until the window is back at `peak`.
    climb: f64,
    /// The last number sent when the window was reduced: until a later one is acknowledged it neither grows nor shrinks.
    recovery_end: Option<u32>,
    /// Bytes per millisecond.
    pace: Option<f64>,
    next_send: Instant,
}

/// Round trip times, in milliseconds.
pub(crate) struct Rtt {
    pub(crate) smoothed: f64,
    pub(crate) variation: f64,
    pub(crate) latest: f64,
    least: f64,
    has_sample: bool,
}

impl Window {
    /// `initial` is the round trip time assumed before the first sample, in milliseconds.
    pub(crate) fn new(initial: f64) -> Self {
        Self {
            size: 14_720,
            in_flight: 0,
            rtt: Rtt {
                smoothed: initial,
                variation: initial / 2.0,
                latest: 0.0,
                least: f64::INFINITY,
                has_sample: false,
            },
            threshold: 65_535,
            peak: 0,
            epoch: None,
            climb: 0.0,
            recovery_end: None,
            pace: None,
            next_send: Instant::ZERO,
        }
    }

    /// How long the pacer wants to wait.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.next_send.saturating_duration_since(now)
    }

    /// `bytes` left, as the pacer counts them.
    pub(crate) fn pace(&mut self, now: Instant, bytes: usize) {
        let Some(pace) = self.pace else { return };
        let interval = Duration::from_micros((bytes as f64 / pace * 1000.0) as u64);
        self.next_send = now.max(self.next_send) + interval;
    }

    /// The pacer's books are about the first time of bytes only; so are those of the flight.
    pub(crate) fn leave_flight(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// A round trip: `delay` is what the peer says that it waited, of which 25 ms count.
    pub(crate) fn sample(&mut self, now: Instant, sent: Instant, delay: u16) {
        let mut latest = millis(now.saturating_duration_since(sent));
        let delay = f64::from(delay.min(MAX_ACK_DELAY));
        if latest > delay {
            latest -= delay;
        }
        if self.rtt.add(latest) {
            self.set_pace();
        }
    }

    /// `bytes` were acknowledged, in an ACK whose largest number is `largest`.
    pub(crate) fn grow(&mut self, now: Instant, bytes: u64, largest: u32) {
        if self.recovery_end.is_some_and(|end| largest > end) {
            self.recovery_end = None;
        }
        if self.recovery_end.is_some() {
            return;
        }
        if self.size < self.threshold {
            self.size += bytes;
        } else {
            self.climb(now, bytes);
        }
    }

    /// A loss: once per epoch the window shrinks. `last_sent` is the last number sent.
    pub(crate) fn shrink(&mut self, now: Instant, last_sent: u32) {
        if self.recovery_end.is_some() {
            return;
        }
        self.epoch = Some(now);
        self.recovery_end = Some(last_sent);
        self.peak = self.size;
        self.threshold = ((self.peak as f64 * BETA) as u64).max(MIN_WINDOW);
        self.climb = (self.peak as f64 / MSS * (1.0 - BETA) / C).cbrt();
        self.size = self.threshold;
        self.set_pace();
    }

    /// CUBIC, or what Reno would have if that is more.
    fn climb(&mut self, now: Instant, bytes: u64) {
        let epoch = *self.epoch.get_or_insert(now);
        let seconds = now.saturating_duration_since(epoch).as_secs_f64();
        let cubic = C * (seconds - self.climb).powi(3) + self.peak as f64 / MSS;
        let target = cubic * MSS;
        let size = self.size as f64;
        let reno = MSS * bytes as f64 / size;
        self.size += if target >= size + reno && size < target {
            ((target - size) * MSS / size) as u64
        } else {
            reno as u64
        };
    }

    fn set_pace(&mut self) {
        let least = self.rtt.least;
        self.pace = (least > 0.0 && least.is_finite()).then(|| GAIN * self.size as f64 / least);
    }
}

impl Rtt {
    /// Whether this was the shortest so far.
    fn add(&mut self, latest: f64) -> bool {
        self.latest = latest;
        if self.has_sample {
            self.variation = (3.0 * self.variation + (self.smoothed - latest).abs()) / 4.0;
            self.smoothed = (7.0 * self.smoothed + latest) / 8.0;
        } else {
            self.has_sample = true;
            self.smoothed = latest;
            self.variation = latest / 2.0;
        }
        let is_least = latest < self.least;
        self.least = self.least.min(latest);
        is_least
    }
}

/// The duration of so many milliseconds.
pub(crate) fn from_millis(millis: f64) -> Duration {
    Duration::from_secs_f64(millis.max(0.0) / 1000.0)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Milliseconds of the peer's own delay that count (UDX 5).
const MAX_ACK_DELAY: u16 = 25;
const MSS: f64 = 1472.0;
const BETA: f64 = 0.7;
const C: f64 = 0.4;
/// Windows per round trip that the pacer lets out.
const GAIN: f64 = 2.88;
const MIN_WINDOW: u64 = 2944;
