//! F-RTO, RFC 5682: whether a timeout came too early, told by the order of acknowledgements alone, for peers without timestamps and
//! without selective acknowledgements.

use gapless_seq::mark;

use crate::time::Instant;

use super::Recovery;

/// New packets whose answers decide (RFC 5682 2.1, step 2 b).
const NEW_PACKETS: u8 = 2;

/// How far the question is.
///
/// After a timeout the oldest packet goes again, and nothing else. If that was needed, its answer may pass what had arrived behind it; but
/// only one more progress without a further repetition shows that what the timeout took for lost arrives by itself. Two new packets
/// are sent meanwhile, because something has to make the peer answer.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(super) enum Forward {
    /// Not asked: something better tells.
    #[default]
    Off,
    /// No timeout is in question.
    Idle,
    /// RFC 5682 2.1, step 1: the oldest packet goes again.
    Asked {
        /// It did: everything else waits for an answer.
        sent: bool,
    },
    /// Step 2 b: so many new packets may still leave.
    Testing {
        /// Of [`NEW_PACKETS`].
        left: u8,
    },
}

impl Forward {
    /// A timeout, the first one since everything that an earlier one repeated was acknowledged.
    pub(super) const fn on_timeout(self, is_first: bool) -> Self {
        match self {
            Self::Off => Self::Off,
            _ if is_first => Self::Asked { sent: false },
            _ => Self::Idle,
        }
    }

    /// Something goes again: the question is whether that was needed; and whatever goes again besides ends the question.
    pub(super) const fn on_resent(&mut self) {
        *self = match *self {
            Self::Asked { .. } => Self::Asked { sent: true },
            Self::Testing { .. } => Self::Idle,
            other => other,
        };
    }

    /// Something new was sent.
    pub(super) const fn on_new(&mut self) {
        if let Self::Testing { left } = self {
            *left = left.saturating_sub(1);
        }
    }

    /// RFC 5682 2.1, steps 2 a and 3 a: what the peer waits for is not on its way. Whether new packets were sent meanwhile.
    pub(super) const fn on_duplicate(&mut self) -> bool {
        let was_testing = matches!(self, Self::Testing { .. });
        if !matches!(self, Self::Off) {
            *self = Self::Idle;
        }
        was_testing
    }

    /// The peer's acknowledgement moved on; whether past everything that was sent before the timeout. Whether the timeout was too early.
    pub(super) const fn on_progress(&mut self, is_over: bool) -> bool {
        let (next, spurious) = match *self {
            // Step 2 a: that may be the answer to the repetition alone.
            Self::Asked { .. } if is_over => (Self::Idle, false),
            Self::Asked { .. } => (Self::Testing { left: NEW_PACKETS }, false),
            // Step 3 b.
            Self::Testing { .. } => (Self::Idle, true),
            other => (other, false),
        };
        *self = next;
        spurious
    }

    /// Whether nothing may leave before an answer.
    pub(super) const fn waits(self) -> bool {
        matches!(self, Self::Asked { sent: true } | Self::Testing { left: 0 })
    }

    /// Whether a timeout is in question.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Testing { .. })
    }

    pub(super) const fn prefers_new(self) -> bool {
        matches!(self, Self::Testing { .. })
    }
}

impl<R> Recovery<R> {
    /// Nothing else tells that a timeout came too early: F-RTO finds out (RFC 5682 section 2). Together with
    /// [`Recovery::set_cumulative`].
    pub fn set_forward(&mut self) {
        self.cumulative.set_forward(Forward::Idle);
    }

    /// What is new is to be sent before what a timeout took for lost, if there is anything new: the answer tells whether that was right
    /// (RFC 5682 2.1, step 2 b).
    #[must_use]
    pub fn prefers_new(&self) -> bool {
        self.cumulative.forward().prefers_new()
    }

    /// RFC 5682 2.1, step 3 b, and RFC 4015: the timeout was too early, for all that it took for lost.
    pub(super) fn on_early_timeout(&mut self, now: Instant) {
        let episode = self.cumulative.timed_out();
        if self.cumulative.is_of_timeout(episode) && self.episode.on_all_spurious(episode) {
            mark!(TimeoutDisprovedByOrder);
            self.undo(now);
            self.log.revive();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Forward = Forward::Asked { sent: false };

    fn after(mut forward: Forward, step: fn(&mut Forward)) -> Forward {
        step(&mut forward);
        forward
    }

    #[test]
    fn rfc5682_2_1_every_state_and_event() {
        let sent = Forward::Asked { sent: true };
        let testing = Forward::Testing { left: 2 };
        for (from, timeout, resent, new, duplicate) in [
            (
                Forward::Off,
                Forward::Off,
                Forward::Off,
                Forward::Off,
                Forward::Off,
            ),
            (
                Forward::Idle,
                ASKED,
                Forward::Idle,
                Forward::Idle,
                Forward::Idle,
            ),
            (ASKED, ASKED, sent, ASKED, Forward::Idle),
            (sent, ASKED, sent, sent, Forward::Idle),
            (
                testing,
                ASKED,
                Forward::Idle,
                Forward::Testing { left: 1 },
                Forward::Idle,
            ),
        ] {
            assert_eq!(from.on_timeout(true), timeout, "{from:?}");
            let again = if from == Forward::Off {
                from
            } else {
                Forward::Idle
            };
            assert_eq!(from.on_timeout(false), again, "{from:?}");
            assert_eq!(after(from, Forward::on_resent), resent, "{from:?}");
            assert_eq!(after(from, Forward::on_new), new, "{from:?}");
            let mut waits = from;
            assert_eq!(waits.on_duplicate(), from == testing, "{from:?}");
            assert_eq!(waits, duplicate, "{from:?}");
        }
        for (from, is_over, to, spurious) in [
            (Forward::Off, true, Forward::Off, false),
            (Forward::Idle, false, Forward::Idle, false),
            (sent, true, Forward::Idle, false),
            (sent, false, testing, false),
            (testing, false, Forward::Idle, true),
            (testing, true, Forward::Idle, true),
        ] {
            let mut forward = from;
            assert_eq!((forward.on_progress(is_over), forward), (spurious, to));
        }
    }

    #[test]
    fn two_new_packets_and_no_more() {
        let mut forward = Forward::Testing { left: 2 };
        for _ in 0..2 {
            assert!(!forward.waits() && forward.prefers_new());
            forward.on_new();
        }
        assert!(forward.waits());
        assert!(!ASKED.waits(), "the repetition itself may leave");
    }
}
