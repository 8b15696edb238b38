//! The soaks by name: what `cargo xtask lab --load day` and `--load thousand-connections` run.

use gapless_lab::soak::{AT_REST, Crowd, one_connection};
use gapless_lab::{Report, SECOND};
use gapless_udx::{Version, VersionChoice};
use std::time::Instant;

/// What there is.
pub(crate) const NAMES: [&str; 2] = ["day", "thousand-connections"];

/// Runs the soak of this name, if there is one, in this version or in version 3, and tells whether all was well.
pub(crate) fn run(name: &str, version: Option<Version>) -> Option<bool> {
    let version = version.unwrap_or(Version::V3);
    let begin = Instant::now();
    let well = match name {
        "day" => day(version),
        "thousand-connections" => thousand(version),
        _ => return None,
    };
    println!("{:.0} s of real time", begin.elapsed().as_secs_f64());
    Some(well)
}

fn day(version: Version) -> bool {
    let scenario = one_connection(24).speaking(VersionChoice::Only(version));
    let Report {
        lasted,
        longest_wait,
        steps,
        links,
        memory,
        at_rest,
        outcomes,
        ..
    } = match run_scenario(&scenario) {
        Some(report) => report,
        None => return false,
    };
    let read: u64 = outcomes.iter().flatten().flatten().map(|it| it.read).sum();
    let [there, back] = links.map(|link| {
        (
            link.offered,
            link.offered - link.delivered.min(link.offered),
        )
    });
    println!(
        "one connection of {version:?} for {} h: {} streams, {} MB read and right, {} blackouts, {} moves",
        lasted / SECOND / 3600,
        scenario.streams.len(),
        read / 1_000_000,
        scenario.calm[0].blackouts.len(),
        scenario.moves.len(),
    );
    println!(
        "{steps} steps; datagrams there {} ({} lost), back {} ({} lost)",
        there.0, there.1, back.0, back.1
    );
    println!(
        "numbers begin at {}",
        scenario.hosts[0].config.connection.first_number
    );
    println!(
        "longest time without progress: {} ms",
        longest_wait / 1_000_000
    );
    println!("memory: at most {memory:?} bytes, between bursts {at_rest:?}");
    let well = at_rest.iter().all(|&held| held <= AT_REST);
    if !well {
        println!("more than {AT_REST} bytes are held at rest");
    }
    well
}

fn run_scenario(scenario: &gapless_lab::Scenario) -> Option<Report> {
    match gapless_lab::run(scenario) {
        Ok(report) => Some(report),
        Err(violation) => {
            println!("{violation}");
            None
        }
    }
}

fn thousand(version: Version) -> bool {
    let crowd = Crowd {
        version,
        ..Crowd::thousand()
    };
    match crowd.run() {
        Ok(report) => {
            println!(
                "{} connections of {version:?}, {} at a time: {} MB read and right, {} datagrams, {} s of virtual time",
                report.connections,
                crowd.connections,
                report.bytes / 1_000_000,
                report.datagrams,
                report.lasted / SECOND
            );
            println!(
                "memory: at most {:?} bytes, after each round {:?}",
                report.most_memory, report.after_rounds
            );
            true
        }
        Err(violation) => {
            println!("{violation}");
            false
        }
    }
}
