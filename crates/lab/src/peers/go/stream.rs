//! One stream of Go: its states, its windows, and how it puts bytes together.

use super::Generation;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};

pub(super) struct Stream {
    generation: Generation,
    pub(super) id: u32,
    /// The other side's ID, 0 for one opened here: Go never learns it (UDX 8.1).
    pub(super) remote: u32,
    pub(super) state: State,
    pub(super) writing: Writing,
    reading: Reading,
}

/// As Go names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Opened here, and nothing said of it yet.
    Idle,
    Open,
    HalfClosedLocal,
    HalfClosedRemote,
    Closed,
    /// With its code, and whether the end of the connection did it.
    Reset(u32, bool),
}

#[derive(Default)]
pub(super) struct Writing {
    /// What a blocked Write has left, and whether Close follows it.
    pub(super) rest: VecDeque<u8>,
    pub(super) then_close: bool,
    pub(super) written: u64,
    limit: u64,
    /// When to say again that there is no credit.
    pub(super) blocked_until: Option<Instant>,
}

struct Reading {
    ready: VecDeque<u8>,
    /// Early pieces: by offset in version 3, by number in early version 2.
    early: BTreeMap<u64, Vec<u8>>,
    early_bytes: usize,
    /// Where the next one begins: bytes delivered so far, or a number, once the first was seen.
    next: Option<u64>,
    final_size: Option<u64>,
    has_ended: bool,
    /// Bytes that came, those that were read, and what was advertised.
    received: u64,
    consumed: u64,
    window: u64,
    advertised: u64,
    since_update: u64,
}

/// What a stream wants said after it took data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reaction {
    Nothing,
    WindowUpdate(u32),
    /// UDX 9: more than 8 MiB ahead of a gap.
    Reset(u32),
}

impl Stream {
    pub(super) fn new(generation: Generation, id: u32, remote: u32) -> Self {
        Self {
            generation,
            id,
            remote,
            state: if remote == 0 {
                State::Idle
            } else {
                State::Open
            },
            writing: Writing {
                limit: INITIAL_WINDOW,
                ..Writing::default()
            },
            reading: Reading {
                ready: VecDeque::new(),
                early: BTreeMap::new(),
                early_bytes: 0,
                next: (generation != Generation::V2Early).then_some(0),
                final_size: None,
                has_ended: false,
                received: 0,
                consumed: 0,
                window: INITIAL_WINDOW,
                advertised: INITIAL_WINDOW,
                since_update: 0,
            },
        }
    }

    /// Bytes that the other side's limit lets go. Early version 2 asks for one byte and sends a whole packet (UDX2 9.1).
    pub(super) fn credit(&self) -> u64 {
        let left = self.writing.limit.saturating_sub(self.writing.written);
        match self.generation {
            Generation::V2Early if left > 0 => u64::MAX,
            _ => left,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.writing.limit
    }

    pub(super) fn has_ended(&self) -> bool {
        self.reading.has_ended || self.state == State::Closed
    }

    pub(super) fn can_write(&self) -> bool {
        matches!(
            self.state,
            State::Idle | State::Open | State::HalfClosedRemote
        ) && !self.writing.then_close
    }

    pub(super) fn on_window_update(&mut self, wire: u32) {
        let limit = match self.generation {
            // UDX2 9.1, 12: the plain value; a stream ends at 4 GiB.
            Generation::V2Early => wire.into(),
            // UDX 10.1: the candidate nearest to the limit held.
            _ => nearest(wire, self.writing.limit),
        };
        if limit > self.writing.limit {
            self.writing.limit = limit;
            self.writing.blocked_until = None;
        }
    }

    /// Data arrived. `place` is the offset in version 3, the packet's number in early version 2, and 0 in the late one, where the
    /// connection has the order.
    pub(super) fn deliver(&mut self, place: u64, data: &[u8]) -> Reaction {
        match self.generation {
            Generation::V2Early => self.deliver_by_number(place, data),
            Generation::V2Late => {
                self.reading.ready.extend(data);
                Reaction::Nothing
            }
            Generation::V3 { .. } => self.deliver_by_offset(place, data),
        }
    }

    pub(super) fn deliver_fin(&mut self, final_size: u64) {
        self.reading.final_size = Some(final_size);
        self.end_if_complete();
    }

    pub(super) fn deliver_reset(&mut self, code: u32, by_close: bool) {
        self.state = State::Reset(code, by_close);
        self.writing.rest.clear();
        self.writing.then_close = false;
        self.writing.blocked_until = None;
    }

    /// Takes what is ready, and tells the update that this makes due (from late version 2 on, windows follow consumption).
    pub(super) fn read(&mut self, max: usize) -> (Vec<u8>, Option<u32>) {
        let reading = &mut self.reading;
        let count = max.min(reading.ready.len());
        let bytes: Vec<u8> = reading.ready.drain(..count).collect();
        if self.generation == Generation::V2Early || bytes.is_empty() {
            return (bytes, None);
        }
        reading.consumed += bytes.len() as u64;
        let left = reading.advertised.saturating_sub(reading.consumed);
        if left >= reading.window / 2 {
            return (bytes, None);
        }
        reading.window = (reading.window * 2).min(LARGEST_WINDOW);
        (bytes, Some(self.restate_window()))
    }

    /// The answer to STREAM_DATA_BLOCKED.
    pub(super) fn restate_window(&mut self) -> u32 {
        if self.generation == Generation::V2Early {
            return self.grow_early_window();
        }
        let reading = &mut self.reading;
        reading.advertised = reading.advertised.max(reading.consumed + reading.window);
        // Modulo 2^32 (UDX 10.1).
        reading.advertised as u32
    }

    /// UDX2 7: the first data packet seen sets the expectation, whatever came before it (H9, H11).
    fn deliver_by_number(&mut self, number: u64, data: &[u8]) -> Reaction {
        let reading = &mut self.reading;
        let next = *reading.next.get_or_insert(number);
        if number < next {
            return Reaction::Nothing;
        }
        if number > next {
            reading.early.entry(number).or_insert_with(|| data.to_vec());
        } else {
            reading.ready.extend(data);
            let mut next = next + 1;
            while let Some(data) = reading.early.remove(&next) {
                reading.ready.extend(data);
                next += 1;
            }
            reading.next = Some(next);
        }
        reading.received += data.len() as u64;
        reading.since_update += data.len() as u64;
        // UDX2 9.1, H13: a quarter of the absolute value, which grows with the total until no sender can reach it.
        if reading.since_update > reading.window / 4 {
            return Reaction::WindowUpdate(self.grow_early_window());
        }
        Reaction::Nothing
    }

    fn grow_early_window(&mut self) -> u32 {
        let reading = &mut self.reading;
        reading.window += std::mem::take(&mut reading.since_update);
        reading.window as u32
    }

    /// UDX 9: a piece is found again only if it starts exactly where the delivered bytes end (V1).
    fn deliver_by_offset(&mut self, offset: u64, data: &[u8]) -> Reaction {
        let reading = &mut self.reading;
        let mut next = reading.next.unwrap_or(0);
        let end = offset + data.len() as u64;
        if end <= next {
            return Reaction::Nothing;
        }
        if offset > next {
            if reading.early.contains_key(&offset) {
                return Reaction::Nothing;
            }
            if reading.early_bytes + data.len() > LARGEST_EARLY {
                return Reaction::Reset(FLOW_CONTROL);
            }
            reading.early_bytes += data.len();
            reading.early.insert(offset, data.to_vec());
        } else {
            reading.ready.extend(&data[(next - offset) as usize..]);
            next = end;
            while let Some(data) = reading.early.remove(&next) {
                next += data.len() as u64;
                reading.early_bytes -= data.len();
                reading.ready.extend(data);
            }
            reading.next = Some(next);
        }
        self.end_if_complete();
        Reaction::Nothing
    }

    fn end_if_complete(&mut self) {
        let reading = &mut self.reading;
        let is_complete = match self.generation {
            Generation::V3 { .. } => {
                !reading.has_ended
                    && reading
                        .final_size
                        .is_some_and(|size| size <= reading.next.unwrap_or(0))
            }
            // UDX2 6.3, H8: the moment it arrives. Late version 2 gets here in the connection's order.
            _ => true,
        };
        if is_complete {
            reading.has_ended = true;
            self.state = match self.state {
                State::HalfClosedLocal => State::Closed,
                State::Reset(code, by_close) => State::Reset(code, by_close),
                _ => State::HalfClosedRemote,
            };
        }
    }
}

fn nearest(wire: u32, held: u64) -> u64 {
    let lower = (held & !u64::from(u32::MAX)) + u64::from(wire);
    [
        lower.checked_sub(1 << 32),
        Some(lower),
        Some(lower + (1 << 32)),
    ]
    .into_iter()
    .flatten()
    .min_by_key(|candidate| candidate.abs_diff(held))
    .unwrap_or(lower)
}

/// UDX 15, UDX2 12.
const INITIAL_WINDOW: u64 = 65_536;
const LARGEST_WINDOW: u64 = 4 << 20;
const LARGEST_EARLY: usize = 8 << 20;
/// The code of a flow control violation.
const FLOW_CONTROL: u32 = 3;
