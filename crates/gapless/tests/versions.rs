//! Wire versions 3 and 2: forced, discovered, remembered; and the ports that dials leave from.

mod common;

use common::{any_port, pair_between, receive, send, soon, stream, until, within};
use gapless::{ConnectionError, DialFrom, Endpoint, Version, VersionChoice};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// How long the dials of these tests wait before their second attempt.
const PATIENCE: Duration = Duration::from_millis(400);

fn client() -> gapless::Builder {
    Endpoint::builder()
        .version(VersionChoice::Discover)
        .version_patience(PATIENCE)
}

/// Both ways at once, more than a window.
async fn exchange(near: &gapless::Connection, far: &gapless::Connection) {
    const LEN: usize = 300_000;
    let mut ours = near.open_bi().await.unwrap();
    ours.0.write_all(b"!").await.unwrap();
    let mut theirs = soon(far.accept_bi()).await.unwrap();
    soon(theirs.1.read_exact(&mut [0])).await.unwrap();
    within(Duration::from_secs(60), async {
        tokio::join!(
            send(ours.0, 1, LEN),
            receive(ours.1, 2, LEN),
            send(theirs.0, 2, LEN),
            receive(theirs.1, 1, LEN),
        )
    })
    .await;
}

/// U32: both attempts arrive, and the peer must not be left with a connection that nobody holds.
#[tokio::test]
async fn nobody_in_either_version_is_one_error_in_time() {
    let silent = UdpSocket::bind(any_port()).await.unwrap();
    let client = Endpoint::builder()
        .config(common::impatient())
        .version(VersionChoice::Discover)
        .version_patience(Duration::from_millis(200))
        .bind(any_port())
        .unwrap();
    let start = Instant::now();
    let dial = client.connect(silent.local_addr().unwrap()).unwrap();
    let error = soon(dial).await.unwrap_err();
    assert_eq!(
        error,
        ConnectionError::NoAnswer {
            refused: false,
            only: None
        }
    );
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "no later than without a second attempt: {took:?}"
    );
    soon(client.wait_idle()).await;
}

/// What an early dial relies on is what the next dial asks, if nobody answers.
#[tokio::test]
async fn an_early_dial_to_a_silent_peer_forgets_what_was_known() {
    let silent = UdpSocket::bind(any_port()).await.unwrap();
    let at = silent.local_addr().unwrap();
    let client = Endpoint::builder()
        .config(common::impatient())
        .version(VersionChoice::Discover)
        .bind(any_port())
        .unwrap();
    client.peer_versions().set(at, Version::V3);
    let near = client.connect_early(at).unwrap();
    assert_eq!(near.version(), Some(Version::V3));
    let (mut send, _recv) = near.open_bi().await.unwrap();
    send.write_all(b"hello?").await.unwrap();
    let error = soon(near.closed()).await;
    assert!(matches!(error, ConnectionError::NoAnswer { .. }), "{error}");
    assert_eq!(client.peer_versions().get(at), None);
}

/// D18: where dials leave from.
#[tokio::test]
async fn a_dial_leaves_from_the_port_that_was_asked_for() {
    let ports = |dial_from, known: bool| async move {
        let server = Endpoint::server(any_port()).unwrap();
        let at = server.local_addr().unwrap();
        let client = client().dial_from(dial_from).bind(any_port()).unwrap();
        let mut connections = Vec::new();
        let mut ports = Vec::new();
        for _ in 0..3 {
            let dial = client.connect(at).unwrap();
            let (near, far) = soon(async { tokio::join!(dial, server.accept()) }).await;
            let (near, far) = (near.unwrap(), far.unwrap());
            exchange(&near, &far).await;
            if !known {
                // As if the peer had never told its kind.
                client.peer_versions().forget(at);
            }
            ports.push(far.remote_address() == client.local_addr().unwrap());
            connections.push((near, far));
        }
        let distinct: BTreeSet<_> = connections
            .iter()
            .map(|(_, far)| far.remote_address())
            .collect();
        (ports, distinct.len())
    };
    assert_eq!(ports(DialFrom::OwnPort, false).await, (vec![true; 3], 1));
    assert_eq!(ports(DialFrom::FreshPort, true).await, (vec![false; 3], 3));
    let needed = DialFrom::FreshPortWhereNeeded;
    assert_eq!(
        ports(needed, true).await,
        (vec![true; 3], 1),
        "our own kind takes any number"
    );
    assert_eq!(ports(needed, false).await, (vec![true, false, false], 3));
}

/// U19: a fresh port goes with its connection, and what it did still counts.
#[tokio::test]
async fn thirty_fresh_ports_leave_no_socket() {
    let server = Endpoint::server(any_port()).unwrap();
    let client = client()
        .dial_from(DialFrom::FreshPort)
        .bind(any_port())
        .unwrap();
    let mut used = Vec::new();
    for _ in 0..30 {
        let dial = client.connect(server.local_addr().unwrap()).unwrap();
        let (near, far) = soon(async { tokio::join!(dial, server.accept()) }).await;
        near.unwrap().close(0, b"");
        let far = far.unwrap();
        used.push(far.remote_address());
        soon(far.closed()).await;
    }
    soon(client.wait_idle()).await;
    // The task that holds a socket ends right after its connection.
    let mut left: Vec<_> = used.clone();
    until(|| {
        left.retain(|port| std::net::UdpSocket::bind(port).is_err());
        left.is_empty()
    })
    .await;
    let stats = client.stats();
    assert_eq!(stats.engine.connections, 30);
    assert!(stats.socket.datagrams_sent >= 60, "{stats:?}");
}

#[tokio::test]
async fn closing_the_endpoint_closes_what_left_from_fresh_ports() {
    let server = Endpoint::server(any_port()).unwrap();
    let client = client()
        .dial_from(DialFrom::FreshPort)
        .bind(any_port())
        .unwrap();
    let pair = pair_between(server, client).await;
    let ((_send, mut recv), _far) = stream(&pair).await;
    pair.client.close(9, b"over");
    assert!(recv.read(&mut [0]).await.is_err());
    let end = soon(pair.far.closed()).await;
    assert!(
        matches!(end, ConnectionError::ClosedByPeer { code: 9, .. }),
        "{end}"
    );
    let refused = pair.client.connect(pair.server.local_addr().unwrap());
    assert!(matches!(
        refused,
        Err(gapless::ConnectError::EndpointClosed)
    ));
    soon(pair.client.wait_idle()).await;
}

#[tokio::test]
async fn a_connection_from_a_fresh_port_moves_with_the_endpoint() {
    let server = Endpoint::server(any_port()).unwrap();
    let client = client()
        .dial_from(DialFrom::FreshPort)
        .bind(any_port())
        .unwrap();
    let pair = pair_between(server, client).await;
    let before = pair.far.remote_address();
    let new = std::net::UdpSocket::bind(any_port()).unwrap();
    pair.client.rebind(new).unwrap();
    exchange(&pair.near, &pair.far).await;
    assert_ne!(pair.far.remote_address(), before);
}
