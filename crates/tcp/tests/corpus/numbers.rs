//! Numbers that wrap, and acknowledgments of another time.

use super::script::*;
use gapless_tcp::wire::{Options, Segment, Verify};
use gapless_tcp::{Config, State};
use std::net::{IpAddr, Ipv4Addr};

/// A1: three octets each way across every number where something wraps.
#[test]
fn a1_octets_cross_every_wrap() {
    let starts = [
        0,
        1,
        0x7fff_fffe,
        0x7fff_ffff,
        1 << 31,
        0xffff_fffe,
        u32::MAX,
    ];
    for ours in starts {
        for theirs in starts {
            let mut script = Script::established_at(plain(), 1000, ours, theirs, Options::NONE);
            for round in 0..4 {
                let at = 1 + 3 * round;
                script.write(b"abc");
                let sent = script.fetch_one();
                assert_eq!((sent.seq, sent.payload.as_slice()), (at, &b"abc"[..]));
                script.send(ACK, at, at + 3, 1000, b"xyz");
                assert_eq!(script.fetch_one().ack, at + 3);
                assert_eq!(script.read(9), b"xyz");
                assert_eq!(script.engine.unacknowledged(), 0);
            }
        }
    }
}

/// A6: no number of the peer's is special, whoever dials.
#[test]
fn a6_any_initial_number_of_the_peer() {
    for theirs in [0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX] {
        let mut script = Script::dialed(plain(), 77, theirs, 1000, Options::NONE);
        let sent = script.fetch_one();
        assert_eq!((sent.flags, sent.ack), (SYN | ACK, 1));
        script.send(ACK, 1, 1, 1000, b"");
        assert_eq!(script.engine.state(), State::Established);
        let script = Script::established_at(plain(), 1000, 77, theirs, Options::NONE);
        assert_eq!(script.engine.state(), State::Established);
    }
}

/// A13: what is meant to wrap says so, because nothing else compiles.
#[test]
fn a13_arithmetic_says_what_it_means() {
    let manifest = include_str!("../../Cargo.toml");
    for lint in [
        "arithmetic_side_effects",
        "as_conversions",
        "indexing_slicing",
    ] {
        assert!(manifest.contains(&format!("{lint} = \"deny\"")), "{lint}");
    }
    let sum = std::panic::catch_unwind(|| std::hint::black_box(u32::MAX) + std::hint::black_box(1));
    assert!(sum.is_err(), "overflows are noticed where tests run");
}

/// U22: acknowledgments below SND.UNA move nothing back and cost nothing, however old they are.
#[test]
fn u22_old_acknowledgments_move_nothing() {
    for start in STARTS {
        let mut script = Script::established_at(plain(), 5000, start, 5, Options::NONE);
        for round in 0..5_u32 {
            script.write(&[1; 1000]);
            script.fetch();
            script.send(ACK, 1, 1001 + 1000 * round, 5000, b"");
        }
        script.write(&[2; 500]);
        assert_eq!(script.fetch_one().seq, 5001);
        for ack in [5000, 4001, 2, 1, 0, u32::MAX - 70_000, 1 << 31, 3 << 30] {
            script.send(ACK, 1, ack, 5000, b"");
            assert_eq!(script.engine.unacknowledged(), 500, "ack {ack}");
            assert!(script.fetch().len() <= 1);
        }
        script.send(ACK, 1, 5501, 5000, b"");
        assert_eq!(script.engine.unacknowledged(), 0);
    }
}

/// C22, R17: of a segment for which there is no place nothing shows, then or later.
#[test]
fn c22_a_refused_segment_changes_nothing() {
    let value = |at: u32| (at * 7 + 1) as u8;
    let config = Config {
        receive_buffer: 60_000,
        ..plain()
    };
    let mut script = Script::established(config, 1000);
    let mut memory = 0;
    for hole in 0..3000_u32 {
        let at = 3 + 2 * hole;
        // Later copies of the same octets are other octets: those that were refused must not be found.
        script.send(
            ACK,
            at,
            1,
            1000,
            &[if hole < 32 { value(at) } else { 0xee }],
        );
        assert_eq!(script.engine.readable(), 0);
        if hole == 100 {
            memory = script.engine.memory();
        }
    }
    // The ring grows with what it may have to hold, and with nothing else.
    assert!(script.engine.memory() <= memory.max(1 << 16) + 2000);
    script.fetch();
    for at in 1..6100 {
        script.send(ACK, at, 1, 1000, &[value(at)]);
    }
    let read = script.read(10_000);
    let wrong = read
        .iter()
        .zip(1_u32..)
        .filter(|(octet, at)| **octet != value(*at));
    // What was taken at first stands; R23: the first copy counts. Of the refused ones none.
    assert_eq!(wrong.count(), 0);
    assert_eq!(read.len(), 6099);
}

/// C23: pieces in every order, which touch, overlap and close several holes at once.
#[test]
fn c23_pieces_in_every_order() {
    let pieces = [(1, 1), (3, 1), (2, 1), (4, 3), (6, 4), (1, 9)];
    let mut order = [0, 1, 2, 3, 4, 5];
    let mut tried = 0;
    permute(&mut order, 0, &mut |order| {
        let mut script = Script::established(plain(), 1000);
        for index in order {
            let (start, length) = pieces[*index];
            let octets: Vec<u8> = (start..start + length).map(|at| at as u8).collect();
            script.send(ACK, start, 1, 1000, &octets);
        }
        assert_eq!(script.fetch().pop().unwrap().ack, 10);
        assert_eq!(script.read(20), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        tried += 1;
    });
    assert_eq!(tried, 720);
}

fn permute(order: &mut [usize; 6], from: usize, try_it: &mut impl FnMut(&[usize; 6])) {
    if from == order.len() {
        return try_it(order);
    }
    for other in from..order.len() {
        order.swap(from, other);
        permute(order, from + 1, try_it);
        order.swap(from, other);
    }
}

/// D1: what is broken is refused, and can be printed, as can everything that was read.
#[test]
fn d1_broken_segments_can_be_printed() {
    let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    };
    let (mut read, mut refused) = (0, 0);
    for round in 0..50_000_usize {
        let mut octets: Vec<u8> = (0..round % 70).map(|_| next()).collect();
        if let Some(offset) = octets.get_mut(12) {
            *offset = (next() % 16) << 4;
        }
        match Segment::parse(address(1), address(2), &octets, Verify::Device) {
            Ok(segment) => {
                assert!(!format!("{segment:?}").is_empty());
                read += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(read > 5000 && refused > 5000, "{read} {refused}");
}
