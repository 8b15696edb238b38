//! Trials: runs on paths that are made for one question each, and judged by time and by what was sent again. A random path hides slowness
//! behind its losses; here everything is known, so it can be said how long a transfer may take, and that nothing is lost for no reason.

mod acks;
mod ends;
mod foreign;
mod loss;
mod shares;

use crate::plan::{
    DirectionPlan, HostPlan, MS, Pause, ReadPlan, SECOND, Scenario, Start, StreamPlan, Time,
    WritePlan,
};
use crate::report::{Report, Rule, Seconds, Violation};
use crate::scenario::memory_bound;
use crate::seeds::{guarded, spread};
use crate::world::run;
use gapless_link::{Blackout, Profile, Queue, Random, Share};
use gapless_udx::{Algorithm, Version, VersionChoice};
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::time::Duration;

/// A run that is made for a question.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The question.
    pub name: &'static str,
    /// What is run.
    pub scenario: Scenario,
    expected: Expected,
}

/// What a trial has to come to.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    /// All streams are over by then.
    within: Option<Time>,
    /// These sides lose nothing, so nothing may be taken for lost, sent again or waited for in vain.
    nothing_lost: [bool; 2],
    /// What is lost is found by what came after it, not by a timeout.
    no_timeout: bool,
    /// RFC 9002 7.6: whether the outage is one of persistent congestion.
    persistent: Option<bool>,
    /// RFC 9002 7.3.2: losses of one flight reduce the window once, so there are no more reductions than this.
    reductions: Option<u64>,
    /// The dialer has found out that datagrams of this size pass.
    mtu: Option<u16>,
    /// The acceptor sends so many datagrams for each hundred of the dialer's at most.
    answers: Option<u64>,
    /// The dialer waits for so many timeouts at most.
    timeouts: Option<u64>,
    /// The end comes by a restart, and the other side learns of it in this time.
    learned_within: Option<Time>,
}

/// A trial whose run broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialFailure {
    /// Its number.
    pub number: u64,
    /// Its question.
    pub name: &'static str,
    /// What was broken.
    pub violation: Violation,
}

impl Trial {
    /// The trial of this number. Consecutive ones ask different questions.
    pub fn new(number: u64) -> Self {
        let mut draw = Draw(Random::for_purpose(number, 7));
        let ask = QUESTIONS[(number % QUESTIONS.len() as u64) as usize];
        ask(number, &mut draw)
    }

    /// The question of this name, asked as this number has it, whichever number it would have itself.
    pub fn about(name: &str, number: u64) -> Option<Self> {
        let mut asked = QUESTIONS
            .iter()
            .map(|ask| ask(number, &mut Draw(Random::for_purpose(number, 7))));
        asked.find(|trial| trial.name == name)
    }

    /// Runs it.
    ///
    /// # Errors
    /// The first rule that was broken, those of every run included.
    pub fn run(&self) -> Result<Report, Violation> {
        let report = run(&self.scenario)?;
        let broken = |detail| Violation {
            rule: Rule::Speed,
            at: report.lasted,
            host: Some(0),
            detail,
        };
        self.judge(&report).map_err(broken)?;
        Ok(report)
    }

    fn judge(&self, report: &Report) -> Result<(), String> {
        let Expected {
            within,
            nothing_lost,
            no_timeout,
            persistent,
            reductions,
            mtu,
            answers,
            timeouts,
            learned_within,
        } = self.expected;
        if let Some(within) = learned_within
            && report.learned_within.is_none_or(|took| took > within)
        {
            return Err(format!(
                "it learned of the restart after {:?}, and may after {}",
                report.learned_within.map(|took| Seconds(took).to_string()),
                Seconds(within)
            ));
        }
        let over = report.streams_over.unwrap_or(report.lasted);
        if let Some(within) = within.filter(|&within| over > within) {
            return Err(format!(
                "it took {} and may take {}",
                Seconds(over),
                Seconds(within)
            ));
        }
        for (host, engine) in report.engines.iter().enumerate() {
            let stats = &engine.recovery;
            if nothing_lost[host] && stats.packets_lost + stats.packets_resent + stats.ptos > 0 {
                return Err(format!(
                    "nothing was lost, but host {host} took {} packets for lost, sent {} again and timed out {} times",
                    stats.packets_lost, stats.packets_resent, stats.ptos
                ));
            }
            if no_timeout && stats.ptos > 0 {
                return Err(format!(
                    "host {host} waited for {} timeouts where later packets told of the loss",
                    stats.ptos
                ));
            }
        }
        let [dialer, _] = &report.engines;
        let stats = &dialer.recovery;
        if let Some(most) = timeouts.filter(|&most| stats.ptos > most) {
            return Err(format!("{} timeouts, for {most} at most", stats.ptos));
        }
        let [asked, answered] = report.links.each_ref().map(|link| link.offered);
        if let Some(most) = answers.filter(|&most| answered > asked * most / 100 + FEW) {
            return Err(format!(
                "{answered} datagrams answered {asked}, for {most} of a hundred at most"
            ));
        }
        match persistent {
            Some(true) if stats.persistent_congestion == 0 => {
                return Err("an outage of many timeouts was no persistent congestion".into());
            }
            Some(false) if stats.persistent_congestion > 0 => {
                return Err("there was no outage, but persistent congestion".into());
            }
            _ => {}
        }
        if let Some(most) = reductions.filter(|&most| stats.congestion_events > most) {
            let events = stats.congestion_events;
            return Err(format!(
                "the window was reduced {events} times, for {most} at most"
            ));
        }
        match mtu {
            Some(mtu) if dialer.mtu < mtu => Err(format!(
                "datagrams of {mtu} bytes pass, and it sends {}",
                dialer.mtu
            )),
            _ => Ok(()),
        }
    }
}

/// Runs the trials of these numbers on as many threads as there are processors, and calls `progress` with each that is done.
pub fn run_trials(numbers: Range<u64>, progress: impl Fn(u64) + Sync) -> Vec<TrialFailure> {
    let mut failures = Vec::new();
    let one = |number| {
        let result = run_trial(number);
        progress(number);
        result
    };
    spread(numbers, one, |_, result| failures.extend(result.err()));
    failures.sort_unstable_by_key(|failure: &TrialFailure| failure.number);
    failures
}

/// Runs one.
///
/// # Errors
/// The first rule that was broken. A panic is one.
pub fn run_trial(number: u64) -> Result<Report, TrialFailure> {
    let trial = Trial::new(number);
    guarded(|| trial.run()).map_err(|violation| TrialFailure {
        number,
        name: trial.name,
        violation,
    })
}

impl Display for TrialFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            name,
            violation,
        } = self;
        write!(
            f,
            "trial {number} ({name}): {violation}\n    replay: cargo xtask lab --trial {number} --log"
        )
    }
}

impl std::error::Error for TrialFailure {}

const QUESTIONS: [fn(u64, &mut Draw) -> Trial; 20] = [
    clean,
    gap,
    outage,
    silence,
    crowd,
    wide,
    narrow_log,
    chance,
    acks::drip,
    black_hole,
    optimist,
    foreign::two_senders,
    foreign::many_numbers,
    foreign::lost_update,
    ends::restart,
    acks::crossing,
    acks::few,
    ends::both,
    loss::bursts,
    shares::given_back,
];

/// A path on which nothing is lost: no timeout, nothing sent twice, and most of the rate is used.
fn clean(number: u64, draw: &mut Draw) -> Trial {
    let rate = draw.pick(&[2, 10, 50]) * MEGABIT;
    let path = draw.path(number, rate, &[2, 20, 80]);
    // Messages in turns: whose answers are late waits for a timeout. Not beside the bulk, whose queue makes the path longer at once.
    let talks = draw.one_in(3);
    let bytes = if talks {
        40 * MESSAGE
    } else {
        (rate / 8 * 2).min(3 << 20)
    };
    let streams = vec![if talks {
        turns(40)
    } else {
        StreamPlan::bulk(bytes, 1)
    }];
    let mut scenario = Scenario::plain(number, &path, streams);
    draw.settings(&mut scenario);
    let searches = scenario.hosts[0].config.connection.version == VersionChoice::Only(Version::V3);
    let expected = Expected {
        within: Some(time_for(bytes, rate) * 2 + 60 * round_trip(&path) + SECOND),
        nothing_lost: [true, talks],
        mtu: (searches && bytes > 1 << 20).then_some(1472),
        ..Expected::default()
    };
    Trial {
        name: "a clean path is used",
        scenario,
        expected,
    }
}

/// The path is down for some packets, amid many: those that follow tell of them.
fn gap(number: u64, draw: &mut Draw) -> Trial {
    let (rate, delay) = draw.pick(&[(50 * MEGABIT, 20), (10 * MEGABIT, 80)]);
    let mut path = draw.path(number, rate, &[delay]);
    // Many are left even if the window has grown as fast as it can.
    let bytes = 4 << 20;
    let packets = draw.between(2, 12);
    let from = Duration::from_nanos(2 * SECOND / 10 + 8 * round_trip(&path));
    let length = Duration::from_nanos(time_for(packets * 1500, rate));
    let clear = path.clone();
    path.blackouts = vec![Blackout { from, length }];
    let mut scenario = Scenario::plain(number, &clear, vec![StreamPlan::bulk(bytes, 1)]);
    scenario.faults[0] = path.clone();
    scenario.calm[0] = path.clone();
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(time_for(bytes, rate) * 2 + 40 * round_trip(&path) + SECOND),
        no_timeout: true,
        persistent: Some(false),
        reductions: Some(1),
        ..Expected::default()
    };
    Trial {
        name: "a gap is filled as soon as it shows",
        scenario,
        expected,
    }
}

/// The path is down for seconds: the window begins anew, and soon after the end all goes on.
fn outage(number: u64, draw: &mut Draw) -> Trial {
    let rate = 10 * MEGABIT;
    let mut path = draw.path(number, rate, &[5, 20]);
    let bytes = 3 << 20;
    let length = draw.between(5, 8) * SECOND;
    path.blackouts = vec![Blackout {
        from: Duration::from_nanos(SECOND),
        length: Duration::from_nanos(length),
    }];
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, 1)]);
    scenario.patience += length;
    scenario.rests += length;
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(time_for(bytes, rate) * 2 + length + 5 * SECOND),
        persistent: Some(true),
        ..Expected::default()
    };
    Trial {
        name: "an outage is persistent congestion",
        scenario,
        expected,
    }
}

/// A writer that rests for longer than the idle timeout, and a reader that lets its window stand full for as long.
fn silence(number: u64, draw: &mut Draw) -> Trial {
    let rate = 10 * MEGABIT;
    let path = draw.path(number, rate, &[5, 50]);
    let rest = draw.between(35, 70) * SECOND;
    let mut rests = turns(4);
    rests.there.write.pause = Some(Pause {
        every: 2 * MESSAGE,
        time: rest,
    });
    let mut full = StreamPlan::bulk(2 << 20, 1);
    full.there.read.delay = rest;
    let streams = if draw.one_in(2) {
        vec![rests]
    } else {
        vec![rests, full]
    };
    let mut scenario = Scenario::plain(number, &path, streams);
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(3 * rest + 20 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "a silence ends nothing",
        scenario,
        expected,
    }
}

/// More streams than may be open at once, and some that come late, when many are over.
fn crowd(number: u64, draw: &mut Draw) -> Trial {
    let path = draw.path(number, 20 * MEGABIT, &[2, 20]);
    let count = draw.between(200, 400) as usize;
    let mut streams = vec![StreamPlan::bulk(1000, 1000); count];
    for late in 0..6 {
        let mut plan = StreamPlan::bulk(2000, 500);
        plan.start = Start::At((2 + 2 * late) * SECOND);
        streams.push(plan);
    }
    let mut scenario = Scenario::plain(number, &path, streams);
    draw.settings(&mut scenario);
    for host in &mut scenario.hosts {
        host.config.limits.max_streams = 128;
    }
    let expected = Expected {
        within: Some(25 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "places of streams become free",
        scenario,
        expected,
    }
}

/// A path that holds more than MAX_DATA allows.
fn wide(number: u64, draw: &mut Draw) -> Trial {
    let rate = 100 * MEGABIT;
    let path = draw.path(number, rate, &[80, 120]);
    let bytes = 6 << 20;
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, 1)]);
    draw.settings(&mut scenario);
    for host in &mut scenario.hosts {
        host.config.connection.max_in_flight = 1 << 20;
        host.config.connection.initial_stream_window = 8 << 20;
    }
    let windows = bytes / (1 << 20) + 1;
    let expected = Expected {
        within: Some((2 * windows + 30) * round_trip(&path) + SECOND),
        nothing_lost: [true, false],
        ..Expected::default()
    };
    Trial {
        name: "MAX_DATA binds",
        scenario,
        expected,
    }
}

/// A sent log of few records.
fn narrow_log(number: u64, draw: &mut Draw) -> Trial {
    let rate = 20 * MEGABIT;
    let path = draw.path(number, rate, &[10, 40]);
    let (bytes, records) = (1 << 20, draw.between(16, 48) as usize);
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, bytes / 2)]);
    draw.settings(&mut scenario);
    for host in &mut scenario.hosts {
        host.config.limits.max_records = records;
    }
    let rounds = bytes / (1000 * records as u64) + 40;
    let expected = Expected {
        within: Some(2 * time_for(bytes, rate) + 2 * rounds * (round_trip(&path) + 25 * MS)),
        nothing_lost: [true, false],
        ..Expected::default()
    };
    Trial {
        name: "a full log waits",
        scenario,
        expected,
    }
}

/// BBR on a path that loses and reorders by chance.
fn chance(number: u64, draw: &mut Draw) -> Trial {
    let rate = draw.pick(&[5, 20]) * MEGABIT;
    let mut path = draw.path(number, rate, &[10, 40]);
    path.loss = Share::from_millionths(draw.between(0, 30_000) as u32);
    path.reorder = Share::from_millionths(draw.pick(&[0, 2_000, 30_000]) as u32);
    path.queue = Some(Queue::Time(Duration::from_millis(
        draw.pick(&[10, 50, 300]),
    )));
    let bytes = rate / 8 * draw.between(2, 6);
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, 1)]);
    draw.settings(&mut scenario);
    for host in &mut scenario.hosts {
        host.config.connection.algorithm = Algorithm::Bbr;
        host.config.connection.pacing = true;
    }
    let expected = Expected {
        within: Some(4 * time_for(bytes, rate) + 60 * round_trip(&path) + 2 * SECOND),
        persistent: Some(false),
        ..Expected::default()
    };
    Trial {
        name: "BBR fills a path that loses by chance",
        scenario,
        expected,
    }
}

/// Another route, on which large packets vanish without a word.
fn black_hole(number: u64, draw: &mut Draw) -> Trial {
    let rate = 10 * MEGABIT;
    let path = draw.path(number, rate, &[2, 20]);
    let bytes = 3 << 20;
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, bytes / 4)]);
    scenario.calm_from = SECOND;
    for profile in &mut scenario.calm {
        profile.mtu = Some(draw.between(1228, 1450) as u16);
    }
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(4 * time_for(bytes, rate) + 15 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "a path that became smaller is noticed",
        scenario,
        expected,
    }
}

/// Somebody on a lossy path acknowledges more than was sent.
fn optimist(number: u64, draw: &mut Draw) -> Trial {
    let rate = 10 * MEGABIT;
    let mut path = draw.path(number, rate, &[5, 20]);
    path.loss = Share::from_percent(2);
    let bytes = 400_000;
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, bytes)]);
    scenario.optimist = true;
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(8 * time_for(bytes, rate) + 20 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "what was never sent cannot be acknowledged",
        scenario,
        expected,
    }
}

/// Messages that are answered before the next one is sent.
fn turns(count: u64) -> StreamPlan {
    let direction = |lead| DirectionPlan {
        write: WritePlan {
            piece: (MESSAGE as usize, MESSAGE as usize),
            lead: Some(lead),
            ..WritePlan::bulk(count * MESSAGE)
        },
        read: ReadPlan::FAST,
    };
    StreamPlan {
        opener: 0,
        start: Start::At(0),
        there: direction(MESSAGE),
        back: direction(0),
    }
}

struct Draw(Random);

impl Draw {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.below(from.len() as u64) as usize]
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.between(low, high)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    /// One of the delays, in milliseconds, and a queue in which nothing is lost.
    fn path(&mut self, seed: u64, rate: u64, delays: &[u64]) -> Profile {
        Profile {
            delay: Duration::from_millis(self.pick(delays)),
            rate: Some(rate),
            queue: Some(Queue::Bytes(AMPLE_QUEUE)),
            seed,
            ..Profile::default()
        }
    }

    fn settings(&mut self, scenario: &mut Scenario) {
        let algorithm = self.pick(&[Algorithm::Cubic, Algorithm::NewReno, Algorithm::Bbr]);
        let version = self.pick(&[Version::V3, Version::V3, Version::V2]);
        let HostPlan { config, .. } = &scenario.hosts[0];
        let bound = memory_bound(&config.limits, scenario.streams.len());
        for host in &mut scenario.hosts {
            host.config.connection.algorithm = algorithm;
            host.config.connection.version = VersionChoice::Only(version);
            host.memory_bound = bound;
        }
    }
}

fn time_for(bytes: u64, rate: u64) -> Time {
    bytes * 8 * (SECOND / 1000) / (rate / 1000)
}

fn round_trip(path: &Profile) -> Time {
    2 * path.delay.as_nanos() as u64
}

/// Datagrams that open and end a connection, and search for its path's size.
const FEW: u64 = 40;
const MEGABIT: u64 = 1_000_000;
/// Bytes of a message.
const MESSAGE: u64 = 1000;
/// Holds all that a trial has in flight.
const AMPLE_QUEUE: u64 = 16 << 20;
