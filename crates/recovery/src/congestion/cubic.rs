//! CUBIC, RFC 9438, in integers.

use gapless_seq::{mark, sabotage};

use crate::config::Config;
use crate::num::{nanos, scale};
use crate::time::Instant;

use super::{Ack, Base, Congestion, CongestionPhase, Controller};

/// RFC 9438 4.6: the window after congestion is 0.7 of the one before.
const BETA_NUMERATOR: u64 = 7;
const BETA_DENOMINATOR: u64 = 10;
/// RFC 9438 4.3: the Reno-friendly window grows by 3 (1 - beta) / (1 + beta) = 9/17 packets a round.
const ALPHA_NUMERATOR: u64 = 9;
const ALPHA_DENOMINATOR: u64 = 17;
/// RFC 9438 4.1: C = 0.4 packets per second cubed, as 2/5.
const C_NUMERATOR: u128 = 2;
const C_DENOMINATOR: u128 = 5;
/// Times are counted in 2^-20 s, nearly microseconds, so that a cube is scaled by a shift.
const TIME_BITS: u32 = 20;
const CUBE_BITS: u32 = 3 * TIME_BITS;
/// Longest time that is cubed, 2^16 s in the unit above: its cube times the largest packet fits 128 bits.
const MAX_TIME: u64 = 1 << (16 + TIME_BITS);
/// Fraction bits of windows that grow by less than a byte at a time.
const FRACTION_BITS: u32 = 10;
/// A silence this long between two acknowledgements adds no more than this to the age of the epoch, ns.
const MAX_STEP: u64 = 1 << 40;

/// Grows as a cubic function of the time since the last congestion.
#[derive(Clone, Debug)]
pub struct Cubic {
    base: Base,
    epoch: Epoch,
    /// The epoch before the last episode of congestion.
    prior: Option<Prior>,
}

/// One stage of congestion avoidance.
#[derive(Clone, Debug)]
struct Epoch {
    running: bool,
    /// Time spent in it while the window was in use, ns. RFC 9438 5.8: growth is not to count silent times.
    age: u64,
    updated: Instant,
    /// The window before the last reduction (W_max); 0 before the first.
    w_max: u64,
    /// Time until the cubic function reaches `w_max` again (K), in 2^-20 s.
    k: u64,
    /// The window a Reno flow would have (W_est), in 2^-10 bytes.
    w_est: u64,
    /// The window at the last reduction (cwnd_prior).
    cwnd_prior: u64,
    /// Growth below one byte: the remainder of the last division by the window.
    remainder: u64,
}

#[derive(Clone, Debug)]
struct Prior {
    window: u64,
    ssthresh: u64,
    epoch: Epoch,
}

impl Epoch {
    const fn new() -> Self {
        Epoch {
            running: false,
            age: 0,
            updated: Instant::ZERO,
            w_max: 0,
            k: 0,
            w_est: 0,
            cwnd_prior: 0,
            remainder: 0,
        }
    }
}

impl Cubic {
    /// A controller at the start of a connection.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Cubic {
            base: Base::new(config),
            epoch: Epoch::new(),
            prior: None,
        }
    }

    fn avoid_congestion(&mut self, ack: &Ack<'_>) {
        if !self.epoch.running {
            self.start_epoch(ack.now);
        }
        let step = nanos(ack.now.saturating_duration_since(self.epoch.updated)).min(MAX_STEP);
        self.epoch.age = self.epoch.age.saturating_add(step);
        self.epoch.updated = ack.now;
        self.grow_estimate(ack.bytes);

        let window = self.base.window;
        let w_est = self.epoch.w_est >> FRACTION_BITS;
        if self.w_cubic(self.epoch.age) < w_est {
            mark!(CubicRenoFriendly);
            // RFC 9438 4.3: the Reno-friendly region.
            self.base.set_window(window.max(w_est));
            return;
        }
        mark!(CubicConcave, window < self.epoch.w_max);
        mark!(CubicConvex, window > self.epoch.w_max);
        // RFC 9438 4.2: the target a round trip ahead, within [cwnd, 1.5 cwnd].
        let ahead = self.epoch.age.saturating_add(ack.rtt.smoothed_nanos());
        let most = window.saturating_add(window / 2);
        let target = self.w_cubic(ahead).clamp(window, most);
        // RFC 9438 4.4: (target - cwnd) / cwnd for each acknowledged packet.
        let growth = target
            .saturating_sub(window)
            .saturating_mul(ack.bytes)
            .saturating_add(self.epoch.remainder);
        self.epoch.remainder = growth.checked_rem(window).unwrap_or(0);
        let growth = growth.checked_div(window).unwrap_or(0);
        self.base.set_window(window.saturating_add(growth));
    }

    fn start_epoch(&mut self, now: Instant) {
        let window = self.base.window;
        let epoch = &mut self.epoch;
        epoch.running = true;
        epoch.age = 0;
        epoch.updated = now;
        epoch.remainder = 0;
        // RFC 9438 4.3: W_est starts at cwnd_epoch.
        epoch.w_est = window << FRACTION_BITS;
        if epoch.w_max <= window {
            // RFC 9438 4.2: after slow start left by itself, or with a window that already passed W_max.
            epoch.w_max = window;
            epoch.k = 0;
        } else {
            // RFC 9438 figure 2: K = cbrt((W_max - cwnd_epoch) / C), in packets.
            let missing = u128::from(epoch.w_max.saturating_sub(window)).min(1 << 60);
            let numerator = (missing << CUBE_BITS).saturating_mul(C_DENOMINATOR);
            let denominator = u128::from(self.base.mtu).saturating_mul(C_NUMERATOR);
            epoch.k = cube_root(numerator.checked_div(denominator).unwrap_or(0));
        }
        if epoch.cwnd_prior == 0 {
            epoch.cwnd_prior = window;
        }
    }

    /// RFC 9438 4.3: W_est grows by alpha packets per window of acknowledged bytes; alpha is 1 once cwnd_prior is reached.
    fn grow_estimate(&mut self, bytes: u64) {
        let window = self.base.window;
        let packet = self.base.mtu << FRACTION_BITS;
        let alpha = if self.epoch.w_est >> FRACTION_BITS >= self.epoch.cwnd_prior {
            packet
        } else {
            packet.saturating_mul(ALPHA_NUMERATOR) / ALPHA_DENOMINATOR
        };
        self.epoch.w_est = self.epoch.w_est.saturating_add(scale(alpha, bytes, window));
    }

    /// RFC 9438 figure 1: W_cubic(t) = C (t - K)^3 + W_max, in bytes.
    fn w_cubic(&self, age: u64) -> u64 {
        let time = to_units(age);
        let distance = u128::from(time.abs_diff(self.epoch.k).min(MAX_TIME));
        let cube = distance.saturating_mul(distance).saturating_mul(distance);
        let packets = cube.saturating_mul(u128::from(self.base.mtu)) >> CUBE_BITS;
        // Below 2^108 + 16 - 60 = 2^64 at the most.
        let packets = u64::try_from(packets).unwrap_or(u64::MAX);
        let bytes = packets.saturating_mul(2) / 5;
        if time >= self.epoch.k {
            self.epoch.w_max.saturating_add(bytes)
        } else {
            self.epoch.w_max.saturating_sub(bytes)
        }
    }
}

impl Controller for Cubic {
    fn on_sent(&mut self, now: Instant, _bytes: u64, in_flight: u64) {
        if in_flight == 0 && self.epoch.running {
            mark!(CubicSilence);
            // Silence ended: it does not count as age.
            self.epoch.updated = self.epoch.updated.max(now);
        }
    }

    fn on_ack(&mut self, ack: &Ack<'_>) {
        if ack.in_recovery || !ack.window_limited {
            self.epoch.updated = self.epoch.updated.max(ack.now);
            return;
        }
        if self.base.in_slow_start() {
            self.base.slow_start(ack);
        } else {
            self.avoid_congestion(ack);
        }
    }

    fn on_congestion(&mut self, _congestion: &Congestion) {
        let window = self.base.window;
        self.prior = Some(Prior {
            window,
            ssthresh: self.base.ssthresh,
            epoch: self.epoch.clone(),
        });
        // RFC 9438 4.7: fast convergence gives way to newer flows.
        mark!(CubicFastConvergence, window < self.epoch.w_max);
        self.epoch.w_max = if window < self.epoch.w_max {
            scale(
                window,
                BETA_DENOMINATOR.saturating_add(BETA_NUMERATOR),
                2 * BETA_DENOMINATOR,
            )
        } else {
            window
        };
        self.epoch.cwnd_prior = window;
        self.epoch.running = false;
        // RFC 9438 4.6.
        self.base
            .set_window(scale(window, BETA_NUMERATOR, BETA_DENOMINATOR));
        self.base.ssthresh = self.base.window;
    }

    fn on_persistent_congestion(&mut self, _now: Instant) {
        self.prior = None;
        self.epoch.running = false;
        // RFC 9438 4.8: as after a timeout; slow start up to ssthresh follows.
        self.base.set_window(0);
    }

    fn on_spurious_congestion(&mut self, now: Instant) {
        // RFC 9438 4.9.2.
        if let Some(prior) = self.prior.take() {
            mark!(CubicUndone);
            let window = sabotage!(UndoneTwice, prior.window.saturating_mul(2), prior.window);
            self.base.set_window(window.max(self.base.window));
            self.base.ssthresh = prior.ssthresh;
            self.epoch = prior.epoch;
            self.epoch.updated = self.epoch.updated.max(now);
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.base.mtu = u64::from(mtu).max(1);
        self.base.set_window(self.base.window);
        // K was computed in packets of the old size.
        self.epoch.running = false;
    }

    fn on_initial_window(&mut self, bytes: u64) {
        self.base.begin_with(bytes);
    }

    fn on_path_change(&mut self, _now: Instant) {
        self.base.reset();
        self.epoch = Epoch::new();
        self.prior = None;
    }

    fn window(&self) -> u64 {
        self.base.whole_packets()
    }

    fn ssthresh(&self) -> u64 {
        self.base.ssthresh
    }

    fn in_slow_start(&self) -> bool {
        self.base.in_slow_start()
    }

    fn phase(&self) -> CongestionPhase {
        self.base.phase()
    }
}

/// Nanoseconds in units of 2^-20 s; exact products up to 4.8 hours, saturating beyond.
fn to_units(nanos: u64) -> u64 {
    nanos.saturating_mul(1 << TIME_BITS) / 1_000_000_000
}

/// The greatest integer whose cube is at most `value`, bit by bit from the top.
fn cube_root(value: u128) -> u64 {
    let mut root: u128 = 0;
    // 2^43 cubed exceeds 2^128.
    for bit in (0..=42_u32).rev() {
        let candidate = root | 1_u128.checked_shl(bit).unwrap_or(0);
        let cube = candidate
            .checked_mul(candidate)
            .and_then(|square| square.checked_mul(candidate));
        if cube.is_some_and(|cube| cube <= value) {
            root = candidate;
        }
    }
    u64::try_from(root).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ack, congestion};
    use super::*;
    use crate::config::{Config, MtuConfig};
    use crate::rtt::Rtt;
    use core::time::Duration;

    const MTU: u64 = 1200;

    fn rtt(millis: u64) -> Rtt {
        let mut rtt = Rtt::new(Duration::from_millis(millis));
        rtt.sample(Instant::ZERO, Duration::from_millis(millis), Duration::ZERO);
        rtt
    }

    /// A controller whose window is `packets`, in slow start.
    fn cubic(packets: u32) -> Cubic {
        let mtu = MtuConfig {
            base: 1200,
            ..MtuConfig::default()
        };
        Cubic::new(&Config {
            initial_window_packets: packets,
            mtu,
            ..Config::default()
        })
    }

    /// RFC 9438 in floating point and packets, written from its formulas alone.
    struct Model {
        cwnd: f64,
        w_max: f64,
        cwnd_prior: f64,
        w_est: f64,
        k: f64,
        age: f64,
        running: bool,
    }

    impl Model {
        fn congestion(&mut self) {
            self.w_max = if self.cwnd < self.w_max {
                self.cwnd * 1.7 / 2.0
            } else {
                self.cwnd
            };
            self.cwnd_prior = self.cwnd;
            self.cwnd *= 0.7;
            self.running = false;
        }

        fn ack(&mut self, step: f64, packets: f64, rtt: f64) {
            if self.running {
                self.age += step;
            } else {
                self.running = true;
                self.age = 0.0;
                self.w_est = self.cwnd;
                self.w_max = self.w_max.max(self.cwnd);
                self.k = ((self.w_max - self.cwnd) / 0.4).cbrt();
            }
            let alpha = if self.w_est >= self.cwnd_prior {
                1.0
            } else {
                3.0 * 0.3 / 1.7
            };
            self.w_est += alpha * packets / self.cwnd;
            let w_cubic = |t: f64| 0.4 * (t - self.k).powi(3) + self.w_max;
            if w_cubic(self.age) < self.w_est {
                self.cwnd = self.cwnd.max(self.w_est);
            } else {
                let target = w_cubic(self.age + rtt).clamp(self.cwnd, 1.5 * self.cwnd);
                self.cwnd += (target - self.cwnd) / self.cwnd * packets;
            }
        }
    }

    /// Runs both through the same acknowledgements and losses; the greatest relative difference.
    fn compare(start: u32, millis: u64, seconds: u64, losses_every: u64) -> f64 {
        let estimate = rtt(millis);
        let mut cubic = cubic(start);
        let mut model = Model {
            cwnd: f64::from(start),
            w_max: 0.0,
            cwnd_prior: 0.0,
            w_est: 0.0,
            k: 0.0,
            age: 0.0,
            running: false,
        };
        cubic.on_congestion(&congestion(Instant::ZERO));
        model.congestion();
        let (mut now, mut newest, mut worst) = (Instant::ZERO, 0, 0.0_f64);
        let step = Duration::from_micros(millis * 100);
        let mut next_loss = losses_every;
        for _ in 0..seconds * 10_000 / millis {
            now += step;
            // A tenth of the window in a tenth of the round trip.
            let packets = (cubic.base.window / MTU / 10).max(1);
            newest += packets;
            cubic.on_ack(&ack(now, packets * MTU, newest, newest + 100, &estimate));
            model.ack(step.as_secs_f64(), packets as f64, millis as f64 / 1000.0);
            if now.as_nanos() / 1_000_000_000 >= next_loss {
                next_loss += losses_every;
                cubic.on_congestion(&congestion(now));
                model.congestion();
            }
            let window = cubic.base.window as f64 / MTU as f64;
            worst = worst.max((window - model.cwnd).abs() / model.cwnd);
        }
        worst
    }

    #[test]
    fn rfc9438_agrees_with_an_independent_model() {
        for (start, millis, seconds, losses) in [
            (100, 50, 20, 1000),   // Figure 1 from concave to convex.
            (1000, 100, 40, 1000), // A long fat path.
            (10, 10, 20, 1000),    // The Reno-friendly region.
            (300, 40, 40, 5),      // Fast convergence, again and again.
            (300, 200, 60, 20),
        ] {
            let worst = compare(start, millis, seconds, losses);
            assert!(worst < 0.02, "{start} packets, {millis} ms: {worst}");
        }
    }

    #[test]
    fn rfc9438_4_2_the_old_window_is_reached_after_k() {
        let estimate = rtt(100);
        let mut cubic = cubic(1000);
        cubic.on_congestion(&congestion(Instant::ZERO));
        assert_eq!(cubic.window(), 700 * MTU);
        // K = cbrt(300 / 0.4) = 9.0856 s.
        let mut now = Instant::ZERO;
        let mut newest = 0;
        let start = now + Duration::from_millis(10);
        while cubic.window() < 999 * MTU {
            now += Duration::from_millis(10);
            newest += 70;
            cubic.on_ack(&ack(now, 70 * MTU, newest, newest + 700, &estimate));
        }
        let took = (now - start).as_secs_f64();
        assert!((7.5..9.1).contains(&took), "{took} s");
    }

    #[test]
    fn a_window_counts_packets_to_the_nearest_and_keeps_its_bounds() {
        let mut cubic = Cubic::new(&Config {
            max_window: 5 * 1200 + 700,
            ..Config::default()
        });
        for (bytes, packets) in [
            (0, 2),
            (2 * 1200 + 599, 2),
            (2 * 1200 + 600, 3),
            (4 * 1200, 4),
            (u64::MAX, 5),
        ] {
            cubic.base.set_window(bytes);
            assert_eq!(cubic.window(), packets * 1200, "{bytes}");
        }
        // What is left out does not make a slow start.
        cubic.base.set_window(3 * 1200 + 500);
        cubic.base.ssthresh = cubic.base.window;
        assert!(!cubic.in_slow_start());
    }

    #[test]
    fn rfc9438_4_7_fast_convergence() {
        let mut cubic = cubic(100);
        cubic.on_congestion(&congestion(Instant::ZERO));
        assert_eq!((cubic.window(), cubic.epoch.w_max), (70 * MTU, 100 * MTU));
        cubic.on_congestion(&congestion(Instant::ZERO));
        assert_eq!(
            (cubic.window(), cubic.epoch.w_max),
            (49 * MTU, 70 * MTU * 17 / 20)
        );
    }

    #[test]
    fn rfc9438_5_8_an_unused_window_does_not_grow() {
        let estimate = rtt(50);
        let mut cubic = cubic(100);
        cubic.on_congestion(&congestion(Instant::ZERO));
        let before = cubic.window();
        for second in 1..100 {
            let now = Instant::ZERO + Duration::from_secs(second);
            let mut idle = ack(now, MTU, second, second + 1, &estimate);
            idle.window_limited = false;
            cubic.on_ack(&idle);
        }
        assert_eq!(cubic.window(), before);
        // The silent time does not count afterwards either.
        cubic.on_ack(&ack(
            Instant::ZERO + Duration::from_secs(100),
            MTU,
            200,
            300,
            &estimate,
        ));
        assert!(cubic.window() < before + 2 * MTU);
    }

    #[test]
    fn rfc9438_4_9_2_a_spurious_reduction_is_undone() {
        let mut cubic = cubic(100);
        cubic.on_congestion(&congestion(Instant::ZERO));
        cubic.on_spurious_congestion(Instant::ZERO);
        assert_eq!((cubic.window(), cubic.ssthresh()), (100 * MTU, u64::MAX));
        cubic.on_spurious_congestion(Instant::ZERO);
        assert_eq!(cubic.window(), 100 * MTU, "once");
    }

    #[test]
    fn persistent_congestion_restarts_slowly() {
        let estimate = rtt(50);
        let mut cubic = cubic(100);
        cubic.on_congestion(&congestion(Instant::ZERO));
        cubic.on_persistent_congestion(Instant::ZERO);
        assert_eq!(cubic.window(), 2 * MTU);
        assert!(cubic.in_slow_start());
        cubic.on_ack(&ack(Instant::ZERO, 2 * MTU, 1, 2, &estimate));
        assert_eq!(cubic.window(), 4 * MTU);
        cubic.on_spurious_congestion(Instant::ZERO);
        assert_eq!(cubic.window(), 4 * MTU, "nothing to undo");
    }

    #[test]
    fn slow_start_stops_at_ssthresh() {
        let estimate = rtt(50);
        let mut cubic = cubic(100);
        cubic.on_congestion(&congestion(Instant::ZERO));
        cubic.on_persistent_congestion(Instant::ZERO);
        for newest in 0..10 {
            cubic.on_ack(&ack(Instant::ZERO, 60 * MTU, newest, newest + 1, &estimate));
        }
        assert!(cubic.window() >= 70 * MTU && cubic.window() < 75 * MTU);
    }

    #[test]
    fn cube_roots_are_exact() {
        for root in [0_u128, 1, 2, 3, 1000, 1_048_575, (1 << 42) + 12_345] {
            let cube = root * root * root;
            assert_eq!(u128::from(cube_root(cube)), root);
            assert_eq!(
                u128::from(cube_root(cube + 1)),
                root.max(u128::from(root == 0))
            );
            if root > 1 {
                assert_eq!(u128::from(cube_root(cube - 1)), root - 1);
            }
        }
        assert_eq!(cube_root(u128::MAX), 6_981_463_658_331);
    }

    #[test]
    fn extremes_saturate() {
        let estimate = rtt(1);
        let mut config = Config {
            initial_window_packets: u32::MAX,
            max_window: u64::MAX,
            ..Config::default()
        };
        config.mtu.base = u16::MAX;
        let mut cubic = Cubic::new(&config);
        for turn in 0..200 {
            let now = Instant::from_nanos(u64::MAX / 200 * turn);
            cubic.on_sent(now, u64::MAX, 0);
            cubic.on_ack(&ack(now, u64::MAX, turn, turn + 1, &estimate));
            assert!(cubic.window() <= 1 << 48);
            if turn % 7 == 0 {
                cubic.on_congestion(&congestion(now));
            }
        }
    }
}
