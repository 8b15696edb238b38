//! How large a window the path asks for: what the application takes out in a round trip, and what it will take in the next ones.

use core::time::Duration;
use gapless_recovery::Instant;

/// Measures in rounds of a round trip.
///
/// A window bounds a sender if as much as it holds arrives within a round trip; and it bounds him for no good if the application takes that
/// out as fast. So the window is to hold twice what is taken out in a round trip: one round trip's worth on its way, and one of which the
/// peer has yet to hear that it was taken out. A reader who is slow takes out little, and more room would only keep more octets waiting for
/// him.
#[derive(Debug)]
pub(crate) struct Tuning {
    /// When the round began; never before the first octet.
    since: Instant,
    /// Up to here the application had taken everything out then.
    read: u64,
    /// What it took out in the round before, octets.
    before: u32,
    /// The least round trip time that was seen in this round, as every sender may wait before he sends; microseconds, [`UNSEEN`] if none was.
    round_trip: u32,
}

const UNSEEN: u32 = u32::MAX;

impl Tuning {
    /// Before the first octet.
    pub(crate) const fn new() -> Self {
        Self {
            since: Instant::MAX,
            read: 0,
            before: 0,
            round_trip: UNSEEN,
        }
    }

    /// Octets arrived at `now`, when the application had taken out everything below `read`. `echoed` is a round trip time that the segment
    /// tells, and `known` the one to go by if none does. Returns, once in a round trip, how large the window is to be.
    pub(crate) fn on_data(
        &mut self,
        now: Instant,
        read: u64,
        echoed: Option<Duration>,
        known: Duration,
    ) -> Option<u64> {
        if self.since == Instant::MAX {
            self.begin(now, read);
            return None;
        }
        if let Some(echoed) = echoed {
            let micros = u32::try_from(echoed.as_micros()).unwrap_or(UNSEEN);
            self.round_trip = self.round_trip.min(micros);
        }
        let seen = (self.round_trip != UNSEEN).then_some(self.round_trip);
        let seen = seen.map(|micros| Duration::from_micros(micros.into()));
        let round_trip = seen.unwrap_or(known).max(SHORTEST);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < round_trip {
            return None;
        }
        let taken = share(read.saturating_sub(self.read), round_trip, elapsed);
        // A sender in slow start brings twice as much in each round, and what is told now counts in the next one but one.
        let growth = taken.saturating_sub(self.before.into());
        let expected = taken.saturating_add(growth.saturating_mul(2));
        self.before = u32::try_from(taken).unwrap_or(u32::MAX);
        self.begin(now, read);
        Some(expected.saturating_mul(2))
    }

    const fn begin(&mut self, now: Instant, read: u64) {
        self.since = now;
        self.read = read;
        self.round_trip = UNSEEN;
    }
}

/// What of `octets`, which took `elapsed`, falls to one round trip.
fn share(octets: u64, round_trip: Duration, elapsed: Duration) -> u64 {
    let product = u128::from(octets).saturating_mul(round_trip.as_nanos());
    let share = product
        .checked_div(elapsed.as_nanos())
        .unwrap_or(octets.into());
    u64::try_from(share).unwrap_or(octets)
}

/// Within a machine a round trip is no measure: what the clock of timestamps can tell at least (RFC 7323 4.1).
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(100);

    /// Rounds of ten segments, in each of which the application takes out so much.
    fn rounds(tuning: &mut Tuning, begin: u64, taken: &[u64]) -> Vec<u64> {
        let mut now = Instant::from_nanos(begin);
        let mut read = 0;
        let mut wanted = Vec::new();
        tuning.on_data(now, read, Some(ROUND), ROUND);
        for octets in taken {
            for _ in 0..10 {
                now += ROUND / 10;
                read += octets / 10;
                wanted.extend(tuning.on_data(now, read, Some(ROUND), Duration::ZERO));
            }
        }
        wanted
    }

    extern crate std;
    use std::vec::Vec;

    #[test]
    fn a_steady_reader_gets_two_rounds_and_a_growing_one_more() {
        let mut tuning = Tuning::new();
        let wanted = rounds(&mut tuning, 1, &[10_000, 20_000, 40_000, 40_000, 40_000]);
        // The first is all growth; then it doubles; then it stays.
        assert_eq!(wanted, [60_000, 80_000, 160_000, 80_000, 80_000]);
    }

    #[test]
    fn a_reader_who_sleeps_gets_nothing() {
        let mut tuning = Tuning::new();
        assert_eq!(rounds(&mut tuning, 1, &[0, 0, 0]), [0, 0, 0]);
    }

    #[test]
    fn what_took_long_is_no_rounds_worth() {
        let mut tuning = Tuning::new();
        let start = Instant::from_nanos(0);
        assert_eq!(tuning.on_data(start, 0, Some(ROUND), ROUND), None);
        let later = start + ROUND * 50;
        assert_eq!(
            tuning.on_data(later, 100_000, Some(ROUND), ROUND),
            Some(2 * 3 * 2000)
        );
    }

    #[test]
    fn the_least_echo_of_a_round_counts_and_nothing_overflows() {
        let mut tuning = Tuning::new();
        let start = Instant::from_nanos(0);
        tuning.on_data(start, 0, None, ROUND);
        assert_eq!(
            tuning.on_data(start + ROUND / 2, 5, Some(ROUND), ROUND),
            None
        );
        let wanted = tuning.on_data(start + ROUND / 2, u64::MAX, Some(ROUND / 4), ROUND);
        assert_eq!(wanted, Some(u64::MAX));
        // Time that stands still is no round.
        assert_eq!(
            tuning.on_data(
                start + ROUND / 2,
                u64::MAX,
                Some(Duration::ZERO),
                Duration::ZERO
            ),
            None
        );
    }
}
