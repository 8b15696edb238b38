//! Flow control of version 2, where every peer reads a limit in its own way.

use std::time::Duration;

use gapless_udx::wire::Frame;

use super::{DART, GO, Heard, ROUND, dart_is_open, go_is_open, limits, numbers};
use crate::rig::{MS, Rig, ack, acknowledged, data, fin, pattern};

/// What both sides assume at the start (UDX2 9.1).
const INITIAL: usize = 65_536;

/// Sends `len` bytes as a sender that obeys the limits, in packets of 1372 bytes as Go's; gives all limits it was told.
fn obedient(rig: &mut Rig, len: usize) -> Vec<u32> {
    let (hand, id) = go_is_open(rig, b"");
    let bytes = pattern(len);
    let (mut sent, mut number, mut limit) = (0, 2, INITIAL);
    let (mut received, mut told) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let end = limit.min(sent + 1372).min(len);
        if end > sent {
            hand.send(rig, number, GO, &[data(0, &bytes[sent..end])]);
            number += 1;
            sent = end;
        } else if sent == len {
            break;
        }
        received.extend(rig.read(id));
        rig.wait(MS);
        for new in limits(&rig.sent()) {
            // Early Go bursts all of it unpaced.
            assert!(
                new as usize - received.len() < 256 << 10,
                "{new} after {}",
                received.len()
            );
            limit = limit.max(new as usize);
            told.push(new);
        }
    }
    hand.send(rig, number, GO, &[fin(0)]);
    received.extend(rig.read(id));
    assert!(received == bytes, "{} of {len}", received.len());
    assert!(rig.ended(id));
    told
}

#[test]
fn u15_window_crosses_initial() {
    for len in [INITIAL - 1, INITIAL, INITIAL + 1] {
        // To this side, from a peer that obeys,
        obedient(&mut Rig::version2(), len);
        // and from it, to a peer that says nothing but ACK.
        let mut rig = Rig::version2();
        let (hand, id) = go_is_open(&mut rig, b"");
        rig.write(id, &pattern(len));
        rig.finish(id);
        let mut heard = Heard::default();
        heard.acknowledge_all(&mut rig, &hand);
        assert!(rig.connection().is_acknowledged(id), "{len}");
    }
}

#[test]
fn d11_limits_are_absolute_and_never_fall() {
    let told = obedient(&mut Rig::version2(), 2_000_000);
    assert!(told.windows(2).all(|pair| pair[0] <= pair[1]), "{told:?}");
    assert!(*told.last().unwrap() > 2_000_000);
    assert!(*told.first().unwrap() > 65_536);
}

#[test]
fn d11_the_largest_limit_counts() {
    // 9.3: acknowledgements give credit, too; so none comes here.
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    for limit in [100_000_u32, 10, 0] {
        let limit = limit.into();
        hand.send(
            &mut rig,
            0,
            (id.wire_id(), DART.1),
            &[Frame::WindowUpdate { limit }],
        );
    }
    rig.write(id, &pattern(90_000));
    let mut heard = Heard::default();
    heard.acknowledge_all(&mut rig, &hand);
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 90_000);
}

/// H13: the updates of a Go of version 2 cease after 318 kB. Both peers grant credit when data arrive, and an ACK proves that.
#[test]
fn h13_a_peer_whose_updates_cease_still_gets_everything() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"");
    let bytes = pattern(1_000_000);
    let mut heard = Heard::default();
    let (mut written, mut acked) = (0, 0_usize);
    let updates = [16_468, 37_048, 63_116, 96_044, 137_204, 187_968, 252_452];
    let mut due = updates.iter().copied().peekable();
    for _ in 0..5000 {
        written += rig.write(id, &bytes[written..]);
        rig.wait(ROUND);
        let sent = rig.sent();
        for number in heard.take(&sent) {
            let packet = heard.packets[&number];
            acked += packet.part.data.len();
            hand.send(&mut rig, 0, (id.wire_id(), GO.1), &[ack(number, 1)]);
            if due.next_if(|at| *at <= acked).is_some() {
                let limit = u32::try_from(INITIAL + acked).unwrap().into();
                hand.send(
                    &mut rig,
                    0,
                    (id.wire_id(), GO.1),
                    &[Frame::WindowUpdate { limit }],
                );
            }
        }
        if acked >= bytes.len() {
            break;
        }
    }
    assert_eq!(acked, bytes.len());
    let carried: Vec<u8> = heard
        .packets
        .values()
        .flat_map(|packet| packet.part.data.to_vec())
        .collect();
    assert!(carried == bytes);
}

/// And no more than that credit: what neither a limit nor an acknowledgement allows stays here.
#[test]
fn h13_unacknowledged_bytes_stay_within_the_initial_window() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"");
    rig.write(id, &pattern(1_000_000));
    let mut heard = Heard::default();
    for round in 0..2000 {
        rig.wait(ROUND);
        let sent = heard.take(&rig.sent());
        let carried: usize = heard
            .packets
            .values()
            .map(|packet| packet.part.data.len())
            .sum();
        let acked = rig.connection().stats().stream_bytes_acknowledged as usize;
        assert!(
            carried <= acked + INITIAL,
            "{carried} with {acked} acknowledged"
        );
        // The peer is slow: one acknowledgement a round.
        if let Some(number) = sent.first().filter(|_| round < 1500) {
            hand.send(&mut rig, 0, (0, 0), &[ack(*number, 1)]);
        }
        hand.send(&mut rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
    }
}

/// H14: an update that was lost blocks a Go sender for good.
#[test]
fn h14_a_limit_is_repeated_while_data_may_come() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"");
    for number in 2..50 {
        hand.send(&mut rig, number, GO, &[data(0, &[0; 1365])]);
        rig.read(id);
    }
    // All of the initial window is used; the updates so far are lost.
    rig.sent();
    let start = rig.now;
    rig.wait(Duration::from_secs(8));
    let repeats: Vec<Duration> = rig
        .sent()
        .iter()
        .filter(|seen| seen.has(|frame| matches!(frame, Frame::WindowUpdate { .. })))
        .map(|seen| seen.at.saturating_duration_since(start))
        .collect();
    assert!((80 * MS..=300 * MS).contains(&repeats[0]), "{repeats:?}");
    let pauses: Vec<Duration> = repeats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses.iter().all(|pause| *pause <= 1100 * MS),
        "{repeats:?}"
    );
    assert!(
        *pauses.last().unwrap() >= 900 * MS,
        "it backs off: {repeats:?}"
    );
    assert!((8..=14).contains(&repeats.len()), "{repeats:?}");

    // A duplicate shows that the sender waits.
    hand.send(&mut rig, 49, GO, &[data(0, &[0; 1365])]);
    assert!(!limits(&rig.sent()).is_empty());

    // No data may come any more.
    hand.send(&mut rig, 50, GO, &[fin(0)]);
    rig.read(id);
    rig.wait(Duration::from_secs(2));
    rig.sent();
    rig.wait(Duration::from_secs(5));
    assert_eq!(limits(&rig.sent()), [0; 0]);
}

/// UDX2 18.1: a late Go says that it is blocked, and waits for the answer.
#[test]
fn a_peer_that_says_it_is_blocked_is_told_the_limit() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"");
    for number in 2..50 {
        hand.send(&mut rig, number, GO, &[data(0, &[0; 1365])]);
    }
    rig.read(id);
    rig.wait(10 * MS);
    let before = *limits(&rig.sent()).iter().max().unwrap();
    for _ in 0..3 {
        let blocked = Frame::StreamDataBlocked {
            stream: 1,
            limit: 65_536,
        };
        hand.send(&mut rig, 0, GO, &[blocked]);
        rig.wait(MS);
        assert_eq!(limits(&rig.sent()), [before]);
        rig.wait(ROUND);
        rig.sent();
    }
}

/// D12: Dart takes MAX_DATA as what may be in flight, others as a position; a large constant suits both.
#[test]
fn d12_max_data_is_a_large_constant() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"");
    let mut told = Vec::new();
    let mut number = 2;
    for _ in 0..200 {
        for _ in 0..10 {
            hand.send(&mut rig, number, GO, &[data(0, &[0; 1000])]);
            number += 1;
            rig.read(id);
        }
        hand.send(
            &mut rig,
            0,
            (0, 0),
            &[Frame::DataBlocked { limit: 1 << 20 }],
        );
        rig.wait(MS);
        for seen in rig.sent() {
            told.extend(seen.frames.iter().filter_map(|frame| match frame {
                Frame::MaxData { limit } => Some(*limit),
                _ => None,
            }));
        }
    }
    assert!(
        told.iter()
            .all(|limit| *limit >= 1 << 20 && *limit == told[0]),
        "{told:?}"
    );
}

/// D12: of what the peer says the largest counts, over what is in flight. A position it is not: more than all of it passes.
#[test]
fn d12_u16_a_small_max_data_stops_nobody() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxData { limit: 10 }]);
    let bytes = pattern(1_500_000);
    let mut heard = Heard::default();
    let mut written = 0;
    while written < bytes.len() {
        written += rig.write(id, &bytes[written..]);
        heard.acknowledge_all(&mut rig, &hand);
    }
    assert_eq!(
        rig.connection().stats().stream_bytes_acknowledged,
        1_500_000
    );
}

/// H22: nobody sends a RESET_STREAM again but whoever is asked by more of the stream, and then not more often than once in an RTO.
#[test]
fn h22_a_reset_is_repeated_while_the_stream_goes_on() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    rig.connection().reset(id, 77);
    let mut resets = Vec::new();
    for n in 0..400 {
        hand.send(&mut rig, 2 + n, GO, &[data(0, b"z")]);
        rig.wait(25 * MS);
        resets.extend(
            rig.sent()
                .into_iter()
                .filter(|seen| seen.resets() == Some(77)),
        );
    }
    assert!(
        resets
            .iter()
            .all(|seen| seen.ids().0 == 1 && seen.number() == 0)
    );
    let pauses = resets
        .windows(2)
        .map(|pair| pair[1].at.saturating_duration_since(pair[0].at));
    assert!(pauses.min().unwrap() >= 190 * MS);
    assert!(resets.len() >= 5, "{}", resets.len());
    // Its data are over: nothing more is said.
    rig.wait(Duration::from_secs(1));
    rig.sent();
    rig.wait(Duration::from_secs(5));
    assert!(rig.sent().iter().all(|seen| seen.resets().is_none()));
    // What came meanwhile was acknowledged: the numbers of other streams wait for it.
    hand.send(&mut rig, 402, (0, 3), &[crate::rig::syn(b"next")]);
    let next = rig.accept();
    assert_eq!(rig.read(next), b"next");
}

/// UDX2 D1: no frame of version 2 says it to both peers, but RESET_STREAM; and that would take back what was written.
#[test]
fn what_is_not_wanted_is_dropped_and_refused_once_this_side_has_said_all() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    rig.write(id, b"words");
    rig.connection().stop(id, 4);
    rig.finish(id);
    rig.connection().release_stream(id);
    let mut heard = Heard::default();
    for n in 0..5 {
        hand.send(&mut rig, 2 + n, GO, &[data(0, b"unwanted")]);
        rig.wait(MS);
        let seen = rig.sent();
        heard.take(&seen);
        assert!(seen.iter().all(|seen| seen.resets().is_none()));
    }
    rig.wait(ROUND);
    heard.acknowledge_all(&mut rig, &hand);
    let said: Vec<&[u8]> = heard
        .packets
        .values()
        .map(|packet| packet.part.data)
        .collect();
    assert_eq!(said.concat(), b"words");
    hand.send(&mut rig, 7, GO, &[data(0, b"unwanted")]);
    rig.wait(Duration::from_secs(1));
    assert!(rig.raw.len() > 1 && rig.sent().iter().any(|seen| seen.resets().is_some()));
}

/// H7: a stream that is given up must not leave a hole behind it.
#[test]
fn h07_a_reset_withdraws_no_number() {
    let mut rig = Rig::version2();
    let (hand, first) = go_is_open(&mut rig, b"x");
    hand.send(&mut rig, 2, (0, 3), &[crate::rig::syn(b"y")]);
    let second = rig.accept();
    rig.write(first, &pattern(3000));
    rig.wait(ROUND);
    let mut heard = Heard::default();
    heard.take(&rig.sent());
    assert!(!heard.packets.is_empty());
    rig.connection().reset(first, 5);
    rig.connection().release_stream(first);
    rig.write(second, b"goes on");
    rig.finish(second);
    heard.acknowledge_all(&mut rig, &hand);
    let numbers: Vec<u32> = heard.packets.keys().copied().collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    let last: Vec<u8> = heard
        .packets
        .values()
        .filter(|packet| packet.ids.1 == second.wire_id())
        .flat_map(|packet| packet.part.data.to_vec())
        .collect();
    assert_eq!(last, b"goes on");
}

/// What is read late is promised late, and nothing within a limit is refused.
#[test]
fn everything_within_the_limit_is_taken_though_nobody_reads() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    let bytes = pattern(INITIAL);
    for (n, part) in bytes.chunks(1024).enumerate() {
        let number = 1 + n as u32;
        hand.send(&mut rig, number, DART, &[data(0, part)]);
    }
    rig.wait(30 * MS);
    let told = acknowledged(&rig.sent());
    assert_eq!(
        told.iter()
            .filter(|number| (1..=64).contains(*number))
            .count(),
        64
    );
    assert!(rig.read(id) == bytes);
    rig.wait(ROUND);
    assert!(numbers(&rig.sent()).is_empty());
}
