//! Who waits for connections (RFC 9293 3.10.1).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// Names a listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId(pub(super) u32);

#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) id: u32,
    /// `None`: any.
    pub(super) address: Option<IpAddr>,
    /// `None`: any.
    pub(super) port: Option<u16>,
    /// Connections that may wait to be accepted.
    pub(super) backlog: usize,
    /// How many do.
    pub(super) waiting: usize,
    /// SYNs are not answered before the application has decided.
    pub(super) holds: bool,
    /// Something came into its queue, and nobody was told.
    is_news: bool,
}

impl Listener {
    pub(super) const fn is_full(&self) -> bool {
        self.waiting >= self.backlog
    }

    /// One more waits.
    pub(super) fn queue(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
        self.is_news = true;
    }
}

#[derive(Debug, Default)]
pub(super) struct Listeners {
    list: Vec<Listener>,
    next: u32,
}

/// The allocator refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OutOfMemory;

impl Listeners {
    pub(super) fn add(
        &mut self,
        address: Option<IpAddr>,
        port: Option<u16>,
        backlog: usize,
        holds: bool,
    ) -> Result<ListenerId, OutOfMemory> {
        self.list.try_reserve(1).map_err(|_| OutOfMemory)?;
        if self.list.len() == self.list.capacity() {
            return Err(OutOfMemory);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.list.push(Listener {
            id,
            address,
            port,
            backlog: backlog.max(1),
            waiting: 0,
            holds,
            is_news: false,
        });
        Ok(ListenerId(id))
    }

    pub(super) fn has(&self, address: Option<IpAddr>, port: Option<u16>) -> bool {
        self.list
            .iter()
            .any(|listener| listener.address == address && listener.port == port)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Listener> {
        self.list.iter_mut().find(|listener| listener.id == id)
    }

    pub(super) fn is_full(&self, id: u32) -> bool {
        let listener = self.list.iter().find(|listener| listener.id == id);
        listener.is_some_and(Listener::is_full)
    }

    /// The next one of which nobody was told that something waits.
    pub(super) fn next_news(&mut self) -> Option<ListenerId> {
        let listener = self.list.iter_mut().find(|listener| listener.is_news)?;
        listener.is_news = false;
        Some(ListenerId(listener.id))
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.list.retain(|listener| listener.id != id);
    }

    /// The one for this end: who named the address and the port goes before who named one of them or none.
    pub(super) fn find(&mut self, local: SocketAddr) -> Option<&mut Listener> {
        let fits = |listener: &&mut Listener| {
            listener.address.is_none_or(|address| address == local.ip())
                && listener.port.is_none_or(|port| port == local.port())
        };
        self.list
            .iter_mut()
            .filter(fits)
            .max_by_key(|listener| (listener.port.is_some(), listener.address.is_some()))
    }
}
