//! The connections of an endpoint by handle, by connection ID and by deadline.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use gapless_recovery::Instant;

use crate::connection::Connection;
use crate::event::Event;
use crate::wire::ConnectionId;
use crate::wire::reset::Token;

/// Names a connection of an [`Endpoint`](crate::Endpoint); never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionHandle {
    slot: u32,
    generation: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    routes: BTreeMap<ConnectionId, ConnectionHandle>,
    tokens: BTreeMap<[u8; Token::LEN], ConnectionHandle>,
    /// Connections whose turn to send has come.
    ready: VecDeque<ConnectionHandle>,
    /// Connections that have events.
    eventful: VecDeque<ConnectionHandle>,
    deadlines: BTreeSet<(Instant, ConnectionHandle)>,
    alive: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
    in_ready: bool,
    in_eventful: bool,
    /// It had to make room and takes none any more; the application has yet to learn of it.
    uncounted: bool,
    /// The entry in `deadlines`, which may be earlier than the connection needs: a timer that moves
    /// with every acknowledgement is not moved in the set with each of them.
    deadline: Option<Instant>,
    token: Option<[u8; Token::LEN]>,
}

impl Table {
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: Connection) -> ConnectionHandle {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let mut handle = ConnectionHandle {
            slot,
            generation: 0,
        };
        if let Some(entry) = self.slot_mut(slot) {
            handle.generation = entry.generation;
            entry.connection = Some(Box::new(connection));
        }
        self.routes.insert(id, handle);
        self.alive = self.alive.saturating_add(1);
        self.make_ready(handle);
        handle
    }

    pub(crate) fn remove(&mut self, handle: ConnectionHandle) {
        self.unroute(handle);
        let Some(entry) = self.entry_mut(handle) else {
            return;
        };
        entry.connection = None;
        entry.generation = entry.generation.wrapping_add(1);
        entry.in_ready = false;
        entry.in_eventful = false;
        let counted = !core::mem::take(&mut entry.uncounted);
        if let Some(at) = entry.deadline.take() {
            self.deadlines.remove(&(at, handle));
        }
        self.alive = self.alive.saturating_sub(usize::from(counted));
        self.free.push(handle.slot);
    }

    /// The connection is over and has nothing left, but for the application, which is to learn that.
    pub(crate) fn discount(&mut self, handle: ConnectionHandle) {
        self.unroute(handle);
        if let Some(entry) = self.entry_mut(handle) {
            let counted = !core::mem::replace(&mut entry.uncounted, true);
            self.alive = self.alive.saturating_sub(usize::from(counted));
        }
    }

    /// Nothing is routed to the connection any more.
    pub(crate) fn unroute(&mut self, handle: ConnectionHandle) {
        let Some(entry) = self.entry_mut(handle) else {
            return;
        };
        let id = entry
            .connection
            .as_ref()
            .map(|connection| connection.local_id());
        let token = entry.token.take();
        if let Some(id) = id.filter(|id| self.routes.get(id) == Some(&handle)) {
            self.routes.remove(&id);
        }
        if let Some(token) = token {
            self.tokens.remove(&token);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.alive
    }

    pub(crate) fn route(&self, id: &ConnectionId) -> Option<ConnectionHandle> {
        self.routes.get(id).copied()
    }

    pub(crate) fn by_token(&self, token: &Token) -> Option<ConnectionHandle> {
        self.tokens.get(&token.0).copied()
    }

    pub(crate) fn set_token(&mut self, handle: ConnectionHandle, token: Token) {
        let Some(entry) = self.entry_mut(handle) else {
            return;
        };
        if let Some(old) = entry.token.replace(token.0) {
            self.tokens.remove(&old);
        }
        self.tokens.insert(token.0, handle);
    }

    pub(crate) fn get(&self, handle: ConnectionHandle) -> Option<&Connection> {
        let entry = self.slots.get(usize::try_from(handle.slot).ok()?)?;
        entry
            .connection
            .as_deref()
            .filter(|_| entry.generation == handle.generation)
    }

    /// The connection, which gets its turn to send and to report.
    pub(crate) fn get_mut(&mut self, handle: ConnectionHandle) -> Option<&mut Connection> {
        self.make_ready(handle);
        self.make_eventful(handle);
        self.get_mut_quietly(handle)
    }

    pub(crate) fn get_mut_quietly(&mut self, handle: ConnectionHandle) -> Option<&mut Connection> {
        self.entry_mut(handle)?.connection.as_deref_mut()
    }

    pub(crate) fn handles(&self) -> impl Iterator<Item = ConnectionHandle> + '_ {
        self.connections().map(|(handle, _)| handle)
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = (ConnectionHandle, &Connection)> + '_ {
        (0_u32..).zip(&self.slots).filter_map(|(slot, entry)| {
            let handle = ConnectionHandle {
                slot,
                generation: entry.generation,
            };
            entry
                .connection
                .as_deref()
                .map(|connection| (handle, connection))
        })
    }

    fn make_ready(&mut self, handle: ConnectionHandle) {
        if let Some(entry) = self.entry_mut(handle).filter(|entry| !entry.in_ready) {
            entry.in_ready = true;
            self.ready.push_back(handle);
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whose turn it is. It stays theirs until `rotate_ready` or `done_ready`.
    pub(crate) fn next_ready(&mut self) -> Option<ConnectionHandle> {
        while let Some(handle) = self.ready.front().copied() {
            if self.entry_mut(handle).is_some() {
                return Some(handle);
            }
            self.ready.pop_front();
        }
        None
    }

    pub(crate) fn ready_connection(&mut self, handle: ConnectionHandle) -> Option<&mut Connection> {
        self.get_mut_quietly(handle)
    }

    pub(crate) fn rotate_ready(&mut self, handle: ConnectionHandle) {
        if self.ready.front() == Some(&handle) && self.ready.len() > 1 {
            self.ready.rotate_left(1);
        }
    }

    /// The connection has nothing more to send: its timer is set.
    pub(crate) fn done_ready(&mut self, handle: ConnectionHandle, now: Instant) {
        if self.ready.front() == Some(&handle) {
            self.ready.pop_front();
        }
        let Some(entry) = self.entry_mut(handle) else {
            return;
        };
        entry.in_ready = false;
        let wanted = entry
            .connection
            .as_ref()
            .and_then(|connection| connection.next_deadline(now));
        self.set_deadline(handle, wanted, now);
    }

    fn set_deadline(&mut self, handle: ConnectionHandle, wanted: Option<Instant>, now: Instant) {
        let Some(entry) = self.entry_mut(handle) else {
            return;
        };
        let keep = match (entry.deadline, wanted) {
            // R9: not if it has passed; then nothing was due.
            (Some(set), Some(wanted)) => now < set && set <= wanted,
            (None, None) => true,
            _ => false,
        };
        if keep {
            return;
        }
        if let Some(set) = core::mem::replace(&mut entry.deadline, wanted) {
            self.deadlines.remove(&(set, handle));
        }
        if let Some(wanted) = wanted {
            self.deadlines.insert((wanted, handle));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A connection whose timer has run out.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<ConnectionHandle> {
        let (at, handle) = *self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.remove(&(at, handle));
        if let Some(entry) = self.entry_mut(handle) {
            entry.deadline = None;
        }
        Some(handle)
    }

    fn make_eventful(&mut self, handle: ConnectionHandle) {
        if let Some(entry) = self.entry_mut(handle).filter(|entry| !entry.in_eventful) {
            entry.in_eventful = true;
            self.eventful.push_back(handle);
        }
    }

    pub(crate) fn note_events(&mut self, handle: ConnectionHandle) {
        if self.get(handle).is_some_and(Connection::has_events) {
            self.make_eventful(handle);
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<(ConnectionHandle, Event)> {
        while let Some(handle) = self.eventful.front().copied() {
            let event = self
                .get_mut_quietly(handle)
                .and_then(Connection::poll_event);
            if let Some(event) = event {
                return Some((handle, event));
            }
            self.eventful.pop_front();
            if let Some(entry) = self.entry_mut(handle) {
                entry.in_eventful = false;
            }
        }
        None
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }

    fn entry_mut(&mut self, handle: ConnectionHandle) -> Option<&mut Slot> {
        self.slot_mut(handle.slot)
            .filter(|entry| entry.generation == handle.generation && entry.connection.is_some())
    }
}
