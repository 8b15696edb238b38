//! CoDel (RFC 8289): what a queue drops so that packets do not wait in it for long.

/// The state of RFC 8289 5.2 (codel_queue_t), without the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codel {
    /// When packets will have waited for too long during a whole interval; `None`: they do not now.
    first_above: Option<u64>,
    /// When the next one is dropped, while `dropping`.
    drop_next: u64,
    count: u64,
    last_count: u64,
    dropping: bool,
}

/// What CoDel asks of the queue that it stands at.
pub(crate) trait Queue {
    type Packet;
    /// The next packet, and since when it waited.
    fn take(&mut self) -> Option<(Self::Packet, u64)>;
    /// Bytes that still wait.
    fn bytes(&self) -> u64;
    fn drop(&mut self, packet: Self::Packet);
}

impl Codel {
    /// RFC 8289 5.5, deque(): the packet that is sent at `now`, after those that are dropped at `now`.
    pub(crate) fn dequeue<Q: Queue>(&mut self, now: u64, queue: &mut Q) -> Option<Q::Packet> {
        let mut next = self.take(now, queue);
        if self.dropping {
            self.dropping &= next.may_drop;
            while self.dropping && now >= self.drop_next {
                let Some(packet) = next.packet else { break };
                queue.drop(packet);
                self.count += 1;
                next = self.take(now, queue);
                self.dropping &= next.may_drop;
                if self.dropping {
                    self.drop_next = control_law(self.drop_next, self.count);
                }
            }
        } else if next.may_drop
            && let Some(packet) = next.packet
        {
            queue.drop(packet);
            next = self.take(now, queue);
            self.dropping = true;
            // Where it was dropping until a moment ago, it goes on nearly as fast as it did.
            let since = self.count.saturating_sub(self.last_count);
            let is_recent = now.saturating_sub(self.drop_next) < RECENT;
            self.count = if since > 1 && is_recent { since } else { 1 };
            self.drop_next = control_law(now, self.count);
            self.last_count = self.count;
        }
        next.packet
    }

    /// RFC 8289 5.6, dodequeue(): a packet, and whether packets have now waited for longer than the target for an interval.
    fn take<Q: Queue>(&mut self, now: u64, queue: &mut Q) -> Next<Q::Packet> {
        let Some((packet, since)) = queue.take() else {
            self.first_above = None;
            return Next {
                packet: None,
                may_drop: false,
            };
        };
        let mut may_drop = false;
        if now.saturating_sub(since) < TARGET || queue.bytes() <= MAX_PACKET {
            self.first_above = None;
        } else {
            let first_above = *self.first_above.get_or_insert(now.saturating_add(INTERVAL));
            may_drop = now >= first_above;
        }
        Next {
            packet: Some(packet),
            may_drop,
        }
    }
}

struct Next<P> {
    packet: Option<P>,
    may_drop: bool,
}

/// RFC 8289 5.4: the next drop comes after the interval divided by the square root of the number of drops.
fn control_law(from: u64, count: u64) -> u64 {
    from.saturating_add((INTERVAL * INTERVAL / count.max(1)).isqrt())
}

/// RFC 8289 4.3: 5 ms, in nanoseconds.
pub(crate) const TARGET: u64 = 5_000_000;
/// RFC 8289 4.3: 100 ms, in nanoseconds.
pub(crate) const INTERVAL: u64 = 100_000_000;
/// What may wait without being too much: one packet of Ethernet.
const MAX_PACKET: u64 = 1500;
/// RFC 8289 5.5: "16 INTERVALs".
const RECENT: u64 = 16 * INTERVAL;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const MS: u64 = 1_000_000;

    #[derive(Default)]
    struct Waiting {
        since: VecDeque<u64>,
        dropped: u64,
    }

    impl Queue for Waiting {
        type Packet = ();
        fn take(&mut self) -> Option<((), u64)> {
            Some(((), self.since.pop_front()?))
        }
        fn bytes(&self) -> u64 {
            self.since.len() as u64 * 1500
        }
        fn drop(&mut self, (): ()) {
            self.dropped += 1;
        }
    }

    /// A packet is sent every millisecond, each of which has waited for so long, behind which others wait.
    fn dropped_at(waited: u64, millis: u64) -> Vec<u64> {
        let mut codel = Codel::default();
        let mut at = Vec::new();
        for now in (0..millis).map(|now| 1_000 * MS + now * MS) {
            let mut queue = Waiting {
                since: [now - waited; 10].into(),
                dropped: 0,
            };
            codel.dequeue(now, &mut queue);
            at.extend((0..queue.dropped).map(|_| now / MS - 1_000));
        }
        at
    }

    #[test]
    fn nothing_is_dropped_that_waits_less_than_the_target() {
        assert_eq!(dropped_at(TARGET - 1, 2_000), [0_u64; 0]);
    }

    /// RFC 8289 3.1 and 5.4: the first after an interval, then faster by the square root: 100 ms, 100/√2, 100/√3 …
    #[test]
    fn drops_come_ever_faster_while_packets_wait_too_long() {
        let drops = dropped_at(TARGET, 600);
        assert_eq!(drops[..6], [100, 200, 271, 329, 379, 424]);
    }

    #[test]
    fn a_single_packet_is_never_dropped() {
        let mut codel = Codel::default();
        for now in 1..1_000 {
            let mut queue = Waiting {
                since: [0, 0].into(),
                dropped: 0,
            };
            assert_eq!(codel.dequeue(now * MS, &mut queue), Some(()));
            assert_eq!(queue.dropped, 0);
        }
    }

    #[test]
    fn it_goes_on_nearly_as_fast_after_a_moment_of_calm() {
        let mut codel = Codel::default();
        let run = |codel: &mut Codel, from: u64, to: u64, waited: u64| {
            let mut drops = 0;
            for now in (from..to).map(|now| now * MS) {
                let mut queue = Waiting {
                    since: [now - waited; 10].into(),
                    dropped: 0,
                };
                codel.dequeue(now, &mut queue);
                drops += queue.dropped;
            }
            drops
        };
        run(&mut codel, 1_000, 2_000, TARGET);
        run(&mut codel, 2_000, 2_010, 0);
        let again = run(&mut codel, 2_010, 2_410, TARGET);
        run(&mut codel, 10_000, 10_010, 0);
        let anew = run(&mut codel, 10_010, 10_410, TARGET);
        assert!(again > 2 * anew && anew > 0, "{again}, {anew}");
    }
}
