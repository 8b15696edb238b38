//! Wire versions 3 and 2: forced, discovered, remembered; and the ports that dials leave from.

mod common;

use common::{any_port, bytes, pair_between, receive, send, soon, stream, until, within};
use gapless::{
    ConnectionError, DialFrom, Endpoint, EndpointConfig, PeerVersions, Version, VersionChoice,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// How long the dials of these tests wait before their second attempt.
const PATIENCE: Duration = Duration::from_millis(400);

fn client() -> gapless::Builder {
    Endpoint::builder()
        .version(VersionChoice::Discover)
        .version_patience(PATIENCE)
}

fn server(versions: &[Version]) -> Endpoint {
    let config = EndpointConfig {
        accept_versions: versions.to_vec(),
        ..EndpointConfig::default()
    };
    Endpoint::builder().config(config).bind(any_port()).unwrap()
}

/// Which way a datagram goes through a relay.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Out,
    Back,
}

/// Whether a relay lets a datagram pass: by its way, by the number of the sender in order of appearance, and by its version.
type Rule = fn(Way, usize, u32) -> bool;

/// Stands in front of a server. Each sender gets a socket of its own towards it.
struct Relay {
    address: SocketAddr,
    senders: Arc<Mutex<Vec<SocketAddr>>>,
    _task: JoinSet<()>,
}

impl Relay {
    async fn new(server: SocketAddr, rule: Rule) -> Self {
        let front = Arc::new(UdpSocket::bind(any_port()).await.unwrap());
        let address = front.local_addr().unwrap();
        let senders = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        task.spawn(carry_out(front, server, rule, senders.clone()));
        Self {
            address,
            senders,
            _task: task,
        }
    }

    fn senders(&self) -> usize {
        self.senders.lock().unwrap().len()
    }
}

async fn carry_out(
    front: Arc<UdpSocket>,
    server: SocketAddr,
    rule: Rule,
    senders: Arc<Mutex<Vec<SocketAddr>>>,
) {
    let mut answers = JoinSet::new();
    let mut backs = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok((len, from)) = front.recv_from(&mut buffer).await {
        let known = senders
            .lock()
            .unwrap()
            .iter()
            .position(|sender| *sender == from);
        let number = known.unwrap_or(backs.len());
        if known.is_none() {
            let back = Arc::new(UdpSocket::bind(any_port()).await.unwrap());
            back.connect(server).await.unwrap();
            answers.spawn(carry_back(back.clone(), front.clone(), from, number, rule));
            backs.push(back);
            senders.lock().unwrap().push(from);
        }
        if rule(Way::Out, number, version_of(&buffer)) {
            let _ = backs[number].send(&buffer[..len]).await;
        }
    }
}

async fn carry_back(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    to: SocketAddr,
    number: usize,
    rule: Rule,
) {
    let mut buffer = [0; 2048];
    loop {
        // An error is a report that the server is gone for now.
        if let Ok(len) = back.recv(&mut buffer).await
            && rule(Way::Back, number, version_of(&buffer))
        {
            let _ = front.send_to(&buffer[..len], to).await;
        }
    }
}

fn version_of(datagram: &[u8]) -> u32 {
    datagram.first_chunk().map_or(0, |v| u32::from_be_bytes(*v))
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

#[tokio::test]
async fn either_version_can_be_forced_and_both_are_accepted() {
    let server = server(&[Version::V3, Version::V2]);
    for version in [Version::V2, Version::V3] {
        let client = Endpoint::builder()
            .version(VersionChoice::Only(version))
            .bind(any_port())
            .unwrap();
        let pair = pair_between(server.clone(), client).await;
        assert_eq!(pair.near.version(), Some(version));
        assert_eq!(pair.far.version(), Some(version));
        exchange(&pair.near, &pair.far).await;
    }
}

#[tokio::test]
async fn the_version_is_discovered_and_remembered() {
    for version in [Version::V2, Version::V3] {
        let server = server(&[version]);
        let at = server.local_addr().unwrap();
        let versions = PeerVersions::default();
        let client = client()
            .peer_versions(versions.clone())
            .bind(any_port())
            .unwrap();
        assert_eq!(versions.get(at), None);
        let pair = pair_between(server, client).await;
        assert_eq!(
            pair.near.version(),
            Some(version),
            "without a second attempt"
        );
        exchange(&pair.near, &pair.far).await;
        assert_eq!(versions.get(at), Some(version));
        assert_eq!(pair.client.peer_versions().get(at), Some(version));
        assert!(
            pair.server.peer_versions().is_empty(),
            "dialers' ports are no addresses of peers"
        );
    }
}

#[tokio::test]
async fn a_peer_that_is_silent_to_version_3_is_found_in_version_2_from_a_fresh_port() {
    let server = server(&[Version::V2]);
    let relay = Relay::new(server.local_addr().unwrap(), |_, _, version| version == 2).await;
    let client = client().bind(any_port()).unwrap();
    let start = Instant::now();
    let connecting = client.connect(relay.address).unwrap();
    let (near, far) = soon(async { tokio::join!(connecting, server.accept()) }).await;
    let (near, far) = (near.unwrap(), far.unwrap());
    assert!(start.elapsed() >= PATIENCE);
    assert_eq!(near.version(), Some(Version::V2));
    assert_eq!(near.remote_address(), relay.address);
    assert_eq!(relay.senders(), 2);
    exchange(&near, &far).await;

    // From then on at once, and from the endpoint's own port.
    let start = Instant::now();
    let again = soon(client.connect(relay.address).unwrap()).await.unwrap();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(again.version(), Some(Version::V2));
    assert_eq!(relay.senders(), 2);
    drop((near, again));
    soon(client.wait_idle()).await;
}

/// A peer that was remembered with the one version and speaks only the other, behind a relay that lets nothing else through.
async fn changed(remembered: Version, spoken: Version) -> (Endpoint, Relay, Endpoint) {
    let server = server(&[spoken]);
    let rule: Rule = match spoken {
        Version::V2 => |_, _, version| version == 2,
        _ => |_, _, version| version == 3,
    };
    let relay = Relay::new(server.local_addr().unwrap(), rule).await;
    let client = client().bind(any_port()).unwrap();
    client.peer_versions().set(relay.address, remembered);
    (server, relay, client)
}

const CHANGES: [(Version, Version); 2] = [(Version::V2, Version::V3), (Version::V3, Version::V2)];

#[tokio::test]
async fn a_peer_that_changed_its_version_is_found_again() {
    for (remembered, spoken) in CHANGES {
        let (server, relay, client) = changed(remembered, spoken).await;
        let near = soon(client.connect(relay.address).unwrap()).await.unwrap();
        assert_eq!(near.version(), Some(spoken));
        assert_eq!(client.peer_versions().get(relay.address), Some(spoken));
        assert_eq!(relay.senders(), 2, "from a fresh port");
        let far = soon(server.accept()).await.unwrap();
        exchange(&near, &far).await;
    }
}

/// What was said before anybody answered is said again, on every stream, and so are their ends.
#[tokio::test]
async fn an_early_dial_says_all_again_to_a_peer_that_changed_its_version() {
    const LEN: usize = 150_000;
    for (remembered, spoken) in CHANGES {
        let (server, relay, client) = changed(remembered, spoken).await;
        let start = Instant::now();
        let near = client.connect_early(relay.address).unwrap();
        assert_eq!(near.version(), Some(remembered));
        let mut ours = Vec::new();
        for number in 0..3 {
            let (mut send, recv) = near.open_bi().await.unwrap();
            send.write_chunk(bytes(number, LEN)).await.unwrap();
            ours.push((send, recv));
        }
        ours[0].0.finish().unwrap();
        ours[1].0.reset(7).unwrap();
        let (mut open, mut answers) = ours.pop().unwrap();
        // Whoever waits already goes on waiting in the right place.
        let waiting = tokio::spawn(async move {
            let mut answer = [0; 3];
            soon(answers.read_exact(&mut answer)).await.unwrap();
            (answer, answers)
        });
        let arrived = ours[0].0.acknowledged();

        let far = soon(server.accept()).await.unwrap();
        assert!(start.elapsed() >= PATIENCE);
        assert_eq!(far.version(), Some(spoken));
        let mut seen = 0;
        for _ in 0..2 {
            let (mut send, mut recv) = soon(far.accept_bi()).await.unwrap();
            let mut first = [0; 2];
            soon(recv.read_exact(&mut first)).await.unwrap();
            let number = (0..3).find(|n| first == [common::byte(*n, 0), common::byte(*n, 1)]);
            let mut rest = vec![0; LEN - 2];
            soon(recv.read_exact(&mut rest)).await.unwrap();
            let number = number.unwrap();
            assert!(rest[..] == bytes(number, LEN)[2..], "stream {number}");
            seen |= 1 << number;
            if number == 0 {
                assert_eq!(soon(recv.read(&mut [0])).await.unwrap(), None);
            } else {
                send.write_all(b"yes").await.unwrap();
            }
        }
        assert_eq!(seen, 0b101, "and nothing of what was taken back");
        soon(arrived).await.unwrap();
        let (answer, _answers) = waiting.await.unwrap();
        assert_eq!(&answer, b"yes");
        open.write_all(b"more").await.unwrap();

        // The handle is that of before; it tells of, and opens streams on, the connection that came of it.
        assert_eq!(near.version(), Some(spoken));
        assert_eq!(client.peer_versions().get(relay.address), Some(spoken));
        soon(near.ping()).await.unwrap();
        exchange(&near, &far).await;
        near.close(5, b"");
        let end = soon(far.closed()).await;
        assert!(
            matches!(end, ConnectionError::ClosedByPeer { code: 5, .. }),
            "{end}"
        );
        drop((near, open, ours));
        soon(client.wait_idle()).await;
    }
}

/// The peer that is slow, not silent: its answer comes in the first attempt, and nothing is said twice.
#[tokio::test]
async fn an_early_dial_that_is_answered_in_time_makes_no_second_attempt() {
    let server = server(&[Version::V3, Version::V2]);
    let relay = Relay::new(server.local_addr().unwrap(), |_, _, _| true).await;
    let client = client().bind(any_port()).unwrap();
    client.peer_versions().set(relay.address, Version::V3);
    let near = client.connect_early(relay.address).unwrap();
    let (mut send, _recv) = near.open_bi().await.unwrap();
    send.write_all(b"hello").await.unwrap();
    let far = soon(server.accept()).await.unwrap();
    let (_, mut recv) = soon(far.accept_bi()).await.unwrap();
    soon(recv.read_exact(&mut [0; 5])).await.unwrap();
    tokio::time::sleep(2 * PATIENCE).await;
    assert_eq!(relay.senders(), 1);
    assert_eq!(near.version(), Some(Version::V3));
    exchange(&near, &far).await;
}

/// U32: both attempts arrive, and the peer must not be left with a connection that nobody holds.
#[tokio::test]
async fn the_attempt_that_loses_is_closed_at_the_peer_too() {
    let server = server(&[Version::V3, Version::V2]);
    // Nothing comes back to the first sender, so it seems to be silent.
    let rule = |way, number, _| way == Way::Out || number > 0;
    let relay = Relay::new(server.local_addr().unwrap(), rule).await;
    let client = client().bind(any_port()).unwrap();
    let near = soon(client.connect(relay.address).unwrap()).await.unwrap();
    assert_eq!(near.version(), Some(Version::V2));
    let (first, second) = (
        soon(server.accept()).await.unwrap(),
        soon(server.accept()).await.unwrap(),
    );
    let (lost, won) = match first.version() {
        Some(Version::V2) => (second, first),
        _ => (first, second),
    };
    assert_eq!(lost.version(), Some(Version::V3));
    let end = soon(lost.closed()).await;
    assert!(end.is_clean(), "{end}");
    assert_eq!(won.close_reason(), None);
    exchange(&near, &won).await;
}

#[tokio::test]
async fn a_forced_version_is_the_only_one_tried_and_the_error_says_so() {
    let server = server(&[Version::V3]);
    let relay = Relay::new(server.local_addr().unwrap(), |way, _, version| {
        way == Way::Out && version == 2
    })
    .await;
    let mut config = common::impatient();
    config.connection.version = VersionChoice::Only(Version::V2);
    let client = Endpoint::builder()
        .config(config)
        .version_patience(Duration::from_millis(100))
        .bind(any_port())
        .unwrap();
    let error = soon(client.connect(relay.address).unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        ConnectionError::NoAnswer {
            refused: false,
            only: Some(Version::V2)
        }
    );
    assert!(error.to_string().contains("version 2"), "{error}");
    assert!(
        error.to_string().contains("let the version be discovered"),
        "{error}"
    );
    assert_eq!(relay.senders(), 1);
}

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

    // Also if the application is the one to lose patience.
    client.peer_versions().set(at, Version::V2);
    let near = client.connect_early(at).unwrap();
    let (mut send, _recv) = near.open_bi().await.unwrap();
    send.write_all(b"hello?").await.unwrap();
    near.close(0, b"");
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
