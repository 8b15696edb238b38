//! `gapless`: Git, ping and throughput over UDX.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use gapless_cli::args::Cli;
use gapless_cli::failure::{Failure, Kind};
use gapless_cli::{commands, output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::start_tracing();
    let json = cli.common.json;
    let result = tokio::runtime::Runtime::new()
        .map_err(|error| {
            Failure::new(
                Kind::Other,
                format!("the runtime cannot be started: {error}"),
            )
        })
        .and_then(|runtime| runtime.block_on(commands::run(cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report_failure(&failure, json);
            failure.exit_code()
        }
    }
}
