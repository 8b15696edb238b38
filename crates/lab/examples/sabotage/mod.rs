//! Known defects of the engines, switched on one by one: each has to be found.

use gapless_lab::peers::Kind;
use gapless_lab::peers::dart::Release;
use gapless_lab::tcp::{TcpScenario, run_tcp_seed, shrink_tcp_failure};
use gapless_lab::{
    Scenario, Violation, run_hostile_seed, run_seed, run_seed_against, run_trial, shrink_failure,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A defect, by the name that one or several of the engines know it by.
pub(crate) struct Defect {
    pub(crate) name: &'static str,
    pub(crate) sentence: &'static str,
}

/// How a defect was found.
pub(crate) struct Found {
    pub(crate) violation: Violation,
    /// Seeds or trials that it took.
    pub(crate) runs: u64,
    /// What was run.
    pub(crate) by: String,
    /// Bytes of decisions that are left of the seed's.
    pub(crate) shrunk: Option<usize>,
}

/// Which engines have defects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engines {
    Udx,
    Tcp,
}

/// All of them.
pub(crate) fn defects(engines: Engines) -> Vec<Defect> {
    if engines == Engines::Tcp {
        let listed = gapless_tcp::sabotage::list();
        return listed
            .map(|(name, sentence)| Defect { name, sentence })
            .collect();
    }
    let listed = gapless_recovery::sabotage::list().chain(gapless_udx::sabotage::list());
    let mut defects: Vec<Defect> = Vec::new();
    for (name, sentence) in listed {
        if !defects.iter().any(|known| known.name == name) {
            defects.push(Defect { name, sentence });
        }
    }
    defects
}

/// Looks for the defect in at most `most` seeds of each kind that may show it. It is on for this thread alone, and off again afterwards.
pub(crate) fn hunt(engines: Engines, name: &str, most: u64, shrink: Duration) -> Option<Found> {
    switch(name);
    let found = (0..most).find_map(|seed| {
        let runs = kinds(engines, name).iter();
        runs.filter_map(|kind| kind.run(seed, shrink)).next()
    });
    switch("");
    found
}

/// Hunts all of them, on as many threads as there are processors, and prints a table. Whether each was found.
pub(crate) fn hunt_all(engines: Engines, chosen: &str, most: u64) -> bool {
    std::panic::set_hook(Box::new(|_| {}));
    let all: Vec<Defect> = defects(engines)
        .into_iter()
        .filter(|defect| chosen == ALL || chosen == defect.name)
        .collect();
    if all.is_empty() {
        let all = defects(engines);
        let names: Vec<&str> = all.iter().map(|defect| defect.name).collect();
        println!(
            "there is no defect `{chosen}`; there are {}",
            names.join(", ")
        );
        return false;
    }
    let shrink = if chosen == ALL {
        SHRINK_ONE_OF_MANY
    } else {
        SHRINK_ONE
    };
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(defect) = all.get(index) else { return };
            let begin = Instant::now();
            let found = hunt(engines, defect.name, most, shrink);
            if let Ok(mut results) = results.lock() {
                results.push((index, found, begin.elapsed()));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_unstable_by_key(|(index, ..)| *index);
    print(&all, &results, most)
}

fn print(all: &[Defect], results: &[(usize, Option<Found>, Duration)], most: u64) -> bool {
    println!("| defect | found by | runs | shrunk to | broken |");
    println!("|---|---|---|---|---|");
    let mut missed = 0;
    for (index, found, took) in results {
        let Some(Defect { name, sentence }) = all.get(*index) else {
            continue;
        };
        let Some(Found {
            violation,
            runs,
            by,
            shrunk,
        }) = found
        else {
            println!("| {name} | NOT FOUND | {most} | | {sentence} ({took:.1?}) |");
            missed += 1;
            continue;
        };
        let shrunk = shrunk.map_or(String::new(), |bytes| format!("{bytes} B"));
        let detail = violation.detail.lines().next().unwrap_or_default();
        let detail: String = detail.chars().take(100).collect();
        println!(
            "| {name} | {by} | {runs} | {shrunk} | {:?}: {detail} |",
            violation.rule
        );
    }
    println!(
        "{} defects, {missed} not found that should be",
        results.len()
    );
    missed == 0
}

/// What is run to find a defect.
enum Runs {
    Seeds,
    Trials,
    Against(Kind),
    Hostile,
    Tcp,
}

impl Runs {
    fn run(&self, seed: u64, shrink: Duration) -> Option<Found> {
        let (violation, by) = match *self {
            Self::Seeds => (run_seed(seed).err()?.violation, "seeds".to_string()),
            Self::Trials => {
                // Each takes as long as many seeds.
                let number = seed
                    .is_multiple_of(SEEDS_PER_TRIAL)
                    .then_some(seed / SEEDS_PER_TRIAL)?;
                let failure = run_trial(number).err()?;
                (failure.violation, format!("trial: {}", failure.name))
            }
            Self::Against(kind) => (
                run_seed_against(kind, seed).err()?.violation,
                format!("against {kind}"),
            ),
            Self::Tcp => (
                run_tcp_seed(seed, None).err()?.violation,
                "seeds".to_string(),
            ),
            Self::Hostile => (
                run_hostile_seed(seed, None, None).err()?.violation,
                "hostile seeds".to_string(),
            ),
        };
        let begin = Instant::now();
        let in_time = || begin.elapsed() < shrink;
        let shrunk = match *self {
            Self::Seeds => {
                let scenario = Scenario::from_seed(seed);
                shrink_failure(scenario.choices(), None, &violation, in_time)
            }
            Self::Against(kind) => {
                let scenario = Scenario::against(kind, seed);
                shrink_failure(scenario.choices(), Some(kind), &violation, in_time)
            }
            Self::Tcp => {
                let scenario = TcpScenario::from_seed(seed);
                shrink_tcp_failure(scenario.choices(), None, &violation, in_time)
            }
            Self::Trials | Self::Hostile => None,
        };
        Some(Found {
            violation,
            runs: seed + 1,
            by,
            shrunk: shrunk.map(|shrunk| shrunk.bytes.len()),
        })
    }
}

/// Most defects show between two engines of ours; those of the manners towards another implementation, or towards liars, only there.
fn kinds(engines: Engines, name: &str) -> &'static [Runs] {
    match name {
        _ if engines == Engines::Tcp => &[Runs::Tcp],
        "OverlapKept" => &[Runs::Hostile],
        "ClosedRevived" => &[Runs::Seeds, Runs::Hostile],
        "FirstDataNotAwaited" => const { &[Runs::Against(Kind::GoV2Early)] },
        "FinOvertakes" => const { &[Runs::Against(Kind::GoV3)] },
        "AckedUnstored" => const { &[Runs::Against(Kind::Dart(Release::V203)), Runs::Hostile] },
        _ => &[Runs::Seeds, Runs::Trials],
    }
}

fn switch(name: &str) {
    gapless_recovery::sabotage::switch(name);
    gapless_udx::sabotage::switch(name);
    gapless_tcp::sabotage::switch(name);
}

/// In the place of a name.
pub(crate) const ALL: &str = "all";
const SEEDS_PER_TRIAL: u64 = 8;
const SHRINK_ONE: Duration = Duration::from_secs(20);
const SHRINK_ONE_OF_MANY: Duration = Duration::from_secs(1);
