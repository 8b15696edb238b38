//! Transfers without end: ratios, goodput over loss, waiting.

use std::collections::{BTreeMap, BTreeSet};

use gapless_lab::picture::plot::{Axis, Chart, Color, Series, Shape, Unit};

use super::color;
use super::table::{Table, cell, details, ratio, share};
use crate::engine::Kind;
use crate::path::Path;
use crate::report;
use crate::rows::BulkRow;

/// For each of ours, a cell per path: its goodput by its rival's. Then the goodput of every transport.
pub(super) fn ratios(rows: &[BulkRow]) -> String {
    let mut html = String::from(
        "<p>Goodput of ours divided by that of quinn with the same controller, medians over the seeds: green is more, red is less; \
         point at a cell for both figures. In a few cells a controller that reacts to losses gets by with a few packets at a time: there, \
         single percents are chance.</p>\n",
    );
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_ours()) {
        let pairs = report::pairs(rows, kind);
        if pairs.is_empty() {
            continue;
        }
        let cells: BTreeMap<Path, String> = pairs
            .iter()
            .map(|pair| {
                let note = format!(
                    "{}: {} % against {} %",
                    pair.ours.path().describe(),
                    pair.ours.goodput_percent,
                    pair.theirs.goodput_percent
                );
                (pair.ours.path(), ratio(pair.ratio(), &note))
            })
            .collect();
        let title = format!("{} by {}", kind.name(), kind.rival().name());
        html.push_str(&details(&title, kind == Kind::Cubic, &map(&cells)));
    }
    for kind in Kind::ALL {
        let rows = rows.iter().filter(|row| row.transport == kind);
        let cells: BTreeMap<Path, String> = rows
            .map(|row| {
                let note = format!(
                    "{}: {} to {} % over {} seeds, {} % late, mean wait {} ms",
                    row.path().describe(),
                    row.least_percent,
                    row.most_percent,
                    row.seeds,
                    row.late_percent,
                    row.wait_mean_ms
                );
                (row.path(), share(row.goodput_percent, &note))
            })
            .collect();
        if !cells.is_empty() {
            let title = format!("{}, percent of the link", kind.name());
            html.push_str(&details(&title, false, &map(&cells)));
        }
    }
    html
}

/// Rates and queues from top to bottom, round trip times and losses from left to right.
fn map(cells: &BTreeMap<Path, String>) -> String {
    let of = |value: &dyn Fn(&Path) -> u32| -> BTreeSet<u32> { cells.keys().map(value).collect() };
    let (rates, queues) = (of(&|path| path.rate_mbit), of(&|path| path.queue_percent));
    let (rtts, losses) = (of(&|path| path.rtt_ms), of(&|path| path.loss_permille));
    let mut table = Table::default();
    let names = [("Mbit/s".to_string(), 1), ("queue BDP".to_string(), 1)];
    let over = rtts.iter().map(|rtt| (format!("{rtt} ms"), losses.len()));
    table.head(&names.iter().cloned().chain(over).collect::<Vec<_>>());
    let under = rtts.iter().flat_map(|_| &losses);
    let under = under.map(|loss| (format!("{} %", f64::from(*loss) / 10.0), 1));
    let nothing = [(String::new(), 2)];
    table.head(&nothing.into_iter().chain(under).collect::<Vec<_>>());
    for &rate_mbit in &rates {
        for &queue_percent in &queues {
            let mut line = Vec::new();
            for &rtt_ms in &rtts {
                for &loss_permille in &losses {
                    let path = Path {
                        rate_mbit,
                        rtt_ms,
                        queue_percent,
                        loss_permille,
                    };
                    line.push(cells.get(&path).cloned().unwrap_or_else(|| cell("")));
                }
            }
            let queue = f64::from(queue_percent) / 100.0;
            table.line(&[rate_mbit.to_string(), queue.to_string()], &line);
        }
    }
    table.html()
}

/// A chart for each rate and round trip time, with a queue of one BDP.
pub(super) fn over_loss(rows: &[BulkRow]) -> String {
    let mut html = String::from(
        "<p>With a queue of rate times round trip time. The leftmost point of each line is no loss at all. Grey lines are theory: the mean window of \
         RFC 9438 5.1 for CUBIC (not below Reno's, 4.3), and (1 - p) of the rate for who bears losses.</p>\n",
    );
    let chosen: Vec<_> = rows.iter().filter(|row| row.queue_percent == 100).collect();
    let rates: BTreeSet<_> = chosen.iter().map(|row| row.rate_mbit).collect();
    for rate in rates {
        let of_rate: Vec<_> = chosen.iter().filter(|row| row.rate_mbit == rate).collect();
        let rtts: BTreeSet<_> = of_rate.iter().map(|row| row.rtt_ms).collect();
        let mut charts = String::new();
        for rtt in rtts {
            let rows = of_rate.iter().filter(|row| row.rtt_ms == rtt);
            let rows: Vec<&BulkRow> = rows.map(|row| **row).collect();
            charts.push_str(&loss_chart(&rows).figure(&format!("{rate} Mbit/s, {rtt} ms")));
        }
        html.push_str(&details(&format!("{rate} Mbit/s"), rate == 10, &charts));
    }
    html
}

fn loss_chart(rows: &[&BulkRow]) -> Chart {
    let place = |row: &BulkRow| (row.loss_percent / 100.0).max(NO_LOSS);
    let x = Axis::log("loss in each direction", Unit::Percent, NO_LOSS, 0.1);
    let y = Axis::linear("goodput", Unit::Percent, 0.0, 1.0);
    let mut chart = Chart::new("goodput over loss", x, y);
    let line = |kind: Kind, value: &dyn Fn(&BulkRow) -> Option<f64>| -> Vec<(f64, f64)> {
        let rows = rows.iter().filter(|row| row.transport == kind);
        rows.filter_map(|row| Some((place(row), value(row)? / 100.0)))
            .collect()
    };
    for (kind, name, grey) in THEORY {
        let points = line(kind, &|row| row.theory_percent);
        chart
            .series
            .push(Series::new(name, grey, Shape::Line, points));
    }
    for kind in Kind::ALL {
        let points = line(kind, &|row| Some(row.goodput_percent));
        if points.is_empty() {
            continue;
        }
        let line = Series::new(kind.name(), color(kind), Shape::Line, points);
        chart.series.push(line);
    }
    chart
}

/// What is expected of whom.
const THEORY: [(Kind, &str, Color); 2] = [
    (Kind::Cubic, "theory, CUBIC", Color::Grey),
    (Kind::Bbr, "theory, 1 - p", Color::Pale),
];
/// Where no loss stands on the axis, which has no zero.
const NO_LOSS: f64 = 0.0003;

/// A table of the clean paths: how long data wait, in round trips.
pub(super) fn waits(rows: &[BulkRow]) -> String {
    let mut html = String::from(
        "<p>How long data packets wait in the queue of a path that loses nothing else, in round trip times of the empty path: the mean, and what 95 % stay \
         under. Who fills the queue makes everybody on the link wait.</p>\n",
    );
    let clean: Vec<_> = rows
        .iter()
        .filter(|row| row.loss_percent == 0.0 && row.rtt_ms > 1)
        .collect();
    let kinds: BTreeSet<_> = clean.iter().map(|row| row.transport).collect();
    let mut table = Table::default();
    let names = ["Mbit/s", "rtt ms", "queue BDP"].map(|name| (name.to_string(), 1));
    let over = kinds.iter().map(|kind| (kind.name().to_string(), 2));
    table.head(&names.into_iter().chain(over).collect::<Vec<_>>());
    for cells in clean.chunk_by(|one, other| one.path() == other.path()) {
        let path = cells[0].path();
        let figures: Vec<_> = kinds
            .iter()
            .flat_map(|kind| {
                let row = cells.iter().find(|row| row.transport == *kind);
                let rtts = |ms: f64| format!("{:.2}", ms / f64::from(path.rtt_ms));
                let text = |value: &dyn Fn(&BulkRow) -> f64| {
                    row.map_or(String::new(), |row| rtts(value(row)))
                };
                [
                    cell(&text(&|row| row.wait_mean_ms)),
                    cell(&text(&|row| row.wait_95_ms)),
                ]
            })
            .collect();
        let queue = f64::from(path.queue_percent) / 100.0;
        let names = [
            path.rate_mbit.to_string(),
            path.rtt_ms.to_string(),
            queue.to_string(),
        ];
        table.line(&names, &figures);
    }
    html.push_str(&table.html());
    html
}
