//! The fuzz targets without a fuzzer: seeded mutations of packets that mean something. The program in `fuzz/` drives the same
//! functions with coverage, where a nightly compiler is at hand.

use gapless_lab::fuzz;
use gapless_link::Random;
use gapless_udx::wire::{ConnectionId, Encoder, Frame, Header, Ordered, Stream, Version};

const DECODED: u64 = 200_000;
const DRIVEN: u64 = 20_000;

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
