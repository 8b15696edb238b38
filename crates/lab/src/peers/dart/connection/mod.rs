//! One connection of Dart: what its packets bear, what it answers, and what it lets its streams send.

mod send;
mod streams;

use crate::peers::dart::order::Order;
use crate::peers::dart::release::{Bears, Release};
use crate::peers::dart::sender::Sender;
use crate::peers::dart::stream::Stream;
use crate::peers::wire::{Frame, Packet, encode};
use crate::peers::{Read, ReceiveOrder};
use gapless_link::Random;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) struct Conn {
    release: Release,
    random: Random,
    id: Vec<u8>,
    peer_id: Vec<u8>,
    address: SocketAddr,
    is_dialer: bool,
    is_closed: bool,
    /// A packet came: a dialer's data wait for it.
    is_connected: bool,
    last_heard: Instant,
    /// The connection's space of numbers, then, up to 2.0.0, one for each stream.
    spaces: Vec<(Sender, Order)>,
    streams: Vec<Stream>,
    by_id: BTreeMap<u32, usize>,
    incoming: VecDeque<usize>,
    /// The stream that the dial opened, until the application takes it.
    first: Option<usize>,
    next_even: u32,
    /// Bytes of data that nobody acknowledged yet, against MAX_DATA.
    unacknowledged: u64,
    max_data: u64,
    max_streams: u32,
    /// Bytes that came since the last MAX_DATA left.
    received: u64,
    budget: Option<Budget>,
    challenge: Option<(SocketAddr, [u8; 8], Instant)>,
    probes_sent: u32,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// UDX2 5.4, UDX 11: three times what came, until the second datagram, or (version 3) 1000 bytes.
struct Budget {
    datagrams: u32,
    received: usize,
    sent: usize,
    waiting: VecDeque<Vec<u8>>,
}

impl Conn {
    fn new(
        now: Instant,
        release: Release,
        seed: u64,
        ids: (Vec<u8>, Vec<u8>),
        address: SocketAddr,
    ) -> Self {
        Self {
            release,
            random: Random::for_purpose(seed, 0xc0),
            id: ids.0,
            peer_id: ids.1,
            address,
            is_dialer: false,
            is_closed: false,
            is_connected: true,
            last_heard: now,
            spaces: vec![space(release)],
            streams: Vec::new(),
            by_id: BTreeMap::new(),
            incoming: VecDeque::new(),
            first: None,
            next_even: 2,
            unacknowledged: 0,
            max_data: MAX_DATA,
            max_streams: MAX_STREAMS,
            received: 0,
            budget: None,
            challenge: None,
            probes_sent: 0,
            out: VecDeque::new(),
        }
    }

    /// UDX2 5.3, UDX 7.2: SYN with both stream IDs, MAX_DATA, MAX_STREAMS.
    pub(super) fn dialed(
        now: Instant,
        release: Release,
        seed: u64,
        id: Vec<u8>,
        peer_id: Vec<u8>,
        address: SocketAddr,
    ) -> Self {
        let mut connection = Self::new(now, release, seed, (id, peer_id), address);
        connection.is_dialer = true;
        connection.is_connected = false;
        connection.first = Some(connection.open_stream(now));
        connection
    }

    pub(super) fn accepted(
        now: Instant,
        release: Release,
        seed: u64,
        id: Vec<u8>,
        peer_id: Vec<u8>,
        address: SocketAddr,
    ) -> Self {
        let mut connection = Self::new(now, release, seed, (id, peer_id), address);
        connection.budget = Some(Budget {
            datagrams: 0,
            received: 0,
            sent: 0,
            waiting: VecDeque::new(),
        });
        connection
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn receive_order(&self) -> Option<ReceiveOrder> {
        // Where the streams have spaces of their own, the first stream's is the one that matters.
        let (_, order) = self.spaces.get(1).or_else(|| self.spaces.first())?;
        (!self.release.is_version_3()).then(|| ReceiveOrder {
            expected: order.expected(),
            buffered: order.buffered(),
        })
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let spaces = self
            .spaces
            .iter()
            .filter_map(|(sender, _)| sender.deadline());
        let streams = self.streams.iter().filter_map(Stream::deadline);
        let challenge = self.challenge.map(|(_, _, expires)| expires);
        let idle = self.release.is_version_3().then(|| self.last_heard + IDLE);
        spaces.chain(streams).chain(challenge).chain(idle).min()
    }

    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        if self.is_closed {
            return None;
        }
        if self.out.is_empty() {
            for index in 0..self.streams.len() {
                self.pump(now, index);
            }
        }
        self.out.pop_front()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        // UDX 7.5; version 2 has no idle timeout.
        if self.release.is_version_3() && self.last_heard + IDLE <= now {
            self.close();
            return;
        }
        if self.challenge.is_some_and(|(_, _, expires)| expires <= now) {
            self.challenge = None;
        }
        for space in 0..self.spaces.len() {
            let due = self.spaces[space].0.on_time(now);
            for draft in due.resend {
                self.send(draft);
            }
            if due.probe {
                self.probe(space);
            }
        }
        for index in 0..self.streams.len() {
            self.end_on_time(now, index);
        }
    }

    pub(super) fn handle(&mut self, now: Instant, from: SocketAddr, size: usize, packet: Packet) {
        self.last_heard = now;
        self.on_budget(size);
        // UDX2 5.1: whoever sent the last packet names the peer.
        self.peer_id.clone_from(&packet.source);
        if !self.is_connected {
            self.is_connected = true;
            self.streams.iter_mut().for_each(Stream::wake);
        }
        if from != self.address {
            self.challenge(now, from);
        }
        // UDX 2.1: the connection's frames first, whatever the order in the packet.
        for frame in &packet.frames {
            self.on_connection_frame(from, frame);
        }
        if self.is_closed {
            return;
        }
        let space = self.space_of(now, &packet);
        for frame in &packet.frames {
            self.on_ack(now, space, frame);
        }
        for frame in &packet.frames {
            self.on_stream_control(&packet, frame);
        }
        let sequence = packet.sequence;
        let ids = (packet.source_stream, packet.destination_stream);
        let elicits = |frame: &Frame| matches!(frame, Frame::Stream { .. } | Frame::Ping);
        let is_answered = packet.frames.iter().any(elicits);
        for due in self.spaces[space].1.on_packet(packet) {
            self.on_stream_frames(now, &due);
        }
        // UDX2 4.2: a PING under the number of a data packet acknowledges that (H5, D9).
        if is_answered && !self.is_closed {
            self.spaces[space].1.note(sequence);
            self.acknowledge(space, ids);
        }
        self.search_size(now);
    }

    pub(super) fn open(&mut self, now: Instant) -> Option<usize> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let own = |stream: &&Stream| stream.is_own && stream.is_registered;
        let count = self.streams.iter().filter(own).count();
        // UDX2 6.5: the last MAX_STREAMS wins, and open streams count.
        let is_allowed = !self.is_closed && count < self.max_streams as usize;
        is_allowed.then(|| self.open_stream(now))
    }

    pub(super) fn accept_stream(&mut self) -> Option<usize> {
        self.incoming.pop_front()
    }

    pub(super) fn write(&mut self, _now: Instant, stream: usize, data: &[u8]) -> usize {
        if self.is_closed {
            return 0;
        }
        self.streams[stream].write(data)
    }

    pub(super) fn read(&mut self, _now: Instant, index: usize, max: usize) -> Read {
        let stream = &mut self.streams[index];
        if let Some(code) = stream.reset {
            return Read::Reset(code);
        }
        let (data, update) = stream.read(max);
        if let Some(limit) = update {
            self.send_window_update(index, limit);
        }
        match data.is_empty() {
            false => Read::Data(data),
            true if self.streams[index].remote_closed => Read::End,
            true if self.is_closed => Read::Closed,
            true => Read::Pending,
        }
    }

    pub(super) fn finish(&mut self, now: Instant, index: usize) {
        self.streams[index].want_fin();
        self.pump(now, index);
    }

    pub(super) fn reset(&mut self, _now: Instant, index: usize, code: u32) {
        if !self.streams[index].is_registered {
            return;
        }
        let bears = self.release.stream_control_bears();
        self.send_control(index, bears, Frame::ResetStream(code));
        self.streams[index].reset = Some(code);
        self.forget(index);
    }

    /// D15: the mark is set first, and whoever bears it sends nothing.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.out.clear();
    }

    /// U4: a fresh number that no packet with data will ever bear.
    pub(super) fn ping(&mut self) {
        let sequence = self.spaces[0].0.number(Bears::Fresh);
        self.send_unregistered(sequence, (0, 0), Frame::Ping);
    }

    /// Which numbers a packet counts in. Up to 2.0.0 a SYN makes the stream, and with it its space, before anything is ordered.
    fn space_of(&mut self, now: Instant, packet: &Packet) -> usize {
        if !self.release.numbers_per_stream() {
            return 0;
        }
        let opens = packet.frames.iter().any(crate::peers::dart::is_syn);
        let stream = self
            .find(packet)
            .or_else(|| opens.then(|| self.create(now, packet)).flatten());
        // UDX2 1: with one stream the difference is invisible, so packets that name none must find it.
        let only = usize::from(self.spaces.len() > 1);
        stream.map_or(only, |index| self.streams[index].space)
    }

    fn on_connection_frame(&mut self, from: SocketAddr, frame: &Frame) {
        match frame {
            Frame::ConnectionClose { .. } => self.close(),
            Frame::MaxData(limit) => self.max_data = self.max_data.max(*limit),
            Frame::MaxStreams(count) => self.max_streams = *count,
            // UDX2 11: to where the challenge came from, whatever the budget says.
            Frame::PathChallenge(nonce) => {
                let packet = self.packet(0, (0, 0), vec![Frame::PathResponse(*nonce)]);
                let datagram = encode(&packet, self.release.numbering());
                self.out.push_back((from, datagram));
            }
            Frame::PathResponse(nonce) => {
                let asked = self
                    .challenge
                    .filter(|(to, asked, _)| *to == from && asked == nonce);
                if asked.is_some() {
                    self.challenge = None;
                    self.address = from;
                }
            }
            _ => {}
        }
    }

    fn on_ack(&mut self, now: Instant, space: usize, frame: &Frame) {
        if !matches!(frame, Frame::Ack { .. }) {
            return;
        }
        let done = self.spaces[space].0.on_ack(now, frame);
        self.unacknowledged = self.unacknowledged.saturating_sub(done.freed);
        if let Some(draft) = done.resend {
            self.send(draft);
        }
    }
}

fn space(release: Release) -> (Sender, Order) {
    (Sender::new(release), Order::new(release))
}

/// UDX2 9.2, UDX 10.2: the constant that Dart gives and starts with.
const MAX_DATA: u64 = 1 << 20;
const MAX_STREAMS: u32 = 100;
const IDLE: Duration = Duration::from_secs(30);
