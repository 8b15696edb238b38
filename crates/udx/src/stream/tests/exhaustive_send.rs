//! The sending half in every order of writing, sending, cutting, acknowledgement, credit and giving up, under every discipline.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use gapless_seq::Wire32;
use gapless_worlds::{Found, World, expect, search};

use super::{bytes, ms};
use crate::stream::INITIAL_LIMIT;
use crate::stream::send::{Discipline, Piece, SendHalf, SendState};

/// The first byte of the world that is searched, as far behind the limit that all assume as it needs credit.
const STARTS: [u64; 4] = [
    0,
    (1 << 16) - INITIAL_LIMIT,
    (1 << 31) - INITIAL_LIMIT,
    (1 << 32) - INITIAL_LIMIT - 2,
];

/// Bytes that the limit of the beginning lets go.
const CREDIT: u64 = 3;

const DISCIPLINES: [Discipline; 4] = [
    Discipline::Free,
    Discipline::Ordered,
    Discipline::Careful,
    Discipline::Cautious,
];

/// A sending half, and what became of its pieces.
#[derive(Clone, Debug)]
struct SendWorld {
    half: SendHalf,
    discipline: Discipline,
    /// The stream's first byte, and how many of the world's were written at most, written and sent.
    start: u64,
    most: u64,
    written: u64,
    sent: u64,
    limit: u64,
    /// Pieces that are not acknowledged.
    out: Vec<Piece>,
    syn: Part,
    fin: Part,
    /// Something with bytes was acknowledged.
    proven: bool,
    given_up: bool,
    completed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Unsaid,
    Wanted,
    Sent,
    Acknowledged,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Write(u64),
    Finish,
    /// A piece of at most so many bytes.
    Send(usize),
    Acknowledge(usize),
    /// A piece is cut: its record is replaced by two.
    Split(usize),
    /// The limit is said to be so much more than at the beginning.
    Limit(u64),
    Reset,
    Refused,
}

impl SendWorld {
    /// With so much sent and acknowledged that the credit binds.
    fn new(discipline: Discipline, start: u64, most: u64) -> Self {
        let first = start + INITIAL_LIMIT - CREDIT;
        // The limit stands at `start + INITIAL_LIMIT`; a half that starts at `first` would have more.
        let mut half = SendHalf::starting_at(start, false, discipline);
        let mut filler = Bytes::from(bytes(start..first));
        while !filler.is_empty() {
            half.write(&mut filler, u64::MAX).unwrap();
        }
        while let Some(piece) = half.next(60_000) {
            half.on_sent(&piece);
            half.on_acked(&piece);
        }
        Self {
            half,
            discipline,
            start: first,
            most,
            written: 0,
            sent: 0,
            limit: CREDIT,
            out: Vec::new(),
            syn: Part::Acknowledged,
            fin: Part::Unsaid,
            proven: true,
            given_up: false,
            completed: false,
        }
    }

    /// From the very first byte, which opens the stream or answers the one that did.
    fn fresh(discipline: Discipline, start: u64, opens: bool, most: u64) -> Self {
        Self {
            half: SendHalf::starting_at(start, opens, discipline),
            start,
            limit: INITIAL_LIMIT,
            syn: if opens {
                Part::Wanted
            } else {
                Part::Acknowledged
            },
            proven: false,
            ..Self::new(discipline, start, most)
        }
    }

    fn is_outstanding(&self) -> bool {
        !self.out.is_empty()
    }

    /// What is to be sent next, by the rules of UDX 8 and UDX2 H7 to H10.
    fn expected(&self, max: usize) -> Option<Piece> {
        if self.given_up {
            return None;
        }
        let waiting = matches!(self.discipline, Discipline::Careful | Discipline::Cautious);
        if waiting && !self.proven && self.is_outstanding() {
            return None;
        }
        let reach = match self.discipline {
            // UDX2 9.3: what was acknowledged is credit.
            Discipline::Cautious => self.limit.max(self.acknowledged() + INITIAL_LIMIT),
            _ => self.limit,
        };
        let unsent = self.written - self.sent;
        let len = unsent.min(reach.saturating_sub(self.sent)).min(max as u64);
        let syn = self.syn == Part::Wanted;
        let wanted = self.fin == Part::Wanted;
        let fin = if waiting {
            wanted && self.acknowledged() == self.written && self.syn == Part::Acknowledged
        } else {
            wanted && len == unsent && self.syn != Part::Sent
        };
        (len > 0 || syn || fin).then_some(Piece {
            offset: self.start + self.sent,
            len: len as u16,
            syn,
            fin,
        })
    }

    /// Bytes from the world's first on of which each is acknowledged.
    fn acknowledged(&self) -> u64 {
        let missing = self
            .out
            .iter()
            .filter(|piece| piece.len > 0)
            .map(|piece| piece.offset - self.start);
        missing.min().unwrap_or(self.sent)
    }

    fn send(&mut self, max: usize) -> Result<(), String> {
        let piece = self.half.next(max);
        expect(piece, self.expected(max), "the next piece")?;
        expect(self.half.next(max), piece, "asked twice")?;
        let Some(piece) = piece else { return Ok(()) };
        self.half.on_sent(&piece);
        self.sent += u64::from(piece.len);
        if piece.syn {
            self.syn = Part::Sent;
        }
        if piece.fin {
            self.fin = Part::Sent;
        }
        self.out.push(piece);
        Ok(())
    }

    fn acknowledge(&mut self, place: usize) -> Result<(), String> {
        let piece = self.out.remove(place);
        let acked = self.half.on_acked(&piece);
        if self.given_up {
            // UDX2 H7: what a number carried has to arrive, wanted or not.
            let settled = self.discipline != Discipline::Free && self.out.is_empty();
            expect(acked.completed, false, "completed although given up")?;
            return expect(acked.settled, settled, "settled");
        }
        self.proven |= piece.len > 0;
        if piece.syn {
            self.syn = Part::Acknowledged;
        }
        if piece.fin {
            self.fin = Part::Acknowledged;
        }
        let complete = self.is_complete();
        expect(acked.opened, piece.syn, "opened")?;
        expect(
            acked.completed,
            complete && !core::mem::replace(&mut self.completed, complete),
            "completed",
        )
    }

    fn is_complete(&self) -> bool {
        self.fin == Part::Acknowledged
            && self.syn == Part::Acknowledged
            && self.out.is_empty()
            && self.sent == self.written
    }

    fn split(&mut self, place: usize) -> Result<(), String> {
        let piece = self.out[place];
        let Some((head, tail)) = self.half.split(&piece, 1) else {
            return expect(piece.len < 2, true, "cannot be cut");
        };
        expect(head.end(), tail.offset, "no gap in the cut")?;
        expect(
            (head.offset, tail.end(), head.syn),
            (piece.offset, piece.end(), piece.syn),
            "the same bytes",
        )?;
        // V12: it may not overtake the SYN that it went with.
        let delayed = piece.fin && piece.syn;
        expect(tail.fin, piece.fin && !delayed, "the end of the cut")?;
        if delayed && !self.given_up {
            self.fin = Part::Wanted;
        }
        self.out.splice(place..=place, [head, tail]);
        Ok(())
    }

    fn limit(&mut self, more: u64) -> Result<(), String> {
        let grows = more > self.limit;
        let wire = Wire32::truncate(self.start + more);
        expect(self.half.on_limit(wire), grows, "the limit grows")?;
        self.limit = self.limit.max(more);
        expect(self.half.limit(), self.start + self.limit, "the limit")
    }

    fn give_up(&mut self, here: bool) -> Result<(), String> {
        let applies = !self.given_up && !self.is_complete();
        let answer = if here {
            self.half.reset(5)
        } else {
            self.half.on_refused(6)
        };
        if applies {
            self.given_up = true;
            if self.discipline == Discipline::Free {
                self.out.clear();
            }
            self.written = self.sent;
        }
        expect(answer, applies, "given up")
    }

    fn compare(&mut self) -> Result<(), String> {
        for piece in &self.out {
            let mut target = vec![0; usize::from(piece.len)];
            if !self.half.copy_to(piece.offset, &mut target) {
                return Err(format!("the bytes of {piece:?} are gone"));
            }
            expect(target, bytes(piece.range()), "the bytes again")?;
        }
        let complete = self.is_complete() && !self.given_up;
        expect(self.half.is_acknowledged(), complete, "acknowledged")?;
        let over = complete || (self.given_up && self.out.is_empty());
        expect(self.half.is_finished(), over, "finished")?;
        expect(
            matches!(
                self.half.state(),
                SendState::Reset(_) | SendState::Stopped(_)
            ),
            self.given_up,
            "state",
        )?;
        let blocked = self.half.is_blocked_by_limit();
        let credit = self.limit.saturating_sub(self.sent);
        if self.discipline != Discipline::Cautious && !self.given_up {
            expect(blocked, self.written > self.sent && credit == 0, "blocked")?;
        }
        // D13: who is blocked asks.
        expect(self.half.is_blocked_due(ms(0)), blocked, "asks")
    }
}

impl World for SendWorld {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = vec![Action::Send(1), Action::Send(2), Action::Send(100)];
        actions.extend([Action::Reset, Action::Refused]);
        if self.fin == Part::Unsaid && !self.given_up {
            actions.push(Action::Finish);
            let room = self.most - self.written;
            actions.extend((1..=room.min(2)).map(Action::Write));
        }
        for place in 0..self.out.len() {
            actions.extend([Action::Acknowledge(place), Action::Split(place)]);
        }
        // One that came late, and those that let one and two more go.
        if self.limit < self.most {
            actions.extend([0, CREDIT - 1, self.limit + 1, self.limit + 2].map(Action::Limit));
        }
        actions
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Write(len) => {
                let from = self.start + self.written;
                let mut data = Bytes::from(bytes(from..from + len));
                let took = self.half.write(&mut data, u64::MAX);
                expect(took, Ok(len as usize), "write")?;
                self.written += len;
            }
            Action::Finish => {
                self.half
                    .finish()
                    .map_err(|error| format!("finish: {error:?}"))?;
                self.fin = Part::Wanted;
            }
            Action::Send(max) => self.send(max)?,
            Action::Acknowledge(place) => self.acknowledge(place)?,
            Action::Split(place) => self.split(place)?,
            Action::Limit(more) => self.limit(more)?,
            Action::Reset => self.give_up(true)?,
            Action::Refused => self.give_up(false)?,
        }
        self.compare()
    }

    /// With credit and acknowledgements, all comes to its end.
    fn calm(&self) -> Result<(), String> {
        let mut world = self.clone();
        if world.fin == Part::Unsaid && !world.given_up {
            world.act(Action::Finish)?;
        }
        world.limit(world.limit.max(world.most) + 10)?;
        for _ in 0..100 {
            if world.half.is_finished() {
                return Ok(());
            }
            world.send(100)?;
            while !world.out.is_empty() {
                world.acknowledge(0)?;
            }
            world.compare()?;
        }
        Err("never finished".into())
    }
}

fn explore(discipline: Discipline, starts: &[u64], most: u64) -> Found {
    let name = format!("stream sending, {discipline:?}");
    let worlds = starts.iter().flat_map(|start| {
        [
            SendWorld::new(discipline, *start, most),
            SendWorld::fresh(discipline, *start, true, most),
            SendWorld::fresh(discipline, *start, false, most),
        ]
    });
    search(&name, most as usize, worlds)
}

#[test]
fn pieces_acknowledged_in_every_order_end_the_stream() {
    for discipline in DISCIPLINES {
        explore(discipline, &STARTS[3..], 4).at_least(2_400);
    }
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_pieces_acknowledged_in_every_order_end_the_stream() {
    for discipline in DISCIPLINES {
        explore(discipline, &STARTS, 6).at_least(51_000);
    }
}
