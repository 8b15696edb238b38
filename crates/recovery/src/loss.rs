//! When a transmission is lost: RACK, RFC 8985 section 6, and when its loss was an error.

use gapless_seq::{mark, sabotage};

use crate::num::nanos;
use crate::rtt::{GRANULARITY, Rtt};
use crate::time::Instant;

/// RFC 8985 6.2 step 4 (DupThresh), RFC 9002 6.1.1, UDX 18.5: three later ones delivered, while no reordering was seen.
const PACKET_THRESHOLD: u64 = 3;
/// RFC 8985 6.2 step 4: the window starts at a quarter of the minimal round trip time ...
const WINDOW_DIVISOR: u64 = 4;
/// ... and what widened it is forgotten after 16 recoveries without a spurious loss.
const PERSISTENCE: u8 = 16;

#[derive(Debug)]
pub(crate) struct Rack {
    /// The newest delivered transmission.
    newest: u64,
    reordering_seen: bool,
    multiplier: u8,
    persist: u8,
    /// The multiplier grows once per round trip: not before this one is delivered.
    round_end: u64,
}

impl Rack {
    pub(crate) const fn new() -> Self {
        Rack {
            newest: 0,
            reordering_seen: false,
            multiplier: 1,
            persist: PERSISTENCE,
            round_end: 0,
        }
    }

    /// Transmissions below this order were sent before one that was delivered.
    pub(crate) const fn newest(&self) -> u64 {
        self.newest
    }

    pub(crate) fn on_delivered(&mut self, order: u64) {
        self.newest = self.newest.max(order);
    }

    /// RFC 8985 6.2 step 3: one was delivered after a later one.
    pub(crate) fn on_reordering(&mut self) {
        mark!(ReorderingSeen, !self.reordering_seen);
        self.reordering_seen = true;
    }

    /// RFC 8985 6.2 step 4: a DSACK, or here the late acknowledgement itself, proves the window too small.
    pub(crate) fn on_spurious(&mut self, next: u64) {
        self.reordering_seen = true;
        self.persist = PERSISTENCE;
        if self.newest >= self.round_end {
            mark!(ReorderingWindowWidened);
            self.round_end = next;
            self.multiplier = self.multiplier.saturating_add(1);
        }
    }

    pub(crate) fn on_recovery(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            mark!(ReorderingWindowForgotten, self.multiplier > 1);
            self.multiplier = 1;
            self.persist = PERSISTENCE;
        }
    }

    /// Time after its sending at which a transmission is lost if a later one was delivered, ns.
    pub(crate) fn delay(&self, rtt: &Rtt) -> u64 {
        // RFC 8985 6.2 step 4: min_RTT / 4 times the multiplier, at most SRTT.
        let min = if rtt.samples() == 0 {
            rtt.smoothed_nanos()
        } else {
            rtt.min_nanos()
        };
        let window = (min / WINDOW_DIVISOR)
            .saturating_mul(u64::from(self.multiplier))
            .min(rtt.smoothed_nanos());
        // RFC 9002 6.1.2: from the larger of the smoothed and the latest round trip time, and no finer than timers are.
        rtt.smoothed_nanos()
            .max(rtt.prompt_nanos())
            .saturating_add(window)
            .max(GRANULARITY)
    }

    /// `delay` as returned above, for the same instant.
    /// `in_recovery`: a loss that is being repaired is known already.
    pub(crate) fn is_lost(
        &self,
        order: u64,
        sent_at: Instant,
        now: Instant,
        delay: u64,
        in_recovery: bool,
    ) -> bool {
        // RFC 8985 6.2 step 4: in recovery the reordering window is nothing. Each packet counts there: in a window of a few, three
        // more would take another round trip.
        let threshold = if in_recovery { 1 } else { PACKET_THRESHOLD };
        // RFC 8985 6.2 step 4: once reordering was seen, counting packets proves nothing (V15).
        let by_count = !self.reordering_seen && self.newest.saturating_sub(order) >= threshold;
        let by_time =
            nanos(now.saturating_duration_since(sent_at)) >= delay && !sabotage!(LossByCountOnly);
        mark!(LostByCount, by_count && !by_time);
        mark!(LostByTime, by_time && !by_count);
        by_count || by_time
    }
}

/// Losses that made one reduction of the window.
#[derive(Debug)]
pub(crate) struct Episode {
    id: u32,
    /// Losses of what was sent below this order belong to it (RecoveryPoint).
    end: u64,
    losses: u64,
    spurious: u64,
    undoable: bool,
}

impl Episode {
    pub(crate) const fn new() -> Self {
        Episode {
            id: 0,
            end: 0,
            losses: 0,
            spurious: 0,
            undoable: false,
        }
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Whether its losses are still being repaired, now that `newest` is the newest delivered transmission.
    pub(crate) const fn is_repairing(&self, newest: u64) -> bool {
        self.losses > 0 && newest < self.end
    }

    /// Counts a loss; whether it begins a new episode, which ends with what is sent now.
    pub(crate) fn on_loss(&mut self, order: u64, next: u64) -> bool {
        let begins = order >= self.end;
        if begins {
            *self = Episode {
                id: self.id.wrapping_add(1),
                end: next,
                losses: 0,
                spurious: 0,
                undoable: true,
            };
        }
        self.losses = self.losses.saturating_add(1);
        begins
    }

    /// A router told of congestion: an episode without losses, unless one is going on. Whether it begins.
    pub(crate) fn on_told(&mut self, newest: u64, next: u64) -> bool {
        let begins = newest >= self.end;
        if begins {
            *self = Episode {
                id: self.id.wrapping_add(1),
                end: next,
                losses: 0,
                spurious: 0,
                // Nobody takes back what a router said.
                undoable: false,
            };
        }
        begins
    }

    /// A loss of the episode `id` was an error; whether that was the last of this one's, so that it never happened.
    pub(crate) fn on_spurious(&mut self, id: u32) -> bool {
        if id != self.id || !self.undoable {
            mark!(SpuriousLossTooLate);
            return false;
        }
        self.spurious = self.spurious.saturating_add(1);
        if self.spurious < self.losses {
            return false;
        }
        // What is lost from now on begins an episode of its own.
        self.undoable = false;
        self.end = 0;
        true
    }

    /// The episode `id` was an error as a whole; whether it was this one.
    pub(crate) fn on_all_spurious(&mut self, id: u32) -> bool {
        self.spurious = self.losses;
        self.on_spurious(id)
    }

    /// What has happened since cannot be undone.
    pub(crate) fn keep(&mut self) {
        self.undoable = false;
    }

    /// Packets sent before `next` tell nothing about the new path.
    pub(crate) fn on_path_change(&mut self, next: u64) {
        self.undoable = false;
        self.losses = 0;
        self.end = next;
    }
}

/// RFC 9002 7.6: losses in a row, over a time in which the peer would have answered something.
#[derive(Debug)]
pub(crate) struct PersistentCongestion {
    run_started: Option<Instant>,
    first_sample_at: Option<Instant>,
}

/// RFC 9002 7.6.1: kPersistentCongestionThreshold.
const PERSISTENT_TIMEOUTS: u64 = 3;

impl PersistentCongestion {
    pub(crate) const fn new() -> Self {
        PersistentCongestion {
            run_started: None,
            first_sample_at: None,
        }
    }

    pub(crate) fn on_sample(&mut self, now: Instant) {
        self.first_sample_at.get_or_insert(now);
    }

    /// A transmission of `sent_at` is lost; `after_delivered`: one before it was not. Whether the run is long enough.
    pub(crate) fn on_loss(
        &mut self,
        sent_at: Instant,
        after_delivered: bool,
        timeout: u64,
    ) -> bool {
        let started = match self.run_started {
            Some(started) if !after_delivered => started,
            _ => *self.run_started.insert(sent_at),
        };
        // RFC 9002 7.6.2: only packets sent after the first sample count.
        self.first_sample_at.is_some_and(|first| first <= started)
            && nanos(sent_at.saturating_duration_since(started))
                >= timeout.saturating_mul(PERSISTENT_TIMEOUTS)
    }

    /// The run was judged; another one must start anew.
    pub(crate) fn reset(&mut self) {
        self.run_started = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn rtt(millis: u64) -> Rtt {
        let mut rtt = Rtt::new(ms(100));
        for _ in 0..100 {
            rtt.sample(Instant::ZERO, ms(millis), Duration::ZERO);
        }
        rtt
    }

    #[test]
    fn rfc8985_6_2_the_window_is_a_quarter_and_widens_once_per_round() {
        let rtt = rtt(40);
        let mut rack = Rack::new();
        assert_eq!(rack.delay(&rtt), nanos(ms(50)));
        rack.on_delivered(10);
        rack.on_spurious(20);
        assert_eq!(rack.delay(&rtt), nanos(ms(60)));
        rack.on_spurious(21);
        assert_eq!(rack.delay(&rtt), nanos(ms(60)), "the same round trip");
        for round in 2..10 {
            rack.on_delivered(round * 10);
            rack.on_spurious(round * 10 + 10);
        }
        assert_eq!(
            rack.delay(&rtt),
            nanos(ms(80)),
            "never beyond the smoothed round trip time"
        );
        for _ in 0..16 {
            assert_eq!(rack.delay(&rtt), nanos(ms(80)));
            rack.on_recovery();
        }
        assert_eq!(rack.delay(&rtt), nanos(ms(50)));
    }

    #[test]
    fn r21_the_multiplier_saturates() {
        let mut rack = Rack::new();
        for round in 0..1000 {
            rack.on_delivered(round);
            rack.on_spurious(round);
        }
        assert_eq!(rack.multiplier, u8::MAX);
    }

    #[test]
    fn rfc8985_6_2_three_later_packets_count_only_without_reordering() {
        let rtt = rtt(40);
        let mut rack = Rack::new();
        rack.on_delivered(13);
        let delay = rack.delay(&rtt);
        assert!(rack.is_lost(10, Instant::ZERO, Instant::ZERO, delay, false));
        assert!(!rack.is_lost(11, Instant::ZERO, Instant::ZERO, delay, false));
        assert!(!rack.is_lost(11, Instant::ZERO, Instant::ZERO + ms(49), delay, false));
        assert!(rack.is_lost(11, Instant::ZERO, Instant::ZERO + ms(50), delay, false));
        rack.on_reordering();
        assert!(!rack.is_lost(10, Instant::ZERO, Instant::ZERO, delay, false));
    }

    #[test]
    fn rfc8985_6_2_in_recovery_one_later_packet_is_enough_without_reordering() {
        let rtt = rtt(40);
        let mut rack = Rack::new();
        rack.on_delivered(13);
        let delay = rack.delay(&rtt);
        assert!(rack.is_lost(12, Instant::ZERO, Instant::ZERO, delay, true));
        assert!(!rack.is_lost(13, Instant::ZERO, Instant::ZERO, delay, true));
        rack.on_reordering();
        assert!(!rack.is_lost(12, Instant::ZERO, Instant::ZERO, delay, true));
    }

    #[test]
    fn an_episode_is_undone_by_its_own_losses_only() {
        let mut episode = Episode::new();
        assert!(episode.on_loss(5, 20));
        let first = episode.id();
        assert!(!episode.on_loss(19, 21));
        assert!(!episode.on_spurious(first));
        assert!(!episode.on_spurious(first.wrapping_sub(1)));
        assert!(episode.on_spurious(first));
        assert!(!episode.on_spurious(first), "once");
        assert!(episode.on_loss(6, 30), "afterwards every loss counts again");
        assert!(episode.on_loss(30, 40));
        assert!(!episode.on_spurious(first));
    }

    #[test]
    fn rfc9002_7_6_example_of_a_long_run() {
        let timeout = nanos(ms(300));
        let at = |millis| Instant::ZERO + ms(millis);
        let mut run = PersistentCongestion::new();
        assert!(!run.on_loss(at(0), true, timeout));
        assert!(
            !run.on_loss(at(5000), false, timeout),
            "no sample before the run"
        );
        run.on_sample(at(0));
        run.reset();
        assert!(!run.on_loss(at(1000), true, timeout));
        assert!(!run.on_loss(at(1899), false, timeout));
        assert!(
            !run.on_loss(at(1900), true, timeout),
            "one between was delivered"
        );
        assert!(!run.on_loss(at(2799), false, timeout));
        assert!(run.on_loss(at(2800), false, timeout));
    }
}
