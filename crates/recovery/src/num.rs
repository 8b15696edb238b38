//! Conversions between integer widths: total, and free on 64-bit machines.

use core::time::Duration;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Positions beyond `usize` name no slot of any memory, so saturation means "not there".
pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

pub(crate) fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

pub(crate) fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Saturates after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(NANOS_PER_SEC)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

/// `value * numerator / denominator` without overflow on the way; zero denominators give `u64::MAX`,
/// because every caller divides by something that grows without bound when its quotient vanishes.
pub(crate) fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    // A 64-bit division is several times cheaper, and nearly every product fits.
    if let Some(product) = value.checked_mul(numerator) {
        return product.checked_div(denominator).unwrap_or(u64::MAX);
    }
    let product = u128::from(value).saturating_mul(u128::from(numerator));
    product
        .checked_div(u128::from(denominator))
        .map_or(u64::MAX, |quotient| {
            u64::try_from(quotient).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_saturates_and_keeps_precision() {
        assert_eq!(scale(u64::MAX, 3, 4), u64::MAX / 4 * 3 + 2);
        assert_eq!(scale(u64::MAX, 2, 1), u64::MAX);
        assert_eq!(scale(7, 3, 0), u64::MAX);
        assert_eq!(scale(7, 3, 2), 10);
    }

    #[test]
    fn nanos_saturate() {
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        assert_eq!(nanos(Duration::from_millis(3)), 3_000_000);
    }
}
