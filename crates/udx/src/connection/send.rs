//! Which packet goes out next, and how it is written (UDX 18.5).

use core::net::SocketAddr;

use gapless_recovery::{Class, Instant, Permission, RecordId};
use gapless_seq::{Wire32, invariant};

use super::{Carried, Connection, Side};
use crate::endpoint::Transmit;
use crate::error::{CloseReason, code};
use crate::peer::Peer;
use crate::stream::Piece;
use crate::wire::{Encoder, Frame, Header};

/// MAX_STREAMS as it is announced. D12: Go counts it over the connection's life.
const ANNOUNCED_STREAMS: u32 = 65_535;

/// MAX_DATA and MAX_STREAMS, in bytes.
const ANNOUNCEMENT_LEN: usize = 14;

/// A packet with one PATH_CHALLENGE or PATH_RESPONSE and IDs of 8 bytes.
pub(super) const CHALLENGE_LEN: u64 = 43;

/// What an unproven address must allow before data are sent there: so much stays for challenges,
/// which are what proves it.
const CHALLENGE_RESERVE: u64 = CHALLENGE_LEN.saturating_mul(3);

/// What an unproven address must allow for a control packet with an ACK of many ranges.
pub(super) const CONTROL_ROOM: u64 = 250;

/// Datagrams of one stream in a row before the next one has its turn: enough for a train, few
/// enough that a hundred streams share a window.
const TURN: u32 = 16;

/// UDX 3: peers compare numbers as plain values, so a connection must not come near the wrap.
const NUMBERS_LEFT_AT_WRAP: u64 = 1 << 16;

/// What a header without a number says. UDX 3, D5: 0.
struct Unnumbered;

impl Unnumbered {
    const WIRE: Wire32 = Wire32::new(0);
}

impl Connection {
    /// Writes what is due into `buffer`: one datagram, or a train of equal ones.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        max_segments: usize,
    ) -> Option<Transmit> {
        self.clock.now = now;
        // A caller who is late with the timeout must not be sent what it would have changed.
        if self.next_deadline(now).is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
        if self.closed.is_some() {
            return None;
        }
        if let Some((to, len)) = self.elsewhere(buffer) {
            return Some(self.sent(to, len, len));
        }
        let to = self.path.remote();
        let one = self
            .control(buffer)
            .or_else(|| self.stream_control_allowed(buffer))
            .or_else(|| self.probe_mtu(buffer));
        if let Some(len) = one {
            return Some(self.sent(to, len, len));
        }
        if let Some((len, segment_size)) = self.train(buffer, max_segments) {
            return Some(self.sent(to, len, segment_size));
        }
        let len = self.acknowledge(buffer)?;
        Some(self.sent(to, len, len))
    }

    fn sent(&mut self, to: SocketAddr, len: usize, segment_size: usize) -> Transmit {
        let mut left = len;
        while left > 0 {
            let datagram = left.min(segment_size.max(1));
            left = left.saturating_sub(datagram);
            let bytes = u64::try_from(datagram).unwrap_or(u64::MAX);
            self.counts.on_sent(bytes);
            self.path.on_sent(to, bytes);
        }
        Transmit {
            to,
            len,
            segment_size,
            ecn: None,
        }
    }

    /// Answers and questions to addresses that are not in use (UDX 11).
    fn elsewhere(&mut self, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let remote = self.path.remote();
        if let Some(at) = self.owed.responses.iter().position(|(to, _)| *to != remote) {
            let (to, nonce) = self.owed.responses.remove(at)?;
            let len = self.write_unnumbered(buffer, (0, 0), &[Frame::PathResponse { nonce }])?;
            return Some((to, len));
        }
        let now = self.clock.now;
        let (to, nonce) = self
            .path
            .due_challenge(now, CHALLENGE_LEN)
            .filter(|(to, _)| *to != remote)?;
        let len = self.write_unnumbered(buffer, (0, 0), &[Frame::PathChallenge { nonce }])?;
        self.path.on_challenge_sent(now, nonce, self.recovery.pto());
        Some((to, len))
    }

    /// One packet with all that concerns the connection as a whole; with an ACK, if one is due.
    fn control(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let now = self.clock.now;
        // UDX 18.2: a challenge is answered before anything else.
        if let Some((_, nonce)) = self.owed.responses.pop_front() {
            return self.respond(buffer, nonce);
        }
        let room = self.allowed(buffer.len());
        let challenge = self
            .path
            .due_challenge(now, CHALLENGE_LEN)
            .map(|(_, nonce)| nonce);
        // Until the peer is proven it may not have heard the first answer: the challenge is
        // repeated, and what went with it too.
        let announce = self.owed.announcement || (challenge.is_some() && !self.owed.announced);
        let blocked = self
            .owed
            .data_blocked_at
            .filter(|at| *at <= now)
            .map(|_| self.limits.max_data);
        if challenge.is_none() && !announce && blocked.is_none() {
            return self.announce_token(buffer);
        }
        let (mut encoder, header_len) = self.body(buffer, room)?;
        let mut written = self.put_ack(&mut encoder);
        if let Some(nonce) = challenge
            && encoder.frame(&Frame::PathChallenge { nonce }).is_ok()
        {
            self.path.on_challenge_sent(now, nonce, self.recovery.pto());
            written = true;
        }
        if announce && encoder.remaining() >= ANNOUNCEMENT_LEN {
            self.put_announcement(&mut encoder);
            self.owed.announcement = false;
            written = true;
        }
        if let Some(limit) = blocked {
            self.owed.data_blocked_at = Some(now.saturating_add(self.recovery.pto()));
            written |= encoder.frame(&Frame::DataBlocked { limit }).is_ok();
        }
        let len = header_len.saturating_add(encoder.written());
        (written && self.put_header(buffer, Unnumbered::WIRE, (0, 0))).then_some(len)
    }

    /// Towards peers that acknowledge PINGs the answer is a record: if it were lost, an acceptor would
    /// stay at three times what it received (V18) until it asks again.
    fn respond(&mut self, buffer: &mut [u8], nonce: u64) -> Option<usize> {
        if self.may_number_pings() && self.path.allowance() >= CONTROL_ROOM {
            let response = Carried::Response { nonce };
            let len = self.write_numbered(buffer, Class::Reliable, response, None);
            if len.is_some() {
                return len;
            }
        }
        self.write_unnumbered(buffer, (0, 0), &[Frame::PathResponse { nonce }])
    }

    /// Whether a control frame may be made a record by a PING. D8: a PING is never sent under 0, and 0 is the next
    /// number of an acceptor that has written nothing yet.
    pub(super) fn may_number_pings(&self) -> bool {
        let next = Wire32::truncate(self.recovery.next_number());
        self.rules.acknowledges_ping && next.raw() != 0
    }

    /// UDX 14: once, alone in its packet, after the peer answered.
    fn announce_token(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.owed.announced || self.path.allowance() < CONTROL_ROOM {
            return None;
        }
        let token = self.owed.token.take()?;
        let frame = Frame::NewConnectionId {
            index: 0,
            retire_below: 0,
            id: self.local_id,
            token,
        };
        self.write_unnumbered(buffer, (0, 0), &[frame])
    }

    fn stream_control_allowed(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.path.allowance() < CONTROL_ROOM {
            return None;
        }
        self.stream_control(buffer)
    }

    /// An ACK alone.
    fn acknowledge(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.acks.is_due(self.clock.now) {
            return None;
        }
        let room = self.allowed(buffer.len());
        let (mut encoder, header_len) = self.body(buffer, room)?;
        let written = self.put_ack(&mut encoder);
        let len = header_len.saturating_add(encoder.written());
        (written && self.put_header(buffer, Unnumbered::WIRE, (0, 0))).then_some(len)
    }

    /// RFC 8899: a PING that is as large as the path is hoped to carry (UDX 11, D10).
    fn probe_mtu(&mut self, buffer: &mut [u8]) -> Option<usize> {
        // Before the first acknowledgement nothing says that PINGs are answered at all.
        if !self.owed.announced || !self.path.is_validated() {
            return None;
        }
        let size = self.recovery.poll_mtu_probe(self.clock.now)?;
        let probe = buffer.get_mut(..usize::from(size))?;
        self.write_numbered(probe, Class::MtuProbe, Carried::MtuProbe, None)
    }

    /// As many numbered packets of one size as may be sent now. Returns their bytes and that size.
    fn train(&mut self, buffer: &mut [u8], max_segments: usize) -> Option<(usize, usize)> {
        let mut written = 0_usize;
        let mut segment = usize::from(self.recovery.mtu());
        for count in 0..max_segments {
            let room = buffer.get_mut(written..)?;
            // All of a train have the size of the first; a shorter one is its last.
            let limit = segment.min(room.len());
            if count > 0 && limit < segment {
                break;
            }
            let packet = room.get_mut(..limit)?;
            let Some(len) = self.next_numbered(packet) else {
                break;
            };
            if count == 0 {
                segment = len;
            }
            written = written.saturating_add(len);
            if len < segment || self.closed.is_some() {
                break;
            }
        }
        (written > 0).then_some((written, segment))
    }

    /// Writes one numbered packet of at most `packet.len()` bytes: what was lost, else what is new,
    /// else a probe.
    fn next_numbered(&mut self, packet: &mut [u8]) -> Option<usize> {
        if let Some((record, carried)) = self.recovery.next_lost() {
            let carried = *carried;
            return self.send_again(packet, record, carried);
        }
        self.may_send(packet.len())?;
        if let Some(len) = self.send_new(packet) {
            return Some(len);
        }
        if !self.recovery.owes_probe() {
            return None;
        }
        // V20: a timeout sends one packet or two, the oldest first.
        if let Some((record, carried)) = self.recovery.probe_candidate() {
            let carried = *carried;
            return self.send_again(packet, record, carried);
        }
        if !self.rules.acknowledges_ping {
            return None;
        }
        self.write_numbered(packet, Class::Once, Carried::Ping, None)
    }

    fn send_again(
        &mut self,
        packet: &mut [u8],
        record: RecordId,
        carried: Carried,
    ) -> Option<usize> {
        let size = self.packet_len(&carried);
        if size > usize::from(self.recovery.mtu())
            && let Carried::Stream { id, piece } = carried
        {
            return self
                .split(record, id, &piece)
                .then(|| self.next_numbered(packet))
                .flatten();
        }
        if size > packet.len() {
            return None;
        }
        self.may_send(size)?;
        let class = Class::Reliable;
        self.write_numbered(packet, class, carried, Some(record))
    }

    /// UDX 9: a record that the path has become too small for is cut in two, and acknowledgements of
    /// its old numbers no longer count.
    fn split(&mut self, record: RecordId, id: u32, piece: &Piece) -> bool {
        let whole = self.packet_len(&Carried::Stream { id, piece: *piece });
        let over = whole.saturating_sub(usize::from(self.recovery.mtu()));
        let head = usize::from(piece.len).saturating_sub(over).max(1);
        let head = u16::try_from(head).unwrap_or(u16::MAX);
        let halves = self
            .streams
            .get_mut(id)
            .and_then(|stream| stream.send.split(piece, head));
        let Some((head, tail)) = halves else {
            return false;
        };
        let carried = |piece| Carried::Stream { id, piece };
        self.recovery
            .split(record, carried(head), carried(tail))
            .is_ok()
    }

    /// The next bytes, SYN or FIN of the stream whose turn it is.
    fn send_new(&mut self, packet: &mut [u8]) -> Option<usize> {
        if self.awaits_answer() {
            return None;
        }
        let bytes = u64::try_from(packet.len()).unwrap_or(u64::MAX);
        if self.is_data_blocked(bytes) {
            let now = self.clock.now;
            self.owed.data_blocked_at.get_or_insert(now);
            return None;
        }
        self.owed.data_blocked_at = None;
        for _ in 0..self.streams.sending.len() {
            let id = self.streams.sending.front().copied()?;
            let room = self.payload_room(packet.len());
            let stream = self.streams.get(id);
            let Some(piece) = stream.and_then(|stream| stream.send.next(room)) else {
                // A train of small packets has no room for a byte of it: that is for the next one.
                if stream.is_some_and(|stream| stream.send.has_next()) {
                    return None;
                }
                self.end_turn(id);
                continue;
            };
            if piece.syn && !self.may_open_now() {
                self.streams.sending.rotate_left(1);
                continue;
            }
            return self.send_piece(packet, id, piece);
        }
        if self.streams.sending.is_empty() {
            self.recovery.on_app_limited();
        }
        None
    }

    fn send_piece(&mut self, packet: &mut [u8], id: u32, piece: Piece) -> Option<usize> {
        let carried = Carried::Stream { id, piece };
        let len = self.write_numbered(packet, Class::Reliable, carried, None)?;
        let overtake = self.rules.fin_may_overtake_syn;
        let stream = self.streams.get_mut(id)?;
        stream.send.on_sent(&piece);
        if overtake {
            stream.send.assume_open();
        }
        let more = stream.send.has_next();
        self.counts.stream_bytes_sent = self
            .counts
            .stream_bytes_sent
            .saturating_add(u64::from(piece.len));
        if piece.syn {
            self.clock.round.1 = self.clock.round.1.saturating_add(1);
        }
        self.streams.turn = self.streams.turn.saturating_add(1);
        if !more {
            self.end_turn(id);
        } else if self.streams.turn >= TURN {
            self.streams.turn = 0;
            self.streams.sending.rotate_left(1);
        }
        Some(len)
    }

    /// The stream at the front of the queue has nothing that may be sent.
    fn end_turn(&mut self, id: u32) {
        self.streams.sending.pop_front();
        self.streams.turn = 0;
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.queued = false;
        if stream.send.is_blocked_by_limit() {
            self.streams.queue_control(id);
        }
    }

    /// D12, V11: towards Go, not more new streams in a round trip than its application is handed.
    fn may_open_now(&mut self) -> bool {
        let Some(most) = self.rules.streams_per_round_trip else {
            return true;
        };
        let now = self.clock.now;
        let rtt = self.recovery.rtt().smoothed();
        let round_ends = self.clock.round.0.saturating_add(rtt);
        if now >= round_ends {
            self.clock.round = (now, 0);
        }
        let may = self.clock.round.1 < most;
        self.clock.opening_until = (!may).then_some(round_ends);
        may
    }

    /// D23: until something is acknowledged, peers keep only so many packets.
    pub(super) fn awaits_answer(&self) -> bool {
        self.side == Side::Dialer
            && !self.owed.announced
            && self.recovery.unacknowledged() >= self.rules.packets_before_answer
    }

    /// UDX 10.2: MAX_DATA caps what is in flight.
    pub(super) fn is_data_blocked(&self, bytes: u64) -> bool {
        self.recovery.bytes_in_flight().saturating_add(bytes) > self.limits.max_data
    }

    /// What data may cost at an address that may be unproven.
    pub(super) fn data_allowance(&self) -> u64 {
        let allowance = self.path.allowance();
        if self.path.is_validated() {
            allowance
        } else {
            allowance.saturating_sub(CHALLENGE_RESERVE)
        }
    }

    /// `Some` if a numbered packet of that size may go now.
    fn may_send(&mut self, bytes: usize) -> Option<()> {
        if self.data_allowance() < u64::try_from(bytes).unwrap_or(u64::MAX) {
            return None;
        }
        // The pacer named a time at which a batch is worth sending; a caller who asks before, because
        // something else happened, would send it packet by packet.
        let now = self.clock.now;
        if self.clock.paced_until.is_some_and(|at| at > now) && !self.recovery.owes_probe() {
            return None;
        }
        self.clock.paced_until = None;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match self.recovery.may_send(now, bytes) {
            Permission::Now | Permission::Probe => Some(()),
            Permission::Pacer(until) => {
                self.clock.paced_until = Some(until);
                None
            }
            Permission::Congestion | Permission::LogFull => None,
        }
    }

    /// The bytes of a buffer that the address may be sent.
    fn allowed(&self, len: usize) -> usize {
        let allowance = usize::try_from(self.path.allowance()).unwrap_or(usize::MAX);
        len.min(usize::from(self.recovery.mtu())).min(allowance)
    }

    fn header_len(&self) -> usize {
        self.header(Unnumbered::WIRE, (0, 0)).encoded_len()
    }

    /// Bytes of stream data that fit into a packet of `len` bytes.
    fn payload_room(&self, len: usize) -> usize {
        let overhead = self
            .header_len()
            .saturating_add(self.version.stream_header_len());
        let ack = if self.acks.is_pending() {
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

    fn ack_len(&self) -> usize {
        let ranges = self
            .acks
            .report(self.clock.now)
            .map_or(0, |(_, _, ranges)| ranges.count());
        crate::wire::Ack::encoded_len_with(ranges.saturating_sub(1).min(self.rules.ack_ranges))
    }

    /// The size of the packet that carries this, without what may ride along.
    fn packet_len(&self, carried: &Carried) -> usize {
        let frames = match carried {
            Carried::Stream { piece, .. } => self
                .version
                .stream_header_len()
                .saturating_add(usize::from(piece.len)),
            Carried::End(ending) => ending.frame().encoded_len(self.version).saturating_add(1),
            Carried::Response { nonce } => Frame::PathResponse { nonce: *nonce }
                .encoded_len(self.version)
                .saturating_add(1),
            Carried::Ping | Carried::MtuProbe => 1,
        };
        self.header_len().saturating_add(frames)
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
        let next = self.recovery.next_number();
        if self.is_number_exhausted(next) {
            self.terminate(
                CloseReason::NumbersExhausted,
                Some(code::INTERNAL),
                b"numbers exhausted",
            );
            return None;
        }
        // D8: a PING is never sent under 0.
        let pings = !matches!(carried, Carried::Stream { .. });
        if pings && Wire32::truncate(next).raw() == 0 {
            return None;
        }
        let len = packet.len();
        let (mut encoder, header_len) = self.body(packet, len)?;
        let written = self.put_carried(&mut encoder, &carried);
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
        let ids = match carried {
            Carried::Stream { id, .. } => (self.streams.get(id).map_or(0, |s| s.remote), id),
            Carried::End(ending) => (ending.remote, ending.local),
            Carried::Response { .. } | Carried::Ping | Carried::MtuProbe => (0, 0),
        };
        self.put_header(packet, Wire32::truncate(number), ids)
            .then_some(len)
    }

    /// The frames of a numbered packet: an ACK if it fits, what is carried, the announcement.
    fn put_carried(&mut self, encoder: &mut Encoder<'_>, carried: &Carried) -> bool {
        let needed = self.packet_len(carried).saturating_sub(self.header_len());
        let spare = encoder.remaining().saturating_sub(needed);
        if self.acks.is_pending() && spare >= self.ack_len() {
            self.put_ack(encoder);
        }
        match carried {
            Carried::Stream { id, piece } => {
                let Some(stream) = self.streams.get_mut(*id) else {
                    return false;
                };
                let target = encoder.stream_header(piece.syn, piece.fin, piece.offset, piece.len);
                let copied = target.is_ok_and(|target| stream.send.copy_to(piece.offset, target));
                if !self.owed.announced && encoder.remaining() >= ANNOUNCEMENT_LEN {
                    self.put_announcement(encoder);
                }
                copied
            }
            Carried::End(ending) => {
                encoder.frame(&Frame::Ping).is_ok() && encoder.frame(&ending.frame()).is_ok()
            }
            Carried::Response { nonce } => {
                encoder.frame(&Frame::Ping).is_ok()
                    && encoder
                        .frame(&Frame::PathResponse { nonce: *nonce })
                        .is_ok()
            }
            Carried::Ping => encoder.frame(&Frame::Ping).is_ok(),
            Carried::MtuProbe => {
                let size = encoder.remaining().saturating_sub(1);
                encoder.frame(&Frame::Ping).is_ok()
                    && encoder.frame(&Frame::MtuProbe { size }).is_ok()
            }
        }
    }

    /// Writes a packet without a number. No function that mints numbers takes one of these.
    pub(super) fn write_unnumbered(
        &mut self,
        buffer: &mut [u8],
        ids: (u32, u32),
        frames: &[Frame<'_>],
    ) -> Option<usize> {
        let room = self.allowed(buffer.len());
        let (mut encoder, header_len) = self.body(buffer, room)?;
        for frame in frames {
            encoder.frame(frame).ok()?;
        }
        let len = header_len.saturating_add(encoder.written());
        self.put_header(buffer, Unnumbered::WIRE, ids)
            .then_some(len)
    }

    /// The same with an ACK, if one is due.
    pub(super) fn write_with_ack(
        &mut self,
        buffer: &mut [u8],
        ids: (u32, u32),
        frames: &[Frame<'_>],
    ) -> Option<usize> {
        let room = self.allowed(buffer.len());
        let (mut encoder, header_len) = self.body(buffer, room)?;
        for frame in frames {
            encoder.frame(frame).ok()?;
        }
        if self.acks.is_due(self.clock.now) {
            self.put_ack(&mut encoder);
        }
        let len = header_len.saturating_add(encoder.written());
        self.put_header(buffer, Unnumbered::WIRE, ids)
            .then_some(len)
    }

    /// An encoder for the frames of a packet of at most `room` bytes, and where they begin.
    fn body<'b>(&self, packet: &'b mut [u8], room: usize) -> Option<(Encoder<'b>, usize)> {
        let header_len = self.header_len();
        let body = packet.get_mut(header_len..room)?;
        Some((Encoder::new(body, self.version), header_len))
    }

    fn put_ack(&mut self, encoder: &mut Encoder<'_>) -> bool {
        let Some((_, delay_ms, ranges)) = self.acks.report(self.clock.now) else {
            return false;
        };
        let most = u8::try_from(self.rules.ack_ranges).unwrap_or(u8::MAX);
        let written = encoder.ack(delay_ms, ranges, most).is_ok();
        if written {
            self.acks.on_sent();
        }
        written
    }

    /// D11, D12: what the peer may send and open.
    fn put_announcement(&mut self, encoder: &mut Encoder<'_>) {
        let limit = self.limits.own_max_data;
        // Room for both was looked for.
        let _ = encoder.frame(&Frame::MaxData { limit });
        let _ = encoder.frame(&Frame::MaxStreams {
            count: ANNOUNCED_STREAMS,
        });
    }

    fn put_header(&self, packet: &mut [u8], number: Wire32, ids: (u32, u32)) -> bool {
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

    /// V9: only our own kind expands numbers beyond the wrap.
    fn is_number_exhausted(&self, next: u64) -> bool {
        let used = next.saturating_sub(self.config.first_number);
        let most = (1_u64 << 32).saturating_sub(NUMBERS_LEFT_AT_WRAP);
        self.peer != Peer::Own && used >= most
    }
}
