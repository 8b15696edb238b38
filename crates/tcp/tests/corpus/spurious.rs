//! What was sent again for nothing, and how both sides tell.

use super::script::*;
use gapless_tcp::wire::{Options, SackBlock, Timestamps};
use gapless_tcp::{Config, Instant};

const ISS: u32 = u32::MAX - 2000;
const SEGMENT: u32 = 524;

fn blocks(list: &[(u32, u32)]) -> Options {
    let block = |&(left, right): &(u32, u32)| SackBlock {
        left: ISS.wrapping_add(1 + left * SEGMENT).into(),
        right: ISS.wrapping_add(1 + right * SEGMENT).into(),
    };
    Options {
        sack: list.iter().map(block).collect(),
        ..Options::NONE
    }
}

fn echoing(mut options: Options, stamp: u32, echo: u32) -> Options {
    options.timestamps = Some(Timestamps {
        value: stamp.into(),
        echo: echo.into(),
    });
    options
}

/// Octets in units of segments.
fn una(segments: u32) -> u32 {
    1 + segments * SEGMENT
}

/// A sender of ten segments of a size that timestamps leave of 536.
fn sender(sack: bool, stamps: bool) -> (Script, Vec<Sent>) {
    let config = Config {
        sack,
        timestamps: stamps,
        ..plain()
    };
    let offered = Options {
        sack_permitted: sack,
        timestamps: stamps.then_some(Timestamps {
            value: 1.into(),
            // The engine's clock in a script: RFC 7323 4.1.
            echo: 5077.into(),
        }),
        // So that segments are as large without them.
        ..mss(if stamps { 536 } else { 524 })
    };
    let mut script = Script::established_at(config, 60_000, ISS, 2000, offered);
    script.write(&[1; 10 * SEGMENT as usize]);
    let sent = script.fetch();
    assert_eq!(sent.len(), 10);
    // The clock of timestamps ticks in milliseconds.
    script.pass(ms(50));
    (script, sent)
}

fn stamp(sent: &Sent) -> u32 {
    sent.options.timestamps.unwrap().value.into()
}

/// RFC 2883 section 4: what came again is told, below the acknowledgment and behind a hole.
#[test]
fn rfc2883_4_duplicates_are_reported() {
    let config = Config {
        sack: true,
        ..plain()
    };
    let permitted = Options {
        sack_permitted: true,
        ..Options::NONE
    };
    let mut script = Script::established_at(config, 1000, 1, 5, permitted);
    let told = |script: &mut Script| {
        let sent = script.fetch().pop().unwrap();
        let blocks = sent.options.sack.iter();
        blocks
            .map(|block| (u32::from(block.left) - 5, u32::from(block.right) - 5))
            .collect::<Vec<_>>()
    };
    script.send(ACK, 1, 1, 1000, b"abcdef");
    assert_eq!(told(&mut script), []);
    script.send(ACK, 1, 1, 1000, b"abc");
    assert_eq!(told(&mut script), [(1, 4)]);
    script.send(ACK, 4, 1, 1000, b"defghi");
    assert_eq!(told(&mut script), [(4, 7)]);
    script.send(ACK, 20, 1, 1000, b"xyz");
    assert_eq!(told(&mut script), [(20, 23)]);
    script.send(ACK, 20, 1, 1000, b"xyz");
    assert_eq!(told(&mut script), [(20, 23), (20, 23)]);
    // Told once.
    script.send(ACK, 24, 1, 1000, b"z");
    assert_eq!(told(&mut script), [(24, 25), (20, 23)]);
}

/// RFC 3522: the acknowledgment of a repair echoes the first transmission, so nothing was lost; RFC 4015: the window is as before.
#[test]
fn rfc3522_an_early_echo_undoes_the_reduction() {
    for (echo_of_repair, undone) in [(false, 1), (true, 0)] {
        let (mut script, sent) = sender(true, true);
        let window = script.engine.stats().congestion_window;
        let first = stamp(&sent[0]);
        script.send_with(
            ACK,
            1,
            1,
            60_000,
            b"",
            echoing(blocks(&[(1, 10)]), 5, first),
        );
        let mut again = script.fetch();
        again.extend(script.wait(ms(20)).into_iter().map(|(_, sent)| sent));
        assert_eq!((again.len(), again[0].seq), (1, 1));
        assert!(script.engine.stats().congestion_window < window);
        // Later than a round trip: the time alone tells nothing.
        script.pass(ms(60));
        let echo = if echo_of_repair {
            stamp(&again[0])
        } else {
            first
        };
        script.send_with(
            ACK,
            1,
            una(10),
            60_000,
            b"",
            echoing(Options::NONE, 6, echo),
        );
        let stats = script.engine.stats().recovery;
        assert_eq!(
            (stats.congestion_events, stats.congestion_undone),
            (1, undone)
        );
        assert_eq!(
            script.engine.stats().congestion_window >= window,
            undone == 1
        );
    }
}

/// RFC 2883, RFC 8985 6.2 step 4: without timestamps the peer's report tells it; and only of what was repaired.
#[test]
fn rfc2883_a_report_undoes_the_reduction() {
    let (mut script, _) = sender(true, false);
    let window = script.engine.stats().congestion_window;
    script.send_with(ACK, 1, 1, 60_000, b"", blocks(&[(1, 3), (4, 10)]));
    let mut again = script.fetch();
    again.extend(script.wait(ms(20)).into_iter().map(|(_, sent)| sent));
    let numbers: Vec<u32> = again.iter().map(|sent| sent.seq).collect();
    assert_eq!(numbers, [una(0), una(3)]);
    script.pass(ms(60));
    script.send(ACK, 1, una(10), 60_000, b"");
    // A report of something else, a forged one, and one of half of what was repaired.
    for twice in [(5, 6), (2, 3)] {
        script.send_with(ACK, 1, una(10), 60_000, b"", blocks(&[twice]));
    }
    script.send_with(ACK, 1, una(10), 60_000, b"", blocks(&[(0, 1)]));
    script.send_with(ACK, 1, una(10), 60_000, b"", blocks(&[(0, 1)]));
    let stats = script.engine.stats().recovery;
    assert_eq!((stats.congestion_events, stats.congestion_undone), (1, 0));
    assert_eq!(stats.spurious_losses, 1, "each report counts once");
    script.send_with(ACK, 1, una(10), 60_000, b"", blocks(&[(3, 4)]));
    assert_eq!(script.engine.stats().recovery.congestion_undone, 1);
    assert!(script.engine.stats().congestion_window >= window);
}

/// RFC 4015 section 3: a timeout that was too early repeats one segment and not the flight, also for a peer without selective
/// acknowledgements.
#[test]
fn rfc4015_a_spurious_timeout_repeats_one_segment() {
    let (mut script, sent) = sender(false, true);
    script.send_with(
        ACK,
        1,
        una(1),
        60_000,
        b"",
        echoing(Options::NONE, 5, stamp(&sent[0])),
    );
    script.fetch();
    let before = script.engine.stats().congestion_window;
    let again = script.wait(ms(300));
    let resent = again.len();
    assert!((1..=2).contains(&resent), "{again:?}");
    // The flight was late, and now arrives piece by piece.
    for (at, original) in sent.iter().enumerate().skip(1) {
        script.pass(ms(2));
        let options = echoing(Options::NONE, 6 + at as u32, stamp(original));
        script.send_with(ACK, 1, una(at as u32 + 1), 60_000, b"", options);
        assert!(script.fetch().is_empty(), "again: {at}");
    }
    let stats = script.engine.stats().recovery;
    assert_eq!((stats.congestion_events, stats.congestion_undone), (1, 1));
    assert!(script.engine.stats().congestion_window >= before);
    assert_eq!(script.engine.unacknowledged(), 0);
    assert!(script.now > Instant::from_nanos(0));
}

/// Ten segments of which the first is acknowledged, two more that this lets go, data for more, and a timeout.
fn timed_out(sack: bool) -> (Script, u64) {
    let (mut script, _) = sender(sack, false);
    script.write(&[2; 20 * SEGMENT as usize]);
    script.send(ACK, 1, una(1), 60_000, b"");
    assert_eq!(script.fetch().len(), 2);
    let before = script.engine.stats().congestion_window;
    let again = script.wait(ms(300));
    let numbers: Vec<u32> = again.iter().map(|(_, sent)| sent.seq).collect();
    if !sack {
        assert_eq!(numbers, [una(1)], "one, and then an answer is waited for");
    }
    (script, before)
}

fn numbers(sent: Vec<Sent>) -> Vec<u32> {
    sent.into_iter().map(|sent| sent.seq).collect()
}

/// RFC 5682 2.1, without timestamps and blocks: the flight was late, which the order of acknowledgments tells after two new segments.
#[test]
fn rfc5682_2_1_a_timeout_that_was_too_early_is_taken_back() {
    let (mut script, before) = timed_out(false);
    assert!(script.engine.stats().congestion_window < before);
    script.send(ACK, 1, una(2), 60_000, b"");
    assert_eq!(numbers(script.fetch()), [una(12), una(13)]);
    script.pass(ms(2));
    script.send(ACK, 1, una(3), 60_000, b"");
    let stats = script.engine.stats();
    assert_eq!(
        (
            stats.recovery.congestion_events,
            stats.recovery.congestion_undone
        ),
        (1, 1)
    );
    assert!(stats.congestion_window >= before);
    // Nothing of what the timeout took for lost goes again.
    let mut sent = numbers(script.fetch());
    for at in 4..=12 {
        script.pass(ms(2));
        script.send(ACK, 1, una(at), 60_000, b"");
        sent.extend(numbers(script.fetch()));
    }
    assert!(sent.iter().all(|number| *number >= una(14)), "{sent:?}");
    assert_eq!(sent.len(), 16);
}

/// RFC 5682 2.1, 2 a and 3 a: what was lost goes again, and nothing is taken back.
#[test]
fn rfc5682_2_1_a_timeout_that_was_right_repeats_the_flight() {
    for asks_at_once in [true, false] {
        let (mut script, before) = timed_out(false);
        let mut una_now = una(1);
        if !asks_at_once {
            una_now = una(2);
            script.send(ACK, 1, una_now, 60_000, b"");
            assert_eq!(numbers(script.fetch()), [una(12), una(13)]);
        }
        // What comes behind the hole is answered by the same number: of the flight, or of the new ones.
        script.pass(ms(50));
        let mut again = Vec::new();
        for _ in 0..2 {
            script.send(ACK, 1, una_now, 60_000, b"");
            again.extend(numbers(script.fetch()));
        }
        // The peer goes on with what comes again, and with nothing else.
        if asks_at_once {
            again.push(una_now);
        }
        while una_now < una(12) {
            assert!(again.contains(&una_now), "{una_now}: {again:?}");
            script.pass(ms(50));
            una_now += SEGMENT;
            script.send(ACK, 1, una_now, 60_000, b"");
            again.extend(numbers(script.fetch()));
        }
        let stats = script.engine.stats();
        assert_eq!(stats.recovery.congestion_undone, 0);
        assert!(stats.congestion_window < before);
    }
}

/// RFC 5682 2.1, 2 b: with nothing new to send there is no question, and what may be lost goes again.
#[test]
fn rfc5682_2_1_without_new_data_the_flight_goes_again() {
    let (mut script, _) = sender(false, false);
    script.send(ACK, 1, una(1), 60_000, b"");
    script.fetch();
    assert_eq!(script.wait(ms(300)).len(), 1);
    script.send(ACK, 1, una(2), 60_000, b"");
    let again = numbers(script.fetch());
    assert_eq!(again.first(), Some(&una(2)), "{again:?}");
    script.pass(ms(50));
    script.send(ACK, 1, una(10), 60_000, b"");
    assert_eq!(script.engine.unacknowledged(), 0);
    assert_eq!(script.engine.stats().recovery.congestion_undone, 0);
}

/// Why blocks need no F-RTO (RFC 5682 section 3): for such a peer a timeout takes nothing for lost, it only asks (RFC 8985 7.3). When the
/// flight comes after all, there is nothing to take back.
#[test]
fn rfc5682_3_with_blocks_an_early_timeout_reduces_nothing() {
    let (mut script, before) = timed_out(true);
    for at in 2..=12 {
        script.pass(ms(2));
        script.send(ACK, 1, una(at), 60_000, b"");
        let sent = numbers(script.fetch());
        assert!(sent.iter().all(|number| *number >= una(12)), "{sent:?}");
    }
    let stats = script.engine.stats();
    assert_eq!(stats.recovery.congestion_events, 0);
    assert!(stats.congestion_window >= before);
}
