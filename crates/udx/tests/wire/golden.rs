//! `go-v3.json` and `dart-v3-forms.json`, both directions, byte for byte.

use gapless_udx::wire::{
    Datagram, Dialect, EncodeError, Encoder, Frame, Packet, Version, VersionNegotiation, kind,
};

use crate::vectors::{encode, encode_again, frame, header, hex, id, json};

#[test]
fn golden_packets() {
    let vectors = json("go-v3.json");
    let packets = vectors["packets"].as_array().unwrap();
    assert_eq!(packets.len(), 44);
    for vector in packets {
        let name = vector["name"].as_str().unwrap();
        let bytes = hex(&vector["hex"]);
        let described = &vector["packet"];
        let frames: Vec<_> = described["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(frame)
            .collect();

        assert_eq!(
            encode(&header(described), frames.iter().copied()),
            bytes,
            "{name}"
        );
        let Datagram::Packet(packet) = Datagram::decode(&bytes).unwrap() else {
            panic!("{name} is no packet")
        };
        assert_eq!(packet.header(), &header(described), "{name}");
        assert!(packet.frames().eq(frames), "{name}: {packet:?}");
    }
}

#[test]
fn golden_version_negotiations() {
    let vectors = json("go-v3.json");
    let negotiations = vectors["versionNegotiation"].as_array().unwrap();
    assert_eq!(negotiations.len(), 3);
    for vector in negotiations {
        let bytes = hex(&vector["hex"]);
        let versions: Vec<u32> = vector["supportedVersions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version.as_u64().unwrap().try_into().unwrap())
            .collect();
        let (destination, source) = (id(&vector["destinationCid"]), id(&vector["sourceCid"]));

        let Ok(Datagram::VersionNegotiation(decoded)) = Datagram::decode(&bytes) else {
            panic!("{vector}")
        };
        assert_eq!((decoded.destination, decoded.source), (destination, source));
        assert!(decoded.versions().eq(versions.iter().copied()));

        let mut buffer = [0; 80];
        let len = VersionNegotiation::encode(&mut buffer, destination, source, &versions).unwrap();
        assert_eq!(buffer[..len], bytes);
        assert_eq!(
            len,
            VersionNegotiation::encoded_len(destination, source, versions.len())
        );
        let short = &mut buffer[..len - 1];
        assert_eq!(
            VersionNegotiation::encode(short, destination, source, &versions),
            Err(EncodeError::NoRoom)
        );
    }
}

#[test]
fn verdicts_on_truncated_packets() {
    assert_eq!(
        verdicts("truncations"),
        Verdicts {
            accepted: 84,
            rejected: 1929,
            too_large: 0
        }
    );
}

#[test]
fn verdicts_on_mutated_packets() {
    assert_eq!(
        verdicts("fuzz"),
        Verdicts {
            accepted: 1011,
            rejected: 989,
            too_large: 50
        }
    );
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Verdicts {
    accepted: usize,
    rejected: usize,
    /// Accepted, but with a value that we do not send (V14).
    too_large: usize,
}

/// Compares our verdict with Go's on each input of a list, and our encoding with Go's.
fn verdicts(list: &str) -> Verdicts {
    let vectors = json("go-v3.json");
    let mut seen = Verdicts::default();
    for vector in vectors[list].as_array().unwrap() {
        let input = hex(&vector["input"]);
        let ok = vector["ok"].as_bool().unwrap();
        // Go's codec looks at no version: a mutated version may even be 0.
        let decoded = Packet::decode_as(&input, Dialect::V3);
        assert_eq!(decoded.is_ok(), ok, "{vector} {decoded:?}");
        let Ok(packet) = decoded else {
            seen.rejected += 1;
            continue;
        };
        seen.accepted += 1;
        if vector["unsafeU64"] == true {
            seen.too_large += 1;
            let mut buffer = [0; 1500];
            let mut encoder = Encoder::new(&mut buffer, Version::V3);
            let refused = packet
                .frames()
                .find_map(|frame| encoder.frame(&frame).err());
            assert_eq!(refused, Some(EncodeError::ValueTooLarge), "{vector}");
        } else {
            assert_eq!(encode_again(&packet), hex(&vector["reencoded"]), "{vector}");
        }
    }
    seen
}

#[test]
fn dart_forms() {
    let vectors = json("dart-v3-forms.json");
    let datagrams = vectors["datagrams"].as_array().unwrap();
    assert_eq!(datagrams.len(), 19);
    let mut old_numbers = 0;
    for vector in datagrams {
        let name = vector["name"].as_str().unwrap();
        let bytes = hex(&vector["hex"]);
        assert_eq!(
            Some(bytes.len() as u64),
            vector["length"].as_u64(),
            "{name}"
        );
        let packet = match Datagram::decode_as(&bytes, Dialect::Dart30) {
            Ok(Datagram::Packet(packet)) => packet,
            Ok(Datagram::VersionNegotiation(list)) => {
                assert!(list.lists(3) && list.versions().eq([3, 2, 1]), "{name}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let again = encode_again(&packet);
        if packet.speaks_dart30() {
            old_numbers += 1;
            // Read as what it means, sent as what everybody else understands.
            assert_eq!(vector["version"], "3.0.0");
            let stop = Frame::StopSending {
                stream: 0x3b9a_ca07,
                code: 9,
            };
            assert!(packet.frames().eq([stop]), "{name}");
            assert!(Datagram::decode(&bytes).is_err(), "{name}");
            let mut renumbered = bytes.clone();
            let at = packet.header().encoded_len();
            assert_eq!(renumbered[at], kind::DART30_STOP_SENDING);
            renumbered[at] = kind::STOP_SENDING;
            assert_eq!(again, renumbered, "{name}");
        } else {
            assert_eq!(again, bytes, "{name}");
            assert!(Datagram::decode(&bytes).is_ok(), "{name}");
        }
    }
    assert_eq!(old_numbers, 1);
}
