//! Results in columns for a terminal, and the list of cells that ours loses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::engine::Kind;
use crate::path::Path;
use crate::rows::{BulkRow, FairRow, ShortRow};

/// Lines of cells under a head, each column as wide as its widest cell.
#[derive(Default)]
struct Columns(Vec<Vec<String>>);

impl Columns {
    fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    fn text(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for line in &self.0 {
            widths.resize(widths.len().max(line.len()), 0);
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for line in &self.0 {
            let cells = line.iter().zip(&widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:>width$}"))
                .collect();
            let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        }
        text
    }
}

fn head(more: impl IntoIterator<Item = String>) -> Vec<String> {
    let path = ["Mbit/s", "rtt ms", "queue %", "loss %"];
    path.into_iter().map(String::from).chain(more).collect()
}

fn line(path: &Path, more: impl IntoIterator<Item = String>) -> Vec<String> {
    let path = [
        path.rate_mbit.to_string(),
        path.rtt_ms.to_string(),
        path.queue_percent.to_string(),
        path.loss_percent().to_string(),
    ];
    path.into_iter().chain(more).collect()
}

/// Per transport: percent of the link, mean wait in the queue in ms, per mille lost for want of room in it.
pub(crate) fn bulk(rows: &[BulkRow]) -> String {
    let mut columns = Columns::default();
    for cell in rows.chunk_by(|one, other| one.path() == other.path()) {
        if columns.0.is_empty() {
            columns.push(head(cell.iter().flat_map(|row| {
                [
                    row.transport.name().into(),
                    "wait ms".into(),
                    "full ‰".into(),
                ]
            })));
        }
        let figures = cell.iter().flat_map(|row| {
            [
                goodput(row),
                format!("{:.1}", row.wait_mean_ms),
                format!("{:.1}", row.overflow_permille),
            ]
        });
        columns.push(line(&cell[0].path(), figures));
    }
    columns.text()
}

/// Marked where a connection was given up.
pub(crate) fn goodput(row: &BulkRow) -> String {
    let mark = if row.given_up > 0 { "†" } else { "" };
    match row.goodput_percent {
        value if value >= 10.0 => format!("{value:.1}{mark}"),
        value => format!("{value:.2}{mark}"),
    }
}

/// Transfers of one size on one path: to an unknown peer, and to one that was met before.
pub(crate) struct Sized<'a> {
    pub(crate) path: Path,
    pub(crate) bytes: u64,
    rows: BTreeMap<(Kind, bool), &'a ShortRow>,
}

impl Sized<'_> {
    /// Milliseconds: from the dial; in brackets from when data may leave; behind the slash from the dial to a known peer.
    pub(crate) fn figures(&self, kind: Kind) -> String {
        let Some(cold) = self.rows.get(&(kind, false)) else {
            return String::new();
        };
        let known = self.rows.get(&(kind, true)).unwrap_or(cold);
        format!(
            "{:.0} ({:.0}) / {:.0}",
            cold.median_ms, cold.data_ms, known.median_ms
        )
    }
}

pub(crate) fn sized(rows: &[ShortRow]) -> Vec<Sized<'_>> {
    let mut cells: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for row in rows {
        let cell = cells.entry((row.bytes, row.path())).or_default();
        cell.insert((row.transport, row.known), row);
    }
    let sized = cells
        .into_iter()
        .map(|((bytes, path), rows)| Sized { path, bytes, rows });
    sized.collect()
}

/// Per transport: ms from the dial, from when data might leave, and to a known peer.
pub(crate) fn short(rows: &[ShortRow]) -> String {
    let kinds: BTreeSet<_> = rows.iter().map(|row| row.transport).collect();
    let mut columns = Columns::default();
    let names = kinds.iter().map(|kind| kind.name().into());
    columns.push(head(["bytes".into()].into_iter().chain(names)));
    for cell in sized(rows) {
        let figures = kinds.iter().map(|kind| cell.figures(*kind));
        let figures = [cell.bytes.to_string()].into_iter().chain(figures);
        columns.push(line(&cell.path, figures));
    }
    columns.text()
}

pub(crate) fn fairness(rows: &[FairRow]) -> String {
    let mut columns = Columns::default();
    columns.push(head(["Jain".into(), "share %".into(), "who".into()]));
    for row in rows {
        let figures = [
            format!("{:.3}", row.jain),
            row.shares.clone(),
            row.transports.clone(),
        ];
        columns.push(line(&row.path(), figures));
    }
    columns.text()
}

/// A cell in which ours delivers less than quinn with the same controller.
pub(crate) struct Lost<'a> {
    pub(crate) ours: &'a BulkRow,
    pub(crate) theirs: &'a BulkRow,
}

impl Lost<'_> {
    pub(crate) fn ratio(&self) -> f64 {
        self.ours.goodput_percent / self.theirs.goodput_percent.max(0.01)
    }
}

/// Ours beside its rival, in every cell that has both, the worst first.
pub(crate) fn pairs(rows: &[BulkRow], ours: Kind) -> Vec<Lost<'_>> {
    let of = |kind: Kind| -> BTreeMap<Path, &BulkRow> {
        let rows = rows.iter().filter(|row| row.transport == kind);
        rows.map(|row| (row.path(), row)).collect()
    };
    let theirs = of(ours.rival());
    let mut pairs: Vec<_> = of(ours)
        .into_iter()
        .filter_map(|(path, ours)| Some((ours, *theirs.get(&path)?)))
        .map(|(ours, theirs)| Lost { ours, theirs })
        .collect();
    pairs.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
    pairs
}

/// Every cell in which each of ours is below its rival by more than `margin` percent of the rival's goodput.
pub(crate) fn losing(rows: &[BulkRow], margin: f64) -> String {
    let mut text = String::new();
    for kind in [Kind::Cubic, Kind::NewReno, Kind::Bbr] {
        let pairs = pairs(rows, kind);
        let lost: Vec<_> = pairs
            .iter()
            .filter(|pair| pair.ratio() < 1.0 - margin / 100.0)
            .collect();
        let _ = writeln!(
            text,
            "{} against {}: below it by more than {margin} % in {} of {} cells\n",
            kind.name(),
            kind.rival().name(),
            lost.len(),
            pairs.len()
        );
        let mut columns = Columns::default();
        columns.push(head(
            [
                "ours %",
                "theirs %",
                "ratio",
                "late",
                "theirs late",
                "theory",
                "range",
                "their range",
                "wait",
                "their wait",
            ]
            .map(String::from),
        ));
        for Lost { ours, theirs } in &lost {
            let range = |row: &BulkRow| format!("{}-{}", row.least_percent, row.most_percent);
            let ratio = ours.goodput_percent / theirs.goodput_percent.max(0.01);
            columns.push(line(
                &ours.path(),
                [
                    goodput(ours),
                    goodput(theirs),
                    format!("{ratio:.3}"),
                    ours.late_percent.to_string(),
                    theirs.late_percent.to_string(),
                    ours.theory_percent
                        .map_or("-".into(), |theory| theory.to_string()),
                    range(ours),
                    range(theirs),
                    ours.wait_mean_ms.to_string(),
                    theirs.wait_mean_ms.to_string(),
                ],
            ));
        }
        let _ = writeln!(text, "{}", columns.text());
    }
    text
}
