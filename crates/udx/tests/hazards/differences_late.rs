//! D11 to D24, likewise.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{Event, OpenError, Peer, PeerMisbehaved};

use crate::duo::Duo;
use crate::rig::{Hand, MS, Rig, Seen, ack, data, open_with_go, stream, syn};

#[test]
fn d11_max_data_caps_what_is_in_flight_and_only_rises() {
    let mut duo = Duo::new();
    let (stream, there) = duo.opened();
    let bytes = vec![7; 8 << 20];
    let (mut written, mut read, mut worst) = (0, 0, 0);
    for _ in 0..3000 {
        written += duo.dialer.write(stream, &bytes[written..]);
        duo.run(2 * MS);
        read += duo.acceptor.read(there).len();
        worst = worst.max(duo.dialer.connection().stats().in_flight);
        if read == bytes.len() {
            break;
        }
    }
    assert_eq!(read, bytes.len());
    assert!(worst <= duo.dialer.connection().stats().peer_max_data);
}

#[test]
fn d11_at_the_cap_data_blocked_is_said_once_an_rto_and_the_answer_heard() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    // A window far beyond the 1 MiB that may be in flight until the peer says otherwise.
    let bytes = vec![1; 40_000_000];
    let (mut written, mut acked, mut blocked) = (0, 0, Vec::new());
    for n in 0..4000_u32 {
        let limit = (written as u32).saturating_add(8 << 20);
        hand.send(
            &mut rig,
            0,
            (id.wire_id(), 2),
            &[Frame::WindowUpdate {
                limit: limit.into(),
            }],
        );
        written += rig.write(id, &bytes[written..]);
        let seen = rig.sent();
        blocked.extend(
            seen.iter()
                .filter(|s| s.has(|f| matches!(f, Frame::DataBlocked { .. })))
                .map(|s| s.at),
        );
        let stats = rig.connection().stats();
        assert!(
            stats.in_flight <= stats.peer_max_data,
            "{}",
            stats.in_flight
        );
        if !blocked.is_empty() {
            break;
        }
        // Each number a while after it was sent, one by one, so that the window opens wide.
        let largest = seen
            .iter()
            .filter(|s| s.stream().is_some())
            .map(Seen::number)
            .max();
        acked = acked.max(largest.unwrap_or(0));
        if n % 4 == 3 {
            hand.send(&mut rig, 0, (0, 0), &[ack(acked, acked + 1)]);
        }
        rig.wait(5 * MS);
    }
    assert!(!blocked.is_empty(), "the window never reached 1 MiB");
    rig.wait(2000 * MS);
    let seen = rig.sent();
    let again = seen
        .iter()
        .filter(|s| s.has(|f| matches!(f, Frame::DataBlocked { .. })))
        .count();
    assert!((1..=11).contains(&again), "{again} in two seconds");
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxData { limit: 5 << 20 }]);
    assert_eq!(rig.connection().stats().peer_max_data, 5 << 20);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxData { limit: 5 }]);
    assert_eq!(rig.connection().stats().peer_max_data, 5 << 20);
}

#[test]
fn d11_whoever_says_data_blocked_is_told_again() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    rig.sent();
    hand.send(&mut rig, 0, (0, 0), &[Frame::DataBlocked { limit: 5 }]);
    let limit = |frame: &Frame<'_>| matches!(frame, Frame::MaxData { limit } if *limit >= 16 << 20);
    assert!(rig.sent().iter().any(|seen| seen.has(limit)));
}

#[test]
fn d12_eight_new_streams_in_a_round_trip_and_the_largest_limit_counts() {
    let mut rig = Rig::counted();
    let (hand, id) = rig.dial();
    rig.write(id, b"0");
    rig.wait(100 * MS);
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(1, 2)]);
    assert_eq!(rig.connection().peer(), Peer::Go);
    rig.wait(200 * MS);
    rig.sent();
    for _ in 0..40 {
        let stream = rig.connection().open().unwrap();
        rig.write(stream, b"q");
    }
    let opened = |seen: &[Seen]| {
        seen.iter()
            .filter_map(Seen::stream)
            .filter(|s| s.syn)
            .count()
    };
    let seen = rig.sent();
    assert_eq!(opened(&seen), 8);
    let mut numbers = seen;
    for _ in 0..4 {
        let largest = numbers.iter().map(Seen::number).max().unwrap();
        hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest + 1)]);
        rig.wait(90 * MS);
        numbers = rig.sent();
        assert!(opened(&numbers) <= 16);
    }
    // 100 until told otherwise, then the largest.
    for _ in 41..100 {
        rig.connection().open().unwrap();
    }
    assert_eq!(rig.connection().open(), Err(OpenError::Limit));
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxStreams { count: 102 }]);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxStreams { count: 50 }]);
    assert!(rig.saw(&Event::StreamsAvailable));
    assert!(rig.connection().open().is_ok() && rig.connection().open().is_ok());
    assert_eq!(rig.connection().open(), Err(OpenError::Limit));
}

#[test]
fn d13_a_blocked_stream_says_so_at_once_and_every_half_second() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    // Up to the limit exactly, and everything arrives.
    let mut written = rig.write(id, &[1; 65_536]);
    for _ in 0..50 {
        let largest = rig.sent().iter().map(Seen::number).max().unwrap_or(0);
        hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest + 1)]);
        rig.wait(20 * MS);
        written += rig.write(id, &[1; 65_536][written..]);
    }
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 65_536);
    rig.sent();
    // The update was lost. More is written only now.
    rig.write(id, b"more");
    let blocked = |seen: &[Seen]| {
        let is = |f: &Frame<'static>| matches!(f, Frame::StreamDataBlocked { limit: 65_536, .. });
        seen.iter().filter(|s| s.has(is)).count()
    };
    assert_eq!(blocked(&rig.sent()), 1, "at once");
    rig.wait(2800 * MS);
    assert!((5..=7).contains(&blocked(&rig.sent())));
    hand.send(
        &mut rig,
        0,
        (id.wire_id(), 2),
        &[Frame::WindowUpdate {
            limit: 70_000.into(),
        }],
    );
    assert_eq!(
        rig.sent().iter().find_map(Seen::stream).unwrap().data,
        b"more"
    );
}

#[test]
fn d13_a_blocked_peer_is_told_the_limit_or_that_the_stream_is_over() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    let blocked = Frame::StreamDataBlocked {
        stream: 1,
        limit: 65_536,
    };
    hand.send(&mut rig, 0, (0, 1), &[blocked]);
    let limit =
        |frame: &Frame<'_>| matches!(frame, Frame::WindowUpdate { limit } if limit.raw() == 65_536);
    assert!(
        rig.sent()
            .iter()
            .any(|s| s.has(limit) && s.ids() == (1, id.wire_id()))
    );
    // Also when everything was read to the end.
    hand.send(&mut rig, 2, (0, 1), &[stream(false, 0, b"end", true)]);
    assert_eq!(rig.read(id), b"end");
    rig.sent();
    hand.send(&mut rig, 0, (0, 1), &[blocked]);
    assert!(
        rig.sent()
            .iter()
            .any(|s| s.has(|f| matches!(f, Frame::WindowUpdate { .. })))
    );
}

#[test]
fn d14_a_fragment_beyond_the_limit_is_taken() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    for n in 0..66_u64 {
        hand.send(
            &mut rig,
            2 + n as u32,
            (0, 1),
            &[data(n * 1000, &[9; 1000])],
        );
    }
    assert_eq!(rig.connection().stats().stream_bytes_received, 66_000);
    assert!(!rig.saw(&Event::Refused(PeerMisbehaved::BeyondLimit)));
    assert_eq!(rig.read(id).len(), 66_000);
}

#[test]
fn d16_a_challenge_is_answered_before_anything_else_and_from_where_it_came() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, &[1; 50_000]);
    rig.sent();
    hand.send(
        &mut rig,
        0,
        (0, 0),
        &[Frame::PathChallenge { nonce: 0xABCD }, ack(0, 1)],
    );
    let seen = rig.sent();
    assert_eq!(seen[0].response(), Some(0xABCD));
    let away = Hand {
        address: crate::rig::elsewhere(),
        ..hand
    };
    away.send(
        &mut rig,
        0,
        (0, 0),
        &[Frame::PathChallenge { nonce: 0x1234 }],
    );
    let answer = rig
        .sent()
        .into_iter()
        .find(|s| s.response() == Some(0x1234))
        .unwrap();
    assert_eq!(
        (answer.to, answer.ids(), answer.number()),
        (away.address, (0, 0), 0)
    );
}

/// What a JS acceptor sends at three times what it heard: its data, while its acknowledgements wait behind them.
#[test]
fn d16_a_lost_answer_is_repeated_by_the_next_timeout_whatever_is_older() {
    let mut rig = Rig::counted();
    let (hand, id) = rig.dial();
    rig.write(id, &[1; 5_000]);
    rig.sent();
    let limits = [
        Frame::PathChallenge { nonce: 0xABCD },
        Frame::MaxData { limit: 1 << 24 },
        Frame::MaxStreams { count: 1024 },
    ];
    hand.send(&mut rig, 0, (0, 0), &[ack(0, 1)]);
    hand.send(&mut rig, 0, (0, 0), &limits);
    assert_eq!(rig.connection().peer(), gapless_udx::Peer::Js);
    let answers = |seen: &[crate::rig::Seen]| {
        let answers = seen.iter().filter(|seen| seen.response() == Some(0xABCD));
        answers.map(crate::rig::Seen::number).collect::<Vec<_>>()
    };
    let first = answers(&rig.sent());
    assert_eq!(first.len(), 1);

    // Older than the answer: the stream's packets, which nobody acknowledges either.
    rig.wait(3_000 * MS);
    let seen = rig.sent();
    assert!(
        seen.iter().any(|seen| seen.stream().is_some()),
        "nor are they forgotten"
    );
    let again = answers(&seen);
    assert!(again.len() >= 2, "a timeout each: {seen:?}");
    let oldest = seen.iter().position(|seen| seen.stream().is_some());
    let answer = seen.iter().position(|seen| seen.response().is_some());
    assert!(answer < oldest, "{seen:?}");

    // One number of it is enough.
    let last = *again.last().unwrap();
    hand.send(&mut rig, 0, (0, 0), &[ack(last, 1)]);
    rig.sent();
    rig.wait(10_000 * MS);
    assert!(answers(&rig.sent()).is_empty());
}

#[test]
fn d19_the_window_of_a_new_stream_is_said_again_after_its_first_ack() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    rig.sent();
    hand.send(&mut rig, 0, (id.wire_id(), 0x0765_4321), &[syn(b"")]);
    rig.sent();
    hand.send(&mut rig, 0, (0, 0), &[ack(0, 1)]);
    let update = |f: &Frame<'static>| matches!(f, Frame::WindowUpdate { .. });
    assert!(rig.sent().iter().any(|seen| seen.has(update)));
}

#[test]
fn our_own_kind_has_a_large_window_on_every_stream_from_the_start() {
    let mut duo = Duo::new();
    let (first, _) = duo.opened();
    let second = duo.dialer.connection().open().unwrap();
    duo.dialer.write(second, b"q");
    duo.run(300 * MS);
    let there = duo.acceptor.accept();
    let len = 900_000;
    let mut written = 0;
    for _ in 0..200 {
        written += duo.acceptor.write(there, &vec![1; len][written..]);
        duo.run(20 * MS);
    }
    assert_eq!(written, len);
    assert_eq!(
        duo.there().stats().buffered,
        0,
        "all arrived though nobody reads"
    );
    assert_eq!(duo.dialer.read(second).len(), len);
    let _ = first;
}

#[test]
fn d23_at_most_ten_packets_before_the_first_answer() {
    let mut rig = Rig::counted();
    let (hand, id) = rig.dial();
    // Small ones, so that it is not the congestion window that holds them back.
    for byte in 0..40 {
        rig.write(id, &[byte]);
    }
    let numbered = |seen: &[Seen]| seen.iter().filter(|s| s.stream().is_some()).count();
    assert_eq!(numbered(&rig.sent()), 10);
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(9, 10)]);
    rig.write(id, &[40]);
    rig.wait(50 * MS);
    let rest: usize = rig
        .sent()
        .iter()
        .filter_map(Seen::stream)
        .map(|s| s.data.len())
        .sum();
    assert_eq!(rest, 41 - 9);
}

#[test]
fn d23_packets_ahead_of_the_opening_are_kept_for_ten_seconds_and_not_for_ever() {
    for (wait, arrives) in [(9, true), (11, false)] {
        let mut rig = Rig::new();
        let hand = Hand::new(5);
        for n in 1..40_u32 {
            let byte = [n as u8];
            hand.send(&mut rig, n, (0, 1), &[data(u64::from(n), &byte)]);
        }
        rig.wait(Duration::from_secs(wait));
        hand.send(&mut rig, 0, (0, 1), &[syn(&[0])]);
        let handle = rig.endpoint.accept().unwrap();
        assert_eq!(rig.only(), handle);
        let id = rig.accept();
        let bytes = rig.read(id);
        let expected: Vec<u8> = if arrives { (0..=32).collect() } else { vec![0] };
        assert_eq!(bytes, expected, "32 per ID");
    }
}

#[test]
fn d24_a_reason_is_at_most_256_bytes_and_need_not_be_text() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let long = [0xFF; 1000];
    let close = Frame::ConnectionClose {
        code: 1,
        frame_type: 0,
        reason: &long,
    };
    hand.send(&mut rig, 0, (0, 0), &[close]);
    let Some(gapless_udx::CloseReason::Peer { reason, .. }) = rig.connection().close_reason()
    else {
        panic!("not closed");
    };
    assert_eq!(reason.len(), 256);

    let mut rig = Rig::new();
    open_with_go(&mut rig);
    let now = rig.now;
    rig.connection().close(now, 1, &[b'a'; 1000]);
    let seen = rig.sent();
    let said = seen[0].frames.iter().find_map(|frame| match frame {
        Frame::ConnectionClose { reason, .. } => Some(reason.len()),
        _ => None,
    });
    assert_eq!(said, Some(256));
}
