//! The commands of `gapless`, each in its room.

mod clone;
mod id;
mod lab;
mod perf;
mod ping;
pub mod remote_helper;
mod serve;

use crate::args::{Cli, Command};
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// Does what the command line says.
///
/// # Errors
///
/// Whatever went wrong, with its cure.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    let output = Output::new(common.json);
    match command {
        Command::Id => id::run(&common, output),
        Command::Serve(args) => serve::run(&common, args, output).await,
        Command::Clone(args) => clone::run(&common, args, output).await,
        Command::Ping(args) => unless_interrupted(ping::run(&common, args, output)).await,
        Command::Lab(args) => unless_interrupted(lab::run(&common, *args, output)).await,
        Command::Perf(args) => unless_interrupted(perf::run(&common, args, output)).await,
    }
}

/// `work`, or the failure of having been interrupted.
async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = work => result,
        () = interrupted() => Err(interruption()),
    }
}

fn interruption() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted")
}

/// Ctrl-C, or the system's polite request to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                result = tokio::signal::ctrl_c() => wait_if_deaf(result).await,
            }
            return;
        }
    }
    wait_if_deaf(tokio::signal::ctrl_c().await).await;
}

/// Without a signal handler, Ctrl-C ends the program by itself.
async fn wait_if_deaf(result: std::io::Result<()>) {
    if result.is_err() {
        std::future::pending::<()>().await;
    }
}
