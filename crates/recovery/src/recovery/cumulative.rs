//! Peers that tell only of what arrived in order: for those, duplicate acknowledgements are the evidence of losses (RFC 5681 3.2,
//! RFC 6582, RFC 3042).

use crate::num::narrow;
use crate::time::Instant;

use super::Recovery;
use super::acking::NO_EPISODE;
use super::forward::Forward;

/// RFC 5681 3.2: the third duplicate.
const DUPLICATE_THRESHOLD: u32 = 3;

/// RFC 3042 section 2: before the third one, two packets may leave beyond the window.
const LIMITED_TRANSMIT: u32 = 2;

/// RFC 6582 4.1: packets that the last acknowledgment may have passed.
const HEURISTIC_STEP: u32 = 4;

/// What is known of such a peer.
#[derive(Debug, Default)]
pub(super) struct Cumulative {
    is_on: bool,
    is_repairing: bool,
    /// Whether the last timeout came too early.
    forward: Forward,
    /// What the peer waits for goes at once: without it the duplicates end, and with them whatever makes room (RFC 6582 3.2; C16).
    is_urgent: bool,
    /// Duplicates since the last progress.
    duplicates: u32,
    /// Bytes that duplicates say have left the path; of which transmissions nobody knows.
    arrived: u32,
    /// Bytes that duplicates may still tell of: what was in flight when the first of them came. Who invents duplicates gains nothing.
    credit: u32,
    /// Bytes that each of them tells of.
    size: u32,
    /// Packets that the last progress acknowledged.
    progress: u32,
    /// RFC 6582 3.2, "recover": the number that was next when the last repair or timeout began.
    recover: u64,
    /// The episode of congestion that the last timeout began, or none.
    timed_out: u32,
}

/// What makes transmissions lost.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Evidence {
    /// Later ones were delivered (RFC 8985).
    Later,
    /// The peer repeats that it waits for the oldest one; of the others it tells nothing.
    Waits,
    /// A timeout, for a peer that could not tell more (RFC 5681 3.1). Said again, it is the same sign of congestion.
    Timeout {
        /// Not the first in a row.
        again: bool,
    },
}

impl Cumulative {
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    pub(super) const fn forward(&self) -> Forward {
        self.forward
    }

    pub(super) const fn set_forward(&mut self, forward: Forward) {
        self.forward = forward;
    }

    /// The episode of congestion that the last timeout began, or none.
    pub(super) const fn timed_out(&self) -> u32 {
        self.timed_out
    }

    /// Whether a loss of what is sent next would show by duplicates.
    pub(super) const fn would_tell(&self, next: u64) -> bool {
        !self.is_on || (!self.is_repairing && self.recover < next)
    }

    pub(super) const fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    pub(super) const fn on_sent(&mut self) {
        self.is_urgent = false;
    }

    pub(super) const fn on_new(&mut self) {
        self.forward.on_new();
    }

    pub(super) const fn on_resent(&mut self) {
        self.forward.on_resent();
    }

    /// Whether the loss was one of a timeout.
    pub(super) fn is_of_timeout(&self, episode: u32) -> bool {
        episode != NO_EPISODE && self.timed_out == episode
    }

    /// Whether what was sent when the repair or timeout began is acknowledged, now that all below `oldest` is.
    pub(super) const fn is_over(&self, oldest: u64) -> bool {
        oldest >= self.recover
    }

    pub(super) fn note_urgent(&mut self, evidence: Evidence, lost: u64) {
        self.is_urgent = evidence == Evidence::Waits && lost > 0;
    }

    /// RFC 6582 3.2, step 1: duplicates of what an earlier repair or a timeout sent twice tell of no loss. Those make the last acknowledgment
    /// pass many packets at once; where it did not, what was sent first after the repair may be lost (section 4.1).
    const fn is_news(&self, oldest: u64) -> bool {
        self.recover < oldest || (self.recover == oldest && self.progress <= HEURISTIC_STEP)
    }

    /// A duplicate was counted: the bytes that it tells of.
    fn take_one(&mut self) -> u64 {
        let limit = if self.is_repairing {
            u32::MAX
        } else {
            LIMITED_TRANSMIT.saturating_mul(self.size)
        };
        let taken = self
            .size
            .min(self.credit)
            .min(limit.saturating_sub(self.arrived));
        self.credit = self.credit.saturating_sub(taken);
        self.arrived = self.arrived.saturating_add(taken);
        u64::from(taken)
    }
}

impl<R> Recovery<R> {
    /// The peer acknowledges cumulatively and nothing else: from now on only [`Recovery::on_duplicate`] and timeouts tell of losses, and
    /// a timeout takes everything in flight for lost. For [`Numbering::Reuse`](crate::Numbering::Reuse).
    pub fn set_cumulative(&mut self) {
        self.cumulative.is_on = true;
    }

    /// A duplicate acknowledgement (RFC 5681 section 2): something arrived, but not what the peer waits for. Means nothing without
    /// [`Recovery::set_cumulative`].
    pub fn on_duplicate(&mut self, now: Instant) {
        let now = self.advance(now);
        if !self.cumulative.is_on || self.log.unacknowledged() == 0 {
            return;
        }
        if self.cumulative.forward.on_duplicate() {
            // RFC 5682 2.1, step 3 a: the flight goes again from its first hole on. What was new counts as lost with the rest; it comes last, and
            // by then the peer has told that it is there.
            let evidence = Evidence::Timeout { again: true };
            self.find_losses(now, 0, false, evidence);
        }
        if self.cumulative.duplicates == 0 {
            self.cumulative.size = narrow(self.log.oldest_size());
            // What the peer waits for has not arrived.
            let all = narrow(self.log.bytes_in_flight());
            self.cumulative.credit = all.saturating_sub(self.cumulative.size);
        }
        self.cumulative.duplicates = self.cumulative.duplicates.saturating_add(1);
        let begins = !self.cumulative.is_repairing
            && self.cumulative.duplicates >= DUPLICATE_THRESHOLD
            && self.cumulative.is_news(self.log.oldest_number());
        if begins {
            self.cumulative.is_repairing = true;
            self.cumulative.recover = self.log.next_number();
        }
        let delivered = self.cumulative.take_one();
        if begins {
            let lost = self.find_losses(now, delivered, false, Evidence::Waits);
            self.cumulative.note_urgent(Evidence::Waits, lost);
        } else if self.cumulative.is_repairing {
            // RFC 6937 section 3: each duplicate delivers a packet.
            self.find_losses(now, delivered, false, Evidence::Later);
        }
    }

    /// Sends the rest of the oldest record if `is_cut` says that a part of it was acknowledged: of one that had to be cut, and for whose parts
    /// there were no records, the first part was sent and nothing else. That is no loss. Means nothing without
    /// [`Recovery::set_cumulative`]: the selective acknowledgements of others tell of the rest.
    pub fn send_rest(&mut self, is_cut: impl FnOnce(&R) -> bool) {
        if self.cumulative.is_on {
            self.log.requeue_oldest(is_cut);
        }
    }

    /// Bytes on the path, as far as the peer's acknowledgements tell.
    pub(super) fn in_flight(&self) -> u64 {
        let sent = self.log.bytes_in_flight();
        sent.saturating_sub(u64::from(self.cumulative.arrived))
    }

    /// So many bytes were newly acknowledged: what they tell of losses, and how many of them no duplicate had told before.
    pub(super) fn on_cumulative_progress(&mut self, bytes: u64, packets: u64) -> (Evidence, u64) {
        let Cumulative {
            is_on: true,
            arrived,
            size,
            ..
        } = self.cumulative
        else {
            return (Evidence::Later, bytes);
        };
        self.cumulative.duplicates = 0;
        self.cumulative.progress = narrow(packets);
        let oldest = self.log.oldest_number();
        let is_over = self.cumulative.is_over(oldest);
        if self.cumulative.forward.on_progress(is_over) {
            self.on_early_timeout(self.now);
        }
        if is_over {
            // RFC 6582 3.2, step 3, "full acknowledgments".
            self.cumulative.is_repairing = false;
        }
        if !self.cumulative.is_repairing {
            self.cumulative.arrived = 0;
            return (Evidence::Later, bytes.saturating_sub(u64::from(arrived)));
        }
        // "Partial acknowledgments": the packet that was waited for, and some that duplicates told of; the next one is lost as well.
        let told = narrow(bytes).saturating_sub(size).min(arrived);
        self.cumulative.arrived = arrived.saturating_sub(told);
        // Unless that one left after what this acknowledges: a part of a packet that had to be cut.
        let is_older = self.log.oldest_order() < Some(self.rack.newest());
        let evidence = if is_older {
            Evidence::Waits
        } else {
            Evidence::Later
        };
        (evidence, bytes.saturating_sub(u64::from(told)))
    }

    /// RFC 5681 3.1 and RFC 6582 section 4: everything goes again, and duplicates that this makes tell nothing.
    pub(super) fn on_cumulative_timeout(&mut self, now: Instant, again: bool) {
        let is_first = !again && self.cumulative.is_over(self.log.oldest_number());
        self.cumulative = Cumulative {
            is_on: true,
            forward: self.cumulative.forward.on_timeout(is_first),
            recover: self.log.next_number(),
            ..Cumulative::default()
        };
        self.find_losses(now, 0, true, Evidence::Timeout { again });
        // What was sent again since the last timeout lies before what was not, and what lies behind a hole helps nobody: in the order of
        // their losses a small window would be spent on that, and each timeout repair one hole.
        self.log.sort_lost();
        self.cumulative.timed_out = self.episode.id();
    }
}
