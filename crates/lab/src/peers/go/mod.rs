//! Go: go-udx, in the generations that are in the field. What they share is written once; what tells them apart asks [`Generation`].
//!
//! **Early version 2** (to 2026-02-28; UDX2, everything marked Go): it acknowledges every packet with a stream ID, pure ACKs too
//! (4.1); knows packets again by number and size (7); orders each stream by the connection's numbers from the first data packet it
//! sees (7); reads the second extra range of an ACK, and those behind it, too low (4.3); sends every number of a gap again at once
//! (4.3); has a timeout of 300 ms for ever, ten attempts, then silence (8); ends a stream the moment FIN comes (6.3); counts windows
//! by what it received, with a threshold that outgrows them (9.1), and sends what they let go without a pause (10). Its defects:
//! H1, H2 (as receiver), H3, H8, H9, H10, H11, H12, H13, H14, H15, H16, H17, H23 (no idle timeout), H25, and it ignores the version field.
//!
//! **Late version 2** (about August 2026; UDX2 18.1): acknowledges numbered packets only; orders the connection from the first numbered
//! packet it sees; windows follow consumption; STREAM_DATA_BLOCKED; window and pacing are live. What 18.1 does not mention is as
//! before: H2, H12, H16, H17, H23, H25.
//!
//! **Version 3** (UDX, everything marked Go): to v0.1.2 it does not acknowledge PING, from v0.1.3 it does (4.1); ACKs by 4.2 and 4.3;
//! losses by 5, window and pacing by 6; CONNECTION_CLOSE is answered (7.4); reassembly by offset, in pieces as they came (9); windows by 10.
//! Its defects: V1, V3 (a late SYN revives a closed connection), V5 (RESET_STREAM once), V9, V10, V11 (16 waiting streams and
//! connections), V12 (a FIN that overtakes the opening is lost), V13, V15, D12 (streams count for life), D16, D17.
//!
//! Not modelled: the time that an ACK of 2^32 numbers takes (H20, V8), the input queue of 512 packets, scheduling.

mod congestion;
mod connection;
mod received;
mod sent;
mod speak;
mod stream;

use super::wire::{Frame, Numbering, Packet, VERSION_2, VERSION_3, decode, decode_as};
use super::{Foreign, Read, ReceiveOrder, Stream};
use connection::Connection;
use gapless_link::Random;
use gapless_udx::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Which Go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Generation {
    V2Early,
    V2Late,
    V3 { acknowledges_ping: bool },
}

/// A socket of Go's.
pub(super) struct Go {
    generation: Generation,
    random: Random,
    /// By handle.
    connections: Vec<Connection>,
    by_id: BTreeMap<Vec<u8>, usize>,
    /// H25, V3: kept for ever, until 256 IDs are known; then nothing is kept any more.
    early: BTreeMap<Vec<u8>, Vec<(Packet, usize)>>,
    waiting: VecDeque<usize>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Generation {
    fn is_v2(self) -> bool {
        matches!(self, Self::V2Early | Self::V2Late)
    }

    fn version(self) -> u32 {
        if self.is_v2() { VERSION_2 } else { VERSION_3 }
    }
}

impl Go {
    pub(super) fn new(generation: Generation, seed: u64) -> Self {
        Self {
            generation,
            random: Random::for_purpose(seed, PURPOSE),
            connections: Vec::new(),
            by_id: BTreeMap::new(),
            early: BTreeMap::new(),
            waiting: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    fn id(&mut self) -> Vec<u8> {
        let mut id = [0; 8];
        self.random.fill(&mut id);
        id.to_vec()
    }

    fn add(&mut self, connection: Connection) -> usize {
        let index = self.connections.len();
        self.by_id.insert(connection.local.clone(), index);
        self.connections.push(connection);
        index
    }

    /// Calls a connection, and takes what it then has to send.
    fn with<T>(&mut self, index: usize, call: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        let connection = self.connections.get_mut(index)?;
        let result = call(connection);
        let address = connection.address;
        let out = connection.out.drain(..).map(|datagram| (address, datagram));
        self.out.extend(out);
        // Closed IDs are not remembered (UDX 7.4).
        if connection.is_closed && self.by_id.get(&connection.local) == Some(&index) {
            self.by_id.remove(&connection.local);
        }
        Some(result)
    }

    fn meet(&mut self, now: Instant, from: SocketAddr, packet: &Packet, size: usize) {
        let has_syn = packet
            .frames
            .iter()
            .any(|frame| matches!(frame, Frame::Stream { syn: true, .. }));
        if !has_syn {
            if self.early.len() < EARLY_IDS {
                let kept = self.early.entry(packet.destination.clone()).or_default();
                if kept.len() < EARLY_PACKETS {
                    kept.push((packet.clone(), size));
                }
            }
            return;
        }
        let ids = (packet.destination.clone(), packet.source.clone());
        let connection = Connection::new(now, self.generation, ids, from, false);
        let index = self.add(connection);
        let early = self.early.remove(&packet.destination).unwrap_or_default();
        self.with(index, |it| it.handle(now, packet, size));
        for (packet, size) in early {
            self.with(index, |it| it.handle(now, &packet, size));
        }
        if self.waiting.len() < WAITING {
            self.waiting.push_back(index);
        }
    }
}

impl Foreign for Go {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        // UDX 15, UDX2 12: longer ones are cut.
        let datagram = datagram.get(..LARGEST).unwrap_or(datagram);
        let packet = match self.generation {
            Generation::V3 { .. } => {
                decode(datagram, Numbering::Go).filter(|packet| packet.version == VERSION_3)
            }
            // D17: the version field is ignored.
            _ => decode_as(datagram, VERSION_2, Numbering::Go),
        };
        let Some(packet) = packet else {
            return;
        };
        // H18, V6: by the destination ID alone, from wherever it comes.
        match self.by_id.get(&packet.destination) {
            Some(&index) => {
                self.with(index, |it| it.handle(now, &packet, datagram.len()));
            }
            None => self.meet(now, from, &packet, datagram.len()),
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) {
        for index in 0..self.connections.len() {
            let is_due = self.connections[index]
                .next_deadline()
                .is_some_and(|at| at <= now);
            if is_due {
                self.with(index, |it| it.handle_timeout(now));
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.connections.iter().map(Connection::next_deadline);
        deadlines.flatten().min()
    }

    fn connect(&mut self, now: Instant, to: SocketAddr) -> super::Connection {
        let ids = (self.id(), self.id());
        let connection = Connection::new(now, self.generation, ids, to, true);
        let index = self.add(connection);
        // UDX 7.2, UDX2 5.2: it opens the connection and no stream.
        self.with(index, |it| it.send(now, (0, 0), vec![Frame::syn()]));
        super::Connection(index)
    }

    fn accept(&mut self) -> Option<super::Connection> {
        self.waiting.pop_front().map(super::Connection)
    }

    fn open(&mut self, _now: Instant, connection: super::Connection) -> Option<Stream> {
        let id = self.with(connection.0, Connection::open)??;
        Some(Stream(id as usize))
    }

    fn accept_stream(&mut self, connection: super::Connection) -> Option<Stream> {
        let id = self.with(connection.0, |it| it.waiting.pop_front())??;
        Some(Stream(id as usize))
    }

    fn write(
        &mut self,
        now: Instant,
        connection: super::Connection,
        stream: Stream,
        data: &[u8],
    ) -> usize {
        self.with(connection.0, |it| it.write(now, stream.0 as u32, data))
            .unwrap_or(0)
    }

    fn read(
        &mut self,
        now: Instant,
        connection: super::Connection,
        stream: Stream,
        max: usize,
    ) -> Read {
        self.with(connection.0, |it| it.read(now, stream.0 as u32, max))
            .unwrap_or(Read::Closed)
    }

    fn finish(&mut self, now: Instant, connection: super::Connection, stream: Stream) {
        self.with(connection.0, |it| it.finish(now, stream.0 as u32));
    }

    fn reset(&mut self, now: Instant, connection: super::Connection, stream: Stream, code: u32) {
        self.with(connection.0, |it| it.reset(now, stream.0 as u32, code));
    }

    fn close(&mut self, now: Instant, connection: super::Connection, code: u32) {
        self.with(connection.0, |it| it.close(now, code));
    }

    /// UDX 12: a number of 0, and nobody waits for the answer.
    fn ping(&mut self, now: Instant, connection: super::Connection) {
        self.with(connection.0, |it| it.send(now, (0, 0), vec![Frame::Ping]));
    }

    fn is_closed(&self, connection: super::Connection) -> bool {
        self.connections
            .get(connection.0)
            .is_none_or(|it| it.is_closed)
    }

    fn receive_order(&self, connection: super::Connection) -> Option<ReceiveOrder> {
        self.connections.get(connection.0)?.receive_order()
    }
}

/// UDX 15, UDX2 12.
const LARGEST: usize = 1600;
/// UDX 7.1, UDX2 5.1.
const EARLY_PACKETS: usize = 32;
const EARLY_IDS: usize = 256;
/// V11.
const WAITING: usize = 16;
/// Of the random numbers under a seed.
const PURPOSE: u64 = 0x60;
