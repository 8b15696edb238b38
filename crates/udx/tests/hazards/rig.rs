//! One endpoint under test, and a peer made by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gapless_udx::wire::{
    Ack, ConnectionId, Encoder, ExtraRanges, Frame, Header, Packet, Stream, VERSION, Version,
};
use gapless_udx::{
    Connection, ConnectionConfig, ConnectionHandle, Endpoint, EndpointConfig, Event, Instant,
    Received, StreamId,
};

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
    let acks = seen.iter().filter_map(Seen::ack);
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
    let packet = Packet::decode_as(datagram, gapless_udx::wire::Dialect::V3).unwrap();
    Seen {
        at,
        to,
        len: datagram.len(),
        header: *packet.header(),
        frames: packet.frames().collect(),
    }
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

    pub(crate) fn with(config: EndpointConfig) -> Self {
        Rig::seeded(config, 7)
    }

    pub(crate) fn seeded(config: EndpointConfig, seed: u8) -> Self {
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
        let header = *Packet::decode_as(&first, gapless_udx::wire::Dialect::V3)
            .unwrap()
            .header();
        let hand = Hand {
            address: home(),
            own: header.destination,
            theirs: header.source,
        };
        (hand, stream)
    }

    /// Is dialed by the hand-made peer with these frames under number 0.
    pub(crate) fn dialed(&mut self, ids: (u32, u32), frames: &[Frame<'_>]) -> Hand {
        let hand = Hand::new(1);
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

/// What a peer made by hand knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand {
    pub(crate) address: SocketAddr,
    /// The ID in the source of its packets.
    pub(crate) own: ConnectionId,
    /// The ID that its packets go to.
    pub(crate) theirs: ConnectionId,
}

impl Hand {
    /// A dialer's view.
    pub(crate) fn new(n: u64) -> Self {
        Hand {
            address: home(),
            own: ConnectionId::new(&(n << 32 | 0xD1A1).to_be_bytes()).unwrap(),
            theirs: ConnectionId::new(&(n << 32 | 0xACCE).to_be_bytes()).unwrap(),
        }
    }

    pub(crate) fn packet(&self, number: u32, ids: (u32, u32), frames: &[Frame<'_>]) -> Vec<u8> {
        self.packet_of(VERSION, number, ids, frames)
    }

    pub(crate) fn packet_of(
        &self,
        version: u32,
        number: u32,
        (destination_stream, source_stream): (u32, u32),
        frames: &[Frame<'_>],
    ) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        let header = Header {
            version,
            destination: self.theirs,
            source: self.own,
            number: number.into(),
            destination_stream,
            source_stream,
        };
        encoder.header(&header).unwrap();
        for frame in frames {
            encoder.frame(frame).unwrap();
        }
        let len = encoder.written();
        buffer.truncate(len);
        buffer
    }

    /// Sends frames to the endpoint from where the peer is.
    pub(crate) fn send(&self, rig: &mut Rig, number: u32, ids: (u32, u32), frames: &[Frame<'_>]) {
        rig.give(self.address, &self.packet(number, ids, frames));
    }

    /// Answers the challenge among `seen`, so that the endpoint knows the peer's address.
    pub(crate) fn prove(&self, rig: &mut Rig, seen: &[Seen]) {
        let nonce = seen.iter().find_map(Seen::challenge).expect("no challenge");
        self.send(rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    }
}

pub(crate) fn stream(syn: bool, offset: u64, data: &[u8], fin: bool) -> Frame<'_> {
    Frame::Stream(Stream {
        fin,
        syn,
        offset,
        data,
    })
}

pub(crate) fn syn(data: &[u8]) -> Frame<'_> {
    stream(true, 0, data, false)
}

pub(crate) fn data(offset: u64, data: &[u8]) -> Frame<'_> {
    stream(false, offset, data, false)
}

pub(crate) fn fin(offset: u64) -> Frame<'static> {
    stream(false, offset, &[], true)
}

/// Acknowledges `count` numbers up to `largest`.
pub(crate) fn ack(largest: u32, count: u32) -> Frame<'static> {
    Frame::Ack(Ack {
        largest: largest.into(),
        delay_ms: 0,
        first: count,
        extra: ExtraRanges::NONE,
    })
}

/// A stream as a third implementation opens it: both IDs chosen, destination and source.
pub(crate) const CHOSEN: (u32, u32) = (0xC000_0001, 0x8000_0001);

/// As Go and JS dial: the connection alone, then a stream k->0.
pub(crate) fn dialed_like_go(rig: &mut Rig) -> Hand {
    rig.dialed((0, 0), &[syn(b"")])
}

/// As JS dials.
pub(crate) fn dialed_like_js(rig: &mut Rig) -> Hand {
    let limits = [
        syn(b""),
        Frame::MaxData { limit: 16_777_216 },
        Frame::MaxStreams { count: 1024 },
    ];
    rig.dialed((0, 0), &limits)
}

/// As Dart dials.
pub(crate) fn dialed_like_dart(rig: &mut Rig) -> Hand {
    rig.dialed((0x1234_5678, 0x0765_4321), &[syn(b"")])
}

/// The connection and one stream 1->0 are there, the address is proven, and nothing is outstanding but
/// what the endpoint does next.
pub(crate) fn open_with_go(rig: &mut Rig) -> (Hand, StreamId) {
    let hand = dialed_like_go(rig);
    let seen = rig.sent();
    hand.prove(rig, &seen);
    hand.send(rig, 1, (0, 1), &[syn(b"")]);
    rig.sent();
    let id = rig.accept();
    (hand, id)
}
