use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::{STARTS, byte, bytes};
use crate::stream::send_buffer::SendBuffer;

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    /// Copies and acknowledges are drawn as parts of what is held, in 1/1000.
    Copy(usize, usize),
    Ack(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let part = || (0..1000_usize, 0..1000_usize);
    prop_oneof![
        prop_oneof![0..40_usize, 1000..1050_usize, 0..5000_usize].prop_map(Step::Push),
        part().prop_map(|(at, len)| Step::Copy(at, len)),
        part().prop_map(|(at, len)| Step::Ack(at, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agrees_with_every_position_by_itself(
        base in proptest::sample::select(&STARTS[..]),
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut buffer = SendBuffer::at(base);
        // Whether the byte at `base + index` is acknowledged.
        let mut acked: Vec<bool> = Vec::new();
        for step in steps {
            let first = acked.iter().position(|acked| !acked).unwrap_or(acked.len());
            let held = acked.len() - first;
            let part = |at: usize, len: usize| {
                let from = first + held * at / 1000;
                (from, from + (acked.len() - from) * len / 1000)
            };
            match step {
                Step::Push(len) => {
                    let end = base + acked.len() as u64;
                    buffer.push(Bytes::from(bytes(end..end + len as u64))).unwrap();
                    acked.resize(acked.len() + len, false);
                }
                Step::Copy(at, len) => {
                    let (from, to) = part(at, len);
                    let mut target = vec![0; to - from];
                    prop_assert!(buffer.copy_to(base + from as u64, &mut target));
                    prop_assert_eq!(target, bytes(base + from as u64..base + to as u64));
                }
                Step::Ack(at, len) => {
                    let (from, to) = part(at, len);
                    acked[from..to].fill(true);
                    let now = acked.iter().position(|acked| !acked).unwrap_or(acked.len());
                    let freed = buffer.on_acked(base + from as u64..base + to as u64);
                    prop_assert_eq!(freed, (now - first) as u64);
                }
            }
            let first = acked.iter().position(|acked| !acked).unwrap_or(acked.len());
            prop_assert_eq!(buffer.start(), base + first as u64);
            prop_assert_eq!(buffer.end(), base + acked.len() as u64);
            prop_assert_eq!(buffer.is_empty(), first == acked.len());
            if buffer.is_empty() {
                prop_assert_eq!(buffer.memory(), 0);
            }
        }
    }
}

#[test]
fn what_is_not_held_is_not_copied() {
    let mut buffer = SendBuffer::new();
    let mut target = [0; 10];
    assert!(!buffer.copy_to(0, &mut target));
    assert!(buffer.copy_to(0, &mut []));
    buffer.push(Bytes::from(bytes(0..5000))).unwrap();
    buffer.push(Bytes::from(bytes(5000..5100))).unwrap();
    assert!(buffer.copy_to(5090, &mut target));
    assert!(!buffer.copy_to(5091, &mut target));
    assert!(!buffer.copy_to(u64::MAX, &mut target));
    buffer.on_acked(0..1);
    assert!(!buffer.copy_to(0, &mut target));
    assert!(buffer.copy_to(1, &mut target));
    // A range that was never written is not acknowledged either.
    assert_eq!(buffer.on_acked(1..u64::MAX), 5099);
    assert!(buffer.is_empty());
}

/// Large writes are handed over, not copied.
#[test]
fn large_writes_are_kept_as_they_are() {
    let mut buffer = SendBuffer::new();
    let written = Bytes::from(bytes(0..100_000));
    buffer.push(written.clone()).unwrap();
    assert!(!written.is_unique());
    buffer.on_acked(0..99_999);
    assert!(!written.is_unique());
    buffer.on_acked(99_999..100_000);
    assert!(written.is_unique());
}

/// A writer of single bytes, or of small ones between large ones, costs a bounded multiple of its bytes.
#[test]
fn small_writes_cost_a_bounded_multiple() {
    let mut bytewise = SendBuffer::new();
    for at in 0..100_000 {
        bytewise.push(Bytes::from(vec![byte(at)])).unwrap();
    }
    assert!(bytewise.memory() <= 2 * 100_000, "{}", bytewise.memory());
    let mut target = vec![0; 100_000];
    assert!(bytewise.copy_to(0, &mut target));
    assert_eq!(target, bytes(0..100_000));
    // They are let go as they are acknowledged, not all at the end.
    let before = bytewise.memory();
    bytewise.on_acked(0..50_000);
    assert!(bytewise.memory() < before - 50_000 + 16_384);

    let mut mixed = SendBuffer::new();
    for _ in 0..100 {
        mixed.push(Bytes::from(vec![1; 1024])).unwrap();
        mixed.push(Bytes::from(vec![2; 1])).unwrap();
    }
    assert!(mixed.memory() <= 2 * 102_500, "{}", mixed.memory());
}

/// Acknowledgements from behind leave one entry for each gap and none when the gaps close.
#[test]
fn acknowledged_ranges_merge() {
    let mut buffer = SendBuffer::new();
    buffer.push(Bytes::from(bytes(0..10_000))).unwrap();
    let empty = buffer.memory();
    for at in (1..10).rev() {
        assert_eq!(buffer.on_acked(at * 1000..at * 1000 + 500), 0);
    }
    for at in 1..10 {
        assert_eq!(buffer.on_acked(at * 1000 + 400..(at + 1) * 1000), 0);
    }
    assert_eq!(buffer.memory(), empty + 32, "one range is left");
    assert_eq!(buffer.on_acked(0..1000), 10_000);
}

/// What was never sent is let go from the end, wherever the end of a chunk or of the stage is.
#[test]
fn the_end_can_be_cut_off() {
    for cut in [0, 1, 1023, 1024, 1500, 3000, 3100, 4095, 4096, 9999] {
        for start in [0, 700, 2000] {
            let mut buffer = SendBuffer::new();
            buffer.push(Bytes::from(bytes(0..1024))).unwrap();
            buffer.push(Bytes::from(bytes(1024..3072))).unwrap();
            buffer.push(Bytes::from(bytes(3072..3300))).unwrap();
            buffer.push(Bytes::from(bytes(3300..4096))).unwrap();
            buffer.on_acked(0..start);
            buffer.truncate(cut);
            let end = cut.clamp(start, 4096);
            assert_eq!((buffer.start(), buffer.end()), (start, end), "cut at {cut}");
            let mut target = vec![0; (end - start) as usize];
            assert!(buffer.copy_to(start, &mut target));
            assert_eq!(target, bytes(start..end));
            assert!(end == start || !buffer.copy_to(end - 1, &mut [0; 2]));
            // It goes on from there.
            buffer.push(Bytes::from(bytes(end..end + 2000))).unwrap();
            let mut target = vec![0; 2000];
            assert!(buffer.copy_to(end, &mut target) && target == bytes(end..end + 2000));
        }
    }
}

#[test]
fn all_acknowledged_bytes_are_counted_in_any_order() {
    let mut buffer = SendBuffer::at(50);
    buffer.push(Bytes::from(bytes(50..1050))).unwrap();
    let counts = [
        (900, 950),
        (100, 200),
        (150, 300),
        (900, 950),
        (200, 910),
        (50, 100),
    ];
    let counts = counts.map(|(from, to)| {
        buffer.on_acked(from..to);
        buffer.acknowledged() - 50
    });
    assert_eq!(counts, [50, 150, 250, 250, 850, 900]);
}
