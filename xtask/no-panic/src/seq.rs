//! The public functions of `gapless-seq`.

use core::hint::black_box;
use core::ops::Range;
use gapless_seq::{RangeSet, Window, Wire, invariant};

fn wire<const BITS: u32>(raw: u64, expected: u64) {
    let wire = Wire::<BITS>::new(raw);
    black_box((
        wire.expand(expected),
        Wire::<BITS>::truncate(expected).raw(),
        wire,
    ));
}

macro_rules! integers {
    ($bits:literal, $integer:ty, $raw:expr) => {
        black_box(<$integer>::from(Wire::<$bits>::from($raw)))
    };
}

#[unsafe(no_mangle)]
fn seq_wire(raw: u64, expected: u64, a: u8, b: u16, c: u32) {
    wire::<1>(raw, expected);
    wire::<8>(raw, expected);
    wire::<16>(raw, expected);
    wire::<24>(raw, expected);
    wire::<32>(raw, expected);
    wire::<62>(raw, expected);
    wire::<64>(raw, expected);
    integers!(8, u8, a);
    integers!(16, u16, b);
    integers!(32, u32, c);
    integers!(64, u64, raw);
}

#[unsafe(no_mangle)]
fn seq_window(window: &mut Window, start: u64, end: u64) {
    let range = start..end;
    black_box((Window::new(start, end), Window::from_edges(start, end)));
    black_box((
        window.start(),
        window.end(),
        window.len(),
        window.is_empty(),
    ));
    black_box((
        window.contains(start),
        window.contains_range(&range),
        window.clip(&range),
    ));
    black_box(window.room_from(start));
    black_box((window.advance_start_to(start), window.extend_end_to(end)));
}

fn questions<const N: usize>(set: &RangeSet<N>, range: &Range<u64>) {
    black_box((
        set.contains(range.start),
        set.contains_range(range),
        set.overlaps(range),
    ));
    black_box((
        set.len(),
        set.is_empty(),
        set.capacity(),
        set.total(),
        set.first(),
        set.last(),
    ));
    black_box((
        set.clone(),
        set == &RangeSet::new(),
        RangeSet::<N>::default(),
    ));
    for range in set.iter() {
        black_box(range);
    }
    for range in set.into_iter().rev() {
        black_box(range);
    }
    for gap in set.gaps(range.clone()) {
        black_box(gap);
    }
    black_box(set.iter().len());
}

fn changes<const N: usize>(set: &mut RangeSet<N>, range: &Range<u64>) {
    let _ = black_box(set.insert(range.clone()));
    let _ = black_box(set.insert_one(range.start));
    black_box(set.insert_evicting_lowest(range.clone()));
    let _ = black_box(set.remove(range.clone()));
    black_box((
        set.remove_below(range.start),
        set.pop_first(),
        set.pop_last(),
    ));
    set.clear();
}

macro_rules! ranges {
    ($($name:ident: $capacity:literal,)+) => {
        $(#[unsafe(no_mangle)]
        fn $name(set: &mut RangeSet<$capacity>, start: u64, end: u64) {
            questions(set, &(start..end));
            changes(set, &(start..end));
        })+
    };
}

ranges! {
    seq_ranges_0: 0,
    seq_ranges_1: 1,
    seq_ranges_4: 4,
    seq_ranges_32: 32,
    seq_ranges_64: 64,
}

#[unsafe(no_mangle)]
fn seq_invariant(kept: bool) -> u8 {
    invariant!(kept, return 1, "{kept}");
    0
}
