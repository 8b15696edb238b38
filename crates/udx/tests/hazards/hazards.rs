//! V1 to V10.

use std::time::Duration;

use gapless_udx::wire::{Ack, ExtraRanges, Frame};
use gapless_udx::{EndpointConfig, Event, PeerMisbehaved};

use crate::duo::Duo;
use crate::rig::{
    Hand, MS, Rig, ack, acknowledged, data, dialed_like_go, elsewhere, fin, home, open_with_go,
    pattern, stream, syn,
};

#[test]
fn v01_a_frame_is_sent_again_with_the_boundaries_it_had() {
    let mut rig = Rig::new();
    let (_, id) = rig.dial();
    rig.write(id, &pattern(700));
    let first = rig.sent()[0].stream().unwrap();
    rig.write(id, &pattern(5000));
    rig.finish(id);
    rig.wait(10_000 * MS);
    let mut known = vec![(first.offset, first.data.len(), first.fin)];
    for seen in rig.sent() {
        let Some(frame) = seen.stream() else { continue };
        let said = (frame.offset, frame.data.len(), frame.fin);
        let overlaps = |&(offset, len, _): &(u64, usize, bool)| {
            said.0 < offset + len as u64 && offset < said.0 + said.1 as u64
        };
        assert!(
            known.contains(&said) || !known.iter().any(overlaps),
            "{said:?} after {known:?}"
        );
        known.push(said);
    }
    assert!(known.len() > 5, "nothing was sent again");
}

#[test]
fn v01_what_overlaps_in_any_way_is_put_together() {
    let bytes = pattern(3000);
    let orders: [&[(usize, usize)]; 5] = [
        // UDX 9: rechunked, coalesced, split, and whatever else.
        &[(1000, 2000), (0, 1500), (2000, 3000)],
        &[(1000, 1500), (1000, 2000), (0, 1000), (2000, 3000)],
        &[(2000, 3000), (1000, 1400), (1400, 2000), (0, 1000)],
        &[(500, 1500), (0, 3000)],
        &[(0, 1), (2, 3), (1, 2), (0, 2999), (2998, 3000)],
    ];
    for order in orders {
        let mut rig = Rig::new();
        let (hand, id) = open_with_go(&mut rig);
        for (n, (start, end)) in order.iter().enumerate() {
            let frame = data(*start as u64, &bytes[*start..*end]);
            hand.send(&mut rig, 2 + n as u32, (0, 1), &[frame]);
        }
        hand.send(&mut rig, 100, (0, 1), &[fin(3000)]);
        assert!(rig.read(id) == bytes, "{order:?}");
        assert!(rig.ended(id));
    }
}

#[test]
fn v02_a_ping_acknowledges_no_data_that_has_not_arrived() {
    let mut rig = Rig::new();
    let hand = rig.dialed((0x1234_5678, 0x0765_4321), &[syn(b"a")]);
    rig.sent();
    // Data 1 is lost, Dart's probe under its number is not.
    hand.send(&mut rig, 1, (0, 0), &[Frame::Ping]);
    rig.wait(100 * MS);
    assert!(!acknowledged(&rig.sent()).contains(&1));
    // It comes after all, and the probe again.
    hand.send(&mut rig, 1, (0x1234_5678, 0x0765_4321), &[data(1, b"b")]);
    hand.send(&mut rig, 1, (0, 0), &[Frame::Ping]);
    assert!(acknowledged(&rig.sent()).contains(&1));
}

#[test]
fn v03_a_late_syn_does_not_revive_a_closed_connection() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[data(0, b"order")]);
    assert_eq!(rig.read(id), b"order");
    let now = rig.now;
    rig.connection().close(now, 9, b"bye");
    rig.wait(MS);
    let handle = rig.only();
    rig.endpoint.release(handle);
    rig.sent();
    // A peer whose path was down goes on for 30 s.
    for late in [1, 5, 9, 15, 29] {
        rig.wait(Duration::from_secs(late) - (rig.now.saturating_duration_since(now)));
        rig.sent();
        hand.send(&mut rig, 3, (0, 1), &[stream(true, 0, b"order", false)]);
        let answers = rig.sent();
        assert_eq!(rig.endpoint.accept(), None, "after {late} s");
        assert_eq!(answers[0].closes(), Some(9), "it is told again");
    }
    rig.wait(35_000 * MS);
    hand.send(&mut rig, 3, (0, 1), &[stream(true, 0, b"order", false)]);
    assert!(
        rig.endpoint.accept().is_some(),
        "after 35 s of silence it is forgotten"
    );
}

#[test]
fn v03_nothing_is_sent_again_after_connection_close() {
    let mut rig = Rig::new();
    let (_, id) = rig.dial();
    rig.write(id, &pattern(3000));
    let now = rig.now;
    rig.connection().close(now, 0, b"");
    rig.sent();
    rig.wait(Duration::from_secs(30));
    let sent = rig.sent();
    assert!(sent.iter().all(|seen| seen.closes().is_some()), "{sent:?}");
}

#[test]
fn v04_late_frames_of_a_finished_stream_open_no_ghost() {
    let mut rig = Rig::new();
    let hand = dialed_like_go(&mut rig);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    let mut number = 0;
    for source in [1, 3, 5, 7] {
        number += 1;
        let whole = stream(true, 0, b"once", true);
        hand.send(&mut rig, number, (0, source), &[whole]);
        let id = rig.accept();
        assert_eq!(rig.read(id), b"once");
        rig.finish(id);
        let last = rig
            .sent()
            .iter()
            .rev()
            .find(|s| s.stream().is_some())
            .unwrap()
            .number();
        hand.send(&mut rig, 0, (0, 0), &[ack(last, 1)]);
        rig.connection().release_stream(id);
    }
    assert_eq!(rig.connection().stats().streams, 0);
    for source in [5, 1, 7, 3] {
        number += 1;
        let again = stream(true, 0, b"once", true);
        hand.send(&mut rig, number, (0, source), &[again]);
        assert!(
            acknowledged(&rig.sent()).contains(&u64::from(number)),
            "it arrived (UDX 4.1)"
        );
        assert_eq!(rig.connection().accept(), None, "stream {source}");
        assert_eq!(rig.connection().stats().streams, 0);
    }
}

#[test]
fn v04_a_stream_is_forgotten_only_when_everything_is_acknowledged() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"abc");
    rig.finish(id);
    hand.send(
        &mut rig,
        0,
        (id.wire_id(), 2),
        &[stream(true, 0, b"", true)],
    );
    assert!(rig.ended(id));
    rig.connection().release_stream(id);
    assert_eq!(rig.connection().stats().streams, 1, "the FIN may be lost");
    rig.wait(1000 * MS);
    for streams in [1, 0] {
        // The SYN first, then the FIN, which waits for it (V12).
        let largest = rig.sent().iter().map(|seen| seen.number()).max().unwrap();
        hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest + 1)]);
        assert_eq!(rig.connection().stats().streams, streams);
    }
}

#[test]
fn v05_max_data_and_max_streams_go_with_the_opening_until_it_is_acknowledged() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    rig.wait(1000 * MS);
    let opening = rig.sent();
    let opens = |seen: &&crate::rig::Seen| seen.stream().is_some_and(|frame| frame.syn);
    assert!(opening.iter().filter(opens).count() > 2);
    for seen in opening.iter().filter(opens) {
        assert!(seen.has(|frame| matches!(frame, Frame::MaxData { limit } if *limit >= 16 << 20)));
        assert!(seen.has(|frame| matches!(frame, Frame::MaxStreams { count: 65_535 })));
    }
    let largest = opening.last().unwrap().number();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(largest, largest + 1)]);
    rig.write(id, b"y");
    let seen = rig.sent();
    assert!(
        !seen
            .iter()
            .any(|seen| seen.has(|frame| matches!(frame, Frame::MaxData { .. })))
    );
}

#[test]
fn v05_a_reset_is_repeated_while_frames_arrive_at_most_once_an_rto() {
    for released in [false, true] {
        let mut rig = Rig::new();
        let (hand, id) = open_with_go(&mut rig);
        rig.connection().reset(id, 77);
        if released {
            rig.connection().release_stream(id);
        }
        rig.wait(5000 * MS);
        let unasked = rig.sent();
        let times: Vec<_> = unasked.iter().filter(|s| s.resets().is_some()).collect();
        assert_eq!(
            times.len(),
            3,
            "said three times to one who cannot acknowledge it"
        );
        assert!(
            times
                .iter()
                .all(|seen| seen.resets() == Some(77) && seen.ids() == (1, id.wire_id()))
        );
        for n in 0..100 {
            hand.send(&mut rig, 2 + n, (0, 1), &[data(u64::from(n), b"z")]);
            rig.wait(10 * MS);
        }
        let resets = rig
            .sent()
            .iter()
            .filter(|seen| seen.resets() == Some(77))
            .count();
        assert!(
            (2..=6).contains(&resets),
            "{resets} in a second, released: {released}"
        );
        // Not only data: whoever is blocked learns it as well (D13).
        rig.wait(1000 * MS);
        rig.sent();
        let blocked = Frame::StreamDataBlocked {
            stream: 1,
            limit: 65_536,
        };
        hand.send(&mut rig, 0, (0, 1), &[blocked]);
        rig.wait(MS);
        assert!(rig.sent().iter().any(|seen| seen.resets() == Some(77)));
    }
}

#[test]
fn v05_more_resets_than_are_remembered_are_all_said() {
    let mut rig = Rig::new();
    let hand = dialed_like_go(&mut rig);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    let mut ids = Vec::new();
    for n in 0..200 {
        hand.send(&mut rig, 1 + n, (0, 1 + 2 * n), &[syn(b"q")]);
        ids.push(rig.accept());
    }
    rig.sent();
    for id in ids {
        rig.connection().reset(id, 5);
        rig.connection().release_stream(id);
    }
    rig.wait(5000 * MS);
    let mut told: Vec<u32> = rig
        .sent()
        .iter()
        .filter(|s| s.resets().is_some())
        .map(|s| s.ids().0)
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 200);
}

#[test]
fn v05_a_lost_window_update_is_repeated() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    for n in 0..60_u64 {
        hand.send(
            &mut rig,
            2 + n as u32,
            (0, 1),
            &[data(n * 1000, &[0; 1000])],
        );
    }
    rig.sent();
    // The first update of all is lost, and the sender stands at its first limit.
    hand.send(&mut rig, 62, (0, 1), &[data(60_000, &[0; 5536])]);
    rig.read(id);
    rig.sent();
    rig.wait(300 * MS);
    let again = rig.sent();
    let update =
        |frame: &Frame<'_>| matches!(frame, Frame::WindowUpdate { limit } if limit.raw() > 65_536);
    assert!(again.iter().any(|seen| seen.has(update)), "{again:?}");
}

#[test]
fn v06_an_outsider_moves_acknowledges_resets_and_closes_nothing() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    rig.write(id, b"hello");
    let number = rig.sent()[0].number();
    let outsider = Hand {
        address: elsewhere(),
        ..hand
    };
    let evil = [
        ack(number, number + 1),
        Frame::ResetStream { code: 1 },
        Frame::StopSending { stream: 1, code: 1 },
        Frame::ConnectionClose {
            code: 1,
            frame_type: 0,
            reason: b"",
        },
    ];
    for frame in evil {
        outsider.send(&mut rig, 0, (0, 1), &[frame]);
        assert!(
            rig.saw(&Event::Refused(PeerMisbehaved::UnprovenAddress)),
            "{frame:?}"
        );
        rig.events.clear();
    }
    assert!(!rig.connection().is_closed());
    assert_eq!(rig.connection().remote_address(), home());
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 0);
    rig.wait(1000 * MS);
    let seen = rig.sent();
    assert!(
        seen.iter()
            .filter(|s| s.stream().is_some())
            .all(|s| s.to == home())
    );
    // The peer itself is still obeyed.
    hand.send(&mut rig, 0, (0, 1), &[ack(number, number + 1)]);
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 5);
}

#[test]
fn v06_ids_differ_between_connections_and_endpoints() {
    let mut ids = Vec::new();
    for seed in 0..3 {
        let mut rig = Rig::seeded(EndpointConfig::default(), seed);
        for _ in 0..50 {
            rig.endpoint.connect(rig.now, home()).unwrap();
        }
        for seen in rig.sent() {
            ids.push(seen.header.destination.as_slice().to_vec());
            ids.push(seen.header.source.as_slice().to_vec());
        }
    }
    assert_eq!(ids.len(), 300);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 300);
}

#[test]
fn v08_endless_ranges_cost_nothing_and_are_not_believed() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    let begin = std::time::Instant::now();
    let extra = [[0, 0xFF, 0xFF, 0xFF, 0xFF]; 255];
    for largest in [0, 1, 7, u32::MAX, u32::MAX / 2] {
        for first in [0, 1, u32::MAX] {
            let frame = Frame::Ack(Ack {
                largest: largest.into(),
                delay_ms: u16::MAX,
                first,
                extra: ExtraRanges::new(&extra).unwrap(),
            });
            hand.send(&mut rig, 0, (0, 0), &[frame]);
        }
    }
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "V8 costs others minutes"
    );
    assert!(!rig.connection().is_closed());
}

#[test]
fn v10_nothing_exceeds_1200_bytes_before_a_larger_size_was_acknowledged() {
    let mut duo = Duo::new();
    // No MTU probe gets through.
    duo.passes = Box::new(|_, _, datagram| datagram.len() <= 1200);
    let (_, stream) = duo.dial();
    let bytes = pattern(100_000);
    duo.dialer.write(stream, &bytes);
    duo.dialer.finish(stream);
    let mut received = Vec::new();
    for _ in 0..100 {
        duo.run(50 * MS);
        if duo.acceptor.endpoint.connections().next().is_some() {
            if let Some(id) = duo.there().accept() {
                received.push((id, Vec::new()));
            }
            for (id, data) in &mut received {
                data.extend(duo.acceptor.read(*id));
            }
        }
    }
    assert!(received[0].1 == bytes);
    let large = duo.sizes[0].iter().filter(|size| **size > 1200).count();
    assert!((1..=40).contains(&large), "probes only: {large}");
    assert_eq!(duo.dialer.connection().stats().mtu, 1200);
}
