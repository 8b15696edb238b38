//! How a reduction of the window is spread: RFC 9937 (which was RFC 6937), proportional rate reduction.

use super::script::*;
use gapless_tcp::wire::{Options, SackBlock};
use gapless_tcp::{Algorithm, Config};

const ISS: u32 = 1000;
const SEGMENT: u32 = 524;
const FLIGHT: u32 = 40;

fn una(segments: u32) -> u32 {
    1 + segments * SEGMENT
}

/// A flight of forty segments behind thirty that were acknowledged. Its first one is lost, and each of the others is acknowledged by itself. How
/// many segments left until then, after each.
fn sent_in_recovery(algorithm: Algorithm) -> Vec<usize> {
    let config = Config {
        sack: true,
        algorithm,
        first_send_buffer: 1 << 20,
        ..plain()
    };
    let offered = Options {
        sack_permitted: true,
        ..mss(SEGMENT as u16)
    };
    let mut script = Script::established_at(config, 60_000, ISS, 2000, offered);
    script.write(&[1; 200 * SEGMENT as usize]);
    assert_eq!(script.fetch().len(), 10);
    let mut base = 0;
    for flight in [10, 20] {
        script.pass(ms(50));
        for at in 1..=flight {
            script.send(ACK, 1, una(base + at), 60_000, b"");
            script.fetch();
        }
        base += flight;
    }
    assert_eq!(script.engine.stats().recovery.packets_lost, 0);
    script.pass(ms(50));
    let mut sent = 0;
    let mut totals = Vec::new();
    for at in 1..FLIGHT {
        let block = SackBlock {
            left: (ISS + una(base + 1)).into(),
            right: (ISS + una(base + 1 + at)).into(),
        };
        let options = Options {
            sack: [block].into_iter().collect(),
            ..Options::NONE
        };
        script.pass(ms(1));
        script.send_with(ACK, 1, una(base), 60_000, b"", options);
        sent += script.fetch().len();
        totals.push(sent);
    }
    assert_eq!(script.engine.stats().recovery.congestion_events, 1);
    totals
}

/// RFC 9937 section 6.2: for each segment delivered as large a part of one leaves as the window is to keep: seven tenths for CUBIC (RFC 9438
/// 4.6), half for NewReno (RFC 5681 3.1), from the first to the last. Neither a pause, nor a burst.
#[test]
fn rfc9937_6_2_a_reduction_is_spread_over_the_flight() {
    for (algorithm, tenths) in [(Algorithm::Cubic, 7), (Algorithm::NewReno, 5)] {
        let totals = sent_in_recovery(algorithm);
        for (at, sent) in totals.iter().enumerate().skip(2) {
            let share = (at + 1) * tenths / 10;
            assert!(
                (share.saturating_sub(2)..=share + 2).contains(sent),
                "{algorithm:?}: {sent} and not {share} after {}: {totals:?}",
                at + 1
            );
        }
    }
}
