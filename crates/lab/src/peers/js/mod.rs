//! A model of js-udx, state of October 2026 (wire version 3), held against recorded conversations of the real one.
//!
//! | Section | What is modelled | Where |
//! |---|---|---|
//! | UDX 2.3, 2.4, 13 | 64 bit fields above 2^53-1 drop the packet; version negotiation {3}, and giving up on one without 3 | here |
//! | UDX 3, 4, 5, 6 | fresh numbers, delayed ACKs with a history of 512, loss by gaps, one timer, CUBIC, pacing | `recovery`, `acks`, `window` |
//! | UDX 7 | dialing, accepting, early packets, closing without an answer, idle after 30 s, keep-alive | `connection`, here |
//! | UDX 8, 9, 10 | streams with tombstones, reassembly that wants exact starts, windows, STREAM_DATA_BLOCKED, MAX_DATA | `stream` |
//! | UDX 11 | PATH_CHALLENGE as acceptor, budget of three times, migration, search for the datagram's size | `path` |
//! | UDX 14 | stateless reset with a secret | here |
//!
//! Known defects, by their names in the specification:
//! - **V1** what is cut anew is lost although it is acknowledged;
//! - **V2, D9** a PING under any number but 0 is acknowledged, also when a data packet bears that number;
//! - **V3** a late SYN revives a closed connection;
//! - **V5** RESET_STREAM, WINDOW_UPDATE and CONNECTION_CLOSE are said once;
//! - **V10** full datagrams from the start, and never smaller ones;
//! - **V12, D22** a FIN that overtakes its stream's first packet is forgotten;
//! - **V14** 64 bit fields above 2^53-1;
//! - **V20** all that is unacknowledged is sent again at least every 2 s, whatever the window.

mod acks;
mod connection;
mod path;
mod recovery;
mod stream;

use super::wire::{
    Frame, Negotiation, Numbering, Packet, VERSION_3, decode, decode_negotiation,
    encode_negotiation, encode_reset, reset_token,
};
use super::{Connection, Foreign, Read, Stream};
use connection::Conn;
use gapless_link::Random;
use gapless_udx::Instant;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What a program may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Search for the largest datagram.
    pub search: bool,
    /// A PING after so much silence. The libp2p transport says 10 s.
    pub keep_alive: Option<Duration>,
    /// Stateless resets.
    pub reset_secret: Option<Vec<u8>>,
}

/// A UDP socket of a JS program.
pub struct Js {
    options: Options,
    random: Random,
    connections: Vec<Conn>,
    by_id: BTreeMap<Vec<u8>, usize>,
    incoming: VecDeque<usize>,
    /// Packets of IDs that no SYN came for, and since when.
    early: BTreeMap<Vec<u8>, Early>,
    /// Answers of no connection in the second that began then.
    answers: (Instant, u32),
    strays: VecDeque<(SocketAddr, Vec<u8>)>,
}

struct Early {
    since: Instant,
    packets: Vec<(SocketAddr, usize, Packet)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            search: true,
            keep_alive: None,
            reset_secret: None,
        }
    }
}

impl Js {
    /// A socket with these settings; the seed draws IDs and nonces.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            options,
            random: Random::for_purpose(seed, 0x15),
            connections: Vec::new(),
            by_id: BTreeMap::new(),
            incoming: VecDeque::new(),
            early: BTreeMap::new(),
            answers: (Instant::ZERO, 0),
            strays: VecDeque::new(),
        }
    }

    /// As [`Foreign::connect`], with connection IDs of the caller's choice: its own, and the peer's.
    pub fn connect_as(
        &mut self,
        now: Instant,
        to: SocketAddr,
        own: Vec<u8>,
        peer: Vec<u8>,
    ) -> Connection {
        let seed = self.random.bits();
        let ids = (own.clone(), peer);
        let connection = Conn::dialed(now, self.options.clone(), seed, ids, to);
        self.add(own, connection)
    }

    fn add(&mut self, id: Vec<u8>, connection: Conn) -> Connection {
        let index = self.connections.len();
        self.connections.push(connection);
        self.by_id.insert(id, index);
        Connection(index)
    }

    fn route(&self, id: &[u8]) -> Option<usize> {
        let index = *self.by_id.get(id)?;
        (!self.connections[index].is_closed()).then_some(index)
    }

    /// UDX 7.1, 7.3: a SYN makes a connection, and what came before it is handled behind it.
    fn accept_packet(&mut self, now: Instant, from: SocketAddr, size: usize, packet: Packet) {
        let seed = self.random.bits();
        let ids = (packet.destination.clone(), packet.source.clone());
        let id = packet.destination.clone();
        let connection = Conn::accepted(now, self.options.clone(), seed, ids, from);
        let Connection(index) = self.add(id.clone(), connection);
        self.incoming.push_back(index);
        let connection = &mut self.connections[index];
        connection.handle(now, from, size, &packet);
        connection.start(now);
        let early = self.early.remove(&id).map(|early| early.packets);
        for (from, size, packet) in early.unwrap_or_default() {
            connection.handle(now, from, size, &packet);
        }
    }

    /// UDX 7.1, 14: kept for a SYN that may be underway; one that stays away for 3 s was lost with this program's memory.
    fn keep_early(&mut self, now: Instant, from: SocketAddr, size: usize, packet: Packet) {
        let is_fresh = |early: &Early| now.saturating_duration_since(early.since) < EARLY_FOR;
        self.early.retain(|_, early| is_fresh(early));
        let id = packet.destination.clone();
        if !self.early.contains_key(&id) && self.early.len() >= EARLY_IDS {
            return;
        }
        let early = self.early.entry(id.clone()).or_insert(Early {
            since: now,
            packets: Vec::new(),
        });
        if early.packets.len() < EARLY_PACKETS {
            early.packets.push((from, size, packet));
        }
        let is_lost = now.saturating_duration_since(early.since) >= RESET_AFTER;
        if let Some(secret) = self.options.reset_secret.clone()
            && is_lost
            && size > MIN_RESET
            && self.may_answer(now)
        {
            let len = (size - 1).clamp(MIN_RESET, MAX_RESET);
            let mut filler = vec![0; len - 16];
            self.random.fill(&mut filler);
            filler[0] |= 0x80;
            let reset = encode_reset(&filler, token(&secret, &id));
            self.strays.push_back((from, reset));
        }
    }

    /// UDX 14: a datagram of nobody's may say that a peer lost its state.
    fn is_reset(&mut self, datagram: &[u8]) -> bool {
        let Some(token) = reset_token(datagram) else {
            return false;
        };
        let is_named = |connection: &&mut Conn| {
            !connection.is_closed() && connection.peer_token == Some(token)
        };
        let named = self.connections.iter_mut().find(is_named);
        let found = named.is_some();
        if let Some(connection) = named {
            connection.abandon();
        }
        found
    }

    /// UDX 13: the one version it reads, for unknown IDs, in no more bytes than came.
    fn negotiate(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(asked) = decode_ids(datagram) else {
            return;
        };
        if self.route(&asked.1).is_some() {
            return;
        }
        let answer = encode_negotiation(&Negotiation {
            destination: asked.0,
            source: asked.1,
            versions: vec![VERSION_3],
        });
        if answer.len() <= datagram.len() && self.may_answer(now) {
            self.strays.push_back((from, answer));
        }
    }

    /// A dialer that hears of other versions only, before anything else, gives up.
    fn on_negotiation(&mut self, datagram: &[u8]) {
        let Some(told) = decode_negotiation(datagram) else {
            return;
        };
        let Some(index) = self.route(&told.destination) else {
            self.is_reset(datagram);
            return;
        };
        let connection = &mut self.connections[index];
        if !connection.is_established && !told.versions.contains(&VERSION_3) {
            connection.abandon();
        }
    }

    /// Ten in a second.
    fn may_answer(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.answers.0) >= Duration::from_secs(1) {
            self.answers = (now, 0);
        }
        self.answers.1 += 1;
        self.answers.1 <= ANSWERS
    }
}

impl Foreign for Js {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        match datagram.first_chunk().map(|word| u32::from_be_bytes(*word)) {
            Some(0) if decode_negotiation(datagram).is_some() => self.on_negotiation(datagram),
            Some(VERSION_3) => {
                let packet = decode(datagram, Numbering::Go).filter(has_safe_numbers);
                let Some(packet) = packet else {
                    self.is_reset(datagram);
                    return;
                };
                if let Some(index) = self.route(&packet.destination) {
                    self.connections[index].handle(now, from, datagram.len(), &packet);
                } else if packet.frames.iter().any(is_syn) {
                    self.accept_packet(now, from, datagram.len(), packet);
                } else if !self.is_reset(datagram) {
                    self.keep_early(now, from, datagram.len(), packet);
                }
            }
            Some(_) if !self.is_reset(datagram) => self.negotiate(now, from, datagram),
            _ => {}
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        if let Some(stray) = self.strays.pop_front() {
            return Some(stray);
        }
        self.connections
            .iter_mut()
            .find_map(|connection| connection.poll_transmit(now))
    }

    fn handle_timeout(&mut self, now: Instant) {
        for connection in &mut self.connections {
            connection.handle_timeout(now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.connections
            .iter()
            .filter_map(Conn::next_deadline)
            .min()
    }

    fn connect(&mut self, now: Instant, to: SocketAddr) -> Connection {
        let [own, peer] = [(); 2].map(|()| self.random.bits().to_be_bytes().to_vec());
        self.connect_as(now, to, own, peer)
    }

    fn accept(&mut self) -> Option<Connection> {
        self.incoming.pop_front().map(Connection)
    }

    fn open(&mut self, _now: Instant, connection: Connection) -> Option<Stream> {
        self.connections[connection.0].open().map(Stream)
    }

    fn accept_stream(&mut self, connection: Connection) -> Option<Stream> {
        self.connections[connection.0].accept_stream().map(Stream)
    }

    fn write(
        &mut self,
        now: Instant,
        connection: Connection,
        stream: Stream,
        data: &[u8],
    ) -> usize {
        self.connections[connection.0].write(now, stream.0, data)
    }

    fn read(&mut self, _now: Instant, connection: Connection, stream: Stream, max: usize) -> Read {
        self.connections[connection.0].read(stream.0, max)
    }

    fn finish(&mut self, _now: Instant, connection: Connection, stream: Stream) {
        self.connections[connection.0].finish(stream.0);
    }

    fn reset(&mut self, _now: Instant, connection: Connection, stream: Stream, code: u32) {
        self.connections[connection.0].reset(stream.0, code);
    }

    fn close(&mut self, _now: Instant, connection: Connection, code: u32) {
        self.connections[connection.0].close(code);
    }

    fn ping(&mut self, _now: Instant, connection: Connection) {
        self.connections[connection.0].ping();
    }

    fn is_closed(&self, connection: Connection) -> bool {
        self.connections[connection.0].is_closed()
    }
}

/// UDX 14: the first half of HMAC-SHA256.
fn token(secret: &[u8], id: &[u8]) -> [u8; 16] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key");
    mac.update(id);
    let digest = mac.finalize().into_bytes();
    std::array::from_fn(|at| digest[at])
}

/// V14: what its numbers cannot hold.
fn has_safe_numbers(packet: &Packet) -> bool {
    packet.frames.iter().all(|frame| match frame {
        Frame::Stream { offset: long, .. }
        | Frame::MaxData(long)
        | Frame::DataBlocked(long)
        | Frame::StreamDataBlocked { limit: long, .. }
        | Frame::RetireConnectionId(long) => *long <= MAX_SAFE,
        Frame::NewConnectionId {
            index,
            retire_below,
            ..
        } => *index.max(retire_below) <= MAX_SAFE,
        _ => true,
    })
}

/// The source and the destination ID of a packet of any version.
fn decode_ids(datagram: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    // The header is the same in every version; its frames need not be.
    let ids = decode_negotiation(&[&[0; 4], datagram.get(4..)?].concat())?;
    Some((ids.source, ids.destination))
}

fn is_syn(frame: &Frame) -> bool {
    matches!(frame, Frame::Stream { syn: true, .. })
}

const MAX_SAFE: u64 = (1 << 53) - 1;
const ANSWERS: u32 = 10;
const EARLY_IDS: usize = 256;
const EARLY_PACKETS: usize = 32;
const EARLY_FOR: Duration = Duration::from_secs(10);
const RESET_AFTER: Duration = Duration::from_secs(3);
const MIN_RESET: usize = 39;
const MAX_RESET: usize = 64;
