//! What is sent again, when, and what of it was for nothing.

use super::script::*;
use gapless_tcp::Config;
use gapless_tcp::wire::{Options, SackBlock};

const SEGMENT: u32 = 536;

/// Numbers of what was sent, in units of segments.
fn segments(sent: &[Sent]) -> Vec<u32> {
    sent.iter().map(|sent| (sent.seq - 1) / SEGMENT).collect()
}

/// A sender to a peer without selective acknowledgements, with its first window on the way.
fn sender() -> Script {
    let mut script = Script::established(plain(), 60_000);
    script.write(&[1; 100 * SEGMENT as usize]);
    // RFC 9293 3.7.1: 536 of a peer that does not say; the first window is reckoned in what the path takes.
    let first = segments(&script.fetch());
    assert_eq!(first, (0..first.len() as u32).collect::<Vec<_>>());
    assert!(first.len() >= 10);
    script
}

impl Script {
    fn acknowledge(&mut self, segments: u32) -> Vec<u32> {
        self.send(ACK, 1, 1 + segments * SEGMENT, 60_000, b"");
        self::segments(&self.fetch())
    }
}

/// RFC 3042: the first two duplicates let a new segment out each; RFC 5681 3.2: the third one sends the lost one at once.
#[test]
fn rfc5681_3_2_the_third_duplicate_sends_again() {
    let mut script = sender();
    script.pass(ms(50));
    let next = script.acknowledge(1).last().copied().unwrap() + 1;
    script.pass(ms(10));
    for new in [next, next + 1, next + 2] {
        // The path is reckoned in segments of its own size, which are larger.
        let sent = script.acknowledge(1);
        if new < next + 2 {
            assert!(sent.iter().all(|sent| *sent >= next), "{sent:?}");
            assert_eq!(sent.len(), 1, "{sent:?}");
        } else {
            assert_eq!(sent.first(), Some(&1), "{sent:?}");
        }
    }
}

/// RFC 6582 3.2 step 3: each partial acknowledgment shows the next hole; the full one ends it, and what duplicates come later are of what
/// was sent twice.
#[test]
fn rfc6582_3_2_partial_acknowledgments_show_the_next_hole() {
    let mut script = sender();
    script.pass(ms(50));
    let mut highest = script.acknowledge(1).into_iter().max().unwrap();
    script.pass(ms(10));
    let mut again = Vec::new();
    let mut recover = 0;
    for duplicate in 1..10 {
        let sent = script.acknowledge(1);
        if duplicate == 3 {
            recover = highest + 1;
        }
        highest = sent.iter().copied().chain([highest]).max().unwrap();
        again.extend(sent.into_iter().filter(|at| *at < 10));
    }
    assert_eq!(again, [1]);
    for hole in [4, 6, 9] {
        script.pass(ms(10));
        let sent = script.acknowledge(hole);
        let old: Vec<u32> = sent.into_iter().filter(|at| *at < 10).collect();
        assert_eq!(old, [hole]);
    }
    script.pass(ms(10));
    for _ in 0..5 {
        let sent = script.acknowledge(recover);
        assert!(sent.iter().all(|at| *at > recover), "{sent:?}");
    }
    // Beyond that point they mean a loss again.
    script.acknowledge(recover + 1);
    let again: Vec<u32> = (0..4)
        .flat_map(|_| script.acknowledge(recover + 1))
        .collect();
    assert!(again.contains(&(recover + 1)), "{again:?}");
}

/// C20: RFC 5681's conditions: another window, data or a FIN make no duplicate.
#[test]
fn c20_what_is_no_duplicate() {
    let mut script = sender();
    script.pass(ms(50));
    script.acknowledge(1);
    for round in 0..10 {
        script.send(ACK, 1 + round, 1 + SEGMENT, 60_000, b"x");
        script.send(ACK, 2 + round, 1 + SEGMENT, 60_001 + round as u16, b"");
        let sent = segments(&script.fetch());
        assert!(!sent.contains(&1), "{sent:?}");
        script.send(ACK, 2 + round, 1 + SEGMENT, 60_000, b"");
        // One after each that was none: never three.
        if round < 2 {
            assert!(!segments(&script.fetch()).contains(&1));
        } else {
            break;
        }
    }
}

/// Duplicates that nobody asked for set free no more than what is on the way already.
#[test]
fn a_flood_of_duplicates_is_no_credit() {
    let mut script = sender();
    script.pass(ms(50));
    script.acknowledge(1);
    let mut sent = 0;
    for _ in 0..10_000 {
        sent += script.acknowledge(1).len();
    }
    assert!(sent < 60, "{sent} segments");
}

/// RFC 5681 3.1, RFC 6582 section 4: after a timeout everything goes again, slowly at first; duplicates that it draws begin nothing.
#[test]
fn rfc6582_4_after_a_timeout() {
    let mut script = sender();
    script.pass(ms(50));
    let last = script.acknowledge(1).last().copied().unwrap();
    let timeout = script.wait(ms(400));
    let again: Vec<u32> = timeout
        .iter()
        .map(|(_, sent)| (sent.seq - 1) / SEGMENT)
        .collect();
    assert_eq!(again.first(), Some(&1));
    assert!(again.len() < 6, "not all at once: {again:?}");
    // The peer had everything but the first.
    let sent = script.acknowledge(last + 1);
    assert!(sent.iter().all(|at| *at > last), "{sent:?}");
    for _ in 0..5 {
        let sent = script.acknowledge(last + 1);
        assert!(sent.iter().all(|at| *at > last + 1), "{sent:?}");
    }
}

/// RFC 2018 section 8: the peer told to hold the second half, then asks for it.
#[test]
fn rfc2018_8_a_peer_that_reneges() {
    let config = Config {
        sack: true,
        ..plain()
    };
    for window in [60_000, 2 * SEGMENT as u16] {
        let permitted = Options {
            sack_permitted: true,
            ..Options::NONE
        };
        let mut script = Script::established_at(config.clone(), window, 1000, 2000, permitted);
        script.write(&[7; 8 * SEGMENT as usize]);
        let sent = segments(&script.fetch()).len() as u32;
        let end = 1 + sent * SEGMENT;
        let block = Options {
            sack: [SackBlock {
                left: (1000 + 1 + SEGMENT).into(),
                right: (1000 + end).into(),
            }]
            .into_iter()
            .collect(),
            ..Options::NONE
        };
        script.pass(ms(50));
        script.send_with(ACK, 1, 1, window, b"", block);
        let again = script.wait(ms(300));
        assert!(again.iter().any(|(_, sent)| sent.seq == 1), "{again:?}");
        // The hole is filled, and what was behind it is asked for.
        let mut una = 1 + SEGMENT;
        for _ in 0..40 {
            script.send(ACK, 1, una, window, b"");
            let mut got = script.fetch();
            got.extend(script.wait(ms(2000)).into_iter().map(|(_, sent)| sent));
            for sent in got {
                if sent.seq <= una && una < sent.seq + sent.len() as u32 {
                    assert!(sent.payload.iter().all(|octet| *octet == 7));
                    una = sent.seq + sent.len() as u32;
                }
            }
        }
        assert_eq!(una, 1 + 8 * SEGMENT, "window {window}");
        assert_eq!(script.engine.unacknowledged(), 0);
    }
}

/// C2: everything was to be sent again, and then the acknowledgment of what was sent before comes.
#[test]
fn c2_ack_past_rewound_snd_nxt() {
    let config = Config {
        sack: true,
        ..plain()
    };
    let permitted = Options {
        sack_permitted: true,
        ..Options::NONE
    };
    let mut script = Script::established_at(config, 60_000, 1000, 2000, permitted);
    script.write(&[7; 10 * SEGMENT as usize]);
    script.fetch();
    let block = |left: u32, right: u32| Options {
        sack: [SackBlock {
            left: (1000 + left).into(),
            right: (1000 + right).into(),
        }]
        .into_iter()
        .collect(),
        ..Options::NONE
    };
    script.pass(ms(50));
    script.send_with(ACK, 1, 1, 60_000, b"", block(1 + SEGMENT, 1 + 10 * SEGMENT));
    script.fetch();
    script.send(ACK, 1, 1 + SEGMENT, 60_000, b"");
    // Rewound, and something of it sent again under a window of one segment.
    script.send(ACK, 1, 1 + SEGMENT, SEGMENT as u16, b"");
    let again = script.wait(ms(3000));
    assert!(
        again.iter().any(|(_, sent)| sent.seq == 1 + SEGMENT),
        "{again:?}"
    );
    for una in [1 + 3 * SEGMENT, 1 + 10 * SEGMENT] {
        script.send(ACK, 1, una, 60_000, b"");
        script.fetch();
        assert!(script.engine.unacknowledged() <= u64::from(1 + 10 * SEGMENT - una));
    }
    // R3 still counts from what was really sent.
    script.send(ACK, 1, 2 + 10 * SEGMENT, 60_000, b"");
    assert_eq!(script.fetch_one().len(), 0);
    assert_eq!(script.wait(ms(100_000)), []);
}
