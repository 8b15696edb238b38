//! The tables as Markdown, for `docs/`: what can be read without a browser.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::engine::Kind;
use crate::path::Path;
use crate::report;
use crate::rows::{BulkRow, FairRow, ShortRow};

/// All tables, with the commit they belong to.
pub(crate) fn tables(
    commit: &str,
    bulk: &[BulkRow],
    short: &[ShortRow],
    fairness: &[FairRow],
) -> String {
    let mut text = format!(
        "# The comparison in figures\n\nWritten by `cargo xtask compare all` at commit `{commit}`; [comparison.md](../comparison.md) says what \
         the figures mean. Every column of every cell is in the CSV files beside this one. † marks cells in which a transport gave its connection \
         up in some run.\n"
    );
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_ours()) {
        beside(&mut text, bulk, kind);
    }
    others(&mut text, bulk);
    waits(&mut text, bulk);
    short_tables(&mut text, short);
    shares(&mut text, fairness);
    text
}

fn line(text: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<_> = cells.into_iter().collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn head(text: &mut String, names: &[String]) {
    text.push('\n');
    line(text, names.iter().cloned());
    line(text, names.iter().map(|_| "---:".to_string()));
}

fn queue(path: &Path) -> String {
    (f64::from(path.queue_percent) / 100.0).to_string()
}

/// Ours and its rival in every cell: goodput in percent of the link.
fn beside(text: &mut String, rows: &[BulkRow], ours: Kind) {
    let mut pairs = report::pairs(rows, ours);
    pairs.sort_by_key(|pair| pair.ours.path());
    if pairs.is_empty() {
        return;
    }
    let below = pairs.iter().filter(|pair| pair.ratio() < 1.0).count();
    let clearly = pairs.iter().filter(|pair| pair.ratio() < 0.95).count();
    let _ = write!(
        text,
        "\n## {} / {}\n\nGoodput, percent of the link. Ours is below in {below} of {} cells, by more than 5 % of quinn's in {clearly}; those are bold.\n",
        ours.name(),
        ours.rival().name(),
        pairs.len()
    );
    let losses: BTreeSet<_> = pairs
        .iter()
        .map(|pair| pair.ours.path().loss_permille)
        .collect();
    let names = ["Mbit/s", "RTT ms", "queue BDP"].map(String::from);
    let over = losses
        .iter()
        .map(|loss| format!("{} %", f64::from(*loss) / 10.0));
    head(text, &names.into_iter().chain(over).collect::<Vec<_>>());
    let without_loss = |path: Path| Path {
        loss_permille: 0,
        ..path
    };
    for cells in pairs
        .chunk_by(|one, other| without_loss(one.ours.path()) == without_loss(other.ours.path()))
    {
        let path = cells[0].ours.path();
        let names = [
            path.rate_mbit.to_string(),
            path.rtt_ms.to_string(),
            queue(&path),
        ];
        let figures = losses.iter().map(|loss| {
            let cell = cells
                .iter()
                .find(|pair| pair.ours.path().loss_permille == *loss);
            cell.map_or(String::new(), |pair| {
                let (ours, theirs) = (report::goodput(pair.ours), report::goodput(pair.theirs));
                let figures = format!("{ours} / {theirs}");
                if pair.ratio() < 0.95 {
                    format!("**{figures}**")
                } else {
                    figures
                }
            })
        });
        line(text, names.into_iter().chain(figures));
    }
}

/// All transports at one queue.
fn others(text: &mut String, rows: &[BulkRow]) {
    let mut rows: Vec<_> = rows.iter().filter(|row| row.queue_percent == 100).collect();
    rows.sort_by_key(|row| (row.path(), row.transport));
    let kinds: BTreeSet<_> = rows.iter().map(|row| row.transport).collect();
    text.push_str("\n## Every transport, with a queue of one BDP\n\nGoodput, percent of the link, and what theory expects of CUBIC.\n");
    let names = ["Mbit/s", "RTT ms", "loss %"].map(String::from);
    let over = kinds.iter().map(|kind| kind.name().to_string());
    let last = "theory".to_string();
    head(
        text,
        &names
            .into_iter()
            .chain(over)
            .chain([last])
            .collect::<Vec<_>>(),
    );
    for cells in rows.chunk_by(|one, other| one.path() == other.path()) {
        let path = cells[0].path();
        let names = [
            path.rate_mbit.to_string(),
            path.rtt_ms.to_string(),
            path.loss_percent().to_string(),
        ];
        let figures = kinds.iter().map(|kind| {
            let row = cells.iter().find(|row| row.transport == *kind);
            row.map_or(String::new(), |row| report::goodput(row))
        });
        let theory = path
            .theory(Kind::Cubic)
            .map_or("-".into(), |theory| format!("{theory:.1}"));
        line(text, names.into_iter().chain(figures).chain([theory]));
    }
}

/// What waits on clean paths.
fn waits(text: &mut String, rows: &[BulkRow]) {
    let rows: Vec<_> = rows.iter().filter(|row| row.loss_percent == 0.0).collect();
    let kinds: BTreeSet<_> = rows.iter().map(|row| row.transport).collect();
    text.push_str("\n## Waiting in the queue\n\nOn paths without losses by chance: milliseconds, mean / 95 of 100 packets / longest.\n");
    let names = ["Mbit/s", "RTT ms", "queue BDP"].map(String::from);
    let over = kinds.iter().map(|kind| kind.name().to_string());
    head(text, &names.into_iter().chain(over).collect::<Vec<_>>());
    for cells in rows.chunk_by(|one, other| one.path() == other.path()) {
        let path = cells[0].path();
        let names = [
            path.rate_mbit.to_string(),
            path.rtt_ms.to_string(),
            queue(&path),
        ];
        let figures = kinds.iter().map(|kind| {
            let row = cells.iter().find(|row| row.transport == *kind);
            row.map_or(String::new(), |row| {
                let figures = [row.wait_mean_ms, row.wait_95_ms, row.wait_max_ms];
                figures
                    .map(|ms| {
                        if ms < 10.0 {
                            format!("{ms:.1}")
                        } else {
                            format!("{ms:.0}")
                        }
                    })
                    .join(" / ")
            })
        });
        line(text, names.into_iter().chain(figures));
    }
}

fn short_tables(text: &mut String, rows: &[ShortRow]) {
    text.push_str(
        "\n## Short transfers\n\nMilliseconds from the dial until the last byte is read (the same from when data might leave) / from the dial to a peer that was \
         met before: medians.\n",
    );
    let kinds: BTreeSet<_> = rows.iter().map(|row| row.transport).collect();
    for cells in report::sized(rows).chunk_by(|one, other| one.bytes == other.bytes) {
        let _ = write!(text, "\n### {} KB\n", cells[0].bytes / 1000);
        let names = ["Mbit/s", "RTT ms", "loss %"].map(String::from);
        let over = kinds.iter().map(|kind| kind.name().to_string());
        head(text, &names.into_iter().chain(over).collect::<Vec<_>>());
        for cell in cells {
            let names = [
                cell.path.rate_mbit.to_string(),
                cell.path.rtt_ms.to_string(),
                cell.path.loss_percent().to_string(),
            ];
            let figures = kinds.iter().map(|kind| cell.figures(*kind));
            line(text, names.into_iter().chain(figures));
        }
    }
}

fn shares(text: &mut String, rows: &[FairRow]) {
    text.push_str("\n## Sharing a link\n\nPercent of the link for each transfer in the second half of the time, and Jain's index.\n");
    let names = [
        "Mbit/s",
        "RTT ms",
        "queue BDP",
        "transfers",
        "shares",
        "together",
        "Jain",
    ];
    head(text, &names.map(String::from));
    for row in rows {
        let path = row.path();
        let cells = [
            path.rate_mbit.to_string(),
            path.rtt_ms.to_string(),
            queue(&path),
            row.transports.clone(),
            row.shares.clone(),
            format!("{:.0}", row.together_percent),
            format!("{:.3}", row.jain),
        ];
        line(text, cells);
    }
}
