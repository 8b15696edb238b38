//! Noise and Yamux over either wire version, found out or forced.

mod common;

use std::time::{Duration, Instant};

use common::{Link, PATIENCE, Pair, Running, established, listen, swarm, wait};
use futures::StreamExt as _;
use libp2p::{StreamProtocol, swarm::SwarmEvent};
use libp2p_udx::{
    Config, UdxAddr,
    gapless::{PeerVersions, Version, VersionChoice},
};
use tokio::{net::UdpSocket, time::timeout};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/udx-test/version/1");

fn dialing(link: Link, choice: VersionChoice) -> Config {
    let mut config = link.config();
    config.endpoint.connection.version = choice;
    config
}

fn accepting(link: Link, versions: &[Version]) -> Config {
    let mut config = link.config();
    config.endpoint.accept_versions = versions.to_vec();
    config
}

/// What both sides say the connection speaks.
fn versions(pair: &Pair) -> Vec<Option<Version>> {
    let sides = [&pair.dialer, &pair.listener];
    let connections = sides.map(|side| side.handle.connections());
    connections
        .into_iter()
        .flatten()
        .map(|connection| connection.version)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_over_version_2() {
    for link in [Link::Clean, Link::Distant] {
        let dialer = dialing(link, VersionChoice::Only(Version::V2));
        let mut pair =
            Pair::connect_with(dialer, accepting(link, &[Version::V2, Version::V3])).await;
        assert_eq!(versions(&pair), [Some(Version::V2); 2]);
        pair.echo(PROTOCOL, 20, 50_000).await;
        pair.echo(PROTOCOL, 1, 1_000_000).await;
    }
}

#[tokio::test]
async fn the_version_is_found_out_and_remembered_by_all_sockets() {
    for version in [Version::V3, Version::V2] {
        let dialer = dialing(Link::Clean, VersionChoice::Discover);
        let known = dialer.peer_versions.clone();
        let mut pair = Pair::connect_with(dialer, accepting(Link::Clean, &[version])).await;
        assert_eq!(versions(&pair), [Some(version); 2]);
        assert_eq!(known.len(), 1);
        let at = pair.dialer.handle.connections()[0].remote;
        assert_eq!(known.get(at), Some(version));
        pair.echo(PROTOCOL, 2, 10_000).await;
    }
}

/// A relay of which only one version's datagrams come out.
async fn relay(to: std::net::SocketAddr, passes: u32) -> UdxAddr {
    let front = std::sync::Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = UdxAddr::new(front.local_addr().unwrap());
    tokio::spawn(async move {
        let mut backs: Vec<(std::net::SocketAddr, std::sync::Arc<UdpSocket>)> = Vec::new();
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = front.recv_from(&mut buffer).await {
            if buffer.first_chunk().map(|v| u32::from_be_bytes(*v)) != Some(passes) {
                continue;
            }
            if !backs.iter().any(|(client, _)| *client == from) {
                let back = std::sync::Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                back.connect(to).await.unwrap();
                backs.push((from, back.clone()));
                let front = front.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 2048];
                    while let Ok(len) = back.recv(&mut buffer).await {
                        let _ = front.send_to(&buffer[..len], from).await;
                    }
                });
            }
            let back = backs.iter().find(|(client, _)| *client == from);
            let _ = back.unwrap().1.send(&buffer[..len]).await;
        }
    });
    address
}

/// A listener that is silent to what it does not know: found by a second attempt, and at once from then on; found again after it
/// has changed.
#[tokio::test]
async fn a_silent_peer_is_found_in_the_other_version_and_after_each_change() {
    let known = PeerVersions::default();
    for (remembered, spoken) in [
        (None, Version::V2),
        (Some(Version::V3), Version::V2),
        (Some(Version::V2), Version::V3),
    ] {
        let (mut listener, handle) = swarm(accepting(Link::Clean, &[spoken]));
        let addr = listen(&mut listener).await;
        let to = UdxAddr::try_from(&addr).unwrap().socket_addr();
        let _listener = Running::new((listener, handle));
        let front = relay(to, spoken.wire()).await;
        if let Some(version) = remembered {
            known.set(front.socket_addr(), version);
        }

        let mut config = dialing(Link::Clean, VersionChoice::Discover);
        config.peer_versions = known.clone();
        config.version_patience = Duration::from_millis(300);
        let (mut dialer, handle) = swarm(config);
        let start = Instant::now();
        dialer.dial(front.to_multiaddr()).unwrap();
        wait(&mut dialer, established).await;
        assert!(start.elapsed() > Duration::from_millis(300));
        assert_eq!(handle.connections()[0].version, Some(spoken));
        assert_eq!(known.get(front.socket_addr()), Some(spoken));
    }
}

/// No round trip for what is known: the upgrade begins in the very first packet.
#[tokio::test]
async fn a_remembered_peer_is_not_asked_again() {
    for version in [Version::V3, Version::V2] {
        for remembered in [true, false] {
            let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let at = silent.local_addr().unwrap();
            let config = dialing(Link::Clean, VersionChoice::Discover);
            if remembered {
                config.peer_versions.set(at, version);
            }
            let (mut dialer, _) = swarm(config);
            dialer.dial(UdxAddr::new(at).to_multiaddr()).unwrap();
            let mut first = [0; 2048];
            let received = async {
                tokio::select! {
                    received = silent.recv(&mut first) => received.unwrap(),
                    () = async { loop { dialer.next().await; } } => unreachable!("it has no end"),
                }
            };
            let len = timeout(PATIENCE, received).await.expect("a packet");
            let says = b"/multistream/1.0.0";
            let upgrades = first[..len].windows(says.len()).any(|part| part == says);
            assert_eq!(upgrades, remembered, "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_forced_version_that_the_peer_does_not_speak_is_an_error_that_says_so() {
    let (mut listener, handle) = swarm(accepting(Link::Clean, &[Version::V3]));
    let addr = listen(&mut listener).await;
    let _listener = Running::new((listener, handle));
    let mut config = dialing(Link::Clean, VersionChoice::Only(Version::V2));
    config.endpoint.connection.dial_timeout = Duration::from_secs(1);
    let (mut dialer, _) = swarm(config);
    dialer.dial(addr).unwrap();
    let text = wait(&mut dialer, |event| match event {
        SwarmEvent::OutgoingConnectionError {
            error: libp2p::swarm::DialError::Transport(errors),
            ..
        } => Some(
            libp2p_udx::connection_error(&errors[0].1)
                .expect("the cause")
                .to_string(),
        ),
        _ => None,
    })
    .await;
    assert!(
        text.contains("version") && text.contains("discovered"),
        "{text}"
    );
}
