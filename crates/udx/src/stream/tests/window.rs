use core::time::Duration;

use gapless_seq::Wire32;
use proptest::prelude::*;

use super::{STARTS, ms};
use crate::stream::window::{ReceiveWindow, WindowConfig};

const RTT: Duration = Duration::from_millis(20);
const MIB: u64 = 1 << 20;

fn plenty() -> u64 {
    1 << 40
}

#[test]
fn starts_where_every_sender_does_and_opens_once() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    assert_eq!((window.limit(), window.window()), (65_536, 65_536));
    assert_eq!(window.take_update(), None);
    assert!(window.open(ms(0), 0, &mut budget));
    assert_eq!(window.take_update(), Some(MIB));
    assert_eq!(window.take_update(), None);
    assert!(!window.open(ms(1), 0, &mut budget));
    assert_eq!(window.granted(), MIB - 65_536);
    assert_eq!(plenty() - budget, window.granted());
}

/// UDX 10.1: a quarter of the window is used up, and the reader keeps up.
#[test]
fn doubles_while_the_reader_keeps_up() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.open(ms(0), 0, &mut budget);
    assert_eq!(window.take_update(), Some(MIB));
    assert!(
        !window.on_consumed(ms(10), RTT, MIB / 4, &mut budget),
        "exactly a quarter is used"
    );
    assert!(window.on_consumed(ms(10), RTT, MIB / 4 + 1, &mut budget));
    assert_eq!(window.take_update(), Some(MIB / 4 + 1 + 2 * MIB));
    let mut consumed = MIB / 4 + 1;
    for expected in [4, 8, 16, 16, 16] {
        consumed = window.limit() - 1;
        assert!(window.on_consumed(ms(20), RTT, consumed, &mut budget));
        assert_eq!(window.take_update(), Some(consumed + expected * MIB));
    }
    assert_eq!(window.granted(), 16 * MIB - 65_536);
    // A slow one gets credit, but no more window.
    let mut slow = ReceiveWindow::new(&WindowConfig::default());
    slow.open(ms(0), 0, &mut budget);
    assert!(slow.on_consumed(ms(41), RTT, MIB - 1, &mut budget));
    assert_eq!(slow.window(), MIB);
    assert_eq!(slow.limit(), 2 * MIB - 1);
    assert!(consumed < window.limit());
}

#[test]
fn grows_no_further_than_the_budget() {
    let mut budget = 100_000;
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.open(ms(0), 0, &mut budget);
    assert_eq!((window.window(), budget), (165_536, 0));
    assert!(window.on_consumed(ms(1), RTT, 165_000, &mut budget));
    assert_eq!(window.take_update(), Some(330_536));
    let mut poor = ReceiveWindow::new(&WindowConfig::default());
    assert!(!poor.open(ms(0), 0, &mut budget), "nothing to say");
    assert_eq!(poor.limit(), 65_536);
    assert!(poor.on_consumed(ms(0), RTT, 32_769, &mut budget));
    assert_eq!(poor.take_update(), Some(32_769 + 65_536));
}

/// Whatever is configured stays between what the sender assumes and what the wire can say.
#[test]
fn configurations_are_clamped() {
    let mut budget = u64::MAX;
    for (initial, max) in [(0, 0), (u64::MAX, u64::MAX), (MIB, 0), (0, u64::MAX)] {
        let mut window = ReceiveWindow::new(&WindowConfig { initial, max });
        window.open(ms(0), 0, &mut budget);
        let mut consumed = 0;
        for _ in 0..40 {
            consumed += window.window() / 2 + 1;
            window.on_consumed(ms(0), RTT, consumed, &mut budget);
        }
        assert!((65_536..=1 << 30).contains(&window.window()));
    }
}

proptest! {
    /// R4, R5, and the budget: the limit never falls, never is more than a window beyond the consumed bytes, and
    /// what was granted is what the budget lacks.
    #[test]
    fn never_falls_and_never_promises_too_much(
        start in proptest::sample::select(&STARTS[..]),
        initial in 0..4 * MIB,
        max in 0..64 * MIB,
        given in 0..64 * MIB,
        steps in proptest::collection::vec((0..30_u64, 0..1001_u64, 0..6_u8), 1..100),
    ) {
        let mut budget = given;
        let mut window = ReceiveWindow::at(&WindowConfig { initial, max }, start);
        // The sender as UDX 10.1 has it; some updates do not reach it.
        let mut held = start + 65_536;
        let (mut now, mut consumed) = (0, start);
        for (pause, part, what) in steps {
            let before = window.limit();
            now += pause;
            match what {
                0 => { window.open(ms(now), consumed, &mut budget); }
                1 => { window.on_timeout(ms(now)); }
                2 => window.restate(),
                3 => { window.on_data(ms(now), held); }
                _ => {
                    consumed += (held - consumed) * part / 1000;
                    window.on_data(ms(now), consumed);
                    window.on_consumed(ms(now), RTT, consumed, &mut budget);
                }
            }
            prop_assert!(window.limit() >= before);
            prop_assert!(window.limit() <= consumed.max(start) + window.window());
            prop_assert_eq!(given - budget, window.granted());
            if let Some(limit) = window.take_update()
                && part % 3 != 0
            {
                prop_assert_eq!(Wire32::truncate(limit).expand(held), limit);
                held = held.max(limit);
            }
        }
    }
}

/// V5, D13: an answer to STREAM_DATA_BLOCKED repeats the limit without raising it.
#[test]
fn says_the_limit_again_when_asked() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.restate();
    assert_eq!(window.take_update(), Some(65_536));
    window.open(ms(0), 0, &mut budget);
    assert_eq!(window.take_update(), Some(MIB));
    window.close();
    assert_eq!(window.take_update(), None);
    window.restate();
    assert_eq!(window.take_update(), Some(MIB));
    // But a closed one promises nothing new.
    assert!(!window.on_consumed(ms(0), RTT, MIB, &mut budget));
    assert_eq!(window.limit(), MIB);
}

/// V5: the sender stands at a former limit, for the update may be lost: it is said again, at growing
/// intervals, a limited number of times.
#[test]
fn says_a_limit_again_that_may_be_lost() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.on_data(ms(0), 65_536);
    window.open(ms(0), 65_536, &mut budget);
    assert_eq!(window.take_update(), Some(65_536 + MIB));
    let mut now = 0;
    let mut said = 0;
    while let Some(at) = window.next_deadline() {
        assert!(!window.on_timeout(ms(now)), "early");
        now += 250 << said;
        assert_eq!(at, ms(now));
        assert!(window.on_timeout(at));
        assert_eq!(window.take_update(), Some(65_536 + MIB));
        assert!(!window.on_timeout(at), "twice");
        said += 1;
    }
    assert_eq!((said, now), (7, 31_750));
}

/// UDX2 9.1, H14: Go goes beyond its limit by a packet, then stops there and never asks. The next limit may be lost like any other.
#[test]
fn says_a_limit_again_to_one_who_went_beyond_the_last() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.suit(true, MIB);
    window.on_data(ms(0), 66_000);
    window.open(ms(0), 66_000, &mut budget);
    let limit = window.take_update().unwrap();
    for at in [100, 300, 700, 1500, 2500, 3500] {
        assert_eq!(window.next_deadline(), Some(ms(at)));
        assert!(window.on_timeout(ms(at)));
        assert_eq!(window.take_update(), Some(limit));
    }
    // What lies further beyond than a packet proves that it was heard.
    window.on_data(ms(3600), 65_536 + 2_049);
    assert_eq!(window.next_deadline(), None);
}

/// A sender with credit, or one that proved to have heard, is left in peace.
#[test]
fn does_not_repeat_what_was_heard() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.on_data(ms(0), 100);
    window.open(ms(0), 100, &mut budget);
    assert_eq!(window.next_deadline(), None, "it has 65436 bytes of credit");
    window.on_data(ms(1), 65_000);
    assert_eq!(
        window.next_deadline(),
        Some(ms(251)),
        "a whole frame does not fit"
    );
    window.on_data(ms(100), 65_536);
    assert_eq!(window.next_deadline(), Some(ms(350)), "new data postpones");
    window.on_data(ms(110), 65_537);
    assert_eq!(window.next_deadline(), None, "it has heard");
    // Less than half of the window is left, and none was read: UDX V5.
    window.on_data(ms(120), MIB / 2 + 200);
    assert_eq!(window.next_deadline(), Some(ms(370)));
    window.close();
    assert_eq!(window.next_deadline(), None);
}

/// It may stand at any of several limits said since.
#[test]
fn remembers_several_former_limits() {
    let mut budget = 0;
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    let mut limits = [0; 3];
    for (index, limit) in limits.iter_mut().enumerate() {
        window.on_consumed(ms(0), RTT, (index as u64 + 1) * 40_000, &mut budget);
        *limit = window.limit();
    }
    assert_eq!(limits, [105_536, 145_536, 185_536]);
    for (highest, stuck) in [
        (60_000, false),
        (65_536, true),
        (70_000, false),
        (105_536, true),
        (105_537, false),
        (145_000, true),
        (145_537, false),
    ] {
        window.on_data(ms(0), highest);
        assert_eq!(window.next_deadline().is_some(), stuck, "{highest}");
    }
}

/// UDX2 H14: until the sender proves that it knows, and it may go a packet beyond its limit without knowing more (UDX2 9.1).
#[test]
fn a_sender_that_never_asks_is_told_without_end() {
    let mut budget = plenty();
    let mut window = ReceiveWindow::new(&WindowConfig::default());
    window.suit(true, 1 << 24);
    window.open(ms(0), 0, &mut budget);
    assert!(window.take_update().is_some());
    let mut now = 0;
    let mut pauses = std::vec::Vec::new();
    for highest in [65_536, 65_536 + 1372] {
        window.on_data(ms(now), highest);
        for _ in 0..100 {
            let at = window.next_deadline().expect("it may be stuck");
            pauses.push(at.saturating_duration_since(ms(now)).as_millis());
            now = at.as_nanos() / 1_000_000;
            assert!(window.on_timeout(at));
            assert_eq!(window.take_update(), Some(MIB));
        }
    }
    assert_eq!(pauses[..6], [100, 200, 400, 800, 1000, 1000]);
    assert!(pauses[6..100].iter().all(|pause| *pause == 1000));
    // Beyond what it could have sent without the update.
    window.on_data(ms(now), 65_536 + 2049);
    assert_eq!(window.next_deadline(), None);
}
