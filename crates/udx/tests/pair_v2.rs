//! Two endpoints that speak version 2 with each other.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions
)]

mod support;

use gapless_udx::wire::{Dialect, Frame, Packet};
use gapless_udx::{
    BlockedOn, CloseReason, EndpointConfig, Event, Peer, ReadError, Side, Version, VersionChoice,
};
use support::{Pair, pattern};

/// A dialer that chooses so, and an acceptor of these versions.
fn pair(choice: VersionChoice, accepted: &[Version]) -> Pair {
    let mut client = EndpointConfig::default();
    client.connection.version = choice;
    let server = EndpointConfig {
        accept_versions: accepted.to_vec(),
        ..EndpointConfig::default()
    };
    Pair::with(client, server)
}

const V2: VersionChoice = VersionChoice::Only(Version::V2);

#[test]
fn one_packet_opens_connection_and_stream() {
    let mut pair = pair(V2, &[Version::V2]);
    let (connection, stream) = pair.dial();
    pair.client().write(stream, &mut "hello".into()).unwrap();
    assert_eq!(pair.step_client(), 1);
    let server = pair.server.accept().unwrap();
    let there = pair.server.connection_mut(server).unwrap();
    let stream_there = there.accept().unwrap();
    assert_eq!(there.read(stream_there, 100).unwrap().unwrap(), "hello");
    assert_eq!((there.side(), there.peer()), (Side::Acceptor, Peer::Own));
    assert_eq!(there.version(), Some(Version::V2));
    pair.run();
    let client = pair.client.connection(connection).unwrap();
    assert_eq!(
        (client.peer(), client.version()),
        (Peer::Own, Some(Version::V2))
    );
}

#[test]
fn a_megabyte_each_way_and_both_ends_are_seen() {
    let mut pair = pair(V2, &[Version::V2]);
    let (_, stream) = pair.dial();
    let data = pattern(1 << 20);
    pair.transfer_both(stream, &data);
    let stats = pair.client().stats();
    assert_eq!(stats.stream_bytes_acknowledged, 1 << 20);
    assert_eq!(stats.stream_bytes_received, 1 << 20);
    assert_eq!(stats.recovery.packets_lost, 0, "a clean wire");
    assert_eq!(stats.in_flight, 0);
    let now = pair.now;
    assert_eq!(pair.client().blocked_on(now), BlockedOn::NothingToSend);
}

// UDX 13: one round trip before the first data, and nothing lost by it.
#[test]
fn a_dialer_that_asks_learns_version_3_from_the_first_answer() {
    let mut pair = pair(VersionChoice::Discover, &[Version::V3, Version::V2]);
    let (handle, stream) = pair.dial();
    pair.client().write(stream, &mut "waits".into()).unwrap();
    assert_eq!(pair.client().version(), None);
    assert_eq!(pair.step_client(), 1);
    let server = pair.server.accept().unwrap();
    let there = pair.server.connection_mut(server).unwrap();
    let id = there.accept().unwrap();
    assert_eq!(there.version(), Some(Version::V3));
    assert_eq!(there.read(id, 100), Err(ReadError::Blocked), "no data yet");
    pair.run();
    let there = pair.server.connection_mut(server).unwrap();
    assert_eq!(there.read(id, 100).unwrap().unwrap(), "waits");
    let versions = learned(&mut pair);
    assert_eq!(versions, [Version::V3], "told once");
    let client = pair.client.connection(handle).unwrap();
    assert_eq!(
        (client.version(), client.peer()),
        (Some(Version::V3), Peer::Own)
    );
    assert_eq!(client.stats().recovery.packets_resent, 0);
}

// UDX 13: a Dart of version 2, which sends version negotiation.
#[test]
fn a_dialer_that_asks_is_led_to_version_2_by_a_negotiation() {
    let mut pair = pair(VersionChoice::Discover, &[Version::V2]);
    let (handle, stream) = pair.dial();
    let data = pattern(300_000);
    pair.transfer_both(stream, &data);
    assert_eq!(learned(&mut pair), [Version::V2]);
    let client = pair.client.connection(handle).unwrap();
    assert_eq!(
        (client.version(), client.peer()),
        (Some(Version::V2), Peer::Own)
    );
    assert!(
        client.stats().rtt.is_some_and(|rtt| rtt.as_millis() < 40),
        "the negotiation was answered at once"
    );
}

#[test]
fn a_dialer_of_one_version_gives_up_only_when_its_time_is_over() {
    let mut pair = pair(VersionChoice::Only(Version::V3), &[Version::V2]);
    let (handle, _) = pair.dial();
    pair.run_for(20);
    assert!(!pair.client.connection(handle).unwrap().is_closed());
    pair.run_for(11);
    let reason = pair.client.connection(handle).unwrap().close_reason();
    assert_eq!(reason, Some(&CloseReason::VersionMismatch));
}

/// While the version is not known, one record is outstanding: the SYN, under number 0, however often.
#[test]
fn until_the_answer_nothing_but_the_opening_is_sent() {
    let mut pair = pair(VersionChoice::Discover, &[Version::V3]);
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "data".into()).unwrap();
    pair.client().finish(stream).unwrap();
    let second = pair.client().open().unwrap();
    pair.client().write(second, &mut "more".into()).unwrap();
    pair.cut = true;
    let mut buffer = vec![0; 2000];
    let mut times = Vec::new();
    for _ in 0..6 {
        while let Some(sent) = pair.client.poll_transmit(pair.now, &mut buffer) {
            times.push(pair.now.as_nanos() / 1_000_000 - 1000);
            buffer[..sent.len]
                .chunks(sent.segment_size)
                .for_each(assert_opens_either_version);
        }
        pair.now = pair.client.next_deadline().unwrap();
        pair.client.handle_timeout(pair.now);
    }
    let now = pair.now;
    assert_eq!(pair.client().blocked_on(now), BlockedOn::FirstAnswer);
    times.dedup();
    assert_eq!(times[..4], [0, 325, 975, 2275], "UDX 13: 0.3 0.9 2.1 ... s");
}

/// The first stream was given up before anything was sent; the connection is opened all the same.
#[test]
fn a_stream_that_was_given_up_still_opens_the_connection() {
    for choice in [VersionChoice::Discover, V2] {
        let mut pair = pair(choice, &[Version::V2, Version::V3]);
        let (_, first) = pair.dial();
        pair.client().write(first, &mut "never".into()).unwrap();
        pair.client().reset(first, 5);
        pair.client().release_stream(first);
        let second = pair.client().open().unwrap();
        pair.client().write(second, &mut "hello".into()).unwrap();
        pair.run();
        let server = pair.server.accept().unwrap();
        let there = pair.server.connection_mut(server).unwrap();
        let given_up = there.accept().unwrap();
        assert_eq!(
            there.read(given_up, 9),
            Err(ReadError::Reset(5)),
            "{choice:?}"
        );
        let id = there.accept().unwrap();
        assert_eq!(there.read(id, 100).unwrap().unwrap(), "hello");
    }
}

fn assert_opens_either_version(datagram: &[u8]) {
    let packet = Packet::decode_as(datagram, Dialect::V3).unwrap();
    let header = packet.header();
    assert_eq!((header.version, header.number.raw()), (3, 0));
    let opening = |frame: Frame<'_>| match frame {
        Frame::Stream(it) => it.syn && !it.fin && it.data.is_empty(),
        frame => matches!(frame, Frame::MaxData { .. } | Frame::MaxStreams { .. }),
    };
    assert!(packet.frames().all(opening), "{packet:?}");
    // What an old peer reads: SYN, padding, and what it knows.
    let old = Packet::decode_as(datagram, Dialect::V2).unwrap();
    let syn = old.frames().next().unwrap();
    assert!(matches!(syn, Frame::Ordered(it) if it.syn && !it.fin && it.data.is_empty()));
}

fn learned(pair: &mut Pair) -> Vec<Version> {
    let events = pair.client_events().into_iter();
    let versions = events.filter_map(|event| match event {
        Event::Version(version) => Some(version),
        _ => None,
    });
    versions.collect()
}

/// Between two of our own kind what ends a stream has a number, and so it arrives.
#[test]
fn an_ending_that_is_lost_many_times_arrives() {
    let mut pair = pair(V2, &[Version::V2]);
    let (_, stream) = pair.dial();
    pair.client().write(stream, &mut "enough".into()).unwrap();
    pair.run();
    let (there, id) = pair.accept_stream();
    let server = pair.server.connection_mut(there).unwrap();
    assert_eq!(server.read(id, 6).unwrap().unwrap(), "enough");
    server.reset(id, 9);
    pair.cut = true;
    pair.run_for(15);
    pair.cut = false;
    pair.run_for(5);
    let events = pair.client_events();
    let reset = Event::Reset {
        id: stream,
        code: 9,
    };
    assert!(events.contains(&reset), "{events:?}");
}

// UDX2 H7: all that follows waits for the numbers of a stream that was given up.
#[test]
fn a_stream_that_was_given_up_holds_up_no_other() {
    let mut pair = pair(V2, &[Version::V2]);
    let (_, first) = pair.dial();
    pair.client().write(first, &mut "x".into()).unwrap();
    pair.run();
    let (there, _) = pair.accept_stream();
    pair.cut = true;
    pair.client()
        .write(first, &mut pattern(20_000).into())
        .unwrap();
    pair.run_for(1);
    pair.client().reset(first, 5);
    pair.client().release_stream(first);
    let second = pair.client().open().unwrap();
    pair.client().write(second, &mut "hello".into()).unwrap();
    pair.run_for(1);
    pair.cut = false;
    pair.run_for(10);
    let server = pair.server.connection_mut(there).unwrap();
    let id = server.accept().unwrap();
    assert_eq!(server.read(id, 100).unwrap().unwrap(), "hello");
    assert_eq!(pair.client().stats().streams, 1, "the first is forgotten");
}
