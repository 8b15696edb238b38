//! Gapless against other implementations, and models of them, over real sockets and a bad path.
#![forbid(unsafe_code)]

mod abilities;
mod app;
mod cell;
mod child;
mod document;
mod golang;
mod kind;
mod libp2p;
mod model;
mod overview;
mod own;
mod pattern;
mod peer;
mod plan;
mod record;
mod relay;
mod suite;
mod table;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask interop",
    bin_name = "cargo xtask interop",
    args_conflicts_with_subcommands = true,
    about = "Gapless against other implementations, over real sockets and a bad path"
)]
struct Arguments {
    #[command(flatten)]
    suite: suite::Options,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// One side of a conversation, a process of its own.
    #[command(hide = true)]
    Peer(peer::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.what {
        None => suite::run(&arguments.suite),
        Some(What::Peer(options)) => peer::run(options).map(|()| true),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
