//! Where connections live, and the lists that lead through them.

use super::Tuple;
use super::linger::Linger;
use crate::connection::Connection;
use crate::num::index;
use crate::place::Place;
use alloc::vec::Vec;

/// Names a connection for as long as the application holds it; never another one later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Id {
    pub(super) slot: u32,
    generation: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;

/// The lists that a slot can stand in, each at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum List {
    /// May have something to send.
    Ready,
    /// Something changed that the application may want to know.
    Changed,
    /// Established and not yet accepted.
    Accept,
}

const LISTS: usize = 3;

/// The next slot of a list, [`NONE`] of the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Link {
    next: u32,
}

impl Link {
    /// Not in the list. No slot has this number.
    const OUT: Self = Self { next: NONE - 1 };

    fn is_in(self) -> bool {
        self != Self::OUT
    }
}

/// What is in a slot.
#[derive(Debug)]
pub(super) enum Kind {
    Free,
    Open(Place<Connection>),
    /// RFC 9293 3.4.2, when nothing but the answer to late segments is left of it.
    Linger(Linger),
}

#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    pub(super) kind: Kind,
    pub(super) tuple: Tuple,
    pub(super) hash: u32,
    /// Whose budget it is in.
    pub(super) peer: u32,
    /// Octets of memory that stand in the books for it.
    pub(super) held: u32,
    /// The listener that it came through, until it is accepted.
    pub(super) listener: Option<u32>,
    /// The application has let go of it.
    pub(super) is_released: bool,
    /// Its SYN waits for the application's decision.
    pub(super) is_held: bool,
    /// It waits in its listener's queue.
    pub(super) is_queued: bool,
    /// It is no longer counted among those being opened.
    is_counted_out: bool,
    links: [Link; LISTS],
    next_free: u32,
}

impl Slot {
    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.kind {
            Kind::Open(place) => place.get(),
            _ => None,
        }
    }

    /// Whether it was counted among those being opened until now.
    pub(super) const fn count_out(&mut self) -> bool {
        !core::mem::replace(&mut self.is_counted_out, true)
    }

    pub(super) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.kind {
            Kind::Open(place) => place.get_mut(),
            _ => None,
        }
    }
}

/// No room for another connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: u32,
    /// First and last of each list.
    lists: [(u32, u32); LISTS],
    most: usize,
}

impl Id {
    /// A number that no other connection has as long as this one exists, below [`max_connections`](crate::StackConfig::max_connections): to find
    /// in a table what the application keeps for it. The next connection in its place has the same.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.slot
    }
}

impl Slots {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            lists: [(NONE, NONE); LISTS],
            most,
        }
    }

    /// Slots there are, free or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(at(slot))
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(at(slot))
    }

    pub(super) fn id(&self, slot: u32) -> Id {
        let generation = self.get(slot).map_or(0, |slot| slot.generation);
        Id { slot, generation }
    }

    /// The slot of a connection that the application still holds.
    pub(super) fn held(&self, id: Id) -> Option<&Slot> {
        self.get(id.slot)
            .filter(|slot| slot.generation == id.generation && !slot.is_released)
            .filter(|slot| !matches!(slot.kind, Kind::Free))
    }

    pub(super) fn held_mut(&mut self, id: Id) -> Option<&mut Slot> {
        self.held(id)?;
        self.get_mut(id.slot)
    }

    pub(super) fn insert(
        &mut self,
        tuple: Tuple,
        hash: u32,
        connection: Connection,
    ) -> Result<u32, Full> {
        let kind = Kind::Open(Place::new(connection).map_err(|_| Full)?);
        let slot = match self.get(self.free).map(|slot| slot.next_free) {
            Some(next) => core::mem::replace(&mut self.free, next),
            None => self.push(tuple)?,
        };
        let entry = self.get_mut(slot).ok_or(Full)?;
        entry.kind = kind;
        entry.tuple = tuple;
        entry.hash = hash;
        entry.peer = NONE;
        entry.held = 0;
        entry.listener = None;
        entry.is_released = false;
        entry.is_held = false;
        entry.is_counted_out = false;
        Ok(slot)
    }

    fn push(&mut self, tuple: Tuple) -> Result<u32, Full> {
        let slot = u32::try_from(self.slots.len()).map_err(|_| Full)?;
        if self.slots.len() >= self.most || slot >= Link::OUT.next {
            return Err(Full);
        }
        self.slots.try_reserve(1).map_err(|_| Full)?;
        // The growing path, which can fail, is only left out of the program if it is seen here that there is room.
        if self.slots.len() == self.slots.capacity() {
            return Err(Full);
        }
        self.slots.push(Slot {
            generation: 0,
            kind: Kind::Free,
            tuple,
            hash: 0,
            peer: NONE,
            held: 0,
            listener: None,
            is_released: false,
            is_held: false,
            is_queued: false,
            is_counted_out: false,
            links: [Link::OUT; LISTS],
            next_free: NONE,
        });
        Ok(slot)
    }

    /// Frees a slot; names of what was in it name nothing any more.
    pub(super) fn free(&mut self, slot: u32) {
        for list in [List::Ready, List::Changed, List::Accept] {
            self.unlink(list, slot);
        }
        let next_free = self.free;
        if let Some(entry) = self.get_mut(slot) {
            entry.kind = Kind::Free;
            entry.held = 0;
            entry.generation = entry.generation.wrapping_add(1);
            entry.next_free = next_free;
            self.free = slot;
        }
    }

    /// Puts a slot at the end of a list, if it is not in it.
    pub(super) fn link(&mut self, list: List, slot: u32) {
        let Some(link) = self.link_mut(list, slot) else {
            return;
        };
        if link.is_in() {
            return;
        }
        *link = Link { next: NONE };
        let (first, last) = self.ends(list);
        if first == NONE {
            self.set_ends(list, (slot, slot));
            return;
        }
        if let Some(link) = self.link_mut(list, last) {
            link.next = slot;
        }
        self.set_ends(list, (first, slot));
    }

    pub(super) fn first(&self, list: List) -> Option<u32> {
        let (first, _) = self.ends(list);
        (first != NONE).then_some(first)
    }

    /// The first of a list of which this is true.
    pub(super) fn find(&self, list: List, is_it: impl Fn(&Slot) -> bool) -> Option<u32> {
        let mut slot = self.first(list)?;
        for _ in 0..self.slots.len() {
            let entry = self.get(slot)?;
            if is_it(entry) {
                return Some(slot);
            }
            slot = entry.links.get(of(list))?.next;
        }
        None
    }

    /// Takes the first of a list out.
    pub(super) fn pop(&mut self, list: List) -> Option<u32> {
        let slot = self.first(list)?;
        let link = self.link_mut(list, slot)?;
        let next = link.next;
        *link = Link::OUT;
        let (_, last) = self.ends(list);
        let last = if next == NONE { NONE } else { last };
        self.set_ends(list, (next, last));
        Some(slot)
    }

    /// Puts the first of a list to its end.
    pub(super) fn turn(&mut self, list: List) {
        let (first, last) = self.ends(list);
        if first != last
            && let Some(slot) = self.pop(list)
        {
            self.link(list, slot);
        }
    }

    /// Takes a slot out of a list: a walk from its first, for rare use.
    pub(super) fn unlink(&mut self, list: List, slot: u32) {
        let Some(next) = self
            .link_mut(list, slot)
            .filter(|link| link.is_in())
            .map(|link| core::mem::replace(link, Link::OUT).next)
        else {
            return;
        };
        let (first, last) = self.ends(list);
        if first == slot {
            self.set_ends(list, (next, if next == NONE { NONE } else { last }));
            return;
        }
        let mut before = first;
        for _ in 0..self.slots.len() {
            match self.link_mut(list, before) {
                Some(link) if link.next == slot => {
                    link.next = next;
                    break;
                }
                Some(link) => before = link.next,
                None => return,
            }
        }
        if last == slot {
            self.set_ends(list, (first, before));
        }
    }

    fn link_mut(&mut self, list: List, slot: u32) -> Option<&mut Link> {
        self.get_mut(slot)?.links.get_mut(of(list))
    }

    fn ends(&self, list: List) -> (u32, u32) {
        self.lists.get(of(list)).copied().unwrap_or((NONE, NONE))
    }

    fn set_ends(&mut self, list: List, ends: (u32, u32)) {
        if let Some(entry) = self.lists.get_mut(of(list)) {
            *entry = ends;
        }
    }

    /// Heap memory held, octets, without that of the connections.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity().saturating_mul(size_of::<Slot>())
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().filter_map(Slot::connection)
    }
}

const fn of(list: List) -> usize {
    match list {
        List::Ready => 0,
        List::Changed => 1,
        List::Accept => 2,
    }
}

fn at(slot: u32) -> usize {
    index(u64::from(slot))
}
