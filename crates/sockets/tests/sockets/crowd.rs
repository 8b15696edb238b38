//! Many threads that read, write and carry packets, whoever comes first.

use super::net::*;
use super::pattern::{fill, wrong};
use gapless_sockets::{Core, Host, Instant, StackConfig, Stream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A lock that spins, as that of a kernel, and a clock that somebody else moves.
struct Kernel {
    core: spin::Mutex<Core>,
    began: std::time::Instant,
}

impl Host for Kernel {
    fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        f(&mut self.core.lock())
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.began.elapsed().as_nanos() as u64)
    }
}

const THREADS: usize = 16;
const CONNECTIONS: usize = 64;

/// One direction of a connection: how far its writer and its reader are, whoever they are at the moment.
struct Flow {
    written: spin::Mutex<usize>,
    /// Octets, and whether the end was seen.
    read: spin::Mutex<(usize, bool)>,
}

struct Crowd {
    net: Net<Kernel>,
    streams: [Vec<Stream<Kernel>>; 2],
    /// From the first end to the second and back, of each connection.
    flows: Vec<[Flow; 2]>,
    octets: usize,
    finished: AtomicUsize,
}

/// Sixteen threads, none of which owns anything: each takes any connection and reads or writes some, or carries packets either way, as chance has it.
#[test]
fn sixteen_threads_share_sixty_four_connections() {
    crowd(1 << 18, 0);
}

#[test]
fn sixteen_threads_share_a_path_that_loses() {
    crowd(1 << 16, 50);
}

/// 10 GB: a quarter of an hour.
#[test]
#[ignore = "long: cargo test --release -p gapless-sockets --test sockets -- --ignored"]
fn sixteen_threads_move_ten_gigabytes() {
    crowd(10_000_000_000 / CONNECTIONS / 2, 0);
}

fn crowd(octets: usize, lose_one_of: u64) {
    let began = std::time::Instant::now();
    let hosts = [1, 2].map(|host| Kernel {
        core: spin::Mutex::new(core(host, StackConfig::default())),
        began,
    });
    let net = Net::new(hosts, lose_one_of);
    let streams = connect(&net);
    let flow = || Flow {
        written: spin::Mutex::new(0),
        read: spin::Mutex::new((0, false)),
    };
    let crowd = Crowd {
        net,
        streams,
        flows: (0..CONNECTIONS).map(|_| [flow(), flow()]).collect(),
        octets,
        finished: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let crowd = &crowd;
            scope.spawn(move || crowd.work(seed as u64 + 1));
        }
    });
    for flow in crowd.flows.iter().flatten() {
        assert_eq!(*flow.read.lock(), (octets, true));
    }
}

fn connect(net: &Net<Kernel>) -> [Vec<Stream<Kernel>>; 2] {
    let listener = net.ends[1].listen(None, Some(PORT), CONNECTIONS).unwrap();
    let dial = |_| net.ends[0].start_connect(None, server()).unwrap();
    let near: Vec<_> = (0..CONNECTIONS).map(dial).collect();
    let mut far = Vec::new();
    while far.len() < CONNECTIONS {
        net.carry(0, 100);
        net.carry(1, 100);
        far.extend(listener.try_accept());
    }
    far.sort_by_key(|it: &Stream<_>| it.peer_addr());
    let mut near = near;
    near.sort_by_key(Stream::local_addr);
    [near, far]
}

impl Crowd {
    fn work(&self, seed: u64) {
        let mut random = seed;
        let mut draw = |below: usize| {
            // Marsaglia's xorshift64.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        while self.finished.load(Ordering::Relaxed) < 2 * CONNECTIONS {
            let (connection, way) = (draw(CONNECTIONS), draw(2));
            let magnitude = draw(16);
            let size = 1 + draw(1 << magnitude);
            match draw(4) {
                0 => self.write(connection, way, size),
                1 => self.read(connection, way, size),
                _ => {
                    self.net.carry(way, draw(20));
                }
            }
        }
    }

    fn write(&self, connection: usize, way: usize, size: usize) {
        let flow = &self.flows[connection][way];
        let stream = &self.streams[way][connection];
        let mut written = flow.written.lock();
        let mut octets = vec![0; size.min(self.octets - *written)];
        if octets.is_empty() {
            return;
        }
        fill(2 * connection + way, *written, &mut octets);
        *written += stream.try_write(&octets).unwrap_or(0);
        if *written == self.octets {
            stream.shutdown();
        }
    }

    fn read(&self, connection: usize, way: usize, size: usize) {
        let flow = &self.flows[connection][way];
        let stream = &self.streams[1 - way][connection];
        let mut reader = flow.read.lock();
        let (read, is_over) = &mut *reader;
        let mut octets = vec![0; size];
        let Ok(taken) = stream.try_read(&mut octets) else {
            return;
        };
        if taken == 0 {
            assert_eq!(*read, self.octets, "connection {connection} ended early");
            if !core::mem::replace(is_over, true) {
                self.finished.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let bad = wrong(2 * connection + way, *read, &octets[..taken]);
        assert_eq!(bad, None, "in connection {connection}, way {way}");
        *read += taken;
    }
}
