//! One connection of JS: frames in, frames out.

mod send;

use crate::peers::Read;
use crate::peers::js::Options;
use crate::peers::js::acks::Acks;
use crate::peers::js::path::{CHALLENGE, Challenge, Proof, Search};
use crate::peers::js::recovery::Recovery;
use crate::peers::js::stream::Stream;
use crate::peers::values::covers;
use crate::peers::wire::{Frame, Packet};
use gapless_link::Random;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) struct Conn {
    options: Options,
    random: Random,
    pub(super) id: Vec<u8>,
    peer_id: Vec<u8>,
    address: SocketAddr,
    is_closed: bool,
    /// A packet came.
    pub(super) is_established: bool,
    last_heard: Instant,
    /// The idle watch looks once a second.
    watch_at: Instant,
    keep_alive_until: Option<Instant>,
    recovery: Recovery,
    acks: Acks,
    streams: Vec<Stream>,
    by_id: BTreeMap<u32, usize>,
    by_remote: BTreeMap<u32, usize>,
    incoming: VecDeque<usize>,
    /// Whose turn it is to send.
    turns: VecDeque<usize>,
    next_id: u32,
    max_streams: u32,
    max_data: u64,
    /// When DATA_BLOCKED may be said again.
    data_blocked_from: Instant,
    /// The pacer, when it holds back.
    paced_until: Option<Instant>,
    proof: Option<Proof>,
    challenge: Option<Challenge>,
    search: Option<Search>,
    /// The token by which the peer may end this without its state (UDX 14).
    pub(super) peer_token: Option<[u8; 16]>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Conn {
    fn new(
        now: Instant,
        options: Options,
        seed: u64,
        ids: (Vec<u8>, Vec<u8>),
        address: SocketAddr,
        next_id: u32,
    ) -> Self {
        Self {
            options,
            random: Random::for_purpose(seed, 0x15),
            id: ids.0,
            peer_id: ids.1,
            address,
            is_closed: false,
            is_established: false,
            last_heard: now,
            watch_at: now + WATCH,
            keep_alive_until: None,
            recovery: Recovery::new(),
            acks: Acks::new(),
            streams: Vec::new(),
            by_id: BTreeMap::new(),
            by_remote: BTreeMap::new(),
            incoming: VecDeque::new(),
            turns: VecDeque::new(),
            next_id,
            max_streams: INITIAL_MAX_STREAMS,
            max_data: INITIAL_MAX_DATA,
            data_blocked_from: now,
            paced_until: None,
            proof: None,
            challenge: None,
            search: None,
            peer_token: None,
            out: VecDeque::new(),
        }
    }

    /// UDX 7.2: one packet, sent again as a whole; then the token, if there is a secret.
    pub(super) fn dialed(
        now: Instant,
        options: Options,
        seed: u64,
        ids: (Vec<u8>, Vec<u8>),
        address: SocketAddr,
    ) -> Self {
        let mut connection = Self::new(now, options, seed, ids, address, 1);
        let frames = vec![
            Frame::syn(),
            Frame::MaxData(MAX_DATA),
            Frame::MaxStreams(MAX_STREAMS),
        ];
        connection.send_tracked(now, (0, 0), frames);
        connection.give_token();
        connection
    }

    pub(super) fn accepted(
        now: Instant,
        options: Options,
        seed: u64,
        ids: (Vec<u8>, Vec<u8>),
        address: SocketAddr,
    ) -> Self {
        let mut connection = Self::new(now, options, seed, ids, address, 2);
        let nonce = connection.random.bits().to_be_bytes();
        connection.proof = Some(Proof::new(nonce));
        connection
    }

    /// UDX 7.3: behind the answers to its first packet, an acceptor says what it allows and asks for proof.
    pub(super) fn start(&mut self, now: Instant) {
        let mut frames = Vec::new();
        if let Some(proof) = &mut self.proof {
            proof.attempts = 1;
            proof.again_at = Some(now + self.recovery.timeout().min(CHALLENGE));
            frames.push(Frame::PathChallenge(proof.nonce));
        }
        frames.push(Frame::MaxData(MAX_DATA));
        frames.push(Frame::MaxStreams(MAX_STREAMS));
        self.send_control((0, 0), frames);
        self.give_token();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let streams = self.streams.iter().filter_map(Stream::deadline);
        let others = [
            Some(self.watch_at),
            self.recovery.deadline(),
            self.acks.deadline(),
            self.paced_until,
            self.proof.as_ref().and_then(|proof| proof.again_at),
            self.challenge.map(|challenge| challenge.expires),
            self.search.as_ref().and_then(Search::deadline),
        ];
        streams.chain(others.into_iter().flatten()).min()
    }

    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        if self.out.is_empty() && !self.is_closed {
            self.flush(now);
        }
        self.out.pop_front()
    }

    pub(super) fn handle(&mut self, now: Instant, from: SocketAddr, size: usize, packet: &Packet) {
        self.last_heard = now;
        self.keep_alive_until = None;
        self.is_established = true;
        if let Some(proof) = &mut self.proof {
            let due = proof.on_received(size);
            let to = self.address;
            self.out
                .extend(due.into_iter().map(|datagram| (to, datagram)));
        }
        if from != self.address {
            self.ask_new_address(now, from);
        }
        let (mut is_numbered, mut is_edge, mut is_ping) = (false, false, false);
        for frame in &packet.frames {
            if self.is_closed {
                return;
            }
            is_numbered |= frame.is_numbered();
            is_ping |= *frame == Frame::Ping;
            if let Frame::Stream { syn, fin, .. } = frame {
                is_edge |= *syn || *fin;
            }
            self.on_frame(now, from, packet, frame);
        }
        // UDX 4.1: what is numbered, and a PING under a number that is not 0.
        let is_answered = is_numbered || (is_ping && packet.sequence != 0);
        if is_answered && !self.is_closed {
            let ids = (packet.source_stream, packet.destination_stream);
            let is_urgent = is_edge || !is_numbered;
            let rtt = self.recovery.window.rtt.smoothed;
            let ack = self
                .acks
                .on_packet(now, packet.sequence, is_urgent, ids, rtt);
            self.send_ack(ack);
        }
        self.probe(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        let ack = self.acks.on_time(now);
        self.send_ack(ack);
        for again in self.recovery.on_time(now) {
            self.send_again(again);
        }
        self.paced_until = self.paced_until.filter(|at| *at > now);
        self.challenge = self.challenge.filter(|challenge| challenge.expires > now);
        self.ask_for_proof(now);
        if let Some(search) = &mut self.search {
            search.on_time(now);
        }
        self.probe(now);
        self.tell_blocked(now);
        if self.watch_at <= now {
            self.watch(now);
        }
    }

    pub(super) fn open(&mut self) -> Option<usize> {
        let count = self
            .streams
            .iter()
            .filter(|stream| !stream.is_closed)
            .count();
        let is_allowed = !self.is_closed && count < self.max_streams as usize;
        is_allowed.then(|| self.add_stream(0))
    }

    pub(super) fn accept_stream(&mut self) -> Option<usize> {
        self.incoming.pop_front()
    }

    pub(super) fn write(&mut self, now: Instant, index: usize, data: &[u8]) -> usize {
        if self.is_closed {
            return 0;
        }
        let taken = self.streams[index].write(data);
        self.streams[index].block_if_stuck(now);
        self.tell_blocked(now);
        taken
    }

    pub(super) fn read(&mut self, index: usize, max: usize) -> Read {
        let stream = &mut self.streams[index];
        if let Some(code) = stream.reset {
            return Read::Reset(code);
        }
        if let Some((data, update)) = stream.read(max) {
            let ids = (stream.remote, stream.id);
            if let Some(limit) = update {
                self.send_control(ids, vec![Frame::WindowUpdate(limit)]);
            }
            return Read::Data(data);
        }
        if stream.is_at_end() {
            stream.is_closed |= stream.is_over();
            return Read::End;
        }
        if self.is_closed {
            return Read::Closed;
        }
        Read::Pending
    }

    pub(super) fn finish(&mut self, index: usize) {
        self.streams[index].finish();
    }

    pub(super) fn reset(&mut self, index: usize, code: u32) {
        let stream = &mut self.streams[index];
        if stream.is_closed {
            return;
        }
        stream.is_closed = true;
        stream.reset = Some(code);
        let ids = (stream.remote, stream.id);
        self.send_control(ids, vec![Frame::ResetStream(code)]);
    }

    pub(super) fn close(&mut self, code: u32) {
        if self.is_closed {
            return;
        }
        let close = Frame::ConnectionClose {
            code,
            frame: 0,
            reason: Vec::new(),
        };
        self.send_control((0, 0), vec![close]);
        self.is_closed = true;
    }

    /// Over without a word: idle, reset, refused.
    pub(super) fn abandon(&mut self) {
        self.is_closed = true;
        self.out.clear();
    }

    pub(super) fn ping(&mut self) {
        let number = self.recovery.untracked_number();
        self.send(number, (0, 0), vec![Frame::Ping]);
    }

    fn on_frame(&mut self, now: Instant, from: SocketAddr, packet: &Packet, frame: &Frame) {
        match frame {
            Frame::Stream {
                syn,
                fin,
                offset,
                data,
            } => self.on_stream_frame(packet, (*syn, *fin), *offset, data),
            Frame::Ack { .. } => {
                for again in self.recovery.on_ack(now, frame) {
                    self.send_again(again);
                }
                if let Some(search) = &mut self.search {
                    search.on_ack(|number| covers(frame, number));
                }
                self.probe(now);
            }
            Frame::MaxData(limit) => self.max_data = self.max_data.max(*limit),
            Frame::MaxStreams(count) => self.max_streams = self.max_streams.max(*count),
            Frame::DataBlocked(_) => self.send_control((0, 0), vec![Frame::MaxData(MAX_DATA)]),
            // UDX 11: to where it came from, whatever the budget says.
            Frame::PathChallenge(nonce) => {
                let datagram = self.encode(0, (0, 0), vec![Frame::PathResponse(*nonce)]);
                self.out.push_back((from, datagram));
            }
            Frame::PathResponse(nonce) => self.on_path_response(now, from, *nonce),
            Frame::ConnectionClose { .. } => self.abandon(),
            Frame::NewConnectionId { id, token, .. } if *id == self.peer_id => {
                self.peer_token = Some(*token);
            }
            _ => self.on_stream_control(now, packet, frame),
        }
    }

    fn on_stream_control(&mut self, now: Instant, packet: &Packet, frame: &Frame) {
        let Some(index) = self.find(packet) else {
            return;
        };
        let stream = &mut self.streams[index];
        match frame {
            Frame::WindowUpdate(value) => stream.on_window_update(*value),
            Frame::ResetStream(code) if !stream.is_closed => {
                stream.is_closed = true;
                stream.reset = Some(*code);
            }
            Frame::StopSending { code, .. } => self.reset(index, *code),
            Frame::StreamDataBlocked { .. } if !stream.is_closed => {
                let (ids, limit) = ((stream.remote, stream.id), stream.advertise());
                self.send_control(ids, vec![Frame::WindowUpdate(limit)]);
            }
            _ => {}
        }
        self.tell_blocked(now);
    }

    /// UDX 8.1: SYN or data open a stream, a bare FIN does not (V12).
    fn on_stream_frame(&mut self, packet: &Packet, flags: (bool, bool), offset: u64, data: &[u8]) {
        let (syn, fin) = flags;
        let remote = packet.source_stream;
        let known = self.find(packet);
        let opens = remote != 0 && (syn || !data.is_empty());
        if known.is_none() && !opens {
            return;
        }
        let foreign = |stream: &&Stream| stream.remote != 0 && !stream.is_closed;
        let is_full = self.streams.iter().filter(foreign).count() >= MAX_STREAMS as usize;
        if known.is_none() && is_full {
            self.send_control((remote, 0), vec![Frame::ResetStream(STREAM_LIMIT)]);
            return;
        }
        let index = known.unwrap_or_else(|| {
            let index = self.add_stream(remote);
            self.incoming.push_back(index);
            index
        });
        if !data.is_empty() && self.streams[index].on_data(offset, data).is_err() {
            self.reset(index, FLOW_CONTROL);
        }
        if fin {
            self.streams[index].on_fin(offset + data.len() as u64);
        }
    }

    fn find(&self, packet: &Packet) -> Option<usize> {
        let by_remote = || match packet.source_stream {
            0 => None,
            source => self.by_remote.get(&source),
        };
        let by_id = self.by_id.get(&packet.destination_stream);
        by_id.or_else(by_remote).copied()
    }

    fn add_stream(&mut self, remote: u32) -> usize {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(2);
        let index = self.streams.len();
        self.streams.push(Stream::new(id, remote));
        self.by_id.insert(id, index);
        if remote != 0 {
            self.by_remote.insert(remote, index);
        }
        index
    }

    /// UDX 7.5: looked at once a second, and silent. UDX 12: a PING after the interval, if there is one.
    fn watch(&mut self, now: Instant) {
        self.watch_at = now + WATCH;
        let silence = now.saturating_duration_since(self.last_heard);
        if silence >= IDLE.max(3 * self.recovery.timeout()) {
            self.abandon();
            return;
        }
        let is_pending = self.keep_alive_until.is_some_and(|until| now < until);
        if let Some(interval) = self.options.keep_alive
            && silence >= interval
            && !is_pending
        {
            self.keep_alive_until = Some(now + interval);
            self.ping();
        }
    }

    fn on_path_response(&mut self, now: Instant, from: SocketAddr, nonce: [u8; 8]) {
        if self
            .proof
            .as_ref()
            .is_some_and(|proof| proof.nonce == nonce)
        {
            self.prove(now);
        }
        let asked = self.challenge;
        if asked.is_some_and(|challenge| challenge.nonce == nonce && challenge.to == from) {
            self.challenge = None;
            self.address = from;
            self.prove(now);
            self.search = None;
            self.probe(now);
        }
    }

    fn prove(&mut self, now: Instant) {
        let Some(proof) = self.proof.take() else {
            return;
        };
        let to = self.address;
        let waiting = proof.into_waiting();
        self.out
            .extend(waiting.into_iter().map(|datagram| (to, datagram)));
        self.probe(now);
    }
}

/// UDX 15.
const MAX_DATA: u64 = 16 << 20;
const INITIAL_MAX_DATA: u64 = 1 << 20;
const MAX_STREAMS: u32 = 1024;
const INITIAL_MAX_STREAMS: u32 = 100;
const STREAM_LIMIT: u32 = 2;
const FLOW_CONTROL: u32 = 3;
const IDLE: Duration = Duration::from_secs(30);
const WATCH: Duration = Duration::from_secs(1);
