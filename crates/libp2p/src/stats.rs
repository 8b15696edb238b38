//! The view from outside on a transport inside a Swarm: its sockets, its connections and their statistics.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gapless::{BlockedOn, Connection, Endpoint, EndpointStats, Peer, Stats, Version};
use libp2p_core::Endpoint as Role;

/// Looks into a [`Transport`](crate::Transport) that has disappeared inside a Swarm. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    registry: Arc<Mutex<Registry>>,
}

/// One connection of a transport, from its first stream to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Where the peer is now; it may move.
    pub remote: SocketAddr,
    /// Who dialed whom.
    pub role: Role,
    /// The wire version; `None` before a peer has told its own.
    pub version: Option<Version>,
    /// Which implementation the peer is, as far as its packets told.
    pub peer: Peer,
    /// What the connection waits for right now.
    pub blocked_on: BlockedOn,
    /// What the UDX engine counted and measured.
    pub stats: Stats,
}

#[derive(Debug, Default)]
struct Registry {
    next: u64,
    /// In order of their beginning.
    connections: BTreeMap<u64, (Connection, Role)>,
    /// All sockets that may still have something to send.
    endpoints: BTreeMap<u64, Endpoint>,
}

impl Handle {
    /// The connections that live, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let live: Vec<_> = self.lock().connections.values().cloned().collect();
        live.iter()
            .map(|(connection, role)| info(connection, *role))
            .collect()
    }

    /// The newest live connection with the peer at `remote`.
    ///
    /// A Swarm tells the address of a connection in its `ConnectedPoint`:
    /// `UdxAddr::try_from(endpoint.get_remote_address())?.socket_addr()`.
    #[must_use]
    pub fn connection(&self, remote: SocketAddr) -> Option<ConnectionInfo> {
        self.connections()
            .into_iter()
            .rfind(|info| info.remote == remote)
    }

    /// The counters of each socket in use, with the address it is bound to.
    #[must_use]
    pub fn sockets(&self) -> Vec<(SocketAddr, EndpointStats)> {
        let endpoints = self.endpoints();
        let stats = |endpoint: &Endpoint| Some((endpoint.local_addr().ok()?, endpoint.stats()));
        endpoints.iter().filter_map(stats).collect()
    }

    /// Waits until no connection is left and all goodbyes are said.
    ///
    /// To be awaited before the runtime ends, after the Swarm was dropped or has disconnected from everybody: what closing
    /// connections still have to send is sent by tasks of that runtime. A connection that somebody still uses is waited for
    /// as long as it lives. Cancel-safe.
    pub async fn wait_idle(&self) {
        for endpoint in self.endpoints() {
            endpoint.wait_idle().await;
        }
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.lock().endpoints.values().cloned().collect()
    }

    pub(crate) fn register(&self, connection: Connection, role: Role) -> Registration {
        let mut registry = self.lock();
        let key = registry.key();
        registry.connections.insert(key, (connection, role));
        Registration {
            handle: self.clone(),
            key,
        }
    }

    pub(crate) fn register_endpoint(&self, endpoint: Endpoint) -> Registration {
        let mut registry = self.lock();
        let key = registry.key();
        registry.endpoints.insert(key, endpoint);
        Registration {
            handle: self.clone(),
            key,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Nobody can leave the maps half changed.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn key(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

/// A place in the registry, given back when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    handle: Handle,
    key: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registry = self.handle.lock();
        let connection = registry.connections.remove(&self.key);
        let endpoint = registry.endpoints.remove(&self.key);
        // The last handle of either does its own work when it goes.
        drop(registry);
        drop((connection, endpoint));
    }
}

fn info(connection: &Connection, role: Role) -> ConnectionInfo {
    ConnectionInfo {
        remote: connection.remote_address(),
        role,
        version: connection.version(),
        peer: connection.peer(),
        blocked_on: connection.blocked_on(),
        stats: connection.stats(),
    }
}
