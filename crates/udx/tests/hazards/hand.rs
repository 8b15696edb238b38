//! A peer made by hand: what it knows, and what it says.

use std::net::SocketAddr;

use gapless_udx::StreamId;
use gapless_udx::wire::{
    Ack, ConnectionId, Encoder, ExtraRanges, Frame, Header, Ordered, Stream, Version,
};

use crate::rig::{Rig, Seen, home};

/// What a peer made by hand knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand {
    pub(crate) version: Version,
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
            version: Version::V3,
            address: home(),
            own: ConnectionId::new(&(n << 32 | 0xD1A1).to_be_bytes()).unwrap(),
            theirs: ConnectionId::new(&(n << 32 | 0xACCE).to_be_bytes()).unwrap(),
        }
    }

    /// A dialer's view, in version 2.
    pub(crate) fn version2(n: u64) -> Self {
        let version = Version::V2;
        Hand {
            version,
            ..Hand::new(n)
        }
    }

    pub(crate) fn packet(&self, number: u32, ids: (u32, u32), frames: &[Frame<'_>]) -> Vec<u8> {
        self.packet_of(self.version.wire(), number, ids, frames)
    }

    pub(crate) fn packet_of(
        &self,
        version: u32,
        number: u32,
        (destination_stream, source_stream): (u32, u32),
        frames: &[Frame<'_>],
    ) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let mut encoder = Encoder::new(&mut buffer, self.version);
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
            // Version 2 has no place for an offset.
            let frame = match (self.version, *frame) {
                (Version::V2, Frame::Stream(Stream { fin, syn, data, .. })) => {
                    Frame::Ordered(Ordered { fin, syn, data })
                }
                (_, frame) => frame,
            };
            encoder.frame(&frame).unwrap();
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
