//! Wire numbers against their definition: exhaustively at 8 bits, by property at 16, 32 and others.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use gapless_seq::{Wire, Wire8, Wire16, Wire32, Wire64};
use proptest::prelude::*;

/// The definition, in numbers that cannot overflow: of all positions congruent to `raw` and inside
/// `u64` the nearest to `expected`, of two equally near the higher.
fn nearest(bits: u32, raw: u64, expected: u64) -> u64 {
    let modulus = 1_i128 << bits;
    let expected = i128::from(expected);
    let turn = expected.div_euclid(modulus);
    let candidates = (turn - 2..=turn + 2).map(|turn| turn * modulus + i128::from(raw));
    let inside = candidates.filter_map(|position| u64::try_from(position).ok());
    let by_distance = |&position: &u64| {
        let position = i128::from(position);
        ((position - expected).abs(), -position)
    };
    // One turn always lies inside; 0 would be no nearest one and fail the tests.
    inside.min_by_key(by_distance).unwrap_or_default()
}

/// Places near which a width of `bits` wraps, or `u64` ends.
fn edges(bits: u32) -> Vec<u64> {
    let modulus = 1_u128 << bits;
    [
        0,
        modulus / 2,
        modulus,
        modulus * 2,
        modulus * 1000,
        u128::from(u64::MAX) - modulus,
    ]
    .into_iter()
    .map(|edge| u64::try_from(edge).unwrap_or(u64::MAX))
    .chain([1 << 32, u64::MAX / 2, u64::MAX])
    .collect()
}

/// Positions near an edge, and anywhere.
fn position(bits: u32) -> impl Strategy<Value = u64> {
    let near = (
        prop::sample::select(edges(bits)),
        -2000_i64..2000,
        any::<bool>(),
    )
        .prop_map(move |(edge, offset, half)| {
            let half = if half { 1_i64 << (bits - 1).min(62) } else { 0 };
            edge.wrapping_add_signed(offset).wrapping_add_signed(half)
        });
    prop_oneof![near, any::<u64>()]
}

#[test]
fn expands_every_8_bit_number_to_the_nearest_position() {
    for edge in edges(8) {
        for expected in edge.saturating_sub(600)..=edge.saturating_add(600) {
            for raw in 0..=u8::MAX {
                let position = Wire8::from(raw).expand(expected);
                let defined = nearest(8, u64::from(raw), expected);
                assert_eq!(position, defined, "{raw:#x} near {expected:#x}");
            }
        }
    }
}

#[test]
fn expands_every_1_and_2_bit_number_to_the_nearest_position() {
    for edge in [0, 100, u64::MAX] {
        for expected in edge.saturating_sub(20)..=edge.saturating_add(20) {
            for raw in 0..4 {
                assert_eq!(
                    Wire::<2>::new(raw).expand(expected),
                    nearest(2, raw, expected)
                );
                assert_eq!(
                    Wire::<1>::new(raw).expand(expected),
                    nearest(1, raw & 1, expected)
                );
            }
        }
    }
}

#[test]
fn two_equally_near_positions_give_the_higher_where_it_exists() {
    assert_eq!(Wire8::from(0x80).expand(0x100), 0x180);
    assert_eq!(Wire8::from(0x80).expand(0), 0x80);
    // 2^64 + 0x7f would be as near as this, but is no u64.
    assert_eq!(Wire8::from(0x7f).expand(u64::MAX), u64::MAX - 0x80);
    assert_eq!(Wire32::from(1 << 31).expand(1 << 32), (1 << 32) + (1 << 31));
}

#[test]
fn keeps_only_the_bits_of_its_width() {
    assert_eq!(Wire8::new(0x1ff), Wire8::from(0xff));
    assert_eq!(Wire::<1>::new(6).raw(), 0);
    assert_eq!(Wire::<63>::new(u64::MAX).raw(), u64::MAX >> 1);
    assert_eq!(Wire64::new(u64::MAX).raw(), u64::MAX);
    assert_eq!(u8::from(Wire8::new(0x1ff)), 0xff);
    assert_eq!(u16::from(Wire16::new(0x1_ffff)), 0xffff);
    assert_eq!(u32::from(Wire32::new(0x1_ffff_ffff)), 0xffff_ffff);
    assert_eq!(u64::from(Wire64::from(7)), 7);
}

#[test]
fn is_usable_in_constants() {
    const POSITION: u64 = Wire32::truncate(0x2_0000_0003).expand(0x1_ffff_ffff);
    assert_eq!(POSITION, 0x2_0000_0003);
}

/// What holds at every width.
fn check<const BITS: u32>(position: u64, expected: u64, raw: u64) -> Result<(), TestCaseError> {
    let wire = Wire::<BITS>::new(raw);
    prop_assert_eq!(wire.expand(expected), nearest(BITS, wire.raw(), expected));
    prop_assert_eq!(Wire::<BITS>::truncate(wire.expand(expected)), wire);
    prop_assert_eq!(Wire::<BITS>::truncate(position).expand(position), position);
    let distance = i128::from(position) - i128::from(expected);
    let half = 1_i128 << (BITS - 1);
    if -half < distance && distance < half {
        prop_assert_eq!(Wire::<BITS>::truncate(position).expand(expected), position);
    }
    Ok(())
}

/// A position, one to expand near that is often within half a turn of it, and a raw number.
fn case(bits: u32) -> impl Strategy<Value = (u64, u64, u64)> {
    (
        position(bits),
        position(bits),
        any::<i64>(),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(move |(position, other, offset, near, raw)| {
            let offset = offset >> (64 - bits.min(63));
            let expected = if near {
                position.saturating_add_signed(offset)
            } else {
                other
            };
            (position, expected, raw)
        })
}

proptest! {
    #[test]
    fn holds_at_16_bits((position, expected, raw) in case(16)) {
        check::<16>(position, expected, raw)?;
    }

    #[test]
    fn holds_at_32_bits((position, expected, raw) in case(32)) {
        check::<32>(position, expected, raw)?;
    }

    #[test]
    fn holds_at_widths_between_the_usual((position, expected, raw) in case(31)) {
        check::<7>(position, expected, raw)?;
        check::<24>(position, expected, raw)?;
        check::<31>(position, expected, raw)?;
        check::<48>(position, expected, raw)?;
    }

    #[test]
    fn holds_at_the_widest((position, expected, raw) in case(63)) {
        check::<62>(position, expected, raw)?;
        check::<63>(position, expected, raw)?;
        check::<64>(position, expected, raw)?;
    }
}
