//! Datagrams of other versions, and of no version.

use std::time::Duration;

use gapless_udx::EndpointConfig;
use gapless_udx::wire::{Datagram, Frame, Version, VersionNegotiation};

use super::{GO, go_is_open};
use crate::rig::{CHOSEN, Hand, MS, Rig, acknowledged, data, home, syn};

#[test]
fn d17_packets_of_another_version_do_nothing_to_a_connection() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    for version in [0, 1, 3, 4, 0x0a0a_0a0a] {
        rig.give(
            hand.address,
            &hand.packet_of(version, 2, GO, &[data(0, b"evil")]),
        );
    }
    // A valid one of version 3, too.
    let other = Hand {
        version: Version::V3,
        ..hand
    };
    let frames = [data(1, b"evil"), Frame::PathChallenge { nonce: 666 }];
    other.send(&mut rig, 2, GO, &frames);
    other.send(&mut rig, 0, GO, &[Frame::ResetStream { code: 1 }]);
    rig.wait(50 * MS);
    assert_eq!(rig.read(id), b"x");
    let raw = std::mem::take(&mut rig.raw);
    for (_, _, datagram) in raw {
        if let Ok(Datagram::Packet(packet)) =
            Datagram::decode_as(&datagram, gapless_udx::wire::Dialect::V2)
        {
            assert_eq!(packet.header().version, 2);
            assert!(!packet.frames().any(|frame| match frame {
                Frame::Ack(ack) => ack.largest.raw() == 2,
                frame => matches!(frame, Frame::PathResponse { nonce: 666 }),
            }));
        }
    }
    hand.send(&mut rig, 2, GO, &[data(0, b"y")]);
    assert_eq!(rig.read(id), b"y");
}

/// D17: Dart answers a negotiation by another one, for ever.
#[test]
fn d17_a_version_0_is_never_answered() {
    let mut rig = Rig::version2();
    let hand = Hand::version2(1);
    rig.give(home(), &hand.packet_of(0, 0, CHOSEN, &[syn(b"")]));
    let mut buffer = [0; 100];
    for versions in [&[2, 1][..], &[3, 2, 1], &[]] {
        let len = VersionNegotiation::encode(&mut buffer, hand.theirs, hand.own, versions).unwrap();
        rig.give(home(), &buffer[..len]);
    }
    rig.wait(Duration::from_secs(1));
    assert!(rig.raw.is_empty());
    assert_eq!(rig.endpoint.connections().count(), 0);
}

/// H26: a SYN of version 3 reads as one of version 2 with padding behind it.
#[test]
fn h26_a_syn_of_version_3_opens_no_connection_of_version_2() {
    let mut rig = Rig::with(EndpointConfig {
        accept_versions: vec![Version::V2],
        ..crate::rig::version2()
    });
    rig.give(home(), &Hand::new(1).packet(0, CHOSEN, &[syn(b"")]));
    assert_eq!(rig.endpoint.connections().count(), 0);
    let (.., answer) = rig.raw.pop().expect("it is told");
    let Ok(Datagram::VersionNegotiation(list)) = Datagram::decode(&answer) else {
        panic!("{answer:?}")
    };
    assert!(list.versions().eq([2]));
}

#[test]
fn an_acceptor_follows_the_version_of_the_first_packet() {
    for (hand, version) in [
        (Hand::new(1), Version::V3),
        (Hand::version2(1), Version::V2),
    ] {
        let mut rig = Rig::version2();
        rig.dialed_by(hand, (0, 0), &[syn(b"")]);
        hand.send(&mut rig, 1, GO, &[syn(b"hello")]);
        let id = rig.accept();
        assert_eq!(rig.read(id), b"hello");
        assert_eq!(rig.connection().version(), Some(version));
        rig.wait(100 * MS);
        let seen = rig.sent();
        assert!(
            seen.iter()
                .all(|seen| seen.header.version == version.wire())
        );
        assert!(acknowledged(&seen).contains(&1));
    }
}

#[test]
fn a_datagram_that_does_not_parse_changes_nothing() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    let good = hand.packet(2, GO, &[data(0, b"yz")]);
    for cut in 0..good.len() {
        rig.give(hand.address, &good[..cut]);
        // A packet without frames is one, and does nothing either.
        assert_eq!(rig.read(id), if cut == 0 { &b"x"[..] } else { b"" });
    }
    let mut bad = good.clone();
    bad.push(0x12);
    rig.give(hand.address, &bad);
    rig.wait(50 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&2));
    rig.give(hand.address, &good);
    assert_eq!(rig.read(id), b"yz");
}
