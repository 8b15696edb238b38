//! The vectors of version 2, and what tells its frames apart: `tests/vectors/v2/README.md` explains the files.

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{
    ConnectionId, Datagram, DecodeError, Dialect, EncodeError, Encoder, Frame, Header, Ordered,
    Packet, Stream, Version, VersionNegotiation, kind, peek_destination,
};
use serde_json::Value;

use crate::harness;
use crate::vectors::{encode_as, hex, id, word};
use crate::vectors_v2::{files, folder, frames, header};

/// UDX2 2.3, and the golden form of every frame in both directions.
#[test]
fn frames_of_go() {
    let mut negotiations = 0;
    let files = files("go-frames");
    assert_eq!(files.len(), 40);
    for (name, vector) in files {
        let (bytes, described) = (hex(&vector["hex"]), &vector["decoded"]);
        match Datagram::decode_as(&bytes, Dialect::V2).unwrap() {
            Datagram::VersionNegotiation(list) => {
                negotiations += 1;
                check_negotiation(&list, described, &bytes);
            }
            Datagram::Packet(packet) => {
                assert_eq!(packet.header(), &header(described), "{name}");
                assert!(packet.frames().eq(frames(described)), "{name}: {packet:?}");
                let written = encode_as(Version::V2, packet.header(), packet.frames());
                assert_eq!(written, bytes, "{name}");
            }
        }
        harness::check(&bytes);
    }
    assert_eq!(negotiations, 2);
}

/// UDX2 2.2: what Dart numbers differently is read as what it means, and written with the number that Go gives it.
#[test]
fn frames_of_dart() {
    let mut renumbered = Vec::new();
    let files = files("dart-frames");
    assert_eq!(files.len(), 26);
    for (name, vector) in files {
        let (bytes, described) = (hex(&vector["hex"]), &vector["decoded"]);
        harness::check(&bytes);
        match Datagram::decode_as(&bytes, Dialect::V2) {
            Ok(Datagram::VersionNegotiation(list)) => check_negotiation(&list, described, &bytes),
            Ok(Datagram::Packet(packet)) => {
                assert_eq!(packet.header(), &header(described), "{name}");
                assert!(packet.frames().eq(frames(described)), "{name}: {packet:?}");
                let mut written = encode_as(Version::V2, packet.header(), packet.frames());
                let at = packet.header().encoded_len();
                if written[at] != bytes[at] {
                    renumbered.push(bytes[at]);
                    assert_eq!(written[at], bytes[at] + 1, "{name}");
                    assert!(bytes[at] >= kind::DART30_STOP_SENDING, "{name}");
                    written[at] = bytes[at];
                }
                assert_eq!(written, bytes, "{name}");
                let stops = bytes[at] == kind::DART30_STOP_SENDING;
                assert_eq!(packet.speaks_dart30(), stops, "{name}");
            }
            // UDX2 2.5: its fifth byte is no length of an id.
            Err(_) => {
                assert_eq!(name, "26-stateless-reset.json");
                let token = hex(&described["token"]).try_into().unwrap();
                assert_eq!(Token::of(&bytes), Some(Token(token)));
            }
        }
    }
    assert_eq!(renumbered, [0x0c, 0x0d, 0x0e, 0x0f, 0x10]);
}

#[test]
fn malformed_datagrams_are_dropped_whole() {
    let files = files("malformed");
    assert_eq!(files.len(), 18);
    for (name, vector) in files {
        let bytes = hex(&vector["hex"]);
        harness::check(&bytes);
        let decoded = Datagram::decode_as(&bytes, Dialect::V2);
        if name == "07-unknown-0c.json" {
            // UDX2 D1: only Go drops it, because it is Dart's STOP_SENDING.
            let Ok(Datagram::Packet(packet)) = decoded else {
                panic!("{decoded:?}")
            };
            assert!(
                packet
                    .frames()
                    .eq([Frame::StopSending { stream: 2, code: 9 }])
            );
            continue;
        }
        let error = decoded.map(|_| ()).unwrap_err();
        let expected = match name.split('-').next().unwrap() {
            "01" | "02" => matches!(error, DecodeError::TooShort { .. }),
            "03" | "04" => matches!(error, DecodeError::ConnectionIdTooLong { len: 21, .. }),
            "05" | "06" => matches!(error, DecodeError::FieldPastEnd(_)),
            "08" => error == DecodeError::UnknownFrame { kind: 0x12 },
            "09" => error == DecodeError::UnknownFrame { kind: 0xff },
            "17" => error == DecodeError::NewConnectionIdTooLong { len: 21 },
            _ => matches!(error, DecodeError::TruncatedFrame { .. }),
        };
        assert!(expected, "{name}: {error}");
    }
}

/// UDX2 18.2: the packets of the version after this one, as they were derived then.
#[test]
fn previews_of_version_3() {
    let files = files("v3-preview");
    assert_eq!(files.len(), 5);
    for (name, vector) in files {
        let (bytes, described) = (hex(&vector["hex"]), &vector["decoded"]);
        let (version, _) = peek_destination(&bytes).unwrap();
        let dialect = Version::from_wire(version).unwrap().dialect();
        let packet = Packet::decode_as(&bytes, dialect).unwrap();
        assert_eq!(packet.header(), &header(described), "{name}");
        assert!(packet.frames().eq(frames(described)), "{name}: {packet:?}");
        let written = encode_as(Version::V3, packet.header(), packet.frames());
        assert_eq!(written, bytes, "{name}");
    }
}

/// Every recorded datagram of version 2 is understood, and written the same.
#[test]
fn recorded_conversations() {
    let (mut packets, mut negotiations, mut renumbered) = (0, 0, 0);
    let folder = folder().join("conversations");
    for file in std::fs::read_dir(folder).unwrap() {
        for (_, datagram) in crate::vectors::conversation(&file.unwrap().path()) {
            harness::check(&datagram);
            match Datagram::decode_as(&datagram, Dialect::V2).unwrap() {
                Datagram::VersionNegotiation(_) => negotiations += 1,
                Datagram::Packet(packet) => {
                    packets += 1;
                    let again = encode_as(Version::V2, packet.header(), packet.frames());
                    let kinds: Vec<u8> = packet.frames().map(|frame| frame.kind()).collect();
                    if kinds.iter().all(|kind| *kind < kind::DART30_STOP_SENDING) {
                        assert_eq!(again, datagram);
                    } else {
                        // A hand-made peer tried Dart's numbers on Go (UDX2 2.2).
                        renumbered += 1;
                        assert_eq!((again.len(), kinds.len()), (datagram.len(), 1));
                    }
                }
            }
        }
    }
    assert_eq!((packets, negotiations, renumbered), (2480, 1, 4));
}

/// UDX2 H26: a SYN of version 3 is a valid packet to a reader of version 2 that does not look at the version. Ours reads by it.
#[test]
fn h26_a_syn_of_version_3_is_not_one_of_version_2() {
    let (_, vector) = &files("v3-preview")[0];
    let bytes = hex(&vector["hex"]);
    let misread = Packet::decode_as(&bytes, Dialect::V2).unwrap();
    assert!(misread.frames().next().unwrap().has_syn());
    let (version, _) = peek_destination(&bytes).unwrap();
    assert_eq!(Version::from_wire(version), Some(Version::V3));
    assert_eq!(Version::V3.dialect().version(), Version::V3);
    assert_eq!(Version::V2.dialect().version(), Version::V2);
    assert_eq!(Version::from_wire(2), Some(Version::V2));
    assert_eq!(Version::V2.wire(), 2);
    for other in [0, 1, 4, 0x0a0a_0a0a] {
        assert_eq!(Version::from_wire(other), None);
    }
}

/// UDX2 D1: what a number from 0x0c on means, by the bytes left (the type byte counted) and by whether the header names a stream.
#[test]
fn d01_frames_are_told_apart_by_what_is_left() {
    let stop = Some(kind::STOP_SENDING);
    let blocked = Some(kind::DATA_BLOCKED);
    let stream_blocked = Some(kind::STREAM_DATA_BLOCKED);
    let new_id = Some(kind::NEW_CONNECTION_ID);
    let retire = Some(kind::RETIRE_CONNECTION_ID);
    let table = [
        (0x0c, 9, true, stop),
        (0x0c, 9, false, stop),
        (0x0c, 8, true, None),
        (0x0d, 9, true, stop),
        (0x0d, 9, false, blocked),
        (0x0d, 8, false, None),
        (0x0e, 9, true, blocked),
        (0x0e, 13, true, stream_blocked),
        (0x0e, 8, true, None),
        (0x0e, 10, true, None),
        (0x0e, 12, true, None),
        (0x0e, 14, true, None),
        (0x0e, 34, true, None),
        (0x0f, 13, true, stream_blocked),
        (0x0f, 12, true, None),
        (0x0f, 14, true, None),
        (0x0f, 33, true, None),
        (0x0f, 34, false, new_id),
        (0x0f, 42, false, new_id),
        (0x10, 9, false, retire),
        (0x10, 8, false, None),
        (0x10, 10, false, None),
        (0x10, 33, false, None),
        (0x10, 34, false, new_id),
        (0x11, 9, false, retire),
        (0x11, 8, false, None),
        (0x12, 9, true, None),
    ];
    for (byte, left, names_stream, expected) in table {
        let header = plain(u32::from(names_stream));
        let mut datagram = encode_as(Version::V2, &header, []);
        // An id of the size that the rest allows; zeros elsewhere, so that what follows a frame would be PADDING.
        let mut frame = vec![0; left];
        frame[0] = byte;
        if left >= 34 {
            frame[17] = u8::try_from(left - 34).unwrap();
        }
        datagram.extend(frame);
        let decoded = Packet::decode_as(&datagram, Dialect::V2);
        let kinds = decoded.map(|packet| packet.frames().map(|f| f.kind()).collect::<Vec<_>>());
        assert_eq!(
            kinds.ok(),
            expected.map(|kind| vec![kind]),
            "{byte:#x} with {left} left"
        );
    }
}

/// A STREAM frame goes into packets of its own version only: in the other it would be read as something else.
#[test]
fn no_stream_frame_goes_out_in_the_other_version() {
    let data = &b"data"[..];
    let ordered = Ordered {
        fin: true,
        syn: false,
        data,
    };
    let placed = Stream {
        fin: true,
        syn: false,
        offset: 9,
        data,
    };
    assert_eq!(ordered.at(9), placed);
    for (version, right, wrong) in [
        (Version::V2, Frame::Ordered(ordered), Frame::Stream(placed)),
        (Version::V3, Frame::Stream(placed), Frame::Ordered(ordered)),
    ] {
        let mut buffer = [0; 40];
        let mut encoder = Encoder::new(&mut buffer, version);
        assert_eq!(encoder.frame(&wrong), Err(EncodeError::OtherVersion));
        assert_eq!(encoder.written(), 0);
        encoder.frame(&right).unwrap();
        assert_eq!(encoder.written(), version.stream_header_len() + data.len());
        assert_eq!(right.encoded_len(), encoder.written());
        assert!(right.is_numbered_stream() && !right.has_syn());
    }
    let most = vec![0; 65_536];
    let mut buffer = vec![0; 70_000];
    let mut encoder = Encoder::new(&mut buffer, Version::V2);
    let long = Ordered {
        data: &most,
        ..ordered
    };
    assert_eq!(
        encoder.frame(&Frame::Ordered(long)),
        Err(EncodeError::DataTooLong)
    );
    assert_eq!(encoder.written(), 0);
}

/// UDX2 2.3: the room for data behind the short head, filled in place; no offset is written.
#[test]
fn stream_data_are_filled_in_place() {
    let mut buffer = [0xaa; 20];
    let mut encoder = Encoder::new(&mut buffer, Version::V2);
    assert_eq!(encoder.stream_room(), 16);
    encoder
        .stream_header(true, false, 1 << 40, 3)
        .unwrap()
        .copy_from_slice(b"abc");
    let written = encoder.written();
    assert_eq!(buffer[..written], *b"\x03\x02\x00\x03abc");
}

/// UDX2 3: data, SYN or FIN give a number; an empty STREAM frame does not.
#[test]
fn only_data_syn_and_fin_are_numbered() {
    for bits in 0..8 {
        let frame = Ordered {
            fin: bits & 1 != 0,
            syn: bits & 2 != 0,
            data: &b"x"[..usize::from(bits & 4 != 0)],
        };
        assert_eq!(frame.is_numbered(), bits != 0);
        assert_eq!(Frame::Ordered(frame).is_numbered_stream(), bits != 0);
        assert_eq!(Frame::Ordered(frame).has_syn(), frame.syn);
    }
    assert!(!Frame::Ping.is_numbered_stream() && !Frame::Ping.has_syn());
}

fn check_negotiation(list: &VersionNegotiation<'_>, described: &Value, bytes: &[u8]) {
    let versions: Vec<u32> = described["supported_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(word)
        .collect();
    let (destination, source) = (
        id(&described["destination_cid"]),
        id(&described["source_cid"]),
    );
    assert_eq!((list.destination, list.source), (destination, source));
    assert!(list.versions().eq(versions.iter().copied()));
    let mut buffer = [0; 80];
    let len = VersionNegotiation::encode(&mut buffer, destination, source, &versions).unwrap();
    assert_eq!(buffer[..len], *bytes);
}

fn plain(source_stream: u32) -> Header {
    Header {
        version: 2,
        destination: ConnectionId::new(&[1; 8]).unwrap(),
        source: ConnectionId::new(&[2; 8]).unwrap(),
        number: 0.into(),
        destination_stream: 0,
        source_stream,
    }
}
