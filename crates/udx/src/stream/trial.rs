//! How a sender goes on whose peer cannot be asked for a limit that was lost (UDX D14).
//!
//! Dart 3.0.0 says each limit once, understands no STREAM_DATA_BLOCKED, and says the next limit only when it has more to consume
//! than the one before allowed. So a lost WINDOW_UPDATE would hold the stream for ever. What all of Dart 3 takes, and does itself after
//! 30 s, is data beyond the limit: first a little, then twice as much with each question that stays without an answer.

use core::time::Duration;

use gapless_recovery::Instant;

/// Questions (STREAM_DATA_BLOCKED) that stay without an answer before anything goes beyond the limit: who answers them needs no
/// trial. The fourth is 1.25 s after the first (D13).
const ASKED_BEFORE: u32 = 3;

/// The first trial, in bytes: about a packet, as Dart does it itself.
const FIRST: u64 = 1200;

/// The most that a series of trials adds, in bytes: Dart's largest window (UDX 10.1).
const MOST: u64 = 1 << 22;

/// When a trial has gone as far as a lost limit explains, the reader is slow instead: the next one comes after this time, and then
/// after twice as long each time. D14: as Dart waits.
const REST: Duration = Duration::from_secs(30);

/// The state of the trials of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Where the stream began.
    first: u64,
    /// How far the stream may go by its trials; 0 before the first.
    reach: u64,
    /// Questions since the last answer.
    asked: u32,
    /// What the next trial adds.
    step: u64,
    /// What this series of trials has added.
    added: u64,
    rests: u32,
    rest_until: Option<Instant>,
}

impl Trial {
    /// Of a stream that began at `first`.
    pub(crate) fn new(first: u64) -> Self {
        Trial {
            first,
            reach: 0,
            asked: 0,
            step: 0,
            added: 0,
            rests: 0,
            rest_until: None,
        }
    }

    /// How far the stream may go by its trials.
    pub(crate) fn reach(&self) -> u64 {
        self.reach
    }

    /// WINDOW_UPDATE came, which the peer would also say again: it is heard. `grew`: it gave new credit.
    pub(crate) fn on_answer(&mut self, grew: bool) {
        let reach = self.reach;
        if grew {
            *self = Self::new(self.first);
        }
        // What was sent beyond stays sent.
        self.reach = reach;
        self.asked = 0;
    }

    /// STREAM_DATA_BLOCKED goes out at `sent`, of which `is_known` says that the peer has acknowledged all of it; `limit` is the peer's.
    pub(crate) fn on_question(&mut self, now: Instant, sent: u64, is_known: bool, limit: u64) {
        self.asked = self.asked.saturating_add(1);
        let rests = self.rest_until.is_some_and(|until| now < until);
        if self.asked <= ASKED_BEFORE || !is_known || rests {
            return;
        }
        // UDX 10.1: a window is no larger than all that was promised. A reader who takes a whole one in one gulp says a limit that is two
        // above it, and the next one when more than half of that is used.
        let promised = limit.saturating_sub(self.first);
        let enough = promised.min(MOST).saturating_add(FIRST);
        let left = enough.saturating_sub(self.added);
        if left == 0 {
            self.added = 0;
            self.step = 0;
            let doubled = 1_u32.checked_shl(self.rests).unwrap_or(u32::MAX);
            self.rest_until = Some(now.saturating_add(REST.saturating_mul(doubled)));
            self.rests = self.rests.saturating_add(1);
            return;
        }
        self.step = self.step.saturating_mul(2).max(FIRST);
        let step = self.step.min(left);
        self.added = self.added.saturating_add(step);
        self.reach = sent.saturating_add(step);
    }
}
