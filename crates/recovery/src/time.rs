//! The caller's clock, as a number.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

use crate::num::nanos;

/// A point in time: nanoseconds since an epoch that the caller chooses.
///
/// Engines hold no clock; every call brings the time. All arithmetic saturates, so no caller's clock can
/// make an engine fail: 64 bits of nanoseconds last 584 years.
///
/// ```
/// use core::time::Duration;
/// use gapless_recovery::Instant;
///
/// let start = Instant::from_nanos(5);
/// let later = start + Duration::from_nanos(7);
/// assert_eq!(later.saturating_duration_since(start), Duration::from_nanos(7));
/// assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
/// ```
/// An `Option` of it is no larger: connections keep a dozen of times that are mostly not set.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Instant = Instant(NonZeroU64::MIN);
    /// The last representable point in time, 2^64 - 2 nanoseconds after the epoch.
    pub const MAX: Instant = Instant(NonZeroU64::MAX);

    /// The point `nanos` nanoseconds after the epoch, at most [`Instant::MAX`].
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(Self::ZERO.0.saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get().saturating_sub(Self::ZERO.0.get())
    }

    /// `duration` later, at most [`Instant::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(duration)))
    }

    /// `duration` earlier, at least [`Instant::ZERO`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Instant {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos(duration)))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is in fact later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instant").field(&self.as_nanos()).finish()
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        self.saturating_add(duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = self.saturating_add(duration);
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        self.saturating_sub(duration)
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + Duration::from_nanos(1), Instant::MAX);
        assert_eq!(Instant::ZERO - Duration::MAX, Instant::ZERO);
        assert_eq!(Instant::ZERO - Instant::MAX, Duration::ZERO);
        assert_eq!(
            Instant::MAX - Instant::ZERO,
            Duration::from_nanos(u64::MAX - 1)
        );
        assert_eq!(Instant::from_nanos(u64::MAX), Instant::MAX);
    }

    #[test]
    fn a_time_that_may_be_missing_is_no_larger() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
        for nanos in [0, 1, 7, u64::MAX - 1] {
            assert_eq!(Instant::from_nanos(nanos).as_nanos(), nanos);
        }
        assert_eq!(Instant::default().as_nanos(), 0);
        assert!(Instant::ZERO < Instant::from_nanos(1));
        assert_eq!(alloc::format!("{:?}", Instant::from_nanos(5)), "Instant(5)");
    }
}
