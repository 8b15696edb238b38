//! A queue whose elements are found by a position that never wraps.

use alloc::vec::Vec;

use crate::num::{index, wide};

/// The allocator refused; nothing was changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct OutOfMemory;

/// Capacity of the first allocation, in elements: what a handshake needs.
const FIRST_CAPACITY: usize = 8;

/// Elements at the consecutive positions `first..next`, in a power of two of slots.
///
/// Not `VecDeque`: its growing, indexing and draining keep panic paths in the optimised program.
#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Ring<T> {
    slots: Vec<Option<T>>,
    first: u64,
    next: u64,
}

impl<T> Ring<T> {
    pub(crate) const fn starting_at(position: u64) -> Self {
        Ring {
            slots: Vec::new(),
            first: position,
            next: position,
        }
    }

    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The position the next pushed element will have.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn len(&self) -> usize {
        index(self.next.saturating_sub(self.first))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first == self.next
    }

    pub(crate) fn get(&self, position: u64) -> Option<&T> {
        if position < self.first || position >= self.next {
            return None;
        }
        self.slots.get(self.slot(position))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, position: u64) -> Option<&mut T> {
        if position < self.first || position >= self.next {
            return None;
        }
        let slot = self.slot(position);
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.get(self.first)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.first..self.next).filter_map(|position| Some((position, self.get(position)?)))
    }

    /// Makes room for one more element, so that the next `push` cannot fail.
    pub(crate) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        if self.len() < self.slots.len() {
            return Ok(());
        }
        self.grow()
    }

    /// The new element's position.
    pub(crate) fn push(&mut self, element: T) -> Result<u64, OutOfMemory> {
        self.reserve()?;
        let position = self.next;
        let after = position.checked_add(1).ok_or(OutOfMemory)?;
        let slot = self.slot(position);
        *self.slots.get_mut(slot).ok_or(OutOfMemory)? = Some(element);
        self.next = after;
        Ok(position)
    }

    /// Moves everything from `position` on up by one and puts `element` there. Linear, for rare use.
    pub(crate) fn insert(&mut self, position: u64, element: T) -> Result<(), OutOfMemory> {
        let mut hole = self.push(element)?;
        while hole > position.max(self.first) {
            let below = hole.saturating_sub(1);
            let (high, low) = (self.slot(hole), self.slot(below));
            if high < self.slots.len() && low < self.slots.len() {
                self.slots.swap(high, low);
            }
            hole = below;
        }
        Ok(())
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let slot = self.slot(self.first);
        let element = self.slots.get_mut(slot)?.take();
        self.first = self.first.saturating_add(1);
        element
    }

    /// Gives the memory back if nothing is stored.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.slots = Vec::new();
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity().saturating_mul(size_of::<Option<T>>())
    }

    fn slot(&self, position: u64) -> usize {
        index(position & wide(self.slots.len()).wrapping_sub(1))
    }

    #[cold]
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let wanted = self
            .slots
            .len()
            .checked_mul(2)
            .ok_or(OutOfMemory)?
            .max(FIRST_CAPACITY);
        let mut slots: Vec<Option<T>> = Vec::new();
        slots.try_reserve_exact(wanted).map_err(|_| OutOfMemory)?;
        while slots.len() < wanted {
            // `push` would keep its growing path without this proof that it has room.
            if slots.len() == slots.capacity() {
                return Err(OutOfMemory);
            }
            slots.push(None);
        }
        let mask = wide(wanted).wrapping_sub(1);
        for position in self.first..self.next {
            let from = self.slot(position);
            let element = self.slots.get_mut(from).and_then(Option::take);
            if let Some(to) = slots.get_mut(index(position & mask)) {
                *to = element;
            }
        }
        self.slots = slots;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn keeps_positions_over_growth_and_wrap_of_slots() {
        for start in [0, 3, u64::from(u32::MAX) - 5, u64::MAX - 4000] {
            let mut ring = Ring::starting_at(start);
            for turn in 0..1000_u64 {
                assert_eq!(ring.push(turn * 2).unwrap(), start + turn * 2);
                assert_eq!(ring.push(turn * 2 + 1).unwrap(), start + turn * 2 + 1);
                assert_eq!(ring.pop_front(), Some(turn));
            }
            assert_eq!(ring.len(), 1000);
            assert!(
                ring.iter()
                    .all(|(position, &value)| position == start + value)
            );
            assert_eq!(ring.get(start + 999), None);
            assert_eq!(ring.get(start + 1000), Some(&1000));
        }
    }

    #[test]
    fn the_last_position_is_never_given() {
        let mut ring = Ring::starting_at(u64::MAX - 1);
        assert_eq!(ring.push(1), Ok(u64::MAX - 1));
        assert_eq!(ring.push(2), Err(OutOfMemory));
        assert_eq!(ring.pop_front(), Some(1));
        assert_eq!(ring.pop_front(), None);
    }

    #[test]
    fn inserts_in_the_middle() {
        let mut ring = Ring::starting_at(10);
        for value in 0..9 {
            ring.push(value).unwrap();
        }
        ring.insert(13, 100).unwrap();
        let values: Vec<i32> = ring.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [0, 1, 2, 100, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn memory_returns_when_empty() {
        let mut ring = Ring::starting_at(0);
        assert_eq!(ring.memory(), 0);
        ring.push(1_u64).unwrap();
        ring.release();
        assert!(ring.memory() > 0);
        ring.pop_front();
        ring.release();
        assert_eq!(ring.memory(), 0);
    }
}
