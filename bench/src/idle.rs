//! What idle connections cost: many between two endpoints, each endpoint a process of its own.
//!
//! Every connection has carried 1 KB there and back on one stream before, which was then closed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use gapless::{Connection, Endpoint};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::process::{Commands, Process};
use crate::usage;

#[derive(Args)]
pub(crate) struct Options {
    /// Connections between the two endpoints.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Seconds to watch the processor while nothing but keep-alive happens.
    #[arg(long, default_value_t = 20)]
    watch: u64,
}

#[derive(Args)]
pub(crate) struct SideOptions {
    role: Role,
    #[arg(long)]
    core: Option<usize>,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    watch: u64,
    #[arg(long)]
    to: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Dial,
    Accept,
}

/// What one side costs.
#[derive(Debug, Deserialize, Serialize)]
struct Report {
    connections: usize,
    engine_bytes: usize,
    /// Resident memory beyond that of the process with its endpoint and no connection.
    resident_bytes: u64,
    cpu: Duration,
    watched: Duration,
}

/// The bytes that each connection carries there and back.
const MESSAGE: usize = 1000;

/// Dials at a time: as many as the accept queue of the other side surely holds.
const AT_ONCE: usize = 100;

/// For the last acknowledgements, and for what is kept some round trips longer for late ones.
const CALM: Duration = Duration::from_secs(3);

pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = runtime()?;
    let (dialer, acceptor) = runtime.block_on(measure(options))?;
    let connections = dialer.connections;
    println!("\n{connections} idle connections between two processes; per connection:\n");
    println!(
        "| {:<8} | {:>14} | {:>14} | {:>22} |",
        "", "engine, bytes", "process, bytes", "CPU of the side, ms/s"
    );
    println!("|{:-<10}|{:->15}:|{:->15}:|{:->23}:|", "", "", "", "");
    for (side, report) in [("dialer", dialer), ("acceptor", acceptor)] {
        ensure!(
            report.connections == connections,
            "the {side} has {}",
            report.connections
        );
        println!(
            "| {side:<8} | {:>14} | {:>14} | {:>22.1} |",
            report.engine_bytes / connections.max(1),
            report.resident_bytes / connections.max(1) as u64,
            1e3 * report.cpu.as_secs_f64() / report.watched.as_secs_f64()
        );
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<(Report, Report)> {
    let connections = options.connections.to_string();
    let watch = options.watch.to_string();
    let common = ["--connections", &connections, "--watch", &watch];
    let mut accept = vec!["idle-side", "accept"];
    accept.extend(common);
    let mut acceptor = Process::start(1, &accept)?;
    let address = acceptor.line("listening").await?;
    let mut dial = vec!["idle-side", "dial", "--to", &address];
    dial.extend(common);
    let mut dialer = Process::start(0, &dial)?;
    dialer.line("connected").await?;
    sleep(CALM).await;
    dialer.tell("watch").await?;
    acceptor.tell("watch").await?;
    let reports = (dialer.report("idle").await?, acceptor.report("idle").await?);
    dialer.tell("stop").await?;
    acceptor.tell("stop").await?;
    Ok(reports)
}

pub(crate) fn run_side(options: &SideOptions) -> Result<()> {
    if let Some(core) = options.core {
        usage::pin(core)?;
    }
    runtime()?.block_on(async {
        match options.role {
            Role::Dial => dial(options).await,
            Role::Accept => accept(options).await,
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    Ok(runtime.enable_all().build()?)
}

async fn dial(options: &SideOptions) -> Result<()> {
    let to = options.to.as_deref().context("nowhere to dial")?.parse()?;
    let endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
    let before = resident()?;
    let mut connections: Vec<Connection> = Vec::with_capacity(options.connections);
    let mut dials = JoinSet::new();
    for _ in 0..options.connections {
        if dials.len() == AT_ONCE {
            connections.push(dials.join_next().await.context("no dial")???);
        }
        let connecting = endpoint.connect(to)?;
        dials.spawn(async move { exchange(connecting.await?).await });
    }
    while let Some(connection) = dials.join_next().await {
        connections.push(connection??);
    }
    println!("connected");
    watch(&endpoint, connections, before, options.watch).await
}

/// Sends a message and awaits it back.
async fn exchange(connection: Connection) -> Result<Connection> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(&[7; MESSAGE]).await?;
    send.finish()?;
    let back = recv.read_to_end(MESSAGE).await?;
    ensure!(back.len() == MESSAGE, "{} bytes came back", back.len());
    Ok(connection)
}

async fn accept(options: &SideOptions) -> Result<()> {
    let endpoint = Endpoint::server("127.0.0.1:0".parse()?)?;
    let before = resident()?;
    println!("listening {}", endpoint.local_addr()?);
    let mut connections = Vec::with_capacity(options.connections);
    let mut answers = JoinSet::new();
    while connections.len() < options.connections {
        let connection = endpoint.accept().await.context("closed")?;
        connections.push(connection.clone());
        answers.spawn(answer(connection));
    }
    while let Some(answered) = answers.join_next().await {
        answered??;
    }
    watch(&endpoint, connections, before, options.watch).await
}

async fn answer(connection: Connection) -> Result<()> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    let message = recv.read_to_end(MESSAGE).await?;
    send.write_all(&message).await?;
    Ok(send.finish()?)
}

/// Reports what the connections cost, and holds them until the other side has reported too.
async fn watch(
    endpoint: &Endpoint,
    connections: Vec<Connection>,
    before: u64,
    seconds: u64,
) -> Result<()> {
    let mut commands = Commands::new();
    commands.expect("watch").await?;
    let resident_bytes = resident()?.saturating_sub(before);
    let (cpu, began) = (usage::cpu_time()?, usage::clock()?);
    sleep(Duration::from_secs(seconds)).await;
    let alive = connections.iter();
    let alive = alive.filter(|connection| connection.close_reason().is_none());
    let report = Report {
        connections: alive.count(),
        engine_bytes: endpoint.engine_memory(),
        resident_bytes,
        cpu: usage::cpu_time()?.saturating_sub(cpu),
        watched: usage::clock()?.saturating_sub(began),
    };
    println!("idle {}", serde_json::to_string(&report)?);
    commands.expect("stop").await
}

/// Bytes of this process that are in memory.
fn resident() -> Result<u64> {
    let path = Path::new("/proc/self/status");
    let status = std::fs::read_to_string(path).context("only Linux tells a process's memory so")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.parse::<u64>()? * 1024)
}
