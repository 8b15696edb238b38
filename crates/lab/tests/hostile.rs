//! A peer that lies in every field, and what others notice of it. `cargo xtask lab --hostile --seeds N` runs more.

#[path = "../examples/counting/mod.rs"]
mod counting;

use counting::METER;
use gapless_lab::{run_hostile_seed, run_hostile_seeds};
use std::fmt::Write;

/// Seeds of every test run.
const SEEDS: u64 = 200;

#[test]
fn no_hostile_seed_breaks_a_rule() {
    let summary = run_hostile_seeds(0..SEEDS, Some(METER), |_| {});
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
    for (trick, count) in summary.played {
        assert!(count > 0, "{trick} was never played");
    }
}

#[test]
fn a_hostile_seed_is_the_same_run_each_time() {
    for seed in [1, 22, 303] {
        let log = || {
            let mut lines = String::new();
            let mut sink = |line: &str| {
                lines.push_str(line);
                lines.push('\n');
            };
            let _ = run_hostile_seed(seed, None, Some(&mut sink));
            lines
        };
        let lines = log();
        assert!(lines.contains("ATTACK"), "{lines}");
        assert_eq!(lines, log(), "seed {seed}");
    }
}
