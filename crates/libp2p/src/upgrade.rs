//! The transport with everything that a Swarm wants: Noise and Yamux on top.

use libp2p_core::{Transport as _, muxing::StreamMuxerBox, transport::Boxed, upgrade::Version};
use libp2p_identity::{Keypair, PeerId};

use crate::{Config, Handle, Transport, mux::Yamux};

/// What `Swarm::new` and `SwarmBuilder::with_other_transport` take.
pub type Upgraded = Boxed<(PeerId, StreamMuxerBox)>;

/// A [`Transport`] upgraded as go-, js- and dart-libp2p do (UDX 20): multistream-select 1.0, Noise XX with `keypair`,
/// multistream-select, Yamux, with the settings of `config`. The [`Handle`] shows its connections.
///
/// # Errors
///
/// If the keypair cannot sign, which an ed25519 key always can.
///
/// # Examples
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use libp2p_udx::{Config, UdxAddr, upgraded};
///
/// let keypair = libp2p::identity::Keypair::generate_ed25519();
/// let (transport, handle) = upgraded(&keypair, Config::default())?;
/// let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
///     .with_tokio()
///     .with_other_transport(|_| transport)?
///     .with_behaviour(|_| libp2p::ping::Behaviour::default())?
///     .build();
///
/// let listen: UdxAddr = "/ip4/127.0.0.1/udp/0/udx".parse()?;
/// swarm.listen_on(listen.to_multiaddr())?;
/// assert!(handle.connections().is_empty());
/// # Ok(()) }
/// ```
pub fn upgraded(
    keypair: &Keypair,
    config: Config,
) -> Result<(Upgraded, Handle), libp2p_noise::Error> {
    let noise = libp2p_noise::Config::new(keypair)?;
    let yamux = Yamux::new(&config);
    let timeout = config.upgrade_timeout;
    let transport = Transport::new(config);
    let handle = transport.handle();
    let upgraded = transport
        .upgrade(Version::V1)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(timeout)
        .boxed();
    Ok((upgraded, handle))
}
