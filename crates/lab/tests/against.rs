//! Our engine against models of other implementations, in both roles, over all links. `cargo xtask lab --against KIND --seeds N` runs
//! more.

use gapless_lab::peers::dart::Release;
use gapless_lab::peers::{Burns, Kind};
use gapless_lab::{Scenario, run, run_seeds_against};
use std::fmt::Write;

/// Seeds of every test run, for each kind.
const SEEDS: u64 = 60;

#[track_caller]
fn no_seed_breaks_a_rule(kind: Kind) {
    let summary = run_seeds_against(kind, 0..SEEDS, |_| {});
    let mut text = String::new();
    for failure in summary.failures.iter().take(5) {
        let _ = writeln!(text, "{failure}");
    }
    assert!(
        summary.failures.is_empty(),
        "{} of {} seeds failed:\n{text}",
        summary.failures.len(),
        summary.seeds
    );
    assert_eq!(summary.seeds, SEEDS);
    // An error is an answer where nothing can be done; but it is rare, except beside the one whose ACKs take numbers.
    let rare = match kind.abilities().burns {
        Burns::Ambiguously => SEEDS,
        Burns::Evidently => SEEDS / 12,
        Burns::None => SEEDS / 50,
    };
    assert!(summary.given_up <= rare, "{}", summary.given_up);
}

#[test]
fn go_of_early_version_2() {
    no_seed_breaks_a_rule(Kind::GoV2Early);
}

#[test]
fn go_of_late_version_2() {
    no_seed_breaks_a_rule(Kind::GoV2Late);
}

#[test]
fn go_of_version_3() {
    no_seed_breaks_a_rule(Kind::GoV3Old);
    no_seed_breaks_a_rule(Kind::GoV3);
}

#[test]
fn js() {
    no_seed_breaks_a_rule(Kind::Js);
}

#[test]
fn dart_of_version_2() {
    dart()
        .filter(|kind| kind.version() == 2)
        .for_each(no_seed_breaks_a_rule);
}

#[test]
fn dart_of_version_3() {
    dart()
        .filter(|kind| kind.version() == 3)
        .for_each(no_seed_breaks_a_rule);
}

fn dart() -> impl Iterator<Item = Kind> {
    Kind::all().filter(|kind| matches!(kind, Kind::Dart(_)))
}

/// What a stream came to is what was planned: the runs are no empty ones.
#[test]
fn bytes_arrive_in_both_roles() {
    for kind in Kind::all().filter(|&kind| kind != Kind::Dart(Release::Before200)) {
        let mut arrived = [0; 2];
        for seed in 0..20 {
            let scenario = Scenario::against(kind, seed);
            let model = usize::from(seed % 2 == 0);
            assert_eq!(scenario.hosts[model].model, Some(kind));
            assert_eq!(scenario.hosts[1 - model].model, None);
            let report = run(&scenario).unwrap_or_else(|broken| panic!("{kind}: {seed}: {broken}"));
            let read = report.outcomes[1 - model].iter().flatten();
            arrived[model] += read.map(|outcome| outcome.read).sum::<u64>();
        }
        assert!(
            arrived.iter().all(|&bytes| bytes > 10_000),
            "{kind}: {arrived:?}"
        );
    }
}
