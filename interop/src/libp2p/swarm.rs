//! Our Swarm, on threads of its own, so that it can be killed like a process; and the protocols that it serves.

use super::pattern::Pattern;
use super::thread::Thread;
use crate::plan::Choice;
use anyhow::{Context, Result, bail, ensure};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use gapless::ConnectionConfig;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, identify, identity::Keypair, ping};
use libp2p_udx::{Config, Handle, UdxAddr, upgraded};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What comes goes back, behind one byte that says that somebody is there.
pub(super) const ECHO: StreamProtocol = StreamProtocol::new("/gapless-interop/echo/1");
/// libp2p's measurement of throughput.
pub(super) const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
/// The first byte says who resets the stream after some data.
pub(super) const RESET: StreamProtocol = StreamProtocol::new("/gapless-interop/reset/1");

pub(super) const THERE: u8 = b'!';
pub(super) const OPENER_RESETS: u8 = b'o';
pub(super) const SERVER_RESETS: u8 = b's';
/// Bytes before a reset: some packets.
pub(super) const BEFORE_RESET: usize = 5000;

/// The agent that our identify messages name.
pub(super) const AGENT: &str = "gapless-interop";

/// Bytes read and written at once.
const BLOCK: usize = 64 << 10;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    stream: libp2p_stream::Behaviour,
}

pub(super) type Event = SwarmEvent<BehaviourEvent>;

/// A Swarm that runs until it is dropped; then it ends as a killed process ends: nobody is told.
pub(super) struct Ours {
    _thread: Thread,
    pub(super) peer: PeerId,
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    control: libp2p_stream::Control,
    dials: mpsc::UnboundedSender<Multiaddr>,
    events: mpsc::UnboundedReceiver<Event>,
}

/// How a Swarm behaves in a scenario.
#[derive(Clone)]
pub(super) struct Manners {
    pub(super) version: Choice,
    pub(super) connection: ConnectionConfig,
    /// Between two pings of its own. An idle connection has none.
    pub(super) pings: Duration,
}

impl Ours {
    /// Starts one that listens on loopback.
    pub(super) fn start(manners: &Manners) -> Result<Self> {
        let (dials, wanted) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        let manners = manners.clone();
        let start = move || async move {
            let (mut swarm, handle) = swarm(&manners)?;
            let listen: UdxAddr = "/ip4/127.0.0.1/udp/0/udx".parse()?;
            swarm.listen_on(listen.to_multiaddr())?;
            let address = loop {
                if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                    break UdxAddr::try_from(&address)?.socket_addr();
                }
            };
            let control = swarm.behaviour().stream.new_control();
            serve(control.clone())?;
            let peer = *swarm.local_peer_id();
            tokio::spawn(run(swarm, wanted, told));
            Ok((peer, address, handle, control))
        };
        let (thread, (peer, address, handle, control)) = Thread::start("swarm", start)?;
        Ok(Self {
            _thread: thread,
            peer,
            address,
            handle,
            control,
            dials,
            events,
        })
    }

    pub(super) fn dial(&self, peer: PeerId, at: SocketAddr) -> Result<()> {
        let address = UdxAddr::new(at).with_peer(peer).to_multiaddr();
        self.dials.send(address).context("the Swarm is gone")
    }

    /// Waits for the first event that is the right one; of others before it nothing is kept.
    pub(super) async fn wait<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut pick: impl FnMut(Event) -> Option<Result<T>>,
    ) -> Result<T> {
        let found = async {
            loop {
                let event = self.events.recv().await.context("the Swarm is gone")?;
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        let found = timeout(within, found).await;
        found.with_context(|| format!("our Swarm saw no {what} within {within:?}"))?
    }

    pub(super) async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream> {
        let mut control = self.control.clone();
        let opened = timeout(TO_OPEN, control.open_stream(peer, protocol)).await;
        opened
            .context("a stream does not open")?
            .map_err(|error| anyhow::anyhow!("{error}"))
    }
}

fn swarm(manners: &Manners) -> Result<(Swarm<Behaviour>, Handle)> {
    let mut config = Config::default();
    config.endpoint.connection = manners.connection.clone();
    config.endpoint.connection.version = crate::own::config(manners.version).version;
    let keypair = Keypair::generate_ed25519();
    let (transport, handle) = upgraded(&keypair, config)?;
    let pings = ping::Config::new().with_interval(manners.pings);
    let behaviour = |keypair: &Keypair| Behaviour {
        ping: ping::Behaviour::new(pings),
        identify: identify::Behaviour::new(
            identify::Config::new("/gapless-interop/1".to_owned(), keypair.public())
                .with_agent_version(AGENT.to_owned()),
        ),
        stream: libp2p_stream::Behaviour::new(),
    };
    let swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|_| transport)?
        .with_behaviour(behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(AN_HOUR))
        .with_connection_timeout(TO_OPEN)
        .build();
    Ok((swarm, handle))
}

async fn run(
    mut swarm: Swarm<Behaviour>,
    mut wanted: mpsc::UnboundedReceiver<Multiaddr>,
    told: mpsc::UnboundedSender<Event>,
) {
    loop {
        tokio::select! {
            address = wanted.recv() => {
                let Some(address) = address else { return };
                // An address that cannot be dialed shows as a connection that does not come.
                let _ = swarm.dial(address);
            }
            event = swarm.select_next_some() => {
                if told.send(event).is_err() {
                    return;
                }
            }
        }
    }
}

/// Serves echo, perf and resets.
fn serve(mut control: libp2p_stream::Control) -> Result<()> {
    let (mut echo, mut perf, mut reset) = (
        control.accept(ECHO)?,
        control.accept(PERF)?,
        control.accept(RESET)?,
    );
    tokio::spawn(async move {
        loop {
            // A stream that fails is the other side's to report.
            tokio::select! {
                Some((_, stream)) = echo.next() => drop(tokio::spawn(serve_echo(stream))),
                Some((_, stream)) = perf.next() => drop(tokio::spawn(serve_perf(stream))),
                Some((_, stream)) = reset.next() => drop(tokio::spawn(serve_reset(stream))),
                else => return,
            }
        }
    });
    Ok(())
}

async fn serve_echo(mut stream: Stream) -> Result<()> {
    // libp2p-stream drops a stream that comes while the last one was not taken yet: so the opener waits for this.
    stream.write_all(&[THERE]).await?;
    stream.flush().await?;
    let (read, mut write) = stream.split();
    futures::io::copy(read, &mut write).await?;
    write.close().await?;
    Ok(())
}

async fn serve_perf(mut stream: Stream) -> Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    futures::io::copy(&mut stream, &mut futures::io::sink()).await?;
    zeros(&mut stream, u64::from_be_bytes(wanted)).await?;
    stream.close().await?;
    Ok(())
}

async fn serve_reset(mut stream: Stream) -> Result<()> {
    let mut who = [0; 1];
    stream.read_exact(&mut who).await?;
    if who[0] == SERVER_RESETS {
        stream.read_exact(&mut [0; BEFORE_RESET]).await?;
    } else {
        futures::io::copy(&mut stream, &mut futures::io::sink()).await?;
    }
    // Yamux resets a stream that is dropped before its end.
    drop(stream);
    Ok(())
}

pub(super) async fn zeros(stream: &mut Stream, count: u64) -> Result<()> {
    let block = vec![0; BLOCK];
    let mut left = count;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        stream.write_all(&block[..size]).await?;
        left -= size as u64;
    }
    stream.flush().await?;
    Ok(())
}

/// Sends a pattern and its end on a stream of echo, and compares what comes back.
pub(super) async fn exchange(stream: Stream, seed: u64, bytes: u64) -> Result<()> {
    let (mut read, mut write) = stream.split();
    let mut sent = Pattern::new(seed);
    let mut expected = sent.clone();
    let send = async {
        let mut block = vec![0; BLOCK];
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            sent.fill(&mut block[..size]);
            write.write_all(&block[..size]).await?;
            left -= size as u64;
        }
        write.close().await?;
        anyhow::Ok(())
    };
    let receive = async {
        let (mut got, mut ours) = (vec![0; BLOCK], vec![0; BLOCK]);
        let mut position = 0;
        loop {
            let size = read.read(&mut got).await?;
            if size == 0 {
                break;
            }
            expected.fill(&mut ours[..size]);
            if let Some(at) = (0..size).find(|at| got[*at] != ours[*at]) {
                bail!("byte {} is wrong", position + at as u64);
            }
            position += size as u64;
        }
        ensure!(position == bytes, "{position} bytes came back, not {bytes}");
        Ok(())
    };
    futures::try_join!(send, receive)?;
    Ok(())
}

/// To dial with all upgrades, and to open a stream, over the worst link.
const TO_OPEN: Duration = Duration::from_secs(30);

const AN_HOUR: Duration = Duration::from_secs(3600);
