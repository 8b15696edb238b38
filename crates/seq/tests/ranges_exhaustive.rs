//! Range sets against a bitmap: every set over a small universe, every operation.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use gapless_seq::{Full, Inserted, RangeSet};
use std::ops::Range;

/// Positions in the universe: all `2^WIDTH` sets of them are tried.
const WIDTH: u32 = 9;

/// A set of the positions `base..base + WIDTH`, one bit each.
type Bits = u32;

/// What the tests know about one place of `u64`.
#[derive(Clone, Copy)]
struct Universe {
    base: u64,
}

impl Universe {
    /// At both ends of `u64`, and where 32 bits wrap.
    const ALL: [Self; 3] = [
        Self { base: 0 },
        Self {
            base: (1 << 32) - 4,
        },
        Self {
            base: u64::MAX - WIDTH as u64,
        },
    ];

    fn position(self, bit: u32) -> u64 {
        self.base + u64::from(bit)
    }

    fn range(self, bits: &Range<u32>) -> Range<u64> {
        self.position(bits.start)..self.position(bits.end)
    }

    /// The ranges of `set`, ascending.
    fn ranges(self, set: Bits) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for bit in (0..WIDTH).filter(|bit| set & (1 << bit) != 0) {
            let position = self.position(bit);
            match ranges.last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _ => ranges.push(position..position + 1),
            }
        }
        ranges
    }

    /// `set` as a range set; `None` when it has more than `N` ranges.
    fn build<const N: usize>(self, set: Bits) -> Option<RangeSet<N>> {
        let mut built = RangeSet::new();
        for range in self.ranges(set) {
            built.insert(range).ok()?;
        }
        Some(built)
    }
}

/// The bits of a range; none for a reversed one.
fn mask(bits: &Range<u32>) -> Bits {
    bits.clone().fold(0, |mask, bit| mask | 1 << bit)
}

/// Every pair of edges in the universe, empty and reversed ones too.
fn every_range() -> impl Iterator<Item = Range<u32>> {
    (0..=WIDTH).flat_map(|start| (0..=WIDTH).map(move |end| start..end))
}

/// Calls `f` with every set of at most `N` ranges in every universe, as bits and as built.
fn for_every_set<const N: usize>(mut f: impl FnMut(Universe, Bits, &RangeSet<N>)) {
    for universe in Universe::ALL {
        for set in 0..1 << WIDTH {
            let built = universe.build::<N>(set);
            assert_eq!(built.is_some(), universe.ranges(set).len() <= N);
            if let Some(built) = built {
                f(universe, set, &built);
            }
        }
    }
}

fn assert_is<const N: usize>(set: &RangeSet<N>, universe: Universe, bits: Bits) {
    let ranges = universe.ranges(bits);
    assert!(
        set.iter().eq(ranges.iter().cloned()),
        "{set:?} is not {ranges:?}"
    );
    assert_eq!(set.len(), ranges.len());
}

/// What `N` ranges cannot hold is refused and changes nothing; all else is done.
fn inserts_and_removes<const N: usize>() {
    for_every_set::<N>(|universe, bits, set| {
        for range in every_range() {
            let (mask, positions) = (mask(&range), universe.range(&range));

            let mut grown = set.clone();
            let fits = universe.ranges(bits | mask).len() <= N;
            let added = u64::from((mask & !bits).count_ones());
            let expected = if fits {
                Ok(Inserted { added })
            } else {
                Err(Full)
            };
            assert_eq!(
                grown.insert(positions.clone()),
                expected,
                "{set:?} + {positions:?}"
            );
            assert_is(&grown, universe, if fits { bits | mask } else { bits });

            let mut shrunk = set.clone();
            let fits = universe.ranges(bits & !mask).len() <= N;
            let removed = u64::from((mask & bits).count_ones());
            let expected = if fits { Ok(removed) } else { Err(Full) };
            assert_eq!(
                shrunk.remove(positions.clone()),
                expected,
                "{set:?} - {positions:?}"
            );
            assert_is(&shrunk, universe, if fits { bits & !mask } else { bits });
        }
    });
}

#[test]
fn inserts_and_removes_with_room_for_none() {
    inserts_and_removes::<0>();
}

#[test]
fn inserts_and_removes_with_room_for_one() {
    inserts_and_removes::<1>();
}

#[test]
fn inserts_and_removes_with_room_for_three() {
    inserts_and_removes::<3>();
}

#[test]
fn inserts_and_removes_with_room_for_all() {
    inserts_and_removes::<5>();
}

#[test]
fn answers_what_it_holds() {
    for_every_set::<4>(|universe, bits, set| {
        let ranges = universe.ranges(bits);
        assert_eq!(set.total(), u64::from(bits.count_ones()));
        assert_eq!(set.is_empty(), bits == 0);
        assert_eq!(set.capacity(), 4);
        assert_eq!(set.first(), ranges.first().cloned());
        assert_eq!(set.last(), ranges.last().cloned());
        assert!(set.iter().rev().eq(ranges.iter().rev().cloned()));
        assert_eq!(set.iter().len(), ranges.len());
        assert!(set.into_iter().eq(ranges.iter().cloned()));
        for bit in 0..WIDTH {
            assert_eq!(set.contains(universe.position(bit)), bits & (1 << bit) != 0);
        }
        assert!(!set.contains(u64::MAX));
        for range in every_range() {
            let (mask, positions) = (mask(&range), universe.range(&range));
            assert_eq!(set.contains_range(&positions), mask & !bits == 0);
            assert_eq!(set.overlaps(&positions), mask & bits != 0);
            let gaps = universe.ranges(mask & !bits);
            assert!(
                set.gaps(positions.clone()).eq(gaps),
                "gaps of {set:?} in {positions:?}"
            );
        }
    });
}

#[test]
fn takes_from_the_ends() {
    for_every_set::<3>(|universe, bits, set| {
        let ranges = universe.ranges(bits);

        let mut popped = set.clone();
        assert_eq!(popped.pop_first(), ranges.first().cloned());
        assert!(popped.iter().eq(ranges.iter().skip(1).cloned()));

        let mut popped = set.clone();
        assert_eq!(popped.pop_last(), ranges.last().cloned());
        assert!(popped.iter().rev().eq(ranges.iter().rev().skip(1).cloned()));

        for bit in 0..=WIDTH {
            let below = mask(&(0..bit));
            let mut cut = set.clone();
            let removed = cut.remove_below(universe.position(bit));
            assert_eq!(removed, u64::from((bits & below).count_ones()));
            assert_is(&cut, universe, bits & !below);
        }

        let mut cleared = set.clone();
        cleared.clear();
        assert_eq!(cleared, RangeSet::new());
    });
}

#[test]
fn evicts_the_lowest_of_the_old_and_the_new() {
    for_every_set::<3>(|universe, bits, set| {
        for range in every_range() {
            let (mask, positions) = (mask(&range), universe.range(&range));
            let mut grown = set.clone();
            let (inserted, evicted) = grown.insert_evicting_lowest(positions.clone());
            let all = universe.ranges(bits | mask);
            // At most one too many: what does not merge is one range more.
            let kept = all.len().saturating_sub(3);
            assert!(grown.iter().eq(all.iter().skip(kept).cloned()));
            let lowest = all.first().filter(|_| kept > 0).cloned();
            let refused = lowest.as_ref() == Some(&positions);
            assert_eq!(evicted, lowest);
            let new = u64::from((mask & !bits).count_ones());
            assert_eq!(inserted.added, if refused { 0 } else { new });
        }
    });
}

#[test]
fn equality_is_of_positions_not_of_history() {
    let mut longer = RangeSet::<4>::new();
    for start in [0, 10, 20, 30] {
        longer.insert(start..start + 2).unwrap();
    }
    longer.remove_below(30);
    let mut direct = RangeSet::<4>::new();
    direct.insert(30..32).unwrap();
    assert_eq!(longer, direct);
    direct.insert_one(32).unwrap();
    assert_ne!(longer, direct);
    assert_eq!(format!("{direct:?}"), "{30..33}");
    assert_eq!(RangeSet::<4>::default(), RangeSet::new());
}

#[test]
fn holds_all_of_u64_but_its_last() {
    let mut set = RangeSet::<2>::new();
    assert_eq!(set.insert(0..u64::MAX), Ok(Inserted { added: u64::MAX }));
    assert_eq!(set.total(), u64::MAX);
    assert_eq!(set.insert_one(u64::MAX), Ok(Inserted { added: 0 }));
    assert_eq!(set.remove(1..u64::MAX - 1), Ok(u64::MAX - 2));
    assert!(set.iter().eq([0..1, u64::MAX - 1..u64::MAX]));
    assert!(set.gaps(0..u64::MAX).eq(std::iter::once(1..u64::MAX - 1)));
}
