use crate::bottleneck::{Bottleneck, Tail};
use crate::profile::{Aqm, HEADER_BYTES, Profile, Share};
use crate::random::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// One direction of a path: takes datagrams when they are sent, gives them when they arrive.
///
/// Times are nanoseconds since a zero of the caller's choice, the same for both directions. `T` is whatever should travel along
/// with a datagram, such as its addresses.
///
/// What becomes of a datagram is decided when it is sent, or with CoDel when its turn comes. Fetching deliveries late, or asking
/// often, changes nothing.
pub struct Link<T = ()> {
    profile: Profile,
    random: Random,
    in_burst: bool,
    /// When chance was last asked.
    last_chance: u64,
    bottleneck: Bottleneck<(Vec<u8>, T)>,
    /// The latest time that was told: what waits does not go back.
    clock: u64,
    /// No datagram that keeps the order arrives before this.
    order_floor: u64,
    underway: BinaryHeap<Reverse<Underway<T>>>,
    bytes_underway: u64,
    next_sequence: u64,
    counters: Counters,
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<T = ()> {
    /// When it arrived.
    pub at: u64,
    /// Its bytes, perhaps damaged.
    pub payload: Vec<u8>,
    /// What travelled along.
    pub tag: T,
    /// Whether its bytes are not those that were sent: only under `checksum=off`.
    pub damaged: bool,
}

/// What a [`Link`] did so far, in datagrams.
///
/// Each datagram offered, and each copy of one, is in the end counted as delivered or under one of the causes of loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Given to [`Link::send`].
    pub offered: u64,
    /// Bytes of these, headers not included.
    pub offered_bytes: u64,
    /// Copies made (`duplicate`).
    pub duplicated: u64,
    /// Held back while others pass (`reorder`). Whether any did pass depends on the traffic.
    pub reordered: u64,
    /// Lost by chance (`loss`).
    pub lost: u64,
    /// Lost in a `blackout`.
    pub blacked_out: u64,
    /// Larger than the `mtu`.
    pub too_large: u64,
    /// Without room in the `queue`.
    pub queue_dropped: u64,
    /// Waited for too long in the queue (`aqm`).
    pub aqm_dropped: u64,
    /// Damaged by flipped bits. Lost, unless `checksum=off`.
    pub corrupted: u64,
    /// Damaged by a cut. Lost, unless `checksum=off`.
    pub truncated: u64,
    /// Given by [`Link::poll`].
    pub delivered: u64,
    /// Bytes of these, headers not included.
    pub delivered_bytes: u64,
}

impl<T: Clone> Link<T> {
    /// A link as the profile says. `direction` makes the chances of the two directions of one path independent of each other.
    pub fn new(profile: &Profile, direction: u64) -> Self {
        Self {
            random: Random::for_purpose(profile.seed, direction),
            profile: profile.clone(),
            in_burst: false,
            last_chance: 0,
            bottleneck: Bottleneck::new(Random::for_purpose(profile.seed, OTHERS ^ direction)),
            clock: 0,
            order_floor: 0,
            underway: BinaryHeap::new(),
            bytes_underway: 0,
            next_sequence: 0,
            counters: Counters::default(),
        }
    }

    /// Changes the path. What is underway arrives as it would have; the random numbers go on where they were (the new profile's
    /// seed means nothing).
    pub fn set_profile(&mut self, profile: &Profile) {
        for (sent, (payload, tag)) in self.bottleneck.drain(&self.profile) {
            self.leave(sent, sent, payload, tag);
        }
        self.count_dropped();
        self.profile = profile.clone();
        self.in_burst = false;
    }

    /// The profile in force.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Sends a datagram at `now`. A time before that of an earlier call is allowed, as clocks of several senders give it.
    pub fn send(&mut self, now: u64, payload: &[u8], tag: T) {
        let size = HEADER_BYTES.saturating_add(payload.len() as u64);
        self.counters.offered += 1;
        self.counters.offered_bytes += payload.len() as u64;
        if self.profile.mtu.is_some_and(|mtu| size > mtu.into()) {
            self.counters.too_large += 1;
            return;
        }
        if self.profile.is_down(now) {
            self.counters.blacked_out += 1;
            return;
        }
        let queued = match self.profile.aqm {
            Aqm::DropTail => now,
            Aqm::Codel => self.turn(now),
        };
        let packet = (payload.to_vec(), tag);
        match self.bottleneck.offer(&self.profile, queued, size, packet) {
            Tail::Sent(sent, (payload, tag)) => self.leave(now, sent, payload, tag),
            Tail::Waits => {
                self.turn(now);
            }
            Tail::Full => self.counters.queue_dropped += 1,
        }
    }

    /// Lets those leave the bottleneck whose turn has come by `now`, which is not before an earlier one.
    fn turn(&mut self, now: u64) -> u64 {
        self.clock = self.clock.max(now);
        while let Some((sent, (payload, tag))) = self.bottleneck.advance(&self.profile, self.clock)
        {
            self.leave(sent, sent, payload, tag);
        }
        self.count_dropped();
        self.clock
    }

    fn count_dropped(&mut self) {
        self.counters.aqm_dropped = self.bottleneck.dropped();
    }

    /// What happens behind the bottleneck, to a datagram that came to it at `came`.
    fn leave(&mut self, came: u64, sent: u64, payload: Vec<u8>, tag: T) {
        if self.chance_takes_it(came) {
            self.counters.lost += 1;
        } else if let Some(payload) = self.damage(payload) {
            self.travel(came, sent, payload, tag);
        }
    }

    /// The next datagram that has arrived by `now`, in the order of arrival. Call it until it gives nothing.
    #[must_use]
    pub fn poll(&mut self, now: u64) -> Option<Delivery<T>> {
        if self.profile.aqm == Aqm::Codel {
            self.turn(now);
        }
        if self.underway.peek()?.0.delivery.at > now {
            return None;
        }
        let Reverse(Underway { delivery, .. }) = self.underway.pop()?;
        let bytes = delivery.payload.len() as u64;
        self.bytes_underway = self.bytes_underway.saturating_sub(bytes);
        self.counters.delivered += 1;
        self.counters.delivered_bytes += bytes;
        Some(delivery)
    }

    /// When to call [`Self::poll`]: when the next datagram arrives, if one is underway. With CoDel it may be earlier, when it is decided
    /// whether the next one is sent.
    pub fn next_delivery(&self) -> Option<u64> {
        let arrives = self.underway.peek().map(|Reverse(next)| next.delivery.at);
        let decided = self.bottleneck.next_decision();
        arrives.into_iter().chain(decided).min()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn chance_takes_it(&mut self, now: u64) -> bool {
        let loss = self.profile.loss;
        let Some(burst) = self.profile.burst.filter(|_| loss != Share::ALL) else {
            return self.random.chance(loss);
        };
        // Gilbert's and Elliott's model: two states, and in each a share that is lost, by default all in the bad one and nothing in the
        // good one. The bad one is left with 1/burst per datagram, and entered so often that `loss` of all are lost in it.
        let within = self.profile.within;
        let lost = u64::from(loss.min(within).millionths());
        let not_bad = u64::from(within.millionths()) - lost;
        let burst = u64::from(burst.max(1));
        let pause = now.saturating_sub(std::mem::replace(&mut self.last_chance, now));
        self.in_burst = if pause > nanos(BURST_ENDS_AFTER) {
            self.random.below(lost + not_bad) < lost
        } else if self.in_burst {
            self.random.below(burst) != 0
        } else {
            self.random.below(not_bad * burst) < lost
        };
        let share = if self.in_burst {
            within
        } else {
            self.profile.stray
        };
        share == Share::ALL || self.random.chance(share)
    }

    /// `None` if the datagram was damaged and the checksum finds it.
    fn damage(&mut self, bytes: Vec<u8>) -> Option<Payload> {
        let mut damaged = Payload {
            bytes,
            damaged: false,
        };
        let Payload {
            bytes,
            damaged: is_damaged,
        } = &mut damaged;
        if self.random.chance(self.profile.truncate) && !bytes.is_empty() {
            self.counters.truncated += 1;
            *is_damaged = true;
            bytes.truncate(self.random.below(bytes.len() as u64) as usize);
        }
        if self.random.chance(self.profile.corrupt) && !bytes.is_empty() {
            self.counters.corrupted += u64::from(!*is_damaged);
            *is_damaged = true;
            let flips = self.random.between(1, MAX_FLIPS);
            for _ in 0..flips {
                let bit = self.random.below(bytes.len() as u64 * 8);
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
        }
        (!damaged.damaged || !self.profile.checksum).then_some(damaged)
    }

    fn travel(&mut self, came: u64, sent: u64, payload: Payload, tag: T) {
        let hold = nanos(self.profile.hold());
        let jitter = match nanos(self.profile.jitter) {
            0 => 0,
            jitter => self.random.between(0, jitter),
        };
        let arrives = sent
            .saturating_add(nanos(self.profile.delay))
            .saturating_add(nanos(self.profile.spike_at(came)))
            .saturating_add(jitter);
        let at = if self.random.chance(self.profile.reorder) {
            self.counters.reordered += 1;
            arrives.saturating_add(self.random.between(1, hold))
        } else if self.profile.keeps_order {
            self.order_floor = self.order_floor.max(arrives);
            self.order_floor
        } else {
            arrives
        };
        if self.random.chance(self.profile.duplicate) {
            self.counters.duplicated += 1;
            let again = at.saturating_add(self.random.between(0, hold));
            self.put_underway(again, payload.clone(), tag.clone());
        }
        self.put_underway(at, payload, tag);
    }

    fn put_underway(&mut self, at: u64, payload: Payload, tag: T) {
        let bytes = payload.bytes.len() as u64;
        if self.bytes_underway.saturating_add(bytes) > MAX_BYTES_UNDERWAY {
            self.counters.queue_dropped += 1;
            return;
        }
        self.bytes_underway += bytes;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.underway.push(Reverse(Underway {
            sequence,
            delivery: Delivery {
                at,
                payload: payload.bytes,
                tag,
                damaged: payload.damaged,
            },
        }));
    }
}

impl<T> std::fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("profile", &self.profile)
            .field("underway", &self.underway.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Payload {
    bytes: Vec<u8>,
    damaged: bool,
}

struct Underway<T> {
    /// Of two that arrive at one instant, the one put underway first comes first.
    sequence: u64,
    delivery: Delivery<T>,
}

impl<T> Ord for Underway<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.delivery.at, self.sequence).cmp(&(other.delivery.at, other.sequence))
    }
}

impl<T> PartialOrd for Underway<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Underway<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Underway<T> {}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A burst is something that happens on the path, so it does not wait for a sender who pauses: after such a time, the next datagram
/// is lost with the probability `loss` again. Fading and full queues last for tens of milliseconds.
const BURST_ENDS_AFTER: Duration = Duration::from_millis(100);
/// Others' random numbers are not those of the datagrams: with or without them, the same are lost.
const OTHERS: u64 = 1 << 32;
/// Bits flipped in a corrupted datagram. Real errors are few: more would only be found more easily.
const MAX_FLIPS: u64 = 3;
/// Whatever rate and delay say, a link holds no more than this many bytes: 10 Gbit/s over 200 ms. More is dropped as by the queue.
const MAX_BYTES_UNDERWAY: u64 = 256 << 20;
