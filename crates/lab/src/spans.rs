//! Sets of numbers as ranges: written for the checks alone, so that they do not rest on the code they check.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers, kept as ranges that do not touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    /// Start to end, the end excluded.
    spans: BTreeMap<u64, u64>,
}

impl Spans {
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&s, &e)) = self.spans.range(..=end).next_back() {
            if e < start {
                break;
            }
            start = start.min(s);
            end = end.max(e);
            self.spans.remove(&s);
        }
        self.spans.insert(start, end);
    }

    /// Where the range ends that holds `position`, or begins there; `position` itself if there is none.
    pub(crate) fn end_of(&self, position: u64) -> u64 {
        let span = self.spans.range(..=position).next_back();
        span.map_or(position, |(_, &end)| end.max(position))
    }

    pub(crate) fn covers(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .spans
                .range(..=range.start)
                .next_back()
                .is_some_and(|(_, &end)| end >= range.end)
    }
}

/// Ranges that may be split and never joined: what a sender said must not be said again with other boundaries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    pieces: BTreeMap<u64, u64>,
    end: u64,
    /// Below it pieces are no longer remembered: those of a long stream would fill the memory.
    forgotten: u64,
}

impl Pieces {
    /// The first piece begins at `start`.
    pub(crate) fn starting_at(start: u64) -> Self {
        Self {
            end: start,
            ..Self::default()
        }
    }

    /// Where the next new piece begins.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Takes a piece that is new, known, or the head of a known one, whose rest is a piece from then on. Otherwise false: what is cut in two is
    /// sent from its beginning.
    pub(crate) fn take(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return range.start <= self.end;
        }
        if range.start == self.end {
            self.end = range.end;
            self.pieces.insert(range.start, range.end);
            if self.pieces.len() > REMEMBERED
                && let Some((_, end)) = self.pieces.pop_first()
            {
                self.forgotten = end;
            }
            return true;
        }
        if range.end <= self.forgotten {
            return true;
        }
        let Some((&start, &end)) = self.pieces.range(..=range.start).next_back() else {
            return false;
        };
        if range.start > start || range.end > end {
            return false;
        }
        for part in [range.clone(), range.end..end] {
            if !part.is_empty() {
                self.pieces.insert(part.start, part.end);
            }
        }
        true
    }
}

/// Far more than an engine has outstanding.
const REMEMBERED: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_agree_with_a_plain_set() {
        let mut random = gapless_link::Random::new(1);
        for _ in 0..200 {
            let mut spans = Spans::default();
            let mut plain = [false; 40];
            for _ in 0..12 {
                let start = random.below(36);
                let end = start + random.below(5);
                spans.insert(start..end);
                plain[start as usize..end as usize].fill(true);
            }
            for start in 0..40_u64 {
                for end in start..40 {
                    let expected = plain[start as usize..end as usize]
                        .iter()
                        .all(|&is_in| is_in);
                    assert_eq!(
                        spans.covers(start..end),
                        expected,
                        "{start}..{end} {spans:?}"
                    );
                }
            }
            for position in 0..40 {
                let run = plain[position..].iter().take_while(|&&is_in| is_in);
                let end = (position + run.count()) as u64;
                assert_eq!(spans.end_of(position as u64), end, "{position} {spans:?}");
            }
            let ranges: Vec<_> = spans.spans.iter().collect();
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn pieces_may_be_split_but_never_joined() {
        let mut pieces = Pieces::default();
        assert!(!pieces.take(5..9), "a hole");
        assert!(pieces.take(0..10));
        assert!(pieces.take(10..20));
        assert!(pieces.take(10..10) && pieces.take(20..20));
        assert!(!pieces.take(5..15), "joined");
        assert!(!pieces.take(10..21), "longer");
        assert!(pieces.take(0..10), "again");
        assert!(!pieces.take(4..10), "the tail before its head");
        assert!(pieces.take(0..4), "the head");
        assert!(!pieces.take(0..10), "whole again after its parts");
        assert!(pieces.take(4..7) && pieces.take(7..10));
        assert_eq!(pieces.end(), 20);
    }
}
