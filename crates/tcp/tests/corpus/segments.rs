//! Segments that are odd in themselves.

use super::script::*;
use gapless_tcp::State;
use gapless_tcp::wire::{Flags, Header, Options};

/// G15: the urgent pointer means nothing, and urgent data are data.
#[test]
fn g15_urgent_matrix() {
    for pointer in [0, 1, 9, 10, 11, 65_535] {
        for length in [0_u8, 1, 10] {
            for fin in [false, true] {
                let mut script = Script::established(plain(), 1000);
                let data: Vec<u8> = (0..length).collect();
                let flags = (ACK | Flags::URG).with_if(fin, FIN);
                let header = Header {
                    urgent: pointer,
                    window: 1000,
                    ..header(flags, 2001, 1001)
                };
                script.send_header(header, &data);
                assert_eq!(script.read(100), data);
                let expected = if fin {
                    State::CloseWait
                } else {
                    State::Established
                };
                assert_eq!(script.engine.state(), expected);
            }
        }
    }
}

/// G16: all options of up to four octets, and random ones up to forty: the option is skipped or the segment dropped, never the connection.
#[test]
fn g16_option_walk() {
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    };
    let walk = |octets: &[u8]| {
        let options = Options::parse(octets);
        assert!(options.encoded_len() <= 40);
    };
    for a in 0..=255 {
        walk(&[a]);
        for b in 0..=255 {
            walk(&[a, b]);
            for c in [0, 1, 2, 3, 4, 8, 254, 255] {
                walk(&[a, b, c]);
                walk(&[c, a, b, c]);
            }
        }
    }
    for _ in 0..100_000 {
        let length = usize::from(next()) % 41;
        let octets: Vec<u8> = (0..length).map(|_| next() % 34).collect();
        walk(&octets);
    }
}

/// RFC 9293 3.10.7.4, "fifth": a segment without ACK is nothing in a synchronized state.
#[test]
fn segments_without_ack_are_nothing() {
    let mut script = Script::established(plain(), 1000);
    for flags in [Flags::NONE, Flags::PSH, FIN, Flags::URG] {
        script.send(flags, 1, 0, 1000, b"x");
        script.fetch_nothing();
    }
    assert_eq!(script.read(10), b"");
}

/// C30: windows and numbers of nobody else count: what is far away changes nothing.
#[test]
fn far_away_numbers_change_nothing() {
    let mut script = Script::established(plain(), 1000);
    for seq in [1 << 31, (1 << 31) + 1, 3 << 30, 20_000, u32::MAX - 5] {
        script.send(ACK, seq, 1, 63, b"old");
        script.fetch();
    }
    script.write(&[1; 900]);
    let sent: usize = script.fetch().iter().map(Sent::len).sum();
    assert_eq!(sent, 900);
}
