//! The lab finds defects that it knows. `cargo xtask lab --sabotage` hunts all of them; here are some that are found soon.

#[path = "../examples/sabotage/mod.rs"]
#[allow(dead_code)]
mod sabotage;

use gapless_lab::Rule;
use sabotage::{Engines, defects, hunt};
use std::time::Duration;

/// Seeds that each may take.
const SEEDS: u64 = 40;

#[track_caller]
fn is_found(name: &str, rules: &[Rule]) {
    assert!(
        defects(Engines::Udx)
            .iter()
            .any(|defect| defect.name == name),
        "there is no defect {name}"
    );
    let found = hunt(Engines::Udx, name, SEEDS, Duration::ZERO);
    let rule = found.as_ref().map(|found| found.violation.rule);
    assert!(
        rule.is_some_and(|rule| rules.contains(&rule)),
        "{name}: {rule:?}"
    );
}

/// One of the two failures that this project comes from: what nobody sends again had a number.
#[test]
fn an_ack_that_takes_a_number_is_found() {
    is_found("AckTakesNumber", &[Rule::Books]);
}

/// The other one: two numbers subtracted in the wrong order.
#[test]
fn a_subtraction_the_wrong_way_is_found() {
    is_found(
        "SubtractedTheWrongWay",
        &[Rule::Acknowledgement, Rule::Panic],
    );
}

#[test]
fn a_range_that_begins_too_low_is_found() {
    is_found("RangeOffByOne", &[Rule::Acknowledgement]);
}

#[test]
fn a_window_edge_that_moves_left_is_found() {
    is_found("EdgeFromFreeSpace", &[Rule::Window]);
}

#[test]
fn a_number_used_for_other_bytes_is_found() {
    is_found("NumberReused", &[Rule::Books]);
}

#[test]
fn an_end_before_the_bytes_is_found() {
    is_found("FinUnordered", &[Rule::Delivery]);
}

#[test]
fn a_round_trip_time_of_two_packets_is_found() {
    is_found("KarnIgnored", &[Rule::Speed]);
}

#[test]
fn a_timer_that_is_not_armed_again_is_found() {
    is_found("PtoOnce", &[Rule::Books, Rule::Progress]);
}

/// What is found is the defect and not the lab: without one, the same seeds break nothing.
#[test]
fn without_a_defect_nothing_is_found() {
    let found = hunt(Engines::Udx, "none", SEEDS, Duration::ZERO);
    assert!(found.is_none_or(|found| panic!("{}", found.violation)));
}

/// A defect is on for the thread that switched it on, so that tests side by side do not disturb each other.
#[test]
fn a_defect_is_on_for_one_thread() {
    gapless_udx::sabotage::switch("RangeOffByOne");
    let elsewhere = std::thread::spawn(|| gapless_lab::run_seed(0).is_ok()).join();
    assert_eq!(elsewhere.ok(), Some(true));
    assert!(gapless_lab::run_seed(0).is_err());
    gapless_udx::sabotage::switch("");
    assert!(gapless_lab::run_seed(0).is_ok());
}
