//! The order of version 2 in every order of arrival: packets lost, late and twice, numbers that only a ping or a probe of the path's size
//! had, streams without room, and the end of patience. Once where a number is passed on proof alone, and once where it may be guessed.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::Wire32;
use gapless_worlds::{Found, World, expect, fingerprint, fingerprint_at, search};

use super::super::burnt::Bearer;
use super::super::sequencer::{Place, Sequencer, Waited, Waiting};
use crate::wire::{ConnectionId, Header, Ordered};

/// The first number of the world: zero, and just below the wraps of 16, 31 and 32 bits.
const STARTS: [u64; 4] = [0, (1 << 16) - 2, (1 << 31) - 2, (1 << 32) - 2];

/// What a stream takes before it is read.
const ROOM: usize = 2;

/// What packets that wait may hold: three of them, each of one byte.
const WAITING: usize = 3 * 196;

/// UDX2 H6, H17: as long as a number that only a ping had holds the others up where it may be guessed, and as any other does.
const PATIENCE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(150)];

/// A sequencer below a stream of one byte for each packet.
#[derive(Clone, Debug)]
struct OrderWorld {
    order: Sequencer,
    first: u64,
    /// Numbers that no packet with data has: a ping took them.
    burnt: Vec<bool>,
    noted: Vec<bool>,
    /// Acknowledged: the sender forgets it. It may come again all the same.
    stored: Vec<bool>,
    /// When each was.
    stored_at: Vec<Instant>,
    /// What the stream was given, in this order.
    given: Vec<u8>,
    unread: usize,
    skipped: BTreeSet<u8>,
    may_guess: bool,
    now: Instant,
    patience: u8,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Data(u8),
    /// A ping or a window update with this number: its own, or that of data.
    Control(u8),
    /// Something with this number that has one of its own.
    Proof(u8),
    Read,
    Wait(usize),
}

impl OrderWorld {
    fn new(first: u64, burnt: &[bool], may_guess: bool) -> Self {
        Self {
            order: Sequencer::new(first, may_guess),
            first,
            burnt: burnt.to_vec(),
            noted: vec![false; burnt.len()],
            stored: vec![false; burnt.len()],
            stored_at: vec![Instant::ZERO; burnt.len()],
            given: Vec::new(),
            unread: 0,
            skipped: BTreeSet::new(),
            may_guess,
            now: Instant::ZERO,
            patience: 2,
            ended: false,
        }
    }

    /// The number that the wire's low bits stand for.
    fn number(&self, place: u8) -> Result<u64, String> {
        let number = self.first + u64::from(place);
        let expanded = Wire32::truncate(number).expand(self.order.expected());
        expect(expanded, number, "expanded")?;
        Ok(number)
    }

    /// As a connection does (`receive.rs`), with a stream that may be full.
    fn data(&mut self, place: u8) -> Result<(), String> {
        let number = self.number(place)?;
        let index = usize::from(place);
        let content = [place];
        let frame = Ordered {
            fin: false,
            syn: false,
            data: &content,
        };
        match self.order.place(number) {
            Place::Next => {
                if self.unread < ROOM {
                    self.give(place);
                    self.store(index);
                    self.advance()?;
                    self.take_waiting()?;
                }
            }
            Place::Ahead => {
                let frames = [frame].into_iter();
                if self
                    .order
                    .keep(self.now, number, &header(), frames, WAITING)
                {
                    self.store(index);
                }
            }
            Place::Old => expect(self.stored[index], true, "acknowledged, but not stored")?,
            Place::GivenUp => {
                expect(self.skipped.contains(&place), true, "never given up")?;
                self.ended = true;
            }
            Place::Beyond => return Err("beyond".into()),
        }
        Ok(())
    }

    fn store(&mut self, index: usize) {
        self.stored[index] = true;
        self.stored_at[index] = self.now;
    }

    fn give(&mut self, place: u8) {
        self.given.push(place);
        self.unread += 1;
    }

    /// The packet whose turn it was has had it, and proven numbers behind it are passed.
    fn advance(&mut self) -> Result<(), String> {
        let before = self.order.expected();
        self.order.advance();
        self.passed(before + 1)
    }

    /// From that number on, the order has just passed by what it expected.
    fn passed(&mut self, from: u64) -> Result<(), String> {
        for number in from..self.order.expected() {
            let place = (number - self.first) as u8;
            let index = usize::from(place);
            expect(self.noted[index], true, "no control packet had it")?;
            expect(self.stored[index], false, "it was stored")?;
            // The heart of it: where nothing was guessed, nobody's data are passed by.
            let right = self.may_guess || self.burnt[index];
            expect(right, true, "passed, and its data may come")?;
            self.skipped.insert(place);
        }
        Ok(())
    }

    fn take_waiting(&mut self) -> Result<(), String> {
        while let Some(next) = self.order.take_next() {
            let place = next.frames().next().map(|frame| frame.data[0]);
            match place {
                Some(place) if self.unread < ROOM => {
                    self.give(place);
                    self.advance()?;
                }
                _ => {
                    let left = next.frames().as_bytes();
                    let rest = Waiting::rest(&next.header, next.arrived(), left);
                    self.order.put_back(rest);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, patience: Duration) -> Result<(), String> {
        self.now = self.now.saturating_add(patience);
        for _ in 0..=self.burnt.len() {
            let before = self.order.expected();
            match self.order.on_timeout(self.now) {
                Waited::Nothing => return Ok(()),
                Waited::Skipped => {
                    expect(self.may_guess, true, "a guess")?;
                    self.passed(before)?;
                    self.take_waiting()?;
                }
                Waited::InVain => {
                    expect(self.waited() >= PATIENCE[1], true, "too impatient")?;
                    self.ended = true;
                    return Ok(());
                }
            }
        }
        Err("no end of skipping (R9)".into())
    }

    /// How long the first packet behind the hole has waited.
    fn waited(&self) -> Duration {
        let expected = (self.order.expected() - self.first) as usize;
        let first = (expected..self.burnt.len()).find(|place| self.stored[*place]);
        first.map_or(Duration::ZERO, |place| {
            self.now.saturating_duration_since(self.stored_at[place])
        })
    }

    /// The application reads, and the sender repeats what is not acknowledged, until neither finds more to do.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            let before = (self.order.expected(), self.stored.clone());
            self.unread = 0;
            self.take_waiting()?;
            for place in 0..self.burnt.len() as u8 {
                let index = usize::from(place);
                if !self.ended && !self.burnt[index] && !self.stored[index] {
                    self.data(place)?;
                }
            }
            self.compare()?;
            let now = (self.order.expected(), self.stored.clone());
            if self.ended || now == before {
                return Ok(());
            }
        }
    }

    fn compare(&self) -> Result<(), String> {
        expect(
            self.given.is_sorted_by(|a, b| a < b),
            true,
            "in order and once",
        )?;
        // Nothing is passed over but what was given up.
        let passed: BTreeSet<u8> = (0..)
            .take((self.order.expected() - self.first) as usize)
            .collect();
        let known: BTreeSet<u8> = self
            .given
            .iter()
            .copied()
            .chain(self.skipped.iter().copied())
            .collect();
        expect(passed, known, "given and given up")?;
        let stored = self.stored.iter().filter(|stored| **stored).count();
        let waits = stored - self.given.len();
        expect(self.order.bytes(), waits * 196, "bytes that wait")?;
        let hole = waits > 0 && !self.order.has_next();
        expect(self.order.deadline().is_some(), hole, "patience has an end")
    }
}

impl World for OrderWorld {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        if self.ended {
            return Vec::new();
        }
        let mut actions = Vec::new();
        for (place, burnt) in (0..).zip(&self.burnt) {
            if !burnt {
                actions.push(Action::Data(place));
            }
            actions.push(Action::Control(place));
            if *burnt {
                actions.push(Action::Proof(place));
            }
        }
        if self.unread > 0 {
            actions.push(Action::Read);
        }
        if self.patience > 0 {
            actions.extend([0, 1].map(Action::Wait));
        }
        actions
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Data(place) => self.data(place)?,
            Action::Control(place) => {
                let number = self.number(place)?;
                self.noted[usize::from(place)] = true;
                let passed = self.order.note_control(number, Bearer::Other, 0);
                expect(passed, false, "a suspicion passes nothing")?;
            }
            Action::Proof(place) => {
                let number = self.number(place)?;
                let before = self.order.expected();
                self.noted[usize::from(place)] = true;
                let passed = self.order.note_control(number, Bearer::SizeProbe, 0);
                expect(passed, number == before, "passed at once")?;
                self.passed(before)?;
                self.take_waiting()?;
            }
            Action::Read => {
                self.unread = 0;
                self.take_waiting()?;
            }
            Action::Wait(which) => {
                self.patience -= 1;
                self.wait(PATIENCE[which])?;
            }
        }
        self.compare()
    }

    fn fingerprint(&self) -> u128 {
        let world = (self.first, &self.burnt, self.may_guess);
        if self.ended {
            return fingerprint(&world);
        }
        // What was said of numbers that had their turn is forgotten.
        let turn = (self.order.expected() - self.first) as usize;
        let ahead = (&self.noted[turn..], &self.stored[turn..]);
        let others = (&self.skipped, self.unread, self.patience);
        let all = (world, &self.order, ahead, others);
        fingerprint_at(&all, self.now.as_nanos(), PATIENCE[1], &[])
    }

    /// The sender repeats what is not acknowledged, the application reads: all is given, or it ends in an error for a reason.
    fn calm(&self) -> Result<(), String> {
        let mut world = self.clone();
        world.settle()?;
        // What is burnt holds up what follows: three seconds, or for ever if its packet was lost.
        while !world.ended && world.order.deadline().is_some() {
            let before = world.order.expected();
            world.wait(PATIENCE[0])?;
            if world.order.expected() == before && !world.ended {
                world.wait(PATIENCE[1])?;
            }
            world.settle()?;
        }
        let burns = world.burnt.contains(&true);
        let lied = world
            .skipped
            .iter()
            .any(|place| !world.burnt[usize::from(*place)]);
        if world.ended {
            let reason = burns || lied || self.ended;
            return expect(reason, true, "an end without a reason");
        }
        let data = world.burnt.iter().filter(|burnt| !**burnt).count();
        let given = world.given.len();
        // The last numbers may be burnt: nothing waits behind them.
        expect(given, data, "given in the end")
    }
}

fn header() -> Header {
    Header {
        version: 2,
        destination: ConnectionId::EMPTY,
        source: ConnectionId::EMPTY,
        number: 0.into(),
        destination_stream: 2,
        source_stream: 1,
    }
}

/// Every set of burnt numbers.
fn explore(starts: &[u64], packets: usize) -> Found {
    let worlds = starts.iter().flat_map(|first| {
        (0..1_u32 << packets).flat_map(move |set| {
            let burnt: Vec<bool> = (0..packets).map(|place| set & (1 << place) != 0).collect();
            [false, true].map(|may_guess| OrderWorld::new(*first, &burnt, may_guess))
        })
    });
    search("order of packets, version 2", packets, worlds)
}

#[test]
fn packets_in_any_order_are_given_in_theirs() {
    explore(&STARTS[3..], 3).at_least(5_500);
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_packets_in_any_order_are_given_in_theirs() {
    explore(&STARTS, 4).at_least(218_000);
    explore(&STARTS[3..], 5).at_least(544_000);
}
