//! The earliest of many deadlines: a heap that knows where each one stands, so that there is one for each connection and no more.

use crate::num::{index, wide};
use alloc::vec::Vec;
use gapless_recovery::Instant;

/// The allocator refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OutOfMemory;

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

/// A deadline for each slot that has one.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// A binary heap: no entry is later than those at twice its place and one or two more.
    heap: Vec<(Instant, u32)>,
    /// By slot: its place in the heap.
    places: Vec<u32>,
}

impl Deadlines {
    pub(super) const fn new() -> Self {
        Self {
            heap: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Makes room for slots below `slots`, so that [`set`](Self::set) cannot fail for them.
    pub(super) fn reserve(&mut self, slots: usize) -> Result<(), OutOfMemory> {
        let missing = slots.saturating_sub(self.heap.len());
        self.heap.try_reserve(missing).map_err(|_| OutOfMemory)?;
        let missing = slots.saturating_sub(self.places.len());
        self.places.try_reserve(missing).map_err(|_| OutOfMemory)?;
        while self.places.len() < slots {
            if self.places.len() == self.places.capacity() {
                return Err(OutOfMemory);
            }
            self.places.push(NOWHERE);
        }
        Ok(())
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Takes out a slot whose deadline has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let (at, slot) = *self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(slot, None);
        Some(slot)
    }

    /// Sets, moves or removes a slot's deadline.
    pub(super) fn set(&mut self, slot: u32, deadline: Option<Instant>) {
        let place = self.places.get(at(slot)).copied().unwrap_or(NOWHERE);
        match (deadline, place) {
            (None, NOWHERE) => {}
            (None, place) => self.remove(place),
            (Some(when), NOWHERE) => {
                // Reserved when the slot was made.
                if self.heap.len() < self.heap.capacity() {
                    self.heap.push((when, slot));
                    let last = self.heap.len().saturating_sub(1);
                    self.settle(last);
                }
            }
            (Some(when), place) => {
                if let Some(entry) = self.heap.get_mut(at(place)) {
                    entry.0 = when;
                }
                self.settle(at(place));
            }
        }
    }

    fn remove(&mut self, place: u32) {
        let place = at(place);
        let last = self.heap.len().saturating_sub(1);
        self.swap(place, last);
        if let Some((_, slot)) = self.heap.pop() {
            self.note(slot, NOWHERE);
        }
        if place < last {
            self.settle(place);
        }
    }

    /// Moves the entry up or down to where it belongs.
    fn settle(&mut self, start: usize) {
        let mut here = start;
        while here > 0 {
            let parent = here.saturating_sub(1).wrapping_shr(1);
            if self.time(parent) <= self.time(here) {
                break;
            }
            self.swap(parent, here);
            here = parent;
        }
        loop {
            let left = here.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let earlier = if self.time(right) < self.time(left) {
                right
            } else {
                left
            };
            if earlier >= self.heap.len() || self.time(here) <= self.time(earlier) {
                break;
            }
            self.swap(here, earlier);
            here = earlier;
        }
        if let Some((_, slot)) = self.heap.get(here).copied() {
            self.note(slot, place_of(here));
        }
    }

    fn time(&self, place: usize) -> Instant {
        self.heap.get(place).map_or(Instant::MAX, |(at, _)| *at)
    }

    fn swap(&mut self, one: usize, other: usize) {
        if one >= self.heap.len() || other >= self.heap.len() {
            return;
        }
        self.heap.swap(one, other);
        for place in [one, other] {
            if let Some((_, slot)) = self.heap.get(place).copied() {
                self.note(slot, place_of(place));
            }
        }
    }

    fn note(&mut self, slot: u32, place: u32) {
        if let Some(entry) = self.places.get_mut(at(slot)) {
            *entry = place;
        }
    }

    /// Heap memory held, octets.
    pub(super) fn memory(&self) -> usize {
        let heap = self
            .heap
            .capacity()
            .saturating_mul(size_of::<(Instant, u32)>());
        heap.saturating_add(self.places.capacity().saturating_mul(size_of::<u32>()))
    }
}

fn at(number: u32) -> usize {
    index(u64::from(number))
}

fn place_of(place: usize) -> u32 {
    u32::try_from(wide(place)).unwrap_or(NOWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_earliest_comes_first(
            steps in prop::collection::vec((0_u32..20, prop::option::of(0_u64..50)), 1..200),
        ) {
            let mut deadlines = Deadlines::new();
            deadlines.reserve(20).unwrap();
            let mut model = BTreeMap::new();
            for (slot, deadline) in steps {
                deadlines.set(slot, deadline.map(Instant::from_nanos));
                match deadline {
                    Some(at) => model.insert(slot, at),
                    None => model.remove(&slot),
                };
                let earliest = model.values().min().map(|at| Instant::from_nanos(*at));
                prop_assert_eq!(deadlines.next(), earliest);
            }
            let now = Instant::from_nanos(25);
            let mut due = Vec::new();
            while let Some(slot) = deadlines.pop_due(now) {
                due.push(slot);
            }
            due.sort_unstable();
            let expected: Vec<u32> = model.iter().filter(|(_, at)| **at <= 25).map(|(slot, _)| *slot).collect();
            prop_assert_eq!(due, expected);
        }
    }
}
