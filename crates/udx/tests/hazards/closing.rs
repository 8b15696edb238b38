//! Ends: close and draining, idle timeout, stateless reset, version negotiation.

use std::time::Duration;

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{Datagram, Frame, VersionNegotiation};
use gapless_udx::{CloseReason, EndpointConfig, Event, ReadError, WriteError, code};

use crate::rig::{
    CHOSEN, Hand, MS, Rig, Seen, ack, data, dialed_like_go, elsewhere, home, open_with_go, syn,
};

fn closes(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.closes().is_some()).count()
}

#[test]
fn d15_close_is_said_three_times_and_again_to_whoever_speaks() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let now = rig.now;
    rig.connection().close(now, 42, b"enough");
    rig.wait(Duration::from_secs(4));
    let seen = rig.sent();
    assert_eq!((closes(&seen), seen[0].closes()), (3, Some(42)));
    let gaps: Vec<_> = seen
        .windows(2)
        .map(|s| s[1].at.saturating_duration_since(s[0].at))
        .collect();
    assert!(gaps.iter().all(|gap| *gap >= 150 * MS), "{gaps:?}");
    for n in 0..100 {
        hand.send(&mut rig, 2 + n, (0, 1), &[data(0, b"x")]);
    }
    assert_eq!(closes(&rig.sent()), 1, "R12: not for each of a burst");
    // The peer that closes too is not answered.
    rig.wait(1000 * MS);
    let close = Frame::ConnectionClose {
        code: 0,
        frame_type: 0,
        reason: b"",
    };
    hand.send(&mut rig, 0, (0, 0), &[close]);
    rig.wait(5000 * MS);
    assert!(rig.sent().is_empty());
}

#[test]
fn d15_a_close_of_the_peer_is_obeyed_and_not_answered() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    assert_eq!(rig.connection().read(id, 1), Err(ReadError::Blocked));
    rig.drain();
    let close = Frame::ConnectionClose {
        code: 7,
        frame_type: 0,
        reason: b"why",
    };
    hand.send(&mut rig, 0, (0, 0), &[close]);
    hand.send(&mut rig, 3, (0, 1), &[data(0, b"late")]);
    rig.wait(20_000 * MS);
    assert!(rig.sent().is_empty());
    let reason = CloseReason::Peer {
        code: 7,
        reason: b"why".to_vec(),
    };
    assert_eq!(rig.connection().close_reason(), Some(&reason));
    assert!(rig.saw(&Event::Closed));
    assert_eq!(rig.connection().read(id, 1), Err(ReadError::Closed));
    assert_eq!(
        rig.connection().write(id, &mut "x".into()),
        Err(WriteError::Closed)
    );
}

#[test]
fn closing_the_endpoint_closes_all_and_refuses_new_ones() {
    let mut rig = Rig::new();
    let hands: Vec<Hand> = (1..5).map(Hand::new).collect();
    for hand in &hands {
        hand.send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    }
    rig.sent();
    let now = rig.now;
    rig.endpoint.close(now, 5, b"shut");
    assert!(!rig.endpoint.is_idle());
    rig.wait(5000 * MS);
    assert!(rig.endpoint.is_idle());
    let mut told: Vec<_> = rig
        .sent()
        .iter()
        .filter(|s| s.closes() == Some(5))
        .map(|s| s.header.destination)
        .collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 4);
    Hand::new(9).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    assert!(rig.sent().is_empty());
    assert!(rig.endpoint.connect(now, home()).is_err());
}

#[test]
fn idle_ends_silently_after_thirty_seconds_and_any_packet_puts_it_off() {
    let config = EndpointConfig {
        connection: gapless_udx::ConnectionConfig {
            keep_alive: None,
            ..Default::default()
        },
        ..EndpointConfig::default()
    };
    let mut rig = Rig::with(config);
    let (hand, _) = open_with_go(&mut rig);
    rig.wait(Duration::from_secs(29));
    // From where the peer is: elsewhere anybody may be who once recorded a packet (V6).
    hand.send(&mut rig, 0, (0, 0), &[]);
    rig.wait(Duration::from_secs(29));
    assert!(!rig.connection().is_closed());
    rig.sent();
    rig.wait(Duration::from_millis(1100));
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::IdleTimeout)
    );
    assert!(rig.sent().is_empty(), "silently (UDX 7.5)");
    // But one who was only cut off is told when it comes back (V3).
    hand.send(&mut rig, 2, (0, 1), &[data(0, b"back")]);
    let answer = rig.sent();
    assert_eq!((answer.len(), answer[0].closes()), (1, Some(code::TIMEOUT)));
}

#[test]
fn a_late_answer_to_a_dial_that_was_given_up_is_told_so() {
    let mut rig = Rig::new();
    let (hand, _) = rig.dial();
    rig.wait(Duration::from_secs(31));
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::NoAnswer)
    );
    rig.sent();
    hand.send(&mut rig, 0, (0, 0), &[ack(0, 1)]);
    assert_eq!(closes(&rig.sent()), 1);
}

fn secret() -> EndpointConfig {
    EndpointConfig {
        reset_secret: Some([9; 32]),
        ..EndpointConfig::default()
    }
}

#[test]
fn an_endpoint_that_lost_its_state_says_so_after_three_seconds() {
    let mut rig = Rig::with(secret());
    let (hand, id) = open_with_go(&mut rig);
    rig.write(id, b"x");
    let number = rig
        .sent()
        .iter()
        .rev()
        .find(|s| s.stream().is_some())
        .unwrap()
        .number();
    hand.send(&mut rig, 0, (0, 0), &[ack(number, 1)]);
    rig.wait(100 * MS);
    let told = rig.sent();
    let token = told
        .iter()
        .flat_map(|seen| seen.frames.clone())
        .find_map(|frame| match frame {
            Frame::NewConnectionId { id, token, .. } if id == hand.theirs => Some(token),
            _ => None,
        });
    let token = token.expect("NEW_CONNECTION_ID");

    let mut restarted = Rig::seeded(secret(), 99);
    let packet = hand.packet(7, (0, 1), &[data(0, &[1; 200])]);
    for second in 0..3 {
        restarted.give(home(), &packet);
        assert!(
            restarted.raw.is_empty(),
            "after {second} s: it may have overtaken its SYN"
        );
        restarted.wait(Duration::from_secs(1));
    }
    // A keep-alive is too short to be answered by something shorter.
    restarted.give(home(), &hand.packet(8, (0, 0), &[Frame::Ping]));
    assert!(restarted.raw.is_empty());
    for _ in 0..50 {
        restarted.give(home(), &packet);
    }
    assert_eq!(restarted.raw.len(), 10, "ten a second");
    let (_, to, reset) = restarted.raw[0].clone();
    assert_eq!(to, home());
    assert!((39..=64).contains(&reset.len()) && reset.len() < packet.len());
    assert!(reset[0] & 0x80 != 0, "it never looks like a version");
    assert_eq!(Token::of(&reset), Some(token));
}

/// A connection that opens a stream after its peer's restart: it would be answered as if it began, and its old streams' data with it.
#[test]
fn a_syn_under_a_late_number_opens_no_connection() {
    let late = |number| Hand::new(1).packet(number, (0, 1), &[syn(&[1; 200])]);
    let mut rig = Rig::seeded(secret(), 99);
    for number in [256, 5_000, u32::MAX] {
        rig.give(home(), &late(number));
        assert!(rig.raw.is_empty(), "number {number}: its SYN may follow");
    }
    rig.wait(Duration::from_secs(3));
    rig.give(home(), &late(6_000));
    assert_eq!(rig.raw.len(), 1, "a reset");
    assert!(Token::of(&rig.raw[0].2).is_some());
    assert_eq!(rig.endpoint.stats().connections, 0);
    // Others are served as ever; their first packet may have been sent again and again.
    let other = Hand::new(2).packet(255, (0, 1), &[syn(b"x")]);
    rig.give(elsewhere(), &other);
    assert_eq!(rig.endpoint.stats().connections, 1);
    // UDX 7.2: Go's opens nothing but the connection, and its numbers go on with all that it sent before.
    let bare = Hand::new(3).packet(6_000, (0, 0), &[syn(b"")]);
    rig.give(elsewhere(), &bare);
    assert_eq!(rig.endpoint.stats().connections, 2);
}

#[test]
fn a_stateless_reset_ends_the_connection_whose_token_it_has() {
    let mut rig = Rig::new();
    let (hand, _) = rig.dial();
    let token = Token([0x5A; 16]);
    let announce = |id| Frame::NewConnectionId {
        index: 0,
        retire_below: 0,
        id,
        token,
    };
    let mut reset = vec![0x80; 39];
    reset[23..].copy_from_slice(&token.0);
    // UDX 14: only for the ID in use.
    hand.send(&mut rig, 0, (0, 0), &[announce(hand.theirs)]);
    rig.give(home(), &reset);
    assert!(!rig.connection().is_closed());
    hand.send(&mut rig, 0, (0, 0), &[announce(hand.own)]);
    rig.give(home(), &reset[1..]);
    assert!(!rig.connection().is_closed(), "38 bytes are too few");
    let mut wrong = reset.clone();
    wrong[30] ^= 1;
    rig.give(home(), &wrong);
    assert!(!rig.connection().is_closed());
    rig.sent();
    rig.give(home(), &reset);
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::StatelessReset)
    );
    rig.wait(3000 * MS);
    assert!(rig.sent().is_empty(), "there is nobody to tell");
}

#[test]
fn without_a_secret_nothing_is_said_to_unknown_ids() {
    let mut rig = Rig::new();
    let packet = Hand::new(1).packet(7, (0, 1), &[data(0, &[1; 200])]);
    for _ in 0..8 {
        rig.give(home(), &packet);
        rig.wait(Duration::from_secs(1));
    }
    assert!(rig.raw.is_empty());
}

#[test]
fn other_versions_are_told_ours_and_never_more_than_they_sent() {
    let mut rig = Rig::new();
    let hand = Hand::new(1);
    for version in [1, 4, 5, 0xFF00_0001] {
        rig.wait(1000 * MS);
        rig.raw.clear();
        let packet = hand.packet_of(version, 0, CHOSEN, &[syn(b"")]);
        rig.give(home(), &packet);
        let (_, to, answer) = rig.raw.pop().expect("an answer");
        assert_eq!(to, home());
        assert!(answer.len() <= packet.len());
        let Ok(Datagram::VersionNegotiation(offer)) = Datagram::decode(&answer) else {
            panic!("{answer:?}")
        };
        assert_eq!((offer.destination, offer.source), (hand.own, hand.theirs));
        assert!(offer.versions().eq([3, 2]));
    }
    assert_eq!(rig.endpoint.connections().count(), 0);
    // Never to version 0, never often, never for a connection that lives.
    rig.raw.clear();
    rig.wait(1000 * MS);
    rig.give(home(), &hand.packet_of(0, 0, CHOSEN, &[syn(b"")]));
    assert!(rig.raw.is_empty());
    for _ in 0..100 {
        rig.give(home(), &hand.packet_of(4, 0, CHOSEN, &[syn(b"")]));
    }
    assert_eq!(rig.raw.len(), 10);
    rig.wait(2000 * MS);
    hand.send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    rig.raw.clear();
    rig.give(home(), &hand.packet_of(4, 0, CHOSEN, &[syn(b"")]));
    assert!(rig.raw.is_empty());
}

#[test]
fn v07_version_negotiation_counts_only_before_everything_else_and_with_both_ids() {
    let offer = |to, from, versions: &[u32]| {
        let mut buffer = [0; 100];
        let len = VersionNegotiation::encode(&mut buffer, to, from, versions).unwrap();
        buffer[..len].to_vec()
    };
    let mut rig = Rig::new();
    let (hand, _) = rig.dial();
    let (ours, theirs) = (hand.theirs, hand.own);
    let stranger = Hand::new(77).own;
    rig.give(home(), &offer(ours, stranger, &[2, 1]));
    rig.give(home(), &offer(stranger, theirs, &[2, 1]));
    rig.give(elsewhere(), &offer(ours, theirs, &[2, 1]));
    // UDX 13: the list lies if it has what was refused.
    rig.give(home(), &offer(ours, theirs, &[3, 2, 1]));
    assert!(!rig.connection().is_closed());
    let mut answered = Rig::new();
    let (hand, id) = answered.dial();
    hand.send(&mut answered, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    answered.give(home(), &offer(hand.theirs, hand.own, &[2, 1]));
    assert!(
        !answered.connection().is_closed(),
        "it answered in version 3 before"
    );
    // V7: anybody can send one, so nobody gives up for it; but it explains why nobody answered.
    rig.give(home(), &offer(ours, theirs, &[2, 1]));
    assert!(!rig.connection().is_closed());
    rig.wait(31_000 * MS);
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::VersionMismatch)
    );
}

#[test]
fn a_close_that_overtakes_the_opening_leaves_nothing_alive() {
    let mut rig = Rig::new();
    let hand = Hand::new(1);
    let close = Frame::ConnectionClose {
        code: 0,
        frame_type: 0,
        reason: b"",
    };
    hand.send(&mut rig, 0, (0, 0), &[close]);
    hand.send(&mut rig, 0, (0, 0), &[syn(b"")]);
    assert!(rig.connection().is_closed());
}

#[test]
fn a_released_stream_says_its_end_and_drops_the_rest() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    rig.write(id, b"last words");
    rig.connection().release_stream(id);
    let seen = rig.sent();
    assert!(
        seen.iter()
            .any(|s| s.stream().is_some_and(|frame| frame.fin))
    );
    assert!(
        seen.iter().all(|s| s.resets().is_none()),
        "it would take back what was written"
    );
    let largest = seen.iter().map(Seen::number).max().unwrap();
    hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest + 1)]);
    assert_eq!(rig.connection().stats().streams, 0);
    assert!(
        rig.sent().iter().any(|s| s.resets() == Some(0)),
        "now it is told"
    );
    let _ = dialed_like_go;
}

#[test]
fn stop_sending_after_everything_was_said_does_not_end_the_other_direction() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    rig.write(id, b"all");
    rig.finish(id);
    let largest = rig.sent().iter().map(Seen::number).max().unwrap();
    hand.send(&mut rig, 0, (0, 0), &[ack(largest, largest + 1)]);
    hand.send(
        &mut rig,
        0,
        (0, 1),
        &[Frame::StopSending { stream: 1, code: 4 }],
    );
    hand.send(&mut rig, 2, (0, 1), &[data(0, b"more from me")]);
    assert_eq!(rig.read(id), b"more from me");
}
