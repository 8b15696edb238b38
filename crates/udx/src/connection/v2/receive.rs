//! What numbered packets do, each in its turn (UDX2 7, 15.4).

use gapless_seq::{invariant, mark};

use super::super::acks::Urgency;
use super::super::recv::Outcome;
use super::super::streams::Found;
use super::super::{Connection, Side};
use super::burnt::Bearer;
use super::sequencer::{Place, Waited, Waiting};
use crate::error::{CloseReason, PeerMisbehaved, code};
use crate::peer::Peer;
use crate::stream::INITIAL_LIMIT;
use crate::wire::{Frame, Header, Ordered, Packet};

/// What packets may hold that wait for their turn, besides what the windows of the streams promise, in bytes.
const WAITING: u64 = 128 << 10;

impl Connection {
    /// The STREAM frames of a packet. All its other frames have had their effect (UDX2 15.4).
    pub(in super::super) fn on_numbered(
        &mut self,
        packet: &Packet<'_>,
        number: u64,
        proven: bool,
        outcome: &mut Outcome,
    ) {
        let Some(v2) = &mut self.v2 else {
            return;
        };
        let frames = packet.frames().filter_map(|frame| match frame {
            Frame::Ordered(frame) if frame.is_numbered() => Some(frame),
            _ => None,
        });
        let Some(first) = frames.clone().next() else {
            // UDX2 H6; and 0 is what headers without a number say. V6: from elsewhere it could be anybody's.
            if proven && packet.header().number.raw() != 0 {
                self.note_control(packet, number);
            }
            return;
        };
        outcome.numbered = true;
        let place = v2.order.place(number);
        // UDX2 15.4: at once when out of order, known, SYN or FIN.
        let marked = frames.clone().any(|frame| frame.syn || frame.fin);
        let in_turn = place == Place::Next && !marked;
        outcome.acknowledge = Some(if in_turn {
            Urgency::Delayed
        } else {
            Urgency::AtOnce
        });
        match place {
            Place::Next => outcome.refused |= !self.have_effect(packet.header(), number, frames),
            Place::Ahead => {
                let (now, room) = (self.clock.now, self.room_for_waiting());
                let Some(v2) = &mut self.v2 else { return };
                v2.note_place(now, number);
                // UDX2 H21
                let kept = v2.order.keep(now, number, packet.header(), frames, room);
                mark!(OrderKept, kept);
                mark!(OrderFull, !kept);
                outcome.refused |= !kept;
            }
            Place::Old
                if first.syn && v2.order.contradicts(number, packet.header().source_stream) =>
            {
                self.terminate(
                    CloseReason::NumberedPerStream,
                    Some(code::PROTOCOL_VIOLATION),
                    b"a number for each stream",
                );
            }
            Place::Old if !first.data.is_empty() => {
                v2.listening.note_rough(v2.order.expected());
                self.repeat_window(packet.header());
            }
            Place::Old => {}
            Place::Beyond => {
                mark!(OrderBeyond);
                outcome.refused = true;
            }
            // UDX2 H6: better an error than a stream with a hole.
            Place::GivenUp => {
                mark!(BurntNumberCame);
                self.terminate(
                    CloseReason::MissingPacket,
                    Some(code::PROTOCOL_VIOLATION),
                    b"late packet",
                );
            }
        }
    }

    /// UDX2 H6: a packet without data bears a number that may be nobody's.
    fn note_control(&mut self, packet: &Packet<'_>, number: u64) {
        let next = self.recovery.next_number();
        let (Some(v2), Some(bearer)) = (&mut self.v2, bearer(packet)) else {
            return;
        };
        if v2.order.note_control(number, bearer, next) {
            self.have_waiting_effect();
        }
    }

    /// UDX2 3: the number of Dart's ACK is that of the last packet with data that it sent by then; others say 0.
    pub(in super::super) fn note_last(&mut self, header: &Header, acked: u64) {
        if self.peer == Peer::Dart
            && let Some(v2) = &mut self.v2
        {
            let last = header.number.expand(v2.order.expected());
            if v2.order.note_last(last, acked) {
                self.have_waiting_effect();
            }
        }
    }

    /// The packet whose turn it is. False if its stream has no room for it: then it comes again.
    fn have_effect<'a>(
        &mut self,
        header: &Header,
        number: u64,
        frames: impl Iterator<Item = Ordered<'a>> + Clone,
    ) -> bool {
        if let Some(v2) = &mut self.v2 {
            v2.order.note_source(header.source_stream);
            v2.note_place(self.clock.now, number);
            v2.order.note_filled(self.clock.now);
        }
        let mut left = frames;
        let mut any = false;
        loop {
            let rest = left.clone();
            let Some(frame) = left.next() else {
                break;
            };
            if !self.on_ordered(header, &frame) {
                mark!(OrderBlocked, !any);
                // A second frame without room must not undo the first one, so it waits.
                let now = self.clock.now;
                return match &mut self.v2 {
                    Some(v2) if any => v2.order.keep(now, number, header, rest, usize::MAX),
                    _ => false,
                };
            }
            any = true;
        }
        if let Some(v2) = &mut self.v2 {
            v2.order.advance();
        }
        self.have_waiting_effect();
        true
    }

    /// What waited for the packet before it, or for room in its stream.
    pub(in super::super) fn have_waiting_effect(&mut self) {
        while let Some(next) = self.v2.as_mut().and_then(|v2| v2.order.take_next()) {
            mark!(OrderResumed);
            let mut frames = next.frames();
            loop {
                let left = frames.as_bytes();
                let Some(frame) = frames.next() else {
                    break;
                };
                if !self.on_ordered(&next.header, &frame) {
                    let rest = Waiting::rest(&next.header, next.arrived(), left);
                    if let Some(v2) = &mut self.v2 {
                        v2.order.put_back(rest);
                    }
                    return;
                }
            }
            if let Some(v2) = &mut self.v2 {
                v2.order.advance();
            }
        }
    }

    /// A reader made room, which what waits may have been waiting for.
    pub(in super::super) fn on_room(&mut self) {
        if self.v2.as_ref().is_some_and(|v2| v2.order.has_next()) {
            mark!(OrderUnblocked);
            self.have_waiting_effect();
            self.listen();
        }
    }

    /// One STREAM frame in its turn. False if there is no room for it.
    fn on_ordered(&mut self, header: &Header, frame: &Ordered<'_>) -> bool {
        // It says nothing of the stream: it gives its packet a number.
        let carrier = frame.data.is_empty() && !frame.fin;
        match self.find(header) {
            Found::Live(id) => {
                let taken = self.append(id, header, frame);
                if taken && !carrier {
                    self.on_unwanted_frame(id, header);
                }
                taken
            }
            Found::Finished => {
                if !carrier {
                    self.on_late_frame(header);
                }
                true
            }
            Found::Unknown if frame.syn => {
                if !self.streams.admits() {
                    // UDX2 6.5
                    self.refuse(PeerMisbehaved::TooManyStreams);
                    return self.refuse_stream(header);
                }
                let id = self.admit(header);
                self.append(id, header, frame)
            }
            // UDX2 6.1, 6.3: what opens nothing is acknowledged and ignored.
            Found::Unknown | Found::None => true,
        }
    }

    fn append(&mut self, id: u32, header: &Header, frame: &Ordered<'_>) -> bool {
        let Some(stream) = self.streams.get(id) else {
            return true;
        };
        // UDX2 6.3: FINs are repeated, and nothing comes behind one.
        if stream.recv.has_end() {
            return true;
        }
        let piece = frame.at(stream.recv.buffer().edge());
        match self.take_piece(id, header, &piece) {
            Ok(()) => true,
            // UDX2 D13: excess is no error of senders who take windows for something else.
            Err(error) => {
                invariant!(
                    error.reset_code() != Some(code::PROTOCOL_VIOLATION),
                    {},
                    "{error:?}"
                );
                self.refuse(PeerMisbehaved::BeyondLimit);
                false
            }
        }
    }

    /// UDX2 H14: whoever sends again what has arrived may be waiting for the limit.
    fn repeat_window(&mut self, header: &Header) {
        if self.rules.insistent_windows
            && let Found::Live(id) = self.find(header)
            && let Some(stream) = self.streams.get_mut(id)
            && !stream.recv.has_end()
        {
            mark!(WindowRepeated);
            stream.recv.on_blocked();
            self.streams.queue_control(id);
        }
    }

    /// UDX2 H21: what the windows of all streams promise, and a little.
    fn room_for_waiting(&self) -> usize {
        let streams = u64::try_from(self.streams.len()).unwrap_or(u64::MAX);
        let promised = streams
            .saturating_mul(INITIAL_LIMIT)
            .saturating_add(self.streams.granted());
        usize::try_from(promised.saturating_add(WAITING)).unwrap_or(usize::MAX)
    }

    /// The wait for a number is over.
    pub(in super::super) fn on_order_timeout(&mut self) {
        let now = self.clock.now;
        // R9: what waited behind one hole may stand before the next one of the same age. Each turn passes a number.
        while self.closed.is_none() {
            match self.v2.as_mut().map(|v2| v2.order.on_timeout(now)) {
                None | Some(Waited::Nothing) => return,
                Some(Waited::Skipped) => self.have_waiting_effect(),
                Some(Waited::InVain) => {
                    mark!(NumberMissing);
                    self.terminate(
                        CloseReason::MissingPacket,
                        Some(code::TIMEOUT),
                        b"missing packet",
                    );
                }
            }
        }
    }

    /// UDX2 D4, H3: an acceptor's number 0 is an empty SYN for the first stream of the dialer.
    pub(in super::super) fn answer_syn(&mut self) {
        let unsent = self.recovery.next_number() == self.config.first_number;
        if self.side == Side::Dialer || !self.rules.waits_for_first || !unsent {
            return;
        }
        if self
            .streams
            .iter()
            .any(|(_, stream)| stream.send.answers_syn())
        {
            return;
        }
        let mut accepted = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.opened_by_us);
        let first = accepted.next().map(|(id, _)| id);
        drop(accepted);
        if let Some(id) = first
            && let Some(stream) = self.streams.get_mut(id)
        {
            mark!(SynAnswered);
            stream.send.answer_syn();
            self.streams.queue(id);
        }
    }
}

/// What bears the number of a packet without data. A lone ACK says nothing of its number.
fn bearer(packet: &Packet<'_>) -> Option<Bearer> {
    let all = |is: fn(&Frame<'_>) -> bool| packet.frames().all(|frame| is(&frame));
    if all(|frame| matches!(frame, Frame::Ack(_))) {
        return None;
    }
    let size_probe =
        |frame: &Frame<'_>| matches!(frame, Frame::MtuProbe { .. } | Frame::Padding { .. });
    let stream_control = |frame: &Frame<'_>| {
        matches!(
            frame,
            Frame::WindowUpdate { .. } | Frame::ResetStream { .. }
        )
    };
    Some(if all(size_probe) {
        Bearer::SizeProbe
    } else if all(stream_control) {
        Bearer::StreamControl
    } else {
        Bearer::Other
    })
}
