//! Which frames of version 2 are sent, and what is made of those that come.

use std::time::Duration;

use gapless_udx::wire::{Frame, kind};

use super::{DART, GO, dart_is_open, go_is_open};
use crate::rig::{Hand, MS, Rig, Seen, ack, acknowledged, data, pattern};

/// A life with everything that provokes a frame.
fn eventful(
    rig: &mut Rig,
    hand: &Hand,
    id: gapless_udx::StreamId,
    ids: (u32, u32),
    first: u32,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let back = (id.wire_id(), ids.1);
    rig.write(id, &pattern(200_000));
    for n in 0..100 {
        hand.send(rig, first + n, ids, &[data(0, &[0; 1000])]);
        if n % 10 == 0 {
            hand.send(rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 7 }]);
            hand.send(rig, 0, (0, 0), &[Frame::DataBlocked { limit: 1 }]);
            let now = rig.now;
            rig.connection().ping(now);
        }
        rig.read(id);
        rig.wait(100 * MS);
        let sent = rig.sent();
        for packet in sent.iter().filter(|packet| packet.is_numbered()) {
            // After a while nothing is acknowledged, so that limits and timeouts are met as well.
            if n < 40 {
                hand.send(rig, 0, back, &[ack(packet.number(), 1)]);
            }
        }
        seen.extend(sent);
    }
    rig.connection().stop(id, 4);
    rig.wait(Duration::from_secs(1));
    rig.connection().reset(id, 5);
    rig.wait(Duration::from_secs(1));
    let now = rig.now;
    rig.connection().close(now, 0, b"bye");
    rig.wait(Duration::from_secs(1));
    seen.extend(rig.sent());
    seen
}

/// D1: from 0x0c on a number means one thing to Go and another to Dart.
#[test]
fn d01_only_frames_that_mean_the_same_to_all_are_sent() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    let to_go = eventful(&mut rig, &hand, id, GO, 2);
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    let to_dart = eventful(&mut rig, &hand, id, DART, 1);
    for (seen, go) in to_go
        .iter()
        .map(|s| (s, true))
        .chain(to_dart.iter().map(|s| (s, false)))
    {
        for frame in &seen.frames {
            let same = frame.kind() <= kind::CONNECTION_CLOSE;
            let blocked = go && frame.kind() == kind::STREAM_DATA_BLOCKED;
            assert!(same || blocked, "{frame:?}");
            // D1: told apart by what is left, so nothing may follow.
            assert!(!blocked || seen.frames.len() == 1, "{seen:?}");
            // D21, and D14: a PING takes a number at Dart, and is not answered by Go.
            assert!(
                !matches!(frame, Frame::MtuProbe { .. } | Frame::Ping),
                "{frame:?}"
            );
        }
        // D22
        assert!(seen.len <= 1422);
    }
    // D20
    let reasons = to_go
        .iter()
        .flat_map(|seen| &seen.frames)
        .filter_map(|frame| match frame {
            Frame::ConnectionClose { reason, .. } => Some(*reason),
            _ => None,
        });
    assert!(reasons.clone().count() > 0);
    assert!(reasons.clone().all(<[u8]>::is_ascii));
}

/// Dart's STOP_SENDING has a number that Go does not know.
#[test]
fn d01_stop_sending_of_both_peers_is_obeyed() {
    for (number, dart) in [(0x0c, true), (0x0d, false)] {
        let mut rig = Rig::version2();
        let (hand, id, ids) = if dart {
            let (hand, id) = dart_is_open(&mut rig);
            (hand, id, DART)
        } else {
            let (hand, id) = go_is_open(&mut rig, b"x");
            (hand, id, GO)
        };
        rig.write(id, &pattern(5000));
        let mut packet = hand.packet(0, (id.wire_id(), ids.1), &[]);
        packet.push(number);
        packet.extend([0, 0, 0, 1, 0, 0, 0, 9]);
        rig.give(hand.address, &packet);
        assert!(
            rig.saw(&gapless_udx::Event::Reset { id, code: 9 }),
            "{:?}",
            rig.events
        );
    }
}

#[test]
fn d21_u05_an_mtu_probe_reaches_to_the_end_and_is_not_acknowledged() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    // Dart's dormant probe takes a number (U5): H6 is what helps.
    hand.send(&mut rig, 2, (0, 0), &[Frame::MtuProbe { size: 1246 }]);
    hand.send(&mut rig, 3, DART, &[data(0, b"three ")]);
    hand.send(&mut rig, 4, DART, &[data(0, b"four")]);
    rig.wait(100 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&2));
    rig.wait(Duration::from_secs(4));
    assert_eq!(rig.read(id), b"one three four");
}

#[test]
fn d22_datagrams_of_any_size_are_taken() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    let mut sent = Vec::new();
    for (number, len) in (1..).zip([1, 1384, 1372, 1500, 9000, 30_000]) {
        let bytes = pattern(len);
        hand.send(&mut rig, number, DART, &[data(0, &bytes)]);
        sent.extend(bytes);
        assert_eq!(rig.read(id).len(), len);
    }
    // Several frames in one packet: nobody sends that, but everybody reads it.
    let frames = [
        ack(0, 1),
        data(0, b"with "),
        Frame::Padding { len: 9 },
        data(0, b"company"),
        Frame::PathChallenge { nonce: 5 },
    ];
    hand.send(&mut rig, 7, DART, &frames);
    assert_eq!(rig.read(id), b"with company");
    assert!(rig.sent().iter().any(|seen| seen.response() == Some(5)));
}

#[test]
fn frames_that_nobody_sends_do_nothing() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    let frames = [
        Frame::DataBlocked {
            limit: u64::MAX >> 11,
        },
        Frame::RetireConnectionId { index: 7 },
        Frame::StreamDataBlocked {
            stream: 9,
            limit: 1,
        },
    ];
    for frame in frames {
        hand.send(&mut rig, 0, (0, 0), &[frame]);
    }
    let mut empty = hand.packet(5, GO, &[]);
    rig.give(hand.address, &empty);
    // A STREAM frame without data and flags takes no number.
    empty.extend([3, 0, 0, 0]);
    rig.give(hand.address, &empty);
    rig.wait(50 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&5));
    hand.send(&mut rig, 2, GO, &[data(0, b"y")]);
    assert_eq!(rig.read(id), b"xy");
    assert!(!rig.connection().is_closed());
}
