//! What leaves a connection of JS.

use super::Conn;
use crate::peers::js::path::{CHALLENGE, Challenge, MAX_ATTEMPTS, Search};
use crate::peers::js::recovery::Again;
use crate::peers::js::token;
use crate::peers::wire::{Frame, Numbering, Packet, VERSION_3, encode};
use gapless_udx::Instant;
use std::net::SocketAddr;
use std::time::Duration;

impl Conn {
    /// One frame of each stream in turn, while window, pacer and MAX_DATA allow a full packet.
    pub(super) fn flush(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            if self.streams[index].has_sendable() && !self.turns.contains(&index) {
                self.turns.push_back(index);
            }
        }
        if self.paced_until.is_some() {
            return;
        }
        let full = self.datagram_size();
        let max = full - self.header_len() - STREAM_HEADER;
        while let Some(&index) = self.turns.front() {
            if !self.streams[index].has_sendable() {
                self.turns.pop_front();
                continue;
            }
            let window = &self.recovery.window;
            let wait = window.wait(now);
            if wait > PACER_GRAIN {
                self.paced_until = Some(now + wait);
                return;
            }
            let after = window.in_flight + full as u64;
            if after > window.size {
                return;
            }
            if after > self.max_data {
                self.tell_data_blocked(now);
                return;
            }
            self.turns.pop_front();
            let frame = self.streams[index].next_frame(max);
            self.streams[index].block_if_stuck(now);
            if self.streams[index].has_sendable() {
                self.turns.push_back(index);
            }
            let stream = &mut self.streams[index];
            stream.is_closed |= stream.is_over();
            let ids = (stream.remote, stream.id);
            self.tell_blocked(now);
            self.send_tracked(now, ids, vec![frame]);
        }
    }

    pub(super) fn tell_blocked(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            if let Some(frame) = stream.take_blocked(now) {
                let ids = (stream.remote, stream.id);
                self.send_control(ids, vec![frame]);
            }
        }
    }

    /// UDX 10.2: at most once per timeout.
    pub(super) fn tell_data_blocked(&mut self, now: Instant) {
        if self.data_blocked_from <= now {
            self.data_blocked_from = now + self.recovery.timeout();
            self.send_control((0, 0), vec![Frame::DataBlocked(self.max_data)]);
        }
    }

    /// The same challenge, four times, a timeout apart.
    pub(super) fn ask_for_proof(&mut self, now: Instant) {
        let again = now + self.recovery.timeout().min(CHALLENGE);
        let Some(proof) = &mut self.proof else { return };
        if proof.again_at.is_none_or(|at| now < at) {
            return;
        }
        if proof.attempts >= MAX_ATTEMPTS {
            proof.again_at = None;
            return;
        }
        proof.attempts += 1;
        proof.again_at = Some(again);
        let nonce = proof.nonce;
        self.send_control((0, 0), vec![Frame::PathChallenge(nonce)]);
    }

    pub(super) fn ask_new_address(&mut self, now: Instant, to: SocketAddr) {
        if self.challenge.is_some() {
            return;
        }
        let nonce = self.random.bits().to_be_bytes();
        self.challenge = Some(Challenge {
            to,
            nonce,
            expires: now + CHALLENGE,
        });
        let datagram = self.encode(0, (0, 0), vec![Frame::PathChallenge(nonce)]);
        self.out.push_back((to, datagram));
    }

    /// UDX 11: PING and MTU_PROBE, once the peer was heard and its address is proven.
    pub(super) fn probe(&mut self, now: Instant) {
        let may = self.options.search && self.is_established && self.proof.is_none();
        if !may || self.is_closed {
            return;
        }
        let base = self.header_len() + STREAM_HEADER + CHUNK;
        let largest = if self.address.is_ipv6() { 1452 } else { 1472 };
        let search = self
            .search
            .get_or_insert_with(|| Search::new(base, largest));
        let Some(size) = search.next() else { return };
        let number = self.recovery.untracked_number();
        search.on_sent(size, number, now + 2 * self.recovery.timeout());
        let padding = size - self.header_len() - 1;
        self.send(
            number,
            (0, 0),
            vec![Frame::Ping, Frame::MtuProbe { size: padding }],
        );
    }

    pub(super) fn datagram_size(&self) -> usize {
        let base = self.header_len() + STREAM_HEADER + CHUNK;
        self.search.as_ref().map_or(base, |search| search.size)
    }

    pub(super) fn header_len(&self) -> usize {
        18 + self.id.len() + self.peer_id.len()
    }

    pub(super) fn give_token(&mut self) {
        let Some(secret) = &self.options.reset_secret else {
            return;
        };
        let frame = Frame::NewConnectionId {
            index: 0,
            retire_below: 0,
            id: self.id.clone(),
            token: token(secret, &self.id),
        };
        self.send_control((0, 0), vec![frame]);
    }

    pub(super) fn send_ack(&mut self, ack: Option<(Frame, (u32, u32))>) {
        if let Some((frame, ids)) = ack {
            self.send_control(ids, vec![frame]);
        }
    }

    pub(super) fn send_again(&mut self, (number, packet): Again) {
        self.send(number, (packet.destination, packet.source), packet.frames);
    }

    pub(super) fn send_tracked(&mut self, now: Instant, ids: (u32, u32), frames: Vec<Frame>) {
        let number = self.recovery.number();
        let size = self.send(number, ids, frames.clone());
        self.recovery.on_sent(now, number, ids, frames, size);
    }

    pub(super) fn send_control(&mut self, ids: (u32, u32), frames: Vec<Frame>) {
        self.send(0, ids, frames);
    }

    pub(super) fn send(&mut self, sequence: u32, ids: (u32, u32), frames: Vec<Frame>) -> usize {
        let datagram = self.encode(sequence, ids, frames);
        let size = datagram.len();
        let admitted = match &mut self.proof {
            Some(proof) => proof.admit(datagram),
            None => Some(datagram),
        };
        let to = self.address;
        self.out.extend(admitted.map(|datagram| (to, datagram)));
        size
    }

    pub(super) fn encode(&self, sequence: u32, ids: (u32, u32), frames: Vec<Frame>) -> Vec<u8> {
        let packet = Packet {
            version: VERSION_3,
            destination: self.peer_id.clone(),
            source: self.id.clone(),
            sequence,
            destination_stream: ids.0,
            source_stream: ids.1,
            frames,
        };
        encode(&packet, Numbering::Go)
    }
}

/// Bytes of data in a packet before the search found more.
const CHUNK: usize = 1372;
const STREAM_HEADER: usize = 12;
/// What is due within it leaves now.
const PACER_GRAIN: Duration = Duration::from_millis(1);
