//! Range sets against a `BTreeSet` over long runs of operations.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use gapless_seq::{Full, RangeSet};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;

/// Room for ranges; the runs below reach it often.
const N: usize = 8;
/// How many positions the runs use, from a base on.
const WIDTH: u64 = 120;

#[derive(Clone, Debug)]
enum Operation {
    Insert(Range<u64>),
    InsertOne(u64),
    Evict(Range<u64>),
    Remove(Range<u64>),
    RemoveBelow(u64),
    PopFirst,
    PopLast,
    Clear,
}

fn operation() -> impl Strategy<Value = Operation> {
    let range = || (0..WIDTH, 0..12_u64).prop_map(|(start, len)| start..(start + len).min(WIDTH));
    prop_oneof![
        10 => range().prop_map(Operation::Insert),
        4 => (0..WIDTH).prop_map(Operation::InsertOne),
        3 => range().prop_map(Operation::Evict),
        5 => range().prop_map(Operation::Remove),
        1 => (0..WIDTH / 2).prop_map(Operation::RemoveBelow),
        1 => Just(Operation::PopFirst),
        1 => Just(Operation::PopLast),
        1 => Just(Operation::Clear),
    ]
}

/// The runs of consecutive positions in `model`.
fn ranges(model: &BTreeSet<u64>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for &position in model {
        match ranges.last_mut() {
            Some(last) if last.end == position => last.end += 1,
            _ => ranges.push(position..position + 1),
        }
    }
    ranges
}

/// `model` after the change, if `N` ranges can hold that.
fn changed(
    model: &BTreeSet<u64>,
    change: impl FnOnce(&mut BTreeSet<u64>),
) -> Option<BTreeSet<u64>> {
    let mut after = model.clone();
    change(&mut after);
    (ranges(&after).len() <= N).then_some(after)
}

fn insert(set: &mut RangeSet<N>, model: &mut BTreeSet<u64>, range: Range<u64>) -> Result<(), Full> {
    let after = changed(model, |model| model.extend(range.clone()));
    let expected = after
        .as_ref()
        .map(|after| (after.len() - model.len()) as u64)
        .ok_or(Full);
    assert_eq!(set.insert(range).map(|inserted| inserted.added), expected);
    *model = after.ok_or(Full)?;
    Ok(())
}

fn remove(set: &mut RangeSet<N>, model: &mut BTreeSet<u64>, range: Range<u64>) {
    let after = changed(model, |model| {
        model.retain(|position| !range.contains(position))
    });
    let expected = after
        .as_ref()
        .map(|after| (model.len() - after.len()) as u64)
        .ok_or(Full);
    assert_eq!(set.remove(range), expected);
    if let Some(after) = after {
        *model = after;
    }
}

fn pop(model: &mut BTreeSet<u64>, range: Option<&Range<u64>>, popped: Option<Range<u64>>) {
    assert_eq!(popped.as_ref(), range);
    if let Some(range) = range {
        model.retain(|position| !range.contains(position));
    }
}

/// Does `operation` to both; the model's positions start at `base`.
fn apply(set: &mut RangeSet<N>, model: &mut BTreeSet<u64>, base: u64, operation: Operation) {
    let at = |range: Range<u64>| base + range.start..base + range.end;
    match operation {
        Operation::Insert(range) => drop(insert(set, model, at(range))),
        Operation::InsertOne(position) => {
            let fits = changed(model, |model| model.extend([base + position]));
            assert_eq!(set.insert_one(base + position).is_ok(), fits.is_some());
            *model = fits.unwrap_or_else(|| model.clone());
        }
        Operation::Evict(range) => {
            model.extend(at(range.clone()));
            let all = ranges(model);
            let lowest = all.first().filter(|_| all.len() > N);
            let (_, evicted) = set.insert_evicting_lowest(at(range));
            pop(model, lowest, evicted);
        }
        Operation::Remove(range) => remove(set, model, at(range)),
        Operation::RemoveBelow(position) => {
            let gone = model.range(..base + position).count() as u64;
            assert_eq!(set.remove_below(base + position), gone);
            model.retain(|&held| held >= base + position);
        }
        Operation::PopFirst => pop(model, ranges(model).first(), set.pop_first()),
        Operation::PopLast => pop(model, ranges(model).last(), set.pop_last()),
        Operation::Clear => {
            set.clear();
            model.clear();
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_tree(
        base in prop::sample::select(vec![0, (1 << 32) - 60, u64::MAX - WIDTH]),
        operations in prop::collection::vec(operation(), 1..150),
        probe in 0..WIDTH,
        width in 0..WIDTH,
    ) {
        let mut set = RangeSet::<N>::new();
        let mut model = BTreeSet::new();
        for operation in operations {
            apply(&mut set, &mut model, base, operation);
            let ranges = ranges(&model);
            prop_assert!(set.iter().eq(ranges.iter().cloned()), "{:?} is not {:?}", set, ranges);

            let within = base + probe..base + (probe + width).min(WIDTH);
            let missing: Vec<_> =
                set.gaps(within.clone()).flat_map(|gap| gap.collect::<Vec<_>>()).collect();
            let absent: Vec<_> = within.clone().filter(|at| !model.contains(at)).collect();
            prop_assert_eq!(set.contains_range(&within), absent.is_empty());
            prop_assert_eq!(missing, absent);
            prop_assert_eq!(set.overlaps(&within), model.range(within).next().is_some());
            prop_assert_eq!(set.contains(base + probe), model.contains(&(base + probe)));
            prop_assert_eq!(set.total(), model.len() as u64);
        }
    }
}
