//! The checks fire: runs whose statement is false are found out. What is said on the wire is tested beside the observer (`watch.rs`), the
//! rules for one wake of a host beside `check.rs` and `host.rs`, the comparison of two runs beside `seeds.rs`.

use gapless_lab::{
    Freeze, MS, Manners, Route, Rule, SECOND, Scenario, Start, StreamPlan, WriteEnd, run,
    run_bytes, run_whole, shrink,
};
use gapless_link::Profile;

fn path(text: &str) -> Profile {
    text.parse().expect("the path is written right")
}

/// A transfer over a path that is as it should be, and then as `calm` says.
fn scenario(calm: &str) -> Scenario {
    let streams = vec![StreamPlan::bulk(2_000_000, 2_000_000)];
    let mut scenario = Scenario::plain(1, &path("delay=10ms,rate=20mbit"), streams);
    scenario.calm = [path(calm), path(calm)];
    scenario.calm_from = 200 * MS;
    scenario
}

#[track_caller]
fn broken(scenario: &Scenario) -> (Rule, String) {
    let violation = run(scenario).expect_err("the statement is false");
    (violation.rule, violation.detail)
}

#[test]
fn a_path_as_stated_breaks_nothing() {
    let report = run(&scenario("delay=10ms,rate=20mbit")).expect("all is well");
    assert!(report.streams_over.is_some() && !report.cut_off);
}

#[test]
fn wrong_bytes_are_found() {
    let spoiled = "delay=10ms,rate=20mbit,corrupt=20%,checksum=off";
    let (rule, detail) = broken(&scenario(spoiled));
    assert_eq!(rule, Rule::Delivery, "{detail}");
}

#[test]
fn a_calm_that_is_none_is_found() {
    let (rule, detail) = broken(&scenario("loss=100%"));
    assert_eq!(rule, Rule::Progress, "{detail}");
    assert!(detail.starts_with("nothing happened for"), "{detail}");
}

#[test]
fn a_stall_is_told_by_the_engines_own_timeouts() {
    let mut stalls = scenario("loss=100%");
    stalls.patience = 1_000 * SECOND;
    let (rule, detail) = broken(&stalls);
    assert_eq!(rule, Rule::Progress, "{detail}");
    // Who intends to rest does not stall. (What remains is that both give up.)
    stalls.rests = 500 * SECOND;
    assert_eq!(broken(&stalls).0, Rule::Delivery);
}

#[test]
fn nobody_stalls_who_waits_for_his_time() {
    let mut waits = scenario("delay=10ms,rate=20mbit");
    waits.streams[0].start = Start::At(20 * SECOND);
    assert!(run(&waits).is_ok());
}

#[test]
fn a_transfer_that_takes_too_long_is_found() {
    let mut slow = scenario("delay=10ms,rate=1mbit");
    slow.finish_within = SECOND;
    let (rule, detail) = broken(&slow);
    assert_eq!(rule, Rule::Progress, "{detail}");
    assert!(detail.starts_with("not over"), "{detail}");
}

#[test]
fn too_much_memory_is_found() {
    let mut small = scenario("delay=10ms,rate=20mbit");
    small.hosts[1].memory_bound = 50_000;
    let (rule, detail) = broken(&small);
    assert_eq!(rule, Rule::Memory, "{detail}");
}

#[test]
fn a_panic_is_a_rule_broken() {
    let run = run_whole(|| panic!("in 7 pieces"));
    let violation = run.expect_err("it panicked");
    assert_eq!(
        (violation.rule, &*violation.detail),
        (Rule::Panic, "in 7 pieces")
    );
}

#[test]
fn a_clock_that_stands_still_or_leaps_changes_no_byte() {
    let mut good = scenario("delay=10ms,rate=20mbit");
    let outcomes = run(&good).expect("all is well").outcomes;
    for (tick, freeze) in [
        (16 * MS, None),
        (0, Some(3 * SECOND)),
        (500 * MS, Some(SECOND)),
    ] {
        good.rests = 3 * SECOND;
        good.hosts[0].manners = Manners {
            tick,
            freeze: freeze.map(|length| Freeze {
                from: 300 * MS,
                length,
            }),
            ..Manners::GOOD
        };
        let report = run(&good).expect("all is well");
        assert_eq!(report.outcomes, outcomes);
        assert!(freeze.is_none_or(|length| report.lasted > length));
    }
}

#[test]
fn routes_change_when_they_should() {
    let mut scenario = scenario("delay=10ms,rate=20mbit");
    let fast = run(&scenario).expect("all is well").streams_over;
    let slow = path("delay=100ms,rate=2mbit,mtu=1300");
    scenario.routes = vec![Route {
        at: 50 * MS,
        paths: [slow.clone(), slow],
    }];
    scenario.calm_from = 2 * SECOND;
    let report = run(&scenario).expect("all is well");
    assert!(
        report.streams_over > fast.map(|fast| fast + SECOND),
        "{report:?}"
    );
    assert!(report.links[0].too_large > 0, "{report:?}");
}

#[test]
fn a_run_shrinks_to_what_makes_it_fail() {
    // As if the engine could not live with a damaged datagram while a stream is reset.
    let fails = |bytes: &[u8]| {
        let resets = |plan: &StreamPlan| matches!(plan.back.write.end, WriteEnd::Reset(_));
        Scenario::from_bytes(bytes).streams.iter().any(resets)
            && run_bytes(bytes).is_ok_and(|report| report.links[0].corrupted > 0)
    };
    let large = (0..)
        .map(Scenario::from_seed)
        .find(|large| large.streams.len() > 5 && fails(large.choices()))
        .expect("seeds have everything");
    let bytes = shrink(large.choices(), fails);
    let small = Scenario::from_bytes(&bytes);
    assert!(fails(&bytes));
    let left = (small.streams.len(), small.moves.len(), small.routes.len());
    assert_eq!(left, (1, 0, 0), "{small:#?}");
    let steps = |scenario| run(scenario).expect("no rule is broken").steps;
    assert!(steps(&small) < steps(&large) / 2, "{small:#?}");
}

/// A fuzzer's finding: turns of sixteen bytes over a path without any delay, which are thousands of rounds at one instant.
#[test]
fn a_conversation_on_a_path_without_delay_is_no_work_without_an_end() {
    let mut bytes = vec![0x61, 0x86, 0x30, 0xff, 0xff, 0xff];
    bytes.extend([0x4f; 26]);
    bytes.extend([0x3a, 0xb2]);
    let scenario = Scenario::from_bytes(&bytes);
    let lead = scenario.streams[0].there.write.lead;
    assert!(lead.is_some_and(|lead| lead <= 16), "{scenario:#?}");
    let report = run(&scenario).expect("no rule is broken");
    let (over, steps) = (report.streams_over, report.steps);
    let at_once = over.is_some_and(|over| over < 1_000);
    assert!(at_once && steps > 4_000, "{over:?} {steps}");
}

#[test]
fn a_cut_off_run_says_so() {
    let mut scenario = scenario("delay=10ms,rate=20mbit");
    scenario.steps_at_most = Some(50);
    let report = run(&scenario).expect("nothing is wrong yet");
    assert!(report.cut_off && report.steps <= 52, "{report:?}");
    assert!(!run_bytes(&[]).expect("the simplest scenario").cut_off);
}
