//! Numbers that no data will ever carry: Dart's ping call takes one, and before its 2.0.3 every WINDOW_UPDATE and RESET_STREAM
//! did (UDX2 H6). They are passed once something proves it, and where a wrong byte would be noticed, on suspicion.

use std::time::Duration;

use gapless_udx::wire::Frame;

use super::{DART, ROUND, dart_is_open, numbers};
use crate::rig::{Hand, MS, Rig, ack, acknowledged, data, elsewhere, home, version2};
use gapless_udx::{CloseReason, StreamId};

/// After which a number is given up on suspicion (UDX2 H6).
const PATIENCE: Duration = Duration::from_secs(3);

/// After which a number that is missing ends the connection (UDX2 H17).
const MISSING: Duration = Duration::from_secs(150);

const SIZE_PROBE: Frame<'_> = Frame::MtuProbe { size: 1200 };

fn update() -> Frame<'static> {
    let limit = 70_000.into();
    Frame::WindowUpdate { limit }
}

/// Whose streams are authenticated by what travels on them.
fn authenticated() -> Rig {
    let mut config = version2();
    config.connection.streams_are_authenticated = true;
    Rig::with(config)
}

/// Number 1 arrived, `frame` took number 2, and these follow.
fn burnt(frame: Frame<'_>, ids: (u32, u32), following: &[(u32, &[u8])]) -> (Rig, Hand, StreamId) {
    burnt_at(authenticated(), frame, ids, following)
}

fn burnt_at(
    mut rig: Rig,
    frame: Frame<'_>,
    ids: (u32, u32),
    following: &[(u32, &[u8])],
) -> (Rig, Hand, StreamId) {
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
    let mut rig = authenticated();
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

/// The application writes, and its packet is acknowledged at once by an ACK that bears `last`.
fn acknowledged_under(rig: &mut Rig, hand: &Hand, id: StreamId, last: u32) {
    rig.write(id, b"x");
    rig.wait(ROUND);
    let number = numbers(&rig.sent()).pop().expect("a packet");
    hand.send(rig, last, (0, 0), &[ack(number, 1)]);
    rig.wait(ROUND);
    rig.sent();
}

/// Keeps the connection alive for as long.
fn live(rig: &mut Rig, hand: &Hand, time: Duration) {
    for _ in 0..time.as_secs() {
        rig.wait(Duration::from_secs(1));
        hand.send(rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
    }
}

/// UDX2 H5: it may be data that were lost ten times, and whoever passes them by hands out wrong bytes.
#[test]
fn h06_without_a_proof_nothing_is_skipped_and_the_end_is_an_error() {
    for (frame, ids) in [(Frame::Ping, (0, 0)), (update(), DART)] {
        let (mut rig, hand, id) = burnt_at(Rig::version2(), frame, ids, &TWO_MORE);
        live(&mut rig, &hand, MISSING - Duration::from_secs(1));
        assert_eq!(rig.read(id), b"", "{frame:?}");
        live(&mut rig, &hand, Duration::from_secs(3));
        let reason = rig.connection().close_reason().cloned();
        assert_eq!(reason, Some(CloseReason::MissingPacket));
        // The same, and the data come after two minutes.
        let (mut rig, hand, id) = burnt_at(Rig::version2(), frame, ids, &TWO_MORE);
        live(&mut rig, &hand, Duration::from_secs(128));
        hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
        assert_eq!(rig.read(id), b"two three four");
    }
}

/// UDX2 3, 4.2: an ACK that was sent after the ping bears the number of the last data.
#[test]
fn h06_an_ack_under_a_lower_number_proves_that_a_number_is_burnt() {
    for (frame, ids) in [(Frame::Ping, (0, 0)), (update(), DART)] {
        let (mut rig, hand, id) = burnt_at(Rig::version2(), frame, ids, &[]);
        acknowledged_under(&mut rig, &hand, id, 1);
        // Nobody has to wait.
        for (number, bytes) in TWO_MORE {
            hand.send(&mut rig, number, DART, &[data(0, bytes)]);
        }
        assert_eq!(rig.read(id), b"three four", "{frame:?}");
        // The proof may also come when they are here already.
        let (mut rig, hand, id) = burnt_at(Rig::version2(), frame, ids, &TWO_MORE);
        acknowledged_under(&mut rig, &hand, id, 1);
        assert_eq!(rig.read(id), b"three four", "{frame:?}");
        assert!(!acknowledged(&rig.sent()).contains(&2));
        // If a packet comes under it after all, something is wrong with the peer.
        hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
        let reason = rig.connection().close_reason().cloned();
        assert_eq!(reason, Some(CloseReason::MissingPacket));
    }
}

/// UDX2 H5: the probe of data that were lost, after which the ACKs bear their number or one that is higher, or were sent before.
#[test]
fn h06_no_other_ack_proves_anything() {
    for last in [2, 3, 4, 9] {
        let (mut rig, hand, id) = burnt_at(Rig::version2(), Frame::Ping, (0, 0), &TWO_MORE);
        acknowledged_under(&mut rig, &hand, id, last);
        assert_eq!(rig.read(id), b"", "under {last}");
        hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
        assert_eq!(rig.read(id), b"two three four");
    }
    // What is acknowledged was sent before the ping came, and so the ACK may have been, too.
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    rig.write(id, b"x");
    rig.wait(ROUND);
    let number = numbers(&rig.sent()).pop().expect("a packet");
    hand.send(&mut rig, 2, (0, 0), &[Frame::Ping]);
    hand.send(&mut rig, 1, (0, 0), &[ack(number, 1)]);
    for (number, bytes) in TWO_MORE {
        hand.send(&mut rig, number, DART, &[data(0, bytes)]);
    }
    assert_eq!(rig.read(id), b"one ");
    // Nor does the acknowledgement of something never sent.
    hand.send(&mut rig, 1, (0, 0), &[ack(number + 1, 1)]);
    assert_eq!(rig.read(id), b"");
    hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
    assert_eq!(rig.read(id), b"two three four");
}

#[test]
fn h06_what_one_window_update_does_all_of_them_do() {
    let (mut rig, hand, id) = burnt_at(Rig::version2(), update(), DART, &[]);
    acknowledged_under(&mut rig, &hand, id, 1);
    hand.send(&mut rig, 3, DART, &[update()]);
    hand.send(&mut rig, 4, DART, &[data(0, b"four ")]);
    assert_eq!(rig.read(id), b"four ");
    hand.send(&mut rig, 6, DART, &[data(0, b"six")]);
    hand.send(&mut rig, 5, DART, &[Frame::ResetStream { code: 1 }]);
    assert_eq!(rig.connection().close_reason(), None);
    // A ping is another matter.
    hand.send(&mut rig, 7, (0, 0), &[Frame::Ping]);
    hand.send(&mut rig, 8, DART, &[data(0, b"eight")]);
    rig.wait(MS);
    rig.sent();
    hand.send(&mut rig, 8, DART, &[data(0, b"eight")]);
    rig.wait(MS);
    assert!(acknowledged(&rig.sent()).contains(&8));
}

/// UDX2 3: a probe of the path's size has a fresh number whoever sends it.
#[test]
fn h06_u05_a_probe_of_the_paths_size_is_passed_at_once() {
    let (mut rig, hand, id) = burnt_at(Rig::version2(), SIZE_PROBE, (0, 0), &[]);
    hand.send(&mut rig, 3, DART, &[data(0, b"three ")]);
    assert_eq!(rig.read(id), b"three ");
    // V6: but not one from elsewhere.
    let forged = hand.packet(4, (0, 0), &[SIZE_PROBE]);
    rig.give(elsewhere(), &forged);
    hand.send(&mut rig, 4, DART, &[data(0, b"four")]);
    assert_eq!(rig.read(id), b"four");
    rig.give(home(), &hand.packet(5, (0, 0), &[SIZE_PROBE]));
    hand.send(&mut rig, 6, DART, &[data(0, b"six")]);
    assert_eq!(rig.read(id), b"six");
}
