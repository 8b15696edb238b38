//! Numbers as they stand on the wire.

/// A wire number of `BITS` bits, 1 to 64 (any other width does not compile).
///
/// It stands for every position that is congruent to it modulo `2^BITS`; which one is meant can be
/// told only near an expected position, by [`expand`](Wire::expand). So it can be compared for
/// equality, but has neither order nor arithmetic.
///
/// ```compile_fail
/// use gapless_seq::Wire32;
/// assert!(Wire32::from(1) < Wire32::from(2)); // which of them wrapped?
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Wire<const BITS: u32>(u64);

/// A wire number of 8 bits: narrow enough to be tested exhaustively.
pub type Wire8 = Wire<8>;
/// A wire number of 16 bits.
pub type Wire16 = Wire<16>;
/// A wire number of 32 bits: packet numbers of UDX, sequence numbers of TCP (RFC 9293 3.4).
pub type Wire32 = Wire<32>;
/// A wire number of 64 bits, which is its position.
pub type Wire64 = Wire<64>;

impl<const BITS: u32> Wire<BITS> {
    /// The low `BITS` bits set.
    const MASK: u64 = match 64_u32.checked_sub(BITS) {
        Some(unused) if unused < 64 => u64::MAX >> unused,
        _ => panic!("a wire number has 1 to 64 bits"),
    };

    /// The wire number with these bits; those above `BITS` are dropped.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw & Self::MASK)
    }

    /// The bits, below `2^BITS`.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The wire number that stands for `position`.
    #[must_use]
    pub const fn truncate(position: u64) -> Self {
        Self::new(position)
    }

    /// The position that this number stands for, near `expected`: of all positions congruent to it
    /// the nearest one; of two equally near the higher; of those outside `u64` none.
    ///
    /// It is therefore never more than `2^(BITS-1)` from `expected`, except within that distance of
    /// position 0 and of `u64::MAX`, where the nearest one may not exist.
    ///
    /// ```
    /// use gapless_seq::Wire8;
    /// assert_eq!(Wire8::from(0x02).expand(0x1ff), 0x202);
    /// assert_eq!(Wire8::from(0xfe).expand(0x201), 0x1fe);
    /// assert_eq!(Wire8::from(0xfe).expand(0x001), 0x0fe); // there is no position -2
    /// ```
    #[must_use]
    pub const fn expand(self, expected: u64) -> u64 {
        let ahead = self.0.wrapping_sub(expected) & Self::MASK;
        let behind = expected.wrapping_sub(self.0) & Self::MASK;
        let (near, far) = if ahead <= behind {
            (expected.checked_add(ahead), expected.checked_sub(behind))
        } else {
            (expected.checked_sub(behind), expected.checked_add(ahead))
        };
        match (near, far) {
            (Some(position), _) | (None, Some(position)) => position,
            // One of the two always exists: both distances together are 2^BITS.
            (None, None) => expected,
        }
    }
}

macro_rules! from_integer {
    ($bits:literal, $integer:ty) => {
        impl From<$integer> for Wire<$bits> {
            fn from(raw: $integer) -> Self {
                Self::new(u64::from(raw))
            }
        }

        impl From<Wire<$bits>> for $integer {
            fn from(wire: Wire<$bits>) -> Self {
                // Never saturates: the mask has seen to it.
                Self::try_from(wire.raw()).unwrap_or(Self::MAX)
            }
        }
    };
}

from_integer!(8, u8);
from_integer!(16, u16);
from_integer!(32, u32);

impl From<u64> for Wire<64> {
    fn from(raw: u64) -> Self {
        Self::new(raw)
    }
}

impl From<Wire<64>> for u64 {
    fn from(wire: Wire<64>) -> Self {
        wire.raw()
    }
}
