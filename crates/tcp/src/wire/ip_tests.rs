//! Packets of both versions, whole and broken.

use super::*;
use alloc::vec;
use alloc::vec::Vec;

const V4: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
];
const V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];

fn header([source, destination]: [IpAddr; 2]) -> PacketHeader {
    PacketHeader {
        source,
        destination,
        protocol: protocol::TCP,
        ecn: Ecn::Capable0,
        hop_limit: 64,
    }
}

fn written(header: &PacketHeader, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; header.len()];
    packet.extend_from_slice(payload);
    assert_eq!(header.write(&mut packet, Verify::Here), Some(header.len()));
    packet
}

fn parse(octets: &[u8]) -> Result<Packet<'_>, PacketError> {
    Packet::parse(octets, Verify::Here)
}

#[test]
fn what_is_written_is_read_back() {
    for addresses in [V4, V6] {
        for ecn in [
            Ecn::NotCapable,
            Ecn::Capable0,
            Ecn::Capable1,
            Ecn::Congestion,
        ] {
            let header = PacketHeader {
                ecn,
                ..header(addresses)
            };
            let packet = Packet {
                source: header.source,
                destination: header.destination,
                protocol: protocol::TCP,
                ecn,
                hop_limit: 64,
                payload: b"segment",
            };
            assert_eq!(parse(&written(&header, b"segment")), Ok(packet));
        }
    }
}

#[test]
fn what_a_link_adds_is_cut_off() {
    for addresses in [V4, V6] {
        let mut octets = written(&header(addresses), b"segment");
        octets.extend_from_slice(&[0; 9]);
        assert_eq!(parse(&octets).unwrap().payload, b"segment");
    }
}

#[test]
fn every_truncation_is_refused() {
    for addresses in [V4, V6] {
        let octets = written(&header(addresses), b"segment");
        for length in 0..octets.len() {
            assert_eq!(parse(&octets[..length]), Err(PacketError::Truncated));
        }
    }
}

#[test]
fn every_header_length_of_version_4_is_taken_or_refused() {
    let mut octets = written(&header(V4), &[0; 30]);
    for words in 0..16_u8 {
        octets[0] = 0x40 | words;
        let parsed = Packet::parse(&octets, Verify::Device);
        match words {
            0..5 => assert_eq!(parsed, Err(PacketError::HeaderLength)),
            5..13 => assert_eq!(parsed.unwrap().payload.len(), 50 - 4 * usize::from(words)),
            _ => assert_eq!(parsed, Err(PacketError::HeaderLength)),
        }
    }
}

#[test]
fn a_changed_header_of_version_4_is_noticed() {
    let octets = written(&header(V4), b"");
    for at in 1..IPV4_HEADER {
        let mut changed = octets.clone();
        changed[at] ^= 0x01;
        assert!(parse(&changed).is_err(), "octet {at}");
    }
}

#[test]
fn other_versions_are_refused() {
    for version in (0..16_u8).filter(|version| ![4, 6].contains(version)) {
        let octets = [version << 4; 60];
        assert_eq!(parse(&octets), Err(PacketError::Version(version)));
    }
}

#[test]
fn fragments_are_refused_and_dont_fragment_is_none() {
    let mut octets = written(&header(V4), b"segment");
    for (field, is_fragment) in [
        (0x4000, false),
        (0x2000, true),
        (0x0001, true),
        (0x1fff, true),
    ] {
        octets[6..8].copy_from_slice(&u16::to_be_bytes(field));
        let parsed = Packet::parse(&octets, Verify::Device);
        assert_eq!(parsed == Err(PacketError::Fragment), is_fragment);
    }
}

/// An IPv6 packet with these extension headers: (its own number, its octets, of which the first is filled in).
fn extended(extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, (_, octets)) in extensions.iter().enumerate() {
        let next = extensions
            .get(index + 1)
            .map_or(protocol::TCP, |(number, _)| *number);
        payload.push(next);
        payload.extend_from_slice(&octets[1..]);
    }
    payload.extend_from_slice(b"segment");
    let header = PacketHeader {
        protocol: extensions.first().map_or(protocol::TCP, |first| first.0),
        ..header(V6)
    };
    written(&header, &payload)
}

#[test]
fn extension_headers_are_passed() {
    let options = || vec![0, 0, 1, 4, 0, 0, 0, 0];
    let long = || [vec![0, 1], vec![0; 14]].concat();
    for extensions in [
        vec![],
        vec![(0, options())],
        vec![(0, options()), (43, long()), (60, options())],
        vec![(44, vec![0, 0, 0, 0, 1, 2, 3, 4])],
    ] {
        let octets = extended(&extensions);
        let packet = parse(&octets).unwrap();
        assert_eq!(
            (packet.protocol, packet.payload),
            (protocol::TCP, &b"segment"[..])
        );
    }
}

#[test]
fn bad_extension_headers_are_refused() {
    let many = vec![(60, vec![0, 0, 1, 4, 0, 0, 0, 0]); MAX_EXTENSIONS + 1];
    assert_eq!(parse(&extended(&many)), Err(PacketError::Extensions));
    // An offset, and more fragments.
    for field in [[0, 8], [0, 1]] {
        let fragment = vec![0, 0, field[0], field[1], 0, 0, 0, 0];
        let octets = extended(&[(44, fragment)]);
        assert_eq!(parse(&octets), Err(PacketError::Fragment));
    }
    // Longer than the packet.
    let octets = extended(&[(60, vec![0, 9, 0, 0, 0, 0, 0, 0])]);
    assert_eq!(parse(&octets), Err(PacketError::Truncated));
}

#[test]
fn what_does_not_fit_is_not_written() {
    for addresses in [V4, V6] {
        let header = header(addresses);
        for length in 0..header.len() {
            assert_eq!(header.write(&mut vec![0; length], Verify::Here), None);
        }
        let too_long = 65_536 + IPV6_HEADER;
        assert_eq!(header.write(&mut vec![0; too_long], Verify::Here), None);
    }
    let mixed = header([V4[0], V6[1]]);
    assert_eq!(mixed.write(&mut [0; 100], Verify::Here), None);
}

#[test]
fn some_addresses_are_never_answered() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "ff02::1",
    ] {
        assert!(!is_answerable(&address.parse().unwrap()), "{address}");
    }
    for address in ["127.0.0.1", "10.0.0.1", "223.255.255.255", "::1", "fe80::1"] {
        assert!(is_answerable(&address.parse().unwrap()), "{address}");
    }
}
