//! What the encoder refuses, and that a refusal writes nothing.

use gapless_udx::wire::reset::{self, Token};
use gapless_udx::wire::{
    Ack, ConnectionId, Datagram, EncodeError, Encoder, ExtraRanges, Frame, Header, MAX_VALUE,
    Stream, Version,
};

fn header() -> Header {
    Header {
        version: 3,
        destination: ConnectionId::new(&[1; 8]).unwrap(),
        source: ConnectionId::new(&[2; 8]).unwrap(),
        number: 5.into(),
        destination_stream: 6,
        source_stream: 7,
    }
}

/// One frame of each type, with what varies in size not empty.
fn frames() -> Vec<Frame<'static>> {
    let extra = ExtraRanges::new(&[[1, 0, 0, 0, 1], [2, 0, 0, 0, 2]]).unwrap();
    vec![
        Frame::Padding { len: 3 },
        Frame::Ping,
        Frame::Ack(Ack {
            largest: 99.into(),
            delay_ms: 1,
            first: 2,
            extra,
        }),
        Frame::Stream(Stream {
            fin: true,
            syn: true,
            offset: 77,
            data: b"data",
        }),
        Frame::WindowUpdate { limit: 1.into() },
        Frame::MaxData { limit: 2 },
        Frame::ResetStream { code: 3 },
        Frame::MaxStreams { count: 4 },
        Frame::PathChallenge { nonce: u64::MAX },
        Frame::PathResponse { nonce: 5 },
        Frame::ConnectionClose {
            code: 6,
            frame_type: 7,
            reason: b"why",
        },
        Frame::StopSending { stream: 8, code: 9 },
        Frame::DataBlocked { limit: 10 },
        Frame::StreamDataBlocked {
            stream: 11,
            limit: 12,
        },
        Frame::NewConnectionId {
            index: 13,
            retire_below: 14,
            id: ConnectionId::new(&[15; 5]).unwrap(),
            token: Token([16; 16]),
        },
        Frame::RetireConnectionId { index: 17 },
        Frame::MtuProbe { size: 20 },
    ]
}

#[test]
fn nothing_is_written_where_there_is_no_room() {
    let header = header();
    for short in 0..header.encoded_len() {
        let mut buffer = vec![0xaa; short];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        assert_eq!(encoder.header(&header), Err(EncodeError::NoRoom));
        assert_eq!(encoder.written(), 0);
        assert!(buffer.iter().all(|byte| *byte == 0xaa));
    }
    for frame in frames() {
        let len = frame.encoded_len();
        for room in 0..len {
            let mut buffer = vec![0xaa; room];
            let mut encoder = Encoder::new(&mut buffer, Version::V3);
            assert_eq!(encoder.frame(&frame), Err(EncodeError::NoRoom), "{frame:?}");
            assert_eq!((encoder.written(), encoder.remaining()), (0, room));
            assert!(
                buffer.iter().all(|byte| *byte == 0xaa),
                "{frame:?} wrote into {room} bytes"
            );
        }
        let mut buffer = vec![0xaa; len];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        assert_eq!(encoder.frame(&frame), Ok(()), "{frame:?}");
        assert_eq!((encoder.written(), encoder.remaining()), (len, 0));
    }
}

#[test]
fn values_that_js_refuses_are_not_sent() {
    let stream = |offset, data| {
        Frame::Stream(Stream {
            fin: false,
            syn: false,
            offset,
            data,
        })
    };
    let id = |index, retire_below| Frame::NewConnectionId {
        index,
        retire_below,
        id: ConnectionId::EMPTY,
        token: Token([0; 16]),
    };
    let frames = |value: u64| {
        [
            stream(value, b""),
            stream(value.wrapping_sub(3), b"abc"),
            Frame::MaxData { limit: value },
            Frame::DataBlocked { limit: value },
            Frame::StreamDataBlocked {
                stream: 1,
                limit: value,
            },
            id(value, 0),
            id(0, value),
            Frame::RetireConnectionId { index: value },
        ]
    };
    let mut buffer = [0; 100];
    for frame in frames(MAX_VALUE) {
        assert_eq!(
            Encoder::new(&mut buffer, Version::V3).frame(&frame),
            Ok(()),
            "{frame:?}"
        );
    }
    for frame in frames(MAX_VALUE + 1).into_iter().chain(frames(u64::MAX)) {
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        assert_eq!(
            encoder.frame(&frame),
            Err(EncodeError::ValueTooLarge),
            "{frame:?}"
        );
        assert_eq!(encoder.written(), 0);
    }
    let mut encoder = Encoder::new(&mut buffer, Version::V3);
    let refused = encoder
        .stream_header(false, false, MAX_VALUE, 1)
        .map(|room| room.len());
    assert_eq!(refused, Err(EncodeError::ValueTooLarge));
}

#[test]
fn data_beyond_a_length_field() {
    let bytes = vec![0; 65_536];
    let mut buffer = vec![0; 70_000];
    for (data, expected) in [
        (&bytes[..], Err(EncodeError::DataTooLong)),
        (&bytes[..65_535], Ok(())),
    ] {
        let stream = Frame::Stream(Stream {
            fin: false,
            syn: false,
            offset: 0,
            data,
        });
        let close = Frame::ConnectionClose {
            code: 0,
            frame_type: 0,
            reason: data,
        };
        for frame in [stream, close] {
            assert_eq!(
                Encoder::new(&mut buffer, Version::V3).frame(&frame),
                expected
            );
        }
    }
}

#[test]
fn a_probe_is_the_last_frame_and_fills_the_packet() {
    let mut buffer = [0xaa; 1300];
    let mut encoder = Encoder::new(&mut buffer, Version::V3);
    encoder.header(&header()).unwrap();
    encoder.frame(&Frame::Ping).unwrap();
    assert_eq!(encoder.pad_probe(1301), Err(EncodeError::NoRoom));
    assert_eq!(
        encoder.pad_probe(encoder.written()),
        Err(EncodeError::NoRoom)
    );
    assert_eq!(encoder.pad_probe(0), Err(EncodeError::NoRoom));
    assert_eq!(encoder.pad_probe(1280), Ok(()));
    assert_eq!(
        (
            encoder.written(),
            encoder.remaining(),
            encoder.stream_room()
        ),
        (1280, 0, 0)
    );
    assert_eq!(encoder.frame(&Frame::Ping), Err(EncodeError::AfterProbe));
    assert_eq!(
        encoder.ack(0, [1..=2].into_iter(), 0),
        Err(EncodeError::AfterProbe)
    );
    let refused = encoder
        .stream_header(false, false, 0, 0)
        .map(|room| room.len());
    assert_eq!(refused, Err(EncodeError::AfterProbe));
    assert_eq!(encoder.pad_probe(1300), Err(EncodeError::AfterProbe));

    let Ok(Datagram::Packet(packet)) = Datagram::decode(&buffer[..1280]) else {
        panic!()
    };
    let size = 1280 - header().encoded_len() - 1;
    assert!(packet.frames().eq([Frame::Ping, Frame::MtuProbe { size }]));
    assert!(packet.payload()[2..].iter().all(|byte| *byte == 0));
    assert_eq!(buffer[1280..], [0xaa; 20]);
}

#[test]
fn stream_data_are_filled_in_place() {
    let mut buffer = [0; 60];
    let mut encoder = Encoder::new(&mut buffer, Version::V3);
    encoder.header(&header()).unwrap();
    let room = encoder.stream_room();
    assert_eq!(usize::from(room), 60 - 34 - 12);
    encoder
        .stream_header(true, false, 1372, room)
        .unwrap()
        .fill(b'x');
    assert_eq!((encoder.stream_room(), encoder.remaining()), (0, 0));

    let Ok(Datagram::Packet(packet)) = Datagram::decode(&buffer) else {
        panic!()
    };
    let data = &[b'x'; 14];
    assert!(packet.frames().eq([Frame::Stream(Stream {
        fin: false,
        syn: true,
        offset: 1372,
        data
    })]));
}

/// UDX 2.5: 39 to 64 bytes, smaller than what it answers, the top bit set, the token at the end.
#[test]
fn stateless_resets() {
    let token = Token([7; 16]);
    let random = [0x11; reset::FILLER_LEN];
    for provoked_by in 0..1500 {
        let mut buffer = [0; 64];
        let len = reset::encode(&mut buffer, provoked_by, token, &random);
        assert_eq!(
            len,
            (provoked_by > 39).then(|| (provoked_by - 1).min(64)),
            "{provoked_by}"
        );
        let Some(len) = len else {
            assert_eq!(buffer, [0; 64]);
            continue;
        };
        let answer = &buffer[..len];
        assert!(len >= reset::MIN_LEN && len < provoked_by && answer[0] & 0x80 != 0);
        assert_eq!(Token::of(answer), Some(token));
        assert!(!matches!(
            Datagram::decode(answer),
            Ok(Datagram::VersionNegotiation(_))
        ));
    }
    assert_eq!(reset::encode(&mut [0; 63], 1200, token, &random), None);
    let mut other = [7; 16];
    other[15] = 8;
    assert_ne!(Token(other), token);
}
