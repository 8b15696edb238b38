//! What leaves a connection of Dart: registered packets, and those that nobody sends again.

use super::Conn;
use crate::peers::dart::release::Bears;
use crate::peers::dart::sender::{Draft, data_len};
use crate::peers::wire::{Frame, Packet, encode};
use gapless_udx::Instant;
use std::net::SocketAddr;
use std::time::Duration;

impl Conn {
    pub(super) fn commit(&mut self, now: Instant, index: usize, frames: Vec<Frame>) {
        let stream = &self.streams[index];
        let (destination, source, space) = (stream.remote, stream.local, stream.space);
        let size = data_len(&frames);
        let draft = self.spaces[space]
            .0
            .commit(now, destination, source, frames);
        self.unacknowledged += size;
        let datagram = self.send(draft);
        if size > 0 {
            self.spaces[space].0.window.pace(now, datagram);
        }
    }

    pub(super) fn acknowledge(&mut self, space: usize, ids: (u32, u32)) {
        let (sender, order) = &mut self.spaces[space];
        let Some(ack) = order.take_ack() else { return };
        let sequence = sender.number(self.release.ack_bears());
        // Where numbers are a stream's, so are its ACKs.
        let ids = if space == 0 { (0, 0) } else { ids };
        self.send_unregistered(sequence, ids, ack);
    }

    /// H5: the probe bears the number of the last data packet; before 2.0.0 it burns one (U1).
    pub(super) fn probe(&mut self, space: usize) {
        let stream = self.streams.iter().find(|stream| stream.space == space);
        let ids = stream.filter(|_| space != 0);
        let ids = ids.map_or((0, 0), |stream| (stream.remote, stream.local));
        let sequence = self.spaces[space].0.number(self.release.ack_bears());
        self.send_unregistered(sequence, ids, Frame::Ping);
    }

    /// U5: each probe takes a number, and nobody sends it again.
    pub(super) fn search_size(&mut self, _now: Instant) {
        let is_due = self.release.searches_size() && self.received > 0;
        let Some(size) = SEARCHED.get(self.probes_sent as usize).filter(|_| is_due) else {
            return;
        };
        self.probes_sent += 1;
        let sequence = self.spaces[0].0.number(Bears::Fresh);
        let header = 18 + self.id.len() + self.peer_id.len();
        let probe = Frame::MtuProbe {
            size: size - header,
        };
        self.send_unregistered(sequence, (0, 0), probe);
    }

    pub(super) fn send_window_update(&mut self, index: usize, value: u32) {
        let bears = self.release.stream_control_bears();
        self.send_control(index, bears, Frame::WindowUpdate(value));
    }

    pub(super) fn send_control(&mut self, index: usize, bears: Bears, frame: Frame) {
        let stream = &self.streams[index];
        let ids = (stream.remote, stream.local);
        let sequence = self.spaces[stream.space].0.number(bears);
        self.send_unregistered(sequence, ids, frame);
    }

    pub(super) fn send_unregistered(&mut self, sequence: u32, ids: (u32, u32), frame: Frame) {
        self.send(Draft {
            sequence,
            destination: ids.0,
            source: ids.1,
            frames: vec![frame],
        });
    }

    /// UDX2 11, UDX 11: one challenge at a time, for five seconds; exempt from the budget.
    pub(super) fn challenge(&mut self, now: Instant, to: SocketAddr) {
        if self.challenge.is_some() {
            return;
        }
        let nonce = self.random.bits().to_be_bytes();
        self.challenge = Some((to, nonce, now + CHALLENGE));
        let packet = self.packet(0, (0, 0), vec![Frame::PathChallenge(nonce)]);
        let datagram = encode(&packet, self.release.numbering());
        self.out.push_back((to, datagram));
    }

    pub(super) fn on_budget(&mut self, size: usize) {
        let Some(budget) = &mut self.budget else {
            return;
        };
        budget.datagrams += 1;
        budget.received += size;
        let enough = self.release.is_version_3() && budget.received >= 1000;
        if budget.datagrams >= 2 || enough {
            let waiting = std::mem::take(&mut budget.waiting);
            self.budget = None;
            let to = self.address;
            self.out
                .extend(waiting.into_iter().map(|datagram| (to, datagram)));
        }
    }

    pub(super) fn packet(&self, sequence: u32, ids: (u32, u32), frames: Vec<Frame>) -> Packet {
        Packet {
            version: self.release.version(),
            destination: self.peer_id.clone(),
            source: self.id.clone(),
            sequence,
            destination_stream: ids.0,
            source_stream: ids.1,
            frames,
        }
    }

    /// Sends, or keeps what the budget does not allow. Gives the size of the datagram.
    pub(super) fn send(&mut self, draft: Draft) -> usize {
        let ids = (draft.destination, draft.source);
        let packet = self.packet(draft.sequence, ids, draft.frames);
        let datagram = encode(&packet, self.release.numbering());
        let size = datagram.len();
        match &mut self.budget {
            Some(budget) if budget.sent + size > 3 * budget.received => {
                budget.waiting.push_back(datagram);
            }
            budget => {
                if let Some(budget) = budget {
                    budget.sent += size;
                }
                self.out.push_back((self.address, datagram));
            }
        }
        size
    }
}

const CHALLENGE: Duration = Duration::from_secs(5);
/// Sizes that the search tries (U5).
const SEARCHED: [usize; 3] = [1280, 1390, 1445];
