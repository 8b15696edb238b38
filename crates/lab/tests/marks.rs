//! Rare branches are counted, each thread for itself.

#[path = "../examples/marks/mod.rs"]
#[allow(dead_code)]
mod marks;

use gapless_lab::run_seed;
use marks::Collector;

/// Hits of a mark on this thread since the last look.
fn hits(name: &str) -> u64 {
    let all = gapless_seq::marks::take()
        .chain(gapless_recovery::marks::take())
        .chain(gapless_udx::marks::take());
    all.filter(|hits| hits.name == name)
        .map(|hits| hits.count)
        .sum()
}

#[test]
fn a_run_counts_on_its_own_thread() {
    hits("");
    let elsewhere = std::thread::spawn(|| {
        let _ = run_seed(1);
        hits("AppLimited")
    });
    assert!(elsewhere.join().is_ok_and(|hits| hits > 0));
    assert_eq!(hits("AppLimited"), 0);
    let _ = run_seed(1);
    assert!(hits("AppLimited") > 0);
    // What was told is told once.
    assert_eq!(hits("AppLimited"), 0);
}

/// The same run takes the same branches.
#[test]
fn counting_changes_nothing() {
    let count = || {
        let lasted = run_seed(7).map(|report| report.lasted);
        (lasted, hits("TailProbe"), hits("WindowGrown"))
    };
    hits("");
    assert_eq!(count(), count());
}

/// Marks that only other runs can hit are listed by name: a renamed one would be required of nobody.
#[test]
fn the_list_of_groups_names_marks_that_exist() {
    let collector = Collector::default();
    collector.collect(0);
    assert_eq!(collector.tally().unknown(), Vec::<&str>::new());
}
