//! Reassembly in every order of segments: lost, repeated, cut anew, with an end, read and told in between, around the wrap of the wire's
//! numbers.

use super::{Accepted, ReceiveBuffer, ReceiveWindow};
use crate::wire::SackBlock;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};
use core::ops::Range;
use gapless_seq::Wire32;
use gapless_worlds::{Found, World, expect, search};

/// Where the first octet stands: in front of the wrap, across it, and far from it.
const STARTS: [u64; 4] = [
    (1 << 33) - 14,
    (1 << 33) - 3,
    1 << 33,
    (1 << 32) + (1 << 31) - 5,
];

/// Octets of a segment.
const SIZE: usize = 2;

/// A buffer, and what it should hold.
#[derive(Clone)]
struct Receiver {
    buffer: ReceiveBuffer,
    start: u64,
    got: Vec<bool>,
    /// The FIN came.
    fin: bool,
    consumed: usize,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// Segments from the first to before the second, as one.
    Arrives(usize, usize),
    Read(usize),
    /// An acknowledgment leaves, with a window and blocks.
    Told,
}

impl Receiver {
    fn new(start: u64, segments: usize) -> Self {
        let limit = 1 << 16;
        let mut buffer = ReceiveBuffer::new(start, limit, Some(ReceiveWindow::shift_for(limit)));
        buffer.window_mut().advertise(1460);
        Self {
            buffer,
            start,
            got: vec![false; segments * SIZE],
            fin: false,
            consumed: 0,
        }
    }

    fn len(&self) -> usize {
        self.got.len()
    }

    /// Octets from the beginning without a hole.
    fn edge(&self) -> usize {
        let hole = self.got.iter().position(|got| !got);
        hole.unwrap_or(self.len())
    }

    fn has_ended(&self) -> bool {
        self.fin && self.edge() == self.len()
    }

    fn octet(&self, place: usize) -> u8 {
        (place as u8).wrapping_mul(37) ^ (self.start as u8)
    }

    /// Behind the hole: what blocks have to tell.
    fn pieces(&self) -> Vec<Range<u64>> {
        let mut pieces: Vec<Range<u64>> = Vec::new();
        for place in (self.edge()..self.len()).filter(|place| self.got[*place]) {
            let at = self.start + place as u64;
            match pieces.last_mut() {
                Some(last) if last.end == at => last.end = at + 1,
                _ => pieces.push(at..at + 1),
            }
        }
        pieces
    }

    fn arrives(&mut self, from: usize, to: usize) -> Result<(), String> {
        let places = from * SIZE..to * SIZE;
        let fin = places.end == self.len();
        let octets: Vec<u8> = places.clone().map(|place| self.octet(place)).collect();
        let (edge, had_ended) = (self.edge(), self.has_ended());
        let newly = places.clone().filter(|place| !self.got[*place]).count();
        self.got[places.clone()].fill(true);
        self.fin |= fin;
        let start = self.start + places.start as u64;
        let accepted = self.buffer.accept(start, &octets, fin);
        let ended = self.has_ended() && !had_ended;
        let expected = Accepted {
            newly: newly as u64,
            in_order: self.edge() > edge || ended,
            has_hole: !self.pieces().is_empty() || (self.fin && !self.has_ended()),
            ended,
        };
        expect(accepted, Ok(expected), "what came of a segment")
    }

    fn read(&mut self, most: usize) -> Result<(), String> {
        let mut octets = vec![0; most];
        let read = self.buffer.read(&mut octets);
        let there = self.edge() - self.consumed;
        expect(read, there.min(most), "octets read")?;
        let expected: Vec<u8> = (self.consumed..self.consumed + read)
            .map(|place| self.octet(place))
            .collect();
        self.consumed += read;
        expect(&octets[..read], &expected[..], "the octets")
    }

    fn told(&mut self) -> Result<(), String> {
        self.buffer.window_mut().advertise(1460);
        let pieces = self.pieces();
        let mut untold = pieces.clone();
        let expected = self.start + self.edge() as u64;
        for (place, SackBlock { left, right }) in self.buffer.take_sack_blocks().iter().enumerate()
        {
            let range = left.expand(expected)..right.expand(expected);
            let is_duplicate = place == 0 && !untold.contains(&range);
            if is_duplicate {
                // RFC 2883 4: something that came twice.
                let places = range.clone().map(|at| (at - self.start) as usize);
                if range.is_empty() || !places.into_iter().all(|place| self.got[place]) {
                    return Err(format!("{range:?} is told to have come twice"));
                }
            } else if !pieces.contains(&range) {
                return Err(format!("{range:?} is told, of {pieces:?}"));
            }
            untold.retain(|piece| *piece != range);
            let _: Wire32 = left;
        }
        expect(untold, Vec::new(), "pieces that are not told")
    }

    fn compare(&self) -> Result<(), String> {
        let next = self.start + self.edge() as u64 + u64::from(self.has_ended());
        expect(self.buffer.window().next(), next, "RCV.NXT")?;
        expect(self.buffer.has_ended(), self.has_ended(), "the end")?;
        let readable = (self.edge() - self.consumed) as u64;
        expect(self.buffer.readable(), readable, "readable octets")?;
        let holds = readable > 0 || !self.pieces().is_empty();
        expect(
            self.buffer.memory() > 0 || !holds,
            true,
            "memory for what is there",
        )
    }
}

impl World for Receiver {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let segments = self.len() / SIZE;
        let single = (0..segments).map(|first| Action::Arrives(first, first + 1));
        let double = (0..segments - 1).map(|first| Action::Arrives(first, first + 2));
        let others = [
            Action::Read(1),
            Action::Read(usize::from(u8::MAX)),
            Action::Told,
        ];
        single.chain(double).chain(others).collect()
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Arrives(from, to) => self.arrives(from, to)?,
            Action::Read(most) => self.read(most)?,
            Action::Told => self.told()?,
        }
        self.compare()
    }

    /// Whatever came: the rest completes the stream.
    fn calm(&self) -> Result<(), String> {
        let mut world = self.clone();
        for segment in 0..self.len() / SIZE {
            world.arrives(segment, segment + 1)?;
        }
        world.read(usize::from(u8::MAX))?;
        world.told()?;
        world.compare()?;
        expect(world.buffer.has_ended(), true, "the end is reached")
    }
}

/// All of the state but the ring's octets, which the search compares when they are read.
impl Debug for Receiver {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ReceiveBuffer {
            window,
            beyond,
            duplicate,
            fin,
            ..
        } = &self.buffer;
        write!(
            f,
            "{window:?} {beyond:?} {duplicate:?} {fin:?} {:?}",
            self.got
        )
    }
}

fn explore(starts: &[u64], segments: usize) -> Found {
    let worlds = starts.iter().map(|start| Receiver::new(*start, segments));
    search("TCP reassembly", segments, worlds)
}

#[test]
fn segments_in_every_order_make_the_stream() {
    explore(&STARTS[1..2], 4).at_least(470);
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_segments_in_every_order_make_the_stream() {
    explore(&STARTS, 7).at_least(770_000);
}
