//! Every end is noticed by everybody whom it concerns.

mod common;

use common::{
    Pair, any_port, bytes, impatient, pair, pair_between, pair_of, receive, send, soon, stream,
    until, within,
};
use gapless::{
    BlockedOn, ClosedStream, ConnectionError, DialFrom, Endpoint, ReadError, WriteError,
};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_reset_ends_both_directions_with_its_code() {
    let pair = pair().await;
    let ((mut send, mut recv), (mut back, mut far)) = stream(&pair).await;
    let waiting = tokio::spawn(async move { (far.read_chunk(10).await, far) });
    tokio::task::yield_now().await;
    send.reset(42).unwrap();
    assert_eq!(send.reset(43), Err(ClosedStream));
    assert_eq!(send.write(b"x").await, Err(WriteError::Finished));
    assert_eq!(soon(send.acknowledged()).await, Err(WriteError::Finished));
    assert_eq!(soon(recv.read_chunk(1)).await, Err(ReadError::Stopped));
    let (result, _far) = soon(waiting).await.unwrap();
    assert_eq!(result, Err(ReadError::Reset(42)));
    assert_eq!(back.write(b"x").await, Err(WriteError::Stopped(42)));
    assert_eq!(soon(back.stopped()).await, Ok(Some(42)));
    // The connection goes on.
    stream(&pair).await;
}

#[tokio::test]
async fn a_stopped_writer_learns_of_it() {
    let pair = pair().await;
    let ((send, _recv), (_back, mut far)) = stream(&pair).await;
    let stopped = tokio::spawn(send.stopped());
    far.stop(7).unwrap();
    assert_eq!(far.stop(8), Err(ClosedStream));
    assert_eq!(soon(far.read_chunk(1)).await, Err(ReadError::Stopped));
    assert_eq!(soon(stopped).await.unwrap(), Ok(Some(7)));
}

/// One task for everything that a task can wait for.
async fn everybody_waits(pair: &Pair) -> tokio::task::JoinSet<(&'static str, ConnectionError)> {
    let ((send, mut recv), (_far_send, far_recv)) = stream(pair).await;
    let ((mut full, full_recv), far_full) = stream(pair).await;
    let near = pair.near.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let Err(ReadError::ConnectionLost(error)) = recv.read_chunk(1).await else {
            panic!("read something");
        };
        ("read", error)
    });
    let acknowledged = send.acknowledged();
    tasks.spawn(async move {
        let Err(WriteError::ConnectionLost(error)) = acknowledged.await else {
            panic!("acknowledged");
        };
        ("acknowledged", error)
    });
    tasks.spawn(async move {
        // Nobody reads this stream, so its writer gets stuck.
        let _kept = (send, far_recv, far_full, full_recv, _far_send);
        loop {
            match full.write_chunk(bytes(0, 1 << 20)).await {
                Ok(()) => {}
                Err(WriteError::ConnectionLost(error)) => return ("write", error),
                Err(other) => panic!("{other}"),
            }
        }
    });
    let accepting = near.clone();
    tasks.spawn(async move { ("accept_bi", accepting.accept_bi().await.unwrap_err()) });
    tasks.spawn(async move { ("closed", near.closed().await) });
    // By then all have got to their waiting.
    until(|| pair.near.blocked_on() == BlockedOn::PeerStreamWindow).await;
    assert!(tasks.try_join_next().is_none(), "nothing has ended yet");
    tasks
}

async fn all_get(
    mut tasks: tokio::task::JoinSet<(&'static str, ConnectionError)>,
    expected: ConnectionError,
) {
    let mut who = Vec::new();
    while let Some(done) = soon(tasks.join_next()).await {
        let (name, error) = done.unwrap();
        assert_eq!(error, expected, "{name}");
        who.push(name);
    }
    assert_eq!(who.len(), 5, "{who:?}");
}

#[tokio::test]
async fn closing_the_endpoint_wakes_everybody() {
    let pair = pair().await;
    let tasks = everybody_waits(&pair).await;
    let client = pair.client.clone();
    let accepting = tokio::spawn(async move { client.accept().await.is_none() });
    tokio::task::yield_now().await;
    pair.client.close(5, b"maintenance");
    all_get(tasks, ConnectionError::LocallyClosed { code: 5 }).await;
    assert!(soon(accepting).await.unwrap());
    let refused = pair.client.connect(pair.server.local_addr().unwrap());
    assert!(matches!(
        refused,
        Err(gapless::ConnectError::EndpointClosed)
    ));
    let at_the_peer = soon(pair.far.closed()).await;
    let reason = b"maintenance".to_vec();
    assert_eq!(
        at_the_peer,
        ConnectionError::ClosedByPeer { code: 5, reason }
    );
    soon(pair.client.wait_idle()).await;
}

#[tokio::test]
async fn closing_a_connection_wakes_everybody() {
    let pair = pair().await;
    let tasks = everybody_waits(&pair).await;
    pair.near.close(6, b"");
    all_get(tasks, ConnectionError::LocallyClosed { code: 6 }).await;
}

#[tokio::test]
async fn the_peers_close_wakes_everybody() {
    let pair = pair().await;
    let tasks = everybody_waits(&pair).await;
    pair.far.close(8, b"go away");
    let reason = b"go away".to_vec();
    all_get(tasks, ConnectionError::ClosedByPeer { code: 8, reason }).await;
}

#[tokio::test]
async fn a_dead_peer_is_noticed_within_the_idle_timeout() {
    let config = impatient();
    // The server lives in a runtime of its own, which ends as a killed process does: without a word.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = Endpoint::builder()
        .config(config.clone())
        .runtime(runtime.handle().clone())
        .bind(any_port())
        .unwrap();
    let client = Endpoint::builder().config(config).bind(any_port()).unwrap();
    let pair = common::pair_between(server, client).await;
    let ((_send, mut recv), far) = stream(&pair).await;
    let far_end = tokio::spawn(async move { (far.0.acknowledged().await, far) });
    tokio::task::yield_now().await;
    let killed = Instant::now();
    runtime.shutdown_background();
    let error = soon(recv.read(&mut [0])).await.unwrap_err();
    assert_eq!(
        error,
        ReadError::ConnectionLost(ConnectionError::IdleTimeout)
    );
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::TimedOut);
    // UDX 7.5: or three PTOs, which back off to 2 s, if that is longer.
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Whoever still held something of the dead endpoint was told, too.
    let (error, _) = soon(far_end).await.unwrap();
    assert_eq!(
        error,
        Err(WriteError::ConnectionLost(ConnectionError::EndpointStopped))
    );
}

#[tokio::test]
async fn a_dial_to_nobody_ends_and_says_so() {
    let nobody = std::net::UdpSocket::bind(any_port()).unwrap();
    let address = nobody.local_addr().unwrap();
    // Somebody is there who never answers.
    let client = Endpoint::builder()
        .config(impatient())
        .bind(any_port())
        .unwrap();
    let start = Instant::now();
    let error = soon(client.connect(address).unwrap()).await.unwrap_err();
    assert!(
        matches!(error, ConnectionError::NoAnswer { refused: false, .. }),
        "{error}"
    );
    assert!(start.elapsed() >= Duration::from_millis(600));
    // Nobody is there, and the system says so.
    drop(nobody);
    let error = soon(client.connect(address).unwrap()).await.unwrap_err();
    assert!(
        matches!(error, ConnectionError::NoAnswer { refused: true, .. }),
        "{error}"
    );
    assert_eq!(
        std::io::Error::from(error).kind(),
        ErrorKind::ConnectionRefused
    );
    assert!(client.stats().socket.unreachable > 0);
}

#[tokio::test]
async fn a_refused_dial_does_not_take_the_whole_dial_timeout() {
    let nobody = std::net::UdpSocket::bind(any_port()).unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let client = Endpoint::builder()
        .refusal_patience(Duration::from_millis(300))
        .bind(any_port())
        .unwrap();
    let start = Instant::now();
    let error = soon(client.connect(address).unwrap()).await.unwrap_err();
    assert!(
        matches!(error, ConnectionError::NoAnswer { refused: true, .. }),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
    soon(client.wait_idle()).await;
}

#[tokio::test]
async fn a_refusal_is_only_a_hint() {
    let probe = std::net::UdpSocket::bind(any_port()).unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let client = Endpoint::client(any_port()).unwrap();
    let dial = client.connect(address).unwrap();
    until(|| client.stats().socket.datagrams_sent > 0).await;
    let server = Endpoint::server(address).unwrap();
    soon(dial).await.unwrap();
    soon(server.accept()).await.unwrap();
}

/// Dropping everything still delivers everything.
#[tokio::test]
async fn dropped_handles_deliver_what_was_written() {
    const LEN: usize = 1 << 20;
    let Pair {
        server,
        client,
        near,
        far,
    } = pair().await;
    let (mut send, recv) = near.open_bi().await.unwrap();
    send.write_chunk(bytes(1, LEN)).await.unwrap();
    drop((send, recv, near, client));
    let (_back, recv) = soon(far.accept_bi()).await.unwrap();
    soon(receive(recv, 1, LEN)).await;
    // And then it is a clean end.
    drop(_back);
    let end = soon(far.closed()).await;
    assert!(end.is_clean(), "{end}");
    drop(server);
}

#[tokio::test]
async fn a_dropped_reader_leaves_the_writer_alone() {
    let pair = pair().await;
    let ((mut send, recv), (mut back, mut far)) = stream(&pair).await;
    drop(recv);
    // More than any window: it is taken and thrown away.
    for _ in 0..20 {
        soon(back.write_chunk(bytes(0, 1 << 20))).await.unwrap();
    }
    send.write_all(b"still here").await.unwrap();
    let mut text = [0; 10];
    soon(far.read_exact(&mut text)).await.unwrap();
    assert_eq!(&text, b"still here");
    // With the writer gone as well, nobody wants the data: the peer is told.
    drop(send);
    let stopped = back.stopped();
    let writing = async { while back.write_chunk(bytes(0, 1 << 20)).await.is_ok() {} };
    within(Duration::from_secs(20), writing).await;
    assert_eq!(soon(stopped).await, Ok(Some(0)));
}

#[tokio::test]
async fn wait_idle_ends_when_the_handles_are_gone() {
    let Pair {
        server,
        client,
        near,
        far,
    } = pair().await;
    let start = Instant::now();
    drop((near, far));
    soon(client.wait_idle()).await;
    soon(server.wait_idle()).await;
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn an_endpoint_may_stop_accepting_and_live_on() {
    let pair = pair().await;
    let waiting = tokio::spawn({
        let server = pair.server.clone();
        async move { server.accept().await.is_none() }
    });
    tokio::task::yield_now().await;
    pair.server.set_accepting(false);
    assert!(soon(waiting).await.unwrap());
    let refused = pair
        .client
        .connect(pair.server.local_addr().unwrap())
        .unwrap();
    if let Ok(connection) = soon(refused).await {
        assert!(soon(connection.closed()).await.is_clean());
    }
    // What was there is still there, and dialing works.
    stream(&pair).await;
    pair.server.set_accepting(true);
    let again = pair
        .client
        .connect(pair.server.local_addr().unwrap())
        .unwrap();
    let (near, far) = soon(async { tokio::join!(again, pair.server.accept()) }).await;
    assert_eq!(near.unwrap().close_reason(), None);
    assert!(far.is_some());
}

#[tokio::test]
async fn a_ping_takes_a_round_trip() {
    let pair = pair().await;
    let both = async { tokio::join!(pair.near.ping(), pair.far.ping()) };
    let (near, far) = soon(both).await;
    assert!(near.unwrap() < Duration::from_secs(1));
    assert!(far.unwrap() < Duration::from_secs(1));
    pair.far.close(0, b"");
    soon(pair.near.closed()).await;
    let error = pair.near.ping().await.unwrap_err();
    assert!(error.is_clean());
}

#[tokio::test]
async fn the_server_follows_a_client_that_moves() {
    let pair = pair_of(impatient()).await;
    let ((mut send, _recv), (_back, mut far)) = stream(&pair).await;
    let before = pair.client.local_addr().unwrap();
    pair.client
        .rebind(std::net::UdpSocket::bind(any_port()).unwrap())
        .unwrap();
    let after = pair.client.local_addr().unwrap();
    assert_ne!(before, after);
    let moved = async {
        while pair.far.remote_address() != after {
            send.write_all(b"m").await.unwrap();
            far.read_exact(&mut [0]).await.unwrap();
        }
    };
    soon(moved).await;
    soon(pair.far.ping()).await.unwrap();
}

/// Waiting for the end is no work: whatever moves meanwhile, the task that waits is woken when there is nothing left.
#[tokio::test]
async fn waiting_until_idle_takes_no_turns_while_data_move() {
    for dial_from in [DialFrom::OwnPort, DialFrom::FreshPort] {
        let client = Endpoint::builder().dial_from(dial_from).bind(any_port());
        let server = Endpoint::server(any_port()).unwrap();
        let pair = pair_between(server, client.unwrap()).await;
        let ((near, _near_recv), (_far_send, far)) = stream(&pair).await;
        let client = pair.client.clone();
        let waiting = tokio::spawn(async move {
            let mut turns = 0;
            let mut idle = std::pin::pin!(client.wait_idle());
            std::future::poll_fn(|cx| {
                turns += 1;
                idle.as_mut().poll(cx)
            })
            .await;
            turns
        });
        tokio::join!(send(near, 0, 3_000_000), receive(far, 0, 3_000_000));
        assert!(!waiting.is_finished());
        pair.near.close(0, b"");
        let turns = soon(waiting).await.unwrap();
        assert!(turns <= 4, "{turns} turns with {dial_from:?}");
    }
}
