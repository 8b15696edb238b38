//! Numbers that no data will ever carry: Dart's ping call takes one, and before its 2.0.3 every WINDOW_UPDATE and RESET_STREAM
//! did (UDX2 H6).

use std::time::Duration;

use gapless_udx::wire::Frame;

use super::{DART, dart_is_open};
use crate::rig::{Hand, MS, Rig, ack, acknowledged, data};
use gapless_udx::StreamId;

/// After which a number is given up (UDX2 H6).
const PATIENCE: Duration = Duration::from_secs(3);

/// Number 1 arrived, `frame` took number 2, and these follow.
fn burnt(frame: Frame<'_>, ids: (u32, u32), following: &[(u32, &[u8])]) -> (Rig, Hand, StreamId) {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    hand.send(&mut rig, 2, ids, &[frame]);
    for (number, bytes) in following {
        hand.send(&mut rig, *number, DART, &[data(0, bytes)]);
    }
    assert_eq!(rig.read(id), b"one ");
    (rig, hand, id)
}

const TWO_MORE: [(u32, &[u8]); 2] = [(3, b"three "), (4, b"four")];

#[test]
fn h06_u04_peer_burns_a_number() {
    let limit = 70_000.into();
    for (frame, ids) in [
        (Frame::Ping, (0, 0)),
        (Frame::WindowUpdate { limit }, DART),
        (Frame::MaxData { limit: 1 << 20 }, (0, 0)),
    ] {
        let (mut rig, hand, id) = burnt(frame, ids, &TWO_MORE);
        rig.wait(PATIENCE - 10 * MS);
        assert_eq!(rig.read(id), b"", "{frame:?}: it may still come");
        rig.wait(PATIENCE / 3);
        assert_eq!(rig.read(id), b"three four", "{frame:?}");
        // H5: and yet it was not received.
        assert!(!acknowledged(&rig.sent()).contains(&2));
        // What follows needs no patience.
        hand.send(&mut rig, 5, DART, &[data(0, b"five")]);
        assert_eq!(rig.read(id), b"five");
    }
}

#[test]
fn h06_two_higher_numbers_have_to_be_there_first() {
    for following in [&[][..], &TWO_MORE[..1]] {
        let (mut rig, hand, id) = burnt(Frame::Ping, (0, 0), following);
        rig.wait(2 * PATIENCE);
        assert_eq!(rig.read(id), b"");
        for (number, bytes) in TWO_MORE {
            hand.send(&mut rig, number, DART, &[data(0, bytes)]);
        }
        rig.wait(PATIENCE + 500 * MS);
        assert_eq!(rig.read(id), b"three four");
    }
}

/// A probe repeats the number of data that are on their way: they arrive within those three seconds.
#[test]
fn h06_data_that_come_after_all_are_in_their_place() {
    let (mut rig, hand, id) = burnt(Frame::Ping, (0, 0), &TWO_MORE);
    rig.wait(PATIENCE - 500 * MS);
    hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
    assert_eq!(rig.read(id), b"two three four");
    rig.wait(PATIENCE);
    assert_eq!(rig.read(id), b"");
}

#[test]
fn h06_u03_an_ack_never_burns_the_number_that_it_recycles() {
    // UDX2 3: Dart's ACK says the number of the last packet sent, which may be one that was lost.
    let (mut rig, hand, id) = burnt(ack(0, 1), (0, 0), &TWO_MORE);
    for _ in 0..10 {
        rig.wait(Duration::from_secs(1));
        hand.send(&mut rig, 2, (0, 0), &[ack(0, 1)]);
    }
    assert_eq!(rig.read(id), b"", "the data are on their way");
    hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
    assert_eq!(rig.read(id), b"two three four");
}

#[test]
fn h06_a_hole_that_nothing_explains_is_no_burnt_number() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    for (number, bytes) in [
        (1, &b"one "[..]),
        (3, b"three "),
        (4, b"four "),
        (5, b"five"),
    ] {
        hand.send(&mut rig, number, DART, &[data(0, bytes)]);
    }
    for _ in 0..20 {
        rig.wait(Duration::from_secs(1));
        hand.send(&mut rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
    }
    assert_eq!(rig.read(id), b"one ");
    hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
    assert_eq!(rig.read(id), b"two three four five");
}

#[test]
fn h06_several_numbers_may_be_burnt() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    for number in [1, 2, 4, 5] {
        hand.send(&mut rig, number, (0, 0), &[Frame::Ping]);
    }
    for (number, bytes) in [(3, &b"three "[..]), (6, b"six "), (7, b"seven")] {
        hand.send(&mut rig, number, DART, &[data(0, bytes)]);
    }
    // Keeps the connection alive, too.
    for _ in 0..30 {
        rig.wait(Duration::from_secs(1));
        hand.send(&mut rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
    }
    assert_eq!(rig.read(id), b"three six seven");
}
