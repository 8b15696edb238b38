//! Hostile runs by seed, one or many.

use super::app::Task;
use super::peer::Hostile;
use super::plan::HostileScenario;
use super::tricks::Trick;
use super::world::{Setting, address, run};
use super::{Attacker, Meter};
use crate::log::Sink;
use crate::plan::{MS, SECOND, Time};
use crate::report::{Failure, Rule, Runs, Violation};
use crate::seeds::{guarded, spread};
use gapless_udx::EndpointConfig;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

/// What a hostile seed came to.
#[derive(Clone, Debug)]
pub struct HostileReport {
    /// When the honest transfers were through, without the attack and with it.
    pub done_at: [Time; 2],
    /// When they began.
    pub began: Time,
    /// The honest path loses nothing: the two times are to be compared.
    pub clean: bool,
    /// The limits were set too low for the attack, and honest sides were kept out.
    pub overrun: bool,
    /// Datagrams that the victim was sent, and sent.
    pub datagrams: (u64, u64),
    /// Most bytes of memory that the victim held.
    pub memory: usize,
    /// Most connections that it had.
    pub connections: usize,
    /// Most allocations for one datagram; 0 without a [`Meter`].
    pub allocations: u64,
    /// The most that an address that proved nothing was sent for what came from it, in thousandths.
    pub amplification: u64,
    /// Virtual time of the attacked run.
    pub lasted: Time,
    /// How often each trick was played.
    pub played: Vec<(&'static str, u64)>,
}

/// What many hostile seeds came to.
#[derive(Clone, Debug, Default)]
pub struct HostileSummary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that broke a rule, lowest first.
    pub failures: Vec<Failure>,
    /// Datagrams that the victims were sent, and sent.
    pub datagrams: (u64, u64),
    /// Lowest rate of honest transfers under attack to the rate without, in thousandths, where comparable, and its seed.
    pub worst_ratio: Option<(u64, u64)>,
    /// Seeds where it was compared.
    pub compared: u64,
    /// Seeds whose limits were set too low on purpose, and whose honest sides were kept out.
    pub overrun: u64,
    /// Sum of the times with and without the attack over all seeds, lossy paths included.
    pub total: [Time; 2],
    /// Most memory, and its seed.
    pub memory: (usize, u64),
    /// Most connections at once, and the seed.
    pub connections: (usize, u64),
    /// Most allocations for one datagram, and the seed.
    pub allocations: (u64, u64),
    /// Worst amplification in thousandths, and its seed.
    pub amplification: (u64, u64),
    /// How often each trick was played.
    pub played: Vec<(&'static str, u64)>,
}

/// Runs the seeds on as many threads as there are processors, and calls `progress` with each that is done.
pub fn run_hostile_seeds(
    seeds: Range<u64>,
    meter: Option<Meter>,
    progress: impl Fn(u64) + Sync,
) -> HostileSummary {
    let mut summary = HostileSummary::default();
    let one = |seed| {
        let result = run_hostile_seed(seed, meter, None);
        progress(seed);
        result
    };
    spread(seeds, one, |seed, result| summary.add(seed, result));
    summary
        .failures
        .sort_unstable_by_key(|failure| failure.seed);
    summary
}

/// Runs one seed without its attack and with it. Every packet of the attacked run becomes a line for `sink`.
///
/// # Errors
/// The first rule that was broken. A panic is one.
pub fn run_hostile_seed(
    seed: u64,
    meter: Option<Meter>,
    sink: Option<Sink<'_>>,
) -> Result<HostileReport, Failure> {
    guarded(|| compare(seed, meter, sink)).map_err(|violation| Failure {
        seed,
        runs: Runs::Hostile,
        violation,
    })
}

fn compare(
    seed: u64,
    meter: Option<Meter>,
    sink: Option<Sink<'_>>,
) -> Result<HostileReport, Violation> {
    let scenario = HostileScenario::from_seed(seed);
    let mut setting = setting(&scenario);
    let alone = run(&setting, None, meter, None)?;
    let done_alone = alone.done_at.unwrap_or_default();
    setting.finish_by = done_alone * 3 + 30 * SECOND;
    setting.may_fail = scenario.overrun;
    setting.tasks[0].extend(lured(&scenario));
    let mut hostile = Hostile::new(scenario.attack.clone(), address(0));
    let attacker: &mut dyn Attacker = &mut hostile;
    let attacked = run(&setting, Some(attacker), meter, sink)?;
    let comparable = scenario.is_clean() && attacked.done_at.is_some() && !scenario.overrun;
    if let (Some(attacked), true) = (attacked.done_at, comparable) {
        check_speed(done_alone, attacked, scenario.dials_at)?;
    }
    let [costs, _] = attacked.costs;
    Ok(HostileReport {
        done_at: [done_alone, attacked.done_at.unwrap_or(done_alone)],
        clean: comparable,
        overrun: attacked.done_at.is_none(),
        began: scenario.dials_at,
        datagrams: (costs.datagrams_in, costs.datagrams_out),
        memory: costs.memory,
        connections: costs.connections,
        allocations: costs.allocations,
        amplification: attacked.amplification,
        lasted: attacked.lasted,
        played: Trick::ALL
            .map(Trick::name)
            .into_iter()
            .zip(hostile.played)
            .collect(),
    })
}

/// The rate under attack is at least 95 % of the rate without.
pub(super) fn check_speed(alone: Time, attacked: Time, began: Time) -> Result<(), Violation> {
    let ratio = ratio(alone, attacked, began);
    if ratio < LEAST_RATIO {
        return Err(Violation {
            rule: Rule::Harm,
            at: attacked,
            host: None,
            detail: format!(
                "honest transfers came to {ratio} thousandths of their rate: {attacked} ns instead of {alone} ns"
            ),
        });
    }
    Ok(())
}

/// In thousandths.
fn ratio(alone: Time, attacked: Time, began: Time) -> u64 {
    let time = |at: Time| at.saturating_sub(began).max(1);
    time(alone).saturating_mul(1000) / time(attacked)
}

fn setting(scenario: &HostileScenario) -> Setting {
    let [dialed, accepted] = scenario.transfers;
    let task = |(streams, up, down), node: usize| Task {
        to: address(1 - node),
        at: scenario.dials_at,
        streams,
        up,
        down,
        honest: true,
    };
    let mut configs = [scenario.config.clone(), EndpointConfig::default()];
    for config in &mut configs {
        config
            .accept_versions
            .clone_from(&scenario.config.accept_versions);
        config.connection.version = scenario.version;
    }
    Setting {
        seed: scenario.seed,
        configs,
        tasks: [vec![task(dialed, 0)], vec![task(accepted, 1)]],
        greed: scenario.greed,
        path: scenario.path.clone(),
        hostile_path: scenario.hostile_path.clone(),
        finish_by: 600 * SECOND,
        // It would shift honest packets as the attack's arrive, by chance: not where times are compared.
        receive_wait: if scenario.is_clean() { 0 } else { MS / 5 },
        may_fail: false,
        aftermath: 5 * SECOND,
    }
}

/// Connections that the victim makes to the hostile side.
fn lured(scenario: &HostileScenario) -> impl Iterator<Item = Task> + '_ {
    (0..scenario.lured).map(|n| Task {
        to: SocketAddr::from((Ipv4Addr::new(198, 51, 100, 1), 5000 + n as u16)),
        at: scenario.attack.begins + n as u64,
        streams: 1 + n,
        up: 40_000,
        down: 10_000,
        honest: false,
    })
}

impl HostileSummary {
    fn add(&mut self, seed: u64, result: Result<HostileReport, Failure>) {
        self.seeds += 1;
        let report = match result {
            Ok(report) => report,
            Err(failure) => {
                self.failures.push(failure);
                return;
            }
        };
        self.datagrams.0 += report.datagrams.0;
        self.datagrams.1 += report.datagrams.1;
        let [alone, attacked] = report.done_at;
        self.total[0] += alone;
        self.total[1] += attacked;
        if report.clean {
            let ratio = (ratio(alone, attacked, report.began), seed);
            self.compared += 1;
            self.worst_ratio = Some(self.worst_ratio.map_or(ratio, |worst| worst.min(ratio)));
        }
        self.overrun += u64::from(report.overrun);
        self.memory = self.memory.max((report.memory, seed));
        self.connections = self.connections.max((report.connections, seed));
        self.allocations = self.allocations.max((report.allocations, seed));
        self.amplification = self.amplification.max((report.amplification, seed));
        if self.played.is_empty() {
            self.played = report.played;
        } else {
            for (sum, (_, count)) in self.played.iter_mut().zip(report.played) {
                sum.1 += count;
            }
        }
    }
}

/// In thousandths.
const LEAST_RATIO: u64 = 950;
