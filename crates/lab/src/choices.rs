//! Where the decisions of a scenario come from: a seed's random numbers, written down as they are drawn, or the bytes that were
//! written down, or bytes that a fuzzer made.
//!
//! Every decision is a number below a bound and takes one or two bytes. Whatever they are, bytes are decisions: what is too large is
//! folded into the range, and behind the last byte come zeros. Zero is always the simplest decision (nothing lost, one stream, few
//! bytes, default settings, good manners), so that fewer and smaller bytes are a simpler scenario. That is all that shrinking
//! ([`crate::shrink`]) has to know.

use gapless_link::Random;
use std::fmt::{self, Debug, Formatter};
use std::ops::Range;

/// The decisions of a scenario, as bytes. Those of a scenario that was not drawn are empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Choices(Vec<u8>);

impl Choices {
    /// The bytes, without the zeros at their end.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Choices {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Draws decisions, and keeps them.
pub(crate) struct Draw<'a> {
    source: Source<'a>,
    taken: Vec<u8>,
    spans: Vec<Range<usize>>,
}

enum Source<'a> {
    Seed(Random),
    Bytes(&'a [u8]),
}

impl<'a> Draw<'a> {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self::new(Source::Seed(Random::for_purpose(seed, PURPOSE)))
    }

    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Self {
        Self::new(Source::Bytes(bytes))
    }

    fn new(source: Source<'a>) -> Self {
        Self {
            source,
            taken: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// The decisions taken, and which of them belong together and can be left out together.
    pub(crate) fn end(self) -> (Choices, Vec<Range<usize>>) {
        let Self {
            mut taken,
            mut spans,
            ..
        } = self;
        let len = taken.iter().rposition(|&byte| byte != 0);
        taken.truncate(len.map_or(0, |last| last + 1));
        spans
            .iter_mut()
            .for_each(|span| span.end = span.end.min(taken.len()));
        spans.retain(|span| !span.is_empty());
        (Choices(taken), spans)
    }

    /// A number below `bound`, which is at most [`MOST`]. A seed's is what `propose` makes of its random numbers: it may prefer
    /// some, and look ahead.
    pub(crate) fn proposed(&mut self, bound: u64, propose: impl FnOnce(&mut Random) -> u64) -> u64 {
        debug_assert!((1..=MOST).contains(&bound), "two bytes are a decision");
        let wide = bound > 1 << 8;
        let number = match &mut self.source {
            Source::Seed(random) => propose(random).min(bound - 1),
            Source::Bytes(bytes) => {
                let high = if wide { next(bytes) << 8 } else { 0 };
                (high | next(bytes)) % bound
            }
        };
        if wide {
            self.taken.push((number >> 8) as u8);
        }
        self.taken.push(number as u8);
        number
    }

    /// A number below `bound`, each as likely.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.proposed(bound, |random| random.below(bound))
    }

    /// What a seed plans ahead, to propose it decision by decision; bytes plan nothing.
    pub(crate) fn plan<T>(&mut self, plan: impl FnOnce(&mut Random) -> T) -> Option<T> {
        match &mut self.source {
            Source::Seed(random) => Some(plan(random)),
            Source::Bytes(_) => None,
        }
    }

    /// True in `share` of `of` cases; the simplest decision is no.
    pub(crate) fn chance(&mut self, share: u64, of: u64) -> bool {
        let yes_from = FLAG - FLAG * share / of;
        let proposed = |random: &mut Random| {
            let yes = random.below(of) < share;
            if yes { FLAG - 1 } else { 0 }
        };
        self.proposed(FLAG, proposed) >= yes_from
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.chance(1, count)
    }

    /// As [`Self::one_in`], where a seed has already planned the answer.
    pub(crate) fn planned(&mut self, planned: Option<bool>) -> bool {
        let yes = if planned.unwrap_or(false) {
            FLAG - 1
        } else {
            0
        };
        self.proposed(FLAG, |_| yes) >= FLAG / 2
    }

    /// From `low`, the simplest, to `high`. Of a wide range, [`MOST`] numbers at even distances are possible.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low);
        if span < MOST {
            return low + self.below(span + 1);
        }
        let step = u128::from(self.below(MOST));
        low + (u128::from(span) * step / u128::from(MOST - 1)) as u64
    }

    /// From `low`, the simplest, to `high`, each power of two between as likely as another.
    pub(crate) fn scaled(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let steps = u64::from((high / low).max(1).ilog2());
        let base = low << self.below(steps + 1);
        self.between(base, (base * 2).min(high))
    }

    /// As [`Self::scaled`], where `high` is the simplest.
    pub(crate) fn scaled_down(&mut self, high: u64, low: u64) -> u64 {
        let low = low.max(1);
        let steps = u64::from((high / low).max(1).ilog2());
        let top = high >> self.below(steps + 1);
        top - self.between(0, top.saturating_sub((top / 2).max(low)))
    }

    /// One of these; the first is the simplest.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// What `draw` decides can be left out as a whole.
    pub(crate) fn span<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> T {
        let begin = self.taken.len();
        let drawn = draw(self);
        self.spans.push(begin..self.taken.len());
        drawn
    }

    /// Up to `most` of what `one` draws, as many as a seed's `count` says; bytes say before each whether it comes.
    pub(crate) fn some<T>(
        &mut self,
        most: usize,
        count: impl FnOnce(&mut Random) -> usize,
        mut one: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let count = self.plan(count);
        let mut all = Vec::new();
        while all.len() < most {
            let planned = count.map(|count| all.len() < count);
            let next = self.span(|draw| draw.planned(planned).then(|| one(draw)));
            match next {
                Some(next) => all.push(next),
                None => break,
            }
        }
        all
    }
}

/// The next of the bytes, or 0.
fn next(bytes: &mut &[u8]) -> u64 {
    let Some((&first, rest)) = bytes.split_first() else {
        return 0;
    };
    *bytes = rest;
    first.into()
}

/// Which random numbers a seed draws for its scenario: others under the same seed (links, endpoints, models) draw unrelated ones. Another
/// value is another set of scenarios, no better and no worse: it only says which ones every test run sees. It must not be changed because
/// a seed fails. What fails is a fault of an engine, of a model or of a bound, and is mended there; the seed stays.
const PURPOSE: u64 = 5;
/// Numbers that a decision can tell apart.
pub(crate) const MOST: u64 = 1 << 16;
/// Numbers that a yes or no can be.
const FLAG: u64 = 1 << 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Some of everything.
    fn drawn(draw: &mut Draw<'_>) -> Vec<u64> {
        let mut all = vec![
            draw.below(1),
            draw.below(256),
            draw.below(257),
            draw.below(MOST),
            draw.one_in(3).into(),
            draw.chance(2, 3).into(),
            draw.between(7, 9),
            draw.between(1_000, 1_000_000_000_000),
            draw.scaled(3, 70_000),
            draw.scaled_down(1_000_000_000, 1_000_000),
            draw.pick(&[5, 6, 7]),
        ];
        let more = draw.some(
            9,
            |random| random.below(12) as usize,
            |draw| draw.below(1_000),
        );
        all.extend(more);
        all
    }

    #[test]
    fn what_a_seed_drew_is_drawn_again_from_its_bytes() {
        for seed in 0..2_000 {
            let mut draw = Draw::from_seed(seed);
            let first = drawn(&mut draw);
            let (choices, spans) = draw.end();
            let mut again = Draw::from_bytes(choices.bytes());
            assert_eq!(drawn(&mut again), first, "seed {seed}");
            assert_eq!(again.end(), (choices, spans), "seed {seed}");
        }
    }

    #[test]
    fn any_bytes_are_decisions_and_none_are_the_simplest() {
        let mut draw = Draw::from_bytes(&[]);
        let simplest = [0, 0, 0, 0, 0, 0, 7, 1_000, 3, 1_000_000_000, 5];
        assert_eq!(drawn(&mut draw), simplest);
        assert_eq!(draw.end().0.bytes(), &[0_u8; 0]);
        for byte in 0..=255 {
            let bytes = [byte; 100];
            let all = drawn(&mut Draw::from_bytes(&bytes));
            assert!(all[1] < 256 && all[2] < 257 && all[4] < 2);
            assert!((7..=9).contains(&all[6]));
            assert!((1_000..=1_000_000_000_000).contains(&all[7]));
            assert!((3..=70_000).contains(&all[8]));
            assert!((1_000_000..=1_000_000_000).contains(&all[9]));
            assert!(all.len() <= 11 + 9);
        }
    }

    #[test]
    fn wide_ranges_reach_both_ends() {
        let ends = |bytes: [u8; 2]| Draw::from_bytes(&bytes).between(10, 1 << 40);
        assert_eq!(ends([0, 0]), 10);
        assert_eq!(ends([255, 255]), 1 << 40);
        assert_eq!(Draw::from_bytes(&[6]).scaled(1_000, 64_000), 64_000);
    }

    #[test]
    fn a_seed_says_yes_as_often_as_it_should() {
        let mut draw = Draw::from_seed(3);
        let yes = (0..60_000).filter(|_| draw.chance(2, 3)).count();
        assert!((39_000..41_000).contains(&yes), "{yes}");
        let yes = (0..60_000).filter(|_| draw.one_in(20)).count();
        assert!((2_700..3_300).contains(&yes), "{yes}");
        // And bytes in about the same share of their values.
        let yes = (0..=255)
            .filter(|&byte| Draw::from_bytes(&[byte]).one_in(20))
            .count();
        assert!((12..=13).contains(&yes), "{yes}");
    }

    #[test]
    fn what_belongs_together_can_be_left_out() {
        let numbers = |bytes: &[u8]| {
            let mut draw = Draw::from_bytes(bytes);
            let all = draw.some(5, |_| 0, |draw| draw.below(256));
            (all, draw.end().1)
        };
        let bytes = [255, 1, 255, 2, 255, 3];
        let (all, spans) = numbers(&bytes);
        assert_eq!((all, spans.len()), (vec![1, 2, 3], 3));
        let without = [&bytes[..spans[1].start], &bytes[spans[1].end..]].concat();
        assert_eq!(numbers(&without).0, [1, 3]);
    }
}
