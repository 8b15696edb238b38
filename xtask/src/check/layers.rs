//! Who may depend on whom.

use crate::workspace;
use anyhow::{Result, bail};

/// The engines: no I/O, no `std`.
pub(super) const ENGINES: [&str; 3] = ["gapless-seq", "gapless-recovery", "gapless-udx"];

/// What each crate below the sockets may depend on, development and the standard library aside.
///
/// What these depend on in turn is included: an engine stays small also in the eyes of who audits it.
const ALLOWED: [(&str, &[&str]); 4] = [
    ("gapless-seq", &[]),
    ("gapless-recovery", &["gapless-seq"]),
    (
        "gapless-udx",
        &[
            "gapless-seq",
            "gapless-recovery",
            "bytes",
            "thiserror",
            "thiserror-impl",
        ],
    ),
    ("gapless-link", &["thiserror", "thiserror-impl"]),
];

/// What procedural macros are built from: they run in the compiler and are not linked.
const COMPILE_TIME: [&str; 4] = ["proc-macro2", "quote", "syn", "unicode-ident"];

pub(super) fn check() -> Result<()> {
    let mut broken = Vec::new();
    for (package, allowed) in ALLOWED {
        for dependency in dependencies(package)? {
            let known = dependency == package || COMPILE_TIME.contains(&dependency.as_str());
            if !known && !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{package} depends on {dependency}"));
            }
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

/// The names of all that `package` is built from, itself included.
fn dependencies(package: &str) -> Result<Vec<String>> {
    let mut tree = workspace::cargo(["tree", "--edges", "normal,build", "--prefix", "none"])?;
    let listed = workspace::output(tree.args(["--format", "{p}", "--package", package]))?;
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}
