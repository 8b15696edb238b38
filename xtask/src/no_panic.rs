//! `cargo xtask no-panic`: the engines, linked as a kernel would link them, contain no panic path.
//!
//! `xtask/no-panic` keeps every public function of the engines alive and is built without `std`, as one
//! optimised library whose panic handler calls a marker that nobody defines. Where the
//! compiler could prove that no input leads to a panic, it has removed the call of the
//! marker; where not, the relocations that the linker kept name each place. So that the proof does not
//! become empty unnoticed, the same library with deliberate panics must fail it.

mod artefact;
mod coverage;

use crate::workspace;
use anyhow::{Context, Result, bail};
use artefact::{Artefact, Finding};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The sources whose public functions the library must call, from the root.
const PROVED: [&str; 4] = [
    "crates/seq/src",
    "crates/recovery/src",
    "crates/udx/src/wire",
    "crates/tcp/src",
];

/// How the library is built: as users do, and with a panic at each overflow.
const PROFILES: [&str; 2] = ["release", "checked"];

/// The prefix of the functions that panic on purpose.
const DELIBERATE: &str = "deliberate_";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only show that panics added on purpose are found
    #[arg(long)]
    prove_it_fails: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.prove_it_fails {
        coverage::check(&workspace::root()?, &PROVED)?;
        for profile in PROFILES {
            prove(profile)?;
        }
    }
    prove_it_fails()
}

/// The proof itself.
fn prove(profile: &str) -> Result<()> {
    let artefact = Artefact::load(&build(profile, false)?)?;
    let foreign = artefact.foreign_imports();
    if !foreign.is_empty() {
        bail!(
            "the library is not self-contained: it imports {}",
            foreign.join(", ")
        );
    }
    let findings = artefact.panics()?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} places may panic", findings.len());
    }
    let functions = artefact.exports().len();
    println!("no-panic: {functions} exported functions, no panic path, no std ({profile})");
    Ok(())
}

/// The counter-proof: each function that panics on purpose is named, and nothing else.
fn prove_it_fails() -> Result<()> {
    let artefact = Artefact::load(&build("checked", true)?)?;
    let exports = artefact.exports();
    let expected = exports.iter().filter(|name| name.starts_with(DELIBERATE));
    let expected: BTreeSet<&str> = expected.map(String::as_str).collect();
    if expected.is_empty() {
        bail!("the library has no deliberate panics");
    }
    let findings = artefact.panics()?;
    let found: BTreeSet<&str> = findings.iter().map(Finding::outermost).collect();
    if found != expected {
        let missed: Vec<_> = expected.difference(&found).collect();
        let extra: Vec<_> = found.difference(&expected).collect();
        bail!("the inspection is blind: not found {missed:?}, found besides {extra:?}");
    }
    println!(
        "no-panic: fails as it must on {} deliberate panics",
        expected.len()
    );
    Ok(())
}

/// Builds the library. Returns where it is.
fn build(profile: &str, deliberate: bool) -> Result<PathBuf> {
    let root = workspace::root()?;
    let package = root.join("xtask/no-panic");
    // The very versions that the workspace uses; cargo drops what is not needed.
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock"))
        .context("cannot copy Cargo.lock")?;
    let target = root.join("target/no-panic");
    let mut command =
        workspace::cargo(["rustc", "--quiet", "--profile", profile, "--manifest-path"])?;
    command
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    if deliberate {
        command.args(["--features", "deliberate"]);
    }
    command.args(["--", "-C", "link-arg=-Wl,--emit-relocs"]);
    // Flags from outside would prove something else than what is built by default.
    command
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    workspace::run(&mut command)?;
    Ok(target.join(profile).join("libgapless_no_panic.so"))
}
