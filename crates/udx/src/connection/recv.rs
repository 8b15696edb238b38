//! What packets do to a connection (UDX 18.4).

use core::net::SocketAddr;
use core::ops::RangeInclusive;

use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

use super::acks::Urgency;
use super::path::Proven;
use super::streams::{Found, StreamId};
use super::{Carried, Connection, Side};
use crate::error::{CloseReason, PeerMisbehaved};
use crate::event::Event;
use crate::peer::{Peer, own_kind_streams};
use crate::stream::RecvError;
use crate::wire::reset::Token;
use crate::wire::{Ack, Frame, Header, Packet, Stream as StreamFrame};

/// PATH_RESPONSEs that wait at most; a flood of challenges gets no more answers than that.
const MAX_RESPONSES: usize = 4;

/// What a packet's frames ask for together.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The number is to be acknowledged, and how soon.
    pub(super) acknowledge: Option<Urgency>,
    /// Something could not be stored: the packet must not be acknowledged (V13).
    pub(super) refused: bool,
    /// The packet has a number that means something (UDX 3).
    pub(super) numbered: bool,
    /// A challenge in it is answered already.
    answered: bool,
}

impl Connection {
    /// A valid packet with this connection's ID came from somewhere (UDX 7.1: wherever).
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Packet<'_>,
        bytes: usize,
    ) {
        if self.closed.is_some() {
            return;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.clock.now = now;
        self.counts.on_received(bytes);
        self.path.on_datagram(now, from, bytes);
        let proven = self.path.may_obey(from);
        if proven {
            if let Some(v2) = &mut self.v2 {
                v2.note_heard(now, self.clock.heard);
            }
            // UDX 7.5 says any packet. But a packet that was recorded and is sent again from elsewhere would keep a
            // connection alive whose peer is gone (V6).
            self.clock.heard = sabotage!(IdleNotRestarted, self.clock.heard, now);
            self.clock.keep_alive_asked =
                sabotage!(KeepAliveOnce, self.clock.keep_alive_asked, None);
        }
        let first_from_peer = self.counts.datagrams_received == 1;
        if self.side == Side::Acceptor {
            self.note_opening(packet, first_from_peer);
        }
        self.note_answer(packet);
        let near = match &self.v2 {
            Some(v2) => v2.expected(),
            None => self.acks.next_expected(),
        };
        let number = packet.header().number.expand(near);
        let number = sabotage!(WrapIgnored, packet.header().number.raw(), number);
        let number = sabotage!(
            SubtractedTheWrongWay,
            near.saturating_mul(2).saturating_sub(number),
            number
        );
        let mut outcome = Outcome::default();
        for frame in packet.frames() {
            self.handle_frame(from, packet.header(), number, &frame, &mut outcome);
            if self.closed.is_some() {
                return;
            }
        }
        self.note_number(packet, &outcome);
        self.recognise();
        // V6: whoever sends recorded packets again from elsewhere does not make this side send to the peer.
        let recorded = !proven && self.acks.contains(number);
        mark!(RecordedIgnored, recorded);
        outcome.refused |= recorded;
        if self.v2.is_some() && !recorded {
            self.on_numbered(packet, number, proven, &mut outcome);
            self.answer_syn();
            if self.closed.is_some() {
                return;
            }
        }
        let refused = outcome.refused && !sabotage!(AckedUnstored);
        if let (Some(urgency), false) = (outcome.acknowledge, refused) {
            let rtt = self.recovery.rtt();
            let srtt = (rtt.samples() > 0).then(|| rtt.smoothed());
            self.acks
                .on_received(now, number, urgency, srtt, self.rules);
            if let Some(v2) = &mut self.v2 {
                v2.note_received(number);
            }
        }
        self.listen();
    }

    fn handle_frame(
        &mut self,
        from: SocketAddr,
        header: &Header,
        number: u64,
        frame: &Frame<'_>,
        outcome: &mut Outcome,
    ) {
        let proven = self.path.may_obey(from);
        match *frame {
            Frame::Padding { .. } | Frame::MtuProbe { .. } | Frame::RetireConnectionId { .. } => {}
            // Version 2: in its turn, once the others had their effect (UDX2 15.4).
            Frame::Ordered(_) => {}
            Frame::Ping => self.on_ping(header, number, outcome),
            Frame::Stream(frame) => self.on_stream(header, &frame, outcome),
            Frame::PathChallenge { nonce } => {
                // V18: one answer for each packet is never much more than the packet was.
                if proven || !core::mem::replace(&mut outcome.answered, true) {
                    self.on_challenge(from, nonce);
                }
            }
            Frame::PathResponse { nonce } => self.on_response(from, nonce),
            Frame::WindowUpdate { limit } => {
                if let Found::Live(id) = self.find(header) {
                    let stream = self.streams.get_mut(id);
                    if stream.is_some_and(|stream| stream.send.on_limit(limit)) {
                        self.streams.queue(id);
                    }
                }
            }
            Frame::MaxData { limit } => self.on_max_data(limit),
            Frame::MaxStreams { count } => self.on_max_streams(count),
            // What asks for nothing but an answer to the peer's address is not asked from another one (V6). A peer that moved asks again.
            Frame::DataBlocked { .. }
            | Frame::StreamDataBlocked { .. }
            | Frame::NewConnectionId { .. }
                if !proven => {}
            // D11: MAX_DATA is repeated to whoever says that it binds.
            Frame::DataBlocked { .. } => self.owed.announcement = true,
            Frame::StreamDataBlocked { .. } => self.on_stream_blocked(header),
            Frame::NewConnectionId { ref id, token, .. } => self.on_token(id, token),
            // V6: what could harm is obeyed only from where the peer is known to be.
            Frame::Ack(_)
            | Frame::ResetStream { .. }
            | Frame::StopSending { .. }
            | Frame::ConnectionClose { .. }
                if !proven =>
            {
                mark!(HarmfulIgnored);
                self.refuse(PeerMisbehaved::UnprovenAddress);
                // The end of a stream that was not obeyed has to come again (V13).
                outcome.refused |= !matches!(*frame, Frame::Ack(_));
            }
            Frame::Ack(ack) => self.on_ack(header, &ack),
            Frame::ResetStream { code } => self.on_reset(header, code, false),
            Frame::StopSending { code, .. } => self.on_reset(header, code, true),
            Frame::ConnectionClose { code, reason, .. } => {
                let reason = reason.get(..256).unwrap_or(reason);
                let reason = CloseReason::Peer {
                    code,
                    reason: reason.into(),
                };
                mark!(ClosedByPeer);
                // UDX 18.6, D15: obeyed, not answered.
                self.terminate(reason, None, b"");
            }
        }
    }

    fn on_ping(&mut self, header: &Header, number: u64, outcome: &mut Outcome) {
        outcome.numbered = true;
        if self.v2.is_some() {
            // UDX2 D14, H5: answered with what there is; its own number proves nothing.
            return self.acks.ask();
        }
        // D8: a PING under 0 is nobody's number.
        let zero = header.number.raw() == 0;
        // D9: Dart's probe carries the number of a data packet that may have been lost.
        let fresh = self.rules.ping_numbers_are_fresh || self.acks.contains(number);
        mark!(PingUnderZero, zero);
        mark!(PingNotAcknowledged, !zero && !fresh);
        if !zero && fresh {
            outcome.acknowledge = Some(Urgency::AtOnce);
        }
    }

    fn on_stream(&mut self, header: &Header, frame: &StreamFrame<'_>, outcome: &mut Outcome) {
        // D8: a STREAM frame without data and flags has no number.
        if !frame.is_numbered() {
            return;
        }
        outcome.numbered = true;
        let urgency = if frame.syn || frame.fin {
            Urgency::AtOnce
        } else {
            Urgency::Delayed
        };
        if outcome.acknowledge != Some(Urgency::AtOnce) {
            outcome.acknowledge = Some(urgency);
        }
        match self.find(header) {
            Found::Live(id) => {
                self.on_stream_data(id, header, frame, outcome);
                self.on_unwanted_frame(id, header);
            }
            // UDX 4.1: acknowledgement means receipt. V4: the tombstone absorbs it.
            Found::Finished => self.on_late_frame(header),
            Found::None => {}
            Found::Unknown if frame.syn || !frame.data.is_empty() => {
                if !self.path.is_validated() && !self.streams.admits_unproven() {
                    mark!(UnprovenStreamsRefused);
                    outcome.refused = true;
                    return;
                }
                if !self.streams.admits() && self.streams.may_be_over_there() {
                    mark!(RefusalPostponed);
                    // UDX 8.5: not acknowledged, so it comes again when there may be room.
                    outcome.refused = true;
                    return;
                }
                if !self.streams.admits() {
                    self.refuse(PeerMisbehaved::TooManyStreams);
                    outcome.refused |= !self.refuse_stream(header);
                    return;
                }
                let id = self.admit(header);
                self.on_stream_data(id, header, frame, outcome);
            }
            // V12, D22: a FIN that overtook the opening of its stream.
            Found::Unknown => {
                let (now, end) = (self.clock.now, frame.end());
                let source = header.source_stream;
                outcome.refused |= !self.streams.keep_early_fin(now, source, end);
            }
        }
    }

    pub(super) fn admit(&mut self, header: &Header) -> u32 {
        let id = self
            .streams
            .admit(header.destination_stream, header.source_stream);
        self.events.push_back(Event::StreamOpened);
        if let Some(size) = self.streams.take_early_fin(header.source_stream)
            && let Some(stream) = self.streams.get_mut(id)
        {
            mark!(EarlyFinTaken);
            // A size that the data contradict is found out when they come.
            let _ = stream.recv.on_data(self.clock.now, size, &[], true);
        }
        id
    }

    fn on_stream_data(
        &mut self,
        id: u32,
        header: &Header,
        frame: &StreamFrame<'_>,
        outcome: &mut Outcome,
    ) {
        if let Err(error) = self.take_piece(id, header, frame) {
            self.on_stream_error(id, error, outcome);
        }
    }

    /// A piece whose place in the stream is known.
    pub(super) fn take_piece(
        &mut self,
        id: u32,
        header: &Header,
        frame: &StreamFrame<'_>,
    ) -> Result<(), RecvError> {
        let now = self.clock.now;
        let Some(stream) = self.streams.get_mut_with_block(id, frame.end()) else {
            return Ok(());
        };
        if stream.peer_source.is_none() {
            stream.peer_source = Some(header.source_stream);
        }
        // D3: Dart answers the SYN of a stream by a SYN of its own.
        self.clues.syn_back |= frame.syn && stream.opened_by_us;
        let accepted = stream
            .recv
            .on_data(now, frame.offset, frame.data, frame.fin)?;
        if accepted.became_readable && stream.read_waiting {
            stream.read_waiting = false;
            self.events.push_back(Event::Readable(StreamId(id)));
        }
        if accepted.newly > 0 {
            self.counts.stream_bytes_received = self
                .counts
                .stream_bytes_received
                .saturating_add(accepted.newly);
            self.open_window(id);
            self.streams.note_deadline(id);
        }
        Ok(())
    }

    fn on_stream_error(&mut self, id: u32, error: RecvError, outcome: &mut Outcome) {
        self.refuse(match error {
            RecvError::BeyondLimit | RecvError::Overshoot => PeerMisbehaved::BeyondLimit,
            RecvError::BeyondFinalSize => PeerMisbehaved::BeyondFinalSize,
            RecvError::FinalSizeChanged => PeerMisbehaved::FinalSizeChanged,
            RecvError::TooFragmented | RecvError::OutOfMemory => PeerMisbehaved::TooFragmented,
        });
        match error.reset_code() {
            Some(code) => self.abort_stream(id, code),
            None => outcome.refused = true,
        }
    }

    /// UDX 18.4: the window is raised once data came, or at once towards our own kind.
    pub(super) fn open_window(&mut self, id: u32) {
        let now = self.clock.now;
        let mut growth = self.streams.growth;
        let due = self
            .streams
            .get_mut(id)
            .is_some_and(|stream| stream.recv.open_window(now, &mut growth));
        self.streams.growth = growth;
        if due {
            self.streams.queue_control(id);
        }
    }

    fn on_ack(&mut self, header: &Header, ack: &Ack<'_>) {
        // UDX 18.1: Go acknowledges with the stream's IDs swapped.
        let named = self.streams.get(header.destination_stream);
        self.clues.swapped_ack |= named.is_some_and(|stream| stream.opened_by_us);
        if self.v2.is_some() {
            self.note_ack_of_first(ack);
        }
        let largest = ack.largest.expand(self.recovery.next_number());
        let delay = core::time::Duration::from_millis(u64::from(ack.delay_ms));
        self.on_acked_ranges(largest, delay, ack.ranges(largest));
        if self.v2.is_some() && largest < self.recovery.next_number() {
            self.note_last(header, largest);
        }
    }

    pub(super) fn on_acked_ranges(
        &mut self,
        largest: u64,
        delay: core::time::Duration,
        ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
    ) {
        let could_ask = self.may_ask();
        let (streams, counts) = (&mut self.streams, &mut self.counts);
        let (events, announced) = (&mut self.events, &mut self.owed.announced);
        // All streams' packets that went out before the first acknowledgement carried the announcement.
        let acked = |carried: Carried| match carried {
            Carried::Stream { id, piece } => {
                *announced = true;
                on_acked(streams, counts, events, id, &piece);
            }
            Carried::Open => *announced = true,
            Carried::End(_) | Carried::Response { .. } | Carried::Ping | Carried::MtuProbe => {}
        };
        let now = self.clock.now;
        match self.recovery.on_ack(now, largest, delay, ranges, acked) {
            Ok(_) => {
                if !could_ask && self.may_ask() && self.clock.pinged.is_some() {
                    self.path.ask(now);
                }
                self.reap_ending();
                self.drain_recovery_events();
            }
            // R3, V8
            Err(_) => {
                mark!(AckedUnsent);
                self.refuse(PeerMisbehaved::AcknowledgedUnsent);
            }
        }
    }

    fn on_max_data(&mut self, limit: u64) {
        self.limits.max_data = self.limits.max_data.max(limit);
        let sender = match self.side {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        };
        if let Some(streams) = own_kind_streams(sender, limit) {
            self.clues.own = true;
            self.streams.on_limit(streams);
        }
    }

    fn on_max_streams(&mut self, count: u32) {
        self.clues.announced |= self.side == Side::Dialer;
        // Our own kind says in MAX_DATA what it really allows; see `peer`.
        if !self.clues.own {
            self.streams.on_limit(count);
        }
        self.offer_streams();
    }

    /// D13: whoever is blocked is told the limit, or that the stream is over.
    fn on_stream_blocked(&mut self, header: &Header) {
        match self.find(header) {
            Found::Live(id) => {
                self.note_go_asks();
                if let Some(stream) = self.streams.get_mut(id) {
                    mark!(WindowAsked);
                    stream.recv.on_blocked();
                    self.streams.queue_control(id);
                    self.on_unwanted_frame(id, header);
                }
            }
            Found::Finished => self.on_late_frame(header),
            Found::Unknown | Found::None => {}
        }
    }

    /// UDX 11: everybody answers a challenge at once.
    fn on_challenge(&mut self, from: SocketAddr, nonce: u64) {
        self.clues.challenged = true;
        sabotage!(ChallengeUnanswered, return);
        let known = self
            .owed
            .responses
            .iter()
            .any(|waiting| *waiting == (from, nonce));
        if known {
            return;
        }
        let remote = self.path.remote();
        if self.owed.responses.len() >= MAX_RESPONSES
            && from == remote
            && let Some(other) = self.owed.responses.iter().position(|(to, _)| *to != remote)
        {
            mark!(ChallengePreferred);
            // The peer's is not kept out by those of others (V6).
            self.owed.responses.remove(other);
        }
        mark!(
            ChallengesTooMany,
            self.owed.responses.len() >= MAX_RESPONSES
        );
        if self.owed.responses.len() < MAX_RESPONSES {
            self.owed.responses.push_back((from, nonce));
        }
    }

    fn on_response(&mut self, from: SocketAddr, nonce: u64) {
        match self.path.on_response(self.clock.now, from, nonce) {
            Proven::Nothing => {}
            Proven::Current { rtt } => {
                // A side that only receives has no other measure, and its ACKs would be as late as
                // for a path nothing is known of.
                let measured = self.recovery.rtt().samples() > 0;
                if let Some(rtt) = rtt.filter(|_| !measured) {
                    self.recovery.on_rtt_sample(self.clock.now, rtt);
                }
                self.on_listened(rtt.is_some());
                if let Some(asked) = self.clock.pinged.take() {
                    let rtt = self.clock.now.saturating_duration_since(asked);
                    self.events.push_back(Event::Pong { rtt });
                }
                if rtt.is_none() && !measured && self.rules.ack_delay_share > 0 {
                    // A challenge that was repeated measured nothing, and the peer counts on ACKs that are as quick as the path.
                    self.path.ask(self.clock.now);
                }
            }
            Proven::Moved { from, to } => {
                // RFC 9000 9.4: what is known of a path holds for another port of the same host.
                mark!(MovedToHost, from.ip() != to.ip());
                mark!(MovedToPort, from.ip() == to.ip());
                self.listen_anew();
                if from.ip() != to.ip() {
                    self.recovery.on_path_change(self.clock.now);
                    self.drain_recovery_events();
                }
                if self.clock.pinged.is_some() {
                    // The question went to where nobody is any more.
                    self.path.ask(self.clock.now);
                }
                self.events.push_back(Event::Moved { from, to });
            }
        }
    }

    /// UDX 14: only for the ID in use.
    fn on_token(&mut self, id: &crate::wire::ConnectionId, token: Token) {
        if *id == self.peer_id {
            self.counts.peer_token = Some(token);
        }
    }

    pub(crate) fn take_peer_token(&mut self) -> Option<Token> {
        self.counts.peer_token.take()
    }

    /// UDX 14: the peer lost its state.
    pub(crate) fn on_stateless_reset(&mut self, now: Instant) {
        self.clock.now = now;
        self.terminate(CloseReason::StatelessReset, None, b"");
    }

    pub(super) fn find(&self, header: &Header) -> Found {
        self.streams
            .find(header.destination_stream, header.source_stream)
    }

    /// UDX 18.1: what the packet that opens the connection says of its sender. With reordering that is
    /// not the first that came: a stream's SYN opens the connection as well.
    fn note_opening(&mut self, packet: &Packet<'_>, first: bool) {
        let header = packet.header();
        let named = (header.source_stream != 0, header.destination_stream != 0);
        let bare = named == (false, false)
            && !self.clues.bare_syn
            && packet.frames().any(|frame| frame.has_syn());
        self.clues.bare_syn |= bare;
        if first || bare {
            self.clues.announced |= packet
                .frames()
                .any(|frame| matches!(frame, Frame::MaxData { .. } | Frame::MaxStreams { .. }));
        }
        if first {
            self.clues.named_ids = named == (true, true);
            // UDX 18.3: the answer is ACK, PATH_CHALLENGE, MAX_DATA, MAX_STREAMS.
            self.owed.announcement = true;
        }
    }

    fn note_answer(&mut self, packet: &Packet<'_>) {
        self.clues.dart_header |= packet.speaks_dart30();
        if !self.clock.answered {
            self.clock.answered = true;
            self.events.push_back(Event::Connected);
        }
    }

    /// D5: only Dart puts a number into the header of an unnumbered packet.
    fn note_number(&mut self, packet: &Packet<'_>, outcome: &Outcome) {
        let stream = packet
            .frames()
            .any(|frame| matches!(frame, Frame::Stream(_) | Frame::Ordered(_)));
        let unnumbered = !outcome.numbered && !stream;
        self.clues.dart_header |= unnumbered && packet.header().number.raw() != 0;
    }

    /// Applies what is known of the peer by now.
    fn recognise(&mut self) {
        let dialed = self.side == Side::Dialer;
        let peer = match self.v2 {
            Some(_) => self.clues.verdict_v2(dialed),
            None => self.clues.verdict(dialed),
        };
        if peer == self.peer {
            return;
        }
        mark!(PeerIsOwn, peer == Peer::Own);
        mark!(PeerIsGo, peer == Peer::Go);
        mark!(PeerIsJs, peer == Peer::Js);
        mark!(PeerIsDart, peer == Peer::Dart);
        self.peer = peer;
        let were_sure = self.rules.is_heard_surely();
        self.rules = self.rules_for(peer);
        if self.rules.is_heard_surely() && !were_sure {
            self.say_endings_surely();
        }
        self.obey_rules();
        if peer == Peer::Own {
            // Large windows from the start (D19 is Dart's): the peer that answered knows them all, but
            // for those whose SYN is yet to be sent.
            let known = self.streams.iter().filter(|(_, s)| s.send.is_opened());
            let ids: alloc::vec::Vec<u32> = known.map(|(id, _)| id).collect();
            ids.into_iter().for_each(|id| self.open_window(id));
        }
        self.offer_streams();
    }

    /// The rules changed.
    pub(super) fn obey_rules(&mut self) {
        self.recovery.set_min_pto(self.rules.min_pto);
        self.recovery
            .set_ack_delay_share(self.rules.ack_delay_share);
        self.streams.obey(self.rules);
    }
}

/// A record was acknowledged: its bytes are let go.
fn on_acked(
    streams: &mut super::streams::Streams,
    counts: &mut super::stats::Counts,
    events: &mut alloc::collections::VecDeque<Event>,
    id: u32,
    piece: &crate::stream::Piece,
) {
    counts.stream_bytes_acknowledged = counts
        .stream_bytes_acknowledged
        .saturating_add(u64::from(piece.len));
    let Some(stream) = streams.get_mut(id) else {
        return;
    };
    let before = stream.send.buffer().len();
    let acked = stream.send.on_acked(piece);
    let after = stream.send.buffer().len();
    if acked.writable && stream.write_waiting {
        stream.write_waiting = false;
        events.push_back(Event::Writable(StreamId(id)));
    }
    if acked.opened {
        // D19: Dart loses the window update in the packet that opens the stream.
        stream.recv.on_blocked();
        streams.queue_control(id);
    }
    if acked.completed {
        events.push_back(Event::Acknowledged(StreamId(id)));
    }
    if acked.completed || acked.settled {
        streams.ending.push(id);
    }
    streams.buffered = streams
        .buffered
        .saturating_sub(before.saturating_sub(after));
    if before > 0 && after == 0 {
        streams.writers = streams.writers.saturating_sub(1);
    }
    // V12: the FIN may have waited for the SYN.
    streams.queue(id);
}
