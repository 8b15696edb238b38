//! Reading the vectors, which live with the engine's tests.

use std::path::{Path, PathBuf};

use gapless_lab::peers::wire::{Frame, Packet};
use serde_json::Value;

/// The vectors of one wire version, for example `v3`.
pub(crate) fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../udx/tests/vectors")
        .join(version)
}

pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The bytes that a string of hexadecimal digits names.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    assert!(digits.len().is_multiple_of(2));
    let digit = |digit: &u8| u8::try_from(char::from(*digit).to_digit(16).unwrap()).unwrap();
    digits
        .chunks(2)
        .map(|pair| digit(&pair[0]) * 16 + digit(&pair[1]))
        .collect()
}

pub(crate) fn word(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The packet that an entry of the golden file of version 3 describes.
pub(crate) fn golden_packet(value: &Value) -> Packet {
    Packet {
        version: word(&value["version"]),
        destination: hex(&value["destinationCid"]),
        source: hex(&value["sourceCid"]),
        sequence: word(&value["sequence"]),
        destination_stream: word(&value["destinationStreamId"]),
        source_stream: word(&value["sourceStreamId"]),
        frames: value["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(golden_frame)
            .collect(),
    }
}

fn golden_frame(value: &Value) -> Frame {
    let word = |key: &str| word(&value[key]);
    let long = |key: &str| value[key].as_u64().unwrap();
    match long("type") {
        0x00 => Frame::Padding,
        0x01 => Frame::Ping,
        0x02 => Frame::Ack {
            largest: word("largestAcked"),
            delay: u16::try_from(word("ackDelay")).unwrap(),
            first: word("firstAckRangeLength"),
            extra: ranges(&value["ranges"]),
        },
        0x03 => Frame::Stream {
            syn: value["syn"].as_bool().unwrap(),
            fin: value["fin"].as_bool().unwrap(),
            offset: long("offset"),
            data: hex(&value["data"]),
        },
        0x04 => Frame::WindowUpdate(word("limit")),
        0x05 => Frame::MaxData(long("maxData")),
        0x06 => Frame::ResetStream(word("errorCode")),
        0x07 => Frame::MaxStreams(word("maxStreams")),
        0x08 => Frame::MtuProbe {
            size: usize::try_from(long("size")).unwrap(),
        },
        0x09 => Frame::PathChallenge(hex(&value["data"]).try_into().unwrap()),
        0x0a => Frame::PathResponse(hex(&value["data"]).try_into().unwrap()),
        0x0b => Frame::ConnectionClose {
            code: word("errorCode"),
            frame: word("frameType"),
            reason: value["reason"].as_str().unwrap().as_bytes().to_vec(),
        },
        0x0d => Frame::StopSending {
            stream: word("streamId"),
            code: word("errorCode"),
        },
        0x0e => Frame::DataBlocked(long("limit")),
        0x0f => Frame::StreamDataBlocked {
            stream: word("streamId"),
            limit: long("limit"),
        },
        0x10 => Frame::NewConnectionId {
            index: long("sequence"),
            retire_below: long("retirePriorTo"),
            id: hex(&value["connectionId"]),
            token: hex(&value["resetToken"]).try_into().unwrap(),
        },
        0x11 => Frame::RetireConnectionId(long("sequence")),
        other => panic!("a golden frame of type {other:#x}"),
    }
}

pub(crate) fn ranges(value: &Value) -> Vec<(u8, u32)> {
    let range = |pair: &Value| {
        let gap = u8::try_from(word(&pair["gap"])).unwrap();
        (gap, word(&pair["length"]))
    };
    value.as_array().unwrap().iter().map(range).collect()
}
