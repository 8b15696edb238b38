//! The acknowledgment field, selective acknowledgements and the peer's window (RFC 9293 3.10.7.4 "fifth", RFC 2018).

use super::judge::Numbers;
use super::{Connection, Record, State};
use crate::wire::{SackBlock, Segment};
use core::ops::RangeInclusive;
use core::time::Duration;
use gapless_recovery::{Echo, Instant};
use gapless_seq::{mark, sabotage};

/// Ranges that one segment can acknowledge: the cumulative one and four blocks.
const MOST_RANGES: usize = crate::wire::MAX_SACK_BLOCKS + 1;

impl Connection {
    /// Takes an acknowledgment that was found acceptable: at most SND.MAX.
    pub(super) fn acknowledge(&mut self, now: Instant, acknowledgment: u64, segment: &Segment<'_>) {
        let before = self.out.una;
        let una = acknowledgment.min(self.out.max).max(before);
        self.out.una = una;
        // The edge stays where it was told to be until a segment tells another (RFC 9293 3.8.6): of those whose acknowledgment counts
        // and whose window does not, too.
        self.out.window = self.out.window.saturating_sub(una.saturating_sub(before));
        self.tell_recovery(now, before, una, segment);
        self.watch_for_reneging(now);
        if una > before {
            self.out.buffer.acknowledge(una.min(self.out.buffer.end()));
            self.on_progress(now);
            if self.fin().is_some_and(|fin| fin < una) {
                self.on_fin_acknowledged(now);
            }
        } else if self.out.window == 0 {
            // RFC 9293 3.8.6.1: who answers probes of a closed window lives. The time counts from the next one.
            self.timers.user = None;
        }
    }

    fn tell_recovery(&mut self, now: Instant, before: u64, una: u64, segment: &Segment<'_>) {
        let stamps = segment.header.options.timestamps;
        let round_trip = self
            .inward
            .stamps
            .as_ref()
            .zip(stamps)
            .filter(|_| una > before)
            .and_then(|(ours, stamps)| ours.round_trip(now, stamps))
            .filter(|round_trip| self.is_clear(now, *round_trip));
        let mut ranges = Ranges::new();
        if una > 0 {
            ranges.push(0..=una.saturating_sub(1));
        }
        for block in segment.header.options.sack.iter() {
            if let Some(range) = self.sacked(block) {
                ranges.push(range);
            }
        }
        let next = self.next();
        let largest = self.measured(&ranges, una).min(next.saturating_sub(1));
        let taken = self.recovery.on_echoing_ack(
            now,
            largest,
            Duration::ZERO,
            ranges.descending(next),
            self.echo(now, before, una, segment),
            |_: Record| {},
        );
        gapless_seq::invariant!(
            taken.is_ok(),
            return self.abort(now),
            "acknowledged {una}, next {next}"
        );
        if una > before {
            self.recovery
                .send_rest(|record| record.start < una && una < record.end);
        }
        if let Some(round_trip) = round_trip {
            self.recovery.on_echo(now, round_trip);
        }
        if let Some(range) = self.reported_twice(segment) {
            self.recovery.on_reported_twice(now, range);
        }
    }

    /// RFC 3522 3.2: the peer echoes what filled the place that it waited for first (RFC 7323 4.3), and of what came behind that it tells
    /// nothing.
    fn echo(&self, now: Instant, before: u64, una: u64, segment: &Segment<'_>) -> Option<Echo> {
        let ours = self.inward.stamps.as_ref().filter(|_| una > before)?;
        Some(Echo {
            number: before,
            before: ours.left_before(now, segment.header.options.timestamps?)?,
        })
    }

    /// RFC 2883 section 4: the first block tells what arrived twice, if it lies below the acknowledgment or within the second one.
    fn reported_twice(&self, segment: &Segment<'_>) -> Option<RangeInclusive<u64>> {
        let header = &segment.header;
        let mut blocks = header.options.sack.iter();
        let first = self.positions(blocks.next()?)?;
        let second = blocks.next().and_then(|block| self.positions(block));
        let acknowledgment = header.acknowledgment.expand(self.out.una);
        let is_below = *first.end() < acknowledgment;
        let is_within = second
            .is_some_and(|second| second.contains(first.start()) && second.contains(first.end()));
        (is_below || is_within).then_some(first)
    }

    /// Of a block that names what was sent, be it acknowledged or not.
    fn positions(&self, block: SackBlock) -> Option<RangeInclusive<u64>> {
        let left = block.left.expand(self.out.una);
        let right = block.right.expand(left);
        let oldest = self.out.una.saturating_sub(self.out.max_window);
        let is_sane = self.inward.has_sack
            && oldest <= left
            && self.out.first < left
            && left < right
            && right <= sabotage!(UnsentBlockBelieved, u64::MAX, self.next());
        is_sane.then(|| left..=right.saturating_sub(1))
    }

    /// RFC 5681 section 2: all five conditions (C20). Whether something is outstanding, recovery knows.
    pub(super) fn is_duplicate(&self, acknowledgment: u64, segment: &Segment<'_>) -> bool {
        let header = &segment.header;
        acknowledgment == self.out.una
            && self.is_outstanding()
            && segment.length() == 0
            // The answer to a probe of a closed window says the same as the one before, and tells of no loss.
            && self.out.window > 0
            && self.scaled(header.window) == self.out.window
    }

    fn scaled(&self, field: u16) -> u64 {
        u64::from(field).wrapping_shl(u32::from(self.out.shift))
    }

    /// Whether an echo tells a round trip: of what was sent after the last repetition. An older one comes from the first of several copies,
    /// whose acknowledgment may have been lost: then it counts from a segment that was answered long ago.
    fn is_clear(&self, now: Instant, round_trip: Duration) -> bool {
        let sent = now.saturating_sub(round_trip);
        self.out.repeated_at.is_none_or(|at| sent >= at)
    }

    /// The number whose acknowledgment tells a round trip time. A hole that was filled tells none: what lay behind it had to wait, and was
    /// acknowledged with it (Karn). A block tells one, and so does an acknowledgment beyond everything that was repeated.
    fn measured(&self, ranges: &Ranges, una: u64) -> u64 {
        let largest = ranges.largest();
        let has_block = largest >= una;
        if (has_block && largest >= self.out.rewound) || una > self.out.repeated {
            largest
        } else {
            0
        }
    }

    /// The positions of a block, if it names what was sent and is not acknowledged (RFC 2018 section 5; U23).
    fn sacked(&self, block: SackBlock) -> Option<RangeInclusive<u64>> {
        let positions = self.positions(block)?;
        (self.out.una < *positions.start()).then_some(positions)
    }

    /// Something new is acknowledged.
    fn on_progress(&mut self, now: Instant) {
        self.out.owes_probe = false;
        self.timers.persist = None;
        self.rearm_user_timer(now);
    }

    pub(super) fn rearm_user_timer(&mut self, now: Instant) {
        self.timers.user = self
            .config
            .user_timeout
            .end(now)
            .filter(|_| self.is_outstanding());
    }

    fn on_fin_acknowledged(&mut self, now: Instant) {
        let next = self.state.after_fin_acknowledged();
        if next == State::Closed && self.state == State::LastAck {
            self.end(now, super::CloseReason::Finished);
        } else {
            self.enter(now, next);
        }
    }

    /// RFC 9293 3.10.7.4: "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)". A window that shrinks is believed: what was
    /// sent beyond it stays outstanding (A3; RFC 9293 3.8.6, SHLD-14).
    pub(super) fn update_window(&mut self, numbers: Numbers, segment: &Segment<'_>) {
        let Some(acknowledgment) = numbers.acknowledgment else {
            return;
        };
        let by = (numbers.sequence, acknowledgment);
        let (sequence, acknowledged) = self.out.updated_by;
        let is_newer =
            sequence < by.0 || (sequence == by.0 && acknowledged <= by.1) || acknowledged < by.1;
        if is_newer && acknowledgment >= self.out.una {
            self.out.window = self.scaled(segment.header.window);
            self.out.max_window = self.out.max_window.max(self.out.window);
            mark!(
                WindowShrank,
                self.out.una.saturating_add(self.out.window) < self.next()
            );
            self.out.updated_by = by;
        }
    }
}

/// A few ranges, the highest first, as recovery wants them.
#[derive(Clone)]
struct Ranges {
    ranges: [Option<(u64, u64)>; MOST_RANGES],
}

impl Ranges {
    const fn new() -> Self {
        Self {
            ranges: [None; MOST_RANGES],
        }
    }

    fn push(&mut self, range: RangeInclusive<u64>) {
        let mut carried = Some(range.into_inner());
        for place in &mut self.ranges {
            let is_higher = match (&*place, &carried) {
                (Some((_, held)), Some((_, end))) => end > held,
                _ => place.is_none(),
            };
            if is_higher {
                core::mem::swap(place, &mut carried);
            }
        }
    }

    fn largest(&self) -> u64 {
        let [first, ..] = self.ranges;
        first.map_or(0, |(_, end)| end)
    }

    /// Below `next` only; a peer that threw away what it told to hold may acknowledge beyond it.
    fn descending(&self, next: u64) -> impl Iterator<Item = RangeInclusive<u64>> + Clone {
        let last = next.saturating_sub(1);
        self.ranges
            .into_iter()
            .flatten()
            .map(move |(start, end)| start.min(last)..=end.min(last))
    }
}
