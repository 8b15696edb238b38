//! Single scenes, each with the clause or the hazard it stands for.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod harness;

use gapless_recovery::{
    AckError, Class, CommitError, Config, Event, Instant, Number, Numbering, Permission, Recovery,
    ResendError, SplitError,
};
use harness::{Form, Pipe, Random, World, ms};
use std::time::Duration;

fn at(millis: u64) -> Instant {
    Instant::ZERO + ms(millis)
}

fn plain() -> Config {
    let mut config = Config {
        pacing: false,
        ..Config::default()
    };
    config.mtu.search = false;
    config
}

fn send(recovery: &mut Recovery<u64>, now: Instant, what: u64) -> Number {
    recovery.commit(now, Class::Reliable, 1200, what).unwrap()
}

/// Acknowledges inclusive ranges, highest first; what came back.
fn ack(recovery: &mut Recovery<u64>, now: Instant, ranges: &[(u64, u64)]) -> Vec<u64> {
    let mut acked = Vec::new();
    let ranges = ranges.iter().map(|&(first, last)| first..=last);
    let largest = *ranges.clone().next().unwrap().end();
    recovery
        .on_ack(now, largest, Duration::ZERO, ranges, |what| {
            acked.push(what)
        })
        .unwrap();
    assert_eq!(recovery.check(), Ok(()));
    acked
}

fn events(recovery: &mut Recovery<u64>) -> Vec<Event> {
    std::iter::from_fn(|| recovery.poll_event()).collect()
}

#[test]
fn ten_thousand_timeouts() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..10 {
        send(&mut recovery, at(0), what);
    }
    let mut sent: u64 = 10;
    for round in 0..10_000_u64 {
        let deadline = recovery.next_deadline().expect("R10");
        recovery.on_timeout(deadline);
        assert!(recovery.next_deadline().unwrap() > deadline, "R9");
        assert!(recovery.pto() <= Duration::from_secs(2));
        let mut probes = 0;
        while recovery.owes_probe() {
            assert_eq!(recovery.may_send(deadline, 1200), Permission::Probe);
            let id = recovery
                .next_lost()
                .or_else(|| recovery.probe_candidate())
                .unwrap()
                .0;
            recovery.resend(deadline, id, 1200).unwrap();
            probes += 1;
        }
        sent += probes;
        assert!(probes == if round == 0 { 1 } else { 2 }, "V20");
    }
    assert_eq!(recovery.check(), Ok(()));
    assert_eq!(recovery.stats().ptos, 10_000);
    assert_eq!(recovery.stats().packets_sent, sent);
    assert_eq!(recovery.unacknowledged(), 10);
    assert!(recovery.memory() < 8 << 20, "{}", recovery.memory());
    // And then the peer answers.
    let now = recovery.next_deadline().unwrap();
    let last = recovery.next_number() - 1;
    let acked = ack(&mut recovery, now, &[(last - 9, last)]);
    assert!(!acked.is_empty());
    assert_eq!(recovery.pto_count(), 0);
    while let Some((id, _)) = recovery.next_lost() {
        recovery.resend(now, id, 1200).unwrap();
    }
    let last = recovery.next_number() - 1;
    ack(&mut recovery, now + ms(30), &[(0, last)]);
    assert_eq!(
        (recovery.unacknowledged(), recovery.bytes_in_flight()),
        (0, 0)
    );
}

#[test]
fn two_probes_of_one_timeout_carry_different_records() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..5 {
        send(&mut recovery, at(0), what);
    }
    for expected in [vec![0], vec![0, 1]] {
        let deadline = recovery.next_deadline().unwrap();
        recovery.on_timeout(deadline);
        let mut probed = Vec::new();
        while recovery.owes_probe() {
            let (id, &what) = recovery.probe_candidate().unwrap();
            probed.push(what);
            recovery.resend(deadline, id, 1200).unwrap();
        }
        assert_eq!(probed, expected);
    }
}

#[test]
fn v8_ranges_of_two_to_the_32_cost_nothing() {
    let first = 1 << 40;
    let mut recovery = Recovery::new(
        &Config {
            first_number: first,
            ..plain()
        },
        at(0),
    );
    for what in 0..100 {
        send(&mut recovery, at(0), what);
    }
    let last = recovery.next_number() - 1;
    let before = recovery.ack_work();
    let acked = ack(&mut recovery, at(10), &[(last - (1 << 32), last)]);
    assert_eq!(acked, (0..100).collect::<Vec<_>>());
    assert!(recovery.ack_work() - before <= 102);
}

#[test]
fn sack_fragmentation_cost() {
    // 20,000 in flight, every second one missing: each of 200 acknowledgements repeats the 32 newest ranges and the whole
    // history below as well.
    let config = Config {
        max_window: 1 << 40,
        initial_window_packets: 30_000,
        ..plain()
    };
    let mut recovery = Recovery::new(&config, at(0));
    for what in 0..20_000 {
        send(&mut recovery, at(0), what);
    }
    let mut random = Random::new(4);
    let mut ranges_seen: u64 = 0;
    for turn in 0..200_u64 {
        let top = 100 * (turn + 1) - 1;
        let mut ranges: Vec<(u64, u64)> = (0..32)
            .map(|index| top.saturating_sub(index * 2))
            .map(|n| (n, n))
            .collect();
        ranges.dedup();
        // A hostile peer adds long ranges whose ends lie anywhere in what is acknowledged already.
        for _ in 0..32 {
            let low = random.below(top / 2);
            let high = (low + 3000).min(top.saturating_sub(64));
            if low < high && turn > 40 {
                ranges.push((low, high));
            }
        }
        ranges_seen += ranges.len() as u64;
        let ranges = ranges.iter().map(|&(first, last)| first..=last);
        recovery
            .on_ack(at(10), top, Duration::ZERO, ranges, |_| ())
            .unwrap();
    }
    assert_eq!(recovery.check(), Ok(()));
    // Newly acknowledged ones count once; everything else is a few steps per range.
    let budget = 20_000 + ranges_seen * 8;
    assert!(
        recovery.ack_work() < budget,
        "{} steps for {ranges_seen} ranges",
        recovery.ack_work()
    );
}

#[test]
fn a_long_held_hole_does_not_make_acknowledgements_expensive() {
    for form in [Form::Fresh, Form::Bytes] {
        let mut config = Config {
            max_window: 1 << 40,
            initial_window_packets: 30_000,
            ..plain()
        };
        config.numbering = if form == Form::Bytes {
            Numbering::Reuse
        } else {
            Numbering::Fresh
        };
        let mut recovery = Recovery::new(&config, at(0));
        for what in 0..20_000 {
            send(&mut recovery, at(0), what);
        }
        // The first is lost; each acknowledgement repeats everything behind it.
        let mut worst = 0;
        for top in (2..20_000).step_by(2) {
            let before = recovery.ack_work();
            recovery
                .on_ack(
                    at(10),
                    top,
                    Duration::ZERO,
                    std::iter::once(1..=top),
                    |_| (),
                )
                .unwrap();
            worst = worst.max(recovery.ack_work() - before);
        }
        assert!(worst <= 6, "{form:?}: {worst} steps");
    }
}

#[test]
fn r3_what_was_never_sent_is_refused_as_a_whole() {
    let mut recovery = Recovery::new(
        &Config {
            first_number: 5,
            ..plain()
        },
        at(0),
    );
    for what in 0..5 {
        send(&mut recovery, at(0), what);
    }
    for (largest, ranges) in [
        (10, vec![5..=9]),
        (9, vec![10..=10, 5..=6]),
        (u64::MAX, vec![]),
        (9, vec![5..=u64::MAX]),
    ] {
        let refused = recovery.on_ack(
            at(1),
            largest,
            Duration::ZERO,
            ranges.into_iter(),
            |_| panic!(),
        );
        assert_eq!(refused, Err(AckError::NeverSent));
        assert_eq!(recovery.unacknowledged(), 5);
        assert_eq!(recovery.rtt().samples(), 0);
    }
    assert_eq!(recovery.stats().acks_refused, 4);
    // Below the first number there is nothing to believe, and nothing to refuse for; an inverted range is empty.
    #[allow(clippy::reversed_empty_ranges)]
    let ranges = [9..=9, 8..=7, 0..=6];
    let outcome = recovery
        .on_ack(at(1), 9, Duration::ZERO, ranges.into_iter(), |_| ())
        .unwrap();
    assert_eq!(outcome.newly_acked_records, 3);
}

#[test]
fn numbers_end() {
    for last in [u64::MAX, u64::MAX - 1] {
        let config = Config {
            first_number: u64::MAX - 3,
            last_number: last,
            ..plain()
        };
        let mut recovery = Recovery::new(&config, at(0));
        let first = send(&mut recovery, at(0), 0);
        send(&mut recovery, at(0), 1);
        assert_eq!(recovery.resend(at(0), first.record, 1200), Ok(u64::MAX - 1));
        assert_eq!(
            recovery.commit(at(0), Class::Reliable, 1, 9),
            Err(CommitError::NumbersExhausted)
        );
        assert_eq!(
            recovery.resend(at(0), first.record, 1200),
            Err(ResendError::NumbersExhausted)
        );
        assert_eq!(recovery.check(), Ok(()));
        assert_eq!(
            ack(&mut recovery, at(5), &[(u64::MAX - 2, u64::MAX - 1)]),
            [1, 0]
        );
    }
    let config = Config {
        numbering: Numbering::Reuse,
        last_number: 99,
        ..plain()
    };
    let mut recovery: Recovery<u64> = Recovery::new(&config, at(0));
    recovery
        .commit_span(at(0), Class::Reliable, 100, 60, 0)
        .unwrap();
    assert_eq!(
        recovery.commit_span(at(0), Class::Reliable, 100, 41, 0),
        Err(CommitError::NumbersExhausted)
    );
    recovery
        .commit_span(at(0), Class::Reliable, 100, 40, 0)
        .unwrap();
    assert_eq!(recovery.next_number(), 100);
}

#[test]
fn reused_numbers_promise_repetition() {
    let mut recovery: Recovery<u64> = Recovery::new(
        &Config {
            numbering: Numbering::Reuse,
            ..plain()
        },
        at(0),
    );
    assert_eq!(
        recovery.commit(at(0), Class::Once, 100, 0),
        Err(CommitError::NotRepeatable)
    );
    assert_eq!(
        recovery.commit_span(at(0), Class::Reliable, 100, 0, 0),
        Err(CommitError::NotRepeatable)
    );
    assert_eq!(recovery.next_number(), 0);
    let sent = recovery
        .commit_span(at(0), Class::Reliable, 100, 1, 0)
        .unwrap();
    assert_eq!(
        recovery.split(sent.record, 1, 2),
        Err(SplitError::NotRepeatable)
    );
}

#[test]
fn a_record_acknowledged_in_part_waits_for_the_rest() {
    let mut recovery: Recovery<u64> = Recovery::new(
        &Config {
            numbering: Numbering::Reuse,
            ..plain()
        },
        at(0),
    );
    recovery
        .commit_span(at(0), Class::Reliable, 1000, 1000, 0)
        .unwrap();
    recovery
        .commit_span(at(0), Class::Reliable, 1000, 1000, 1)
        .unwrap();
    assert_eq!(ack(&mut recovery, at(10), &[(0, 1498)]), [0]);
    assert_eq!(ack(&mut recovery, at(10), &[(0, 1998)]), [] as [u64; 0]);
    assert_eq!(ack(&mut recovery, at(10), &[(0, 1999)]), [1]);
}

#[test]
fn the_log_is_bounded_and_repetitions_still_pass() {
    let mut recovery = Recovery::new(
        &Config {
            max_records: 8,
            ..plain()
        },
        at(0),
    );
    for what in 0..8 {
        send(&mut recovery, at(0), what);
    }
    assert_eq!(recovery.may_send(at(0), 100), Permission::LogFull);
    assert_eq!(
        recovery.commit(at(0), Class::Reliable, 100, 9),
        Err(CommitError::LogFull)
    );
    for _ in 0..50 {
        let deadline = recovery.next_deadline().unwrap();
        recovery.on_timeout(deadline);
        let (id, _) = recovery
            .next_lost()
            .or_else(|| recovery.probe_candidate())
            .unwrap();
        recovery.resend(deadline, id, 1200).unwrap();
        assert_eq!(recovery.check(), Ok(()));
    }
    let last = recovery.next_number() - 1;
    let now = recovery.next_deadline().unwrap();
    ack(&mut recovery, now, &[(0, last)]);
    assert_eq!(recovery.unacknowledged(), 0);
    assert_eq!(recovery.may_send(at(1_000_000), 100), Permission::Now);
}

#[test]
fn an_acknowledgement_of_any_number_acknowledges_the_record() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..4 {
        send(&mut recovery, at(0), what);
    }
    ack(&mut recovery, at(20), &[(1, 3)]);
    let (id, &what) = recovery.next_lost().expect("three later ones arrived");
    assert_eq!(what, 0);
    assert_eq!(recovery.resend(at(20), id, 1200), Ok(4));
    let window = recovery.congestion_window();
    assert_eq!(
        ack(&mut recovery, at(25), &[(0, 3)]),
        [0],
        "the old number, late"
    );
    assert_eq!(
        recovery.resend(at(25), id, 1200),
        Err(ResendError::UnknownRecord)
    );
    assert_eq!(recovery.stats().spurious_losses, 1);
    assert!(
        recovery.congestion_window() > window,
        "and the reduction is undone"
    );
    assert!(
        events(&mut recovery)
            .iter()
            .any(|event| matches!(event, Event::SpuriousLossUndone { .. }))
    );
    // The repetition is in flight still; its acknowledgement brings nothing back but its bytes.
    assert_eq!(recovery.bytes_in_flight(), 1200);
    assert_eq!(ack(&mut recovery, at(40), &[(4, 4)]), [] as [u64; 0]);
    assert_eq!(recovery.bytes_in_flight(), 0);
}

#[test]
fn a_reduction_stays_while_one_of_its_losses_is_real() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..10 {
        send(&mut recovery, at(0), what);
    }
    ack(&mut recovery, at(20), &[(2, 9)]);
    let after = recovery.stats().congestion_events;
    assert_eq!(after, 1);
    ack(&mut recovery, at(22), &[(1, 9)]);
    assert_eq!(recovery.stats().congestion_undone, 0);
    assert_eq!(recovery.stats().spurious_losses, 1);
    ack(&mut recovery, at(23), &[(0, 9)]);
    assert_eq!(recovery.stats().congestion_undone, 1);
}

#[test]
fn reuse_an_answer_faster_than_the_path_reveals_the_error() {
    let mut recovery = Recovery::new(
        &Config {
            numbering: Numbering::Reuse,
            ..plain()
        },
        at(0),
    );
    for what in 0..4 {
        send(&mut recovery, at(0), what);
    }
    ack(&mut recovery, at(20), &[(1, 3)]);
    let (id, _) = recovery.next_lost().unwrap();
    assert_eq!(recovery.resend(at(21), id, 1200), Ok(0), "the same number");
    let samples = recovery.rtt().samples();
    assert_eq!(ack(&mut recovery, at(23), &[(0, 3)]), [0]);
    assert_eq!(recovery.rtt().samples(), samples, "Karn");
    assert_eq!(recovery.stats().congestion_undone, 1);
    assert_eq!(recovery.bytes_in_flight(), 0);
}

/// Once reordering was seen, the packets of a burst are declared lost by their own timers, one after the other, and no
/// acknowledgement comes between: that is one bad moment and not a path that carries no large packets.
#[test]
fn a_burst_of_losses_is_no_black_hole() {
    let mut config = plain();
    config.mtu.search = true;
    config.initial_window_packets = 100;
    let mut recovery = Recovery::new(&config, at(0));
    let first = send(&mut recovery, at(0), 0).number;
    let second = send(&mut recovery, at(0), 1).number;
    ack(&mut recovery, at(40), &[(second, second)]);
    ack(&mut recovery, at(41), &[(first, first)]);
    let probe = recovery.poll_mtu_probe(at(41)).unwrap();
    let sent = recovery.commit(at(41), Class::MtuProbe, u32::from(probe), 2);
    let number = sent.unwrap().number;
    ack(&mut recovery, at(81), &[(number, number)]);
    assert_eq!(recovery.mtu(), 1472);
    for flight in 0..2 {
        let start = 1000 + 1000 * flight;
        let numbers: Vec<u64> = (0..30)
            .map(|n| recovery.commit(at(start + n), Class::Reliable, 1472, n))
            .map(|sent| sent.unwrap().number)
            .collect();
        let lost = recovery.stats().packets_lost;
        ack(&mut recovery, at(start + 40), &[(numbers[20], numbers[29])]);
        let mut timers = 0;
        while let Some(deadline) = recovery
            .next_deadline()
            .filter(|due| *due < at(start + 100))
        {
            recovery.on_timeout(deadline);
            timers += 1;
        }
        assert_eq!(recovery.stats().packets_lost - lost, 20);
        assert!(timers >= 10, "by timers of their own: {timers}");
        ack(&mut recovery, at(start + 200), &[(numbers[0], numbers[19])]);
    }
    assert_eq!(recovery.stats().black_holes, 0);
    assert_eq!(recovery.mtu(), 1472);
}

#[test]
fn pings_are_never_sent_again_and_leave_nothing_behind() {
    let mut recovery = Recovery::new(&plain(), at(0));
    recovery.commit(at(0), Class::Once, 50, 7).unwrap();
    assert!(!recovery.has_unacknowledged());
    assert_eq!(recovery.records().count(), 1);
    let deadline = recovery.next_deadline().expect("R10");
    recovery.on_timeout(deadline);
    assert!(!recovery.owes_probe());
    assert_eq!(
        (recovery.bytes_in_flight(), recovery.records().count()),
        (0, 0)
    );
    assert_eq!(recovery.stats().congestion_events, 0);
    assert!(recovery.next_lost().is_none());
    assert_eq!(recovery.check(), Ok(()));
}

#[test]
fn abandoned_records_are_not_sent_again() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..10 {
        send(&mut recovery, at(0), what);
    }
    recovery.abandon(|what| what % 2 == 0);
    assert_eq!(recovery.check(), Ok(()));
    assert_eq!(recovery.unacknowledged(), 5);
    assert_eq!(ack(&mut recovery, at(20), &[(7, 9)]), [7, 9]);
    let mut lost = Vec::new();
    while let Some((id, &what)) = recovery.next_lost() {
        lost.push(what);
        recovery.resend(at(20), id, 1200).unwrap();
    }
    assert_eq!(lost, [1, 3, 5]);
    recovery.abandon(|_| true);
    assert_eq!(recovery.unacknowledged(), 0);
    // What is in flight still fills the window until it is known or its time is over.
    assert_eq!(recovery.bytes_in_flight(), 3600);
    let deadline = recovery.next_deadline().expect("R10");
    recovery.on_timeout(deadline);
    assert_eq!(recovery.bytes_in_flight(), 0);
    assert_eq!(recovery.check(), Ok(()));
}

#[test]
fn split_records_arrive_as_their_halves() {
    let mut recovery = Recovery::new(&plain(), at(0));
    let first = send(&mut recovery, at(0), 10);
    send(&mut recovery, at(0), 20);
    recovery.split(first.record, 11, 12).unwrap();
    assert_eq!(recovery.check(), Ok(()));
    assert_eq!(
        recovery.split(first.record, 1, 2),
        Err(SplitError::UnknownRecord)
    );
    assert_eq!(
        ack(&mut recovery, at(5), &[(0, 1)]),
        [20],
        "the old number counts for nothing"
    );
    for expected in [11, 12] {
        let (id, &what) = recovery.next_lost().unwrap();
        assert_eq!(what, expected);
        recovery.resend(at(5), id, 600).unwrap();
    }
    assert_eq!(ack(&mut recovery, at(9), &[(2, 3)]), [11, 12]);
}

#[test]
fn a_new_path_starts_afresh_and_keeps_the_records() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..10 {
        send(&mut recovery, at(0), what);
    }
    ack(&mut recovery, at(200), &[(0, 0)]);
    recovery.on_path_change(at(200));
    assert_eq!(recovery.check(), Ok(()));
    assert_eq!(
        (recovery.bytes_in_flight(), recovery.unacknowledged()),
        (0, 9)
    );
    assert_eq!(recovery.rtt().samples(), 0);
    assert_eq!(recovery.congestion_window(), 12_000);
    assert!(recovery.next_deadline().unwrap() > at(200));
    let new = send(&mut recovery, at(200), 10);
    // The old packets arrived on the old path; the new path learns nothing from them.
    let acked = ack(&mut recovery, at(210), &[(1, 5)]);
    assert_eq!(acked, [1, 2, 3, 4, 5]);
    assert_eq!(recovery.rtt().samples(), 0);
    ack(&mut recovery, at(230), &[(new.number, new.number)]);
    assert_eq!(recovery.rtt().smoothed(), ms(30));
    // The rest of the old path counts as lost in the end, and not against the new one.
    let deadline = recovery.next_deadline().unwrap();
    recovery.on_timeout(deadline);
    assert!(recovery.next_lost().is_some());
    assert_eq!(recovery.stats().congestion_events, 0);
}

/// What was declared lost on the old path and comes late after all measures the old path.
#[test]
fn a_late_answer_over_the_old_path_tells_nothing_of_the_new() {
    let mut recovery = Recovery::new(&plain(), at(0));
    for what in 0..5 {
        send(&mut recovery, at(0), what);
    }
    ack(&mut recovery, at(400), &[(3, 3)]);
    assert_eq!(recovery.stats().packets_lost, 1);
    recovery.on_path_change(at(500));
    let window = recovery.congestion_window();
    assert_eq!(ack(&mut recovery, at(501), &[(0, 0)]), [0]);
    assert_eq!(recovery.rtt().samples(), 0);
    assert_eq!(recovery.congestion_window(), window);
}

#[test]
fn time_that_goes_back_or_jumps_is_harmless() {
    let mut recovery = Recovery::new(&Config::default(), at(1000));
    send(&mut recovery, at(0), 0);
    send(&mut recovery, at(2000), 1);
    recovery.on_timeout(at(5));
    recovery.on_timeout(at(5));
    ack(&mut recovery, at(1), &[(0, 1)]);
    send(&mut recovery, Instant::MAX, 2);
    recovery.on_timeout(Instant::MAX);
    let _ = recovery.may_send(Instant::ZERO, u32::MAX);
    ack(&mut recovery, at(0), &[(2, 2)]);
    assert_eq!(recovery.unacknowledged(), 0);
}

#[test]
fn late_and_double_calls_change_nothing_but_time() {
    let mut recovery = Recovery::new(&plain(), at(0));
    send(&mut recovery, at(0), 0);
    for _ in 0..10 {
        recovery.on_timeout(at(1));
    }
    assert_eq!(recovery.pto_count(), 0);
    recovery.on_timeout(at(100_000));
    recovery.on_timeout(at(100_000));
    assert_eq!(recovery.pto_count(), 1);
}

#[test]
fn nobody_has_to_read_events() {
    let mut world = World::new(
        Form::Fresh,
        Config::default(),
        Pipe {
            loss: 0.3,
            ..Pipe::default()
        },
        2,
    );
    world.to_send = 100;
    world.run_until(at(60_000));
    let mut recovery = Recovery::new(&plain(), at(0));
    send(&mut recovery, at(0), 0);
    for _ in 0..1000 {
        let deadline = recovery.next_deadline().unwrap();
        recovery.on_timeout(deadline);
    }
    let kept = events(&mut recovery);
    assert_eq!(kept.len(), 64);
    assert_eq!(kept.last(), Some(&Event::PtoFired { count: 1000 }));
}

#[test]
fn no_probe_of_the_path_size_takes_the_place_of_what_was_lost() {
    let mut recovery = Recovery::new(&Config::default(), at(0));
    for index in 0..10_u32 {
        recovery
            .commit(at(0), Class::Reliable, 1200, index)
            .unwrap();
    }
    // The first is lost, as three later ones arrived.
    let arrived = std::iter::once(1..=9);
    recovery
        .on_ack(at(50), 9, Duration::ZERO, arrived, |_| ())
        .unwrap();
    recovery.on_timeout(at(100));
    let (lost, _) = recovery.next_lost().unwrap();
    assert_eq!(recovery.poll_mtu_probe(at(100)), None);
    recovery.resend(at(100), lost, 1200).unwrap();
    assert!(recovery.poll_mtu_probe(at(100)).is_some());
}
