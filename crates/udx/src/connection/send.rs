//! Which packet goes out next (UDX 18.5).

use core::net::SocketAddr;

use gapless_recovery::{Class, Instant, Permission, RecordId};
use gapless_seq::{mark, sabotage};

use super::write::Unnumbered;
use super::{Carried, Connection, Side};
use crate::endpoint::Transmit;
use crate::peer::Peer;
use crate::stream::Piece;
use crate::wire::Frame;

/// MAX_DATA and MAX_STREAMS, in bytes.
pub(super) const ANNOUNCEMENT_LEN: usize = 14;

/// PATH_CHALLENGE or PATH_RESPONSE, in bytes (UDX 2.3).
const CHALLENGE_FRAME_LEN: usize = 9;

/// How many challenges an unproven address must still allow before data are sent there: they are what
/// proves it.
const CHALLENGE_RESERVE: u64 = 3;

/// What an unproven address must allow for a control packet with an ACK of many ranges.
pub(super) const CONTROL_ROOM: u64 = 250;

/// Datagrams of one stream in a row before the next one has its turn: enough for a train, few
/// enough that a hundred streams share a window.
const TURN: u32 = 16;

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
            return Some(self.sent_one(to, len));
        }
        let to = self.path.remote();
        if let Some(len) = self
            .control(buffer)
            .or_else(|| self.stream_control_allowed(buffer))
            .or_else(|| self.probe_mtu(buffer))
        {
            return Some(self.sent_one(to, len));
        }
        if let Some((len, segment_size)) = self.train(buffer, max_segments) {
            return Some(Transmit {
                to,
                len,
                segment_size,
                ecn: None,
            });
        }
        // What the attempt to send data found out may be worth a frame (DATA_BLOCKED).
        let len = self.control(buffer).or_else(|| self.acknowledge(buffer))?;
        Some(self.sent_one(to, len))
    }

    fn sent_one(&mut self, to: SocketAddr, len: usize) -> Transmit {
        self.count_sent(to, len);
        Transmit {
            to,
            len,
            segment_size: len,
            ecn: None,
        }
    }

    fn count_sent(&mut self, to: SocketAddr, len: usize) {
        let bytes = u64::try_from(len).unwrap_or(u64::MAX);
        self.counts.on_sent(bytes);
        self.path.on_sent(to, bytes);
    }

    /// Answers and questions to addresses that are not in use (UDX 11).
    fn elsewhere(&mut self, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let remote = self.path.remote();
        if let Some(at) = self.owed.responses.iter().position(|(to, _)| *to != remote) {
            let (to, nonce) = self.owed.responses.remove(at)?;
            // What may be sent to the address in use says nothing of this one.
            let room = buffer.len().min(usize::from(self.recovery.mtu()));
            let frames = [Frame::PathResponse { nonce }];
            let len = self.write_frames(buffer, room, (0, 0), &frames, false)?;
            return Some((to, len));
        }
        let now = self.clock.now;
        let (to, nonce) = self
            .path
            .due_challenge(now, self.challenge_len())
            .filter(|(to, _)| *to != remote)?;
        let room = buffer.len().min(usize::from(self.recovery.mtu()));
        let frames = [Frame::PathChallenge { nonce }];
        let len = self.write_frames(buffer, room, (0, 0), &frames, false)?;
        self.path.on_challenge_sent(now, nonce, self.recovery.pto());
        Some((to, len))
    }

    /// One packet with all that concerns the connection as a whole; with an ACK, if one is due.
    fn control(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let now = self.clock.now;
        // UDX 18.2: a challenge is answered before anything else.
        if let Some((_, nonce)) = self.owed.responses.pop_front() {
            let frame = Frame::PathResponse { nonce };
            return self.write_sure(buffer, Carried::Response { nonce }, (0, 0), &frame);
        }
        let room = self.allowed(buffer.len());
        let (remote, size) = (self.path.remote(), self.challenge_len());
        let challenge = self.path.due_challenge(now, size);
        let challenge = challenge.filter(|(to, _)| *to == remote);
        // Until the peer is proven it may not have heard the first answer: the challenge is
        // repeated, and what went with it too.
        let announce = self.owed.announcement || (challenge.is_some() && !self.owed.announced);
        if challenge.is_none() && !announce {
            return self
                .announce_token(buffer)
                .or_else(|| self.report_blocked(buffer));
        }
        let (mut encoder, header_len) = self.body(buffer, room)?;
        // Of what an unproven address may still be sent, the proof comes first.
        let reserved = challenge.map_or(0, |_| CHALLENGE_FRAME_LEN);
        let spare = encoder.remaining().saturating_sub(reserved);
        let mut written = spare >= self.ack_len() && self.put_ack(&mut encoder);
        if let Some((_, nonce)) = challenge
            && encoder.frame(&Frame::PathChallenge { nonce }).is_ok()
        {
            let patience = self.question_patience();
            self.path.on_challenge_sent(now, nonce, patience);
            written = true;
        }
        if announce && encoder.remaining() >= ANNOUNCEMENT_LEN {
            self.put_announcement(&mut encoder);
            self.owed.announcement = false;
            written = true;
        }
        let len = header_len.saturating_add(encoder.written());
        (written && self.put_header(buffer, Unnumbered::WIRE, (0, 0))).then_some(len)
    }

    /// D11: asks for more than may be in flight, once in an RTO. D4: alone in its packet, all of which
    /// is lost at Dart 3.0.0.
    fn report_blocked(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let now = self.clock.now;
        self.owed.data_blocked_at.filter(|at| *at <= now)?;
        if !self.rules.reports_blocked {
            // UDX2 D1
            self.owed.data_blocked_at = None;
            return None;
        }
        if self.path.allowance() < CONTROL_ROOM {
            return None;
        }
        mark!(DataBlockedReported);
        self.owed.data_blocked_at = Some(now.saturating_add(self.recovery.pto()));
        let limit = self.limits.max_data;
        self.write_unnumbered(buffer, (0, 0), &[Frame::DataBlocked { limit }])
    }

    /// UDX 14: once, alone in its packet, after the peer answered.
    fn announce_token(&mut self, buffer: &mut [u8]) -> Option<usize> {
        // UDX2 2.5: peers of version 2 know no resets.
        let known = self.owed.announced && self.v2.is_none();
        if !known || self.path.allowance() < CONTROL_ROOM {
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
        if self.path.allowance() < CONTROL_ROOM || !self.may_name_streams() {
            return None;
        }
        self.stream_control(buffer)
    }

    /// V18: whether the address may be sent an ACK by itself.
    pub(super) fn may_acknowledge(&self) -> bool {
        self.path.is_validated()
            || (self.path.allowance() >= self.lone_ack_len() && !self.withholds_ack())
    }

    /// V18: once what an unproven address may be sent is used up, and all challenges or all answers to them were lost, only a packet of
    /// the dialer's allows another challenge. A dialer that waits for us to speak has nothing to send but what is not
    /// acknowledged; so the opening of a connection without a stream is not, until the address is proven.
    pub(super) fn withholds_ack(&self) -> bool {
        let only_opened = self.acks.next_expected() <= self.config.first_number.saturating_add(1);
        self.side == Side::Acceptor
            && self.clues.bare_syn
            && only_opened
            && !self.path.is_validated()
    }

    fn lone_ack_len(&self) -> u64 {
        let len = self.header_len().saturating_add(self.ack_len());
        u64::try_from(len).unwrap_or(u64::MAX)
    }

    /// An ACK alone.
    fn acknowledge(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.acks.is_due(self.clock.now) || !self.may_acknowledge() {
            mark!(AllowanceHoldsAck, self.acks.is_due(self.clock.now));
            return None;
        }
        let room = self.allowed(buffer.len());
        let (mut encoder, header_len) = self.body(buffer, room)?;
        let written = self.put_ack(&mut encoder);
        let len = header_len.saturating_add(encoder.written());
        sabotage!(AckTakesNumber, self.recovery.skip_number());
        let number = sabotage!(
            AckTakesNumber,
            gapless_seq::Wire32::truncate(self.recovery.next_number().saturating_sub(1)),
            Unnumbered::WIRE
        );
        (written && self.put_header(buffer, number, (0, 0))).then_some(len)
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
            // V18: at once, so that the next one of the train finds what is left.
            self.count_sent(self.path.remote(), len);
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
        if let Some((record, carried)) = self.opening_again() {
            return self.send_again(packet, record, carried);
        }
        self.may_send(packet.len())?;
        if core::mem::take(&mut self.owed.opening) && !self.clock.answered {
            mark!(OpenedByBareSyn);
            return self.write_numbered(packet, Class::Reliable, Carried::Open, None);
        }
        if let Some(len) = self.send_new(packet) {
            return Some(len);
        }
        if !self.recovery.owes_probe() {
            return None;
        }
        // UDX 11: a peer without our answer to its challenge says no more than three times what it hears, and its acknowledgements
        // wait behind its data. So the answer goes before what is older. V20: a timeout sends one packet or two, the oldest first.
        let answer = |carried: &Carried| matches!(carried, Carried::Response { .. });
        let answer = self.recovery.probe_of(answer);
        // UDX2 4.1: Go tells its highest number, the run below it, and five more ranges. What is below the sixth gap arrives again and
        // again, and is never acknowledged while those gaps are there; the highest one closes from above.
        let end = || match self.v2 {
            Some(_) => self.recovery.probe_of_either_end(),
            None => self.recovery.probe_candidate(),
        };
        if let Some((record, carried)) = answer.or_else(end) {
            mark!(ProbeRepeats);
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
        // UDX2 H7: what a number carried is never cut; all of version 2 have the size that every path carries.
        if size > usize::from(self.recovery.mtu())
            && self.v2.is_none()
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
        // V18: an ACK that rides along pays, too.
        let most = usize::try_from(self.data_allowance()).unwrap_or(usize::MAX);
        let packet = packet.get_mut(..packet.len().min(most.max(size)))?;
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
        mark!(RecordCut);
        let carried = |piece| Carried::Stream { id, piece };
        self.recovery
            .split(record, carried(head), carried(tail))
            .is_ok()
    }

    /// The next bytes, SYN or FIN of the stream whose turn it is.
    fn send_new(&mut self, packet: &mut [u8]) -> Option<usize> {
        if self.awaits_answer() || self.is_span_used_up() {
            mark!(AwaitedFirstAnswer, self.awaits_answer());
            mark!(SpanUsedUp, self.is_span_used_up());
            return None;
        }
        let bytes = u64::try_from(packet.len()).unwrap_or(u64::MAX);
        if self.streams.sending.is_empty() {
            self.owed.data_blocked_at = None;
            self.recovery.on_app_limited();
            return None;
        }
        if self.is_data_blocked(bytes) {
            mark!(DataBlocked);
            let now = self.clock.now;
            if self.rules.reports_blocked {
                self.owed.data_blocked_at.get_or_insert(now);
            }
            return None;
        }
        self.owed.data_blocked_at = None;
        for _ in 0..self.streams.sending.len() {
            let id = self.streams.sending.front().copied()?;
            if !self.may_take_turn(id) {
                mark!(OneSenderWaits);
                self.note_waiting_stream();
                self.streams.sending.rotate_left(1);
                continue;
            }
            let room = self.room_in_order(self.payload_room(packet.len()));
            let stream = self.streams.get(id);
            let Some(piece) = stream.and_then(|stream| stream.send.next(room)) else {
                if self.is_opening() && stream.is_some_and(|stream| stream.send.has_next()) {
                    // Another one has the SYN that has to come first.
                    self.streams.sending.rotate_left(1);
                    continue;
                }
                // A train of small packets has no room for a byte of it: that is for the next one.
                if stream.is_some_and(|stream| stream.send.has_next()) {
                    return None;
                }
                self.end_turn(id);
                continue;
            };
            // Nor, maybe, for a SYN or FIN without a byte.
            if self.packet_len(&Carried::Stream { id, piece }) > packet.len() {
                return None;
            }
            if piece.syn && !self.may_open_now() {
                mark!(OpeningSpread);
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
        self.note_sender(id, &piece);
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
            self.clock.opened_below = self.recovery.next_number();
            if self.peer == Peer::Own {
                // Behind the SYN: a window update of a stream that the peer does not know is lost.
                self.open_window(id);
            }
        }
        self.streams.turn = self.streams.turn.saturating_add(1);
        if !more {
            self.end_turn(id);
        } else if self.streams.turn >= TURN {
            mark!(TurnPassedOn, self.streams.sending.len() > 1);
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
        // UDX2 18.1: who orders packets by their numbers is handed all streams behind a hole at once when it is filled.
        let handed = self.recovery.oldest_number() >= self.clock.opened_below;
        if now >= round_ends && handed {
            self.clock.round = (now, 0);
        }
        let may = self.clock.round.1 < most;
        self.clock.opening_until = (!may).then_some(round_ends);
        may
    }

    /// D23: until something is acknowledged, peers keep only so many packets. UDX2 H2, H10: and of version 2 none at all,
    /// whoever dialed.
    pub(super) fn awaits_answer(&self) -> bool {
        (self.side == Side::Dialer || self.rules.waits_for_first)
            && !self.owed.announced
            && !sabotage!(FirstDataNotAwaited)
            && self.recovery.unacknowledged() >= self.rules.packets_before_answer
    }

    /// UDX 10.2: MAX_DATA caps what is in flight.
    pub(super) fn is_data_blocked(&self, bytes: u64) -> bool {
        self.recovery.bytes_in_flight().saturating_add(bytes) > self.limits.max_data
            && !sabotage!(MaxDataIgnored)
    }

    /// What data may cost at an address that may be unproven.
    pub(super) fn data_allowance(&self) -> u64 {
        let allowance = self.path.allowance();
        if self.path.is_validated() {
            allowance
        } else {
            allowance.saturating_sub(self.challenge_len().saturating_mul(CHALLENGE_RESERVE))
        }
    }

    /// `Some` if a numbered packet of that size may go now.
    fn may_send(&mut self, bytes: usize) -> Option<()> {
        if self.data_allowance() < u64::try_from(bytes).unwrap_or(u64::MAX) {
            mark!(AllowanceHoldsData);
            return None;
        }
        // The pacer named a time at which a batch is worth sending; a caller who asks before, because
        // something else happened, would send it packet by packet.
        let now = self.clock.now;
        if self.clock.paced_until.is_some_and(|at| at > now) && !self.recovery.owes_probe() {
            mark!(AskedWhilePaced);
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
}
