//! Who waits for what.

use alloc::vec::Vec;
use core::mem;
use core::task::Waker;
use gapless_tcp::{Connection, Id, ListenerId, State};

/// What somebody waits for on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Open,
    Read,
    Write,
    Flush,
}

impl Side {
    /// Whether there is nothing to wait for.
    pub(crate) fn is_due(self, connection: &Connection) -> bool {
        match self {
            Self::Open => is_open(connection),
            Self::Read => connection.may_read(),
            Self::Write => connection.may_write(),
            Self::Flush => connection.is_flushed() || connection.ended().is_some(),
        }
    }
}

/// Whether it was decided what becomes of an opening.
pub(crate) fn is_open(connection: &Connection) -> bool {
    let is_opening = matches!(connection.state(), State::SynSent | State::SynReceived);
    !is_opening || connection.ended().is_some()
}

/// Tells those apart who wait for the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    /// Of the functions that are polled by hand: a later caller takes the place of an earlier one, as everywhere.
    pub(crate) const POLLED: Self = Self(0);
}

/// Where somebody waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Connection(Id, Side),
    Listener(ListenerId),
}

/// The allocator refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfMemory;

#[derive(Debug)]
struct Waiter {
    place: Place,
    ticket: Ticket,
    waker: Waker,
}

/// As many as there are tasks and threads that wait: each has its place once.
#[derive(Debug, Default)]
struct Waiters(Vec<Waiter>);

impl Waiters {
    fn enter(&mut self, waiter: Waiter) -> Result<Option<Waker>, OutOfMemory> {
        let is_same = |it: &&mut Waiter| it.place == waiter.place && it.ticket == waiter.ticket;
        if let Some(before) = self.0.iter_mut().find(is_same) {
            return Ok(Some(mem::replace(&mut before.waker, waiter.waker)));
        }
        self.0.try_reserve(1).map_err(|_| OutOfMemory)?;
        // The growing path, which can fail, is only left out of the program if it is seen here that there is room.
        if self.0.len() == self.0.capacity() {
            return Err(OutOfMemory);
        }
        self.0.push(waiter);
        Ok(None)
    }

    fn take(&mut self, is_it: impl Fn(&Waiter) -> bool) -> Option<Waker> {
        let at = self.0.iter().position(is_it)?;
        let waiter = self.0.swap_remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(waiter.waker)
    }
}

/// Those of all connections and listeners.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// By [`Id::index`].
    connections: Vec<Waiters>,
    listeners: Waiters,
}

impl Waits {
    /// Wakers are dropped by the caller, once the lock is released: the last one of a task takes the task with it, and what it holds.
    pub(crate) fn enter(
        &mut self,
        place: Place,
        ticket: Ticket,
        waker: &Waker,
    ) -> Result<Option<Waker>, OutOfMemory> {
        self.of_mut(place)?.enter(Waiter {
            place,
            ticket,
            waker: waker.clone(),
        })
    }

    pub(crate) fn leave(&mut self, place: Place, ticket: Ticket) -> Option<Waker> {
        let waiters = self.of_mut(place).ok()?;
        waiters.take(|it| it.place == place && it.ticket == ticket)
    }

    /// One of those who wait on a connection for something of which this is true.
    pub(crate) fn next_of(&mut self, id: Id, is_due: impl Fn(Side) -> bool) -> Option<Waker> {
        let waiters = self.connections.get_mut(index(id))?;
        waiters.take(|it| match it.place {
            Place::Connection(of, side) => of == id && is_due(side),
            Place::Listener(_) => false,
        })
    }

    pub(crate) fn next_at(&mut self, listener: ListenerId) -> Option<Waker> {
        self.listeners
            .take(|it| it.place == Place::Listener(listener))
    }

    /// One of all.
    pub(crate) fn next(&mut self) -> Option<Waker> {
        let of_connection = self
            .connections
            .iter_mut()
            .find_map(|waiters| waiters.take(|_| true));
        of_connection.or_else(|| self.listeners.take(|_| true))
    }

    fn of_mut(&mut self, place: Place) -> Result<&mut Waiters, OutOfMemory> {
        let id = match place {
            Place::Connection(id, _) => id,
            Place::Listener(_) => return Ok(&mut self.listeners),
        };
        let at = index(id);
        let missing = at.saturating_add(1).saturating_sub(self.connections.len());
        self.connections
            .try_reserve(missing)
            .map_err(|_| OutOfMemory)?;
        while self.connections.len() <= at {
            if self.connections.len() == self.connections.capacity() {
                return Err(OutOfMemory);
            }
            self.connections.push(Waiters::default());
        }
        self.connections.get_mut(at).ok_or(OutOfMemory)
    }
}

fn index(id: Id) -> usize {
    usize::try_from(id.index()).unwrap_or(usize::MAX)
}
