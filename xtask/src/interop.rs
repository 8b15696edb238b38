//! Runs Gapless against other implementations: the harness is a program of its own, built as a user's program is.

use anyhow::Result;
use clap::Args;
use std::ffi::OsString;

use crate::workspace;

/// What the program `gapless-interop` takes; `cargo xtask interop --help` lists it.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command =
        workspace::cargo(["run", "--release", "--quiet", "-p", "gapless-interop", "--"])?;
    workspace::run(command.args(&options.arguments))
}
