//! The models' codec, against what other implementations wrote or are known to write.

use gapless_lab::peers::wire::{
    Frame, Negotiation, Numbering, Packet, VERSION_3, decode, decode_as, decode_negotiation,
    encode, encode_negotiation, encode_reset, reset_token,
};
use serde_json::Value;

use crate::vectors::{folder, golden_packet, hex, json};

#[test]
fn the_golden_packets_of_version_3() {
    let golden = json(&folder("v3").join("go-v3.json"));
    let packets = golden["packets"].as_array().unwrap();
    assert_eq!(packets.len(), 44);
    for entry in packets {
        let (datagram, packet) = (hex(&entry["hex"]), golden_packet(&entry["packet"]));
        let name = &entry["name"];
        assert_eq!(encode(&packet, Numbering::Go), datagram, "{name}");
        assert_eq!(decode(&datagram, Numbering::Go), Some(packet), "{name}");
    }
    for entry in golden["versionNegotiation"].as_array().unwrap() {
        let versions = entry["supportedVersions"].as_array().unwrap();
        let negotiation = Negotiation {
            destination: hex(&entry["destinationCid"]),
            source: hex(&entry["sourceCid"]),
            versions: versions.iter().map(crate::vectors::word).collect(),
        };
        let datagram = hex(&entry["hex"]);
        assert_eq!(encode_negotiation(&negotiation), datagram);
        assert_eq!(decode_negotiation(&datagram), Some(negotiation));
    }
}

/// Damaged packets are refused, and what is read of the others is written as Go writes it.
#[test]
fn the_damaged_packets_of_version_3() {
    let golden = json(&folder("v3").join("go-v3.json"));
    let mut accepted = 0;
    for list in ["truncations", "fuzz"] {
        for entry in golden[list].as_array().unwrap() {
            let input = hex(&entry["input"]);
            let packet = decode_as(&input, VERSION_3, Numbering::Go);
            assert_eq!(packet.is_some(), entry["ok"] == true, "{}", entry["input"]);
            let Some(packet) = packet else { continue };
            accepted += 1;
            if entry["lossyReason"] == true {
                continue;
            }
            // The version decides how STREAM is written; here every input was read as version 3.
            let written = encode(&as_version_3(packet.clone()), Numbering::Go);
            let expected = as_written_by_go(&entry["reencoded"]);
            assert_eq!(written, expected, "{}", entry["input"]);
        }
    }
    assert!(accepted > 500, "{accepted}");
}

fn as_version_3(packet: Packet) -> Packet {
    Packet {
        version: VERSION_3,
        ..packet
    }
}

fn as_written_by_go(reencoded: &Value) -> Vec<u8> {
    let mut datagram = hex(reencoded);
    datagram[..4].copy_from_slice(&VERSION_3.to_be_bytes());
    datagram
}

/// Dart's frames from 0x0c on are one lower, in both directions.
#[test]
fn both_numberings() {
    let packet = |frame| Packet {
        version: VERSION_3,
        destination: vec![1; 8],
        source: vec![2; 8],
        sequence: 0,
        destination_stream: 7,
        source_stream: 9,
        frames: vec![frame],
    };
    let stop = packet(Frame::StopSending { stream: 9, code: 4 });
    let [go, dart] = [Numbering::Go, Numbering::Dart].map(|numbering| encode(&stop, numbering));
    assert_eq!((go[34], dart[34]), (0x0d, 0x0c));
    assert_eq!(decode(&dart, Numbering::Dart), Some(stop));
    // UDX 2.2: what each makes of the other's.
    assert_eq!(decode(&dart, Numbering::Go), None);
    assert_eq!(
        decode(&go, Numbering::Dart).map(|packet| packet.frames),
        Some(vec![Frame::DataBlocked(9 << 32 | 4)])
    );
    let blocked = packet(Frame::StreamDataBlocked {
        stream: 9,
        limit: 65536,
    });
    assert_eq!(
        decode(&encode(&blocked, Numbering::Go), Numbering::Dart),
        None
    );
    // 0x11 is no frame of Dart's.
    let retire = packet(Frame::RetireConnectionId(1));
    assert_eq!(
        decode(&encode(&retire, Numbering::Go), Numbering::Dart),
        None
    );
}

#[test]
fn stateless_resets() {
    let datagram = encode_reset(&[0x80; 23], [7; 16]);
    assert_eq!(reset_token(&datagram), Some([7; 16]));
    assert_eq!(reset_token(&datagram[1..]), None);
}

/// What Dart of version 3 writes, known from reading it.
#[test]
fn the_forms_of_dart_3() {
    let forms = json(&folder("v3").join("dart-v3-forms.json"));
    for form in forms["datagrams"].as_array().unwrap() {
        let datagram = hex(&form["hex"]);
        assert_eq!(form["length"], datagram.len());
        if let Some(negotiation) = decode_negotiation(&datagram) {
            assert_eq!(negotiation.versions, [3, 2, 1]);
            assert_eq!(encode_negotiation(&negotiation), datagram);
            continue;
        }
        let numbering = match form["version"].as_str() {
            Some("3.0.0") => Numbering::Dart,
            _ => Numbering::Go,
        };
        let packet = decode(&datagram, numbering).expect("a packet");
        assert_eq!(encode(&packet, numbering), datagram, "{}", form["name"]);
    }
}
