//! The table on one page: a row for each peer and version, a column for each scenario, and a few speeds.

use crate::cell::{Cell, Link, Verdict};
use crate::document;
use crate::libp2p;
use crate::plan::Scenario;
use crate::table::{Notes, Results, rate, same_table};
use std::fmt::Write;

type Judged = (Cell, Verdict);

/// The overview as `docs/udx.md` has it: without what only skipped peers would say.
pub(crate) fn in_document(results: &Results) -> String {
    let mut text = String::new();
    let mut notes = Notes::default();
    counts(results, &mut notes, &mut text);
    text.push('\n');
    notes.paragraphs(&mut text);
    speeds(results, &mut text);
    document::in_document(&text)
}

/// How many cells of each peer, version and scenario passed, over all directions and links.
pub(crate) fn overview(results: &Results) -> String {
    let mut text = String::new();
    let mut notes = Notes::default();
    let columns = counts(results, &mut notes, &mut text);
    for (peer, _) in &results.skipped {
        let _ = writeln!(text, "| {peer} | - |{}", " skipped |".repeat(columns));
    }
    notes.write(&mut text);
    for (peer, reason) in &results.skipped {
        let _ = writeln!(text, "\n{peer}, skipped: {reason}");
    }
    speeds(results, &mut text);
    text.extend(results.libp2p.iter().map(libp2p::Found::markdown));
    text
}

/// The table of how many passed; how many scenarios it has.
fn counts(results: &Results, notes: &mut Notes, text: &mut String) -> usize {
    let scenarios: Vec<Scenario> = Scenario::ALL
        .into_iter()
        .filter(|scenario| {
            results
                .cells
                .iter()
                .any(|(cell, _)| cell.scenario == *scenario)
        })
        .collect();
    let _ = write!(text, "| Peer | Version |");
    for scenario in &scenarios {
        let _ = write!(text, " {} |", scenario.name());
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(scenarios.len()));
    text.push('\n');
    for first in firsts(results) {
        let _ = write!(text, "| {} | {} |", first.peer.name(), first.version.name());
        for scenario in &scenarios {
            let cells = results
                .cells
                .iter()
                .filter(|(cell, _)| same_table(cell, first) && cell.scenario == *scenario);
            let _ = write!(text, " {} |", tally(cells, notes));
        }
        text.push('\n');
    }
    scenarios.len()
}

/// "12", or "8, 4 n/a [1]", or worse.
fn tally<'a>(cells: impl Iterator<Item = &'a Judged>, notes: &mut Notes) -> String {
    let (mut passed, mut failed, mut impossible) = (0, 0, 0);
    let mut reasons: Vec<String> = Vec::new();
    for (_, verdict) in cells {
        match verdict {
            Verdict::Pass { .. } => passed += 1,
            Verdict::Fail(_) => failed += 1,
            Verdict::NotPossible(reason) => {
                impossible += 1;
                let reason = notes.number(reason);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
    }
    let mut parts = Vec::new();
    if failed > 0 {
        parts.push(format!("**{failed} FAIL**"));
    }
    if passed > 0 {
        parts.push(passed.to_string());
    }
    if impossible > 0 {
        parts.push(format!("{impossible} n/a {}", reasons.join(" ")));
    }
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}

/// MB/s of the largest transfer, from the slowest direction to the fastest.
fn speeds(results: &Results, text: &mut String) {
    let links = [Link::Direct, Link::Clean, Link::Loss1, Link::Bad];
    let mut rows = String::new();
    for first in firsts(results) {
        let of = |link: Link| {
            let cells = results.cells.iter().filter(|(cell, _)| {
                same_table(cell, first) && cell.scenario == Scenario::Bulk && cell.link == link
            });
            let mut rates: Vec<f64> = cells.filter_map(speed).collect();
            rates.sort_unstable_by(f64::total_cmp);
            match rates.as_slice() {
                [] => "-".to_owned(),
                [one] => format!("{one:.1}"),
                [low, .., high] => format!("{low:.1} to {high:.1}"),
            }
        };
        let shown = links.map(of);
        if shown.iter().any(|shown| shown != "-") {
            let _ = write!(rows, "| {} | {} |", first.peer.name(), first.version.name());
            for shown in shown {
                let _ = write!(rows, " {shown} |");
            }
            rows.push('\n');
        }
    }
    if !rows.is_empty() {
        let names = links.map(Link::name).join(" | ");
        let _ = writeln!(
            text,
            "\nMB/s of 64 MiB on one stream:\n\n| Peer | Version | {names} |"
        );
        let _ = write!(text, "|---|---|{}\n{rows}", "---|".repeat(links.len()));
    }
}

fn speed((cell, verdict): &Judged) -> Option<f64> {
    match verdict {
        Verdict::Pass { seconds, bytes, .. } => rate(cell, *seconds, *bytes),
        Verdict::Fail(_) | Verdict::NotPossible(_) => None,
    }
}

/// The first cell of each peer and version.
fn firsts(results: &Results) -> Vec<&Cell> {
    let mut firsts: Vec<&Cell> = Vec::new();
    for (cell, _) in &results.cells {
        if !firsts.iter().any(|first| same_table(first, cell)) {
            firsts.push(cell);
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Direction;
    use crate::kind::Kind;
    use crate::plan::Choice;

    fn judged(scenario: Scenario, link: Link, verdict: Verdict) -> Judged {
        let cell = Cell {
            peer: Kind::Own,
            version: Choice::V3,
            scenario,
            direction: Direction::ALL[0],
            link,
        };
        (cell, verdict)
    }

    fn pass(seconds: f64) -> Verdict {
        Verdict::Pass {
            seconds,
            bytes: 64_000_000,
            note: None,
        }
    }

    #[test]
    fn every_kind_of_verdict_shows() {
        let results = Results {
            cells: vec![
                judged(Scenario::Bulk, Link::Clean, pass(2.0)),
                judged(Scenario::Bulk, Link::Clean, pass(1.0)),
                judged(Scenario::Bulk, Link::Bad, Verdict::Fail("stuck".to_owned())),
                judged(
                    Scenario::Reset,
                    Link::Clean,
                    Verdict::NotPossible("it cannot (UDX 0)"),
                ),
                judged(
                    Scenario::Reset,
                    Link::Bad,
                    Verdict::NotPossible("it cannot (UDX 0)"),
                ),
            ],
            skipped: vec![("other".to_owned(), "nowhere to be had".to_owned())],
            libp2p: None,
        };
        let text = overview(&results);
        for line in [
            "| gapless | 3 | **1 FAIL**, 2 | 2 n/a [1] |",
            "| other | - | skipped | skipped |",
            "1. it cannot (UDX 0)",
            "other, skipped: nowhere to be had",
            "| gapless | 3 | - | 32.0 to 64.0 | - | - |",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
        }
        assert_eq!(results.failures(), 1);
        assert!(
            results
                .summary()
                .starts_with("2 passed, 1 failed, 2 not possible")
        );
    }

    #[test]
    fn the_long_table_has_each_link_beside_the_others() {
        let results = Results {
            cells: vec![
                judged(Scenario::Bulk, Link::Clean, pass(1.0)),
                judged(Scenario::Bulk, Link::Bad, Verdict::Fail("stuck".to_owned())),
            ],
            skipped: Vec::new(),
            libp2p: None,
        };
        let text = results.markdown();
        let row = "| 64mib | ours dials, to the peer | pass 64.0 MB/s | **FAIL** [1] |";
        assert!(text.lines().any(|shown| shown == row), "{text}");
        assert!(text.contains("1. stuck"));
        assert_eq!(results.json().lines().count(), 2);
    }
}
