//! What the tests share: endpoints on loopback, and bytes that tell where they belong.
#![allow(dead_code, reason = "each test program uses a part of it")]

use gapless::{
    Bytes, Connection, ConnectionConfig, Endpoint, EndpointConfig, RecvStream, SendStream,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(crate) fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Settings under which a dead peer is noticed soon.
pub(crate) fn impatient() -> EndpointConfig {
    EndpointConfig {
        connection: ConnectionConfig {
            idle_timeout: Duration::from_millis(900),
            keep_alive: Some(Duration::from_millis(300)),
            dial_timeout: Duration::from_millis(700),
            ..ConnectionConfig::default()
        },
        ..EndpointConfig::default()
    }
}

pub(crate) struct Pair {
    pub(crate) server: Endpoint,
    pub(crate) client: Endpoint,
    /// The client's end.
    pub(crate) near: Connection,
    /// The server's end.
    pub(crate) far: Connection,
}

pub(crate) async fn pair() -> Pair {
    pair_of(EndpointConfig::default()).await
}

pub(crate) async fn pair_of(config: EndpointConfig) -> Pair {
    let bind = || Endpoint::builder().config(config.clone()).bind(any_port());
    pair_between(bind().unwrap(), bind().unwrap()).await
}

pub(crate) async fn pair_between(server: Endpoint, client: Endpoint) -> Pair {
    let connecting = client.connect(server.local_addr().unwrap()).unwrap();
    let (near, far) = soon(async { tokio::join!(connecting, server.accept()) }).await;
    Pair {
        server,
        client,
        near: near.unwrap(),
        far: far.unwrap(),
    }
}

/// A stream with both its ends: near, then far.
pub(crate) async fn stream(pair: &Pair) -> ((SendStream, RecvStream), (SendStream, RecvStream)) {
    let mut near = pair.near.open_bi().await.unwrap();
    near.0.write_all(b"!").await.unwrap();
    let mut far = soon(pair.far.accept_bi()).await.unwrap();
    soon(far.1.read_exact(&mut [0])).await.unwrap();
    (near, far)
}

/// Nothing in these tests takes long; what does is stuck.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    within(Duration::from_secs(20), future).await
}

pub(crate) async fn within<F: Future>(time: Duration, future: F) -> F::Output {
    tokio::time::timeout(time, future).await.expect("stuck")
}

/// Waits for something that no future tells.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The byte at a position of the stream with this number: any loss, repetition or mix-up shows.
pub(crate) fn byte(stream: u64, position: usize) -> u8 {
    let mixed = (position as u64 ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 56) as u8
}

pub(crate) fn bytes(stream: u64, len: usize) -> Bytes {
    (0..len).map(|position| byte(stream, position)).collect()
}

/// Writes `len` bytes and the end.
pub(crate) async fn send(mut stream: SendStream, number: u64, len: usize) {
    stream.write_chunk(bytes(number, len)).await.unwrap();
    stream.finish().unwrap();
    stream.acknowledged().await.unwrap();
}

/// Reads to the end and compares.
pub(crate) async fn receive(mut stream: RecvStream, number: u64, len: usize) {
    let mut position = 0;
    while let Some(chunk) = stream.read_chunk(usize::MAX).await.unwrap() {
        for got in &chunk {
            assert_eq!(
                *got,
                byte(number, position),
                "stream {number} at {position}"
            );
            position += 1;
        }
    }
    assert_eq!(position, len, "stream {number}");
}
