//! Many connections behind one device: IP packets in, IP packets out.

mod budget;
mod calls;
mod check;
mod config;
mod deadlines;
mod device;
mod incoming;
mod linger;
mod listener;
mod outgoing;
mod secret;
mod slots;
mod table;

use crate::connection::State;
use crate::wire::Header;
use alloc::vec::Vec;
use budget::Budget;
use core::net::IpAddr;
use deadlines::Deadlines;
use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};
use listener::Listeners;
use secret::Secret;
use slots::{Kind, List, Slots};
use table::Table;

pub(crate) use linger::Linger;

pub use calls::{ConnectError, ListenError};
pub use config::{Checksums, StackConfig};
pub use device::{Arrival, PartialChecksum, Trains, Transmit};
pub use listener::ListenerId;
pub use slots::Id;
pub use table::Tuple;

/// A TCP of its own: an engine without I/O, clock or randomness.
///
/// The caller hands in packets ([`handle`](Self::handle)), asks for packets until there are none
/// ([`poll_transmit`](Self::poll_transmit)), and calls [`on_timeout`](Self::on_timeout) at [`next_deadline`](Self::next_deadline).
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    addresses: Vec<IpAddr>,
    secret: Secret,
    table: Table,
    slots: Slots,
    /// The slot of the connection that the last segment was for: the next one is often for the same.
    recent: Option<u32>,
    deadlines: Deadlines,
    budget: Budget,
    listeners: Listeners,
    half_open: usize,
    /// When a cookie was sent last.
    baked: Option<Instant>,
    replies: Replies,
    stats: Stats,
}

/// What happened to packets. All counts saturate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Packets handed in. What the device put together is one.
    pub received: u64,
    /// Packets handed out. A train is one.
    pub sent: u64,
    /// Packets that were broken, or no TCP of ours.
    pub dropped: u64,
    /// RSTs to segments that belong to no connection.
    pub refused: u64,
    /// SYNs answered by cookies.
    pub cookies: u64,
    /// Answers and connections there was no room for.
    pub overflows: u64,
    /// SYNs that were dropped, and dials that were refused, because a memory budget was spent.
    pub unaffordable: u64,
    /// Segments and writes of which not all was taken, because a memory budget was spent or the allocator refused.
    pub starved: u64,
}

/// Answers that belong to no connection: as many as fit; who sends more at once gets fewer answers (R8, R12).
#[derive(Debug, Default)]
struct Replies {
    waiting: Vec<Reply>,
    /// Of those, how many are out.
    taken: usize,
}

/// A segment without data, and where it goes.
#[derive(Clone, Copy, Debug)]
struct Reply {
    local: IpAddr,
    remote: IpAddr,
    header: Header,
}

/// Answers that wait at most: what a train of packets can ask for before the caller fetches them.
const MAX_REPLIES: usize = 64;

impl Stack {
    /// A stack without addresses and listeners. `seed` must not be guessed by anybody: numbers, ports and cookies come from it.
    #[must_use]
    pub fn new(config: StackConfig, seed: [u64; 2]) -> Self {
        let secret = Secret::new(seed);
        let budget = Budget::new(secret.table(), config.memory, config.memory_per_peer);
        Self {
            table: secret.table(),
            slots: Slots::new(config.max_connections),
            addresses: Vec::new(),
            secret,
            recent: None,
            deadlines: Deadlines::new(),
            budget,
            listeners: Listeners::default(),
            half_open: 0,
            baked: None,
            replies: Replies::default(),
            stats: Stats::default(),
            config,
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Connections that are not over, TIME-WAIT included.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.table.len()
    }

    /// Heap memory held, octets, with all connections.
    #[must_use]
    pub fn memory(&self) -> usize {
        let connections = self.slots.connections().map(|connection| {
            connection
                .memory()
                .saturating_add(size_of::<crate::Connection>())
        });
        connections
            .fold(0_usize, usize::saturating_add)
            .saturating_add(self.slots.memory())
            .saturating_add(self.table.memory())
            .saturating_add(self.deadlines.memory())
            .saturating_add(self.budget.memory())
    }

    /// Octets of [`StackConfig::memory`] that connections hold.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.budget.held()
    }

    /// Octets of [`StackConfig::memory_per_peer`] that connections with this peer hold.
    #[must_use]
    pub fn held_by(&self, peer: IpAddr) -> usize {
        self.budget.held_by(peer)
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called. `None` if there is nothing to wait for. May change after every call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Does what is due at `now`.
    pub fn on_timeout(&mut self, now: Instant) {
        // Each slot at most once: what it asks for next lies in the future (R9).
        for _ in 0..self.slots.len() {
            let Some(slot) = self.deadlines.pop_due(now) else {
                break;
            };
            match self.slots.get_mut(slot).map(|entry| &mut entry.kind) {
                Some(Kind::Open(place)) => {
                    if let Some(connection) = place.get_mut() {
                        connection.on_timeout(now);
                    }
                    self.touched(now, slot);
                }
                Some(Kind::Linger(linger)) if linger.until <= now => self.forget(slot),
                Some(Kind::Linger(linger)) => {
                    let until = linger.until;
                    self.deadlines.set(slot, Some(until));
                }
                Some(Kind::Free) | None => {}
            }
        }
    }

    /// Something happened to a connection: it may have something to send or to tell, wait for another time, or be over.
    fn touched(&mut self, now: Instant, slot: u32) {
        self.account(slot);
        if self.put_away(now, slot) || self.advance_opening(slot) {
            return;
        }
        self.slots.link(List::Changed, slot);
        self.slots.link(List::Ready, slot);
    }

    /// A connection that is over makes room for others, and if the application has let go of it nothing is left but what answers late
    /// segments, or nothing. Whether there is no connection any more.
    fn put_away(&mut self, now: Instant, slot: u32) -> bool {
        let Some(entry) = self.slots.get(slot) else {
            return true;
        };
        let Some(connection) = entry.connection() else {
            return true;
        };
        let is_over = connection.state() == State::Closed && !connection.owes_reset();
        let lingers = connection.state() == State::TimeWait && !connection.owes_anything();
        let is_released = entry.is_released;
        match (is_over, is_released) {
            (true, true) => sabotage!(ConnectionKept, self.vacate(slot), self.forget(slot)),
            (true, false) => self.vacate(slot),
            (false, true) if lingers => self.linger(now, slot),
            (false, _) => return false,
        }
        is_released
    }

    /// Only what answers late segments is kept.
    fn linger(&mut self, now: Instant, slot: u32) {
        let window = self.config.connection.time_wait;
        if let Some(entry) = self.slots.get_mut(slot)
            && let Some(connection) = entry.connection()
        {
            mark!(Lingers);
            let linger = connection.lingering(now, window);
            self.deadlines.set(slot, Some(linger.until));
            entry.kind = Kind::Linger(linger);
        }
        self.account(slot);
        self.slots.unlink(List::Changed, slot);
    }

    /// It is over: another connection may have the same ends, although the application still holds this one.
    fn vacate(&mut self, slot: u32) {
        self.recent = self.recent.filter(|recent| *recent != slot);
        if let Some(entry) = self.slots.get(slot) {
            let hash = entry.hash;
            self.table.remove(hash, slot);
        }
        self.deadlines.set(slot, None);
    }

    /// Nothing is left of it.
    fn forget(&mut self, slot: u32) {
        self.vacate(slot);
        self.free(slot);
    }

    /// Its place and its memory are others'.
    fn free(&mut self, slot: u32) {
        if let Some(entry) = self.slots.get(slot) {
            self.budget.leave(entry.peer, octets(entry.held));
        }
        self.slots.free(slot);
    }

    /// Whether there is memory for another connection with this peer.
    fn can_afford(&mut self, peer: IpAddr) -> bool {
        let can = self.budget.left_for(peer) >= size_of::<crate::Connection>();
        if !can {
            count(&mut self.stats.unaffordable);
        }
        can
    }

    /// A connection, told how much memory there is for it.
    fn granted(&mut self, slot: u32) -> Option<&mut crate::Connection> {
        let entry = self.slots.get_mut(slot)?;
        let left = self.budget.left(entry.peer);
        let connection = entry.connection_mut()?;
        connection.set_grant(left);
        Some(connection)
    }

    /// Something happened that may have changed what a connection holds.
    fn account(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let (held, is_starved) = entry.connection_mut().map_or((0, false), |connection| {
            let held = connection
                .memory()
                .saturating_add(size_of::<crate::Connection>());
            (held, connection.take_starved())
        });
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let before = core::mem::replace(&mut entry.held, held);
        if before != held {
            let place = entry.peer;
            self.budget.change(place, octets(before), octets(held));
        }
        if is_starved {
            count(&mut self.stats.starved);
        }
    }

    fn reply(&mut self, reply: Reply) {
        if self.replies.waiting.len() >= MAX_REPLIES
            || self.replies.waiting.try_reserve(1).is_err()
            || self.replies.waiting.len() == self.replies.waiting.capacity()
        {
            count(&mut self.stats.overflows);
            return;
        }
        self.replies.waiting.push(reply);
    }

    /// The largest segment, header included, that the link takes to this address.
    fn path_to(&self, remote: IpAddr) -> u16 {
        let header = u16::try_from(crate::wire::header_len(&remote)).unwrap_or(u16::MAX);
        self.config.mtu.saturating_sub(header)
    }
}

fn octets(held: u32) -> usize {
    crate::num::index(held.into())
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
