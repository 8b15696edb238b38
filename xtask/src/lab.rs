//! `cargo xtask lab`: the engines against each other in virtual time. The lab is built optimised, with broken invariants that
//! panic; it is a program of its own so that this one stays quick to build and does not depend on the engines.

use crate::workspace;
use anyhow::Result;
use std::ffi::OsString;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What the lab takes: --seeds N, --from S, --seed S, --log, --marks, --sabotage [NAME], --load NAME, --path PROFILE, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let program = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "gapless-lab",
        "--example",
        "lab",
        "--",
    ];
    workspace::run(workspace::cargo(program)?.args(&options.arguments))
}
