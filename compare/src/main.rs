//! Goodput of Gapless and of other transports over modelled paths, in virtual time.
//!
//! Virtual time is exact: the same command gives the same figures on any machine, except that certificates and keys, whose
//! sizes differ by some bytes, move those of QUIC a little.
#![forbid(unsafe_code)]

mod cell;
mod engine;
mod ours;
mod quinn;
mod report;
#[cfg(test)]
mod tests;
mod world;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use cell::Path;
use engine::Kind;

#[derive(Parser)]
#[command(
    about = "Goodput of Gapless and of other transports over modelled paths, in virtual time",
    after_help = "Examples:\n  cargo xtask compare goodput --loss 0,20 --rtt 20,100 --rate 10\n  cargo xtask compare short --kind cubic,quinn-cubic\n  \
                  cargo xtask compare fairness --rate 100 --format csv"
)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Share of the link that a bulk transfer reaches, its wait in the queue, and what it loses there
    Goodput(Options),
    /// Time until 10 KB, 100 KB and 1 MB are delivered, opening included
    Short(Options),
    /// What two and four transfers get of one link
    Fairness(Options),
}

#[derive(Args)]
struct Options {
    /// Only these transports
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Losses by chance in each direction, tenths of a percent
    #[arg(long, value_delimiter = ',', default_value = "0,1,10,20,50,100")]
    loss: Vec<u32>,
    /// Round trip times, ms
    #[arg(long, value_delimiter = ',', default_value = "1,20,100,300")]
    rtt: Vec<u32>,
    /// Rates of the bottleneck, Mbit/s
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    rate: Vec<u32>,
    /// Queues before it, percent of rate times round trip time
    #[arg(long, value_delimiter = ',', default_value = "25,100,400")]
    queue: Vec<u32>,
    /// Virtual seconds of a run; at least 100 round trips are run
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: report::Format,
}

impl Options {
    fn kinds(&self) -> Vec<Kind> {
        if self.kind.is_empty() {
            Kind::ALL.to_vec()
        } else {
            self.kind.clone()
        }
    }

    fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        for &rate_mbit in &self.rate {
            for &rtt_ms in &self.rtt {
                for &queue_percent in &self.queue {
                    for &loss_permille in &self.loss {
                        paths.push(Path {
                            loss_permille,
                            rtt_ms,
                            rate_mbit,
                            queue_percent,
                        });
                    }
                }
            }
        }
        paths
    }
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Goodput(options) => report::goodput(&options),
        What::Short(options) => report::short(&options),
        What::Fairness(options) => report::fairness(&options),
    }
}
