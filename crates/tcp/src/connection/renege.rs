//! A peer that throws away what it had acknowledged selectively (RFC 2018 section 8).

use super::Connection;
use gapless_recovery::Instant;

impl Connection {
    /// What is acknowledged selectively is not kept for sending again by recovery, whose records are gone; the octets are kept, in the send
    /// buffer, until the cumulative acknowledgment passes them. It always passes what the peer still has: if it stops before
    /// something that the peer told to hold, the peer does not hold it any more.
    pub(super) fn watch_for_reneging(&mut self, now: Instant) {
        let next = self.next();
        if next < self.out.una {
            // C2: the acknowledgment of what was sent before all of it was to be sent again.
            self.recovery.rewind(now, self.out.una);
        }
        if !self.has_reneged() {
            self.timers.renege = None;
        } else if self.timers.renege.is_none() {
            // "after a retransmit timeout": what seems so may be an acknowledgment that overtook another.
            self.timers.renege = Some(now.saturating_add(self.recovery.pto()));
        }
    }

    /// RFC 2018 section 8: the selective acknowledgements mean nothing any more, and everything that is not acknowledged goes again.
    pub(super) fn send_all_again(&mut self, now: Instant) {
        if self.has_reneged() {
            self.out.repeated = self.out.max;
            self.out.repeated_at = Some(now);
            self.out.rewound = self.out.max;
            self.recovery.rewind(now, self.out.una);
        }
    }

    fn has_reneged(&self) -> bool {
        self.inward.has_sack
            && self.out.una < self.next()
            && self.out.una < self.recovery.oldest_number()
    }
}
