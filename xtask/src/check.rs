//! `cargo xtask check`: the rules of the house, here as in CI. `CONTRIBUTING.md` says why.

mod files;
mod layers;

use crate::workspace::{self, cargo};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these, instead of all
    rules: Vec<Rule>,
}

/// Cheapest first.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    /// Tracked files name no path of somebody's machine
    Paths,
    /// Files stay rooms with one purpose
    Length,
    /// Every crate depends only on those below it, and engines on nothing that does I/O
    Layers,
    /// Everything is formatted
    Fmt,
    /// The engines compile alone, with their default features
    Engines,
    /// Clippy has nothing to say, also about tests
    Clippy,
    /// Rustdoc has nothing to say
    Docs,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rules = match options.rules.as_slice() {
        [] => Rule::value_variants(),
        chosen => chosen,
    };
    let mut broken = Vec::new();
    for rule in rules {
        let started = Instant::now();
        println!("check {rule:?} …");
        // All of them, also after one is broken: who fixes them wants to see them together.
        match check(*rule) {
            Ok(()) => println!("check {rule:?}: kept ({:.0?})", started.elapsed()),
            Err(error) => {
                eprintln!("check {rule:?}: {error:#}");
                broken.push(format!("{rule:?}"));
            }
        }
    }
    if !broken.is_empty() {
        bail!("broken: {}", broken.join(", "));
    }
    Ok(())
}

fn check(rule: Rule) -> Result<()> {
    match rule {
        Rule::Paths => files::paths(),
        Rule::Length => files::length(),
        Rule::Layers => layers::check(),
        Rule::Fmt => {
            workspace::run(&mut cargo(["fmt", "--all", "--check"])?)?;
            workspace::run(&mut no_panic(&["fmt", "--check"])?)
        }
        Rule::Engines => engines(),
        Rule::Clippy => {
            let everything = ["clippy", "--quiet", "--workspace", "--all-targets", TUN];
            workspace::run(cargo(everything)?.args(["--keep-going", "--", "-D", "warnings"]))?;
            let mut library = no_panic(&["clippy", "--quiet", "--release"])?;
            workspace::run(library.args([
                "--target-dir",
                "target/no-panic",
                "--",
                "-D",
                "warnings",
            ]))
        }
        Rule::Docs => {
            // Libraries only: the program `gapless` would overwrite the pages of the library `gapless`.
            let mut docs = cargo(["doc", "--quiet", "--workspace", "--no-deps", "--lib", TUN])?;
            workspace::run(docs.env("RUSTDOCFLAGS", "-D warnings"))
        }
    }
}

/// The feature of the workspace that is off by default.
const TUN: &str = "--features=gapless/tun";

/// Alone, because in a build of the workspace a missing feature is lent by another crate. That they
/// really need no `std` is shown by `cargo xtask no-panic`, which links them without.
fn engines() -> Result<()> {
    for engine in layers::ENGINES {
        let strict: [&[&str]; 2] = [&[], &["--features", "strict"]];
        for features in strict {
            let mut check = cargo(["clippy", "--quiet", "--package", engine])?;
            workspace::run(check.args(features).args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}

/// Cargo in the workspace of the library that `cargo xtask no-panic` inspects.
fn no_panic(arguments: &[&str]) -> Result<Command> {
    let mut command = cargo(arguments)?;
    command.args(["--manifest-path", "xtask/no-panic/Cargo.toml"]);
    Ok(command)
}
