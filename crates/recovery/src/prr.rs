//! Proportional rate reduction: RFC 9937, which replaces RFC 6937.

use gapless_seq::mark;

use crate::congestion::MIN_WINDOW_PACKETS;
use crate::num::scale;

/// One episode of recovery. Spreads the reduction of the window over the round trip that repairs the loss.
#[derive(Clone, Debug)]
pub(crate) struct Prr {
    /// Bytes in flight when the episode began (RecoverFS), the lost and newly delivered ones included.
    flight: u64,
    delivered: u64,
    out: u64,
    /// Less was in flight than even the reduced window allows, and a pacer spreads what is sent.
    spare: bool,
    /// What may be in flight until the next acknowledgement.
    window: u64,
}

/// One acknowledgement during recovery.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Step {
    /// Bytes it delivered.
    pub(crate) delivered: u64,
    /// Bytes in flight after it and after the losses it revealed.
    pub(crate) in_flight: u64,
    pub(crate) ssthresh: u64,
    pub(crate) mtu: u64,
    /// It delivered something and revealed no further loss.
    pub(crate) safe: bool,
}

impl Prr {
    /// `flight`: bytes in flight as the episode begins. `ssthresh`: the window it leads to. `paced`: a pacer spreads what is sent.
    pub(crate) const fn new(flight: u64, ssthresh: u64, paced: bool) -> Self {
        Prr {
            flight,
            delivered: 0,
            out: 0,
            spare: paced && flight <= ssthresh,
            window: 0,
        }
    }

    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.out = self.out.saturating_add(bytes);
    }

    /// RFC 9937 section 6.2, the update on every acknowledgement.
    pub(crate) fn on_ack(&mut self, step: &Step) {
        self.delivered = self.delivered.saturating_add(step.delivered);
        if self.spare {
            // Nothing is to be reduced: the sender had run out of data, so less is underway than the new window holds. What was
            // delivered meanwhile without being replaced counts for nothing in RFC 9937, which would repair the end of a transfer by a
            // packet for each acknowledgement, and by one a round trip where few are left. RFC 6675 5 (C) lets the whole window be
            // used, and the burst that RFC 9937 fears from that is the pacer's.
            mark!(PrrSpare);
            self.window = step.ssthresh.max(step.in_flight);
            return;
        }
        // Proportional rate reduction while there is too much in flight, which so many acknowledgements are still to come for.
        let reducing = step.in_flight > step.ssthresh;
        let mut count = if reducing {
            // CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out.
            mark!(PrrProportional);
            let flight = self.flight.max(1);
            let share = scale(self.delivered, step.ssthresh, flight);
            let exact = scale(share, flight, step.ssthresh.max(1)) >= self.delivered;
            share
                .saturating_add(u64::from(!exact))
                .saturating_sub(self.out)
        } else {
            // PRR-CRB; PRR-SSRB when recovery makes good progress.
            let mut count = self.delivered.saturating_sub(self.out).max(step.delivered);
            mark!(PrrConservative, !step.safe);
            if step.safe {
                mark!(PrrSlowStart);
                count = count.saturating_add(step.mtu);
            }
            count.min(step.ssthresh.saturating_sub(step.in_flight))
        };
        if self.out == 0 && count == 0 && !reducing {
            mark!(PrrForced);
            // Force a fast retransmission upon entering recovery, but not while there is too much in flight, as there is where a timer
            // finds the loss between two acknowledgements: sent into the queue that just overflowed, before the next acknowledgement
            // tells of a place in it, the repetition is lost as well, and the window halved again for that.
            count = step.mtu;
        }
        // RFC 9002 7.2: no window is below two packets. One packet alone, if it is lost too, would be found by a timeout only.
        let least = step.mtu.saturating_mul(MIN_WINDOW_PACKETS);
        self.window = step
            .in_flight
            .saturating_add(count)
            .max(least.min(step.ssthresh));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u64 = 1000;

    /// One packet of a hundred is lost; each acknowledgement delivers one; everything that may be sent is sent.
    fn repair(lost: u64, ssthresh: u64) -> (u64, u64) {
        let mut prr = Prr::new(100 * MTU, ssthresh, true);
        let mut in_flight = (100 - lost) * MTU;
        let mut sent_total = 0;
        for _ in 0..100 - lost {
            in_flight -= MTU;
            prr.on_ack(&Step {
                delivered: MTU,
                in_flight,
                ssthresh,
                mtu: MTU,
                safe: true,
            });
            let room = prr.window().saturating_sub(in_flight) / MTU * MTU;
            prr.on_sent(room);
            in_flight += room;
            sent_total += room;
        }
        (in_flight, sent_total)
    }

    #[test]
    fn rfc9937_a_single_loss_ends_at_ssthresh_with_sends_spread_evenly() {
        let (in_flight, sent) = repair(1, 70 * MTU);
        assert!((69 * MTU..=70 * MTU).contains(&in_flight), "{in_flight}");
        assert!((68 * MTU..=71 * MTU).contains(&sent), "{sent}");
        let (in_flight, _) = repair(1, 50 * MTU);
        assert!((49 * MTU..=50 * MTU).contains(&in_flight), "{in_flight}");
    }

    #[test]
    fn rfc9937_heavy_loss_grows_back_to_ssthresh_but_not_beyond() {
        let (in_flight, _) = repair(60, 70 * MTU);
        assert!(in_flight <= 70 * MTU);
        assert!(
            in_flight >= 69 * MTU,
            "slow start part reached ssthresh: {in_flight}"
        );
    }

    #[test]
    fn rfc9937_conservation_when_loss_goes_on() {
        let mut prr = Prr::new(100 * MTU, 70 * MTU, true);
        prr.on_ack(&Step {
            delivered: MTU,
            in_flight: 20 * MTU,
            ssthresh: 70 * MTU,
            mtu: MTU,
            safe: false,
        });
        assert_eq!(
            prr.window(),
            21 * MTU,
            "what was delivered may be sent, no more"
        );
    }

    #[test]
    fn rfc9937_the_first_retransmission_is_forced() {
        // The window is as large as what is left in flight, to the byte.
        let mut prr = Prr::new(100 * MTU, 70 * MTU, true);
        prr.on_ack(&Step {
            delivered: 0,
            in_flight: 70 * MTU,
            ssthresh: 70 * MTU,
            mtu: MTU,
            safe: false,
        });
        assert_eq!(prr.window(), 71 * MTU);
    }

    #[test]
    fn a_loss_found_by_the_timer_waits_for_a_place_in_the_queue() {
        let mut prr = Prr::new(20 * MTU, 10 * MTU, true);
        let mut step = Step {
            delivered: 0,
            in_flight: 19 * MTU,
            ssthresh: 10 * MTU,
            mtu: MTU,
            safe: false,
        };
        prr.on_ack(&step);
        assert_eq!(prr.window(), 19 * MTU, "into a queue that is full");
        for _ in 0..2 {
            step.delivered = MTU;
            step.in_flight -= MTU;
            step.safe = true;
            prr.on_ack(&step);
        }
        assert_eq!(prr.window(), 18 * MTU, "two came out, one may go in");
    }

    #[test]
    fn rfc6675_the_end_of_a_transfer_is_repaired_at_once() {
        let step = Step {
            delivered: MTU,
            in_flight: 3 * MTU,
            ssthresh: 45 * MTU,
            mtu: MTU,
            safe: false,
        };
        let mut prr = Prr::new(12 * MTU, 45 * MTU, true);
        prr.on_ack(&step);
        assert_eq!(prr.window(), 45 * MTU, "paced");
        let mut prr = Prr::new(12 * MTU, 45 * MTU, false);
        prr.on_ack(&step);
        assert_eq!(prr.window(), 4 * MTU, "what was delivered, unpaced");
    }

    #[test]
    fn a_share_of_less_than_a_packet_is_waited_for() {
        let mut prr = Prr::new(100 * MTU, 70 * MTU, true);
        let mut step = Step {
            delivered: MTU,
            in_flight: 98 * MTU,
            ssthresh: 70 * MTU,
            mtu: MTU,
            safe: false,
        };
        prr.on_ack(&step);
        assert!(prr.window() < 99 * MTU, "into a queue that is full");
        step.in_flight = 97 * MTU;
        prr.on_ack(&step);
        assert!(prr.window() >= 98 * MTU);
    }

    #[test]
    fn proportion_is_rounded_up() {
        let mut prr = Prr::new(3, 1, true);
        prr.on_ack(&Step {
            delivered: 1,
            in_flight: 2,
            ssthresh: 1,
            mtu: 1,
            safe: true,
        });
        assert_eq!(prr.window(), 3, "ceil(1 * 1 / 3) = 1");
    }
}
