//! Gapless beside other implementations, in one run.
#![forbid(unsafe_code)]

mod compare;
mod engine;
mod idle;
mod process;
mod report;
mod side;
mod tcp;
mod transport;
mod usage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// UDX beside QUIC, TCP and libp2p, over loopback.
    Udx(compare::Options),
    /// What idle connections cost.
    Idle(idle::Options),
    /// The TCP engine beside smoltcp's, without sockets.
    Tcp(tcp::Options),
    /// The UDX engine alone, without sockets.
    Engine {
        /// Megabytes to move.
        #[arg(long, default_value_t = 1000)]
        megabytes: u64,
        /// Streams to move them on.
        #[arg(long, default_value_t = 1)]
        streams: usize,
    },
    /// One side of a measurement, a process of its own.
    #[command(hide = true)]
    Side(side::Options),
    /// One side of the idle connections.
    #[command(hide = true)]
    IdleSide(idle::SideOptions),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Udx(options) => compare::run(&options),
        What::Idle(options) => idle::run(&options),
        What::Tcp(options) => tcp::run(&options),
        What::IdleSide(options) => idle::run_side(&options),
        What::Side(options) => side::run(options),
        What::Engine { megabytes, streams } => engine(megabytes, streams),
    }
}

fn engine(megabytes: u64, streams: usize) -> anyhow::Result<()> {
    let outcome = engine::run(megabytes * 1_000_000, streams)?;
    let seconds = outcome.time.as_secs_f64();
    println!(
        "{:.0} MB/s, {:.0} ns for each of {} datagrams",
        outcome.bytes as f64 / 1e6 / seconds,
        seconds * 1e9 / outcome.datagrams as f64,
        outcome.datagrams
    );
    Ok(())
}
