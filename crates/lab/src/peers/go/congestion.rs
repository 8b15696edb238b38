//! Go's round trip times, congestion window and pacer (UDX 5, 6). Early version 2 has them and asks them nothing: its timeout stays
//! at the first value (UDX2 4.3).

use gapless_udx::Instant;
use std::time::Duration;

pub(super) struct Congestion {
    window: u64,
    threshold: u64,
    in_flight: u64,
    /// CUBIC: the window before the last event, the seconds back to it, and when that was.
    before: u64,
    way_back: f64,
    epoch: Option<Instant>,
    /// Reduced once until a number above this one is acknowledged.
    recovery_until: Option<i64>,
    smoothed: Duration,
    variation: Duration,
    least: Duration,
    latest: Duration,
    has_sample: bool,
    /// Bytes per second.
    pace: Option<f64>,
    next_send: Instant,
}

impl Congestion {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window: 10 * SEGMENT,
            threshold: 65_535,
            in_flight: 0,
            before: 0,
            way_back: 0.0,
            epoch: None,
            recovery_until: None,
            smoothed: Duration::from_millis(100),
            variation: Duration::from_millis(50),
            least: Duration::from_secs(1),
            latest: Duration::ZERO,
            has_sample: false,
            pace: None,
            next_send: now,
        }
    }

    /// UDX 5: srtt + 4 var in whole milliseconds.
    pub(super) fn timeout(&self) -> Duration {
        let millis = self.smoothed.as_millis() + 4 * self.variation.as_millis();
        Duration::from_millis(millis.clamp(200, 5000) as u64)
    }

    /// UDX 5: what is older than this and missing is lost.
    pub(super) fn loss_delay(&self) -> Duration {
        (self.smoothed.max(self.latest) * 9 / 8).max(Duration::from_millis(1))
    }

    /// UDX 4.2.
    pub(super) fn ack_delay(&self) -> Duration {
        (self.smoothed / 4).clamp(Duration::from_millis(1), MAX_ACK_DELAY)
    }

    /// When the pacer lets the next packet go.
    pub(super) fn next_send(&self) -> Instant {
        self.next_send
    }

    /// Bytes that the window admits now, if at least `least` of them fit.
    pub(super) fn available(&self, least: u64) -> Option<u64> {
        let left = self.window.saturating_sub(self.in_flight);
        (self.in_flight + least <= self.window).then_some(left)
    }

    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64, is_paced: bool) {
        self.in_flight += bytes;
        if let Some(pace) = self.pace.filter(|_| is_paced) {
            let interval = Duration::from_micros((bytes as f64 / pace * 1e6) as u64);
            self.next_send = self.next_send.max(now) + interval;
        }
    }

    /// `sample`: when the packet was sent whose number is the frame's largest, if it is newly acknowledged; and its delay.
    pub(super) fn on_acked(
        &mut self,
        now: Instant,
        bytes: u64,
        largest: u32,
        sample: Option<(Instant, Duration)>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        let Some((sent_at, delay)) = sample else {
            return;
        };
        self.on_sample(now - sent_at, delay.min(MAX_ACK_DELAY));
        if self
            .recovery_until
            .is_some_and(|until| i64::from(largest) > until)
        {
            self.recovery_until = None;
        }
        if self.recovery_until.is_some() {
            return;
        }
        if self.window < self.threshold {
            self.window += bytes;
        } else {
            self.grow(now, bytes);
        }
    }

    /// A gap was found lost. `last`: the last number sent.
    pub(super) fn on_lost(&mut self, now: Instant, last: i64) {
        if self.recovery_until.is_some() {
            return;
        }
        self.epoch = Some(now);
        self.recovery_until = Some(last);
        self.before = self.window;
        self.threshold = ((self.window as f64 * BETA) as u64).max(2 * SEGMENT);
        self.way_back = (self.before as f64 / SEGMENT as f64 * (1.0 - BETA) / C).cbrt();
        self.window = self.threshold;
        self.repace();
    }

    fn on_sample(&mut self, round_trip: Duration, delay: Duration) {
        self.latest = if round_trip > delay {
            round_trip - delay
        } else {
            round_trip
        };
        if self.latest < self.least {
            self.least = self.latest;
            self.repace();
        }
        if self.has_sample {
            self.variation = (3 * self.variation + self.smoothed.abs_diff(self.latest)) / 4;
            self.smoothed = (7 * self.smoothed + self.latest) / 8;
        } else {
            self.has_sample = true;
            self.smoothed = self.latest;
            self.variation = self.latest / 2;
        }
    }

    fn grow(&mut self, now: Instant, bytes: u64) {
        let epoch = *self.epoch.get_or_insert(now);
        let elapsed = (now - epoch).as_secs_f64();
        let segments = C * (elapsed - self.way_back).powi(3) + self.before as f64 / SEGMENT as f64;
        let target = (segments * SEGMENT as f64).max(0.0) as u64;
        let friendly = self.window + SEGMENT * bytes / self.window;
        if target < friendly {
            self.window = friendly;
        } else {
            self.window += (target - self.window) * SEGMENT / self.window;
        }
    }

    /// The pace is only set anew where the shortest round trip or the window falls.
    fn repace(&mut self) {
        let micros = self.least.as_micros() as f64;
        self.pace = (micros > 0.0).then(|| GAIN * self.window as f64 * 1e6 / micros);
    }
}

/// Bytes: Go counts windows in these.
const SEGMENT: u64 = 1472;
const BETA: f64 = 0.7;
const C: f64 = 0.4;
const GAIN: f64 = 2.88;
/// UDX 5: no more is taken off a sample; UDX 4.2: no longer is waited.
const MAX_ACK_DELAY: Duration = Duration::from_millis(25);
