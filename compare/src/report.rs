//! The measurements as lines.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;

use crate::Options;
use crate::cell::{self, MS, Path, SECOND};
use crate::engine::{Kind, Time};

#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for a terminal
    Table,
    /// Comma-separated values, for plots and comparisons
    Csv,
}

/// Each line as it is measured: the whole table takes minutes.
struct Lines {
    format: Format,
    widths: Vec<usize>,
}

impl Lines {
    fn begin(format: Format, head: &[String]) -> Result<Self> {
        let widths = head.iter().map(|cell| cell.len().max(5)).collect();
        let lines = Lines { format, widths };
        lines.line(head)?;
        Ok(lines)
    }

    fn line(&self, cells: &[String]) -> Result<()> {
        let text = match self.format {
            Format::Csv => cells.join(","),
            Format::Table => {
                let padded = cells
                    .iter()
                    .zip(&self.widths)
                    .map(|(cell, width)| format!("{cell:>width$}"));
                padded.collect::<Vec<_>>().join("  ")
            }
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(())
    }
}

/// Virtual time of a run on this path: at least a hundred round trips.
fn time(options: &Options, path: &Path) -> Time {
    (options.seconds * SECOND).max(u64::from(path.rtt_ms) * MS * 100)
}

fn head(more: impl IntoIterator<Item = String>) -> Vec<String> {
    ["rate Mbit/s", "rtt ms", "queue %", "loss %"]
        .into_iter()
        .map(String::from)
        .chain(more)
        .collect()
}

fn line(path: &Path, more: impl IntoIterator<Item = String>) -> Vec<String> {
    [
        path.rate_mbit.to_string(),
        path.rtt_ms.to_string(),
        path.queue_percent.to_string(),
        format!("{:.1}", f64::from(path.loss_permille) / 10.0),
    ]
    .into_iter()
    .chain(more)
    .collect()
}

/// Per transport: percent of the link, mean wait in the queue in ms, per mille lost for want of room in it.
pub(crate) fn goodput(options: &Options) -> Result<()> {
    let kinds = options.kinds();
    let columns = kinds.iter().flat_map(|kind| {
        let name = kind.name();
        [format!("{name} %"), "wait ms".into(), "full ‰".into()]
    });
    let lines = Lines::begin(options.format, &head(columns))?;
    for path in options.paths() {
        let mut cells = Vec::new();
        for kind in &kinds {
            let reached = cell::goodput(*kind, &path, time(options, &path), 1)?;
            cells.push(format!("{:.1}", reached.percent(&path)));
            cells.push(format!("{:.1}", reached.wait as f64 / MS as f64));
            cells.push(reached.overflow_permille.to_string());
        }
        lines.line(&line(&path, cells))?;
    }
    Ok(())
}

/// Per transport: ms for 10 KB, 100 KB and 1 MB.
pub(crate) fn short(options: &Options) -> Result<()> {
    let kinds = options.kinds();
    let sizes = [("10 KB", 10_000), ("100 KB", 100_000), ("1 MB", 1_000_000)];
    let columns = kinds
        .iter()
        .flat_map(|kind| sizes.map(|(name, _)| format!("{} {name} ms", kind.name())));
    let lines = Lines::begin(options.format, &head(columns))?;
    for path in options.paths() {
        let mut cells = Vec::new();
        for kind in &kinds {
            for (_, bytes) in sizes {
                let took = cell::time_to_deliver(*kind, &path, bytes, 1)?;
                cells.push(format!("{:.1}", took as f64 / MS as f64));
            }
        }
        lines.line(&line(&path, cells))?;
    }
    Ok(())
}

/// Two of a kind, four of a kind, and each of ours beside CUBIC of quinn: percent of the link for each transfer.
pub(crate) fn fairness(options: &Options) -> Result<()> {
    let lines = Lines::begin(options.format, &head(["who".into(), "share %".into()]))?;
    for path in options.paths() {
        for group in groups(&options.kinds()) {
            let shares = cell::shares(&group, &path, time(options, &path) * 3, 1)?;
            let names: Vec<_> = group.iter().map(|kind| kind.name()).collect();
            let percent: Vec<_> = shares
                .iter()
                .map(|share| format!("{:.0}", *share as f64 * 100.0 / path.capacity() as f64))
                .collect();
            lines.line(&line(&path, [names.join(" + "), percent.join(" + ")]))?;
        }
    }
    Ok(())
}

fn groups(kinds: &[Kind]) -> Vec<Vec<Kind>> {
    let mut groups = Vec::new();
    for &kind in kinds {
        groups.push(vec![kind; 2]);
        groups.push(vec![kind; 4]);
        if kind != Kind::QuinnCubic {
            groups.push(vec![kind, Kind::QuinnCubic]);
        }
    }
    groups
}
