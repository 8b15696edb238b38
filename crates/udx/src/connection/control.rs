//! Ending streams, and the control frames of streams (UDX 8.4, V5, D13).

use gapless_recovery::Instant;
use gapless_seq::{Wire32, mark};

use super::streams::{Found, StreamId};
use super::{Carried, Connection, Side};
use crate::error::code;
use crate::event::Event;
use crate::wire::{Frame, Header};

/// How often an ending is said to peers that do not acknowledge it, one RTO apart.
const BLIND_REPEATS: u32 = 3;

/// Endings that are remembered, to be said again when the peer goes on (V5). More only while they wait to
/// be said, at most one for each stream.
const MAX_ENDINGS: usize = 64;

/// Tells the peer that a stream is over, or is wanted no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ending {
    pub(crate) kind: EndKind,
    pub(crate) local: u32,
    pub(crate) remote: u32,
    pub(crate) code: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EndKind {
    /// RESET_STREAM: both directions are over.
    Reset,
    /// STOP_SENDING: the peer is to reset the stream.
    Stop,
}

impl Ending {
    pub(crate) fn frame(&self) -> Frame<'static> {
        match self.kind {
            EndKind::Reset => Frame::ResetStream { code: self.code },
            EndKind::Stop => Frame::StopSending {
                stream: self.local,
                code: self.code,
            },
        }
    }
}

/// An ending, and how often it is still to be said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingEnd {
    pub(crate) ending: Ending,
    left: u32,
    /// Not before then.
    next: Instant,
}

impl Connection {
    /// RESET_STREAM, or STOP_SENDING (`stop`), which is answered by RESET_STREAM with the same code
    /// (UDX 8.4).
    pub(super) fn on_reset(&mut self, header: &Header, code: u32, stop: bool) {
        let id = match self.find(header) {
            Found::Live(id) => id,
            Found::Unknown if !stop => {
                mark!(ResetBeforeOpening);
                // It overtook the opening of its stream, which must not come to life after it.
                let by_two = self.rules.stream_ids_count_by_two;
                self.streams.take_early_fin(header.source_stream);
                self.streams.entomb(header.source_stream, by_two);
                return;
            }
            Found::Finished if stop => return self.on_late_frame(header),
            _ => return,
        };
        if stop {
            // Said again: the answer may still wait, or may have been lost.
            self.on_late_frame(header);
        } else {
            self.owed
                .endings
                .retain(|pending| pending.ending.local != id);
        }
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let sending_ended = stream.send.on_refused(code);
        // STOP_SENDING asks for the end of our direction; it is our RESET_STREAM that ends both.
        let receiving_ended = (!stop || sending_ended) && stream.recv.on_reset(code);
        let remote = stream.remote;
        if stop && sending_ended {
            mark!(StopAnswered);
            self.say_ending(Ending {
                kind: EndKind::Reset,
                local: id,
                remote,
                code,
            });
        }
        if sending_ended || receiving_ended {
            self.forget_sent(id);
            self.events.push_back(Event::Reset {
                id: StreamId(id),
                code,
            });
            self.wake(id);
        }
        self.streams.ending.push(id);
        self.reap_ending();
    }

    /// This side gives the stream up, both directions.
    pub(super) fn abort_stream(&mut self, id: u32, code: u32) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let tell_sending = stream.send.reset(code);
        let tell_receiving = stream.recv.on_reset(code);
        let remote = stream.remote;
        if tell_sending || tell_receiving {
            self.forget_sent(id);
            self.say_ending(Ending {
                kind: EndKind::Reset,
                local: id,
                remote,
                code,
            });
            self.wake(id);
        }
        self.streams.ending.push(id);
        self.reap_ending();
    }

    /// The application wants no more of what the peer sends.
    pub(super) fn stop_stream(&mut self, id: u32, code: u32) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let tell = stream.recv.stop();
        let remote = stream.remote;
        if tell {
            self.say_ending(Ending {
                kind: EndKind::Stop,
                local: id,
                remote,
                code,
            });
        }
        self.streams.ending.push(id);
        self.reap_ending();
    }

    /// UDX 8.5: a stream beyond our limit never comes to be. False if too many were refused to say so
    /// again now: then the packet must not be acknowledged, and comes again.
    pub(super) fn refuse_stream(&mut self, header: &Header) -> bool {
        if self.owed.endings.len() >= MAX_ENDINGS
            && self.owed.endings.iter().all(|end| end.left > 0)
        {
            mark!(RefusalPostponed);
            return false;
        }
        let ending = Ending {
            kind: EndKind::Reset,
            local: header.destination_stream,
            remote: header.source_stream,
            code: code::STREAM_LIMIT,
        };
        mark!(StreamRefused);
        let by_two = self.rules.stream_ids_count_by_two;
        self.streams.entomb(header.source_stream, by_two);
        self.say_ending(ending);
        true
    }

    /// V5: a frame of a stream that was given up, though the application still holds it: the peer may
    /// not know.
    pub(super) fn on_unwanted_frame(&mut self, id: u32, header: &Header) {
        let stream = self.streams.get(id);
        if stream.is_some_and(|stream| stream.recv.is_finished()) {
            self.on_late_frame(header);
        }
    }

    /// V5: a frame of a stream that is over: the peer may not know.
    pub(super) fn on_late_frame(&mut self, header: &Header) {
        let (local, remote) = (header.destination_stream, header.source_stream);
        let said = self.owed.endings.iter_mut().find(|pending| {
            pending.ending.remote == remote || (local != 0 && pending.ending.local == local)
        });
        // At most one per RTO: `next` says when. Not forgotten until then, as the peer may not speak again.
        if let Some(pending) = said {
            mark!(EndingSaidAgain, pending.left == 0);
            pending.left = pending.left.max(1);
        }
    }

    /// The peer turned out to acknowledge PINGs: what was said blindly until now is said once more, and surely.
    pub(super) fn say_endings_surely(&mut self) {
        for pending in &mut self.owed.endings {
            mark!(EndingsSaidSurely);
            pending.left = 1;
        }
    }

    fn say_ending(&mut self, ending: Ending) {
        // One that was not said yet is not forgotten: the peer would never learn of it.
        if self.owed.endings.len() >= MAX_ENDINGS
            && let Some(said) = self.owed.endings.iter().position(|end| end.left == 0)
        {
            self.owed.endings.remove(said);
        }
        let left = if self.rules.is_heard_surely() {
            1
        } else {
            BLIND_REPEATS
        };
        self.owed.endings.push_back(PendingEnd {
            ending,
            left,
            next: self.clock.now,
        });
    }

    /// Nothing of the stream is sent again. Version 3 does not mind the holes (P1, UDX 3); under version 2 recovery abandons
    /// nothing, and what was sent goes on until it is acknowledged (UDX2 H7).
    fn forget_sent(&mut self, id: u32) {
        self.recovery
            .abandon(|carried| matches!(carried, Carried::Stream { id: of, .. } if *of == id));
        self.streams.recount();
        // Its SYN may have been what opens the connection.
        // Version 2 keeps it: see `SendHalf::open_connection`.
        self.owed.opening = self.side == Side::Dialer && !self.clock.answered && self.v2.is_none();
    }

    /// Whoever waits on the stream learns that it is over (R22).
    pub(super) fn wake(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        if core::mem::take(&mut stream.read_waiting) {
            self.events.push_back(Event::Readable(StreamId(id)));
        }
        if core::mem::take(&mut stream.write_waiting) {
            self.events.push_back(Event::Writable(StreamId(id)));
        }
    }

    /// Forgets streams that are over and released.
    pub(super) fn reap_ending(&mut self) {
        let by_two = self.rules.stream_ids_count_by_two;
        let mut room = false;
        while let Some(id) = self.streams.ending.pop() {
            let over = self.streams.get(id).filter(|stream| stream.is_over());
            let dropped = over.filter(|stream| stream.released);
            let dropped = dropped.and_then(|stream| Some((stream.remote, stream.drops_rest?)));
            if let Some((remote, code)) = dropped {
                mark!(RestDropped);
                self.say_ending(Ending {
                    kind: EndKind::Reset,
                    local: id,
                    remote,
                    code,
                });
            }
            room |= self.streams.reap(id, by_two);
        }
        if room {
            self.offer_streams();
        }
    }

    pub(super) fn offer_streams(&mut self) {
        if self.streams.open_waiting && self.streams.may_open() {
            mark!(StreamsOffered);
            self.streams.open_waiting = false;
            self.events.push_back(Event::StreamsAvailable);
        }
    }

    /// When an ending is to be said again.
    pub(super) fn next_ending(&self) -> Option<Instant> {
        if !self.may_name_streams() {
            return None;
        }
        self.owed
            .endings
            .iter()
            .filter(|pending| pending.left > 0)
            .map(|pending| pending.next)
            .min()
    }

    /// Writes one packet with a stream's control frame.
    pub(super) fn stream_control(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.write_ending(buffer)
            .or_else(|| self.write_stream_credit(buffer))
    }

    /// UDX2 D1: where STOP_SENDING is not understood, all that can be said is RESET_STREAM, which would take back what this side
    /// wrote: it follows once that is delivered. Not before something is to be said, because a peer that has not answered yet is
    /// not known.
    fn drop_unsayable(&mut self) {
        if self.rules.says_stop {
            return;
        }
        let is_stop = |pending: &PendingEnd| pending.ending.kind == EndKind::Stop;
        while let Some(at) = self.owed.endings.iter().position(is_stop) {
            let Some(PendingEnd { ending, .. }) = self.owed.endings.remove(at) else {
                return;
            };
            let Some(stream) = self.streams.get_mut(ending.local) else {
                continue;
            };
            mark!(StopSaidAsReset);
            if stream.send.is_finished() {
                let kind = EndKind::Reset;
                self.say_ending(Ending { kind, ..ending });
            } else {
                stream.drops_rest = Some(ending.code);
            }
        }
    }

    fn write_ending(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let now = self.clock.now;
        let pause = self.recovery.pto();
        self.drop_unsayable();
        let is_due = |pending: &PendingEnd| pending.left > 0 && pending.next <= now;
        let at = self.owed.endings.iter().position(is_due)?;
        let ending = self.owed.endings.get(at)?.ending;
        let ids = (ending.remote, ending.local);
        let number = self.recovery.next_number();
        let written = self.write_sure(buffer, Carried::End(ending), ids, &ending.frame());
        let recorded = self.recovery.next_number() != number;
        // The pause is taken whether it could be written or not: what is due keeps no timer in the past (R9). Without a record it
        // stays to be said.
        if let Some(pending) = self.owed.endings.get_mut(at) {
            pending.next = now.saturating_add(pause);
            if recorded || (written.is_some() && !self.rules.is_heard_surely()) {
                pending.left = pending.left.saturating_sub(1);
            }
        }
        written
    }

    /// A limit as the peer understands it.
    fn wire_limit(&self, limit: u64) -> Wire32 {
        if self.rules.limits_saturate {
            // UDX2 D11, 9.1: early Go would ignore a smaller value, and Dart would send next to nothing.
            let largest = self
                .config
                .first_position
                .saturating_add(u64::from(u32::MAX));
            Wire32::truncate(limit.min(largest))
        } else {
            // UDX 10.1
            Wire32::truncate(limit)
        }
    }

    /// WINDOW_UPDATE with an ACK if one is due, or STREAM_DATA_BLOCKED alone in its packet (D13).
    fn write_stream_credit(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let now = self.clock.now;
        while let Some(id) = self.streams.control.front().copied() {
            let Some(stream) = self.streams.get_mut(id) else {
                self.streams.control.pop_front();
                continue;
            };
            let ids = (stream.remote, id);
            if let Some(limit) = stream.recv.take_update() {
                self.streams.note_deadline(id);
                let limit = self.wire_limit(limit);
                return self.write_with_ack(buffer, ids, &[Frame::WindowUpdate { limit }]);
            }
            if self.rules.reports_blocked
                && let Some(limit) = stream.send.take_blocked(now)
            {
                mark!(BlockedReported);
                self.streams.note_deadline(id);
                // D14: there may be something to try.
                self.streams.queue(id);
                let frame = Frame::StreamDataBlocked { stream: id, limit };
                return self.write_unnumbered(buffer, ids, &[frame]);
            }
            stream.control_queued = false;
            // What was tried beyond the limit is sent, and the next question has its time.
            self.streams.note_deadline(id);
            self.streams.control.pop_front();
        }
        None
    }
}
