//! Numbers that nothing proves burnt, on paths that lose nothing and on others (UDX2 H6): passed where data would have come again.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{CloseReason, StreamId};

use super::{DART, dart_is_open};
use crate::rig::{Hand, MS, Rig, Seen, acknowledged, data};

/// For so long a path has to lose nothing (UDX2 8: four repetitions, or two of the longest pauses where Dart's timeout may be long).
const QUIET: Duration = Duration::from_secs(3);
const QUIET_ROUGH: Duration = Duration::from_secs(62);

/// What a number that is missing is waited for at most (UDX2 H17).
const MISSING: Duration = Duration::from_secs(150);

const RESET: Frame<'_> = Frame::ResetStream { code: 1 };

fn update() -> Frame<'static> {
    let limit = 70_000.into();
    Frame::WindowUpdate { limit }
}

/// Number 1 arrived, `frame` bore number 2, and 3 waits.
fn suspected(frame: Frame<'_>) -> (Rig, Hand, StreamId) {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    hand.send(&mut rig, 2, (0, 0), &[frame]);
    hand.send(&mut rig, 3, DART, &[data(0, b"three ")]);
    assert_eq!(rig.read(id), b"one ");
    (rig, hand, id)
}

/// Every question is answered for as long, if the path lets the answer come. How many there were.
fn answered(rig: &mut Rig, hand: &Hand, time: Duration, comes: impl Fn(usize) -> bool) -> usize {
    let mut asked = 0;
    for _ in 0..time.as_millis() / STEP.as_millis() {
        rig.wait(STEP);
        for nonce in rig.sent().iter().filter_map(Seen::challenge) {
            if comes(asked) {
                hand.send(rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
            }
            asked += 1;
        }
    }
    asked
}

const STEP: Duration = Duration::from_millis(10);

/// One reset of Dart 2.0.1, and its data never stop: no ACK will ever bear a lower number.
#[test]
fn h06_on_a_path_that_loses_nothing_a_burnt_number_is_passed_after_some_seconds() {
    for frame in [Frame::Ping, update(), RESET] {
        let (mut rig, hand, id) = suspected(frame);
        let asked = answered(&mut rig, &hand, QUIET - 50 * MS, |_| true);
        assert!((10..=20).contains(&asked), "{asked} questions");
        assert_eq!(rig.read(id), b"", "{frame:?}: it may still come");
        answered(&mut rig, &hand, QUIET, |_| true);
        assert_eq!(rig.read(id), b"three ", "{frame:?}");
        // H5: and yet it was not received.
        assert!(!acknowledged(&rig.sent()).contains(&2));
        // Nothing is asked any more.
        assert_eq!(answered(&mut rig, &hand, QUIET, |_| true), 0);
        // H6: what one reset does, all of them do; a ping is one for itself.
        hand.send(&mut rig, 4, (0, 0), &[frame]);
        hand.send(&mut rig, 5, DART, &[data(0, b"five")]);
        let at_once: &[u8] = if frame == Frame::Ping { b"" } else { b"five" };
        assert_eq!(rig.read(id), at_once, "{frame:?}");
        // If its data come after all, better an error than a stream with a hole.
        hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
        let reason = rig.connection().close_reason().cloned();
        assert_eq!(reason, Some(CloseReason::MissingPacket));
    }
}

/// UDX2 H5, 8: the number is that of data, lost with its repetitions on a path that also loses a question now and then.
#[test]
fn h06_where_questions_are_lost_data_are_waited_for() {
    let (mut rig, hand, id) = suspected(update());
    let asked = answered(&mut rig, &hand, Duration::from_secs(75), |asked| {
        asked % 8 != 3
    });
    assert!((20..500).contains(&asked), "{asked} questions");
    assert_eq!(rig.read(id), b"");
    hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
    assert_eq!(rig.read(id), b"two three ");
    assert_eq!(rig.connection().close_reason(), None);
}

/// UDX2 8: a packet that was lost in an outage may be due half a minute after its end, and Dart's timeout is long by then.
#[test]
fn h06_after_a_silence_the_path_is_listened_to_for_two_of_the_longest_pauses() {
    for frame in [Frame::Ping, update()] {
        let mut rig = Rig::version2();
        let (hand, id) = dart_is_open(&mut rig);
        hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
        hand.send(&mut rig, 2, (0, 0), &[frame]);
        rig.wait(Duration::from_secs(12));
        rig.sent();
        hand.send(&mut rig, 3, DART, &[data(0, b"three ")]);
        answered(&mut rig, &hand, QUIET_ROUGH - 500 * MS, |_| true);
        assert_eq!(rig.read(id), b"one ", "due after 30 s and after 60 s");
        hand.send(&mut rig, 2, DART, &[data(0, b"two ")]);
        assert_eq!(rig.read(id), b"two three ");
        assert_eq!(rig.connection().close_reason(), None);
    }
}

/// UDX2 8: what arrived late was measured late, and Dart's timeout is long for a while.
#[test]
fn h06_after_data_that_were_late_the_path_is_listened_to_for_longer() {
    // In the way of others, behind a number that is missing, or once more.
    for numbers in [&[2, 0, 1, 3][..], &[1, 4, 0, 3, 2], &[1, 2, 1, 3]] {
        let mut rig = Rig::version2();
        let (hand, id) = dart_is_open(&mut rig);
        for number in numbers {
            if *number == 0 {
                rig.wait(300 * MS);
            } else {
                hand.send(&mut rig, *number, DART, &[data(0, b"x")]);
            }
        }
        rig.sent();
        let most = *numbers.iter().max().expect("some");
        assert_eq!(rig.read(id).len(), most as usize);
        hand.send(&mut rig, most + 1, DART, &[update()]);
        hand.send(&mut rig, most + 2, DART, &[data(0, b"behind")]);
        let asked = answered(&mut rig, &hand, QUIET_ROUGH - 500 * MS, |_| true);
        assert!((12..=20).contains(&asked), "{asked} questions");
        assert_eq!(rig.read(id), b"", "{numbers:?}");
        answered(&mut rig, &hand, 2 * QUIET, |_| true);
        assert_eq!(rig.read(id), b"behind", "{numbers:?}");
    }
}

/// UDX2 H17: ten repetitions are over after 100 s. Then silence says nothing, and what is missing is missing.
#[test]
fn h06_h17_what_is_not_repeated_any_more_is_not_passed() {
    let (mut rig, hand, id) = suspected(Frame::Ping);
    let live = |rig: &mut Rig| {
        hand.send(rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
    };
    for _ in 0..99 {
        answered(&mut rig, &hand, Duration::from_secs(1), |_| false);
        live(&mut rig);
    }
    let mut asked = 0;
    for _ in 99..149 {
        asked += answered(&mut rig, &hand, Duration::from_secs(1), |_| true);
        live(&mut rig);
    }
    assert!(asked < 20, "{asked} questions");
    assert_eq!(rig.read(id), b"");
    answered(&mut rig, &hand, MISSING / 50, |_| true);
    let reason = rig.connection().close_reason().cloned();
    assert_eq!(reason, Some(CloseReason::MissingPacket));
}

/// Nothing is asked for a hole that no control packet explains, nor where nothing waits.
#[test]
fn h06_nothing_is_asked_without_need() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    hand.send(&mut rig, 2, (0, 0), &[Frame::Ping]);
    assert_eq!(answered(&mut rig, &hand, 2 * QUIET, |_| true), 0);
    assert_eq!(rig.read(id), b"one ");
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 2, DART, &[data(0, b"two")]);
    assert_eq!(answered(&mut rig, &hand, 2 * QUIET, |_| true), 0);
    assert_eq!(rig.read(id), b"");
}
