//! The narrowest place of a path: a rate, a queue before it, and the packets of others that pass it, too.

use crate::codel::{Codel, Queue};
use crate::profile::{Aqm, Cross, Profile};
use crate::random::Random;
use std::collections::VecDeque;
use std::time::Duration;

/// A queue and the line behind it. Two kinds of it: at a tail it is known at once when a packet will be sent, and nothing has to be
/// kept; CoDel decides when the packet's turn comes.
pub(crate) struct Bottleneck<P> {
    /// When the line will have sent what it took so far.
    busy_until: u64,
    /// Only with CoDel.
    waiting: Waiting<P>,
    codel: Codel,
    others: Others,
}

/// What becomes of a packet at the tail.
pub(crate) enum Tail<P> {
    /// It has been sent at this time.
    Sent(u64, P),
    /// It waits: [`Bottleneck::advance`] gives it.
    Waits,
    /// The queue has no room for it.
    Full,
}

impl<P> Bottleneck<P> {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            busy_until: 0,
            waiting: Waiting::default(),
            codel: Codel::default(),
            others: Others {
                random,
                next: None,
                on_until: 0,
            },
        }
    }

    /// A packet of `size` bytes comes at `now`. Before, [`Self::advance`] has to be called until nothing is left to do.
    pub(crate) fn offer(&mut self, profile: &Profile, now: u64, size: u64, packet: P) -> Tail<P> {
        let Some(rate) = rate(profile) else {
            return Tail::Sent(now, packet);
        };
        if profile.aqm == Aqm::DropTail {
            self.others_come(profile, rate, now);
            return match self.pass(profile, rate, now, size) {
                Some(sent) => Tail::Sent(sent, packet),
                None => Tail::Full,
            };
        }
        if self.wait(profile, now, size, Some(packet)) {
            Tail::Waits
        } else {
            Tail::Full
        }
    }

    /// With CoDel: the next packet whose turn has come by `now`, and when it has been sent.
    pub(crate) fn advance(&mut self, profile: &Profile, now: u64) -> Option<(u64, P)> {
        let rate = rate(profile).filter(|_| profile.aqm == Aqm::Codel)?;
        loop {
            let turn = self.next_turn();
            let until = turn.unwrap_or(now).min(now).min(LATEST);
            let other = self.others.next(profile, until);
            if let Some(at) = other.filter(|&at| at <= until) {
                self.wait(profile, at, OTHERS_SIZE, None);
                self.others.step(profile);
                continue;
            }
            let turn = turn.filter(|&turn| turn <= now)?;
            let Some(next) = self.codel.dequeue(turn, &mut self.waiting) else {
                continue;
            };
            self.busy_until = turn.saturating_add(takes(next.size, rate));
            if let Some(packet) = next.packet {
                return Some((self.busy_until, packet));
            }
        }
    }

    /// All that still waits is sent, whatever else would come: under a profile that ends now.
    pub(crate) fn drain(&mut self, profile: &Profile) -> Vec<(u64, P)> {
        let alone = Profile {
            cross: None,
            ..profile.clone()
        };
        let sent = std::iter::from_fn(|| self.advance(&alone, u64::MAX)).collect();
        self.codel = Codel::default();
        self.others.next = None;
        sent
    }

    /// When something has to be decided that no call before could know.
    pub(crate) fn next_decision(&self) -> Option<u64> {
        self.next_turn().filter(|_| self.waiting.own > 0)
    }

    /// Packets that CoDel dropped, but not those of others.
    pub(crate) fn dropped(&self) -> u64 {
        self.waiting.dropped
    }

    fn next_turn(&self) -> Option<u64> {
        let first = self.waiting.packets.front()?;
        Some(first.since.max(self.busy_until))
    }

    fn wait(&mut self, profile: &Profile, now: u64, size: u64, packet: Option<P>) -> bool {
        let queue = profile.queue_bytes().unwrap_or(u64::MAX);
        let waiting = &mut self.waiting;
        // An empty queue takes a packet of any size.
        if !waiting.packets.is_empty() && waiting.bytes.saturating_add(size) > queue {
            return false;
        }
        waiting.bytes += size;
        waiting.own += usize::from(packet.is_some());
        waiting.packets.push_back(One {
            packet,
            size,
            since: now,
        });
        true
    }

    /// At a tail: when the line has sent the packet; `None` if the queue has no room for it.
    fn pass(&mut self, profile: &Profile, rate: u64, now: u64, size: u64) -> Option<u64> {
        let begin = now.max(self.busy_until);
        let waiting = u128::from(begin - now) * u128::from(rate) / BITS_NANOS;
        // An empty queue takes a packet of any size: it is sent at once and does not wait.
        let queue = profile.queue_bytes().unwrap_or(u64::MAX);
        if waiting > 0 && waiting.saturating_add(size.into()) > queue.into() {
            return None;
        }
        self.busy_until = begin.saturating_add(takes(size, rate));
        Some(self.busy_until)
    }

    fn others_come(&mut self, profile: &Profile, rate: u64, now: u64) {
        let now = now.min(LATEST);
        while let Some(at) = self.others.next(profile, now).filter(|&at| at <= now) {
            self.pass(profile, rate, at, OTHERS_SIZE);
            self.others.step(profile);
        }
    }
}

struct Waiting<P> {
    packets: VecDeque<One<P>>,
    bytes: u64,
    /// Packets that are not another's.
    own: usize,
    dropped: u64,
}

struct One<P> {
    /// `None`: another's.
    packet: Option<P>,
    size: u64,
    since: u64,
}

impl<P> Default for Waiting<P> {
    fn default() -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            own: 0,
            dropped: 0,
        }
    }
}

impl<P> Queue for Waiting<P> {
    type Packet = One<P>;

    fn take(&mut self) -> Option<(One<P>, u64)> {
        let first = self.packets.pop_front()?;
        self.bytes -= first.size;
        self.own -= usize::from(first.packet.is_some());
        let since = first.since;
        Some((first, since))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn drop(&mut self, one: One<P>) {
        self.dropped += u64::from(one.packet.is_some());
    }
}

/// The packets of others, which take time and room and arrive nowhere.
struct Others {
    random: Random,
    /// When the next one comes; `None`: it has not begun.
    next: Option<u64>,
    /// When they pause.
    on_until: u64,
}

impl Others {
    /// When the next one comes.
    fn next(&mut self, profile: &Profile, now: u64) -> Option<u64> {
        let cross = profile.cross?;
        // What came long ago has left the queue long ago: it need not be counted packet by packet.
        let earliest = now.saturating_sub(REMEMBERED);
        if self.next.is_none_or(|next| next < earliest) {
            let from = earliest.max(self.next.map_or(now, |_| earliest));
            self.next = Some(from.saturating_add(self.random.below(interval(cross))));
            self.begin(from, cross);
        }
        self.next
    }

    fn step(&mut self, profile: &Profile) {
        let Some((cross, next)) = profile.cross.zip(self.next) else {
            return;
        };
        let next = next.saturating_add(interval(cross));
        self.next = Some(next);
        if let Some((_, off)) = cross.bursts.filter(|_| next > self.on_until) {
            let from = self.on_until.saturating_add(self.about(off));
            self.next = Some(from.max(next));
            self.begin(from.max(next), cross);
        }
    }

    fn begin(&mut self, from: u64, cross: Cross) {
        self.on_until = match cross.bursts {
            Some((on, _)) => from.saturating_add(self.about(on)),
            None => u64::MAX,
        };
    }

    /// From half of it to one and a half times.
    fn about(&mut self, time: Duration) -> u64 {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.random.between(time / 2, time.saturating_add(time / 2))
    }
}

fn rate(profile: &Profile) -> Option<u64> {
    profile.rate.filter(|&rate| rate > 0)
}

fn interval(cross: Cross) -> u64 {
    takes(OTHERS_SIZE, cross.rate.max(1)).max(1)
}

/// Nanoseconds for `size` bytes.
fn takes(size: u64, rate: u64) -> u64 {
    let nanos = (u128::from(size) * BITS_NANOS).div_ceil(u128::from(rate));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Bytes times this, divided by bits per second, are nanoseconds.
const BITS_NANOS: u128 = 8 * 1_000_000_000;
/// Others' packets are full ones, headers included.
const OTHERS_SIZE: u64 = 1500;
/// A time that is never reached, and to which something can be added.
const LATEST: u64 = 1 << 62;
/// Longer than any queue of use: 2 s.
const REMEMBERED: u64 = 2_000_000_000;
