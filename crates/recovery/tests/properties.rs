//! Random pipes: faults, then calm, in which the run must finish. The harness checks the invariants at every step.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod harness;

use gapless_recovery::{Algorithm, Config, Instant};
use harness::{Form, Pipe, World, ms};
use proptest::prelude::*;
use std::time::Duration;

fn forms() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Fresh), Just(Form::Single), Just(Form::Bytes)]
}

fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(0xffff_fff0_u64),
        Just(u64::MAX - 10_000_000),
        any::<u32>().prop_map(u64::from)
    ]
}

fn pipes() -> impl Strategy<Value = Pipe> {
    (
        (0.0..0.4_f64, 0.0..0.3_f64, 0.0..0.3_f64, 0_u64..100),
        (
            0_u64..200,
            0_u64..30,
            proptest::option::of(500_000_u64..100_000_000),
            600_u32..1600,
        ),
        proptest::option::of((0_u64..2000, 1_u64..4000)),
    )
        .prop_map(
            |((loss, duplicate, reorder, late), (delay, jitter, rate, mtu), dark)| Pipe {
                loss,
                duplicate,
                reorder,
                late_by: ms(late),
                delay: Duration::from_micros(50) + ms(delay),
                jitter: ms(jitter),
                rate,
                blackout: dark.map(|(from, length)| {
                    (Instant::ZERO + ms(from), Instant::ZERO + ms(from + length))
                }),
                mtu,
            },
        )
}

/// Faults for a while, then a good pipe; the rest must arrive within a bound of timeouts.
fn two_phases(
    form: Form,
    first_number: u64,
    pipe: Pipe,
    items: u64,
    ping: u64,
    algorithm: Algorithm,
    seed: u64,
) {
    let mut config = Config {
        first_number,
        algorithm,
        ..Config::default()
    };
    config.mtu.base = 600;
    config.mtu.max = 1472;
    let calm = Pipe {
        delay: pipe.delay,
        mtu: 600,
        ..Pipe::default()
    };
    let mut world = World::new(form, config, pipe, seed);
    world.to_send = items;
    world.pings_every = ping;
    world.max_ranges = 1 + usize::try_from(seed % 7).unwrap();
    world.ack_every = 1 + u32::try_from(seed % 3).unwrap();
    if !world.run_until(Instant::ZERO + ms(3000)) {
        world.pipe = calm;
        // Whatever was backed off fires within the ceiling; after that the path answers. The bound is generous in what it
        // transfers and strict in that it is one.
        let bound = world.now + Duration::from_secs(60);
        assert!(
            world.run_until(bound),
            "wedged: {:?} at {:?}, {:?}",
            world.recovery.stats(),
            world.now,
            world.events.iter().rev().take(20).collect::<Vec<_>>()
        );
    }
    world.assert_complete();
    if form != Form::Bytes {
        world.assert_numbers();
    }
    world.drain();
    assert_eq!(world.recovery.bytes_in_flight(), 0, "nothing leaks");
    assert_eq!(world.recovery.records().count(), 0);
    assert_eq!(world.recovery.next_deadline(), None);
    assert_eq!(world.recovery.memory(), 0);
    let stats = world.recovery.stats();
    assert!(stats.bytes_sent >= stats.bytes_acked);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_acknowledged_exactly_once(
        form in forms(),
        first in starts(),
        pipe in pipes(),
        items in 1_u64..400,
        ping in 0_u64..6,
        reno in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let algorithm = if reno { Algorithm::NewReno } else { Algorithm::Cubic };
        two_phases(form, first, pipe, items, ping, algorithm, seed);
    }
}
