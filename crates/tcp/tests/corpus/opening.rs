//! The beginning: SYN-SENT and SYN-RECEIVED.

use super::script::*;
use gapless_tcp::wire::{Header, Options, Timestamps};
use gapless_tcp::{CloseReason, Config, State};

/// A4: in SYN-SENT only ISS+1 is acknowledged; anything else draws a RST at what was acknowledged, and a RST nothing.
#[test]
fn a4_syn_sent_ack_matrix() {
    for start in STARTS {
        for ack in [u32::MAX, 0, 2, 1 << 31] {
            for flags in [
                ACK,
                SYN | ACK,
                FIN | ACK,
                SYN | FIN | ACK,
                RST | ACK,
                RST | SYN | ACK,
            ] {
                let mut script = Script::dialing(plain(), start, 9);
                script.fetch_one();
                script.send(flags, 0, ack, 1000, b"");
                assert_eq!(script.engine.state(), State::SynSent);
                let sent = script.fetch();
                if flags.has(RST) {
                    assert_eq!(sent, []);
                } else {
                    assert_eq!((sent.len(), sent[0].flags, sent[0].seq), (1, RST, ack));
                }
            }
        }
    }
}

/// A5, G13: ISS and ISS+2 are answered by a RST and leave the state; ISS+1 establishes.
#[test]
fn a5_syn_received_ack_matrix() {
    for start in STARTS {
        for ack in [u32::MAX, 0, 2, 1 << 31] {
            let mut script = Script::dialed(plain(), start, 7, 1000, Options::NONE);
            assert_eq!(script.fetch_one().flags, SYN | ACK);
            script.send(ACK, 1, ack, 1000, b"");
            assert_eq!(script.engine.state(), State::SynReceived);
            let sent = script.fetch_one();
            assert_eq!((sent.flags, sent.seq), (RST, ack));
        }
        let mut script = Script::dialed(plain(), start, 7, 1000, Options::NONE);
        script.fetch_one();
        script.send(ACK, 1, 1, 1000, b"");
        assert_eq!(script.engine.state(), State::Established);
    }
}

/// A7, C28: a stray FIN or ACK in SYN-SENT is nothing, and neither ends the dial.
#[test]
fn a7_fin_in_syn_sent_is_nothing() {
    let mut script = Script::dialing(plain(), 5, 6);
    script.fetch_one();
    for flags in [
        FIN,
        gapless_tcp::wire::Flags::NONE,
        gapless_tcp::wire::Flags::URG,
        RST,
    ] {
        script.send(flags, 0, 0, 1000, b"x");
        assert_eq!(script.engine.state(), State::SynSent);
        script.fetch_nothing();
    }
    script.send(ACK, 0, 1, 1000, b"");
    assert_eq!(script.engine.state(), State::SynSent);
    script.send(SYN | ACK, 0, 1, 1000, b"");
    assert_eq!(script.engine.state(), State::Established);
}

#[test]
fn a_refused_dial_says_so() {
    let mut script = Script::dialing(plain(), 5, 6);
    script.fetch_one();
    script.send(RST | ACK, 0, 1, 0, b"");
    assert_eq!(script.engine.ended(), Some(CloseReason::Refused));
    assert_eq!(script.engine.next_deadline(script.now), None);
}

/// RFC 9293 3.5, figure 8.
#[test]
fn both_dial_at_once() {
    let mut script = Script::dialing(plain(), 100, 300);
    script.fetch_one();
    script.send(SYN, 0, 0, 1000, b"");
    assert_eq!(script.engine.state(), State::SynReceived);
    let sent = script.fetch_one();
    assert_eq!((sent.flags, sent.seq, sent.ack), (SYN | ACK, 0, 1));
    // The SYN|ACK of the other lies outside of the window, and its acknowledgment counts nevertheless.
    script.send(SYN | ACK, 0, 1, 1000, b"");
    assert_eq!(script.engine.state(), State::Established);
    assert_eq!(script.fetch_one().flags, ACK);
    script.write(b"hello");
    assert_eq!(script.fetch_one().payload, b"hello");
}

/// C13: 1 s, doubled to 60 s; reset by a valid answer.
#[test]
fn c13_a_dial_is_repeated_with_backoff() {
    let mut script = Script::dialing(
        Config {
            connect_timeout: ms(400_000),
            ..plain()
        },
        5,
        6,
    );
    script.fetch_one();
    let sent = script.wait(ms(300_000));
    let times: Vec<u64> = sent.iter().map(|(at, _)| at.as_millis() as u64).collect();
    let mut distinct = times.clone();
    distinct.dedup();
    for (at, expected) in distinct
        .iter()
        .zip([1000, 3000, 7000, 15_000, 31_000, 63_000, 123_000])
    {
        assert!(at.abs_diff(expected) < 30, "{distinct:?}");
    }
    assert!(
        sent.iter()
            .all(|(_, sent)| sent.flags == SYN && sent.seq == 0)
    );
    script.wait(ms(200_000));
    assert_eq!(script.engine.ended(), Some(CloseReason::TimedOut));
}

/// The peer's SYN again, because our SYN|ACK was lost.
#[test]
fn a_repeated_syn_is_answered_again() {
    let mut script = Script::dialed(plain(), 5, 6, 1000, Options::NONE);
    script.fetch_one();
    script.send(SYN, 0, 0, 1000, b"");
    let sent = script.fetch_one();
    assert_eq!((sent.flags, sent.seq, sent.ack), (SYN | ACK, 0, 1));
}

/// C19, C20, C21: what both sides offer counts, and nothing else, whoever dialed.
#[test]
fn c21_wscale_matrix() {
    for buffer in [1, 65_535, 65_536, 65_537, 524_288, 1 << 20, 1 << 30] {
        for theirs in [None, Some(0), Some(7), Some(14)] {
            for dials in [true, false] {
                let config = Config {
                    window_scale: true,
                    receive_buffer: buffer,
                    first_receive_buffer: buffer,
                    ..plain()
                };
                let options = Options {
                    window_scale: theirs,
                    ..Options::NONE
                };
                let mut script;
                let syn;
                if dials {
                    script = Script::dialing(config, 1, 2);
                    syn = script.fetch_one();
                    assert!(syn.options.window_scale.is_some());
                    script.send_with(SYN | ACK, 0, 1, 500, b"", options);
                } else {
                    script = Script::dialed(config, 1, 2, 500, options);
                    syn = script.fetch_one();
                    assert_eq!(syn.options.window_scale.is_some(), theirs.is_some());
                    script.send(ACK, 1, 1, 500, b"");
                    script.send(ACK, 1, 1, 500, b"x");
                }
                // R6: never shifted in a SYN.
                assert_eq!(u32::from(syn.window), buffer.min(65_535));
                let ack = script.fetch().pop().unwrap();
                let shift = theirs.and(syn.options.window_scale).unwrap_or(0);
                let told = u64::from(ack.window) << shift;
                let least = u64::from(buffer) - u64::from(buffer).min((1 << shift) + 1);
                let most = u64::from(buffer) + (1 << shift);
                if theirs.is_some() {
                    assert!(
                        (least..=most).contains(&told),
                        "{buffer} {theirs:?}: {told}"
                    );
                } else {
                    assert!(told <= 65_535);
                }
            }
        }
    }
}

/// C19: who dialed and was permitted tells blocks.
#[test]
fn c19_sack_works_for_the_dialer() {
    let config = Config {
        sack: true,
        ..plain()
    };
    let options = Options {
        sack_permitted: true,
        ..Options::NONE
    };
    let mut script = Script::established_at(config.clone(), 1000, 1, 2, options);
    script.send(ACK, 101, 1, 1000, &[0; 10]);
    assert_eq!(script.fetch_one().options.sack.len(), 1);
    // Not permitted: none.
    let mut script = Script::established_at(config, 1000, 1, 2, Options::NONE);
    script.send(ACK, 101, 1, 1000, &[0; 10]);
    assert_eq!(script.fetch_one().options.sack.len(), 0);
}

/// A14, G11, G19, R18: never empty, never longer than agreed or than the path takes.
#[test]
fn a14_mss_matrix() {
    for theirs in [0, 1, 11, 12, 13, 47, 48, 88, 536, 1460, 65_535] {
        for stamps in [false, true] {
            for path in [48, 276, 556, 1260, 1480] {
                let config = Config {
                    timestamps: stamps,
                    ..plain()
                };
                let mut options = mss(theirs);
                options.timestamps = stamps.then_some(Timestamps {
                    value: 1.into(),
                    echo: 0.into(),
                });
                let mut script = Script::dialing_on(config, 1, 2, path);
                script.fetch_one();
                script.send_with(SYN | ACK, 0, 1, 60_000, b"", options);
                script.fetch();
                script.write(&[1; 5000]);
                let sent = script.fetch();
                assert!(!sent.is_empty(), "mss {theirs} path {path}");
                let agreed = match theirs {
                    0 => 536,
                    1..48 => 48,
                    other => usize::from(other),
                };
                for sent in sent {
                    assert!((1..=agreed).contains(&sent.len()));
                }
            }
        }
    }
}

/// RFC 7323 5.3: what carries an older clock is acknowledged and dropped; a RST is not refused for it.
#[test]
fn old_timestamps_are_dropped() {
    let config = Config {
        timestamps: true,
        ..plain()
    };
    let stamped = |value: u32| Options {
        timestamps: Some(Timestamps {
            value: value.into(),
            echo: 0.into(),
        }),
        ..Options::NONE
    };
    for first in [5, u32::MAX, 1 << 31] {
        let mut script = Script::established_at(config.clone(), 1000, 1, 2, stamped(first));
        script.send_with(ACK, 1, 1, 1000, b"a", stamped(first.wrapping_add(10)));
        assert_eq!(script.fetch_one().ack, 2);
        script.send_with(ACK, 2, 1, 1000, b"b", stamped(first.wrapping_add(9)));
        let sent = script.fetch_one();
        assert_eq!(sent.ack, 2, "an older clock");
        script.send_with(ACK, 2, 1, 1000, b"b", stamped(first.wrapping_add(10)));
        assert_eq!(script.fetch_one().ack, 3);
        // RFC 7323 3.2: one without is dropped silently.
        let bare = header(ACK, 2_u32.wrapping_add(3), 1_u32.wrapping_add(1));
        script.send_header(Header { window: 5, ..bare }, b"c");
        script.fetch_nothing();
    }
}
