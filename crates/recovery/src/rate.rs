//! Delivery rate samples: draft-cheng-iccrg-delivery-rate-estimation.

use core::time::Duration;

use gapless_seq::mark;

use crate::num::{nanos, narrow, scale};
use crate::time::Instant;

/// How fast the network delivered, measured over about one round trip.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct RateSample {
    /// Bytes delivered during the interval.
    pub delivered: u64,
    /// The longer of the sending and the acknowledging interval.
    pub interval: Duration,
}

/// What a connection had delivered, lost and in flight when it sent a packet.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct SentState {
    /// Bytes delivered until then.
    pub delivered: u64,
    /// Bytes declared lost until then.
    pub lost: u64,
    /// Bytes in flight with it.
    pub in_flight: u64,
    /// The sender had nothing to send shortly before, so a rate measured by this packet is a lower bound only.
    pub app_limited: bool,
}

impl RateSample {
    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        scale(self.delivered, 1_000_000_000, nanos(self.interval).max(1))
    }
}

/// The connection's state at the sending of a packet (section 3.1.2 of the draft).
#[cfg_attr(test, derive(Hash))]
#[derive(Copy, Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) delivered: u64,
    pub(crate) delivered_at: Instant,
    pub(crate) first_sent_at: Instant,
    pub(crate) lost: u64,
    /// With the packet; saturated, as 4 GiB are beyond every window.
    pub(crate) in_flight: u32,
    pub(crate) app_limited: bool,
}

impl Snapshot {
    pub(crate) fn state(&self) -> SentState {
        SentState {
            delivered: self.delivered,
            lost: self.lost,
            in_flight: u64::from(self.in_flight),
            app_limited: self.app_limited,
        }
    }
}

/// The connection's side of the estimate.
#[derive(Debug)]
pub(crate) struct DeliveryRate {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    lost: u64,
    /// `delivered` at which the last bubble of unused window has left the path; 0 when there is none.
    app_limited_until: u64,
}

impl DeliveryRate {
    pub(crate) const fn new(now: Instant) -> Self {
        DeliveryRate {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            lost: 0,
            app_limited_until: 0,
        }
    }

    /// `in_flight`: bytes, with the packet. `nothing_in_flight`: before it.
    pub(crate) fn on_sent(
        &mut self,
        now: Instant,
        nothing_in_flight: bool,
        in_flight: u64,
    ) -> Snapshot {
        if nothing_in_flight {
            // Draft 3.2: a new flight begins; the silence before it is no part of any interval.
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Snapshot {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            lost: self.lost,
            in_flight: narrow(in_flight),
            app_limited: self.is_app_limited(),
        }
    }

    /// Bytes delivered, and bytes declared lost.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.delivered, self.lost)
    }

    pub(crate) fn is_app_limited(&self) -> bool {
        self.app_limited_until != 0
    }

    pub(crate) fn on_lost(&mut self, bytes: u64) {
        self.lost = self.lost.saturating_add(bytes);
    }

    pub(crate) fn on_delivered(&mut self, now: Instant, bytes: u64) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = now;
        if self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
    }

    /// Draft 3.4: what is in flight now and the bubble behind it must be delivered first.
    pub(crate) fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = self.delivered.saturating_add(in_flight).max(1);
    }

    /// Draft 3.3: the sample of the most recently sent packet of an acknowledgement. `None` when the interval is
    /// shorter than any round trip can be: then the acknowledgements were compressed.
    pub(crate) fn sample(
        &mut self,
        sent_at: Instant,
        then: &Snapshot,
        min_rtt: u64,
    ) -> Option<RateSample> {
        let send_elapsed = nanos(sent_at.saturating_duration_since(then.first_sent_at));
        let ack_elapsed = nanos(
            self.delivered_at
                .saturating_duration_since(then.delivered_at),
        );
        self.first_sent_at = sent_at;
        let interval = send_elapsed.max(ack_elapsed);
        if interval == 0 || interval < min_rtt {
            mark!(RateSampleTooShort);
            return None;
        }
        Some(RateSample {
            delivered: self.delivered.saturating_sub(then.delivered),
            interval: Duration::from_nanos(interval),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    const MIN_RTT: u64 = 10_000_000;

    #[test]
    fn steady_sending_measures_the_rate() {
        let mut rate = DeliveryRate::new(at(0));
        let mut sent = alloc::vec::Vec::new();
        for index in 0..20 {
            if index >= 10 {
                let (sent_at, then) = sent[usize::try_from(index - 10).unwrap()];
                rate.on_delivered(at(index), 1000);
                let sample = rate.sample(sent_at, &then, MIN_RTT).unwrap();
                assert!(!then.app_limited);
                assert!(sample.bytes_per_second() <= 1_000_000);
            }
            sent.push((at(index), rate.on_sent(at(index), index == 0, 1000)));
        }
        rate.on_delivered(at(20), 1000);
        let (sent_at, then) = sent[10];
        // Sent at 10 ms when one was delivered, acknowledged at 20 ms as the eleventh.
        assert_eq!(
            rate.sample(sent_at, &then, MIN_RTT)
                .unwrap()
                .bytes_per_second(),
            1_000_000
        );
    }

    #[test]
    fn compressed_acknowledgements_give_no_sample() {
        let mut rate = DeliveryRate::new(at(0));
        let then = rate.on_sent(at(0), true, 1000);
        rate.on_delivered(at(5), 1000);
        assert_eq!(rate.sample(at(0), &then, MIN_RTT), None);
    }

    #[test]
    fn the_bubble_of_an_idle_application_marks_samples_until_it_has_left() {
        let mut rate = DeliveryRate::new(at(0));
        let first = rate.on_sent(at(0), true, 1000);
        rate.on_app_limited(1000);
        let second = rate.on_sent(at(1), false, 2000);
        rate.on_delivered(at(20), 1000);
        assert!(!first.app_limited);
        rate.on_delivered(at(21), 1000);
        assert!(second.app_limited);
        assert!(!rate.on_sent(at(22), true, 1000).app_limited);
    }
}
