//! `cargo xtask corpus`: the tests that answer the known ways in which TCP stacks have failed, run and put beside them in a table.

use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write the table to docs/tcp-corpus.md
    #[arg(long)]
    write: bool,
    /// Only entries whose name begins so: `C`, or `C15`
    #[arg(conflicts_with = "write")]
    only: Option<String>,
}

/// The entries and their tests, which a test of the crate holds together.
const INDEX: &str = "crates/tcp/tests/corpus/README.md";
const TABLE: &str = "docs/tcp-corpus.md";

/// Tests without a crate's name before them are here.
const CRATE: &str = "tcp";

/// Begins the last column of an entry that another protocol has to answer.
const ELSEWHERE: &str = "not TCP: ";

/// One way to fail.
struct Entry<'a> {
    name: &'a str,
    what: &'a str,
    answer: Answer<'a>,
}

enum Answer<'a> {
    /// By crate and name.
    Tests(Vec<(&'a str, &'a str)>),
    /// Why there is none.
    Elsewhere(&'a str),
}

/// How the tests of a name went: those that passed, and those that did not. A name may stand in more than one module.
type Results = BTreeMap<(String, String), (usize, usize)>;

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    let path = root.join(INDEX);
    let index = fs::read_to_string(&path).with_context(|| format!("cannot read {INDEX}"))?;
    let mut entries = entries(&index)?;
    if let Some(only) = &options.only {
        entries.retain(|entry| entry.name.starts_with(only.as_str()));
        ensure!(!entries.is_empty(), "no entry begins with {only}");
    }
    let results = run_tests(&entries)?;
    let (table, unanswered) = table(&entries, &results);
    print!("{table}");
    if options.write {
        fs::write(root.join(TABLE), page(&table))
            .with_context(|| format!("cannot write {TABLE}"))?;
    }
    if !unanswered.is_empty() {
        bail!("without an answer: {}", unanswered.join(", "));
    }
    let is_whole = options.only.is_none();
    if is_whole && fs::read_to_string(root.join(TABLE)).ok() != Some(page(&table)) {
        bail!("{TABLE} says something else: cargo xtask corpus --write");
    }
    Ok(())
}

fn entries(index: &str) -> Result<Vec<Entry<'_>>> {
    let mut entries = Vec::new();
    for line in index.lines().filter_map(|line| line.strip_prefix("| ")) {
        // One bar only: an entry without any test ends with two.
        let mut columns = line.strip_suffix('|').unwrap_or(line).splitn(3, " | ");
        let (Some(name), Some(what), Some(last)) = (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if name == "Entry" {
            continue;
        }
        let last = last.trim();
        let answer = match last.strip_prefix(ELSEWHERE) {
            Some(reason) => Answer::Elsewhere(reason),
            None => Answer::Tests(last.split('`').skip(1).step_by(2).map(place).collect()),
        };
        entries.push(Entry { name, what, answer });
    }
    ensure!(!entries.is_empty(), "{INDEX} has no table");
    Ok(entries)
}

/// The crate and the name of a test.
fn place(test: &str) -> (&str, &str) {
    test.split_once("::").unwrap_or((CRATE, test))
}

/// Runs what is named, a crate at a time.
fn run_tests(entries: &[Entry<'_>]) -> Result<Results> {
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in entries {
        if let Answer::Tests(tests) = &entry.answer {
            for (home, test) in tests {
                wanted.entry(home).or_default().insert(test);
            }
        }
    }
    let mut results = Results::new();
    for (home, tests) in wanted {
        let mut command = workspace::cargo(["test", "--quiet", "--no-fail-fast", "--package"])?;
        command.arg(format!("gapless-{home}"));
        command.args(["--lib", "--tests", "--", "--format", "pretty"]);
        command.args(&tests);
        let text = output(&mut command, home)?;
        for (name, passed) in text.lines().filter_map(outcome) {
            let key = (home.to_owned(), name.to_owned());
            let counts = results.entry(key).or_default();
            let count = if passed { &mut counts.0 } else { &mut counts.1 };
            *count += 1;
        }
    }
    Ok(results)
}

/// What tests print, whether they pass or not.
fn output(command: &mut Command, home: &str) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        text.contains("test result: "),
        "gapless-{home} did not come to its tests"
    );
    Ok(text)
}

/// The last part of a test's name, and whether it passed.
fn outcome(line: &str) -> Option<(&str, bool)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.split(" - ").next()?.trim();
    let name = name.rsplit("::").next()?;
    Some((name, result == "ok"))
}

/// The table, and the entries for which there is no test, one that does not exist, or one that failed.
fn table(entries: &[Entry<'_>], results: &Results) -> (String, Vec<String>) {
    let mut text = String::from("| Entry | What | Test | Result |\n|---|---|---|---|\n");
    let mut unanswered = Vec::new();
    for Entry { name, what, answer } in entries {
        let tests = match answer {
            Answer::Elsewhere(reason) => {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "| {name} | {what} | | not TCP: {reason} |");
                continue;
            }
            Answer::Tests(tests) => tests,
        };
        let mut rows = Vec::new();
        for &(home, test) in tests {
            let counts = results.get(&(home.to_owned(), test.to_owned()));
            let result = match counts {
                Some((1.., 0)) => "passes",
                Some(_) => "FAILS",
                None => "IS NOT THERE",
            };
            if result != "passes" {
                unanswered.push(format!("{name} ({test})"));
            }
            rows.push((format!("`{home}::{test}`"), result));
        }
        if rows.is_empty() {
            unanswered.push((*name).to_owned());
            rows.push((String::new(), "HAS NO TEST"));
        }
        for (number, (test, result)) in rows.iter().enumerate() {
            let (name, what) = if number == 0 {
                (*name, *what)
            } else {
                ("", "")
            };
            let _ = writeln!(text, "| {name} | {what} | {test} | {result} |");
        }
    }
    let answered = entries
        .iter()
        .filter(|entry| matches!(entry.answer, Answer::Tests(_)));
    let tests: BTreeSet<_> = results.keys().collect();
    let _ = writeln!(
        text,
        "\n{} entries, of which {} concern TCP; {} tests.",
        entries.len(),
        answered.count(),
        tests.len()
    );
    (text, unanswered)
}

fn page(table: &str) -> String {
    format!("{INTRODUCTION}{table}")
}

const INTRODUCTION: &str = "\
# Known ways to fail

Ways in which TCP stacks have panicked, spun, fallen silent or been led astray by what a peer, a network or a caller did, and the
rules (R) that follow; with the test of ours that answers each, and how it went. `cargo xtask corpus` runs the tests and compares;
`cargo xtask corpus --write` writes this. What is named here is what has happened to somebody, and nothing is known to happen to us.

";

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "text\n| Entry | What | Tests |\n|---|---|---|\n| A1 | a wrap | `one`, `seq::two` |\n\
                         | Y1 | a frame | not TCP: Yamux |\n| B1 | a loop | |\n";

    fn results(list: &[(&str, &str, bool)]) -> Results {
        let mut results = Results::new();
        for (home, test, passed) in list {
            let counts = results
                .entry(((*home).to_owned(), (*test).to_owned()))
                .or_default();
            let count = if *passed {
                &mut counts.0
            } else {
                &mut counts.1
            };
            *count += 1;
        }
        results
    }

    #[test]
    fn an_entry_needs_tests_that_are_there_and_pass() {
        let entries = entries(INDEX).expect("a table");
        let all = results(&[("tcp", "one", true), ("seq", "two", true)]);
        assert_eq!(table(&entries, &all).1, ["B1"]);
        let missing = results(&[("tcp", "one", true)]);
        assert_eq!(table(&entries, &missing).1, ["A1 (two)", "B1"]);
        let failing = results(&[
            ("tcp", "one", true),
            ("tcp", "one", false),
            ("seq", "two", true),
        ]);
        let (text, unanswered) = table(&entries, &failing);
        assert_eq!(unanswered, ["A1 (one)", "B1"]);
        assert!(text.contains("| Y1 | a frame | | not TCP: Yamux |"));
        assert!(text.contains("| A1 | a wrap | `tcp::one` | FAILS |"));
        assert!(text.contains("|  |  | `seq::two` | passes |"));
    }

    #[test]
    fn the_words_of_tests_are_read() {
        assert_eq!(outcome("test a::b::one ... ok"), Some(("one", true)));
        assert_eq!(outcome("test one ... FAILED"), Some(("one", false)));
        let panics = "test a::silence - should panic ... ok";
        assert_eq!(outcome(panics), Some(("silence", true)));
        assert_eq!(outcome("test result: ok. 5 passed"), None);
        assert_eq!(outcome("running 5 tests"), None);
    }
}
