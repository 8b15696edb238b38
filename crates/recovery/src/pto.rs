//! The probe timeout: RFC 9002 6.2, with the tail loss probe of RFC 8985 7 as its first firing.

use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::config::Config;
use crate::num::nanos;
use crate::rtt::Rtt;
use crate::time::Instant;

/// V20: a timeout sends one packet the first time (the tail loss probe), then two in case one is lost, never all.
const FIRST_PROBES: u8 = 1;
const LATER_PROBES: u8 = 2;

/// The least acknowledgement delay that is reckoned with, ns: timers of operating systems are about a millisecond coarse.
const LEAST_ACK_DELAY: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct Pto {
    min: u64,
    max: u64,
    /// The most of a single timeout.
    longest: u64,
    max_ack_delay: u32,
    /// The peer acknowledges within this part of its smoothed round trip time; 0 where it promises nothing.
    ack_delay_share: u32,
    /// Timeouts since the peer last acknowledged something.
    count: u32,
    /// What the running timeout counts from.
    base: Instant,
    /// Probes the last timeout still owes.
    owed: u8,
}

impl Pto {
    pub(crate) fn new(now: Instant, config: &Config) -> Self {
        // R9: a timeout of zero would fire for ever at one instant.
        let min = nanos(config.min_pto).max(1);
        Pto {
            min,
            max: nanos(config.max_pto),
            longest: nanos(config.max_timeout).max(min),
            // Whoever holds an acknowledgement back for seconds has none of the uses of one.
            max_ack_delay: u32::try_from(nanos(config.max_ack_delay)).unwrap_or(u32::MAX),
            ack_delay_share: 0,
            count: 0,
            base: now,
            owed: 0,
        }
    }

    pub(crate) fn set_min(&mut self, min: Duration) {
        self.min = nanos(min).max(1);
    }

    pub(crate) fn set_ack_delay_share(&mut self, share: u32) {
        self.ack_delay_share = share;
    }

    /// How late the peer may acknowledge, ns.
    fn ack_delay(&self, rtt: &Rtt) -> u64 {
        match nanos(rtt.smoothed()).checked_div(u64::from(self.ack_delay_share)) {
            Some(share) if rtt.samples() > 0 => {
                share.max(LEAST_ACK_DELAY).min(self.max_ack_delay.into())
            }
            _ => self.max_ack_delay.into(),
        }
    }

    /// Without backoff, ns. RFC 9002 6.2.1: smoothed + max(4 * rttvar, 1 ms) + max_ack_delay.
    pub(crate) fn unbacked(&self, rtt: &Rtt) -> u64 {
        rtt.timeout()
            .saturating_add(self.ack_delay(rtt))
            .min(self.longest)
            .max(self.min)
    }

    /// With backoff: doubled with each timeout up to the ceiling, but never below a single timeout.
    pub(crate) fn duration(&self, rtt: &Rtt) -> Duration {
        let once = self.unbacked(rtt);
        let factor = 1_u64.checked_shl(self.count).unwrap_or(u64::MAX);
        mark!(
            PtoCapped,
            self.count > 0 && once.saturating_mul(factor) > self.max.max(once)
        );
        Duration::from_nanos(once.saturating_mul(factor).min(self.max.max(once)))
    }

    pub(crate) fn deadline(&self, rtt: &Rtt) -> Instant {
        self.base.saturating_add(self.duration(rtt))
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    pub(crate) const fn owes_probe(&self) -> bool {
        self.owed > 0
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) {
        mark!(TailProbe, self.count == 0);
        mark!(PtoBackedOff, self.count > 0);
        self.owed = if self.count == 0 {
            FIRST_PROBES
        } else {
            LATER_PROBES
        };
        // R21.
        self.count = self.count.saturating_add(1);
        self.base = now;
    }

    /// Something was sent that is to be acknowledged.
    pub(crate) fn on_sent(&mut self, now: Instant, alone: bool) {
        // RFC 6298 5.1: the timer starts with the first packet in flight. It is not put off by those that follow, or a sender
        // that trickles would never notice; but it counts from a probe, which is what the next answer answers.
        if alone || self.owed > 0 {
            self.base = now;
        }
        self.owed = self.owed.saturating_sub(1);
    }

    /// RFC 6298 5.3, RFC 9002 6.2.1: progress restarts the timer and ends the backoff. Karn: an acknowledgement that may mean
    /// an earlier transmission does not end it.
    pub(crate) fn on_progress(&mut self, now: Instant, unambiguous: bool) {
        self.base = now;
        self.owed = 0;
        mark!(BackoffKept, !unambiguous && self.count > 0);
        if unambiguous && !sabotage!(BackoffForEver) {
            self.count = 0;
        }
    }

    /// The timer counts from `now`, without judgement.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.base = now;
    }

    pub(crate) fn reset(&mut self, now: Instant) {
        self.base = now;
        self.count = 0;
        self.owed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn pto_of(min_pto: Duration, max_pto: Duration) -> Pto {
        let config = Config {
            min_pto,
            max_pto,
            max_ack_delay: ms(25),
            ..Config::default()
        };
        Pto::new(Instant::ZERO, &config)
    }

    #[test]
    fn udx_18_2_the_dial_is_repeated_after_325_ms_doubled_to_two_seconds() {
        let rtt = Rtt::new(ms(100));
        let mut pto = pto_of(ms(200), ms(2000));
        let mut sequence = Vec::new();
        for _ in 0..6 {
            sequence.push(pto.duration(&rtt));
            pto.on_timeout(Instant::ZERO);
        }
        assert_eq!(
            sequence,
            [ms(325), ms(650), ms(1300), ms(2000), ms(2000), ms(2000)]
        );
    }

    #[test]
    fn rfc9002_6_2_1_floor_and_granularity() {
        let mut rtt = Rtt::new(ms(100));
        for _ in 0..100 {
            rtt.sample(Instant::ZERO, ms(300), Duration::ZERO);
        }
        let pto = pto_of(ms(200), ms(2000));
        assert_eq!(pto.duration(&rtt), ms(300 + 1 + 25));
        let mut near = Rtt::new(ms(100));
        near.sample(Instant::ZERO, ms(1), Duration::ZERO);
        assert_eq!(pto.duration(&near), ms(200));
    }

    #[test]
    fn a_peer_that_promises_to_be_quick_is_not_waited_for() {
        let mut pto = pto_of(ms(10), ms(2000));
        let mut rtt = Rtt::new(ms(100));
        pto.set_ack_delay_share(4);
        assert_eq!(pto.duration(&rtt), ms(325), "nothing is measured yet");
        for _ in 0..200 {
            rtt.sample(Instant::ZERO, ms(40), Duration::ZERO);
        }
        let settled = pto.duration(&rtt);
        assert!(
            settled >= ms(51) && settled < ms(52),
            "40 + 1 + 40/4: {settled:?}"
        );
        pto.set_ack_delay_share(0);
        assert!(pto.duration(&rtt) >= ms(66), "40 + 1 + 25");
    }

    #[test]
    fn a_path_slower_than_the_ceiling_keeps_its_own_timeout() {
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(Instant::ZERO, ms(3000), Duration::ZERO);
        let mut pto = pto_of(ms(200), ms(2000));
        assert_eq!(pto.duration(&rtt), ms(9025));
        pto.on_timeout(Instant::ZERO);
        assert_eq!(pto.duration(&rtt), ms(9025));
    }

    /// A peer that held its acknowledgements back for half a minute and said that it did not.
    #[test]
    fn samples_out_of_measure_do_not_silence_the_sender() {
        let mut rtt = Rtt::new(ms(100));
        rtt.sample(Instant::ZERO, ms(30_000), Duration::ZERO);
        let config = Config {
            max_timeout: ms(5000),
            ..Config::default()
        };
        let mut pto = Pto::new(Instant::ZERO, &config);
        assert_eq!(pto.duration(&rtt), ms(5000));
        pto.on_timeout(Instant::ZERO);
        assert_eq!(pto.duration(&rtt), ms(5000));
    }

    #[test]
    fn r21_ten_thousand_timeouts() {
        let rtt = Rtt::new(ms(100));
        let mut pto = pto_of(ms(200), ms(2000));
        for _ in 0..10_000 {
            pto.on_timeout(Instant::ZERO);
            assert!(pto.duration(&rtt) <= ms(2000));
        }
        pto.count = u32::MAX;
        pto.on_timeout(Instant::ZERO);
        assert_eq!(pto.count(), u32::MAX);
    }

    #[test]
    fn v20_one_probe_then_two() {
        let mut pto = pto_of(ms(200), ms(2000));
        for expected in [1, 2, 2] {
            pto.on_timeout(Instant::ZERO);
            assert_eq!(pto.owed, expected);
        }
        pto.on_sent(Instant::ZERO, false);
        assert!(pto.owes_probe());
        pto.on_sent(Instant::ZERO, false);
        assert!(!pto.owes_probe());
        pto.on_progress(Instant::ZERO, false);
        assert_eq!(pto.count(), 3, "Karn");
        pto.on_progress(Instant::ZERO, true);
        assert_eq!(pto.count(), 0);
    }
}
