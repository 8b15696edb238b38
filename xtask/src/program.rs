//! Chores that are programs of their own, built as a user's program is: this one stays quick to build and depends on no engine.

use crate::workspace;
use anyhow::Result;
use std::ffi::OsString;

/// What the program takes; its own `--help` tells.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the program of `package` with optimisation and runs it.
pub(crate) fn run(package: &str, options: &Arguments) -> Result<()> {
    let mut command =
        workspace::cargo(["run", "--release", "--quiet", "--package", package, "--"])?;
    workspace::run(command.args(&options.arguments))
}
