//! The path: what is wrong with it first, and what it is in the calm.

use crate::choices::Draw;
use crate::plan::{MS, SECOND, Time};
use gapless_link::{Blackout, Profile, Queue, Random, Share};
use std::time::Duration;

impl Draw<'_> {
    /// The paths while they are bad and in the calm, from the dialer and to it.
    pub(super) fn paths(&mut self, seed: u64, calm_from: Time) -> ([Profile; 2], [Profile; 2]) {
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
        let mut calm = faults.each_ref().map(calm);
        if self.one_in(12) {
            // Another route, on which large packets vanish without a word (RFC 8899: a black hole).
            let mtu = self.narrow();
            for profile in &mut calm {
                profile.mtu = Some(profile.mtu.map_or(mtu, |before| before.min(mtu)));
            }
        }
        (faults, calm)
    }

    fn faults(&mut self, seed: u64, calm_from: Time) -> Profile {
        let up_to = self.pick(&[0, 200 * 1000, 2 * MS, 20 * MS, 100 * MS, 300 * MS]);
        let delay = up_to - self.between(0, up_to / 2);
        let rate = self
            .chance(3, 4)
            .then(|| self.scaled_down(1_000_000_000, 1_000_000));
        let up_to = self.proposed(4, |random| [0, 1, 1, 1, 2, 3][random.below(6) as usize]);
        let loss = self.share([0, 5, 20, 45][up_to as usize]);
        let burst = (loss != Share::NONE && self.one_in(3)).then(|| self.between(1, 30) as u32);
        Profile {
            loss,
            burst,
            delay: Duration::from_nanos(delay),
            jitter: if self.one_in(2) {
                Duration::from_nanos(self.between(0, delay))
            } else {
                Duration::ZERO
            },
            reorder: self.maybe_share(2, 20),
            duplicate: self.maybe_share(2, 20),
            corrupt: self.maybe_share(2, 3),
            truncate: self.maybe_share(3, 3),
            rate,
            queue: rate.and_then(|_| self.queue()),
            mtu: self.one_in(3).then(|| self.narrow()),
            blackouts: self.blackouts(calm_from),
            checksum: true,
            seed,
            ..Profile::default()
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
    }
}

/// What the path is once it delivers again: as far and as narrow as before, but nothing is lost except where too much comes.
fn calm(faults: &Profile) -> Profile {
    Profile {
        delay: faults.delay,
        jitter: faults.jitter / 4,
        rate: faults.rate,
        mtu: faults.mtu,
        ..Profile::default()
    }
}

/// What every datagram may be from the beginning: 1200 bytes and their headers.
const LEAST_MTU: u64 = 1228;
/// Ethernet's.
const WIDEST_MTU: u64 = 1500;
const MOST_BLACKOUTS: usize = 2;
