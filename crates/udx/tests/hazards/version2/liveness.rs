//! How connections of version 2 live and end.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{CloseReason, Event, WriteError};

use super::{DART, GO, dart_is_open, go_is_open};
use crate::rig::{Hand, MS, Rig, Seen, ack, acknowledged, data, elsewhere, syn};

/// No peer has an idle timeout, and none says that it goes.
#[test]
fn h23_a_silent_peer_is_asked_after_10_s_and_given_up_after_30() {
    let mut rig = Rig::version2();
    let (hand, id) = dart_is_open(&mut rig);
    hand.send(&mut rig, 1, DART, &[data(0, b"last words")]);
    let start = rig.now;
    rig.wait(Duration::from_secs(9));
    assert!(rig.sent().iter().all(|seen| seen.challenge().is_none()));
    rig.wait(Duration::from_secs(20));
    let asked: Vec<Seen> = rig
        .sent()
        .into_iter()
        .filter(|seen| seen.challenge().is_some())
        .collect();
    let first = asked[0].at.saturating_duration_since(start);
    assert!((10..=11).contains(&first.as_secs()), "{first:?}");
    // D14: everybody answers that, wherever; and it takes no number.
    assert!(
        asked
            .iter()
            .all(|seen| seen.ids() == (0, 0) && seen.number() == 0)
    );
    // It is repeated until it is answered, at most every PTO.
    assert!((2..=16).contains(&asked.len()), "{}", asked.len());
    assert!(!rig.connection().is_closed());
    rig.wait(Duration::from_secs(3));
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::IdleTimeout)
    );
    assert_eq!(rig.read(id), b"last words", "what arrived can be read");
}

#[test]
fn h23_an_answer_is_enough_to_live_on() {
    let mut rig = Rig::version2();
    let (hand, _) = dart_is_open(&mut rig);
    for _ in 0..60 {
        rig.wait(Duration::from_secs(2));
        for seen in rig.sent() {
            if let Some(nonce) = seen.challenge() {
                hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
            }
        }
    }
    assert!(!rig.connection().is_closed());
}

#[test]
fn d14_a_ping_of_the_application_is_a_challenge_and_takes_no_number() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    let now = rig.now;
    rig.connection().ping(now);
    let seen = rig.sent();
    assert!(
        seen.iter()
            .all(|seen| !seen.has(|frame| matches!(frame, Frame::Ping)))
    );
    let nonce = seen.iter().find_map(Seen::challenge).expect("a challenge");
    rig.wait(40 * MS);
    hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    assert!(rig.saw(&Event::Pong { rtt: 40 * MS }), "{:?}", rig.events);
    rig.write(id, b"y");
    rig.wait(MS);
    assert_eq!(super::numbers(&rig.sent()), [1]);
}

#[test]
fn d15_a_close_is_said_two_or_three_times_in_plain_words() {
    let mut rig = Rig::version2();
    go_is_open(&mut rig, b"x");
    let now = rig.now;
    rig.connection().close(now, 9, b"over");
    rig.wait(Duration::from_secs(30));
    let seen = rig.sent();
    assert!((2..=3).contains(&seen.len()), "{seen:?}");
    for seen in &seen {
        assert_eq!(
            (seen.closes(), seen.number(), seen.ids()),
            (Some(9), 0, (0, 0))
        );
        assert_eq!(seen.header.version, 2);
    }
}

#[test]
fn d15_d20_a_close_of_the_peer_is_obeyed() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    // D20: Go writes UTF-8, Dart Latin-1.
    for reason in [&b"caf\xc3\xa9"[..], b"caf\xe9"] {
        let frame = Frame::ConnectionClose {
            code: 3,
            frame_type: 0,
            reason,
        };
        hand.send(&mut rig, 0, (0, 0), &[frame]);
    }
    assert!(matches!(
        rig.connection().close_reason(),
        Some(CloseReason::Peer { code: 3, .. })
    ));
    assert!(
        rig.connection()
            .write(id, &mut bytes::Bytes::from_static(b"y"))
            == Err(WriteError::Closed)
    );
    // H25: nothing more goes to a peer that would keep it for ever.
    rig.sent();
    rig.wait(Duration::from_secs(40));
    assert!(rig.sent().is_empty());
}

/// H25: Go keeps packets of unknown connections for ever.
#[test]
fn h25_nothing_is_sent_to_a_connection_that_is_over() {
    let mut rig = Rig::version2();
    let (_, id) = go_is_open(&mut rig, b"x");
    rig.write(id, &[1; 5000]);
    let now = rig.now;
    rig.connection().close(now, 0, b"");
    rig.sent();
    rig.wait(Duration::from_secs(60));
    let sent = rig.sent();
    assert!(
        sent.len() <= 2 && sent.iter().all(|seen| seen.closes().is_some()),
        "{sent:?}"
    );
}

#[test]
fn h18_an_outsider_moves_acknowledges_resets_and_closes_nothing() {
    let mut rig = Rig::version2();
    let (hand, id) = go_is_open(&mut rig, b"x");
    rig.write(id, b"hello");
    rig.wait(MS);
    rig.sent();
    let outsider = Hand {
        address: elsewhere(),
        ..hand
    };
    let evil = [
        ack(1, 2),
        Frame::ResetStream { code: 1 },
        Frame::StopSending { stream: 1, code: 1 },
        Frame::ConnectionClose {
            code: 1,
            frame_type: 0,
            reason: b"",
        },
    ];
    for frame in evil {
        outsider.send(&mut rig, 0, GO, &[frame]);
    }
    assert!(!rig.connection().is_closed());
    assert_eq!(rig.connection().stats().stream_bytes_acknowledged, 0);
    hand.send(&mut rig, 2, GO, &[data(0, b"y")]);
    assert_eq!(rig.read(id), b"xy");
    rig.wait(Duration::from_secs(1));
    let seen = rig.sent();
    let data: Vec<&Seen> = seen.iter().filter(|seen| seen.is_numbered()).collect();
    assert!(!data.is_empty() && data.iter().all(|seen| seen.to == hand.address));
    // What it may cause: a challenge, no longer than three times what it sent.
    let elsewhere = seen.iter().filter(|seen| seen.to == elsewhere());
    assert!(elsewhere.clone().all(|seen| seen.challenge().is_some()));
}

/// D18: Go dials everything from one port, and nobody looks at addresses: connections are told apart by their IDs.
#[test]
fn d18_h27_two_connections_of_one_address_are_two() {
    let mut rig = Rig::version2();
    let hands = [Hand::version2(1), Hand::version2(2)];
    for (hand, word) in hands.iter().zip([b"one", b"two"]) {
        rig.dialed_by(*hand, (0, 0), &[syn(b"")]);
        hand.send(&mut rig, 1, GO, &[syn(word)]);
    }
    let mut words = Vec::new();
    for handle in rig.endpoint.connections().collect::<Vec<_>>() {
        let connection = rig.endpoint.connection_mut(handle).unwrap();
        let id = connection.accept().unwrap();
        words.push(connection.read(id, 10).unwrap().unwrap().to_vec());
    }
    words.sort();
    assert_eq!(words, [b"one", b"two"]);
}

#[test]
fn h19_an_unproven_dialer_gets_three_bytes_for_one() {
    for longest in [false, true] {
        let mut rig = Rig::version2();
        let hand = Hand::version2(1);
        let first = hand.packet(0, GO, &[syn(b"x")]);
        rig.give(hand.address, &first);
        let id = rig.accept();
        rig.write(id, &[0; 50_000]);
        let mut received = first.len();
        for n in 0..20 {
            if longest {
                rig.wait(Duration::from_millis(300));
            } else {
                let packet = hand.packet(1 + n, GO, &[data(0, b"y")]);
                received += packet.len();
                rig.give(hand.address, &packet);
            }
            let sent: usize = rig.raw.iter().map(|(.., datagram)| datagram.len()).sum();
            assert!(sent <= 3 * received, "{sent} for {received}");
        }
        assert!(rig.sent().iter().any(|seen| seen.challenge().is_some()));
    }
}

/// Dart queues its ACK of the SYN when it may send no more; whatever comes next frees it.
#[test]
fn a_dialer_goes_on_when_the_acknowledgement_waits_behind_the_budget() {
    let mut rig = Rig::version2();
    let (hand, id) = rig.dial();
    rig.write(id, b"words");
    rig.sent();
    let theirs = DART.1;
    hand.send(&mut rig, 0, (id.wire_id(), theirs), &[syn(b"")]);
    hand.send(&mut rig, 0, (0, 0), &[Frame::MaxData { limit: 1 << 20 }]);
    let seen = rig.sent();
    assert_eq!(acknowledged(&seen), [0], "an answer at once");
    hand.send(&mut rig, 0, (0, 0), &[ack(0, 1)]);
    rig.wait(MS);
    assert_eq!(super::numbers(&rig.sent()), [1]);
}

/// RFC 9002 6.2.2.1: the acceptor may have spent all that our opening allows it, on challenges that were lost.
#[test]
fn a_dialer_that_said_little_and_was_not_challenged_speaks_again_soon() {
    let asks = |bytes: usize| {
        let mut rig = Rig::version2();
        let (hand, id) = rig.dial();
        rig.write(id, &crate::rig::pattern(bytes));
        hand.send(&mut rig, 0, (0, 0), &[ack(0, 1)]);
        let sent = rig.sent();
        for number in super::numbers(&sent) {
            hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
        }
        rig.sent();
        rig.wait(Duration::from_secs(3));
        rig.sent().iter().any(|seen| seen.challenge().is_some())
    };
    assert!(asks(10));
    assert!(!asks(1000), "that is enough for many answers");
}
