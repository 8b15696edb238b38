//! What the JS receiver acknowledges, and when (UDX 4.2, 4.3). Go's of version 3 is the same.

use crate::peers::window::from_millis;
use crate::peers::wire::Frame;
use gapless_udx::Instant;
use std::collections::BTreeSet;

/// Numbers received, and what is owed about them.
pub(super) struct Acks {
    /// Those of the last 512 up to the largest.
    history: BTreeSet<u32>,
    largest_at: Instant,
    pending: u32,
    /// When the delayed ACK leaves, and for which stream IDs.
    due: Option<(Instant, (u32, u32))>,
}

impl Acks {
    pub(super) fn new() -> Self {
        Self {
            history: BTreeSet::new(),
            largest_at: Instant::ZERO,
            pending: 0,
            due: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.map(|(at, _)| at)
    }

    /// Notes a number. `Some` is an ACK that leaves now, with these IDs.
    pub(super) fn on_packet(
        &mut self,
        now: Instant,
        number: u32,
        is_urgent: bool,
        ids: (u32, u32),
        smoothed_rtt: f64,
    ) -> Option<(Frame, (u32, u32))> {
        let is_out_of_order = self.note(now, number);
        self.pending += 1;
        if is_out_of_order || is_urgent || self.pending >= 2 {
            return Some((self.take(now), ids));
        }
        let delay = from_millis((smoothed_rtt / 4.0).clamp(1.0, 25.0));
        self.due.get_or_insert((now + delay, ids));
        None
    }

    pub(super) fn on_time(&mut self, now: Instant) -> Option<(Frame, (u32, u32))> {
        let (_, ids) = self.due.filter(|(at, _)| *at <= now)?;
        Some((self.take(now), ids))
    }

    /// True if the number leaves a gap, fills one, or is too late to be remembered. A duplicate does none of it.
    fn note(&mut self, now: Instant, number: u32) -> bool {
        let Some(&largest) = self.history.last() else {
            self.history.insert(number);
            self.largest_at = now;
            return false;
        };
        if number > largest {
            self.history.insert(number);
            self.largest_at = now;
            self.history = self.history.split_off(&number.saturating_sub(HISTORY - 1));
            return number > largest + 1;
        }
        largest - number >= HISTORY || self.history.insert(number)
    }

    /// The run at the largest, and five more; a gap above 255 or the end of the history ends it.
    fn take(&mut self, now: Instant) -> Frame {
        self.pending = 0;
        self.due = None;
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for &number in self.history.iter().rev() {
            match runs.last_mut() {
                Some((top, length)) if *top - *length == number => *length += 1,
                _ => runs.push((number, 1)),
            }
        }
        let (largest, first) = runs[0];
        let mut extra = Vec::new();
        let mut bottom = largest - (first - 1);
        for &(top, length) in runs[1..].iter().take(MAX_RANGES) {
            let Ok(gap) = u8::try_from(bottom - 1 - top) else {
                break;
            };
            extra.push((gap, length));
            bottom = top - (length - 1);
        }
        let waited = now.saturating_duration_since(self.largest_at).as_millis();
        Frame::Ack {
            largest,
            delay: u16::try_from(waited).unwrap_or(u16::MAX),
            first,
            extra,
        }
    }
}

const HISTORY: u32 = 512;
const MAX_RANGES: usize = 5;
