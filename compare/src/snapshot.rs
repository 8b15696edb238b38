//! A small part of the table with exact figures, committed: a change of behaviour is seen as a change of this file.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::engine::Kind;
use crate::grid;
use crate::job::{Job, Measure};
use crate::path::{Path, SECOND};

/// Relative to this package's directory when it is built, as sources are.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshot.txt");

/// Bulk, short and competing transfers on paths that are quick to run. Not quinn's: its keys and signatures are drawn anew each time, and
/// packets that are an octet longer make other figures.
fn jobs() -> Vec<Job> {
    let path = |rate_mbit, rtt_ms, queue_percent, loss_permille| Path {
        rate_mbit,
        rtt_ms,
        queue_percent,
        loss_permille,
    };
    let paths = [
        path(1, 100, 100, 0),
        path(10, 20, 25, 0),
        path(10, 20, 100, 0),
        path(10, 20, 400, 0),
        path(10, 20, 100, 10),
        path(10, 100, 100, 0),
        path(10, 100, 100, 20),
        path(100, 1, 100, 1),
        path(100, 20, 100, 0),
        path(100, 20, 100, 50),
    ];
    let mut jobs = Vec::new();
    let mut push = |measure: Measure, path: Path| {
        jobs.push(Job {
            measure,
            path,
            seed: 1,
        });
    };
    for path in paths {
        for kind in exact() {
            let time = if path.rate_mbit < 100 { 10 } else { 3 } * SECOND;
            push(Measure::Bulk { kind, time }, path);
        }
    }
    for path in [path(10, 100, 100, 0), path(10, 20, 100, 20)] {
        for kind in exact() {
            for bytes in grid::SIZES {
                let known = bytes < 1_000_000 && path.loss_permille == 0;
                push(Measure::Short { kind, bytes, known }, path);
            }
        }
    }
    let groups = [
        vec![Kind::Cubic; 2],
        vec![Kind::NewReno; 2],
        vec![Kind::Bbr; 2],
        vec![Kind::Cubic, Kind::Bbr],
    ];
    for kinds in groups {
        let time = 30 * SECOND;
        push(Measure::Compete { kinds, time }, path(10, 20, 100, 0));
    }
    jobs
}

/// The transports of which a run is the same run again, to the last packet.
fn exact() -> impl Iterator<Item = Kind> {
    let quinn = [Kind::QuinnCubic, Kind::QuinnNewReno, Kind::QuinnBbr];
    Kind::ALL
        .into_iter()
        .filter(move |kind| !quinn.contains(kind))
}

/// Today's figures: a line for each run.
fn today() -> Result<String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = String::from(HEAD);
    for (job, outcome) in grid::run(jobs(), threads, None)? {
        let numbers = outcome.numbers();
        // What several transfers got in each third: enough to see a change, few enough to read.
        let numbers: Vec<u64> = match &job.measure {
            Measure::Compete { .. } => numbers.chunks(20).map(|part| part.iter().sum()).collect(),
            _ => numbers,
        };
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        writeln!(text, "{job}: {}", numbers.join(" "))?;
    }
    Ok(text)
}

pub(crate) fn write() -> Result<()> {
    fs::write(FILE, today()?).with_context(|| format!("cannot write {FILE}"))?;
    eprintln!("wrote {FILE}; git diff shows what changed");
    Ok(())
}

/// Fails with the lines that differ.
pub(crate) fn check() -> Result<()> {
    let noted = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let today = today()?;
    if noted == today {
        return Ok(());
    }
    let mut changes = String::new();
    let (old, new): (Vec<_>, Vec<_>) = (noted.lines().collect(), today.lines().collect());
    for line in &old {
        if !new.contains(line) {
            writeln!(changes, "- {line}")?;
            let name = |line: &str| line.split(": ").next().map(String::from);
            let now = new.iter().find(|other| name(other) == name(line));
            if let Some(now) = now {
                writeln!(changes, "+ {now}")?;
            }
        }
    }
    bail!(
        "the figures have changed; if they should, `cargo xtask compare snapshot --write` and look at the diff:\n{changes}"
    )
}

const HEAD: &str = "\
# Exact figures of a small part of the comparison, asserted by the tests of gapless-compare.
# Renewed by `cargo xtask compare snapshot --write`; the diff of a change belongs into its commit.
# bulk: bytes read, those of the second half, time ns, waits in the queue ns (mean, 95 of 100, longest), packets sent, found no room, given up
# short: ns until the last byte was read, ns of opening
# compete: bytes of each transfer in each third of the time
";
