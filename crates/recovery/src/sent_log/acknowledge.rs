//! What an acknowledgement closes.

use core::ops::{Range, RangeInclusive};

use gapless_seq::{mark, sabotage};

use crate::config::Numbering;
use crate::ring::Ring;
use crate::time::Instant;

use super::records::Record;
use super::runs::{Closable, close_range};
use super::transmissions::{Transmission, Transmissions};
use super::{RecordId, SentLog};

/// One newly acknowledged transmission.
pub(crate) struct Delivered<'a> {
    pub(crate) order: u64,
    pub(crate) transmission: &'a Transmission,
    /// It had been declared lost, in this episode of congestion.
    pub(crate) was_lost: Option<u32>,
    /// `Reuse`: the record had been sent before, so the acknowledgement may mean either transmission.
    pub(crate) ambiguous: bool,
    /// `Reuse`: the transmission before this one, if it had been declared lost.
    pub(crate) previous_lost: Option<PreviousLost>,
    /// The record's numbers.
    pub(crate) numbers: Range<u64>,
    /// Names the largest number of the acknowledgement.
    pub(crate) largest: bool,
}

/// A transmission that was declared lost before its record was sent again.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct PreviousLost {
    /// The episode of congestion.
    pub(crate) episode: u32,
    pub(crate) sent_at: Instant,
}

/// A number was named that was never sent.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct NeverSent;

/// Under `Reuse`: which numbers a record has.
#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) record: RecordId,
    /// Zero while the record waits.
    pub(super) closed: u32,
}

impl Closable for Span {
    fn closed(&self) -> Option<u32> {
        (self.closed != 0).then_some(self.closed)
    }

    fn close(&mut self, distance: u32) {
        self.closed = distance.max(1);
    }
}

impl<R> SentLog<R> {
    /// Closes what the ranges name. `visit` sees each transmission that this acknowledges, with the record if it was
    /// still waited for. An error changes nothing.
    pub(crate) fn acknowledge(
        &mut self,
        largest: u64,
        ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
        mut visit: impl FnMut(Delivered<'_>, Option<R>),
    ) -> Result<(), NeverSent> {
        // R3: nothing beyond what was transmitted is believed, and then nothing at all of it.
        let beyond = |number: u64| number >= self.next_number && !sabotage!(UnsentBelieved);
        if beyond(largest) || ranges.clone().any(|range| beyond(*range.end())) {
            return Err(NeverSent);
        }
        for range in ranges {
            self.work = self.work.saturating_add(1);
            let (start, end) = range.into_inner();
            if start <= end {
                match self.numbering {
                    Numbering::Fresh => self.acknowledge_fresh(start, end, largest, &mut visit),
                    Numbering::Reuse => self.acknowledge_reused(start, end, largest, &mut visit),
                }
            }
        }
        self.transmissions.pop_closed();
        while self
            .spans
            .front()
            .is_some_and(|span| span.closed().is_some())
        {
            self.spans.pop_front();
        }
        Ok(())
    }

    fn acknowledge_fresh(
        &mut self,
        start: u64,
        end: u64,
        largest: u64,
        visit: &mut impl FnMut(Delivered<'_>, Option<R>),
    ) {
        let SentLog {
            records,
            transmissions,
            work,
            ..
        } = self;
        let steps = transmissions.deliver_range(
            start,
            end.saturating_add(1),
            |order, transmission, was_lost| {
                let record = records.remove(transmission.record);
                let delivered = Delivered {
                    order,
                    transmission,
                    was_lost,
                    ambiguous: false,
                    previous_lost: None,
                    numbers: order..order.saturating_add(1),
                    largest: order == largest,
                };
                visit(delivered, record.map(|record| record.what));
            },
        );
        *work = work.saturating_add(steps);
    }

    fn acknowledge_reused(
        &mut self,
        start: u64,
        end: u64,
        largest: u64,
        visit: &mut impl FnMut(Delivered<'_>, Option<R>),
    ) {
        let SentLog {
            records,
            transmissions,
            spans,
            work,
            ..
        } = self;
        // Only records that are covered as a whole have arrived.
        let from = partition(spans, |span| span.start < start);
        let to = partition(spans, |span| span.end <= end.saturating_add(1));
        let steps = close_range(spans, from, to, |_, span| {
            let Some(record) = records.remove(span.record) else {
                return;
            };
            deliver_record(transmissions, record, span.start..span.end, largest, visit);
        });
        *work = work.saturating_add(steps);
    }
}

fn deliver_record<R>(
    transmissions: &mut Transmissions,
    record: Record<R>,
    numbers: Range<u64>,
    largest: u64,
    visit: &mut impl FnMut(Delivered<'_>, Option<R>),
) {
    let previous_lost = if record.previous == record.latest {
        None
    } else {
        transmissions.take_lost(record.previous)
    };
    let (latest, ambiguous) = (record.latest, record.resent);
    let names_largest = numbers.contains(&largest);
    if let Some((transmission, was_lost)) = transmissions.deliver(latest) {
        let delivered = Delivered {
            order: latest,
            transmission,
            was_lost,
            ambiguous,
            previous_lost,
            numbers,
            largest: names_largest,
        };
        visit(delivered, Some(record.what));
        return;
    }
    mark!(ForgottenAcked);
    // Its last transmission is no longer remembered; what arrived has arrived nevertheless.
    let forgotten = Transmission::forgotten();
    let delivered = Delivered {
        order: 0,
        transmission: &forgotten,
        was_lost: None,
        ambiguous: true,
        previous_lost,
        numbers,
        largest: false,
    };
    visit(delivered, Some(record.what));
}

/// The first position whose span does not satisfy `before`; spans are sorted.
pub(super) fn partition(spans: &Ring<Span>, before: impl Fn(&Span) -> bool) -> u64 {
    let (mut low, mut high) = (spans.first(), spans.next());
    while low < high {
        let middle = low.midpoint(high);
        if spans.get(middle).is_some_and(&before) {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    low
}
