//! What the application wrote and the peer has not acknowledged.

use crate::buffer::ByteRing;
use crate::num::{index, wide};
use core::ops::Range;
use gapless_seq::sabotage;

/// Octets from the first unacknowledged one to the last written, in a ring that grows with what is there, up to a limit.
#[derive(Debug)]
pub(crate) struct SendBuffer {
    ring: ByteRing,
    held: Range<u64>,
    limit: u32,
    most: u32,
    /// Octets of memory that may be taken beside those that are held.
    grant: u32,
    /// There was not enough of it, since somebody asked.
    is_starved: bool,
}

impl SendBuffer {
    /// Nothing written; the first octet will be at `start`.
    pub(crate) const fn new(start: u64, limit: u32) -> Self {
        Self {
            ring: ByteRing::new(),
            held: start..start,
            limit,
            most: limit,
            grant: u32::MAX,
            is_starved: false,
        }
    }

    /// Takes as many octets as there is room for. How many: none means that the application has to wait, or that there is no memory, and it has to
    /// wait for octets to be acknowledged as well.
    pub(crate) fn write(&mut self, octets: &[u8]) -> usize {
        let length = octets.len().min(index(self.room()));
        let Some(taken) = octets.get(..length) else {
            return 0;
        };
        let wanted = self.len().saturating_add(wide(length));
        let grant = index(self.grant.into());
        let kept = self.held.clone();
        let reserved = self.ring.reserve_within(index(wanted), kept.clone(), grant);
        if reserved.is_err() {
            self.is_starved = true;
            self.ring.reserve_some(index(wanted), kept, grant);
            return self.write_into_what_there_is(octets);
        }
        self.ring.write(self.held.end, taken);
        self.held.end = self.held.end.saturating_add(wide(length));
        length
    }

    /// What was acknowledged is not sent again: frees everything below `una`.
    pub(crate) fn acknowledge(&mut self, una: u64) {
        let una = una.saturating_add(sabotage!(FreedUnacknowledged, 1, 0));
        self.held.start = una.min(self.held.end).max(self.held.start);
        if self.held.is_empty() {
            self.ring.begin_at(self.held.end);
        }
    }

    /// Whether memory is held for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.ring.is_roomy_for(self.len())
    }

    /// Gives memory back: all of it if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_idle() {
            self.ring.shrink(index(self.len()), self.held.clone());
        }
    }

    /// From now on so many octets may be held, and no more than was said first; what is held stays.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit.min(self.most);
    }

    /// So many octets of memory may be taken beside those that are held.
    pub(crate) const fn set_grant(&mut self, grant: u32) {
        self.grant = grant;
    }

    /// Whether there was too little memory since this was asked last.
    pub(crate) const fn take_starved(&mut self) -> bool {
        core::mem::replace(&mut self.is_starved, false)
    }

    /// Behind the last octet written: where the FIN goes.
    pub(crate) const fn end(&self) -> u64 {
        self.held.end
    }

    /// Octets held.
    pub(crate) const fn len(&self) -> u64 {
        self.held.end.saturating_sub(self.held.start)
    }

    /// Octets that may be written now.
    pub(crate) fn room(&self) -> u64 {
        u64::from(self.limit).saturating_sub(self.len())
    }

    /// Whether something could be written if so many octets might be held.
    pub(crate) fn has_room(&self, limit: u32) -> bool {
        self.len() < u64::from(limit.min(self.most))
    }

    /// Copies the octets at `range` to the front of `to`. How many are there and fit.
    pub(crate) fn copy_to(&self, range: Range<u64>, to: &mut [u8]) -> usize {
        let start = range.start.max(self.held.start);
        let end = range.end.min(self.held.end);
        if start != range.start || start > end {
            return 0;
        }
        self.ring.copy_to(start..end, to)
    }

    /// Heap memory held, octets.
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity()
    }

    fn write_into_what_there_is(&mut self, octets: &[u8]) -> usize {
        let free = self.ring.capacity().saturating_sub(index(self.len()));
        let taken = octets
            .get(..free.min(octets.len()).min(index(self.room())))
            .unwrap_or_default();
        self.ring.write(self.held.end, taken);
        self.held.end = self.held.end.saturating_add(wide(taken.len()));
        taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn held(buffer: &SendBuffer, range: Range<u64>) -> Vec<u8> {
        let mut octets = vec![0; 1 << 16];
        let length = buffer.copy_to(range, &mut octets);
        octets.truncate(length);
        octets
    }

    #[test]
    fn the_limit_is_kept_and_acknowledgements_make_room() {
        let mut buffer = SendBuffer::new(7, 10);
        assert_eq!(buffer.write(b"0123456789abc"), 10);
        assert_eq!(buffer.write(b"a"), 0);
        buffer.acknowledge(10);
        assert_eq!(buffer.room(), 3);
        assert_eq!(buffer.write(b"abcdef"), 3);
        assert_eq!(held(&buffer, 10..20), b"3456789abc");
        // What was acknowledged is gone, and what was never written is not there.
        assert_eq!(held(&buffer, 9..20), b"");
        assert_eq!(held(&buffer, 18..99), b"bc");
        buffer.acknowledge(5);
        assert_eq!(buffer.len(), 10);
        buffer.acknowledge(99);
        assert!(buffer.is_idle());
        buffer.release();
        assert_eq!((buffer.len(), buffer.memory()), (0, 0));
        assert_eq!(buffer.end(), 20);
    }

    #[test]
    fn a_limit_that_falls_takes_nothing_away() {
        let mut buffer = SendBuffer::new(7, 10);
        buffer.set_limit(4);
        assert_eq!(buffer.write(b"0123456789"), 4);
        buffer.set_limit(2);
        assert_eq!((buffer.room(), buffer.write(b"x")), (0, 0));
        assert_eq!(held(&buffer, 7..20), b"0123");
        buffer.set_limit(u32::MAX);
        assert_eq!(buffer.room(), 6, "never more than was said first");
    }

    #[test]
    fn without_a_grant_there_is_the_first_allocation_and_no_more() {
        let mut buffer = SendBuffer::new(7, 1 << 20);
        buffer.set_grant(0);
        let octets: Vec<u8> = (0..100_000).map(|at| at as u8).collect();
        assert_eq!(buffer.write(&octets), 4096);
        assert_eq!(buffer.write(b"x"), 0);
        // Half of what it would take.
        buffer.set_grant(5000);
        assert_eq!(buffer.write(&octets[4096..]), 4096);
        assert_eq!(buffer.memory(), 8192);
        buffer.acknowledge(1007);
        assert_eq!(buffer.write(&octets[8192..]), 1000);
        assert_eq!(held(&buffer, 1007..u64::MAX), octets[1000..9192]);
        buffer.set_grant(u32::MAX);
        assert_eq!(buffer.write(&octets[9192..]), octets.len() - 9192);
    }

    #[test]
    fn much_memory_for_little_is_given_back() {
        let mut buffer = SendBuffer::new(7, 1 << 20);
        buffer.write(&vec![1; 100_000]);
        assert!(!buffer.is_idle());
        buffer.write(b"the end");
        buffer.acknowledge(100_000);
        assert!(buffer.is_idle());
        buffer.release();
        assert_eq!((buffer.memory(), buffer.len()), (4096, 14));
        assert_eq!(held(&buffer, 100_007..u64::MAX), b"the end");
        assert!(!buffer.is_idle());
    }

    proptest! {
        /// C3: acknowledgements on both sides of every place where the ring ends.
        #[test]
        fn what_was_written_is_what_is_sent(
            start in prop::sample::select(vec![0_u64, (1 << 32) - 3000, 4095]),
            steps in prop::collection::vec((0_usize..5000, 0_u64..5000), 1..60),
        ) {
            let mut buffer = SendBuffer::new(start, 10_000);
            let mut written: Vec<u8> = Vec::new();
            let mut una = start;
            for (length, acknowledged) in steps {
                let octets: Vec<u8> = (0..length).map(|n| (n * 7 + written.len()) as u8).collect();
                let taken = buffer.write(&octets);
                written.extend_from_slice(&octets[..taken]);
                prop_assert_eq!(taken, length.min(10_000 - (buffer.len() as usize - taken)));
                prop_assert_eq!(held(&buffer, una..u64::MAX), &written[(una - start) as usize..]);
                una = (una + acknowledged).min(buffer.end());
                buffer.acknowledge(una);
            }
        }
    }
}
