//! Reassembly in every order of fragments: cut, repeated, overlapping with the same bytes or with others, with an end anywhere, read
//! in between, reset and stopped.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gapless_worlds::{Found, World, expect, fingerprint, search};

use super::{byte, ms};
use crate::stream::recv::{ReadError, RecvError, RecvHalf};
use crate::stream::window::WindowConfig;

/// Where streams start: at the beginning, across a block's end, and across the wraps of 16, 31 and 32 bits.
const STARTS: [u64; 5] = [0, 16_384 - 2, (1 << 16) - 3, (1 << 31) - 3, (1 << 32) - 3];

const CONFIG: WindowConfig = WindowConfig {
    initial: 65_536,
    max: 65_536,
};

/// A receiving half, and what it should hold.
#[derive(Clone, Debug)]
struct RecvWorld {
    half: RecvHalf,
    start: u64,
    /// Different contents that one position may be said to have.
    colours: u8,
    /// Which colour came first at each position; 0 before any.
    got: Vec<u8>,
    consumed: usize,
    end: Option<usize>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Receiving,
    Reset,
    Stopped,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Data {
        from: usize,
        to: usize,
        fin: bool,
        colour: u8,
    },
    Read(usize),
    Reset,
    Stop,
}

const CODE: u32 = 9;

impl RecvWorld {
    fn new(start: u64, len: usize, colours: u8) -> Self {
        Self {
            half: RecvHalf::at(&CONFIG, start),
            start,
            colours,
            got: vec![0; len],
            consumed: 0,
            end: None,
            state: State::Receiving,
        }
    }

    fn content(&self, place: usize, colour: u8) -> u8 {
        byte(self.start + place as u64) ^ colour.wrapping_mul(0x55)
    }

    /// How many positions from the beginning were received.
    fn edge(&self) -> usize {
        let hole = self.got.iter().position(|colour| *colour == 0);
        hole.unwrap_or(self.got.len())
    }

    fn highest(&self) -> usize {
        let last = self.got.iter().rposition(|colour| *colour != 0);
        last.map_or(0, |last| last + 1)
    }

    /// UDX 18.4, RFC 9000 4.5.
    fn refusal(&self, to: usize, fin: bool) -> Option<RecvError> {
        match self.end {
            Some(end) if fin && to != end => Some(RecvError::FinalSizeChanged),
            Some(end) if to > end => Some(RecvError::BeyondFinalSize),
            None if fin && to < self.highest() => Some(RecvError::BeyondFinalSize),
            _ => None,
        }
    }

    fn data(&mut self, from: usize, to: usize, fin: bool, colour: u8) -> Result<(), String> {
        let before = fingerprint(&self.half);
        let content: Vec<u8> = (from..to)
            .map(|place| self.content(place, colour))
            .collect();
        let was_readable = self.half.is_readable();
        let offset = self.start + from as u64;
        let answer = self.half.on_data(ms(0), offset, &content, fin);
        if self.state != State::Receiving {
            let accepted = answer.map_err(|error| format!("dropped: {error:?}"))?;
            expect(accepted.newly, 0, "new bytes of what nobody wants")?;
            return expect(fingerprint(&self.half), before, "what nobody wants");
        }
        if let Some(refusal) = self.refusal(to, fin) {
            expect(answer.err(), Some(refusal), "refusal")?;
            return expect(fingerprint(&self.half), before, "after a refusal");
        }
        let accepted = answer.map_err(|error| format!("refused: {error:?}"))?;
        let mut newly = 0;
        for got in &mut self.got[from..to] {
            if *got == 0 {
                *got = colour;
                newly += 1;
            }
        }
        if fin {
            self.end = Some(to);
        }
        expect(accepted.newly, newly, "new bytes")?;
        let readable = self.half.is_readable();
        expect(
            accepted.became_readable,
            !was_readable && readable,
            "the edge of readability",
        )?;
        expect(accepted.fin_known, self.end.is_some(), "the end is known")
    }

    fn read(&mut self, max: usize) -> Result<(), String> {
        let read = self.half.read(max);
        match self.state {
            State::Reset => return expect(read, Err(ReadError::Reset(CODE)), "read"),
            State::Stopped => return expect(read, Err(ReadError::Stopped), "read"),
            State::Receiving => {}
        }
        if self.end == Some(self.consumed) {
            return expect(read, Ok(None), "the end");
        }
        if self.edge() == self.consumed {
            return expect(read, Err(ReadError::Blocked), "read");
        }
        let bytes = read
            .map_err(|error| format!("read: {error:?}"))?
            .ok_or("an end before the end")?;
        let len = bytes.len();
        if len == 0 || len > max || self.consumed + len > self.edge() {
            return Err(format!("{len} bytes were read"));
        }
        let expected: Vec<u8> = (self.consumed..self.consumed + len)
            .map(|place| self.content(place, self.got[place]))
            .collect();
        self.consumed += len;
        expect(&bytes[..], &expected[..], "bytes")
    }

    /// Not when all is here: then there is nothing to take back (RFC 9000 3.2).
    fn reset(&mut self) -> Result<(), String> {
        let complete = self.end == Some(self.edge());
        let applies = self.state == State::Receiving && !complete;
        if applies {
            self.state = State::Reset;
        }
        expect(self.half.on_reset(CODE), applies, "reset")
    }

    fn stop(&mut self) -> Result<(), String> {
        let receiving = self.state == State::Receiving;
        let complete = self.end == Some(self.edge());
        let finished = self.end == Some(self.consumed);
        if receiving && !finished {
            self.state = State::Stopped;
        }
        expect(self.half.stop(), receiving && !complete, "stop")
    }

    fn compare(&self) -> Result<(), String> {
        let receiving = self.state == State::Receiving;
        let finished = !receiving || self.end == Some(self.consumed);
        expect(self.half.is_finished(), finished, "finished")?;
        let readable = finished || self.edge() > self.consumed;
        expect(self.half.is_readable(), readable, "readable")?;
        expect(self.half.has_end(), self.end.is_some(), "has an end")?;
        let memory = self.half.buffer().memory();
        if memory > self.half.memory_bound() {
            return Err(format!("{memory} bytes of memory"));
        }
        if !receiving || self.consumed == self.highest() {
            return expect(memory, 0, "memory of an empty half");
        }
        let positions = [self.half.buffer().edge(), self.half.buffer().highest()];
        let expected = [self.edge(), self.highest()].map(|place| self.start + place as u64);
        expect(positions, expected, "edge and highest")
    }
}

impl World for RecvWorld {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = vec![
            Action::Read(1),
            Action::Read(usize::MAX),
            Action::Reset,
            Action::Stop,
        ];
        let len = self.got.len();
        for from in 0..=len {
            for to in from..=len {
                for colour in 1..=self.colours {
                    actions.extend([false, true].map(|fin| Action::Data {
                        from,
                        to,
                        fin,
                        colour,
                    }));
                }
            }
        }
        actions
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Data {
                from,
                to,
                fin,
                colour,
            } => self.data(from, to, fin, colour)?,
            Action::Read(max) => self.read(max)?,
            Action::Reset => self.reset()?,
            Action::Stop => self.stop()?,
        }
        self.compare()
    }

    /// Whatever came, and in which order: the rest completes the stream.
    fn calm(&self) -> Result<(), String> {
        let mut world = self.clone();
        let end = world.end.unwrap_or(world.got.len());
        world.data(0, end, true, 1)?;
        for _ in 0..=end {
            world.read(usize::MAX)?;
        }
        world.compare()?;
        expect(world.half.is_finished(), true, "the end is reached")
    }
}

fn explore(starts: &[u64], len: usize, colours: u8) -> Found {
    let kind = match colours {
        1 => "equal overlaps",
        _ => "contradicting overlaps",
    };
    let name = format!("stream reassembly, {kind}");
    let worlds = starts
        .iter()
        .map(|start| RecvWorld::new(*start, len, colours));
    search(&name, len, worlds)
}

#[test]
fn fragments_in_every_order_make_the_stream() {
    explore(&STARTS[3..], 4, 1).at_least(490);
    explore(&STARTS[1..2], 3, 2).at_least(400);
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_fragments_in_every_order_make_the_stream() {
    explore(&STARTS, 7, 1).at_least(11_000);
    explore(&STARTS[1..2], 8, 1).at_least(4_700);
    explore(&STARTS, 4, 2).at_least(6_900);
    explore(&STARTS[4..], 5, 2).at_least(4_600);
}
