//! When things are said: dials, repetitions, keep-alive, ping, ACKs.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{CloseReason, ConnectionConfig, EndpointConfig, Event};

use crate::duo::Duo;
use crate::rig::{
    MS, Rig, Seen, ack, acknowledged, data, dialed_like_go, open_with_go, pattern, syn,
};

#[test]
fn an_unanswered_dial_is_repeated_with_doubled_pauses_up_to_two_seconds() {
    let mut rig = Rig::new();
    let start = rig.now;
    rig.dial();
    rig.wait(Duration::from_secs(31));
    let sent = rig.sent();
    let mut times: Vec<u64> = sent
        .iter()
        .map(|seen| seen.at.saturating_duration_since(start).as_millis() as u64)
        .collect();
    times.dedup();
    // UDX 18.2: 0.3 0.9 2.1 4.1 6.1 ...; with our formula, 325 ms at first.
    assert_eq!(times[..6], [0, 325, 975, 2275, 4275, 6275]);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 2000));
    assert!(*times.last().unwrap() > 27_000);
    // UDX 3: each repetition is the same frame under a fresh number.
    let numbers: Vec<u32> = sent.iter().map(Seen::number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(sent.iter().all(|seen| seen.stream() == sent[0].stream()));
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::NoAnswer)
    );
}

#[test]
fn a_dial_may_be_given_up_sooner() {
    let mut rig = Rig::with(EndpointConfig {
        connection: ConnectionConfig {
            dial_timeout: Duration::from_secs(2),
            ..Default::default()
        },
        ..EndpointConfig::default()
    });
    rig.dial();
    rig.wait(Duration::from_millis(1999));
    assert!(!rig.connection().is_closed());
    rig.wait(2 * MS);
    assert_eq!(
        rig.connection().close_reason(),
        Some(&CloseReason::NoAnswer)
    );
}

#[test]
fn a_ping_is_answered_by_every_peer_and_measures_the_round_trip() {
    let mut rig = Rig::new();
    let (hand, _) = open_with_go(&mut rig);
    let now = rig.now;
    rig.connection().ping(now);
    rig.connection().ping(now);
    let asked: Vec<u64> = rig.sent().iter().filter_map(Seen::challenge).collect();
    assert_eq!(asked.len(), 1);
    rig.wait(30 * MS);
    hand.send(
        &mut rig,
        0,
        (0, 0),
        &[Frame::PathResponse { nonce: asked[0] }],
    );
    assert!(rig.saw(&Event::Pong { rtt: 30 * MS }));
    rig.wait(5000 * MS);
    assert!(rig.sent().iter().all(|seen| seen.challenge().is_none()));
}

#[test]
fn a_lost_ping_is_asked_again() {
    let mut rig = Rig::new();
    open_with_go(&mut rig);
    let now = rig.now;
    rig.connection().ping(now);
    rig.wait(5000 * MS);
    let asked = rig
        .sent()
        .iter()
        .filter(|seen| seen.challenge().is_some())
        .count();
    assert!((3..=8).contains(&asked), "{asked}");
}

#[test]
fn the_second_packet_is_acknowledged_at_once_and_one_alone_after_25_ms() {
    let mut rig = Rig::counted();
    let hand = dialed_like_go(&mut rig);
    // UDX 4.2: srtt/4 clamped to 1..25 ms.
    rig.wait(200 * MS);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    hand.send(&mut rig, 1, (0, 1), &[syn(b"")]);
    rig.sent();
    hand.send(&mut rig, 2, (0, 1), &[data(0, b"a")]);
    // The first data of a stream raise its window.
    assert!(acknowledged(&rig.sent()).is_empty());
    rig.wait(24 * MS);
    let seen = rig.sent();
    assert!(seen.is_empty(), "{seen:?}");
    rig.wait(2 * MS);
    assert!(acknowledged(&rig.sent()).contains(&2));
    hand.send(&mut rig, 3, (0, 1), &[data(1, b"b")]);
    hand.send(&mut rig, 4, (0, 1), &[data(2, b"c")]);
    assert!(acknowledged(&rig.sent()).contains(&4));
    // UDX 4.2: a gap and its filling at once.
    hand.send(&mut rig, 6, (0, 1), &[data(4, b"e")]);
    assert!(acknowledged(&rig.sent()).contains(&6));
    hand.send(&mut rig, 5, (0, 1), &[data(3, b"d")]);
    assert!(acknowledged(&rig.sent()).contains(&5));
}

#[test]
fn our_own_kind_is_acknowledged_every_ten_packets() {
    let mut duo = Duo::new();
    let (stream, there) = duo.opened();
    let bytes = pattern(2_000_000);
    let (mut written, mut read) = (0, 0);
    let before = (duo.sizes[0].len(), duo.sizes[1].len());
    while read < bytes.len() {
        written += duo.dialer.write(stream, &bytes[written..]);
        duo.run(5 * MS);
        read += duo.acceptor.read(there).len();
    }
    let there = duo.sizes[0].len() - before.0;
    let back = duo.sizes[1].len() - before.1;
    assert!(back * 4 < there, "{back} for {there}");
}

#[test]
fn r12_acks_provoke_no_acks() {
    let mut duo = Duo::new();
    duo.opened();
    duo.run(1000 * MS);
    let before = (duo.sizes[0].len(), duo.sizes[1].len());
    duo.run(8000 * MS);
    assert_eq!(
        (duo.sizes[0].len(), duo.sizes[1].len()),
        before,
        "an idle connection is silent"
    );
}

#[test]
fn two_idle_sides_stay_alive_for_an_hour_on_little() {
    let mut duo = Duo::new();
    duo.opened();
    let before = duo.sizes[0].len() + duo.sizes[1].len();
    duo.run(Duration::from_secs(3600));
    assert!(!duo.dialer.connection().is_closed() && !duo.there().is_closed());
    let sent = duo.sizes[0].len() + duo.sizes[1].len() - before;
    assert!(sent < 3600 / 10 * 8, "{sent} packets");
}

#[test]
fn numbers_pass_the_wrap_between_our_own_kind() {
    for first in [(1 << 32) - 20, (1 << 33) - 3, (1 << 62) - 7] {
        let config = || EndpointConfig {
            connection: ConnectionConfig {
                first_number: first,
                ..Default::default()
            },
            ..EndpointConfig::default()
        };
        let mut duo = Duo::with(config(), config());
        duo.passes = Box::new(|_, n, _| n % 13 != 5);
        let (_, stream) = duo.dial();
        let bytes = pattern(300_000);
        let (mut written, mut read, mut there) = (0, Vec::new(), None);
        for _ in 0..2000 {
            written += duo.dialer.write(stream, &bytes[written..]);
            duo.run(20 * MS);
            if there.is_none() && duo.acceptor.endpoint.connections().next().is_some() {
                there = duo.there().accept();
            }
            if let Some(id) = there {
                read.extend(duo.acceptor.read(id));
            }
            if read.len() == bytes.len() {
                break;
            }
        }
        assert!(read == bytes, "from {first}: {}", read.len());
    }
}

#[test]
fn egress_at_one_instant_is_bounded() {
    // R8: however much waits, an instant sends a window and no more.
    let mut rig = Rig::new();
    let (hand, id) = rig.dial();
    rig.wait(20 * MS);
    hand.send(&mut rig, 0, (id.wire_id(), 2), &[ack(0, 1)]);
    rig.sent();
    rig.write(id, &vec![0; 1 << 20]);
    let sent: usize = rig.sent().iter().map(|seen| seen.len).sum();
    let window = rig.connection().stats().congestion_window;
    assert!(sent as u64 <= window, "{sent} of {window}");
}
