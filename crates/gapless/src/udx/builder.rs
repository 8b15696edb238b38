//! How an endpoint comes to be.

use super::driver::Driver;
use super::endpoint::Endpoint;
use super::heap::keep_some_free_memory;
use super::impair::Impairment;
use super::shared::{Options, Shared};
use super::socket::Socket;
use gapless_link::Profile;
use gapless_udx::{self as engine, EndpointConfig};
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
        let _entered = runtime.enter();
        keep_some_free_memory();
        let socket_buffer = self.socket_buffer.unwrap_or(SOCKET_BUFFER);
        let socket = Arc::new(Socket::new(socket, socket_buffer)?);
        let seed = match self.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let options = Options {
            linger: self.linger.unwrap_or(LINGER),
            refusal_patience: self.refusal_patience.unwrap_or(REFUSAL_PATIENCE),
        };
        let engine = engine::Endpoint::new(self.config, seed);
        let shared = Arc::new(Shared::new(engine, socket.clone(), options));
        let impairment = self.impair.as_ref().map(Impairment::new);
        runtime.spawn(Driver::new(shared.clone(), socket, impairment));
        Ok(Endpoint::new(shared, runtime.clone(), socket_buffer))
    }
}

fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// Asked of the system for the socket's buffers. Some milliseconds of a fast network; systems give less if they are so configured.
const SOCKET_BUFFER: usize = 8 << 20;

/// How long a connection without handles goes on delivering. The idle timeout of all UDX implementations: what takes longer
/// without anybody watching is given up.
const LINGER: Duration = Duration::from_secs(30);

/// How long a dial goes on although the network says that nobody listens. Covers a server's restart, and its first repetitions.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);
