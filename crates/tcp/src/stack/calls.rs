//! The application's calls.

use super::slots::List;
use super::{Id, ListenerId, Stack, Tuple};
use crate::connection::{CloseReason, Connection, ReadError, State, WriteError};
use crate::wire::is_answerable;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use gapless_recovery::Instant;

/// Why nobody listens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody does already.
    #[error("somebody listens there already")]
    InUse,
    /// The allocator refused.
    #[error("there is no memory for a listener")]
    OutOfMemory,
}

/// Why nothing was dialed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ConnectError {
    /// No address of ours is of the peer's family.
    #[error("no local address is of the peer's family")]
    NoAddress,
    /// Nobody could answer from there (R24).
    #[error("the address is no host's")]
    BadAddress,
    /// A connection between these ends exists, or all ports to this peer are in use.
    #[error("all ports to this peer are in use")]
    InUse,
    /// As many connections as there may be, or no memory for more.
    #[error("there is no room for another connection")]
    Full,
}

impl Stack {
    /// Packets to this address are ours.
    ///
    /// # Errors
    /// The allocator refused.
    pub fn add_address(&mut self, address: IpAddr) -> Result<(), ListenError> {
        if self.addresses.contains(&address) {
            return Ok(());
        }
        let reserved = self.addresses.try_reserve(1);
        if reserved.is_err() || self.addresses.len() == self.addresses.capacity() {
            return Err(ListenError::OutOfMemory);
        }
        self.addresses.push(address);
        Ok(())
    }

    /// Packets to this address are no longer ours, and connections from it end (C29).
    pub fn remove_address(&mut self, now: Instant, address: IpAddr) {
        self.addresses.retain(|ours| *ours != address);
        for slot in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            let Some(entry) = self.slots.get_mut(slot) else {
                break;
            };
            if entry.tuple.local.ip() == address
                && let Some(connection) = entry.connection_mut()
            {
                connection.end_silently(now);
                self.touched(now, slot);
            }
        }
    }

    /// Waits for connections: to this address and port, or to any of either. At most `backlog` wait to be accepted; what
    /// others send is dropped until there is room, and they send it again. Those that are being opened do not count, see
    /// [`max_half_open`](crate::StackConfig::max_half_open).
    /// With `holds` SYNs are not answered before [`answer`](Self::answer), not even by cookies: a proxy dials on first. At most `backlog` of them
    /// wait.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn listen(
        &mut self,
        address: Option<IpAddr>,
        port: Option<u16>,
        backlog: usize,
        holds: bool,
    ) -> Result<ListenerId, ListenError> {
        if self.listeners.has(address, port) {
            return Err(ListenError::InUse);
        }
        self.listeners
            .add(address, port, backlog, holds)
            .map_err(|_| ListenError::OutOfMemory)
    }

    /// Waits no longer. Connections that were not accepted are reset.
    pub fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        self.listeners.remove(listener.0);
        for slot in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            let is_its = |entry: &super::slots::Slot| entry.listener == Some(listener.0);
            if self.slots.get(slot).is_some_and(is_its) {
                self.slots.unlink(List::Accept, slot);
                self.refuse_held(now, slot);
            }
        }
    }

    /// The next connection that waits, with both its ends. One of a listener that holds is not answered yet.
    pub fn accept(&mut self) -> Option<(Id, Tuple)> {
        let slot = self.slots.first(List::Accept)?;
        self.take_offer(slot)
    }

    /// As [`accept`](Self::accept), of those that came to one listener.
    pub fn accept_from(&mut self, listener: ListenerId) -> Option<(Id, Tuple)> {
        let came = |entry: &super::slots::Slot| entry.listener == Some(listener.0);
        let slot = self.slots.find(List::Accept, came)?;
        self.take_offer(slot)
    }

    fn take_offer(&mut self, slot: u32) -> Option<(Id, Tuple)> {
        self.slots.unlink(List::Accept, slot);
        let id = self.slots.id(slot);
        let entry = self.slots.get(slot)?;
        let tuple = entry.tuple;
        if !entry.is_held {
            self.leave_queue(slot);
        }
        Some((id, tuple))
    }

    /// The next listener to which something came that [`accept`](Self::accept) would give, since it was told last.
    pub fn poll_offered(&mut self) -> Option<ListenerId> {
        self.listeners.next_news()
    }

    /// Answers a SYN that was held.
    pub fn answer(&mut self, now: Instant, id: Id) {
        let Some(entry) = self.slots.held_mut(id) else {
            return;
        };
        if core::mem::take(&mut entry.is_held) {
            self.count_out(id.slot);
            self.leave_queue(id.slot);
            self.touched(now, id.slot);
        }
    }

    /// Dials. `local` is one of our addresses; without it the first one of the peer's family, and a port that is not guessed.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Id, ConnectError> {
        if !is_answerable(&remote.ip()) || remote.port() == 0 {
            return Err(ConnectError::BadAddress);
        }
        let family = |address: &&IpAddr| address.is_ipv4() == remote.is_ipv4();
        let address = match local {
            Some(local) if local.is_ipv4() == remote.is_ipv4() => local.ip(),
            Some(_) => return Err(ConnectError::NoAddress),
            None => *self
                .addresses
                .iter()
                .find(family)
                .ok_or(ConnectError::NoAddress)?,
        };
        let tuple_at = |port| Tuple {
            local: SocketAddr::new(address, port),
            remote,
        };
        let wanted = local.map(|local| local.port()).filter(|port| *port != 0);
        let tuple = match wanted {
            Some(port) => Some(tuple_at(port)).filter(|tuple| self.is_free(tuple)),
            None => self
                .secret
                .ports(&tuple_at(0))
                .map(tuple_at)
                .find(|tuple| self.is_free(tuple)),
        };
        let tuple = tuple.ok_or(ConnectError::InUse)?;
        if !self.can_afford(remote.ip()) {
            return Err(ConnectError::Full);
        }
        let initial = self.secret.initial(now, &tuple);
        let opening = self.opening(&tuple, initial);
        let connection = Connection::connect(&self.config.connection, now, &opening);
        let hash = self.table.hash(&tuple);
        let slot = self
            .enter(hash, tuple, connection)
            .ok_or(ConnectError::Full)?;
        self.touched(now, slot);
        Ok(self.slots.id(slot))
    }

    fn is_free(&self, tuple: &Tuple) -> bool {
        let hash = self.table.hash(tuple);
        let is_it = |slot| {
            let entry = self.slots.get(slot);
            entry.is_some_and(|entry| entry.tuple == *tuple)
        };
        self.table.find(hash, is_it).is_none()
    }

    /// The next connection of which something changed, since it was told last: it may be readable, writable, established or over.
    pub fn poll_changed(&mut self) -> Option<Id> {
        loop {
            let slot = self.slots.pop(List::Changed)?;
            let id = self.slots.id(slot);
            let is_known = self
                .slots
                .held(id)
                .is_some_and(|entry| entry.listener.is_none());
            if is_known {
                return Some(id);
            }
        }
    }

    /// A connection, to ask it. `None` once it was released.
    #[must_use]
    pub fn connection(&self, id: Id) -> Option<&Connection> {
        self.slots.held(id)?.connection()
    }

    /// Both ends of a connection. `None` once it was released.
    #[must_use]
    pub fn tuple(&self, id: Id) -> Option<Tuple> {
        Some(self.slots.held(id)?.tuple)
    }

    /// See [`Connection::write`].
    ///
    /// # Errors
    /// [`WriteError`]; a connection that was released is over.
    pub fn write(&mut self, id: Id, octets: &[u8]) -> Result<usize, WriteError> {
        let gone = WriteError::Ended(CloseReason::Aborted);
        let written = self.granted_of(id).ok_or(gone)?.write(octets);
        // Who asks again and again for room that is not there makes no work beyond that.
        if written.is_ok_and(|written| written > 0) {
            self.stir(id);
        }
        written
    }

    /// See [`Connection::read`].
    ///
    /// # Errors
    /// [`ReadError`]; a connection that was released is over.
    pub fn read(&mut self, id: Id, to: &mut [u8]) -> Result<usize, ReadError> {
        let gone = ReadError::Ended(CloseReason::Aborted);
        let read = self.granted_of(id).ok_or(gone)?.read(to);
        if read.is_ok_and(|read| read > 0) {
            self.stir(id);
        }
        read
    }

    /// See [`Connection::shutdown`].
    pub fn shutdown(&mut self, now: Instant, id: Id) {
        if let Some(connection) = self.connection_mut(id) {
            connection.shutdown(now);
            self.stir(id);
        }
    }

    /// See [`Connection::set_nagle`].
    pub fn set_nagle(&mut self, id: Id, nagle: bool) {
        if let Some(connection) = self.connection_mut(id) {
            connection.set_nagle(nagle);
            self.stir(id);
        }
    }

    /// See [`Connection::set_user_timeout`].
    pub fn set_user_timeout(&mut self, now: Instant, id: Id, timeout: Option<Duration>) {
        if let Some(connection) = self.connection_mut(id) {
            connection.set_user_timeout(now, timeout);
            // Its deadline is asked for when it has nothing to send.
            self.stir(id);
        }
    }

    /// See [`Connection::advertise_user_timeout`].
    pub fn advertise_user_timeout(&mut self, id: Id, timeout: Duration) {
        if let Some(connection) = self.connection_mut(id) {
            connection.advertise_user_timeout(timeout);
            self.stir(id);
        }
    }

    /// See [`Connection::abort`].
    pub fn abort(&mut self, now: Instant, id: Id) {
        if let Some(connection) = self.connection_mut(id) {
            connection.abort(now);
            // R22: whoever waits for it is told as if the peer had ended it.
            self.touched(now, id.slot);
        }
    }

    /// The application lets go of it: see [`Connection::close`]. What was written is still delivered; the name means nothing from now on (W1).
    pub fn release(&mut self, now: Instant, id: Id) {
        let Some(entry) = self.slots.held_mut(id) else {
            return;
        };
        if entry.is_held {
            self.refuse_held(now, id.slot);
            return;
        }
        entry.is_released = true;
        if let Some(connection) = entry.connection_mut() {
            connection.close(now);
        }
        self.touched(now, id.slot);
    }

    /// Nobody will accept it.
    fn refuse_held(&mut self, now: Instant, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        entry.is_held = false;
        entry.is_released = true;
        if let Some(connection) = entry.connection_mut() {
            connection.abort(now);
        }
        self.count_out(slot);
        self.leave_queue(slot);
        self.touched(now, slot);
    }

    fn granted_of(&mut self, id: Id) -> Option<&mut Connection> {
        self.slots.held(id)?;
        self.granted(id.slot)
    }

    fn connection_mut(&mut self, id: Id) -> Option<&mut Connection> {
        self.slots.held_mut(id)?.connection_mut()
    }

    /// The application did something that may give the connection something to send.
    fn stir(&mut self, id: Id) {
        self.account(id.slot);
        let is_open = self.connection(id).is_some_and(|connection| {
            connection.state() != State::Closed || connection.owes_reset()
        });
        if is_open {
            self.slots.link(List::Ready, id.slot);
        }
    }
}
