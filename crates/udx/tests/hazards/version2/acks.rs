//! What this side acknowledges, and how.

use std::collections::BTreeSet;
use std::time::Duration;

use gapless_udx::wire::Frame;

use super::{DART, GO, ROUND, dart_is_open, go_is_open};
use crate::rig::{MS, Rig, Seen, ack, acknowledged, data, pattern};

/// Checks the form of every acknowledgement.
fn check(seen: &[Seen]) -> usize {
    let mut count = 0;
    for seen in seen {
        let acks = seen.acks();
        count += acks.len();
        if acks.is_empty() {
            continue;
        }
        // D6: its number means nothing. D5: with a stream ID it would be acknowledged itself, which a window update is anyway.
        assert_eq!(seen.number(), 0, "{seen:?}");
        let company = seen.has(|frame| matches!(frame, Frame::WindowUpdate { .. }));
        assert!(company || seen.ids() == (0, 0), "{seen:?}");
        assert!(
            !seen.is_numbered(),
            "H7: what is sent again has to be the same"
        );
        // UDX2 15.4: 8 for what is new, and here as many for what came again.
        assert!(acks.len() <= 16, "{seen:?}");
        for ack in acks {
            // D8, H12: from the second extra range on Go reads another number.
            assert!(ack.extra.len() <= 1, "{ack:?}");
            // Dart makes a set of the numbers of every range.
            assert!(ack.first <= 512, "{ack:?}");
        }
    }
    count
}

#[test]
fn d05_d06_d08_histories_have_a_form_that_every_peer_reads_right() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    let mut seen = Vec::new();
    // In order, then every fourth lost, then a long run again, and the lost ones last.
    let lost = |number: u32| (700..900).contains(&number) && number.is_multiple_of(4);
    for number in (2..1600).filter(|number| !lost(*number)) {
        hand.send(&mut rig, number, GO, &[data(0, b"0123456789")]);
        rig.read(id);
        if number % 7 == 0 {
            rig.wait(MS);
        }
        seen.extend(rig.sent());
    }
    rig.wait(50 * MS);
    seen.extend(rig.sent());
    let count = check(&seen);
    assert!(count > 600, "{count}");
    let told: BTreeSet<u64> = acknowledged(&seen).into_iter().collect();
    for number in 2..1600 {
        assert_eq!(told.contains(&u64::from(number)), !lost(number), "{number}");
    }
    for number in (2..1600).filter(|number| lost(*number)) {
        hand.send(&mut rig, number, GO, &[data(0, b"0123456789")]);
        rig.read(id);
    }
    rig.wait(50 * MS);
    let late = rig.sent();
    check(&late);
    let told: BTreeSet<u64> = acknowledged(&late).into_iter().collect();
    assert!(
        (2..1600)
            .filter(|number| lost(*number))
            .all(|number| told.contains(&number.into()))
    );
}

/// H12: each gap is said by a frame with one extra range: the run above it and the run below it.
#[test]
fn h12_several_holes_take_several_frames_of_one_packet() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    for number in 2..22 {
        if ![5, 10, 15].contains(&number) {
            hand.send(&mut rig, number, GO, &[data(0, b"..")]);
        }
    }
    rig.wait(30 * MS);
    let seen = rig.sent();
    check(&seen);
    let last = seen
        .iter()
        .rev()
        .find(|seen| !seen.acks().is_empty())
        .unwrap();
    let mut named = acknowledged(std::slice::from_ref(last));
    named.retain(|number| *number > 1);
    let arrived: Vec<u64> = (2..22).filter(|n| ![5, 10, 15].contains(n)).collect();
    assert_eq!(named, arrived, "the whole history: {last:?}");
    let gaps: Vec<u64> = last
        .acks()
        .iter()
        .filter(|ack| ack.extra.len() == 1)
        .map(|ack| ack.largest.raw() - u64::from(ack.first))
        .collect();
    assert_eq!(gaps, [15, 10, 5]);
    rig.read(id);
}

/// H4: a gap has eight bits. A longer one ends the frame, and what is below has a frame of its own.
#[test]
fn h04_u13_gap_saturates() {
    for gap in [254, 255, 256, 257, 300, 511, 512] {
        let mut rig = Rig::version2();
        let (hand, _) = go_is_open(&mut rig, b"x");
        hand.send(&mut rig, 2, GO, &[data(0, b"..")]);
        rig.wait(50 * MS);
        rig.sent();
        hand.send(&mut rig, 3 + gap, GO, &[data(0, b"..")]);
        rig.wait(50 * MS);
        let seen = rig.sent();
        check(&seen);
        let told = acknowledged(&seen);
        assert!(told.contains(&u64::from(3 + gap)), "{gap}: {told:?}");
        let untrue: Vec<&u64> = told
            .iter()
            .filter(|number| (3..3 + u64::from(gap)).contains(number))
            .collect();
        assert!(untrue.is_empty(), "{gap}: {untrue:?}");
    }
}

#[test]
fn h05_a_probe_acknowledges_no_data_that_did_not_arrive() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one ")]);
    // Number 2 is lost; the probe under its number is not.
    for _ in 0..3 {
        hand.send(&mut rig, 2, (0, 0), &[Frame::Ping]);
        rig.wait(200 * MS);
    }
    let seen = rig.sent();
    assert_eq!(acknowledged(&seen), [0, 1], "{seen:?}");
    check(&seen);
    hand.send(&mut rig, 2, DART, &[data(0, b"two")]);
    rig.wait(50 * MS);
    assert!(acknowledged(&rig.sent()).contains(&2));
    assert_eq!(rig.read(id), b"one two");
}

#[test]
fn d14_a_ping_is_answered_with_what_arrived() {
    for ids in [(0, 0), DART] {
        let mut rig = Rig::version2();
        let (hand, _) = dart_is_open(&mut rig);
        hand.send(&mut rig, 1, DART, &[data(0, b"one")]);
        rig.wait(100 * MS);
        rig.sent();
        hand.send(&mut rig, 1, ids, &[Frame::Ping]);
        rig.wait(30 * MS);
        assert_eq!(acknowledged(&rig.sent()).last(), Some(&1), "an answer");
        hand.send(&mut rig, 7, ids, &[Frame::Ping]);
        rig.wait(30 * MS);
        assert_eq!(
            acknowledged(&rig.sent()).last(),
            Some(&1),
            "not its own number"
        );
    }
}

/// D7: two peers that acknowledged acknowledgements would never stop.
#[test]
fn h15_d07_acknowledgements_are_not_acknowledged() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    rig.write(id, b"answer");
    rig.wait(100 * MS);
    hand.send(&mut rig, 0, (id.wire_id(), GO.1), &[ack(1, 2)]);
    rig.wait(100 * MS);
    rig.sent();
    for _ in 0..100 {
        // As Go answers acknowledgements.
        hand.send(&mut rig, 0, (id.wire_id(), GO.1), &[ack(0, 1)]);
        hand.send(&mut rig, 0, GO, &[ack(1, 2)]);
        rig.wait(MS);
    }
    let seen = rig.sent();
    assert!(seen.iter().all(|seen| seen.acks().is_empty()), "{seen:?}");
}

#[test]
fn acknowledgements_come_at_once_or_every_second_packet_or_within_25_ms() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    rig.wait(100 * MS);
    rig.sent();
    let asked = |rig: &mut Rig, number: u32| {
        hand.send(rig, number, GO, &[data(0, b"..")]);
        acknowledged(&rig.sent()).contains(&u64::from(number))
    };
    assert!(!asked(&mut rig, 2), "one alone waits");
    rig.wait(25 * MS);
    assert!(acknowledged(&rig.sent()).contains(&2));
    assert!(!asked(&mut rig, 3));
    assert!(asked(&mut rig, 4), "the second one");
    assert!(asked(&mut rig, 6), "out of order");
    assert!(asked(&mut rig, 5), "what filled the hole");
    assert!(asked(&mut rig, 3), "a duplicate");
    hand.send(&mut rig, 7, GO, &[crate::rig::fin(0)]);
    assert!(acknowledged(&rig.sent()).contains(&7), "FIN");
    rig.read(id);
}

/// H10: what the reader has to know of a Go sender: number 0 that came twice was acknowledged twice.
#[test]
fn every_duplicate_is_acknowledged_again() {
    let mut rig = Rig::version2();
    let (hand, _) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"one")]);
    rig.wait(100 * MS);
    rig.sent();
    for _ in 0..3 {
        for number in [0, 1] {
            let frames = [if number == 0 {
                crate::rig::syn(b"")
            } else {
                data(0, b"one")
            }];
            hand.send(&mut rig, number, DART, &frames);
            rig.wait(ROUND);
            assert!(acknowledged(&rig.sent()).contains(&u64::from(number)));
        }
    }
}

/// Whatever arrives in whatever order, only that is acknowledged, and in the end all of it.
#[test]
fn d09_what_is_acknowledged_is_what_arrived() {
    let mut state = 0x2545_F491_u32;
    let mut random = move |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    for _ in 0..20 {
        let mut rig = Rig::version2();
        let (hand, id) = dart_is_open(&mut rig);
        let bytes = pattern(200 * 40);
        let (mut arrived, mut told) = (BTreeSet::from([0]), BTreeSet::new());
        let mut waiting: Vec<u32> = (1..=200).collect();
        let mut received = Vec::new();
        while !waiting.is_empty() {
            let reach = waiting.len().min(1 + random(30) as usize) as u32;
            let number = waiting[random(reach) as usize];
            // Some are lost, some come twice.
            if random(4) > 0 {
                let at = (number as usize - 1) * 40;
                hand.send(&mut rig, number, DART, &[data(0, &bytes[at..at + 40])]);
                arrived.insert(u64::from(number));
            }
            rig.wait(Duration::from_millis(u64::from(random(10))));
            received.extend(rig.read(id));
            let seen = rig.sent();
            check(&seen);
            let new = acknowledged(&seen);
            assert!(new.iter().all(|number| arrived.contains(number)), "{new:?}");
            told.extend(new);
            waiting.retain(|number| !told.contains(&u64::from(*number)));
        }
        assert_eq!(told.iter().max(), Some(&200));
        received.extend(rig.read(id));
        assert!(received == bytes);
    }
}
