//! `git-remote-udx`: what git runs for URLs that begin with `udx://`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use gapless_cli::{commands, output};

fn main() -> ExitCode {
    output::start_tracing();
    let result = commands::remote_helper::main(std::env::args().skip(1).collect());
    let code = match result {
        Ok(()) => 0,
        Err(failure) => {
            output::report_failure(&failure, false);
            failure.kind.code()
        }
    };
    // A thread may still wait for input that git will never give: leave it behind.
    std::process::exit(code.into())
}
