//! Early and late Go (UDX2 15.1, 18.1): only towards the early one does a stream have to wait for another one's end.

use gapless_udx::BlockedOn;
use gapless_udx::wire::Frame;

use super::*;
use crate::rig::pattern;

/// How a Go answers.
#[derive(Clone, Copy, PartialEq)]
enum Go {
    /// UDX2 4.1: whatever names a stream, under 0 if it has no number.
    Early,
    /// UDX2 18.1: only what has a number.
    Late,
    /// As late Go, but what has no number is lost, challenges among it.
    Deaf,
}

/// Two streams of ours with something to say, to a Go that is never sent their ends. How many are heard.
fn heard_streams(go: Go) -> usize {
    let mut rig = Rig::version2();
    let (hand, first) = rig.dial();
    let (ours, theirs) = (first.wire_id(), 2);
    let second = rig.connection().open().unwrap();
    rig.write(first, &pattern(5000));
    rig.write(second, &pattern(7000));
    let mut heard = Heard::default();
    for _ in 0..250 {
        let sent = rig.sent();
        rig.wait(MS);
        let numbered = heard.take(&sent);
        for number in numbered {
            hand.send(&mut rig, 0, (ours, theirs), &[ack(number, 1)]);
        }
        for packet in sent.iter().filter(|packet| !packet.is_numbered()) {
            if go == Go::Early && packet.ids() != (0, 0) {
                hand.send(&mut rig, 0, (ours, theirs), &[ack(0, 1)]);
            }
            if let (Some(nonce), true) = (packet.challenge(), go != Go::Deaf) {
                hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
            }
        }
        rig.wait(ROUND);
    }
    let all = [(first, 5000), (second, 7000)];
    let count = all
        .into_iter()
        .filter(|(id, len)| heard.stream(id.wire_id()).0.len() == *len)
        .count();
    if count < 2 {
        let now = rig.now;
        assert_eq!(rig.connection().blocked_on(now), BlockedOn::OtherStream);
    }
    count
}

#[test]
fn h11_late_go_is_known_by_what_it_does_not_acknowledge() {
    assert_eq!(heard_streams(Go::Late), 2);
}

#[test]
fn h11_early_go_hears_one_stream_at_a_time() {
    assert_eq!(heard_streams(Go::Early), 1);
}

/// Nothing came back since the question: that says nothing of who was asked.
#[test]
fn h11_silence_alone_makes_nobody_a_late_go() {
    assert_eq!(heard_streams(Go::Deaf), 1);
}

/// UDX2 18.1: early Go never asks.
#[test]
fn h11_whoever_asks_for_the_limit_is_no_early_go() {
    let mut rig = Rig::version2();
    let (hand, first) = rig.dial();
    let (ours, theirs) = (first.wire_id(), 2);
    let second = rig.connection().open().unwrap();
    rig.write(first, b"first");
    rig.sent();
    hand.send(&mut rig, 0, (ours, theirs), &[ack(0, 1)]);
    hand.send(&mut rig, 0, (ours, theirs), &[ack(2, 2)]);
    rig.sent();
    rig.write(second, b"second");
    let speaks = |seen: &[Seen]| {
        let source = second.wire_id();
        let of_second = seen.iter().filter(|seen| seen.ids().1 == source);
        let data = of_second.filter_map(|seen| seen.ordered());
        data.filter(|part| !part.data.is_empty()).count()
    };
    assert_eq!(speaks(&rig.sent()), 0, "the first one has begun");
    let blocked = Frame::StreamDataBlocked {
        stream: theirs,
        limit: 65_536,
    };
    hand.send(&mut rig, 0, (ours, theirs), &[blocked]);
    assert_eq!(speaks(&rig.sent()), 1);
}

/// D12, UDX2 18.1: late Go gets streams in the order of numbers, and forgets those that find 16 waiting. So what lies behind a
/// hole is not with its application yet, acknowledged or not.
#[test]
fn h11_no_more_streams_are_opened_behind_a_hole_than_go_can_be_handed() {
    let mut rig = Rig::version2();
    let (hand, first) = rig.dial();
    let (ours, theirs) = (first.wire_id(), 2);
    rig.write(first, b"first");
    rig.sent();
    hand.send(&mut rig, 0, (ours, theirs), &[ack(0, 1)]);
    hand.send(&mut rig, 0, (ours, theirs), &[ack(2, 2)]);
    let blocked = Frame::StreamDataBlocked {
        stream: theirs,
        limit: 65_536,
    };
    hand.send(&mut rig, 0, (ours, theirs), &[blocked]);
    rig.sent();
    rig.wait(ROUND);
    for _ in 0..40 {
        let stream = rig.connection().open().unwrap();
        rig.write(stream, b"question");
    }
    // Everything is acknowledged but the first packet of all these: it is lost again and again.
    let mut hole = None;
    let mut opened = std::collections::BTreeSet::new();
    let mut until_filled = 0;
    for round in 0..200 {
        let sent = rig.sent();
        rig.wait(MS);
        for packet in sent.iter().filter(|packet| packet.is_numbered()) {
            let number = packet.number();
            let hole = *hole.get_or_insert(number);
            if packet.ordered().is_some_and(|part| part.syn) {
                opened.insert(packet.ids().1);
            }
            if number != hole || round > 100 {
                hand.send(&mut rig, 0, (ours, theirs), &[ack(number, 1)]);
            }
        }
        if round == 100 {
            until_filled = opened.len();
            let now = rig.now;
            assert_eq!(rig.connection().blocked_on(now), BlockedOn::StreamOpening);
        }
        rig.wait(ROUND);
    }
    assert!((1..=8).contains(&until_filled), "{until_filled}");
    assert_eq!(opened.len(), 40);
}
