//! RFC 9406, HyStart++: a connection leaves slow start when its queue begins to grow, and not when it is full.

use super::support::{Link, Pair, Side, pattern};
use gapless_tcp::{Algorithm, Config, ConnectionStats};
use std::time::Duration;

/// 10 Mbit/s and 40 ms: 50 kB are on the path.
const BOTTLENECK: Link = Link {
    delay: Duration::from_millis(20),
    rate: 1_250_000,
    ..Link::CLEAN
};

/// So many octets through the bottleneck, whose queue holds so many: how the sender fares at the end, and how long it took.
fn send(config: &Config, start: u32, length: usize, queue: u64) -> (ConnectionStats, Duration) {
    let sides = [
        Side::new(config.clone(), start, pattern(1, length)),
        Side::new(config.clone(), start, Vec::new()),
    ];
    let link = Link {
        queue,
        ..BOTTLENECK
    };
    let mut pair = Pair::new(link, 1, sides);
    let begin = pair.now;
    pair.run_until(Duration::from_secs(20), |pair| pair.sides[1].ended);
    assert!(pair.sides[1].read == pair.sides[0].to_write);
    let stats = pair.sides[0].connection.as_ref().unwrap().stats();
    let took = pair.now.saturating_duration_since(begin);
    println!("{took:?}: {stats:?}");
    (stats, took)
}

fn configs() -> impl Iterator<Item = (Config, u32)> {
    let kinds = [
        (Algorithm::Cubic, true),
        (Algorithm::Cubic, false),
        (Algorithm::NewReno, true),
    ];
    let config = |(algorithm, timestamps)| Config {
        algorithm,
        timestamps,
        ..Config::default()
    };
    kinds
        .map(config)
        .into_iter()
        .zip([5, 6, u32::MAX - 100_000])
}

/// Slow start makes the window as large as everything that was acknowledged: half a megabyte, of which the queue holds less than half. The rise
/// of the round trip time ends that at a fourth of it, from where on a fourth of what is acknowledged counts.
#[test]
fn rfc9406_4_2_a_rising_round_trip_slows_slow_start_before_the_queue_overflows() {
    for (config, start) in configs() {
        let (stats, took) = send(&config, start, 500_000, 200_000);
        assert_eq!(stats.recovery.packets_lost, 0);
        assert!((100_000..250_000).contains(&stats.congestion_window));
        // Nor is the link idle: 400 ms and two round trips is what it takes at least.
        assert!(took < Duration::from_millis(560), "{took:?}");
    }
}

/// RFC 9406 4.2: five rounds of that, and congestion avoidance begins, however long the queue: a fourth of three megabytes it would be
/// otherwise.
#[test]
fn rfc9406_4_2_five_rounds_later_congestion_avoidance_begins() {
    for (config, start) in configs() {
        let (stats, _) = send(&config, start, 3_000_000, 2_000_000);
        assert_eq!(stats.recovery.packets_lost, 0);
        assert!((100_000..500_000).contains(&stats.congestion_window));
    }
}
