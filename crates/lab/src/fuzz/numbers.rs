//! Sets of positions against a list of flags, and wire numbers against a search.

use super::script::Script;
use gapless_seq::{RangeSet, Wire};
use std::ops::Range;

/// Positions of the universe.
const WIDTH: usize = 96;

/// Operations on a set of at most six ranges.
pub(super) fn ranges(data: &[u8]) {
    let mut script = Script(data);
    let base = script.place();
    let mut set = RangeSet::<6>::new();
    let mut flags = [false; WIDTH];
    while let Some(step) = script.byte() {
        let (from, to) = (script.pick(WIDTH + 1), script.pick(WIDTH + 1));
        let range = base + from as u64..base + to as u64;
        let before = flags;
        match step % 6 {
            0 => {
                let added = set.insert(range.clone());
                mark(&mut flags, from..to, true);
                if runs(&flags).len() > 6 {
                    flags = before;
                    assert!(added.is_err(), "{range:?} has no room in {set:?}");
                } else {
                    let new = count(&flags) - count(&before);
                    assert_eq!(added.map(|added| added.added), Ok(new));
                }
            }
            1 => {
                let removed = set.remove(range.clone());
                mark(&mut flags, from..to, false);
                if runs(&flags).len() > 6 {
                    flags = before;
                    assert!(removed.is_err());
                } else {
                    assert_eq!(removed, Ok(count(&before) - count(&flags)));
                }
            }
            2 => {
                let (_, evicted) = set.insert_evicting_lowest(range);
                mark(&mut flags, from..to, true);
                let lowest = runs(&flags).first().cloned();
                if runs(&flags).len() > 6 {
                    mark(&mut flags, lowest.clone().unwrap_or(0..0), false);
                    let lowest = lowest.map(|run| base + run.start as u64..base + run.end as u64);
                    assert_eq!(evicted, lowest);
                } else {
                    assert_eq!(evicted, None);
                }
            }
            3 => {
                set.remove_below(range.start);
                mark(&mut flags, 0..from, false);
            }
            4 => {
                let popped = set.pop_first().is_some();
                let lowest = runs(&flags).first().cloned();
                assert_eq!(popped, lowest.is_some());
                mark(&mut flags, lowest.unwrap_or(0..0), false);
            }
            _ => {
                let holds = (from..to).all(|place| flags[place]);
                assert_eq!(set.contains_range(&range), holds);
                let touches = (from..to).any(|place| flags[place]);
                assert_eq!(set.overlaps(&range), touches);
            }
        }
        let expected = runs(&flags)
            .into_iter()
            .map(|run| base + run.start as u64..base + run.end as u64);
        assert!(set.iter().eq(expected), "{set:?}");
        assert_eq!(set.total(), count(&flags));
    }
}

/// A number of each width is the nearest of all that it may stand for.
pub(super) fn wire(data: &[u8]) {
    let mut script = Script(data);
    let expected = script.place();
    let mut raw = [0; 8];
    for (to, from) in raw.iter_mut().zip(script.0) {
        *to = *from;
    }
    let raw = u64::from_be_bytes(raw);
    expands::<8>(raw, expected);
    expands::<16>(raw, expected);
    expands::<32>(raw, expected);
    expands::<64>(raw, expected);
}

fn expands<const BITS: u32>(raw: u64, expected: u64) {
    let wire = Wire::<BITS>::new(raw);
    let position = wire.expand(expected);
    assert_eq!(Wire::<BITS>::truncate(position), wire);
    // The neighbours of the same residue are no nearer, and a higher one no nearer or as near.
    let (position, expected, turn) = (i128::from(position), i128::from(expected), 1 << BITS);
    let distance = (position - expected).abs();
    let exists = |at: i128| (0..=i128::from(u64::MAX)).contains(&at);
    let below = position - turn;
    assert!(!exists(below) || distance <= (below - expected).abs());
    let above = position + turn;
    assert!(!exists(above) || distance < (above - expected).abs());
}

fn mark(flags: &mut [bool; WIDTH], range: Range<usize>, to: bool) {
    range.for_each(|place| flags[place] = to);
}

fn count(flags: &[bool; WIDTH]) -> u64 {
    flags.iter().filter(|flag| **flag).count() as u64
}

fn runs(flags: &[bool; WIDTH]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for place in (0..WIDTH).filter(|place| flags[*place]) {
        match runs.last_mut() {
            Some(last) if last.end == place => last.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}
