//! Reassembly against a map of octets, and the corners by name.

use super::*;
use crate::wire::SackBlock;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const MSS: u64 = 1460;

fn octet(position: u64) -> u8 {
    (position ^ (position >> 7)) as u8
}

fn octets(range: Range<u64>) -> Vec<u8> {
    range.map(octet).collect()
}

/// A buffer that promised `limit` octets from `next` on.
fn buffer(next: u64, limit: u64) -> ReceiveBuffer {
    let mut buffer = ReceiveBuffer::new(next, limit, Some(ReceiveWindow::shift_for(limit)));
    buffer.window_mut().advertise(MSS);
    buffer
}

fn read_all(buffer: &mut ReceiveBuffer) -> Vec<u8> {
    let mut all = vec![0; 1 << 20];
    let length = buffer.read(&mut all);
    all.truncate(length);
    all
}

fn blocks(buffer: &mut ReceiveBuffer) -> Vec<(u32, u32)> {
    let of = |SackBlock { left, right }| (left.into(), right.into());
    buffer.take_sack_blocks().iter().map(of).collect()
}

#[test]
fn in_order_goes_through() {
    let mut buffer = buffer(1, 1000);
    for start in [1, 101, 201] {
        let accepted = buffer.accept(start, &octets(start..start + 100), false);
        let expected = Accepted {
            newly: 100,
            in_order: true,
            ..Accepted::default()
        };
        assert_eq!(accepted, Ok(expected));
    }
    assert_eq!(read_all(&mut buffer), octets(1..301));
    assert!(buffer.is_idle());
    buffer.release();
    assert_eq!(buffer.memory(), 0);
}

#[test]
fn much_memory_for_little_is_given_back() {
    let mut buffer = buffer(1, 100_000);
    for start in (1..90_000).step_by(1000) {
        buffer
            .accept(start, &octets(start..start + 1000), false)
            .unwrap();
    }
    assert!(!buffer.is_idle());
    buffer.consume(89_000);
    buffer
        .accept(90_101, &octets(90_101..90_201), false)
        .unwrap();
    assert!(buffer.is_idle());
    buffer.release();
    assert!(buffer.memory() < 8192, "{}", buffer.memory());
    assert!(!buffer.is_idle());
    buffer
        .accept(90_001, &octets(90_001..90_101), false)
        .unwrap();
    assert_eq!(read_all(&mut buffer), octets(89_001..90_201));
}

#[test]
fn holes_are_told_and_filled() {
    let mut buffer = buffer(0, 10_000);
    for start in [300, 100, 500, 700] {
        let accepted = buffer.accept(start, &octets(start..start + 50), false);
        assert!(accepted.unwrap().has_hole);
    }
    // The latest first, then those before it.
    assert_eq!(
        blocks(&mut buffer),
        [(700, 750), (500, 550), (100, 150), (300, 350)]
    );
    let accepted = buffer.accept(0, &octets(0..100), false).unwrap();
    assert!(accepted.in_order && accepted.has_hole);
    assert_eq!(buffer.window().next(), 150);
    assert_eq!(read_all(&mut buffer), octets(0..150));
    // One that closes several holes at once (C23).
    let accepted = buffer.accept(150, &octets(150..700), false).unwrap();
    assert_eq!(accepted.newly, 550 - 100);
    assert!(!accepted.has_hole);
    assert_eq!(read_all(&mut buffer), octets(150..750));
    assert_eq!(blocks(&mut buffer), [(300, 350)], "what came twice is told");
    assert_eq!(blocks(&mut buffer), []);
}

#[test]
fn what_comes_twice_is_told_first_and_once() {
    let mut buffer = buffer(0, 10_000);
    buffer.accept(0, &octets(0..100), false).unwrap();
    buffer.accept(200, &octets(200..300), false).unwrap();
    let accepted = buffer.accept(50, &octets(50..80), false).unwrap();
    assert_eq!(accepted.newly, 0);
    assert_eq!(blocks(&mut buffer), [(50, 80), (200, 300)]);
    assert_eq!(blocks(&mut buffer), [(200, 300)]);
    buffer.accept(250, &octets(250..350), false).unwrap();
    assert_eq!(blocks(&mut buffer), [(250, 300), (200, 350)]);
}

/// C34: a repetition that is longer than the original.
#[test]
fn old_and_new_in_one_segment() {
    let mut buffer = buffer(0, 1000);
    buffer.accept(0, b"abc", false).unwrap();
    assert_eq!(read_all(&mut buffer), b"abc");
    let accepted = buffer.accept(0, b"abcdef", false).unwrap();
    assert_eq!(accepted.newly, 3);
    assert_eq!(read_all(&mut buffer), b"def");
}

#[test]
fn what_lies_beyond_the_edge_is_cut_off() {
    let mut buffer = buffer(10, 20);
    let accepted = buffer.accept(25, &octets(25..100), true).unwrap();
    assert_eq!(accepted.newly, 5);
    // R14: the FIN stood behind what was cut off.
    assert!(!buffer.accept(10, &octets(10..25), false).unwrap().ended);
    assert_eq!(read_all(&mut buffer), octets(10..30));
    let accepted = buffer.accept(100, &octets(100..200), false).unwrap();
    assert_eq!(accepted, Accepted::default());
}

/// C4, C7 and R14.
#[test]
fn fin_matrix() {
    // In order, with data and alone.
    let mut stream = buffer(0, 100);
    assert!(stream.accept(0, b"ab", true).unwrap().ended);
    assert_eq!(stream.window().next(), 3);
    assert_eq!(read_all(&mut stream), b"ab");
    // Twice, and with data behind it.
    assert!(!stream.accept(0, b"ab", true).unwrap().ended);
    assert_eq!(stream.accept(2, b"cd", false).unwrap().newly, 0);
    assert_eq!(stream.window().next(), 3);

    // Behind a hole: it counts when the hole is filled.
    let mut stream = buffer(0, 100);
    let accepted = stream.accept(2, b"cd", true).unwrap();
    assert!(!accepted.ended && accepted.has_hole);
    assert_eq!(read_all(&mut stream), b"");
    assert!(stream.accept(0, b"ab", false).unwrap().ended);
    assert_eq!(read_all(&mut stream), b"abcd");

    // With an overlap on the left.
    let mut stream = buffer(0, 100);
    stream.accept(0, b"ab", false).unwrap();
    assert!(stream.accept(0, b"abcd", true).unwrap().ended);

    // Alone, when the window is closed.
    let mut stream = buffer(0, 6);
    stream.accept(0, b"abcdef", false).unwrap();
    assert_eq!(stream.window().open(), 6..6);
    assert!(stream.accept(6, b"", true).unwrap().ended);
    assert_eq!(stream.window().next(), 7);
    assert_eq!(read_all(&mut stream), b"abcdef");

    // One that stands before octets that came is no end.
    let mut stream = buffer(0, 100);
    stream.accept(10, b"later", false).unwrap();
    assert!(!stream.accept(0, b"ab", true).unwrap().ended);
    stream.accept(2, b"cdefghij", false).unwrap();
    assert_eq!(read_all(&mut stream), b"abcdefghijlater");
    assert!(!stream.has_ended());
}

/// C22, C24, G6: a table full of pieces refuses more of them, unchanged, and never what fills the first hole.
#[test]
fn a_full_table_takes_the_one_that_helps() {
    let mut buffer = buffer(0, 60_000);
    let mut taken = 0;
    while let Ok(accepted) =
        buffer.accept(2 + 2 * taken, &octets(2 + 2 * taken..3 + 2 * taken), false)
    {
        assert_eq!(accepted.newly, 1);
        taken += 1;
        assert!(taken < 1000, "the table is bounded");
    }
    let refused = 2 + 2 * taken;
    let before = (blocks(&mut buffer), buffer.memory());
    assert_eq!(
        buffer.accept(refused, &octets(refused..refused + 1), false),
        Err(Refused::TooFragmented)
    );
    assert_eq!((blocks(&mut buffer), buffer.memory()), before);
    // One that touches a piece needs no place, and neither does the one at RCV.NXT.
    assert!(buffer.accept(3, &octets(3..4), false).is_ok());
    assert!(buffer.accept(0, &octets(0..2), false).unwrap().in_order);
    assert_eq!(read_all(&mut buffer), octets(0..5));
}

/// R23: who sends other octets the second time changes nothing that was told to have arrived.
#[test]
fn the_first_copy_counts() {
    let mut buffer = buffer(0, 100);
    buffer.accept(4, b"4567", false).unwrap();
    buffer.accept(2, b"xxxxxxxx", false).unwrap();
    buffer.accept(0, b"01", false).unwrap();
    assert_eq!(read_all(&mut buffer), b"01xx4567xx");
}

proptest! {
    /// The seed of it all: a peer that uses all it was ever promised, in any order, with any cuts, and a reader of any speed.
    #[test]
    fn every_octet_inside_the_promise_is_kept(
        start in prop::sample::select(vec![1_u64, (1 << 31) - 3, (1 << 32) - 5]),
        limit in prop::sample::select(vec![1_u64, 64, 1000, 65_535, 131_072, 262_144]),
        steps in prop::collection::vec((0_u64..1 << 18, 1_u64..3000, 0_u64..4000, any::<bool>()), 1..200),
    ) {
        let shift = ReceiveWindow::shift_for(limit);
        let mut buffer = ReceiveBuffer::new(start, limit, Some(shift));
        let mut promised = start + u64::from(buffer.window_mut().advertise_unshifted());
        let mut arrived = RangeSet::<64>::new();
        let mut read = Vec::new();
        for (at, length, is_read, told) in steps {
            let next = buffer.window().next();
            let from = next + if promised > next { at % (promised - next) } else { 0 };
            let to = (from + length).min(promised);
            let accepted = buffer.accept(from, &octets(from..to.max(from)), false);
            if accepted.is_ok() {
                arrived.insert(from..to.max(from)).unwrap();
            } else {
                prop_assert_eq!(accepted, Err(Refused::TooFragmented));
            }
            let mut room = vec![0; is_read as usize];
            let got = buffer.read(&mut room);
            read.extend_from_slice(&room[..got]);
            if told {
                let field = buffer.window_mut().advertise(MSS);
                promised = promised.max(buffer.window().next() + (u64::from(field) << shift));
            }
            let order_ends = arrived.first().filter(|first| first.start <= start).map_or(start, |first| first.end);
            prop_assert_eq!(buffer.window().next(), order_ends);
            prop_assert!(promised - buffer.window().read() <= buffer.window().bound());
            let room_for = buffer.window().bound().next_power_of_two().max(4096) as usize;
            prop_assert!(buffer.memory() <= room_for + 4096);
        }
        read.extend(read_all(&mut buffer));
        prop_assert_eq!(read, octets(start..buffer.window().next()));
    }
}

use gapless_seq::RangeSet;
