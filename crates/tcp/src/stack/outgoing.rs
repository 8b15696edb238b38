//! Packets that leave.

use super::slots::List;
use super::{Stack, Transmit, count};
use crate::connection::Addresses;
use crate::wire::{Ecn, PacketHeader, Verify, protocol};
use core::net::IpAddr;
use core::num::NonZeroU16;
use gapless_recovery::Instant;

impl Stack {
    /// Writes the next packet to the front of `buffer`. Its length, or `None` if nothing is to be sent now, or if `buffer` has no room for a packet of
    /// the MTU. Call again until `None`: at one instant that comes soon (R8).
    ///
    /// May change its answer: after every call that changes anything, and at [`next_deadline`](Self::next_deadline).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let transmit = self.poll(now, buffer, NonZeroU16::MIN)?;
        Some(transmit.length)
    }

    /// As [`poll_transmit`](Self::poll_transmit), for a device that cuts large segments up ([`StackConfig::trains`](crate::StackConfig::trains)): as many
    /// segments of one connection as may leave now and find room, in one packet. Without such a device each packet is one segment.
    ///
    /// What leaves is the same whichever of the two is called, or both in turn.
    ///
    /// ```
    /// use gapless_tcp::wire::Verify;
    /// use gapless_tcp::{Checksums, Stack, StackConfig, Trains, Transmit};
    ///
    /// let config = StackConfig {
    ///     trains: Some(Trains::default()),
    ///     checksums: Checksums { send: Verify::Device, receive: Verify::Device },
    ///     ..StackConfig::default()
    /// };
    /// let mut stack = Stack::new(config, [1, 2]);
    /// let mut buffer = vec![0; usize::from(u16::MAX)];
    /// # let now = gapless_tcp::Instant::from_nanos(0);
    /// while let Some(transmit) = stack.poll_train(now, &mut buffer) {
    ///     let Transmit { length, headers, segment_size, checksum, .. } = transmit;
    ///     let packet = &buffer[..length];
    ///     // The header of a virtio network device asks for just this: hdr_len, gso_size, csum_start and csum_offset.
    ///     let gso_size = segment_size.map_or(0, |size| size.get());
    ///     let (csum_start, csum_offset) = checksum.map_or((0, 0), |checksum| (checksum.start, checksum.offset));
    /// #   let _ = (packet, headers, gso_size, csum_start, csum_offset);
    /// }
    /// ```
    #[must_use]
    pub fn poll_train(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let Some(trains) = self.config.trains else {
            return self.poll(now, buffer, NonZeroU16::MIN);
        };
        let most = usize::from(trains.octets.max(self.config.mtu));
        let length = buffer.len().min(most);
        self.poll(now, buffer.get_mut(..length)?, trains.segments)
    }

    fn poll(&mut self, now: Instant, buffer: &mut [u8], most: NonZeroU16) -> Option<Transmit> {
        // D6: who has no room asks again; nobody's turn is over, and no answer is lost.
        if buffer.len() < usize::from(self.config.mtu) {
            return None;
        }
        if let Some(transmit) = self.send_reply(buffer) {
            return Some(transmit);
        }
        while let Some(slot) = self.slots.first(List::Ready) {
            match self.send_of(now, slot, buffer, most) {
                Some(transmit) => {
                    // Everybody in turn.
                    self.slots.turn(List::Ready);
                    count(&mut self.stats.sent);
                    return Some(transmit);
                }
                None => {
                    self.slots.pop(List::Ready);
                    self.settle(now, slot);
                }
            }
        }
        None
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) may have something: whoever sleeps until [`next_deadline`](Self::next_deadline) is to be
    /// woken if so.
    ///
    /// May change its answer: after every call that changes anything.
    #[must_use]
    pub fn may_transmit(&self) -> bool {
        !self.replies.waiting.is_empty() || self.slots.first(List::Ready).is_some()
    }

    fn send_of(
        &mut self,
        now: Instant,
        slot: u32,
        buffer: &mut [u8],
        most: NonZeroU16,
    ) -> Option<Transmit> {
        let checksums = self.config.checksums.send;
        let hop_limit = self.config.hop_limit;
        let entry = self.slots.get_mut(slot)?;
        if entry.is_held {
            return None;
        }
        let addresses = Addresses {
            local: entry.tuple.local.ip(),
            remote: entry.tuple.remote.ip(),
        };
        let header = ip_header(hop_limit, addresses.local, addresses.remote);
        let connection = entry.connection_mut()?;
        let room = buffer.get_mut(header.len()..)?;
        let train = connection.poll_train(now, addresses, room, checksums, most)?;
        let packet = buffer.get_mut(..header.len().saturating_add(train.length))?;
        let header = PacketHeader {
            ecn: connection.ecn(),
            ..header
        };
        // No device with TCP's checksum for its task need have this one too; it is that of 20 octets.
        header.write(packet, Verify::Here)?;
        let transmit = Transmit::new(packet.len(), header.len(), train.header, checksums);
        Some(Transmit {
            segment_size: train.segment_size,
            ..transmit
        })
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
        self.account(slot);
        self.deadlines.set(slot, deadline);
        self.put_away(now, slot);
    }

    fn send_reply(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let reply = *self.replies.waiting.get(self.replies.taken)?;
        self.replies.taken = self.replies.taken.saturating_add(1);
        if self.replies.taken >= self.replies.waiting.len() {
            self.replies.waiting.clear();
            self.replies.taken = 0;
        }
        let checksums = self.config.checksums.send;
        let ip = ip_header(self.config.hop_limit, reply.local, reply.remote);
        let length = ip.len().saturating_add(reply.header.len());
        let packet = buffer.get_mut(..length)?;
        ip.write(packet, Verify::Here)?;
        let segment = packet.get_mut(ip.len()..)?;
        reply
            .header
            .write(reply.local, reply.remote, segment, checksums)?;
        count(&mut self.stats.sent);
        let header = reply.header.len();
        Some(Transmit::new(length, ip.len(), header, checksums))
    }
}

const fn ip_header(hop_limit: u8, source: IpAddr, destination: IpAddr) -> PacketHeader {
    PacketHeader {
        source,
        destination,
        protocol: protocol::TCP,
        ecn: Ecn::NotCapable,
        hop_limit,
    }
}
