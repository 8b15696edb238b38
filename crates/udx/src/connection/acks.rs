//! Which numbers arrived, and when to say so (UDX 4).

use core::ops::RangeInclusive;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{RangeSet, mark, sabotage};

use crate::peer::{MAX_ACK_DELAY, Rules};

/// Ranges of received numbers that are remembered: the 33 which one ACK frame can carry (UDX 4.3,
/// third), and some so that late packets still find their gap. 16 bytes each: more would not fit into the 4 KiB of an idle connection.
const REMEMBERED_RANGES: usize = 41;

/// The least delay of an acknowledgement, UDX 4.2: srtt/4 clamped to 1..25 ms.
const MIN_ACK_DELAY: Duration = Duration::from_millis(1);

/// How many packets are acknowledged together is judged by a quarter of the round trip, too, but down to this. The timer's millisecond
/// is a whole round trip of a short path: measured by it, packets that fill a window of ten come quickly, and the sender is left
/// waiting for a few acknowledgements a round. Below this the machines, not the path, space the packets.
const LEAST_JUDGED_DELAY: Duration = Duration::from_micros(200);

/// A round trip sees so many acknowledgements at least, if it has packets for them.
const LEAST_PER_ROUND: u32 = 8;

/// The receive side's book of numbers.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Acks {
    received: RangeSet<REMEMBERED_RANGES>,
    /// The number after the largest that arrived: what the next one is expected to be.
    next_expected: u64,
    largest_arrived_at: Instant,
    /// Acknowledgeable packets since the last ACK was sent.
    pending: u32,
    /// So many are acknowledged at once, for now.
    threshold: u32,
    /// When the largest one before the pending ones came.
    pending_since: Instant,
    round: Round,
    /// An ACK is due at once.
    immediate: bool,
    /// An ACK is due then, if not sent before.
    deadline: Option<Instant>,
}

/// How many packets a round trip has.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
struct Round {
    since: Instant,
    packets: u32,
    /// Of the one before.
    before: u32,
}

/// Why a numbered packet has to be acknowledged, if it has to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// Together with others, or after a delay.
    Delayed,
    /// SYN, FIN and PING are answered at once (UDX 4.2).
    AtOnce,
}

impl Acks {
    pub(crate) fn new(first_number: u64, now: Instant) -> Self {
        Acks {
            received: RangeSet::new(),
            next_expected: first_number,
            largest_arrived_at: now,
            pending: 0,
            threshold: 1,
            pending_since: now,
            round: Round {
                since: now,
                packets: 0,
                before: 0,
            },
            immediate: false,
            deadline: None,
        }
    }

    /// Where wire numbers are expanded.
    pub(crate) fn next_expected(&self) -> u64 {
        self.next_expected
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.received.contains(number)
    }

    /// A packet arrived and all it carried is stored (V13). Returns whether it is new.
    pub(crate) fn on_received(
        &mut self,
        now: Instant,
        number: u64,
        urgency: Urgency,
        srtt: Option<Duration>,
        rules: &Rules,
    ) -> bool {
        let end = number.saturating_add(1);
        let (inserted, _) = self.received.insert_evicting_lowest(number..end);
        let new = inserted.added > 0;
        // UDX 4.2: a duplicate is not out of order; leaving a gap and filling one is.
        let out_of_order = new && number != self.next_expected;
        if self.pending == 0 {
            self.pending_since = self.largest_arrived_at;
        }
        mark!(DuplicateReceived, !new);
        mark!(OutOfOrderReceived, out_of_order);
        if number >= self.next_expected {
            self.next_expected = end;
            self.largest_arrived_at = now;
        }
        self.pending = self.pending.saturating_add(1);
        let quarter = quarter_of(srtt, LEAST_JUDGED_DELAY);
        self.round.count(now, quarter.saturating_mul(4));
        if out_of_order || urgency == Urgency::AtOnce {
            self.immediate = true;
        } else if self.pending
            >= self
                .threshold
                .max(rules.least_ack_threshold)
                .min(rules.ack_threshold)
        {
            self.immediate = true;
            self.adapt_threshold(now, quarter, rules);
        } else if self.deadline.is_none() && !sabotage!(DelayedAckForgotten) {
            self.deadline = Some(now.saturating_add(ack_delay(srtt)));
        }
        new
    }

    /// The peer asks what arrived, with a packet that has no number of its own (UDX2 D14).
    pub(crate) fn ask(&mut self) {
        if !self.received.is_empty() {
            mark!(AckAsked);
            self.pending = self.pending.max(1);
            self.immediate = true;
        }
    }

    /// A sender whose window is small waits for each acknowledgement, one with a large window is spared them: more packets are
    /// awaited only while they come within a quarter of `delay`, a quarter of the round trip, and fewer as soon as they take more
    /// than half of it. A round trip then sees some 8 to 16 of them, or one for every packet. Packets of a small window that come one right
    /// behind the other look like those of a large one, so they are counted, too: a window of ten that was answered once or twice would go
    /// on coming in one or two bursts, of which each makes the round trip longer by what it takes to send.
    fn adapt_threshold(&mut self, now: Instant, delay: Duration, rules: &Rules) {
        let took = now.saturating_duration_since(self.pending_since);
        let most = (self.round.most() / LEAST_PER_ROUND)
            .max(rules.least_ack_threshold)
            .min(rules.ack_threshold);
        if self.threshold > most {
            mark!(AckThresholdLowered);
            self.threshold = most;
        } else if took.saturating_mul(4) <= delay {
            mark!(AckThresholdRaised, self.threshold < most);
            self.threshold = self.threshold.saturating_mul(2).min(most);
        } else if took.saturating_mul(2) > delay {
            mark!(
                AckThresholdLowered,
                self.threshold > rules.least_ack_threshold
            );
            self.threshold = (self.threshold / 2).max(rules.least_ack_threshold);
        }
    }

    /// Whether an ACK is due now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.immediate || self.deadline.is_some_and(|at| at <= now)
    }

    /// Whether an ACK would tell the peer something it was not told.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending > 0 && !self.received.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.immediate)
    }

    /// What an ACK frame sent now says: the largest number, the milliseconds since it arrived, and
    /// all ranges downwards.
    pub(crate) fn report(
        &self,
        now: Instant,
    ) -> Option<(
        u64,
        u16,
        impl Iterator<Item = RangeInclusive<u64>> + Clone + '_,
    )> {
        let largest = self.received.last()?.end.checked_sub(1)?;
        let delay = now.saturating_duration_since(self.largest_arrived_at);
        let delay_ms = u16::try_from(delay.as_millis()).unwrap_or(u16::MAX);
        let ranges = self.received.iter().rev().map(|range| {
            let start = sabotage!(RangeOffByOne, range.start.saturating_sub(1), range.start);
            start..=range.end.saturating_sub(1)
        });
        Some((largest, delay_ms, ranges))
    }

    pub(crate) fn on_sent(&mut self, now: Instant) {
        if !self.immediate && self.deadline.is_some_and(|at| at <= now) {
            mark!(DelayedAckSent);
            // They came too slowly.
            self.threshold = 1;
        }
        self.pending = 0;
        self.immediate = false;
        self.deadline = None;
    }
}

impl Round {
    fn count(&mut self, now: Instant, length: Duration) {
        if now.saturating_duration_since(self.since) >= length {
            self.before = core::mem::take(&mut self.packets);
            self.since = now;
        }
        self.packets = self.packets.saturating_add(1);
    }

    /// Of the last two, so that one that has just begun is not taken for a small one.
    fn most(&self) -> u32 {
        self.packets.max(self.before)
    }
}

/// UDX 4.2: srtt/4 clamped to 1..25 ms; 25 ms before the first sample.
fn ack_delay(srtt: Option<Duration>) -> Duration {
    quarter_of(srtt, MIN_ACK_DELAY)
}

/// A quarter of the round trip, from `least` to the longest delay, which also stands for an unknown one.
fn quarter_of(srtt: Option<Duration>, least: Duration) -> Duration {
    srtt.map_or(MAX_ACK_DELAY, |srtt| {
        srtt.checked_div(4)
            .unwrap_or(MAX_ACK_DELAY)
            .clamp(least, MAX_ACK_DELAY)
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::peer::Peer;

    const MS: Duration = Duration::from_millis(1);

    fn acks() -> (Acks, &'static Rules) {
        (Acks::new(0, Instant::ZERO), Peer::Go.rules())
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn the_second_pending_packet_is_acknowledged_at_once() {
        let (mut acks, rules) = acks();
        acks.on_received(at(0), 0, Urgency::Delayed, None, rules);
        assert!(!acks.is_due(at(24)));
        assert_eq!(acks.deadline(), Some(at(25)));
        acks.on_received(at(1), 1, Urgency::Delayed, None, rules);
        assert!(acks.is_due(at(1)));
        acks.on_sent(at(1));
        assert!(!acks.is_due(at(1000)) && !acks.is_pending());
    }

    /// Packets that come `every` so often over a round trip of 40 ms; after how many each acknowledgement is due.
    fn acknowledged_after(acks: &mut Acks, every: Duration, rules: &Rules) -> Vec<u32> {
        acknowledged_over(40 * MS, acks, every, rules)
    }

    fn acknowledged_over(
        srtt: Duration,
        acks: &mut Acks,
        every: Duration,
        rules: &Rules,
    ) -> Vec<u32> {
        let start = acks.pending_since.saturating_add(100 * MS);
        let mut counts = Vec::new();
        for count in 0..200_u32 {
            let now = start.saturating_add(every.saturating_mul(count));
            let number = acks.next_expected();
            acks.on_received(now, number, Urgency::Delayed, Some(srtt), rules);
            if acks.is_due(now) {
                counts.push(acks.pending);
                acks.on_sent(now);
            }
        }
        counts
    }

    #[test]
    fn our_own_kind_is_acknowledged_every_ten_packets_once_they_come_quickly() {
        let rules = Peer::Own.rules();
        let mut acks = Acks::new(0, at(0));
        let counts = acknowledged_after(&mut acks, Duration::ZERO, rules);
        // As many as an eighth of what this round trip has brought so far.
        assert!(counts.is_sorted() && counts.starts_with(&[1; 16]));
        assert_eq!(counts.last(), Some(&10), "{counts:?}");
        for rules in [Peer::Go.rules(), Peer::Unknown.rules()] {
            let counts = acknowledged_after(&mut Acks::new(0, at(0)), Duration::ZERO, rules);
            assert!(counts.iter().all(|count| *count == 2));
        }
    }

    #[test]
    fn a_window_of_few_packets_is_acknowledged_packet_by_packet() {
        // Within 10 ms at the latest: a quarter of 40 ms.
        let rules = Peer::Own.rules();
        for (every, expected) in [(7, 1), (3, 1), (2, 2), (1, 5)] {
            let mut acks = Acks::new(0, at(0));
            acknowledged_after(&mut acks, Duration::ZERO, rules);
            let counts = acknowledged_after(&mut acks, every * MS, rules);
            let settled = counts.get(counts.len() / 2..).unwrap_or_default();
            assert!(
                settled.iter().all(|count| *count == expected),
                "{every} ms: {counts:?}"
            );
        }
    }

    #[test]
    fn a_window_of_ten_packets_is_acknowledged_one_by_one_on_a_short_path_too() {
        // 100 Mbit/s over 1 ms: a packet each 120 us. The delay of 1 ms alone would have four of them awaited.
        let rules = Peer::Own.rules();
        let every = Duration::from_micros(120);
        let mut acks = Acks::new(0, at(0));
        let counts = acknowledged_over(MS, &mut acks, every, rules);
        let settled = counts.get(counts.len() / 2..).unwrap_or_default();
        assert!(settled.iter().all(|count| *count == 1), "{counts:?}");
        // Trains on a path of some microseconds are still spared: they come at once.
        let mut acks = Acks::new(0, at(0));
        let counts = acknowledged_over(MS / 100, &mut acks, Duration::from_micros(2), rules);
        assert_eq!(counts.last(), Some(&10));
    }

    #[test]
    fn a_window_of_ten_packets_that_come_in_a_burst_is_acknowledged_one_by_one() {
        // 1 Gbit/s over 1 ms: a packet each 12 us, and then nothing until the round trip is over.
        let rules = Peer::Own.rules();
        let counts = |window: u64| {
            let mut acks = Acks::new(0, at(0));
            let mut counts = Vec::new();
            for number in 0..100 * window {
                let nanos = 10_000_000 + number / window * 1_000_000 + number % window * 12_000;
                let now = Instant::from_nanos(nanos);
                acks.on_received(now, number, Urgency::Delayed, Some(MS), rules);
                if acks.is_due(now) {
                    counts.push(acks.pending);
                    acks.on_sent(now);
                }
            }
            counts.split_off(counts.len() / 2)
        };
        assert!(counts(10).iter().all(|count| *count == 1));
        // Twenty are answered ten times, and a window of eighty as often as it has tens.
        assert!(counts(20).iter().all(|count| *count <= 2));
        assert!(counts(80).iter().all(|count| *count >= 5));
    }

    #[test]
    fn the_delay_is_a_quarter_of_the_round_trip() {
        let (mut acks, rules) = acks();
        acks.on_received(at(0), 0, Urgency::Delayed, Some(40 * MS), rules);
        assert!(!acks.is_due(at(9)) && acks.is_due(at(10)), "srtt/4 = 10 ms");
    }

    #[test]
    fn gaps_made_and_filled_are_reported_at_once_and_duplicates_are_not() {
        let (mut acks, rules) = acks();
        acks.on_received(at(0), 0, Urgency::Delayed, None, rules);
        acks.on_sent(at(1));
        acks.on_received(at(0), 3, Urgency::Delayed, None, rules);
        assert!(acks.is_due(at(0)), "a gap was left behind");
        acks.on_sent(at(1));
        acks.on_received(at(0), 2, Urgency::Delayed, None, rules);
        assert!(acks.is_due(at(0)), "a gap was filled");
        acks.on_sent(at(1));
        assert!(!acks.on_received(at(0), 2, Urgency::Delayed, None, rules));
        assert!(!acks.is_due(at(0)), "a duplicate is pending only");
        let (largest, _, ranges) = acks.report(at(0)).unwrap();
        assert_eq!(
            (largest, ranges.collect::<Vec<_>>()),
            (3, alloc::vec![2..=3, 0..=0])
        );
    }

    #[test]
    fn the_delay_counts_from_the_largest_number() {
        let (mut acks, rules) = acks();
        acks.on_received(at(10), 5, Urgency::AtOnce, None, rules);
        acks.on_received(at(300), 4, Urgency::AtOnce, None, rules);
        let (_, delay_ms, _) = acks.report(at(310)).unwrap();
        assert_eq!(delay_ms, 300);
        let (_, delay_ms, _) = acks.report(at(1_000_000)).unwrap();
        assert_eq!(delay_ms, u16::MAX);
    }

    #[test]
    fn the_book_is_bounded_and_keeps_the_newest() {
        let (mut acks, rules) = acks();
        for number in (0..100_000).step_by(2) {
            acks.on_received(at(0), number, Urgency::Delayed, None, rules);
        }
        let (largest, _, ranges) = acks.report(at(0)).unwrap();
        assert_eq!(largest, 99_998);
        assert_eq!(ranges.count(), REMEMBERED_RANGES);
    }
}
