//! One stream of Dart: what waits to be sent, and what came (UDX2 6, 9; UDX 8 to 10).

use super::release::{Release, Threshold};
use crate::peers::values::nearest;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(super) struct Stream {
    release: Release,
    pub(super) local: u32,
    pub(super) remote: u32,
    /// Opened here.
    pub(super) is_own: bool,
    /// Its space of numbers.
    pub(super) space: usize,
    /// Packets still find it.
    pub(super) is_registered: bool,
    pub(super) reset: Option<u32>,

    queue: VecDeque<u8>,
    sent: u64,
    wants_fin: bool,
    pub(super) write_closed: bool,
    /// Version 2: the most that may be in flight. Version 3: the position that may be reached.
    limit: u64,
    /// Since when the next fragment waits, and when it looks again.
    waits_since: Option<Instant>,
    looks_at: Option<Instant>,
    /// The window let it go, and it waits for the pacer only.
    is_let_go: bool,
    /// When the closing FIN is due, and when the stream is forgotten.
    pub(super) closes_at: Option<Instant>,
    pub(super) forgets_at: Option<Instant>,

    ready: VecDeque<u8>,
    /// Version 3: early chunks by where they start.
    ahead: BTreeMap<u64, Vec<u8>>,
    received: u64,
    consumed: u64,
    final_size: Option<u64>,
    pub(super) remote_closed: bool,
    window: u64,
    advertised: u64,
    /// `received` at the last update (version 2).
    updated_at: u64,
}

/// What the next fragment does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    Open,
    Wait,
}

impl Stream {
    pub(super) fn new(
        release: Release,
        local: u32,
        remote: u32,
        is_own: bool,
        space: usize,
    ) -> Self {
        Self {
            release,
            local,
            remote,
            is_own,
            space,
            is_registered: true,
            reset: None,
            queue: VecDeque::new(),
            sent: 0,
            wants_fin: false,
            write_closed: false,
            limit: INITIAL_WINDOW,
            waits_since: None,
            looks_at: None,
            is_let_go: false,
            closes_at: None,
            forgets_at: None,
            ready: VecDeque::new(),
            ahead: BTreeMap::new(),
            received: 0,
            consumed: 0,
            final_size: None,
            remote_closed: false,
            window: INITIAL_WINDOW,
            advertised: INITIAL_WINDOW,
            updated_at: 0,
        }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self
            .waits_since
            .filter(|_| self.has_queued() && !self.is_let_go);
        let gives_up = waits.map(|since| since + PATIENCE);
        let looks = self.has_queued().then_some(self.looks_at).flatten();
        [gives_up, looks, self.closes_at, self.forgets_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn write(&mut self, data: &[u8]) -> usize {
        if self.wants_fin || self.write_closed || !self.is_registered {
            return 0;
        }
        let taken = data.len().min(QUEUE.saturating_sub(self.queue.len()));
        self.queue.extend(&data[..taken]);
        taken
    }

    pub(super) fn want_fin(&mut self) {
        self.wants_fin = true;
    }

    /// True once: the data are all sent, and the FIN is next.
    pub(super) fn takes_fin(&mut self) -> bool {
        let now = self.wants_fin && self.queue.is_empty() && !self.write_closed;
        self.write_closed |= now;
        now
    }

    /// UDX2 9.1, UDX 10.1: looks every 50 ms whether it may send, and after 30 s sends one fragment anyway.
    pub(super) fn gate(
        &mut self,
        now: Instant,
        is_connected: bool,
        has_window: bool,
        in_flight: u64,
    ) -> Gate {
        let since = *self.waits_since.get_or_insert(now);
        if self.is_let_go && self.looks_at.is_some_and(|at| now < at) {
            return Gate::Wait;
        }
        if self.is_let_go || since + PATIENCE <= now {
            return Gate::Open;
        }
        if self.looks_at.is_some_and(|at| now < at) {
            return Gate::Wait;
        }
        let has_credit = if self.release.is_version_3() {
            let next = self.queue.len().min(self.release.fragment()) as u64;
            self.sent + next <= self.limit
        } else {
            in_flight < self.limit
        };
        if is_connected && has_window && has_credit {
            return Gate::Open;
        }
        // Before the first answer it does not look: the answer wakes it.
        self.looks_at = is_connected.then(|| now + POLL);
        Gate::Wait
    }

    /// The pacer lets the fragment go at `at`.
    pub(super) fn pace(&mut self, at: Instant) {
        self.looks_at = Some(at);
        self.is_let_go = true;
    }

    /// The first answer came.
    pub(super) fn wake(&mut self) {
        self.looks_at = None;
    }

    /// The next fragment, and its offset.
    pub(super) fn fragment(&mut self) -> (u64, Vec<u8>) {
        let len = self.queue.len().min(self.release.fragment());
        let data: Vec<u8> = self.queue.drain(..len).collect();
        let offset = self.sent;
        self.sent += data.len() as u64;
        (self.waits_since, self.looks_at) = (None, None);
        self.is_let_go = false;
        (offset, data)
    }

    pub(super) fn drop_queue(&mut self) {
        self.queue.clear();
    }

    /// UDX2 9.1: the last value, which may be smaller. UDX 10.1: the nearest position, if it is larger.
    pub(super) fn on_window_update(&mut self, value: u32) {
        self.limit = if self.release.is_version_3() {
            nearest(value, self.limit).max(self.limit)
        } else {
            u64::from(value)
        };
    }

    /// Data of version 2, whose place is the order of numbers. Gives the value of a window update that is due.
    pub(super) fn on_data_in_order(&mut self, data: &[u8]) -> Option<u32> {
        self.ready.extend(data);
        self.received += data.len() as u64;
        let threshold = match self.release.threshold() {
            Threshold::Fixed => 16_384,
            // U14: a quarter of what it last said, which is more with every update.
            Threshold::Grows => (INITIAL_WINDOW + self.updated_at) / 4,
        };
        if self.received - self.updated_at <= threshold {
            return None;
        }
        self.updated_at = self.received;
        Some((INITIAL_WINDOW + self.received) as u32)
    }

    pub(super) fn on_fin_in_order(&mut self) {
        self.remote_closed = true;
    }

    /// Data of version 3 (UDX 9): only a chunk that starts exactly where the delivered bytes end goes on. `Err`: too much ahead.
    pub(super) fn on_data_at(&mut self, offset: u64, data: &[u8]) -> Result<(), ()> {
        let end = offset + data.len() as u64;
        if data.is_empty() || end <= self.received || self.remote_closed {
            return Ok(());
        }
        if offset > self.received {
            let held: usize = self.ahead.values().map(Vec::len).sum();
            if held + data.len() > MAX_AHEAD {
                return Err(());
            }
            self.ahead.entry(offset).or_insert_with(|| data.to_vec());
            return Ok(());
        }
        let known = (self.received - offset) as usize;
        self.deliver(&data[known..]);
        while let Some(next) = self.ahead.remove(&self.received) {
            self.deliver(&next);
        }
        self.end_if_whole();
        Ok(())
    }

    pub(super) fn on_fin_at(&mut self, size: u64) {
        self.final_size = Some(size);
        self.end_if_whole();
    }

    /// Bytes for the application, and the window update of version 3 that this makes due.
    pub(super) fn read(&mut self, max: usize) -> (Vec<u8>, Option<u32>) {
        let len = max.min(self.ready.len());
        let data: Vec<u8> = self.ready.drain(..len).collect();
        self.consumed += data.len() as u64;
        if !self.release.is_version_3() || data.is_empty() {
            return (data, None);
        }
        if self.advertised.saturating_sub(self.consumed) >= self.window / 2 {
            return (data, None);
        }
        self.window = (self.window * 2).min(MAX_WINDOW);
        (data, Some(self.advertise()))
    }

    /// The current limit, as it goes on the wire.
    pub(super) fn advertise(&mut self) -> u32 {
        self.advertised = self.advertised.max(self.consumed + self.window);
        self.advertised as u32
    }

    fn deliver(&mut self, data: &[u8]) {
        self.ready.extend(data);
        self.received += data.len() as u64;
    }

    fn end_if_whole(&mut self) {
        if self.final_size.is_some_and(|size| self.received >= size) {
            self.remote_closed = true;
        }
    }
}

const INITIAL_WINDOW: u64 = 65_536;
const MAX_WINDOW: u64 = 4 << 20;
const MAX_AHEAD: usize = 8 << 20;
/// Bytes that `write` takes ahead of the wire: Dart's application waits for each of its writes.
const QUEUE: usize = 64 << 10;
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);
