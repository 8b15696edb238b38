//! CUBIC, RFC 9438, in integers.

use crate::config::Config;
use crate::num::{nanos, scale};
use crate::time::Instant;

use super::{Ack, Base, Congestion, Controller};

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
            // RFC 9438 4.3: the Reno-friendly region.
            self.base.set_window(window.max(w_est));
            return;
        }
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
            self.base.set_window(prior.window.max(self.base.window));
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

    fn on_path_change(&mut self, _now: Instant) {
        self.base.reset();
        self.epoch = Epoch::new();
        self.prior = None;
    }

    fn window(&self) -> u64 {
        self.base.window
    }

    fn ssthresh(&self) -> u64 {
        self.base.ssthresh
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
