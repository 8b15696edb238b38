//! Swarm to Swarm: libp2p's own behaviours over UDX, and what goes wrong between peers.

mod common;

use std::time::{Duration, Instant};

use common::{
    BehaviourEvent, Link, PATIENCE, Pair, Running, closed, established, listen, swarm, wait,
};
use libp2p::{
    PeerId, StreamProtocol, identify,
    identity::Keypair,
    ping,
    swarm::{DialError, SwarmEvent},
};
use libp2p_swarm_test::{SwarmExt as _, drive};
use libp2p_udx::{Config, ConnectionError, UdxAddr, connection_error};
use tokio::time::timeout;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/udx-test/stream/1");

#[tokio::test]
async fn ping_and_identify() {
    let (mut listener, _) = swarm(Link::Clean.config());
    let addr = listen(&mut listener).await;
    let (mut dialer, handle) = swarm(Link::Clean.config());
    listener.add_external_address(addr.clone());
    dialer.connect(&mut listener).await;

    // Of each behaviour what it does at once: a ping, an identify message sent and one received.
    let (at_dialer, at_listener): ([BehaviourEvent; 3], [BehaviourEvent; 3]) =
        drive(&mut dialer, &mut listener).await;
    let (dialer, listener) = (*dialer.local_peer_id(), *listener.local_peer_id());
    for (events, other) in [(at_dialer, listener), (at_listener, dialer)] {
        let (mut pings, mut infos) = (0, 0);
        for event in events {
            match event {
                BehaviourEvent::Ping(ping::Event { peer, result, .. }) => {
                    assert_eq!(peer, other);
                    assert!(result.unwrap() < Duration::from_secs(5));
                    pings += 1;
                }
                BehaviourEvent::Identify(identify::Event::Received { info, .. }) => {
                    assert_eq!(info.public_key.to_peer_id(), other);
                    let observed = UdxAddr::try_from(&info.observed_addr).unwrap();
                    assert!(observed.socket_addr().ip().is_loopback());
                    infos += 1;
                }
                _ => {}
            }
        }
        assert_eq!((pings, infos), (1, 1));
    }
    let remote = UdxAddr::try_from(&addr).unwrap().socket_addr();
    assert_eq!(handle.connection(remote).unwrap().remote, remote);
}

#[tokio::test]
async fn a_wrong_identity_is_refused() {
    let (mut listener, _) = swarm(Link::Clean.config());
    let addr = listen(&mut listener).await;
    let expected = Keypair::generate_ed25519().public().to_peer_id();
    let impostor = *listener.local_peer_id();
    let place = UdxAddr::new(UdxAddr::try_from(&addr).unwrap().socket_addr());
    let mut listener = Running::new((listener, Default::default()));

    let (mut dialer, handle) = swarm(Link::Clean.config());
    dialer
        .dial(place.with_peer(expected).to_multiaddr())
        .unwrap();
    let obtained: PeerId = wait(&mut dialer, |event| match event {
        SwarmEvent::OutgoingConnectionError {
            error: DialError::WrongPeerId { obtained, .. },
            ..
        } => Some(*obtained),
        SwarmEvent::ConnectionEstablished { .. } => panic!("connected to an impostor"),
        _ => None,
    })
    .await;
    assert_eq!(obtained, impostor);
    // The listener may see the connection for a moment; then it is gone at both sides.
    listener
        .wait(|event| match event {
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::IncomingConnectionError { .. } => {
                Some(())
            }
            _ => None,
        })
        .await;
    timeout(PATIENCE, async {
        while !handle.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the connection was closed");
}

#[tokio::test]
async fn nobody_listening_is_an_error_with_a_cause() {
    let unused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = UdxAddr::new(unused.local_addr().unwrap());
    drop(unused);
    let (mut dialer, _) = swarm(Link::Clean.config());
    dialer.dial(addr.to_multiaddr()).unwrap();
    let started = Instant::now();
    let cause = wait(&mut dialer, |event| match event {
        SwarmEvent::OutgoingConnectionError {
            error: DialError::Transport(errors),
            ..
        } => Some(connection_error(&errors[0].1).cloned()),
        _ => None,
    })
    .await;
    assert!(
        matches!(cause, Some(ConnectionError::NoAnswer { refused: true, .. })),
        "{cause:?}"
    );
    // The network's hint shortens the wait; it would be 30 s.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_killed_peer_is_noticed() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let (here, there) = (runtime(), runtime());
    let mut config = Config::default();
    config.endpoint.connection.idle_timeout = Duration::from_secs(2);
    config.endpoint.connection.keep_alive = Some(Duration::from_millis(500));

    let (listener, addr) = there.block_on(async {
        let (mut listener, handle) = swarm(config.clone());
        let addr = listen(&mut listener).await;
        (Running::new((listener, handle)), addr)
    });
    here.block_on(async {
        let (mut dialer, _) = swarm(config);
        dialer.dial(addr).unwrap();
        wait(&mut dialer, established).await;
        // Longer than the idle timeout: the keep-alive holds the connection.
        let alive = timeout(Duration::from_secs(3), wait(&mut dialer, closed)).await;
        assert!(alive.is_err(), "the connection broke by itself");
        // Its sockets are closed without a word.
        there.shutdown_background();
        let started = Instant::now();
        let cause = wait(&mut dialer, |event| match event {
            SwarmEvent::ConnectionClosed {
                cause: Some(cause), ..
            } => Some(connection_error(cause).cloned()),
            _ => None,
        })
        .await;
        assert_eq!(cause, Some(ConnectionError::IdleTimeout));
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
    drop(listener);
}

#[tokio::test]
async fn a_disconnect_is_seen_at_once_by_the_other_side() {
    let (mut listener, _) = swarm(Link::Clean.config());
    let addr = listen(&mut listener).await;
    let mut listener = Running::new((listener, Default::default()));
    let (mut dialer, handle) = swarm(Link::Clean.config());
    dialer.dial(addr).unwrap();
    let (peer, _) = wait(&mut dialer, established).await;
    listener.wait(established).await;
    let started = Instant::now();
    dialer.disconnect_peer_id(peer).unwrap();
    wait(&mut dialer, closed).await;
    listener.wait(closed).await;
    timeout(PATIENCE, handle.wait_idle())
        .await
        .expect("the goodbyes are said");
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_on_one_connection() {
    for link in [Link::Clean, Link::Distant] {
        let mut pair = Pair::connect(link).await;
        pair.echo(PROTOCOL, 200, 20_000).await;
        assert_eq!(pair.dialer.handle.connections().len(), 1);
    }
}
