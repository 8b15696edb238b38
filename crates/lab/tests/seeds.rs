//! Random impairment, applications, polling and numbers near the wrap. `cargo xtask lab --seeds N` runs more.

use gapless_lab::{Scenario, run, run_logged, run_seeds};
use std::fmt::Write;

/// Seeds of every test run.
const SEEDS: u64 = 2_000;

#[test]
fn no_seed_breaks_a_rule() {
    let summary = run_seeds(0..SEEDS, |_| {});
    let mut text = String::new();
    for failure in summary.failures.iter().take(10) {
        let _ = writeln!(text, "{failure}");
    }
    assert!(
        summary.failures.is_empty(),
        "{} of {} seeds failed:\n{text}",
        summary.failures.len(),
        summary.seeds
    );
    assert_eq!(summary.seeds, SEEDS);
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in [1, 2, 3, 40, 500] {
        let log = |seed| {
            let mut lines = String::new();
            let mut sink = |line: &str| {
                lines.push_str(line);
                lines.push('\n');
            };
            let result = run_logged(&Scenario::from_seed(seed), Some(&mut sink));
            (lines, result.map(|report| report.outcomes))
        };
        let (lines, outcomes) = log(seed);
        assert!(lines.contains("dialer   sends"), "{lines}");
        assert_eq!((lines, outcomes.clone()), log(seed), "seed {seed}");
        // The log changes nothing.
        assert_eq!(
            run(&Scenario::from_seed(seed)).map(|report| report.outcomes),
            outcomes
        );
    }
}
