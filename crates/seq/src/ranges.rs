//! Sets of positions as a bounded number of ranges.

use core::fmt;
use core::iter::FusedIterator;
use core::mem;
use core::ops::Range;
use core::slice;

use crate::mark;

/// A set of positions, kept as at most `N` ranges, sorted and with a gap between any two, inline.
///
/// Positions are `0` to `u64::MAX - 1`: the ranges are half open. An empty or reversed range is the
/// empty set everywhere. Each operation costs at most `O(log N)` to find the place and one
/// move of each range behind it, so `N` bounds time as well as memory (16 bytes a range).
///
/// ```
/// use gapless_seq::RangeSet;
///
/// let mut set = RangeSet::<4>::new();
/// set.insert(0..10)?;
/// set.insert(20..30)?;
/// assert_eq!(set.insert(5..25)?.added, 10);
/// assert_eq!(set.remove(12..14)?, 2);
/// assert!(set.iter().eq([0..12, 14..30]));
/// assert!(set.gaps(0..40).eq([12..14, 30..40]));
/// # Ok::<(), gapless_seq::Full>(())
/// ```
#[derive(Clone)]
pub struct RangeSet<const N: usize> {
    /// The first `len` are in use.
    spans: [Span; N],
    len: usize,
}

/// What an insertion added.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Inserted {
    /// How many positions were not in the set before.
    pub added: u64,
}

/// The set would need more ranges than it may hold. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Full;

impl<const N: usize> RangeSet<N> {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            spans: [Span { start: 0, end: 0 }; N],
            len: 0,
        }
    }

    /// Adds the positions of `range`.
    ///
    /// # Errors
    ///
    /// [`Full`] when `range` neither overlaps nor touches a range of the set, and the set has `N`. What
    /// merges is always accepted.
    pub fn insert(&mut self, range: Range<u64>) -> Result<Inserted, Full> {
        let Some(new) = Span::from_range(&range) else {
            return Ok(Inserted { added: 0 });
        };
        let touched = self.touched_by(new);
        let Some(merged) = self.merge(new, &touched) else {
            self.open(touched.start, new)?;
            return Ok(Inserted { added: new.len() });
        };
        let held = self.total_of(&touched);
        self.put(touched.start, merged);
        self.close(touched.start.saturating_add(1)..touched.end);
        Ok(Inserted {
            added: merged.len().saturating_sub(held),
        })
    }

    /// Adds one position. `u64::MAX` cannot be held and adds nothing.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn insert_one(&mut self, position: u64) -> Result<Inserted, Full> {
        self.insert(position..position.saturating_add(1))
    }

    /// Adds the positions of `range`; when there is no room, drops the lowest range of the set and
    /// `range`. Returns what was added, and what was dropped.
    ///
    /// This is how a history of received packet numbers forgets: a peer has long had
    /// the acknowledgement of the lowest ones.
    pub fn insert_evicting_lowest(&mut self, range: Range<u64>) -> (Inserted, Option<Range<u64>>) {
        if let Ok(inserted) = self.insert(range.clone()) {
            return (inserted, None);
        }
        let evicted = match self.first() {
            Some(lowest) if lowest.start < range.start => self.pop_first(),
            _ => {
                mark!(LowRangeRefused);
                return (Inserted { added: 0 }, Some(range));
            }
        };
        mark!(LowestRangeDropped);
        (self.insert(range).unwrap_or_default(), evicted)
    }

    /// Takes the positions of `range` out. Returns how many were in the set.
    ///
    /// # Errors
    ///
    /// [`Full`] when that would split a range in two, and the set has `N`.
    pub fn remove(&mut self, range: Range<u64>) -> Result<u64, Full> {
        let Some(out) = Span::from_range(&range) else {
            return Ok(0);
        };
        let hit = self.overlapped_by(out);
        let (Some(first), Some(last)) = (self.get(hit.start), self.last_of(&hit)) else {
            return Ok(0);
        };
        let left = Span {
            start: first.start,
            end: out.start,
        };
        let right = Span {
            start: out.end,
            end: last.end,
        };
        let before = self.total_of(&hit);
        let kept = left.len().saturating_add(right.len());
        if !left.is_empty() && !right.is_empty() && hit.end.saturating_sub(hit.start) == 1 {
            self.open(hit.end, right)?;
            self.put(hit.start, left);
            return Ok(before.saturating_sub(kept));
        }
        let mut gone = hit.clone();
        if !left.is_empty() {
            self.put(hit.start, left);
            gone.start = gone.start.saturating_add(1);
        }
        if !right.is_empty() {
            gone.end = gone.end.saturating_sub(1);
            self.put(gone.end, right);
        }
        self.close(gone);
        Ok(before.saturating_sub(kept))
    }

    /// Takes every position below `position` out. Returns how many were in the set. Never fails: it
    /// splits nothing.
    pub fn remove_below(&mut self, position: u64) -> u64 {
        self.remove(0..position).unwrap_or(0)
    }

    /// Takes the lowest range out.
    pub fn pop_first(&mut self) -> Option<Range<u64>> {
        let first = self.first()?;
        self.close(0..1);
        Some(first)
    }

    /// Takes the highest range out.
    pub fn pop_last(&mut self) -> Option<Range<u64>> {
        let last = self.last()?;
        self.len = self.len.saturating_sub(1);
        Some(last)
    }

    /// Takes everything out.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether `position` is in the set.
    #[must_use]
    pub fn contains(&self, position: u64) -> bool {
        let index = self.spans().partition_point(|span| span.end <= position);
        self.get(index).is_some_and(|span| span.start <= position)
    }

    /// Whether every position of `range` is in the set. True of an empty range.
    #[must_use]
    pub fn contains_range(&self, range: &Range<u64>) -> bool {
        let Some(asked) = Span::from_range(range) else {
            return true;
        };
        let index = self.spans().partition_point(|span| span.end < asked.end);
        self.get(index)
            .is_some_and(|span| span.start <= asked.start)
    }

    /// Whether any position of `range` is in the set.
    #[must_use]
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        Span::from_range(range).is_some_and(|asked| !self.overlapped_by(asked).is_empty())
    }

    /// How many ranges the set has now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many ranges the set can have: `N`.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many positions are in the set. Costs `O(len)`.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total_of(&(0..self.len))
    }

    /// The lowest range.
    #[must_use]
    pub fn first(&self) -> Option<Range<u64>> {
        self.spans().first().map(|span| span.range())
    }

    /// The highest range.
    #[must_use]
    pub fn last(&self) -> Option<Range<u64>> {
        self.spans().last().map(|span| span.range())
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            spans: self.spans().iter(),
        }
    }

    /// The largest ranges inside `within` that the set has nothing of, ascending.
    pub fn gaps(&self, within: Range<u64>) -> Gaps<'_> {
        let hit = Span::from_range(&within).map_or(0..0, |asked| self.overlapped_by(asked));
        Gaps {
            spans: self.spans().get(hit).unwrap_or(&[]).iter(),
            rest: within,
        }
    }

    /// The indices of the ranges that overlap or touch `span`; when there are none, an empty range at
    /// the place where it belongs.
    fn touched_by(&self, span: Span) -> Range<usize> {
        let start = self.spans().partition_point(|held| held.end < span.start);
        let behind = self.spans().get(start..).unwrap_or(&[]);
        let count = behind.partition_point(|held| held.start <= span.end);
        start..start.saturating_add(count)
    }

    /// The indices of the ranges that have a position of `span`.
    fn overlapped_by(&self, span: Span) -> Range<usize> {
        let start = self.spans().partition_point(|held| held.end <= span.start);
        let behind = self.spans().get(start..).unwrap_or(&[]);
        let count = behind.partition_point(|held| held.start < span.end);
        start..start.saturating_add(count)
    }

    /// `new` together with the ranges at `touched`; `None` when there are none.
    fn merge(&self, new: Span, touched: &Range<usize>) -> Option<Span> {
        let (first, last) = (self.get(touched.start), self.last_of(touched));
        first.zip(last).map(|(first, last)| Span {
            start: first.start.min(new.start),
            end: last.end.max(new.end),
        })
    }

    /// Makes room at `index`, moving what stands there and behind it up by one, and puts `span` there.
    fn open(&mut self, index: usize, span: Span) -> Result<(), Full> {
        mark!(SetFull, self.len >= N);
        let moved = self.spans.get_mut(index..=self.len).ok_or(Full)?;
        let mut carried = span;
        for slot in moved {
            mem::swap(slot, &mut carried);
        }
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// Takes the ranges at `gone` out, moving those behind them down.
    fn close(&mut self, gone: Range<usize>) {
        if gone.is_empty() {
            return;
        }
        for from in gone.end..self.len {
            if let Some(span) = self.get(from) {
                self.put(from.saturating_sub(gone.len()), span);
            }
        }
        self.len = self.len.saturating_sub(gone.len());
    }

    fn spans(&self) -> &[Span] {
        self.spans.get(..self.len).unwrap_or(&[])
    }

    fn get(&self, index: usize) -> Option<Span> {
        self.spans().get(index).copied()
    }

    fn put(&mut self, index: usize, span: Span) {
        if let Some(slot) = self.spans.get_mut(index) {
            *slot = span;
        }
    }

    /// The last of the ranges at `indices`; `None` when there are none.
    fn last_of(&self, indices: &Range<usize>) -> Option<Span> {
        self.spans().get(indices.clone())?.last().copied()
    }

    fn total_of(&self, indices: &Range<usize>) -> u64 {
        let spans = self.spans().get(indices.clone()).unwrap_or(&[]);
        spans
            .iter()
            .fold(0, |sum, span| sum.saturating_add(span.len()))
    }
}

impl<const N: usize> Default for RangeSet<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> PartialEq for RangeSet<N> {
    fn eq(&self, other: &Self) -> bool {
        self.spans() == other.spans()
    }
}

impl<const N: usize> Eq for RangeSet<N> {}

impl<const N: usize> fmt::Debug for RangeSet<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<'a, const N: usize> IntoIterator for &'a RangeSet<N> {
    type Item = Range<u64>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The ranges of a [`RangeSet`], ascending, from [`RangeSet::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    spans: slice::Iter<'a, Span>,
}

impl Iterator for Iter<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        self.spans.next().map(|span| span.range())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Range<u64>> {
        self.spans.next_back().map(|span| span.range())
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

/// What a [`RangeSet`] has not, ascending, from [`RangeSet::gaps`].
#[derive(Clone, Debug)]
pub struct Gaps<'a> {
    spans: slice::Iter<'a, Span>,
    /// What has not been looked at yet.
    rest: Range<u64>,
}

impl Iterator for Gaps<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        for span in self.spans.by_ref() {
            let gap = self.rest.start..span.start;
            self.rest.start = span.end;
            if !gap.is_empty() {
                return Some(gap);
            }
        }
        let gap = self.rest.clone();
        self.rest.start = self.rest.end;
        (!gap.is_empty()).then_some(gap)
    }
}

impl FusedIterator for Gaps<'_> {}

/// One range: `Range<u64>` that is `Copy`. In a set it is never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    /// `None` for what has no position.
    fn from_range(range: &Range<u64>) -> Option<Self> {
        (range.start < range.end).then_some(Self {
            start: range.start,
            end: range.end,
        })
    }

    const fn range(self) -> Range<u64> {
        self.start..self.end
    }

    const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    const fn is_empty(self) -> bool {
        self.len() == 0
    }
}
