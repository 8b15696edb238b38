//! The path: what is wrong with it first, and what it is in the calm.

use crate::choices::Draw;
use crate::plan::{MS, Route, SECOND, Time};
use gapless_link::{Aqm, Blackout, Cross, Profile, Queue, Random, Share, Spike};
use std::time::Duration;

impl Draw<'_> {
    /// The paths while they are bad and in the calm, from the dialer and to it, and other routes in between.
    pub(crate) fn paths(
        &mut self,
        seed: u64,
        calm_from: Time,
    ) -> ([Profile; 2], Vec<Route>, [Profile; 2]) {
        let there = self.faults(seed, calm_from);
        let mut back = if self.chance(2, 3) {
            self.faults(seed, calm_from)
        } else {
            there.clone()
        };
        let poisoned = self.one_in(20);
        let mut faults = [there, back.clone()];
        if poisoned {
            faults.iter_mut().for_each(|profile| self.poison(profile));
            back.checksum = false;
        }
        let routes = self.routes(&faults, calm_from);
        let last = routes.last().map_or(&faults, |route| &route.paths);
        let mut calm = last.each_ref().map(calm);
        if self.one_in(12) {
            // Another route, on which large packets vanish without a word (RFC 8899: a black hole).
            let mtu = self.narrow();
            for profile in &mut calm {
                profile.mtu = Some(profile.mtu.map_or(mtu, |before| before.min(mtu)));
            }
        }
        (faults, routes, calm)
    }

    /// Nearer or farther, wider or narrower than before, and as bad.
    fn routes(&mut self, faults: &[Profile; 2], calm_from: Time) -> Vec<Route> {
        let count = |random: &mut Random| [0, 0, 0, 0, 0, 0, 0, 1, 1, 2][random.below(10) as usize];
        let mut routes = self.some(MOST_ROUTES, count, |draw| Route {
            at: draw.between(0, calm_from),
            paths: faults.each_ref().map(|before| {
                let rate = draw.rate();
                Profile {
                    delay: draw.delay(),
                    mtu: draw.one_in(3).then(|| draw.narrow()),
                    rate,
                    queue: before.queue.filter(|_| rate.is_some()),
                    aqm: rate.map_or(Aqm::DropTail, |_| before.aqm),
                    cross: before.cross.filter(|_| rate.is_some()),
                    ..before.clone()
                }
            }),
        });
        routes.sort_by_key(|route| route.at);
        routes
    }

    fn delay(&mut self) -> Duration {
        let up_to = self.pick(&[0, 200 * 1000, 2 * MS, 20 * MS, 100 * MS, 300 * MS]);
        Duration::from_nanos(up_to - self.between(0, up_to / 2))
    }

    fn rate(&mut self) -> Option<u64> {
        self.chance(3, 4)
            .then(|| self.scaled_down(1_000_000_000, 1_000_000))
    }

    fn faults(&mut self, seed: u64, calm_from: Time) -> Profile {
        let delay = self.delay();
        let rate = self.rate();
        let up_to = self.proposed(4, |random| [0, 1, 1, 1, 2, 3][random.below(6) as usize]);
        let loss = self.share([0, 5, 20, 45][up_to as usize]);
        let burst = (loss != Share::NONE && self.one_in(3)).then(|| self.between(1, 30) as u32);
        let is_soft = burst.is_some() && self.one_in(3);
        let within = Share::from_percent(if is_soft { 50 } else { 100 });
        let jitter = if self.one_in(2) {
            Duration::from_nanos(self.between(0, delay.as_nanos() as u64))
        } else {
            Duration::ZERO
        };
        Profile {
            loss,
            burst,
            within,
            stray: if is_soft { self.share(3) } else { Share::NONE },
            delay,
            jitter,
            keeps_order: jitter.is_zero() || !self.one_in(3),
            spikes: self.spikes(calm_from),
            reorder: self.maybe_share(2, 20),
            duplicate: self.maybe_share(2, 20),
            corrupt: self.maybe_share(2, 3),
            truncate: self.maybe_share(3, 3),
            rate,
            queue: rate.and_then(|_| self.queue()),
            aqm: if rate.is_some() && self.one_in(4) {
                Aqm::Codel
            } else {
                Aqm::DropTail
            },
            cross: rate.and_then(|rate| self.cross(rate)),
            mtu: self.one_in(3).then(|| self.narrow()),
            blackouts: self.blackouts(calm_from),
            checksum: true,
            seed,
        }
    }

    fn share(&mut self, up_to_percent: u64) -> Share {
        Share::from_millionths(self.between(0, up_to_percent * 10_000) as u32)
    }

    fn maybe_share(&mut self, one_in: u64, up_to_percent: u64) -> Share {
        if self.one_in(one_in) {
            self.share(up_to_percent)
        } else {
            Share::NONE
        }
    }

    fn queue(&mut self) -> Option<Queue> {
        match self.below(3) {
            0 => None,
            1 => {
                let time = 300 * MS - self.between(0, 299 * MS);
                Some(Queue::Time(Duration::from_nanos(time)))
            }
            _ => Some(Queue::Bytes(self.scaled_down(1 << 20, 3_000))),
        }
    }

    /// Others in the same bottleneck, who may want more than there is.
    fn cross(&mut self, rate: u64) -> Option<Cross> {
        self.one_in(6).then(|| Cross {
            // Counting many packets of others takes only time.
            rate: (rate / 10 * self.between(1, 11)).min(FASTEST_CROSS),
            bursts: self.one_in(2).then(|| {
                let on = self.scaled(5 * MS, SECOND);
                let off = self.scaled(5 * MS, SECOND);
                (Duration::from_nanos(on), Duration::from_nanos(off))
            }),
        })
    }

    fn spikes(&mut self, calm_from: Time) -> Vec<Spike> {
        let count = |random: &mut Random| [0, 0, 0, 0, 0, 0, 1, 2][random.below(8) as usize];
        self.some(MOST_SPIKES, count, |draw| Spike {
            time: Blackout {
                from: Duration::from_nanos(draw.between(0, calm_from)),
                length: Duration::from_nanos(draw.scaled(MS, SECOND)),
            },
            adds: Duration::from_nanos(draw.scaled(10 * MS, 2 * SECOND)),
        })
    }

    fn narrow(&mut self) -> u16 {
        (WIDEST_MTU - self.between(0, WIDEST_MTU - LEAST_MTU)) as u16
    }

    /// Shorter than any idle timeout.
    fn blackouts(&mut self, calm_from: Time) -> Vec<Blackout> {
        let count = |random: &mut Random| [0, 0, 0, 1, 1, 2][random.below(6) as usize];
        self.some(MOST_BLACKOUTS, count, |draw| Blackout {
            from: Duration::from_nanos(draw.between(0, calm_from)),
            length: Duration::from_nanos(draw.scaled(10 * MS, 8 * SECOND)),
        })
    }

    fn poison(&mut self, profile: &mut Profile) {
        profile.checksum = false;
        profile.corrupt = self.share(30);
        profile.truncate = self.share(10);
        profile.loss = self.share(2);
        profile.burst = None;
        profile.within = Share::ALL;
        profile.stray = Share::NONE;
    }
}

/// What the path is once it delivers again: as far and as narrow as before, but nothing is lost except where too much comes.
fn calm(faults: &Profile) -> Profile {
    Profile {
        delay: faults.delay,
        jitter: faults.jitter / 4,
        rate: faults.rate,
        aqm: faults.aqm,
        mtu: faults.mtu,
        ..Profile::default()
    }
}

/// What every datagram may be from the beginning: 1200 bytes and their headers.
const LEAST_MTU: u64 = 1228;
/// Ethernet's.
const WIDEST_MTU: u64 = 1500;
const MOST_BLACKOUTS: usize = 2;
const MOST_SPIKES: usize = 2;
const MOST_ROUTES: usize = 2;
/// 8,000 packets in a second.
const FASTEST_CROSS: u64 = 100_000_000;
