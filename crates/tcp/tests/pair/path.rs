//! Paths that carry less than the link, without a word (RFC 4821, RFC 8899).

use super::support::{Link, Pair, Side, pattern};
use gapless_tcp::Config;
use std::time::Duration;

fn pair(config: &Config, length: usize) -> Pair {
    let sides = [
        Side::new(config.clone(), 1, pattern(1, length)),
        Side::new(config.clone(), u32::MAX, Vec::new()),
    ];
    Pair::new(Link::CLEAN, 1, sides)
}

fn path(pair: &Pair) -> u16 {
    pair.sides[0].connection.as_ref().unwrap().path_mtu()
}

/// A black hole opens in the middle of a transfer; it is found, the size that passes is looked for, and the whole size when it is gone.
#[test]
fn rfc8899_a_black_hole_opens_and_closes() {
    for sack in [true, false] {
        let config = Config {
            sack,
            // So that it takes a while.
            receive_buffer: 65_535,
            ..Config::default()
        };
        let mut pair = pair(&config, 30_000_000);
        pair.run_until(Duration::from_secs(10), |pair| {
            pair.sides[1].read.len() > 1_000_000
        });
        assert_eq!(path(&pair), 1480);
        pair.link.largest = 1000;
        let before = pair.sides[1].read.len();
        pair.run_until(Duration::from_secs(20), |pair| {
            pair.sides[1].read.len() > before + 1_000_000
        });
        pair.run_until(Duration::from_secs(60), |pair| path(pair) >= 960);
        assert!(path(&pair) <= 1000);
        let stats = pair.sides[0].connection.as_ref().unwrap().stats().recovery;
        pair.link.largest = usize::MAX;
        pair.run_until(Duration::from_secs(300), |pair| pair.sides[1].ended);
        assert!(pair.sides[1].read == pair.sides[0].to_write);
        // Probes that were lost were no congestion.
        assert!(stats.congestion_events < 8, "{sack} {stats:?}");
    }
}

/// RFC 8201 section 4: after ten minutes larger sizes are tried again, and found to pass.
#[test]
fn rfc8201_4_the_path_may_grow_again() {
    let mut pair = pair(&Config::default(), 3_000_000);
    pair.sides[0].shuts = false;
    pair.link.largest = 1200;
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.sides[1].read.len() == 3_000_000
    });
    assert!((1160..=1200).contains(&path(&pair)), "{}", path(&pair));
    pair.link.largest = usize::MAX;
    pair.now += Duration::from_secs(601);
    pair.sides[0].to_write.extend(pattern(2, 100_000));
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.sides[1].read.len() == 3_100_000
    });
    assert_eq!(path(&pair), 1480);
    assert!(pair.sides[1].read == pair.sides[0].to_write);
}
