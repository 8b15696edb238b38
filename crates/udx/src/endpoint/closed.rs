//! Closed connections that are remembered for a while (V3, D15).
//!
//! A late SYN must not revive a closed connection and deliver its data a second time, and a peer
//! whose CONNECTION_CLOSE was lost must learn of it when it speaks again.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::net::SocketAddr;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{Wire32, mark};

use crate::wire::{ConnectionId, Encoder, Frame, Header, Version};

/// How long a closed ID is remembered after the peer last spoke. V3 asks for the greater of 10 s and 3 RTO, but while the path is
/// down no CONNECTION_CLOSE arrives, and a peer goes on for its idle timeout, 30 s in every implementation (UDX 7.5): what it then
/// repeats must not come to life, and it should learn that the connection is over. 5 s for what was underway.
const MEMORY: Duration = Duration::from_secs(35);

/// How often CONNECTION_CLOSE is sent unasked, one RTO apart (D15: two or three times).
const SENDINGS: u32 = 3;

/// The least time between two answers to packets of one closed connection.
const ANSWER_PAUSE: Duration = Duration::from_millis(20);

/// Bytes of the reason that are sent (D24).
const MAX_REASON: usize = 256;

/// What a connection leaves behind.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) local_id: ConnectionId,
    pub(crate) peer_id: ConnectionId,
    pub(crate) version: Version,
    pub(crate) remote: SocketAddr,
    /// Whether the peer is to be told, and by which code.
    pub(crate) tell: Option<u32>,
    /// It is told unasked, not only when it speaks.
    pub(crate) unasked: bool,
    pub(crate) reason: Box<[u8]>,
    pub(crate) pto: Duration,
    /// Bytes that may be sent there although the address is unproven (V18).
    pub(crate) allowance: u64,
}

#[derive(Debug)]
struct Closed {
    remains: Remains,
    sendings_left: u32,
    next_sending: Option<Instant>,
    last_answer: Instant,
    expires: Instant,
    /// The peer spoke since the entry was put in order.
    renewed: bool,
    /// A challenge that the peer asks, to be answered with the next sending.
    challenge: Option<u64>,
    elsewhere: Option<Elsewhere>,
}

/// Another address than the peer's that spoke. The peer may have moved, and nobody follows it any more; or somebody sends again what
/// he recorded. Both are answered, but what is said to the peer where it was is never said there instead (V6).
#[derive(Debug)]
struct Elsewhere {
    to: SocketAddr,
    /// V18: nothing is known of that address but what came from there.
    allowance: u64,
    challenge: Option<u64>,
    last_answer: Option<Instant>,
    /// It stands in `asked`.
    asked: bool,
}

/// A packet of a connection that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    pub(crate) from: SocketAddr,
    pub(crate) bytes: u64,
    /// It says CONNECTION_CLOSE.
    pub(crate) closes: bool,
    /// The PATH_CHALLENGE in it.
    pub(crate) challenge: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct ClosedList {
    entries: BTreeMap<ConnectionId, Closed>,
    /// In order of closing, or of the last look at those whose peer spoke again: for expiry and for the bound.
    order: VecDeque<ConnectionId>,
    due: BTreeSet<(Instant, ConnectionId)>,
    /// Those that another address is to be answered for, and since when; at most once each.
    asked: VecDeque<(Instant, ConnectionId)>,
    /// Bytes of reasons kept.
    reasons: usize,
}

impl ClosedList {
    pub(crate) fn add(&mut self, now: Instant, remains: Remains, capacity: usize) {
        self.expire(now);
        while self.order.len() >= capacity.max(1) {
            mark!(ClosedForgotten);
            self.forget_oldest();
        }
        let id = remains.local_id;
        let memory = MEMORY.max(remains.pto.saturating_mul(3));
        let unasked = remains.unasked && remains.tell.is_some();
        let next_sending = unasked.then_some(now);
        self.reasons = self.reasons.saturating_add(remains.reason.len());
        let sendings_left = if unasked { SENDINGS } else { 0 };
        let closed = Closed {
            remains,
            sendings_left,
            next_sending,
            last_answer: now,
            expires: now.saturating_add(memory),
            renewed: false,
            challenge: None,
            elsewhere: None,
        };
        if let Some(at) = next_sending {
            self.due.insert((at, id));
        }
        if self.entries.insert(id, closed).is_none() {
            self.order.push_back(id);
        }
    }

    pub(crate) fn contains(&self, id: &ConnectionId) -> bool {
        self.entries.contains_key(id)
    }

    /// A packet of a closed connection came. It is answered (D15) unless it says "close" itself:
    /// two closed sides must not answer each other for ever (R12).
    ///
    /// If this side is the one that moved, the peer asks where it is and believes no CONNECTION_CLOSE before the answer (V6): then
    /// that goes first.
    pub(crate) fn on_packet(&mut self, now: Instant, id: &ConnectionId, packet: Late) {
        let Some(closed) = self.entries.get_mut(id) else {
            return;
        };
        closed.expires = closed.expires.max(now.saturating_add(MEMORY));
        closed.renewed = true;
        if closed.remains.remote != packet.from {
            if closed.remains.tell.is_some() && !packet.closes && closed.ask_elsewhere(now, packet)
            {
                self.asked.push_back((now, *id));
            }
            return;
        }
        closed.challenge = packet.challenge.or(closed.challenge);
        let remains = &mut closed.remains;
        remains.allowance = remains
            .allowance
            .saturating_add(packet.bytes.saturating_mul(3));
        if packet.closes {
            mark!(ClosedOnBothSides);
            // The peer knows: nothing more needs to be said.
            closed.sendings_left = 0;
            if let Some(at) = closed.next_sending.take() {
                self.due.remove(&(at, *id));
            }
            return;
        }
        let paused = now.saturating_duration_since(closed.last_answer) < ANSWER_PAUSE;
        if closed.remains.tell.is_none() || paused {
            return;
        }
        if let Some(at) = closed.next_sending.replace(now) {
            self.due.remove(&(at, *id));
        }
        mark!(LatePacketAnswered);
        closed.sendings_left = closed.sendings_left.max(1);
        self.due.insert((now, *id));
    }

    /// Writes a CONNECTION_CLOSE that is due: where to, and how many bytes.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(SocketAddr, usize)> {
        if let Some(answer) = self.answer_elsewhere(now, buffer) {
            return Some(answer);
        }
        loop {
            let (at, id) = *self.due.first().filter(|(at, _)| *at <= now)?;
            self.due.remove(&(at, id));
            let Some(closed) = self.entries.get_mut(&id) else {
                continue;
            };
            closed.next_sending = None;
            closed.last_answer = now;
            closed.sendings_left = closed.sendings_left.saturating_sub(1);
            if closed.sendings_left > 0 {
                mark!(CloseSaidAgain);
                let next = now.saturating_add(closed.remains.pto.max(ANSWER_PAUSE));
                closed.next_sending = Some(next);
                self.due.insert((next, id));
            }
            let Some(len) = encode(&closed.remains, closed.challenge.take(), buffer) else {
                continue;
            };
            let bytes = u64::try_from(len).unwrap_or(u64::MAX);
            if bytes > closed.remains.allowance {
                continue;
            }
            closed.remains.allowance = closed.remains.allowance.saturating_sub(bytes);
            return Some((closed.remains.remote, len));
        }
    }

    fn answer_elsewhere(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        while let Some((_, id)) = self.asked.pop_front() {
            let Some(closed) = self.entries.get_mut(&id) else {
                continue;
            };
            let Some(other) = &mut closed.elsewhere else {
                continue;
            };
            other.asked = false;
            let written = encode(&closed.remains, other.challenge, buffer);
            let bytes = written.and_then(|len| u64::try_from(len).ok());
            let left = bytes.and_then(|bytes| other.allowance.checked_sub(bytes));
            if let (Some(len), Some(left)) = (written, left) {
                mark!(LatePacketAnsweredElsewhere);
                other.allowance = left;
                other.challenge = None;
                other.last_answer = Some(now);
                return Some((other.to, len));
            }
        }
        None
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        let asked = self.asked.front().map(|(at, _)| *at);
        // So that an endpoint that hears nothing more does not hold them for ever.
        let oldest = self.order.front().and_then(|id| self.entries.get(id));
        let expires = oldest.map(|closed| closed.expires);
        due.into_iter().chain(asked).chain(expires).min()
    }

    /// Whether the peers of all closed connections were told as often as they are to be.
    pub(crate) fn is_quiet(&self) -> bool {
        self.due.is_empty()
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(id) = self.order.front().copied() {
            match self.entries.get_mut(&id) {
                Some(closed) if closed.expires > now && closed.renewed => {
                    mark!(ClosedKept);
                    closed.renewed = false;
                    self.order.rotate_left(1);
                }
                Some(closed) if closed.expires > now => break,
                _ => self.forget_oldest(),
            }
        }
    }

    fn forget_oldest(&mut self) {
        let Some(id) = self.order.pop_front() else {
            return;
        };
        let Some(closed) = self.entries.remove(&id) else {
            return;
        };
        self.reasons = self.reasons.saturating_sub(closed.remains.reason.len());
        if let Some(at) = closed.next_sending {
            self.due.remove(&(at, id));
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let entry = size_of::<Closed>().saturating_add(size_of::<ConnectionId>().saturating_mul(2));
        self.entries
            .len()
            .saturating_mul(entry)
            .saturating_add(self.reasons)
    }
}

impl Closed {
    /// True if an answer is to be sent there, and was not before.
    fn ask_elsewhere(&mut self, now: Instant, packet: Late) -> bool {
        let other = match self.elsewhere.take() {
            Some(other) if other.to == packet.from => other,
            // One at a time. Whoever was asked for stands in the queue, and this one with him.
            other => Elsewhere {
                to: packet.from,
                allowance: 0,
                challenge: None,
                last_answer: other.as_ref().and_then(|other| other.last_answer),
                asked: other.is_some_and(|other| other.asked),
            },
        };
        let other = self.elsewhere.insert(other);
        other.allowance = other
            .allowance
            .saturating_add(packet.bytes.saturating_mul(3));
        other.challenge = packet.challenge.or(other.challenge);
        let paused = other
            .last_answer
            .is_some_and(|at| now.saturating_duration_since(at) < ANSWER_PAUSE);
        !paused && !core::mem::replace(&mut other.asked, true)
    }
}

fn encode(remains: &Remains, challenge: Option<u64>, buffer: &mut [u8]) -> Option<usize> {
    let mut encoder = Encoder::new(buffer, remains.version);
    let header = Header {
        version: remains.version.wire(),
        destination: remains.peer_id,
        source: remains.local_id,
        // UDX 3: an unnumbered packet.
        number: Wire32::new(0),
        destination_stream: 0,
        source_stream: 0,
    };
    encoder.header(&header).ok()?;
    let reason = remains.reason.get(..MAX_REASON).unwrap_or(&remains.reason);
    let code = remains.tell?;
    if let Some(nonce) = challenge {
        encoder.frame(&Frame::PathResponse { nonce }).ok()?;
    }
    encoder
        .frame(&Frame::ConnectionClose {
            code,
            frame_type: 0,
            reason,
        })
        .ok()?;
    Some(encoder.written())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTO: Duration = Duration::from_millis(300);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn id(n: u64) -> ConnectionId {
        ConnectionId::new(&n.to_be_bytes()).unwrap()
    }

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn late(port: u16, bytes: u64, closes: bool) -> Late {
        Late {
            from: from(port),
            bytes,
            closes,
            challenge: None,
        }
    }

    fn remains(n: u64, tell: Option<u32>) -> Remains {
        Remains {
            local_id: id(n),
            peer_id: id(n + 1000),
            version: Version::V3,
            remote: from(1),
            tell,
            unasked: true,
            reason: Box::from(&b"bye"[..]),
            pto: PTO,
            allowance: u64::MAX,
        }
    }

    // D15
    #[test]
    fn close_is_sent_three_times_an_rto_apart_and_again_when_the_peer_speaks() {
        let mut list = ClosedList::default();
        let mut buffer = [0; 200];
        list.add(at(0), remains(1, Some(7)), 10);
        for now in [0, 300, 600] {
            assert_eq!(list.next_deadline(), Some(at(now)));
            assert!(list.poll_transmit(at(now), &mut buffer).is_some());
            assert!(list.poll_transmit(at(now), &mut buffer).is_none());
        }
        assert!(list.is_quiet());
        list.on_packet(at(700), &id(1), late(1, 50, false));
        assert!(list.poll_transmit(at(700), &mut buffer).is_some());
        list.on_packet(at(710), &id(1), late(1, 50, false));
        assert!(
            list.poll_transmit(at(710), &mut buffer).is_none(),
            "rate limited"
        );
    }

    // R12
    #[test]
    fn a_close_is_never_answered_by_a_close() {
        let mut list = ClosedList::default();
        let mut buffer = [0; 200];
        list.add(at(0), remains(1, Some(7)), 10);
        list.poll_transmit(at(0), &mut buffer).unwrap();
        list.on_packet(at(100), &id(1), late(1, 50, true));
        assert!(list.is_quiet(), "the peer knows");
        assert!(list.poll_transmit(at(10_000), &mut buffer).is_none());
    }

    // V3
    #[test]
    fn ids_are_remembered_for_as_long_as_the_peer_may_go_on_and_bounded_in_number() {
        let mut list = ClosedList::default();
        for n in 0..100 {
            list.add(at(n), remains(n, None), 10);
        }
        assert_eq!(list.entries.len(), 10);
        assert!(list.contains(&id(99)) && !list.contains(&id(89)));
        list.expire(at(35_098));
        assert!(list.contains(&id(99)));
        list.expire(at(35_099));
        assert!(!list.contains(&id(99)));
        assert_eq!(list.memory(), 0);
    }

    // V3
    #[test]
    fn who_speaks_on_is_remembered_longer_and_the_others_not() {
        let mut list = ClosedList::default();
        for n in 1..=3 {
            list.add(at(0), remains(n, Some(7)), 10);
        }
        for now in (0..100_000).step_by(2000) {
            list.on_packet(at(now), &id(1), late(1, 50, false));
            list.expire(at(now));
        }
        let remembered = [1, 2, 3].map(|n| list.contains(&id(n)));
        assert_eq!(remembered, [true, false, false]);
        assert_eq!(list.order.len(), list.entries.len());
        list.expire(at(98_000 + 35_000));
        assert!(list.entries.is_empty() && list.order.is_empty());
    }

    #[test]
    fn a_peer_that_moved_is_told_where_it_is_now_but_not_more_than_three_times_what_it_sent() {
        let mut list = ClosedList::default();
        let mut buffer = [0; 200];
        list.add(at(0), remains(1, Some(7)), 10);
        assert_eq!(list.poll_transmit(at(0), &mut buffer).unwrap().0, from(1));
        list.on_packet(at(100), &id(1), late(2, 34, false));
        assert_eq!(list.poll_transmit(at(100), &mut buffer).unwrap().0, from(2));
        list.on_packet(at(200), &id(1), late(3, 10, false));
        assert_eq!(list.poll_transmit(at(200), &mut buffer), None);
    }

    // V6
    #[test]
    fn recorded_packets_from_elsewhere_do_not_take_the_peers_answers() {
        let mut list = ClosedList::default();
        let mut buffer = [0; 200];
        list.add(at(0), remains(1, Some(7)), 10);
        let (mut here, mut there) = (0, 0);
        for ms in 0..1_000 {
            list.on_packet(at(ms), &id(1), late(9, 1_200, false));
            if ms % 100 == 50 {
                list.on_packet(at(ms), &id(1), late(1, 40, false));
            }
            while let Some((to, _)) = list.poll_transmit(at(ms), &mut buffer) {
                here += u32::from(to == from(1));
                there += u32::from(to == from(9));
            }
        }
        assert_eq!(here, 11, "at once, and each time that the peer spoke");
        assert_eq!(there, 50, "no more than one in 20 ms");
    }

    // V6
    #[test]
    fn a_challenge_is_answered_before_the_close() {
        let mut list = ClosedList::default();
        let mut buffer = [0; 200];
        list.add(at(0), remains(1, Some(7)), 10);
        list.poll_transmit(at(0), &mut buffer).unwrap();
        let asks = Late {
            challenge: Some(99),
            ..late(1, 50, false)
        };
        list.on_packet(at(100), &id(1), asks);
        let (_, len) = list.poll_transmit(at(100), &mut buffer).unwrap();
        let packet = crate::wire::Packet::decode_as(&buffer[..len], crate::wire::Dialect::V3);
        let frames: alloc::vec::Vec<_> = packet.unwrap().frames().collect();
        assert_eq!(frames[0], Frame::PathResponse { nonce: 99 });
        assert!(matches!(frames[1], Frame::ConnectionClose { code: 7, .. }));
    }
}
