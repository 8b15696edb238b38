//! Peers without selective acknowledgements, over links that lose.

use super::support::{Link, Pair, Side, pattern};
use gapless_tcp::Config;
use std::time::Duration;

fn config() -> Config {
    Config {
        sack: false,
        // The losses are of the link, not of a queue: what is shown is the repair.
        receive_buffer: 200_000,
        send_buffer: 200_000,
        ..Config::default()
    }
}

fn seconds(sack: bool, loss: u64, seed: u64) -> f64 {
    let config = Config { sack, ..config() };
    let link = Link {
        delay: Duration::from_millis(20),
        loss,
        ..Link::CLEAN
    };
    let sides = [
        Side::new(config.clone(), 1, pattern(seed, 400_000)),
        Side::new(config, 2, Vec::new()),
    ];
    let mut pair = Pair::new(link, seed, sides);
    let start = pair.now;
    pair.run_until(Duration::from_secs(300), |pair| pair.sides[1].ended);
    assert!(pair.sides[1].read == pair.sides[0].to_write);
    pair.now.saturating_duration_since(start).as_secs_f64()
}

/// RFC 6582: losses are repaired within round trips, most of them without a timeout.
#[test]
fn losses_are_repaired_without_selective_acknowledgements() {
    let mut totals = [0.0, 0.0];
    for seed in 0..30 {
        for (sack, total) in [false, true].into_iter().zip(&mut totals) {
            *total += seconds(sack, 2, seed) / 30.0;
        }
    }
    println!("400 kB at 2 % of loss and 40 ms: {totals:?} s");
    let [plain, sack] = totals;
    assert!(plain < 2.5 * sack, "{plain} s against {sack} s");
}
