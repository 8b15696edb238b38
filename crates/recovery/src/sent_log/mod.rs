//! The sent log: records and transmissions, and the only place that mints numbers (P1).
//!
//! A record is what must arrive; a transmission is one attempt to bring it there. Transmissions stand in the order of their
//! sending, which is what RACK (RFC 8985) reasons about. Under [`Numbering::Fresh`] that order *is* the wire number;
//! under [`Numbering::Reuse`] a second index leads from a wire number to its record.

mod acknowledge;
mod check;
mod records;
mod runs;
mod transmissions;

#[cfg(test)]
mod tests;

use gapless_seq::{mark, sabotage};

use crate::config::{Class, Config, Numbering};
use crate::rate::Snapshot;
use crate::ring::{OutOfMemory, Ring};
use crate::time::Instant;

pub(crate) use acknowledge::{Delivered, NeverSent, PreviousLost};
pub(crate) use check::LogBroken;
pub use records::RecordId;
pub(crate) use transmissions::Transmission;

use acknowledge::{Span, partition};
use records::Records;
use transmissions::Transmissions;

/// A minted number and the record it was minted for.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Number {
    /// The number, or the first of its span.
    pub number: u64,
    /// The record that goes under it.
    pub record: RecordId,
}

/// Why no number was minted. Nothing was changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// The last number has been given away.
    NumbersExhausted,
    /// `max_records` records wait for acknowledgement.
    LogFull,
    /// The allocator refused.
    OutOfMemory,
    /// Under [`Numbering::Reuse`] every number must arrive, so [`Class::Once`] may not have one, and never an empty span.
    NotRepeatable,
}

/// Why a record was not sent again. Nothing was changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum ResendError {
    /// It was acknowledged, abandoned or split.
    UnknownRecord,
    /// Pings and probes are never sent again.
    NotRepeatable,
    /// The last number has been given away.
    NumbersExhausted,
    /// The allocator refused.
    OutOfMemory,
}

/// Why a record was not split. Nothing was changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum SplitError {
    /// It was acknowledged, abandoned or split before.
    UnknownRecord,
    /// Pings and probes are never sent again, so there is nothing to split; under [`Numbering::Reuse`] the head's span must
    /// be given (`split_span`), and leave both halves at least one number.
    NotRepeatable,
    /// `max_records` records wait for acknowledgement.
    LogFull,
    /// The allocator refused.
    OutOfMemory,
}

/// What was declared lost by one call.
pub(crate) struct Lost<'a> {
    pub(crate) order: u64,
    pub(crate) transmission: &'a Transmission,
    /// An acknowledged transmission lies between this one and the one shown before.
    pub(crate) after_delivered: bool,
}

// A number is a promise: only the search of small worlds has two logs of one past.
#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct SentLog<R> {
    numbering: Numbering,
    first_number: u64,
    next_number: u64,
    last_number: u64,
    max_records: usize,
    records: Records<R>,
    transmissions: Transmissions,
    spans: Ring<Span>,
    /// Steps taken in acknowledgements: the work a peer can cause.
    work: u64,
}

impl<R> SentLog<R> {
    pub(crate) fn new(config: &Config) -> Self {
        // Under `Fresh` the order of sending is the number.
        let first_order = match config.numbering {
            Numbering::Fresh => config.first_number,
            Numbering::Reuse => 0,
        };
        SentLog {
            numbering: config.numbering,
            first_number: config.first_number,
            next_number: config.first_number,
            // The number after the last must exist, because "what was sent" is a half-open range.
            last_number: config.last_number.min(u64::MAX.saturating_sub(1)),
            max_records: config.max_records.max(1),
            records: Records::new(),
            transmissions: Transmissions::starting_at(first_order),
            spans: Ring::starting_at(0),
            work: 0,
        }
    }

    /// Gives `span` consecutive numbers to a new record. P1: nothing else mints.
    pub(crate) fn commit(
        &mut self,
        span: u64,
        class: Class,
        bytes: u32,
        sent_at: Instant,
        snapshot: Snapshot,
        what: R,
    ) -> Result<Number, CommitError> {
        let reuse = self.numbering == Numbering::Reuse;
        // Under `Fresh` a number is a transmission, so a span would leave holes that no transmission explains.
        let span = if reuse { span } else { 1 };
        let number = self.next_number;
        let after = self
            .after_minting(span)
            .ok_or(CommitError::NumbersExhausted)?;
        if span == 0 || (reuse && class == Class::Once) {
            return Err(CommitError::NotRepeatable);
        }
        if self.is_full() {
            return Err(CommitError::LogFull);
        }
        self.records
            .reserve()
            .map_err(|OutOfMemory| CommitError::OutOfMemory)?;
        self.transmissions
            .reserve()
            .map_err(|OutOfMemory| CommitError::OutOfMemory)?;
        if reuse {
            self.spans
                .reserve()
                .map_err(|OutOfMemory| CommitError::OutOfMemory)?;
        }
        let order = self.transmissions.next();
        let kept = if reuse { Class::Reliable } else { class };
        let record = self
            .records
            .insert(kept, order, number, what)
            .map_err(|OutOfMemory| CommitError::OutOfMemory)?;
        let pushed = self
            .transmissions
            .push(Transmission::new(sent_at, snapshot, record, bytes, class));
        if pushed.is_err() {
            self.records.remove(record);
            return Err(CommitError::OutOfMemory);
        }
        if reuse {
            let entry = Span {
                start: number,
                end: after,
                record,
                closed: 0,
            };
            // Room was reserved above.
            let _ = self.spans.push(entry);
        }
        self.next_number = after;
        Ok(Number { number, record })
    }

    /// Mints a number for nothing: its transmission is over before it began.
    pub(crate) fn skip_number(&mut self) {
        let after = self.after_minting(1);
        let harmless = self.numbering == Numbering::Fresh || sabotage!(AckTakesNumber);
        if let (true, Some(after)) = (harmless, after)
            && self.transmissions.push_closed().is_ok()
        {
            mark!(NumberSkipped);
            self.next_number = after;
        }
    }

    /// Sends a record again; the number to send it under.
    pub(crate) fn resend(
        &mut self,
        id: RecordId,
        bytes: u32,
        sent_at: Instant,
        snapshot: Snapshot,
    ) -> Result<u64, ResendError> {
        let record = self.records.get(id).ok_or(ResendError::UnknownRecord)?;
        if record.class != Class::Reliable {
            return Err(ResendError::NotRepeatable);
        }
        let (latest, own_number) = (record.latest, record.number);
        let (number, after) = match self.numbering {
            Numbering::Fresh => (
                self.next_number,
                self.after_minting(1).ok_or(ResendError::NumbersExhausted)?,
            ),
            Numbering::Reuse => (
                sabotage!(NumberReused, self.next_number.saturating_sub(1), own_number),
                self.next_number,
            ),
        };
        self.transmissions
            .reserve()
            .map_err(|OutOfMemory| ResendError::OutOfMemory)?;
        let mut again = Transmission::new(sent_at, snapshot, id, bytes, Class::Reliable);
        again.repeated = latest != u64::MAX;
        let order = self
            .transmissions
            .push(again)
            .map_err(|OutOfMemory| ResendError::OutOfMemory)?;
        if self.numbering == Numbering::Reuse {
            // RFC 8985 6.1: a segment has one transmission time, that of its last transmission.
            self.transmissions.void(latest);
        }
        mark!(ResentReused, self.numbering == Numbering::Reuse);
        mark!(ResentFresh, self.numbering == Numbering::Fresh);
        self.next_number = after;
        self.records.dequeue(id);
        if let Some(record) = self.records.get_mut(id) {
            // A half of a split record was not sent by itself yet.
            record.resent |= latest != u64::MAX;
            record.previous = if latest == u64::MAX { order } else { latest };
            record.latest = order;
        }
        Ok(number)
    }

    /// Replaces a record by two. `head_span` is how many of its numbers the head keeps, under `Reuse`.
    pub(crate) fn split(
        &mut self,
        id: RecordId,
        head_span: u64,
        head: R,
        tail: R,
    ) -> Result<(), SplitError> {
        let record = self.records.get(id).ok_or(SplitError::UnknownRecord)?;
        if record.class != Class::Reliable {
            return Err(SplitError::NotRepeatable);
        }
        let (number, latest) = (record.number, record.latest);
        let span = self.span_to_split(id, number, head_span)?;
        if self.records.len() >= self.max_records.saturating_mul(2) {
            return Err(SplitError::LogFull);
        }
        let tail_number = number.saturating_add(head_span);
        let tail_id = self
            .records
            .insert_after(id, tail_number, tail)
            .map_err(|OutOfMemory| SplitError::OutOfMemory)?;
        let Ok(head_id) = self.records.insert_after(id, number, head) else {
            self.records.remove(tail_id);
            return Err(SplitError::OutOfMemory);
        };
        if let Some((at, end)) = span {
            let entry = Span {
                start: tail_number,
                end,
                record: tail_id,
                closed: 0,
            };
            if self.spans.insert(at.saturating_add(1), entry).is_err() {
                self.records.remove(tail_id);
                self.records.remove(head_id);
                return Err(SplitError::OutOfMemory);
            }
            if let Some(entry) = self.spans.get_mut(at) {
                entry.end = tail_number;
                entry.record = head_id;
            }
            // No acknowledgement can name that transmission any more.
            self.transmissions.void(latest);
        }
        mark!(RecordSplit);
        self.records.remove(id);
        self.records.queue_first(tail_id);
        self.records.queue_first(head_id);
        Ok(())
    }

    /// Forgets the records for which `f` holds. Their transmissions stay in flight until the network has answered.
    pub(crate) fn abandon(&mut self, mut f: impl FnMut(&R) -> bool) {
        // Under `Reuse` an unacknowledged number would block all that follow.
        if self.numbering == Numbering::Reuse {
            return;
        }
        self.records.remove_where(|what| f(what));
    }

    /// Declares in-flight transmissions lost, oldest first, as long as `verdict` says so. The first survivor's time is returned
    /// if its order is below `below`. `verdict` gives the episode of congestion the loss belongs to.
    pub(crate) fn lose_while(
        &mut self,
        below: u64,
        mut verdict: impl FnMut(Lost<'_>) -> Option<u32>,
    ) -> Option<Instant> {
        while let Some(order) = self.transmissions.next_in_flight(below) {
            let after_delivered = self.transmissions.delivered_since_loss();
            let transmission = self.transmissions.get(order)?;
            let record = transmission.record;
            let Some(episode) = verdict(Lost {
                order,
                transmission,
                after_delivered,
            }) else {
                return Some(transmission.sent_at);
            };
            self.transmissions.lose(order, episode);
            lose_record(&mut self.records, record, order);
        }
        None
    }

    /// Forgets transmissions that were declared lost and sent before `before`, and more if there are too many.
    pub(crate) fn trim(&mut self, before: Instant) {
        self.transmissions
            .trim(before, self.max_records.saturating_mul(2));
    }

    /// All in flight was sent on a path that is no longer used: it counts neither for nor against the new one.
    pub(crate) fn leave_path(&mut self) {
        self.transmissions.leave_path();
    }

    /// What waits to be sent again is in flight after all, where its last transmission is still remembered.
    pub(crate) fn revive(&mut self) {
        let mut at = self.records.first_queued().map(|(id, _)| id);
        while let Some(id) = at {
            at = self.records.next_queued(id);
            let latest = self.records.get(id).map(|record| record.latest);
            if latest.is_some_and(|latest| self.transmissions.revive(latest)) {
                self.records.dequeue(id);
            }
        }
    }

    /// Under `Reuse`: forgets everything, and mints `number` next, be it above or below what is next now.
    pub(crate) fn rewind(&mut self, number: u64) {
        if self.numbering == Numbering::Fresh {
            return;
        }
        self.records.clear();
        self.transmissions.close_all();
        while self.spans.pop_front().is_some() {}
        self.first_number = self.first_number.min(number);
        self.next_number = number;
    }

    /// Gives memory back where nothing is stored.
    pub(crate) fn release_memory(&mut self) {
        self.records.release();
        self.transmissions.release();
        self.spans.release();
    }

    /// Whether every number must arrive.
    pub(crate) fn has_reused(&self) -> bool {
        self.numbering == Numbering::Reuse
    }

    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= self.max_records
            || self.transmissions.len() >= self.max_records.saturating_mul(2)
            || self.spans.len() >= self.max_records.saturating_mul(2)
    }

    pub(crate) fn next_lost(&self) -> Option<(RecordId, &R)> {
        self.records
            .first_queued()
            .map(|(id, record)| (id, &record.what))
    }

    /// The oldest reliable record is to be sent again if `f` says so: its last transmission is answered.
    pub(crate) fn requeue_oldest(&mut self, f: impl FnOnce(&R) -> bool) {
        let Some((id, record)) = self.records.oldest() else {
            return;
        };
        let latest = record.latest;
        if !record.queued && f(&record.what) {
            self.transmissions.void(latest);
            self.records.queue_first(id);
        }
    }

    /// What was lost goes again in the order in which it was sent first.
    pub(crate) fn sort_lost(&mut self) {
        self.records.sort_queue();
    }

    /// The oldest reliable record, if it is to be sent again.
    pub(crate) fn oldest_lost(&self) -> Option<(RecordId, &R)> {
        let (id, record) = self.records.oldest()?;
        record.queued.then_some((id, &record.what))
    }

    /// The oldest reliable record that was not sent at or after `since`; the very oldest if all were.
    pub(crate) fn probe_candidate(&self, since: u64) -> Option<(RecordId, &R)> {
        let oldest = self.records.oldest()?;
        let mut candidate = Some(oldest);
        // A timeout sends two probes at most, so a look at three records finds one that was not sent just now.
        for _ in 0..3 {
            match candidate {
                Some((id, record)) if record.latest >= since && record.latest != u64::MAX => {
                    mark!(ProbeSkipsRecent);
                    candidate = self.records.next_newer(id);
                }
                _ => break,
            }
        }
        let (id, record) = candidate.unwrap_or(oldest);
        Some((id, &record.what))
    }

    /// The oldest reliable record, or if that was sent at or after `since`, the newest, or if that was, too, as
    /// [`probe_candidate`](Self::probe_candidate).
    pub(crate) fn probe_of_either_end(&self, since: u64) -> Option<(RecordId, &R)> {
        let is_due =
            |record: &records::Record<R>| record.latest < since || record.latest == u64::MAX;
        let ends = [self.records.oldest(), self.records.newest()];
        let mut due = ends.into_iter().flatten();
        match due.find(|(_, record)| is_due(record)) {
            Some((id, record)) => Some((id, &record.what)),
            None => self.probe_candidate(since),
        }
    }

    /// A record of this sort that was not sent at or after `since`.
    pub(crate) fn probe_of(&self, since: u64, is: impl Fn(&R) -> bool) -> Option<(RecordId, &R)> {
        let mut records = self.records.iter();
        let (id, record) = records.find(|(_, record)| {
            (record.latest < since || record.latest == u64::MAX) && is(&record.what)
        })?;
        Some((id, &record.what))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RecordId, &R)> {
        self.records.iter().map(|(id, record)| (id, &record.what))
    }

    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    pub(crate) fn oldest_number(&self) -> u64 {
        // Acknowledged spans leave the front at once.
        self.spans
            .front()
            .map_or(self.next_number, |span| span.start)
    }

    /// The newest transmission of the oldest reliable record.
    pub(crate) fn oldest_order(&self) -> Option<u64> {
        self.records.oldest().map(|(_, record)| record.latest)
    }

    /// The size of that one, bytes.
    pub(crate) fn oldest_size(&self) -> u64 {
        let oldest = self.oldest_order();
        let sent = oldest.and_then(|order| self.transmissions.get(order));
        sent.map_or(0, |sent| u64::from(sent.bytes))
    }

    pub(crate) const fn next_order(&self) -> u64 {
        self.transmissions.next()
    }

    pub(crate) const fn bytes_in_flight(&self) -> u64 {
        self.transmissions.bytes_in_flight()
    }

    pub(crate) const fn packets_in_flight(&self) -> u64 {
        self.transmissions.packets_in_flight()
    }

    pub(crate) fn largest_in_flight(&self) -> u32 {
        self.transmissions.largest_in_flight()
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.records.reliable()
    }

    pub(crate) fn queued(&self) -> usize {
        self.records.queued()
    }

    pub(crate) const fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn memory(&self) -> usize {
        self.records
            .memory()
            .saturating_add(self.transmissions.memory())
            .saturating_add(self.spans.memory())
    }

    fn after_minting(&self, span: u64) -> Option<u64> {
        let after = self.next_number.checked_add(span)?;
        (after.saturating_sub(1) <= self.last_number).then_some(after)
    }

    /// Where a record's span stands and where it ends, if `head_span` splits it. `None` under `Fresh`.
    fn span_to_split(
        &self,
        id: RecordId,
        number: u64,
        head_span: u64,
    ) -> Result<Option<(u64, u64)>, SplitError> {
        if self.numbering == Numbering::Fresh {
            return Ok(None);
        }
        let at = partition(&self.spans, |span| span.start < number);
        let span = self
            .spans
            .get(at)
            .filter(|span| span.record == id)
            .ok_or(SplitError::UnknownRecord)?;
        let length = span.end.saturating_sub(span.start);
        if head_span == 0 || head_span >= length {
            return Err(SplitError::NotRepeatable);
        }
        Ok(Some((at, span.end)))
    }
}

/// A lost transmission concerns its record only if it was the last hope.
fn lose_record<R>(records: &mut Records<R>, id: RecordId, order: u64) {
    match records.get(id) {
        Some(record) if record.latest != order => {
            mark!(LostButSentAgain);
        }
        Some(record) if record.class == Class::Reliable => records.queue_last(id),
        Some(_) => {
            mark!(OnceLost);
            records.remove(id);
        }
        None => {}
    }
}
