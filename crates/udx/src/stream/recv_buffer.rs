//! Reassembly: bytes at positions in, contiguous bytes out.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use bytes::{Bytes, BytesMut};
use gapless_seq::{RangeSet, mark, sabotage};

use super::{position, size};

/// log2 of [`BLOCK`].
const BLOCK_BITS: u32 = 14;

/// Bytes of one block, the unit of allocation: 16 KiB. A dozen datagrams share one allocation and a
/// reader gets a piece worth a system call, while a stream that holds one byte costs no more than that.
pub(crate) const BLOCK: u64 = 1 << BLOCK_BITS;

/// How many runs of bytes may lie beyond a hole: 512, that is 8 KiB while there is any. At a window of
/// 16 MiB in pieces of 1372 bytes it takes 4 % of random loss in every round trip to need as many,
/// at which rate no congestion window of that size survives.
const RUNS: usize = 512;

/// How far beyond the consumed bytes anything is taken, in bytes: twice the largest window (1 GiB, UDX
/// 10.1). The window rules are [`RecvHalf`](super::RecvHalf)'s; this bounds the index by itself.
const MAX_SPAN: u64 = 1 << 31;

/// Why a frame was not stored. It must not be acknowledged then (V13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// It would open one more run beyond a hole than are kept.
    TooFragmented,
    /// It lies too far ahead to be held, whatever was advertised.
    TooFar,
    /// The allocator refused.
    OutOfMemory,
}

/// The bytes of a stream between what was consumed and the highest received.
///
/// They lie in blocks of 16 KiB, aligned to positions, each allocated when a byte of it
/// arrives and each byte copied once, to its place. Whatever frames arrive, cut and overlapping as they
/// may be, a position holds the byte that came first (V1). What is read is handed out of the block
/// without a copy: a reader that keeps a handle keeps its block alive, and no more than
/// that one block for each handle.
///
/// Nothing outside `[consumed, highest)` has a block, so a sender of one byte in each block cannot
/// make a window cost more than [`memory_bound`]. Drained, the buffer holds no memory.
#[derive(Debug, Default)]
pub(crate) struct RecvBuffer {
    consumed: u64,
    /// All below was received.
    edge: u64,
    highest: u64,
    /// The first one is the block of `consumed` and starts there. One without capacity lies wholly in a hole.
    blocks: VecDeque<BytesMut>,
    /// How many of `blocks` have memory.
    allocated: usize,
    /// Memory for the next block.
    spare: Option<BytesMut>,
    /// What was received beyond `edge`.
    runs: Option<Box<RangeSet<RUNS>>>,
}

/// For the search of small worlds. A block keeps its memory, also where it holds nothing.
#[cfg(test)]
impl Clone for RecvBuffer {
    fn clone(&self) -> Self {
        let with_memory = |block: &BytesMut| {
            let mut copy = BytesMut::with_capacity(block.capacity());
            copy.extend_from_slice(block);
            copy
        };
        Self {
            blocks: self.blocks.iter().map(with_memory).collect(),
            spare: self.spare.as_ref().map(with_memory),
            runs: self.runs.clone(),
            ..*self
        }
    }
}

/// The most bytes of memory that a buffer takes, handed out blocks aside, when nothing more than `span`
/// bytes beyond the consumed ones is ever inserted: the blocks (`span` and at most one more), 8 KiB for
/// the runs and the index of blocks, which is at most 1/256 of that.
pub(crate) fn memory_bound(span: u64) -> usize {
    let blocks = size(span >> BLOCK_BITS).saturating_add(2);
    // A queue that is full doubles, and it may be one place short of full.
    let index = blocks
        .saturating_mul(2)
        .max(4)
        .saturating_mul(mem::size_of::<BytesMut>());
    blocks
        .saturating_mul(size(BLOCK))
        .saturating_add(index)
        .saturating_add(mem::size_of::<RangeSet<RUNS>>())
}

impl RecvBuffer {
    /// An empty buffer at position 0.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An empty buffer that has already handed out everything below `position`.
    pub(crate) fn at(position: u64) -> Self {
        Self {
            consumed: position,
            edge: position,
            highest: position,
            ..Self::default()
        }
    }

    /// Stores what of `data` is new and returns how many bytes that is. A refused frame changes nothing.
    /// A frame at [`edge`](Self::edge) is never too fragmented (R16).
    pub(crate) fn insert(&mut self, offset: u64, data: &[u8]) -> Result<u64, Refused> {
        let end = offset
            .checked_add(position(data.len()))
            .filter(|end| end.saturating_sub(self.consumed) <= MAX_SPAN)
            .ok_or(Refused::TooFar)?;
        let start = offset.max(self.edge);
        let new = start..end;
        let known = sabotage!(OverlapKept, 0, start.saturating_sub(offset));
        let Some(data) = data.get(size(known)..) else {
            return Ok(0);
        };
        if data.is_empty() {
            return Ok(0);
        }
        mark!(OverlapTrimmed, start > offset);
        if start == self.edge && self.runs.is_none() {
            if !self.append_to_block(data) {
                self.reserve(&new)?;
                self.write(start, data);
            }
            self.edge = end;
            self.highest = end;
            return Ok(position(data.len()));
        }
        self.insert_among_runs(new, data)
    }

    /// Takes the next contiguous bytes, at most `max` and at most to the end of their block.
    /// `None` when there are none, or `max` is 0.
    pub(crate) fn read(&mut self, max: usize) -> Option<Bytes> {
        let until_block_end = block_end(self.consumed).saturating_sub(self.consumed);
        let len = self.readable().min(until_block_end).min(position(max));
        if len == 0 {
            return None;
        }
        let block = self.blocks.front_mut()?;
        let whole = len == until_block_end;
        self.consumed = self.consumed.saturating_add(len);
        let drained = self.consumed == self.highest;
        let bytes = if whole || drained {
            mem::take(block).freeze()
        } else {
            // The block is as long as what was received of it.
            block.split_to(size(len).min(block.len())).freeze()
        };
        if drained {
            self.release();
        } else if whole {
            self.blocks.pop_front();
            self.allocated = self.allocated.saturating_sub(1);
        }
        Some(bytes)
    }

    /// Whether storing bytes up to `end` takes a block that [`supply`](Self::supply) could save the allocator.
    pub(crate) fn wants_block(&self, end: u64) -> bool {
        let last = block_index(self.consumed, end.saturating_sub(1));
        self.spare.is_none() && end > self.edge && last >= self.blocks.len()
    }

    /// Gives memory of at least [`BLOCK`] bytes for the next block.
    pub(crate) fn supply(&mut self, block: BytesMut) {
        self.spare = Some(block);
    }

    /// Whether the last byte that was read ended its block, here.
    pub(crate) fn is_between_blocks(&self) -> bool {
        self.consumed == self.highest || self.consumed == block_start(self.consumed)
    }

    /// How many bytes can be read now.
    pub(crate) fn readable(&self) -> u64 {
        self.edge.saturating_sub(self.consumed)
    }

    /// The position of the next byte to read.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The position of the first byte that was not received.
    pub(crate) fn edge(&self) -> u64 {
        self.edge
    }

    /// One past the highest byte received.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Bytes of heap memory held, whole blocks. At most [`memory_bound`].
    pub(crate) fn memory(&self) -> usize {
        let runs = self
            .runs
            .as_ref()
            .map_or(0, |_| mem::size_of::<RangeSet<RUNS>>());
        self.allocated
            .saturating_add(usize::from(self.spare.is_some()))
            .saturating_mul(size(BLOCK))
            .saturating_add(
                self.blocks
                    .capacity()
                    .saturating_mul(mem::size_of::<BytesMut>()),
            )
            .saturating_add(runs)
    }

    /// Forgets what can no longer be wanted; the positions stay.
    pub(crate) fn discard(&mut self) {
        self.edge = self.highest;
        self.consumed = self.highest;
        self.release();
    }

    /// The usual packet: in order, its block there, with room for it. False if it is not that.
    fn append_to_block(&mut self, data: &[u8]) -> bool {
        let Some(block) = self.blocks.get_mut(block_index(self.consumed, self.edge)) else {
            return false;
        };
        // A vector may have got more memory than asked for: the block ends where its positions do.
        let until_block_end = size(block_end(self.edge).saturating_sub(self.edge));
        let room = block.capacity().saturating_sub(block.len());
        let fits = room.min(until_block_end) >= data.len();
        if fits {
            block.extend_from_slice(data);
        }
        fits
    }

    fn insert_among_runs(&mut self, new: Range<u64>, data: &[u8]) -> Result<u64, Refused> {
        let in_order = new.start == self.edge;
        if !in_order && !self.has_room_for_run(&new) {
            return Err(Refused::TooFragmented);
        }
        self.reserve(&new)?;
        let mut runs = self.runs.take().unwrap_or_default();
        let mut added = 0_u64;
        for gap in runs.gaps(new.clone()) {
            let within = gap.start.saturating_sub(new.start)..gap.end.saturating_sub(new.start);
            if let Some(part) = data.get(size(within.start)..size(within.end)) {
                self.write(gap.start, part);
                added = added.saturating_add(position(part.len()));
            }
        }
        self.highest = self.highest.max(new.end);
        if in_order {
            self.edge = new.end;
            self.absorb(&mut runs);
            mark!(GapFilled);
        } else {
            mark!(GapLeft);
            let inserted = runs.insert(new);
            gapless_seq::invariant!(inserted.is_ok(), return Err(Refused::TooFragmented));
        }
        self.runs = Some(runs).filter(|runs| !runs.is_empty());
        Ok(added)
    }

    /// Whether `new`, which lies beyond `edge`, merges with a run or may become one.
    fn has_room_for_run(&self, new: &Range<u64>) -> bool {
        self.runs.as_ref().is_none_or(|runs| {
            let touching = new.start.saturating_sub(1)..new.end.saturating_add(1);
            runs.len() < runs.capacity() || runs.overlaps(&touching)
        })
    }

    /// Moves `edge` over the runs that it has reached.
    fn absorb(&mut self, runs: &mut RangeSet<RUNS>) {
        for run in runs.iter() {
            if run.start > self.edge {
                break;
            }
            self.edge = self.edge.max(run.end);
        }
        runs.remove_below(self.edge);
    }

    /// Makes a block for each position of `range`.
    fn reserve(&mut self, range: &Range<u64>) -> Result<(), Refused> {
        let last = block_index(self.consumed, range.end.saturating_sub(1));
        let count = last.saturating_add(1);
        if let Some(more) = count.checked_sub(self.blocks.len()) {
            self.blocks
                .try_reserve(more)
                .map_err(|_| Refused::OutOfMemory)?;
            self.blocks.resize_with(count, BytesMut::new);
        }
        let mut start = range.start;
        while start < range.end {
            let end = block_end(start);
            let index = block_index(self.consumed, start);
            if let Some(block) = self.blocks.get_mut(index)
                && block.capacity() == 0
            {
                *block = match self.spare.take() {
                    Some(spare) => spare,
                    None => allocate()?,
                };
                self.allocated = self.allocated.saturating_add(1);
            }
            start = end;
        }
        Ok(())
    }

    /// Puts `data` to its place in the blocks, which [`reserve`](Self::reserve) has made.
    fn write(&mut self, mut at: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let room = block_end(at).saturating_sub(at);
            let (part, rest) = data.split_at_checked(size(room)).unwrap_or((data, &[]));
            let from = block_start(at).max(self.consumed);
            if let Some(block) = self.blocks.get_mut(block_index(self.consumed, at)) {
                write_in_block(block, size(at.saturating_sub(from)), part);
            }
            at = at.saturating_add(position(part.len()));
            data = rest;
        }
    }

    fn release(&mut self) {
        self.blocks = VecDeque::new();
        self.allocated = 0;
        self.spare = None;
        self.runs = None;
    }
}

/// Fills up with zeros only where a hole is left below `data`.
fn write_in_block(block: &mut BytesMut, at: usize, data: &[u8]) {
    if block.len() < at {
        block.resize(at, 0);
    }
    let held = block.len().saturating_sub(at);
    let (inside, beyond) = data.split_at_checked(held).unwrap_or((data, &[]));
    if let Some(place) = block.get_mut(at..at.saturating_add(inside.len())) {
        place.copy_from_slice(inside);
    }
    block.extend_from_slice(beyond);
}

/// By way of a vector, because it alone can refuse instead of ending the program (P5).
fn allocate() -> Result<BytesMut, Refused> {
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(size(BLOCK))
        .map_err(|_| Refused::OutOfMemory)?;
    Ok(BytesMut::from(Bytes::from(memory)))
}

/// Which block, counted from the one of `consumed`, holds the byte at `at`.
fn block_index(consumed: u64, at: u64) -> usize {
    size((at >> BLOCK_BITS).saturating_sub(consumed >> BLOCK_BITS))
}

fn block_start(at: u64) -> u64 {
    at & !BLOCK.saturating_sub(1)
}

fn block_end(at: u64) -> u64 {
    block_start(at).saturating_add(BLOCK)
}
