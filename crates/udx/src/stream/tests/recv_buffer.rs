use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use proptest::prelude::*;

use super::{STARTS, bytes};
use crate::stream::recv_buffer::{BLOCK, RecvBuffer, Refused, memory_bound};

/// Every position by itself: the definition that the buffer must agree with.
struct Model {
    base: u64,
    held: Vec<Option<u8>>,
    consumed: usize,
}

impl Model {
    fn at(base: u64) -> Self {
        Self {
            base,
            held: Vec::new(),
            consumed: 0,
        }
    }

    /// The first byte to come to a position stays.
    fn insert(&mut self, at: usize, data: &[u8]) -> u64 {
        if self.held.len() < at + data.len() {
            self.held.resize(at + data.len(), None);
        }
        let mut newly = 0;
        for (place, byte) in self.held[at..].iter_mut().zip(data) {
            if place.is_none() {
                *place = Some(*byte);
                newly += 1;
            }
        }
        newly
    }

    fn edge(&self) -> usize {
        let missing = self.held.iter().position(Option::is_none);
        missing.unwrap_or(self.held.len())
    }

    /// All that the buffer gives out is right and next, and it gives something if there is something.
    fn check_read(&mut self, max: usize, read: Option<&[u8]>) {
        let readable = self.edge() - self.consumed;
        let got = read.unwrap_or_default();
        assert!(got.len() <= max.min(readable));
        assert_eq!(got.is_empty(), max == 0 || readable == 0);
        for byte in got {
            assert_eq!(self.held[self.consumed], Some(*byte));
            self.consumed += 1;
        }
    }

    fn check(&self, buffer: &RecvBuffer, span: u64) {
        let highest = self
            .held
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1);
        assert_eq!(buffer.consumed() - self.base, self.consumed as u64);
        assert_eq!(buffer.edge() - self.base, self.edge() as u64);
        assert_eq!(buffer.highest() - self.base, highest as u64);
        assert_eq!(buffer.readable(), (self.edge() - self.consumed) as u64);
        assert!(buffer.memory() <= memory_bound(span));
        if buffer.consumed() == buffer.highest() {
            assert_eq!(buffer.memory(), 0, "a drained buffer holds no memory");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The frame's first byte is at `at`, its content drawn from `seed`: overlapping frames differ.
    Insert {
        at: usize,
        len: usize,
        seed: u8,
    },
    Read {
        max: usize,
    },
}

fn step(span: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..span, 0..3000_usize, any::<u8>())
            .prop_map(|(at, len, seed)| Step::Insert { at, len, seed }),
        1 => prop_oneof![Just(0), Just(1), 2..40_000_usize, Just(usize::MAX)]
            .prop_map(|max| Step::Read { max }),
    ]
}

fn agree(base: u64, steps: &[Step]) {
    let mut buffer = RecvBuffer::at(base);
    let mut model = Model::at(base);
    for step in steps {
        match *step {
            Step::Insert { at, len, seed } => {
                let data: Vec<u8> = (0..len).map(|n| seed.wrapping_add(n as u8)).collect();
                let newly = model.insert(at, &data);
                assert_eq!(buffer.insert(base + at as u64, &data), Ok(newly));
            }
            Step::Read { max } => {
                let read = buffer.read(max);
                model.check_read(max, read.as_deref());
            }
        }
        model.check(&buffer, 70_000);
    }
    while let Some(read) = buffer.read(usize::MAX) {
        model.check_read(usize::MAX, Some(&read));
    }
    model.check(&buffer, 70_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn agrees_with_every_position_by_itself(
        base in proptest::sample::select(&STARTS[..]),
        steps in proptest::collection::vec(step(60_000), 0..60),
    ) {
        agree(base, &steps);
    }

    /// Few positions, so that frames meet in every way.
    #[test]
    fn agrees_where_frames_are_crowded(
        base in proptest::sample::select(&STARTS[..]),
        frames in proptest::collection::vec((0..40_usize, 0..12_usize, any::<u8>(), 0..9_usize), 0..40),
    ) {
        let steps: Vec<Step> = frames
            .into_iter()
            .flat_map(|(at, len, seed, max)| [Step::Insert { at, len, seed }, Step::Read { max }])
            .collect();
        agree(base, &steps);
    }
}

/// Inserts frames of the true stream in this order, reading `max` after each, and checks that what comes
/// out is the stream, as far as the frames cover it without a gap.
fn deliver(base: u64, frames: &[Range<u64>], max: usize) {
    let mut buffer = RecvBuffer::at(base);
    let mut out = Vec::new();
    let mut covered = [false; 16];
    for frame in frames {
        let newly = buffer
            .insert(
                base + frame.start,
                &bytes(base + frame.start..base + frame.end),
            )
            .unwrap();
        let mut expected = 0;
        for at in frame.clone() {
            let place = &mut covered[at as usize];
            expected += u64::from(!*place);
            *place = true;
        }
        assert_eq!(newly, expected, "{frames:?}");
        out.extend(buffer.read(max).into_iter().flatten());
    }
    while let Some(read) = buffer.read(usize::MAX) {
        out.extend(read);
    }
    let reach = covered.iter().position(|held| !held).unwrap() as u64;
    assert_eq!(out, bytes(base..base + reach), "{frames:?}");
}

fn permutations(
    frames: &[Range<u64>],
    chosen: &mut Vec<Range<u64>>,
    used: &mut [bool],
    visit: &mut impl FnMut(&[Range<u64>]),
) {
    visit(chosen);
    for index in 0..frames.len() {
        if !used[index] {
            used[index] = true;
            chosen.push(frames[index].clone());
            permutations(frames, chosen, used, visit);
            chosen.pop();
            used[index] = false;
        }
    }
}

/// V1, and UDX 9: re-packetised, coalesced, nested, repeated. Every subset of six frames in every order, on
/// both sides of a block's end.
#[test]
fn six_frames_in_every_order() {
    let worlds: [[Range<u64>; 6]; 5] = [
        [0..2, 2..4, 4..6, 6..8, 8..10, 10..12],
        [0..4, 2..6, 4..8, 6..10, 8..12, 10..14],
        [0..12, 1..11, 2..10, 3..9, 4..8, 5..7],
        [0..3, 0..3, 3..6, 0..6, 5..9, 6..9],
        [4..8, 4..10, 0..6, 8..8, 10..11, 0..1],
    ];
    for world in &worlds {
        for base in [0, BLOCK - 5] {
            permutations(world, &mut Vec::new(), &mut [false; 6], &mut |frames| {
                deliver(base, frames, 3);
                deliver(base, frames, 0);
            });
        }
    }
}

/// Every sequence of four frames that a stream of five bytes can be cut into.
#[test]
fn every_four_frames_of_five_bytes() {
    let all: Vec<Range<u64>> = (0..5)
        .flat_map(|start| (start + 1..=5).map(move |end| start..end))
        .collect();
    for a in &all {
        for b in &all {
            for c in &all {
                for d in &all {
                    deliver(BLOCK - 3, &[a.clone(), b.clone(), c.clone(), d.clone()], 2);
                }
            }
        }
    }
}

#[test]
fn in_order_packets_come_out_as_whole_blocks() {
    let mut buffer = RecvBuffer::new();
    let stream = bytes(0..50_000);
    for (index, packet) in stream.chunks(1372).enumerate() {
        assert_eq!(
            buffer.insert(index as u64 * 1372, packet),
            Ok(packet.len() as u64)
        );
    }
    let mut out = Vec::new();
    let mut sizes = Vec::new();
    while let Some(read) = buffer.read(usize::MAX) {
        sizes.push(read.len());
        out.extend(read);
    }
    assert_eq!(sizes, [16_384, 16_384, 16_384, 50_000 - 3 * 16_384]);
    assert_eq!(out, stream);
    assert_eq!(buffer.memory(), 0);
}

/// Reading gives parts of the block itself, and what is read does not change when more arrives.
#[test]
fn reading_does_not_copy() {
    let mut buffer = RecvBuffer::new();
    buffer.insert(0, &bytes(0..1000)).unwrap();
    let first = buffer.read(400).unwrap();
    let second = buffer.read(500).unwrap();
    assert_eq!(first.as_ptr().wrapping_add(400), second.as_ptr());
    buffer.insert(1000, &bytes(1000..2000)).unwrap();
    let third = buffer.read(usize::MAX).unwrap();
    assert_eq!(second.as_ptr().wrapping_add(500), third.as_ptr());
    assert_eq!(first, bytes(0..400));
    assert_eq!(second, bytes(400..900));
    assert_eq!(third, bytes(900..2000));
    assert_eq!(buffer.memory(), 0);
}

/// P5: the dearest a sender can be is one byte in every block, in any order.
#[test]
fn one_byte_in_each_block_costs_no_more_than_the_window() {
    const WINDOW: u64 = 1 << 22;
    let blocks = WINDOW / BLOCK;
    let forward: Vec<u64> = (0..blocks).collect();
    let backward: Vec<u64> = (0..blocks).rev().collect();
    let scattered: Vec<u64> = (0..blocks).map(|n| n * 97 % blocks).collect();
    for order in [forward, backward, scattered] {
        for start in STARTS {
            let mut buffer = RecvBuffer::at(start);
            for block in &order {
                let at = start + (block + 1) * BLOCK - 1;
                buffer.insert(at, &[7]).unwrap();
                assert!(buffer.memory() <= memory_bound(WINDOW));
            }
            assert_eq!(buffer.readable(), 0);
        }
    }
    // The bound itself is the window, two blocks, and half a percent for the books.
    assert!(memory_bound(WINDOW) as u64 <= WINDOW + 2 * BLOCK + WINDOW / 256 + 8400);
}

/// The index of blocks grows by doubling: here from 15 places to 30 for the sake of the sixteenth block, while
/// every block is held and the first byte is missing.
#[test]
fn a_full_window_with_the_largest_index_keeps_the_bound() {
    let start = BLOCK - 2;
    let span = 14 * BLOCK + 3;
    let mut buffer = RecvBuffer::at(start);
    let end = start + span;
    buffer.insert(end - 2, &[1]).unwrap();
    buffer
        .insert(start + 1, &vec![1; (span - 1) as usize])
        .unwrap();
    assert_eq!((buffer.readable(), buffer.highest()), (0, end));
    assert!(buffer.memory() as u64 > 16 * BLOCK);
    assert!(buffer.memory() <= memory_bound(span));
    // All but the byte that is waited for was there.
    buffer.insert(start, &[1]).unwrap();
    assert_eq!(buffer.readable(), span);
}

/// R16, V13: when no more runs are kept, a frame that needs one is refused and leaves no trace, while the one
/// that is waited for is taken, and so is one that joins what is there.
#[test]
fn too_many_runs_are_refused_but_the_next_byte_never() {
    let mut buffer = RecvBuffer::new();
    for run in 1..=512 {
        assert_eq!(buffer.insert(run * 10, &[1]), Ok(1));
    }
    let memory = buffer.memory();
    assert_eq!(buffer.insert(6000, &[1; 4]), Err(Refused::TooFragmented));
    assert_eq!(buffer.insert(15, &[1; 2]), Err(Refused::TooFragmented));
    assert_eq!((buffer.memory(), buffer.highest()), (memory, 5121));
    // Repeated, touching from both sides, and overlapping.
    assert_eq!(buffer.insert(20, &[1]), Ok(0));
    assert_eq!(buffer.insert(11, &[1]), Ok(1));
    assert_eq!(buffer.insert(5119, &[1; 4]), Ok(3));
    // At the edge: alone it needs no run, and it may join many.
    assert_eq!(buffer.insert(0, &[1]), Ok(1));
    assert_eq!(buffer.insert(1, &[1; 40]), Ok(40 - 5));
    assert_eq!(buffer.edge(), 41);
    // Now there is room again.
    assert_eq!(buffer.insert(6000, &[1; 4]), Ok(4));
    assert_eq!(
        buffer.insert(0, &vec![2; 6000]),
        Ok(6000 - 41 - 511 + 3 - 3)
    );
    assert_eq!(buffer.edge(), 6004);
}

#[test]
fn positions_that_no_window_reaches_are_refused() {
    let mut buffer = RecvBuffer::new();
    for offset in [1 << 32, u64::MAX - 1, u64::MAX] {
        assert_eq!(buffer.insert(offset, &[1]), Err(Refused::TooFar));
    }
    assert_eq!(buffer.insert(u64::MAX, &[1, 2, 3]), Err(Refused::TooFar));
    assert_eq!(buffer.memory(), 0);
    let mut last = RecvBuffer::at(u64::MAX - 3);
    assert_eq!(last.insert(u64::MAX - 3, &[1, 2, 3]), Ok(3));
    assert_eq!(last.read(9).as_deref(), Some(&[1, 2, 3][..]));
}

#[test]
fn discarding_forgets_bytes_and_keeps_positions() {
    let mut buffer = RecvBuffer::new();
    buffer.insert(0, &[1; 100]).unwrap();
    buffer.insert(20_000, &[1; 100]).unwrap();
    buffer.discard();
    assert_eq!(buffer.memory(), 0);
    assert_eq!((buffer.readable(), buffer.highest()), (0, 20_100));
    assert_eq!(buffer.insert(50, &[1; 100]), Ok(0));
}
