//! Packets that arrive (RFC 9293 3.10.7.1 and 3.10.7.2).

use super::linger::Late;
use super::slots::{Kind, List, Slot};
use super::{Arrival, Reply, Stack, Tuple, count};
use crate::connection::{Connection, HEADER, Opening, Ports, State};
use crate::wire::{
    Ecn, Flags, Header, IcmpError, Options, Packet, Quoted, Reason, Segment, Verify, is_answerable,
    protocol,
};
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;
use core::time::Duration;
use gapless_recovery::Instant;
use gapless_seq::{Wire32, mark};

impl Stack {
    /// Takes a packet. What is broken, or meant for nobody here, is dropped and counted. One that the device put together of several is taken
    /// as well: up to 65,535 octets, whatever the MTU is.
    pub fn handle(&mut self, now: Instant, packet: &[u8]) {
        self.handle_arrival(now, Arrival::from(packet));
    }

    /// Takes packets that arrived together, in this order: the same as each by itself.
    ///
    /// ```
    /// use gapless_tcp::wire::Verify;
    /// use gapless_tcp::{Arrival, Instant, Stack, StackConfig};
    ///
    /// let mut stack = Stack::new(StackConfig::default(), [1, 2]);
    /// # let now = Instant::from_nanos(0);
    /// let ring: [(&[u8], bool); 2] = [(&[0x45; 40], true), (&[0x45; 40], false)];
    /// let arrivals = ring.iter().map(|(packet, is_checked)| Arrival {
    ///     packet,
    ///     checksum: if *is_checked { Verify::Device } else { Verify::Here },
    /// });
    /// stack.handle_batch(now, arrivals);
    /// // Neither of these is a packet.
    /// assert_eq!(stack.stats().dropped, 2);
    /// ```
    pub fn handle_batch<'a>(
        &mut self,
        now: Instant,
        arrivals: impl IntoIterator<Item = Arrival<'a>>,
    ) {
        for arrival in arrivals {
            self.handle_arrival(now, arrival);
        }
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival<'_>) {
        count(&mut self.stats.received);
        let verify = self.config.checksums.receive;
        // A device says nothing of the header of IP.
        let of_segment = match arrival.checksum {
            Verify::Device => Verify::Device,
            Verify::Here => verify,
        };
        let taken = Packet::parse(arrival.packet, verify).is_ok_and(|packet| {
            if !self.is_ours(packet.destination) {
                return false;
            }
            let (source, destination) = (packet.source, packet.destination);
            match Segment::parse(source, destination, packet.payload, of_segment) {
                Ok(segment) if packet.protocol == protocol::TCP => {
                    self.on_segment(now, &packet, &segment)
                }
                _ => match IcmpError::parse(&packet, verify) {
                    Some(error) => self.on_icmp(now, &error),
                    None => false,
                },
            }
        });
        if !taken {
            count(&mut self.stats.dropped);
        }
    }

    /// Whether packets to this address are for this stack.
    #[must_use]
    pub fn is_ours(&self, address: IpAddr) -> bool {
        is_answerable(&address) && (self.config.any_address || self.addresses.contains(&address))
    }

    fn on_segment(&mut self, now: Instant, packet: &Packet<'_>, segment: &Segment<'_>) -> bool {
        // R24: before anything is made of it.
        if !is_answerable(&packet.source) {
            return false;
        }
        let header = &segment.header;
        let tuple = Tuple {
            local: SocketAddr::new(packet.destination, header.destination_port),
            remote: SocketAddr::new(packet.source, header.source_port),
        };
        let recent = self.recent.filter(|slot| self.is_of(*slot, &tuple));
        if let Some(slot) = recent {
            self.on_known(now, slot, segment, packet.ecn);
            return true;
        }
        let hash = self.table.hash(&tuple);
        match self.find(hash, &tuple) {
            Some(slot) => {
                self.recent = Some(slot);
                self.on_known(now, slot, segment, packet.ecn);
            }
            None => self.on_unknown(now, hash, tuple, segment),
        }
        true
    }

    fn is_of(&self, slot: u32, tuple: &Tuple) -> bool {
        let entry = self.slots.get(slot);
        entry.is_some_and(|entry| entry.tuple == *tuple)
    }

    fn find(&self, hash: u32, tuple: &Tuple) -> Option<u32> {
        self.table.find(hash, |slot| self.is_of(slot, tuple))
    }

    fn on_known(&mut self, now: Instant, slot: u32, segment: &Segment<'_>, ecn: Ecn) {
        let stands_in_the_way =
            self.has_baked(now) && self.stands_before_cookie(now, slot, &segment.header);
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let (tuple, hash) = (entry.tuple, entry.hash);
        if stands_in_the_way {
            self.count_out(slot);
            self.leave_queue(slot);
            self.forget(slot);
            self.on_unknown(now, hash, tuple, segment);
            return;
        }
        match &mut entry.kind {
            Kind::Open(place) => {
                let Some(connection) = place.get_mut() else {
                    return;
                };
                let is_opening = connection.state() == State::SynReceived;
                let listener = entry.listener.filter(|_| is_opening && !entry.is_held);
                if connection.state() == State::Closed {
                    // It is over, and the application has not let go of it yet.
                    self.refuse(tuple, segment);
                    return;
                }
                if let Some(listener) = listener
                    && !segment.header.flags.has(Flags::RST)
                    && self.listeners.is_full(listener)
                {
                    // As if it had been lost: our SYN|ACK goes again, and by its answer there may be room.
                    count(&mut self.stats.overflows);
                    return;
                }
                connection.set_grant(self.budget.left(entry.peer));
                connection.on_marked_segment(now, segment, ecn);
                self.touched(now, slot);
            }
            Kind::Linger(linger) => match linger.judge(segment) {
                Late::Drop => {}
                Late::Acknowledge => {
                    mark!(LingerAnswered);
                    let header = linger.answer((tuple.local.port(), tuple.remote.port()));
                    linger.until = now.saturating_add(self.config.connection.time_wait);
                    self.reply(Reply {
                        local: tuple.local.ip(),
                        remote: tuple.remote.ip(),
                        header,
                    });
                }
                Late::Anew => {
                    self.forget(slot);
                    self.on_unknown(now, hash, tuple, segment);
                }
            },
            Kind::Free => {}
        }
    }

    /// Whether a half-open connection keeps a cookie from coming back. The SYN was answered by a cookie, and a late copy of it came when there
    /// was room to remember: the peer goes on with the number of the cookie, which is not that of the half-open one (RFC 4987 3.6).
    fn stands_before_cookie(&self, now: Instant, slot: u32, header: &Header) -> bool {
        let entry = self.slots.get(slot);
        let Some(entry) = entry.filter(|entry| entry.listener.is_some() && !entry.is_held) else {
            return false;
        };
        let syn = Wire32::from(u32::from(header.acknowledgment).wrapping_sub(1));
        let is_another = entry.connection().is_some_and(|connection| {
            connection.state() == State::SynReceived && !connection.has_in_flight(syn)
        });
        is_third(header.flags)
            && is_another
            && self.secret.taste(now, &entry.tuple, header).is_some()
    }

    /// RFC 9293 3.10.7.1 and 3.10.7.2.
    fn on_unknown(&mut self, now: Instant, hash: u32, tuple: Tuple, segment: &Segment<'_>) {
        let flags = segment.header.flags;
        // "First, check for a RST". It may mean a connection on this port, never the listener (C26).
        if flags.has(Flags::RST) {
            return;
        }
        if flags.has(Flags::ACK) {
            // "Second, check for an ACK": unless it brings a cookie back.
            let may_be = is_third(flags) && self.listeners.find(tuple.local).is_some();
            if may_be && self.take_cookie(now, hash, tuple, segment) {
                return;
            }
            // What would have brought the cookie back may be lost, and this came behind it: the peer sends it again.
            if !(may_be && self.has_baked(now)) {
                self.refuse(tuple, segment);
            }
            return;
        }
        if !flags.has(Flags::SYN) {
            return;
        }
        // "Third, check for a SYN".
        let listener = self.listeners.find(tuple.local);
        match listener.map(|listener| (listener.is_full(), listener.holds)) {
            None => self.refuse(tuple, segment),
            // C25: a full queue drops, and the peer asks again; a RST would tell him that nobody listens.
            Some((true, _)) => {
                count(&mut self.stats.overflows);
            }
            // As if it had been lost: when there is memory again, it comes again.
            Some(_) if !self.can_afford(tuple.remote.ip()) => {}
            // A cookie would be an answer, and the application has not decided: those that are held its queue bounds.
            Some((_, false)) if self.half_open >= self.config.max_half_open => {
                self.answer_by_cookie(now, tuple, &segment.header);
            }
            Some(_) => self.open(now, hash, tuple, &segment.header),
        }
    }

    /// A connection begins with this SYN.
    fn open(&mut self, now: Instant, hash: u32, tuple: Tuple, syn: &Header) {
        let initial = self.secret.initial(now, &tuple);
        let opening = self.opening(&tuple, initial);
        let connection = Connection::accept(&self.config.connection, now, &opening, syn);
        if let Some(slot) = self.enter(hash, tuple, connection) {
            self.half_open = self.half_open.saturating_add(1);
            if let Some(listener) = self.listeners.find(tuple.local) {
                let (id, holds) = (listener.id, listener.holds);
                self.come_through(slot, id, holds);
            }
            self.touched(now, slot);
        }
    }

    /// It came through a listener. One that is held waits to be accepted from now on, any other when it is established: those that are being
    /// opened take nobody's place in the queue, or strangers who send SYNs and nothing else would keep everybody out.
    fn come_through(&mut self, slot: u32, listener: u32, is_held: bool) {
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.listener = Some(listener);
            entry.is_held = is_held;
        }
        if is_held {
            self.join_queue(slot, listener);
        }
    }

    fn join_queue(&mut self, slot: u32, listener: u32) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.queue();
        }
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.is_queued = true;
        }
        self.slots.link(List::Accept, slot);
    }

    pub(super) fn opening(&self, tuple: &Tuple, initial: u32) -> Opening {
        Opening {
            ports: Ports {
                local: tuple.local.port(),
                remote: tuple.remote.port(),
            },
            initial,
            clock_offset: self.secret.clock_offset(tuple),
            path: self.path_to(tuple.remote.ip()),
        }
    }

    /// Gives a connection its place; `None` if there is no room.
    pub(super) fn enter(&mut self, hash: u32, tuple: Tuple, connection: Connection) -> Option<u32> {
        let entered = self
            .slots
            .insert(tuple, hash, connection)
            .ok()
            .and_then(|slot| {
                let peer = self.budget.join(tuple.remote.ip()).ok();
                if let (Some(peer), Some(entry)) = (peer, self.slots.get_mut(slot)) {
                    entry.peer = peer;
                }
                let is_in = peer.is_some()
                    && self.deadlines.reserve(self.slots.len()).is_ok()
                    && self.table.insert(hash, slot).is_ok();
                if !is_in {
                    self.free(slot);
                }
                is_in.then_some(slot)
            });
        match entered {
            Some(slot) => {
                self.account(slot);
                // Its SYN|ACK promises what there is.
                self.granted(slot);
            }
            None => count(&mut self.stats.overflows),
        }
        entered
    }

    /// RFC 4987 3.6: nothing is remembered.
    fn answer_by_cookie(&mut self, now: Instant, tuple: Tuple, syn: &Header) {
        count(&mut self.stats.cookies);
        mark!(CookieSent);
        self.baked = Some(now);
        let ours = self.path_to(tuple.remote.ip()).saturating_sub(HEADER);
        let header = Header {
            source_port: tuple.local.port(),
            destination_port: tuple.remote.port(),
            sequence: self.secret.cookie(now, &tuple, syn).into(),
            acknowledgment: u32::from(syn.sequence).wrapping_add(1).into(),
            flags: Flags::SYN | Flags::ACK,
            window: self.config.connection.first_window(),
            urgent: 0,
            options: Options {
                mss: NonZeroU16::new(ours),
                ..Options::NONE
            },
        };
        self.reply(Reply {
            local: tuple.local.ip(),
            remote: tuple.remote.ip(),
            header,
        });
    }

    /// Whether a cookie that was sent may still come back.
    fn has_baked(&self, now: Instant) -> bool {
        self.baked
            .is_some_and(|at| now.saturating_duration_since(at) < COOKIE_LIFETIME)
    }

    /// Whether the segment brought a cookie of ours back: the connection is as if its SYN had been remembered.
    fn take_cookie(
        &mut self,
        now: Instant,
        hash: u32,
        tuple: Tuple,
        segment: &Segment<'_>,
    ) -> bool {
        let header = &segment.header;
        let Some(cookie) = self.secret.taste(now, &tuple, header) else {
            return false;
        };
        let Some(listener) = self.listeners.find(tuple.local) else {
            return false;
        };
        if listener.is_full() {
            // As if it had been lost: the peer sends again.
            count(&mut self.stats.overflows);
            return true;
        }
        let listener = listener.id;
        if !self.can_afford(tuple.remote.ip()) {
            return true;
        }
        let syn = Header {
            sequence: u32::from(header.sequence).wrapping_sub(1).into(),
            flags: Flags::SYN,
            options: Options {
                mss: NonZeroU16::new(cookie.mss),
                ..Options::NONE
            },
            ..*header
        };
        let initial = u32::from(header.acknowledgment).wrapping_sub(1);
        let opening = self.opening(&tuple, initial);
        let mut connection = Connection::accept(&self.config.connection, now, &opening, &syn);
        connection.syn_was_sent(now);
        mark!(CookieTaken);
        if let Some(slot) = self.enter(hash, tuple, connection) {
            self.half_open = self.half_open.saturating_add(1);
            // Its SYN is answered already: there is nothing left to decide but whether to accept it.
            self.come_through(slot, listener, false);
            self.on_known(now, slot, segment, Ecn::NotCapable);
        }
        true
    }

    /// It is established and may be accepted, or it never will be. Whether nothing is left of it.
    pub(super) fn advance_opening(&mut self, slot: u32) -> bool {
        let Some(entry) = self.slots.get_mut(slot) else {
            return true;
        };
        let Some(state) = entry.connection().map(Connection::state) else {
            return true;
        };
        let Some(listener) = entry.listener.filter(|_| state != State::SynReceived) else {
            return false;
        };
        let was_counted = self.count_out(slot);
        if state == State::Closed {
            self.leave_queue(slot);
            self.forget(slot);
            return true;
        }
        if was_counted {
            self.join_queue(slot, listener);
        }
        false
    }

    /// It is not being opened any longer. Whether it was counted among those that are.
    pub(super) fn count_out(&mut self, slot: u32) -> bool {
        let was_counted = self.slots.get_mut(slot).is_some_and(Slot::count_out);
        self.half_open = self.half_open.saturating_sub(usize::from(was_counted));
        was_counted
    }

    /// It is its listener's no longer.
    pub(super) fn leave_queue(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let listener = entry.listener.take();
        let was_queued = core::mem::take(&mut entry.is_queued);
        if let Some(listener) = listener.and_then(|id| self.listeners.get_mut(id))
            && was_queued
        {
            listener.waiting = listener.waiting.saturating_sub(1);
        }
    }

    /// RFC 9293 3.10.7.1: a RST that the sender believes.
    fn refuse(&mut self, tuple: Tuple, segment: &Segment<'_>) {
        let to = &segment.header;
        if to.flags.has(Flags::RST) {
            return;
        }
        count(&mut self.stats.refused);
        let end = u64::from(u32::from(to.sequence)).saturating_add(segment.length());
        let has_ack = to.flags.has(Flags::ACK);
        let header = Header {
            source_port: tuple.local.port(),
            destination_port: tuple.remote.port(),
            sequence: if has_ack {
                to.acknowledgment
            } else {
                Wire32::default()
            },
            acknowledgment: if has_ack {
                Wire32::default()
            } else {
                Wire32::truncate(end)
            },
            flags: Flags::RST.with_if(!has_ack, Flags::ACK),
            window: 0,
            urgent: 0,
            options: Options::NONE,
        };
        self.reply(Reply {
            local: tuple.local.ip(),
            remote: tuple.remote.ip(),
            header,
        });
    }

    /// RFC 9293 3.9.2.2, RFC 5461, RFC 5927: hard errors end what is being opened and nothing else; the number has to be of something in
    /// flight.
    fn on_icmp(&mut self, now: Instant, error: &IcmpError) -> bool {
        let Quoted {
            source,
            destination,
            source_port,
            destination_port,
            sequence,
        } = error.quoted;
        let tuple = Tuple {
            local: SocketAddr::new(source, source_port),
            remote: SocketAddr::new(destination, destination_port),
        };
        let hash = self.table.hash(&tuple);
        let Some(slot) = self.find(hash, &tuple) else {
            return false;
        };
        let Some(connection) = self
            .slots
            .get_mut(slot)
            .and_then(|slot| slot.connection_mut())
        else {
            return false;
        };
        if !connection.has_in_flight(sequence) {
            return false;
        }
        match error.reason {
            Reason::TooBig { mtu } => {
                let header = crate::wire::header_len(&destination);
                let header = u32::try_from(header).unwrap_or(u32::MAX);
                // RFC 8201 section 4: every link of IPv6 carries 1280 octets.
                let least = if destination.is_ipv6() { LEAST_IPV6 } else { 0 };
                connection.on_too_big(now, mtu.max(least).saturating_sub(header));
            }
            Reason::Refused => connection.on_unreachable(now, true),
            Reason::Unreachable | Reason::HopLimit | Reason::BadHeader => {
                connection.on_unreachable(now, false);
            }
        }
        self.touched(now, slot);
        true
    }
}

/// Whether these may be those of the third segment of a handshake, or of what came behind it.
fn is_third(flags: Flags) -> bool {
    flags.has(Flags::ACK) && !flags.has(Flags::SYN) && !flags.has(Flags::RST)
}

/// RFC 8200 section 5: octets of a packet.
const LEAST_IPV6: u32 = 1280;

/// Two of the times that a cookie knows.
const COOKIE_LIFETIME: Duration = Duration::from_secs(128);
