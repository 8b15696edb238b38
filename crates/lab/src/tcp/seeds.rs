//! Runs of TCP, one and many.

use super::draw::draw;
use super::engine::Engine;
use super::plan::{TcpHost, TcpScenario};
use super::world::run;
use crate::app::StreamOutcome;
use crate::choices::Draw;
use crate::log::Sink;
use crate::plan::Time;
use crate::report::{Failure, Rule, Runs, Violation};
use crate::seeds::{Summary, Tally, guarded, run_all};
use crate::shrink::{Shrunk, shrink_run};
use gapless_link::Counters;
use std::net::IpAddr;
use std::ops::Range;

/// Makes another stack for a host at this address, with these random bits.
pub type Make = fn(&TcpHost, IpAddr, u64) -> Box<dyn Engine>;

/// What a run that broke no rule came to.
#[derive(Clone, Debug)]
pub struct TcpReport {
    /// How long it took, in virtual time.
    pub lasted: Time,
    /// When the last connection was over for the applications.
    pub streams_over: Option<Time>,
    /// The longest time in the calm in which nothing happened while something was left to do.
    pub longest_wait: Time,
    /// The same without what was intended, in thousandths of the stacks' longest timeout meanwhile.
    pub longest_stall: u64,
    /// Wakes of a host.
    pub steps: u64,
    /// What each link did.
    pub links: [Counters; 2],
    /// Most bytes that each stack held.
    pub memory: [usize; 2],
    /// What each application saw of each connection.
    pub outcomes: [Vec<Option<StreamOutcome>>; 2],
}

impl From<&TcpReport> for Tally {
    fn from(report: &TcpReport) -> Self {
        Self {
            given_up: false,
            lasted: report.lasted,
            steps: report.steps,
            links: report.links,
            longest_wait: report.longest_wait,
            longest_stall: report.longest_stall,
            memory: report.memory.into_iter().max().unwrap_or(0),
        }
    }
}

/// Runs the seeds on as many threads as there are processors, and calls `progress` with each that is done. `other`: with another stack, by name,
/// at one end.
pub fn run_tcp_seeds(
    seeds: Range<u64>,
    other: Option<(&'static str, Make)>,
    progress: impl Fn(u64) + Sync,
) -> Summary {
    run_all(seeds, progress, |seed| run_tcp_seed(seed, other))
}

/// Runs one seed with all its checks.
///
/// # Errors
/// The first rule that was broken. A panic is one.
pub fn run_tcp_seed(seed: u64, other: Option<(&'static str, Make)>) -> Result<TcpReport, Failure> {
    let scenario = || TcpScenario::from_seed(seed);
    run_tcp_scenario(scenario, other.map(|(_, make)| make)).map_err(|violation| Failure {
        seed,
        runs: other.map_or(Runs::Tcp, |(name, _)| Runs::TcpAgainst(name)),
        violation,
    })
}

/// Runs a scenario, and where it asks for that under other manners also.
///
/// # Errors
/// The first rule that was broken. A panic is one, also in making the scenario.
pub fn run_tcp_scenario(
    scenario: impl FnOnce() -> TcpScenario,
    other: Option<Make>,
) -> Result<TcpReport, Violation> {
    guarded(|| {
        let mut scenario = scenario();
        if other.is_some() {
            scenario.fit_other();
        }
        let report = run(&scenario, other, None)?;
        if scenario.ends_well()
            && let Some(again) = scenario.with_other_manners()
        {
            let again = run(&again, other, None)?;
            compare(&scenario, &report, &again)?;
        }
        Ok(report)
    })
}

/// As [`run_tcp_scenario`] without the other manners, and every packet becomes a line for `sink`.
///
/// # Errors
/// The first rule that was broken.
pub fn run_tcp_logged(
    scenario: &TcpScenario,
    other: Option<Make>,
    sink: Sink<'_>,
) -> Result<TcpReport, Violation> {
    let mut scenario = scenario.clone();
    if other.is_some() {
        scenario.fit_other();
    }
    run(&scenario, other, Some(sink))
}

/// Shrinks the scenario of these bytes, which breaks a rule, to one that breaks the same rule in the same words, numbers apart.
pub fn shrink_tcp_failure(
    bytes: &[u8],
    other: Option<Make>,
    broken: &Violation,
    in_time: impl Fn() -> bool,
) -> Option<Shrunk> {
    let decided = |bytes: &[u8]| {
        let (scenario, spans) = draw(Draw::from_bytes(bytes));
        (scenario.choices().to_vec(), spans)
    };
    let run = |bytes: &[u8]| run_tcp_scenario(|| TcpScenario::from_bytes(bytes), other).err();
    shrink_run(bytes, decided, run, broken, in_time)
}

/// Rule 6: the connections that nobody cuts off come to the same. Each octet read was the right one in both runs.
fn compare(scenario: &TcpScenario, report: &TcpReport, again: &TcpReport) -> Result<(), Violation> {
    for host in 0..2 {
        let outcomes = report.outcomes[host].iter().zip(&again.outcomes[host]);
        for (plan, (outcome, other)) in outcomes.enumerate() {
            if outcome != other && !scenario.streams[plan].is_aborted() {
                return Err(Violation {
                    rule: Rule::Polling,
                    at: report.lasted,
                    host: Some(host),
                    detail: format!(
                        "connection {plan} came to {outcome:?}, polled otherwise to {other:?}"
                    ),
                });
            }
        }
    }
    Ok(())
}
