//! Models of dart-udx: before and from 2.0.0 (wire version 2) to 3.1.0 (wire version 3).
//!
//! Written from the specifications of both versions, where everything about Dart is known by reading it, never by running it.
//!
//! | Section | What is modelled | Where |
//! |---|---|---|
//! | UDX2 1, UDX 1 | what tells the releases apart | `release` |
//! | UDX2 3, UDX 3 | which packet bears which number | `sender`, `connection` |
//! | UDX2 4.2, UDX 4.1 | one ACK for each packet, at once, without history; PING acknowledged under its header's number | `order`, `connection` |
//! | UDX2 4.4, 8, UDX 5 | exact ranges, timers for each packet, probes, one fast resend | `sender` |
//! | UDX2 5, UDX 7 | dialing, SYN back, budget of three times, routing, silence at the end | `connection`, here |
//! | UDX2 6, 7, UDX 8, 9 | streams, order by number, reassembly that wants exact starts | `stream`, `order` |
//! | UDX2 9, 10, UDX 6, 10 | in-flight reading of limits, the gate of 30 s, CUBIC, pacing | `stream`, `window` |
//! | UDX2 11, UDX 11 | answers to challenges, migration after one | `connection` |
//! | UDX2 2.4, UDX 13 | version negotiation | here |
//!
//! Known defects, by their names in the specifications and the corpus:
//! - **U1** everything takes a number, and only data are sent again ([`Release::Before200`]);
//! - **U2, H6** window updates and resets burn numbers ([`Release::V201`], [`Release::V202`]);
//! - **U3** control packets advance the receiver's expectation (to [`Release::V201`]);
//! - **U4, H6** the ping call burns a number (all);
//! - **U5** so do probes for the path's size ([`Release::V203Probing`], asleep in the others);
//! - **U13** gaps above 255 are stored modulo 256 (all);
//! - **U14** the threshold of window updates grows ([`Release::V203`]);
//! - **H5, D9** a probe bears the number of the last data packet, and a PING is acknowledged under its header's number (all);
//! - **H17** ten resends, then silence (version 2);
//! - **D13, D14** limits read as what may be in flight (version 2); one fragment every 30 s whatever the limit (all);
//! - **D15** CONNECTION_CLOSE and the last FINs never leave (all);
//! - **D18, H27** one object per remote address (to [`Release::V300`]);
//! - **D4** frames from 0x0c on (to [`Release::V300`]);
//! - **V1** what is cut anew is lost; **V4** late data revive a forgotten stream (version 3);
//! - the decline of the sender after each loss (version 3, UDX 5).
//!
//! Not modelled: version 3's own MTU probes, of which nothing is known but that nobody answers them.

mod connection;
mod order;
mod release;
mod sender;
mod stream;

pub use release::Release;

use super::wire::{Negotiation, Packet, VERSION_2, decode_as, encode_negotiation};
use super::{Connection, Foreign, Read, ReceiveOrder, Stream};
use connection::Conn;
use gapless_link::Random;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// A UDP socket of a Dart program.
pub struct Dart {
    release: Release,
    random: Random,
    connections: Vec<Conn>,
    by_id: BTreeMap<Vec<u8>, usize>,
    by_address: BTreeMap<SocketAddr, usize>,
    incoming: VecDeque<usize>,
    /// Datagrams of no connection.
    strays: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Dart {
    /// A socket of this release; the seed draws IDs and nonces.
    pub fn new(release: Release, seed: u64) -> Self {
        Self {
            release,
            random: Random::for_purpose(seed, 0xda),
            connections: Vec::new(),
            by_id: BTreeMap::new(),
            by_address: BTreeMap::new(),
            incoming: VecDeque::new(),
            strays: VecDeque::new(),
        }
    }

    fn id(&mut self) -> Vec<u8> {
        self.random.bits().to_be_bytes().to_vec()
    }

    fn add(&mut self, id: Vec<u8>, address: SocketAddr, connection: Conn) -> usize {
        let index = self.connections.len();
        self.connections.push(connection);
        self.by_id.insert(id, index);
        self.by_address.insert(address, index);
        index
    }

    /// UDX2 5.4, D18: the object that a new connection from `address` is merged into.
    fn object_of(&self, address: SocketAddr) -> Option<usize> {
        let index = *self.by_address.get(&address)?;
        let is_merged =
            self.release.one_object_per_address() && !self.connections[index].is_closed();
        is_merged.then_some(index)
    }

    /// UDX2 5.1, UDX 7.1: a packet with SYN makes a connection; what else has an unknown ID is dropped.
    fn accept_packet(&mut self, now: Instant, from: SocketAddr, packet: &Packet) -> Option<usize> {
        if !packet.frames.iter().any(is_syn) {
            return None;
        }
        let version = packet.version;
        let speaks = if self.release.is_version_3() {
            version == 3
        } else {
            version == VERSION_2 || version == 1
        };
        if !speaks {
            self.negotiate(from, packet);
        }
        if !speaks && self.release.is_version_3() {
            return None;
        }
        if let Some(index) = self.object_of(from) {
            self.by_id.insert(packet.destination.clone(), index);
            return speaks.then_some(index);
        }
        let seed = self.random.bits();
        let (id, peer) = (packet.destination.clone(), packet.source.clone());
        let connection = Conn::accepted(now, self.release, seed, id.clone(), peer, from);
        let index = self.add(id, from, connection);
        self.incoming.push_back(index);
        // UDX 13: version 2 has made the object by now, and goes on with it once the version is right.
        speaks.then_some(index)
    }

    fn negotiate(&mut self, from: SocketAddr, packet: &Packet) {
        let answer = Negotiation {
            destination: packet.source.clone(),
            source: packet.destination.clone(),
            versions: self.release.versions().to_vec(),
        };
        self.strays.push_back((from, encode_negotiation(&answer)));
    }
}

impl Foreign for Dart {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        // UDX2 2.1: version 2 reads every datagram as its own.
        let form = self.release.version();
        let Some(packet) = decode_as(datagram, form, self.release.numbering()) else {
            return;
        };
        let known = self.by_id.get(&packet.destination).copied();
        // V3: a closed connection's ID is forgotten at once.
        let known = known.filter(|index| !self.connections[*index].is_closed());
        if known.is_some() && self.release.is_version_3() && packet.version != 3 {
            return;
        }
        let Some(index) = known.or_else(|| self.accept_packet(now, from, &packet)) else {
            return;
        };
        self.connections[index].handle(now, from, datagram.len(), packet);
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
        if let Some(index) = self.object_of(to) {
            return Connection(index);
        }
        let (own, peer, seed) = (self.id(), self.id(), self.random.bits());
        let connection = Conn::dialed(now, self.release, seed, own.clone(), peer, to);
        Connection(self.add(own, to, connection))
    }

    fn accept(&mut self) -> Option<Connection> {
        self.incoming.pop_front().map(Connection)
    }

    fn open(&mut self, now: Instant, connection: Connection) -> Option<Stream> {
        self.connections[connection.0].open(now).map(Stream)
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

    fn read(&mut self, now: Instant, connection: Connection, stream: Stream, max: usize) -> Read {
        self.connections[connection.0].read(now, stream.0, max)
    }

    fn finish(&mut self, now: Instant, connection: Connection, stream: Stream) {
        self.connections[connection.0].finish(now, stream.0);
    }

    fn reset(&mut self, now: Instant, connection: Connection, stream: Stream, code: u32) {
        self.connections[connection.0].reset(now, stream.0, code);
    }

    /// D15: nothing leaves any more.
    fn close(&mut self, _now: Instant, connection: Connection, _code: u32) {
        self.connections[connection.0].close();
    }

    fn ping(&mut self, _now: Instant, connection: Connection) {
        self.connections[connection.0].ping();
    }

    fn is_closed(&self, connection: Connection) -> bool {
        self.connections[connection.0].is_closed()
    }

    fn receive_order(&self, connection: Connection) -> Option<ReceiveOrder> {
        self.connections[connection.0].receive_order()
    }
}

fn is_syn(frame: &super::wire::Frame) -> bool {
    matches!(frame, super::wire::Frame::Stream { syn: true, .. })
}
