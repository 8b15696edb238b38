//! Rounds of measurements, the implementations in turn, so that what disturbs the machine disturbs all of them.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::process::Process;
use crate::report;
use crate::side::{ReceiverReport, SenderReport};
use crate::transport::Name;

#[derive(Args)]
pub(crate) struct Options {
    /// Megabytes of one measurement, after the warm-up.
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Megabytes of the warm-up before each measurement.
    #[arg(long, default_value_t = 200)]
    warm_up: u64,
    /// Rounds; the table shows medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Streams at once, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    streams: Vec<usize>,
    /// Compare only these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Name>,
    /// Write every measurement to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) name: Name,
    pub(crate) streams: usize,
    pub(crate) round: usize,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) sender_cpu_seconds: f64,
    pub(crate) receiver_cpu_seconds: f64,
    pub(crate) datagram_bytes: Option<u64>,
}

/// Longer than the slowest takes for the default amount on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(options: &Options) -> Result<()> {
    let names: Vec<Name> = if options.only.is_empty() {
        Name::value_variants().to_vec()
    } else {
        options.only.clone()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut samples = Vec::new();
    for round in 0..options.rounds {
        for streams in &options.streams {
            for name in &names {
                progress(&format!(
                    "round {} of {}: {}",
                    round + 1,
                    options.rounds,
                    name.title()
                ));
                let measured = runtime.block_on(async {
                    let measured = measure(*name, *streams, round, options);
                    tokio::time::timeout(PATIENCE, measured).await?
                });
                match measured {
                    Ok(sample) => samples.push(sample),
                    // One that fails must not take the others' figures with it.
                    Err(error) => eprintln!("\n{}, {streams} streams: {error:#}", name.title()),
                }
            }
        }
    }
    progress("");
    print!("{}", report::tables(&samples));
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&samples)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Says what is going on, where somebody watches.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{text:<60}\r");
    }
}

async fn measure(name: Name, streams: usize, round: usize, options: &Options) -> Result<Sample> {
    let bytes = options.megabytes * 1_000_000;
    let value = name.to_possible_value().context("nameless")?;
    let numbers = [streams as u64, bytes, options.warm_up * 1_000_000].map(|n| n.to_string());
    let [streams_text, bytes_text, warm_text] = &numbers;
    let mut arguments = vec!["side", "receive", value.get_name()];
    arguments.extend([
        "--streams",
        streams_text,
        "--bytes",
        bytes_text,
        "--warm",
        warm_text,
    ]);
    let mut receiver = Process::start(1, &arguments)?;
    let address = receiver.line("listening").await?;
    if let Some(role) = arguments.get_mut(1) {
        *role = "send";
    }
    arguments.extend(["--to", &address]);
    let mut sender = Process::start(0, &arguments)?;
    receiver.line("warm").await?;
    sender.tell("go").await?;
    let done: ReceiverReport = receiver.report("done").await?;
    sender.tell("stop").await?;
    let sent: SenderReport = sender.report("sent").await?;
    receiver.tell("stop").await?;
    Ok(Sample {
        name,
        streams,
        round,
        bytes: bytes.div_ceil(streams as u64) * streams as u64,
        seconds: done.ended.saturating_sub(sent.began).as_secs_f64(),
        sender_cpu_seconds: sent.cpu.as_secs_f64(),
        receiver_cpu_seconds: done.cpu.as_secs_f64(),
        datagram_bytes: sent.datagram,
    })
}
