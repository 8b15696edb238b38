//! The UDP ports of one endpoint: its own, and fresh ones that serve a single dial each.

use super::connection::Connection;
use super::driver::Driver;
use super::error::ConnectError;
use super::impair::Impairment;
use super::shared::{Options, Shared};
use super::socket::{Counters, Socket};
use super::versions::PeerVersions;
use gapless_link::Profile;
use gapless_udx::{self as engine, EndpointConfig, Peer};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::runtime::Handle;

/// Which UDP port a dial leaves from.
///
/// Most peers tell connections apart by their IDs, so one port serves any number of them. dart-udx before 3.1.0, and dart-libp2p's
/// listeners up to 4.0.0, know one connection per address and port: a second one from the same port is taken for the first and never
/// works (UDX D18).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DialFrom {
    /// From the endpoint's own port, so that NATs and firewalls see one port for dialing and accepting, and hole punching works.
    /// What an endpoint does unless it is told otherwise.
    ///
    /// Only the second attempt at a peer of unknown version leaves from elsewhere, see [`Endpoint::connect`](crate::Endpoint::connect).
    #[default]
    OwnPort,
    /// From the endpoint's own port the first time that an address is dialed, and again if a peer is known to answer there that
    /// takes several connections from one port; otherwise from a fresh port, if the system has one. What
    /// [`Endpoint::client`](crate::Endpoint::client) does.
    FreshPortWhereNeeded,
    /// From a fresh port for each connection. Costs a socket each, and NATs map each anew.
    FreshPort,
}

/// Addresses whose first dial left from the own port; some 60 bytes each. Beyond that a dial to another address takes a fresh port.
const MOST_DIALED: usize = 4096;

/// What the sockets of one endpoint and the tasks that drive them are made with.
pub(super) struct Maker {
    pub(super) config: EndpointConfig,
    pub(super) impair: Option<Profile>,
    pub(super) runtime: Handle,
    pub(super) options: Options,
    pub(super) socket_buffer: usize,
    pub(super) seed: Option<[u8; 32]>,
    pub(super) versions: PeerVersions,
    pub(super) counters: Arc<Counters>,
    pub(super) gone: Gone,
}

/// What the engines of fresh ports did that are gone.
#[derive(Clone, Default)]
pub(super) struct Gone(Arc<Mutex<engine::EndpointStats>>);

impl Gone {
    pub(super) fn add(&self, stats: engine::EndpointStats) {
        add(
            &mut self.0.lock().unwrap_or_else(PoisonError::into_inner),
            stats,
        );
    }

    fn get(&self) -> engine::EndpointStats {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maker {
    /// Starts the endpoint's own port, number 0, or another.
    pub(super) fn start(&self, socket: UdpSocket, nth: u64) -> io::Result<Arc<Shared>> {
        let _entered = self.runtime.enter();
        let socket = Arc::new(Socket::new(socket, self.socket_buffer)?);
        let mut config = self.config.clone();
        config.accept &= nth == 0;
        let engine = engine::Endpoint::new(config, self.seed(nth)?);
        let (versions, counters) = (self.versions.clone(), self.counters.clone());
        let shared = Shared::new(engine, socket.clone(), self.options, versions, counters);
        let shared = Arc::new(shared);
        let gone = (nth > 0).then(|| self.gone.clone());
        let impairment = self.impair.as_ref().map(Impairment::new);
        let driver = Driver::new(shared.clone(), socket, impairment, gone);
        self.runtime.spawn(driver);
        Ok(shared)
    }

    /// No two engines may draw the same connection IDs.
    fn seed(&self, nth: u64) -> io::Result<[u8; 32]> {
        let Some(mut seed) = self.seed else {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            return Ok(seed);
        };
        for (byte, number) in seed.iter_mut().zip(nth.to_le_bytes()) {
            *byte ^= number;
        }
        Ok(seed)
    }
}

/// The ports besides the own one.
pub(super) struct Ports {
    maker: Maker,
    dial_from: DialFrom,
    fresh: Mutex<Fresh>,
}

#[derive(Default)]
struct Fresh {
    /// Those that may still have something to send. Nothing here keeps their sockets.
    ports: Vec<Weak<Shared>>,
    made: u64,
    /// Addresses dialed from the own port.
    dialed: HashSet<SocketAddr>,
    closed: bool,
}

impl Ports {
    pub(super) fn new(maker: Maker, dial_from: DialFrom) -> Self {
        Self {
            maker,
            dial_from,
            fresh: Mutex::default(),
        }
    }

    pub(super) fn maker(&self) -> &Maker {
        &self.maker
    }

    /// Begins a dial to `remote` by `dial`, from the port that it is to leave from.
    pub(super) fn dial(
        &self,
        own: &Arc<Shared>,
        remote: SocketAddr,
        dial: impl Fn(&Arc<Shared>) -> Result<Connection, ConnectError>,
    ) -> Result<Connection, ConnectError> {
        match self.dial_from {
            DialFrom::OwnPort => dial(own),
            DialFrom::FreshPort => self.dial_freshly(own, remote, dial),
            DialFrom::FreshPortWhereNeeded if !self.needs_fresh(remote) => dial(own),
            DialFrom::FreshPortWhereNeeded => match self.dial_freshly(own, remote, &dial) {
                // Most peers can do without.
                Err(ConnectError::NoFreshPort(_)) => dial(own),
                dialed => dialed,
            },
        }
    }

    /// D18: whether the peer might take a dial from the own port for an earlier one. If not, the own port is used for this one.
    fn needs_fresh(&self, remote: SocketAddr) -> bool {
        if takes_several(self.maker.versions.kind(remote)) {
            return false;
        }
        let dialed = &mut self.lock().dialed;
        dialed.contains(&remote) || dialed.len() >= MOST_DIALED || !dialed.insert(remote)
    }

    /// A fresh port for one dial to `remote`, beside the own port `own`. It goes as soon as its connection is gone, which must be
    /// begun by `dial`.
    pub(super) fn dial_freshly(
        &self,
        own: &Shared,
        remote: SocketAddr,
        dial: impl FnOnce(&Arc<Shared>) -> Result<Connection, ConnectError>,
    ) -> Result<Connection, ConnectError> {
        let local = local_for(own.lock().socket.local_addr(), remote);
        let mut fresh = self.lock();
        let alive = fresh.alive().len();
        if fresh.closed {
            return Err(ConnectError::EndpointClosed);
        }
        let connections = own.lock().connections.len() + alive;
        if connections >= self.maker.config.limits.max_connections {
            return Err(ConnectError::TooManyConnections);
        }
        fresh.made += 1;
        let nth = fresh.made;
        let port = UdpSocket::bind(local).and_then(|socket| self.maker.start(socket, nth));
        let port = port.map_err(|error| ConnectError::NoFreshPort(error.kind()))?;
        let dialed = dial(&port);
        port.operate(|state, _, _| state.endpoint_held = false);
        fresh.ports.push(Arc::downgrade(&port));
        dialed
    }

    pub(super) fn close(&self, code: u32, reason: &[u8]) {
        let mut fresh = self.lock();
        fresh.closed = true;
        for port in fresh.alive() {
            port.operate(|state, now, wakes| state.close_all(now, code, reason, wakes));
        }
    }

    /// Those that may still have something to send.
    pub(super) fn alive(&self) -> Vec<Arc<Shared>> {
        self.lock().alive()
    }

    /// What the engines of all fresh ports did so far, added to what that of the own port did.
    pub(super) fn add_stats(&self, mut all: engine::EndpointStats) -> engine::EndpointStats {
        for port in self.alive() {
            add(&mut all, port.lock().engine.stats());
        }
        add(&mut all, self.maker.gone.get());
        all
    }

    /// Moves the fresh ports' connections to new ports at the address of the own port's new socket.
    pub(super) fn rebind(&self, own: SocketAddr) -> io::Result<()> {
        let _entered = self.maker.runtime.enter();
        for port in self.alive() {
            let old = port.lock().socket.local_addr();
            let socket = UdpSocket::bind(local_for(own, old))?;
            let socket = Arc::new(Socket::new(socket, self.maker.socket_buffer)?);
            port.operate(|state, _, _| state.socket = socket);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fresh {
    fn alive(&mut self) -> Vec<Arc<Shared>> {
        let ports = self.ports.iter().filter_map(Weak::upgrade);
        let alive: Vec<_> = ports.filter(|port| !port.lock().driver.stopped).collect();
        self.ports = alive.iter().map(Arc::downgrade).collect();
        alive
    }
}

/// D18: whether a peer tells several connections from one port apart.
fn takes_several(peer: Peer) -> bool {
    matches!(peer, Peer::Own | Peer::Go | Peer::Js)
}

/// An address of this host with any port, from where `remote` can be reached as it can from `own`.
fn local_for(own: SocketAddr, remote: SocketAddr) -> SocketAddr {
    let mut local = own;
    if own.is_ipv6() && remote.is_ipv4() {
        let ip = match own.ip().to_canonical() {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        local = (ip, 0).into();
    }
    local.set_port(0);
    local
}

fn add(sum: &mut engine::EndpointStats, more: engine::EndpointStats) {
    let pairs = [
        (&mut sum.datagrams_received, more.datagrams_received),
        (&mut sum.datagrams_sent, more.datagrams_sent),
        (&mut sum.undecodable, more.undecodable),
        (&mut sum.unroutable, more.unroutable),
        (&mut sum.other_versions, more.other_versions),
        (&mut sum.after_close, more.after_close),
        (&mut sum.refused, more.refused),
        (&mut sum.connections, more.connections),
        (&mut sum.congestion_marks, more.congestion_marks),
    ];
    for (sum, more) in pairs {
        *sum = sum.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_port_is_where_the_own_one_is() {
        let local = |own: &str, remote: &str| {
            local_for(own.parse().unwrap(), remote.parse().unwrap()).to_string()
        };
        assert_eq!(local("127.0.0.1:9", "127.0.0.1:7"), "127.0.0.1:0");
        assert_eq!(local("0.0.0.0:9", "192.0.2.1:7"), "0.0.0.0:0");
        assert_eq!(local("[::]:9", "192.0.2.1:7"), "0.0.0.0:0");
        assert_eq!(local("[::ffff:10.0.0.1]:9", "10.0.0.2:7"), "10.0.0.1:0");
        assert_eq!(
            local("[2001:db8::1]:9", "[2001:db8::2]:7"),
            "[2001:db8::1]:0"
        );
    }
}
