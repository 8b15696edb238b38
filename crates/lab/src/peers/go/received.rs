//! What Go acknowledges, and how.

use crate::peers::wire::Frame;
use gapless_udx::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// Version 2 (UDX2 4.1): a set of numbers, told with every acknowledgement.
#[derive(Default)]
pub(super) struct Numbers(BTreeSet<u32>);

impl Numbers {
    /// The answer to a packet of this number. Number 0 is never in the set: its answer is always {0, 1} (H2).
    pub(super) fn acknowledge(&mut self, number: u32) -> Frame {
        if number == 0 {
            return Frame::ack_of(0, 0);
        }
        self.0.insert(number);
        let largest = self.0.last().copied().unwrap_or(number);
        let (first, extra) = ranges(largest, u32::MAX, |number| self.0.contains(&number));
        if self.0.len() > 500 {
            // H16: what comes later than this is acknowledged no more.
            self.0 = self.0.split_off(&largest.saturating_sub(500));
        }
        Frame::Ack {
            largest,
            delay: 0,
            first,
            extra,
        }
    }
}

/// Version 3 (UDX 4.2, 4.3): the 512 numbers up to the largest, and when to tell of them.
#[derive(Default)]
pub(super) struct History {
    largest: Option<u32>,
    largest_at: Option<Instant>,
    numbers: BTreeSet<u32>,
    pending: u32,
    /// When to tell, and the IDs of the packet that asked for it, swapped.
    timer: Option<(Instant, (u32, u32))>,
}

impl History {
    pub(super) fn timer(&self) -> Option<(Instant, (u32, u32))> {
        self.timer
    }

    /// Notes an arrival. True if it has to be acknowledged at once: else that is due `delay` later at the latest.
    pub(super) fn note(
        &mut self,
        now: Instant,
        number: u32,
        is_edge: bool,
        answer_to: (u32, u32),
        delay: Duration,
    ) -> bool {
        let is_new_largest = self.largest.is_none_or(|largest| number > largest);
        let out_of_order = self.add(number);
        if is_new_largest {
            self.largest_at = Some(now);
        }
        self.pending += 1;
        if out_of_order || is_edge || self.pending >= THRESHOLD {
            return true;
        }
        self.timer.get_or_insert((now + delay, answer_to));
        false
    }

    pub(super) fn take(&mut self, now: Instant) -> Frame {
        self.pending = 0;
        self.timer = None;
        let largest = self.largest.unwrap_or(0);
        let waited = self.largest_at.map_or(Duration::ZERO, |at| now - at);
        let (first, extra) = ranges(largest, HISTORY, |number| self.numbers.contains(&number));
        Frame::Ack {
            largest,
            delay: u16::try_from(waited.as_millis()).unwrap_or(u16::MAX),
            first,
            extra,
        }
    }

    pub(super) fn stop(&mut self) {
        self.pending = 0;
        self.timer = None;
    }

    /// True if it leaves a gap, fills one, or comes too late.
    fn add(&mut self, number: u32) -> bool {
        let before = self.largest;
        if before.is_none_or(|largest| number > largest) {
            self.largest = Some(number);
            self.numbers.insert(number);
            let oldest = number.saturating_sub(HISTORY - 1);
            self.numbers = self.numbers.split_off(&oldest);
            return before.is_some_and(|largest| number > largest + 1);
        }
        let is_too_late = before.is_some_and(|largest| largest - number >= HISTORY);
        is_too_late || self.numbers.insert(number)
    }
}

/// The run down from `largest`, then up to five pairs of gap and run, over at most `depth` numbers. A gap above 255 ends it, and
/// so does one with nothing below.
fn ranges(largest: u32, depth: u32, has: impl Fn(u32) -> bool) -> (u32, Vec<(u8, u32)>) {
    let lowest = i64::from(largest) - i64::from(depth) + 1;
    let mut cursor = i64::from(largest);
    let has = |at: i64| u32::try_from(at).is_ok_and(&has);
    let mut count = |want: bool, most: u32| {
        let from = cursor;
        while cursor >= lowest.max(0) && has(cursor) == want && from - cursor < i64::from(most) {
            cursor -= 1;
        }
        (from - cursor) as u32
    };
    let first = count(true, u32::MAX);
    let mut extra = Vec::new();
    while extra.len() < 5 {
        let gap = count(false, 255);
        let length = count(true, u32::MAX);
        if length == 0 {
            break;
        }
        extra.push((gap as u8, length));
    }
    (first, extra)
}

/// UDX 4.3.
const HISTORY: u32 = 512;
/// UDX 4.2: the second one pending.
const THRESHOLD: u32 = 2;
