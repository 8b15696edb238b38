//! The results as rows of three files: the medians of each cell, rounded for reading.

use std::fs::File;
use std::io::Write;
use std::path::Path as FilePath;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::{Kind, Time};
use crate::grid::Results;
use crate::job::{Job, Measure, Outcome};
use crate::path::{MS, Path, SECOND};

/// What a bulk transfer reaches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BulkRow {
    pub(crate) rate_mbit: u32,
    pub(crate) rtt_ms: u32,
    pub(crate) queue_percent: u32,
    pub(crate) loss_percent: f64,
    pub(crate) transport: Kind,
    pub(crate) seeds: usize,
    pub(crate) seconds: f64,
    /// Bytes read, of those that a full path carries with headers.
    pub(crate) goodput_percent: f64,
    pub(crate) least_percent: f64,
    pub(crate) most_percent: f64,
    /// In the second half of the time.
    pub(crate) late_percent: f64,
    pub(crate) theory_percent: Option<f64>,
    pub(crate) wait_mean_ms: f64,
    pub(crate) wait_95_ms: f64,
    pub(crate) wait_max_ms: f64,
    /// Data packets lost for want of room in the queue.
    pub(crate) overflow_permille: f64,
    /// Runs in which the transport gave its connection up.
    pub(crate) given_up: usize,
}

/// How long a short transfer takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShortRow {
    pub(crate) rate_mbit: u32,
    pub(crate) rtt_ms: u32,
    pub(crate) queue_percent: u32,
    pub(crate) loss_percent: f64,
    pub(crate) transport: Kind,
    pub(crate) bytes: u64,
    /// Whether the sender was connected with the receiver before.
    pub(crate) known: bool,
    pub(crate) seeds: usize,
    /// From the dial until the last byte is read.
    pub(crate) median_ms: f64,
    /// Nine of ten runs took no longer.
    pub(crate) nine_of_ten_ms: f64,
    pub(crate) opening_ms: f64,
    /// From the first moment at which data might leave.
    pub(crate) data_ms: f64,
}

/// How transfers share a path, in the second half of the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FairRow {
    pub(crate) rate_mbit: u32,
    pub(crate) rtt_ms: u32,
    pub(crate) queue_percent: u32,
    pub(crate) loss_percent: f64,
    /// Names, joined by " + ".
    pub(crate) transports: String,
    pub(crate) seconds: f64,
    /// Percent of the path for each, joined by " + ".
    pub(crate) shares: String,
    pub(crate) together_percent: f64,
    /// Jain's index: 1 is equal shares, 1/n all for one of n.
    pub(crate) jain: f64,
    /// Percent of the path in each sixtieth of the time, joined by spaces; transfers joined by "/".
    pub(crate) course: String,
}

impl BulkRow {
    pub(crate) fn path(&self) -> Path {
        path(
            self.rate_mbit,
            self.rtt_ms,
            self.queue_percent,
            self.loss_percent,
        )
    }
}

impl ShortRow {
    pub(crate) fn path(&self) -> Path {
        path(
            self.rate_mbit,
            self.rtt_ms,
            self.queue_percent,
            self.loss_percent,
        )
    }
}

impl FairRow {
    pub(crate) fn path(&self) -> Path {
        path(
            self.rate_mbit,
            self.rtt_ms,
            self.queue_percent,
            self.loss_percent,
        )
    }
}

fn path(rate_mbit: u32, rtt_ms: u32, queue_percent: u32, loss_percent: f64) -> Path {
    Path {
        rate_mbit,
        rtt_ms,
        queue_percent,
        loss_permille: (loss_percent * 10.0).round() as u32,
    }
}

pub(crate) fn bulk(results: &Results) -> Vec<BulkRow> {
    let mut rows = Vec::new();
    for cell in cells(results) {
        let (Job { measure, path, .. }, _) = &cell[0];
        let Measure::Bulk { kind, time } = measure else {
            continue;
        };
        let runs: Vec<_> = cell
            .iter()
            .filter_map(|(_, outcome)| match outcome {
                Outcome::Bulk(bulk) => Some(bulk),
                _ => None,
            })
            .collect();
        let of = |value: &dyn Fn(&crate::cell::Bulk) -> f64| -> Vec<f64> {
            sorted(runs.iter().map(|run| value(run)))
        };
        let goodput = of(&|run| run.percent(path));
        rows.push(BulkRow {
            rate_mbit: path.rate_mbit,
            rtt_ms: path.rtt_ms,
            queue_percent: path.queue_percent,
            loss_percent: path.loss_percent(),
            transport: *kind,
            seeds: runs.len(),
            seconds: round(*time as f64 / SECOND as f64),
            goodput_percent: round(middle(&goodput)),
            least_percent: round(goodput[0]),
            most_percent: round(goodput[goodput.len() - 1]),
            late_percent: round(middle(&of(&|run| run.late_percent(path)))),
            theory_percent: path.theory(*kind).map(round),
            wait_mean_ms: round(middle(&of(&|run| millis(run.waits.mean)))),
            wait_95_ms: round(middle(&of(&|run| millis(run.waits.most_of_all)))),
            wait_max_ms: round(middle(&of(&|run| millis(run.waits.longest)))),
            overflow_permille: round(middle(&of(&|run| {
                run.overflow as f64 * 1000.0 / run.packets.max(1) as f64
            }))),
            given_up: runs.iter().filter(|run| run.over).count(),
        });
    }
    rows
}

pub(crate) fn short(results: &Results) -> Vec<ShortRow> {
    let mut rows = Vec::new();
    for cell in cells(results) {
        let (Job { measure, path, .. }, _) = &cell[0];
        let Measure::Short { kind, bytes, known } = measure else {
            continue;
        };
        let runs: Vec<_> = cell
            .iter()
            .filter_map(|(_, outcome)| match outcome {
                Outcome::Short(short) => Some(short),
                _ => None,
            })
            .collect();
        let whole = sorted(runs.iter().map(|run| millis(run.whole)));
        let opening = sorted(runs.iter().map(|run| millis(run.opening)));
        let data = sorted(runs.iter().map(|run| millis(run.whole - run.opening)));
        rows.push(ShortRow {
            rate_mbit: path.rate_mbit,
            rtt_ms: path.rtt_ms,
            queue_percent: path.queue_percent,
            loss_percent: path.loss_percent(),
            transport: *kind,
            bytes: *bytes,
            known: *known,
            seeds: runs.len(),
            median_ms: round(middle(&whole)),
            nine_of_ten_ms: round(whole[whole.len() * 9 / 10]),
            opening_ms: round(middle(&opening)),
            data_ms: round(middle(&data)),
        });
    }
    rows
}

pub(crate) fn fairness(results: &Results) -> Vec<FairRow> {
    let mut rows = Vec::new();
    for (job, outcome) in results {
        let (Measure::Compete { kinds, time }, Outcome::Compete(courses)) = (&job.measure, outcome)
        else {
            continue;
        };
        let path = &job.path;
        let seconds = *time as f64 / SECOND as f64;
        let percent =
            |bytes: u64, seconds: f64| bytes as f64 * 100.0 / seconds / path.capacity() as f64;
        let shares: Vec<f64> = courses
            .iter()
            .map(|course| {
                let late = course.len() / 2;
                percent(course[late..].iter().sum(), seconds / 2.0)
            })
            .collect();
        let course = |course: &[u64]| {
            let part = seconds / course.len() as f64;
            join(course.iter().map(|bytes| percent(*bytes, part)), " ")
        };
        rows.push(FairRow {
            rate_mbit: path.rate_mbit,
            rtt_ms: path.rtt_ms,
            queue_percent: path.queue_percent,
            loss_percent: path.loss_percent(),
            transports: kinds
                .iter()
                .map(|kind| kind.name())
                .collect::<Vec<_>>()
                .join(" + "),
            seconds: round(seconds),
            shares: join(shares.iter().copied(), " + "),
            together_percent: round(shares.iter().sum()),
            jain: (jain(&shares) * 1000.0).round() / 1000.0,
            course: courses
                .iter()
                .map(|one| course(one))
                .collect::<Vec<_>>()
                .join("/"),
        });
    }
    rows
}

/// Jain's index of fairness.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares).max(f64::MIN_POSITIVE)
}

fn join(numbers: impl Iterator<Item = f64>, between: &str) -> String {
    numbers
        .map(|number| format!("{number:.0}"))
        .collect::<Vec<_>>()
        .join(between)
}

/// Runs that differ by their seed only.
fn cells(results: &Results) -> impl Iterator<Item = &[(Job, Outcome)]> {
    results.chunk_by(|(one, _), (other, _)| one.path == other.path && one.measure == other.measure)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of sorted values, of which there is one.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (sorted[half - 1] + sorted[half]) / 2.0
    } else {
        sorted[half]
    }
}

fn millis(time: Time) -> f64 {
    time as f64 / MS as f64
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

pub(crate) fn write<R: Serialize>(file: &FilePath, rows: &[R]) -> Result<()> {
    let created = File::create(file);
    print(
        created.with_context(|| format!("cannot write {}", file.display()))?,
        rows,
    )
}

pub(crate) fn print<R: Serialize>(out: impl Write, rows: &[R]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for row in rows {
        writer.serialize(row)?;
    }
    writer.flush()?;
    Ok(())
}

pub(crate) fn read<R: DeserializeOwned>(file: &FilePath) -> Result<Vec<R>> {
    let mut reader = csv::Reader::from_path(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let rows: Result<_, _> = reader.deserialize().collect();
    rows.with_context(|| format!("{} is no such table", file.display()))
}
