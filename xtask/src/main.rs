//! The chores of the project: `cargo xtask CHORE`.
//!
//! Each is one file here. What a chore needs of the machine it says when that is missing.

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod check;
mod corpus;
mod fuzz;
mod lab;
mod no_panic;
mod program;
mod workspace;
mod worlds;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The chores of the project"
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure Gapless beside other implementations: `udx`, `idle`, `engine`, `tcp`
    Bench(program::Arguments),
    /// Check the rules of the house, here as in CI
    Check(check::Options),
    /// Compare transports and congestion controllers over modelled paths, in virtual time
    Compare(program::Arguments),
    /// Run the tests that answer known ways in which TCP stacks have failed, and print them as a table
    Corpus(corpus::Options),
    /// Fuzz the decoders and the engines with libFuzzer
    Fuzz(fuzz::Options),
    /// Run Gapless against other implementations, over real sockets and a bad path
    Interop(program::Arguments),
    /// Run engines against each other in virtual time, over seeds of random impairment
    Lab(lab::Options),
    /// Prove on the linked release code that the engines contain no panic path
    NoPanic(no_panic::Options),
    /// Search small worlds whole: every order of loss, duplication and reordering
    Worlds(worlds::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Bench(options) => program::run("gapless-bench", &options),
        Chore::Check(options) => check::run(&options),
        Chore::Compare(options) => program::run("gapless-compare", &options),
        Chore::Corpus(options) => corpus::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Interop(options) => program::run("gapless-interop", &options),
        Chore::Lab(options) => lab::run(&options),
        Chore::NoPanic(options) => no_panic::run(&options),
        Chore::Worlds(options) => worlds::run(&options),
    }
}
