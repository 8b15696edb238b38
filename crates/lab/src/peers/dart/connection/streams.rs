//! What a connection's packets do to its streams, and what its streams may send.

use super::{Conn, MAX_DATA, MAX_STREAMS, space};
use crate::peers::dart::stream::{Gate, Stream};
use crate::peers::wire::{Frame, Packet};
use gapless_udx::Instant;
use std::time::Duration;

impl Conn {
    pub(super) fn open_stream(&mut self, now: Instant) -> usize {
        // Dart's libp2p draws both IDs; they are never 0 nor equal.
        let local = self.random.between(1, u64::from(u32::MAX)) as u32;
        let remote = loop {
            let id = self.random.between(1, u64::from(u32::MAX)) as u32;
            if id != local {
                break id;
            }
        };
        let index = self.add_stream(local, remote, true);
        self.commit(now, index, vec![Frame::syn()]);
        self.send_unregistered(0, (0, 0), Frame::MaxData(MAX_DATA));
        self.send_unregistered(0, (0, 0), Frame::MaxStreams(MAX_STREAMS));
        index
    }

    pub(super) fn add_stream(&mut self, local: u32, remote: u32, is_own: bool) -> usize {
        let space = if self.release.numbers_per_stream() {
            self.spaces.push(space(self.release));
            self.spaces.len() - 1
        } else {
            0
        };
        let stream = Stream::new(self.release, local, remote, is_own, space);
        self.streams.push(stream);
        self.by_id.insert(local, self.streams.len() - 1);
        self.streams.len() - 1
    }

    /// The stream that a packet's IDs name (UDX2 6.1, UDX 8.1).
    pub(super) fn find(&self, packet: &Packet) -> Option<usize> {
        let by_destination = self.by_id.get(&packet.destination_stream).copied();
        if !self.release.chooses_own_ids() {
            return by_destination;
        }
        let fits = |index: &usize| {
            let stream = &self.streams[*index];
            stream.is_own || stream.remote == packet.source_stream || packet.source_stream == 0
        };
        let by_source = || {
            self.by_id.values().copied().find(|index| {
                let stream = &self.streams[*index];
                !stream.is_own && stream.remote == packet.source_stream
            })
        };
        by_destination.filter(fits).or_else(by_source)
    }

    pub(super) fn on_stream_control(&mut self, packet: &Packet, frame: &Frame) {
        let Some(index) = self.find(packet) else {
            return;
        };
        let stream = &mut self.streams[index];
        match frame {
            Frame::ResetStream(code) => {
                stream.reset = Some(*code);
                self.forget(index);
            }
            // UDX2 6.4: the writing side closes, and nobody is told.
            Frame::StopSending { .. } => {
                stream.write_closed = true;
                stream.drop_queue();
            }
            Frame::WindowUpdate(value) => stream.on_window_update(*value),
            Frame::StreamDataBlocked { .. } if self.release.answers_blocked() => {
                let limit = stream.advertise();
                self.send_window_update(index, limit);
            }
            _ => {}
        }
    }

    pub(super) fn on_stream_frames(&mut self, now: Instant, packet: &Packet) {
        for frame in &packet.frames {
            let Frame::Stream {
                syn,
                fin,
                offset,
                data,
            } = frame
            else {
                continue;
            };
            self.received += data.len() as u64;
            if self.received > MAX_DATA / 4 {
                self.received = 0;
                self.send_unregistered(0, (0, 0), Frame::MaxData(MAX_DATA));
            }
            let opens = *syn || (self.release.is_version_3() && !data.is_empty());
            let known = self.find(packet);
            let Some(index) = known.or_else(|| opens.then(|| self.create(now, packet)).flatten())
            else {
                continue;
            };
            if self.release.is_version_3() {
                self.on_data_at(now, index, *offset, data, *fin);
            } else {
                self.on_data_in_order(now, index, data, *fin);
            }
        }
    }

    pub(super) fn on_data_in_order(&mut self, now: Instant, index: usize, data: &[u8], fin: bool) {
        let stream = &mut self.streams[index];
        if stream.remote_closed {
            return;
        }
        let update = stream.on_data_in_order(data);
        if fin {
            stream.on_fin_in_order();
        }
        if let Some(value) = update {
            self.send_window_update(index, value);
        }
        self.end_if_both_closed(now, index);
    }

    pub(super) fn on_data_at(
        &mut self,
        now: Instant,
        index: usize,
        offset: u64,
        data: &[u8],
        fin: bool,
    ) {
        let stream = &mut self.streams[index];
        if stream.on_data_at(offset, data).is_err() {
            // UDX 9: more than 8 MiB ahead fails it here, and nobody is told.
            stream.reset = Some(FLOW_CONTROL);
            self.forget(index);
            return;
        }
        if fin {
            stream.on_fin_at(offset + data.len() as u64);
        }
        self.end_if_both_closed(now, index);
    }

    /// UDX2 5.4, UDX 7.3: the stream gets the ID that the SYN gave it, and a SYN back.
    pub(super) fn create(&mut self, now: Instant, packet: &Packet) -> Option<usize> {
        let (given, remote) = (packet.destination_stream, packet.source_stream);
        if remote == 0 {
            return None;
        }
        let foreign = |stream: &&Stream| !stream.is_own && stream.is_registered;
        if self.streams.iter().filter(foreign).count() >= MAX_STREAMS as usize {
            let bears = self.release.stream_control_bears();
            let sequence = self.spaces[0].0.number(bears);
            self.send_unregistered(sequence, (remote, given), Frame::ResetStream(STREAM_LIMIT));
            return None;
        }
        let is_free = given != 0 && !self.by_id.contains_key(&given);
        let local = if self.release.chooses_own_ids() && !is_free {
            self.next_even += 2;
            self.next_even - 2
        } else {
            given
        };
        let index = self.add_stream(local, remote, false);
        self.incoming.push_back(index);
        self.commit(now, index, vec![Frame::syn()]);
        self.send_unregistered(0, (0, 0), Frame::MaxData(MAX_DATA));
        Some(index)
    }

    /// What a stream may send now.
    pub(super) fn pump(&mut self, now: Instant, index: usize) {
        while self.streams[index].has_queued() && self.streams[index].is_registered {
            let stream = &mut self.streams[index];
            let window = &self.spaces[stream.space].0.window;
            let has_window = window.in_flight < window.size && self.unacknowledged < self.max_data;
            let gate = stream.gate(now, self.is_connected, has_window, window.in_flight);
            if gate == Gate::Wait {
                return;
            }
            let wait = window.wait(now).min(PACER_PATIENCE);
            if !wait.is_zero() {
                stream.pace(now + wait);
                return;
            }
            let (offset, data) = stream.fragment();
            let frame = Frame::Stream {
                syn: false,
                fin: false,
                offset,
                data,
            };
            self.commit(now, index, vec![frame]);
        }
        if self.streams[index].takes_fin() {
            self.send_fin(now, index);
            self.streams[index].closes_at = Some(now + CLOSING);
        }
    }

    pub(super) fn send_fin(&mut self, now: Instant, index: usize) {
        let fin = Frame::Stream {
            syn: false,
            fin: true,
            offset: self.streams[index].sent(),
            data: Vec::new(),
        };
        self.commit(now, index, vec![fin]);
    }

    /// UDX2 6.3: the peer's FIN behind our own has us say ours again.
    pub(super) fn end_if_both_closed(&mut self, now: Instant, index: usize) {
        let stream = &mut self.streams[index];
        let is_over = stream.remote_closed && stream.write_closed && stream.is_registered;
        if is_over && stream.closes_at.is_none() && stream.forgets_at.is_none() {
            stream.forgets_at = Some(now + CLOSING);
            self.send_fin(now, index);
        }
    }

    pub(super) fn end_on_time(&mut self, now: Instant, index: usize) {
        let stream = &mut self.streams[index];
        if stream.closes_at.is_some_and(|at| at <= now) {
            stream.closes_at = None;
            self.end_if_both_closed(now, index);
        }
        if self.streams[index].forgets_at.is_some_and(|at| at <= now) {
            self.forget(index);
        }
    }

    /// UDX 8.2: packets do not find the stream any more; what it has for its reader stays.
    pub(super) fn forget(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.is_registered = false;
        (stream.closes_at, stream.forgets_at) = (None, None);
        stream.drop_queue();
        if self.by_id.get(&stream.local) == Some(&index) {
            self.by_id.remove(&stream.local);
        }
    }
}

const STREAM_LIMIT: u32 = 2;
const FLOW_CONTROL: u32 = 3;
/// Between a FIN and what Dart does next with the stream.
const CLOSING: Duration = Duration::from_millis(50);
const PACER_PATIENCE: Duration = Duration::from_secs(5);
