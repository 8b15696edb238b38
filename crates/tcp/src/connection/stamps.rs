//! Timestamps: round trips, and numbers that come around (RFC 7323 sections 3 to 5).

use crate::wire::Timestamps;
use core::time::Duration;
use gapless_recovery::Instant;
use gapless_seq::{Wire32, sabotage};

/// How long the peer's clock may be remembered: before its sign can turn (RFC 7323 5.5).
const VALID_FOR: Duration = Duration::from_secs(24 * 24 * 3600);

/// The clock of our timestamps ticks once a millisecond (RFC 7323 5.4 allows 1 ms to 1 s).
const TICK: Duration = Duration::from_millis(1);

/// Both clocks of a connection that agreed on timestamps.
#[derive(Debug)]
pub(super) struct Stamps {
    /// Where our clock stood at the epoch: another for each connection, so that it tells nothing about us (RFC 7323 section 7.1).
    offset: u32,
    /// The peer's clock, as a position that never wraps (RFC 7323 4.3, TS.Recent).
    recent: u64,
    /// When that was noted.
    noted: Instant,
}

/// What the check against numbers of an earlier round says (RFC 7323 5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Paws {
    /// Goes on.
    Fresh,
    /// Older than what was seen: it is to be acknowledged and dropped.
    Old,
}

impl Stamps {
    /// The peer's first one.
    pub(super) fn new(now: Instant, offset: u32, first: Wire32) -> Self {
        Self {
            offset,
            // Far enough from zero that an older one has a position too.
            recent: first.expand(1 << 32),
            noted: now,
        }
    }

    /// RFC 7323 5.3, R1.
    pub(super) fn judge(&self, now: Instant, stamps: Timestamps) -> Paws {
        let age = now.saturating_duration_since(self.noted);
        let value = sabotage!(
            StampWrapIgnored,
            self.recent & !u64::from(u32::MAX) | u64::from(u32::from(stamps.value)),
            stamps.value.expand(self.recent)
        );
        let oldest = self.recent.saturating_add(sabotage!(PawsOffByOne, 1, 0));
        if age < VALID_FOR && value < oldest {
            Paws::Old
        } else {
            Paws::Fresh
        }
    }

    /// RFC 7323 4.3 (2): of a segment that begins at or before what was acknowledged last.
    pub(super) fn note(&mut self, now: Instant, stamps: Timestamps) {
        let value = stamps.value.expand(self.recent);
        let age = now.saturating_duration_since(self.noted);
        if value >= self.recent || age >= VALID_FOR {
            self.recent = value;
            self.noted = now;
        }
    }

    /// For a segment that leaves now.
    pub(super) fn current(&self, now: Instant) -> Timestamps {
        Timestamps {
            value: clock(now, self.offset),
            echo: Wire32::truncate(self.recent),
        }
    }

    /// How long ago we sent what the peer echoes (RFC 7323 4.1). `None` if that cannot be: it is no echo of ours then.
    pub(super) fn round_trip(&self, now: Instant, stamps: Timestamps) -> Option<Duration> {
        let ticks = u32::try_from(self.age(now, stamps)?).ok()?;
        Some(TICK.saturating_mul(ticks))
    }

    /// When the tick after that of the echo began: what left from then on is not what the peer echoes.
    pub(super) fn left_before(&self, now: Instant, stamps: Timestamps) -> Option<Instant> {
        let age = self.age(now, stamps)?;
        let tick = ticks(now).checked_sub(age)?.checked_add(1)?;
        Some(Instant::from_nanos(tick.checked_mul(NANOS_PER_TICK)?))
    }

    /// Ticks since the echo. `None` if it lies in the future.
    fn age(&self, now: Instant, stamps: Timestamps) -> Option<u64> {
        let current = clock(now, self.offset).expand(1 << 32);
        current.checked_sub(stamps.echo.expand(current))
    }
}

/// Our clock: for a SYN, before there is a peer.
pub(super) fn clock(now: Instant, offset: u32) -> Wire32 {
    Wire32::truncate(ticks(now).wrapping_add(u64::from(offset)))
}

fn ticks(now: Instant) -> u64 {
    now.as_nanos()
        .checked_div(NANOS_PER_TICK)
        .unwrap_or_default()
}

const NANOS_PER_TICK: u64 = 1_000_000;
