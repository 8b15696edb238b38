//! NewReno over packets: RFC 9002 section 7 and appendix B.

use gapless_seq::mark;

use crate::config::Config;
use crate::time::Instant;

use super::{Ack, Base, Congestion, CongestionPhase, Controller};

/// Additive increase, multiplicative decrease.
#[derive(Clone, Debug)]
pub struct NewReno {
    base: Base,
    /// Acknowledged bytes that did not yet make a whole packet of growth.
    credit: u64,
    /// Window and ssthresh before the last episode.
    prior: Option<(u64, u64)>,
}

impl NewReno {
    /// A controller at the start of a connection.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        NewReno {
            base: Base::new(config),
            credit: 0,
            prior: None,
        }
    }
}

impl Controller for NewReno {
    fn on_sent(&mut self, _now: Instant, _bytes: u64, _in_flight: u64) {}

    fn on_ack(&mut self, ack: &Ack<'_>) {
        if ack.in_recovery || !ack.window_limited {
            return;
        }
        if self.base.in_slow_start() {
            return self.base.slow_start(ack);
        }
        // RFC 9002 7.3.3: one packet per window of acknowledged bytes.
        self.credit = self.credit.saturating_add(ack.bytes);
        let window = self.base.window;
        if self.credit >= window {
            mark!(NewRenoGrew);
            let packets = self.credit.checked_div(window).unwrap_or(0);
            self.credit = self.credit.saturating_sub(packets.saturating_mul(window));
            self.base
                .set_window(window.saturating_add(packets.saturating_mul(self.base.mtu)));
        }
    }

    fn on_congestion(&mut self, _congestion: &Congestion) {
        self.prior = Some((self.base.window, self.base.ssthresh));
        // RFC 9002 7.3.2: kLossReductionFactor is 0.5.
        self.base.set_window(self.base.window / 2);
        self.base.ssthresh = self.base.window;
        self.credit = 0;
    }

    fn on_persistent_congestion(&mut self, _now: Instant) {
        self.prior = None;
        self.base.set_window(0);
    }

    fn on_spurious_congestion(&mut self, _now: Instant) {
        if let Some((window, ssthresh)) = self.prior.take() {
            mark!(NewRenoUndone);
            self.base.set_window(window.max(self.base.window));
            self.base.ssthresh = ssthresh;
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.base.mtu = u64::from(mtu).max(1);
        self.base.set_window(self.base.window);
    }

    fn on_initial_window(&mut self, bytes: u64) {
        self.base.begin_with(bytes);
    }

    fn on_path_change(&mut self, _now: Instant) {
        self.base.reset();
        self.credit = 0;
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

#[cfg(test)]
mod tests {
    use super::super::testing::{ack, congestion};
    use super::*;
    use crate::rtt::Rtt;
    use core::time::Duration;

    const MTU: u64 = 1200;

    fn rtt() -> Rtt {
        Rtt::new(Duration::from_millis(50))
    }

    #[test]
    fn rfc9002_7_3_slow_start_doubles_and_avoidance_adds_a_packet_a_round() {
        let estimate = rtt();
        let mut reno = NewReno::new(&Config::default());
        assert_eq!(reno.window(), 10 * MTU);
        reno.on_ack(&ack(Instant::ZERO, 10 * MTU, 1, 2, &estimate));
        assert_eq!(reno.window(), 20 * MTU);
        reno.on_congestion(&congestion(Instant::ZERO));
        assert_eq!((reno.window(), reno.ssthresh()), (10 * MTU, 10 * MTU));
        for packet in 0..10 {
            assert_eq!(reno.window(), 10 * MTU);
            reno.on_ack(&ack(Instant::ZERO, MTU, packet, 100, &estimate));
        }
        assert_eq!(reno.window(), 11 * MTU);
    }

    #[test]
    fn the_window_has_a_floor_and_an_undo() {
        let mut reno = NewReno::new(&Config::default());
        for _ in 0..10 {
            reno.on_congestion(&congestion(Instant::ZERO));
        }
        assert_eq!(reno.window(), 2 * MTU);
        let mut reno = NewReno::new(&Config::default());
        reno.on_congestion(&congestion(Instant::ZERO));
        reno.on_spurious_congestion(Instant::ZERO);
        assert_eq!((reno.window(), reno.ssthresh()), (10 * MTU, u64::MAX));
    }

    #[test]
    fn recovery_and_an_unused_window_do_not_grow() {
        let estimate = rtt();
        let mut reno = NewReno::new(&Config::default());
        let mut blocked = ack(Instant::ZERO, MTU, 1, 2, &estimate);
        blocked.in_recovery = true;
        reno.on_ack(&blocked);
        blocked.in_recovery = false;
        blocked.window_limited = false;
        reno.on_ack(&blocked);
        assert_eq!(reno.window(), 10 * MTU);
    }
}
