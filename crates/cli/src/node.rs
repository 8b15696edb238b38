//! A libp2p Swarm over UDX, as the commands use it: listen, dial, open a stream, look at the connection.

mod dialing;
mod driver;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use gapless::link::Profile;
use gapless::{Version, VersionChoice};
use libp2p::identity::Keypair;
use libp2p::swarm::StreamProtocol;
use libp2p::{PeerId, Swarm, identify, ping, swarm};
use libp2p_udx::{Handle, UdxAddr};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use crate::address::Target;
use crate::args::{Common, UdxVersion};
use crate::failure::{Failure, Kind};
use driver::{Behaviour, Command, Driver};
use streams::{OpenError, Services};

/// Git's smart protocol, one request per stream (see `gapless_git`).
pub const GIT: StreamProtocol = StreamProtocol::new("/gapless/git/1.0.0");
/// libp2p's perf protocol.
pub const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

/// A stream of a protocol, for tokio.
pub type Stream = Compat<libp2p::Stream>;

/// How a node behaves on the network.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Spoils the node's datagrams.
    pub impair: Option<Profile>,
    /// When a silent connection is given up.
    pub idle_timeout: Duration,
    /// Which wire versions it speaks.
    pub udx_version: UdxVersion,
    /// Time between two libp2p pings on each connection.
    pub ping_interval: Duration,
}

impl From<&Common> for NodeConfig {
    fn from(common: &Common) -> Self {
        Self {
            impair: common.impair.clone(),
            idle_timeout: common.idle_timeout,
            udx_version: common.udx_version,
            ping_interval: PING_INTERVAL,
        }
    }
}

/// libp2p's own default; they only serve to be seen by other implementations.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long a connection may be without a stream. A command closes its connections itself, and a server bears a peer that only
/// pings now and then.
const IDLE_WITHOUT_STREAMS: Duration = Duration::from_secs(600);
/// How often a quiet peer is asked for a sign of life within the idle timeout: every third may get lost.
const KEEP_ALIVES: u32 = 3;
/// How long closing may take, at most: what is said there is a courtesy, the peer finds out by itself too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a dial goes on without an answer. Less than the transport's limit for all of connecting, 20 s, which could not say why.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Events that may wait for a slow reader; further ones are dropped, they are news and no orders.
const EVENT_QUEUE: usize = 256;

/// A running node. Dropping it ends its connections; [`Node::close`] waits until the peers were told.
pub struct Node {
    identity: PeerId,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    services: Services,
    handle: Handle,
    driver: JoinHandle<()>,
}

/// What a node reports.
#[derive(Debug)]
pub enum Event {
    /// An address to be reached at.
    Listening(UdxAddr),
    /// A ping came back, or did not.
    Ping {
        /// From whom.
        peer: PeerId,
        /// Round-trip time, or why there is none.
        result: Result<Duration, String>,
    },
    /// The last connection with a peer ended.
    Disconnected {
        /// Which peer.
        peer: PeerId,
        /// Why, if it was not for a good reason.
        cause: Option<String>,
    },
}

/// An established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// With whom.
    pub peer: PeerId,
    /// Where the peer was when it was dialed.
    pub remote: SocketAddr,
}

/// What a connection's UDX engine counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// The wire version of UDX, once known.
    pub version: Option<u32>,
    /// Packets sent, acknowledgements not included.
    pub packets_sent: u64,
    /// Of these, declared lost.
    pub packets_lost: u64,
    /// Of these, sent again.
    pub packets_resent: u64,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
}

impl Node {
    /// Starts a node with this identity. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the transport cannot be made.
    pub fn start(keypair: &Keypair, config: NodeConfig) -> Result<Self, Failure> {
        let identity = keypair.public().to_peer_id();
        let ping = ping::Config::new().with_interval(config.ping_interval);
        let (transport, handle) =
            libp2p_udx::upgraded(keypair, transport_config(config)).map_err(|error| {
                Failure::new(Kind::Other, format!("Noise cannot be set up: {error}"))
            })?;
        let behaviour = Behaviour {
            ping: ping::Behaviour::new(ping),
            identify: identify::Behaviour::new(
                identify::Config::new(IDENTIFY.to_owned(), keypair.public())
                    .with_agent_version(concat!("gapless/", env!("CARGO_PKG_VERSION")).to_owned()),
            ),
            streams: streams::Behaviour::default(),
        };
        let services = behaviour.streams.services();
        let swarm_config =
            swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_WITHOUT_STREAMS);
        let swarm = Swarm::new(transport, behaviour, identity, swarm_config);
        let (commands, orders) = mpsc::channel(1);
        let (report, events) = mpsc::channel(EVENT_QUEUE);
        let driver = tokio::spawn(Driver::new(swarm, report).run(orders));
        Ok(Self {
            identity,
            commands,
            events,
            services,
            handle,
            driver,
        })
    }

    /// Who this node is.
    pub fn identity(&self) -> PeerId {
        self.identity
    }

    /// Listens; the addresses come as [`Event::Listening`].
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn listen(&self, address: SocketAddr) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Listen { address, answer }).await?;
        let bound = answered.await.map_err(|_| stopped())?;
        bound.map_err(|reason| {
            Failure::new(
                Kind::Network,
                format!("cannot listen on {address}: {reason}"),
            )
            .cure("Another program may use the port: choose one with --listen ADDRESS:PORT.")
        })
    }

    /// Connects to `target`, at whichever of its host's addresses answers first.
    ///
    /// # Errors
    ///
    /// If nobody answers there, or not the one who should.
    pub async fn dial(&self, target: &Target) -> Result<Link, Failure> {
        let addresses = target.host.resolve(target.port).await?;
        let (answer, answered) = oneshot::channel();
        self.command(Command::Dial {
            peer: target.peer,
            addresses,
            answer,
        })
        .await?;
        match answered.await.map_err(|_| stopped())? {
            Ok(remote) => Ok(Link {
                peer: target.peer,
                remote,
            }),
            Err(error) => Err(dialing::failure(target, &error)),
        }
    }

    /// Opens a stream on a connection.
    ///
    /// # Errors
    ///
    /// If the peer does not speak the protocol, or the connection is gone.
    pub async fn open(&self, link: &Link, protocol: StreamProtocol) -> Result<Stream, Failure> {
        let (answer, answered) = oneshot::channel();
        let (peer, wanted) = (link.peer, protocol.clone());
        self.command(Command::Open {
            peer,
            protocol: wanted,
            answer,
        })
        .await?;
        match answered.await {
            Ok(Ok(stream)) => Ok(stream.compat()),
            Ok(Err(OpenError::Unsupported)) => {
                let offered = if protocol == GIT {
                    "Git repositories"
                } else {
                    "throughput measurements"
                };
                let cause = format!("the peer {peer} offers no {offered} ({protocol})");
                Err(Failure::new(Kind::Unsupported, cause)
                    .cure("Is `gapless serve` what runs there?"))
            }
            Ok(Err(OpenError::Failed(reason))) => Err(connection_lost(reason)),
            Err(_) => Err(connection_lost("it ended".to_owned())),
        }
    }

    /// Hands every stream that a peer opens for `protocol` to `serve`, each in a task of its own.
    ///
    /// # Errors
    ///
    /// If the protocol is served already.
    pub fn accept<F, S>(&self, protocol: StreamProtocol, serve: F) -> Result<(), Failure>
    where
        F: Fn(PeerId, Stream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let service = move |peer, stream: libp2p::Stream| serve(peer, stream.compat()).boxed();
        if self.services.offer(protocol.clone(), Arc::new(service)) {
            Ok(())
        } else {
            let cause = format!("{protocol} is served already");
            Err(Failure::new(Kind::Other, cause))
        }
    }

    /// The next thing that happens. Cancel-safe.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Why the connection with `peer` ended, if it did.
    pub fn disconnect_cause(&mut self, peer: PeerId) -> Option<String> {
        let mut found = None;
        while let Ok(event) = self.events.try_recv() {
            if let Event::Disconnected { peer: gone, cause } = event
                && gone == peer
            {
                found = cause;
            }
        }
        found
    }

    /// What the connection has counted so far; None when it has ended.
    pub fn stats(&self, link: &Link) -> Option<LinkStats> {
        self.handle
            .connection(link.remote)
            .map(|info| LinkStats::from(&info))
    }

    /// The same for the newest connection, whoever dialed.
    pub fn newest_stats(&self) -> Option<LinkStats> {
        self.handle.connections().last().map(LinkStats::from)
    }

    /// Ends all connections and waits until the peers were told, but not for ever.
    pub async fn close(self) {
        let Self {
            commands,
            events,
            services,
            handle,
            driver,
            identity: _,
        } = self;
        drop((commands, events, services));
        let closing = async {
            driver.await.ok();
            handle.wait_idle().await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("a peer did not acknowledge the end of its connection");
        }
    }

    async fn command(&self, command: Command) -> Result<(), Failure> {
        self.commands.send(command).await.map_err(|_| stopped())
    }
}

/// The name of this kind of application in identify.
const IDENTIFY: &str = "/gapless/1.0.0";

/// The connection broke while it was used.
pub fn connection_lost(reason: String) -> Failure {
    Failure::new(
        Kind::Connection,
        format!("the connection was lost: {reason}"),
    )
    .cure("Try again; --idle-timeout says how long a silent path is borne.")
}

fn stopped() -> Failure {
    Failure::new(Kind::Other, "the network task has ended")
}

fn transport_config(config: NodeConfig) -> libp2p_udx::Config {
    let mut transport = libp2p_udx::Config {
        impair: config.impair,
        ..libp2p_udx::Config::default()
    };
    let connection = &mut transport.endpoint.connection;
    connection.idle_timeout = config.idle_timeout;
    // A quiet path is asked whether it lives, some times before it is given up.
    connection.dial_timeout = DIAL_TIMEOUT.min(config.idle_timeout);
    connection.keep_alive = Some(config.idle_timeout / KEEP_ALIVES);
    let only = match config.udx_version {
        UdxVersion::Auto => None,
        UdxVersion::V3 => Some(Version::V3),
        UdxVersion::V2 => Some(Version::V2),
    };
    if let Some(version) = only {
        connection.version = VersionChoice::Only(version);
        transport.endpoint.accept_versions = vec![version];
    }
    transport
}

impl From<&libp2p_udx::ConnectionInfo> for LinkStats {
    fn from(info: &libp2p_udx::ConnectionInfo) -> Self {
        let recovery = &info.stats.recovery;
        Self {
            version: info.version.map(Version::wire),
            packets_sent: recovery.packets_sent,
            packets_lost: recovery.packets_lost,
            packets_resent: recovery.packets_resent,
            rtt: info.stats.rtt,
        }
    }
}
