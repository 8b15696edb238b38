//! The fuzz targets without a fuzzer: the corpus that one has left behind, and seeded mutations of packets that mean something. The
//! programs in `fuzz/` drive the same functions with coverage.

use gapless_lab::fuzz;
use gapless_link::Random;
use std::panic::catch_unwind;
use std::path::Path;

use gapless_udx::wire::{ConnectionId, Encoder, Frame, Header, Ordered, Stream, Version};

const DECODED: u64 = 200_000;
const DRIVEN: u64 = 20_000;
const RANDOM: u64 = 2_000;
const STACKS: u64 = 10_000;

/// Packets of both versions with every frame, to be mutated.
fn models() -> Vec<Vec<u8>> {
    let id = ConnectionId::new(&[7; 8]).unwrap();
    let header = |version: Version| Header {
        version: version.wire(),
        destination: id,
        source: id,
        number: 1.into(),
        destination_stream: 2,
        source_stream: 3,
    };
    let stream = Stream {
        fin: true,
        syn: true,
        offset: 5,
        data: b"data",
    };
    let ordered = Ordered {
        fin: true,
        syn: true,
        data: b"data",
    };
    let common = [
        Frame::Ping,
        Frame::WindowUpdate { limit: 9.into() },
        Frame::MaxData { limit: 1 << 20 },
        Frame::ResetStream { code: 1 },
        Frame::MaxStreams { count: 4 },
        Frame::PathChallenge { nonce: 1 },
        Frame::PathResponse { nonce: 1 },
        Frame::ConnectionClose {
            code: 1,
            frame_type: 0,
            reason: b"bye",
        },
        Frame::StopSending { stream: 1, code: 2 },
        Frame::DataBlocked { limit: 1 },
        Frame::StreamDataBlocked {
            stream: 1,
            limit: 2,
        },
        Frame::RetireConnectionId { index: 1 },
        Frame::MtuProbe { size: 20 },
    ];
    let mut models = Vec::new();
    for (version, data) in [
        (Version::V3, Frame::Stream(stream)),
        (Version::V2, Frame::Ordered(ordered)),
    ] {
        for frame in common.iter().chain([&data]) {
            let mut buffer = vec![0; 200];
            let mut encoder = Encoder::new(&mut buffer, version);
            encoder.header(&header(version)).unwrap();
            encoder.ack(3, [5..=9, 1..=2].into_iter(), 4).unwrap();
            encoder.frame(frame).unwrap();
            let len = encoder.written();
            models.push(buffer[..len].to_vec());
        }
    }
    models
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.between(0, 6) {
        let place = random.below(bytes.len() as u64 + 1) as usize;
        let byte = random.bits() as u8;
        match random.below(4) {
            0 => bytes.insert(place, byte),
            1 if place < bytes.len() => {
                bytes.remove(place);
            }
            2 => bytes.truncate(place.max(4)),
            _ => {
                if let Some(at) = bytes.get_mut(place) {
                    *at = byte;
                }
            }
        }
    }
}

#[test]
fn mutated_packets_do_no_harm_to_the_decoders() {
    let models = models();
    let mut random = Random::new(1);
    for _ in 0..DECODED {
        let mut bytes = models[random.below(models.len() as u64) as usize].clone();
        mutate(&mut random, &mut bytes);
        fuzz::decoders(&bytes);
    }
}

#[test]
fn mutated_scripts_do_no_harm_to_an_endpoint() {
    let models = models();
    for seed in 0..DRIVEN {
        let mut random = Random::new(seed);
        let mut script = Vec::new();
        for _ in 0..random.between(1, 30) {
            let step = random.below(8) as u8;
            script.push(step);
            if matches!(step, 2 | 3) {
                // Frames that mean something behind a header that reaches a connection.
                let model = &models[random.below(models.len() as u64) as usize];
                let frames = &model[34..];
                script.extend((0..5).map(|_| random.below(4) as u8));
                script.push(frames.len() as u8);
                script.extend_from_slice(frames);
            } else {
                script.extend((0..4).map(|_| random.bits() as u8));
            }
        }
        if random.below(2) == 0 {
            mutate(&mut random, &mut script);
        }
        let run = std::panic::catch_unwind(|| fuzz::endpoint(&script));
        assert!(run.is_ok(), "seed {seed}: {script:02x?}");
    }
}

/// Steps for a stack of TCP that mean something: strangers that knock, peers that answer nearly rightly, calls, time. What the bytes of a step
/// are, `crates/lab/src/fuzz/tcp.rs` tells.
#[test]
fn scripts_that_are_nearly_right_do_no_harm_to_tcp() {
    for seed in 0..STACKS {
        let mut random = Random::new(seed);
        let mut script = vec![random.bits() as u8];
        for _ in 0..random.between(1, 60) {
            tcp_step(&mut random, &mut script);
        }
        if random.below(4) == 0 {
            mutate(&mut random, &mut script);
        }
        let run = catch_unwind(|| fuzz::run("tcp_stack", &script));
        assert!(run.is_ok(), "seed {seed}: {script:02x?}");
    }
}

fn tcp_step(random: &mut Random, script: &mut Vec<u8>) {
    let mut any_of = |choices: &[u8]| choices[random.below(choices.len() as u64) as usize];
    let step = any_of(&[0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 8, 8, 8, 8, 8, 8]);
    script.push(step);
    match step {
        // Time: up to a minute.
        0 => script.push(20 + random.below(16) as u8),
        // A SYN to a listener, with the usual options.
        3 => {
            let ports = [any_of(&[0, 1]), any_of(&[1, 2]), any_of(&[0, 1, 2, 3])];
            script.extend(ports);
            script.extend((0..4).map(|_| random.below(12) as u8));
            script.extend([0, 0x10, 4, 5]);
        }
        // A peer's answer: flags, how far its numbers are off, window, length, options.
        8 => {
            script.push(any_of(&[0, 1, 2, 3]));
            script.push(any_of(&[0, 0, 0, 0xd2, 0xc1, 0xc4, 0xff]));
            let far = random.bits() as u8;
            let mut any_of = |choices: &[u8]| choices[random.below(choices.len() as u64) as usize];
            script.extend([any_of(&[0, 0, 0, far]), any_of(&[0, 0, 0, far])]);
            script.extend([any_of(&[0, 1, 2, 3, 4]), any_of(&[0, 1, 2, 3, 4, 5])]);
            script.push(any_of(&[0, 0, 4, 0x10, 8]));
        }
        _ => script.extend((0..3).map(|_| random.below(12) as u8)),
    }
}

/// Whatever a fuzzer has found worth keeping, and every finding that was mended.
#[test]
fn the_corpus_does_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in fuzz::TARGETS {
        let files = std::fs::read_dir(corpus.join(name));
        let files = files.unwrap_or_else(|error| panic!("{name} has no corpus: {error}"));
        let mut replayed = 0;
        for file in files {
            let file = file.expect("a corpus can be listed").path();
            let data = std::fs::read(&file).expect("a corpus can be read");
            let run = catch_unwind(|| target(&data));
            assert!(run.is_ok(), "{}", file.display());
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {name} is empty");
    }
}

#[test]
fn random_bytes_do_no_harm_to_any_target() {
    for (name, target) in fuzz::TARGETS {
        // Whole runs take their time, and have seeds of their own elsewhere.
        let seeds = if name == "whole_run" { 30 } else { RANDOM };
        for seed in 0..seeds {
            let mut random = Random::new(seed);
            let len = random.below(120);
            let data: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
            let run = catch_unwind(|| target(&data));
            assert!(run.is_ok(), "{name}, seed {seed}: {data:02x?}");
        }
    }
}

#[test]
#[should_panic(expected = "a target by name")]
fn a_target_that_is_not_there_is_no_success() {
    fuzz::run("decoder", &[]);
}
