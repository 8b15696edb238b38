//! ACK frames that the peers of version 2 read rightly (UDX2 4, 15.4).
//!
//! Go reads every extra range behind the first one number too low, and so forgets packets that are lost (UDX2 H12, D9). So
//! each gap is stated by a frame with a single extra range, several frames in a packet.

use core::ops::RangeInclusive;

use gapless_seq::{RangeSet, mark};

use super::super::Connection;
use crate::wire::{Ack, Encoder};

/// Frames that tell the newest ranges. UDX2 15.4: up to 8.
const FRAMES: usize = 8;

/// With those for packets that came again from below them: as many as are remembered at most.
const MOST_FRAMES: usize = 2 * FRAMES;

/// The most numbers in one range. UDX2 D8: Dart makes a set of them.
const MOST_NUMBERS: u64 = 512;

/// One ACK frame: a range, and perhaps the next one below it.
type Told = (RangeInclusive<u64>, Option<RangeInclusive<u64>>);

/// The frames of one packet.
#[derive(Default)]
struct Plan {
    frames: [Option<Told>; MOST_FRAMES],
    len: usize,
}

impl Connection {
    /// The size of what [`encode_acks`](Self::encode_acks) writes, in bytes.
    pub(in super::super) fn acks_len(&self) -> usize {
        let first = self.first_ranges_len();
        let plan = self.plan();
        let others = plan.frames.iter().flatten();
        others.fold(first, |sum, (_, extra)| {
            sum.saturating_add(Ack::encoded_len_with(usize::from(extra.is_some())))
        })
    }

    /// Writes all that is to be acknowledged, as far as there is room. False if nothing was.
    pub(in super::super) fn encode_acks(&self, encoder: &mut Encoder<'_>) -> bool {
        let Some((_, delay_ms, ranges)) = self.acks.report(self.clock.now) else {
            return false;
        };
        let mut written = false;
        if self.reads_ranges() {
            let most = u8::try_from(self.rules.ack_ranges).unwrap_or(u8::MAX);
            written |= encoder.ack(delay_ms, ranges, most).is_ok();
        }
        for (first, extra) in self.plan().frames.into_iter().flatten() {
            // What was measured of the largest number says nothing of the others.
            let delay = if written { 0 } else { delay_ms };
            let ranges = core::iter::once(first).chain(extra);
            written |= encoder.ack(delay, ranges, 1).is_ok();
        }
        written
    }

    /// Whether the peer reads more than one extra range: our own kind.
    fn reads_ranges(&self) -> bool {
        self.rules.ack_ranges > 1
    }

    fn first_ranges_len(&self) -> usize {
        if !self.reads_ranges() {
            return 0;
        }
        let report = self.acks.report(self.clock.now);
        let count = report.map_or(0, |(_, _, ranges)| reached(ranges).count());
        Ack::encoded_len_with(count.saturating_sub(1).min(self.rules.ack_ranges))
    }

    fn plan(&self) -> Plan {
        let (Some(v2), Some((_, _, ranges))) = (&self.v2, self.acks.report(self.clock.now)) else {
            return Plan::default();
        };
        let first = self.reads_ranges().then_some(self.rules.ack_ranges);
        Plan::new(ranges, &v2.recent, first)
    }
}

impl Plan {
    /// `first`: how many extra ranges the frame has that goes before these, if one does.
    fn new<const N: usize>(
        ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
        recent: &RangeSet<N>,
        first: Option<usize>,
    ) -> Self {
        let mut plan = Self::default();
        if first.is_none() {
            plan.tell(ranges.clone());
        }
        // A number that came again, though it was acknowledged, comes until it is acknowledged once more.
        for range in recent.iter().rev() {
            let range = clip(range.start..=range.end.saturating_sub(1));
            let known = match first {
                Some(extra) => {
                    let mut told = reached(ranges.clone()).take(extra.saturating_add(1));
                    told.any(|told| covers(&told, &range))
                }
                None => plan.covers(&range),
            };
            if !known {
                mark!(AckRepeated);
                plan.push((range, None));
            }
        }
        plan
    }

    /// UDX2 15.4: the highest range and the one below it; that and the one below it; and so on.
    fn tell(&mut self, ranges: impl Iterator<Item = RangeInclusive<u64>>) {
        let mut ranges = ranges.peekable();
        let mut told = false;
        while self.len < FRAMES
            && let Some(range) = ranges.next()
        {
            let first = clip(range.clone());
            let below = ranges.peek().filter(|below| {
                // The gap is counted from the bottom of the range.
                first.start() == range.start() && is_near(*range.start(), below)
            });
            let extra = below.cloned().map(clip);
            // The last one was the extra range of the frame before.
            if extra.is_none() && told {
                told = false;
                continue;
            }
            told = extra.is_some();
            self.push((first, extra));
        }
    }

    fn push(&mut self, told: Told) {
        if let Some(free) = self.frames.get_mut(self.len) {
            mark!(AckFrames, self.len > 0);
            *free = Some(told);
            self.len = self.len.saturating_add(1);
        }
    }

    fn covers(&self, range: &RangeInclusive<u64>) -> bool {
        let mut frames = self.frames.iter().flatten();
        frames.any(|(first, extra)| {
            covers(first, range) || extra.as_ref().is_some_and(|extra| covers(extra, range))
        })
    }
}

/// The ranges of one frame, from the highest down: it ends above the first gap that it cannot state.
fn reached(
    ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
) -> impl Iterator<Item = RangeInclusive<u64>> + Clone {
    let mut bottom = None;
    ranges.take_while(move |range| {
        let above = bottom.replace(*range.start());
        above.is_none_or(|bottom| is_near(bottom, range))
    })
}

/// UDX2 H4: a gap has eight bits.
fn is_near(bottom: u64, below: &RangeInclusive<u64>) -> bool {
    let gap = bottom.saturating_sub(*below.end()).saturating_sub(1);
    gap <= u64::from(u8::MAX)
}

fn covers(outer: &RangeInclusive<u64>, inner: &RangeInclusive<u64>) -> bool {
    outer.contains(inner.start()) && outer.contains(inner.end())
}

/// The top of a range.
fn clip(range: RangeInclusive<u64>) -> RangeInclusive<u64> {
    let lowest = range.end().saturating_sub(MOST_NUMBERS.saturating_sub(1));
    mark!(AckClipped, *range.start() < lowest);
    (*range.start()).max(lowest)..=*range.end()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::wire::Version;

    fn told(ranges: &[RangeInclusive<u64>]) -> Vec<Told> {
        let mut plan = Plan::default();
        plan.tell(ranges.iter().cloned());
        plan.frames.into_iter().flatten().collect()
    }

    // UDX2 15.4, D8, H12
    #[test]
    fn each_gap_is_stated_once_by_a_frame_with_one_extra_range() {
        assert_eq!(told(&[3..=9]), [(3..=9, None)]);
        assert_eq!(told(&[8..=9, 3..=5]), [(8..=9, Some(3..=5))]);
        let three = told(&[21..=21, 16..=19, 11..=14]);
        assert_eq!(
            three,
            [(21..=21, Some(16..=19)), (16..=19, Some(11..=14))],
            "missing 20 15"
        );
    }

    // UDX2 H4
    #[test]
    fn a_gap_above_255_begins_a_frame() {
        assert_eq!(told(&[300..=300, 10..=44]), [(300..=300, Some(10..=44))]);
        assert_eq!(
            told(&[301..=301, 10..=44]),
            [(301..=301, None), (10..=44, None)]
        );
        assert_eq!(
            told(&[500..=500, 490..=498, 10..=44, 1..=8]),
            [(500..=500, Some(490..=498)), (10..=44, Some(1..=8))]
        );
    }

    /// A transfer stood still: what was acknowledged in vain lay below a gap that the frame of our own kind cannot state, and was taken
    /// for told.
    #[test]
    fn what_comes_again_is_told_though_it_lies_below_a_wide_gap() {
        let again = |number: u64, first| {
            let mut recent = RangeSet::<8>::new();
            recent.insert_evicting_lowest(number..number + 1);
            let ranges = [2229..=5956, 1900..=1974, 1900 - 257..=1643, 5..=5];
            let plan = Plan::new(ranges.into_iter(), &recent, first);
            plan.frames.into_iter().flatten().collect::<Vec<_>>()
        };
        // Gaps of 254 and 256 numbers.
        assert_eq!(again(1950, Some(32)), []);
        assert_eq!(again(1950, Some(0)), [(1950..=1950, None)]);
        assert_eq!(again(1643, Some(32)), [(1643..=1643, None)]);
        assert_eq!(again(5, Some(32)), [(5..=5, None)]);
        assert_eq!(again(5, None).last(), Some(&(5..=5, None)));
    }

    #[test]
    fn what_one_frame_reaches_is_what_is_written_of_it() {
        for gap in [1, 2, 254, 255, 256, 257, 5000] {
            let ranges = [20_000..=20_010, 19_000 - gap..=19_999 - gap, 3..=9];
            let mut buffer = [0; 64];
            let mut encoder = Encoder::new(&mut buffer, Version::V2);
            let written = encoder.ack(0, ranges.iter().cloned(), 32);
            assert_eq!(written, Ok(reached(ranges.into_iter()).count()), "{gap}");
        }
    }

    #[test]
    fn a_range_has_at_most_512_numbers_and_a_packet_eight_frames() {
        assert_eq!(told(&[0..=9999]), [(9488..=9999, None)]);
        assert_eq!(
            told(&[10_001..=20_000, 0..=9999]),
            [(19_489..=20_000, None), (9488..=9999, None)],
            "the gap would be counted from the bottom"
        );
        assert_eq!(
            told(&[5000..=5000, 0..=4998]),
            [(5000..=5000, Some(4487..=4998))]
        );
        let many: Vec<_> = (0..40_u64).rev().map(|n| 2 * n..=2 * n).collect();
        assert_eq!(told(&many).len(), 8);
    }
}
