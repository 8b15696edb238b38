//! TCP of our own under tokio, between hosts of one program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gapless::tcp::{Config, Device, Impaired, Stack, StackConfig, TcpListener, TcpStream, pipe};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn config() -> StackConfig {
    StackConfig {
        connection: Config {
            time_wait: SOON,
            ..Config::default()
        },
        ..StackConfig::default()
    }
}

fn host(number: u8, device: impl Device + Unpin) -> Stack {
    let stack = Stack::new(device, config()).unwrap();
    stack.add_address(address(number)).unwrap();
    stack
}

fn hosts() -> [Stack; 2] {
    let [near, far] = pipe(1500);
    [host(1, near), host(2, far)]
}

fn server() -> SocketAddr {
    (address(2), 80).into()
}

/// Both ends of a connection, and the hosts.
async fn both() -> (TcpStream, TcpStream, [Stack; 2]) {
    let hosts = hosts();
    let (near, far) = between(&hosts).await;
    (near, far, hosts)
}

async fn between([near, far]: &[Stack; 2]) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(far, server()).unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(near, server()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn pattern(length: usize) -> Vec<u8> {
    let octets = (0..length as u64).map(|it| (it.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8);
    octets.collect()
}

/// Sends it one way and back over both ends.
async fn echo(near: TcpStream, far: TcpStream, length: usize) {
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = far.into_split();
        let copied = tokio::io::copy(&mut read, &mut write).await.unwrap();
        drop(write);
        copied
    });
    let sent = pattern(length);
    let (mut read, mut write) = near.into_split();
    let writing = {
        let sent = sent.clone();
        tokio::spawn(async move { write.write_all(&sent).await.unwrap() })
    };
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    writing.await.unwrap();
    assert_eq!(echo.await.unwrap(), length as u64);
    assert!(back == sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_of_megabytes() {
    for trains in [false, true] {
        let [near, far] = pipe(1500);
        let hosts = if trains {
            [host(1, near.with_trains()), host(2, far.with_trains())]
        } else {
            [host(1, near), host(2, far)]
        };
        let (near, far) = between(&hosts).await;
        timeout(LONG, echo(near, far, 8 << 20)).await.unwrap();
        let sent = hosts[0].stats().sent;
        assert_eq!(sent < 3000, trains, "{sent} packets");
    }
}

/// What the path delays, damages and loses is noticed and sent again.
#[tokio::test]
async fn an_echo_over_a_bad_path() {
    let profile =
        "loss=3%,delay=5ms,jitter=2ms,reorder=2%,duplicate=2%,corrupt=1%,checksum=off,seed=3";
    let profile = profile.parse().unwrap();
    let [near, far] = pipe(1400);
    let hosts = [host(1, Impaired::new(near, &profile)), host(2, far)];
    let (near, far) = between(&hosts).await;
    timeout(LONG, echo(near, far, 1 << 20)).await.unwrap();
    let dropped = hosts.map(|host| host.stats().dropped);
    assert!(dropped.iter().all(|count| *count > 0), "{dropped:?}");
}

/// A path that lets nothing through for a while: nobody spins, and all goes on.
#[tokio::test]
async fn a_path_that_takes_its_time() {
    let profile = "delay=100ms".parse().unwrap();
    let [near, far] = pipe(1400);
    let hosts = [host(1, Impaired::new(near, &profile)), host(2, far)];
    let began = Instant::now();
    let (near, far) = between(&hosts).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    timeout(LONG, echo(near, far, 10_000)).await.unwrap();
}

#[tokio::test]
async fn a_half_that_writes_ends_its_direction_and_may_be_put_back() {
    let (near, mut far, _hosts) = both().await;
    let (read, mut write) = near.into_split();
    write.write_all(b"one").await.unwrap();
    let mut near = read.reunite(write).unwrap();
    near.write_all(b"two").await.unwrap();
    let (read, write) = near.into_split();
    drop(write);
    let mut all = String::new();
    far.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "onetwo");
    // The other direction is still open.
    far.write_all(b"back").await.unwrap();
    let mut four = [0; 4];
    let mut read = read;
    read.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"back");
}

#[tokio::test]
async fn halves_of_different_streams_do_not_fit() {
    let hosts = hosts();
    let (one, _far) = between(&hosts).await;
    let (two, _far) = between(&hosts).await;
    let (read, _write) = one.into_split();
    let (_read, write) = two.into_split();
    assert!(read.reunite(write).is_err());
}

#[tokio::test]
async fn where_listeners_may_be() {
    let [_, far] = hosts();
    let kind = |local: &str| {
        let bound = TcpListener::bind(&far, local.parse().unwrap());
        bound.map(drop).map_err(|error| error.kind())
    };
    let _taken = TcpListener::bind(&far, server()).unwrap();
    assert_eq!(kind("10.0.0.2:80"), Err(ErrorKind::AddrInUse));
    assert_eq!(kind("10.0.0.9:80"), Err(ErrorKind::AddrNotAvailable));
    assert_eq!(kind("0.0.0.0:80"), Ok(()));
    let any = TcpListener::bind(&far, "10.0.0.2:0".parse().unwrap()).unwrap();
    assert!(any.local_addr().unwrap().port() >= 49_152);
}

#[tokio::test]
async fn why_there_is_no_connection() {
    let [near, _far] = hosts();
    let kind = async |remote: &str| {
        let dialed = TcpStream::connect(&near, remote.parse().unwrap()).await;
        dialed.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(kind("10.0.0.2:81").await, Err(ErrorKind::ConnectionRefused));
    assert_eq!(kind("[fd00::1]:81").await, Err(ErrorKind::AddrNotAvailable));
    assert_eq!(kind("10.0.0.2:0").await, Err(ErrorKind::InvalidInput));
    // Nobody is there, and nobody says so.
    assert!(timeout(SOON, kind("10.0.0.3:81")).await.is_err());
    assert_eq!(near.connections(), 0, "a dial that was given up is gone");
}

#[tokio::test]
async fn a_reset_and_an_end_are_told_apart() {
    let (mut near, far, hosts) = both().await;
    far.set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    let error = near.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let (mut near, far) = between(&hosts).await;
    drop(far);
    assert_eq!(near.read(&mut [0; 9]).await.unwrap(), 0);
}

#[tokio::test]
async fn calls_that_do_not_wait() {
    let (near, mut far, _hosts) = both().await;
    let error = near.try_read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    far.write_all(b"hello").await.unwrap();
    near.readable().await.unwrap();
    assert_eq!(near.peek(&mut [0; 9]).await.unwrap(), 5);
    assert_eq!(near.try_read(&mut [0; 9]).unwrap(), 5);
    while near.try_write(&[0; 10_000]).is_ok() {}
    assert!(timeout(SOON, near.writable()).await.is_err() || near.try_write(&[0]).is_ok());
    assert!(!near.nodelay().unwrap());
    near.set_nodelay(true).unwrap();
    assert!(near.nodelay().unwrap());
}

#[tokio::test]
async fn delivered_waits_for_the_peer() {
    let (mut near, mut far, _hosts) = both().await;
    near.write_all(b"hello").await.unwrap();
    timeout(LONG, near.delivered()).await.unwrap().unwrap();
    assert_eq!(far.read(&mut [0; 9]).await.unwrap(), 5);
}

#[tokio::test]
async fn a_device_that_is_gone_is_told_to_everybody() {
    let [near, far] = pipe(1500);
    let hosts = [host(1, near), host(2, far)];
    let (mut near, far) = between(&hosts).await;
    let [near_host, far_host] = hosts;
    let reading = tokio::spawn(async move { near.read(&mut [0; 9]).await });
    tokio::time::sleep(SOON).await;
    // Without anybody who holds it, and with a reset on its way, the far host ends and its end of the cable with it.
    far.set_linger(Some(Duration::ZERO)).unwrap();
    drop((far, far_host));
    let error = timeout(LONG, reading).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let dialed = timeout(LONG, async {
        loop {
            match timeout(SOON, TcpStream::connect(&near_host, server())).await {
                Ok(dialed) => break dialed.map(drop).map_err(|error| error.kind()),
                Err(_) => continue,
            }
        }
    });
    assert_eq!(dialed.await.unwrap(), Err(ErrorKind::NetworkDown));
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (near, _far, hosts) = runtime.block_on(both());
    drop(runtime);
    let error = near.try_read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut near = near;
    let error = runtime.block_on(near.read(&mut [0; 9])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    let error = runtime
        .block_on(TcpStream::connect(&hosts[0], server()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

#[test]
fn without_a_runtime_there_is_no_host() {
    let [near, _far] = pipe(1500);
    assert!(Stack::new(near, config()).is_err());
}

#[tokio::test]
async fn what_was_written_is_delivered_after_everybody_let_go() {
    let (mut near, mut far, [near_host, _far_host]) = both().await;
    near.write_all(&pattern(300_000)[..60_000]).await.unwrap();
    drop((near, near_host));
    let mut all = Vec::new();
    timeout(LONG, far.read_to_end(&mut all))
        .await
        .unwrap()
        .unwrap();
    assert!(all == pattern(300_000)[..60_000]);
}
