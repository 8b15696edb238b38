//! Who may depend on whom.

use crate::workspace;
use anyhow::{Result, bail};

/// The engines, and what stands on them without `std`: no I/O.
pub(super) const ENGINES: [&str; 5] = [
    "gapless-seq",
    "gapless-recovery",
    "gapless-udx",
    "gapless-tcp",
    "gapless-sockets",
];

/// What each crate below the sockets may depend on directly, development aside. A new name here is a decision.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("gapless-seq", &[]),
    ("gapless-recovery", &["gapless-seq"]),
    (
        "gapless-udx",
        &[
            "gapless-seq",
            "gapless-recovery",
            "bytes",
            "thiserror",
            // Connection ids from the seed that the caller gives.
            "rand_chacha",
            // Stateless reset tokens (UDX 14).
            "hmac",
            "sha2",
        ],
    ),
    (
        "gapless-tcp",
        &[
            "gapless-seq",
            "gapless-recovery",
            // Numbers that strangers must not guess.
            "siphasher",
            "thiserror",
        ],
    ),
    ("gapless-sockets", &["gapless-tcp", "thiserror"]),
    ("gapless-link", &["thiserror"]),
];

/// What none of them may reach even through others: sockets, threads, clocks, randomness of the system.
const OUTSIDE: [&str; 8] = [
    "async-io",
    "getrandom",
    "libc",
    "mio",
    "quinn-udp",
    "rustix",
    "socket2",
    "tokio",
];

pub(super) fn check() -> Result<()> {
    let mut broken = Vec::new();
    for (package, allowed) in ALLOWED {
        for dependency in dependencies(package, &["--depth", "1"])? {
            if dependency != package && !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{package} depends on {dependency}"));
            }
        }
        for dependency in dependencies(package, &[])? {
            if OUTSIDE.contains(&dependency.as_str()) {
                broken.push(format!("{package} reaches {dependency}"));
            }
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

/// The names of what `package` is built from, itself included.
fn dependencies(package: &str, depth: &[&str]) -> Result<Vec<String>> {
    let mut tree = workspace::cargo(["tree", "--edges", "normal,build", "--prefix", "none"])?;
    tree.args(["--format", "{p}", "--package", package])
        .args(depth);
    let listed = workspace::output(&mut tree)?;
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}
