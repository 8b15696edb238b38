//! How an endpoint comes to be.

use super::endpoint::Endpoint;
use super::heap::keep_some_free_memory;
use super::ports::{DialFrom, Gone, Maker};
use super::shared::Options;
use super::versions::PeerVersions;
use gapless_link::Profile;
use gapless_udx::{EndpointConfig, VersionChoice};
use socket2::{Domain, Protocol, Socket as Socket2, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Settings of an [`Endpoint`] before it is bound.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: EndpointConfig,
    impair: Option<Profile>,
    runtime: Option<Handle>,
    linger: Option<Duration>,
    refusal_patience: Option<Duration>,
    socket_buffer: Option<usize>,
    seed: Option<[u8; 32]>,
    ipv6_only: Option<bool>,
    version: Option<VersionChoice>,
    versions: PeerVersions,
    version_patience: Option<Duration>,
    dial_from: DialFrom,
}

impl Builder {
    /// The engine's settings: limits, timeouts, what to accept.
    #[must_use]
    pub fn config(mut self, config: EndpointConfig) -> Self {
        self.config = config;
        self
    }

    /// Spoils the endpoint's own datagrams in both directions, in user space, as a bad path would.
    ///
    /// Each datagram passes a [`Link`](crate::link::Link) between engine and socket: loss, delay and so on are applied once per
    /// direction, and times are as exact as tokio's timers, to 1 ms. Batches are split, so this costs speed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let endpoint = gapless::Endpoint::builder()
    ///     .impair("loss=2%,delay=20ms".parse::<gapless::link::Profile>()?)
    ///     .bind("127.0.0.1:0".parse()?)?;
    /// assert!(endpoint.stats().socket.datagrams_sent == 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn impair(mut self, profile: impl Into<Option<Profile>>) -> Self {
        self.impair = profile.into();
        self
    }

    /// The tokio runtime whose reactor and timers the endpoint uses. Default: that of the caller of `bind` or `socket`.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long a connection whose last handle was dropped goes on delivering what was written. Default: 30 s.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = Some(time);
        self
    }

    /// How long a dial goes on after the network reported that nobody listens there. Default: 3 s.
    #[must_use]
    pub fn refusal_patience(mut self, time: Duration) -> Self {
        self.refusal_patience = Some(time);
        self
    }

    /// Which wire version dials speak: [`VersionChoice::Discover`] asks each peer, once
    /// ([`Endpoint::connect`] tells how); [`VersionChoice::Only`] forces one, which saves the question. Default: as
    /// [`config`](Self::config) says, which is to discover. Which versions are accepted is told by
    /// [`EndpointConfig::accept_versions`].
    ///
    /// ```
    /// use gapless::{Endpoint, Version, VersionChoice};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Only to peers that are known not to be of today.
    /// let endpoint = Endpoint::builder()
    ///     .version(VersionChoice::Only(Version::V2))
    ///     .bind("127.0.0.1:0".parse()?)?;
    /// # drop(endpoint);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn version(mut self, choice: VersionChoice) -> Self {
        self.version = Some(choice);
        self
    }

    /// What is known about the versions of peers, to share it with other endpoints or to keep it beyond this one. Default: nothing,
    /// and nobody else's.
    #[must_use]
    pub fn peer_versions(mut self, versions: PeerVersions) -> Self {
        self.versions = versions;
        self
    }

    /// How long a dial in the version that seems right is silent before another is tried as well. Default: 3 s (UDX 13).
    #[must_use]
    pub fn version_patience(mut self, time: Duration) -> Self {
        self.version_patience = Some(time);
        self
    }

    /// Which UDP port dials leave from. Default: the endpoint's own.
    #[must_use]
    pub fn dial_from(mut self, port: DialFrom) -> Self {
        self.dial_from = port;
        self
    }

    /// Bytes asked of the system for each of the socket's two buffers. It may give less. Default: 8 MiB.
    #[must_use]
    pub fn socket_buffer(mut self, bytes: usize) -> Self {
        self.socket_buffer = Some(bytes);
        self
    }

    /// The seed of connection IDs and other random choices, for tests that must repeat. Whoever knows it can forge packets.
    /// Default: from the system.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether a socket bound to an IPv6 address takes no IPv4 datagrams, so that `0.0.0.0` and `[::]` can be bound to one port.
    /// Default: as the system has it, on Linux `false`.
    #[must_use]
    pub fn ipv6_only(mut self, only: bool) -> Self {
        self.ipv6_only = Some(only);
        self
    }

    /// Binds a new socket to `address`.
    ///
    /// # Errors
    ///
    /// Those of binding, and those of [`socket`](Self::socket).
    pub fn bind(self, address: SocketAddr) -> io::Result<Endpoint> {
        let socket = match self.ipv6_only {
            Some(only) if address.is_ipv6() => {
                let socket = Socket2::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
                socket.set_only_v6(only)?;
                socket.bind(&address.into())?;
                socket.into()
            }
            _ => UdpSocket::bind(address)?,
        };
        self.socket(socket)
    }

    /// Uses an existing socket.
    ///
    /// # Errors
    ///
    /// Those of the system for the socket's options, that it has no random numbers to give, and that there is no tokio runtime.
    pub fn socket(self, socket: UdpSocket) -> io::Result<Endpoint> {
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(io::Error::other)?,
        };
        keep_some_free_memory();
        let mut config = self.config;
        if let Some(version) = self.version {
            config.connection.version = version;
        }
        let maker = Maker {
            config,
            impair: self.impair,
            runtime,
            options: Options {
                linger: self.linger.unwrap_or(LINGER),
                refusal_patience: self.refusal_patience.unwrap_or(REFUSAL_PATIENCE),
                version_patience: self.version_patience.unwrap_or(VERSION_PATIENCE),
            },
            socket_buffer: self.socket_buffer.unwrap_or(SOCKET_BUFFER),
            seed: self.seed,
            versions: self.versions,
            counters: Arc::default(),
            gone: Gone::default(),
        };
        let shared = maker.start(socket, 0)?;
        Ok(Endpoint::new(shared, maker, self.dial_from))
    }
}

/// Asked of the system for the socket's buffers. Some milliseconds of a fast network; systems give less if they are so configured.
const SOCKET_BUFFER: usize = 8 << 20;

/// How long a connection without handles goes on delivering. The idle timeout of all UDX implementations: what takes longer
/// without anybody watching is given up.
const LINGER: Duration = Duration::from_secs(30);

/// How long a dial goes on although the network says that nobody listens. Covers a server's restart, and its first repetitions.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);

/// UDX 13: after about 3 s. A dial's own repetitions, at 0.3, 0.9 and 2.1 s, are lost together only where nobody understands them.
const VERSION_PATIENCE: Duration = Duration::from_secs(3);
