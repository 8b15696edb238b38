//! Whole transfers over a pipe, each with the clause or the hazard it stands for.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod harness;

use gapless_recovery::{Config, Event, Instant, Recovery};
use harness::{Form, Pipe, World, ms};

fn at(millis: u64) -> Instant {
    Instant::ZERO + ms(millis)
}

#[test]
fn v15_reordering_is_learned() {
    let reordering = Pipe {
        reorder: 0.05,
        late_by: ms(3),
        delay: ms(10),
        rate: Some(100_000_000),
        ..Pipe::default()
    };
    let clean = Pipe {
        reorder: 0.0,
        ..reordering.clone()
    };
    for form in [Form::Fresh, Form::Bytes] {
        let mut times = Vec::new();
        for pipe in [clean.clone(), reordering.clone()] {
            let mut world = World::new(form, Config::default(), pipe, 1);
            world.check_every_step = false;
            world.to_send = 5000;
            assert!(world.run_until(at(60_000)));
            let stats = world.recovery.stats();
            assert!(stats.packets_resent < 60, "{form:?}: {stats:?}");
            times.push(world.now);
        }
        let (clean, reordered) = (times[0].as_nanos(), times[1].as_nanos());
        assert!(
            reordered < clean * 5 / 4,
            "{form:?}: {reordered} against {clean}"
        );
    }
}

#[test]
fn lost_repetitions_are_noticed_without_a_timeout() {
    for form in [Form::Fresh, Form::Bytes] {
        let mut world = World::new(
            form,
            Config::default(),
            Pipe {
                loss: 0.2,
                ..Pipe::default()
            },
            2,
        );
        world.fix_window(&Config::default(), 100 * 1200);
        world.check_every_step = false;
        world.to_send = 3000;
        assert!(world.run_until(at(600_000)));
        let stats = world.recovery.stats();
        assert!(stats.packets_resent > 600, "{form:?}: {stats:?}");
        assert!(stats.ptos < 10, "{form:?}: {stats:?}");
        assert!(stats.packets_resent < 850, "{form:?}: {stats:?}");
    }
}

#[test]
fn in_flight_stays_within_the_window() {
    let pipe = Pipe {
        rate: Some(20_000_000),
        delay: ms(20),
        ..Pipe::default()
    };
    let config = Config {
        max_window: 40 * 1200,
        ..Config::default()
    };
    let mut world = World::new(Form::Fresh, config, pipe, 2);
    world.to_send = 2000;
    assert!(world.run_until(at(60_000)));
    assert!(
        world.max_in_flight <= 40 * 1200 + 1472,
        "{}",
        world.max_in_flight
    );
    assert!(world.max_in_flight >= 38 * 1200);
}

#[test]
fn rfc9406_slow_start_ends_before_the_queue_overflows() {
    // 20 Mbit/s over 40 ms holds 100 kB; the pipe's queue is endless, so only the delay tells. The round after the one that fills
    // the path shows it (400 kB), and five rounds of a quarter each follow.
    let pipe = Pipe {
        rate: Some(20_000_000),
        delay: ms(20),
        ..Pipe::default()
    };
    let mut world = World::new(Form::Fresh, Config::default(), pipe, 2);
    world.check_every_step = false;
    world.to_send = 10_000;
    assert!(world.run_until(at(60_000)));
    assert_eq!(
        world.count(|event| matches!(event, Event::SlowStartExit { .. })),
        1
    );
    assert_eq!(world.recovery.stats().packets_lost, 0);
    assert!(
        world.max_in_flight < 1_400_000,
        "{} {:?}",
        world.max_in_flight,
        world.events
    );
    // The path was used: 12 MB take 4.8 s at least.
    assert!(world.now < at(5300), "{:?}", world.now);
}

#[test]
fn rfc9002_7_6_persistent_congestion() {
    let blackout = Some((at(300), at(3300)));
    let pipe = Pipe {
        blackout,
        rate: Some(20_000_000),
        ..Pipe::default()
    };
    let mut world = World::new(Form::Fresh, Config::default(), pipe, 2);
    world.to_send = 3000;
    world.check_every_step = false;
    assert!(world.run_until(at(60_000)));
    assert_eq!(
        world.recovery.stats().persistent_congestion,
        1,
        "{:?}",
        world.events
    );
    let ptos = world.count(|event| matches!(event, Event::PtoFired { .. }));
    assert!((3..=6).contains(&ptos), "{ptos}");
}

#[test]
fn rfc8899_4_3_black_hole_in_the_middle() {
    let mut config = Config::default();
    config.mtu.max = 1472;
    let mut world = World::new(Form::Fresh, config, Pipe::default(), 2);
    world.item_bytes = 1472;
    world.check_every_step = false;
    world.to_send = 2000;
    world.run_until(at(100));
    assert_eq!(world.recovery.mtu(), 1472);
    world.pipe.mtu = 1300;
    world.to_send = 4_000_000;
    for tick in 3.. {
        world.run_until(at(50 * tick));
        if world.recovery.stats().black_holes > 0 {
            break;
        }
        assert!(tick < 120, "never noticed");
    }
    assert_eq!(world.recovery.mtu(), 1200);
    assert_eq!(world.recovery.stats().black_holes, 1);
    // A second later the search begins, and finds what passes now.
    world.run_until(at(10_000));
    assert!(
        (1281..=1300).contains(&world.recovery.mtu()),
        "{}",
        world.recovery.mtu()
    );
    assert_eq!(world.recovery.stats().black_holes, 1);
    world.to_send = world.next_item;
    assert!(world.run_until(at(60_000)));
    world.assert_complete();
}

#[test]
fn rfc8899_3_a_lost_probe_is_no_congestion() {
    let pipe = Pipe {
        mtu: 1300,
        rate: Some(20_000_000),
        ..Pipe::default()
    };
    let mut world = World::new(Form::Fresh, Config::default(), pipe, 2);
    world.to_send = 3000;
    assert!(world.run_until(at(60_000)));
    let stats = world.recovery.stats();
    assert!(stats.mtu_probes_lost >= 3);
    assert_eq!((stats.congestion_events, stats.packets_lost), (0, 0));
    assert!(
        (1281..=1300).contains(&world.recovery.mtu()),
        "{} {stats:?}",
        world.recovery.mtu()
    );
}

#[test]
fn an_idle_connection_is_small() {
    assert!(
        size_of::<Recovery<[u64; 3]>>() <= 1228,
        "{}",
        size_of::<Recovery<[u64; 3]>>()
    );
    let mut world = World::new(Form::Fresh, Config::default(), Pipe::default(), 2);
    assert_eq!(world.recovery.memory(), 0);
    world.to_send = 5000;
    world.run_until(at(60_000));
    assert!(world.recovery.memory() > 10_000);
    world.drain();
    assert_eq!(world.recovery.memory(), 0);
    world.to_send = 5001;
    assert!(world.run_until(at(60_000)));
}
