//! Many seeds at once.

use crate::peers::Kind;
use crate::plan::{Scenario, Time};
use crate::report::{Failure, Report, Rule, Runs, Violation};
use crate::world::run;
use gapless_link::Counters;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that broke a rule, lowest first.
    pub failures: Vec<Failure>,
    /// Those that ended in an error which could not be helped.
    pub given_up: u64,
    /// Virtual time of all runs.
    pub lasted: Time,
    /// Wakes of all hosts.
    pub steps: u64,
    /// Datagrams sent, and those that arrived.
    pub datagrams: (u64, u64),
    /// The longest time that a run stood still in its calm, and its seed.
    pub longest_wait: (Time, u64),
    /// The longest stall in its calm, in thousandths of a probe timeout, and its seed.
    pub longest_stall: (u64, u64),
    /// Most bytes that an engine held, and the seed.
    pub most_memory: (usize, u64),
}

/// Runs the seeds on as many threads as there are processors, and calls `progress` with each that is done.
pub fn run_seeds(seeds: Range<u64>, progress: impl Fn(u64) + Sync) -> Summary {
    run_all(seeds, progress, run_seed)
}

/// As [`run_seeds`], with a model of that kind at one end.
pub fn run_seeds_against(kind: Kind, seeds: Range<u64>, progress: impl Fn(u64) + Sync) -> Summary {
    run_all(seeds, progress, |seed| run_seed_against(kind, seed))
}

/// Runs the seeds one by one, whatever with.
pub(crate) fn run_all<R>(
    seeds: Range<u64>,
    progress: impl Fn(u64) + Sync,
    run_one: impl Fn(u64) -> Result<R, Failure> + Sync,
) -> Summary
where
    R: Send,
    for<'a> Tally: From<&'a R>,
{
    let mut summary = Summary::default();
    let one = |seed| {
        let result = run_one(seed);
        progress(seed);
        result
    };
    spread(seeds, one, |seed, result| summary.add(seed, result));
    summary
        .failures
        .sort_unstable_by_key(|failure| failure.seed);
    summary
}

/// Runs the seeds on as many threads as there are processors; results come in any order.
pub(crate) fn spread<R>(
    seeds: Range<u64>,
    run: impl Fn(u64) -> R + Sync,
    collect: impl FnMut(u64, R) + Send,
) {
    let next = AtomicU64::new(seeds.start);
    let collect = Mutex::new(collect);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let result = run(seed);
                    if let Ok(mut collect) = collect.lock() {
                        collect(seed, result);
                    }
                }
            });
        }
    });
}

/// Runs one seed with all its checks; where other polling may not change what is delivered, also that.
///
/// # Errors
/// The first rule that was broken. A panic is one.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    run_drawn(seed, Runs::Udx, || Scenario::from_seed(seed))
}

/// Runs one seed with a model of that kind at one end.
///
/// # Errors
/// The first rule that was broken. A panic is one.
pub fn run_seed_against(kind: Kind, seed: u64) -> Result<Report, Failure> {
    run_drawn(seed, Runs::Against(kind), || Scenario::against(kind, seed))
}

/// Runs what these bytes decide on, as [`run_seed`] does.
///
/// # Errors
/// The first rule that was broken. A panic is one.
pub fn run_bytes(bytes: &[u8]) -> Result<Report, Violation> {
    run_whole(|| Scenario::from_bytes(bytes))
}

/// Runs a scenario with all its checks, and where it asks for that under other manners also.
///
/// # Errors
/// The first rule that was broken. A panic is one, also in making the scenario.
pub fn run_whole(scenario: impl FnOnce() -> Scenario) -> Result<Report, Violation> {
    guarded(|| {
        let scenario = scenario();
        let report = run(&scenario)?;
        if scenario.ends_well()
            && !report.cut_off
            && let Some(other) = scenario.with_other_manners()
        {
            let other = run(&other)?;
            if !other.cut_off {
                compare(&scenario, &report, &other)?;
            }
        }
        Ok(report)
    })
}

fn run_drawn(
    seed: u64,
    runs: Runs,
    scenario: impl FnOnce() -> Scenario,
) -> Result<Report, Failure> {
    run_whole(scenario).map_err(|violation| Failure {
        seed,
        runs,
        violation,
    })
}

/// A run in which a panic is a rule broken.
pub(crate) fn guarded<R>(run: impl FnOnce() -> Result<R, Violation>) -> Result<R, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        Err(Violation {
            rule: Rule::Panic,
            at: 0,
            host: None,
            detail: message_of(&*panic),
        })
    })
}

/// Invariant 6: the streams that nobody ends early come to the same. Each byte read was the right one in both runs.
fn compare(scenario: &Scenario, report: &Report, other: &Report) -> Result<(), Violation> {
    for host in 0..2 {
        let outcomes = report.outcomes[host].iter().zip(&other.outcomes[host]);
        for (plan, (outcome, other)) in outcomes.enumerate() {
            if outcome != other && !scenario.streams[plan].is_aborted() {
                return Err(Violation {
                    rule: Rule::Polling,
                    at: report.lasted,
                    host: Some(host),
                    detail: format!(
                        "stream {plan} came to {outcome:?}, polled otherwise to {other:?}"
                    ),
                });
            }
        }
    }
    Ok(())
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_string()
}

impl Summary {
    fn add<R>(&mut self, seed: u64, result: Result<R, Failure>)
    where
        for<'a> Tally: From<&'a R>,
    {
        self.seeds += 1;
        let tally = match &result {
            Ok(report) => Tally::from(report),
            Err(failure) => {
                self.failures.push(failure.clone());
                return;
            }
        };
        self.given_up += u64::from(tally.given_up);
        self.lasted += tally.lasted;
        self.steps += tally.steps;
        for link in &tally.links {
            self.datagrams.0 += link.offered;
            self.datagrams.1 += link.delivered;
        }
        self.longest_stall = self.longest_stall.max((tally.longest_stall, seed));
        self.longest_wait = self.longest_wait.max((tally.longest_wait, seed));
        self.most_memory = self.most_memory.max((tally.memory, seed));
    }
}

/// What a report adds to a summary.
#[derive(Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) given_up: bool,
    pub(crate) lasted: Time,
    pub(crate) steps: u64,
    pub(crate) links: [Counters; 2],
    pub(crate) longest_wait: Time,
    pub(crate) longest_stall: u64,
    /// Most bytes that an engine held.
    pub(crate) memory: usize,
}

impl From<&Report> for Tally {
    fn from(report: &Report) -> Self {
        Self {
            given_up: report.given_up,
            lasted: report.lasted,
            steps: report.steps,
            links: report.links,
            longest_wait: report.longest_wait,
            longest_stall: report.longest_stall,
            memory: report.memory.into_iter().max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StreamPlan;
    use gapless_link::Profile;

    #[test]
    fn other_bytes_under_other_polling_are_found() {
        let streams = vec![StreamPlan::bulk(100, 200), StreamPlan::bulk(300, 400)];
        let mut scenario = Scenario::plain(1, &Profile::default(), streams);
        let report = run(&scenario).expect("all is well");
        assert!(compare(&scenario, &report, &report).is_ok());
        let mut other = report.clone();
        let Some(outcome) = &mut other.outcomes[1][0] else {
            unreachable!("the stream came");
        };
        outcome.read -= 1;
        let violation = compare(&scenario, &report, &other).expect_err("a byte is missing");
        assert_eq!((violation.rule, violation.host), (Rule::Polling, Some(1)));
        // Who gives up in the middle may have got more or less.
        scenario.streams[0].there.read.stop = Some((10, 1));
        assert!(compare(&scenario, &report, &other).is_ok());
    }
}
