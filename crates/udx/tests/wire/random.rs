//! Random frames, and random bytes.

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{
    Ack, ConnectionId, Datagram, Encoder, ExtraRanges, Frame, Header, MAX_VALUE, Stream, Version,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::harness;
use crate::vectors::encode;

/// A frame with its bytes beside it, since a strategy cannot lend.
#[derive(Clone, Debug)]
struct Owned {
    frame: Frame<'static>,
    bytes: Vec<u8>,
    ranges: Vec<[u8; 5]>,
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        match self.frame {
            Frame::Stream(stream) => Frame::Stream(Stream {
                data: &self.bytes,
                ..stream
            }),
            Frame::ConnectionClose {
                code, frame_type, ..
            } => Frame::ConnectionClose {
                code,
                frame_type,
                reason: &self.bytes,
            },
            Frame::Ack(ack) => Frame::Ack(Ack {
                extra: ExtraRanges::new(&self.ranges).unwrap(),
                ..ack
            }),
            other => other,
        }
    }
}

fn ids() -> impl Strategy<Value = ConnectionId> {
    let len = prop_oneof![Just(8), Just(0), Just(20), 0..=20usize];
    len.prop_flat_map(|len| vec(any::<u8>(), len))
        .prop_map(|id| ConnectionId::new(&id).unwrap())
}

fn headers() -> impl Strategy<Value = Header> {
    // Version 0 is not a packet's.
    (
        1..=u32::MAX,
        ids(),
        ids(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(version, destination, source, number, destination_stream, source_stream)| Header {
                version,
                destination,
                source,
                number: number.into(),
                destination_stream,
                source_stream,
            },
        )
}

fn bare_frames() -> impl Strategy<Value = Frame<'static>> {
    let value = || 0..=MAX_VALUE;
    let ack = |(largest, delay_ms, first): (u32, u16, u32)| {
        Frame::Ack(Ack {
            largest: largest.into(),
            delay_ms,
            first,
            extra: ExtraRanges::NONE,
        })
    };
    let stream = |(fin, syn, offset): (bool, bool, u64)| {
        Frame::Stream(Stream {
            fin,
            syn,
            offset,
            data: &[],
        })
    };
    prop_oneof![
        (1..40usize).prop_map(|len| Frame::Padding { len }),
        Just(Frame::Ping),
        any::<(u32, u16, u32)>().prop_map(ack),
        (any::<bool>(), any::<bool>(), 0..=MAX_VALUE - 2000).prop_map(stream),
        any::<u32>().prop_map(|limit| Frame::WindowUpdate {
            limit: limit.into()
        }),
        value().prop_map(|limit| Frame::MaxData { limit }),
        any::<u32>().prop_map(|code| Frame::ResetStream { code }),
        any::<u32>().prop_map(|count| Frame::MaxStreams { count }),
        any::<u64>().prop_map(|nonce| Frame::PathChallenge { nonce }),
        any::<u64>().prop_map(|nonce| Frame::PathResponse { nonce }),
        any::<(u32, u32)>().prop_map(|(code, frame_type)| Frame::ConnectionClose {
            code,
            frame_type,
            reason: &[]
        }),
        any::<(u32, u32)>().prop_map(|(stream, code)| Frame::StopSending { stream, code }),
        value().prop_map(|limit| Frame::DataBlocked { limit }),
        (any::<u32>(), value())
            .prop_map(|(stream, limit)| Frame::StreamDataBlocked { stream, limit }),
        (value(), value(), ids(), any::<[u8; 16]>()).prop_map(
            |(index, retire_below, id, token)| {
                Frame::NewConnectionId {
                    index,
                    retire_below,
                    id,
                    token: Token(token),
                }
            }
        ),
        value().prop_map(|index| Frame::RetireConnectionId { index }),
    ]
}

fn frames() -> impl Strategy<Value = Owned> {
    (
        bare_frames(),
        vec(any::<u8>(), 0..100),
        vec(any::<[u8; 5]>(), 0..=255),
    )
        .prop_map(|(frame, bytes, ranges)| Owned {
            frame,
            bytes,
            ranges,
        })
}

/// Runs of PADDING are one value when they are read.
fn joined<'a>(frames: impl Iterator<Item = Frame<'a>>) -> Vec<Frame<'a>> {
    let mut joined = Vec::new();
    for frame in frames {
        match (joined.last_mut(), frame) {
            (Some(Frame::Padding { len: before }), Frame::Padding { len }) => *before += len,
            _ => joined.push(frame),
        }
    }
    joined
}

proptest! {
    #[test]
    fn frames_survive(
        header in headers(),
        frames in vec(frames(), 0..8),
        probe in prop::option::of(1..1400usize),
    ) {
        let probe = probe.map(|size| Frame::MtuProbe { size });
        let frames = joined(frames.iter().map(Owned::frame).chain(probe));
        let datagram = encode(&header, frames.iter().copied());
        let Ok(Datagram::Packet(packet)) = Datagram::decode(&datagram) else { panic!() };
        prop_assert_eq!(packet.header(), &header);
        prop_assert_eq!(packet.frames().collect::<Vec<_>>(), frames);
        harness::check(&datagram);
    }

    /// A full buffer ends a packet between two frames, never within one.
    #[test]
    fn a_small_buffer_holds_whole_frames(
        header in headers(),
        frames in vec(frames(), 0..8),
        size in 0..1500usize,
    ) {
        let mut buffer = vec![0; size];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        let fits = encoder.header(&header).is_ok();
        prop_assert_eq!(fits, header.encoded_len() <= size);
        if !fits {
            return Ok(());
        }
        let taken = frames.iter().map(Owned::frame).filter(|frame| encoder.frame(frame).is_ok());
        let taken = joined(taken);
        let len = encoder.written();
        let Ok(Datagram::Packet(packet)) = Datagram::decode(&buffer[..len]) else { panic!() };
        prop_assert_eq!(packet.frames().collect::<Vec<_>>(), taken);
    }

    #[test]
    fn random_bytes(datagram in vec(any::<u8>(), 0..200)) {
        harness::check(&datagram);
    }

    /// Random bytes mostly fail at the header; these get past it.
    #[test]
    fn random_bytes_behind_a_header(
        header in headers(),
        payload in vec(prop_oneof![3 => 0..=0x12u8, 1 => any::<u8>()], 0..120),
    ) {
        let mut datagram = encode(&header, []);
        datagram.extend_from_slice(&payload);
        harness::check(&datagram);
    }

    #[test]
    fn damaged_packets(
        header in headers(),
        frames in vec(frames(), 1..4),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
    ) {
        let mut datagram = encode(&header, frames.iter().map(Owned::frame));
        for (at, byte) in damage {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        harness::check(&datagram);
        harness::check(&datagram[..cut.index(datagram.len())]);
    }
}
