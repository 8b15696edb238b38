//! What arrived behind a hole, and how it is told (RFC 2018, RFC 2883).

use super::Refused;
use crate::place::Place;
use crate::wire::{MAX_SACK_BLOCKS, SackBlock, SackBlocks};
use core::ops::Range;
use gapless_seq::{RangeSet, Wire32, mark, sabotage};

/// Pieces behind holes that are kept at most. It bounds what a peer can cost with tiny pieces (G6), and more than four can be told
/// only in turn.
const MAX_PIECES: usize = 32;

/// Pieces behind holes. Takes memory only while there are some, which is the exception.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Beyond {
    pieces: Option<Place<Pieces>>,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
struct Pieces {
    set: RangeSet<MAX_PIECES>,
    /// Octets of the segments that came last, latest first: their pieces are told first (RFC 2018 section 4).
    latest: [u64; MAX_SACK_BLOCKS],
}

impl Beyond {
    pub(super) const fn new() -> Self {
        Self { pieces: None }
    }

    /// Behind the last piece.
    pub(super) fn end(&self) -> Option<u64> {
        Some(self.get()?.set.last()?.end)
    }

    /// Calls `take` with each part of `range` that is not here.
    pub(super) fn each_missing(&self, range: Range<u64>, mut take: impl FnMut(Range<u64>)) {
        match self.get() {
            Some(pieces) => pieces.set.gaps(range).for_each(take),
            None => take(range),
        }
    }

    /// The first part of `range` that is here.
    pub(super) fn first_present(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut pieces = self.get()?.set.iter();
        let piece = pieces.find(|piece| piece.end > range.start)?;
        let common = piece.start.max(range.start)..piece.end.min(range.end);
        (common.start < common.end).then_some(common)
    }

    /// Adds a piece.
    pub(super) fn insert(&mut self, range: Range<u64>) -> Result<(), Refused> {
        if self.pieces.is_none() {
            let pieces = Pieces {
                set: RangeSet::new(),
                latest: [range.start; MAX_SACK_BLOCKS],
            };
            self.pieces = Some(Place::new(pieces).map_err(|_| Refused::OutOfMemory)?);
        }
        let pieces = self.get_mut().ok_or(Refused::OutOfMemory)?;
        pieces.set.insert(range.clone()).map_err(|_| {
            mark!(TooFragmented);
            Refused::TooFragmented
        })?;
        let [first, second, third, _] = pieces.latest;
        pieces.latest = [range.start, first, second, third];
        Ok(())
    }

    /// Everything below `next` arrived: the position up to which it now did, because pieces join up.
    pub(super) fn join(&mut self, next: u64) -> u64 {
        let Some(pieces) = self.get_mut() else {
            return next;
        };
        let mut joined = next;
        while let Some(first) = pieces
            .set
            .first()
            .filter(|first| first.start <= joined.saturating_add(sabotage!(HoleOffByOne, 1, 0)))
        {
            joined = joined.max(first.end);
            pieces.set.pop_first();
        }
        if pieces.set.is_empty() {
            self.pieces = None;
        }
        joined
    }

    /// The blocks to tell: `duplicate` first, if something came twice (RFC 2883 section 4), then the piece of the latest segment, then
    /// others, those told lately before the rest (RFC 2018 section 4).
    pub(super) fn blocks(&self, duplicate: Option<Range<u64>>) -> SackBlocks {
        let mut blocks: SackBlocks = duplicate.into_iter().map(block).collect();
        let Some(Pieces { set, latest }) = self.get() else {
            return blocks;
        };
        let recent = latest
            .iter()
            .filter_map(|at| set.iter().find(|piece| piece.contains(at)));
        let mut told = RangeSet::<{ MAX_SACK_BLOCKS + 1 }>::new();
        for piece in recent.chain(set.iter()) {
            if told.overlaps(&piece) {
                continue;
            }
            if !blocks.push(block(piece.clone())) || told.insert(piece).is_err() {
                break;
            }
        }
        blocks
    }

    /// Heap memory held, octets.
    pub(super) fn memory(&self) -> usize {
        self.get().map_or(0, size_of_val)
    }

    fn get(&self) -> Option<&Pieces> {
        self.pieces.as_ref()?.get()
    }

    fn get_mut(&mut self) -> Option<&mut Pieces> {
        self.pieces.as_mut()?.get_mut()
    }
}

fn block(range: Range<u64>) -> SackBlock {
    SackBlock {
        left: Wire32::truncate(range.start),
        right: Wire32::truncate(range.end.saturating_add(sabotage!(BlockOffByOne, 1, 0))),
    }
}
