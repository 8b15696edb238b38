//! Our TCP and the system's, across a TUN device in a network namespace of the test's own. Takes root; without it each test says that it was skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gapless::tcp::{Config, Impaired, Stack, StackConfig, TcpListener, TcpStream, Tun, TunConfig};
use nix::sched::{CloneFlags, unshare};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: u16 = 80;
const LONG: Duration = Duration::from_secs(60);

/// A network of the system's end and ours.
#[derive(Clone, Copy)]
struct Ends {
    system: IpAddr,
    ours: IpAddr,
    bits: u8,
}

const V4: Ends = Ends {
    system: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)),
    ours: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)),
    bits: 24,
};

const V6: Ends = Ends {
    system: IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1)),
    ours: IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2)),
    bits: 64,
};

/// Runs the test in a namespace of its own, with each kind of device.
fn with_each_device<T: Future<Output = ()>>(test: impl Fn(Stack, Ends) -> T + Send + Sync) {
    for (ends, offload) in [(V4, true), (V4, false), (V6, true)] {
        let config = TunConfig {
            system: Some((ends.system, ends.bits)),
            offload,
            ..TunConfig::default()
        };
        in_namespace(&config, |device| {
            let stack = host(Stack::new(device, settings()).unwrap(), ends);
            test(stack, ends)
        });
    }
}

fn host(stack: Stack, ends: Ends) -> Stack {
    stack.add_address(ends.ours).unwrap();
    stack
}

fn settings() -> StackConfig {
    StackConfig {
        connection: Config {
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
            ..Config::default()
        },
        ..StackConfig::default()
    }
}

fn in_namespace<T: Future<Output = ()>>(config: &TunConfig, test: impl FnOnce(Tun) -> T + Send) {
    if !std::path::Path::new("/dev/net/tun").exists() {
        eprintln!("SKIPPED: this system has no TUN devices");
        return;
    }
    thread::scope(|scope| {
        let run = move || {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                eprintln!("SKIPPED: a network namespace of the test's own takes root: {error}");
                return;
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let device = Tun::open(config).unwrap();
                if let Some((system, _)) = config.system {
                    wait_for_address(system);
                }
                tokio::time::timeout(LONG, test(device)).await.unwrap();
            });
        };
        scope.spawn(run).join().unwrap();
    });
}

/// A thread of the same namespace, with the system's sockets.
fn system<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    thread::spawn(work)
}

async fn joined<R: Send + 'static>(thread: JoinHandle<R>) -> R {
    tokio::task::spawn_blocking(|| thread.join().unwrap())
        .await
        .unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    let octets = (0..length as u64).map(|it| (it.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8);
    octets.collect()
}

/// The system makes sure for a while that an address of IPv6 is nobody else's, before it may be used.
fn wait_for_address(system: IpAddr) {
    for _ in 0..500 {
        match std::net::TcpListener::bind((system, 0)) {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                thread::sleep(Duration::from_millis(10));
            }
            bound => return drop(bound.unwrap()),
        }
    }
    panic!("the system never takes its address");
}

/// Takes one connection of the system, and echoes to the end.
fn system_echo(ends: Ends) -> JoinHandle<usize> {
    let listener = std::net::TcpListener::bind((ends.system, PORT)).unwrap();
    system(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        all.len()
    })
}

#[test]
fn we_dial_the_system() {
    with_each_device(async |stack: Stack, ends: Ends| {
        let echo = system_echo(ends);
        let sent = pattern(5_000_000);
        let mut stream = TcpStream::connect(&stack, (ends.system, PORT).into())
            .await
            .unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert!(back == sent);
        assert_eq!(joined(echo).await, sent.len());
        // The system looks for routers of IPv6.
        assert!(stack.stats().dropped < 10, "{:?}", stack.stats());
    });
}

#[test]
fn the_system_dials_us() {
    with_each_device(async |stack: Stack, ends: Ends| {
        let local = SocketAddr::new(ends.ours, PORT);
        let listener = TcpListener::bind(&stack, local).unwrap();
        let sent = pattern(5_000_000);
        let expected = sent.clone();
        let client = system(move || {
            let mut stream = std::net::TcpStream::connect(local).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let reading = thread::spawn(move || {
                let mut back = Vec::new();
                reader.read_to_end(&mut back).unwrap();
                back
            });
            stream.write_all(&sent).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            reading.join().unwrap()
        });
        let (stream, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), ends.system);
        let (mut read, mut write) = stream.into_split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        drop(write);
        assert!(joined(client).await == expected);
    });
}

#[test]
fn refusals_and_resets_both_ways() {
    with_each_device(async |stack: Stack, ends: Ends| {
        let nobody = TcpStream::connect(&stack, (ends.system, 81).into()).await;
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let ours = SocketAddr::new(ends.ours, 81);
        let nobody = system(move || std::net::TcpStream::connect(ours).map(drop));
        let error = joined(nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

        // The system closes with something unread.
        let listener = std::net::TcpListener::bind((ends.system, PORT)).unwrap();
        let rude = system(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.peek(&mut [0]).unwrap();
        });
        let remote = (ends.system, PORT).into();
        let mut stream = TcpStream::connect(&stack, remote).await.unwrap();
        stream.write_all(b"unread").await.unwrap();
        joined(rude).await;
        let error = stream.read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);

        // We do.
        let listener = TcpListener::bind(&stack, (ends.ours, PORT).into()).unwrap();
        let local = listener.local_addr().unwrap();
        let client = system(move || {
            let mut stream = std::net::TcpStream::connect(local).unwrap();
            stream.write_all(b"unread").unwrap();
            stream.read(&mut [0; 9]).map_err(|error| error.kind())
        });
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        drop(stream);
        assert_eq!(joined(client).await, Err(ErrorKind::ConnectionReset));
    });
}

#[test]
fn a_slow_reader_at_either_end() {
    with_each_device(async |stack: Stack, ends: Ends| {
        let listener = std::net::TcpListener::bind((ends.system, PORT)).unwrap();
        let slow = system(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Until all buffers are full.
            thread::sleep(Duration::from_millis(300));
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let sent = pattern(20_000_000);
        let remote = (ends.system, PORT).into();
        let mut stream = TcpStream::connect(&stack, remote).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert!(back == sent);
        joined(slow).await;
    });
}

#[test]
fn two_hundred_connections_at_once() {
    with_each_device(async |stack: Stack, ends: Ends| {
        let local = SocketAddr::new(ends.ours, PORT);
        let listener = TcpListener::bind(&stack, local).unwrap();
        let serving = tokio::spawn(async move {
            for _ in 0..200 {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.unwrap();
                    write.shutdown().await.unwrap();
                });
            }
        });
        let clients = system(move || {
            let dial = |_| std::net::TcpStream::connect(local).unwrap();
            let streams: Vec<_> = (0..200).map(dial).collect();
            for (number, mut stream) in streams.iter().enumerate() {
                stream.write_all(&pattern(100 * number)).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
            for (number, mut stream) in streams.iter().enumerate() {
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                assert!(back == pattern(100 * number));
            }
        });
        joined(clients).await;
        serving.await.unwrap();
    });
}

/// Through a path that loses, delays, damages and reorders.
#[test]
fn a_bad_path_between_the_system_and_us() {
    let config = TunConfig {
        system: Some((V4.system, V4.bits)),
        offload: false,
        ..TunConfig::default()
    };
    in_namespace(&config, async |device: Tun| {
        let profile = "loss=2%,delay=5ms,reorder=2%,duplicate=1%,corrupt=1%,checksum=off,seed=1";
        let device = Impaired::new(device, &profile.parse().unwrap());
        let stack = host(Stack::new(device, settings()).unwrap(), V4);
        let echo = system_echo(V4);
        let remote = (V4.system, PORT).into();
        let mut stream = TcpStream::connect(&stack, remote).await.unwrap();
        let sent = pattern(2_000_000);
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert!(back == sent);
        joined(echo).await;
    });
}
