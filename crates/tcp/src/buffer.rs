//! Octets at positions of a stream, in memory that grows and shrinks: what both halves of a connection keep them in.

use crate::num::{index, wide};
use alloc::vec::Vec;
use core::ops::Range;

/// The allocator refused. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfMemory;

/// The first allocation, octets: two segments of Ethernet's size, rounded up.
pub(crate) const FIRST_CAPACITY: usize = 4096;

/// A ring in which the octet at a position has a place that follows from the position and from where the ring began. Which positions hold
/// something is the owner's knowledge; they never span more than [`capacity`](Self::capacity).
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(crate) struct ByteRing {
    /// Empty, or a power of two octets.
    octets: Vec<u8>,
    /// The position at the front of them, or one that is congruent.
    origin: u64,
}

impl ByteRing {
    pub(crate) const fn new() -> Self {
        Self {
            octets: Vec::new(),
            origin: 0,
        }
    }

    /// Octets of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.octets.len()
    }

    /// Nothing is held, and `position` comes next: it goes to the front. Who empties the ring each time before more comes then uses a small
    /// part of it again and again, which the processor's caches hold, and not all of it in turn.
    pub(crate) const fn begin_at(&mut self, position: u64) {
        self.origin = position;
    }

    /// Makes room for so many octets, keeping those at `kept`.
    pub(crate) fn reserve(&mut self, wanted: usize, kept: Range<u64>) -> Result<(), OutOfMemory> {
        if wanted <= self.capacity() {
            return Ok(());
        }
        let capacity = wanted.checked_next_power_of_two().ok_or(OutOfMemory)?;
        self.move_to(capacity.max(FIRST_CAPACITY), kept)
    }

    /// As [`reserve`](Self::reserve), with so many octets more of memory at most; the first allocation is everybody's, because without any
    /// there would be no progress.
    pub(crate) fn reserve_within(
        &mut self,
        wanted: usize,
        kept: Range<u64>,
        grant: usize,
    ) -> Result<(), OutOfMemory> {
        if wanted <= self.capacity() {
            return Ok(());
        }
        let capacity = wanted.checked_next_power_of_two().ok_or(OutOfMemory)?;
        if capacity > self.affordable(grant) {
            return Err(OutOfMemory);
        }
        self.reserve(wanted, kept)
    }

    /// After that failed: as much as there is, if it is more than before.
    #[cold]
    pub(crate) fn reserve_some(&mut self, wanted: usize, kept: Range<u64>, grant: usize) {
        let affordable = self.affordable(grant);
        let exponent = affordable.checked_ilog2().unwrap_or_default();
        let part = 1_usize.checked_shl(exponent).unwrap_or_default();
        let taken = self.reserve(part.min(wanted), kept.clone());
        if taken.is_err() {
            let _ = self.reserve(FIRST_CAPACITY, kept);
        }
    }

    /// Octets of memory that it may have.
    fn affordable(&self, grant: usize) -> usize {
        self.capacity().saturating_add(grant).max(FIRST_CAPACITY)
    }

    /// Gives memory back down to what holds `wanted` octets, keeping those at `kept`. Without memory for the smaller ring the larger
    /// one stays.
    pub(crate) fn shrink(&mut self, wanted: usize, kept: Range<u64>) {
        if wanted == 0 {
            self.octets = Vec::new();
            return;
        }
        let Some(capacity) = wanted.checked_next_power_of_two() else {
            return;
        };
        let capacity = capacity.max(FIRST_CAPACITY);
        if capacity < self.capacity() {
            let _ = self.move_to(capacity, kept);
        }
    }

    /// Whether so many octets would stand in a fourth of what is held, or nothing stands in it: memory that is worth giving back.
    pub(crate) fn is_roomy_for(&self, held: u64) -> bool {
        let capacity = self.capacity();
        if held == 0 {
            return capacity > 0;
        }
        capacity > FIRST_CAPACITY && held <= wide(capacity.wrapping_shr(2))
    }

    #[cold]
    fn move_to(&mut self, capacity: usize, kept: Range<u64>) -> Result<(), OutOfMemory> {
        let mut larger = Self {
            octets: zeros(capacity)?,
            origin: kept.start,
        };
        let (first, second) = self.slices(kept.clone());
        larger.write(kept.start, first);
        larger.write(kept.start.saturating_add(wide(first.len())), second);
        *self = larger;
        Ok(())
    }

    /// Puts octets at the positions from `position` on; as many as the ring holds.
    pub(crate) fn write(&mut self, position: u64, octets: &[u8]) {
        let at = self.place(position);
        let (low, high) = match self.octets.split_at_mut_checked(at) {
            Some((low, high)) => (low, high),
            None => return,
        };
        let direct = octets.len().min(high.len());
        let Some((first, rest)) = octets.split_at_checked(direct) else {
            return;
        };
        copy(high, first);
        copy(low, rest);
    }

    /// The octets at `range`, in two pieces because the ring may end between them.
    pub(crate) fn slices(&self, range: Range<u64>) -> (&[u8], &[u8]) {
        let length = index(range.end.saturating_sub(range.start)).min(self.capacity());
        let Some((low, high)) = self.octets.split_at_checked(self.place(range.start)) else {
            return (&[], &[]);
        };
        let direct = length.min(high.len());
        let rest = length.saturating_sub(direct).min(low.len());
        (
            high.get(..direct).unwrap_or_default(),
            low.get(..rest).unwrap_or_default(),
        )
    }

    /// Copies the octets at `range` to the front of `to`. Returns how many found room.
    pub(crate) fn copy_to(&self, range: Range<u64>, to: &mut [u8]) -> usize {
        let (first, second) = self.slices(range);
        let copied = copy(to, first);
        let rest = to.get_mut(copied..).unwrap_or_default();
        copied.saturating_add(copy(rest, second))
    }

    fn place(&self, position: u64) -> usize {
        let distance = position.wrapping_sub(self.origin);
        index(distance & wide(self.capacity()).wrapping_sub(1))
    }
}

/// Copies what fits.
fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let length = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

fn zeros(length: usize) -> Result<Vec<u8>, OutOfMemory> {
    const BLOCK: [u8; 1024] = [0; 1024];
    let mut octets = Vec::new();
    octets.try_reserve_exact(length).map_err(|_| OutOfMemory)?;
    while octets.len() < length {
        let missing = length.saturating_sub(octets.len()).min(BLOCK.len());
        let block = BLOCK.get(..missing).ok_or(OutOfMemory)?;
        // The growing path, which can fail, is only left out of the program if it is seen here that there is room.
        if octets.capacity().wrapping_sub(octets.len()) < block.len() {
            return Err(OutOfMemory);
        }
        octets.extend_from_slice(block);
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn octet(position: u64) -> u8 {
        (position ^ (position >> 8)) as u8
    }

    fn written(range: Range<u64>) -> Vec<u8> {
        range.map(octet).collect()
    }

    fn read(ring: &ByteRing, range: Range<u64>) -> Vec<u8> {
        let (first, second) = ring.slices(range.clone());
        let joined = [first, second].concat();
        let mut copied = alloc::vec![0; joined.len()];
        assert_eq!(ring.copy_to(range, &mut copied), joined.len());
        assert_eq!(copied, joined);
        joined
    }

    #[test]
    fn every_split_point_of_a_small_ring() {
        let mut ring = ByteRing::new();
        ring.reserve(1, 0..0).unwrap();
        let capacity = wide(ring.capacity());
        for start in (1 << 40)..(1 << 40) + capacity {
            let range = start..start + capacity;
            ring.write(start, &written(range.clone()));
            assert_eq!(read(&ring, range.clone()), written(range));
        }
    }

    #[test]
    fn what_is_kept_survives_growing_and_shrinking() {
        let mut ring = ByteRing::new();
        for start in [0, 4095, 1 << 32, (1 << 32) - 7] {
            let kept = start..start + 4000;
            ring.reserve(4000, start..start).unwrap();
            ring.write(start, &written(kept.clone()));
            ring.reserve(70_000, kept.clone()).unwrap();
            assert_eq!(ring.capacity(), 1 << 17);
            assert_eq!(read(&ring, kept.clone()), written(kept.clone()));
            ring.shrink(4000, kept.clone());
            assert_eq!(ring.capacity(), 4096);
            assert_eq!(read(&ring, kept.clone()), written(kept));
        }
        ring.shrink(0, 0..0);
        assert_eq!(ring.capacity(), 0);
        assert_eq!(read(&ring, 5..5), []);
    }

    #[test]
    fn an_empty_ring_begins_where_it_is_told() {
        let mut ring = ByteRing::new();
        ring.reserve(4096, 0..0).unwrap();
        for start in [7, 5000, u64::MAX - 4096, 3] {
            ring.begin_at(start);
            ring.write(start, &written(start..start + 4096));
            assert_eq!(ring.slices(start..start + 4096).1, []);
            assert_eq!(
                read(&ring, start..start + 4096),
                written(start..start + 4096)
            );
        }
    }

    #[test]
    fn too_much_is_refused_and_nothing_lost() {
        let mut ring = ByteRing::new();
        ring.reserve(10, 0..0).unwrap();
        ring.write(0, b"0123456789");
        for wanted in [usize::MAX, usize::MAX / 2, 1 << 60] {
            assert_eq!(ring.reserve(wanted, 0..10), Err(OutOfMemory));
        }
        assert_eq!(read(&ring, 0..10), b"0123456789");
    }

    proptest! {
        #[test]
        fn it_is_a_map_from_positions_to_octets(
            start in prop::sample::select(alloc::vec![0_u64, 4000, (1 << 32) - 2000]),
            writes in prop::collection::vec((0_u64..4096, 0_usize..600, any::<u8>()), 1..20),
        ) {
            let mut ring = ByteRing::new();
            ring.reserve(4096, start..start).unwrap();
            let mut model = BTreeMap::new();
            for (at, length, value) in writes {
                let length = length.min(4096 - at as usize);
                ring.write(start + at, &alloc::vec![value; length]);
                for position in (start + at..).take(length) {
                    model.insert(position, value);
                }
            }
            for (position, value) in model {
                prop_assert_eq!(read(&ring, position..position + 1), [value]);
            }
        }
    }
}
