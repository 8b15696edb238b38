//! How connections and streams of version 2 begin.

use std::time::Duration;

use gapless_udx::wire::{Frame, Version};
use gapless_udx::{Event, Peer};

use super::{
    DART, GO, Heard, ROUND, dart_dials, dart_opens, go_dials, go_is_open, go_opens, numbers,
};
use crate::rig::{Hand, MS, Rig, Seen, ack, acknowledged, data, pattern, syn};

#[test]
fn d02_a_dial_opens_the_connection_and_a_stream_in_one_packet() {
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    assert_eq!(hand.version, Version::V2);
    let seen = rig.sent();
    let (first, rest) = seen.split_first().unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(first.number(), 0);
    assert!(first.ordered().unwrap().syn && !first.ordered().unwrap().fin);
    // D3: both chosen at random with the top bit.
    let (destination, source) = first.ids();
    assert_eq!(source, id.wire_id());
    assert!(destination >> 31 == 1 && source >> 31 == 1 && destination != source);
    assert_eq!(rig.connection().version(), Some(Version::V2));
}

#[test]
fn d02_both_ways_to_dial_are_understood() {
    let mut rig = Rig::version2();
    let hand = go_dials(&mut rig);
    assert!(rig.saw(&Event::Incoming));
    assert_eq!(rig.connection().accept(), None, "a connection alone");
    assert_eq!(rig.connection().version(), Some(Version::V2));
    // V18: acknowledged once the address is proven.
    let seen = rig.sent();
    assert!(acknowledged(&seen).is_empty());
    hand.prove(&mut rig, &seen);
    rig.wait(30 * MS);
    assert_eq!(acknowledged(&rig.sent()), [0]);

    let mut rig = Rig::version2();
    dart_dials(&mut rig);
    assert!(rig.saw(&Event::Incoming));
    rig.accept();
    rig.wait(30 * MS);
    assert_eq!(acknowledged(&rig.sent()), [0]);
}

#[test]
fn h24_a_stream_is_opened_in_the_first_packet_without_waiting() {
    let mut rig = Rig::version2();
    let (_, id) = rig.dial();
    let at = rig.now;
    let seen = rig.sent();
    assert_eq!((seen[0].at, seen[0].ids().1), (at, id.wire_id()));
}

#[test]
fn an_unanswered_dial_is_repeated_under_its_number() {
    let mut rig = Rig::version2();
    let start = rig.now;
    rig.dial();
    rig.wait(Duration::from_secs(20));
    let seen = rig.sent();
    let mut heard = Heard::default();
    assert!(heard.take(&seen).iter().all(|number| *number == 0));
    let times: Vec<Duration> = seen
        .iter()
        .filter(|seen| seen.is_numbered())
        .map(|seen| seen.at.saturating_duration_since(start))
        .collect();
    // UDX2 15.2: after 300 ms, doubling to 5 s.
    assert!((200 * MS..=400 * MS).contains(&times[1]), "{times:?}");
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().all(|gap| *gap <= Duration::from_secs(6)),
        "{times:?}"
    );
    assert!((5..=24).contains(&times.len()), "{times:?}");
}

#[test]
fn h10_nothing_follows_a_syn_until_it_is_acknowledged() {
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    rig.write(id, &pattern(50_000));
    let other = rig.connection().open().unwrap();
    rig.write(other, b"of another stream");
    rig.wait(Duration::from_secs(2));
    let mut heard = Heard::default();
    assert!(heard.take(&rig.sent()).iter().all(|number| *number == 0));
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    rig.wait(ROUND);
    assert!(numbers(&rig.sent()).contains(&1));
}

#[test]
fn h09_the_first_data_travel_alone_until_they_are_acknowledged() {
    // As a dialer.
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    rig.write(id, &pattern(50_000));
    let mut heard = Heard::default();
    heard.take(&rig.sent());
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    if heard.packets[&0].part.data.is_empty() {
        rig.wait(Duration::from_secs(2));
        let sent = heard.take(&rig.sent());
        assert!(
            !sent.is_empty() && sent.iter().all(|number| *number == 1),
            "{sent:?}"
        );
        hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(1, 1)]);
    }
    rig.wait(ROUND);
    assert!(heard.take(&rig.sent()).len() > 3, "then it flows");
    heard.acknowledge_all(&mut rig, &hand);
    assert!(heard.stream(id.wire_id()).0 == pattern(50_000));

    // As an acceptor.
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"question");
    rig.write(id, &pattern(50_000));
    rig.wait(Duration::from_secs(2));
    let sent = numbers(&rig.sent());
    assert!(
        !sent.is_empty() && sent.iter().all(|number| *number == 1),
        "{sent:?}"
    );
    hand.send(&mut rig, 0, (id.wire_id(), 1), &[ack(1, 1)]);
    rig.wait(ROUND);
    assert!(numbers(&rig.sent()).len() > 3);
}

#[test]
fn h02_h03_d04_an_acceptors_number_0_is_an_empty_syn() {
    for go in [true, false] {
        let mut rig = Rig::version2();
        let hand = if go {
            go_dials(&mut rig)
        } else {
            dart_dials(&mut rig)
        };
        let (source, chosen) = if go {
            hand.send(&mut rig, 1, GO, &[syn(b"question")]);
            (GO.1, None)
        } else {
            // D3: the ID that the dialer chose for this side.
            (DART.1, Some(DART.0))
        };
        let id = rig.accept();
        rig.write(id, &[7; 8]);
        let mut seen = rig.sent();
        // H19: what an unproven address may be sent goes to its proof first.
        hand.prove(&mut rig, &seen);
        rig.wait(Duration::from_secs(1));
        seen.extend(rig.sent());
        let syns: Vec<&Seen> = seen.iter().filter(|seen| seen.is_numbered()).collect();
        assert!(!syns.is_empty());
        for seen in syns {
            let part = seen.ordered().unwrap();
            assert_eq!(seen.number(), 0, "nothing else before it is acknowledged");
            assert!(part.syn && !part.fin && part.data.is_empty());
            assert_eq!(seen.ids(), (source, id.wire_id()));
            match chosen {
                Some(chosen) => assert_eq!(id.wire_id(), chosen),
                None => assert_eq!(id.wire_id() >> 31, 1),
            }
        }
    }
}

/// A Go of version 2 acknowledges every packet with a stream ID as number 0, and Dart a PING.
#[test]
fn h02_nothing_that_provokes_an_ack_of_0_is_sent_before_0_is_acknowledged() {
    let mut rig = Rig::version2();
    let (hand, id) = go_opens(&mut rig, b"x");
    let mut seen = rig.sent();
    for number in 2..45 {
        hand.send(&mut rig, number, GO, &[data(0, &[0; 1000])]);
        rig.wait(MS);
        rig.read(id);
    }
    let now = rig.now;
    rig.connection().ping(now);
    rig.wait(Duration::from_secs(12));
    seen.extend(rig.sent());
    for seen in &seen {
        let provokes = seen.has(|frame| matches!(frame, Frame::Ping))
            || (seen.header.names_stream() && !seen.is_numbered());
        assert!(!provokes, "{seen:?}");
    }
    hand.send(&mut rig, 0, (id.wire_id(), 1), &[ack(0, 1)]);
    rig.wait(Duration::from_secs(2));
    let after = super::limits(&rig.sent());
    assert!(
        after.iter().any(|limit| *limit > 65_536),
        "now it may: {after:?}"
    );
}

#[test]
fn h02_zero_is_acknowledged_only_if_it_arrived() {
    let mut rig = Rig::version2();
    let hand = Hand::version2(1);
    // The opening of the connection is late.
    hand.send(&mut rig, 1, GO, &[syn(b"late")]);
    let limits = [Frame::MaxData { limit: 1 << 20 }, Frame::Ping];
    for frame in limits {
        hand.send(&mut rig, 0, GO, &[frame]);
    }
    rig.wait(50 * MS);
    let early = acknowledged(&rig.sent());
    assert!(!early.contains(&0), "{early:?}");
    hand.send(&mut rig, 0, (0, 0), &[syn(b"")]);
    rig.wait(50 * MS);
    let id = rig.accept();
    assert_eq!(rig.read(id), b"late");
    assert!(acknowledged(&rig.sent()).contains(&0));
}

#[test]
fn u06_three_packets_numbered_zero() {
    let mut rig = Rig::version2();
    // UDX2 5.3: SYN, MAX_DATA and MAX_STREAMS all say 0, and so do window updates; data go on from 1.
    let (hand, id) = dart_opens(&mut rig);
    let limit = 80_000.into();
    hand.send(&mut rig, 0, DART, &[Frame::WindowUpdate { limit }]);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    hand.send(&mut rig, 0, DART, &[Frame::WindowUpdate { limit }]);
    // The SYN again, and a packet that nobody should send: another one with its number.
    hand.send(&mut rig, 0, DART, &[syn(b"")]);
    hand.send(&mut rig, 0, DART, &[data(0, b"never")]);
    hand.send(&mut rig, 2, DART, &[data(0, b"two")]);
    assert_eq!(rig.read(id), b"one two");
    assert!(!rig.connection().is_closed());
    rig.wait(50 * MS);
    assert_eq!(acknowledged(&rig.sent()), [0, 1, 2]);
}

#[test]
fn d04_a_syn_on_a_stream_that_exists_is_ignored() {
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    rig.sent();
    // Dart answers the SYN by one of its own, and numbers its data from 1.
    let (ours, theirs) = (id.wire_id(), DART.1);
    hand.send(&mut rig, 0, (ours, theirs), &[syn(b"")]);
    hand.send(&mut rig, 1, (ours, theirs), &[data(0, b"hi")]);
    assert_eq!(rig.connection().accept(), None);
    assert_eq!(rig.read(id), b"hi");
}

#[test]
fn d03_streams_are_found_by_destination_or_by_source() {
    let mut rig = Rig::version2();
    let (hand, first) = go_is_open(&mut rig, b"a");
    // A second stream of Go's also says destination 0.
    hand.send(&mut rig, 2, (0, 3), &[syn(b"b")]);
    let second = rig.accept();
    // Who learned our ID may use it, and who chose one for us is given that.
    hand.send(&mut rig, 3, (first.wire_id(), 1), &[data(0, b"A")]);
    hand.send(&mut rig, 4, (0, 3), &[data(0, b"B")]);
    hand.send(&mut rig, 5, (0x1000_0001, 0x9000_0002), &[syn(b"c")]);
    let third = rig.accept();
    assert_eq!(third.wire_id(), 0x1000_0001);
    // A destination that is another stream's: the source says which is meant.
    hand.send(&mut rig, 6, (second.wire_id(), 7), &[syn(b"d")]);
    let fourth = rig.accept();
    assert_eq!(rig.read(first), b"aA");
    assert_eq!(rig.read(second), b"bB");
    assert_eq!(rig.read(third), b"c");
    assert_eq!(rig.read(fourth), b"d");
    assert_eq!(rig.connection().accept(), None);
}

/// Random IDs are random: no bit of them says who opened a stream or which way it goes.
#[test]
fn u17_stream_id_bits_mean_nothing() {
    for low in 0..8 {
        let mut rig = Rig::version2();
        let ids = (0x1234_5600 + low, 0x0765_4320 + (7 - low));
        let hand = rig.dialed_by(Hand::version2(1), ids, &[syn(b"")]);
        let seen = rig.sent();
        hand.prove(&mut rig, &seen);
        let id = rig.accept();
        hand.send(&mut rig, 0, (0, 0), &[ack(0, 1)]);
        hand.send(&mut rig, 1, ids, &[data(0, b"there")]);
        assert_eq!(rig.read(id), b"there");
        rig.write(id, b"and back");
        rig.wait(ROUND);
        let mut heard = Heard::default();
        heard.take(&seen);
        heard.take(&rig.sent());
        assert_eq!(heard.stream(ids.0).0, b"and back");
    }
}

#[test]
fn peers_are_known_by_how_they_dial_and_answer() {
    let mut rig = Rig::version2();
    go_dials(&mut rig);
    assert_eq!(rig.connection().peer(), Peer::Go);
    let mut rig = Rig::version2();
    dart_dials(&mut rig);
    assert_eq!(rig.connection().peer(), Peer::Dart);

    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 0xC000_0001), &[ack(0, 1)]);
    assert_eq!(rig.connection().peer(), Peer::Go);
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), DART.1), &[syn(b"")]);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxData { limit: 1 << 20 }]);
    assert_eq!(rig.connection().peer(), Peer::Dart);
}

#[test]
fn d19_max_streams_is_said_and_the_largest_value_counts() {
    use gapless_udx::OpenError;
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    rig.wait(Duration::from_secs(5));
    let seen = rig.sent();
    let told = seen.iter().flat_map(|seen| &seen.frames);
    let told: Vec<u32> = told
        .filter_map(|frame| match frame {
            Frame::MaxStreams { count } => Some(*count),
            _ => None,
        })
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|count| *count == 65_535),
        "{told:?}"
    );
    // Nobody lowers it, and nothing is authenticated (H18).
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxStreams { count: 3 }]);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxStreams { count: 5 }]);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxStreams { count: 2 }]);
    let opened = (0..10).map(|_| rig.connection().open());
    let opened: Vec<_> = opened.take_while(Result::is_ok).collect();
    assert_eq!(opened.len(), 4, "with the first, five");
    assert_eq!(rig.connection().open(), Err(OpenError::Limit));
}
