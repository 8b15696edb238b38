//! How a packet is written.

use gapless_recovery::{Class, RecordId};
use gapless_seq::{Wire32, invariant, mark, sabotage};

use super::send::{ANNOUNCEMENT_LEN, CONTROL_ROOM};
use super::{Carried, Connection};
use crate::error::{CloseReason, code};
use crate::peer::Peer;
use crate::wire::{Encoder, Frame, Header, Version};

/// MAX_STREAMS as it is announced. D12: Go counts it over the connection's life.
const ANNOUNCED_STREAMS: u32 = 65_535;

/// UDX 3: peers compare numbers as plain values, so a connection must not come near the wrap.
const MOST_NUMBERS: u64 = (1 << 32) - (1 << 16);

/// What a header without a number says. UDX 3, D5: 0.
pub(super) struct Unnumbered;

impl Unnumbered {
    pub(super) const WIRE: Wire32 = Wire32::new(0);
}

impl Connection {
    /// V5: a frame that is not acknowledged by itself. Towards peers that acknowledge PINGs it goes with one, and
    /// so is a record that is sent until it arrived.
    pub(super) fn write_sure(
        &mut self,
        buffer: &mut [u8],
        carried: Carried,
        ids: (u32, u32),
        frame: &Frame<'_>,
    ) -> Option<usize> {
        if self.rules.is_heard_surely() && self.path.allowance() >= CONTROL_ROOM {
            let class = sabotage!(ResetOnce, Class::Once, Class::Reliable);
            let written = self.write_numbered(buffer, class, carried, None);
            // `None`: the log is full, or the connection over.
            if written.is_some() || self.closed.is_some() {
                return written;
            }
        }
        mark!(SureFrameUnnumbered);
        self.write_unnumbered(buffer, ids, core::slice::from_ref(frame))
    }

    /// A packet with one PATH_CHALLENGE or PATH_RESPONSE, in bytes.
    pub(super) fn challenge_len(&self) -> u64 {
        let frame = Frame::PathChallenge { nonce: 0 }.encoded_len();
        let len = self.header_len().saturating_add(frame);
        u64::try_from(len).unwrap_or(u64::MAX)
    }

    /// The bytes of a buffer that the address may be sent.
    pub(super) fn allowed(&self, len: usize) -> usize {
        let allowance = usize::try_from(self.path.allowance()).unwrap_or(usize::MAX);
        len.min(usize::from(self.recovery.mtu())).min(allowance)
    }

    pub(super) fn header_len(&self) -> usize {
        self.header(Unnumbered::WIRE, (0, 0)).encoded_len()
    }

    /// Bytes of stream data that fit into a packet of `len` bytes.
    pub(super) fn payload_room(&self, len: usize) -> usize {
        let overhead = self
            .header_len()
            .saturating_add(self.version.stream_header_len());
        let ack = if self.acks.is_pending() && self.rules.ack_with_data {
            self.ack_len()
        } else {
            0
        };
        let announcement = if self.owed.announced {
            0
        } else {
            ANNOUNCEMENT_LEN
        };
        len.saturating_sub(overhead)
            .saturating_sub(ack)
            .saturating_sub(announcement)
    }

    pub(super) fn ack_len(&self) -> usize {
        if self.v2.is_some() {
            return self.acks_len();
        }
        let ranges = self
            .acks
            .report(self.clock.now)
            .map_or(0, |(_, _, ranges)| ranges.count());
        crate::wire::Ack::encoded_len_with(ranges.saturating_sub(1).min(self.rules.ack_ranges))
    }

    /// The size of the packet that carries this, without what may ride along.
    pub(super) fn packet_len(&self, carried: &Carried) -> usize {
        let frames = match carried {
            Carried::Stream { piece, .. } => self
                .version
                .stream_header_len()
                .saturating_add(usize::from(piece.len)),
            Carried::Open => self.version.stream_header_len(),
            Carried::End(ending) => self.sure_len(&ending.frame()),
            Carried::Response { nonce } => self.sure_len(&Frame::PathResponse { nonce: *nonce }),
            Carried::Ping | Carried::MtuProbe => 1,
        };
        self.header_len().saturating_add(frames)
    }

    /// The size of a frame and of what gives its packet a number.
    fn sure_len(&self, frame: &Frame<'_>) -> usize {
        let number = match self.version {
            Version::V3 => Frame::Ping.encoded_len(),
            Version::V2 => self.version.stream_header_len(),
        };
        frame.encoded_len().saturating_add(number)
    }

    fn put_sure(&self, encoder: &mut Encoder<'_>, frame: &Frame<'_>) -> bool {
        match self.version {
            Version::V3 => encoder.frame(&Frame::Ping).is_ok() && encoder.frame(frame).is_ok(),
            // A SYN for no stream, or for one that exists or did, means nothing (UDX2 D4); but a packet with it is one that arrives.
            Version::V2 => {
                encoder.frame(frame).is_ok() && encoder.stream_header(true, false, 0, 0).is_ok()
            }
        }
    }

    /// Writes a packet that gets a number, which it gets by being registered (P1). `again` is the
    /// record if it is one that was sent before.
    pub(super) fn write_numbered(
        &mut self,
        packet: &mut [u8],
        class: Class,
        carried: Carried,
        again: Option<RecordId>,
    ) -> Option<usize> {
        let pings = !matches!(carried, Carried::Stream { .. } | Carried::Open);
        if pings && Wire32::truncate(self.recovery.next_number()).raw() == 0 {
            mark!(PingSkipsZero);
            // D8: a PING is never sent under 0, the next number of an acceptor that has written nothing yet. Holes are harmless
            // (UDX 3).
            self.recovery.skip_number();
        }
        let next = self.recovery.next_number();
        if self.is_number_exhausted(next) {
            self.terminate(
                CloseReason::NumbersExhausted,
                Some(code::INTERNAL),
                b"numbers exhausted",
            );
            return None;
        }
        let len = packet.len();
        let (mut encoder, header_len) = self.body(packet, len)?;
        let (written, acknowledges) = self.put_carried(&mut encoder, &carried);
        let len = header_len.saturating_add(encoder.written());
        invariant!(
            written,
            {
                self.broken();
                return None;
            },
            "{carried:?} in {}",
            packet.len()
        );
        let bytes = u32::try_from(len).unwrap_or(u32::MAX);
        let now = self.clock.now;
        let number = match again {
            Some(record) => self.recovery.resend(now, record, bytes).ok(),
            None => {
                let minted = self.recovery.commit(now, class, bytes, carried);
                minted.ok().map(|minted| minted.number)
            }
        }?;
        mark!(
            NumberWraps,
            number > 0 && Wire32::truncate(number).raw() == 0
        );
        if acknowledges {
            self.note_acknowledged();
        }
        let ids = match carried {
            Carried::Stream { id, .. } => (self.streams.get(id).map_or(0, |s| s.remote), id),
            Carried::End(ending) => (ending.remote, ending.local),
            Carried::Open | Carried::Response { .. } | Carried::Ping | Carried::MtuProbe => (0, 0),
        };
        self.put_header(packet, Wire32::truncate(number), ids)
            .then_some(len)
    }

    /// The frames of a numbered packet: an ACK if it fits, what is carried, the announcement. Returns
    /// whether all is there, and whether the ACK is.
    fn put_carried(&mut self, encoder: &mut Encoder<'_>, carried: &Carried) -> (bool, bool) {
        let needed = self.packet_len(carried).saturating_sub(self.header_len());
        let spare = encoder.remaining().saturating_sub(needed);
        let acknowledges = self.rules.ack_with_data
            && self.acks.is_pending()
            && spare >= self.ack_len()
            && self.encode_ack(encoder);
        let written = match carried {
            Carried::Stream { id, piece } => {
                let Some(stream) = self.streams.get_mut(*id) else {
                    return (false, acknowledges);
                };
                let len = sabotage!(
                    CutAnew,
                    piece.len >> self.recovery.pto_count().min(1),
                    piece.len
                );
                let target = encoder.stream_header(piece.syn, piece.fin, piece.offset, len);
                let copied = target.is_ok_and(|target| stream.send.copy_to(piece.offset, target));
                self.announce_in(encoder);
                copied
            }
            Carried::Open => {
                let opened = encoder.stream_header(true, false, 0, 0).is_ok();
                self.announce_in(encoder);
                opened
            }
            Carried::End(ending) => self.put_sure(encoder, &ending.frame()),
            Carried::Response { nonce } => {
                self.put_sure(encoder, &Frame::PathResponse { nonce: *nonce })
            }
            Carried::Ping => encoder.frame(&Frame::Ping).is_ok(),
            Carried::MtuProbe => {
                let size = encoder.remaining().saturating_sub(1);
                encoder.frame(&Frame::Ping).is_ok()
                    && encoder.frame(&Frame::MtuProbe { size }).is_ok()
            }
        };
        (written, acknowledges)
    }

    /// Writes a packet without a number. No function that mints numbers takes one of these.
    pub(super) fn write_unnumbered(
        &mut self,
        buffer: &mut [u8],
        ids: (u32, u32),
        frames: &[Frame<'_>],
    ) -> Option<usize> {
        let room = self.allowed(buffer.len());
        self.write_frames(buffer, room, ids, frames, false)
    }

    /// The same with an ACK, if one is due.
    pub(super) fn write_with_ack(
        &mut self,
        buffer: &mut [u8],
        ids: (u32, u32),
        frames: &[Frame<'_>],
    ) -> Option<usize> {
        let room = self.allowed(buffer.len());
        let acknowledges = self.acks.is_due(self.clock.now);
        self.write_frames(buffer, room, ids, frames, acknowledges)
    }

    pub(super) fn write_frames(
        &mut self,
        buffer: &mut [u8],
        room: usize,
        ids: (u32, u32),
        frames: &[Frame<'_>],
        acknowledges: bool,
    ) -> Option<usize> {
        let (mut encoder, header_len) = self.body(buffer, room)?;
        for frame in frames {
            encoder.frame(frame).ok()?;
        }
        if acknowledges {
            self.put_ack(&mut encoder);
        }
        let len = header_len.saturating_add(encoder.written());
        if ids != (0, 0) {
            self.note_named();
        }
        self.put_header(buffer, Unnumbered::WIRE, ids)
            .then_some(len)
    }

    /// An encoder for the frames of a packet of at most `room` bytes, and where they begin.
    pub(super) fn body<'b>(
        &self,
        packet: &'b mut [u8],
        room: usize,
    ) -> Option<(Encoder<'b>, usize)> {
        let header_len = self.header_len();
        let body = packet.get_mut(header_len..room)?;
        Some((Encoder::new(body, self.version), header_len))
    }

    pub(super) fn put_ack(&mut self, encoder: &mut Encoder<'_>) -> bool {
        let written = self.encode_ack(encoder);
        if written {
            self.note_acknowledged();
        }
        written
    }

    /// All that is to be acknowledged went out.
    fn note_acknowledged(&mut self) {
        self.acks.on_sent(self.clock.now);
        if let Some(v2) = &mut self.v2 {
            v2.note_acknowledged();
        }
    }

    fn encode_ack(&self, encoder: &mut Encoder<'_>) -> bool {
        if self.withholds_ack() {
            return false;
        }
        if self.v2.is_some() {
            return self.encode_acks(encoder);
        }
        let Some((_, delay_ms, ranges)) = self.acks.report(self.clock.now) else {
            return false;
        };
        let most = u8::try_from(self.rules.ack_ranges).unwrap_or(u8::MAX);
        encoder.ack(delay_ms, ranges, most).is_ok()
    }

    /// The announcement, until something that it went with is acknowledged.
    fn announce_in(&mut self, encoder: &mut Encoder<'_>) {
        if !self.owed.announced && encoder.remaining() >= ANNOUNCEMENT_LEN {
            self.put_announcement(encoder);
        }
    }

    /// D11, D12: what the peer may send and open.
    pub(super) fn put_announcement(&mut self, encoder: &mut Encoder<'_>) {
        let limit = self.limits.own_max_data;
        // Room for both was looked for.
        let _ = encoder.frame(&Frame::MaxData { limit });
        let _ = encoder.frame(&Frame::MaxStreams {
            count: ANNOUNCED_STREAMS,
        });
    }

    pub(super) fn put_header(&self, packet: &mut [u8], number: Wire32, ids: (u32, u32)) -> bool {
        Encoder::new(packet, self.version)
            .header(&self.header(number, ids))
            .is_ok()
    }

    fn header(&self, number: Wire32, (destination_stream, source_stream): (u32, u32)) -> Header {
        Header {
            version: self.version.wire(),
            destination: self.peer_id,
            source: self.local_id,
            number,
            destination_stream,
            source_stream,
        }
    }

    fn is_number_exhausted(&self, next: u64) -> bool {
        self.peer != Peer::Own && numbers_exhausted(self.config.first_number, next)
    }
}

/// V9: only our own kind expands numbers beyond the wrap.
const fn numbers_exhausted(first: u64, next: u64) -> bool {
    next.saturating_sub(first) >= MOST_NUMBERS
}

#[cfg(test)]
mod tests {
    use super::numbers_exhausted;

    #[test]
    fn v09_a_connection_ends_before_its_numbers_wrap() {
        let first_refused = (1_u64 << 32) - (1 << 16);
        for first in [0, 1, u64::from(u32::MAX), 1 << 62] {
            assert!(!numbers_exhausted(first, first));
            assert!(!numbers_exhausted(first, first + first_refused - 1));
            assert!(numbers_exhausted(first, first + first_refused));
            assert!(numbers_exhausted(first, first + (1 << 32)));
        }
    }
}
