//! Both sides in the same trouble at once: they come to rest, and then go on.

use super::support::{Link, Pair, Random, Side, pattern};
use gapless_tcp::{Config, State};
use std::time::Duration;

fn all_read(pair: &Pair) -> bool {
    pair.sides.iter().all(|side| side.ended)
}

fn is_over(pair: &Pair) -> bool {
    (0..2).all(|side| pair.state(side) == Some(State::Closed))
}

fn sent(pair: &Pair) -> u64 {
    pair.sides.iter().map(|side| side.sent).sum()
}

fn assert_whole(pair: &Pair) {
    for side in 0..2 {
        assert!(pair.sides[side].read == pair.sides[1 - side].to_write);
    }
}

/// B2: both have data out, and the link eats everything in both directions at once, for a moment or for long.
#[test]
fn b2_both_sides_lost_everything() {
    for (seed, millis) in (0..).zip([1, 30, 200, 1000, 20_000]) {
        let config = Config {
            timestamps: seed % 2 == 0,
            ..Config::default()
        };
        let sides =
            [1, 2].map(|of| Side::new(config.clone(), of << 31, pattern(of.into(), 400_000)));
        let mut pair = Pair::new(Link::CLEAN, seed, sides);
        pair.run_until(Duration::from_secs(5), |pair| {
            pair.sides.iter().all(|side| side.read.len() > 50_000)
        });
        let begin = sent(&pair);
        pair.link.loss = 100;
        let dark = pair.now + Duration::from_millis(millis);
        pair.run_until(Duration::from_secs(200), |pair| pair.now >= dark);
        assert!(sent(&pair) - begin < 1000, "{}", sent(&pair) - begin);
        pair.link.loss = 0;
        pair.run_until(Duration::from_secs(100), all_read);
        assert_whole(&pair);
    }
}

/// G2: both fill each other's windows and nobody reads; then both do.
#[test]
fn g2_both_windows_closed() {
    for buffer in [1, 10, 5000] {
        let config = Config {
            receive_buffer: buffer,
            user_timeout: None,
            ..Config::default()
        };
        let sides = [3, 4].map(|of| {
            let mut side = Side::new(
                config.clone(),
                of,
                pattern(of.into(), 4 * buffer as usize + 9),
            );
            side.read_size = 0;
            side
        });
        let mut pair = Pair::new(Link::CLEAN, 1, sides);
        let quiet = pair.now + Duration::from_secs(600);
        pair.run_until(Duration::from_secs(2000), |pair| pair.now >= quiet);
        assert!(sent(&pair) < 200, "{} in ten minutes", sent(&pair));
        for side in &mut pair.sides {
            side.read_size = 700;
        }
        pair.run_until(Duration::from_secs(2000), all_read);
        assert_whole(&pair);
    }
}

/// G2, C10: both close at once while FINs and acknowledgments are lost.
#[test]
fn g2_simultaneous_close_with_loss() {
    for seed in 0..60 {
        let sides = [0, 1].map(|of| {
            let mut side = Side::new(Config::default(), of, Vec::new());
            side.shuts = false;
            side
        });
        let mut pair = Pair::new(Link::CLEAN, seed, sides);
        pair.run_until(Duration::from_secs(5), |pair| {
            (0..2).all(|side| pair.state(side) == Some(State::Established))
        });
        pair.link.loss = seed % 60;
        for side in &mut pair.sides {
            side.shuts = true;
        }
        pair.run_until(Duration::from_secs(3000), is_over);
        assert!(sent(&pair) < 100, "{}", sent(&pair));
    }
}

/// M3: buffers of every awkward size on each side.
#[test]
fn m3_buffers_of_every_size() {
    let sizes = [
        1,
        2,
        3,
        1447,
        1448,
        1460,
        65_535,
        65_536,
        131_072,
        262_144,
        1 << 20,
        1 << 30,
    ];
    let mut random = Random(3);
    for receive_buffer in sizes {
        for send_buffer in sizes {
            let config = Config {
                receive_buffer,
                send_buffer,
                ..Config::default()
            };
            let smaller = receive_buffer.min(send_buffer) as usize;
            let length = (3 * smaller + 7).min(150_000);
            let start = random.next() as u32;
            let sides = [0, 1].map(|of| Side::new(config.clone(), start, pattern(of, length)));
            let mut pair = Pair::new(Link::CLEAN, 5, sides);
            pair.run_until(Duration::from_secs(600), all_read);
            assert_whole(&pair);
        }
    }
}
