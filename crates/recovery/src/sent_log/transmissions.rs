//! Transmissions in the order of their sending.

use gapless_seq::{invariant, sabotage};

use crate::config::Class;
use crate::rate::Snapshot;
use crate::ring::{OutOfMemory, Ring};
use crate::time::Instant;

use super::runs::{Closable, close_range};
use super::{PreviousLost, RecordId};

#[cfg_attr(test, derive(Hash))]
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum State {
    InFlight,
    /// Declared lost, in this episode of congestion; a late acknowledgement may prove the contrary.
    Lost {
        episode: u32,
    },
    /// Acknowledged, or replaced; entries within this distance are closed too.
    Closed {
        distance: u32,
    },
}

#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Transmission {
    pub(crate) sent_at: Instant,
    pub(crate) snapshot: Snapshot,
    pub(crate) record: RecordId,
    pub(crate) bytes: u32,
    pub(crate) state: State,
    pub(crate) class: Class,
    /// Sent on a path that is no longer used.
    pub(crate) foreign: bool,
    /// Its record had been sent before.
    pub(crate) repeated: bool,
}

impl Transmission {
    pub(crate) const fn new(
        sent_at: Instant,
        snapshot: Snapshot,
        record: RecordId,
        bytes: u32,
        class: Class,
    ) -> Self {
        Transmission {
            sent_at,
            snapshot,
            record,
            bytes,
            state: State::InFlight,
            class,
            foreign: false,
            repeated: false,
        }
    }

    /// Stands for one that is remembered no longer.
    pub(crate) const fn forgotten() -> Self {
        let snapshot = Snapshot {
            delivered: 0,
            delivered_at: Instant::ZERO,
            first_sent_at: Instant::ZERO,
            lost: 0,
            in_flight: 0,
            app_limited: true,
        };
        let mut transmission =
            Self::new(Instant::ZERO, snapshot, RecordId::NONE, 0, Class::Reliable);
        transmission.foreign = true;
        transmission
    }

    /// It was delivered. The episode if it had been declared lost.
    fn leave(&self, flight: &mut Flight, delivered_since_loss: &mut bool) -> Option<u32> {
        match self.state {
            State::Lost { episode } => {
                *delivered_since_loss = true;
                Some(episode)
            }
            State::InFlight | State::Closed { .. } => {
                flight.leave(self.charge());
                None
            }
        }
    }

    /// What it takes of the congestion window while in flight.
    fn charge(&self) -> u64 {
        if self.foreign {
            0
        } else {
            u64::from(self.bytes)
        }
    }
}

impl Closable for Transmission {
    fn closed(&self) -> Option<u32> {
        match self.state {
            State::Closed { distance } => Some(distance),
            State::InFlight | State::Lost { .. } => None,
        }
    }

    fn close(&mut self, distance: u32) {
        self.state = State::Closed { distance };
    }
}

/// What is in flight.
#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
struct Flight {
    bytes: u64,
    packets: u64,
}

impl Flight {
    fn enter(&mut self, charge: u64) {
        self.bytes = self.bytes.saturating_add(charge);
        self.packets = self.packets.saturating_add(1);
    }

    fn leave(&mut self, charge: u64) {
        // Where the books are wrong, an empty path is the reading under which sending goes on.
        invariant!(
            charge <= self.bytes,
            self.bytes = charge,
            "{charge} of {self:?} leave"
        );
        invariant!(
            self.packets > 0,
            self.packets = 1,
            "none of {self:?} leaves"
        );
        self.bytes = self.bytes.saturating_sub(charge);
        self.packets = self.packets.saturating_sub(1);
    }
}

#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Transmissions {
    ring: Ring<Transmission>,
    /// Below it nothing is in flight. Losses are declared in the order of sending, so a cursor is all the list it takes.
    cursor: u64,
    flight: Flight,
    /// An acknowledged one was passed since the last loss.
    delivered_since_loss: bool,
}

impl Transmissions {
    pub(crate) const fn starting_at(order: u64) -> Self {
        Transmissions {
            ring: Ring::starting_at(order),
            cursor: order,
            flight: Flight {
                bytes: 0,
                packets: 0,
            },
            delivered_since_loss: true,
        }
    }

    pub(crate) const fn next(&self) -> u64 {
        self.ring.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) const fn bytes_in_flight(&self) -> u64 {
        self.flight.bytes
    }

    pub(crate) const fn packets_in_flight(&self) -> u64 {
        self.flight.packets
    }

    pub(crate) fn get(&self, order: u64) -> Option<&Transmission> {
        self.ring.get(order)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Transmission)> {
        self.ring.iter()
    }

    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        self.ring.reserve()
    }

    pub(crate) fn push(&mut self, transmission: Transmission) -> Result<u64, OutOfMemory> {
        let charge = transmission.charge();
        let order = self.ring.push(transmission)?;
        self.flight.enter(charge);
        Ok(order)
    }

    /// Takes the place of one that is never sent.
    pub(crate) fn push_closed(&mut self) -> Result<u64, OutOfMemory> {
        self.ring.reserve()?;
        self.ring.push(Transmission {
            state: State::Closed { distance: 1 },
            ..Transmission::forgotten()
        })
    }

    /// Closes what is open at `from..to` and shows it, with the episode if it had been declared lost. Returns the steps taken.
    pub(crate) fn deliver_range(
        &mut self,
        from: u64,
        to: u64,
        mut visit: impl FnMut(u64, &Transmission, Option<u32>),
    ) -> u64 {
        let Transmissions {
            ring,
            flight,
            delivered_since_loss,
            ..
        } = self;
        close_range(ring, from, to, |order, transmission| {
            let was_lost = transmission.leave(flight, delivered_since_loss);
            visit(order, transmission, was_lost);
        })
    }

    /// As [`deliver_range`](Self::deliver_range), for a single one; `None` if it is not open.
    pub(crate) fn deliver(&mut self, order: u64) -> Option<(&Transmission, Option<u32>)> {
        let transmission = self.ring.get_mut(order)?;
        if transmission.closed().is_some() {
            return None;
        }
        let was_lost = transmission.leave(&mut self.flight, &mut self.delivered_since_loss);
        transmission.close(1);
        Some((transmission, was_lost))
    }

    /// The oldest in flight below `below`.
    pub(crate) fn next_in_flight(&mut self, below: u64) -> Option<u64> {
        if self.cursor < self.ring.first() {
            // What left the ring from in front of the cursor was acknowledged.
            self.delivered_since_loss = true;
            self.cursor = self.ring.first();
        }
        while self.cursor < below {
            match self.ring.get(self.cursor)?.state {
                State::InFlight => return Some(self.cursor),
                State::Closed { .. } => self.delivered_since_loss = true,
                State::Lost { .. } => {}
            }
            self.cursor = self.cursor.saturating_add(1);
        }
        None
    }

    pub(crate) const fn delivered_since_loss(&self) -> bool {
        self.delivered_since_loss
    }

    /// The size of the largest in flight on this path, MTU probes excepted. Linear.
    pub(crate) fn largest_in_flight(&self) -> u32 {
        (self.cursor.max(self.ring.first())..self.ring.next())
            .filter_map(|order| self.ring.get(order))
            .filter(|sent| {
                sent.state == State::InFlight && sent.class != Class::MtuProbe && !sent.foreign
            })
            .map(|sent| sent.bytes)
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn lose(&mut self, order: u64, episode: u32) {
        if let Some(transmission) = self.ring.get_mut(order)
            && transmission.state == State::InFlight
        {
            transmission.state = State::Lost { episode };
            self.delivered_since_loss = false;
            let charge = sabotage!(LostStaysInFlight, 0, transmission.charge());
            self.flight.leave(charge);
        }
    }

    /// Another transmission replaces this one while it is in flight. One that was declared lost stays remembered.
    pub(crate) fn void(&mut self, order: u64) {
        if let Some(transmission) = self.ring.get_mut(order)
            && transmission.state == State::InFlight
        {
            transmission.close(1);
            let charge = transmission.charge();
            self.flight.leave(charge);
        }
        self.pop_closed();
    }

    /// This one, if it was declared lost; it is closed then.
    pub(crate) fn take_lost(&mut self, order: u64) -> Option<PreviousLost> {
        let transmission = self.ring.get_mut(order)?;
        let State::Lost { episode } = transmission.state else {
            return None;
        };
        let sent_at = transmission.sent_at;
        transmission.close(1);
        Some(PreviousLost { episode, sent_at })
    }

    /// One that was declared lost is in flight after all. Whether it was, and is remembered.
    pub(crate) fn revive(&mut self, order: u64) -> bool {
        let Some(transmission) = self.ring.get_mut(order) else {
            return false;
        };
        if !matches!(transmission.state, State::Lost { .. }) {
            return false;
        }
        transmission.state = State::InFlight;
        let charge = transmission.charge();
        self.flight.enter(charge);
        self.cursor = self.cursor.min(order);
        true
    }

    /// Those declared lost as well: a late acknowledgement of one measures the old path.
    pub(crate) fn leave_path(&mut self) {
        for order in self.ring.first()..self.ring.next() {
            if let Some(transmission) = self.ring.get_mut(order) {
                transmission.foreign = true;
            }
        }
        self.flight.bytes = sabotage!(OldPathCounts, self.flight.bytes, 0);
    }

    /// Nothing is in flight, and nothing that was is remembered.
    pub(crate) fn close_all(&mut self) {
        for order in self.ring.first()..self.ring.next() {
            if let Some(transmission) = self.ring.get_mut(order)
                && transmission.closed().is_none()
            {
                let charge = transmission.charge();
                let was_in_flight = transmission.state == State::InFlight;
                transmission.close(1);
                if was_in_flight {
                    self.flight.leave(charge);
                }
            }
        }
        self.pop_closed();
    }

    pub(crate) fn pop_closed(&mut self) {
        while self
            .ring
            .front()
            .is_some_and(|transmission| transmission.closed().is_some())
        {
            self.ring.pop_front();
        }
    }

    pub(crate) fn trim(&mut self, before: Instant, bound: usize) {
        while let Some(transmission) = self.ring.front() {
            let crowded = self.ring.len() >= bound;
            match transmission.state {
                State::Closed { .. } => {}
                State::Lost { .. } if transmission.sent_at < before || crowded => {}
                State::Lost { .. } | State::InFlight => break,
            }
            self.ring.pop_front();
        }
    }

    pub(crate) fn release(&mut self) {
        self.ring.release();
    }

    pub(crate) fn memory(&self) -> usize {
        self.ring.memory()
    }
}
