//! Two connections joined by two bad links in virtual time.

use gapless_tcp::wire::{Flags, Header, Options, Segment, Verify};
use gapless_tcp::{
    Addresses, CloseReason, Config, Connection, Instant, Opening, Ports, ReadError, State,
    WriteError,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub(crate) const MTU: u16 = 1500;
const PATH: u16 = MTU - 20;

/// A small generator (SplitMix64), so that a seed is a run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What happens to segments on their way.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    /// Octets of the largest segment that passes; others vanish.
    pub(crate) largest: usize,
    /// Octets per second, of each direction by itself.
    pub(crate) rate: u64,
    /// Octets that may wait for that; what comes when they do vanishes.
    pub(crate) queue: u64,
}

impl Link {
    pub(crate) const CLEAN: Self = Self {
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        loss: 0,
        duplicate: 0,
        largest: usize::MAX,
        rate: u64::MAX,
        queue: u64::MAX,
    };
}

/// One end with its application.
pub(crate) struct Side {
    pub(crate) connection: Option<Connection>,
    pub(crate) config: Config,
    pub(crate) initial: u32,
    pub(crate) to_write: Vec<u8>,
    pub(crate) written: usize,
    pub(crate) read: Vec<u8>,
    pub(crate) ended: bool,
    /// Why it could not go on.
    pub(crate) failed: Option<CloseReason>,
    /// Octets read at once; 0 reads nothing until it is changed.
    pub(crate) read_size: usize,
    pub(crate) shuts: bool,
    pub(crate) sent: u64,
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) sides: [Side; 2],
    pub(crate) link: Link,
    pub(crate) random: Random,
    flying: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    counter: u64,
    /// When each direction has sent what waits, ns.
    free_at: [u64; 2],
    pub(crate) log: bool,
}

fn addresses(side: usize) -> Addresses {
    let of = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let both = [of(1), of(2)];
    Addresses {
        local: both[side],
        remote: both[1 - side],
    }
}

pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..length).map(|_| random.next() as u8).collect()
}

impl Side {
    pub(crate) fn new(config: Config, initial: u32, to_write: Vec<u8>) -> Self {
        Self {
            connection: None,
            config,
            initial,
            to_write,
            written: 0,
            read: Vec::new(),
            ended: false,
            failed: None,
            read_size: 1 << 16,
            shuts: true,
            sent: 0,
        }
    }

    fn opening(&self, index: usize) -> Opening {
        let ports = [49_152, 80];
        Opening {
            ports: Ports {
                local: ports[index],
                remote: ports[1 - index],
            },
            initial: self.initial,
            clock_offset: self.initial.rotate_left(7),
            path: PATH,
        }
    }

    fn run_application(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        while self.written < self.to_write.len() {
            let end = (self.written + 7000).min(self.to_write.len());
            match connection.write(&self.to_write[self.written..end]) {
                Ok(written) => self.written += written,
                Err(WriteError::WouldBlock) => break,
                Err(WriteError::Ended(reason)) => {
                    self.failed = Some(reason);
                    break;
                }
                Err(WriteError::ShutDown) => break,
            }
        }
        if self.written == self.to_write.len() && self.shuts {
            connection.shutdown(now);
        }
        let mut room = vec![0; self.read_size];
        while !self.ended && self.read_size > 0 {
            match connection.read(&mut room) {
                Ok(0) => self.ended = true,
                Ok(read) => self.read.extend_from_slice(&room[..read]),
                Err(ReadError::WouldBlock) => break,
                Err(ReadError::Ended(reason)) => {
                    self.failed = Some(reason);
                    break;
                }
            }
        }
    }
}

impl Pair {
    pub(crate) fn new(link: Link, seed: u64, sides: [Side; 2]) -> Self {
        let mut pair = Self {
            now: Instant::from_nanos(1_000_000_000),
            sides,
            link,
            random: Random(seed),
            flying: BTreeMap::new(),
            counter: 0,
            free_at: [0; 2],
            log: std::env::var_os("LOG").is_some(),
        };
        let side = &mut pair.sides[0];
        side.connection = Some(Connection::connect(
            &side.config,
            pair.now,
            &side.opening(0),
        ));
        pair
    }

    /// Runs until `done`, or fails after so much virtual time.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        loop {
            for index in 0..2 {
                self.sides[index].run_application(self.now);
                self.flush(index);
            }
            self.check();
            if done(self) {
                return;
            }
            let Some(next) = self.next_happening() else {
                panic!("nothing will ever happen again: {}", self.describe());
            };
            assert!(next <= end, "too late: {}", self.describe());
            assert!(
                next > self.now || !self.flying.is_empty() || self.is_due(),
                "idle"
            );
            self.now = self.now.max(next);
            self.deliver();
            for index in 0..2 {
                if let Some(connection) = &mut self.sides[index].connection
                    && connection
                        .next_deadline(self.now)
                        .is_some_and(|at| at <= self.now)
                {
                    connection.on_timeout(self.now);
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        self.sides.iter().any(|side| {
            let deadline = side
                .connection
                .as_ref()
                .and_then(|connection| connection.next_deadline(self.now));
            deadline.is_some_and(|at| at <= self.now)
        })
    }

    fn next_happening(&self) -> Option<Instant> {
        let arrival = self
            .flying
            .keys()
            .next()
            .map(|(at, _)| Instant::from_nanos(*at));
        let timers = self.sides.iter().filter_map(|side| {
            side.connection
                .as_ref()
                .and_then(|connection| connection.next_deadline(self.now))
        });
        timers.chain(arrival).min()
    }

    fn flush(&mut self, index: usize) {
        let mut buffer = vec![0; usize::from(MTU)];
        // R8: bounded at one instant.
        for _ in 0..20_000 {
            let side = &mut self.sides[index];
            let Some(connection) = &mut side.connection else {
                return;
            };
            let sent =
                connection.poll_transmit(self.now, addresses(index), &mut buffer, Verify::Here);
            let Some(length) = sent else {
                return;
            };
            side.sent += 1;
            self.launch(index, buffer[..length].to_vec());
        }
        panic!("egress has no end: {}", self.describe());
    }

    fn launch(&mut self, from: usize, segment: Vec<u8>) {
        let lost = self.random.percent(self.link.loss) || segment.len() > self.link.largest;
        if self.log {
            let Addresses { local, remote } = addresses(from);
            let parsed = Segment::parse(local, remote, &segment, Verify::Here).unwrap();
            println!(
                "{:>10} us {} {:?} seq {} ack {} win {} len {} {}",
                self.now.as_nanos() / 1000,
                ["->", "<-"][from],
                parsed.header.flags,
                parsed.header.sequence.raw(),
                parsed.header.acknowledgment.raw(),
                parsed.header.window,
                parsed.payload.len(),
                if lost { "LOST" } else { "" }
            );
        }
        if lost {
            return;
        }
        let Some(leaves) = self.pass_queue(from, segment.len()) else {
            return;
        };
        let copies = 1 + u64::from(self.random.percent(self.link.duplicate));
        for _ in 0..copies {
            let jitter = self.random.below(self.link.jitter.as_nanos() as u64 + 1);
            let at = leaves + self.link.delay + Duration::from_nanos(jitter);
            self.counter += 1;
            self.flying
                .insert((at.as_nanos(), self.counter), (1 - from, segment.clone()));
        }
    }

    /// When a segment has left, or `None` if there is no room for it.
    fn pass_queue(&mut self, from: usize, length: usize) -> Option<Instant> {
        const SECOND: u128 = 1_000_000_000;
        let now = self.now.as_nanos();
        let Link { rate, queue, .. } = self.link;
        let begins = self.free_at[from].max(now);
        let waiting = u128::from(begins - now) * u128::from(rate) / SECOND;
        if waiting > u128::from(queue) {
            return None;
        }
        let takes = (length as u128 * SECOND / u128::from(rate)) as u64;
        self.free_at[from] = begins + takes;
        Some(Instant::from_nanos(begins + takes))
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now.as_nanos() {
                break;
            }
            let (to, octets) = entry.remove();
            let Addresses { local, remote } = addresses(to);
            let segment = Segment::parse(remote, local, &octets, Verify::Here).unwrap();
            let side = &mut self.sides[to];
            match &mut side.connection {
                Some(connection) if connection.state() == State::Closed => {
                    self.refuse(to, &segment.header);
                }
                Some(connection) => connection.on_segment(self.now, &segment),
                None => {
                    let opening = side.opening(to);
                    side.connection = Some(Connection::accept(
                        &side.config,
                        self.now,
                        &opening,
                        &segment.header,
                    ));
                }
            }
            self.check();
        }
    }

    /// Hands a forged segment to a side.
    pub(crate) fn inject(&mut self, to: usize, header: &Header, payload: &[u8]) {
        let Addresses { local, remote } = addresses(to);
        let mut octets = vec![0; header.len()];
        octets.extend_from_slice(payload);
        header.write(remote, local, &mut octets, Verify::Here);
        let segment = Segment::parse(remote, local, &octets, Verify::Here).unwrap();
        if let Some(connection) = &mut self.sides[to].connection {
            connection.on_segment(self.now, &segment);
        }
        self.check();
    }

    /// What a stack does for a connection that it does not know (RFC 9293 3.10.7.1).
    fn refuse(&mut self, side: usize, to: &Header) {
        if to.flags.has(Flags::RST) || !to.flags.has(Flags::ACK) {
            return;
        }
        let Addresses { local, remote } = addresses(side);
        let header = Header {
            source_port: to.destination_port,
            destination_port: to.source_port,
            sequence: to.acknowledgment,
            acknowledgment: 0.into(),
            flags: Flags::RST,
            window: 0,
            urgent: 0,
            options: Options::NONE,
        };
        let mut segment = vec![0; header.len()];
        header.write(local, remote, &mut segment, Verify::Here);
        self.launch(side, segment);
    }

    fn check(&self) {
        for side in &self.sides {
            if let Some(connection) = &side.connection {
                let checked = connection.check(self.now);
                assert_eq!(checked, Ok(()), "{}", self.describe());
            }
        }
    }

    pub(crate) fn state(&self, index: usize) -> Option<State> {
        self.sides[index].connection.as_ref().map(Connection::state)
    }

    pub(crate) fn describe(&self) -> String {
        let side = |index: usize| {
            let side = &self.sides[index];
            format!(
                "side {index}: {:?}, written {} of {}, read {}, ended {}, sent {}; {:?}",
                self.state(index),
                side.written,
                side.to_write.len(),
                side.read.len(),
                side.ended,
                side.sent,
                side.connection.as_ref().map(|c| c.next_deadline(self.now))
            )
        };
        format!("at {:?}\n{}\n{}", self.now, side(0), side(1))
    }
}
