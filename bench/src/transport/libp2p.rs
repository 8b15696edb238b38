//! libp2p connections: a Swarm on each side, streams by libp2p-stream.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, Transport as _};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, noise, quic, tcp, yamux};
use libp2p_stream::{Behaviour, Control};
use libp2p_udx::{Config, UdxAddr, upgraded};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::tcp::use_cubic;
use super::{Connected, Incoming, Outgoing, PIECE, Transport};

/// What carries the connection.
#[derive(Clone, Copy)]
pub(crate) enum Libp2p {
    /// UDX, Noise and Yamux as libp2p-udx sets them up.
    Udx,
    /// TCP, Noise and Yamux as they come, but for CUBIC.
    Tcp,
    /// QUIC as it comes; it has CUBIC.
    Quic,
}

/// Tells the bytes of a datagram.
type Datagram = Box<dyn Fn() -> Option<u64>>;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/gapless/bench/1");

/// A stream with the room that reads need.
pub(crate) struct Reader {
    stream: Stream,
    room: Box<[u8]>,
}

impl Libp2p {
    fn swarm(self) -> Result<(Swarm<Behaviour>, Datagram)> {
        let key = Keypair::generate_ed25519();
        let (transport, datagram) = self.transport(&key)?;
        let config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(600));
        let peer = key.public().to_peer_id();
        let swarm = Swarm::new(transport, Behaviour::new(), peer, config);
        Ok((swarm, datagram))
    }

    fn transport(self, key: &Keypair) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, Datagram)> {
        let unknown: Datagram = Box::new(|| None);
        Ok(match self {
            Libp2p::Udx => {
                let (transport, handle) = upgraded(key, Config::default())?;
                let mtu = move || Some(u64::from(handle.connections().first()?.stats.mtu));
                (transport, Box::new(mtu))
            }
            Libp2p::Tcp => {
                let transport = tcp::tokio::Transport::new(tcp::Config::default())
                    .and_then(|stream, _| async move { cubic(stream) })
                    .upgrade(Version::V1)
                    .authenticate(noise::Config::new(key)?)
                    .multiplex(yamux::Config::default())
                    .boxed();
                (transport, unknown)
            }
            Libp2p::Quic => {
                let transport = quic::tokio::Transport::new(quic::Config::new(key))
                    .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                    .boxed();
                (transport, unknown)
            }
        })
    }

    fn listen_on(self) -> Result<Multiaddr> {
        Ok(match self {
            Libp2p::Udx => UdxAddr::new("127.0.0.1:0".parse()?).to_multiaddr(),
            Libp2p::Tcp => "/ip4/127.0.0.1/tcp/0".parse()?,
            Libp2p::Quic => "/ip4/127.0.0.1/udp/0/quic-v1".parse()?,
        })
    }
}

fn cubic(stream: tcp::tokio::TcpStream) -> std::io::Result<Compat<TcpStream>> {
    let stream = TcpStream::from(stream);
    use_cubic(&SockRef::from(&stream)).map_err(std::io::Error::other)?;
    Ok(stream.compat())
}

impl Transport for Libp2p {
    type Out = Stream;
    type In = Reader;

    async fn listen(&self, streams: UnboundedSender<Reader>) -> Result<String> {
        let (mut swarm, _) = self.swarm()?;
        let mut incoming = swarm.behaviour().new_control().accept(PROTOCOL)?;
        swarm.listen_on(self.listen_on()?)?;
        let address = loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => break address,
                SwarmEvent::ListenerError { error, .. } => bail!(error),
                _ => {}
            }
        };
        let peer = *swarm.local_peer_id();
        tokio::spawn(run(swarm));
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                let room = vec![0; PIECE].into_boxed_slice();
                if streams.send(Reader { stream, room }).is_err() {
                    return;
                }
            }
        });
        Ok(address.with(Protocol::P2p(peer)).to_string())
    }

    async fn connect(&self, to: &str, streams: usize) -> Result<Connected<Stream>> {
        let (mut swarm, datagram) = self.swarm()?;
        let mut control: Control = swarm.behaviour().new_control();
        let address: Multiaddr = to.parse()?;
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            bail!("{address} names no peer");
        };
        swarm.dial(address)?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => bail!(error),
                _ => {}
            }
        }
        tokio::spawn(run(swarm));
        let mut opened = Vec::new();
        for _ in 0..streams {
            let stream = control.open_stream(peer, PROTOCOL).await;
            opened.push(stream.context("cannot open a stream")?);
        }
        Ok(Connected {
            streams: opened,
            datagram,
        })
    }
}

async fn run(mut swarm: Swarm<Behaviour>) {
    loop {
        swarm.next().await;
    }
}

impl Outgoing for Stream {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.write_all(&data).await?)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(self.close().await?)
    }
}

impl Incoming for Reader {
    async fn read(&mut self) -> Result<Option<usize>> {
        let bytes = self.stream.read(&mut self.room).await?;
        Ok((bytes > 0).then_some(bytes))
    }
}
