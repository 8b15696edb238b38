//! Evidence that something was sent again for nothing: echoed timestamps (RFC 3522) and reports of what arrived twice (RFC 2883).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::event::count;
use crate::sent_log::Delivered;
use crate::time::Instant;

use super::Recovery;

/// What an acknowledgement tells of the transmission that it answers.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Echo {
    /// A number of the record that was answered.
    pub number: u64,
    /// What was answered left before this time.
    pub before: Instant,
}

impl Echo {
    /// Whether the transmission before the last one of this record was answered, and had been declared lost (RFC 3522 3.2). An echo of
    /// something older still is no echo of this record.
    pub(super) fn is_of_earlier(&self, delivered: &Delivered<'_>) -> bool {
        delivered.numbers.contains(&self.number)
            && self.before <= delivered.transmission.sent_at
            && delivered
                .previous_lost
                .is_some_and(|previous| previous.sent_at < self.before)
    }
}

/// Repairs remembered at most. A report follows its repair within a round trip, so that a window of losses may be in question.
const MAX_REPAIRS: usize = 64;

/// Records that were lost, sent again and acknowledged, nobody knows by which of both.
#[derive(Debug)]
pub(super) struct Repairs(Vec<Repair>);

#[derive(Copy, Clone, Debug)]
struct Repair {
    start: u64,
    end: u64,
    /// `None` once it was reported.
    episode: Option<u32>,
}

impl Repairs {
    pub(super) const fn new() -> Self {
        Repairs(Vec::new())
    }

    pub(super) fn note(&mut self, delivered: &Delivered<'_>) {
        let Some(lost) = delivered.previous_lost else {
            return;
        };
        if self.0.len() >= MAX_REPAIRS {
            self.0.clear();
        }
        // Without memory for it a report is not believed; nothing depends on it. And `push` would keep its growing path without the
        // proof that there is room.
        if self.0.try_reserve(1).is_err() || self.0.len() == self.0.capacity() {
            return;
        }
        self.0.push(Repair {
            start: delivered.numbers.start,
            end: delivered.numbers.end,
            episode: Some(lost.episode),
        });
    }

    /// The episode of a repair in this range that was not reported yet.
    fn take(&mut self, range: &RangeInclusive<u64>) -> Option<u32> {
        for repair in &mut self.0 {
            if repair.start <= *range.end()
                && *range.start() < repair.end
                && repair.episode.is_some()
            {
                return repair.episode.take();
            }
        }
        None
    }

    pub(super) fn release(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn memory(&self) -> usize {
        self.0.capacity().saturating_mul(size_of::<Repair>())
    }
}

impl<R> Recovery<R> {
    /// The peer reports that numbers arrived twice (RFC 2883). If a record among them was repaired, its loss was none: the reordering
    /// window grows (RFC 8985 6.2 step 4), and when every loss of an episode was none, its reduction of the window is taken back. Any other
    /// duplicate is the network's, or a probe's, and tells nothing. For [`Numbering::Reuse`](crate::Numbering::Reuse).
    pub fn on_reported_twice(&mut self, now: Instant, range: RangeInclusive<u64>) {
        let now = self.advance(now);
        let Some(episode) = self.repairs.take(&range) else {
            return;
        };
        self.rack.on_spurious(self.log.next_order());
        count(&mut self.stats.spurious_losses, 1);
        if self.episode.on_spurious(episode) {
            self.undo(now);
            self.update_pacer();
        }
    }
}
