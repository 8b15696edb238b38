//! Windows: what may be sent, or will be accepted.

use core::ops::Range;

/// The positions from `start` up to, not including, `end`. Neither edge ever moves left, and
/// `start <= end` always holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Window {
    start: u64,
    end: u64,
}

impl Window {
    /// The window of `len` positions from `start` on; shorter where `u64` ends.
    #[must_use]
    pub const fn new(start: u64, len: u64) -> Self {
        Self {
            start,
            end: start.saturating_add(len),
        }
    }

    /// The window between two edges, or `None` when `end` lies before `start`.
    #[must_use]
    pub const fn from_edges(start: u64, end: u64) -> Option<Self> {
        if start <= end {
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// The left edge: the first position inside.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The right edge: the first position beyond.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many positions are inside.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether no position is inside.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether `position` is inside.
    #[must_use]
    pub const fn contains(&self, position: u64) -> bool {
        self.start <= position && position < self.end
    }

    /// Whether every position of `range` is inside. True of an empty range.
    #[must_use]
    pub const fn contains_range(&self, range: &Range<u64>) -> bool {
        range.start >= range.end || (self.start <= range.start && range.end <= self.end)
    }

    /// The part of `range` that is inside, or `None` when there is none.
    #[must_use]
    pub fn clip(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let start = self.start.max(range.start);
        let end = self.end.min(range.end);
        (start < end).then_some(start..end)
    }

    /// How many positions are inside from `position` on: what may still be sent when `position` is
    /// next.
    #[must_use]
    pub const fn room_from(&self, position: u64) -> u64 {
        let from = if position < self.start {
            self.start
        } else {
            position
        };
        self.end.saturating_sub(from)
    }

    /// Moves the left edge to `position`. Returns whether it moved: it goes neither left nor past the
    /// right edge.
    pub const fn advance_start_to(&mut self, position: u64) -> bool {
        let moves = self.start < position && position <= self.end;
        if moves {
            self.start = position;
        }
        moves
    }

    /// Moves the right edge to `position`. Returns whether it moved: it never goes left.
    pub const fn extend_end_to(&mut self, position: u64) -> bool {
        let moves = self.end < position;
        if moves {
            self.end = position;
        }
        moves
    }
}
