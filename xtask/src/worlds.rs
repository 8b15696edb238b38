//! `cargo xtask worlds`: the exhaustive searches of small worlds at their full size, as a table.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only as large as `cargo test` has them
    #[arg(long)]
    quick: bool,
    /// Write the table into the documents, too
    #[arg(long, conflicts_with_all = ["quick", "filter"])]
    write: bool,
    /// Only searches whose test has this in its name
    filter: Option<String>,
}

/// Where the table is kept.
const DOCUMENT: &str = "docs/worlds.md";

/// What stands above it.
const HEAD: &str = "# The small worlds

What `cargo xtask worlds --write` found when it was last run: every search at its full size, and complete. Which packets are lost, come twice or
late is not drawn: all of it happens, in every order. [lab.md](lab.md) says what varies in each.

| search | packets | states | steps | longest path | seconds |
| --- | ---: | ---: | ---: | ---: | ---: |
";

/// Where searches are, and what their tests have in common.
const PLACES: [(&[&str], &str); 2] = [
    (
        &[
            "--package",
            "gapless-recovery",
            "--package",
            "gapless-udx",
            "--package",
            "gapless-tcp",
            "--lib",
        ],
        "exhaustive",
    ),
    (&["--package", "gapless-lab", "--test", "worlds"], ""),
];

/// One line of the table, as `gapless_worlds::report` prints it.
struct Row {
    name: String,
    packets: u64,
    states: u64,
    steps: u64,
    longest: u64,
    millis: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut rows = Vec::new();
    let mut failed = 0;
    for (package, common) in PLACES {
        let mut command = searches(package, common, options)?;
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            match row(&line) {
                Some(row) => {
                    println!("{}", row.line());
                    rows.push(row);
                }
                None if line.starts_with("test ") && line.ends_with("FAILED") => {
                    println!("{line}");
                    failed += 1;
                }
                None => {}
            }
        }
        if !child.wait()?.success() && failed == 0 {
            failed += 1;
        }
    }
    print_table(&rows);
    if failed > 0 {
        bail!("{failed} searches found something: the steps that lead to it are above");
    }
    if rows.is_empty() {
        bail!("no search has that name");
    }
    if options.write {
        let lines: String = rows.iter().map(Row::markdown).collect();
        let path = workspace::root()?.join(DOCUMENT);
        std::fs::write(&path, format!("{HEAD}{lines}"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Optimised, and with broken invariants that panic: the feature comes with the lab's tests, and is named for the engines'.
fn searches(package: &[&str], common: &str, options: &Options) -> Result<Command> {
    let mut command = workspace::cargo(["test", "--quiet", "--release"])?;
    // Searches gain nothing from the optimisation across crates that measured programs have, and it takes minutes.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off");
    command
        .args(["--target-dir", "target/worlds"])
        .args(package);
    if package.contains(&"gapless-udx") {
        command.args(["--features", "gapless-udx/strict,gapless-recovery/strict"]);
    }
    command
        .arg("--")
        .args(["--nocapture", "--test-threads", "2"]);
    if !options.quick {
        command.arg("--include-ignored");
    }
    command.arg(options.filter.as_deref().unwrap_or(common));
    Ok(command)
}

fn row(line: &str) -> Option<Row> {
    let mut parts = line.strip_prefix("world\t")?.split('\t');
    let name = parts.next()?.to_owned();
    let mut number = || parts.next()?.parse().ok();
    Some(Row {
        name,
        packets: number()?,
        states: number()?,
        steps: number()?,
        longest: number()?,
        millis: number()?,
    })
}

impl Row {
    fn line(&self) -> String {
        let seconds = self.millis as f64 / 1000.0;
        format!(
            "{:56} {:>7} {:>10} {:>11} {:>8}  complete {seconds:>8.1} s",
            self.name, self.packets, self.states, self.steps, self.longest
        )
    }

    fn markdown(&self) -> String {
        let seconds = self.millis as f64 / 1000.0;
        format!(
            "| {} | {} | {} | {} | {} | {seconds:.1} |\n",
            self.name, self.packets, self.states, self.steps, self.longest
        )
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "\n{:56} {:>7} {:>10} {:>11} {:>8}  result       time",
        "world", "packets", "states", "steps", "longest"
    );
    rows.iter().for_each(|row| println!("{}", row.line()));
    let states: u64 = rows.iter().map(|row| row.states).sum();
    let steps: u64 = rows.iter().map(|row| row.steps).sum();
    println!("{} searches, {states} states, {steps} steps", rows.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_and_other_lines_are_not() {
        let row = row("world\tsent log\t6\t383158\t5662524\t31\t101178").expect("a row");
        assert_eq!(
            (row.packets, row.states, row.steps),
            (6, 383_158, 5_662_524)
        );
        assert_eq!(
            row.markdown(),
            "| sent log | 6 | 383158 | 5662524 | 31 | 101.2 |\n"
        );
        assert!(super::row("test a ... ok").is_none());
        assert!(super::row("world\tsent log\t6").is_none());
    }
}
