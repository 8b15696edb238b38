//! U19 (one failed upgrade killed a listener; sockets of dials leaked): what bad peers do to a listener, and what dials leave behind.

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{PATIENCE, Running, closed, established, listen, swarm, wait};
use gapless::Endpoint;
use libp2p_udx::{Config, DialFrom, UdxAddr};
use tokio::time::timeout;

/// A connection that says this, and then nothing.
async fn say(to: SocketAddr, words: &[u8], and_end: bool) -> gapless::Connection {
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connection = endpoint.connect(to).unwrap().await.unwrap();
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(words).await.unwrap();
    if and_end {
        drop((send, recv));
    } else {
        tokio::spawn(async move {
            let _held = (send, recv);
            std::future::pending::<()>().await;
        });
    }
    connection
}

/// A message of multistream-select.
fn line(text: &str) -> Vec<u8> {
    [
        &[u8::try_from(text.len() + 1).unwrap()],
        text.as_bytes(),
        b"\n",
    ]
    .concat()
}

#[tokio::test]
async fn listener_survives_bad_peer() {
    let config = Config {
        // Silent ones are given up within the test.
        upgrade_timeout: Duration::from_secs(3),
        ..Config::default()
    };
    let (mut listener, handle) = swarm(config);
    let addr = listen(&mut listener).await;
    let to = UdxAddr::try_from(&addr).unwrap().socket_addr();
    let listener = Running::new((listener, handle));

    let noise = [line("/multistream/1.0.0"), line("/noise")].concat();
    let unknown = [line("/multistream/1.0.0"), line("/plaintext/2.0.0")].concat();
    // The first message of Noise XX has 32 bytes, behind two that say so.
    let forged = [&noise[..], &[0, 32], &[7; 32]].concat();
    let endless = [&noise[..], &[0xff, 0xff], &[7; 65_535]].concat();
    let mut bad = Vec::new();
    for words in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 3000],
        &noise,
        &unknown,
        &forged,
        &endless,
    ] {
        for and_end in [false, true] {
            bad.push(say(to, words, and_end).await);
        }
    }

    let (mut dialer, _) = swarm(Config::default());
    dialer.dial(addr).unwrap();
    let (peer, _) = wait(&mut dialer, established).await;
    assert_eq!(peer, listener.peer);
    // All bad ones are thrown out, also those that just wait; the good one stays.
    for connection in bad {
        timeout(PATIENCE, connection.closed())
            .await
            .expect("it is thrown out");
    }
    timeout(PATIENCE, async {
        while listener.handle.connections().len() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("nothing is left of them");
    assert_eq!(listener.handle.connections().len(), 1);
}

#[tokio::test]
async fn thirty_dials_leave_no_socket() {
    let (mut listener, listener_handle) = swarm(Config::default());
    let addr = listen(&mut listener).await;
    let listener = Running::new((listener, listener_handle));
    let config = Config {
        dial_from: DialFrom::FreshPort,
        ..Config::default()
    };
    let (mut dialer, handle) = swarm(config);
    for _ in 0..30 {
        dialer.dial(addr.clone()).unwrap();
        let (peer, _) = wait(&mut dialer, established).await;
        dialer.disconnect_peer_id(peer).unwrap();
        wait(&mut dialer, closed).await;
    }
    // Nobody polls the dialer any more: what is to be done is done by the transport's own tasks.
    timeout(PATIENCE, async {
        while !handle.sockets().is_empty() || !listener.handle.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("all sockets are gone");
}
