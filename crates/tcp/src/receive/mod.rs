//! The receiving half: what arrived in any order, handed out in order.

mod beyond;
mod tuning;
mod window;

use crate::buffer::{ByteRing, FIRST_CAPACITY};
use crate::num::{index, wide};
use crate::wire::SackBlocks;
use beyond::Beyond;
use core::ops::Range;
use gapless_seq::{mark, sabotage};

pub(crate) use tuning::Tuning;
pub(crate) use window::ReceiveWindow;

/// What came of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Accepted {
    /// Octets that had not arrived before.
    pub(crate) newly: u64,
    /// RCV.NXT moved.
    pub(crate) in_order: bool,
    /// Something is still missing before what arrived: the peer is to be told at once (RFC 5681 4.2).
    pub(crate) has_hole: bool,
    /// RCV.NXT moved over the FIN.
    pub(crate) ended: bool,
}

/// Why nothing was taken, and nothing changed (R17): it is as if the segment had been lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// More pieces behind holes than are kept. Never the segment at RCV.NXT (R16).
    TooFragmented,
    /// The allocator refused, or a budget is spent.
    OutOfMemory,
}

/// Octets received and not yet read, in a ring that grows with what is there, never beyond what was promised.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    ring: ByteRing,
    window: ReceiveWindow,
    beyond: Beyond,
    /// What came twice, until it is told.
    duplicate: Option<Range<u64>>,
    /// Where the stream ends, once a FIN told.
    fin: Option<u64>,
    /// Octets of memory that may be taken beside those that are held.
    grant: u32,
    /// There was not enough of it, since somebody asked.
    is_starved: bool,
}

impl ReceiveBuffer {
    /// A buffer in which nothing is; `next` is the position behind the peer's SYN.
    pub(crate) fn new(next: u64, limit: u64, shift: Option<u8>) -> Self {
        Self {
            ring: ByteRing::new(),
            window: ReceiveWindow::new(next, limit, shift),
            beyond: Beyond::new(),
            duplicate: None,
            fin: None,
            grant: u32::MAX,
            is_starved: false,
        }
    }

    /// The promise.
    pub(crate) const fn window(&self) -> &ReceiveWindow {
        &self.window
    }

    /// The promise, to make another.
    pub(crate) const fn window_mut(&mut self) -> &mut ReceiveWindow {
        &mut self.window
    }

    /// So many octets of memory may be taken beside those that are held. What is not there is not promised from now on; what was promised is,
    /// and of that whatever is in order is taken, piece by piece if need be.
    pub(crate) fn set_grant(&mut self, grant: u32) {
        self.grant = grant;
        let held = wide(self.ring.capacity()).saturating_add(grant.into());
        let room = u32::try_from(held.max(wide(FIRST_CAPACITY))).unwrap_or(u32::MAX);
        self.window.set_room(room);
    }

    /// How many those are.
    pub(crate) const fn grant(&self) -> u32 {
        self.grant
    }

    /// Whether there was too little memory since this was asked last.
    pub(crate) const fn take_starved(&mut self) -> bool {
        core::mem::replace(&mut self.is_starved, false)
    }

    /// Octets that can be read now.
    pub(crate) fn readable(&self) -> u64 {
        self.end_of_order().saturating_sub(self.window.read())
    }

    /// Everything up to the FIN arrived, and the FIN.
    pub(crate) fn has_ended(&self) -> bool {
        self.fin.is_some_and(|fin| fin < self.window.next())
    }

    /// Takes what of `octets`, which begin at `start`, lies inside the window, and the FIN behind them if nothing before it was cut off (R14).
    /// What was here stays as it came first (R23).
    ///
    /// # Errors
    /// [`Refused`]; nothing changed then.
    pub(crate) fn accept(
        &mut self,
        start: u64,
        octets: &[u8],
        fin: bool,
    ) -> Result<Accepted, Refused> {
        let end = start.saturating_add(wide(octets.len()));
        let open = self.window.open();
        // Nothing behind a FIN belongs to the stream.
        let edge = sabotage!(BeyondWindowTaken, u64::MAX, open.end);
        let last = self.fin.unwrap_or(u64::MAX).min(edge);
        let inside = self.fit(open.start, start.max(open.start)..end.min(last))?;
        let is_cut = inside.end < end.min(last);
        mark!(FrontTrimmed, start < open.start && end > open.start);
        mark!(EndTrimmed, start < open.end && end > open.end);
        mark!(
            HoleMade,
            inside.start > open.start && inside.start < inside.end
        );
        mark!(FinAtEdge, fin && end == open.end && octets.is_empty());
        let duplicate = self.duplicate_of(start..end, &inside);
        let newly = if inside.start < inside.end {
            self.store(open.start, inside.clone(), part(octets, start, &inside))?
        } else {
            0
        };
        if duplicate.is_some() {
            self.duplicate = duplicate;
        }
        // It takes a number, but no room: it may stand at the edge (C7). One that stands before octets that came is no end.
        let fits = end <= open.end && end >= self.highest();
        if fin && fits && !is_cut && self.fin.is_none() {
            self.fin = Some(end);
            mark!(
                FinBeforeData,
                end > inside.end.max(open.start) || inside.start > open.start
            );
        }
        let ended = self.advance(inside);
        Ok(Accepted {
            newly,
            in_order: self.window.next() > open.start,
            has_hole: self.beyond.end().is_some() || (self.fin.is_some() && !self.has_ended()),
            ended,
        })
    }

    /// A segment of which nothing is new came: the peer is told of what was here (RFC 2883 section 4).
    pub(crate) fn note_duplicate(&mut self, start: u64, octets: &[u8]) {
        let end = start.saturating_add(wide(octets.len()));
        if start < end.min(self.end_of_order()) {
            self.duplicate = Some(start..end.min(self.end_of_order()));
        }
    }

    /// Makes room for `range`, or for the front of it if there is not memory for all: what is at RCV.NXT makes progress whatever the budget. What
    /// lies behind a hole is the first to be given up.
    fn fit(&mut self, next: u64, range: Range<u64>) -> Result<Range<u64>, Refused> {
        if range.start >= range.end {
            return Ok(range);
        }
        let read = self.window.read();
        let wanted = index(range.end.saturating_sub(read));
        let kept = read..self.highest();
        let grant = index(self.grant.into());
        if self
            .ring
            .reserve_within(wanted, kept.clone(), grant)
            .is_ok()
        {
            return Ok(range);
        }
        self.is_starved = true;
        if range.start > next {
            return Err(Refused::OutOfMemory);
        }
        self.ring.reserve_some(wanted, kept, grant);
        let end = read.saturating_add(wide(self.ring.capacity()));
        if end <= range.start {
            return Err(Refused::OutOfMemory);
        }
        Ok(range.start..range.end.min(end))
    }

    /// Writes what is missing of `range`. How much that was.
    fn store(&mut self, next: u64, range: Range<u64>, octets: &[u8]) -> Result<u64, Refused> {
        let mut newly = 0_u64;
        let ring = &mut self.ring;
        self.beyond.each_missing(range.clone(), |missing| {
            ring.write(missing.start, part(octets, range.start, &missing));
            newly = newly.saturating_add(missing.end.saturating_sub(missing.start));
        });
        // R16: what begins at RCV.NXT needs no place among the pieces. And of what is refused nothing shows: octets outside of all
        // pieces mean nothing.
        if range.start > next && newly > 0 {
            self.beyond.insert(range)?;
        }
        Ok(newly)
    }

    /// Moves RCV.NXT over what joins up, and over the FIN. Whether it did the latter.
    fn advance(&mut self, inside: Range<u64>) -> bool {
        let next = self.window.next();
        let arrived = if inside.start <= next {
            inside.end.max(next)
        } else {
            next
        };
        let had_ended = self.has_ended();
        let joined = self.beyond.join(arrived);
        let is_there = sabotage!(FinUnordered, self.fin.is_some(), self.fin == Some(joined));
        let ended = !had_ended && is_there;
        let over_fin = u64::from(ended);
        self.window.advance(joined.saturating_add(over_fin));
        ended
    }

    /// The first octets of a segment that were here already (RFC 2883 section 4).
    fn duplicate_of(&self, sent: Range<u64>, inside: &Range<u64>) -> Option<Range<u64>> {
        let before = sent.start..sent.end.min(self.end_of_order());
        if before.start < before.end {
            return Some(before);
        }
        self.beyond.first_present(inside)
    }

    /// Takes up to `to.len()` octets. How many.
    pub(crate) fn read(&mut self, to: &mut [u8]) -> usize {
        let read = self.window.read();
        let copied = self.ring.copy_to(read..self.end_of_order(), to);
        self.consume(copied);
        copied
    }

    /// The octets that can be read, in two pieces because the ring may end between them. [`consume`](Self::consume) takes them.
    pub(crate) fn peek(&self) -> (&[u8], &[u8]) {
        self.ring.slices(self.window.read()..self.end_of_order())
    }

    /// Drops octets from the front.
    pub(crate) fn consume(&mut self, octets: usize) {
        let read = self.window.read().saturating_add(wide(octets));
        self.window.consume(read.min(self.end_of_order()));
        if self.window.read() == self.highest() {
            self.ring.begin_at(self.window.read());
        }
    }

    /// Whether memory is held for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.ring.is_roomy_for(self.held())
    }

    /// Gives memory back: all of it if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_idle() {
            self.ring
                .shrink(index(self.held()), self.window.read()..self.highest());
        }
    }

    /// Octets from the first that was not read to the last that is here.
    fn held(&self) -> u64 {
        self.highest().saturating_sub(self.window.read())
    }

    /// Whether there is something to tell by blocks.
    pub(crate) fn has_blocks(&self) -> bool {
        self.duplicate.is_some() || self.beyond.end().is_some()
    }

    /// The blocks for an acknowledgement that leaves now (RFC 2018 section 4, RFC 2883).
    pub(crate) fn take_sack_blocks(&mut self) -> SackBlocks {
        mark!(DuplicateTold, self.duplicate.is_some());
        self.beyond.blocks(self.duplicate.take())
    }

    /// Heap memory held, octets.
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity().saturating_add(self.beyond.memory())
    }

    /// Behind the last octet that is here.
    fn highest(&self) -> u64 {
        self.beyond.end().unwrap_or_else(|| self.end_of_order())
    }

    /// Behind the last octet before the first hole.
    fn end_of_order(&self) -> u64 {
        let next = self.window.next();
        self.fin.map_or(next, |fin| fin.min(next))
    }
}

/// What of `octets`, which begin at `start`, lies in `range`.
fn part<'a>(octets: &'a [u8], start: u64, range: &Range<u64>) -> &'a [u8] {
    let from = index(range.start.saturating_sub(start));
    let to = index(range.end.saturating_sub(start));
    octets.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod exhaustive;
#[cfg(test)]
mod tests;
