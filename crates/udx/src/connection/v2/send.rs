//! What may be sent next in version 2 (UDX2 9.3, 13, 14, 15).

use gapless_seq::sabotage;

use super::super::{Connection, Side};
use crate::stream::Piece;

/// The most data in the packet that opens a connection, in bytes. UDX2 15.2: about 1000 were tried with Go.
const OPENING_DATA: usize = 1000;

impl Connection {
    /// Whether no number may be minted now, because too many are outstanding (UDX2 H4).
    pub(in super::super) fn is_span_used_up(&self) -> bool {
        let next = self.recovery.next_number();
        next.saturating_sub(self.recovery.oldest_number()) >= u64::from(self.rules.most_outstanding)
            && !sabotage!(SpanIgnored)
    }

    /// Of `room` bytes for data, those that the next packet may use.
    pub(in super::super) fn room_in_order(&self, room: usize) -> usize {
        let Some(v2) = &self.v2 else {
            return room;
        };
        if !self.is_opening() {
            return room;
        }
        match self.side {
            // UDX 13: read as version 2, data in it would be lost.
            Side::Dialer if v2.undecided => 0,
            Side::Dialer => room.min(OPENING_DATA),
            // UDX2 H2, H3: control packets have gone under 0 before.
            Side::Acceptor if self.rules.waits_for_first => 0,
            Side::Acceptor => room,
        }
    }

    /// Whether the next number is the first of all.
    pub(in super::super) fn is_opening(&self) -> bool {
        self.v2.is_some() && self.recovery.next_number() == self.config.first_number
    }

    /// UDX2 D10, H11: early Go orders each stream by the numbers of the connection, so whatever is sent between two packets of a stream
    /// stops that stream for ever. One stream sends at a time, and to its end.
    pub(in super::super) fn may_take_turn(&self, id: u32) -> bool {
        let sender = self.v2.as_ref().and_then(|v2| v2.sender);
        !self.rules.one_sender
            || sabotage!(SendersMixed)
            || sender.is_none_or(|sender| sender == id || self.has_ended(sender))
    }

    /// A piece of the stream was sent.
    pub(in super::super) fn note_sender(&mut self, id: u32, piece: &Piece) {
        // An empty SYN begins nothing that could be interrupted.
        if let Some(v2) = &mut self.v2
            && (piece.len > 0 || piece.fin)
        {
            v2.sender = Some(id);
        }
    }

    /// Whether every stream with something to send has to let another one end first.
    pub(in super::super) fn waits_for_sender(&self) -> bool {
        self.rules.one_sender
            && self
                .streams
                .iter()
                .all(|(id, stream)| !stream.send.has_next() || !self.may_take_turn(id))
    }

    fn has_ended(&self, id: u32) -> bool {
        let stream = self.streams.get(id);
        stream.is_none_or(|stream| stream.send.is_finished())
    }

    /// Whether a question of ours may go out. UDX2 H2: a Dart of 2.0.1 takes any packet under the number that it waits for, and it
    /// knows the connection from the first packet in another version on. A question under 0 that comes before the opening packet
    /// would be taken for that packet.
    pub(in super::super) fn may_ask(&self) -> bool {
        self.v2.is_none() || self.side == Side::Acceptor || self.owed.announced
    }

    /// UDX2 H2: Go acknowledges number 0 for every packet without a number that names a stream. So there is none before our
    /// number 0 is acknowledged.
    pub(in super::super) fn may_name_streams(&self) -> bool {
        !self.rules.waits_for_first || self.owed.announced
    }
}
