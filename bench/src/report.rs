//! Measurements as tables.

use std::fmt::Write;

use crate::compare::Sample;
use crate::transport::{Group, Name};

/// A table for each group and number of streams: medians over the rounds, and ratios to the group's reference.
pub(crate) fn tables(samples: &[Sample]) -> String {
    let mut text = String::new();
    for group in [Group::Raw, Group::Libp2p] {
        let mut streams: Vec<usize> = samples.iter().map(|sample| sample.streams).collect();
        streams.sort_unstable();
        streams.dedup();
        for streams in streams {
            let rows = rows(samples, group, streams);
            if !rows.is_empty() {
                table(&mut text, group, streams, &rows);
            }
        }
    }
    text
}

/// The medians of one implementation.
struct Row {
    name: Name,
    rate: Spread,
    cpu: f64,
    sender: f64,
    receiver: f64,
    datagram: Option<u64>,
}

struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

fn rows(samples: &[Sample], group: Group, streams: usize) -> Vec<Row> {
    let mut names: Vec<Name> = samples.iter().map(|sample| sample.name).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| name.group() == group);
    let row = |name: Name| {
        let of = |figure: fn(&Sample) -> f64| {
            let chosen = samples.iter();
            let chosen = chosen.filter(|sample| sample.name == name && sample.streams == streams);
            spread(chosen.map(figure).collect())
        };
        Some(Row {
            name,
            rate: of(|sample| sample.bytes as f64 / 1e6 / sample.seconds)?,
            cpu: of(|sample| per_gigabyte(sample, cpu(sample)))?.median,
            sender: of(|sample| per_gigabyte(sample, sample.sender_cpu_seconds))?.median,
            receiver: of(|sample| per_gigabyte(sample, sample.receiver_cpu_seconds))?.median,
            datagram: samples
                .iter()
                .filter(|sample| sample.name == name)
                .find_map(|sample| sample.datagram_bytes),
        })
    };
    names.into_iter().filter_map(row).collect()
}

fn cpu(sample: &Sample) -> f64 {
    sample.sender_cpu_seconds + sample.receiver_cpu_seconds
}

fn per_gigabyte(sample: &Sample, seconds: f64) -> f64 {
    seconds / (sample.bytes as f64 / 1e9)
}

fn spread(mut figures: Vec<f64>) -> Option<Spread> {
    figures.sort_unstable_by(f64::total_cmp);
    Some(Spread {
        low: *figures.first()?,
        median: *figures.get(figures.len() / 2)?,
        high: *figures.last()?,
    })
}

fn table(text: &mut String, group: Group, streams: usize, rows: &[Row]) {
    let plural = if streams == 1 { "stream" } else { "streams" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{}: {streams} {plural}\n", group.title());
    let _ = writeln!(
        text,
        "| {:<24} | {:>8} | {:>6} | {:>11} | {:>6} | {:>8} | {:>6} | {:>8} | {:>8} |",
        "", "datagram", "MB/s", "low-high", "ratio", "CPU s/GB", "ratio", "sender", "receiver"
    );
    let _ = writeln!(
        text,
        "|{:-<26}|{:->9}:|{:->7}:|{:->12}:|{:->7}:|{:->9}:|{:->7}:|{:->9}:|{:->9}:|",
        "", "", "", "", "", "", "", "", ""
    );
    let reference = rows.iter().find(|row| row.name == group.reference());
    for row in rows {
        let ratio =
            |of: f64, to: Option<f64>| to.map_or("-".to_owned(), |to| format!("{:.2}", of / to));
        let _ = writeln!(
            text,
            "| {:<24} | {:>8} | {:>6.0} | {:>11} | {:>6} | {:>8.2} | {:>6} | {:>8.2} | {:>8.2} |",
            row.name.title(),
            row.datagram
                .map_or("-".to_owned(), |bytes| bytes.to_string()),
            row.rate.median,
            format!("{:.0}-{:.0}", row.rate.low, row.rate.high),
            ratio(row.rate.median, reference.map(|row| row.rate.median)),
            row.cpu,
            ratio(row.cpu, reference.map(|row| row.cpu)),
            row.sender,
            row.receiver,
        );
    }
}
