//! One connection of Go: what arrives, what is said, and the streams.

use super::Generation;
use super::congestion::Congestion;
use super::received::{History, Numbers};
use super::sent::Sent;
use super::stream::{Reaction, State, Stream};
use crate::peers::wire::{Frame, Packet};
use crate::peers::{Read, ReceiveOrder};
use gapless_udx::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) struct Connection {
    pub(super) generation: Generation,
    pub(super) local: Vec<u8>,
    pub(super) remote: Vec<u8>,
    /// That of the first packet, for ever (UDX 11, UDX2 11).
    pub(super) address: SocketAddr,
    /// By local ID. None is ever removed (UDX 8.5).
    pub(super) streams: BTreeMap<u32, Stream>,
    next_stream: u32,
    max_streams: usize,
    /// At most 16 wait for the application; more are never handed out (V11).
    pub(super) waiting: VecDeque<u32>,
    pub(super) congestion: Congestion,
    pub(super) sent: Sent,
    numbers: Numbers,
    pub(super) history: History,
    seen: Seen,
    order: Order,
    max_data: u64,
    last_activity: Instant,
    /// Version 3 looks every second whether it was idle for too long.
    idle_check: Option<Instant>,
    pub(super) is_closed: bool,
    /// Until then the pacer holds a writer back.
    pub(super) paced_until: Option<Instant>,
    /// Datagrams to send.
    pub(super) out: VecDeque<Vec<u8>>,
}

/// UDX2 7: packets are the same if number and size are.
#[derive(Default)]
struct Seen {
    packets: BTreeSet<(u32, usize)>,
    highest: u32,
}

/// UDX2 18.1: late version 2 orders all packets of a connection from the first one it saw.
#[derive(Default)]
struct Order {
    next: Option<u32>,
    early: BTreeMap<u32, Packet>,
}

impl Connection {
    pub(super) fn new(
        now: Instant,
        generation: Generation,
        (local, remote): (Vec<u8>, Vec<u8>),
        address: SocketAddr,
        dials: bool,
    ) -> Self {
        Self {
            generation,
            local,
            remote,
            address,
            streams: BTreeMap::new(),
            next_stream: if dials { 1 } else { 2 },
            max_streams: 100,
            waiting: VecDeque::new(),
            congestion: Congestion::new(now),
            sent: Sent::new(generation),
            numbers: Numbers::default(),
            history: History::default(),
            seen: Seen::default(),
            order: Order::default(),
            max_data: 1 << 20,
            last_activity: now,
            idle_check: (!generation.is_v2()).then(|| now + IDLE_CHECK),
            is_closed: false,
            paced_until: None,
            out: VecDeque::new(),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let blocked = self.streams.values();
        let blocked = blocked.filter_map(|stream| stream.writing.blocked_until);
        let others = [
            self.sent.next_timer(),
            self.history.timer().map(|(at, _)| at),
            self.idle_check,
            self.paced_until,
        ];
        blocked.chain(others.into_iter().flatten()).min()
    }

    pub(super) fn receive_order(&self) -> Option<ReceiveOrder> {
        (self.generation == Generation::V2Late).then(|| ReceiveOrder {
            expected: self.order.next.unwrap_or(0),
            buffered: self.order.early.len(),
        })
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        if self.idle_check.is_some_and(|at| at <= now) {
            // UDX 7.5: max(30 s, 3 RTO), looked at every second, silent.
            if now - self.last_activity >= IDLE_TIMEOUT.max(3 * self.congestion.timeout()) {
                self.end(TIMEOUT);
                return;
            }
            self.idle_check = Some(now + IDLE_CHECK);
        }
        if let Some((_, ids)) = self.history.timer().filter(|&(at, _)| at <= now) {
            let ack = self.history.take(now);
            self.send(now, ids, vec![ack]);
        }
        self.resend_due(now);
        self.pump(now);
    }

    pub(super) fn handle(&mut self, now: Instant, packet: &Packet, size: usize) {
        self.last_activity = now;
        match self.generation {
            Generation::V2Early => self.handle_early(now, packet, size),
            Generation::V2Late => self.handle_late(now, packet),
            Generation::V3 { acknowledges_ping } => self.handle_v3(now, packet, acknowledges_ping),
        }
        self.pump(now);
    }

    /// UDX2 4.1, 7.
    fn handle_early(&mut self, now: Instant, packet: &Packet, size: usize) {
        let is_new = self.seen.insert(packet.sequence, size);
        for frame in &packet.frames {
            // H3: what has the number and the size of a control packet before it is data lost.
            let has_data = matches!(frame, Frame::Stream { data, .. } if !data.is_empty());
            if is_new || !has_data {
                self.on_frame(now, packet, frame);
            }
        }
        // H15: pure ACKs are acknowledged as well. H2: and every number 0.
        if (packet.source_stream, packet.destination_stream) != (0, 0) {
            let ack = self.numbers.acknowledge(packet.sequence);
            self.send(now, swapped(packet), vec![ack]);
        }
    }

    /// UDX2 18.1.
    fn handle_late(&mut self, now: Instant, packet: &Packet) {
        for frame in &packet.frames {
            if !matches!(frame, Frame::Stream { .. }) {
                self.on_frame(now, packet, frame);
            }
        }
        if !packet.is_numbered() {
            return;
        }
        let ack = self.numbers.acknowledge(packet.sequence);
        self.send(now, swapped(packet), vec![ack]);
        for packet in self.order.place(packet) {
            for frame in &packet.frames {
                if matches!(frame, Frame::Stream { .. }) {
                    self.on_frame(now, &packet, frame);
                }
            }
        }
    }

    /// UDX 4.1, 4.2.
    fn handle_v3(&mut self, now: Instant, packet: &Packet, acknowledges_ping: bool) {
        for frame in &packet.frames {
            self.on_frame(now, packet, frame);
        }
        let is_ping =
            acknowledges_ping && packet.sequence != 0 && packet.frames.contains(&Frame::Ping);
        if !packet.is_numbered() && !is_ping {
            return;
        }
        let is_edge = packet
            .frames
            .iter()
            .any(|frame| matches!(frame, Frame::Stream { syn, fin, .. } if *syn || *fin));
        let delay = self.congestion.ack_delay();
        let ids = swapped(packet);
        if self
            .history
            .note(now, packet.sequence, is_edge || is_ping, ids, delay)
        {
            let ack = self.history.take(now);
            self.send(now, ids, vec![ack]);
        }
    }

    fn on_frame(&mut self, now: Instant, packet: &Packet, frame: &Frame) {
        match frame {
            Frame::Stream {
                fin, offset, data, ..
            } => self.on_stream(now, packet, frame, (*offset, data, *fin)),
            Frame::Ack {
                largest,
                delay,
                first,
                extra,
            } => self.on_ack(now, (*largest, *first), *delay, extra),
            Frame::WindowUpdate(limit) => {
                if let Some(stream) = self.find(packet) {
                    stream.on_window_update(*limit);
                }
            }
            Frame::MaxData(limit) => self.max_data = self.max_data.max(*limit),
            Frame::ResetStream(code) => {
                if let Some(stream) = self.find(packet) {
                    stream.deliver_reset(*code, false);
                }
            }
            Frame::MaxStreams(count) => self.max_streams = self.max_streams.max(*count as usize),
            // UDX 7.4, UDX2 5.5: answered with code 0.
            Frame::ConnectionClose { .. } => self.close(now, 0),
            Frame::PathChallenge(nonce) => {
                self.send(now, (0, 0), vec![Frame::PathResponse(*nonce)]);
            }
            Frame::StopSending { code, .. } => {
                if let Some(id) = self.find(packet).map(|stream| stream.id) {
                    self.reset(now, id, *code);
                }
            }
            // UDX 10.2: the answer is the value that it was given itself.
            Frame::DataBlocked(_) => self.send(now, (0, 0), vec![Frame::MaxData(self.max_data)]),
            Frame::StreamDataBlocked { .. } => {
                let update = self.find(packet).map(|stream| {
                    let ids = (stream.remote, stream.id);
                    (ids, stream.restate_window())
                });
                if let Some((ids, limit)) = update {
                    self.send(now, ids, vec![Frame::WindowUpdate(limit)]);
                }
            }
            Frame::Padding
            | Frame::Ping
            | Frame::MtuProbe { .. }
            | Frame::PathResponse(_)
            | Frame::NewConnectionId { .. }
            | Frame::RetireConnectionId(_) => {}
        }
    }

    fn on_stream(
        &mut self,
        now: Instant,
        packet: &Packet,
        frame: &Frame,
        (offset, data, fin): (u64, &[u8], bool),
    ) {
        let is_syn = matches!(frame, Frame::Stream { syn: true, .. });
        // UDX 8.1: data opens a stream in version 3, too; a bare FIN never does (V12). In version 2 only SYN (H10).
        let opens = is_syn || (!self.generation.is_v2() && !data.is_empty());
        if self.find(packet).is_none() && opens && packet.source_stream != 0 {
            let id = self.take_id();
            let stream = Stream::new(self.generation, id, packet.source_stream);
            self.streams.insert(id, stream);
            if self.waiting.len() < WAITING {
                self.waiting.push_back(id);
            }
        }
        let place = match self.generation {
            Generation::V2Early => packet.sequence.into(),
            _ => offset,
        };
        let Some(stream) = self.find(packet) else {
            return;
        };
        let ids = (stream.remote, stream.id);
        let reaction = match data {
            [] => Reaction::Nothing,
            data => stream.deliver(place, data),
        };
        if fin {
            stream.deliver_fin(offset + data.len() as u64);
        }
        match reaction {
            Reaction::Nothing => {}
            Reaction::WindowUpdate(limit) => self.send(now, ids, vec![Frame::WindowUpdate(limit)]),
            Reaction::Reset(code) => self.reset(now, ids.1, code),
        }
    }

    /// UDX 8.1, UDX2 6.1: by the destination among its own, whatever the source says; else by the source.
    fn find(&mut self, packet: &Packet) -> Option<&mut Stream> {
        let Packet {
            destination_stream,
            source_stream,
            ..
        } = *packet;
        let by_source = || {
            let mut streams = self.streams.values();
            let found = streams.find(|it| source_stream != 0 && it.remote == source_stream);
            found.map(|stream| stream.id)
        };
        let id = match self.streams.contains_key(&destination_stream) {
            true => destination_stream,
            false => by_source()?,
        };
        self.streams.get_mut(&id)
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_stream;
        self.next_stream += 2;
        id
    }

    pub(super) fn open(&mut self) -> Option<u32> {
        // UDX 8.5, UDX2 6.5: all that ever were count, both kinds.
        if self.is_closed || self.streams.len() >= self.max_streams {
            return None;
        }
        let id = self.take_id();
        let stream = Stream::new(self.generation, id, 0);
        self.streams.insert(id, stream);
        Some(id)
    }

    pub(super) fn write(&mut self, now: Instant, id: u32, data: &[u8]) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else {
            return 0;
        };
        // One Write at a time; it blocks until all is sent.
        if !stream.can_write() || !stream.writing.rest.is_empty() || self.is_closed {
            return 0;
        }
        stream.writing.rest.extend(data);
        self.pump(now);
        data.len()
    }

    pub(super) fn read(&mut self, now: Instant, id: u32, max: usize) -> Read {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Read::Closed;
        };
        let (bytes, update) = stream.read(max);
        let ids = (stream.remote, stream.id);
        if !bytes.is_empty() {
            if let Some(limit) = update.filter(|_| !self.is_closed) {
                self.send(now, ids, vec![Frame::WindowUpdate(limit)]);
            }
            return Read::Data(bytes);
        }
        match stream.state {
            State::Reset(_, true) => Read::Closed,
            State::Reset(code, false) => Read::Reset(code),
            _ if stream.has_ended() => Read::End,
            _ => Read::Pending,
        }
    }

    pub(super) fn finish(&mut self, now: Instant, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if !matches!(stream.state, State::Closed | State::Reset(..)) {
            stream.writing.then_close = true;
            self.pump(now);
        }
    }

    pub(super) fn reset(&mut self, now: Instant, id: u32, code: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if matches!(stream.state, State::Closed | State::Reset(..)) {
            return;
        }
        stream.deliver_reset(code, false);
        // UDX 8.4: once, and never repeated.
        let ids = (stream.remote, stream.id);
        self.send(now, ids, vec![Frame::ResetStream(code)]);
    }

    pub(super) fn close(&mut self, now: Instant, code: u32) {
        if self.is_closed {
            return;
        }
        let close = Frame::ConnectionClose {
            code,
            frame: 0,
            reason: Vec::new(),
        };
        self.send(now, (0, 0), vec![close]);
        self.end(code);
    }

    /// Forgets what nobody acknowledged (V21), and the connection with it.
    fn end(&mut self, code: u32) {
        self.is_closed = true;
        self.history.stop();
        self.sent.clear();
        for stream in self.streams.values_mut() {
            stream.deliver_reset(code, true);
        }
    }
}

impl Seen {
    /// True if no such packet was seen before, or it was forgotten.
    fn insert(&mut self, number: u32, size: usize) -> bool {
        let is_new = self.packets.insert((number, size));
        if is_new {
            self.highest = self.highest.max(number);
            if self.packets.len() > 1000 {
                let oldest = self.highest.wrapping_sub(500);
                self.packets = self.packets.split_off(&(oldest, 0));
            }
        }
        is_new
    }
}

impl Order {
    /// The packets whose turn it is with this one.
    fn place(&mut self, packet: &Packet) -> Vec<Packet> {
        let next = *self.next.get_or_insert(packet.sequence);
        if packet.sequence != next {
            if packet.sequence > next {
                self.early
                    .entry(packet.sequence)
                    .or_insert_with(|| packet.clone());
            }
            return Vec::new();
        }
        let mut ready = vec![packet.clone()];
        // Its numbers wrap as Go's do.
        let mut next = next.wrapping_add(1);
        while let Some(packet) = self.early.remove(&next) {
            ready.push(packet);
            next = next.wrapping_add(1);
        }
        self.next = Some(next);
        ready
    }
}

/// The stream IDs of an answer: destination, then source.
fn swapped(packet: &Packet) -> (u32, u32) {
    (packet.source_stream, packet.destination_stream)
}

/// V11.
const WAITING: usize = 16;
/// UDX 7.5.
const IDLE_CHECK: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The code of a timeout.
const TIMEOUT: u32 = 6;
