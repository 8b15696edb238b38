//! Bytes written and not yet acknowledged.

use alloc::collections::{BTreeMap, VecDeque};
use core::mem;
use core::ops::Range;

use bytes::{Bytes, BytesMut};
use gapless_seq::{mark, sabotage};

use super::{position, size};

/// Writes below this many bytes are copied together, 1 KiB: below that a chunk of its own would cost as much
/// in bookkeeping and packets' seams as the copy.
const SMALL: usize = 1024;

/// At most this many bytes are copied into one chunk, 16 KiB: one chunk is freed at once, when all of it is
/// acknowledged.
const STAGE: usize = 16_384;

/// The allocator refused; nothing was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfMemory;

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start.saturating_add(position(self.bytes.len()))
    }
}

/// The bytes of a stream from the first unacknowledged one to the last written, each at its position.
///
/// What was written is kept as it came, without a copy, except writes below 1 KiB, which are copied
/// together. So at most every other chunk is small, and the bookkeeping is bounded: less than 200 bytes
/// for each KiB that is held. (A `Bytes` also keeps alive the allocation that it is a part of; that is
/// the writer's affair.)
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    /// The first byte that is not acknowledged, or `end`.
    start: u64,
    end: u64,
    /// Without gaps, up to where `stage` begins.
    chunks: VecDeque<Chunk>,
    /// The last bytes written, being copied together.
    stage: BytesMut,
    /// Index of the chunk that was last copied from: the next one asked for is it or its neighbour.
    cursor: usize,
    /// Acknowledged ranges above `start`, by their starts, with a gap between any two. No more than there
    /// are records outstanding.
    acked: BTreeMap<u64, u64>,
    /// How many bytes they are together.
    acked_above: u64,
}

impl SendBuffer {
    /// An empty buffer at position 0.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An empty buffer of which everything below `position` is acknowledged.
    pub(crate) fn at(position: u64) -> Self {
        Self {
            start: position,
            end: position,
            ..Self::default()
        }
    }

    /// Appends.
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<(), OutOfMemory> {
        let len = bytes.len();
        if len == 0 {
            return Ok(());
        }
        // Room for the chunk and for the stage in front of it.
        self.chunks.try_reserve(2).map_err(|_| OutOfMemory)?;
        if len < SMALL {
            if self.stage.len().saturating_add(len) > STAGE {
                self.close_stage();
            }
            self.stage.extend_from_slice(&bytes);
        } else {
            self.close_stage();
            self.chunks.push_back(Chunk {
                start: self.end,
                bytes,
            });
        }
        self.end = self.end.saturating_add(position(len));
        Ok(())
    }

    /// Fills `target` with the bytes from `offset` on. False, with `target` in no certain state, unless all of
    /// them are held. Constant time when called for one piece after another.
    pub(crate) fn copy_to(&mut self, offset: u64, target: &mut [u8]) -> bool {
        // A lone SYN is sent again after bytes behind it were acknowledged and let go.
        if target.is_empty() {
            return true;
        }
        let end = offset.checked_add(position(target.len()));
        if offset < self.start || end.is_none_or(|end| end > self.end) {
            return false;
        }
        let mut at = offset;
        let mut rest = target;
        if offset < self.stage_start() && !rest.is_empty() {
            let mut index = self.locate(offset);
            while !rest.is_empty()
                && let Some(chunk) = self.chunks.get(index)
            {
                self.cursor = index;
                let copied = copy_part(at, chunk.start, &chunk.bytes, &mut rest);
                at = at.saturating_add(copied);
                index = index.saturating_add(1);
            }
        }
        copy_part(at, self.stage_start(), &self.stage, &mut rest);
        rest.is_empty()
    }

    /// The bytes of `range` are acknowledged; twice does no harm. Returns how many bytes at the front were let go
    /// by it.
    pub(crate) fn on_acked(&mut self, range: Range<u64>) -> u64 {
        let end = range.end.min(self.end);
        let start = range.start.max(self.start);
        let start = sabotage!(FreedUnacknowledged, self.start, start);
        if start >= end {
            return 0;
        }
        if start > self.start {
            mark!(AckedOutOfOrder);
            self.remember_acked(start, end);
            return 0;
        }
        let before = self.start;
        self.start = end;
        while let Some((from, to)) = self.acked.first_key_value().map(|(from, to)| (*from, *to)) {
            if from > self.start {
                break;
            }
            self.start = self.start.max(to);
            self.acked.pop_first();
            self.acked_above = self.acked_above.saturating_sub(to.saturating_sub(from));
        }
        self.free();
        self.start.saturating_sub(before)
    }

    /// The first byte that is not acknowledged, or [`end`](Self::end).
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// How many bytes are acknowledged, counted as if they had been so in order: a position.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.start.saturating_add(self.acked_above)
    }

    /// One past the last byte written.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes from the first unacknowledged one to the last written.
    pub(crate) fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether everything written is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes of memory held, those of the writer's `Bytes` reckoned at their length.
    pub(crate) fn memory(&self) -> usize {
        let first = self
            .chunks
            .front()
            .map_or(self.stage_start(), |chunk| chunk.start);
        size(self.stage_start().saturating_sub(first))
            .saturating_add(self.stage.capacity())
            .saturating_add(
                self.chunks
                    .capacity()
                    .saturating_mul(mem::size_of::<Chunk>()),
            )
            .saturating_add(self.acked.len().saturating_mul(mem::size_of::<[u64; 4]>()))
    }

    /// Lets go what was written from `end` on, where nothing is acknowledged.
    pub(crate) fn truncate(&mut self, end: u64) {
        let end = end.clamp(self.start, self.end);
        let staged = size(end.saturating_sub(self.stage_start()));
        if end < self.stage_start() {
            self.stage.clear();
        }
        self.stage.truncate(staged);
        while let Some(last) = self.chunks.back_mut() {
            if last.start < end {
                last.bytes.truncate(size(end.saturating_sub(last.start)));
                break;
            }
            self.chunks.pop_back();
        }
        self.end = end;
        if self.is_empty() {
            self.discard();
        }
    }

    /// Lets everything go; the positions stay.
    pub(crate) fn discard(&mut self) {
        *self = Self {
            start: self.end,
            end: self.end,
            ..Self::default()
        };
    }

    fn stage_start(&self) -> u64 {
        self.end.saturating_sub(position(self.stage.len()))
    }

    fn close_stage(&mut self) {
        if self.stage.is_empty() {
            return;
        }
        let start = self.stage_start();
        let bytes = mem::take(&mut self.stage).freeze();
        self.chunks.push_back(Chunk { start, bytes });
    }

    /// The index of the chunk with the byte at `offset`.
    fn locate(&self, offset: u64) -> usize {
        let holds = |index: usize| {
            self.chunks
                .get(index)
                .is_some_and(|chunk| (chunk.start..chunk.end()).contains(&offset))
        };
        let next = self.cursor.saturating_add(1);
        if holds(self.cursor) {
            self.cursor
        } else if holds(next) {
            next
        } else {
            self.chunks.partition_point(|chunk| chunk.end() <= offset)
        }
    }

    fn remember_acked(&mut self, mut start: u64, mut end: u64) {
        if let Some((&from, &to)) = self.acked.range(..=start).next_back()
            && to >= start
        {
            start = from;
            end = end.max(to);
        }
        while let Some((&from, &to)) = self.acked.range(start..=end).next() {
            end = end.max(to);
            self.acked.remove(&from);
            self.acked_above = self.acked_above.saturating_sub(to.saturating_sub(from));
        }
        self.acked.insert(start, end);
        self.acked_above = self.acked_above.saturating_add(end.saturating_sub(start));
    }

    /// Drops the chunks below `start`.
    fn free(&mut self) {
        if self.is_empty() {
            self.discard();
            return;
        }
        while self
            .chunks
            .front()
            .is_some_and(|chunk| chunk.end() <= self.start)
        {
            self.chunks.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
        }
    }
}

/// Copies what `bytes`, which begin at `start`, have from `at` on, and shortens `rest` by it.
fn copy_part(at: u64, start: u64, bytes: &[u8], rest: &mut &mut [u8]) -> u64 {
    let from = bytes.get(size(at.saturating_sub(start))..).unwrap_or(&[]);
    let len = from.len().min(rest.len());
    let Some((part, behind)) = mem::take(rest).split_at_mut_checked(len) else {
        return 0;
    };
    if let Some(from) = from.get(..len) {
        part.copy_from_slice(from);
    }
    *rest = behind;
    position(len)
}
