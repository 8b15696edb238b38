//! Address validation, peers that move, and the size that a path carries.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{ConnectionConfig, EndpointConfig, Event, Peer};

use crate::duo::Duo;
use crate::rig::{
    CHOSEN, Hand, MS, Rig, Seen, ack, acknowledged, data, elsewhere, home, open_with_go, pattern,
    syn,
};

#[test]
fn the_first_answer_has_ack_challenge_and_limits_in_one_packet() {
    // V18: the ACK of an opening without a stream waits for the proof.
    for (ids, acknowledges) in [(CHOSEN, true), ((0, 0), false)] {
        let mut rig = Rig::new();
        rig.dialed(ids, &[syn(b"")]);
        let seen = rig.sent();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].ack().is_some(), acknowledges);
        assert!(seen[0].challenge().is_some());
        assert!(seen[0].has(|f| matches!(f, Frame::MaxData { .. })));
        assert!(seen[0].has(|f| matches!(f, Frame::MaxStreams { .. })));
        assert_eq!((seen[0].number(), seen[0].ids()), (0, (0, 0)));
    }
}

#[test]
fn a_wrong_response_proves_nothing() {
    let mut rig = Rig::new();
    let hand = rig.dialed(CHOSEN, &[syn(b"x")]);
    let id = rig.accept();
    rig.write(id, &[0; 50_000]);
    let nonce = rig.sent().iter().find_map(Seen::challenge).unwrap();
    hand.send(
        &mut rig,
        0,
        (0, 0),
        &[Frame::PathResponse { nonce: nonce ^ 1 }],
    );
    let sent: usize = rig.sent().iter().map(|seen| seen.len).sum();
    assert!(sent < 500);
    hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    assert!(rig.sent().iter().map(|seen| seen.len).sum::<usize>() > 5000);
}

#[test]
fn a_peer_that_moves_is_followed_after_it_answered_from_there() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    let moved = Hand {
        address: elsewhere(),
        ..hand
    };
    moved.send(&mut rig, 2, (0, 1), &[data(0, b"here I am")]);
    assert_eq!(
        rig.read(id),
        b"here I am",
        "processed wherever it comes from (UDX 7.1)"
    );
    rig.write(id, b"still there");
    let seen = rig.sent();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.to == elsewhere()).collect();
    assert!(
        asked
            .iter()
            .all(|seen| seen.challenge().is_some() && seen.stream().is_none())
    );
    let nonce = asked[0].challenge().unwrap();
    // From the old address it proves nothing about the new one.
    hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    assert_eq!(rig.connection().remote_address(), home());
    moved.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    assert_eq!(rig.connection().remote_address(), elsewhere());
    assert!(rig.saw(&Event::Moved {
        from: home(),
        to: elsewhere()
    }));
    rig.write(id, b"new");
    assert!(rig.sent().iter().all(|seen| seen.to == elsewhere()));
}

#[test]
fn one_candidate_at_a_time_within_its_allowance() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let mut given = 0;
    for port in 1..100 {
        let address = format!("10.9.9.9:{port}").parse().unwrap();
        let packet = hand.packet(0, (0, 0), &[]);
        given += packet.len();
        rig.give(address, &packet);
    }
    rig.wait(4000 * MS);
    let seen: Vec<Seen> = rig
        .sent()
        .into_iter()
        .filter(|seen| seen.to != home())
        .collect();
    let mut to: Vec<_> = seen.iter().map(|seen| seen.to).collect();
    to.dedup();
    assert_eq!(to.len(), 1, "{to:?}");
    assert!(seen.iter().map(|seen| seen.len).sum::<usize>() <= 3 * given / 99);
}

#[test]
fn a_rebinding_before_the_address_was_proven_does_not_stall() {
    // What may be sent to the old address is used up; the new one is asked all the same.
    let mut rig = Rig::new();
    let hand = rig.dialed(CHOSEN, &[syn(b"x")]);
    let id = rig.accept();
    rig.write(id, b"answer");
    rig.wait(Duration::from_secs(10));
    rig.sent();
    let moved = Hand {
        address: elsewhere(),
        ..hand
    };
    moved.send(&mut rig, 0, (0, 0), &[Frame::PathChallenge { nonce: 5 }]);
    let seen = rig.sent();
    assert!(
        seen.iter()
            .any(|seen| seen.to == elsewhere() && seen.response() == Some(5))
    );
    let nonce = seen
        .iter()
        .filter(|seen| seen.to == elsewhere())
        .find_map(Seen::challenge);
    moved.send(
        &mut rig,
        0,
        (0, 0),
        &[Frame::PathResponse {
            nonce: nonce.expect("asked"),
        }],
    );
    rig.wait(3000 * MS);
    let answer = rig
        .sent()
        .iter()
        .any(|s| s.to == elsewhere() && s.stream().is_some());
    assert!(answer, "the answer that waited");
}

#[test]
fn a_ping_survives_a_move() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let now = rig.now;
    rig.connection().ping(now);
    rig.sent();
    let moved = Hand {
        address: elsewhere(),
        ..hand
    };
    moved.send(&mut rig, 0, (0, 0), &[]);
    let seen = rig.sent();
    let nonce = seen
        .iter()
        .filter(|s| s.to == elsewhere())
        .find_map(Seen::challenge)
        .unwrap();
    moved.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    let nonce = rig
        .sent()
        .iter()
        .find_map(Seen::challenge)
        .expect("asked again, there");
    moved.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
    assert!(
        rig.events
            .iter()
            .any(|event| matches!(event, Event::Pong { .. }))
    );
}

#[test]
fn our_own_kind_is_asked_until_an_answer_measures_the_path() {
    // It counts on ACKs within a quarter of the round trip, which a side that only receives knows from its challenge alone.
    let mut rig = Rig::new();
    let limit = (16 << 20) | 0x6A5A;
    let hand = rig.dialed((0, 0), &[syn(b""), Frame::MaxData { limit }]);
    assert_eq!(rig.connection().peer(), Peer::Own);
    rig.sent();
    rig.wait(1000 * MS);
    let again = rig.sent();
    hand.prove(&mut rig, &again);
    assert_eq!(rig.connection().stats().rtt, None, "asked twice");
    let anew = rig.sent();
    rig.wait(40 * MS);
    hand.prove(&mut rig, &anew);
    assert_eq!(rig.connection().stats().rtt, Some(40 * MS));
    rig.wait(3000 * MS);
    assert!(rig.sent().iter().all(|seen| seen.challenge().is_none()));
}

#[test]
fn challenges_of_one_connection_are_not_computed_from_each_other() {
    // What a peer sees of its own must not tell it the nonce that is sent elsewhere. A counter, a constant
    // step and the usual bit mixers are what a lazy generator would be.
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let mut nonces = Vec::new();
    for _ in 0..20 {
        let now = rig.now;
        rig.connection().ping(now);
        let nonce = rig.sent().iter().find_map(Seen::challenge).unwrap();
        hand.send(&mut rig, 0, (0, 0), &[Frame::PathResponse { nonce }]);
        nonces.push(unmix(nonce));
    }
    for undo in 0..2 {
        let mut steps: Vec<u64> = nonces
            .windows(2)
            .map(|n| n[1][undo].wrapping_sub(n[0][undo]))
            .collect();
        steps.sort_unstable();
        steps.dedup();
        assert_eq!(steps.len(), 19);
    }
}

/// The nonce, and the state of SplitMix64 that would have made it.
fn unmix(nonce: u64) -> [u64; 2] {
    let unshift = |z: u64, by: u32| {
        let mut x = z;
        for _ in 0..64 / by {
            x = z ^ (x >> by);
        }
        x
    };
    let inverse = |odd: u64| {
        (0..6).fold(odd, |x, _| {
            x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)))
        })
    };
    let z = unshift(nonce, 31).wrapping_mul(inverse(0x94D0_49BB_1331_11EB));
    let z = unshift(z, 27).wrapping_mul(inverse(0xBF58_476D_1CE4_E5B9));
    [nonce, unshift(z, 30)]
}

#[test]
fn a_dialer_that_moves_loses_nothing() {
    let mut duo = Duo::new();
    let (stream, there) = duo.opened();
    let bytes = pattern(600_000);
    let (mut written, mut read) = (0, Vec::new());
    for n in 0..300 {
        if n == 10 {
            duo.dialer_at = "10.0.0.9:999".parse().unwrap();
        }
        written += duo.dialer.write(stream, &bytes[written..]);
        duo.run(20 * MS);
        read.extend(duo.acceptor.read(there));
        if read.len() == bytes.len() {
            break;
        }
    }
    assert!(read == bytes, "{}", read.len());
    assert_eq!(duo.there().remote_address(), duo.dialer_at);
}

fn searched(limit: usize) -> (Duo, u16) {
    let mut duo = Duo::new();
    duo.passes = Box::new(move |_, _, datagram| datagram.len() <= limit);
    let (stream, there) = duo.opened();
    for _ in 0..200 {
        duo.dialer.write(stream, &[1; 20_000]);
        duo.run(50 * MS);
        duo.acceptor.read(there);
    }
    let mtu = duo.dialer.connection().stats().mtu;
    (duo, mtu)
}

#[test]
fn the_path_is_searched_up_to_1472() {
    assert_eq!(searched(1472).1, 1472);
    let (_, mtu) = searched(1430);
    assert!((1410..=1430).contains(&mtu), "{mtu}");
    let (_, mtu) = searched(1300);
    assert!((1280..=1300).contains(&mtu), "{mtu}");
}

#[test]
fn v10_a_path_that_shrinks_is_noticed_and_what_was_too_large_is_cut() {
    let mut duo = Duo::new();
    let (stream, there) = duo.opened();
    let bytes = pattern(2_000_000);
    let (mut written, mut read) = (0, Vec::new());
    for n in 0..2000 {
        if n == 2 {
            assert_eq!(duo.dialer.connection().stats().mtu, 1472);
            duo.passes = Box::new(|_, _, datagram| datagram.len() <= 1300);
        }
        written += duo.dialer.write(stream, &bytes[written..]);
        duo.run(20 * MS);
        read.extend(duo.acceptor.read(there));
        if read.len() == bytes.len() {
            break;
        }
    }
    assert!(read == bytes, "{} of {}", read.len(), bytes.len());
    assert!(duo.dialer.connection().stats().recovery.black_holes >= 1);
    assert!(duo.dialer.connection().stats().mtu <= 1300);
}

#[test]
fn without_a_search_the_base_is_kept() {
    let connection = ConnectionConfig {
        mtu_search: false,
        base_datagram: 1100,
        ..ConnectionConfig::default()
    };
    let config = EndpointConfig {
        connection,
        ..EndpointConfig::default()
    };
    let mut rig = Rig::with(config);
    let (hand, id) = rig.dial();
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    rig.write(id, &[0; 30_000]);
    rig.wait(5000 * MS);
    let largest = rig.sent().iter().map(|seen| seen.len).max();
    assert_eq!(largest, Some(1100));
}

#[test]
fn datagrams_of_any_size_are_taken() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[data(0, &pattern(60_000))]);
    assert!(rig.read(id) == pattern(60_000));
    rig.wait(30 * MS);
    assert!(acknowledged(&rig.sent()).contains(&2));
}
