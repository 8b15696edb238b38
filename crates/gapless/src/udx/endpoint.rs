//! The endpoint: one UDP socket and its connections.

use super::builder::Builder;
use super::connection::Connection;
use super::dial::{Connecting, Dialer, Wanted};
use super::error::ConnectError;
use super::ports::{DialFrom, Maker, Ports};
use super::shared::Shared;
use super::socket::Socket;
use super::versions::PeerVersions;
use gapless_udx::{self as engine, ConnectionConfig, EndpointConfig};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A UDP socket with any number of UDX connections, dialed and accepted.
///
/// A handle: clones share the endpoint. When the last handle is gone no more connections are accepted; those that exist go on. The
/// endpoint's task ends once nothing is left. Give connections a chance to say goodbye with [`wait_idle`](Self::wait_idle) before
/// the runtime ends.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use gapless::{ConnectionConfig, Endpoint, EndpointConfig};
/// use std::time::Duration;
///
/// let config = EndpointConfig {
///     connection: ConnectionConfig {
///         idle_timeout: Duration::from_secs(10),
///         ..ConnectionConfig::default()
///     },
///     ..EndpointConfig::default()
/// };
/// let endpoint = Endpoint::builder().config(config).bind("127.0.0.1:0".parse()?)?;
/// assert!(endpoint.local_addr()?.port() != 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    ports: Arc<Ports>,
}

impl Endpoint {
    pub(super) fn new(shared: Arc<Shared>, maker: Maker, dial_from: DialFrom) -> Self {
        let ports = Arc::new(Ports::new(maker, dial_from));
        Self {
            inner: Arc::new(Inner { shared, ports }),
        }
    }

    /// An endpoint with default settings that dials and accepts nothing. `0.0.0.0:0` or `[::]:0` let the system choose the port.
    ///
    /// Nobody needs to find it, so where a peer may confuse two connections from one port, the second has one of its own
    /// ([`DialFrom::FreshPortWhereNeeded`]); [`builder`](Self::builder) makes endpoints that never do so.
    ///
    /// # Errors
    ///
    /// Those of binding the socket, and that there is no tokio runtime.
    pub fn client(address: SocketAddr) -> io::Result<Self> {
        let config = EndpointConfig {
            accept: false,
            ..EndpointConfig::default()
        };
        Self::builder()
            .config(config)
            .dial_from(DialFrom::FreshPortWhereNeeded)
            .bind(address)
    }

    /// An endpoint with default settings that accepts connections at `address`, and can dial from it.
    ///
    /// # Errors
    ///
    /// Those of binding the socket, and that there is no tokio runtime.
    pub fn server(address: SocketAddr) -> io::Result<Self> {
        Self::builder().bind(address)
    }

    /// An endpoint with other settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts to dial. The returned future gives the connection once the peer has answered.
    ///
    /// The dial goes on for [`ConnectionConfig::dial_timeout`]. If the network reports that nobody listens there it ends sooner
    /// ([`Builder::refusal_patience`]); such reports can be forged, so they never end it at once.
    ///
    /// # Versions
    ///
    /// Unless [`ConnectionConfig::version`] forces one, the first packet is one that peers of wire version 3 and 2 understand, and the
    /// answer tells which it is. It is remembered for the peer's address ([`PeerVersions`]); a peer of version 2 is then addressed in
    /// version 2. After [`Builder::version_patience`] without an answer, what was not tried yet is tried as well: version 2 where
    /// nothing was known of the peer; the question, where what was known seems to be true no longer. That second attempt leaves from a
    /// fresh port, because some peers of version 2 take all that comes from one port for one connection (UDX2 D18); where only the
    /// endpoint's own port gets through, it is in vain. Whichever is answered first is the connection, the other is closed. A peer that was
    /// only slow may so see two connections, one of which closes at once.
    ///
    /// # Errors
    ///
    /// Only what keeps the dial from starting; see [`ConnectError`].
    pub fn connect(&self, remote: SocketAddr) -> Result<Connecting, ConnectError> {
        self.dialer().at_once(Wanted::new(remote, None))
    }

    /// [`connect`](Self::connect) with settings of its own.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_with(
        &self,
        remote: SocketAddr,
        config: ConnectionConfig,
    ) -> Result<Connecting, ConnectError> {
        self.dialer().at_once(Wanted::new(remote, Some(config)))
    }

    /// A connection to write on before the peer has answered: the first bytes travel in the packet that opens the connection.
    ///
    /// Nothing leaves before the first write, [`finish`](crate::SendStream::finish) or other call that needs the peer. That
    /// the peer never answered shows as an error of whatever is waited for.
    ///
    /// It is for peers whose version is forced or remembered. Of others, the version is asked first, and what is written waits for the
    /// answer.
    ///
    /// A silent peer is tried again as [`connect`](Self::connect) does, as long as a handle of the connection is held: what was written
    /// meanwhile is then said again on the second attempt. So where only the peer's answers got lost it may see the same first bytes on
    /// two connections, one of which closes at once: do not begin with what must not happen twice.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_early(&self, remote: SocketAddr) -> Result<Connection, ConnectError> {
        self.dialer().early(Wanted::new(remote, None))
    }

    fn dialer(&self) -> Dialer {
        Dialer {
            shared: self.inner.shared.clone(),
            ports: self.inner.ports.clone(),
        }
    }

    /// What is known about the versions of peers that were dialed.
    pub fn peer_versions(&self) -> &PeerVersions {
        &self.inner.ports.maker().versions
    }

    /// The next connection that a peer opened; `None` once the endpoint is closed, or told not to accept.
    ///
    /// A connection comes out as soon as its first packet has arrived: UDX has no handshake, and nothing is proven about the peer.
    ///
    /// Cancel-safe: a dropped future has taken no connection. Any number of tasks may accept.
    pub async fn accept(&self) -> Option<Connection> {
        let shared = &self.inner.shared;
        loop {
            let incoming = shared.incoming.notified();
            {
                let mut state = shared.lock();
                if let Some(handle) = state.engine.accept() {
                    let signals = state.insert(handle, true);
                    return Some(Connection::new(shared.clone(), handle, signals));
                }
                if state.closed || !state.accepting {
                    return None;
                }
            }
            incoming.await;
        }
    }

    /// Closes every connection at once with this code and reason, and accepts and dials no more.
    ///
    /// What was written and not yet acknowledged is lost, and every task that waits for anything on a connection gets
    /// [`LocallyClosed`](crate::ConnectionError::LocallyClosed). Code 0 is a clean end; at most 256 bytes of the reason are sent.
    pub fn close(&self, code: u32, reason: &[u8]) {
        self.inner.ports.close(code, reason);
        self.inner.shared.operate(|state, now, wakes| {
            state.close_all(now, code, reason, wakes);
        });
    }

    /// Whether connections that peers open are accepted from now on. While not, they are closed at once, and
    /// [`accept`](Self::accept) gives `None`. Connections that exist, and dialing, are not concerned.
    ///
    /// An endpoint whose [`EndpointConfig::accept`] is false never accepts.
    pub fn set_accepting(&self, accepting: bool) {
        self.inner
            .shared
            .operate(|state, _, wakes| state.set_accepting(accepting, wakes));
    }

    /// Waits until no connection is left, so that all goodbyes are said.
    ///
    /// After [`close`](Self::close), or when all handles of connections and streams were dropped, that is a matter of seconds: of
    /// [`Builder::linger`] at most. A connection that somebody still uses is waited for as long as it lives.
    ///
    /// Cancel-safe.
    pub async fn wait_idle(&self) {
        loop {
            self.inner.shared.wait_idle().await;
            let fresh = self.inner.ports.alive();
            for port in &fresh {
                port.wait_idle().await;
            }
            if fresh.is_empty() || self.inner.shared.lock().is_idle() {
                return;
            }
        }
    }

    /// The address the endpoint's own socket is bound to. Dials may leave from elsewhere, see [`DialFrom`].
    ///
    /// # Errors
    ///
    /// None today; the signature is that of [`std::net::UdpSocket`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.shared.lock().socket.local_addr())
    }

    /// Moves the endpoint to another socket: connections live on, and peers that can follow a move do (Go cannot, UDX 11). Connections
    /// that were dialed from fresh ports move to new ones at the same address.
    ///
    /// # Errors
    ///
    /// Those of preparing the socket; the old one stays in use then.
    pub fn rebind(&self, socket: UdpSocket) -> io::Result<()> {
        let maker = self.inner.ports.maker();
        let _runtime = maker.runtime.enter();
        let socket = Arc::new(Socket::new(socket, maker.socket_buffer)?);
        let local = socket.local_addr();
        let old = self
            .inner
            .shared
            .operate(|state, _, _| std::mem::replace(&mut state.socket, socket));
        drop(old);
        self.inner.ports.rebind(local)
    }

    /// Bytes that the engine holds now: connections, streams, what is buffered in them. Counted anew at each call, so its cost
    /// grows with the number of connections.
    pub fn engine_memory(&self) -> usize {
        let fresh = self.inner.ports.alive();
        let fresh = fresh.iter().map(|port| port.lock().engine.memory());
        self.inner.shared.lock().engine.memory() + fresh.sum::<usize>()
    }

    /// What the endpoint did so far.
    pub fn stats(&self) -> EndpointStats {
        let shared = &self.inner.shared;
        let (engine, impairment) = {
            let state = shared.lock();
            (state.engine.stats(), state.impairment)
        };
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &shared.counters;
        EndpointStats {
            engine: self.inner.ports.add_stats(engine),
            socket: SocketStats {
                datagrams_sent: read(&counters.datagrams_sent),
                send_calls: read(&counters.send_calls),
                datagrams_received: read(&counters.datagrams_received),
                receive_calls: read(&counters.receive_calls),
                send_errors: read(&counters.send_errors),
                send_blocked: read(&counters.send_blocked),
                unreachable: read(&counters.unreachable),
                congestion_marks: read(&counters.congestion_marks),
            },
            impairment,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.operate(|state, _, wakes| {
            state.endpoint_held = false;
            state.set_accepting(false, wakes);
        });
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

/// Counters of an endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStats {
    /// What the engine counts.
    pub engine: engine::EndpointStats,
    /// What the socket layer counts.
    pub socket: SocketStats,
    /// What the impairment did to datagrams on their way out, and on their way back, at the endpoint's own port.
    pub impairment: Option<(gapless_link::Counters, gapless_link::Counters)>,
}

/// Counters of the socket layer, over all sockets the endpoint ever had.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Datagrams that the system took.
    pub datagrams_sent: u64,
    /// System calls for these: segmentation offload sends many in one.
    pub send_calls: u64,
    /// Datagrams that came.
    pub datagrams_received: u64,
    /// System calls for these.
    pub receive_calls: u64,
    /// Datagrams, or batches of them, that the system refused. They count as lost on the way.
    pub send_errors: u64,
    /// Times the socket's buffer was full.
    pub send_blocked: u64,
    /// Reports of the network that a host or port cannot be reached. Only hints.
    pub unreachable: u64,
    /// Datagrams that came with a congestion mark (ECN CE). Without effect: see the crate's documentation.
    pub congestion_marks: u64,
}
