//! Where this project began: a kernel fetched a Git pack, its small buffer was read slowly, the network was polled more often than before, and it
//! panicked over two sequence numbers. Here is that peer, with every window scale, polled in every manner and from several threads: every
//! octet arrives, nothing panics, and the octets do not depend on polling (P6; entry A8 of the list of failures).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod peer;

use gapless_tcp::{Config, Id, Instant, ReadError, Stack, StackConfig};
use peer::{HERE, PORT, Peer};
use std::sync::Mutex;
use std::time::{Duration, Instant as Wall};

/// What the peer sends at once: the sideband buffers of the seed.
const BURST: usize = 64 << 10;

/// How often the stack is asked for packets.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// After each packet that arrived and each octet that was read.
    EveryOctet,
    /// After each packet that arrived and each read.
    EveryStep,
    /// When a whole burst has arrived and the reader has rested again.
    OnceAtTheEnd,
}

/// Our side, its application, and the peer.
struct World {
    stack: Stack,
    id: Option<Id>,
    read: Vec<u8>,
    ended: bool,
    peer: Peer,
    now: Instant,
    buffer: Vec<u8>,
}

impl World {
    fn new(receive_buffer: u32, peer: Peer) -> Self {
        let config = StackConfig {
            connection: Config {
                receive_buffer,
                first_receive_buffer: receive_buffer,
                ..Config::default()
            },
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [1, 2]);
        stack.add_address(HERE).unwrap();
        stack.listen(None, Some(PORT), 1, false).unwrap();
        Self {
            stack,
            id: None,
            read: Vec::new(),
            ended: false,
            peer,
            now: Instant::from_nanos(1_000_000_000),
            buffer: vec![0; 1500],
        }
    }

    /// The stack sends one packet, if it wants to; the peer has it at once.
    fn poll(&mut self) -> bool {
        let Some(length) = self.stack.poll_transmit(self.now, &mut self.buffer) else {
            return false;
        };
        self.peer.on_packet(&self.buffer[..length]);
        true
    }

    fn poll_all(&mut self) {
        let mut packets = 0;
        while self.poll() {
            packets += 1;
            assert!(packets < 1000, "egress at one instant has no end");
        }
    }

    fn arrive(&mut self, packet: &[u8]) {
        self.stack.handle(self.now, packet);
    }

    /// The application reads so much at most.
    fn read(&mut self, most: usize) {
        if self.id.is_none() {
            self.id = self.stack.accept().map(|(id, _)| id);
        }
        let Some(id) = self.id else { return };
        let mut room = [0; 1024];
        match self.stack.read(id, &mut room[..most]) {
            Ok(0) => self.ended = true,
            Ok(count) => self.read.extend_from_slice(&room[..count]),
            Err(ReadError::WouldBlock) => {}
            Err(error) => panic!("{error}"),
        }
        let connection = self.stack.connection(id).unwrap();
        assert_eq!(connection.check(self.now), Ok(()));
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(1);
        if self.stack.next_deadline().is_some_and(|at| at <= self.now) {
            self.stack.on_timeout(self.now);
        }
    }

    /// From the SYN to the end of the stream.
    fn run(mut self, manner: Manner) -> Vec<u8> {
        let (size, steps) = match manner {
            Manner::EveryOctet => (1, 9000),
            Manner::EveryStep | Manner::OnceAtTheEnd => (900, 10),
        };
        for _ in 0..100_000 {
            for packet in self.peer.burst(BURST) {
                self.arrive(&packet);
                if !matches!(manner, Manner::OnceAtTheEnd) {
                    self.poll_all();
                }
            }
            for _ in 0..steps {
                self.read(size);
                if !matches!(manner, Manner::OnceAtTheEnd) {
                    self.poll_all();
                }
            }
            self.poll_all();
            self.tick();
            if self.ended {
                return self.read;
            }
        }
        panic!("{} octets, and no more", self.read.len());
    }
}

/// A buffer for which this is the shift, and the least one.
fn buffer_of_scale(scale: u8) -> u32 {
    if scale == 0 {
        40_000
    } else {
        65_536 << (scale - 1)
    }
}

/// As many octets as overrun the buffer, if that is not too many.
fn pack_for(receive_buffer: u32, most: usize) -> Vec<u8> {
    let length = receive_buffer as usize / 4 * 5 + 10_000;
    peer::pack(if length > most { 70_000 } else { length })
}

#[test]
fn a8_every_scale_and_manner_brings_the_same_octets() {
    for scale in 0..=14 {
        let receive_buffer = buffer_of_scale(scale);
        for (manner, start, most) in [
            (Manner::EveryOctet, 0, 70_000),
            (Manner::EveryStep, u32::MAX - 70_000, 1_500_000),
            (Manner::OnceAtTheEnd, (1 << 31) - 65_536, 1_500_000),
        ] {
            let pack = pack_for(receive_buffer, most);
            let world = World::new(receive_buffer, Peer::new(&pack, start, scale));
            let read = world.run(manner);
            assert_eq!(read.len(), pack.len(), "{manner:?}, scale {scale}");
            assert!(read == pack, "{manner:?}, scale {scale}: other octets");
        }
    }
}

/// Buffers that a burst overruns many times, whatever scale the peer has for its own.
#[test]
fn a8_small_buffers_and_any_scale_of_the_peer() {
    let pack = peer::pack(70_000);
    for (scale, receive_buffer) in
        (0..=14).zip([1, 2, 64, 1000, 1431, 4096, 16_384].into_iter().cycle())
    {
        // An octet at a time through a buffer of one takes a round each.
        let pack = &pack[..pack.len().min(1000 * receive_buffer as usize)];
        for manner in [Manner::EveryOctet, Manner::EveryStep, Manner::OnceAtTheEnd] {
            let world = World::new(receive_buffer, Peer::new(pack, u32::MAX, scale));
            let read = world.run(manner);
            assert!(
                read == pack,
                "{manner:?}, buffer {receive_buffer}: {}",
                read.len()
            );
        }
    }
}

/// The question of the seed: whether more threads, and more polling, make it worse. Behind a lock, whoever comes next does its part.
#[test]
fn a8_four_threads_behind_a_lock_bring_the_same_octets() {
    for scale in 0..=14 {
        let receive_buffer = buffer_of_scale(scale);
        let pack = pack_for(receive_buffer, 100_000);
        let world = Mutex::new(World::new(receive_buffer, Peer::new(&pack, 77, scale)));
        let parts: [fn(&mut World); 4] = [
            |world| {
                for packet in world.peer.burst(BURST) {
                    world.arrive(&packet);
                }
            },
            |world| world.read(700),
            |world| {
                world.poll();
            },
            World::tick,
        ];
        let begin = Wall::now();
        std::thread::scope(|scope| {
            for part in parts {
                let world = &world;
                scope.spawn(move || {
                    loop {
                        let mut world = world.lock().unwrap();
                        if world.ended {
                            break;
                        }
                        part(&mut world);
                        drop(world);
                        assert!(
                            begin.elapsed() < Duration::from_secs(120),
                            "it stands still"
                        );
                        std::thread::yield_now();
                    }
                });
            }
        });
        let world = world.into_inner().unwrap();
        assert!(
            world.read == pack,
            "scale {scale}: {} octets",
            world.read.len()
        );
    }
}
