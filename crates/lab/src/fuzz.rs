//! Bytes to runs: what a fuzzer, a seeded mutation, or a file of a regression is turned into.
//!
//! Each target takes any bytes and panics if something is wrong; nothing else is a finding. A program for libFuzzer in `fuzz/` is one
//! call of one of them, and its corpus is replayed by `cargo test`.

mod acks;
mod models;
mod numbers;
mod profile;
mod recovery;
mod script;
mod tcp;

use script::Script;

use crate::plan::Scenario;
use crate::seeds::run_whole;
use gapless_udx::wire::{
    Datagram, Dialect, Encoder, Frame, Packet, Version, peek_destination, peek_ids,
};
use gapless_udx::{
    ConnectionHandle, Endpoint, EndpointConfig, Instant, Limits, Received, VersionChoice,
};
use std::net::SocketAddr;

/// A target's name and function. Each has a program in `fuzz/fuzz_targets` and a corpus in `fuzz/corpus`.
pub type Target = (&'static str, fn(&[u8]));

/// All that need nothing but the engines and the lab.
pub const TARGETS: [Target; 11] = [
    ("acks", acks::acks),
    ("decoders", decoders),
    ("endpoint", endpoint),
    ("models", models::models),
    ("profile", profile::profile),
    ("ranges", numbers::ranges),
    ("recovery", recovery::recovery),
    ("tcp_stack", tcp::stack),
    ("tcp_wire", tcp::wire),
    ("whole_run", whole_run),
    ("wire", numbers::wire),
];

/// Runs the target of this name.
///
/// # Panics
/// If the bytes are a finding, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, target) = target.expect("a target by name");
    target(data);
}

/// Gives the bytes to every decoder. What is understood has to be written again as it was read.
///
/// # Panics
/// If it is not.
pub fn decoders(data: &[u8]) {
    let _ = peek_destination(data);
    let _ = peek_ids(data);
    for dialect in [Dialect::V3, Dialect::Dart30, Dialect::V2] {
        match Datagram::decode_as(data, dialect) {
            Ok(Datagram::Packet(packet)) => write_again(&packet, dialect.version()),
            Ok(Datagram::VersionNegotiation(offer)) => {
                let _ = offer.lists(3);
            }
            Err(_) => {}
        }
    }
}

fn write_again(packet: &Packet<'_>, version: Version) {
    let mut buffer = vec![0; packet.payload().len() + 128];
    let mut encoder = Encoder::new(&mut buffer, version);
    assert!(
        encoder.header(packet.header()).is_ok(),
        "a header is written"
    );
    let frames: Vec<Frame<'_>> = packet.frames().collect();
    // What no peer may be sent is read all the same (V14), and nothing follows an MTU_PROBE.
    if frames.iter().any(|frame| encoder.frame(frame).is_err()) {
        return;
    }
    let len = encoder.written();
    // In version 2 the meaning of a frame depends on what is behind it (UDX2 D1).
    if version == Version::V3 {
        let again =
            Packet::decode_as(&buffer[..len], Dialect::V3).expect("what was written is read");
        assert!(again.frames().eq(frames), "the same frames");
    }
}

/// Drives a whole endpoint with datagrams, times and calls as the bytes say, and compares its books after each.
///
/// # Panics
/// If they contradict each other, or a bound does not hold.
pub fn endpoint(data: &[u8]) {
    let mut run = Run::new();
    let mut script = Script(data);
    while let Some(step) = script.byte() {
        run.step(step, &mut script);
        run.settle();
    }
    run.end();
}

/// Runs the scenario that the bytes decide on ([`Scenario::from_bytes`]), with all that is checked in a seed's run. One that takes
/// long is cut off.
///
/// # Panics
/// With the first rule that was broken.
pub fn whole_run(data: &[u8]) {
    let mut scenario = Scenario::from_bytes(data);
    scenario.steps_at_most = Some(MOST_STEPS);
    if let Err(violation) = run_whole(|| scenario) {
        panic!("{violation}");
    }
}

struct Run {
    endpoint: Endpoint,
    now: u64,
    connections: Vec<ConnectionHandle>,
    /// Version, the id that the endpoint is known by, and its peer's.
    known: Vec<(u32, Vec<u8>, Vec<u8>)>,
    sent: Vec<Vec<u8>>,
}

impl Run {
    fn new() -> Self {
        let config = EndpointConfig {
            accept_versions: vec![Version::V3, Version::V2],
            reset_secret: Some([5; 32]),
            limits: Limits {
                max_connections: 8,
                half_open: 4,
                accept_backlog: 4,
                max_streams: 8,
                receive_growth: 1 << 18,
                send_buffer: 1 << 18,
                max_records: 200,
                closed_ids: 8,
                early_ids: 4,
                ..Limits::default()
            },
            ..EndpointConfig::default()
        };
        Self {
            endpoint: Endpoint::new(config, [3; 32]),
            now: 0,
            connections: Vec::new(),
            known: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 8 {
            0 => self.now += 1 << (script.byte().unwrap_or(0) % 36),
            1 => {
                let from = address(script);
                let data = script.bytes();
                self.give(from, data);
            }
            2 | 3 => self.packet(script),
            4 => {
                let count = self.sent.len();
                let place = script.pick(count);
                let from = address(script);
                if let Some(datagram) = self.sent.get(place).cloned() {
                    self.give(from, &datagram);
                }
            }
            5 => self.dial(script),
            _ => self.use_connection(script),
        }
    }

    /// A packet that reaches a connection, or opens one, with any frames.
    fn packet(&mut self, script: &mut Script<'_>) {
        let count = self.known.len();
        let place = script.pick(count + 1);
        let fresh = || (2 + (place as u32 & 1), vec![place as u8; 8], vec![9; 8]);
        let (version, id, peer) = self.known.get(place).cloned().unwrap_or_else(fresh);
        let mut datagram = version.to_be_bytes().to_vec();
        datagram.push(id.len() as u8);
        datagram.extend_from_slice(&id);
        datagram.push(peer.len() as u8);
        datagram.extend_from_slice(&peer);
        // Numbers and ids of streams are small, or what eleven bytes say.
        for _ in 0..3 {
            let word = script.byte().unwrap_or(0);
            let high = if word & 0x80 == 0 { 0 } else { 0xff };
            datagram.extend_from_slice(&[high, 0, 0, word & 0x7f]);
        }
        let from = address(script);
        datagram.extend_from_slice(script.bytes());
        if self.known.len() < 16 && place == count {
            self.known.push((version, id, peer));
        }
        self.give(from, &datagram);
    }

    fn give(&mut self, from: SocketAddr, data: &[u8]) {
        let received = Received {
            from,
            ecn: None,
            segment_size: data.len().max(1),
            data,
        };
        self.endpoint
            .handle(Instant::from_nanos(self.now), received);
    }

    fn dial(&mut self, script: &mut Script<'_>) {
        let choices = [
            VersionChoice::Only(Version::V3),
            VersionChoice::Only(Version::V2),
            VersionChoice::Discover,
        ];
        let mut config = EndpointConfig::default().connection;
        config.version = choices[script.pick(choices.len())];
        let now = Instant::from_nanos(self.now);
        let to = address(script);
        self.connections
            .extend(self.endpoint.connect_with(now, to, config));
    }

    fn use_connection(&mut self, script: &mut Script<'_>) {
        self.connections
            .extend(std::iter::from_fn(|| self.endpoint.accept()));
        let count = self.connections.len();
        let place = script.pick(count);
        let Some(handle) = self.connections.get(place).copied() else {
            return;
        };
        let now = Instant::from_nanos(self.now);
        let call = script.pick(9);
        if call == 8 {
            self.endpoint.release(handle);
            self.connections.swap_remove(place);
            return;
        }
        let Some(connection) = self.endpoint.connection_mut(handle) else {
            return;
        };
        let stream = connection.accept().or_else(|| connection.open().ok());
        let Some(stream) = stream else { return };
        match call {
            0 | 1 => {
                let _ = connection.write(stream, &mut vec![7; 3_000].into());
            }
            2 => while let Ok(Some(_)) = connection.read(stream, 1 << 16) {},
            3 => {
                let _ = connection.finish(stream);
            }
            4 => connection.reset(stream, 1),
            5 => connection.stop(stream, 2),
            6 => connection.release_stream(stream),
            _ => connection.close(now, 3, b"enough"),
        }
    }

    /// Lets the endpoint send, and compares its books.
    fn settle(&mut self) {
        let now = Instant::from_nanos(self.now);
        if self.endpoint.next_deadline().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
        }
        let mut buffer = vec![0; 3_000];
        let mut trains = 0;
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut buffer) {
            trains += 1;
            assert!(trains < 10_000, "sending does not end (R8)");
            self.learn(&buffer[..transmit.len.min(transmit.segment_size)]);
        }
        while self.endpoint.poll_event().is_some() {}
        let deadline = self.endpoint.next_deadline();
        assert!(
            deadline.is_none_or(|at| at > now),
            "a deadline in the past (R9)"
        );
        self.endpoint.check().expect("the books agree");
        assert!(self.endpoint.memory() < MOST_MEMORY, "memory (P5)");
    }

    fn learn(&mut self, datagram: &[u8]) {
        if let Some((version, destination, source)) = peek_ids(datagram)
            && self.known.len() < 16
        {
            let known = (
                version,
                source.as_slice().to_vec(),
                destination.as_slice().to_vec(),
            );
            if !self.known.contains(&known) {
                self.known.push(known);
            }
        }
        if self.sent.len() < 32 {
            self.sent.push(datagram.to_vec());
        }
    }

    /// Whatever happened, in the end nothing is left.
    fn end(mut self) {
        self.endpoint.close(Instant::from_nanos(self.now), 0, b"");
        for _ in 0..100 {
            self.now += 2_000_000_000;
            self.settle();
        }
        assert!(self.endpoint.is_idle(), "a closed endpoint comes to rest");
    }
}

fn address(script: &mut Script<'_>) -> SocketAddr {
    ([192, 0, 2, 1], 4_000 + script.pick(3) as u16).into()
}

/// Steps of a run: a fraction of a second in an optimised build, and some twenty times what a seed takes on average.
const MOST_STEPS: u64 = 30_000;
/// What the limits of [`Run`] come to: eight connections of some 2 MiB each, early packets, and what the application was
/// handed and has not released.
const MOST_MEMORY: usize = 64 << 20;
