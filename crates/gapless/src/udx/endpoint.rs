//! The endpoint: one UDP socket and its connections.

use super::builder::Builder;
use super::connection::{Connecting, Connection};
use super::error::ConnectError;
use super::shared::{Shared, Wakes};
use super::socket::Socket;
use gapless_udx::{self as engine, ConnectionConfig, EndpointConfig};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;

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
    runtime: Handle,
    socket_buffer: usize,
}

impl Endpoint {
    pub(super) fn new(shared: Arc<Shared>, runtime: Handle, socket_buffer: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared,
                runtime,
                socket_buffer,
            }),
        }
    }

    /// An endpoint with default settings that dials and accepts nothing. `0.0.0.0:0` or `[::]:0` let the system choose the port.
    ///
    /// # Errors
    ///
    /// Those of binding the socket, and that there is no tokio runtime.
    pub fn client(address: SocketAddr) -> io::Result<Self> {
        let config = EndpointConfig {
            accept: false,
            ..EndpointConfig::default()
        };
        Self::builder().config(config).bind(address)
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
    /// # Errors
    ///
    /// Only what keeps the dial from starting; see [`ConnectError`].
    pub fn connect(&self, remote: SocketAddr) -> Result<Connecting, ConnectError> {
        self.dial(remote, None, true).map(Connecting::new)
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
        self.dial(remote, Some(config), true).map(Connecting::new)
    }

    /// A connection to write on before the peer has answered: the first bytes travel in the packet that opens the connection.
    ///
    /// Nothing leaves before the first write, [`finish`](crate::SendStream::finish) or other call that needs the peer. That
    /// the peer never answered shows as an error of whatever is waited for.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_early(&self, remote: SocketAddr) -> Result<Connection, ConnectError> {
        self.dial(remote, None, false)
    }

    fn dial(
        &self,
        remote: SocketAddr,
        config: Option<ConnectionConfig>,
        at_once: bool,
    ) -> Result<Connection, ConnectError> {
        let shared = &self.inner.shared;
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let mut wakes = Wakes::default();
        let mut state = shared.lock();
        if state.closed {
            return Err(ConnectError::EndpointClosed);
        }
        if !state.socket.reaches(remote) {
            return Err(ConnectError::AddressFamily(remote));
        }
        let now = shared.now();
        let dialed = match config {
            Some(config) => state.engine.connect_with(now, remote, config),
            None => state.engine.connect(now, remote),
        };
        let handle = dialed.map_err(|error| ConnectError::from_engine(&error, remote))?;
        let signals = state.insert(handle, false);
        if at_once {
            state.rouse(&mut wakes);
        }
        drop(state);
        wakes.wake(shared);
        Ok(Connection::new(shared.clone(), handle, signals))
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
        let shared = &self.inner.shared;
        shared.lock().idle_waiters += 1;
        let _waiter = IdleWaiter(shared);
        loop {
            let idle = shared.idle.notified();
            if shared.lock().is_idle() {
                return;
            }
            // The last steps of a close may bring no event: the engine forgets a drained connection silently.
            let _ = tokio::time::timeout(IDLE_POLL, idle).await;
        }
    }

    /// The address the socket is bound to.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of [`std::net::UdpSocket`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.shared.lock().socket.local_addr())
    }

    /// Moves the endpoint to another socket: connections live on, and peers that can follow a move do (Go cannot, UDX 11).
    ///
    /// # Errors
    ///
    /// Those of preparing the socket; the old one stays in use then.
    pub fn rebind(&self, socket: UdpSocket) -> io::Result<()> {
        let _runtime = self.inner.runtime.enter();
        let socket = Arc::new(Socket::new(socket, self.inner.socket_buffer)?);
        let old = self
            .inner
            .shared
            .operate(|state, _, _| std::mem::replace(&mut state.socket, socket));
        drop(old);
        Ok(())
    }

    /// Bytes that the engine holds now: connections, streams, what is buffered in them. Counted anew at each call, so its cost
    /// grows with the number of connections.
    pub fn engine_memory(&self) -> usize {
        self.inner.shared.lock().engine.memory()
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
            engine,
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

/// How often `wait_idle` looks by itself.
const IDLE_POLL: Duration = Duration::from_millis(10);

struct IdleWaiter<'a>(&'a Shared);

impl Drop for IdleWaiter<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.idle_waiters = state.idle_waiters.saturating_sub(1);
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
    /// What the impairment did to datagrams on their way out, and on their way back.
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
