//! Reading the vectors of version 2: `tests/vectors/v2/README.md` explains them.

use std::path::PathBuf;

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{Ack, ExtraRanges, Frame, Header, Ordered};
use serde_json::Value;

use crate::vectors::{hex, id, kept, nonce, ranges, word};

pub(crate) fn folder() -> PathBuf {
    crate::vectors::folder().with_file_name("v2")
}

/// The files of a folder by name.
pub(crate) fn files(kind: &str) -> Vec<(String, Value)> {
    let mut files: Vec<(String, Value)> = std::fs::read_dir(folder().join(kind))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

pub(crate) fn header(packet: &Value) -> Header {
    Header {
        version: word(&packet["version"]),
        destination: id(&packet["destination_cid"]),
        source: id(&packet["source_cid"]),
        number: word(&packet["sequence"]).into(),
        destination_stream: word(&packet["destination_stream_id"]),
        source_stream: word(&packet["source_stream_id"]),
    }
}

/// The frames that a vector describes, runs of PADDING as one.
pub(crate) fn frames(packet: &Value) -> Vec<Frame<'static>> {
    let mut joined = Vec::new();
    for value in packet["frames"].as_array().into_iter().flatten() {
        let version = word(&packet["version"]);
        match (joined.last_mut(), frame(value, version)) {
            (Some(Frame::Padding { len: before }), Frame::Padding { len }) => *before += len,
            (_, frame) => joined.push(frame),
        }
    }
    joined
}

fn frame(frame: &Value, version: u32) -> Frame<'static> {
    let long = |key: &str| frame[key].as_u64().unwrap();
    let word = |key: &str| word(&frame[key]);
    match frame["name"].as_str().unwrap() {
        "PADDING" => Frame::Padding { len: 1 },
        "PING" => Frame::Ping,
        "ACK" => Frame::Ack(Ack {
            largest: word("largest").into(),
            delay_ms: u16::try_from(long("delay_ms")).unwrap(),
            first: word("first_range_length"),
            extra: ExtraRanges::new(ranges(&frame["ranges"])).unwrap(),
        }),
        "STREAM" => stream(frame, version),
        "WINDOW_UPDATE" => Frame::WindowUpdate {
            limit: word("window").into(),
        },
        "MAX_DATA" => Frame::MaxData {
            limit: long("max_data"),
        },
        "RESET_STREAM" => Frame::ResetStream {
            code: word("error_code"),
        },
        "MAX_STREAMS" => Frame::MaxStreams {
            count: word("max_streams"),
        },
        "MTU_PROBE" => Frame::MtuProbe {
            size: usize::try_from(long("frame_length")).unwrap(),
        },
        "PATH_CHALLENGE" => Frame::PathChallenge {
            nonce: nonce(&frame["data"]),
        },
        "PATH_RESPONSE" => Frame::PathResponse {
            nonce: nonce(&frame["data"]),
        },
        "CONNECTION_CLOSE" => Frame::ConnectionClose {
            code: word("error_code"),
            frame_type: word("frame_type"),
            reason: frame["reason"].as_str().unwrap().as_bytes().to_vec().leak(),
        },
        "STOP_SENDING" => Frame::StopSending {
            stream: word("stream_id"),
            code: word("error_code"),
        },
        "DATA_BLOCKED" => Frame::DataBlocked {
            limit: long("limit"),
        },
        "STREAM_DATA_BLOCKED" => Frame::StreamDataBlocked {
            stream: word("stream_id"),
            limit: long("limit"),
        },
        "NEW_CONNECTION_ID" => Frame::NewConnectionId {
            index: long("cid_sequence"),
            retire_below: long("retire_prior_to"),
            id: id(&frame["cid"]),
            token: Token(hex(&frame["reset_token"]).try_into().unwrap()),
        },
        "RETIRE_CONNECTION_ID" => Frame::RetireConnectionId {
            index: long("cid_sequence"),
        },
        other => panic!("a vector's {other}"),
    }
}

fn stream(frame: &Value, version: u32) -> Frame<'static> {
    let len = usize::try_from(frame["data_length"].as_u64().unwrap()).unwrap();
    let data = match &frame["data"] {
        Value::Null => pattern(len).leak(),
        data => kept(data),
    };
    assert_eq!(data.len(), len);
    let ordered = Ordered {
        fin: frame["fin"].as_bool().unwrap(),
        syn: frame["syn"].as_bool().unwrap(),
        data,
    };
    match version {
        2 => Frame::Ordered(ordered),
        _ => Frame::Stream(ordered.at(frame["offset"].as_u64().unwrap())),
    }
}

/// Long data of the vectors.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((31 * i + i / 251) % 256) as u8).collect()
}
