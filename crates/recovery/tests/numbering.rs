//! Both numberings on one engine: a number per transmission, and a number per byte.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod harness;

use gapless_recovery::{Config, Instant};
use harness::{Form, Pipe, World, ms};
use std::time::Duration;

const FORMS: [Form; 3] = [Form::Fresh, Form::Single, Form::Bytes];

/// Where numbers start: zero, the wrap of 32 bits, and the end of 64.
const STARTS: [u64; 3] = [0, 0xffff_fff0, u64::MAX - 40_000_000];

fn transfer(form: Form, first_number: u64, pipe: Pipe, items: u64, seed: u64) -> World {
    let config = Config {
        first_number,
        ..Config::default()
    };
    let mut world = World::new(form, config, pipe, seed);
    world.to_send = items;
    assert!(
        world.run_until(Instant::from_nanos(600_000_000_000)),
        "{form:?} from {first_number} seed {seed}"
    );
    world.assert_complete();
    world.assert_numbers();
    assert_eq!(world.recovery.unacknowledged(), 0);
    world
}

#[test]
fn a_clean_pipe_needs_no_repetition() {
    for form in FORMS {
        for first in STARTS {
            let world = transfer(form, first, Pipe::default(), 2000, 1);
            let stats = world.recovery.stats();
            assert_eq!(
                (stats.packets_resent, stats.packets_lost, stats.ptos),
                (0, 0, 0),
                "{form:?}"
            );
        }
    }
}

#[test]
fn everything_arrives_through_a_bad_pipe() {
    let pipe = Pipe {
        loss: 0.1,
        duplicate: 0.05,
        reorder: 0.05,
        jitter: ms(2),
        ..Pipe::default()
    };
    for form in FORMS {
        for first in STARTS {
            for seed in 0..4 {
                let world = transfer(form, first, pipe.clone(), 500, seed);
                assert!(world.recovery.stats().packets_resent > 0);
            }
        }
    }
}

#[test]
fn everything_arrives_when_half_is_lost() {
    for form in FORMS {
        transfer(
            form,
            0,
            Pipe {
                loss: 0.5,
                ..Pipe::default()
            },
            200,
            7,
        );
    }
}

#[test]
fn karn_no_sample_is_ambiguous() {
    // A constant path: every true sample is the round trip and what the receiver waited, to the nanosecond.
    let blackout = Some((
        Instant::from_nanos(30_000_000),
        Instant::from_nanos(1_700_000_000),
    ));
    let pipe = Pipe {
        loss: 0.15,
        delay: ms(40),
        blackout,
        ..Pipe::default()
    };
    for form in FORMS {
        let world = transfer(form, 0, pipe.clone(), 400, 3);
        let samples: Vec<Duration> = world
            .outcomes
            .iter()
            .filter_map(|(outcome, waited)| Some(outcome.rtt_sample?.saturating_sub(*waited)))
            .collect();
        assert!(samples.len() > 20, "{form:?}");
        assert!(
            samples.iter().all(|sample| *sample == ms(80)),
            "{form:?}: {samples:?}"
        );
    }
}

#[test]
fn karn_a_timeout_shorter_than_the_path_still_finds_its_time() {
    // The first guess is 1 ms, the path takes 700 ms: every first packet is repeated before its answer.
    for form in FORMS {
        let config = Config {
            initial_rtt: ms(1),
            min_pto: ms(10),
            ..Config::default()
        };
        let mut world = World::new(
            form,
            config,
            Pipe {
                delay: ms(350),
                ..Pipe::default()
            },
            5,
        );
        world.to_send = 300;
        assert!(
            world.run_until(Instant::from_nanos(60_000_000_000)),
            "{form:?}"
        );
        world.assert_complete();
        let smoothed = world.recovery.rtt().smoothed();
        assert!(
            smoothed >= ms(690) && smoothed < ms(800),
            "{form:?}: {smoothed:?}"
        );
        let stats = world.recovery.stats();
        assert!(stats.packets_resent < 30, "{form:?}: {stats:?}");
    }
}

#[test]
fn records_are_split_when_the_path_shrinks() {
    for form in [Form::Fresh, Form::Bytes] {
        let mut config = Config::default();
        config.mtu.base = 600;
        let mut world = World::new(form, config, Pipe::default(), 5);
        world.item_bytes = 1100;
        world.to_send = 60;
        // Bytes cannot be probed with numbers of their own, so there the large size is simply committed.
        world.pipe.mtu = 600;
        for id in 0..6 {
            let span = if form == Form::Bytes { 1060 } else { 1 };
            let item = harness::Item {
                id,
                bytes: 1100,
                part: 0,
                span,
            };
            let sent = world
                .recovery
                .commit_span(
                    world.now,
                    gapless_recovery::Class::Reliable,
                    1100,
                    span,
                    item,
                )
                .unwrap();
            world
                .item_numbers
                .entry((id, 0))
                .or_default()
                .insert(sent.number);
        }
        world.next_item = 6;
        assert!(
            world.run_until(Instant::from_nanos(60_000_000_000)),
            "{form:?}"
        );
        world.assert_complete();
        assert!(
            world
                .acked
                .keys()
                .filter(|(id, part)| *id < 6 && *part > 0)
                .count()
                >= 12,
            "{:?}",
            world.acked
        );
    }
}

/// A number that is left out is nobody's: nothing waits for it, and no acknowledgement of it is taken for a lie or for news.
#[test]
fn a_number_can_be_left_out_where_holes_are_harmless() {
    use gapless_recovery::{Class, Numbering, Recovery};
    let config = Config::default();
    let now = Instant::from_nanos(0);
    let mut recovery = Recovery::new(&config, now);
    recovery.skip_number();
    assert_eq!((recovery.next_number(), recovery.bytes_in_flight()), (1, 0));
    assert_eq!(recovery.next_deadline(), None);
    let sent = recovery.commit(now, Class::Reliable, 100, 'a').unwrap();
    recovery.skip_number();
    recovery.commit(now, Class::Reliable, 100, 'b').unwrap();
    assert_eq!((sent.number, recovery.next_number()), (1, 4));
    recovery.check().unwrap();
    let mut acked = Vec::new();
    let later = Instant::from_nanos(20_000_000);
    let all = std::iter::once(0..=3);
    recovery
        .on_ack(later, 3, Duration::ZERO, all, |what| acked.push(what))
        .unwrap();
    assert_eq!(acked, ['a', 'b']);
    assert_eq!(recovery.bytes_in_flight(), 0);
    recovery.check().unwrap();

    let config = Config {
        numbering: Numbering::Reuse,
        ..config
    };
    let mut recovery = Recovery::<char>::new(&config, now);
    recovery.skip_number();
    assert_eq!(recovery.next_number(), 0, "every number must arrive");
}

/// UDX2 H4: what a sender's span of numbers is counted from.
#[test]
fn the_oldest_number_is_the_lowest_that_is_not_acknowledged() {
    use gapless_recovery::{Class, Numbering, Recovery};
    let config = Config {
        numbering: Numbering::Reuse,
        first_number: 7,
        ..Config::default()
    };
    let now = Instant::from_nanos(0);
    let mut recovery = Recovery::new(&config, now);
    assert_eq!(recovery.oldest_number(), 7);
    for what in 0..5 {
        recovery.commit(now, Class::Reliable, 100, what).unwrap();
    }
    let later = Instant::from_nanos(20_000_000);
    let mut ack = |number| {
        let range = std::iter::once(number..=number);
        recovery
            .on_ack(later, number, Duration::ZERO, range, |_| {})
            .unwrap();
        recovery.oldest_number()
    };
    assert_eq!([8, 10, 7, 9, 11].map(&mut ack), [7, 7, 9, 11, 12]);
}

/// A dialer learns from the first answer how its peer numbers: its one packet has arrived, and what follows counts on.
#[test]
fn numbering_can_be_learned_from_the_first_answer() {
    use gapless_recovery::{Class, Numbering, Recovery};
    for (first, then) in [
        (Numbering::Reuse, Numbering::Fresh),
        (Numbering::Reuse, Numbering::Reuse),
    ] {
        let config = |numbering, first_number| Config {
            numbering,
            first_number,
            ..Config::default()
        };
        let mut now = Instant::from_nanos(0);
        let mut recovery = Recovery::new(&config(first, 0), now);
        let syn = recovery.commit(now, Class::Reliable, 60, "syn").unwrap();
        for _ in 0..3 {
            now = recovery.next_deadline().unwrap();
            recovery.on_timeout(now);
            assert_eq!(
                recovery.resend(now, syn.record, 60),
                Ok(0),
                "under its number"
            );
        }
        recovery.on_rtt_sample(now, ms(40));
        recovery.restart(&config(then, 1), now);
        recovery.check().unwrap();
        assert_eq!((recovery.next_number(), recovery.bytes_in_flight()), (1, 0));
        assert_eq!(recovery.rtt().smoothed(), ms(40), "what was measured stays");
        assert_eq!(recovery.stats().packets_sent, 4);
        // The acknowledgement of the first packet comes too late to matter.
        let late = recovery.on_ack(now, 0, Duration::ZERO, std::iter::once(0..=0), |_| {});
        assert_eq!(late.unwrap().newly_acked_records, 0);
        let data: Vec<u64> = (0..5)
            .map(|_| {
                recovery
                    .commit(now, Class::Reliable, 1200, "data")
                    .unwrap()
                    .number
            })
            .collect();
        assert_eq!(data, [1, 2, 3, 4, 5]);
        let mut acked = 0;
        now += ms(40);
        let all = std::iter::once(0..=5);
        recovery
            .on_ack(now, 5, Duration::ZERO, all, |_| acked += 1)
            .unwrap();
        assert_eq!((acked, recovery.stats().packets_lost), (5, 0), "{then:?}");
        recovery.check().unwrap();
    }
}

/// After a blackout the path is a little shorter than before. Each answer to a repetition then comes sooner than any before, and still
/// says that what was sent earlier is lost.
#[test]
fn a_path_that_became_shorter_in_a_blackout_is_not_left_to_probes() {
    use gapless_recovery::{Class, Numbering, Recovery};
    let config = Config {
        numbering: Numbering::Reuse,
        ..Config::default()
    };
    let mut now = Instant::from_nanos(0);
    let mut recovery = Recovery::new(&config, now);
    let one = |number| std::iter::once(number..=number);
    recovery.commit(now, Class::Reliable, 100, 0_u64).unwrap();
    now += ms(20);
    recovery
        .on_ack(now, 0, Duration::ZERO, one(0), |_| {})
        .unwrap();
    for what in 1..=8 {
        recovery.commit(now, Class::Reliable, 100, what).unwrap();
    }
    let mut probe = 0;
    for _ in 0..4 {
        now = recovery.next_deadline().unwrap();
        recovery.on_timeout(now);
        while recovery.owes_probe() {
            let (record, _) = recovery.probe_candidate().unwrap();
            probe = recovery.resend(now, record, 100).unwrap();
        }
    }
    now += ms(19);
    recovery
        .on_ack(now, probe, Duration::ZERO, one(probe), |_| {})
        .unwrap();
    let mut again = Vec::new();
    while let Some((record, _)) = recovery.next_lost() {
        again.push(recovery.resend(now, record, 100).unwrap());
    }
    assert!(again.len() >= 6, "only {again:?} are sent again");
    recovery.check().unwrap();
}
