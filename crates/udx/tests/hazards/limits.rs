//! Bounds: backlog, connections, streams, early packets, what an address must be.

use std::time::Duration;

use gapless_udx::wire::Frame;
use gapless_udx::{
    CloseReason, ConnectError, ConnectionConfig, EndpointConfig, Event, Limits, PeerMisbehaved,
    Received,
};

use crate::duo::Duo;
use crate::rig::{
    CHOSEN, Hand, MS, Rig, Seen, ack, acknowledged, data, dialed_like_go, fin, home, open_with_go,
    syn,
};

fn limited(limits: Limits) -> Rig {
    Rig::with(EndpointConfig {
        limits,
        ..EndpointConfig::default()
    })
}

#[test]
fn a_full_backlog_ignores_first_packets_until_there_is_room() {
    let mut rig = limited(Limits {
        accept_backlog: 3,
        ..Limits::default()
    });
    for n in 0..10 {
        open_and_prove(&mut rig, n);
    }
    assert_eq!(rig.endpoint.connections().count(), 3);
    assert_eq!(rig.endpoint.stats().refused, 7);
    rig.sent();
    Hand::new(8).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    assert!(rig.sent().is_empty(), "not acknowledged, so it comes again");
    rig.endpoint.accept().unwrap();
    Hand::new(8).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    assert_eq!(rig.endpoint.connections().count(), 4);
}

/// Dials and, if there was an answer, proves its address.
fn open_and_prove(rig: &mut Rig, n: u64) {
    let hand = Hand::new(n);
    hand.send(rig, 0, CHOSEN, &[syn(b"")]);
    let seen = rig.sent();
    if !seen.is_empty() {
        hand.prove(rig, &seen);
    }
}

// UDX2 H19
#[test]
fn first_packets_from_everywhere_keep_nobody_out_who_is_there() {
    for limits in [
        Limits {
            accept_backlog: 3,
            ..Limits::default()
        },
        Limits {
            max_connections: 3,
            ..Limits::default()
        },
        Limits {
            half_open: 3,
            ..Limits::default()
        },
    ] {
        let mut rig = limited(limits);
        let forged = |rig: &mut Rig, count: u64| {
            for n in 0..count {
                let from = ([203, 0, 113, n as u8], 999).into();
                rig.give(from, &Hand::new(1_000 + n).packet(0, CHOSEN, &[syn(b"")]));
            }
        };
        forged(&mut rig, 200);
        let honest = Hand::new(1);
        honest.send(&mut rig, 0, CHOSEN, &[syn(b"")]);
        let seen = rig.sent();
        let answer: Vec<_> = seen.into_iter().filter(|it| it.to == home()).collect();
        // Two more come before its answer to the challenge, and any number after it.
        forged(&mut rig, 2);
        honest.prove(&mut rig, &answer);
        forged(&mut rig, 200);
        // At the bound of those half open, the proven one comes on top.
        assert!(rig.endpoint.connections().count() <= 4, "{limits:?}");
        let proven = rig.endpoint.connections().find(|handle| {
            let connection = rig.endpoint.connection(*handle);
            connection.is_some_and(|it| it.remote_address() == home() && !it.is_closed())
        });
        assert!(proven.is_some(), "{limits:?}");
        assert!(rig.endpoint.stats().displaced > 300, "{limits:?}");
    }
}

// UDX2 H19
#[test]
fn first_packets_from_everywhere_do_not_keep_the_application_from_dialing() {
    let mut rig = limited(Limits {
        max_connections: 5,
        ..Limits::default()
    });
    for n in 0..9 {
        Hand::new(n).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
        // Also not if it accepts them all.
        let _ = rig.endpoint.accept();
    }
    for _ in 0..5 {
        let now = rig.now;
        rig.endpoint.connect(now, home()).unwrap();
    }
    let full = rig.endpoint.connect(rig.now, home());
    assert_eq!(full, Err(ConnectError::TooManyConnections));
}

// UDX2 H19
#[test]
fn an_unproven_address_opens_sixteen_streams_and_then_as_many_as_anybody() {
    let mut rig = Rig::new();
    let hand = Hand::new(1);
    let open = |rig: &mut Rig, number: u32| {
        hand.send(rig, number, (0, 1 + 2 * number), &[syn(b"x")]);
    };
    (0..40).for_each(|number| open(&mut rig, number));
    let seen = rig.sent();
    assert_eq!(rig.connection().stats().streams, 16);
    assert_eq!(acknowledged(&seen).len(), 16, "the others come again");
    hand.prove(&mut rig, &seen);
    (16..40).for_each(|number| open(&mut rig, number));
    assert_eq!(rig.connection().stats().streams, 40);
}

#[test]
fn an_application_learns_that_a_connection_was_displaced() {
    let mut rig = limited(Limits {
        half_open: 1,
        ..Limits::default()
    });
    Hand::new(1).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    let first = rig.endpoint.accept().unwrap();
    let second = Hand::new(2);
    second.send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    let connection = rig.endpoint.connection(first).unwrap();
    assert_eq!(connection.close_reason(), Some(&CloseReason::Displaced));
    assert!(rig.saw(&Event::Closed));
    // It may come again: it is not remembered as closed.
    rig.endpoint.release(first);
    Hand::new(1).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
    assert_eq!(rig.endpoint.stats().after_close, 0);
    assert_eq!(rig.endpoint.connections().count(), 1);
}

#[test]
fn no_more_connections_than_allowed_in_both_directions() {
    let mut rig = limited(Limits {
        max_connections: 4,
        ..Limits::default()
    });
    let now = rig.now;
    let dialed = rig.endpoint.connect(now, home()).unwrap();
    rig.endpoint.connect(now, home()).unwrap();
    for n in 0..10 {
        open_and_prove(&mut rig, n);
    }
    assert_eq!(rig.endpoint.connections().count(), 4);
    let full = rig.endpoint.connect(now, home());
    assert_eq!(full, Err(ConnectError::TooManyConnections));
    rig.endpoint.release(dialed);
    assert!(rig.endpoint.connect(now, home()).is_ok());
}

#[test]
fn r24_addresses_that_cannot_answer_create_no_state() {
    let mut rig = Rig::new();
    let packet = Hand::new(1).packet(0, CHOSEN, &[syn(b"")]);
    let other = Hand::new(1).packet_of(2, 0, CHOSEN, &[syn(b"")]);
    for address in [
        "0.0.0.0:5",
        "255.255.255.255:5",
        "224.0.0.1:5",
        "10.0.0.1:0",
        "[::]:5",
        "[ff02::1]:5",
    ] {
        let address = address.parse().unwrap();
        rig.give(address, &packet);
        rig.give(address, &other);
        assert_eq!(
            rig.endpoint.connect(rig.now, address),
            Err(ConnectError::InvalidAddress)
        );
    }
    assert!(rig.raw.is_empty());
    assert_eq!(rig.endpoint.connections().count(), 0);
}

#[test]
fn streams_beyond_our_limit_are_reset_with_code_2_and_stay_refused() {
    let mut rig = limited(Limits {
        max_streams: 4,
        ..Limits::default()
    });
    let hand = dialed_like_go(&mut rig);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    for n in 0..6 {
        hand.send(&mut rig, 1 + n, (0, 1 + 2 * n), &[syn(b"q")]);
    }
    assert!(rig.saw(&Event::Refused(PeerMisbehaved::TooManyStreams)));
    rig.wait(3000 * MS);
    let seen = rig.sent();
    let mut told: Vec<u32> = seen
        .iter()
        .filter(|s| s.resets() == Some(2))
        .map(|s| s.ids().0)
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told, [9, 11]);
    assert_eq!(std::iter::from_fn(|| rig.connection().accept()).count(), 4);
    // A place that becomes free is for a new stream, not for one that was refused.
    hand.send(&mut rig, 0, (0, 1), &[Frame::ResetStream { code: 0 }]);
    let first = rig.events.iter().find_map(|event| match event {
        Event::Reset { id, .. } => Some(*id),
        _ => None,
    });
    rig.connection().release_stream(first.unwrap());
    hand.send(&mut rig, 10, (0, 9), &[data(1, b"again")]);
    assert_eq!(rig.connection().accept(), None);
    hand.send(&mut rig, 11, (0, 13), &[syn(b"q")]);
    assert!(rig.connection().accept().is_some());
}

#[test]
fn a_stream_that_comes_before_the_last_acknowledgement_of_another_is_not_refused() {
    let mut rig = limited(Limits {
        max_streams: 1,
        ..Limits::default()
    });
    let (hand, id) = open_with_go(&mut rig);
    hand.send(&mut rig, 2, (0, 1), &[fin(0)]);
    rig.finish(id);
    let seen = rig.sent();
    let ours = seen.iter().filter(|seen| seen.stream().is_some());
    let last = ours.map(Seen::number).next_back().expect("our FIN");
    rig.connection().release_stream(id);
    // Both FINs are there. What is missing here is an acknowledgement.
    hand.send(&mut rig, 3, (0, 3), &[syn(b"next")]);
    rig.wait(50 * MS);
    let seen = rig.sent();
    assert!(seen.iter().all(|seen| seen.resets().is_none()));
    assert!(!acknowledged(&seen).contains(&3));
    hand.send(&mut rig, 0, (0, 0), &[ack(last, last + 1)]);
    hand.send(&mut rig, 4, (0, 3), &[syn(b"next")]);
    rig.wait(50 * MS);
    assert!(acknowledged(&rig.sent()).contains(&4));
    let next = rig.accept();
    assert_eq!(rig.read(next), b"next");
    // This one is not over for anybody.
    hand.send(&mut rig, 5, (0, 5), &[syn(b"more")]);
    rig.wait(50 * MS);
    assert!(rig.sent().iter().any(|seen| seen.resets() == Some(2)));
}

#[test]
fn more_refused_streams_than_can_be_told_are_not_acknowledged() {
    let mut rig = limited(Limits {
        max_streams: 1,
        ..Limits::default()
    });
    let (hand, _) = open_with_go(&mut rig);
    // All in one train, so that nothing is told in between.
    let mut train = Vec::new();
    for n in 0..100_u32 {
        train.extend(hand.packet(2 + n, (0, 3 + 2 * n), &[syn(b"q")]));
    }
    let received = Received {
        from: home(),
        ecn: None,
        segment_size: train.len() / 100,
        data: &train,
    };
    rig.endpoint.handle(rig.now, received);
    rig.wait(100 * MS);
    let acked = acknowledged(&rig.sent()).len();
    assert!((64..80).contains(&acked), "{acked}");
}

#[test]
fn our_own_kind_counts_what_is_open_and_waits_for_room() {
    let limits = Limits {
        max_streams: 8,
        ..Limits::default()
    };
    let config = EndpointConfig {
        limits,
        ..EndpointConfig::default()
    };
    let mut duo = Duo::with(EndpointConfig::default(), config);
    let (first, there) = duo.opened();
    for _ in 0..7 {
        duo.dialer.connection().open().unwrap();
    }
    assert!(duo.dialer.connection().open().is_err());
    duo.dialer.finish(first);
    duo.run(200 * MS);
    assert!(duo.acceptor.ended(there));
    duo.acceptor.finish(there);
    duo.acceptor.connection().release_stream(there);
    duo.run(200 * MS);
    assert!(duo.dialer.ended(first));
    duo.dialer.connection().release_stream(first);
    duo.run(200 * MS);
    assert!(duo.dialer.saw(&Event::StreamsAvailable));
    assert!(duo.dialer.connection().open().is_ok());
    assert!(
        !duo.acceptor
            .saw(&Event::Refused(PeerMisbehaved::TooManyStreams))
    );
}

#[test]
fn early_packets_are_bounded_in_ids_and_bytes() {
    let mut rig = limited(Limits {
        early_bytes: 20_000,
        early_ids: 10,
        ..Limits::default()
    });
    for n in 0..10_000 {
        let hand = Hand::new(n);
        hand.send(&mut rig, 1, (0, 1), &[data(0, &[0; 500])]);
    }
    assert!(rig.endpoint.memory() <= 20_000, "{}", rig.endpoint.memory());
    rig.wait(Duration::from_secs(11));
    Hand::new(1).send(&mut rig, 1, (0, 1), &[data(0, &[0; 5])]);
    assert!(rig.endpoint.memory() < 100);
}

#[test]
fn closed_ids_are_bounded() {
    let mut rig = limited(Limits {
        closed_ids: 10,
        ..Limits::default()
    });
    for n in 0..200 {
        Hand::new(n).send(&mut rig, 0, CHOSEN, &[syn(b"")]);
        let handle = rig.endpoint.accept().unwrap();
        rig.endpoint.release(handle);
        rig.drain();
    }
    assert!(
        rig.endpoint.memory() < 10 * 500,
        "{}",
        rig.endpoint.memory()
    );
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let wrong = [
        ConnectionConfig {
            base_datagram: 100,
            ..Default::default()
        },
        ConnectionConfig {
            base_datagram: 1500,
            max_datagram: 1400,
            ..Default::default()
        },
        ConnectionConfig {
            idle_timeout: Duration::ZERO,
            ..Default::default()
        },
        ConnectionConfig {
            keep_alive: Some(Duration::ZERO),
            ..Default::default()
        },
        ConnectionConfig {
            first_number: u64::MAX,
            ..Default::default()
        },
    ];
    let mut rig = Rig::new();
    for config in wrong {
        let dialed = rig.endpoint.connect_with(rig.now, home(), config);
        assert_eq!(dialed, Err(ConnectError::InvalidConfig));
    }
}

#[test]
fn a_small_buffer_loses_time_and_nothing_else() {
    let mut rig = Rig::new();
    let (hand, id) = open_with_go(&mut rig);
    let mut bytes = "hello".into();
    rig.connection().write(id, &mut bytes).unwrap();
    hand_challenge(&mut rig, &hand);
    for len in [0, 1, 40, 255] {
        let mut buffer = vec![0; len];
        assert_eq!(rig.endpoint.poll_transmit(rig.now, &mut buffer), None);
    }
    let seen = rig.sent();
    assert_eq!(seen.iter().find_map(Seen::stream).unwrap().data, b"hello");
    assert!(seen.iter().any(|seen| seen.response() == Some(1)));
    assert!(!rig.connection().is_closed());
}

fn hand_challenge(rig: &mut Rig, hand: &Hand) {
    let data = hand.packet(0, (0, 0), &[Frame::PathChallenge { nonce: 1 }]);
    let received = Received {
        from: home(),
        ecn: None,
        segment_size: data.len(),
        data: &data,
    };
    rig.endpoint.handle(rig.now, received);
}

#[test]
fn a_caller_who_only_asks_for_packets_is_not_kept_busy() {
    // P6: without `handle_timeout`, the deadline still moves on.
    let mut rig = Rig::new();
    let (_, id) = rig.dial();
    rig.write(id, b"x");
    let mut buffer = vec![0; 70_000];
    let end = rig.now + Duration::from_secs(20);
    for _ in 0..500 {
        let _ = rig.endpoint.wants_transmit();
        let handle = rig.only();
        // Whatever the application does gives the connection its turn.
        let _ = rig.endpoint.connection_mut(handle);
        while rig.endpoint.poll_transmit(rig.now, &mut buffer).is_some() {}
        let next = rig.endpoint.next_deadline().unwrap();
        assert!(next > rig.now, "R9: {next:?} at {:?}", rig.now);
        rig.now = next;
        if next > end {
            return;
        }
    }
    panic!("a busy loop");
}
