//! BBR over a pipe: what it reaches where a window that shrinks with every loss cannot.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod harness;

use gapless_recovery::{Algorithm, Config, Event, Instant};
use harness::{Form, Pipe, World, ms};

/// 10 Mbit/s, as the pipe counts them: its packets have no headers.
const RATE: u64 = 10_000_000;

fn world(form: Form, algorithm: Algorithm, loss: f64, one_way: u64, packets: u64) -> World {
    let pipe = Pipe {
        loss,
        delay: ms(one_way),
        rate: Some(RATE),
        ..Pipe::default()
    };
    let config = Config {
        algorithm,
        seed: 7,
        ..Config::default()
    };
    let mut world = World::new(form, config, pipe, 3);
    world.check_every_step = false;
    world.to_send = packets;
    world
}

/// Percent of the pipe's rate at which 20,000 packets arrive.
fn share(algorithm: Algorithm, loss: f64, one_way: u64) -> u64 {
    let packets = 20_000;
    let mut world = world(Form::Fresh, algorithm, loss, one_way, packets);
    assert!(world.run_until(Instant::ZERO + ms(600_000)));
    packets * 1200 * 8 * 1_000_000_000 / world.now.as_nanos() * 100 / RATE
}

#[test]
fn fills_a_path_that_loses_by_chance() {
    for one_way in [10, 25, 50] {
        for (loss, least) in [(0.0, 93), (0.01, 92), (0.02, 90), (0.05, 84)] {
            let reached = share(Algorithm::Bbr, loss, one_way);
            assert!(reached >= least, "{loss} {one_way} ms: {reached} %");
        }
        let cubic = share(Algorithm::Cubic, 0.02, one_way);
        assert!(cubic < 50, "{one_way} ms: {cubic} %");
    }
}

#[test]
fn keeps_the_queue_short_and_empties_nothing_where_the_path_shows_its_least_time() {
    // 10 Mbit/s over 50 ms hold 62,500 bytes.
    let mut world = world(Form::Fresh, Algorithm::Bbr, 0.0, 25, 20_000);
    let (mut longest, mut least) = (0, u64::MAX);
    for tick in 1..1_000 {
        let done = world.run_until(Instant::ZERO + ms(tick * 20));
        if done {
            break;
        }
        if tick > 100 {
            longest = longest.max(world.recovery.rtt().smoothed().as_millis());
            least = least.min(world.recovery.congestion_window());
        }
    }
    // 50 ms and what probing for more puts into the queue.
    assert!(longest < 100, "{longest} ms");
    // No ProbeRTT, of which each would cost a tenth of a second's data.
    assert!(least > 62_500, "{least} bytes");
    assert_eq!(world.recovery.stats().packets_lost, 0);
}

#[test]
fn a_path_that_became_longer_is_emptied_to_measure_it() {
    let mut world = world(Form::Fresh, Algorithm::Bbr, 0.0, 25, 1_000_000);
    world.run_until(Instant::ZERO + ms(3_000));
    world.pipe.delay = ms(40);
    let mut least = u64::MAX;
    for tick in 151..650 {
        world.run_until(Instant::ZERO + ms(tick * 20));
        least = least.min(world.recovery.congestion_window());
    }
    // ProbeRTT, within five to ten seconds: half of what the path held.
    assert!(least < 35_000, "{least} bytes");
}

#[test]
fn a_path_that_gets_slower_is_noticed_and_one_that_gets_faster_is_found() {
    let mut world = world(Form::Fresh, Algorithm::Bbr, 0.0, 25, 1_000_000);
    let rate = |world: &mut World, from: u64, to: u64| {
        world.run_until(Instant::ZERO + ms(from));
        let before = world.recovery.stats().bytes_acked;
        world.run_until(Instant::ZERO + ms(to));
        (world.recovery.stats().bytes_acked - before) * 8 * 1000 / (to - from)
    };
    assert!(rate(&mut world, 5_000, 10_000) > RATE * 9 / 10);
    world.set_rate(RATE / 4);
    assert!(rate(&mut world, 20_000, 30_000) > RATE / 4 * 9 / 10);
    let srtt = world.recovery.rtt().smoothed().as_millis();
    assert!(srtt < 200, "{srtt} ms");
    world.set_rate(RATE * 2);
    let found = rate(&mut world, 45_000, 55_000);
    assert!(found > RATE * 2 * 85 / 100, "{found}");
}

#[test]
fn every_way_of_numbering_and_a_blackout() {
    for form in [Form::Fresh, Form::Bytes] {
        let mut world = world(form, Algorithm::Bbr, 0.03, 20, 5_000);
        world.pipe.blackout = Some((Instant::ZERO + ms(1_500), Instant::ZERO + ms(6_500)));
        world.check_every_step = true;
        assert!(world.run_until(Instant::ZERO + ms(120_000)), "{form:?}");
        world.assert_complete();
        let exits = world.count(|event| matches!(event, Event::SlowStartExit { .. }));
        assert!(exits >= 1, "{form:?}");
    }
}
