//! `--tcp`: seeds of TCP, many and one, and what is left of those that fail.

use gapless_lab::tcp::{
    Make, TcpReport, TcpScenario, run_tcp_logged, run_tcp_scenario, run_tcp_seed, run_tcp_seeds,
    shrink_tcp_failure,
};
use gapless_lab::{Failure, MS, Runs, Summary, Violation};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Another stack at one end.
pub(crate) type Other = Option<(&'static str, Make)>;

pub(crate) fn many(seeds: Range<u64>, other: Other, progress: impl Fn(u64) + Sync) -> Summary {
    run_tcp_seeds(seeds, other, progress)
}

pub(crate) fn one(seed: u64, other: Other, log: bool) -> bool {
    let scenario = TcpScenario::from_seed(seed);
    if log {
        print_logged(&scenario, other);
    }
    match run_tcp_seed(seed, other) {
        Ok(report) => {
            print_report(&report);
            true
        }
        Err(failure) => {
            std::panic::set_hook(Box::new(|_| {}));
            println!("{failure}");
            small_one(&failure, other);
            false
        }
    }
}

/// Runs the scenario that a file's bytes decide on.
pub(crate) fn replay(file: &Path, other: Other, log: bool, shrink: bool) -> bool {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            println!("{} cannot be read: {error}", file.display());
            return false;
        }
    };
    let scenario = TcpScenario::from_bytes(&bytes);
    if log {
        print_logged(&scenario, other);
    }
    match run_tcp_scenario(|| scenario, other.map(|(_, make)| make)) {
        Ok(report) => {
            print_report(&report);
            true
        }
        Err(violation) => {
            println!("{violation}");
            if shrink {
                std::panic::set_hook(Box::new(|_| {}));
                let name = file.file_stem().unwrap_or_default().to_string_lossy();
                small(&name, &bytes, other, &violation);
            }
            false
        }
    }
}

/// Makes the failure of a seed small and keeps what it came to.
pub(crate) fn small_one(failure: &Failure, other: Other) {
    let name = match failure.runs {
        Runs::TcpAgainst(name) => format!("tcp-{name}-{}", failure.seed),
        _ => format!("tcp-{}", failure.seed),
    };
    let scenario = TcpScenario::from_seed(failure.seed);
    small(&name, scenario.choices(), other, &failure.violation);
}

fn small(name: &str, bytes: &[u8], other: Other, broken: &Violation) {
    let begin = Instant::now();
    let in_time = || begin.elapsed() < LONGEST;
    let make = other.map(|(_, make)| make);
    let Some(shrunk) = shrink_tcp_failure(bytes, make, broken, in_time) else {
        println!("    its bytes alone do not break the rule: this is a bug of the lab");
        return;
    };
    match keep(name, &shrunk.bytes, other, &shrunk.violation) {
        Ok(path) => {
            println!(
                "    shrunk from {} bytes of decisions to {} in {} runs: {}",
                bytes.len(),
                shrunk.bytes.len(),
                shrunk.runs,
                shrunk.violation
            );
            let runs = other.map_or(Runs::Tcp, |(name, _)| Runs::TcpAgainst(name));
            println!(
                "    replay: cargo xtask lab {runs}--replay {} --log",
                path.display()
            );
        }
        Err(error) => println!("    what it was shrunk to cannot be written: {error}"),
    }
}

/// Writes the decisions and the log of the run; where the decisions are.
fn keep(name: &str, bytes: &[u8], other: Other, broken: &Violation) -> io::Result<PathBuf> {
    let place = Path::new("target").join("lab");
    fs::create_dir_all(&place)?;
    let path = place.join(format!("{name}.bytes"));
    fs::write(&path, bytes)?;
    let mut log = BufWriter::new(fs::File::create(path.with_extension("log"))?);
    let scenario = TcpScenario::from_bytes(bytes);
    writeln!(log, "{broken}\n\n{scenario:#?}\n")?;
    // It is the other polling that fails, or the two together.
    for scenario in [Some(scenario.clone()), scenario.with_other_manners()] {
        let Some(scenario) = scenario else { break };
        if !write_log(&mut log, &scenario, other) {
            break;
        }
        writeln!(log, "\nthe same, polled otherwise:\n")?;
    }
    log.flush()?;
    Ok(path)
}

/// Whether the run broke no rule.
fn write_log(log: &mut impl Write, scenario: &TcpScenario, other: Other) -> bool {
    let mut sink = |line: &str| {
        let _ = writeln!(log, "{line}");
    };
    let make = other.map(|(_, make)| make);
    let run = || run_tcp_logged(scenario, make, &mut sink);
    let run = std::panic::AssertUnwindSafe(run);
    matches!(std::panic::catch_unwind(run), Ok(Ok(_)))
}

fn print_logged(scenario: &TcpScenario, other: Other) {
    println!("{scenario:#?}\n");
    let mut out = BufWriter::new(io::stdout().lock());
    for scenario in [Some(scenario.clone()), scenario.with_other_manners()] {
        let Some(scenario) = scenario else { break };
        if !write_log(&mut out, &scenario, other) {
            break;
        }
    }
    let _ = out.flush();
}

fn print_report(report: &TcpReport) {
    println!(
        "no rule was broken in {} ms of virtual time, {} steps; all connections were over after {:?} ms",
        report.lasted / MS,
        report.steps,
        report.streams_over.map(|over| over / MS)
    );
    for counters in &report.links {
        println!("{counters:?}");
    }
    for (host, outcomes) in report.outcomes.iter().enumerate() {
        for (plan, outcome) in outcomes.iter().enumerate() {
            println!("host {host}, connection {plan}: {outcome:?}");
        }
    }
}

/// Shrinking one failure takes no longer.
const LONGEST: Duration = Duration::from_secs(20);
