//! What was found, as a table for people, for documents, and for programs.

use crate::cell::{Cell, Direction, Link, Verdict};
use crate::libp2p;
use serde_json::{Value, json};
use std::fmt::Write;

/// Everything that a run found out.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) cells: Vec<(Cell, Verdict)>,
    /// Peers that were asked for and did not run, with the reason.
    pub(crate) skipped: Vec<(String, String)>,
    /// What go-libp2p and our Swarm did with each other.
    pub(crate) libp2p: Option<libp2p::Found>,
}

impl Results {
    pub(crate) fn failures(&self) -> usize {
        let failed = |(_, verdict): &&(Cell, Verdict)| matches!(verdict, Verdict::Fail(_));
        let above = self.libp2p.as_ref().map_or(0, libp2p::Found::failures);
        self.cells.iter().filter(failed).count() + above
    }

    pub(crate) fn skip(&mut self, peer: &str, reason: &anyhow::Error) {
        self.skipped.push((peer.to_owned(), format!("{reason:#}")));
    }

    /// One line that says it all.
    pub(crate) fn summary(&self) -> String {
        let mut line = format!("{}, {} peers skipped", self.counts(), self.skipped.len());
        for (peer, reason) in &self.skipped {
            let _ = write!(line, "\nSKIPPED {peer}: {reason}");
        }
        line
    }

    /// How many cells ended how.
    pub(crate) fn counts(&self) -> String {
        let failed = self.failures();
        let impossible =
            |(_, verdict): &&(Cell, Verdict)| matches!(verdict, Verdict::NotPossible(_));
        let impossible = self.cells.iter().filter(impossible).count();
        let above = self.libp2p.as_ref();
        let rows = self.cells.len() + above.map_or(0, |found| found.passed() + found.failures());
        let passed = rows - failed - impossible;
        format!("{passed} passed, {failed} failed, {impossible} not possible for the peer")
    }

    /// One line per cell.
    pub(crate) fn json(&self) -> String {
        let mut text = String::new();
        for (cell, verdict) in &self.cells {
            let _ = writeln!(text, "{}", object(cell, verdict));
        }
        text.extend(self.libp2p.iter().map(libp2p::Found::json));
        for (peer, reason) in &self.skipped {
            let line = json!({ "peer": peer, "verdict": "skipped", "reason": reason });
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// A table per peer and version: a row for each scenario and direction, a column for each link; then what needs more words.
    pub(crate) fn markdown(&self) -> String {
        let links = self.links();
        let mut text = String::new();
        let mut notes = Notes::default();
        let mut part = None;
        for (first, _) in &self.cells {
            let this = (first.peer, first.version);
            if part != Some(this) && !self.seen_before(first) {
                header(&mut text, first, &links);
            }
            part = Some(this);
            if self.is_first_of_row(first) {
                self.row(&mut text, first, &links, &mut notes);
            }
        }
        text.extend(self.libp2p.iter().map(libp2p::Found::markdown));
        for (peer, reason) in &self.skipped {
            let _ = writeln!(text, "\n#### {peer}\n\nskipped: {reason}");
        }
        notes.write(&mut text);
        text
    }

    fn row(&self, text: &mut String, row: &Cell, links: &[Link], notes: &mut Notes) {
        let direction = row.direction.name(row.scenario);
        let _ = write!(text, "| {} | {direction} |", row.scenario.name());
        for link in links {
            let here = self
                .cells
                .iter()
                .find(|(cell, _)| same_row(cell, row) && cell.link == *link);
            let shown = here.map_or_else(
                || "-".to_owned(),
                |(cell, verdict)| shown(cell, verdict, notes),
            );
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }

    fn links(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.cells.iter().map(|(cell, _)| cell.link).collect();
        links.sort_unstable();
        links.dedup();
        links
    }

    fn is_first_of_row(&self, row: &Cell) -> bool {
        let first = self.cells.iter().find(|(cell, _)| same_row(cell, row));
        first.is_some_and(|(cell, _)| cell.link == row.link)
    }

    /// Whether the table of this cell's peer and version was begun by an earlier cell.
    fn seen_before(&self, this: &Cell) -> bool {
        let first = self.cells.iter().find(|(cell, _)| same_table(cell, this));
        first.is_some_and(|(cell, _)| !(same_row(cell, this) && cell.link == this.link))
    }
}

/// One cell as a program reads it.
pub(crate) fn object(cell: &Cell, verdict: &Verdict) -> Value {
    let mut object = json!({
        "peer": cell.peer.name(),
        "version": cell.version.name(),
        "scenario": cell.scenario.name(),
        "ours": if cell.direction.ours_dials { "dials" } else { "accepts" },
        "active": if cell.direction.ours_active { "ours" } else { "peer" },
        "link": cell.link.name(),
    });
    let more = match verdict {
        Verdict::Pass {
            seconds,
            bytes,
            note,
        } => json!({
            "verdict": "pass", "seconds": seconds, "bytes": bytes,
            "megabytes_per_second": rate(cell, *seconds, *bytes), "note": note,
        }),
        Verdict::Fail(reason) => json!({ "verdict": "fail", "reason": reason }),
        Verdict::NotPossible(reason) => json!({ "verdict": "not-possible", "reason": reason }),
    };
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    object
}

pub(crate) fn same_table(one: &Cell, other: &Cell) -> bool {
    one.peer == other.peer && one.version == other.version
}

fn same_row(one: &Cell, other: &Cell) -> bool {
    let key = |cell: &Cell| -> (_, Direction) { (cell.scenario, cell.direction) };
    same_table(one, other) && key(one) == key(other)
}

fn header(text: &mut String, cell: &Cell, links: &[Link]) {
    let _ = writeln!(
        text,
        "\n#### {}, version {}\n",
        cell.peer.name(),
        cell.version.name()
    );
    let _ = write!(text, "| Scenario | Direction |");
    for link in links {
        let _ = write!(text, " {} |", link.name());
    }
    let _ = write!(text, "\n|---|---|");
    for _ in links {
        let _ = write!(text, "---|");
    }
    text.push('\n');
}

fn shown(cell: &Cell, verdict: &Verdict, notes: &mut Notes) -> String {
    match verdict {
        Verdict::Pass {
            seconds,
            bytes,
            note,
        } => {
            let mut shown = "pass".to_owned();
            if let Some(rate) = rate(cell, *seconds, *bytes) {
                let _ = write!(shown, " {rate:.1} MB/s");
            }
            if let Some(note) = note {
                let _ = write!(shown, " ({note})");
            }
            shown
        }
        Verdict::Fail(reason) => format!("**FAIL** {}", notes.number(reason)),
        Verdict::NotPossible(reason) => format!("n/a {}", notes.number(reason)),
    }
}

/// Megabytes in a second, where that says something.
pub(crate) fn rate(cell: &Cell, seconds: f64, bytes: u64) -> Option<f64> {
    (cell.scenario.is_measured() && seconds > 0.0).then(|| bytes as f64 / 1e6 / seconds)
}

/// Reasons that many cells share, each told once.
#[derive(Default)]
pub(crate) struct Notes(Vec<String>);

impl Notes {
    pub(crate) fn number(&mut self, reason: &str) -> String {
        let known = self.0.iter().position(|note| note == reason);
        let number = known.unwrap_or_else(|| {
            self.0.push(reason.to_owned());
            self.0.len() - 1
        });
        format!("[{}]", number + 1)
    }

    /// A paragraph for each, under the numbers that the cells refer to.
    pub(crate) fn paragraphs(&self, text: &mut String) {
        for (number, note) in self.0.iter().enumerate() {
            let _ = writeln!(text, "[{}] {}.\n", number + 1, capitalised(note));
        }
    }

    pub(crate) fn write(&self, text: &mut String) {
        if !self.0.is_empty() {
            text.push('\n');
        }
        for (number, note) in self.0.iter().enumerate() {
            let _ = writeln!(text, "{}. {}", number + 1, note.replace('|', "\\|"));
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + rest.as_str()
}

/// One line about one cell.
pub(crate) fn line(cell: &Cell, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass {
            seconds,
            bytes,
            note,
        } => {
            let mut line = format!("pass  {cell} · {seconds:.2} s");
            if let Some(rate) = rate(cell, *seconds, *bytes) {
                let _ = write!(line, ", {rate:.1} MB/s");
            }
            if let Some(note) = note {
                let _ = write!(line, " ({note})");
            }
            line
        }
        Verdict::Fail(reason) => format!("FAIL  {cell}: {reason}"),
        Verdict::NotPossible(reason) => format!("n/a   {cell}: {reason}"),
    }
}
