//! What becomes of a datagram that arrives.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::closed::Late;
use super::random::reset_token;
use super::stateless::MAX_ANSWER;
use super::{Ecn, Endpoint, Received, is_answerable};
use crate::connection::Connection;
use crate::endpoint::table::ConnectionHandle;
use crate::wire::reset::{self, Token};
use crate::wire::{
    ConnectionId, Datagram, Frame, Packet, Version, VersionNegotiation, peek_destination, peek_ids,
};
use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

/// How long an ID must have been unknown before its sender is told by a stateless reset: packets
/// that merely overtook their SYN must not end their connection (UDX 14: 3 s).
const RESET_AFTER: core::time::Duration = core::time::Duration::from_secs(3);

/// A SYN of a stream opens a connection under one of the first so many numbers (UDX 7.1). Before the first answer a dialer of ours has ten
/// packets outstanding (D23) and repeats them for 30 s. Under a later number it opens another stream of a connection
/// that is already there: if nobody here knows it, it was lost by a restart, and to open it anew would take the old streams' data for
/// new ones', and acknowledge them. Go fills its window with small packets before any answer, and repeats each under a fresh number: but its
/// connections are opened by a SYN for no stream (UDX 7.2), which comes late only if it was lost.
const OPENING_NUMBERS: u64 = 256;

impl Endpoint {
    /// Takes datagrams from the network. Whatever they are, this costs bounded time and memory;
    /// what is not understood is dropped and counted.
    pub fn handle(&mut self, now: Instant, received: Received<'_>) {
        self.advance(now);
        let mut touched: Option<ConnectionHandle> = None;
        for datagram in received.data.chunks(received.segment_size.max(1)) {
            self.stats.datagrams_received = self.stats.datagrams_received.saturating_add(1);
            if received.ecn == Some(Ecn::Ce) {
                self.stats.congestion_marks = self.stats.congestion_marks.saturating_add(1);
            }
            let handle = self.handle_datagram(received.from, datagram);
            // A train is settled once, where it is all of one connection.
            if handle != touched {
                if let Some(before) = touched {
                    self.settle(before);
                }
                touched = handle;
            }
        }
        if let Some(handle) = touched {
            self.settle(handle);
        }
    }

    /// Returns the connection that the datagram concerned.
    fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<ConnectionHandle> {
        let Some((version, destination)) = peek_destination(datagram) else {
            self.stats.undecodable = self.stats.undecodable.saturating_add(1);
            return self.stateless_reset(datagram);
        };
        match Version::from_wire(version) {
            Some(version) => self.packet(from, destination, datagram, version),
            None if version == 0 => self.version_negotiation(from, datagram),
            None => {
                self.stats.other_versions = self.stats.other_versions.saturating_add(1);
                if self.table.route(&destination).is_none() {
                    let reset = self.stateless_reset(datagram);
                    if reset.is_some() {
                        return reset;
                    }
                    self.offer_versions(from, datagram);
                }
                None
            }
        }
    }

    fn packet(
        &mut self,
        from: SocketAddr,
        destination: ConnectionId,
        datagram: &[u8],
        version: Version,
    ) -> Option<ConnectionHandle> {
        // D4: what only Dart 3.0.0 sends is understood wherever it comes from.
        let packet = match Packet::decode_as(datagram, version.dialect()) {
            Ok(packet) => packet,
            Err(_) => {
                mark!(Undecodable);
                self.stats.undecodable = self.stats.undecodable.saturating_add(1);
                return self.stateless_reset(datagram);
            }
        };
        let now = self.now;
        if let Some(handle) = self.table.route(&destination) {
            let connection = self.table.get_mut(handle)?;
            // UDX 13, UDX2 D17: looked at in every packet.
            if !connection.takes(now, from, packet.header()) {
                mark!(OtherVersionIgnored);
                self.stats.other_versions = self.stats.other_versions.saturating_add(1);
                return Some(handle);
            }
            connection.handle_packet(now, from, &packet, datagram.len());
            return Some(handle);
        }
        self.closed.expire(now);
        if self.closed.contains(&destination) && !sabotage!(ClosedRevived) {
            self.stats.after_close = self.stats.after_close.saturating_add(1);
            let late = Late {
                from,
                bytes: u64::try_from(datagram.len()).unwrap_or(0),
                closes: packet
                    .frames()
                    .any(|frame| matches!(frame, Frame::ConnectionClose { .. })),
                challenge: packet.frames().find_map(|frame| match frame {
                    Frame::PathChallenge { nonce } => Some(nonce),
                    _ => None,
                }),
            };
            self.closed.on_packet(now, &destination, late);
            return None;
        }
        if let reset @ Some(_) = self.stateless_reset(datagram) {
            return reset;
        }
        if packet.frames().any(|frame| frame.has_syn()) && self.may_open(&packet) {
            if !self.config.accept_versions.contains(&version) {
                self.stats.other_versions = self.stats.other_versions.saturating_add(1);
                self.offer_versions(from, datagram);
                return None;
            }
            return self.open(from, &packet, datagram.len(), version);
        }
        self.unroutable(from, destination, datagram);
        None
    }

    fn may_open(&self, packet: &Packet<'_>) -> bool {
        let first = self.config.connection.first_number;
        let number = packet.header().number.expand(first);
        let is_early = number
            .checked_sub(first)
            .is_some_and(|before| before < OPENING_NUMBERS);
        let header = packet.header();
        let is_bare = (header.destination_stream, header.source_stream) == (0, 0);
        let may = is_early || is_bare;
        mark!(LateSynRefused, !may);
        may
    }

    /// UDX 7.1: a STREAM frame with SYN for an unknown ID opens a connection.
    fn open(
        &mut self,
        from: SocketAddr,
        packet: &Packet<'_>,
        len: usize,
        version: Version,
    ) -> Option<ConnectionHandle> {
        let local_id = packet.header().destination;
        // Without an ID of its own, a connection could not be told from the next one.
        if !self.config.accept
            || self.shut
            || local_id.is_empty()
            || !is_answerable(&from)
            || !self.make_room()
        {
            mark!(FirstPacketRefused);
            self.stats.refused = self.stats.refused.saturating_add(1);
            return None;
        }
        let start = self.start(local_id, packet.header().source, from);
        let limits = &self.config.limits;
        let config = Arc::clone(&self.shared);
        let connection = Connection::accept_from(start, config, limits, version);
        let handle = self.table.insert(local_id, connection);
        self.crowd.arrive(handle);
        self.stats.connections = self.stats.connections.saturating_add(1);
        let now = self.now;
        let early = self.early.take(now, &local_id);
        let connection = self.table.get_mut(handle)?;
        connection.handle_packet(now, from, packet, len);
        // D23: what overtook the SYN follows it now.
        for (from, datagram) in &early {
            if let Ok(packet) = Packet::decode_as(datagram, version.dialect())
                && packet.header().version == version.wire()
            {
                mark!(EarlyPacketReplayed);
                connection.handle_packet(now, *from, &packet, datagram.len());
            }
        }
        Some(handle)
    }

    /// UDX2 H19: whether one more connection may be accepted. Where a limit is reached, the oldest one that never proved its
    /// address makes room for it: first packets from everywhere keep nobody out who answers a challenge before as many others
    /// came as the limit allows.
    fn make_room(&mut self) -> bool {
        let limits = self.config.limits;
        if self.crowd.waiting() >= limits.accept_backlog {
            let oldest = self.crowd.oldest_unproven_waiting();
            oldest.into_iter().for_each(|handle| self.displace(handle));
        }
        if self.crowd.unproven() >= limits.half_open {
            let oldest = self.crowd.oldest_unproven();
            oldest.into_iter().for_each(|handle| self.displace(handle));
        }
        self.make_place()
            && self.crowd.waiting() < limits.accept_backlog
            && self.crowd.unproven() < limits.half_open
    }

    /// Whether there is a place for one more connection, accepted or dialed.
    pub(super) fn make_place(&mut self) -> bool {
        let most = self.config.limits.max_connections;
        if self.table.len() >= most
            && let Some(oldest) = self.crowd.oldest_unproven()
        {
            self.displace(oldest);
        }
        self.table.len() < most
    }

    /// The connection is not remembered as closed: the peer may be there after all and its first packet come again, and who
    /// fills one list should not fill the other.
    fn displace(&mut self, handle: ConnectionHandle) {
        self.stats.displaced = self.stats.displaced.saturating_add(1);
        mark!(DisplacedWaiting, self.crowd.is_waiting(handle));
        mark!(DisplacedAccepted, !self.crowd.is_waiting(handle));
        if self.crowd.is_waiting(handle) {
            self.table.remove(handle);
        } else if let Some(connection) = self.table.get_mut(handle) {
            connection.displace();
            self.table.discount(handle);
        }
        self.crowd.forget(handle);
    }

    fn unroutable(&mut self, from: SocketAddr, id: ConnectionId, datagram: &[u8]) {
        self.stats.unroutable = self.stats.unroutable.saturating_add(1);
        if !self.config.accept || self.shut {
            return;
        }
        let since = self
            .early
            .keep(self.now, id, from, datagram, &self.config.limits);
        let unknown_for = since.map(|since| self.now.saturating_duration_since(since));
        let Some(secret) = &self.config.reset_secret else {
            return;
        };
        if unknown_for.is_some_and(|time| time >= RESET_AFTER) && is_answerable(&from) {
            mark!(StatelessResetGiven);
            let token = reset_token(secret, &id);
            let mut filler = [0; reset::FILLER_LEN];
            self.random.fill(&mut filler);
            self.answers.give(self.now, from, |answer| {
                reset::encode(answer, datagram.len(), token, &filler)
            });
        }
    }

    /// UDX 14: a datagram that cannot be routed may say that the peer forgot a connection.
    fn stateless_reset(&mut self, datagram: &[u8]) -> Option<ConnectionHandle> {
        let handle = self.table.by_token(&Token::of(datagram)?)?;
        mark!(StatelessResetTaken);
        let now = self.now;
        self.table.get_mut(handle)?.on_stateless_reset(now);
        Some(handle)
    }

    fn version_negotiation(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<ConnectionHandle> {
        let Ok(Datagram::VersionNegotiation(offer)) = Datagram::decode(datagram) else {
            self.stats.undecodable = self.stats.undecodable.saturating_add(1);
            return None;
        };
        let handle = self.table.route(&offer.destination)?;
        let now = self.now;
        self.table
            .get_mut(handle)?
            .on_version_negotiation(now, from, &offer);
        Some(handle)
    }

    /// UDX 13: another version for an unknown ID is answered with the versions spoken here; never
    /// longer than what provoked it, and not often.
    fn offer_versions(&mut self, from: SocketAddr, datagram: &[u8]) {
        if !self.config.accept || self.shut || !is_answerable(&from) {
            return;
        }
        let Some((_, destination, source)) = peek_ids(datagram) else {
            return;
        };
        mark!(VersionsOffered);
        let accepted = &self.config.accept_versions;
        self.answers
            .give(self.now, from, |answer: &mut [u8; MAX_ANSWER]| {
                let room = answer.get_mut(..datagram.len().min(MAX_ANSWER))?;
                // D20: {3, 2}; more than two would make an older Dart dialer answer in turn.
                let mut versions: Vec<u32> = accepted.iter().map(|known| known.wire()).collect();
                versions.sort_unstable_by(|one, other| other.cmp(one));
                versions.dedup();
                VersionNegotiation::encode(room, source, destination, &versions).ok()
            });
    }
}
