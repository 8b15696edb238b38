//! Buffers that begin small and become as large as the path asks for.

use super::support::{Link, Pair, Side, pattern};
use gapless_tcp::Config;
use std::time::Duration;

const LENGTH: usize = 3_000_000;
/// The first window.
const FIRST: u64 = 1 << 16;
/// What windows of a mebibyte are rounded to.
const ROUNDING: u64 = 32;

fn path() -> Link {
    Link {
        delay: Duration::from_millis(50),
        ..Link::CLEAN
    }
}

/// A transfer from side 0 to side 1, and the most memory that each side held.
fn transfer(config: &Config, start: u32) -> (Duration, [usize; 2]) {
    let sides = [
        Side::new(config.clone(), start, pattern(1, LENGTH)),
        Side::new(config.clone(), start, Vec::new()),
    ];
    let mut pair = Pair::new(path(), 1, sides);
    let begin = pair.now;
    let most = std::cell::Cell::new([0; 2]);
    pair.run_until(Duration::from_secs(60), |pair| {
        let memory = |side: usize| {
            pair.sides[side]
                .connection
                .as_ref()
                .map_or(0, |of| of.memory())
        };
        let [one, other] = most.get();
        most.set([one.max(memory(0)), other.max(memory(1))]);
        pair.sides[1].ended
    });
    assert!(pair.sides[1].read == pair.sides[0].to_write);
    (pair.now.saturating_duration_since(begin), most.get())
}

/// What 64 KiB allow in each round trip is far less than the path carries; what begins with 64 KiB is hardly slower than what begins
/// with all of it. With timestamps and without them.
#[test]
fn a_small_beginning_costs_little() {
    for timestamps in [true, false] {
        for start in [1, u32::MAX - 70_000] {
            let grows = Config {
                timestamps,
                ..Config::default()
            };
            let whole = Config {
                first_receive_buffer: u32::MAX,
                first_send_buffer: u32::MAX,
                ..grows.clone()
            };
            let small_window = Config {
                receive_buffer: 1 << 16,
                ..grows.clone()
            };
            let small_queue = Config {
                send_buffer: 1 << 16,
                ..grows.clone()
            };
            let [grows, whole, small_window, small_queue] =
                [grows, whole, small_window, small_queue]
                    .map(|config| transfer(&config, start).0.as_millis());
            println!("{grows} ms; {whole} whole, {small_window} and {small_queue} small");
            assert!(10 * grows <= 11 * whole, "{grows} against {whole} ms");
            assert!(
                2 * grows < small_window,
                "{grows} against {small_window} ms"
            );
            assert!(2 * grows < small_queue, "{grows} against {small_queue} ms");
        }
    }
}

/// A reader who sleeps is not given more room to fill, and his window opens again when he wakes.
#[test]
fn who_does_not_keep_up_gets_no_larger_window() {
    let config = Config::default();
    let sides = [
        Side::new(config.clone(), 7, pattern(2, LENGTH)),
        Side::new(config, 8, Vec::new()),
    ];
    let mut pair = Pair::new(path(), 2, sides);
    pair.sides[1].read_size = 0;
    for _ in 0..40 {
        let until = pair.now + Duration::from_millis(500);
        pair.run_until(Duration::from_secs(10), |pair| pair.now >= until);
        let side = &mut pair.sides[1];
        let connection = side.connection.as_mut().unwrap();
        assert!(
            connection.readable() < FIRST + ROUNDING,
            "{}",
            connection.readable()
        );
        let mut room = [0; 20_000];
        let read = connection.read(&mut room).unwrap();
        side.read.extend_from_slice(&room[..read]);
    }
    pair.sides[1].read_size = 1 << 16;
    pair.run_until(Duration::from_secs(60), |pair| pair.sides[1].ended);
    assert!(pair.sides[1].read == pair.sides[0].to_write);
}

/// The window stays where it is as long as it is not what holds the sender back.
#[test]
fn who_sends_little_gets_no_larger_window() {
    let config = Config::default();
    let sides = [
        Side::new(config.clone(), 7, Vec::new()),
        Side::new(config, 8, Vec::new()),
    ];
    let mut pair = Pair::new(path(), 2, sides);
    for side in &mut pair.sides {
        side.shuts = false;
    }
    for _ in 0..100 {
        pair.sides[0].to_write.extend_from_slice(&pattern(3, 5000));
        let until = pair.now + Duration::from_millis(60);
        pair.run_until(Duration::from_secs(10), |pair| pair.now >= until);
    }
    // Then nobody reads, and the window fills up.
    pair.sides[1].read_size = 0;
    pair.sides[0]
        .to_write
        .extend_from_slice(&pattern(4, 1 << 20));
    let until = pair.now + Duration::from_secs(10);
    pair.run_until(Duration::from_secs(20), |pair| pair.now >= until);
    let held = pair.sides[1].connection.as_ref().unwrap().readable();
    assert!((60_000..FIRST + ROUNDING).contains(&held), "{held}");
}

/// What was needed is given back a second after it was.
#[test]
fn memory_is_given_back() {
    let config = Config::default();
    let sides = [
        Side::new(config.clone(), 7, pattern(2, LENGTH)),
        Side::new(config, 8, Vec::new()),
    ];
    let mut pair = Pair::new(path(), 2, sides);
    for side in &mut pair.sides {
        side.shuts = false;
    }
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.sides[1].read.len() == LENGTH
    });
    let begin = pair.now;
    pair.run_until(Duration::from_secs(4), |pair| {
        pair.sides
            .iter()
            .all(|side| side.connection.as_ref().unwrap().memory() == 0)
    });
    assert!(pair.now.saturating_duration_since(begin) < Duration::from_secs(3));
}
