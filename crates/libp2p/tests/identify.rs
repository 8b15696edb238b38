//! What other implementations tell in identify messages: addresses that rust-multiaddr cannot read, and what nobody could.

mod common;

use std::time::Duration;

use common::{Behaviour, BehaviourEvent, listen, swarm, swarm_with, wait};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, identify,
    identity::{Keypair, PublicKey},
    ping,
    swarm::SwarmEvent,
};
use libp2p_core::SignedEnvelope;
use libp2p_udx::{Config, UdxAddr};

const ID: StreamProtocol = StreamProtocol::new("/ipfs/id/1.0.0");
const PUSH: StreamProtocol = StreamProtocol::new("/ipfs/id/push/1.0.0");

const TCP: &str = "/ip4/192.0.2.7/tcp/4001";

/// One field of a message in the form of protocol buffers.
fn field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    message.push(number << 3 | 2);
    message.extend_from_slice(&varint(value.len()));
    message.extend_from_slice(value);
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn with_length(message: &[u8]) -> Vec<u8> {
    [&varint(message.len()), message].concat()
}

/// A host as it describes itself.
#[derive(Clone)]
struct Host {
    key: PublicKey,
    addresses: Vec<Vec<u8>>,
    observed: Vec<u8>,
    record: Option<Vec<u8>>,
}

impl Host {
    fn new(key: &Keypair) -> Self {
        Self {
            key: key.public(),
            addresses: vec![TCP.parse::<Multiaddr>().unwrap().to_vec()],
            observed: udx().to_vec(),
            record: None,
        }
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        field(&mut message, 1, &self.key.encode_protobuf());
        for address in &self.addresses {
            field(&mut message, 2, address);
        }
        field(&mut message, 3, b"/ipfs/id/1.0.0");
        field(&mut message, 4, &self.observed);
        field(&mut message, 5, b"other/1");
        field(&mut message, 6, b"other/1");
        if let Some(record) = &self.record {
            field(&mut message, 8, record);
        }
        message
    }
}

fn udx() -> UdxAddr {
    "/ip4/192.0.2.7/udp/9000/udx".parse().unwrap()
}

/// What a signed record says of itself: in rust-libp2p's identify, and everywhere else.
const FORMS: [(&str, &[u8]); 2] = [
    ("libp2p-routing-state", b"/libp2p/routing-state-record"),
    ("libp2p-peer-record", &[3, 1]),
];

/// A signed record of a peer's addresses.
fn signed_record(key: &Keypair, (domain, kind): (&str, &[u8]), addresses: &[Vec<u8>]) -> Vec<u8> {
    let mut record = Vec::new();
    field(&mut record, 1, &key.public().to_peer_id().to_bytes());
    record.extend([2 << 3, 1]);
    for address in addresses {
        let mut info = Vec::new();
        field(&mut info, 1, address);
        field(&mut record, 3, &info);
    }
    let envelope = SignedEnvelope::new(key, domain.to_owned(), kind.to_vec(), record);
    envelope.unwrap().into_protobuf_encoding()
}

/// What ours makes of the bytes that another host sends when it is asked who it is; and then whether the connection still works.
async fn told(bytes: impl FnOnce(&Keypair) -> Vec<u8>) -> Result<identify::Info, String> {
    let mut answer = Vec::new();
    let (mut other, _) = swarm_with(Config::default(), |key| {
        answer = bytes(key);
        Other::new()
    });
    let addr = listen(&mut other).await;
    let mut questions = other.behaviour().stream.new_control().accept(ID).unwrap();
    let _other = tokio::task::spawn_local(other.for_each(|_| async {}));
    let _answers = tokio::task::spawn_local(async move {
        while let Some((_, mut stream)) = questions.next().await {
            // Who gets nonsense may hang up in the middle.
            let _ = stream.write_all(&answer).await;
            let _ = stream.close().await;
        }
    });

    let (mut ours, handle) = swarm(Config::default());
    ours.dial(addr).unwrap();
    let told = wait(&mut ours, |event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => match event {
            identify::Event::Received { info, .. } => Some(Ok(info.clone())),
            identify::Event::Error { error, .. } => Some(Err(error.to_string())),
            _ => None,
        },
        _ => None,
    })
    .await;
    still_works(&mut ours).await;
    assert_eq!(handle.connections().len(), 1);
    told
}

fn received(event: &common::Event) -> Option<identify::Info> {
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            info, ..
        })) => Some(info.clone()),
        SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
        _ => None,
    }
}

/// The connection carries a further ping.
async fn still_works(ours: &mut Swarm<Behaviour>) {
    wait(ours, |event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
            assert!(event.result.is_ok(), "{event:?}");
            Some(())
        }
        SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
        _ => None,
    })
    .await;
}

#[derive(libp2p::swarm::NetworkBehaviour)]
struct Other {
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

impl Other {
    fn new() -> Self {
        Self {
            ping: ping::Behaviour::default(),
            stream: libp2p_stream::Behaviour::new(),
        }
    }
}

async fn locally<F: Future>(test: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(test).await
}

/// They are passed over; what else the message says arrives.
#[tokio::test]
async fn udx_addresses_are_passed_over() {
    let info = locally(told(|key| {
        let mut host = Host::new(key);
        let with_peer = udx().with_peer(key.public().to_peer_id());
        host.addresses.insert(0, udx().to_vec());
        host.addresses.push(with_peer.to_vec());
        with_length(&host.message())
    }))
    .await
    .unwrap();
    assert_eq!(info.agent_version, "other/1");
    assert_eq!(info.listen_addrs, [TCP.parse::<Multiaddr>().unwrap()]);
    assert_eq!(info.observed_addr, Multiaddr::empty());
}

/// A record that is signed as a whole can only be passed over as a whole; the addresses beside it count.
#[tokio::test]
async fn udx_addresses_in_a_signed_record_are_passed_over() {
    for form in FORMS {
        let info = locally(told(|key| {
            let other: Multiaddr = "/ip4/198.51.100.9/tcp/1".parse().unwrap();
            let mut host = Host::new(key);
            host.record = Some(signed_record(key, form, &[other.to_vec(), udx().to_vec()]));
            with_length(&host.message())
        }))
        .await
        .unwrap();
        assert_eq!(info.listen_addrs, [TCP.parse::<Multiaddr>().unwrap()]);
        assert!(info.signed_peer_record.is_none());
    }
}

/// The same record without them is one: so it is they that make the difference above.
#[tokio::test]
async fn other_signed_records_are_read() {
    let other: Multiaddr = "/ip4/198.51.100.9/tcp/1".parse().unwrap();
    let info = locally(told(|key| {
        let mut host = Host::new(key);
        host.record = Some(signed_record(key, FORMS[0], &[other.to_vec()]));
        with_length(&host.message())
    }))
    .await
    .unwrap();
    assert_eq!(info.listen_addrs, [other]);
    assert!(info.signed_peer_record.is_some());
}

#[tokio::test]
async fn addresses_that_nobody_can_read_are_passed_over() {
    let info = locally(told(|key| {
        let udx = udx().to_vec();
        let mut host = Host::new(key);
        // A whole one, cut short at every length, and with something behind it.
        host.addresses
            .extend((0..udx.len()).map(|len| udx[..len].to_vec()));
        host.addresses.push([&udx[..], &[0x80, 0x06]].concat());
        // Protocols without a name, codes without an end, lengths beyond the end.
        host.addresses.push(vec![0xff; 40]);
        host.addresses.push(vec![0x80; 9]);
        host.addresses
            .push(vec![0xa5, 0x03, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        host.addresses.push((0..=255).collect());
        host.observed = vec![0xff; 100];
        with_length(&host.message())
    }))
    .await
    .unwrap();
    // Some of the shorter ones are addresses.
    let tcp = TCP.parse::<Multiaddr>().unwrap();
    assert_eq!(info.listen_addrs[0], tcp);
    for address in &info.listen_addrs[1..] {
        assert!(udx().to_vec().starts_with(address.as_ref()), "{address}");
    }
    assert_eq!(info.observed_addr, Multiaddr::empty());
}

#[tokio::test]
async fn nonsense_is_an_error_and_nothing_more() {
    let nonsense: [fn(&Keypair) -> Vec<u8>; 7] = [
        |_| Vec::new(),
        |_| vec![0],
        // A length that nobody could send, one without an end, and one that is not kept.
        |_| [&[0xff; 8][..], &[0x7f]].concat(),
        |_| vec![0x80; 64],
        |key| with_length(&Host::new(key).message())[..60].to_vec(),
        |_| {
            with_length(
                &(0..200)
                    .map(|n: u8| n.wrapping_mul(31))
                    .collect::<Vec<u8>>(),
            )
        },
        // More than anybody has to read.
        |key| {
            let mut host = Host::new(key);
            host.addresses = vec![udx().to_vec(); 10_000];
            with_length(&host.message())
        },
    ];
    for (number, bytes) in nonsense.into_iter().enumerate() {
        let told = locally(told(bytes)).await;
        assert!(told.is_err(), "{number}: {told:?}");
    }
}

/// The same without being asked.
#[tokio::test]
async fn pushed_nonsense_does_no_harm() {
    locally(async {
        let (mut ours, handle) = swarm(Config::default());
        let addr = listen(&mut ours).await;
        let peer = *ours.local_peer_id();
        let mut host = None;
        let (mut other, _) = swarm_with(Config::default(), |key| {
            host = Some(Host::new(key));
            Other::new()
        });
        let mut host = host.unwrap();
        other.dial(addr).unwrap();
        let mut control = other.behaviour().stream.new_control();
        let mut questions = control.accept(ID).unwrap();
        let _other = tokio::task::spawn_local(other.for_each(|_| async {}));

        // A push only changes what was asked for before.
        let answer = with_length(
            &Host {
                addresses: Vec::new(),
                ..host.clone()
            }
            .message(),
        );
        let _answers = tokio::task::spawn_local(async move {
            while let Some((_, mut stream)) = questions.next().await {
                stream.write_all(&answer).await.unwrap();
                stream.close().await.unwrap();
            }
        });
        let before = wait(&mut ours, received).await;
        assert_eq!(before.listen_addrs, []);

        host.addresses.insert(0, udx().to_vec());
        let good = with_length(&host.message());
        let pushes = [vec![0xff; 5000], Vec::new(), good[..40].to_vec(), good];
        let pushing = tokio::task::spawn_local(async move {
            for push in pushes {
                let mut stream = control.open_stream(peer, PUSH).await.unwrap();
                let _ = stream.write_all(&push).await;
                let _ = stream.close().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        // The good one came through behind the bad ones, without what cannot be read.
        let after = wait(&mut ours, received).await;
        assert_eq!(after.listen_addrs, [TCP.parse::<Multiaddr>().unwrap()]);
        tokio::time::timeout(Duration::from_secs(20), pushing)
            .await
            .unwrap()
            .unwrap();
        still_works(&mut ours).await;
        assert_eq!(handle.connections().len(), 1);
    })
    .await;
}
