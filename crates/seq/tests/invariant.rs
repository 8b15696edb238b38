//! Both faces of a broken invariant, whichever is compiled in.

use gapless_seq::{STRICT, invariant};

fn half(number: u32, looked: &mut u32) -> Result<u32, &'static str> {
    let mut even = || {
        *looked = looked.saturating_add(1);
        number.is_multiple_of(2)
    };
    invariant!(even(), return Err("odd"), "number {number}");
    Ok(number / 2)
}

#[test]
fn a_kept_invariant_costs_one_look() {
    let mut looked = 0;
    assert_eq!(half(8, &mut looked), Ok(4));
    assert_eq!(looked, 1);
}

#[test]
fn a_broken_invariant_panics_when_strict_and_takes_the_other_way_when_not() {
    let outcome = std::panic::catch_unwind(|| half(7, &mut 0));
    if STRICT {
        let panic = outcome.expect_err("strict");
        let message = panic.downcast_ref::<String>().expect("a formatted message");
        assert_eq!(message, "broken invariant: even() (number 7)");
    } else {
        assert_eq!(outcome.expect("not strict"), Err("odd"));
    }
}

#[test]
fn the_other_way_may_be_a_loop_control_or_a_statement() {
    let mut kept = 0_u32;
    for number in [2_u32, 4] {
        invariant!(number < 10, continue);
        invariant!(number > 1, kept = 100, "{}", number);
        kept = kept.saturating_add(number);
    }
    assert_eq!(kept, 6);
}
