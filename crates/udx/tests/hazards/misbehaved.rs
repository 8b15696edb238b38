//! One test for each thing that a peer is refused (R3, R14, R16, R17).

use gapless_udx::wire::Frame;
use gapless_udx::{Event, PeerMisbehaved, ReadError};

use crate::rig::{MS, Rig, ack, acknowledged, data, fin, open_with_go, stream};

fn refused(rig: &mut Rig, what: PeerMisbehaved) -> bool {
    rig.saw(&Event::Refused(what))
}

#[test]
fn an_acknowledgement_of_the_unsent_is_refused_whole() {
    let mut rig = Rig::counted();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    let next = 2;
    for largest in [next, next + 1, 1000, u32::MAX] {
        hand.send(&mut rig, 0, (0, 0), &[ack(largest, u32::MAX)]);
    }
    assert!(refused(&mut rig, PeerMisbehaved::AcknowledgedUnsent));
    let stats = rig.connection().stats();
    assert_eq!(
        (
            stats.stream_bytes_acknowledged,
            stats.recovery.packets_acked
        ),
        (0, 0)
    );
    assert_eq!(stats.refused, 4);
    hand.send(&mut rig, 0, (0, 0), &[ack(1, 2)]);
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 1);
}

#[test]
fn wildly_beyond_the_limit_resets_with_code_3() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    for offset in [1 << 20, 1 << 40, (1 << 53) - 10] {
        hand.send(&mut rig, 2, (0, 1), &[data(offset, b"far")]);
    }
    assert!(refused(&mut rig, PeerMisbehaved::BeyondLimit));
    rig.wait(10 * MS);
    assert!(rig.sent().iter().any(|seen| seen.resets() == Some(3)));
    assert_eq!(rig.connection().read(id, 1), Err(ReadError::Reset(3)));
    assert!(!rig.connection().is_closed());
}

#[test]
fn a_little_beyond_what_is_held_is_not_acknowledged_and_no_fault() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[data(100_000, b"early")]);
    rig.wait(100 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&2), "V13");
    assert_eq!(
        rig.connection().read(id, 1),
        Err(ReadError::Blocked),
        "no reset"
    );
}

#[test]
fn data_beyond_the_end_resets_with_code_4() {
    for frames in [[fin(10), data(10, b"x")], [data(0, b"0123456789"), fin(5)]] {
        let mut rig = Rig::new();
        let (hand, id) = open_with_go(&mut rig);
        hand.send(&mut rig, 2, (0, 1), &frames[..1]);
        hand.send(&mut rig, 3, (0, 1), &frames[1..]);
        assert!(
            refused(&mut rig, PeerMisbehaved::BeyondFinalSize),
            "{frames:?}"
        );
        rig.wait(10 * MS);
        assert!(rig.sent().iter().any(|seen| seen.resets() == Some(4)));
        assert_eq!(rig.connection().read(id, 100), Err(ReadError::Reset(4)));
    }
}

#[test]
fn two_different_ends_reset_with_code_4_and_the_same_twice_do_not() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[fin(10)]);
    hand.send(
        &mut rig,
        3,
        (0, 1),
        &[stream(false, 0, b"0123456789", true)],
    );
    assert_eq!(rig.read(id), b"0123456789");

    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[fin(10)]);
    hand.send(&mut rig, 3, (0, 1), &[fin(11)]);
    assert!(refused(&mut rig, PeerMisbehaved::FinalSizeChanged));
    rig.wait(10 * MS);
    assert!(rig.sent().iter().any(|seen| seen.resets() == Some(4)));
    assert_eq!(rig.connection().read(id, 1), Err(ReadError::Reset(4)));
}

#[test]
fn one_stream_that_is_refused_leaves_the_others_alone() {
    let mut rig = Rig::new();
    let (hand, bad) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 3), &[stream(true, 0, b"good", false)]);
    let good = rig.accept();
    hand.send(&mut rig, 3, (0, 1), &[data(1 << 40, b"far")]);
    hand.send(&mut rig, 4, (0, 3), &[stream(false, 4, b" news", true)]);
    assert_eq!(rig.read(good), b"good news");
    assert!(rig.ended(good));
    assert!(rig.connection().read(bad, 1).is_err());
}

#[test]
fn events_of_refusals_do_not_grow_without_bound() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    rig.events.clear();
    for _ in 0..100_000 {
        let packet = hand.packet(0, (0, 0), &[ack(u32::MAX, 1)]);
        let received = gapless_udx::Received {
            from: hand.address,
            ecn: None,
            segment_size: packet.len(),
            data: &packet,
        };
        rig.endpoint.handle(rig.now, received);
    }
    rig.drain();
    assert!(rig.events.len() <= 200, "{}", rig.events.len());
    assert_eq!(rig.connection().stats().refused, 100_000);
}

#[test]
fn frames_of_streams_that_never_were_are_ignored() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let frames = [
        Frame::WindowUpdate { limit: 5.into() },
        Frame::StopSending { stream: 9, code: 1 },
        Frame::StreamDataBlocked {
            stream: 9,
            limit: 1,
        },
        Frame::ResetStream { code: 1 },
        Frame::RetireConnectionId { index: 3 },
    ];
    for frame in frames {
        hand.send(&mut rig, 0, (0, 99), &[frame]);
        hand.send(&mut rig, 0, (0xFFFF_FFFF, 0), &[frame]);
    }
    assert_eq!(rig.connection().stats().streams, 1);
    rig.wait(1000 * MS);
    assert!(rig.sent().is_empty());
    // A RESET_STREAM that overtook its stream: it must not come to life behind it.
    hand.send(&mut rig, 2, (0, 99), &[stream(true, 0, b"x", false)]);
    assert_eq!(rig.connection().accept(), None);
}
