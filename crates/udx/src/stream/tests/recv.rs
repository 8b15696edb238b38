use alloc::vec::Vec;

use super::{STARTS, bytes, ms};
use crate::stream::recv::{Accepted, ReadError, RecvError, RecvHalf};
use crate::stream::recv_buffer::BLOCK;
use crate::stream::window::WindowConfig;

const CONFIG: WindowConfig = WindowConfig {
    initial: 65_536,
    max: 65_536,
};

fn half() -> RecvHalf {
    RecvHalf::new(&CONFIG)
}

fn data(half: &mut RecvHalf, from: u64, to: u64, fin: bool) -> Result<Accepted, RecvError> {
    half.on_data(ms(0), from, &bytes(from..to), fin)
}

fn drain(half: &mut RecvHalf) -> Vec<u8> {
    let mut out = Vec::new();
    while let Ok(Some(read)) = half.read(1000) {
        out.extend(read);
    }
    out
}

/// After the end, the end: as often as asked.
fn assert_ended(half: &mut RecvHalf) {
    for max in [0, 1, usize::MAX] {
        assert_eq!(half.read(max), Ok(None));
    }
    assert!(half.is_finished());
    assert_eq!(half.buffer().memory(), 0);
}

/// Each frame is (from, to, fin); the stream is 300 bytes in all cases.
#[test]
fn the_end_comes_when_the_bytes_reach_it() {
    type Frame = (u64, u64, bool);
    let cases: [(&str, &[Frame]); 12] = [
        ("in order, with data", &[(0, 100, false), (100, 300, true)]),
        ("in order, alone", &[(0, 300, false), (300, 300, true)]),
        (
            "behind a hole",
            &[(0, 100, false), (200, 300, true), (100, 200, false)],
        ),
        (
            "alone behind a hole",
            &[(300, 300, true), (100, 300, false), (0, 100, false)],
        ),
        ("first of all", &[(300, 300, true), (0, 300, false)]),
        (
            "overlapping on the left",
            &[(0, 200, false), (100, 300, true)],
        ),
        (
            "overlapping on the right",
            &[(200, 300, true), (0, 250, false)],
        ),
        ("within the next", &[(250, 300, true), (0, 300, false)]),
        ("over everything", &[(100, 200, false), (0, 300, true)]),
        ("twice with data", &[(0, 300, true), (0, 300, true)]),
        (
            "twice, cut otherwise",
            &[(200, 300, true), (300, 300, true), (0, 300, true)],
        ),
        (
            "late data after it",
            &[(0, 300, true), (10, 20, false), (299, 300, false)],
        ),
    ];
    for (name, frames) in cases {
        // Read at the end, and as soon as anything is there.
        for eager in [false, true] {
            let mut half = half();
            let mut out = Vec::new();
            for (from, to, fin) in frames {
                let was_readable = half.is_readable();
                let accepted = data(&mut half, *from, *to, *fin).unwrap();
                assert_eq!(
                    accepted.became_readable,
                    !was_readable && half.is_readable(),
                    "{name}"
                );
                assert_eq!(accepted.fin_known, half.final_size().is_some(), "{name}");
                if eager {
                    out.extend(drain(&mut half));
                }
            }
            assert!(half.is_complete(), "{name}");
            out.extend(drain(&mut half));
            assert_eq!(out, bytes(0..300), "{name}");
            assert_ended(&mut half);
        }
    }
}

#[test]
fn an_empty_stream_ends_at_once() {
    let mut half = half();
    assert_eq!(half.read(10), Err(ReadError::Blocked));
    let accepted = data(&mut half, 0, 0, true).unwrap();
    assert!(accepted.became_readable);
    assert_ended(&mut half);
}

/// The end becomes readable by a FIN alone after everything was read, and only then.
#[test]
fn a_late_fin_wakes_the_reader() {
    let mut half = half();
    assert!(data(&mut half, 0, 100, false).unwrap().became_readable);
    assert_eq!(drain(&mut half), bytes(0..100));
    assert_eq!(half.read(10), Err(ReadError::Blocked));
    assert!(data(&mut half, 100, 100, true).unwrap().became_readable);
    assert!(!data(&mut half, 100, 100, true).unwrap().became_readable);
    assert_ended(&mut half);
}

/// First what was received, then the frame that does not fit to it.
#[test]
fn final_sizes_that_disagree() {
    type Frame = (u64, u64, bool);
    let cases: [(&[Frame], Frame, RecvError); 9] = [
        (
            &[(0, 100, true)],
            (0, 101, false),
            RecvError::BeyondFinalSize,
        ),
        (
            &[(0, 100, true)],
            (100, 101, false),
            RecvError::BeyondFinalSize,
        ),
        (
            &[(0, 100, true)],
            (500, 501, false),
            RecvError::BeyondFinalSize,
        ),
        (
            &[(100, 100, true)],
            (0, 101, false),
            RecvError::BeyondFinalSize,
        ),
        (
            &[(0, 100, true)],
            (0, 101, true),
            RecvError::FinalSizeChanged,
        ),
        (
            &[(0, 100, true)],
            (0, 99, true),
            RecvError::FinalSizeChanged,
        ),
        (
            &[(100, 100, true)],
            (101, 101, true),
            RecvError::FinalSizeChanged,
        ),
        (
            &[(0, 100, false)],
            (99, 99, true),
            RecvError::BeyondFinalSize,
        ),
        (
            &[(200, 300, false)],
            (100, 150, true),
            RecvError::BeyondFinalSize,
        ),
    ];
    for (before, (from, to, fin), error) in cases {
        for read in [false, true] {
            let mut half = half();
            for (from, to, fin) in before {
                data(&mut half, *from, *to, *fin).unwrap();
            }
            if read {
                drain(&mut half);
            }
            let (size, highest) = (half.final_size(), half.buffer().highest());
            assert_eq!(data(&mut half, from, to, fin), Err(error));
            assert_eq!(error.reset_code(), Some(4));
            assert_eq!(
                (half.final_size(), half.buffer().highest()),
                (size, highest)
            );
        }
    }
}

/// D14, V13: a little beyond the limit is kept, more is refused, and beyond a window it is an error. What is
/// refused leaves no trace, so its FIN is not known either.
#[test]
fn beyond_the_limit() {
    for start in STARTS {
        let limit = start + 65_536;
        let mut half = RecvHalf::at(&CONFIG, start);
        assert_eq!(half.limit(), limit);
        let accepts = |half: &mut RecvHalf, end: u64| half.on_data(ms(0), end - 1, &[0], true);
        assert_eq!(
            accepts(&mut half, limit + 65_537),
            Err(RecvError::BeyondLimit)
        );
        assert_eq!(RecvError::BeyondLimit.reset_code(), Some(3));
        assert_eq!(
            half.on_data(ms(0), u64::MAX, &[0], false),
            Err(RecvError::BeyondLimit)
        );
        assert_eq!(
            accepts(&mut half, limit + 65_536),
            Err(RecvError::Overshoot)
        );
        assert_eq!(
            accepts(&mut half, limit + BLOCK + 1),
            Err(RecvError::Overshoot)
        );
        assert_eq!(RecvError::Overshoot.reset_code(), None);
        assert_eq!(half.final_size(), None);
        assert_eq!(half.buffer().memory(), 0);
        assert_eq!(
            accepts(&mut half, limit + BLOCK).map(|accepted| accepted.newly),
            Ok(1)
        );
        assert!(half.buffer().memory() <= half.memory_bound());
    }
}

/// P5, and "memory is bounded" with a window full of the dearest frames, each frame over the limit tried too.
#[test]
fn memory_stays_below_its_bound() {
    for step in [1, 7, 1371, 16_383, 16_384, 16_385] {
        for start in STARTS {
            let mut half = RecvHalf::at(&CONFIG, start);
            let mut at = start + 2 * 65_536;
            while at > start {
                let _ = half.on_data(ms(0), at, &[1], false);
                assert!(half.buffer().memory() <= half.memory_bound());
                at = at.saturating_sub(step).max(start);
            }
            assert!(half.memory_bound() <= 65_536 + 3 * BLOCK as usize + 8208 + 1024);
        }
    }
}

#[test]
fn a_reset_ends_the_half_unless_all_is_here() {
    let mut reset = half();
    data(&mut reset, 0, 100, false).unwrap();
    data(&mut reset, 300, 400, true).unwrap();
    assert!(reset.on_reset(7));
    assert!(!reset.on_reset(8), "the first code stays");
    assert_eq!(reset.read(10), Err(ReadError::Reset(7)));
    assert!(reset.is_finished() && reset.is_readable());
    assert_eq!(reset.buffer().memory(), 0);
    // What is on the way is still acknowledged (UDX 8.4), whatever it says, and not kept.
    assert_eq!(
        data(&mut reset, 100, 300, true).map(|accepted| accepted.newly),
        Ok(0)
    );
    assert_eq!(
        data(&mut reset, 1 << 40, (1 << 40) + 1, false).map(|accepted| accepted.newly),
        Ok(0)
    );
    assert_eq!(reset.buffer().memory(), 0);

    let mut complete = half();
    data(&mut complete, 0, 100, true).unwrap();
    assert!(!complete.on_reset(7));
    assert_eq!(drain(&mut complete), bytes(0..100));
    assert_ended(&mut complete);
    assert!(!complete.on_reset(7));
    assert_ended(&mut complete);
}

#[test]
fn stopping_drops_what_is_here_and_what_comes() {
    let mut open = half();
    data(&mut open, 0, 100, false).unwrap();
    assert!(open.stop(), "the sender must hear of it");
    assert!(!open.stop(), "once");
    assert_eq!(open.read(10), Err(ReadError::Stopped));
    assert_eq!(
        data(&mut open, 100, 200, false).map(|accepted| accepted.newly),
        Ok(0)
    );
    assert_eq!(open.buffer().memory(), 0);
    assert!(open.is_finished());

    // Nothing is left to send: no one need be told.
    let mut complete = half();
    data(&mut complete, 0, 100, true).unwrap();
    assert!(!complete.stop());
    assert_eq!(complete.read(10), Err(ReadError::Stopped));

    // The end was reached: it stays the end.
    let mut ended = half();
    data(&mut ended, 0, 100, true).unwrap();
    drain(&mut ended);
    assert!(!ended.stop());
    assert_ended(&mut ended);
}

/// A slow reader, in pieces of 1000 bytes, of a sender that uses all the credit it gets.
#[test]
fn a_slow_reader_gets_everything() {
    const SIZE: u64 = 500_000;
    let mut half = half();
    let mut budget = 0;
    let mut sent = 0;
    let mut out = Vec::new();
    while half.final_size().is_none() || !half.is_finished() {
        let end = half.limit().min(SIZE);
        while sent < end {
            let next = (sent + 1372).min(end);
            data(&mut half, sent, next, next == SIZE).unwrap();
            sent = next;
        }
        let before = half.limit();
        out.extend(half.read(1000).unwrap().unwrap());
        half.on_consumed(ms(0), core::time::Duration::ZERO, &mut budget);
        assert!(half.limit() >= before);
    }
    assert_eq!(out, bytes(0..SIZE));
    assert_ended(&mut half);
}

#[test]
fn reading_nothing_is_not_the_end() {
    let mut half = half();
    data(&mut half, 0, 10, false).unwrap();
    assert_eq!(half.read(0).unwrap().unwrap().len(), 0);
    assert_eq!(drain(&mut half), bytes(0..10));
    assert_eq!(half.read(0), Err(ReadError::Blocked));
}
