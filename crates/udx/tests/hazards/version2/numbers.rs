//! What version 2 numbers promise: a number names the same bytes for ever, and few are outstanding.

use std::collections::BTreeMap;
use std::time::Duration;

use gapless_udx::wire::{Ack, ExtraRanges, Frame};
use gapless_udx::{Event, PeerMisbehaved};

use super::{GO, Heard, ROUND, dart_is_open, go_dials, go_is_open, numbers};
use crate::rig::{MS, Rig, ack, pattern, syn};

/// `count` numbers up to `largest`, and more below them by gap and length.
fn history(largest: u32, first: u32, extra: &[(u8, u32)]) -> Frame<'static> {
    let extra: Vec<[u8; 5]> = extra
        .iter()
        .map(|(gap, length)| {
            let [a, b, c, d] = length.to_be_bytes();
            [*gap, a, b, c, d]
        })
        .collect();
    Frame::Ack(Ack {
        largest: largest.into(),
        delay_ms: 0,
        first,
        extra: ExtraRanges::new(extra.leak()).unwrap(),
    })
}

/// An open connection on which the first data were acknowledged, so that numbers from 2 on flow.
fn flowing(rig: &mut Rig) -> (crate::rig::Hand, gapless_udx::StreamId) {
    let (hand, id) = go_is_open(rig, b"x");
    rig.write(id, b"first");
    rig.wait(MS);
    assert_eq!(numbers(&rig.sent()), [1]);
    rig.wait(ROUND);
    hand.send(rig, 0, (id.wire_id(), GO.1), &[ack(1, 1)]);
    rig.sent();
    (hand, id)
}

#[test]
fn h07_a_number_names_the_same_bytes_for_ever() {
    let mut rig = Rig::version2();
    let (hand, id) = flowing(&mut rig);
    let bytes = pattern(60_000);
    rig.write(id, &bytes);
    let mut heard = Heard::default();
    // Every second packet is lost; meanwhile the peer sends, and nothing of what is there to acknowledge may ride along.
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    let (mut theirs, mut serial) = (2, 0);
    let mut arrived = std::collections::BTreeSet::new();
    for _ in 0..3000 {
        rig.wait(ROUND);
        let sent = heard.take(&rig.sent());
        // One alone is acknowledged later: what the next acknowledgement frees goes out while that is due.
        hand.send(&mut rig, theirs, GO, &[crate::rig::data(0, b"noise")]);
        theirs += 1;
        for number in sent {
            *times.entry(number).or_insert(0) += 1;
            serial += 1;
            if serial % 2 == 0 {
                arrived.insert(number);
                hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
            }
        }
        if rig.connection().stats().stream_bytes_acknowledged == 60_005 {
            break;
        }
    }
    assert_eq!(arrived.len(), heard.packets.len());
    let carried: Vec<u8> = heard
        .packets
        .values()
        .flat_map(|packet| packet.part.data.to_vec())
        .collect();
    assert!(carried == bytes);
    assert!(times.values().any(|count| *count >= 3));
}

#[test]
fn h07_d22_packets_fit_any_path_from_the_start() {
    let mut config = crate::rig::version2();
    config.connection.mtu_search = true;
    let mut rig = Rig::with(config);
    let (hand, id) = flowing(&mut rig);
    let mut sizes = Vec::new();
    for _ in 0..20 {
        rig.write(id, &pattern(20_000));
        for _ in 0..5 {
            rig.wait(ROUND);
            let sent = rig.sent();
            sizes.extend(sent.iter().map(|seen| seen.len));
            for seen in sent {
                // D21
                assert!(!seen.has(|frame| matches!(frame, Frame::MtuProbe { .. })));
                if seen.is_numbered() {
                    hand.send(&mut rig, 0, (0, 0), &[ack(seen.number(), 1)]);
                }
            }
        }
    }
    let largest = sizes.iter().max().unwrap();
    assert!((1100..=1232).contains(largest), "{largest}");
}

#[test]
fn h04_at_most_250_numbers_are_between_the_oldest_unacknowledged_and_the_next() {
    let mut rig = Rig::version2();
    let (hand, id) = flowing(&mut rig);
    let back = (id.wire_id(), GO.1);
    // Nothing but the rule is in the way.
    hand.send(
        &mut rig,
        0,
        back,
        &[Frame::WindowUpdate {
            limit: (1 << 30).into(),
        }],
    );
    let (mut highest, mut lost) = (0, None);
    for round in 0..60 {
        while rig.write(id, &pattern(100_000)) > 0 {}
        rig.wait(ROUND);
        for number in numbers(&rig.sent()) {
            highest = highest.max(number);
            // By then the window is wide; from now on one number does not arrive.
            if round > 15 && lost.is_none() {
                lost = Some(number);
            }
            if lost != Some(number) {
                hand.send(&mut rig, 0, back, &[ack(number, 1)]);
            }
        }
    }
    let span = highest - lost.unwrap();
    assert!((240..=250).contains(&span), "{span}");
    assert!(!rig.connection().is_closed(), "H16");
    hand.send(&mut rig, 0, (0, 0), &[ack(lost.unwrap(), 1)]);
    rig.wait(ROUND);
    assert!(numbers(&rig.sent()).iter().max().unwrap() > &highest);
}

/// H16, H17: Go cannot acknowledge what comes 755 numbers late, and gives up after ten attempts; this side does neither.
#[test]
fn h16_h17_one_packet_is_sent_for_as_long_as_the_peer_lives() {
    let mut rig = Rig::version2();
    let (hand, id) = flowing(&mut rig);
    rig.write(id, &pattern(10_000));
    let mut attempts = Vec::new();
    let start = rig.now;
    for second in 0..200_u64 {
        for seen in rig.sent() {
            if !seen.is_numbered() {
                continue;
            }
            if seen.number() == 4 {
                attempts.push(seen.at.saturating_duration_since(start));
            } else {
                hand.send(&mut rig, 0, (0, 0), &[ack(seen.number(), 1)]);
            }
        }
        hand.send(
            &mut rig,
            0,
            (0, 0),
            &[Frame::PathChallenge { nonce: second }],
        );
        rig.wait(Duration::from_secs(1));
    }
    assert!(!rig.connection().is_closed());
    assert!(attempts.len() > 15, "{attempts:?}");
    let last = attempts.last().unwrap();
    assert!(*last > Duration::from_secs(160), "still trying: {last:?}");
    hand.send(&mut rig, 0, (0, 0), &[ack(4, 1)]);
    assert!(rig.connection().stats().stream_bytes_acknowledged == 10_005);
}

#[test]
fn h20_u12_ack_range_bounds() {
    let mut rig = Rig::version2();
    let (hand, id) = flowing(&mut rig);
    rig.write(id, &pattern(10_000));
    rig.wait(MS);
    let highest = *numbers(&rig.sent()).iter().max().unwrap();
    let begin = std::time::Instant::now();
    for largest in [u32::MAX, u32::MAX / 2, highest + 1] {
        for first in [u32::MAX, 1] {
            let longest = [(0, u32::MAX); 255];
            hand.send(&mut rig, 0, (0, 0), &[history(largest, first, &longest)]);
        }
    }
    // H4: of numbers never sent nothing is believed.
    assert!(rig.saw(&Event::Refused(PeerMisbehaved::AcknowledgedUnsent)));
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 5);
    hand.send(
        &mut rig,
        0,
        (0, 0),
        &[history(highest, u32::MAX, &[(0, u32::MAX); 255])],
    );
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "Go loops for 15 s"
    );
    // What the first range covers of what is outstanding is acknowledged, and no more than that.
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 10_005);
    assert!(!rig.connection().is_closed());
}

/// The example of UDX2 4.3, which Go gets wrong from the second extra range on: missing are 20, 15 and 10.
#[test]
fn d09_u11_ack_ranges_three() {
    let mut rig = Rig::version2();
    let (hand, id) = flowing(&mut rig);
    // Small writes make small packets, one each.
    for n in 0..20_u8 {
        rig.write(id, &[n; 600]);
        rig.wait(MS);
    }
    rig.wait(ROUND);
    let mut heard = Heard::default();
    heard.take(&rig.sent());
    let highest = *heard.packets.keys().max().unwrap();
    if highest < 21 {
        // The window of a new connection held some back.
        hand.send(&mut rig, 0, (0, 0), &[history(4, 3, &[])]);
        rig.write(id, &pattern(12_000));
        rig.wait(ROUND);
        heard.take(&rig.sent());
    }
    let highest = *heard.packets.keys().max().unwrap();
    assert!(highest >= 21, "{highest}");
    let before = rig.connection().stats().stream_bytes_acknowledged;
    hand.send(
        &mut rig,
        0,
        (0, 0),
        &[history(21, 1, &[(1, 4), (1, 4), (1, 9)])],
    );
    let acknowledged = rig.connection().stats().stream_bytes_acknowledged;
    assert!(acknowledged > before);
    rig.wait(Duration::from_secs(3));
    let again: std::collections::BTreeSet<u32> = heard.take(&rig.sent()).into_iter().collect();
    let below: Vec<u32> = again.into_iter().filter(|number| *number < 21).collect();
    assert_eq!(below, [10, 15, 20]);
}

#[test]
fn d08_that_a_number_is_not_named_proves_nothing() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    let bytes = pattern(100_000);
    rig.write(id, &bytes);
    rig.finish(id);
    let mut heard = Heard::default();
    let mut sent = 0;
    // Every acknowledgement names one packet, all in order: nothing is ever sent again.
    for _ in 0..300 {
        rig.wait(ROUND);
        let now = heard.take(&rig.sent());
        sent += now.len();
        for number in now {
            hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
        }
    }
    // Number 0 was sent and acknowledged before.
    assert_eq!(sent, heard.packets.len());
    assert!(rig.connection().is_acknowledged(id));
}

/// A packet that may not go out yet takes no number: the numbers of what was sent have no hole.
#[test]
fn u09_amplification_blocks_before_commit() {
    let mut rig = Rig::version2();
    let hand = go_dials(&mut rig);
    hand.send(&mut rig, 1, GO, &[syn(b"x")]);
    let id = rig.accept();
    rig.write(id, &pattern(30_000));
    let mut seen = rig.sent();
    let received =
        hand.packet(0, (0, 0), &[syn(b"")]).len() + hand.packet(1, GO, &[syn(b"x")]).len();
    // Nothing is proven: acknowledgements from there count for nothing, and no more than three bytes go out for one.
    rig.wait(Duration::from_secs(5));
    seen.extend(rig.sent());
    let bytes: usize = seen.iter().map(|seen| seen.len).sum();
    assert!(bytes <= 3 * received, "{bytes} for {received}");
    hand.prove(&mut rig, &seen);
    let mut heard = Heard::default();
    heard.take(&seen);
    heard.acknowledge_all(&mut rig, &hand);
    let (data, _) = heard.stream(id.wire_id());
    assert!(
        data == pattern(30_000),
        "{} bytes before a hole",
        data.len()
    );
    let numbers: Vec<u32> = heard.packets.keys().copied().collect();
    let whole: Vec<u32> = (0..numbers.len() as u32).collect();
    assert_eq!(numbers, whole);
}

/// U2: whatever else goes out - acknowledgements, windows, pings, resets, challenges - none of it takes a number.
#[test]
fn u01_u02_only_commit_mints() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    let (mut theirs, mut seen) = (2, Vec::new());
    rig.write(id, b"a");
    for round in 0..60 {
        for _ in 0..5 {
            hand.send(&mut rig, theirs, GO, &[crate::rig::data(0, &[0; 1000])]);
            theirs += 1;
        }
        rig.read(id);
        let now = rig.now;
        rig.connection().ping(now);
        hand.send(
            &mut rig,
            0,
            (0, 0),
            &[Frame::PathChallenge { nonce: round }],
        );
        rig.wait(30 * MS);
        let sent = rig.sent();
        for packet in &sent {
            if packet.is_numbered() {
                hand.send(&mut rig, 0, (0, 0), &[ack(packet.number(), 1)]);
            }
        }
        seen.extend(sent);
        if round % 10 == 5 {
            rig.write(id, b"more");
        }
    }
    let mut heard = Heard::default();
    heard.take(&seen);
    let numbers: Vec<u32> = heard.packets.keys().copied().collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<u32>>());
    let mut unnumbered = seen.iter().filter(|packet| !packet.is_numbered());
    assert!(unnumbered.clone().count() > 100);
    // D6
    assert!(unnumbered.all(|packet| packet.number() == 0));
}

/// UDX2 4.1: Go tells its highest number, the run below it, and five more. After an outage the oldest may have arrived below the sixth gap: it
/// cannot be told of, and would be repeated for ever, if the gaps above it were not closed, too.
#[test]
fn h16_a_timeout_repeats_the_newest_besides_the_oldest() {
    let mut rig = Rig::version2();
    let (hand, id) = flowing(&mut rig);
    rig.write(id, &pattern(10_000));
    rig.wait(ROUND);
    let flight = numbers(&rig.sent());
    let (oldest, newest) = (flight[0], *flight.last().unwrap());
    assert!(newest >= oldest + 7, "{flight:?}");
    // Nothing is told. The first timeout sends one packet, and each later one two.
    let mut timeouts: Vec<Vec<u32>> = Vec::new();
    for _ in 0..300 {
        rig.wait(ROUND);
        let repeated = numbers(&rig.sent());
        if !repeated.is_empty() {
            timeouts.push(repeated);
        }
    }
    assert_eq!(
        timeouts[..3],
        [vec![oldest], vec![oldest, newest], vec![oldest, newest]]
    );
    // That one at least can be told of, and then what is missing above the oldest comes again.
    hand.send(&mut rig, 0, (id.wire_id(), GO.1), &[ack(newest, 1)]);
    rig.wait(ROUND);
    assert!(numbers(&rig.sent()).contains(&(oldest + 1)));
}
