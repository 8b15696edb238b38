//! Rounds of measurements, the implementations in turn, so that what disturbs the machine disturbs all of them.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

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
    let side = |role: &str, core: usize| {
        let mut command = Command::new(std::env::current_exe()?);
        let name = name.to_possible_value().context("nameless")?;
        command.args(["side", role, name.get_name()]);
        command.args(["--streams", &streams.to_string()]);
        command.args(["--bytes", &bytes.to_string()]);
        command.args(["--warm", &(options.warm_up * 1_000_000).to_string()]);
        // With one core there is no choice to make.
        if std::thread::available_parallelism()?.get() > 1 {
            command.args(["--core", &core.to_string()]);
        }
        Ok::<_, anyhow::Error>(command)
    };
    let mut receiver = Process::start(side("receive", 1)?)?;
    let address: String = receiver.line("listening").await?;
    let mut command = side("send", 0)?;
    command.args(["--to", &address]);
    let mut sender = Process::start(command)?;
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

/// One side, told and heard line by line; it ends with this value.
struct Process {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        Ok(Process {
            _child: child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    async fn tell(&mut self, command: &str) -> Result<()> {
        Ok(self
            .input
            .write_all(format!("{command}\n").as_bytes())
            .await?)
    }

    /// What follows `word` in the next line, which must begin so.
    async fn line(&mut self, word: &str) -> Result<String> {
        let line = self.output.next_line().await?;
        let line = line.with_context(|| format!("ended before {word:?}"))?;
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => bail!("said {line:?} instead of {word:?}"),
        }
    }

    async fn report<T: DeserializeOwned>(&mut self, word: &str) -> Result<T> {
        Ok(serde_json::from_str(&self.line(word).await?)?)
    }
}
