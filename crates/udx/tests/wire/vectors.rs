//! Reading the vectors: `tests/vectors/v3/README.md` explains them.

use std::path::{Path, PathBuf};

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{
    Ack, ConnectionId, Encoder, ExtraRanges, Frame, Frames, Header, Packet, Stream, Version, kind,
};
use serde_json::Value;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v3")
}

pub(crate) fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The bytes that a string of hexadecimal digits names.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    assert!(digits.is_ascii() && digits.len().is_multiple_of(2));
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// Bytes that live as long as the test process, so that frames may borrow them.
pub(crate) fn kept(value: &Value) -> &'static [u8] {
    hex(value).leak()
}

pub(crate) fn word(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

pub(crate) fn id(value: &Value) -> ConnectionId {
    ConnectionId::new(&hex(value)).unwrap()
}

/// The header that a golden packet describes.
pub(crate) fn header(packet: &Value) -> Header {
    Header {
        version: word(&packet["version"]),
        destination: id(&packet["destinationCid"]),
        source: id(&packet["sourceCid"]),
        number: word(&packet["sequence"]).into(),
        destination_stream: word(&packet["destinationStreamId"]),
        source_stream: word(&packet["sourceStreamId"]),
    }
}

/// The frame that a golden packet describes.
pub(crate) fn frame(frame: &Value) -> Frame<'static> {
    let long = |key: &str| frame[key].as_u64().unwrap();
    let word = |key: &str| word(&frame[key]);
    match u8::try_from(long("type")).unwrap() {
        kind::PADDING => Frame::Padding { len: 1 },
        kind::PING => Frame::Ping,
        kind::ACK => Frame::Ack(Ack {
            largest: word("largestAcked").into(),
            delay_ms: u16::try_from(long("ackDelay")).unwrap(),
            first: word("firstAckRangeLength"),
            extra: ExtraRanges::new(ranges(&frame["ranges"])).unwrap(),
        }),
        kind::STREAM => Frame::Stream(Stream {
            fin: frame["fin"].as_bool().unwrap(),
            syn: frame["syn"].as_bool().unwrap(),
            offset: long("offset"),
            data: kept(&frame["data"]),
        }),
        kind::WINDOW_UPDATE => Frame::WindowUpdate {
            limit: word("limit").into(),
        },
        kind::MAX_DATA => Frame::MaxData {
            limit: long("maxData"),
        },
        kind::RESET_STREAM => Frame::ResetStream {
            code: word("errorCode"),
        },
        kind::MAX_STREAMS => Frame::MaxStreams {
            count: word("maxStreams"),
        },
        kind::MTU_PROBE => Frame::MtuProbe {
            size: usize::try_from(long("size")).unwrap(),
        },
        kind::PATH_CHALLENGE => Frame::PathChallenge {
            nonce: nonce(&frame["data"]),
        },
        kind::PATH_RESPONSE => Frame::PathResponse {
            nonce: nonce(&frame["data"]),
        },
        kind::CONNECTION_CLOSE => Frame::ConnectionClose {
            code: word("errorCode"),
            frame_type: word("frameType"),
            reason: frame["reason"].as_str().unwrap().as_bytes().to_vec().leak(),
        },
        kind::STOP_SENDING => Frame::StopSending {
            stream: word("streamId"),
            code: word("errorCode"),
        },
        kind::DATA_BLOCKED => Frame::DataBlocked {
            limit: long("limit"),
        },
        kind::STREAM_DATA_BLOCKED => Frame::StreamDataBlocked {
            stream: word("streamId"),
            limit: long("limit"),
        },
        kind::NEW_CONNECTION_ID => Frame::NewConnectionId {
            index: long("sequence"),
            retire_below: long("retirePriorTo"),
            id: id(&frame["connectionId"]),
            token: Token(hex(&frame["resetToken"]).try_into().unwrap()),
        },
        kind::RETIRE_CONNECTION_ID => Frame::RetireConnectionId {
            index: long("sequence"),
        },
        other => panic!("a golden frame of type {other:#x}"),
    }
}

pub(crate) fn ranges(list: &Value) -> &'static [[u8; 5]] {
    let wire = |range: &Value| {
        let gap = u8::try_from(range["gap"].as_u64().unwrap()).unwrap();
        let [a, b, c, d] = word(&range["length"]).to_be_bytes();
        [gap, a, b, c, d]
    };
    list.as_array()
        .unwrap()
        .iter()
        .map(wire)
        .collect::<Vec<_>>()
        .leak()
}

pub(crate) fn nonce(bytes: &Value) -> u64 {
    u64::from_be_bytes(hex(bytes).try_into().unwrap())
}

/// What the encoder makes of a header and frames.
pub(crate) fn encode<'a>(header: &Header, frames: impl IntoIterator<Item = Frame<'a>>) -> Vec<u8> {
    encode_as(Version::V3, header, frames)
}

/// The same with the frames of a version.
pub(crate) fn encode_as<'a>(
    version: Version,
    header: &Header,
    frames: impl IntoIterator<Item = Frame<'a>>,
) -> Vec<u8> {
    let mut buffer = vec![0xaa; 70_000];
    let mut encoder = Encoder::new(&mut buffer, version);
    encoder.header(header).unwrap();
    assert_eq!(encoder.written(), header.encoded_len());
    for frame in frames {
        let before = encoder.written();
        encoder.frame(&frame).unwrap();
        assert_eq!(encoder.written() - before, frame.encoded_len(), "{frame:?}");
    }
    let len = encoder.written();
    buffer.truncate(len);
    buffer
}

/// What the encoder makes of a decoded packet.
pub(crate) fn encode_again(packet: &Packet<'_>) -> Vec<u8> {
    let frames: Frames<'_> = packet.frames();
    encode(packet.header(), frames)
}

/// Every JSON line of a recorded conversation, as direction and datagram.
pub(crate) fn conversation(path: &Path) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        (
            entry["dir"].as_str().unwrap().to_owned(),
            hex(&entry["hex"]),
        )
    };
    text.lines().map(line).collect()
}
