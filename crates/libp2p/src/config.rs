//! What a transport is made with.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use gapless::{ConnectionConfig, Endpoint, EndpointConfig, PeerVersions, link::Profile};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// How a [`Transport`](crate::Transport) listens, dials and ends.
#[derive(Clone, Debug)]
pub struct Config {
    /// The UDX engine's own settings: limits, timeouts, keep-alive, congestion control. Whether connections are accepted
    /// is decided by listening, not here.
    ///
    /// [`streams_are_authenticated`](gapless::ConnectionConfig::streams_are_authenticated) is set at first, as Noise
    /// notices a wrong byte; an upgrade that authenticates nothing has to unset it.
    pub endpoint: EndpointConfig,
    /// What is known about the wire versions of peers, shared by all sockets of the transport and by clones of this: so no peer is
    /// asked twice. Which version dials speak is set in [`endpoint`](Self::endpoint), at
    /// [`ConnectionConfig::version`](gapless::ConnectionConfig::version): every peer is asked, unless it forces one.
    pub peer_versions: PeerVersions,
    /// How long a dial is silent before what was not tried yet is tried as well: the other wire version, from a fresh port. 3 s at
    /// first (UDX 13), which leaves time within the 10 s that `SwarmBuilder` gives to a dial.
    pub version_patience: Duration,
    /// Spoils the transport's own datagrams in both directions, in user space, as a bad path would. For tests and
    /// demonstrations.
    pub impair: Option<Profile>,
    /// Which UDP port a dial leaves from. [`DialFrom::SharedPort`] at first.
    pub dial_from: DialFrom,
    /// How long an accepted connection may take to open its first stream. 10 s at first.
    ///
    /// All known dialers open it in their first packets (UDX 7.2); only js-libp2p waits for an answer before it does.
    pub first_stream_timeout: Duration,
    /// How long the end of a stream is waited for, ours acknowledged and then the peer's, before the connection is closed
    /// all the same. 5 s at first, as js-libp2p waits (UDX 20).
    pub close_timeout: Duration,
    /// How long the upgrade of a connection (multistream-select, Noise, Yamux) may take in
    /// [`upgraded`](crate::upgraded()). 20 s at first: some five round trips, each of which may lose packets several times.
    ///
    /// `SwarmBuilder` has a limit of its own over all of dialing, 10 s if nothing else is said; see
    /// `with_connection_timeout` there.
    pub upgrade_timeout: Duration,
    /// How many Yamux streams a connection may have in [`upgraded`](crate::upgraded()), those of both sides together. 512 at
    /// first, at most 4096. One more ends the connection: Yamux knows no other refusal.
    ///
    /// Each stream may hold up to 256 KiB that the application has not read.
    pub max_streams: usize,
    /// Bytes by which the receive windows of all streams of a connection may grow together beyond their first 256 KiB in
    /// [`upgraded`](crate::upgraded()). 32 MiB at first.
    ///
    /// A window doubles when its half is read within two round trips. So one stream fills a path of 2.5 Gbit/s and 100 ms.
    pub max_window_growth: usize,
    /// The most data that a Yamux frame carries in [`upgraded`](crate::upgraded()), in bytes. 64,499 at first, at most 256 KiB.
    ///
    /// Each frame is encrypted and written by itself, so larger ones cost less work per byte, and hold up those of other
    /// streams for longer. The first value and its header fill one Noise message: twice as much costs 3 % less, 16 KiB some
    /// 30 % more CPU time, and 64 KiB 7 % more because it begins a second message.
    pub max_frame: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: EndpointConfig {
                connection: ConnectionConfig {
                    streams_are_authenticated: true,
                    ..ConnectionConfig::default()
                },
                ..EndpointConfig::default()
            },
            peer_versions: PeerVersions::default(),
            version_patience: Duration::from_secs(3),
            impair: None,
            dial_from: DialFrom::SharedPort,
            first_stream_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            upgrade_timeout: Duration::from_secs(20),
            max_streams: 512,
            max_window_growth: 32 << 20,
            max_frame: NOISE_MESSAGE - YAMUX_HEADER,
        }
    }
}

/// Which UDP port a dial leaves from.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum DialFrom {
    /// From the port of a listener that can reach the peer, else from one port per address family. A NAT then sees one
    /// port for listening and dialing, and one socket serves any number of connections.
    ///
    /// A behaviour that asks for `PortUse::New` gets a fresh port all the same.
    #[default]
    SharedPort,
    /// From a fresh port for each connection.
    ///
    /// Needed towards dart-libp2p listeners up to 4.0.0: they take a second connection from the same address and port for
    /// the first one and drop it (UDX D18). Costs a socket per connection, and NATs map each anew.
    FreshPort,
}

impl Config {
    /// Binds a socket at `local` that dials, and accepts if `accept` says so.
    pub(crate) fn bind(&self, local: SocketAddr, accept: bool) -> Result<Endpoint, Error> {
        let mut config = self.endpoint.clone();
        config.accept = accept;
        let mut builder = Endpoint::builder()
            .config(config)
            .peer_versions(self.peer_versions.clone())
            .version_patience(self.version_patience)
            .linger(self.close_timeout);
        if let Some(profile) = &self.impair {
            builder = builder.impair(profile.clone());
        }
        udp_socket(local)
            .and_then(|socket| builder.socket(socket))
            .map_err(Error::Socket)
    }
}

/// A socket of one address family, so that `0.0.0.0:P` and `[::]:P` can both be listened on.
fn udp_socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// Bytes: what rust-libp2p's Noise puts into one message at most, 1 KiB less than the Noise protocol's 65,535.
const NOISE_MESSAGE: usize = 65_535 - 1024;

/// Bytes (Yamux specification).
const YAMUX_HEADER: usize = 12;
