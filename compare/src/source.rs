//! Which code the figures belong to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The commit, and whether files were changed since.
pub(crate) fn commit() -> Result<String> {
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let head = git(&["rev-parse", "--short=10", "HEAD"])?;
    Ok(head + if changed { CHANGED } else { "" })
}

pub(crate) const CHANGED: &str = "-changed";

/// What the figures of the other transports depend on, as a number: how they are driven, over which links, and their versions. Our own
/// engines have no part in them.
pub(crate) fn others() -> Result<String> {
    let mut digest = DefaultHasher::new();
    DRIVERS.hash(&mut digest);
    for path in ["crates/link/src", "crates/link/Cargo.toml"] {
        git(&["rev-parse", &format!("HEAD:{path}")])?.hash(&mut digest);
        git(&["diff", "HEAD", "--", path])?.hash(&mut digest);
    }
    let lock =
        std::fs::read_to_string("Cargo.lock").context("start this at the workspace's root")?;
    for package in lock.split("[[package]]") {
        let mut lines = package.trim().lines();
        let (name, version) = (lines.next(), lines.next());
        let is = |other: &&str| name == Some(format!("name = \"{other}\"").as_str());
        if ["quinn-proto", "smoltcp", "rustls", "ring", "rcgen"]
            .iter()
            .any(is)
        {
            (name, version).hash(&mut digest);
        }
    }
    Ok(format!("{:016x}", digest.finish()))
}

/// The files that drive them, as they were built.
const DRIVERS: &[&str] = &[
    include_str!("cell.rs"),
    include_str!("engine.rs"),
    include_str!("path.rs"),
    include_str!("quinn.rs"),
    include_str!("smoltcp.rs"),
    include_str!("world.rs"),
];

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).output();
    let output = output.context("git is needed to name the code")?;
    ensure!(
        output.status.success(),
        "git {} failed",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}
