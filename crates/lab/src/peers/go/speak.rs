//! What a connection of Go sends: numbers, writers and their credit, acknowledgements taken, what is sent again.

use super::Generation;
use super::connection::Connection;
use super::stream::State;
use crate::peers::wire::{Frame, Numbering, Packet, encode};
use gapless_udx::Instant;
use std::time::Duration;

impl Connection {
    /// One frame's packet, to the stream IDs given (destination, then source). It takes a number if it carries data, SYN or FIN; all
    /// others have 0 (UDX 3, UDX2 3).
    pub(super) fn send(&mut self, now: Instant, ids: (u32, u32), frames: Vec<Frame>) {
        let is_numbered = frames.iter().any(Frame::is_numbered);
        let number = if is_numbered {
            self.sent.take_number()
        } else {
            0
        };
        let datagram = self.datagram(number, ids, frames.clone());
        if is_numbered {
            let size = datagram.len() as u64;
            let is_paced = matches!(&frames[..], [Frame::Stream { data, .. }] if !data.is_empty());
            let timeout = self.timeout();
            self.sent.register(now, timeout, number, ids, frames, size);
            self.congestion.on_sent(now, size, is_paced);
        }
        self.out.push_back(datagram);
    }

    /// Lets all writers send what they may, in turns.
    pub(super) fn pump(&mut self, now: Instant) {
        self.paced_until = None;
        if self.is_closed {
            return;
        }
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        loop {
            let mut sent = false;
            for &id in &ids {
                sent |= self.pump_stream(now, id);
            }
            if !sent {
                return;
            }
        }
    }

    /// One batch of one writer. True if something was sent.
    fn pump_stream(&mut self, now: Instant, id: u32) -> bool {
        let Some(stream) = self.streams.get(&id) else {
            return false;
        };
        if stream.writing.rest.is_empty() {
            return stream.writing.then_close && self.send_fin(now, id);
        }
        if matches!(stream.state, State::Closed | State::Reset(..)) {
            return false;
        }
        let credit = stream.credit();
        if credit == 0 {
            self.say_blocked(now, id);
            return false;
        }
        let rest = stream.writing.rest.len() as u64;
        let Some(granted) = self.grant(now, rest, credit) else {
            return false;
        };
        self.send_data(now, id, granted as usize);
        true
    }

    /// How many of `rest` bytes may go now.
    fn grant(&mut self, now: Instant, rest: u64, credit: u64) -> Option<u64> {
        if self.generation == Generation::V2Early {
            // UDX2 10: as fast as the stream's window allows.
            return Some(rest.min(CHUNK));
        }
        let batch = match self.generation {
            Generation::V3 { .. } => BATCH,
            _ => 1,
        };
        let want = rest.min(batch * CHUNK).min(credit);
        let first = want.min(CHUNK);
        let paced_until = self.congestion.next_send();
        if paced_until > now {
            self.paced_until = Some(paced_until);
            return None;
        }
        let granted = self.congestion.available(first)?.clamp(first, want);
        let is_short_of_it = granted < rest && granted > CHUNK;
        Some(if is_short_of_it {
            granted - granted % CHUNK
        } else {
            granted
        })
    }

    fn send_data(&mut self, now: Instant, id: u32, count: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let mut syn = stream.state == State::Idle;
        if syn {
            stream.state = State::Open;
        }
        let ids = (stream.remote, stream.id);
        let mut offset = stream.writing.written;
        let bytes: Vec<u8> = stream.writing.rest.drain(..count).collect();
        stream.writing.written += count as u64;
        stream.writing.blocked_until = None;
        for data in bytes.chunks(CHUNK as usize) {
            let frame = Frame::Stream {
                syn,
                fin: false,
                offset,
                data: data.to_vec(),
            };
            self.send(now, ids, vec![frame]);
            syn = false;
            offset += data.len() as u64;
        }
    }

    /// UDX 8.3: a frame of its own, after the data. Before anything was written it opens nothing.
    fn send_fin(&mut self, now: Instant, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        stream.writing.then_close = false;
        stream.state = match stream.state {
            State::Closed | State::Reset(..) => return false,
            State::HalfClosedRemote => State::Closed,
            _ => State::HalfClosedLocal,
        };
        let frame = Frame::Stream {
            syn: false,
            fin: true,
            offset: stream.writing.written,
            data: Vec::new(),
        };
        let ids = (stream.remote, stream.id);
        self.send(now, ids, vec![frame]);
        true
    }

    /// UDX 10.1: at once, and every 500 ms. Early version 2 waits in silence, for ever (UDX2 9.1).
    fn say_blocked(&mut self, now: Instant, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let is_due = stream.writing.blocked_until.is_none_or(|at| at <= now);
        if self.generation == Generation::V2Early || !is_due {
            return;
        }
        stream.writing.blocked_until = Some(now + BLOCKED_AGAIN);
        let ids = (stream.remote, stream.id);
        let frame = Frame::StreamDataBlocked {
            stream: stream.id,
            limit: stream.limit(),
        };
        self.send(now, ids, vec![frame]);
    }

    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        (largest, first): (u32, u32),
        delay: u16,
        extra: &[(u8, u32)],
    ) {
        let acked = self.sent.acknowledge(largest, first, extra);
        let delay = Duration::from_millis(delay.into());
        let sample = acked.iter().find(|(number, _)| *number == largest);
        let sample = sample.map(|(_, packet)| (packet.sent_at, delay));
        match self.generation {
            // UDX2 4.3: what was acknowledged is looked up after it was deleted. Nothing is learnt from it.
            Generation::V2Early => {}
            Generation::V2Late => {
                for (number, packet) in &acked {
                    let sample = sample.filter(|_| *number == largest);
                    self.congestion.on_acked(now, packet.size, largest, sample);
                }
            }
            Generation::V3 { .. } => {
                let bytes = acked.iter().map(|(_, packet)| packet.size).sum();
                if !acked.is_empty() {
                    self.congestion.on_acked(now, bytes, largest, sample);
                }
            }
        }
        let times = (self.timeout(), self.congestion.loss_delay());
        for number in self.sent.lost(now, times, (largest, first), extra) {
            self.congestion.on_lost(now, self.sent.last_new());
            self.resend(now, number);
        }
    }

    pub(super) fn resend_due(&mut self, now: Instant) {
        for number in self.sent.due(now, self.timeout()) {
            self.resend(now, number);
        }
    }

    fn resend(&mut self, now: Instant, number: u32) {
        let timeout = self.timeout();
        if let Some((number, packet)) = self.sent.resend(now, number, timeout) {
            let ids = (packet.destination, packet.source);
            let datagram = self.datagram(number, ids, packet.frames);
            self.out.push_back(datagram);
        }
    }

    fn timeout(&self) -> Duration {
        self.congestion.timeout()
    }

    fn datagram(&self, number: u32, ids: (u32, u32), frames: Vec<Frame>) -> Vec<u8> {
        let packet = Packet {
            version: self.generation.version(),
            destination: self.remote.clone(),
            source: self.local.clone(),
            sequence: number,
            destination_stream: ids.0,
            source_stream: ids.1,
            frames,
        };
        encode(&packet, Numbering::Go)
    }
}

/// Bytes of data in a full packet (UDX 15, UDX2 12).
const CHUNK: u64 = 1372;
/// UDX 6: packets back to back, before the pacer is asked again.
const BATCH: u64 = 16;
/// UDX 10.1.
const BLOCKED_AGAIN: Duration = Duration::from_millis(500);
