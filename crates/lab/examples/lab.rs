//! Seeds and loads from the command line: what `cargo xtask lab` runs.

mod counting;
mod failing;
mod marks;
mod sabotage;
mod smoltcp;
mod soak;
mod tcp;

use clap::Parser;
use gapless_lab::load::{self, CLEAN};
use gapless_lab::peers::Kind;
use gapless_lab::{
    Failure, HostileSummary, MS, MarkGroup, MarkTally, Report, SECOND, STALL_PTOS, Scenario,
    Summary, Trial, run_hostile_seed, run_hostile_seeds, run_logged, run_seed, run_seed_against,
    run_seeds, run_seeds_against, run_trial, run_trials, run_whole,
};
use gapless_link::Profile;
use gapless_udx::{Version, VersionChoice};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Runs two engines against each other in virtual time and checks them at every step.
///
/// Without options: the seeds that `cargo test` runs. Ends with 1 if a rule was broken.
#[derive(Parser)]
#[command(name = "cargo xtask lab", bin_name = "cargo xtask lab")]
struct Options {
    /// How many seeds to run
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Run the scenario that a file's bytes decide on: what a failing seed was shrunk to, or what a fuzzer found
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "from", "seed", "load", "hostile"])]
    replay: Option<PathBuf>,
    /// Make the replayed scenario small if it fails
    #[arg(long, requires = "replay")]
    shrink: bool,
    /// With a model of another implementation at one end (an unknown name lists them); with --tcp: smoltcp
    #[arg(long, conflicts_with = "load")]
    against: Option<String>,
    /// Two TCP stacks instead of two UDX engines
    #[arg(long, conflicts_with_all = ["load", "hostile", "trial"])]
    tcp: bool,
    /// Run a load by name instead of a seed (an unknown name lists them)
    #[arg(long, conflicts_with_all = ["seeds", "from", "seed"])]
    load: Option<String>,
    /// Run the load in this wire version, 2 or 3, instead of asking for it
    #[arg(long, requires = "load", value_parser = clap::value_parser!(u32).range(2..=3))]
    wire: Option<u32>,
    /// The path of the load, as --impair takes it
    #[arg(long, requires = "load", default_value = CLEAN)]
    path: Profile,
    /// Print every packet of the one run
    #[arg(long)]
    log: bool,
    /// Seeds of a hostile peer that attacks an engine, instead of two engines on a bad path
    #[arg(long, conflicts_with = "load")]
    hostile: bool,
    /// Run this trial alone
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["seed", "load", "hostile", "against"])]
    trial: Option<u64>,
    /// Switch known defects of the engines on, one by one (or this one), and look for each in so many seeds
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = sabotage::ALL, conflicts_with_all = ["seed", "load", "hostile", "against", "trial"])]
    sabotage: Option<String>,
    /// Print how often each rare branch of the engines was taken
    #[arg(long, conflicts_with_all = ["seed", "load"])]
    marks: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.tcp {
        return exit(of_tcp(&options));
    }
    let against = match options.against.as_deref().map(str::parse).transpose() {
        Ok(against) => against,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    run_udx(&options, against)
}

fn run_udx(options: &Options, against: Option<Kind>) -> ExitCode {
    if let Some(file) = &options.replay {
        return exit(replay(file, options, against));
    }
    if let Some(name) = &options.sabotage {
        let engines = sabotage::Engines::Udx;
        return exit(sabotage::hunt_all(engines, name, options.seeds));
    }
    if let Some(number) = options.trial {
        return exit(one_trial(number, options.log));
    }
    let done = match (&options.load, options.seed) {
        (Some(name), _) => one_load(name, options),
        (None, Some(seed)) if options.hostile => one_hostile_seed(seed, options.log),
        (None, None) if options.hostile => many_hostile_seeds(options),
        (None, Some(seed)) => match against {
            Some(kind) => one_seed_against(kind, seed, options.log),
            None => one_seed(seed, options.log),
        },
        (None, None) => many_seeds(options, against),
    };
    exit(done)
}

fn exit(done: bool) -> ExitCode {
    if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn of_tcp(options: &Options) -> bool {
    let other = match options.against.as_deref() {
        None => None,
        Some(smoltcp::NAME) => Some((smoltcp::NAME, smoltcp::MAKE)),
        Some(name) => {
            println!("there is no TCP `{name}`; there is {}", smoltcp::NAME);
            return false;
        }
    };
    if let Some(file) = &options.replay {
        return tcp::replay(file, other, options.log, options.shrink);
    }
    if let Some(name) = &options.sabotage {
        return sabotage::hunt_all(sabotage::Engines::Tcp, name, options.seeds);
    }
    if let Some(seed) = options.seed {
        return tcp::one(seed, other, options.log);
    }
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let done = AtomicU64::new(0);
    let seeds = options.from..options.from.saturating_add(options.seeds);
    let collector = marks::Collector::of_tcp();
    let summary = tcp::many(seeds, other, |seed| {
        collector.collect(seed);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(PROGRESS_EVERY) {
            eprintln!("{done} of {} seeds", options.seeds);
        }
    });
    let small = |failure: &Failure| {
        println!("{failure}");
        tcp::small_one(failure, other);
        println!();
    };
    print_summary(&summary, begin.elapsed().as_secs_f64(), small);
    let groups: &[MarkGroup] = match other {
        None => &[MarkGroup::Tcp, MarkGroup::TcpManySeeds],
        Some(_) => &[],
    };
    let all_hit = print_marks(&collector.tally(), groups, options.marks);
    summary.failures.is_empty() && all_hit
}

fn many_seeds(options: &Options, against: Option<Kind>) -> bool {
    // A panic in a run is a failing seed; its words are in the seed's line.
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let done = AtomicU64::new(0);
    let seeds = options.from..options.from.saturating_add(options.seeds);
    let collector = marks::Collector::default();
    let progress = |seed| {
        collector.collect(seed);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(PROGRESS_EVERY) {
            eprintln!("{done} of {} seeds", options.seeds);
        }
    };
    let summary = match against {
        Some(kind) => run_seeds_against(kind, seeds, progress),
        None => run_seeds(seeds, progress),
    };
    print_summary(&summary, begin.elapsed().as_secs_f64(), failing::report);
    let no_trial_failed = against.is_some() || many_trials(options, &collector);
    let groups = match against {
        Some(kind) => vec![MarkGroup::Against(kind)],
        None => vec![MarkGroup::Seeds, MarkGroup::ManySeeds],
    };
    let all_hit = print_marks(&collector.tally(), &groups, options.marks);
    summary.failures.is_empty() && no_trial_failed && all_hit
}

/// One for each so many seeds.
fn many_trials(options: &Options, collector: &marks::Collector) -> bool {
    let begin = Instant::now();
    let first = options.from / SEEDS_PER_TRIAL;
    let numbers = first..first + options.seeds.div_ceil(SEEDS_PER_TRIAL);
    let count = numbers.end - numbers.start;
    let failures = run_trials(numbers, |_| collector.collect_trial());
    for failure in &failures {
        println!("{failure}\n");
    }
    println!(
        "{count} trials in {:.1} s, {} failed",
        begin.elapsed().as_secs_f64(),
        failures.len()
    );
    failures.is_empty()
}

fn one_trial(number: u64, log: bool) -> bool {
    let trial = Trial::new(number);
    if log {
        print_logged(&trial.scenario);
    }
    match run_trial(number) {
        Ok(report) => {
            print_report(&report);
            true
        }
        Err(failure) => {
            println!("{failure}");
            false
        }
    }
}

fn print_summary(summary: &Summary, seconds: f64, small: impl Fn(&Failure)) {
    for (place, failure) in summary.failures.iter().enumerate() {
        if place < MOST_SHRUNK {
            small(failure);
        } else {
            println!("{failure}\n");
        }
    }
    let Summary {
        seeds,
        failures,
        given_up,
        lasted,
        steps,
        datagrams: (sent, arrived),
        longest_wait: (wait, wait_seed),
        longest_stall: (stall, stall_seed),
        most_memory: (memory, memory_seed),
    } = summary;
    println!(
        "{seeds} seeds in {seconds:.1} s ({:.0} per second), {} failed",
        *seeds as f64 / seconds,
        failures.len()
    );
    if *given_up > 0 {
        println!("{given_up} connections ended in an error that could not be helped");
    }
    println!(
        "{} s of virtual time, {steps} steps, {sent} datagrams sent, {arrived} arrived",
        lasted / SECOND
    );
    println!(
        "longest time without progress in the calm: {} ms (seed {wait_seed})",
        wait / MS
    );
    println!(
        "longest stall in the calm: {:.3} probe timeouts of the engine, {STALL_PTOS} are allowed (seed {stall_seed})",
        *stall as f64 / 1000.0
    );
    println!(
        "most memory held by an engine: {} KiB (seed {memory_seed})",
        memory / 1024
    );
}

fn many_hostile_seeds(options: &Options) -> bool {
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let done = AtomicU64::new(0);
    let seeds = options.from..options.from.saturating_add(options.seeds);
    let collector = marks::Collector::default();
    let summary = run_hostile_seeds(seeds, Some(counting::METER), |seed| {
        collector.collect(seed);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(HOSTILE_PROGRESS_EVERY) {
            eprintln!("{done} of {} seeds", options.seeds);
        }
    });
    print_hostile_summary(&summary, begin.elapsed().as_secs_f64());
    let all_hit = print_marks(&collector.tally(), &[MarkGroup::Hostile], options.marks);
    summary.failures.is_empty() && all_hit
}

/// Whether all marks of the groups were hit, as far as these were seeds enough to tell.
fn print_marks(tally: &MarkTally, groups: &[MarkGroup], all: bool) -> bool {
    if all {
        print!("{tally}");
    }
    let missing: Vec<_> = groups
        .iter()
        .flat_map(|group| tally.missing(*group))
        .collect();
    for name in &missing {
        println!("no seed took the branch {name}");
    }
    let refuted = tally.refuted();
    for name in &refuted {
        println!("the branch {name} was taken, which TCP never does");
    }
    missing.is_empty() && refuted.is_empty()
}

fn print_hostile_summary(summary: &HostileSummary, seconds: f64) {
    for failure in &summary.failures {
        println!("{failure}\n");
    }
    let HostileSummary {
        seeds,
        failures,
        datagrams: (came, went),
        worst_ratio,
        compared,
        overrun,
        total: [alone, attacked],
        memory: (memory, memory_seed),
        connections: (connections, connections_seed),
        allocations: (allocations, allocations_seed),
        amplification: (amplification, amplification_seed),
        played,
    } = summary;
    println!(
        "{seeds} hostile seeds in {seconds:.1} s ({:.0} per second), {} failed",
        *seeds as f64 / seconds,
        failures.len()
    );
    println!("the victims were sent {came} datagrams and sent {went}");
    println!("most memory: {} KiB (seed {memory_seed})", memory / 1024);
    println!("most connections at once: {connections} (seed {connections_seed})");
    println!("most allocations for one datagram: {allocations} (seed {allocations_seed})");
    println!(
        "most bytes to an unproven address for each byte from it: {:.3} (seed {amplification_seed})",
        *amplification as f64 / 1000.0
    );
    if let Some((ratio, seed)) = worst_ratio {
        println!(
            "honest rate under attack to rate without, on {compared} paths without loss: {:.3} at least (seed {seed})",
            *ratio as f64 / 1000.0
        );
    }
    println!(
        "honest rate under attack to rate without, all paths: {:.3}",
        *alone as f64 / (*attacked).max(1) as f64
    );
    println!("honest sides kept out where limits were set too low for the attack: {overrun}");
    let tricks: Vec<String> = played
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    println!("tricks: {}", tricks.join(", "));
}

fn one_hostile_seed(seed: u64, log: bool) -> bool {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut sink = |line: &str| {
        let _ = writeln!(out, "{line}");
    };
    let result = if log {
        run_hostile_seed(seed, Some(counting::METER), Some(&mut sink))
    } else {
        run_hostile_seed(seed, Some(counting::METER), None)
    };
    let _ = out.flush();
    drop(out);
    match result {
        Ok(report) => {
            println!("{report:#?}");
            true
        }
        Err(failure) => {
            println!("{failure}");
            false
        }
    }
}

fn one_seed(seed: u64, log: bool) -> bool {
    let scenario = Scenario::from_seed(seed);
    let result = run_seed(seed);
    if log {
        print_both_logged(&scenario, result.is_err());
    }
    print_result(&result)
}

fn one_seed_against(kind: Kind, seed: u64, log: bool) -> bool {
    if log {
        print_logged(&Scenario::against(kind, seed));
    }
    print_result(&run_seed_against(kind, seed))
}

fn print_result(result: &Result<Report, Failure>) -> bool {
    match result {
        Ok(report) => print_report(report),
        Err(failure) => {
            std::panic::set_hook(Box::new(|_| {}));
            failing::report(failure);
        }
    }
    result.is_ok()
}

fn replay(file: &Path, options: &Options, against: Option<Kind>) -> bool {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            println!("{} cannot be read: {error}", file.display());
            return false;
        }
    };
    let scenario = match against {
        Some(kind) => Scenario::against_from_bytes(kind, &bytes),
        None => Scenario::from_bytes(&bytes),
    };
    let result = run_whole(|| scenario.clone());
    if options.log {
        print_both_logged(&scenario, result.is_err());
    }
    match result {
        Ok(report) => {
            print_report(&report);
            true
        }
        Err(violation) => {
            println!("{violation}");
            if options.shrink {
                std::panic::set_hook(Box::new(|_| {}));
                let name = file.file_stem().unwrap_or_default().to_string_lossy();
                failing::small(&name, &bytes, against, &violation);
            }
            false
        }
    }
}

/// The log of a run, and if it does not fail by itself, of the same polled otherwise.
fn print_both_logged(scenario: &Scenario, fails: bool) {
    if print_logged(scenario)
        && fails
        && let Some(other) = scenario.with_other_manners()
    {
        print_logged(&other);
    }
}

fn one_load(name: &str, options: &Options) -> bool {
    if let Some(result) = soak::run(name, options.wire.and_then(Version::from_wire)) {
        return result;
    }
    let all: Vec<load::Load> = load::all().into_iter().chain(load::long()).collect();
    let Some(load) = all.iter().find(|load| load.name == name) else {
        let names = all.iter().map(|load| load.name).chain(soak::NAMES);
        let names: Vec<&str> = names.collect();
        println!("there is no load `{name}`; there are {}", names.join(", "));
        return false;
    };
    let mut scenario = Scenario::plain(options.path.seed, &options.path, load.streams.clone());
    scenario.check_every = 50;
    if let Some(version) = options.wire.and_then(Version::from_wire) {
        scenario = scenario.speaking(VersionChoice::Only(version));
    }
    if options.log {
        return print_logged(&scenario);
    }
    match gapless_lab::run(&scenario) {
        Ok(report) => {
            print_report(&report);
            true
        }
        Err(violation) => {
            println!("{violation}");
            false
        }
    }
}

fn print_logged(scenario: &Scenario) -> bool {
    println!("{scenario:#?}\n");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut sink = |line: &str| {
        // A reader that had enough closes the pipe: no reason to fail.
        let _ = writeln!(out, "{line}");
    };
    let result = run_logged(scenario, Some(&mut sink));
    let _ = out.flush();
    drop(out);
    match result {
        Ok(report) => {
            print_report(&report);
            true
        }
        Err(violation) => {
            println!("{violation}");
            false
        }
    }
}

fn print_report(report: &Report) {
    println!(
        "no rule was broken in {} ms of virtual time, {} steps; all streams were over after {:?} ms",
        report.lasted / MS,
        report.steps,
        report.streams_over.map(|over| over / MS)
    );
    println!(
        "longest time without progress in the calm: {} ms",
        report.longest_wait / MS
    );
    for (name, counters) in ["dialer to acceptor", "acceptor to dialer"]
        .iter()
        .zip(&report.links)
    {
        println!("{name}: {counters:?}");
    }
    for (name, outcomes) in ["dialer", "acceptor"].iter().zip(&report.outcomes) {
        for (plan, outcome) in outcomes.iter().enumerate() {
            println!("{name}, stream {plan}: {outcome:?}");
        }
    }
}

/// Failing seeds that are made small; where more fail, most fail for the same reason.
const MOST_SHRUNK: usize = 10;
/// A trial takes as long as many seeds.
const SEEDS_PER_TRIAL: u64 = 16;
const PROGRESS_EVERY: u64 = 10_000;
const HOSTILE_PROGRESS_EVERY: u64 = 500;
