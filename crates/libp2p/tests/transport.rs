//! The transport by itself: addresses, sockets, listeners, and the ends of its raw streams.

use std::{
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    time::Duration,
};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    future::{join, poll_fn},
};
use libp2p_core::{
    Endpoint as Role, Multiaddr, Transport as _,
    transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
};
use libp2p_udx::{Config, DialFrom, Error, Transport, UdxAddr, UdxStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

type Event = TransportEvent<<Transport as libp2p_core::Transport>::ListenerUpgrade, Error>;

async fn next(transport: &mut Transport) -> Event {
    let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx));
    timeout(PATIENCE, event)
        .await
        .expect("the event never came")
}

fn inner(addr: &str) -> Multiaddr {
    addr.parse().unwrap()
}

/// A transport that listens on a free port of the loopback interface.
async fn listening() -> (Transport, ListenerId, Multiaddr) {
    listening_with(Config::default(), "/ip4/127.0.0.1/udp/0").await
}

async fn listening_with(config: Config, addr: &str) -> (Transport, ListenerId, Multiaddr) {
    let mut transport = Transport::new(config);
    let id = ListenerId::next();
    transport.listen_on(id, inner(addr)).unwrap();
    let addr = next(&mut transport)
        .await
        .into_new_address()
        .expect("an address first");
    (transport, id, addr)
}

const REUSE: DialOpts = DialOpts {
    role: Role::Dialer,
    port_use: PortUse::Reuse,
};
const NEW: DialOpts = DialOpts {
    role: Role::Dialer,
    port_use: PortUse::New,
};

/// The two ends of a new connection, and the address the listener sees the dialer at.
async fn connect(
    dialer: &mut Transport,
    opts: DialOpts,
    listener: &mut Transport,
    addr: &Multiaddr,
) -> (UdxStream, UdxStream, SocketAddr) {
    let dialed = async {
        let mut stream = dialer.dial(addr.clone(), opts).unwrap().await.unwrap();
        stream.write_all(b"hi").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let accepted = async {
        let (upgrade, from) = next(listener).await.into_incoming().expect("a connection");
        let mut stream = upgrade.await.unwrap();
        let mut hi = [0; 2];
        stream.read_exact(&mut hi).await.unwrap();
        assert_eq!(&hi, b"hi");
        (stream, UdxAddr::try_from(&from).unwrap().socket_addr())
    };
    let (dialed, (accepted, from)) = timeout(PATIENCE, join(dialed, accepted)).await.unwrap();
    (dialed, accepted, from)
}

async fn read_all(stream: &mut UdxStream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all))
        .await
        .expect("no end")
        .map(|_| all)
}

#[tokio::test]
async fn closing_is_a_half_close() {
    let (mut listener, _, addr) = listening().await;
    let mut dialer = Transport::new(Config::default());
    let (mut dialed, mut accepted, _) = connect(&mut dialer, REUSE, &mut listener, &addr).await;

    dialed.write_all(b"question").await.unwrap();
    dialed.close().await.unwrap();
    dialed.close().await.unwrap();
    assert!(dialed.write_all(b"more").await.is_err());
    assert_eq!(read_all(&mut accepted).await.unwrap(), b"question");
    accepted.write_all(&[5; 200_000]).await.unwrap();
    let (closed, answer) = join(accepted.close(), read_all(&mut dialed)).await;
    closed.unwrap();
    assert_eq!(answer.unwrap(), [5; 200_000]);
}

#[tokio::test]
async fn what_was_closed_arrives_although_it_is_dropped() {
    let (mut listener, _, addr) = listening().await;
    let mut dialer = Transport::new(Config::default());
    let handle = dialer.handle();
    let (mut dialed, mut accepted, _) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    assert_eq!(handle.connections().len(), 1);

    let sent = vec![7; 1_000_000];
    let send = async {
        dialed.write_all(&sent).await.unwrap();
        dialed.close().await.unwrap();
        drop(dialed);
    };
    let receive = async {
        let mut all = Vec::new();
        let mut block = vec![0; 50_000];
        loop {
            match accepted.read(&mut block).await.unwrap() {
                0 => return all,
                got => all.extend_from_slice(&block[..got]),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let ((), received) = timeout(PATIENCE, join(send, receive)).await.unwrap();
    assert!(received == sent);
    accepted.close().await.unwrap();
    drop(accepted);
    drop(dialer);
    timeout(PATIENCE, handle.wait_idle())
        .await
        .expect("the goodbyes are said");
    assert!(handle.connections().is_empty());
}

#[tokio::test]
async fn dropping_an_open_stream_aborts_the_connection() {
    let (mut listener, _, addr) = listening().await;
    let mut dialer = Transport::new(Config::default());
    let (dialed, mut accepted, _) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    drop(dialed);
    let error = read_all(&mut accepted).await.unwrap_err();
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::ConnectionReset,
        "{error:?}"
    );
    assert!(accepted.write_all(b"still there?").await.is_err());
}

#[tokio::test]
async fn a_removed_listener_takes_nobody_and_keeps_its_connections() {
    let (mut listener, id, addr) = listening().await;
    let mut dialer = Transport::new(Config::default());
    let (mut dialed, mut accepted, _) = connect(&mut dialer, REUSE, &mut listener, &addr).await;

    assert!(!listener.remove_listener(ListenerId::next()));
    assert!(listener.remove_listener(id));
    let Event::ListenerClosed {
        listener_id,
        reason: Ok(()),
    } = next(&mut listener).await
    else {
        panic!("closed");
    };
    assert_eq!(listener_id, id);
    assert!(!listener.remove_listener(id));

    accepted.write_all(b"alive").await.unwrap();
    let mut alive = [0; 5];
    dialed.read_exact(&mut alive).await.unwrap();

    let late = dialer.dial(addr, REUSE).unwrap();
    let late = async {
        // It may have an answer before it is turned away.
        let mut late = late.await.map_err(std::io::Error::other)?;
        late.write_all(b"hi").await?;
        late.read_exact(&mut [0; 1]).await
    };
    assert!(timeout(PATIENCE, late).await.expect("an answer").is_err());

    dialed.write_all(b"alive").await.unwrap();
    accepted.read_exact(&mut alive).await.unwrap();
}

#[tokio::test]
async fn dials_leave_from_the_listening_port() {
    let (mut listener, _, addr) = listening().await;
    let (mut dialer, _, own) = listening().await;
    let own = UdxAddr::try_from(&own).unwrap().socket_addr();
    let (_a, _b, from) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    assert_eq!(from, own);
    let (_c, _d, from) = connect(&mut dialer, NEW, &mut listener, &addr).await;
    assert_ne!(from, own);
}

#[tokio::test]
async fn dials_without_a_listener_share_a_port_unless_told_otherwise() {
    let (mut listener, _, addr) = listening().await;
    let mut dialer = Transport::new(Config::default());
    let (_a, _b, first) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    let (_c, _d, second) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    assert_eq!(first, second);
    assert_eq!(dialer.handle().sockets().len(), 1);

    // UDX D18
    let config = Config {
        dial_from: DialFrom::FreshPort,
        ..Config::default()
    };
    let mut dialer = Transport::new(config);
    let (mut dialed, mut accepted, first) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    let (_c, _d, second) = connect(&mut dialer, REUSE, &mut listener, &addr).await;
    assert_ne!(first, second);
    // The port lives as long as its connection.
    dialed.write_all(&[3; 100_000]).await.unwrap();
    dialed.close().await.unwrap();
    assert_eq!(read_all(&mut accepted).await.unwrap(), [3; 100_000]);
}

#[tokio::test]
async fn an_unspecified_address_is_announced_per_interface() {
    for (any, loopback) in [
        ("/ip4/0.0.0.0/udp/0", "127.0.0.1"),
        ("/ip6/::/udp/0", "::1"),
    ] {
        let (mut listener, _, mut addr) = listening_with(Config::default(), any).await;
        let port = UdxAddr::try_from(&addr).unwrap().socket_addr().port();
        let local = SocketAddr::new(loopback.parse().unwrap(), port);
        while UdxAddr::try_from(&addr).unwrap().socket_addr() != local {
            addr = next(&mut listener)
                .await
                .into_new_address()
                .expect("addresses first");
        }
        let mut dialer = Transport::new(Config::default());
        // The other interfaces' addresses may still be to come.
        let accepted = async {
            loop {
                if let Some((upgrade, _)) = next(&mut listener).await.into_incoming() {
                    return upgrade.await.unwrap();
                }
            }
        };
        let dialed = async {
            let mut stream = dialer.dial(addr.clone(), REUSE).unwrap().await.unwrap();
            stream.write_all(b"hi").await.unwrap();
            stream
        };
        let (mut accepted, _dialed) = timeout(PATIENCE, join(accepted, dialed)).await.unwrap();
        accepted.read_exact(&mut [0; 2]).await.unwrap();
    }
}

#[tokio::test]
async fn both_address_families_can_have_the_same_port() {
    let (mut transport, _, addr) = listening_with(Config::default(), "/ip4/127.0.0.1/udp/0").await;
    let port = UdxAddr::try_from(&addr).unwrap().socket_addr().port();
    transport
        .listen_on(ListenerId::next(), inner(&format!("/ip6/::/udp/{port}")))
        .unwrap();
    let other = next(&mut transport).await.into_new_address().unwrap();
    assert_eq!(
        UdxAddr::try_from(&other).unwrap().socket_addr().port(),
        port
    );
}

#[tokio::test]
async fn an_occupied_port_is_an_error() {
    let (_listener, _, addr) = listening().await;
    let mut other = Transport::new(Config::default());
    let Err(TransportError::Other(Error::Socket(error))) =
        other.listen_on(ListenerId::next(), addr)
    else {
        panic!("refused");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn addresses_of_others_are_left_to_others() {
    let mut transport = Transport::new(Config::default());
    for addr in [
        "/ip4/127.0.0.1/udp/9000/quic-v1",
        "/ip4/127.0.0.1/udp/9000/quic",
        "/ip4/127.0.0.1/udp/9000/webrtc-direct",
        "/ip4/127.0.0.1/tcp/9000",
        "/dns4/localhost/udp/9000",
        "/memory/1",
    ] {
        let addr = inner(addr);
        let dialed = transport.dial(addr.clone(), REUSE).map(drop);
        assert!(matches!(dialed, Err(TransportError::MultiaddrNotSupported(a)) if a == addr));
        let listened = transport.listen_on(ListenerId::next(), addr.clone());
        assert!(matches!(listened, Err(TransportError::MultiaddrNotSupported(a)) if a == addr));
    }
    for nowhere in [
        "/ip4/0.0.0.0/udp/9000",
        "/ip6/::/udp/9000",
        "/ip4/127.0.0.1/udp/0",
    ] {
        let dialed = transport.dial(inner(nowhere), REUSE).map(drop);
        assert!(
            matches!(dialed, Err(TransportError::MultiaddrNotSupported(_))),
            "{nowhere}"
        );
    }
    let as_listener = DialOpts {
        role: Role::Listener,
        port_use: PortUse::Reuse,
    };
    let dialed = transport
        .dial(inner("/ip4/127.0.0.1/udp/9000"), as_listener)
        .map(drop);
    assert!(matches!(
        dialed,
        Err(TransportError::Other(Error::DialAsListener))
    ));
}

#[tokio::test]
async fn a_connection_without_a_stream_is_given_up_and_blocks_nobody() {
    let config = Config {
        first_stream_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    let (mut listener, _, addr) = listening_with(config, "/ip4/127.0.0.1/udp/0").await;
    let to = UdxAddr::try_from(&addr).unwrap().socket_addr();
    let go = UdpSocket::bind("127.0.0.1:0").unwrap();
    go.send_to(&connection_without_stream(), to).unwrap();
    let (silent, _) = next(&mut listener).await.into_incoming().unwrap();

    let mut dialer = Transport::new(Config::default());
    let served = connect(&mut dialer, REUSE, &mut listener, &addr);
    let (silent, served) = join(timeout(PATIENCE, silent), served).await;
    assert!(matches!(silent, Ok(Err(Error::NoFirstStream(_)))));
    drop(served);
}

/// How Go dials (UDX 7.2): a SYN on the connection as such, ids 0 and 0, packet number 0.
fn connection_without_stream() -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(3u32.to_be_bytes());
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet.extend([8, 8, 7, 6, 5, 4, 3, 2, 1]);
    packet.extend([0; 12]);
    const STREAM: u8 = 3;
    const SYN: u8 = 2;
    packet.extend([STREAM, SYN]);
    packet.extend([0; 10]);
    assert_eq!(packet.len(), 46);
    packet
}

#[tokio::test]
async fn garbage_at_the_port_disturbs_nobody() {
    let (mut listener, _, addr) = listening().await;
    let to = UdxAddr::try_from(&addr).unwrap().socket_addr();
    let vandal = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 1u64;
    let mut garbage = |beginning: &[u8]| {
        for round in 0..2000usize {
            let mut datagram = beginning.to_vec();
            while datagram.len() < round % 1500 {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                datagram.push((state >> 56) as u8);
            }
            vandal.send_to(&datagram, to).unwrap();
        }
    };
    garbage(&[]);
    // The beginning of a valid packet: version 3 and two connection ids.
    garbage(&connection_without_stream()[..22]);

    let mut dialer = Transport::new(Config::default());
    let dialed = async {
        let mut stream = dialer.dial(addr.clone(), REUSE).unwrap().await.unwrap();
        stream.write_all(&[1; 300_000]).await.unwrap();
        stream.close().await.unwrap();
        stream
    };
    // Garbage may have opened connections too: the real one is the one that brings the bytes.
    let accepted = async {
        loop {
            let (upgrade, _) = next(&mut listener).await.into_incoming().unwrap();
            let Ok(Ok(mut stream)) = timeout(Duration::from_millis(200), upgrade).await else {
                continue;
            };
            garbage(&connection_without_stream()[..14]);
            return read_all(&mut stream).await.unwrap();
        }
    };
    let (_dialed, received) = timeout(PATIENCE, join(dialed, accepted)).await.unwrap();
    assert!(received == [1; 300_000]);
}
