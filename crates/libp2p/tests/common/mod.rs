//! Swarms over UDX through real sockets, and the links between them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]

use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::join};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    identity::Keypair,
    ping,
    swarm::{ConnectionId, NetworkBehaviour, SwarmEvent},
};
use libp2p_udx::{Config, Handle, UdxAddr, upgraded};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

/// Nothing in these tests takes so long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How the two sockets are connected. Each datagram is spoiled once on its way out of either side and once on its way in.
#[derive(Copy, Clone, Debug)]
pub enum Link {
    Clean,
    /// Little delay, so that much can be carried through it in the time of a test.
    Lossy,
    /// Delay too: what goes wrong costs time.
    Distant,
}

impl Link {
    pub fn config(self) -> Config {
        let impair = match self {
            Self::Clean => None,
            Self::Lossy => Some("loss=1%,reorder=1%,duplicate=1%,corrupt=0.1%,seed=7"),
            Self::Distant => {
                Some("loss=1%,delay=1ms,jitter=500us,reorder=1%,duplicate=1%,corrupt=0.1%,seed=7")
            }
        };
        Config {
            impair: impair.map(|profile| profile.parse().expect("a profile")),
            ..Config::default()
        }
    }
}

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub ping: ping::Behaviour,
    pub identify: identify::Behaviour,
    pub stream: libp2p_stream::Behaviour,
}

impl Behaviour {
    pub fn new(keypair: &Keypair) -> Self {
        Self {
            ping: ping::Behaviour::default(),
            identify: identify::Behaviour::new(identify::Config::new(
                "/udx-test/1".into(),
                keypair.public(),
            )),
            stream: libp2p_stream::Behaviour::new(),
        }
    }
}

pub type Event = SwarmEvent<BehaviourEvent>;

/// A Swarm with its transport's handle.
pub fn swarm(config: Config) -> (Swarm<Behaviour>, Handle) {
    swarm_with(config, Behaviour::new)
}

pub fn swarm_with<B: NetworkBehaviour>(
    config: Config,
    behaviour: impl FnOnce(&Keypair) -> B,
) -> (Swarm<B>, Handle) {
    let keypair = Keypair::generate_ed25519();
    let (transport, handle) = upgraded(&keypair, config).expect("an ed25519 key");
    let swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|_| transport)
        .expect("infallible")
        .with_behaviour(behaviour)
        .expect("infallible")
        .with_swarm_config(|c| c.with_idle_connection_timeout(PATIENCE))
        .with_connection_timeout(PATIENCE)
        .build();
    (swarm, handle)
}

/// Listens on a free port of the IPv4 loopback interface and gives the address with the identity.
pub async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    listen_on(swarm, "/ip4/127.0.0.1/udp/0/udx").await
}

pub async fn listen_on<B: NetworkBehaviour>(swarm: &mut Swarm<B>, addr: &str) -> Multiaddr {
    let addr: UdxAddr = addr.parse().unwrap();
    swarm.listen_on(addr.to_multiaddr()).unwrap();
    let peer = *swarm.local_peer_id();
    wait(swarm, |event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(
            UdxAddr::try_from(address)
                .unwrap()
                .with_peer(peer)
                .to_multiaddr(),
        ),
        _ => None,
    })
    .await
}

/// Polls until an event is the right one.
pub async fn wait<B: NetworkBehaviour, T>(
    swarm: &mut Swarm<B>,
    mut pick: impl FnMut(&SwarmEvent<B::ToSwarm>) -> Option<T>,
) -> T {
    let found = async {
        loop {
            if let Some(found) = pick(&swarm.select_next_some().await) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found)
        .await
        .expect("the event never came")
}

pub fn established<E>(event: &SwarmEvent<E>) -> Option<(PeerId, ConnectionId)> {
    match event {
        SwarmEvent::ConnectionEstablished {
            peer_id,
            connection_id,
            ..
        } => Some((*peer_id, *connection_id)),
        _ => None,
    }
}

pub fn closed<E>(event: &SwarmEvent<E>) -> Option<ConnectionId> {
    match event {
        SwarmEvent::ConnectionClosed { connection_id, .. } => Some(*connection_id),
        _ => None,
    }
}

/// A Swarm that is polled by a task of its own. Dropping this drops the Swarm.
pub struct Running {
    pub peer: PeerId,
    pub control: libp2p_stream::Control,
    pub handle: Handle,
    pub events: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn new((mut swarm, handle): (Swarm<Behaviour>, Handle)) -> Self {
        let peer = *swarm.local_peer_id();
        let control = swarm.behaviour().stream.new_control();
        let (sender, events) = mpsc::unbounded_channel();
        let task =
            tokio::spawn(
                async move { while sender.send(swarm.select_next_some().await).is_ok() {} },
            );
        Self {
            peer,
            control,
            handle,
            events,
            task,
        }
    }

    pub async fn wait<T>(&mut self, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the swarm's task lives");
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found)
            .await
            .expect("the event never came")
    }

    /// How many connections were established since the last look.
    pub fn newly_established(&mut self) -> usize {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .filter(|event| established(event).is_some())
            .count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Two Swarms with one connection between them.
pub struct Pair {
    pub dialer: Running,
    pub listener: Running,
}

impl Pair {
    pub async fn connect(link: Link) -> Self {
        Self::connect_with(link.config(), link.config()).await
    }

    pub async fn connect_with(dialer: Config, listener: Config) -> Self {
        let (mut listener, listener_handle) = swarm(listener);
        let addr = listen(&mut listener).await;
        let mut listener = Running::new((listener, listener_handle));
        let (mut dialer, dialer_handle) = swarm(dialer);
        dialer.dial(addr).unwrap();
        let mut dialer = Running::new((dialer, dialer_handle));
        dialer.wait(established).await;
        listener.wait(established).await;
        Self { dialer, listener }
    }

    /// Some streams at once, each answered in full. The protocol is free for another call afterwards.
    pub async fn echo(&mut self, protocol: StreamProtocol, streams: usize, bytes: usize) {
        let mut incoming = self.listener.control.accept(protocol.clone()).unwrap();
        let serving = tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                tokio::spawn(async move {
                    let (read, mut write) = stream.split();
                    // libp2p-stream drops a stream that comes while the last one was not taken yet: so the opener waits for this.
                    write.write_all(b"!").await.unwrap();
                    futures::io::copy(read, &mut write).await.unwrap();
                    write.close().await.unwrap();
                });
            }
        });
        let mut opened = Vec::new();
        for _ in 0..streams {
            let peer = self.listener.peer;
            let mut stream = timeout(
                PATIENCE,
                self.dialer.control.open_stream(peer, protocol.clone()),
            )
            .await
            .unwrap()
            .unwrap();
            timeout(PATIENCE, stream.read_exact(&mut [0; 1]))
                .await
                .unwrap()
                .unwrap();
            opened.push(stream);
        }
        let echoes = opened
            .into_iter()
            .enumerate()
            .map(|(number, stream)| async move {
                let sent: Vec<u8> = (0..bytes + number)
                    .map(|at| (at * 31 + at / 256 + number) as u8)
                    .collect();
                let (mut read, mut write) = stream.split();
                let send = async {
                    write.write_all(&sent).await.unwrap();
                    write.close().await.unwrap();
                };
                let mut received = Vec::new();
                let (_, got) = join(send, read.read_to_end(&mut received)).await;
                got.unwrap();
                assert!(received == sent, "{number}");
            });
        timeout(PATIENCE, futures::future::join_all(echoes))
            .await
            .expect("all echoes");
        // It is only when the task is gone.
        serving.abort();
        let _ = serving.await;
    }
}
