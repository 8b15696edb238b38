//! Acknowledgments: ours, the peer's, and the timers that wait for them.

use super::script::*;
use gapless_tcp::wire::{Options, SackBlock, Timestamps};
use gapless_tcp::{CloseReason, Config, KeepAlive, State};

const SACK: Options = Options {
    sack_permitted: true,
    ..Options::NONE
};

fn with_sack() -> Config {
    Config {
        sack: true,
        receive_buffer: 60_000,
        ..plain()
    }
}

fn blocks(list: &[(u32, u32)]) -> Options {
    Options {
        sack: list
            .iter()
            .map(|&(left, right)| SackBlock {
                left: left.into(),
                right: right.into(),
            })
            .collect(),
        ..Options::NONE
    }
}

/// A9: blocks on both sides of every number that wraps.
#[test]
fn a9_sack_blocks_near_wrap() {
    for irs in [0xffff_ff00, 0x7fff_ff00, u32::MAX - 300, 0] {
        let mut script = Script::established_at(with_sack(), 1000, 1, irs, SACK);
        for at in [301, 501] {
            script.send(ACK, at, 1, 1000, &[1; 10]);
        }
        let sent = script.fetch().pop().unwrap();
        let told: Vec<(u32, u32)> = sent
            .options
            .sack
            .iter()
            .map(|block| (u32::from(block.left), u32::from(block.right)))
            .collect();
        let of = |at: u32| irs.wrapping_add(at);
        assert_eq!(told, [(of(501), of(511)), (of(301), of(311))]);
    }
}

/// U23: blocks below the acknowledgment, above what was sent, empty, reversed: they mean nothing.
#[test]
fn u23_senseless_blocks_mean_nothing() {
    let mut script = Script::established_at(with_sack(), 60_000, 0, 1, SACK);
    script.write(&[1; 5000]);
    assert_eq!(script.fetch().len(), 10);
    let senseless = [
        (0, 1),
        (5, 5),
        (900, 800),
        (7000, 8000),
        (1, 5002),
        (0, u32::MAX),
    ];
    for (left, right) in senseless {
        script.send_with(ACK, 1, 1, 60_000, b"", blocks(&[(left, right)]));
    }
    script.fetch_nothing();
    // The last one with sense: everything but the first segment arrived.
    script.send_with(ACK, 1, 1, 60_000, b"", blocks(&[(537, 5001)]));
    let sent = script.wait(ms(600));
    assert_eq!(sent[0].1.seq, 1);
    assert!(sent.iter().all(|(_, sent)| sent.seq == 1), "{sent:?}");
}

/// C1: neither duplicates nor partial acknowledgments stop the timer.
#[test]
fn c1_partial_and_duplicate_acks_keep_the_timer() {
    let mut script = Script::established(plain(), 10_000);
    for _ in 0..10 {
        script.write(&[1; 64]);
        script.fetch();
    }
    for _ in 0..5 {
        script.send(ACK, 1, 1, 10_000, b"");
    }
    script.send(ACK, 1, 65, 10_000, b"");
    for _ in 0..2 {
        script.send(ACK, 1, 65, 10_000, b"");
    }
    script.fetch();
    let again = script.wait(ms(5000));
    assert!(again.iter().any(|(_, sent)| sent.seq == 65), "{again:?}");
}

/// C2, C14: after a timeout the acknowledgment of the original flight comes; nothing waits and no timer runs.
#[test]
fn c2_ack_after_a_timeout() {
    for split in [7, 13, 19] {
        let mut script = Script::established(plain(), 10_000);
        for _ in 0..3 {
            script.write(&[1; 6]);
            script.fetch();
        }
        assert!(!script.wait(ms(1100)).is_empty());
        script.send(ACK, 1, split, 10_000, b"");
        script.fetch();
        script.send(ACK, 1, 19, 10_000, b"");
        assert_eq!(script.engine.unacknowledged(), 0);
        assert_eq!(script.wait(ms(100_000)), []);
    }
}

/// B3, U29: whatever is sent carries what is acknowledged and promised now.
#[test]
fn b3_every_reply_carries_current_rcv_nxt() {
    let config = Config {
        quick_acks: 0,
        ..plain()
    };
    let mut script = Script::established(config, 10_000);
    script.write(b"lost");
    script.fetch_one();
    script.send(ACK, 1, 1, 10_000, b"abc");
    script.fetch_nothing();
    // Out of the window: dropped. In it: challenged, with the newest number.
    script.send(RST, 20_000, 1, 0, b"");
    script.fetch_nothing();
    script.send(RST, 500, 1, 0, b"");
    assert_eq!(script.fetch_one().ack, 4);
    let again = script.wait(ms(1500));
    assert!(again.iter().all(|(_, sent)| sent.ack == 4), "{again:?}");
}

/// B4, R12: what a stranger or a peer out of step sends draws an answer a second.
#[test]
fn b4_desynchronised_peers_are_quiet() {
    let mut script = Script::established(plain(), 10_000);
    let mut answers = 0;
    for _ in 0..100 {
        script.send(ACK, 1 << 30, 1 << 30, 10_000, b"");
        answers += script.fetch().len();
        script.pass(ms(10));
    }
    assert!((1..=2).contains(&answers), "{answers}");
}

/// B5, R13: data that came before and probes of a closed window are acknowledged each time.
#[test]
fn b5_old_data_is_always_acked() {
    let config = Config {
        receive_buffer: 6,
        ..plain()
    };
    let mut script = Script::established(config, 10_000);
    script.send(ACK, 1, 1, 10_000, b"abcdef");
    script.fetch_one();
    for _ in 0..5 {
        script.pass(ms(100));
        script.send(ACK, 1, 1, 10_000, b"abcdef");
        assert_eq!(script.fetch_one().ack, 7);
        script.send(ACK, 7, 1, 10_000, b"g");
        assert_eq!(script.fetch_one().ack, 7);
    }
    // RFC 5961: a RST outside of the window is nothing.
    script.send(RST, 1, 1, 0, b"");
    script.fetch_nothing();
    assert_eq!(script.engine.state(), State::Established);
}

/// C17: every second full segment at once, a single one within the delay, however often others come.
#[test]
fn c17_delayed_acknowledgments() {
    let config = Config {
        quick_acks: 0,
        receive_buffer: 60_000,
        ..plain()
    };
    let mut script = Script::established(config, 10_000);
    script.send(ACK, 1, 1, 10_000, &[1; 1460]);
    script.fetch_nothing();
    script.send(ACK, 1461, 1, 10_000, &[1; 1460]);
    assert_eq!(script.fetch_one().ack, 2921);
    // Small ones do not put the timer off.
    let mut answers = Vec::new();
    for at in 2921..2931 {
        script.send(ACK, at, 1, 10_000, b"x");
        answers.extend(script.wait(ms(10)));
    }
    assert_eq!(answers.len(), 2, "{answers:?}");
}

/// C18: empty writes are no sign of life, and a dead peer is given up in time.
#[test]
fn c18_user_timeout_ignores_empty_writes() {
    let config = Config {
        user_timeout: Some(ms(20_000)),
        ..plain()
    };
    let mut script = Script::established(config, 10_000);
    script.write(b"abc");
    script.fetch_one();
    for _ in 0..30 {
        script.wait(ms(1000));
        let _ = script.engine.write(b"");
    }
    assert_eq!(script.engine.ended(), Some(CloseReason::TimedOut));
}

/// RFC 9293 3.9.1.8: what the application says counts for what is outstanding already, and nothing else makes the timer run.
#[test]
fn rfc9293_3_9_1_8_the_user_timeout_may_be_changed() {
    for (before, after, is_over) in [
        (None, Some(ms(3000)), true),
        (Some(ms(3000)), None, false),
        (Some(ms(3000)), Some(ms(50_000)), false),
        (Some(ms(50_000)), Some(ms(3000)), true),
    ] {
        let config = Config {
            user_timeout: before,
            ..plain()
        };
        let mut script = Script::established(config, 10_000);
        // Nothing is outstanding.
        script.engine.set_user_timeout(script.now, before);
        script.wait(ms(10_000));
        assert_eq!(script.engine.ended(), None);
        script.write(b"abc");
        script.fetch_one();
        script.wait(ms(2000));
        script.engine.set_user_timeout(script.now, after);
        script.wait(ms(2900));
        assert_eq!(script.engine.ended(), None);
        script.wait(ms(200));
        let ended = is_over.then_some(CloseReason::TimedOut);
        assert_eq!(script.engine.ended(), ended, "{before:?} {after:?}");
    }
}

/// RFC 9293 3.8.6.1: a peer with a closed window is not given up as long as it answers.
#[test]
fn a_closed_window_is_no_reason_to_give_up() {
    let config = Config {
        user_timeout: Some(ms(20_000)),
        ..plain()
    };
    let mut script = Script::established(config, 0);
    script.write(b"abc");
    for _ in 0..100 {
        if !script.wait(ms(1000)).is_empty() {
            script.send(ACK, 1, 1, 0, b"");
        }
    }
    assert_eq!(script.engine.ended(), None);
    // And it is when it falls silent.
    script.wait(ms(60_000));
    assert_eq!(script.engine.ended(), Some(CloseReason::TimedOut));
}

/// RFC 9293 3.8.4.
#[test]
fn keep_alive_asks_and_gives_up() {
    let config = Config {
        keep_alive: Some(KeepAlive {
            idle: ms(10_000),
            interval: ms(1000),
            probes: 3,
        }),
        ..plain()
    };
    let mut script = Script::established(config, 1000);
    let asked = script.wait(ms(10_500));
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].1.seq, asked[0].1.len()), (0, 0));
    script.send(ACK, 1, 1, 1000, b"");
    let asked = script.wait(ms(30_000));
    assert_eq!(asked.len(), 4, "three questions and a RST: {asked:?}");
    assert_eq!(script.engine.ended(), Some(CloseReason::TimedOut));
    // Ours is answered as well.
    let mut script = Script::established(plain(), 1000);
    script.send(ACK, 0, 1, 1000, b"");
    assert_eq!(script.fetch_one().ack, 1);
}

/// C34: a repetition that is longer than the original.
#[test]
fn c34_longer_repetition() {
    let mut script = Script::established(plain(), 1000);
    script.send(ACK, 1, 1, 1000, b"abc");
    script.fetch_one();
    assert_eq!(script.read(10), b"abc");
    script.send(ACK, 1, 1, 1000, b"abcdef");
    assert_eq!(script.fetch_one().ack, 7);
    assert_eq!(script.read(10), b"def");
}

/// C24, G6: holes without end are bounded, and the segment that helps is taken.
#[test]
fn c24_hole_flood() {
    let mut script = Script::established(with_sack(), 1000);
    for hole in 0..2000_u32 {
        script.send(ACK, 3 + 2 * hole, 1, 1000, b"x");
    }
    script.fetch();
    assert!(script.engine.memory() < 80_000);
    script.send(ACK, 1, 1, 1000, b"ab");
    assert!(script.fetch_one().ack >= 3);
}

/// RFC 7323 5.3: the acknowledgment of a segment from an earlier round of numbers is as old as its data, and may name by chance what is
/// in flight now.
#[test]
fn an_old_segment_acknowledges_nothing() {
    let config = Config {
        timestamps: true,
        ..plain()
    };
    let stamps = |value: u32| Options {
        timestamps: Some(Timestamps {
            value: value.into(),
            echo: 0.into(),
        }),
        ..Options::NONE
    };
    let mut script = Script::established_at(config, 10_000, 1000, 2000, stamps(100));
    script.write(b"in flight");
    script.fetch_one();
    script.send_with(ACK, 1, 10, 10_000, b"", stamps(99));
    assert!(!script.engine.is_flushed());
    assert_eq!(script.fetch_one().flags, ACK, "it is answered");
    script.send_with(ACK, 1, 10, 10_000, b"", stamps(100));
    assert!(script.engine.is_flushed());
}
