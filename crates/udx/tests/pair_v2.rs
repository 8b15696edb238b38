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

use gapless_udx::{BlockedOn, EndpointConfig, Peer, Side, Version, VersionChoice};
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
