//! V12 to V21.

use std::time::Duration;

use gapless_udx::wire::{Ack, ExtraRanges, Frame, Packet};
use gapless_udx::{BlockedOn, CloseReason, EndpointConfig, Event, Limits, PeerMisbehaved};

use crate::duo::Duo;
use crate::rig::{
    CHOSEN, Hand, MS, Rig, Seen, ack, acknowledged, data, dialed_like_go, dialed_like_js, fin,
    home, open_with_go, pattern, stream, syn,
};

#[test]
fn v12_no_fin_before_the_syn_is_acknowledged_but_in_the_same_frame() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    rig.finish(id);
    rig.wait(3000 * MS);
    let sent = rig.sent();
    for frame in sent.iter().filter_map(|seen| seen.stream()) {
        assert!(frame.syn || !frame.fin, "{frame:?}");
    }
    let largest = sent.last().unwrap().number();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(largest, largest + 1)]);
    let end = rig
        .sent()
        .iter()
        .find_map(|seen| seen.stream())
        .expect("now the FIN");
    assert!(end.fin && !end.syn && (end.offset, end.data.len()) == (1, 0));
    // All in one.
    let second = rig.connection().open().unwrap();
    let mut bytes = "whole".into();
    rig.connection().write(second, &mut bytes).unwrap();
    rig.finish(second);
    let whole = rig.sent().iter().find_map(|seen| seen.stream()).unwrap();
    assert!(whole.syn && whole.fin && whole.data == b"whole");
}

#[test]
fn v12_a_fin_that_overtakes_its_stream_is_kept() {
    let mut rig = Rig::new();
    let hand = dialed_like_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[fin(4)]);
    assert!(acknowledged(&rig.sent()).contains(&2));
    assert_eq!(
        rig.connection().accept(),
        None,
        "it opens nothing (UDX 8.1)"
    );
    hand.send(&mut rig, 3, (0, 1), &[syn(b"data")]);
    let id = rig.accept();
    assert_eq!(rig.read(id), b"data");
    assert!(rig.ended(id));
}

#[test]
fn v12_fins_of_streams_that_never_open_do_not_fill_the_memory_for_good() {
    let mut rig = Rig::new();
    let hand = dialed_like_go(&mut rig);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    let mut refused = Vec::new();
    for n in 0..200_u32 {
        hand.send(&mut rig, 1 + n, (0, 1 + 2 * n), &[fin(0)]);
        if !acknowledged(&rig.sent()).contains(&u64::from(1 + n)) {
            refused.push(n);
        }
    }
    // V13: what is not kept is not acknowledged, and comes again.
    assert_eq!(refused.len(), 200 - 64);
    for _ in 0..3 {
        rig.wait(Duration::from_secs(20));
        hand.send(&mut rig, 0, (0, 0), &[]);
    }
    rig.sent();
    hand.send(&mut rig, 1000, (0, 1001), &[fin(4)]);
    assert!(acknowledged(&rig.sent()).contains(&1000));
    hand.send(&mut rig, 1001, (0, 1001), &[syn(b"late")]);
    let id = rig.accept();
    assert_eq!(rig.read(id), b"late");
    assert!(rig.ended(id));
}

#[test]
fn v13_what_is_not_stored_is_not_acknowledged() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    let mut number = 1;
    let mut acked = 0;
    // Every second byte: pieces without end.
    for n in 0..3000_u64 {
        number += 1;
        hand.send(&mut rig, number, (0, 1), &[data(1 + 2 * n, b"p")]);
        acked += usize::from(acknowledged(&rig.sent()).contains(&u64::from(number)));
    }
    assert!(rig.saw(&Event::Refused(PeerMisbehaved::TooFragmented)));
    assert!(acked < 3000);
    assert!(!rig.connection().is_closed());
    // R16: what is next in order always goes in, and so all arrives in the end.
    let whole = pattern(6001);
    for (n, chunk) in whole.chunks(1000).enumerate() {
        number += 1;
        let offset = n as u64 * 1000;
        hand.send(&mut rig, number, (0, 1), &[data(offset, chunk)]);
        rig.wait(30 * MS);
        assert!(
            acknowledged(&rig.sent()).contains(&u64::from(number)),
            "at {offset}"
        );
    }
    assert_eq!(rig.read(id).len(), 6001);
}

#[test]
fn v14_no_64_bit_field_exceeds_2_to_the_53() {
    let config = EndpointConfig {
        connection: gapless_udx::ConnectionConfig {
            max_in_flight: u64::MAX,
            ..Default::default()
        },
        ..EndpointConfig::default()
    };
    let mut rig = Rig::with(config);
    rig.dial();
    let limit = rig.sent()[0].frames.iter().find_map(|frame| match frame {
        Frame::MaxData { limit } => Some(*limit),
        _ => None,
    });
    assert!(limit.unwrap() < 1 << 53);
}

#[test]
fn v15_packets_that_are_late_are_not_lost_for_good_and_the_window_is_restored() {
    let mut duo = Duo::new();
    let (stream, there) = duo.opened();
    // The wire of `Duo` keeps order, so the ACKs are late instead: see `recovery` for the rule itself.
    let bytes = pattern(1_000_000);
    let mut written = 0;
    let mut read = Vec::new();
    for _ in 0..400 {
        written += duo.dialer.write(stream, &bytes[written..]);
        duo.run(20 * MS);
        read.extend(duo.acceptor.read(there));
        if read.len() == bytes.len() {
            break;
        }
    }
    assert!(read == bytes);
    assert_eq!(duo.dialer.connection().stats().recovery.packets_lost, 0);
}

#[test]
fn v16_an_ack_delay_of_hundreds_of_milliseconds_does_not_become_round_trip_time() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"1");
    let number = rig.sent()[0].number();
    rig.wait(20 * MS);
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(number, number + 1)]);
    for _ in 0..20 {
        assert_eq!(rig.write(id, b"2"), 1);
        let number = rig.sent().last().expect("sent at once").number();
        rig.wait(190 * MS);
        let late = Frame::Ack(Ack {
            largest: number.into(),
            delay_ms: 170,
            first: number + 1,
            extra: ExtraRanges::NONE,
        });
        hand.send(&mut rig, 0, (0, 0), &[late]);
        rig.sent();
    }
    let rtt = rig.connection().stats().rtt.unwrap();
    assert!(rtt < 60 * MS, "{rtt:?}");
}

#[test]
fn v17_silence_is_broken_after_ten_seconds_by_what_everybody_answers() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    rig.wait(Duration::from_millis(9_900));
    assert!(rig.sent().iter().all(|seen| seen.challenge().is_none()));
    rig.wait(200 * MS);
    let asked = rig.sent();
    let nonce = asked
        .iter()
        .find_map(|seen| seen.challenge())
        .expect("D7: PATH_CHALLENGE");
    hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    rig.wait(Duration::from_secs(9));
    assert!(rig.sent().is_empty(), "answered");
    rig.wait(Duration::from_secs(40));
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::IdleTimeout)
    );
}

#[test]
fn v18_an_unproven_address_gets_three_bytes_for_one() {
    // Whatever the application writes, in one train or in many.
    for len in [1, 46, 1200] {
        let mut rig = Rig::new();
        let payload = vec![0; len];
        let hand = Hand::new(3);
        let datagram = hand.packet(0, CHOSEN, &[syn(&payload)]);
        rig.give(home(), &datagram);
        let id = rig.accept();
        rig.write(id, &[0; 200_000]);
        rig.wait(Duration::from_secs(20));
        let sent: usize = rig.sent().iter().map(|seen| seen.len).sum();
        assert!(sent <= 3 * datagram.len(), "{sent} for {}", datagram.len());
        let now = rig.now;
        if len == 1200 {
            assert_eq!(rig.connection().blocked_on(now), BlockedOn::PathValidation);
        }
        let more = hand.packet(0, (0, 0), &[]);
        rig.give(home(), &more);
        rig.wait(Duration::from_secs(5));
        let sent = sent + rig.sent().iter().map(|seen| seen.len).sum::<usize>();
        assert!(sent <= 3 * (datagram.len() + more.len()));
    }
}

/// Go and JS dial with a SYN of the connection alone, and may then wait for us to speak. What they repeat is what is not acknowledged,
/// and each repetition pays for more challenges: so no number of lost ones leaves both sides waiting.
#[test]
fn v18_a_dialer_that_says_nothing_is_asked_until_it_answers() {
    let mut rig = Rig::counted();
    let hand = dialed_like_go(&mut rig);
    let own = rig.connection().open().unwrap();
    rig.write(own, b"we speak first");
    let opening = hand.packet(0, (0, 0), &[syn(b"")]);
    // All our challenges are lost, or the answers, for longer than the idle timeout.
    for _ in 0..20 {
        rig.wait(Duration::from_secs(2));
        let seen = rig.sent();
        assert!(seen.iter().any(|packet| packet.challenge().is_some()));
        assert!(acknowledged(&seen).is_empty(), "it would fall silent");
        rig.give(home(), &opening);
    }
    rig.wait(Duration::from_secs(2));
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    let seen = rig.sent();
    assert_eq!(acknowledged(&seen), [0]);
    let first = seen.iter().find_map(Seen::stream).unwrap();
    assert_eq!(first.data, b"we speak first");
}

/// What is sent again to an unproven address has room for an ACK, which may be long.
#[test]
fn v18_an_ack_that_rides_along_is_paid_for() {
    for len in (700..1400).step_by(20) {
        let mut rig = Rig::counted();
        let hand = Hand::new(3);
        let opening = hand.packet(0, CHOSEN, &[syn(&vec![0; len])]);
        rig.give(home(), &opening);
        let mut received = opening.len();
        let id = rig.accept();
        // Small pieces, so that there are many to send again.
        for _ in 0..100 {
            rig.write(id, &[1; 20]);
        }
        let mut sent = 0;
        // Every second number is missing: an ACK of many ranges.
        for n in 0..60_u32 {
            let piece = hand.packet(2 * n + 2, CHOSEN, &[data(u64::from(2 * n) + 5000, b"x")]);
            rig.give(home(), &piece);
            received += piece.len();
            rig.wait(50 * MS);
            sent += rig.sent().iter().map(|packet| packet.len).sum::<usize>();
            assert!(sent <= 3 * received, "{len}: {sent} for {received}");
        }
    }
}

/// Whoever has more to say is answered at once.
#[test]
fn v18_data_are_acknowledged_before_the_address_is_proven() {
    let mut rig = Rig::counted();
    let hand = dialed_like_go(&mut rig);
    assert!(acknowledged(&rig.sent()).is_empty());
    hand.send(&mut rig, 1, (0, 1), &[syn(b"a question")]);
    assert_eq!(acknowledged(&rig.sent()), [0, 1]);
}

#[test]
fn v18_longest_ids_do_not_stop_the_challenge() {
    use gapless_udx::wire::ConnectionId;
    let mut rig = Rig::new();
    let hand = Hand {
        version: gapless_udx::wire::Version::V3,
        address: home(),
        own: ConnectionId::new(&[1; 20]).unwrap(),
        theirs: ConnectionId::new(&[2; 20]).unwrap(),
    };
    let datagram = hand.packet(0, CHOSEN, &[syn(b"")]);
    rig.give(home(), &datagram);
    let id = rig.accept();
    rig.write(id, &[0; 10_000]);
    rig.wait(Duration::from_secs(20));
    let seen = rig.sent();
    assert!(seen.iter().map(|seen| seen.len).sum::<usize>() <= 3 * datagram.len());
    assert!(
        seen.iter()
            .filter(|seen| seen.challenge().is_some())
            .count()
            >= 2
    );
    hand.prove(&mut rig, &seen);
    assert!(rig.sent().iter().any(|seen| seen.stream().is_some()));
}

#[test]
fn v19_memory_is_bounded_whatever_arrives() {
    let limits = Limits {
        max_streams: 16,
        receive_growth: 1 << 20,
        ..Limits::default()
    };
    let config = EndpointConfig {
        limits,
        ..EndpointConfig::default()
    };
    let mut rig = Rig::with(config);
    let hand = dialed_like_js(&mut rig);
    let mut number = 0;
    let mut worst = 0;
    for round in 0..40_u64 {
        for source in 0..40_u32 {
            number += 1;
            let offset = (round * 7919) % 65_000;
            let frames = [stream(true, offset, &[0; 1000], false)];
            hand.send(&mut rig, number, (0, 1 + 2 * source), &frames);
        }
        worst = worst.max(rig.endpoint.memory());
        rig.raw.clear();
    }
    // 16 x (64 KiB + 2 blocks + book) + growth.
    assert!(
        worst <= 16 * (65_536 + 32_768 + 8192) + (1 << 20) + 65_536,
        "{worst}"
    );
}

#[test]
fn v20_a_peer_that_never_acknowledges_gets_one_or_two_packets_per_timeout() {
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.write(id, b"x");
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    rig.write(id, &[0; 60_000]);
    rig.sent();
    rig.wait(Duration::from_secs(25));
    let mut by_time = std::collections::BTreeMap::new();
    for seen in rig.sent().iter().filter(|seen| seen.stream().is_some()) {
        *by_time.entry(seen.at).or_insert(0) += 1;
    }
    assert!(by_time.len() > 8, "{by_time:?}");
    assert!(by_time.values().all(|count| *count <= 2), "{by_time:?}");
}

#[test]
fn v21_what_arrived_before_the_close_can_be_read() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[data(0, b"unread")]);
    let close = Frame::ConnectionClose {
        code: 3,
        frame_type: 0,
        reason: b"gone",
    };
    hand.send(&mut rig, 0, (0, 0), &[close]);
    assert!(rig.connection().is_closed());
    assert_eq!(rig.read(id), b"unread");
}

/// Recorded hazards have their own replay; this one is about what the codec promises the engine.
#[test]
fn a_datagram_that_does_not_parse_changes_nothing() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    let before = (rig.connection().stats().bytes_received, rig.raw.len());
    let good = hand.packet(2, (0, 1), &[data(0, b"ok")]);
    for cut in 0..good.len() {
        if Packet::decode_as(&good[..cut], gapless_udx::wire::Dialect::V3).is_err() {
            rig.give(home(), &good[..cut]);
        }
    }
    let mut bad = good.clone();
    bad.push(0x7f);
    rig.give(home(), &bad);
    // UDX 2.1: a packet with data and one byte of type 0x0c is not acknowledged.
    let mut dart = good.clone();
    dart.push(0x0c);
    rig.give(home(), &dart);
    rig.wait(100 * MS);
    assert_eq!(
        (rig.connection().stats().bytes_received, rig.raw.len()),
        before
    );
    rig.give(home(), &good);
    assert_eq!(rig.read(id), b"ok");
}
