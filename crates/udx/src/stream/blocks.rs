//! Blocks of memory on their second way round.

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use gapless_recovery::Instant;
use gapless_seq::mark;

use super::recv_buffer::BLOCK;
use super::size;

/// Blocks remembered at most: 2 MiB, which covers what comes between two turns of a prompt reader.
const MOST: usize = 128;

/// How many of the longest lent are asked whether they are back. Readers give back in order, so one
/// would do, but for a reader that keeps a piece.
const ASKED: usize = 4;

/// Without a new block for so long, memory is worth more than speed.
const LIFETIME: Duration = Duration::from_secs(1);

/// Handles on blocks whose last bytes were handed to the reader.
///
/// Once the reader has dropped its handles such a block is written to again. Otherwise each block of a fast stream would be
/// asked of the allocator, and allocators that give freed memory back to the system at once (glibc's does with what lies on
/// top of its heap) take four page faults for each, more than half of the cost of receiving.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    lent: VecDeque<Bytes>,
    used: Instant,
}

impl Blocks {
    /// Notes that the reader got the last bytes of a block.
    pub(crate) fn lend(&mut self, now: Instant, last: &Bytes) {
        if self.lent.len() >= MOST {
            self.lent.pop_front();
        }
        // No memory for a handle is no harm.
        if self.lent.try_reserve(1).is_ok() {
            self.lent.push_back(last.clone());
            self.used = now;
        }
    }

    /// An empty block with room for [`BLOCK`] bytes, if the reader has given one back.
    pub(crate) fn take(&mut self) -> Option<BytesMut> {
        let back = self.lent.iter().take(ASKED).position(Bytes::is_unique)?;
        let mut block = self.lent.remove(back)?.try_into_mut().ok()?;
        mark!(BlockUsedAgain);
        block.clear();
        // The memory below what was handed out last belongs to it, too.
        block.try_reclaim(size(BLOCK)).then_some(block)
    }

    /// Lets go of everything when no block was lent for a while.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            mark!(BlocksReleased);
            self.lent = VecDeque::new();
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.lent.is_empty()).then(|| self.used.saturating_add(LIFETIME))
    }

    /// Bytes of memory held, those included that a reader still holds as well.
    pub(crate) fn memory(&self) -> usize {
        let handles = self.lent.capacity().saturating_mul(size_of::<Bytes>());
        let blocks = self.lent.len().saturating_mul(size(BLOCK));
        handles.saturating_add(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn block(fill: u8) -> BytesMut {
        let mut block = BytesMut::with_capacity(size(BLOCK));
        block.resize(size(BLOCK), fill);
        block
    }

    #[test]
    fn a_block_comes_back_when_every_piece_of_it_is_dropped() {
        let mut blocks = Blocks::default();
        let mut block = block(7);
        let address = block.as_ptr();
        let head = block.split_to(1000).freeze();
        let tail = block.freeze();
        blocks.lend(at(0), &tail);
        drop(tail);
        assert!(blocks.take().is_none(), "the head is still read");
        assert_eq!(head[999], 7);
        drop(head);
        let again = blocks.take().unwrap();
        assert_eq!((again.len(), again.as_ptr()), (0, address));
        assert!(again.capacity() >= size(BLOCK));
        assert!(blocks.take().is_none());
    }

    #[test]
    fn a_reader_that_keeps_a_piece_does_not_stop_the_others() {
        let mut blocks = Blocks::default();
        let kept = block(1).freeze();
        blocks.lend(at(0), &kept);
        blocks.lend(at(0), &block(2).freeze());
        assert!(blocks.take().is_some());
        assert!(blocks.take().is_none());
        assert_eq!(kept[0], 1);
    }

    #[test]
    fn a_smaller_piece_of_memory_is_not_taken_for_a_block() {
        let mut blocks = Blocks::default();
        blocks.lend(at(0), &Bytes::from(alloc::vec![0; 100]));
        assert!(blocks.take().is_none());
    }

    #[test]
    fn memory_is_bounded_and_let_go() {
        let mut blocks = Blocks::default();
        for _ in 0..3 * MOST {
            blocks.lend(at(5), &block(0).freeze());
        }
        assert!(blocks.memory() <= 2 * MOST * size(BLOCK));
        assert_eq!(blocks.lent.len(), MOST);
        blocks.expire(at(1004));
        assert_eq!(blocks.lent.len(), MOST);
        assert_eq!(blocks.deadline(), Some(at(1005)));
        blocks.expire(at(1005));
        assert_eq!((blocks.memory(), blocks.deadline()), (0, None));
    }
}
