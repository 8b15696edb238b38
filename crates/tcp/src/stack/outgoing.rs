//! Packets that leave.

use super::slots::List;
use super::{Stack, count};
use crate::connection::Addresses;
use crate::wire::{Ecn, PacketHeader, protocol};
use core::net::IpAddr;
use gapless_recovery::Instant;

impl Stack {
    /// Writes the next packet to the front of `buffer`. Its length, or `None` if nothing is to be sent now, or if `buffer` has no room for a packet of
    /// the MTU. Call again until `None`: at one instant that comes soon (R8).
    ///
    /// May change its answer: after every call that changes anything, and at [`next_deadline`](Self::next_deadline).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        // D6: who has no room asks again; nobody's turn is over, and no answer is lost.
        if buffer.len() < usize::from(self.config.mtu) {
            return None;
        }
        if let Some(length) = self.send_reply(buffer) {
            return Some(length);
        }
        while let Some(slot) = self.slots.first(List::Ready) {
            match self.send_of(now, slot, buffer) {
                Some(length) => {
                    // Everybody in turn.
                    self.slots.pop(List::Ready);
                    self.slots.link(List::Ready, slot);
                    count(&mut self.stats.sent);
                    return Some(length);
                }
                None => {
                    self.slots.pop(List::Ready);
                    self.settle(now, slot);
                }
            }
        }
        None
    }

    fn send_of(&mut self, now: Instant, slot: u32, buffer: &mut [u8]) -> Option<usize> {
        let checksums = self.config.checksums.send;
        let entry = self.slots.get_mut(slot)?;
        if entry.is_held {
            return None;
        }
        let addresses = Addresses {
            local: entry.tuple.local.ip(),
            remote: entry.tuple.remote.ip(),
        };
        let header = self.ip_header(addresses.local, addresses.remote);
        let connection = self.slots.get_mut(slot)?.connection_mut()?;
        let room = buffer.get_mut(header.len()..)?;
        let length = connection.poll_transmit(now, addresses, room, checksums)?;
        let packet = buffer.get_mut(..header.len().saturating_add(length))?;
        let header = PacketHeader {
            ecn: connection.ecn(),
            ..header
        };
        header.write(packet, checksums)?;
        Some(packet.len())
    }

    /// It has nothing more to send now: it waits for its time, or is over. That time was not told while it had something to send, and for a
    /// caller who fetches packets late it has passed: what is due is done then (R9), which may give it something to send.
    fn settle(&mut self, now: Instant, slot: u32) {
        let entry = self.slots.get_mut(slot);
        let Some(connection) = entry.and_then(|entry| entry.connection_mut()) else {
            return;
        };
        let is_past = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        let mut deadline = connection.next_deadline(now);
        if is_past(deadline) {
            connection.on_timeout(now);
            deadline = connection.next_deadline(now);
            self.touched(now, slot);
            if !is_past(deadline) {
                return;
            }
            // R8: asking for packets comes to an end even so.
            self.slots.unlink(List::Ready, slot);
        }
        self.deadlines.set(slot, deadline);
        self.put_away(now, slot);
    }

    fn send_reply(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let reply = *self.replies.waiting.get(self.replies.taken)?;
        self.replies.taken = self.replies.taken.saturating_add(1);
        if self.replies.taken >= self.replies.waiting.len() {
            self.replies.waiting.clear();
            self.replies.taken = 0;
        }
        let checksums = self.config.checksums.send;
        let ip = self.ip_header(reply.local, reply.remote);
        let length = ip.len().saturating_add(reply.header.len());
        let packet = buffer.get_mut(..length)?;
        ip.write(packet, checksums)?;
        let segment = packet.get_mut(ip.len()..)?;
        reply
            .header
            .write(reply.local, reply.remote, segment, checksums)?;
        count(&mut self.stats.sent);
        Some(length)
    }

    const fn ip_header(&self, source: IpAddr, destination: IpAddr) -> PacketHeader {
        PacketHeader {
            source,
            destination,
            protocol: protocol::TCP,
            ecn: Ecn::NotCapable,
            hop_limit: self.config.hop_limit,
        }
    }
}
