//! The ACK frame: which numbers arrived.

use core::iter::FusedIterator;
use core::ops::RangeInclusive;

use gapless_seq::Wire32;

use super::reader::Reader;

/// An ACK frame (UDX 2.3). All counts are true counts, nothing is minus one.
///
/// | Offset | Size | Field |
/// |---|---|---|
/// | 1 | 4 | [`largest`](Self::largest) |
/// | 5 | 2 | [`delay_ms`](Self::delay_ms) |
/// | 7 | 1 | count of [`extra`](Self::extra) ranges |
/// | 8 | 4 | [`first`](Self::first) |
/// | 12 + 5 i | 1 | [`gap`](ExtraRange::gap) of extra range i |
/// | 13 + 5 i | 4 | [`length`](ExtraRange::length) of extra range i |
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Ack<'a> {
    /// The largest number acknowledged.
    pub largest: Wire32,
    /// How long ago the largest number had arrived, in milliseconds. Hundreds occur (V16).
    pub delay_ms: u16,
    /// How many numbers the first range covers, downwards from the largest.
    pub first: u32,
    /// The ranges below the first.
    pub extra: ExtraRanges<'a>,
}

impl<'a> Ack<'a> {
    /// The size of an ACK frame with `extra` extra ranges, in bytes.
    #[inline]
    #[must_use]
    pub const fn encoded_len_with(extra: usize) -> usize {
        extra.saturating_mul(ExtraRange::LEN).saturating_add(12)
    }

    /// The size of the encoded frame, in bytes.
    #[inline]
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        Self::encoded_len_with(self.extra.len())
    }

    /// The acknowledged numbers as positions, from the highest range down; `largest` is where [`largest`](Self::largest) was
    /// expanded to.
    ///
    /// Empty ranges are left out. What would lie below position 0 is cut off, and the iteration ends there. There are at most 256
    /// ranges, but nothing bounds what they cover: clamp to what was sent before looping over it (V8).
    ///
    /// ```
    /// # use gapless_udx::wire::{Ack, ExtraRanges};
    /// // The example of UDX 2.3: largest 100, first 10, (2,5), (1,80).
    /// let extra = [[2, 0, 0, 0, 5], [1, 0, 0, 0, 80]];
    /// let ack = Ack { largest: 100.into(), delay_ms: 0, first: 10, extra: ExtraRanges::new(&extra).ok_or("too many")? };
    /// assert!(ack.ranges(100).eq([91..=100, 84..=88, 3..=82]));
    /// # Ok::<(), &str>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn ranges(&self, largest: u64) -> AckRanges<'a> {
        AckRanges {
            top: Some(largest),
            first: Some(self.first),
            extra: self.extra.ranges.iter(),
        }
    }

    #[inline]
    pub(super) fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let largest = reader.u32()?.into();
        let delay_ms = reader.u16()?;
        let count = usize::from(reader.u8()?);
        let first = reader.u32()?;
        let (ranges, _) = reader
            .slice(count.checked_mul(ExtraRange::LEN)?)?
            .as_chunks();
        Some(Self {
            largest,
            delay_ms,
            first,
            extra: ExtraRanges { ranges },
        })
    }
}

/// The ranges of an ACK frame below its first, at most 255, as they lie in the datagram.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct ExtraRanges<'a> {
    ranges: &'a [[u8; ExtraRange::LEN]],
}

impl<'a> ExtraRanges<'a> {
    /// No extra ranges.
    pub const NONE: Self = Self { ranges: &[] };

    /// The largest count of extra ranges in a frame: its count has one byte.
    pub const MAX: usize = 255;

    /// Ranges in wire form, gap and big-endian length; `None` if there are more than [`Self::MAX`].
    #[inline]
    #[must_use]
    pub const fn new(ranges: &'a [[u8; ExtraRange::LEN]]) -> Option<Self> {
        if ranges.len() > Self::MAX {
            None
        } else {
            Some(Self { ranges })
        }
    }

    /// How many ranges there are.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges as the frame states them, from the highest down.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ExtraRange> + Clone + use<'a> {
        self.ranges.iter().map(ExtraRange::from_wire)
    }

    #[inline]
    pub(super) const fn as_wire(&self) -> &'a [u8] {
        self.ranges.as_flattened()
    }
}

/// One range below the first.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub struct ExtraRange {
    /// How many numbers below the range before it are not acknowledged.
    pub gap: u8,
    /// How many numbers this range covers.
    pub length: u32,
}

impl ExtraRange {
    /// The size of an extra range, in bytes.
    pub const LEN: usize = 5;

    #[inline]
    const fn from_wire(wire: &[u8; Self::LEN]) -> Self {
        let [gap, a, b, c, d] = *wire;
        Self {
            gap,
            length: u32::from_be_bytes([a, b, c, d]),
        }
    }

    #[inline]
    pub(super) const fn to_wire(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.gap, a, b, c, d]
    }
}

/// The positions that an ACK frame acknowledges: see [`Ack::ranges`].
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    /// The highest position that is still to be spoken of; `None` below position 0.
    top: Option<u64>,
    first: Option<u32>,
    extra: core::slice::Iter<'a, [u8; ExtraRange::LEN]>,
}

impl AckRanges<'_> {
    /// Cuts `length` positions off the top.
    #[inline]
    fn take(&mut self, length: u32) -> Option<RangeInclusive<u64>> {
        let below_top = u64::from(length).checked_sub(1)?;
        let top = self.top?;
        let bottom = top.checked_sub(below_top);
        self.top = bottom.and_then(|bottom| bottom.checked_sub(1));
        Some(bottom.unwrap_or(0)..=top)
    }
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<u64>;

    #[inline]
    fn next(&mut self) -> Option<RangeInclusive<u64>> {
        if let Some(first) = self.first.take()
            && let Some(range) = self.take(first)
        {
            return Some(range);
        }
        loop {
            let ExtraRange { gap, length } = ExtraRange::from_wire(self.extra.next()?);
            self.top = self.top.and_then(|top| top.checked_sub(gap.into()));
            // Nothing lies below position 0, and gaps only lead down.
            self.top?;
            if let Some(range) = self.take(length) {
                return Some(range);
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.extra.len().saturating_add(1)))
    }
}

impl FusedIterator for AckRanges<'_> {}
