//! Windows: the one we promise and the one we are promised.

use super::script::*;
use gapless_tcp::wire::Options;
use gapless_tcp::{Config, State};

fn scaled(buffer: u32) -> Config {
    Config {
        window_scale: true,
        receive_buffer: buffer,
        first_receive_buffer: buffer,
        ..plain()
    }
}

const SCALED: Options = Options {
    window_scale: Some(7),
    ..Options::NONE
};

/// S1, A8 (b): a peer that stays inside the greatest edge it was ever told loses nothing, whatever the shift.
#[test]
fn s1_octets_inside_an_advertised_window_are_kept() {
    for (buffer, size) in [
        (1 << 20, 1431),
        (131_072, 1431),
        (262_144, 700),
        (70_000, 1),
    ] {
        for start in STARTS {
            let mut script = Script::established_at(scaled(buffer), 1000, 3, start, SCALED);
            let shift = (0..15).find(|shift| buffer >> shift <= 65_535).unwrap();
            script.send(ACK, 1, 1, 1000, b"");
            let (mut next, mut edge) = (1_u32, 1 + 65_535);
            let mut stored = 0;
            while next < edge {
                let length = size.min(edge - next).max(if size == 1 { 97 } else { 1 });
                let length = length.min(edge - next);
                script.send(ACK, next, 1, 1000, &vec![7; length as usize]);
                next += length;
                stored += length;
                for sent in script.fetch() {
                    assert_eq!(sent.ack, next, "everything inside is acknowledged");
                    edge = edge.max(next + (u32::from(sent.window) << shift));
                }
            }
            assert!(stored >= buffer, "{stored} of {buffer}");
            assert!(stored <= buffer + (1 << shift));
            assert_eq!(script.read(1 << 21).len(), stored as usize);
        }
    }
}

/// S2: before the first shifted window left, only what the SYN|ACK promised is taken: in order, out of order, overlapping.
#[test]
fn s2_burst_before_first_ack_never_exceeds_the_promise() {
    for starts in [
        [0, 10_000, 20_000],
        [140_000, 60_000, 0],
        [60_000, 55_000, 65_535],
    ] {
        let mut script = Script::dialed(scaled(131_072), 1, 2, 1000, SCALED);
        assert_eq!(script.fetch_one().window, 65_535);
        script.send(ACK, 1, 1, 1000, b"");
        for start in starts {
            script.send(ACK, 1 + start, 1, 1000, &[1; 10_000]);
        }
        for start in (0..200_000).step_by(10_000) {
            script.send(ACK, 1 + start, 1, 1000, &[1; 10_000]);
        }
        assert!(script.read(1 << 20).len() <= 65_535);
        assert_eq!(script.engine.state(), State::Established);
    }
}

/// S3: nothing armed in FIN-WAIT-1 acts in FIN-WAIT-2.
#[test]
fn s3_no_timer_outlives_its_state() {
    let mut script = Script::established(plain(), 10);
    script.write(&[1; 11]);
    script.engine.shutdown(script.now);
    assert_eq!(script.fetch_one().len(), 10);
    script.send(ACK, 1, 11, 0, b"");
    script.fetch_nothing();
    let sent = script.wait(ms(3000));
    let (_, probe) = sent.first().expect("a probe of the closed window");
    assert_eq!((probe.len(), probe.flags), (1, FIN | ACK));
    script.send(ACK, 1, 13, 0, b"");
    assert_eq!(script.engine.state(), State::FinWait2);
    assert_eq!(script.wait(ms(600_000)), []);
}

/// A3: to 0, to 1, to one less than is in flight; what is out stays out and is sent again.
#[test]
fn a3_window_shrinks_below_flight() {
    for shut in [false, true] {
        for window in [0, 1, 5] {
            let mut script = Script::established(plain(), 6);
            script.write(b"abcdefghijkl");
            if shut {
                script.engine.shutdown(script.now);
            }
            assert_eq!(script.fetch_one().payload, b"abcdef");
            script.send(ACK, 1, 1, window, b"xxxxxx");
            assert_eq!(script.fetch_one().len(), 0);
            let again = script.wait(ms(1500));
            assert!(again.iter().any(|(_, sent)| sent.payload == b"abcdef"));
            script.send(ACK, 7, 7, 100, b"");
            let mut rest: Vec<u8> = Vec::new();
            for sent in script.fetch() {
                rest.extend(sent.payload);
            }
            assert_eq!(rest, b"ghijkl");
        }
    }
}

/// A8 (a) and the race of a legal probe: what comes before the edge moved is refused or taken, and never a reason to panic.
#[test]
fn a8_seed_full_buffer() {
    let config = Config {
        receive_buffer: 64,
        quick_acks: 0,
        ..plain()
    };
    for start in STARTS {
        for (second, at) in [(1, 65), (2, 64), (32, 65)] {
            let mut script = Script::established_at(config.clone(), 1000, 1, start, Options::NONE);
            script.send(ACK, 1, 1, 1000, &[1; 64]);
            assert_eq!(script.read(64).len(), 64);
            script.send(ACK, at, 1, 1000, &vec![2; second]);
            script.fetch();
            script.send(ACK, 65, 1, 1000, &[3; 10]);
            let read = script.read(64);
            assert!(!read.is_empty());
        }
    }
}

/// C5, C6: a window that opens is told when half of the buffer is free, whoever closed it.
#[test]
fn c5_the_window_reopens_and_the_peer_is_told() {
    let mut script = Script::established(
        Config {
            receive_buffer: 6,
            ..plain()
        },
        1000,
    );
    script.send(ACK, 1, 1, 1000, b"abcdef");
    assert_eq!(script.fetch_one().window, 0);
    assert_eq!(script.read(2), b"ab");
    script.fetch_nothing();
    assert_eq!(script.read(1), b"c");
    assert_eq!(script.fetch_one().window, 3);
    assert_eq!(script.read(3), b"def");
    assert_eq!(script.fetch_one().window, 6);
}

/// C7: a FIN takes no room.
#[test]
fn c7_fin_at_zero_window() {
    let mut script = Script::established(
        Config {
            receive_buffer: 6,
            ..plain()
        },
        1000,
    );
    script.send(ACK, 1, 1, 1000, b"abcdef");
    assert_eq!(script.fetch_one().window, 0);
    script.send(FIN | ACK, 7, 1, 1000, b"");
    assert_eq!(script.fetch_one().ack, 8);
    assert_eq!(script.engine.state(), State::CloseWait);
}

/// C15: the acknowledgment that reopens the window is lost: a probe of one octet asks, and again with backoff.
#[test]
fn c15_lost_window_update() {
    let mut script = Script::established(plain(), 0);
    script.write(&[1; 100]);
    script.fetch_nothing();
    let sent = script.wait(ms(120_000));
    assert!(sent.len() >= 5 && sent.len() < 30, "{}", sent.len());
    assert!(
        sent.iter()
            .all(|(_, sent)| (sent.seq, sent.len()) == (1, 1))
    );
    script.send(ACK, 1, 2, 200, b"");
    assert_eq!(script.fetch_one().len(), 99);
}

/// C16: neither the congestion window nor the pacer holds a probe back, and it has an octet.
#[test]
fn c16_a_probe_has_an_octet_whatever_cwnd_says() {
    let mut script = Script::established(plain(), 20_000);
    script.write(&[1; 40_000]);
    script.fetch();
    // Long silence collapses the congestion window; then the peer answers with a closed window.
    script.wait(ms(30_000));
    script.send(ACK, 1, 14_601, 0, b"");
    script.fetch();
    let sent = script.wait(ms(100_000));
    assert!(sent.iter().any(|(_, sent)| sent.len() >= 1));
}

/// B1: three duplicates, the last with a closed window: repeated at most, never for ever.
#[test]
fn b1_fast_retransmit_into_zero_window() {
    let mut script = Script::established(plain(), 1000);
    script.write(b"abc");
    script.fetch_one();
    for window in [1000, 1000, 0, 0] {
        script.send(ACK, 1, 1, window, b"");
    }
    assert!(script.fetch().len() <= 2);
    assert!(script.wait(ms(10_000)).len() < 20);
}

/// B8: a FIN behind data that do not fit is no reason to be busy.
#[test]
fn b8_fin_behind_data_that_does_not_fit() {
    let mut script = Script::established(plain(), 3);
    script.write(b"abcdef");
    script.engine.shutdown(script.now);
    let sent = script.fetch_one();
    assert_eq!((sent.payload.as_slice(), sent.flags), (&b"abc"[..], ACK));
    script.send(ACK, 1, 4, 3, b"");
    let sent = script.fetch_one();
    assert_eq!(
        (sent.payload.as_slice(), sent.flags),
        (&b"def"[..], FIN | ACK)
    );
}

/// S5, R3, H1: below, at and above what was transmitted, with data and FIN merely queued.
#[test]
fn s5_ack_of_unsent_is_refused() {
    for start in STARTS {
        for shut in [false, true] {
            let mut script = Script::established_at(plain(), 10, start, 5, Options::NONE);
            script.write(&[1; 1000]);
            if shut {
                script.engine.shutdown(script.now);
            }
            assert_eq!(script.fetch_one().len(), 10);
            for ack in [12, 900, 1001, 1002, 1003, 1 << 30] {
                script.send(ACK, 1, ack, 5000, b"");
                assert_eq!(script.engine.unacknowledged(), 1000, "ack {ack}");
                // It is answered, so that a confused peer learns where we are; not more than once a second.
                assert!(script.fetch().len() <= 1);
            }
            script.send(ACK, 1, 11, 5000, b"");
            assert_eq!(script.engine.unacknowledged(), 990);
            assert_eq!(script.fetch()[0].seq, 11);
        }
    }
}

/// RFC 9293 3.10.7.4: SND.WL1 and SND.WL2 keep an old segment from changing the window.
#[test]
fn old_segments_do_not_change_the_window() {
    let mut script = Script::established(plain(), 100);
    script.send(ACK, 1, 1, 100, b"abc");
    script.send(ACK, 4, 1, 0, b"def");
    script.fetch();
    // A repetition of the first, with its larger window.
    script.send(ACK, 1, 1, 100, b"abc");
    script.fetch();
    script.write(b"x");
    script.fetch_nothing();
}

/// G2, R15: both windows are closed and both sides probe: bounded, and it goes on when one reads.
#[test]
fn g2_probes_of_closed_windows_are_answered_and_not_more() {
    let config = Config {
        receive_buffer: 10,
        ..plain()
    };
    let mut script = Script::established(config, 0);
    script.send(ACK, 1, 1, 0, &[1; 10]);
    script.fetch_one();
    script.write(&[2; 50]);
    for round in 0..20_u64 {
        script.send(ACK, 11, 1, 0, b"p");
        let sent = script.fetch();
        assert!(sent.len() <= 2, "round {round}: {sent:?}");
        assert!(
            sent.iter().any(|sent| sent.ack == 11),
            "each probe is answered"
        );
    }
    // A probe brings an acknowledgment that opens our way, although its octet is refused.
    let probes = script.wait(ms(5000));
    assert!(!probes.is_empty());
    script.send(ACK, 11, 2, 100, b"p");
    let sent = script.fetch();
    assert!(sent.iter().any(|sent| sent.len() == 49), "{sent:?}");
}
