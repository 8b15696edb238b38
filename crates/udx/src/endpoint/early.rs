//! Packets that came ahead of the one which opens their connection (UDX 7.1), bounded in number,
//! bytes and time.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

use crate::limits::Limits;
use crate::wire::ConnectionId;

/// How long such packets are kept. UDX 7.1: 10 s, as JS.
const LIFETIME: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Early {
    by_id: BTreeMap<ConnectionId, Waiting>,
    bytes: usize,
    /// When the oldest has to go; may be early.
    expires: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    packets: Vec<(SocketAddr, Box<[u8]>)>,
}

impl Early {
    /// Keeps a packet if the bounds allow, and says since when its ID has been unknown.
    pub(crate) fn keep(
        &mut self,
        now: Instant,
        id: ConnectionId,
        from: SocketAddr,
        datagram: &[u8],
        limits: &Limits,
    ) -> Option<Instant> {
        self.expire(now);
        if !self.by_id.contains_key(&id) && self.by_id.len() >= limits.early_ids {
            self.evict_oldest();
        }
        self.expires.get_or_insert(now.saturating_add(LIFETIME));
        let fits = self.bytes.saturating_add(datagram.len()) <= limits.early_bytes;
        let waiting = self.by_id.entry(id).or_insert_with(|| Waiting {
            since: now,
            packets: Vec::new(),
        });
        mark!(
            EarlyPacketRefused,
            !fits || waiting.packets.len() >= limits.early_packets_per_id
        );
        if fits && waiting.packets.len() < limits.early_packets_per_id {
            mark!(EarlyPacketKept);
            waiting.packets.push((from, datagram.into()));
            self.bytes = self.bytes.saturating_add(datagram.len());
        }
        Some(waiting.since)
    }

    /// The packets that waited for the connection of this ID, in order of arrival.
    pub(crate) fn take(&mut self, now: Instant, id: &ConnectionId) -> Vec<(SocketAddr, Box<[u8]>)> {
        self.expire(now);
        self.remove(id)
    }

    fn remove(&mut self, id: &ConnectionId) -> Vec<(SocketAddr, Box<[u8]>)> {
        let packets = self
            .by_id
            .remove(id)
            .map(|waiting| waiting.packets)
            .unwrap_or_default();
        self.bytes = self
            .bytes
            .saturating_sub(sabotage!(EarlyBytesLeaked, 0, size(&packets)));
        packets
    }

    /// When [`expire`](Self::expire) has something to do: an endpoint that hears nothing more must not keep them for ever.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.expires
    }

    /// Lets go what waited for too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.expires.is_none_or(|at| at > now) {
            return;
        }
        let mut freed = 0_usize;
        self.by_id.retain(|_, waiting| {
            let keep = now.saturating_duration_since(waiting.since) < LIFETIME;
            if !keep {
                mark!(EarlyPacketsExpired);
                freed = freed.saturating_add(size(&waiting.packets));
            }
            keep
        });
        self.bytes = self.bytes.saturating_sub(freed);
        let oldest = self.by_id.values().map(|waiting| waiting.since).min();
        self.expires = oldest.map(|since| since.saturating_add(LIFETIME));
    }

    fn evict_oldest(&mut self) {
        let oldest = self
            .by_id
            .iter()
            .min_by_key(|(_, waiting)| waiting.since)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            mark!(EarlyPacketsEvicted);
            self.remove(&id);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }
}

fn size(packets: &[(SocketAddr, Box<[u8]>)]) -> usize {
    packets.iter().map(|(_, datagram)| datagram.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> ConnectionId {
        ConnectionId::new(&n.to_be_bytes()).unwrap()
    }

    fn from() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }

    #[test]
    fn packets_are_given_back_in_order_and_once() {
        let mut early = Early::default();
        let limits = Limits::default();
        for byte in 0..40_u8 {
            early.keep(Instant::ZERO, id(1), from(), &[byte; 50], &limits);
        }
        let packets = early.take(Instant::ZERO, &id(1));
        assert_eq!(packets.len(), 32, "D23: 32 per ID");
        assert!(
            packets
                .iter()
                .enumerate()
                .all(|(n, (_, bytes))| bytes[0] == n as u8)
        );
        assert!(early.take(Instant::ZERO, &id(1)).is_empty());
        assert_eq!(early.memory(), 0);
    }

    // V19
    #[test]
    fn a_flood_of_unknown_ids_is_bounded_in_ids_bytes_and_time() {
        let mut early = Early::default();
        let limits = Limits {
            early_bytes: 10_000,
            ..Limits::default()
        };
        for n in 0..10_000 {
            let now = Instant::from_nanos(n);
            early.keep(now, id(n), from(), &[0; 100], &limits);
            assert!(early.by_id.len() <= limits.early_ids && early.memory() <= 10_000);
        }
        let later = Instant::from_nanos(11_000_000_000);
        assert!(early.next_deadline().is_some_and(|at| at < later));
        early.keep(later, id(0), from(), &[0; 100], &limits);
        assert_eq!((early.by_id.len(), early.memory()), (1, 100));
    }

    /// Nothing has to arrive for them to go.
    #[test]
    fn what_waits_in_vain_goes_when_its_time_has_come() {
        let mut early = Early::default();
        let limits = Limits::default();
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        assert_eq!(early.next_deadline(), None);
        early.keep(at(1), id(1), from(), &[0; 100], &limits);
        early.keep(at(4), id(2), from(), &[0; 100], &limits);
        assert_eq!(early.next_deadline(), Some(at(11)));
        early.expire(at(10));
        assert_eq!(early.memory(), 200);
        early.expire(at(11));
        assert_eq!((early.memory(), early.next_deadline()), (100, Some(at(14))));
        early.expire(at(14));
        assert_eq!((early.memory(), early.next_deadline()), (0, None));
    }
}
