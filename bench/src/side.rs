//! One side of one measurement: a process of its own, on a core of its own, told what to do line by line.
//!
//! Receiver: says `listening ADDRESS`, `warm` once the warm-up has come, `done {..}` once everything and the end of every stream
//! has come. Sender: sends the warm-up, sends the rest at `go`, and says `sent {..}` at `stop`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::process::Commands;
use crate::transport::{Gapless, Incoming, Libp2p, Name, Outgoing, PIECE, Quinn, Tcp, Transport};
use crate::usage;

#[derive(Args)]
pub(crate) struct Options {
    role: Role,
    name: Name,
    #[arg(long)]
    core: Option<usize>,
    #[arg(long)]
    streams: usize,
    /// Bytes before the measurement, over all streams.
    #[arg(long)]
    warm: u64,
    /// Bytes of the measurement, over all streams.
    #[arg(long)]
    bytes: u64,
    /// Where the receiver listens.
    #[arg(long)]
    to: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Send,
    Receive,
}

/// What the sender says at the end.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SenderReport {
    /// On the clock that all processes share.
    pub(crate) began: Duration,
    pub(crate) cpu: Duration,
    pub(crate) datagram: Option<u64>,
}

/// What the receiver says at the end.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ReceiverReport {
    /// On the clock that all processes share.
    pub(crate) ended: Duration,
    pub(crate) cpu: Duration,
}

pub(crate) fn run(options: Options) -> Result<()> {
    if let Some(core) = options.core {
        usage::pin(core)?;
    }
    // A core for each side leaves nothing to a second thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match options.name {
            Name::Gapless => play(&options, Gapless).await,
            Name::Quinn => play(&options, Quinn { tuned: false }).await,
            Name::QuinnTuned => play(&options, Quinn { tuned: true }).await,
            Name::Tcp => play(&options, Tcp { segment: None }).await,
            Name::TcpEthernet => play(&options, ETHERNET_TCP).await,
            Name::Libp2pUdx => play(&options, Libp2p::Udx).await,
            Name::Libp2pTcp => play(&options, Libp2p::Tcp).await,
            Name::Libp2pQuic => play(&options, Libp2p::Quic).await,
        }
    })
}

/// 1,500 bytes less the headers of IPv4 and TCP with timestamps; the option counts the timestamps' 12 bytes.
const ETHERNET_TCP: Tcp = Tcp {
    segment: Some(1460),
};

async fn play(options: &Options, transport: impl Transport) -> Result<()> {
    match options.role {
        Role::Send => send(options, transport).await,
        Role::Receive => receive(options, transport).await,
    }
}

/// So many bytes for each stream that together they are at least `bytes`.
fn share(bytes: u64, streams: usize) -> u64 {
    bytes.div_ceil(streams as u64)
}

async fn send<T: Transport>(options: &Options, transport: T) -> Result<()> {
    let to = options.to.as_deref().context("nowhere to send to")?;
    let mut connected = transport.connect(to, options.streams).await?;
    let warm = share(options.warm, options.streams);
    let bytes = share(options.bytes, options.streams);
    let mut commands = Commands::new();
    let streams = std::mem::take(&mut connected.streams);
    let streams = write_to_all(streams, warm, false).await?;
    commands.expect("go").await?;
    let (began, cpu) = (usage::clock()?, usage::cpu_time()?);
    let streams = write_to_all(streams, bytes, true).await?;
    commands.expect("stop").await?;
    let report = SenderReport {
        began,
        cpu: usage::cpu_time()?.saturating_sub(cpu),
        datagram: (connected.datagram)(),
    };
    println!("sent {}", serde_json::to_string(&report)?);
    drop(streams);
    Ok(())
}

/// Writes `bytes` to each stream, all at once, each by a task of its own.
async fn write_to_all<O: Outgoing>(streams: Vec<O>, bytes: u64, finish: bool) -> Result<Vec<O>> {
    let piece = Bytes::from(vec![0x5a; PIECE]);
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        let piece = piece.clone();
        tasks.spawn(async move {
            let mut left = bytes;
            while left > 0 {
                let now = PIECE.min(usize::try_from(left)?);
                stream.write(piece.slice(..now)).await?;
                left -= now as u64;
            }
            if finish {
                stream.finish().await?;
            }
            Ok::<_, anyhow::Error>(stream)
        });
    }
    let mut streams = Vec::new();
    while let Some(stream) = tasks.join_next().await {
        streams.push(stream??);
    }
    Ok(streams)
}

async fn receive<T: Transport>(options: &Options, transport: T) -> Result<()> {
    let (sender, mut incoming) = mpsc::unbounded_channel();
    println!("listening {}", transport.listen(sender).await?);
    let warm = share(options.warm, options.streams) * options.streams as u64;
    let bytes = share(options.bytes, options.streams) * options.streams as u64;
    let meter = Arc::new(Meter::default());
    let mut tasks = JoinSet::new();
    let mut measured = None;
    let mut left = options.streams;
    while left > 0 {
        tokio::select! {
            Some(stream) = incoming.recv() => {
                tasks.spawn(drain(stream, meter.clone(), warm));
            }
            Some(ended) = tasks.join_next() => {
                ended??;
                left -= 1;
            }
            () = meter.reached.notified() => {
                measured = Some(usage::cpu_time()?);
                println!("warm");
            }
        }
    }
    let ended = usage::clock()?;
    let cpu = usage::cpu_time()?.saturating_sub(measured.context("ended before it was warm")?);
    let received = meter.bytes.load(Ordering::Relaxed);
    ensure!(
        received == warm + bytes,
        "{received} bytes came, {} were sent",
        warm + bytes
    );
    println!(
        "done {}",
        serde_json::to_string(&ReceiverReport { ended, cpu })?
    );
    // The last acknowledgements are this side's duty.
    Commands::new().expect("stop").await
}

#[derive(Default)]
struct Meter {
    bytes: AtomicU64,
    reached: Notify,
}

async fn drain(mut stream: impl Incoming, meter: Arc<Meter>, warm: u64) -> Result<()> {
    while let Some(bytes) = stream.read().await? {
        let before = meter.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before < warm && before + bytes as u64 >= warm {
            meter.reached.notify_one();
        }
    }
    Ok(())
}
