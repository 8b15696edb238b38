//! Compares transports in virtual time: the comparing is a program of its own, built as a user's program is.

use anyhow::Result;
use clap::Args;
use std::ffi::OsString;

use crate::workspace;

/// What the program `gapless-compare` takes; `cargo xtask compare -- --help` lists it.
#[derive(Args)]
pub(crate) struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command =
        workspace::cargo(["run", "--release", "--quiet", "-p", "gapless-compare", "--"])?;
    workspace::run(command.args(&options.arguments))
}
