//! Conversions between sizes in memory and positions, without a way to fail.

/// A size as a number of positions.
pub(crate) fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A number of positions as a size; what no memory can hold becomes the largest one.
pub(crate) fn index(positions: u64) -> usize {
    usize::try_from(positions).unwrap_or(usize::MAX)
}

/// The low half.
pub(crate) fn low(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or(0)
}
