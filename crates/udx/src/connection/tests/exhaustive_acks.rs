//! The book of received numbers in every order of arrival, loss and duplication, through the ACK frame and back to the sender.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::Wire32;
use gapless_worlds::{Found, World, expect, fingerprint_at, search};

use super::super::acks::{Acks, Urgency};
use crate::peer::{MAX_ACK_DELAY, Peer, Rules};
use crate::wire::{ConnectionId, Encoder, Frame, Header, Packet, Version};

/// The first number of the world: zero, and just below the wraps of 16, 31 and 32 bits.
const STARTS: [u64; 4] = [0, (1 << 16) - 3, (1 << 31) - 3, (1 << 32) - 3];

/// Runs of earlier numbers in a book that is nearly full: one below what it remembers.
const CROWD: u64 = 40;

/// Numbers that came before may come again any number of times, but not more of them than these between two acknowledgements.
const COPIES: u8 = 2;

/// Ranges besides the first that a frame has room for.
const EXTRA: u8 = 32;

const TICK: Duration = MAX_ACK_DELAY;

/// What is as long ago as this is long ago: no delay is longer, and no judgement of how fast packets come looks further back than a round
/// trip, which is four of the longest delays where it is not known.
const LONG_AGO: Duration = MAX_ACK_DELAY.saturating_mul(4);

/// So many packets came one right behind the other before, so that our own kind awaits ten of them before it answers.
const FLOOD: u64 = 100;

#[derive(Clone, Debug)]
struct AckWorld {
    acks: Acks,
    peer: Peer,
    /// The first number that is still to come, and one past the last.
    first: u64,
    end: u64,
    came: Vec<bool>,
    /// Duplicates since the last ACK. Of our own kind's, which counts packets, since the beginning.
    copies: u8,
    /// Numbers that came before.
    crowd: BTreeSet<u64>,
    now: Instant,
    /// Something came that no ACK was sent for. Each ACK says all that came, so that otherwise all was said.
    owed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Arrive(usize, bool),
    /// An ACK leaves: because it is due, or with data.
    Send,
    Tick,
    /// The peer asks what arrived.
    Ask,
}

impl AckWorld {
    fn new(peer: Peer, first: u64, packets: usize, crowded: bool) -> Self {
        let now = Instant::ZERO;
        let flood = (!crowded && peer == Peer::Own).then_some(FLOOD);
        let before = first.saturating_sub(flood.unwrap_or(0))..first;
        let mut acks = Acks::new(before.start, now);
        let mut crowd = BTreeSet::new();
        let mut start = first;
        for number in before {
            acks.on_received(now, number, Urgency::Delayed, None, peer.rules());
            if acks.is_due(now) {
                acks.on_sent(now);
            }
            crowd.insert(number);
        }
        if crowded {
            start = first + 2 * CROWD;
            for number in (first..start).step_by(2) {
                acks.on_received(now, number, Urgency::Delayed, None, peer.rules());
                crowd.insert(number);
            }
        }
        acks.on_sent(now);
        Self {
            acks,
            peer,
            first: start,
            end: start + packets as u64,
            came: vec![false; packets],
            copies: 0,
            crowd,
            now,
            owed: false,
        }
    }

    fn rules(&self) -> &'static Rules {
        self.peer.rules()
    }

    fn received(&self) -> BTreeSet<u64> {
        let came = (self.first..).zip(&self.came).filter(|(_, came)| **came);
        came.map(|(number, _)| number).collect()
    }

    fn arrive(&mut self, place: usize, at_once: bool) -> Result<(), String> {
        let wire = Wire32::truncate(self.first + place as u64);
        let number = wire.expand(self.acks.next_expected());
        expect(number, self.first + place as u64, "expanded")?;
        let expected = self.acks.next_expected();
        let urgency = if at_once {
            Urgency::AtOnce
        } else {
            Urgency::Delayed
        };
        let new = self
            .acks
            .on_received(self.now, number, urgency, None, self.rules());
        let came_before = core::mem::replace(&mut self.came[place], true);
        expect(new, !came_before, "new")?;
        self.copies += u8::from(came_before);
        self.owed = true;
        expect(self.acks.contains(number), true, "remembered")?;
        // UDX 4.2: what leaves a gap or fills one is answered at once.
        let out_of_order = new && number != expected;
        if at_once || out_of_order {
            expect(self.acks.is_due(self.now), true, "due at once")?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), String> {
        let largest = *self
            .received()
            .last()
            .or_else(|| self.crowd.last())
            .ok_or("an ACK of nothing")?;
        let Some((top, delay, ranges)) = self.acks.report(self.now) else {
            return Err("nothing to report".into());
        };
        expect(top, largest, "the largest")?;
        let mut buffer = [0; 400];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        encoder.header(&header()).map_err(|e| format!("{e:?}"))?;
        encoder
            .ack(delay, ranges, EXTRA)
            .map_err(|error| format!("{error:?}"))?;
        let len = encoder.written();
        let said = self.read(&buffer[..len])?;
        if let Some(lie) = said
            .iter()
            .find(|number| !self.crowd.contains(number) && !self.received().contains(number))
        {
            return Err(format!("{lie} never came"));
        }
        // The newest are what the sender waits for.
        if let Some(silent) = self.received().iter().find(|number| !said.contains(number)) {
            return Err(format!("{silent} came and was not said"));
        }
        self.acks.on_sent(self.now);
        self.owed = false;
        if self.peer != Peer::Own {
            self.copies = 0;
        }
        expect(self.acks.is_pending(), false, "pending after an ACK")
    }

    /// The frame as its receiver reads it, who has sent all numbers up to `end`.
    fn read(&self, datagram: &[u8]) -> Result<BTreeSet<u64>, String> {
        let packet = Packet::decode_as(datagram, Version::V3.dialect())
            .map_err(|error| format!("{error:?}"))?;
        let ack = packet.frames().find_map(|frame| match frame {
            Frame::Ack(ack) => Some(ack),
            _ => None,
        });
        let ack = ack.ok_or("no ACK in the packet")?;
        let largest = ack.largest.expand(self.end);
        Ok(ack.ranges(largest).flatten().collect())
    }
}

impl World for AckWorld {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (place, came) in self.came.iter().enumerate() {
            if !came || self.copies < COPIES {
                actions.extend([false, true].map(|at_once| Action::Arrive(place, at_once)));
            }
        }
        if self.acks.is_due(self.now) || self.acks.is_pending() {
            actions.push(Action::Send);
        }
        actions.push(Action::Tick);
        if self.came.contains(&true) {
            actions.push(Action::Ask);
        }
        actions
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Arrive(place, at_once) => self.arrive(place, at_once)?,
            Action::Send => self.send()?,
            Action::Tick => {
                self.now = self.now.saturating_add(TICK);
            }
            Action::Ask => {
                self.acks.ask();
                expect(self.acks.is_due(self.now), true, "an answer is due")?;
            }
        }
        // Nothing that came stays unsaid for longer than the peers wait.
        let soon = self.now.saturating_add(TICK);
        let will = self.acks.is_due(self.now) || self.acks.deadline().is_some_and(|at| at <= soon);
        if self.owed && !will {
            return Err("an ACK is owed, and no time is set for it".into());
        }
        expect(self.owed && !self.acks.is_pending(), false, "owed")
    }

    fn fingerprint(&self) -> u128 {
        let told = (&self.acks, &self.came, self.copies, self.first, self.owed);
        // Who answers every second packet counts them for nothing.
        let without: &[&str] = match self.peer {
            Peer::Own => &[],
            _ => &["round"],
        };
        fingerprint_at(&(told, self.peer), self.now.as_nanos(), LONG_AGO, without)
    }

    /// When all have arrived and an ACK has left, the sender knows all.
    fn calm(&self) -> Result<(), String> {
        let mut world = self.clone();
        for place in 0..world.came.len() {
            if !world.came[place] {
                world.arrive(place, false)?;
            }
        }
        if world.owed {
            world.now = world.now.saturating_add(TICK);
            expect(world.acks.is_due(world.now), true, "due in the end")?;
            world.send()?;
        }
        expect(world.owed, false, "told in the end")
    }
}

fn header() -> Header {
    Header {
        version: 3,
        destination: ConnectionId::EMPTY,
        source: ConnectionId::EMPTY,
        number: 0.into(),
        destination_stream: 2,
        source_stream: 1,
    }
}

fn explore(peer: Peer, starts: &[u64], packets: usize, crowded: bool) -> Found {
    let kind = if crowded { ", book nearly full" } else { "" };
    let name = format!("received numbers and ACKs, {peer:?}{kind}");
    let worlds = starts
        .iter()
        .map(|first| AckWorld::new(peer, *first, packets, crowded));
    search(&name, packets, worlds)
}

#[test]
fn numbers_that_arrive_in_any_order_are_said() {
    explore(Peer::Go, &STARTS[3..], 4, false).at_least(11_000);
    explore(Peer::Own, &STARTS[3..], 2, false).at_least(1_000);
    explore(Peer::Go, &STARTS[3..], 3, true).at_least(4_200);
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_numbers_that_arrive_in_any_order_are_said() {
    explore(Peer::Go, &STARTS, 8, false).at_least(1_450_000);
    explore(Peer::Own, &STARTS[3..], 6, false).at_least(2_580_000);
    explore(Peer::Go, &STARTS[3..], 6, true).at_least(89_000);
}
