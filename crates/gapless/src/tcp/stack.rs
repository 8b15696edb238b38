//! A host.

use super::device::Device;
use super::driver::Driver;
use gapless_sockets::{Core, Sockets, StackConfig, Stats, System};
use gapless_tcp::ListenError;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// A host with a TCP of its own, behind a [`Device`].
///
/// Its clones are the same host. It lives until they, its listeners and its streams are gone and what was written is delivered.
#[derive(Clone, Debug)]
pub struct Stack {
    handles: Arc<Handles>,
}

/// What everybody holds who may still want something of the host.
#[derive(Debug)]
pub(super) struct Handles {
    sockets: Sockets<System>,
}

impl Drop for Handles {
    /// The driver ends when nobody is left, but it has to look.
    fn drop(&mut self) {
        self.sockets.rouse();
    }
}

impl Stack {
    /// Starts a host in the runtime of the caller. What the device can do goes before what `config` says of it.
    ///
    /// # Errors
    /// The system has no random numbers, or the caller no runtime.
    pub fn new<D: Device + Unpin>(device: D, config: StackConfig) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let abilities = device.abilities();
        let config = StackConfig {
            mtu: abilities.mtu,
            checksums: abilities.checksums,
            trains: abilities.trains,
            ..config
        };
        let seed = [getrandom::u64()?, getrandom::u64()?];
        let core = Core::new(gapless_tcp::Stack::new(config, seed));
        let sockets = Sockets::new(System::new(core));
        let handles = Arc::new(Handles {
            sockets: sockets.clone(),
        });
        let driver = Driver::new(sockets, Arc::downgrade(&handles), device);
        runtime.spawn(driver);
        Ok(Self { handles })
    }

    /// Packets to this address are for this host.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn add_address(&self, address: IpAddr) -> io::Result<()> {
        let added = self
            .sockets()
            .with_stack(|stack| stack.add_address(address));
        added.map_err(listen_error)
    }

    /// Packets to this address are for others, and connections from it end.
    pub fn remove_address(&self, address: IpAddr) {
        let now = gapless_sockets::Host::now(self.sockets().host());
        self.sockets()
            .with_stack(|stack| stack.remove_address(now, address));
    }

    /// What happened to packets.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.sockets().with_stack(|stack| *stack.stats())
    }

    /// Connections that are not over, those included that only answer late segments.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sockets().with_stack(|stack| stack.connections())
    }

    /// Octets of memory that the engine holds, with all connections.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.sockets().with_stack(|stack| stack.memory())
    }

    /// The same host for threads that block, and for whoever wants what only the engine has.
    #[must_use]
    pub fn sockets(&self) -> &Sockets<System> {
        &self.handles.sockets
    }

    pub(super) fn handles(&self) -> Arc<Handles> {
        self.handles.clone()
    }
}

pub(super) fn listen_error(error: ListenError) -> io::Error {
    let kind = match error {
        ListenError::InUse => io::ErrorKind::AddrInUse,
        ListenError::OutOfMemory => io::ErrorKind::OutOfMemory,
    };
    io::Error::new(kind, error)
}
