//! Two endpoints joined by a wire that is a variable.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions
)]

mod support;

use gapless_udx::{
    BlockedOn, CloseReason, CongestionPhase, Event, Peer, ReadError, Side, WriteError,
};
use support::{Pair, pattern};

#[test]
fn one_packet_opens_connection_and_stream() {
    let mut pair = Pair::new();
    let (connection, stream) = pair.dial();
    pair.client().write(stream, &mut "hello".into()).unwrap();
    let sent = pair.step_client();
    assert_eq!(sent, 1);
    let server = pair.server.accept().unwrap();
    let connection_there = pair.server.connection_mut(server).unwrap();
    let stream_there = connection_there.accept().unwrap();
    assert_eq!(
        connection_there.read(stream_there, 100).unwrap().unwrap(),
        "hello"
    );
    assert_eq!(
        (connection_there.side(), connection_there.peer()),
        (Side::Acceptor, Peer::Own)
    );
    pair.run();
    assert_eq!(
        pair.client.connection(connection).unwrap().peer(),
        Peer::Own
    );
}

#[test]
fn a_megabyte_each_way_and_both_ends_are_seen() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    let data = pattern(1 << 20);
    pair.transfer_both(stream, &data);
    let stats = pair.client().stats();
    assert_eq!(stats.stream_bytes_acknowledged, 1 << 20);
    assert_eq!(stats.stream_bytes_received, 1 << 20);
    assert_eq!(stats.recovery.packets_lost, 0, "a clean wire");
    assert_eq!(stats.in_flight, 0);
    assert_eq!(
        pair.client().blocked_on(pair_now()),
        BlockedOn::NothingToSend
    );
    assert!(stats.mtu >= 1472, "the path carries it: {}", stats.mtu);
    assert_eq!(stats.phase, CongestionPhase::SlowStart, "never held back");
    assert!(!stats.in_recovery);
    assert_eq!((stats.ssthresh, stats.bandwidth), (None, None));
    assert!(stats.latest_rtt >= stats.min_rtt && stats.min_rtt.is_some());
    assert!(stats.pacing_rate > Some(0));
}

fn pair_now() -> gapless_udx::Instant {
    gapless_udx::Instant::from_nanos(u64::MAX >> 2)
}

#[test]
fn half_close_leaves_the_other_direction_open() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "question".into()).unwrap();
    pair.client().finish(stream).unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    let server = pair.server.connection_mut(there).unwrap();
    assert_eq!(server.read(id, 100).unwrap().unwrap(), "question");
    assert_eq!(server.read(id, 100).unwrap(), None);
    assert_eq!(server.read(id, 100).unwrap(), None, "the end stays the end");
    server.write(id, &mut "answer".into()).unwrap();
    server.finish(id).unwrap();
    pair.run();
    assert_eq!(pair.client().read(stream, 100).unwrap().unwrap(), "answer");
    assert_eq!(pair.client().read(stream, 100).unwrap(), None);
    assert_eq!(
        pair.client().write(stream, &mut "x".into()),
        Err(WriteError::Finished)
    );
}

#[test]
fn a_reset_ends_both_directions_and_wakes_who_waits() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "x".into()).unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    let server = pair.server.connection_mut(there).unwrap();
    server.read(id, 1).unwrap();
    assert_eq!(server.read(id, 1), Err(ReadError::Blocked));
    pair.client().reset(stream, 42);
    pair.run();
    let events = pair.server_events();
    assert!(
        events.contains(&Event::Reset { id, code: 42 }),
        "{events:?}"
    );
    assert!(events.contains(&Event::Readable(id)), "{events:?}");
    let server = pair.server.connection_mut(there).unwrap();
    assert_eq!(server.read(id, 1), Err(ReadError::Reset(42)));
    assert_eq!(
        server.write(id, &mut "y".into()),
        Err(WriteError::Reset(42))
    );
}

/// D8: it has no number yet that a PING may have.
#[test]
fn an_acceptor_that_wrote_nothing_can_stop_a_stream_and_answer_pings() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "enough".into()).unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    pair.server.connection_mut(there).unwrap().stop(id, 9);
    let now = pair.now;
    pair.client().ping(now);
    pair.run();
    let events = pair.client_events();
    let stopped = Event::Reset {
        id: stream,
        code: 9,
    };
    assert!(events.contains(&stopped), "{events:?}");
    let answered = |event: &Event| matches!(event, Event::Pong { .. });
    assert!(events.iter().any(answered), "{events:?}");
}

/// Its record is repeated until it arrived, like any other.
#[test]
fn an_ending_that_is_lost_many_times_arrives() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "enough".into()).unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    pair.server.connection_mut(there).unwrap().reset(id, 9);
    pair.cut = true;
    pair.run_for(15);
    pair.cut = false;
    pair.run_for(5);
    let reset = Event::Reset {
        id: stream,
        code: 9,
    };
    let events = pair.client_events();
    assert!(events.contains(&reset), "{events:?}");
}

#[test]
fn a_doubled_stop_is_answered() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "x".into()).unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    pair.server.connection_mut(there).unwrap().stop(id, 9);
    let mut buffer = [0; 1500];
    let stop = pair.server.poll_transmit(pair.now, &mut buffer).unwrap();
    for _ in 0..2 {
        // Both arrive before the answer leaves.
        let received = gapless_udx::Received {
            from: support::server_address(),
            ecn: None,
            segment_size: stop.len,
            data: &buffer[..stop.len],
        };
        pair.client.handle(pair.now, received);
    }
    pair.run();
    let reset = Event::Reset { id, code: 9 };
    let events = pair.server_events();
    assert!(events.contains(&reset), "{events:?}");
}

/// V5: said blindly as long as the peer's kind is unknown, and surely from then on.
#[test]
fn an_ending_said_before_the_peer_is_known_arrives_after_all() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "x".into()).unwrap();
    assert_eq!(pair.step_client(), 1);
    let (there, id) = pair.accept_stream();
    pair.cut = true;
    pair.client().reset(stream, 9);
    pair.run_for(4);
    pair.cut = false;
    // The only frame that the server ever sends on the stream, and soon after the last blind repetition.
    let server = pair.server.connection_mut(there).unwrap();
    server.write(id, &mut "y".into()).unwrap();
    pair.run();
    let reset = Event::Reset { id, code: 9 };
    let events = pair.server_events();
    assert!(events.contains(&reset), "{events:?}");
}

#[test]
fn a_connection_opens_although_its_first_stream_was_given_up() {
    for lost in [false, true] {
        let mut pair = Pair::new();
        let (_, stream) = pair.dial();
        pair.cut = lost;
        if lost {
            // The packet that opens the stream is lost, and then nobody wants it any more.
            pair.step_client();
        }
        pair.client().reset(stream, 9);
        pair.run_for(1);
        pair.cut = false;
        pair.run();
        assert!(pair.client_events().contains(&Event::Connected));
        let handle = pair.server.accept().unwrap();
        let server = pair.server.connection_mut(handle).unwrap();
        let back = server.open().unwrap();
        server.write(back, &mut "welcome".into()).unwrap();
        pair.run();
        let id = pair.client().accept().unwrap();
        assert_eq!(pair.client().read(id, 100).unwrap().unwrap(), "welcome");
    }
}

/// V18: within one train as well.
#[test]
fn an_unproven_address_gets_no_more_than_three_times_what_it_sent() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.client()
        .write(stream, &mut pattern(1000).into())
        .unwrap();
    let mut buffer = vec![0; 65_536];
    let opening = pair.client.poll_transmit(pair.now, &mut buffer).unwrap();
    let received = gapless_udx::Received {
        from: support::client_address(),
        ecn: None,
        segment_size: opening.len,
        data: &buffer[..opening.len],
    };
    pair.server.handle(pair.now, received);
    let (there, id) = pair.accept_stream();
    let server = pair.server.connection_mut(there).unwrap();
    server.write(id, &mut pattern(100_000).into()).unwrap();
    let mut sent = 0;
    while let Some(transmit) = pair.server.poll_transmit(pair.now, &mut buffer) {
        sent += transmit.len;
    }
    assert!(
        sent > 2 * opening.len && sent <= 3 * opening.len,
        "{sent} for {}",
        opening.len
    );
}

#[test]
fn a_close_tells_the_peer_and_what_arrived_stays_readable() {
    let mut pair = Pair::new();
    let (connection, stream) = pair.dial();
    pair.client()
        .write(stream, &mut "last words".into())
        .unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    let now = pair.now;
    pair.client().close(now, 7, b"done");
    pair.run();
    let server = pair.server.connection_mut(there).unwrap();
    let reason = CloseReason::Peer {
        code: 7,
        reason: b"done".to_vec(),
    };
    assert_eq!(server.close_reason(), Some(&reason));
    assert_eq!(server.read(id, 100).unwrap().unwrap(), "last words");
    assert_eq!(server.read(id, 100), Err(ReadError::Closed));
    let client = pair.client.connection(connection).unwrap();
    assert_eq!(client.close_reason(), Some(&CloseReason::Local { code: 7 }));
    pair.client.release(connection);
    pair.server.release(there);
    assert_eq!(pair.client.connections().count(), 0);
}

#[test]
fn a_dial_that_nobody_answers_ends_by_its_timeout() {
    let mut pair = Pair::new();
    let (connection, _) = pair.dial();
    pair.cut = true;
    pair.run();
    let client = pair.client.connection(connection).unwrap();
    assert_eq!(client.close_reason(), Some(&CloseReason::NoAnswer));
    let sent = client.stats().datagrams_sent;
    assert!(
        (10..40).contains(&sent),
        "backed off to one in two seconds: {sent}"
    );
}

#[test]
fn an_idle_connection_is_kept_alive_and_a_dead_one_ends() {
    let mut pair = Pair::new();
    let (connection, stream) = pair.dial();
    pair.client().write(stream, &mut "x".into()).unwrap();
    pair.run_for(120);
    assert!(!pair.client.connection(connection).unwrap().is_closed());
    pair.cut = true;
    pair.run_for(31);
    let client = pair.client.connection(connection).unwrap();
    assert_eq!(client.close_reason(), Some(&CloseReason::IdleTimeout));
}

#[test]
fn an_idle_connection_takes_four_kibibytes() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    pair.transfer_both(stream, &pattern(100_000));
    pair.run_for(60);
    let (client, server) = (pair.client.memory(), pair.server.memory());
    println!("{client} and {server} bytes");
    assert!(
        client <= 4096 && server <= 4096,
        "{client} and {server} bytes"
    );
}

#[test]
fn an_idle_connection_whose_streams_are_over_takes_four_kibibytes_too() {
    let mut pair = Pair::new();
    let (_, stream) = pair.dial();
    let there = pair.transfer_both(stream, &pattern(1000));
    pair.client().release_stream(stream);
    let (handle, id) = there;
    let server = pair.server.connection_mut(handle).unwrap();
    server.release_stream(id);
    pair.run_for(60);
    assert_eq!(pair.client().stats().streams, 0);
    let (client, server) = (pair.client.memory(), pair.server.memory());
    println!("{client} and {server} bytes");
    assert!(
        client <= 4096 && server <= 4096,
        "{client} and {server} bytes"
    );
}

#[test]
fn many_streams_share_a_connection() {
    let mut pair = Pair::new();
    let (_, first) = pair.dial();
    pair.client().write(first, &mut "x".into()).unwrap();
    pair.run();
    let mut expected = vec![(first, b"x".to_vec())];
    for n in 0..500_usize {
        let id = pair.client().open().unwrap();
        let data = pattern(n * 37);
        pair.client().write(id, &mut data.clone().into()).unwrap();
        pair.client().finish(id).unwrap();
        expected.push((id, data));
    }
    pair.run();
    let handle = pair.server.accept().unwrap();
    let mut received = Vec::new();
    while let Some(id) = pair.server.connection_mut(handle).unwrap().accept() {
        received.push(support::read_all(
            pair.server.connection_mut(handle).unwrap(),
            id,
        ));
    }
    let mut expected: Vec<_> = expected.into_iter().map(|(_, data)| data).collect();
    expected.sort();
    received.sort();
    assert!(received == expected);
}
