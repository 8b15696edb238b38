//! The models' codec on version 2: frames as Go writes them and as Dart is known to, from reading it.

use gapless_lab::peers::wire::{
    Frame, Negotiation, Numbering, Packet, decode, decode_negotiation, encode, encode_negotiation,
    reset_token,
};
use serde_json::Value;

use crate::vectors::{folder, hex, json, ranges, word};

#[test]
fn the_frames_of_go_2() {
    assert_eq!(check("go-frames", Numbering::Go), 40);
}

#[test]
fn the_frames_of_dart_2() {
    assert_eq!(check("dart-frames", Numbering::Dart), 26);
}

/// Every file of a folder: the description is what is read, and what is written of it is the datagram.
fn check(name: &str, numbering: Numbering) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder("v2").join(name)).unwrap() {
        let path = entry.unwrap().path();
        let vector = json(&path);
        let (datagram, decoded) = (hex(&vector["hex"]), &vector["decoded"]);
        count += 1;
        if decoded["token"].is_string() {
            assert_eq!(reset_token(&datagram).unwrap()[..], hex(&decoded["token"]));
        } else if decoded["supported_versions"].is_array() {
            let negotiation = negotiation(decoded);
            assert_eq!(encode_negotiation(&negotiation), datagram, "{path:?}");
            assert_eq!(decode_negotiation(&datagram), Some(negotiation));
        } else {
            let packet = packet(decoded);
            assert_eq!(encode(&packet, numbering), datagram, "{path:?}");
            assert_eq!(decode(&datagram, numbering), Some(packet), "{path:?}");
        }
    }
    count
}

fn negotiation(decoded: &Value) -> Negotiation {
    let versions = decoded["supported_versions"].as_array().unwrap();
    Negotiation {
        destination: hex(&decoded["destination_cid"]),
        source: hex(&decoded["source_cid"]),
        versions: versions.iter().map(word).collect(),
    }
}

fn packet(decoded: &Value) -> Packet {
    let frames = decoded["frames"].as_array();
    Packet {
        version: word(&decoded["version"]),
        destination: hex(&decoded["destination_cid"]),
        source: hex(&decoded["source_cid"]),
        sequence: word(&decoded["sequence"]),
        destination_stream: word(&decoded["destination_stream_id"]),
        source_stream: word(&decoded["source_stream_id"]),
        frames: frames.map_or(Vec::new(), |frames| frames.iter().map(frame).collect()),
    }
}

fn frame(value: &Value) -> Frame {
    let word = |key: &str| word(&value[key]);
    let long = |key: &str| value[key].as_u64().unwrap();
    match value["name"].as_str().unwrap() {
        "PADDING" => Frame::Padding,
        "PING" => Frame::Ping,
        "ACK" => Frame::Ack {
            largest: word("largest"),
            delay: u16::try_from(word("delay_ms")).unwrap(),
            first: word("first_range_length"),
            extra: ranges(&value["ranges"]),
        },
        "STREAM" => Frame::Stream {
            syn: value["syn"].as_bool().unwrap(),
            fin: value["fin"].as_bool().unwrap(),
            offset: 0,
            data: match &value["data"] {
                Value::Null => pattern(long("data_length")),
                data => hex(data),
            },
        },
        "WINDOW_UPDATE" => Frame::WindowUpdate(word("window")),
        "MAX_DATA" => Frame::MaxData(long("max_data")),
        "RESET_STREAM" => Frame::ResetStream(word("error_code")),
        "MAX_STREAMS" => Frame::MaxStreams(word("max_streams")),
        "MTU_PROBE" => Frame::MtuProbe {
            size: usize::try_from(long("frame_length")).unwrap(),
        },
        "PATH_CHALLENGE" => Frame::PathChallenge(hex(&value["data"]).try_into().unwrap()),
        "PATH_RESPONSE" => Frame::PathResponse(hex(&value["data"]).try_into().unwrap()),
        "CONNECTION_CLOSE" => Frame::ConnectionClose {
            code: word("error_code"),
            frame: word("frame_type"),
            reason: value["reason"].as_str().unwrap().as_bytes().to_vec(),
        },
        "STOP_SENDING" => Frame::StopSending {
            stream: word("stream_id"),
            code: word("error_code"),
        },
        "DATA_BLOCKED" => Frame::DataBlocked(long("limit")),
        "STREAM_DATA_BLOCKED" => Frame::StreamDataBlocked {
            stream: word("stream_id"),
            limit: long("limit"),
        },
        "NEW_CONNECTION_ID" => Frame::NewConnectionId {
            index: long("cid_sequence"),
            retire_below: long("retire_prior_to"),
            id: hex(&value["cid"]),
            token: hex(&value["reset_token"]).try_into().unwrap(),
        },
        "RETIRE_CONNECTION_ID" => Frame::RetireConnectionId(long("cid_sequence")),
        other => panic!("a frame {other}"),
    }
}

/// What the vectors' long data are.
fn pattern(length: u64) -> Vec<u8> {
    let byte = |at: u64| u8::try_from((31 * at + at / 251) % 256).unwrap();
    (0..length).map(byte).collect()
}
