//! One stream of JS (UDX 8 to 10).

use crate::peers::values::nearest;
use crate::peers::wire::Frame;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(super) struct Stream {
    pub(super) id: u32,
    /// The peer's ID; 0 for one that was opened here, for ever.
    pub(super) remote: u32,
    /// Over in both directions, or given up: only a tombstone is left.
    pub(super) is_closed: bool,
    pub(super) reset: Option<u32>,

    queue: VecDeque<u8>,
    sent: u64,
    limit: u64,
    has_syn: bool,
    wants_fin: bool,
    has_fin: bool,
    /// Out of credit, and when to say so again.
    blocked: Option<Instant>,

    ready: VecDeque<Vec<u8>>,
    ahead: BTreeMap<u64, Vec<u8>>,
    received: u64,
    consumed: u64,
    final_size: Option<u64>,
    ended: bool,
    window: u64,
    advertised: u64,
}

/// More came ahead of a gap than is kept.
#[derive(Debug)]
pub(super) struct TooFarAhead;

impl Stream {
    pub(super) fn new(id: u32, remote: u32) -> Self {
        Self {
            id,
            remote,
            is_closed: false,
            reset: None,
            queue: VecDeque::new(),
            sent: 0,
            limit: INITIAL_WINDOW,
            has_syn: remote != 0,
            wants_fin: false,
            has_fin: false,
            blocked: None,
            ready: VecDeque::new(),
            ahead: BTreeMap::new(),
            received: 0,
            consumed: 0,
            final_size: None,
            ended: false,
            window: INITIAL_WINDOW,
            advertised: INITIAL_WINDOW,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.blocked.filter(|_| !self.is_closed)
    }

    pub(super) fn write(&mut self, data: &[u8]) -> usize {
        if self.wants_fin || self.is_closed {
            return 0;
        }
        let taken = data.len().min(HIGH_WATER.saturating_sub(self.queue.len()));
        self.queue.extend(&data[..taken]);
        taken
    }

    pub(super) fn finish(&mut self) {
        self.wants_fin = true;
    }

    /// Data that wait for credit: STREAM_DATA_BLOCKED is due at once and every 500 ms (UDX 10.1).
    pub(super) fn block_if_stuck(&mut self, now: Instant) {
        if !self.queue.is_empty() && self.credit() == 0 && self.blocked.is_none() {
            self.blocked = Some(now);
        }
    }

    pub(super) fn take_blocked(&mut self, now: Instant) -> Option<Frame> {
        if self.is_closed || self.blocked.is_none_or(|at| now < at) {
            return None;
        }
        self.blocked = Some(now + BLOCKED_REPEAT);
        Some(Frame::StreamDataBlocked {
            stream: self.id,
            limit: self.limit,
        })
    }

    pub(super) fn has_sendable(&self) -> bool {
        if self.is_closed {
            return false;
        }
        let has_data = !self.queue.is_empty();
        !self.has_syn || has_data && self.credit() > 0 || self.fin_is_next()
    }

    /// The next frame, of at most `max` bytes of data: SYN rides the first, FIN goes alone (UDX 7.2, 8.3).
    pub(super) fn next_frame(&mut self, max: usize) -> Frame {
        let len = max.min(self.queue.len()).min(self.credit() as usize);
        let data: Vec<u8> = self.queue.drain(..len).collect();
        let fin = data.is_empty() && self.fin_is_next();
        let frame = Frame::Stream {
            syn: !self.has_syn,
            fin,
            offset: self.sent,
            data,
        };
        self.has_syn = true;
        self.has_fin |= fin;
        self.sent += len as u64;
        frame
    }

    /// UDX 10.1: the nearest position, if it is larger.
    pub(super) fn on_window_update(&mut self, value: u32) {
        let limit = nearest(value, self.limit);
        if limit > self.limit {
            self.limit = limit;
            self.blocked = None;
        }
    }

    /// UDX 9: a chunk goes on only where it starts exactly at the end of what was delivered; the first of one start stays.
    pub(super) fn on_data(&mut self, offset: u64, data: &[u8]) -> Result<(), TooFarAhead> {
        let end = offset + data.len() as u64;
        if self.is_closed || end <= self.received {
            return Ok(());
        }
        if offset > self.received {
            let held: usize = self.ahead.values().map(Vec::len).sum();
            if !self.ahead.contains_key(&offset) && held + data.len() > MAX_AHEAD {
                return Err(TooFarAhead);
            }
            self.ahead.entry(offset).or_insert_with(|| data.to_vec());
            return Ok(());
        }
        let known = (self.received - offset) as usize;
        self.deliver(data[known..].to_vec());
        while let Some(next) = self.ahead.remove(&self.received) {
            self.deliver(next);
        }
        Ok(())
    }

    pub(super) fn on_fin(&mut self, size: u64) {
        if !self.is_closed {
            self.final_size = Some(size);
        }
    }

    /// The next chunk, and the limit to tell if that is due.
    pub(super) fn read(&mut self, max: usize) -> Option<(Vec<u8>, Option<u32>)> {
        let mut chunk = self.ready.pop_front()?;
        if chunk.len() > max {
            self.ready.push_front(chunk.split_off(max));
        }
        self.consumed += chunk.len() as u64;
        let left = self.advertised.saturating_sub(self.consumed);
        if left * 2 >= self.window {
            return Some((chunk, None));
        }
        self.window = (self.window * 2).min(MAX_WINDOW);
        Some((chunk, Some(self.advertise())))
    }

    /// The current limit as the wire has it.
    pub(super) fn advertise(&mut self) -> u32 {
        self.advertised = self.advertised.max(self.consumed + self.window);
        self.advertised as u32
    }

    /// All was read, and the end is reached.
    pub(super) fn is_at_end(&mut self) -> bool {
        let is_reached = self.final_size.is_some_and(|size| self.received >= size);
        self.ended |= is_reached && self.ready.is_empty();
        self.ended
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended && self.has_fin
    }

    fn credit(&self) -> u64 {
        self.limit.saturating_sub(self.sent)
    }

    fn fin_is_next(&self) -> bool {
        self.wants_fin && !self.has_fin && self.queue.is_empty()
    }

    fn deliver(&mut self, data: Vec<u8>) {
        self.received += data.len() as u64;
        if !data.is_empty() {
            self.ready.push_back(data);
        }
    }
}

const INITIAL_WINDOW: u64 = 65_536;
const MAX_WINDOW: u64 = 4 << 20;
const MAX_AHEAD: usize = 8 << 20;
/// Bytes that wait before `write` takes no more.
const HIGH_WATER: usize = 256 << 10;
const BLOCKED_REPEAT: Duration = Duration::from_millis(500);
