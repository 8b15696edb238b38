//! What a stream promises its sender: the limit, how it grows, and how often it is said.

use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

use super::INITIAL_LIMIT;

/// The largest window, in bytes: the wire carries limits modulo 2^32, so one must stay less than 2^31
/// above what the sender holds. UDX 10.1.
const MAX_WINDOW: u64 = 1 << 30;

/// A window grows when a quarter of it was consumed within this many round trips, so it comes to hold what the path carries in
/// eight at least. A packet that is lost twice makes the reader wait for two and a half, and what it then reads is heard of by the
/// sender half a round trip later: with less a fast path that loses would stand still each time.
const GROWTH_ROUND_TRIPS: u32 = 2;

/// The shortest round trip the growth rule reckons with. RFC 9002 6.1.2 (timer granularity): on a
/// loopback a reader is woken later than two round trips.
const MIN_ROUND_TRIP: Duration = Duration::from_millis(1);

/// How long no new data comes before a limit that the sender may need is said again. UDX V5.
const RESTATE_AFTER: Duration = Duration::from_millis(250);

/// The same for senders that never ask. UDX2 H14.
const INSIST_AFTER: Duration = Duration::from_millis(100);

/// The longest pause between two such repetitions. UDX2 H14.
const INSIST_EVERY: Duration = Duration::from_secs(1);

/// How often it is said again in one silence, the time doubled each time: 32 s in all. Then a Dart sender,
/// the only one that does not ask by STREAM_DATA_BLOCKED, has tried the limit by itself. UDX 10.1.
const MAX_RESTATEMENTS: u8 = 7;

/// A sender with less credit than this may be unable to send a whole frame, in bytes: above the
/// largest payload of any peer (1472, UDX 15).
const STUCK_BELOW: u64 = 2048;

/// How many former limits are remembered at which a sender may still stand.
const FORMER: usize = 4;

/// How far a stream's window goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WindowConfig {
    /// The window from the stream's first data on, in bytes. At least [`INITIAL_LIMIT`], which the
    /// sender assumes in any case.
    pub(crate) initial: u64,
    /// The largest window, in bytes; at most 1 GiB.
    pub(crate) max: u64,
}

impl Default for WindowConfig {
    /// 1 MiB, growing to 16 MiB. UDX 18.4.
    fn default() -> Self {
        Self {
            initial: 1 << 20,
            max: 1 << 24,
        }
    }
}

/// The limit that a stream's sender may reach, and the window it is reckoned from.
///
/// The limit never falls (R4) and is never more than `window` above what was consumed (R5). The
/// window starts at 64 KiB, which costs nothing; whatever it grows beyond comes out of a budget that the
/// streams of a connection share, and goes back with [`granted`](Self::granted).
#[derive(Clone, Debug)]
pub(crate) struct ReceiveWindow {
    limit: u64,
    window: u64,
    initial: u64,
    max: u64,
    due: bool,
    /// The sender will send no more: nothing is promised any longer.
    closed: bool,
    /// When the limit was last raised.
    raised: Option<Instant>,
    /// One past the highest byte received.
    highest: u64,
    /// The lowest former limits not below `highest`, ascending, then zeros: the sender has
    /// proved to hold a later one only by going beyond.
    former: [u64; FORMER],
    restate_at: Option<Instant>,
    restated: u8,
    /// The sender never asks (UDX2 H14).
    insistent: bool,
}

impl ReceiveWindow {
    /// A window of 64 KiB, as the sender assumes.
    pub(crate) fn new(config: &WindowConfig) -> Self {
        let max = config.max.clamp(INITIAL_LIMIT, MAX_WINDOW);
        Self {
            limit: INITIAL_LIMIT,
            window: INITIAL_LIMIT,
            initial: config.initial.clamp(INITIAL_LIMIT, max),
            max,
            due: false,
            closed: false,
            raised: None,
            highest: 0,
            former: [0; FORMER],
            restate_at: None,
            restated: 0,
            insistent: false,
        }
    }

    /// A window of 64 KiB of a stream whose bytes below `position` were received and consumed.
    pub(crate) fn at(config: &WindowConfig, position: u64) -> Self {
        Self {
            limit: position.saturating_add(INITIAL_LIMIT),
            highest: position,
            ..Self::new(config)
        }
    }

    /// Takes the sender as it is. `insistent`: the limit is said again until the sender proves to know it, soon and without
    /// end, because it never asks (UDX2 H14). `max`: what the window grows to, in bytes (UDX2 15.4); what was promised before
    /// stays (R4).
    pub(crate) fn suit(&mut self, insistent: bool, max: u64) {
        self.insistent = insistent;
        self.max = max.clamp(INITIAL_LIMIT, MAX_WINDOW);
    }

    /// The highest position that was promised.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// How far beyond the consumed bytes the limit goes when it is next raised, in bytes.
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// How much of the budget the window holds, in bytes. The connection takes it back when it forgets
    /// the stream.
    pub(crate) fn granted(&self) -> u64 {
        self.window.saturating_sub(INITIAL_LIMIT)
    }

    /// Raises the window to the configured first one, as far as the budget goes; does so once.
    /// For the stream's first data, or earlier where the peer keeps limits of streams it has not
    /// yet used. Returns whether an update is due.
    pub(crate) fn open(&mut self, now: Instant, consumed: u64, budget: &mut u64) -> bool {
        if self.raised.is_none() && !self.closed {
            let wanted = self.initial.saturating_sub(self.window);
            self.grow(wanted, budget);
            self.raise(now, consumed);
            self.raised = Some(now);
        }
        self.due
    }

    /// Bytes were consumed up to `consumed`. Raises the limit when a quarter of the window is used up: if one update is lost,
    /// the next one comes while the sender still has half. Doubles the window first if the reader keeps up. Returns whether an update is due.
    pub(crate) fn on_consumed(
        &mut self,
        now: Instant,
        rtt: Duration,
        consumed: u64,
        budget: &mut u64,
    ) -> bool {
        let left = self.limit.saturating_sub(consumed);
        // UDX 10.1
        if !self.closed && left < self.window.saturating_sub(self.window >> 2) {
            let quick = rtt.max(MIN_ROUND_TRIP).saturating_mul(GROWTH_ROUND_TRIPS);
            let keeps_up = self
                .raised
                .is_none_or(|raised| now.saturating_duration_since(raised) <= quick);
            if keeps_up {
                self.grow(self.window, budget);
            }
            self.raise(now, consumed);
        }
        self.due
    }

    /// New bytes came, the highest of all below `highest`.
    pub(crate) fn on_data(&mut self, now: Instant, highest: u64) {
        if highest > self.highest {
            self.highest = highest;
            self.drop_former_below(highest);
        }
        self.arm(now);
    }

    /// The sender has said all: credit is no longer of use to it.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.due = false;
        self.restate_at = None;
    }

    /// The sender asks (STREAM_DATA_BLOCKED), even one whose stream is closed here: an update with the
    /// limit as it stands is due. D13, V5.
    pub(crate) fn restate(&mut self) {
        self.due |= !sabotage!(WindowNotToldOnRequest);
    }

    /// Whether an update is due.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// The limit to send now, if an update is due.
    pub(crate) fn take_update(&mut self) -> Option<u64> {
        let limit = sabotage!(EdgeFromFreeSpace, self.edge_from_free_space(), self.limit);
        core::mem::take(&mut self.due).then_some(limit)
    }

    /// What was received since the limit was raised is taken for space that is no longer free.
    #[cfg(feature = "sabotage")]
    fn edge_from_free_space(&self) -> u64 {
        let since_raised = self.limit.saturating_sub(self.window);
        self.limit
            .saturating_sub(self.highest.saturating_sub(since_raised))
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.restate_at
    }

    /// V5: an update may have been lost, so it is due again. Early or late calls do no harm. Returns
    /// whether an update is due.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> bool {
        if self.restate_at.is_some_and(|at| at <= now) {
            mark!(WindowInsisted, self.insistent);
            mark!(WindowSaidAgain, !self.insistent);
            self.due = true;
            self.restated = self.restated.saturating_add(1);
            let doubled = 1_u32
                .checked_shl(u32::from(self.restated))
                .unwrap_or(u32::MAX);
            mark!(
                WindowSaidEnough,
                !self.insistent && self.restated >= MAX_RESTATEMENTS
            );
            let pause = self.restate_after().saturating_mul(doubled);
            self.restate_at = if self.insistent {
                Some(now.saturating_add(pause.min(INSIST_EVERY)))
            } else {
                (self.restated < MAX_RESTATEMENTS).then(|| now.saturating_add(pause))
            };
        }
        self.due
    }

    fn grow(&mut self, wanted: u64, budget: &mut u64) {
        let room = self.max.saturating_sub(self.window);
        let more = wanted.min(room).min(*budget);
        mark!(WindowGrown, more > 0);
        mark!(WindowBudgetSpent, more < wanted.min(room));
        self.window = self.window.saturating_add(more);
        *budget = budget.saturating_sub(more);
    }

    fn raise(&mut self, now: Instant, consumed: u64) {
        let limit = consumed.saturating_add(self.window);
        // R4
        if limit <= self.limit {
            return;
        }
        self.remember(self.limit);
        self.limit = limit;
        self.raised = Some(now);
        self.due = true;
        self.arm(now);
    }

    /// Keeps the lowest ones: there a sender stands first.
    fn remember(&mut self, former: u64) {
        // UDX2 9.1: what went beyond its limit stands there none the less.
        if former.saturating_add(self.overshoot()) < self.highest {
            return;
        }
        if let Some(free) = self.former.iter_mut().find(|slot| **slot == 0) {
            *free = former;
        }
    }

    fn drop_former_below(&mut self, highest: u64) {
        let proved = self
            .former
            .iter()
            .take_while(|limit| limit.saturating_add(self.overshoot()) < highest)
            .count();
        self.former.rotate_left(proved.min(FORMER));
        for free in self.former.iter_mut().rev().take(proved) {
            *free = 0;
        }
    }

    fn arm(&mut self, now: Instant) {
        self.restated = 0;
        self.restate_at = (self.may_be_stuck() && !sabotage!(WindowSaidOnce))
            .then(|| now.saturating_add(self.restate_after()));
    }

    fn restate_after(&self) -> Duration {
        if self.insistent {
            INSIST_AFTER
        } else {
            RESTATE_AFTER
        }
    }

    /// How far beyond its limit the sender may go.
    fn overshoot(&self) -> u64 {
        // UDX2 9.1: Go looks one byte ahead and then sends a whole packet.
        if self.insistent { STUCK_BELOW } else { 0 }
    }

    /// Whether the sender may lack credit, or may not have heard of what it has.
    fn may_be_stuck(&self) -> bool {
        let [oldest, ..] = self.former;
        let behind = oldest != 0 && oldest.saturating_sub(self.highest) < STUCK_BELOW;
        let left = self.limit.saturating_sub(self.highest);
        let low = self.limit > INITIAL_LIMIT && left < self.window >> 1;
        !self.closed && (behind || low)
    }
}
