//! Which Go of version 2 the peer is (UDX2 1, 15.1, 18.1).
//!
//! Early Go acknowledges every packet that names a stream, under number 0 if it has none; late Go only numbered ones. Late Go orders
//! by the connection, so several streams may send at once. It is told apart by what it does not say, which takes several
//! questions, since answers get lost; they are asked only while a stream waits for another one's end.

use gapless_recovery::Instant;
use gapless_seq::mark;

use super::super::Connection;
use crate::peer::{LATE_GO, Peer, Rules};
use crate::wire::Ack;

/// Unanswered questions after which Go is a late one. At 10% loss each way early Go leaves that many unanswered in one of 700
/// cases.
const QUESTIONS: u8 = 4;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Generation {
    known: Option<Age>,
    /// Since then a stream waits because the peer may be early Go.
    matters_since: Option<Instant>,
    /// When a packet went out that early Go answers with an ACK of 0.
    asked_at: Option<Instant>,
    /// Such packets that it did not answer, although it answered something after them.
    unanswered: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Age {
    Early,
    Late,
}

impl Connection {
    /// The rules for Go, as far as its age is known.
    pub(super) fn rules_for_go(&self) -> &'static Rules {
        let late = self
            .v2
            .as_ref()
            .is_some_and(|v2| v2.go.known == Some(Age::Late));
        if late { &LATE_GO } else { Peer::Go.rules_v2() }
    }

    /// A packet without a number went out that names a stream. None does before our number 0 is acknowledged (UDX2 H2).
    pub(in super::super) fn note_named(&mut self) {
        let now = self.clock.now;
        if let Some(v2) = &mut self.v2 {
            v2.go.asked_at.get_or_insert(now);
        }
    }

    /// UDX2 4.1: early Go's answer to such a packet is always the same.
    pub(in super::super) fn note_ack_of_first(&mut self, ack: &Ack<'_>) {
        let first = gapless_seq::Wire32::truncate(self.config.first_number);
        let Some(v2) = &mut self.v2 else { return };
        let same = ack.largest == first && ack.first == 1 && ack.extra.is_empty();
        if same && v2.go.asked_at.is_some() && v2.go.known.is_none() {
            mark!(GoIsEarly);
            v2.go.known = Some(Age::Early);
        }
    }

    /// UDX2 18.1: STREAM_DATA_BLOCKED came, which early Go does not send.
    pub(in super::super) fn note_go_asks(&mut self) {
        if self.peer == Peer::Go {
            self.find_late_go();
        }
    }

    /// A stream has to let another one end first.
    pub(in super::super) fn note_waiting_stream(&mut self) {
        let now = self.clock.now;
        if let Some(v2) = &mut self.v2 {
            v2.go.matters_since.get_or_insert(now);
        }
    }

    /// When the next question is due, or its answer is.
    pub(in super::super) fn generation_deadline(&self) -> Option<Instant> {
        let go = &self.v2.as_ref()?.go;
        let since = go.matters_since?;
        if go.known.is_some() || self.peer != Peer::Go || !self.may_name_streams() {
            return None;
        }
        // R9: it is found out while something is to be sent; a time before that would be past.
        let asked_at = go.asked_at.map_or(since, |asked| asked.max(since));
        Some(asked_at.saturating_add(self.recovery.pto_base()))
    }

    pub(in super::super) fn on_generation_timeout(&mut self) {
        let now = self.clock.now;
        if self.generation_deadline().is_none_or(|at| at > now) {
            return;
        }
        let heard = self.clock.heard;
        let Some(v2) = &mut self.v2 else { return };
        if v2.go.asked_at.is_some_and(|asked| heard > asked) {
            v2.go.unanswered = v2.go.unanswered.saturating_add(1);
        }
        if v2.go.unanswered >= QUESTIONS {
            return self.find_late_go();
        }
        mark!(GoAsked);
        // Counted from here whether it can be sent or not (R9).
        v2.go.asked_at = Some(now);
        // Everybody answers this, so that silence means something.
        self.path.ask(now);
        let sender = v2.sender;
        let any = self.streams.iter().next().map(|(id, _)| id);
        let id = sender.filter(|id| self.streams.get(*id).is_some()).or(any);
        // The limit as it stands: it is harmless, and names a stream.
        if let Some(id) = id
            && let Some(stream) = self.streams.get_mut(id)
        {
            stream.recv.on_blocked();
            self.streams.queue_control(id);
        }
    }

    fn find_late_go(&mut self) {
        let Some(v2) = &mut self.v2 else { return };
        if v2.go.known.is_none() {
            mark!(GoIsLate);
            v2.go.known = Some(Age::Late);
            self.rules = self.rules_for(self.peer);
            self.obey_rules();
        }
    }
}
