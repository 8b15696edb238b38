//! One endpoint under test, and a peer made by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gapless_udx::wire::{Ack, Frame, Header, Ordered, Packet, Stream, Version, peek_destination};
use gapless_udx::{
    Connection, ConnectionConfig, ConnectionHandle, Endpoint, EndpointConfig, Event, Instant,
    Received, StreamId, VersionChoice,
};

pub(crate) use crate::hand::*;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Where the hand-made peer is.
pub(crate) fn home() -> SocketAddr {
    "10.0.0.2:2000".parse().unwrap()
}

/// Somewhere else.
pub(crate) fn elsewhere() -> SocketAddr {
    "10.0.0.3:3000".parse().unwrap()
}

/// What the recorded conversations carry (README of the vectors).
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (31 * i + i / 251) as u8).collect()
}

/// A packet that the endpoint sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) to: SocketAddr,
    pub(crate) len: usize,
    pub(crate) header: Header,
    pub(crate) frames: Vec<Frame<'static>>,
}

impl Seen {
    pub(crate) fn number(&self) -> u32 {
        self.header.number.raw() as u32
    }

    /// Destination and source.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.header.destination_stream, self.header.source_stream)
    }

    pub(crate) fn stream(&self) -> Option<Stream<'static>> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::Stream(stream) => Some(*stream),
            _ => None,
        })
    }

    /// The STREAM frame of a version 2 packet.
    pub(crate) fn ordered(&self) -> Option<Ordered<'static>> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::Ordered(part) => Some(*part),
            _ => None,
        })
    }

    /// Whether the packet takes a number by a STREAM frame.
    pub(crate) fn is_numbered(&self) -> bool {
        self.has(Frame::is_numbered_stream)
    }

    /// Every ACK frame of the packet.
    pub(crate) fn acks(&self) -> Vec<Ack<'static>> {
        let acks = self.frames.iter().filter_map(|frame| match frame {
            Frame::Ack(ack) => Some(*ack),
            _ => None,
        });
        acks.collect()
    }

    pub(crate) fn ack(&self) -> Option<Ack<'static>> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::Ack(ack) => Some(*ack),
            _ => None,
        })
    }

    pub(crate) fn challenge(&self) -> Option<u64> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::PathChallenge { nonce } => Some(*nonce),
            _ => None,
        })
    }

    pub(crate) fn response(&self) -> Option<u64> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::PathResponse { nonce } => Some(*nonce),
            _ => None,
        })
    }

    pub(crate) fn has(&self, is: impl Fn(&Frame<'static>) -> bool) -> bool {
        self.frames.iter().any(is)
    }

    pub(crate) fn closes(&self) -> Option<u32> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::ConnectionClose { code, .. } => Some(*code),
            _ => None,
        })
    }

    pub(crate) fn resets(&self) -> Option<u32> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::ResetStream { code } => Some(*code),
            _ => None,
        })
    }
}

/// The numbers that some packets acknowledge.
pub(crate) fn acknowledged(seen: &[Seen]) -> Vec<u64> {
    let acks = seen.iter().flat_map(Seen::acks);
    let mut numbers: Vec<u64> = acks
        .flat_map(|ack| ack.ranges(ack.largest.raw()).flatten().collect::<Vec<_>>())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Reads a datagram that the endpoint made.
pub(crate) fn decode(at: Instant, to: SocketAddr, datagram: Vec<u8>) -> Seen {
    // So that frames may borrow it.
    let datagram: &'static [u8] = datagram.leak();
    let packet = understood(datagram);
    Seen {
        at,
        to,
        len: datagram.len(),
        header: *packet.header(),
        frames: packet.frames().collect(),
    }
}

/// A packet of either version.
pub(crate) fn understood(datagram: &[u8]) -> Packet<'_> {
    let (version, _) = peek_destination(datagram).unwrap();
    let version = Version::from_wire(version).expect("a version spoken here");
    Packet::decode_as(datagram, version.dialect()).unwrap()
}

/// An endpoint in virtual time; all that it sends is kept.
pub(crate) struct Rig {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
    pub(crate) raw: Vec<(Instant, SocketAddr, Vec<u8>)>,
    pub(crate) events: Vec<Event>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Rig::with(EndpointConfig::default())
    }

    /// Without MTU probes, whose numbers are in the way where a test counts them.
    pub(crate) fn counted() -> Self {
        let connection = ConnectionConfig {
            mtu_search: false,
            ..ConnectionConfig::default()
        };
        Rig::with(EndpointConfig {
            connection,
            ..EndpointConfig::default()
        })
    }

    /// Dials and accepts in version 2.
    pub(crate) fn version2() -> Self {
        Rig::with(version2())
    }

    pub(crate) fn with(config: EndpointConfig) -> Self {
        Rig::seeded(config, 7)
    }

    /// Where nothing is said of the version, a dialer that knows its peer.
    pub(crate) fn seeded(mut config: EndpointConfig, seed: u8) -> Self {
        if config.connection.version == VersionChoice::default() {
            config.connection.version = VersionChoice::Only(Version::V3);
        }
        Rig::exactly(config, seed)
    }

    /// Without any setting of the test's own.
    pub(crate) fn exactly(config: EndpointConfig, seed: u8) -> Self {
        Rig {
            endpoint: Endpoint::new(config, [seed; 32]),
            now: Instant::from_nanos(1_000_000_000),
            raw: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Hands over a datagram and takes what the endpoint answers at once.
    pub(crate) fn give(&mut self, from: SocketAddr, data: &[u8]) {
        let received = Received {
            from,
            ecn: None,
            segment_size: data.len(),
            data,
        };
        self.endpoint.handle(self.now, received);
        self.drain();
    }

    /// R8: asking ends. R9: then the next deadline is later than now. R10: `check`.
    pub(crate) fn drain(&mut self) {
        let mut buffer = vec![0; 70_000];
        let mut trains = 0;
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut buffer) {
            trains += 1;
            assert!(trains < 5000, "R8: sending does not end");
            assert!(transmit.len > 0 && transmit.segment_size > 0);
            for datagram in buffer[..transmit.len].chunks(transmit.segment_size) {
                self.raw.push((self.now, transmit.to, datagram.to_vec()));
            }
        }
        let next = self.endpoint.next_deadline();
        assert!(
            next.is_none_or(|at| at > self.now),
            "R9: {next:?} is not after {:?}",
            self.now
        );
        self.endpoint.check().unwrap();
        while let Some((_, event)) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// Lets time pass, with everything that is due on the way.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1_000_000 {
            self.drain();
            match self.endpoint.next_deadline().filter(|at| *at <= end) {
                Some(at) => self.now = at,
                None => {
                    self.now = end;
                    return;
                }
            }
            self.endpoint.handle_timeout(self.now);
        }
        panic!("a busy loop at {:?}", self.now);
    }

    /// The packets sent since the last call.
    pub(crate) fn sent(&mut self) -> Vec<Seen> {
        self.drain();
        let raw = std::mem::take(&mut self.raw);
        raw.into_iter()
            .map(|(at, to, datagram)| decode(at, to, datagram))
            .collect()
    }

    pub(crate) fn only(&self) -> ConnectionHandle {
        let mut handles = self.endpoint.connections();
        let handle = handles.next().expect("no connection");
        assert!(handles.next().is_none(), "more than one connection");
        handle
    }

    /// The only connection.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        let handle = self.only();
        self.endpoint.connection_mut(handle).unwrap()
    }

    /// Dials the hand-made peer, whose view of the connection this returns, with the first stream.
    pub(crate) fn dial(&mut self) -> (Hand, StreamId) {
        let handle = self.endpoint.connect(self.now, home()).unwrap();
        let connection = self.endpoint.connection_mut(handle).unwrap();
        let stream = connection.open().unwrap();
        self.drain();
        let (_, _, first) = self.raw.last().expect("a first packet").clone();
        let header = *understood(&first).header();
        let hand = Hand {
            version: Version::from_wire(header.version).unwrap(),
            address: home(),
            own: header.destination,
            theirs: header.source,
        };
        (hand, stream)
    }

    /// Is dialed by the hand-made peer with these frames under number 0.
    pub(crate) fn dialed(&mut self, ids: (u32, u32), frames: &[Frame<'_>]) -> Hand {
        self.dialed_by(Hand::new(1), ids, frames)
    }

    pub(crate) fn dialed_by(&mut self, hand: Hand, ids: (u32, u32), frames: &[Frame<'_>]) -> Hand {
        self.give(hand.address, &hand.packet(0, ids, frames));
        hand
    }

    /// The stream that the peer opened last and the application has not taken yet.
    pub(crate) fn accept(&mut self) -> StreamId {
        self.connection().accept().expect("no stream")
    }

    pub(crate) fn read(&mut self, id: StreamId) -> Vec<u8> {
        let mut data = Vec::new();
        while let Ok(Some(bytes)) = self.connection().read(id, usize::MAX) {
            data.extend_from_slice(&bytes);
        }
        self.drain();
        data
    }

    /// Whether the reader has come to the end of the stream.
    pub(crate) fn ended(&mut self, id: StreamId) -> bool {
        self.connection().read(id, 1) == Ok(None)
    }

    /// Writes as much as the stream takes.
    pub(crate) fn write(&mut self, id: StreamId, data: &[u8]) -> usize {
        let mut left = Bytes::copy_from_slice(data);
        while !left.is_empty() && self.connection().write(id, &mut left).is_ok() {}
        self.drain();
        data.len() - left.len()
    }

    pub(crate) fn finish(&mut self, id: StreamId) {
        self.connection().finish(id).unwrap();
        self.drain();
    }

    pub(crate) fn saw(&mut self, event: &Event) -> bool {
        self.events.contains(event)
    }
}

/// Dials and accepts in version 2, without MTU probes.
pub(crate) fn version2() -> EndpointConfig {
    let connection = ConnectionConfig {
        version: VersionChoice::Only(Version::V2),
        mtu_search: false,
        ..ConnectionConfig::default()
    };
    EndpointConfig {
        connection,
        accept_versions: vec![Version::V3, Version::V2],
        ..EndpointConfig::default()
    }
}
