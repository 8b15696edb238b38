//! D1 to D10, as far as they concern what this side does and no V says it.

use gapless_udx::wire::Frame;
use gapless_udx::{EndpointConfig, Event, Peer};

use crate::duo::Duo;
use crate::rig::{
    CHOSEN, Hand, MS, Rig, Seen, ack, acknowledged, data, dialed_like_dart, dialed_like_go,
    dialed_like_js, open_with_go, stream, syn,
};

#[test]
fn d01_the_opening_has_both_stream_ids_and_the_limits() {
    let mut rig = Rig::new();
    let (_, id) = rig.dial();
    let seen = rig.sent();
    let (destination, source) = seen[0].ids();
    assert_eq!((seen[0].number(), source), (0, id.wire_id()));
    assert!(seen[0].stream().unwrap().syn);
    assert_ne!(destination, source);
    assert!(seen[0].has(|frame| matches!(frame, Frame::MaxData { .. })));
    assert!(seen[0].has(|frame| matches!(frame, Frame::MaxStreams { .. })));
}

#[test]
fn d02_chosen_ids_have_the_top_bit_and_are_distinct() {
    let mut rig = Rig::new();
    rig.dial();
    for _ in 0..50 {
        rig.connection().open().unwrap();
    }
    rig.wait(30_000 * MS);
    let mut ids: Vec<(u32, u32)> = rig
        .sent()
        .iter()
        .filter(|s| s.stream().is_some())
        .map(Seen::ids)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut all: Vec<u32> = ids.iter().flat_map(|(a, b)| [*a, *b]).collect();
    assert!(all.len() > 10 && all.iter().all(|id| id >> 31 == 1));
    all.sort_unstable();
    let before = all.len();
    all.dedup();
    assert_eq!(all.len(), before);
}

#[test]
fn d02_a_destination_that_another_source_uses_is_another_stream() {
    let mut rig = Rig::new();
    let hand = rig.dialed((5, 0x0765_4321), &[syn(b"first")]);
    hand.send(&mut rig, 1, (5, 0x0111_1111), &[syn(b"second")]);
    let (first, second) = (rig.accept(), rig.accept());
    assert_eq!(rig.read(first), b"first");
    assert_eq!(rig.read(second), b"second");
}

#[test]
fn d02_a_peer_cannot_have_an_id_that_we_count_through() {
    let mut rig = Rig::new();
    let hand = dialed_like_js(&mut rig);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    // The ID that our next stream will have, given to one of the peer's, which ends.
    let ours = rig.connection().open().unwrap();
    let next = ours.wire_id() + 1;
    hand.send(&mut rig, 1, (next, 77), &[stream(true, 0, b"theirs", true)]);
    let theirs = rig.accept();
    rig.finish(theirs);
    rig.read(theirs);
    rig.wait(50 * MS);
    let largest = rig.sent().iter().map(Seen::number).max().unwrap();
    hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest + 1)]);
    rig.connection().release_stream(theirs);
    let mine = rig.connection().open().unwrap();
    hand.send(&mut rig, 2, (next, 77), &[stream(true, 0, b"theirs", true)]);
    assert_eq!(rig.read(mine), b"", "a late frame of the finished stream");
    assert!(!rig.ended(mine));
}

#[test]
fn d03_a_syn_on_a_stream_that_exists_is_ignored_and_none_is_sent_back() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    rig.sent();
    hand.send(&mut rig, 0, (id.wire_id(), 0x0765_4321), &[syn(b"")]);
    assert_eq!(rig.connection().accept(), None);
    hand.send(&mut rig, 1, (id.wire_id(), 0x0765_4321), &[data(0, b"hi")]);
    assert_eq!(rig.read(id), b"hi");

    let mut rig = Rig::new();
    dialed_like_dart(&mut rig);
    let id = rig.accept();
    rig.write(id, b"answer");
    rig.wait(1000 * MS);
    assert!(
        rig.sent()
            .iter()
            .filter_map(Seen::stream)
            .all(|frame| !frame.syn)
    );
}

/// Which of the frames 0x0d to 0x10 the packet has.
fn late_kind(seen: &Seen) -> Option<u8> {
    let kind = |frame: &Frame<'_>| match frame {
        Frame::StopSending { .. } => Some(0x0d),
        Frame::DataBlocked { .. } => Some(0x0e),
        Frame::StreamDataBlocked { .. } => Some(0x0f),
        Frame::NewConnectionId { .. } => Some(0x10),
        _ => None,
    };
    seen.frames.iter().find_map(kind)
}

#[test]
fn d04_frames_that_dart_30_numbers_otherwise_go_alone() {
    let config = EndpointConfig {
        reset_secret: Some([3; 32]),
        ..EndpointConfig::default()
    };
    let mut rig = Rig::with(config);
    let (hand, id) = open_with_go(&mut rig);
    let second = {
        hand.send(&mut rig, 500, (0, 3), &[syn(b"")]);
        rig.accept()
    };
    let mut seen = Vec::new();
    let mut sent = 0;
    for n in 0..400 {
        // Something to acknowledge all the time; a stream at its limit; as much in flight as may be.
        hand.send(&mut rig, 2 + n, (0, 1), &[data(u64::from(n), b"z")]);
        sent += rig.write(id, &[1; 1_500_000][sent.min(1_499_999)..]);
        if n == 10 {
            rig.write(second, &[2; 70_000]);
        }
        if n == 20 {
            rig.connection().stop(second, 9);
        }
        if n < 300 {
            let limit = 16_000_000_u32;
            hand.send(
                &mut rig,
                0,
                (0, 1),
                &[Frame::WindowUpdate {
                    limit: limit.into(),
                }],
            );
        }
        let new = rig.sent();
        // Only so much is acknowledged that the window grows and everything stays in flight.
        if let Some(largest) = new
            .iter()
            .map(Seen::number)
            .max()
            .filter(|_| n < 5 || n % 2 == 0)
        {
            hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest / 2 + 1)]);
        }
        seen.extend(new);
        rig.wait(10 * MS);
    }
    let mut kinds: Vec<u8> = seen.iter().filter_map(late_kind).collect();
    for packet in seen.iter().filter(|seen| late_kind(seen).is_some()) {
        assert_eq!(packet.frames.len(), 1, "{packet:?}");
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert!(
        kinds.contains(&0x0d) && kinds.contains(&0x0f) && kinds.contains(&0x10),
        "{kinds:?}"
    );
}

#[test]
fn d04_stop_sending_of_dart_30_is_understood() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"unwanted");
    let mut packet = hand.packet(0, (id.wire_id(), 0x0765_4321), &[]);
    packet.extend([0x0c, 0, 0, 0, 1, 0, 0, 0, 9]);
    rig.give(hand.address, &packet);
    assert!(rig.saw(&Event::Reset { id, code: 9 }));
    rig.wait(MS);
    assert!(
        rig.sent().iter().any(|seen| seen.resets() == Some(9)),
        "UDX 8.4: the same code"
    );
}

#[test]
fn d06_single_numbers_and_histories_are_both_believed() {
    let mut rig = Rig::counted();
    let (hand, id) = rig.dial();
    rig.write(id, b"a");
    rig.write(id, b"b");
    rig.write(id, b"c");
    let numbers: Vec<u32> = rig
        .sent()
        .iter()
        .filter(|s| s.stream().is_some())
        .map(Seen::number)
        .collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    rig.wait(20 * MS);
    // As Dart does it: {N, 1}, in any order.
    for number in [2, 0, 3, 1] {
        hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
    }
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 3);
    assert_eq!(rig.connection().stats().in_flight, 0);
}

#[test]
fn d06_three_later_numbers_make_a_loss() {
    let mut rig = Rig::counted();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    let mut expected = Vec::new();
    for byte in [b"a", b"b", b"c", b"d"] {
        rig.write(id, byte);
        expected.push(
            rig.sent()
                .iter()
                .rev()
                .find_map(Seen::stream)
                .unwrap()
                .offset,
        );
    }
    rig.wait(20 * MS);
    for number in [2, 3, 4] {
        hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
    }
    rig.wait(30 * MS);
    let again = rig.sent();
    let again: Vec<_> = again
        .iter()
        .filter_map(Seen::stream)
        .map(|s| s.offset)
        .collect();
    assert_eq!(again, [0], "the first and no other, without a timeout");
}

#[test]
fn d08_no_ping_under_zero_and_no_empty_stream_frame_is_sent_or_acknowledged() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    hand.send(&mut rig, 0, (0, 0), &[Frame::Ping]);
    hand.send(&mut rig, 40, (0, 1), &[data(0, b"")]);
    rig.wait(100 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&40));
    // Number 0 was received by now: then its acknowledgement would say nothing wrong, but at once
    // and for ever it need not come either.
    assert!(rig.sent().is_empty());

    // An acceptor of our own kind that wrote nothing answers pings all the same.
    let mut duo = Duo::new();
    duo.opened();
    let now = duo.dialer.now;
    duo.dialer.connection().ping(now);
    duo.run(100 * MS);
    assert!(
        duo.dialer
            .events
            .iter()
            .any(|event| matches!(event, Event::Pong { .. }))
    );
}

#[test]
fn d09_pings_are_acknowledged_at_once_where_their_numbers_are_fresh() {
    for (peer, dial) in [
        (Peer::Js, dialed_like_js as fn(&mut Rig) -> Hand),
        (Peer::Go, dialed_like_go),
    ] {
        let mut rig = Rig::new();
        let hand = dial(&mut rig);
        assert_eq!(rig.connection().peer(), peer);
        rig.sent();
        hand.send(&mut rig, 1, (0, 0), &[Frame::Ping]);
        assert!(acknowledged(&rig.sent()).contains(&1), "{peer:?}");
    }
    let mut rig = Rig::new();
    let hand = rig.dialed(CHOSEN, &[syn(b""), Frame::MaxStreams { count: 3 }]);
    assert_eq!(rig.connection().peer(), Peer::Unknown);
    hand.send(&mut rig, 1, (0, 0), &[Frame::Ping]);
    assert!(
        !acknowledged(&rig.sent()).contains(&1),
        "unknown counts as Dart"
    );
}

#[test]
fn d10_an_mtu_probe_without_ping_is_not_acknowledged_and_ours_have_one() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 30, (0, 0), &[Frame::MtuProbe { size: 1000 }]);
    rig.wait(100 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&30));
    // What opens a connection does not yet make a path worth probing.
    for data in [b"x", b"y"] {
        rig.write(id, data);
        let sent = rig.sent();
        let last = sent.iter().rev().find(|s| s.stream().is_some());
        let number = last.unwrap().number();
        hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
    }
    let probes = rig.sent();
    let probe = probes
        .iter()
        .find(|s| s.has(|f| matches!(f, Frame::MtuProbe { .. })))
        .expect("a probe");
    assert_eq!(
        (probe.len, probe.ids(), probe.frames[0]),
        (1472, (0, 0), Frame::Ping)
    );
    assert_ne!(probe.number(), 0);
}
