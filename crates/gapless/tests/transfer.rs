//! Bytes arrive, all, once and in order.

mod common;

use common::{
    any_port, byte, bytes, pair, pair_between, pair_of, receive, send, soon, stream, until, within,
};
use gapless::{BlockedOn, Bytes, Endpoint, EndpointConfig, Limits};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const MEGABYTES_10: usize = 10 << 20;

#[tokio::test]
async fn echo() {
    let pair = pair().await;
    let ((mut send, mut recv), (mut back, mut far)) = stream(&pair).await;
    let echo = tokio::spawn(async move {
        while let Some(chunk) = far.read_chunk(10_000).await.unwrap() {
            back.write_chunk(chunk).await.unwrap();
        }
    });
    for round in 0..100 {
        let data = bytes(round, 1 + round as usize * 37);
        send.write_all(&data).await.unwrap();
        let mut answer = vec![0; data.len()];
        soon(recv.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, data);
    }
    send.finish().unwrap();
    assert_eq!(soon(recv.read(&mut [0])).await, Ok(None));
    echo.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_both_ways_at_once() {
    let pair = pair().await;
    let (near, far) = stream(&pair).await;
    let all = async {
        tokio::join!(
            tokio::spawn(send(near.0, 1, MEGABYTES_10)),
            tokio::spawn(receive(near.1, 2, MEGABYTES_10)),
            tokio::spawn(send(far.0, 2, MEGABYTES_10)),
            tokio::spawn(receive(far.1, 1, MEGABYTES_10)),
        )
    };
    let (a, b, c, d) = within(Duration::from_secs(60), all).await;
    a.and(b).and(c).and(d).unwrap();
    assert!(
        pair.near
            .rtt()
            .is_some_and(|rtt| rtt < Duration::from_secs(1))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_at_once() {
    const STREAMS: u64 = 200;
    const LEN: usize = 30_000;
    let pair = pair().await;
    let far = pair.far.clone();
    let server = tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            let (mut back, mut recv) = far.accept_bi().await.unwrap();
            tasks.spawn(async move {
                tokio::io::copy(&mut recv, &mut back).await.unwrap();
                back.shutdown().await.unwrap();
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..STREAMS {
        let near = pair.near.clone();
        tasks.spawn(async move {
            let (sender, receiver) = near.open_bi().await.unwrap();
            tokio::join!(send(sender, number, LEN), receive(receiver, number, LEN));
        });
    }
    within(Duration::from_secs(60), async {
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        server.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn more_streams_than_allowed_wait_their_turn() {
    let config = EndpointConfig {
        limits: Limits {
            max_streams: 4,
            ..Limits::default()
        },
        ..EndpointConfig::default()
    };
    let pair = pair_of(config).await;
    let far = pair.far.clone();
    let server = tokio::spawn(async move {
        while let Ok((mut back, mut recv)) = far.accept_bi().await {
            tokio::spawn(async move {
                let question = recv.read_to_end(100).await.unwrap();
                back.write_all(&question).await.unwrap();
            });
        }
    });
    for round in 0..40_u64 {
        let (mut send, mut recv) = soon(pair.near.open_bi()).await.unwrap();
        send.write_all(&round.to_be_bytes()).await.unwrap();
        send.finish().unwrap();
        let answer = soon(recv.read_to_end(100)).await.unwrap();
        assert_eq!(answer, round.to_be_bytes());
    }
    pair.near.close(0, b"");
    soon(server).await.unwrap();
}

#[tokio::test]
async fn a_closed_direction_leaves_the_other_open() {
    let pair = pair().await;
    let ((mut send, mut recv), (mut back, mut far)) = stream(&pair).await;
    send.finish().unwrap();
    assert_eq!(send.finish(), Err(gapless::ClosedStream));
    assert_eq!(
        send.write(b"late").await,
        Err(gapless::WriteError::Finished)
    );
    assert_eq!(soon(far.read(&mut [0])).await, Ok(None));
    for _ in 0..50 {
        back.write_all(b"still talking").await.unwrap();
        soon(recv.read_exact(&mut [0; 13])).await.unwrap();
    }
    back.finish().unwrap();
    assert_eq!(soon(recv.read_chunk(100)).await, Ok(None));
    // The end stays the end.
    assert_eq!(soon(recv.read_chunk(100)).await, Ok(None));
    assert_eq!(soon(send.acknowledged()).await, Ok(()));
    assert_eq!(soon(back.stopped()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_the_writer() {
    let config = EndpointConfig {
        limits: Limits {
            send_buffer: 256 << 10,
            max_stream_window: 256 << 10,
            ..Limits::default()
        },
        ..EndpointConfig::default()
    };
    let pair = pair_of(config).await;
    let ((sender, _recv), (_back, mut far)) = stream(&pair).await;
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let progress = written.clone();
    let writer = tokio::spawn(async move {
        let mut sender = sender;
        let data = bytes(5, MEGABYTES_10);
        for chunk in data.chunks(20_000) {
            sender.write_all(chunk).await.unwrap();
            progress.fetch_add(chunk.len(), std::sync::atomic::Ordering::Relaxed);
        }
    });
    until(|| pair.near.blocked_on() == BlockedOn::PeerStreamWindow).await;
    let ahead = written.load(std::sync::atomic::Ordering::Relaxed);
    // The protocol's 64 KiB, one window and the send buffer are what fits between the two.
    assert!(ahead < 3 << 20, "{ahead} bytes written, nothing read");
    let mut position = 0;
    while let Some(chunk) = soon(far.read_chunk(3000)).await.unwrap() {
        for got in &chunk {
            assert_eq!(*got, byte(5, position));
            position += 1;
        }
        if position < 200_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(position, MEGABYTES_10);
    writer.await.unwrap();
}

/// A read or write that loses against a timer must not lose bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_reads_and_writes_lose_nothing() {
    const LEN: usize = 2 << 20;
    let config = EndpointConfig {
        limits: Limits {
            send_buffer: 64 << 10,
            ..Limits::default()
        },
        ..EndpointConfig::default()
    };
    let pair = pair_of(config).await;
    let ((mut sender, _recv), (_back, mut far)) = stream(&pair).await;
    let writer = tokio::spawn(async move {
        let mut chunks = [bytes(9, LEN / 2), bytes(9, LEN).slice(LEN / 2..)];
        let mut impatience = 0;
        while chunks.iter().any(|chunk| !chunk.is_empty()) {
            impatience = (impatience + 1) % 7;
            tokio::select! {
                biased;
                () = interruption(impatience) => {}
                result = sender.write_all_chunks(&mut chunks) => result.unwrap(),
            }
        }
        sender.finish().unwrap();
    });
    let reading = async {
        let (mut position, mut impatience, mut buffer) = (0, 0, vec![0; 5000]);
        loop {
            impatience = (impatience + 1) % 5;
            let read = tokio::select! {
                biased;
                () = interruption(impatience) => continue,
                read = far.read(&mut buffer) => read.unwrap(),
            };
            let Some(read) = read else { break position };
            for got in &buffer[..read] {
                assert_eq!(*got, byte(9, position));
                position += 1;
            }
        }
    };
    assert_eq!(within(Duration::from_secs(60), reading).await, LEN);
    writer.await.unwrap();
}

async fn interruption(patience: u32) {
    for _ in 0..patience {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tokio_copies_through() {
    let pair = pair().await;
    let ((mut send, mut recv), (mut back, mut far)) = stream(&pair).await;
    let echo = tokio::spawn(async move {
        let copied = tokio::io::copy(&mut far, &mut back).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut back).await.unwrap();
        copied
    });
    let data = bytes(3, 1 << 20);
    let copy = async {
        tokio::io::copy(&mut &data[..], &mut send).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut send).await.unwrap();
        // As for a TCP socket: a second shutdown is no error.
        tokio::io::AsyncWriteExt::shutdown(&mut send).await.unwrap();
    };
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut recv, &mut answer);
    let ((), read) = soon(async { tokio::join!(copy, read) }).await;
    assert_eq!(read.unwrap(), data.len());
    assert!(answer == data);
    assert_eq!(echo.await.unwrap(), data.len() as u64);
}

#[tokio::test]
async fn futures_copy_through() {
    let pair = pair().await;
    let ((mut send, mut recv), (mut back, mut far)) = stream(&pair).await;
    let echo = tokio::spawn(async move {
        futures_util::io::copy(&mut far, &mut back).await.unwrap();
        futures_util::AsyncWriteExt::close(&mut back).await.unwrap();
    });
    let data = bytes(4, 300_000);
    let write = async {
        futures_util::AsyncWriteExt::write_all(&mut send, &data)
            .await
            .unwrap();
        futures_util::AsyncWriteExt::close(&mut send).await.unwrap();
    };
    let mut answer = Vec::new();
    let read = futures_util::AsyncReadExt::read_to_end(&mut recv, &mut answer);
    let ((), read) = soon(async { tokio::join!(write, read) }).await;
    read.unwrap();
    assert!(answer == data);
    echo.await.unwrap();
}

#[tokio::test]
async fn reading_to_the_end_has_a_limit() {
    let pair = pair().await;
    let ((mut send, _recv), (_back, mut far)) = stream(&pair).await;
    send.write_chunk(Bytes::from_static(b"eleven byte"))
        .await
        .unwrap();
    send.finish().unwrap();
    let result = soon(far.read_to_end(10)).await;
    assert_eq!(result, Err(gapless::ReadToEndError::TooLong));
}

#[tokio::test]
async fn an_early_end_is_told_with_its_place() {
    let pair = pair().await;
    let ((mut send, _recv), (_back, mut far)) = stream(&pair).await;
    send.write_all(b"four").await.unwrap();
    drop(send);
    let result = soon(far.read_exact(&mut [0; 9])).await;
    assert_eq!(result, Err(gapless::ReadExactError::FinishedEarly(4)));
}

/// The first packet opens connection and stream, and carries data.
#[tokio::test]
async fn data_travels_before_the_first_answer() {
    let server = Endpoint::server(any_port()).unwrap();
    let client = Endpoint::client(any_port()).unwrap();
    let near = client.connect_early(server.local_addr().unwrap()).unwrap();
    let (mut send, mut recv) = near.open_bi().await.unwrap();
    send.write_all(b"question").await.unwrap();
    send.finish().unwrap();
    let far = soon(server.accept()).await.unwrap();
    let (mut back, mut asked) = soon(far.accept_bi()).await.unwrap();
    assert_eq!(soon(asked.read_to_end(100)).await.unwrap(), b"question");
    back.write_all(b"answer").await.unwrap();
    back.finish().unwrap();
    assert_eq!(soon(recv.read_to_end(100)).await.unwrap(), b"answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_share_two_sockets() {
    const CONNECTIONS: u64 = 50;
    let server = Endpoint::server(any_port()).unwrap();
    // Unlike `Endpoint::client`, which does not know yet that this peer takes several from one port.
    let client = Endpoint::builder().bind(any_port()).unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            tokio::spawn(async move {
                let (mut back, mut recv) = connection.accept_bi().await.unwrap();
                tokio::io::copy(&mut recv, &mut back).await.unwrap();
            });
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CONNECTIONS {
        let dial = client.connect(address).unwrap();
        tasks.spawn(async move {
            let connection = dial.await.unwrap();
            let (sender, receiver) = connection.open_bi().await.unwrap();
            tokio::join!(
                send(sender, number, 50_000),
                receive(receiver, number, 50_000)
            );
        });
    }
    soon(async {
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    })
    .await;
    soon(client.wait_idle()).await;
}

#[tokio::test]
async fn ipv6_and_mapped_addresses_work() {
    let Ok(server) = Endpoint::server("[::]:0".parse().unwrap()) else {
        // A machine without IPv6.
        return;
    };
    let port = server.local_addr().unwrap().port();
    let v4 = Endpoint::client(any_port()).unwrap();
    let pair = {
        let dial = v4.connect(([127, 0, 0, 1], port).into()).unwrap();
        let (near, far) = soon(async { tokio::join!(dial, server.accept()) }).await;
        (near.unwrap(), far.unwrap())
    };
    assert_eq!(pair.1.remote_address(), v4.local_addr().unwrap());
    let v6 = v4.connect("[::1]:9".parse().unwrap());
    assert!(matches!(v6, Err(gapless::ConnectError::AddressFamily(_))));
}

/// A host with several addresses answers from the one that was dialed.
#[tokio::test]
async fn answers_come_from_the_address_that_was_dialed() {
    let server = Endpoint::server("0.0.0.0:0".parse().unwrap()).unwrap();
    let port = server.local_addr().unwrap().port();
    // What a firewall does: datagrams of strangers do not pass.
    let dialed: std::net::SocketAddr = ([127, 0, 0, 2], port).into();
    let socket = std::net::UdpSocket::bind(any_port()).unwrap();
    socket.connect(dialed).unwrap();
    let client = Endpoint::builder().socket(socket).unwrap();
    let connecting = client.connect(dialed).unwrap();
    let (near, far) = soon(async { tokio::join!(connecting, server.accept()) }).await;
    let (near, far) = (near.unwrap(), far.unwrap());
    soon(far.ping()).await.unwrap();
    assert_eq!(near.remote_address(), dialed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_network_changes_no_byte() {
    const LEN: usize = 1 << 20;
    let bind = |seed: u64| {
        let profile = format!("loss=5%,reorder=5%,duplicate=5%,delay=1ms,jitter=2ms,seed={seed}");
        Endpoint::builder()
            .impair(profile.parse::<gapless::link::Profile>().unwrap())
            .bind(any_port())
            .unwrap()
    };
    let pair = pair_between(bind(1), bind(2)).await;
    let (near, far) = stream(&pair).await;
    within(Duration::from_secs(60), async {
        tokio::join!(
            send(near.0, 1, LEN),
            receive(near.1, 2, LEN),
            send(far.0, 2, LEN),
            receive(far.1, 1, LEN),
        )
    })
    .await;
    let (out, back) = pair.client.stats().impairment.unwrap();
    assert!(out.lost > 0 && back.lost > 0 && out.duplicated > 0 && out.reordered > 0);
}
