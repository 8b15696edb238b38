//! UDX 18.1: who the peer is.

use gapless_udx::Peer;
use gapless_udx::wire::Frame;

use crate::duo::Duo;
use crate::rig::{
    CHOSEN, Hand, MS, Rig, ack, dialed_like_dart, dialed_like_go, dialed_like_js, syn,
};

type Dial = fn(&mut Rig) -> Hand;

#[test]
fn dialers_are_known_by_their_first_packet() {
    let dialers: [(Dial, Peer); 3] = [
        (dialed_like_go, Peer::Go),
        (dialed_like_js, Peer::Js),
        (dialed_like_dart, Peer::Dart),
    ];
    for (dial, peer) in dialers {
        let mut rig = Rig::new();
        dial(&mut rig);
        assert_eq!(rig.connection().peer(), peer);
    }
    let mut rig = Rig::new();
    rig.dialed(CHOSEN, &[syn(b"x"), Frame::MaxData { limit: 1 << 24 }]);
    assert_eq!(
        rig.connection().peer(),
        Peer::Unknown,
        "a third kind, not ours"
    );
}

#[test]
fn acceptors_are_known_by_their_first_answers() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    assert_eq!(rig.connection().peer(), Peer::Unknown);
    hand.send(
        &mut rig,
        0,
        (id.wire_id(), 0xC000_0000 | id.wire_id()),
        &[ack(0, 1)],
    );
    assert_eq!(rig.connection().peer(), Peer::Go);
    let limits = [
        Frame::PathChallenge { nonce: 9 },
        Frame::MaxData { limit: 16_777_216 },
        Frame::MaxStreams { count: 1024 },
    ];
    hand.send(&mut rig, 0, (0, 0), &limits);
    assert_eq!(rig.connection().peer(), Peer::Js);

    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 0x0765_4321), &[syn(b"")]);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxData { limit: 1_048_576 }]);
    assert_eq!(rig.connection().peer(), Peer::Dart);
}

#[test]
fn both_sides_of_our_own_kind_know_each_other() {
    let mut duo = Duo::new();
    duo.opened();
    assert_eq!(duo.dialer.connection().peer(), Peer::Own);
    assert_eq!(duo.there().peer(), Peer::Own);
}

#[test]
fn go_that_sends_our_own_max_data_back_is_not_taken_for_us() {
    // UDX 10.2: Go answers DATA_BLOCKED with the value it was given.
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    let ours = rig
        .sent()
        .iter()
        .flat_map(|seen| seen.frames.clone())
        .find_map(|frame| match frame {
            Frame::MaxData { limit } => Some(limit),
            _ => None,
        });
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    hand.send(
        &mut rig,
        0,
        (0, 0),
        &[Frame::MaxData {
            limit: ours.unwrap(),
        }],
    );
    assert_eq!(rig.connection().peer(), Peer::Go);
}

#[test]
fn a_stream_that_overtakes_the_opening_of_its_connection_misleads_nobody() {
    for (limits, peer) in [(false, Peer::Go), (true, Peer::Js)] {
        let mut rig = Rig::new();
        let hand = rig.dialed((0, 1), &[syn(b"fast")]);
        assert_eq!(rig.connection().peer(), Peer::Unknown);
        let mut opening = vec![syn(b"")];
        if limits {
            opening.push(Frame::MaxData { limit: 16_777_216 });
        }
        hand.send(&mut rig, 0, (0, 0), &opening);
        assert_eq!(rig.connection().peer(), peer);
    }
}

#[test]
fn later_marks_of_dart() {
    // D5: an unnumbered packet with a number.
    let mut rig = Rig::new();
    let (hand, _) = rig.dial();
    hand.send(&mut rig, 3, (0, 0), &[ack(0, 1)]);
    assert_eq!(rig.connection().peer(), Peer::Dart);
    // D4: STOP_SENDING as Dart 3.0.0 numbers it.
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    let mut packet = hand.packet(0, (id.wire_id(), 0x0765_4321), &[]);
    packet.extend([0x0c, 0, 0, 0, 1, 0, 0, 0, 9]);
    rig.give(hand.address, &packet);
    assert_eq!(rig.connection().peer(), Peer::Dart);
    rig.wait(MS);
}
