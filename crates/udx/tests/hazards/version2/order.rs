//! The order of version 2: numbers say where data belong, over all streams of a connection.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{CloseReason, EndpointConfig, Limits};

use super::{DART, GO, Heard, ROUND, dart_is_open, go_is_open, numbers};
use crate::rig::{Hand, MS, Rig, ack, acknowledged, data, fin, pattern, stream, syn};

#[test]
fn d10_u10_two_streams() {
    let mut rig = Rig::version2();
    let (hand, first) = go_is_open(&mut rig, b"a1 ");
    hand.send(&mut rig, 2, (0, 3), &[syn(b"b2 ")]);
    let second = rig.accept();
    assert_eq!(rig.read(second), b"b2 ");
    hand.send(&mut rig, 4, (0, 3), &[data(0, b"b4 ")]);
    hand.send(&mut rig, 5, GO, &[data(0, b"a5 ")]);
    // H2, UDX2 7: the order is the connection's, so number 3 is missed by both.
    assert_eq!(rig.read(first), b"a1 ");
    assert_eq!(rig.read(second), b"");
    hand.send(&mut rig, 3, GO, &[data(0, b"a3 ")]);
    assert_eq!(rig.read(first), b"a3 a5 ");
    assert_eq!(rig.read(second), b"b4 ");
}

/// UDX2 1: Dart 2.0.0 counts the packets of each stream from 0. The second stream's would be taken for repetitions of the first one's,
/// and its bytes for what follows somewhere else.
#[test]
fn u10_streams_with_numbers_of_their_own_are_answered_with_an_error() {
    let second = (0x1111_2222, 0x3333_4444);
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"first")]);
    assert_eq!(rig.read(id), b"first");
    hand.send(&mut rig, 0, second, &[syn(b"")]);
    rig.drain();
    let reason = rig.connection().close_reason().cloned();
    assert_eq!(reason, Some(CloseReason::NumberedPerStream));
    let seen = rig.sent();
    assert!(seen.iter().any(|packet| packet.closes() == Some(4)));
}

/// A packet that opens the first stream may come often, and the connection's own opening has no stream.
#[test]
fn u10_one_number_for_one_packet_may_come_again() {
    let mut rig = Rig::version2();
    let (hand, _) = dart_is_open(&mut rig);
    hand.send(&mut rig, 0, DART, &[syn(b"")]);
    assert_eq!(rig.connection().close_reason(), None);
    let mut rig = Rig::version2();
    let (hand, _) = go_is_open(&mut rig, b"a");
    hand.send(&mut rig, 0, (0, 0), &[syn(b"")]);
    hand.send(&mut rig, 1, GO, &[syn(b"a")]);
    assert_eq!(rig.connection().close_reason(), None);
}

#[test]
fn d10_what_is_seen_first_is_not_the_beginning() {
    let mut rig = Rig::version2();
    let hand = Hand::version2(1);
    // Dart 2's first packets in the worst order.
    hand.send(&mut rig, 2, DART, &[data(0, b"second")]);
    hand.send(&mut rig, 1, DART, &[data(0, b"first ")]);
    hand.send(&mut rig, 0, DART, &[syn(b"")]);
    let id = rig.accept();
    rig.wait(ROUND);
    if rig.read(id) != b"first second" {
        // What came ahead of the SYN need not be kept: it comes again.
        hand.send(&mut rig, 2, DART, &[data(0, b"second")]);
        hand.send(&mut rig, 1, DART, &[data(0, b"first ")]);
        assert_eq!(rig.read(id), b"first second");
    }
}

#[test]
fn u07_every_order_and_every_duplicate_gives_the_same_bytes() {
    let parts: [&[u8]; 5] = [b"zero ", b"one ", b"two ", b"three ", b"four"];
    let mut order = [0, 1, 2, 3, 4];
    let mut count = 0;
    permute(&mut order, 0, &mut |order| {
        count += 1;
        let mut rig = Rig::version2();
        let (hand, id) = dart_is_open(&mut rig);
        let mut received = Vec::new();
        for place in order {
            for _ in 0..2 {
                let frame = stream(false, 0, parts[*place], *place == 4);
                hand.send(&mut rig, 1 + *place as u32, DART, &[frame]);
                received.extend(rig.read(id));
            }
        }
        assert_eq!(received, parts.concat(), "{order:?}");
        assert!(rig.ended(id));
    });
    assert_eq!(count, 120);
}

fn permute(order: &mut [usize; 5], from: usize, run: &mut impl FnMut(&[usize; 5])) {
    if from == order.len() {
        return run(order);
    }
    for other in from..order.len() {
        order.swap(from, other);
        permute(order, from + 1, run);
        order.swap(from, other);
    }
}

#[test]
fn d16_a_fin_that_overtakes_data_ends_the_stream_in_its_place() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"one ");
    hand.send(&mut rig, 3, GO, &[fin(0)]);
    assert_eq!(rig.read(id), b"one ");
    assert!(!rig.ended(id), "two is missing");
    hand.send(&mut rig, 2, GO, &[data(0, b"two")]);
    assert_eq!(rig.read(id), b"two");
    assert!(rig.ended(id));
    // UDX2 6.3: FINs are repeated, under other numbers too.
    hand.send(&mut rig, 4, GO, &[fin(0)]);
    hand.send(&mut rig, 5, (0, 99), &[fin(0)]);
    rig.wait(50 * MS);
    let told = acknowledged(&rig.sent());
    assert!(told.contains(&4) && told.contains(&5), "{told:?}");
    assert!(!rig.connection().is_closed());
    assert_eq!(rig.connection().accept(), None);
}

/// H8: at Go a FIN ends the stream the moment it arrives, whatever is missing.
#[test]
fn h08_d16_a_fin_goes_out_once_everything_before_it_is_acknowledged() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    rig.write(id, &pattern(20_000));
    rig.finish(id);
    let mut heard = Heard::default();
    let mut acked = std::collections::BTreeSet::from([0]);
    let mut attempts = std::collections::BTreeMap::new();
    for _ in 0..500 {
        rig.wait(ROUND);
        for number in heard.take(&rig.sent()) {
            let part = heard.packets[&number].part;
            if part.fin {
                assert!(
                    (0..number).all(|before| acked.contains(&before)),
                    "FIN {number}: {acked:?}"
                );
                assert!(part.data.is_empty());
            }
            // Every third is lost once.
            let attempt = attempts.entry(number).or_insert(0);
            *attempt += 1;
            if number % 3 != 0 || *attempt > 1 {
                hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
                acked.insert(number);
            }
        }
    }
    let fins = heard.packets.values().filter(|packet| packet.part.fin);
    assert_eq!(fins.count(), 1);
    assert!(rig.connection().is_acknowledged(id));
}

/// H11: Go orders a stream by the connection's numbers: one of another stream in the midst of its data stalls it for ever.
#[test]
fn h11_streams_do_not_interleave_towards_go() {
    let mut rig = Rig::version2();
    let (hand, first) = rig.dial();
    let (ours, theirs) = (first.wire_id(), 2);
    let second = rig.connection().open().unwrap();
    let (one, two) = (pattern(30_000), pattern(20_000));
    rig.write(first, &one[..10_000]);
    rig.write(second, &two[..10_000]);
    let mut heard = Heard::default();
    let mut writes = 0;
    for _ in 0..300 {
        let sent = rig.sent();
        for number in heard.take(&sent) {
            // As Go does, so that it is known to be one.
            hand.send(&mut rig, 0, (ours, theirs), &[ack(number, 1)]);
        }
        rig.wait(ROUND);
        writes += 1;
        match writes {
            20 => drop(rig.write(first, &one[10_000..])),
            25 => drop(rig.write(second, &two[10_000..])),
            40 => rig.finish(first),
            50 => rig.finish(second),
            _ => {}
        }
    }
    for (id, bytes) in [(first, one), (second, two)] {
        let numbers: Vec<u32> = heard
            .packets
            .iter()
            .filter(|(_, packet)| packet.ids.1 == id.wire_id() && !packet.part.data.is_empty())
            .map(|(number, _)| *number)
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{numbers:?}"
        );
        assert!(heard.stream(id.wire_id()) == (bytes, true));
    }
}

/// H17: the sender gave up on a number, and nothing will ever fill its place.
#[test]
fn h17_a_hole_older_than_150_s_ends_the_connection_with_code_6() {
    let mut rig = Rig::version2();
    let (hand, _) = go_is_open(&mut rig, b"x");
    hand.send(&mut rig, 3, GO, &[data(0, b"three")]);
    let start = rig.now;
    let mut closed = None;
    while closed.is_none() && rig.now.saturating_duration_since(start) < Duration::from_secs(200) {
        rig.wait(Duration::from_secs(5));
        hand.send(&mut rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
        let seen = rig.sent();
        closed = seen
            .iter()
            .find_map(|seen| seen.closes().map(|code| (code, seen.at)));
    }
    let (code, at) = closed.expect("it waits for ever");
    assert_eq!(code, 6);
    let after = at.saturating_duration_since(start);
    assert!((149..=156).contains(&after.as_secs()), "{after:?}");
    assert!(rig.connection().is_closed());
}

/// H21: what is kept ahead of a hole is bounded, and what is not kept is not acknowledged.
#[test]
fn h21_d13_data_that_are_not_kept_are_not_acknowledged() {
    let limits = Limits {
        receive_growth: 0,
        max_stream_window: 65_536,
        ..Limits::default()
    };
    let mut rig = Rig::with(EndpointConfig {
        limits,
        ..crate::rig::version2()
    });
    let (hand, id) = dart_is_open(&mut rig);
    // Number 1 is missing; 5 MB come after it, from a sender that ignores the window (D13).
    let part = |number: u32| vec![number as u8; 1000];
    let mut told = std::collections::BTreeSet::new();
    let mut worst = 0;
    for number in 2..5000 {
        hand.send(&mut rig, number, DART, &[data(0, &part(number))]);
        told.extend(acknowledged(&rig.sent()));
        worst = worst.max(rig.endpoint.memory());
    }
    assert!(told.len() < 600, "{} of 5000 packets", told.len());
    assert!(worst < 1 << 20, "{worst} bytes");
    assert!(!rig.connection().is_closed());
    // The peer goes on with what was not acknowledged, in order.
    let mut received = Vec::new();
    let mut missing: Vec<u32> = (1..400)
        .filter(|n| !told.contains(&u64::from(*n)))
        .collect();
    for _ in 0..200 {
        for number in missing.iter().take(20) {
            hand.send(&mut rig, *number, DART, &[data(0, &part(*number))]);
            received.extend(rig.read(id));
        }
        rig.wait(30 * MS);
        told.extend(acknowledged(&rig.sent()));
        missing.retain(|number| !told.contains(&u64::from(*number)));
        if missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    let expected: Vec<u8> = (1..400).flat_map(part).collect();
    assert!(received.starts_with(&expected), "{} bytes", received.len());
}

/// D13: a sender that takes the window for something else is not at fault.
#[test]
fn d13_more_than_the_window_is_no_error() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    let mut next = 1;
    let mut told = std::collections::BTreeSet::new();
    let bytes = pattern(1_000_000);
    // Nobody reads; what is not acknowledged is sent again.
    let mut read = Vec::new();
    for round in 0..20_000 {
        let at = (next as usize - 1) * 1000;
        if at == bytes.len() {
            break;
        }
        hand.send(&mut rig, next, DART, &[data(0, &bytes[at..at + 1000])]);
        rig.wait(MS);
        told.extend(acknowledged(&rig.sent()));
        if told.contains(&u64::from(next)) {
            next += 1;
        } else {
            rig.wait(30 * MS);
            told.extend(acknowledged(&rig.sent()));
            if round % 5 == 0 {
                read.extend(rig.read(id));
            }
        }
    }
    read.extend(rig.read(id));
    assert!(read == bytes, "{} bytes", read.len());
}

#[test]
fn a_packet_that_opens_too_many_streams_is_refused_and_the_order_goes_on() {
    let limits = Limits {
        max_streams: 2,
        ..Limits::default()
    };
    let mut rig = Rig::with(EndpointConfig {
        limits,
        ..crate::rig::version2()
    });
    let (hand, first) = go_is_open(&mut rig, b"1 ");
    hand.send(&mut rig, 2, (0, 3), &[syn(b"2 ")]);
    hand.send(&mut rig, 3, (0, 5), &[syn(b"3 ")]);
    hand.send(&mut rig, 4, GO, &[data(0, b"4")]);
    rig.wait(50 * MS);
    let seen = rig.sent();
    let refused = seen
        .iter()
        .find(|seen| seen.resets().is_some())
        .expect("a RESET_STREAM");
    assert_eq!((refused.resets(), refused.ids().0), (Some(2), 5));
    assert_eq!(
        rig.read(first),
        b"1 4",
        "the numbers of others are not to suffer"
    );
    assert!(numbers(&seen).iter().all(|number| *number <= 1));
}

/// H1, H21: a number further ahead than anybody sends, or one from beyond the wrap, is kept by nobody and told to nobody.
#[test]
fn h21_numbers_far_ahead_are_not_kept() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    let before = rig.endpoint.memory();
    for number in [
        1 << 17,
        1 << 24,
        1 << 31,
        (1 << 31) + 1,
        u32::MAX - 1,
        u32::MAX,
    ] {
        hand.send(&mut rig, number, DART, &[data(0, b"far")]);
    }
    rig.wait(50 * MS);
    assert_eq!(acknowledged(&rig.sent()), [0; 0]);
    assert!(rig.endpoint.memory() <= before + 1024);
    hand.send(&mut rig, 1, DART, &[data(0, b"near")]);
    assert_eq!(rig.read(id), b"near");
}
