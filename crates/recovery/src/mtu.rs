//! The search for the largest datagram: RFC 8899 (DPLPMTUD). Sizes are whole UDP payloads.

use core::num::NonZeroU16;
use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::config::MtuConfig;
use crate::num::nanos;
use crate::time::Instant;

/// The search ends when what could be gained is less than this, bytes: under two percent of a packet.
const STEP: u16 = 20;
/// Round trips or timeouts in a row that lost large packets, with nothing as large acknowledged between, that make a
/// black hole. RFC 8899 5.1.2 (MAX_PROBES) takes the same number for probes.
const BLACK_HOLE: u8 = 3;

/// RFC 8899 5.2. BASE and ERROR are one here: the base size is what the caller vouches for, so there is nothing below to fall to.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Phase {
    Disabled,
    /// Only the base size is confirmed, and nothing of the path is known.
    Base,
    Searching,
    Complete,
}

/// What of the [`MtuConfig`] is asked for again.
#[derive(Copy, Clone, Debug)]
struct Limits {
    base: u16,
    max: u16,
    /// What is assumed before anything was probed.
    start: u16,
    max_probes: u8,
    search: bool,
    /// Nanoseconds, as the next.
    raise_after: u64,
    retry_after: u64,
}

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
struct Probe {
    order: u64,
    size: NonZeroU16,
}

#[derive(Debug)]
pub(crate) struct MtuSearch {
    config: Limits,
    phase: Phase,
    /// What the path is known to carry.
    current: u16,
    /// Nothing above is probed in this search.
    ceiling: u16,
    /// Lost probes of the size in question.
    failures: u8,
    /// The probe on its way: order and size.
    probe: Option<Probe>,
    next_search: Instant,
    suspicions: u8,
    /// Losses of what was sent below this order belong to the last suspicion.
    suspected_below: u64,
    /// The smallest of the packets that made the suspicions.
    smallest_lost: u16,
    /// Nanoseconds.
    retry_after: u64,
    /// The size that met the last black hole.
    buried: u16,
}

/// What an observation changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Change {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl MtuSearch {
    pub(crate) fn new(config: &MtuConfig) -> Self {
        Self::begin(Limits {
            base: config.base,
            max: config.max.max(config.base),
            start: config.start(),
            max_probes: config.max_probes.max(1),
            search: config.search,
            raise_after: nanos(config.raise_after),
            retry_after: nanos(config.retry_after),
        })
    }

    fn begin(config: Limits) -> Self {
        MtuSearch {
            phase: if config.search && config.max > config.base {
                Phase::Base
            } else {
                Phase::Disabled
            },
            current: config.start,
            ceiling: config.max,
            failures: 0,
            probe: None,
            next_search: Instant::ZERO,
            suspicions: 0,
            suspected_below: 0,
            smallest_lost: u16::MAX,
            retry_after: config.retry_after,
            buried: 0,
            config,
        }
    }

    pub(crate) const fn current(&self) -> u16 {
        self.current
    }

    /// The size to probe now. `confirmed`: the path has carried something already.
    pub(crate) fn poll(&mut self, now: Instant, confirmed: bool) -> Option<u16> {
        if self.probe.is_some() || !confirmed || now < self.next_search {
            return None;
        }
        match self.phase {
            Phase::Disabled => return None,
            // RFC 8899 5.2: the base is confirmed, or PMTU_RAISE_TIMER has run out.
            Phase::Base | Phase::Complete => {
                mark!(MtuSearchedAgain, self.next_search > Instant::ZERO);
                self.ceiling = self.config.max;
                self.failures = 0;
                self.phase = Phase::Searching;
            }
            Phase::Searching => {}
        }
        let candidate = self.candidate();
        if candidate.is_none() {
            self.finish(now);
        }
        candidate
    }

    pub(crate) fn on_probe_sent(&mut self, order: u64, size: u32) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        // What is known to pass teaches nothing.
        if size > self.current && self.probe.is_none() {
            self.probe = NonZeroU16::new(size).map(|size| Probe { order, size });
        }
    }

    pub(crate) fn on_probe_acked(&mut self, now: Instant, order: u64) -> Option<Change> {
        let size = self.probe.take_if(|probe| probe.order == order)?.size.get();
        let from = self.current;
        self.current = sabotage!(MtuNeverRaised, from, size.max(from));
        self.ceiling = self.ceiling.max(size);
        self.failures = 0;
        self.suspicions = 0;
        if size >= self.buried {
            // What was taken for a black hole was chance, or a blackout that is over.
            self.retry_after = self.config.retry_after;
        }
        if self.candidate().is_none() {
            self.finish(now);
        }
        (self.current != from).then_some(Change {
            from,
            to: self.current,
        })
    }

    pub(crate) fn on_probe_lost(&mut self, now: Instant, order: u64) {
        let Some(probe) = self.probe.take_if(|probe| probe.order == order) else {
            return;
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.config.max_probes {
            mark!(MtuRefused);
            // RFC 8899 5.1.3: MAX_PROBES lost, so this size does not pass.
            self.failures = 0;
            self.ceiling = probe.size.get().saturating_sub(1).max(self.current);
            if self.candidate().is_none() {
                self.finish(now);
            }
        }
    }

    /// An ordinary packet arrived.
    pub(crate) fn on_acked(&mut self, bytes: u32) {
        if self.suspicions > 0 && bytes >= u32::from(self.smallest_lost) {
            mark!(MtuSuspicionCleared);
            self.suspicions = 0;
            self.smallest_lost = u16::MAX;
        }
    }

    /// Ordinary packets were lost, or not answered in time; `bytes` is the largest of them, `order` the newest, and `next`
    /// what is sent next. RFC 8899 4.3: when nothing but the base passes any more, the larger size has met a black hole.
    ///
    /// The losses of one flight are one suspicion: a queue that overflows, or a burst, takes many packets at a time, and
    /// their timers expire one after the other without any acknowledgement between.
    pub(crate) fn on_suspicion(
        &mut self,
        now: Instant,
        bytes: u32,
        order: u64,
        next: u64,
    ) -> Option<Change> {
        if bytes <= u32::from(self.config.base)
            || sabotage!(BlackHoleIgnored)
            // What is lost would never be looked for again.
            || self.phase == Phase::Disabled
            || self.current <= self.config.base
            || order < self.suspected_below
        {
            return None;
        }
        self.suspected_below = next;
        self.suspicions = self.suspicions.saturating_add(1);
        self.smallest_lost = self
            .smallest_lost
            .min(u16::try_from(bytes).unwrap_or(u16::MAX));
        if self.suspicions < BLACK_HOLE {
            return None;
        }
        let from = self.current;
        self.buried = from;
        self.current = self.config.base;
        self.ceiling = self.config.max;
        self.suspicions = 0;
        self.smallest_lost = u16::MAX;
        self.failures = 0;
        self.probe = None;
        if self.phase != Phase::Disabled {
            self.phase = Phase::Base;
            self.next_search = now.saturating_add(Duration::from_nanos(self.retry_after));
            self.retry_after = self
                .retry_after
                .saturating_mul(2)
                .min(self.config.raise_after);
        }
        Some(Change {
            from,
            to: self.current,
        })
    }

    /// Somebody says that nothing larger passes: a router (RFC 8201 section 4; larger sizes are tried again after PMTU_RAISE_TIMER), or the
    /// peer, who never takes more (`for_ever`). Who says less than the base size is not believed so far.
    pub(crate) fn on_limit(&mut self, now: Instant, size: u16, for_ever: bool) -> Option<Change> {
        if for_ever {
            self.config.max = self.config.max.min(size);
            self.config.base = self.config.base.min(size);
        }
        let size = size.max(self.config.base);
        if size >= self.ceiling && size >= self.current {
            return None;
        }
        self.ceiling = self.ceiling.min(size);
        self.probe.take_if(|probe| probe.size.get() > size);
        let from = self.current;
        self.current = from.min(size);
        if self.phase != Phase::Disabled && !for_ever {
            self.failures = 0;
            self.finish(now);
        }
        (self.current != from).then_some(Change {
            from,
            to: self.current,
        })
    }

    /// RFC 8899 5.2: another path, another search.
    pub(crate) fn on_path_change(&mut self) -> Option<Change> {
        let from = self.current;
        *self = MtuSearch::begin(self.config);
        (from != self.current).then_some(Change {
            from,
            to: self.current,
        })
    }

    /// The most optimistic size first, since it is nearly always right; then halving.
    fn candidate(&self) -> Option<u16> {
        if self.ceiling == self.config.max && self.current < self.ceiling {
            return Some(self.ceiling);
        }
        let gap = self.ceiling.saturating_sub(self.current);
        (gap >= STEP).then(|| self.current.saturating_add(gap.div_ceil(2)))
    }

    fn finish(&mut self, now: Instant) {
        mark!(MtuSearchFinished);
        self.phase = Phase::Complete;
        self.next_search = now.saturating_add(Duration::from_nanos(self.config.raise_after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// Probes a path that carries `limit` until the search rests; the sizes probed.
    fn search(mtu: &mut MtuSearch, now: Instant, limit: u16) -> Vec<u16> {
        let mut sizes = Vec::new();
        while let Some(size) = mtu.poll(now, true) {
            let order = u64::try_from(sizes.len()).unwrap();
            sizes.push(size);
            assert!(sizes.len() < 100, "the search ends");
            mtu.on_probe_sent(order, u32::from(size));
            assert_eq!(mtu.poll(now, true), None, "one probe at a time");
            if size <= limit {
                assert!(mtu.on_probe_acked(now, order).is_some());
            } else {
                mtu.on_probe_lost(now, order);
            }
        }
        sizes
    }

    /// A loss in a flight of its own.
    fn suspect(mtu: &mut MtuSearch, now: Instant, bytes: u32) -> Option<Change> {
        let order = mtu.suspected_below;
        mtu.on_suspicion(now, bytes, order, order + 10)
    }

    #[test]
    fn the_losses_of_one_flight_are_one_suspicion() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        search(&mut mtu, at(0), 1500);
        for (flight, next) in [(0, 100), (100, 200)] {
            for order in 0..100 {
                assert_eq!(mtu.on_suspicion(at(1), 1472, flight + order, next), None);
            }
        }
        assert!(mtu.on_suspicion(at(1), 1472, 200, 300).is_some());
    }

    #[test]
    fn a_usual_path_takes_one_probe() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        assert_eq!(
            mtu.poll(at(0), false),
            None,
            "the base is not confirmed yet"
        );
        assert_eq!(search(&mut mtu, at(0), 1500), [1472]);
        assert_eq!((mtu.current(), mtu.phase), (1472, Phase::Complete));
    }

    #[test]
    fn rfc8899_5_3_every_limit_is_found_within_the_step() {
        for limit in 1200..1500 {
            let mut mtu = MtuSearch::new(&MtuConfig::default());
            let sizes = search(&mut mtu, at(0), limit);
            assert!(mtu.current() <= limit);
            assert!(
                mtu.current() + STEP >= limit.min(1472),
                "{limit}: {}",
                mtu.current()
            );
            assert!(sizes.len() <= 20, "{limit}: {sizes:?}");
        }
    }

    #[test]
    fn rfc8899_5_1_2_a_size_is_given_up_after_three_losses() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        let sizes = search(&mut mtu, at(0), 1300);
        assert_eq!(sizes[..4], [1472, 1472, 1472, 1336]);
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        for order in 0..2 {
            assert_eq!(mtu.poll(at(0), true), Some(1472));
            mtu.on_probe_sent(order, 1472);
            mtu.on_probe_lost(at(0), order);
        }
        assert_eq!(
            search(&mut mtu, at(0), 1500),
            [1472],
            "the third time it passes"
        );
    }

    #[test]
    fn rfc8899_5_1_1_the_search_is_raised_again_later() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        search(&mut mtu, at(0), 1300);
        assert_eq!(mtu.poll(at(599), true), None);
        assert_eq!(search(&mut mtu, at(600), 1500), [1472]);
        assert_eq!(mtu.poll(at(1201), true), None, "nothing left to gain");
    }

    #[test]
    fn rfc8899_4_3_a_black_hole_drops_to_the_base_and_is_searched_again() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        search(&mut mtu, at(0), 1500);
        assert_eq!(suspect(&mut mtu, at(10), 1472), None);
        assert_eq!(
            suspect(&mut mtu, at(10), 1200),
            None,
            "small ones prove nothing"
        );
        assert_eq!(suspect(&mut mtu, at(10), 1472), None);
        mtu.on_acked(1200);
        assert_eq!(
            suspect(&mut mtu, at(10), 1472),
            Some(Change {
                from: 1472,
                to: 1200
            })
        );
        assert_eq!(mtu.poll(at(10), true), None);
        search(&mut mtu, at(11), 1250);
        assert!((1231..=1250).contains(&mtu.current()));
        // The second time patience is twice as long.
        for _ in 0..3 {
            suspect(&mut mtu, at(30), 1240);
        }
        assert_eq!(mtu.current(), 1200);
        assert_eq!(mtu.poll(at(31), true), None);
        assert_eq!(mtu.poll(at(32), true), Some(1472));
    }

    #[test]
    fn patience_returns_when_what_vanished_passes_again() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        search(&mut mtu, at(0), 1500);
        for round in 1..20 {
            // Three timeouts by chance.
            for _ in 0..3 {
                suspect(&mut mtu, at(round * 10), 1472);
            }
            assert_eq!(mtu.current(), 1200);
            assert_eq!(mtu.poll(at(round * 10), true), None);
            search(&mut mtu, at(round * 10 + 1), 1500);
            assert_eq!(mtu.current(), 1472);
        }
    }

    #[test]
    fn large_packets_that_arrive_lift_the_suspicion() {
        let mut mtu = MtuSearch::new(&MtuConfig::default());
        search(&mut mtu, at(0), 1500);
        for _ in 0..10 {
            assert_eq!(suspect(&mut mtu, at(1), 1472), None);
            assert_eq!(suspect(&mut mtu, at(1), 1472), None);
            mtu.on_acked(1472);
        }
        assert_eq!(mtu.current(), 1472);
    }

    #[test]
    fn other_probes_and_strange_settings_are_harmless() {
        let config = MtuConfig {
            base: 1400,
            max: 1200,
            max_probes: 0,
            ..MtuConfig::default()
        };
        let mut mtu = MtuSearch::new(&config);
        assert_eq!((mtu.poll(at(0), true), mtu.current()), (None, 1400));
        let mut mtu = MtuSearch::new(&MtuConfig {
            search: false,
            ..MtuConfig::default()
        });
        assert_eq!(mtu.poll(at(0), true), None);
        mtu.on_probe_sent(1, 900);
        assert_eq!(mtu.on_probe_acked(at(0), 1), None);
        mtu.on_probe_sent(2, 1300);
        mtu.on_probe_lost(at(0), 99);
        assert_eq!(
            mtu.on_probe_acked(at(0), 2),
            Some(Change {
                from: 1200,
                to: 1300
            })
        );
        assert!(mtu.on_path_change().is_some());
        assert_eq!(mtu.current(), 1200);
    }
}
