//! What was found, kept in a file: an object of JSON for each cell, as it comes. So a run that was broken off can be gone on with, and a
//! document can be written from it later.

use crate::abilities;
use crate::cell::{Cell, Verdict};
use crate::table;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file of a run.
pub(crate) struct Record {
    path: PathBuf,
    file: File,
    found: HashMap<String, Value>,
    commit: String,
}

impl Record {
    /// Goes on with this file, or begins it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let open = || OpenOptions::new().create(true).append(true).open(path);
        let file = open().with_context(|| format!("opening {}", path.display()))?;
        let mut found = HashMap::new();
        for (number, line) in std::fs::read_to_string(path)?.lines().enumerate() {
            let object: Value = serde_json::from_str(line)
                .with_context(|| format!("{}, line {}", path.display(), number + 1))?;
            found.insert(key(&object), object);
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            found,
            commit: commit(),
        })
    }

    /// What was found of a cell, if that stands here.
    pub(crate) fn verdict(&self, cell: &Cell) -> Option<Verdict> {
        let nothing = Verdict::Fail(String::new());
        let object = self.found.get(&key(&table::object(cell, &nothing)))?;
        let text = |name: &str| Some(object.get(name)?.as_str()?.to_owned());
        Some(match text("verdict")?.as_str() {
            "pass" => Verdict::Pass {
                seconds: object.get("seconds")?.as_f64()?,
                bytes: object.get("bytes")?.as_u64()?,
                note: text("note"),
            },
            "not-possible" => {
                let reason = abilities::not_possible(cell);
                Verdict::NotPossible(reason.or_else(|| abilities::no_fin_with_data(cell))?)
            }
            _ => Verdict::Fail(text("reason")?),
        })
    }

    /// One more cell.
    pub(crate) fn add(&mut self, cell: &Cell, verdict: &Verdict) -> Result<()> {
        let mut object = table::object(cell, verdict);
        if let Some(fields) = object.as_object_mut() {
            fields.insert("commit".to_owned(), json!(self.commit));
        }
        writeln!(self.file, "{object}")
            .with_context(|| format!("writing {}", self.path.display()))?;
        self.found.insert(key(&object), object);
        Ok(())
    }

    /// The commits that it was found on: one, if all is as it should be.
    pub(crate) fn commits(&self) -> BTreeSet<String> {
        let commits = self
            .found
            .values()
            .filter_map(|object| object.get("commit"));
        commits
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }
}

/// What tells one cell from another.
fn key(object: &Value) -> String {
    let fields = ["peer", "version", "scenario", "ours", "active", "link"];
    let field = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    fields.map(field).join("/")
}

/// What this program was built from, as far as git knows.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Direction, Link};
    use crate::kind::Kind;
    use crate::plan::{Choice, Scenario};

    fn cell(scenario: Scenario) -> Cell {
        Cell {
            peer: Kind::Own,
            version: Choice::V2,
            scenario,
            direction: Direction::ALL[0],
            link: Link::Bad,
        }
    }

    #[test]
    fn a_run_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("found.json");
        let verdicts = [
            (
                Scenario::Bulk,
                Verdict::Pass {
                    seconds: 1.5,
                    bytes: 7,
                    note: Some("so".to_owned()),
                },
            ),
            (Scenario::Reset, Verdict::Fail("stuck".to_owned())),
            (
                Scenario::FinWithData,
                Verdict::NotPossible(
                    abilities::no_fin_with_data(&cell(Scenario::FinWithData)).unwrap(),
                ),
            ),
        ];
        let mut record = Record::open(&path).unwrap();
        for (scenario, verdict) in &verdicts {
            assert!(record.verdict(&cell(*scenario)).is_none());
            record.add(&cell(*scenario), verdict).unwrap();
        }
        drop(record);
        let again = Record::open(&path).unwrap();
        for (scenario, verdict) in &verdicts {
            let known = again.verdict(&cell(*scenario)).unwrap();
            assert_eq!(format!("{known:?}"), format!("{verdict:?}"));
        }
        assert!(again.verdict(&cell(Scenario::Idle)).is_none());
        assert_eq!(again.commits().len(), 1);
        std::fs::write(&path, "no JSON\n").unwrap();
        assert!(Record::open(&path).is_err());
    }
}
