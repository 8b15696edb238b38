//! `docs/udx.md` says what the code does: its examples, constants and references are compared with the code.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

mod constants;
mod engine;
mod examples;
mod references;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of all crates.
fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The document.
fn text() -> String {
    fs::read_to_string(crates().join("../docs/udx.md")).unwrap()
}

/// The file that the document names: relative to the engine's sources, else to the folder of all crates.
fn source(name: &str) -> Option<String> {
    let places = [crates().join("udx/src").join(name), crates().join(name)];
    places
        .iter()
        .find_map(|place| fs::read_to_string(place).ok())
}

/// The cells of a row of a table, trimmed; `None` for any other line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
