//! Peers that acknowledge cumulatively only, and numbers that are minted again.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

use gapless_recovery::{Class, Config, Instant, Numbering, Permission, Recovery};
use std::time::Duration;

const SIZE: u32 = 1200;

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// Ten packets of which the first was acknowledged.
fn ten_sent() -> Recovery<u64> {
    let config = Config {
        numbering: Numbering::Reuse,
        pacing: false,
        ..Config::default()
    };
    let mut recovery = Recovery::new(&config, at(0));
    recovery.set_cumulative();
    for what in 0..11 {
        recovery.commit(at(0), Class::Reliable, SIZE, what).unwrap();
    }
    acknowledge(&mut recovery, 40, 0);
    recovery
}

fn acknowledge(recovery: &mut Recovery<u64>, millis: u64, last: u64) {
    let ranges = [0..=last];
    let taken = recovery.on_ack(at(millis), last, Duration::ZERO, ranges.into_iter(), |_| {});
    taken.unwrap();
    assert_eq!(recovery.check(), Ok(()));
}

/// RFC 5681 3.2 and 3.1: one reduction for a flight, however many of it are lost and by whatever it shows.
#[test]
fn a_flight_reduces_the_window_once() {
    let mut recovery = ten_sent();
    for _ in 0..9 {
        recovery.on_duplicate(at(50));
        assert_eq!(recovery.check(), Ok(()));
    }
    let (id, _) = recovery.next_lost().unwrap();
    assert_eq!(recovery.may_send(at(50), SIZE), Permission::Probe);
    recovery.resend(at(50), id, SIZE).unwrap();
    assert!(recovery.next_lost().is_none());
    for last in [2, 5, 6] {
        acknowledge(&mut recovery, 90, last);
        let (id, what) = recovery.next_lost().unwrap();
        assert_eq!(*what, last + 1);
        recovery.resend(at(90), id, SIZE).unwrap();
    }
    assert_eq!(recovery.stats().congestion_events, 1);
    acknowledge(&mut recovery, 130, 10);
    assert!(!recovery.in_recovery());
    assert_eq!(recovery.stats().packets_resent, 4);
}

/// RFC 5681 3.1: of timeouts in a row the first one reduces ssthresh (C35).
#[test]
fn timeouts_in_a_row_reduce_the_window_once() {
    let mut recovery = ten_sent();
    for round in 0..2 {
        let deadline = recovery.next_deadline().unwrap();
        recovery.on_timeout(deadline);
        assert_eq!(recovery.pto_count(), round + 1);
        let (id, what) = recovery.next_lost().unwrap();
        assert_eq!(*what, 1);
        recovery.resend(deadline, id, SIZE).unwrap();
        assert_eq!(recovery.stats().congestion_events, 1);
        assert_eq!(recovery.check(), Ok(()));
    }
    assert_eq!(recovery.unacknowledged(), 10);
}

/// RFC 5681 3.1, RFC 6582 section 4: what the peer waits for first goes first, also what was sent again in vain.
#[test]
fn what_is_lost_goes_again_in_order() {
    let mut recovery = ten_sent();
    for resent in [4, 2, 10] {
        let deadline = recovery.next_deadline().unwrap();
        recovery.on_timeout(deadline);
        for expected in 1..=resent {
            let (id, what) = recovery.next_lost().unwrap();
            assert_eq!(*what, expected, "of {resent}");
            recovery.resend(deadline, id, SIZE).unwrap();
        }
        assert_eq!(recovery.check(), Ok(()));
    }
    assert!(recovery.next_lost().is_none());
}

/// What timeouts took for lost is remembered until an answer tells; but not when there is no room for anything else, although the backoff is
/// kept because the answer may mean any of the copies.
#[test]
fn the_memory_of_timeouts_leaves_room() {
    let config = Config {
        numbering: Numbering::Reuse,
        pacing: false,
        max_records: 3,
        ..Config::default()
    };
    let mut recovery = Recovery::new(&config, at(0));
    recovery.set_cumulative();
    for what in 0..3 {
        recovery.commit(at(0), Class::Reliable, SIZE, what).unwrap();
    }
    assert!(!recovery.has_room());
    let mut now = at(0);
    for _ in 0..4 {
        now = recovery.next_deadline().unwrap();
        recovery.on_timeout(now);
        while let Some((id, _)) = recovery.next_lost() {
            recovery.resend(now, id, SIZE).unwrap();
        }
    }
    let answered = now.saturating_duration_since(at(0)).as_millis();
    let answered = u64::try_from(answered).unwrap() + 40;
    acknowledge(&mut recovery, answered, 2);
    assert_eq!((recovery.unacknowledged(), recovery.pto_count()), (0, 4));
    assert!(recovery.has_room());
}

/// A record that was sent in part, because there was no room for two, is not lost: the rest of it goes when the part is acknowledged.
#[test]
fn the_rest_of_a_record_goes_when_its_part_is_acknowledged() {
    let mut recovery = ten_sent();
    let deadline = recovery.next_deadline().unwrap();
    recovery.on_timeout(deadline);
    let (id, _) = recovery.next_lost().unwrap();
    recovery.resend(deadline, id, SIZE / 2).unwrap();
    let lost = recovery.stats().packets_lost;
    recovery.send_rest(|what| *what == 7);
    assert_eq!(recovery.next_lost().unwrap().1, &2);
    recovery.send_rest(|what| *what == 1);
    assert_eq!(recovery.check(), Ok(()));
    let (id, what) = recovery.next_lost().unwrap();
    assert_eq!((*what, recovery.bytes_in_flight()), (1, 0));
    recovery.resend(deadline, id, SIZE / 2).unwrap();
    assert_eq!(recovery.stats().packets_lost, lost);
    acknowledge(&mut recovery, 2000, 1);
    assert_eq!(recovery.unacknowledged(), 9);
}

/// RFC 2018 section 8.
#[test]
fn numbers_are_minted_again_from_any_point() {
    for number in [1, 7, 11, 20] {
        let mut recovery = ten_sent();
        recovery.rewind(at(60), number);
        assert_eq!(recovery.check(), Ok(()));
        assert_eq!(
            (recovery.next_number(), recovery.oldest_number()),
            (number, number)
        );
        assert_eq!(
            (recovery.bytes_in_flight(), recovery.unacknowledged()),
            (0, 0)
        );
        let minted = recovery.commit(at(60), Class::Reliable, SIZE, 99).unwrap();
        assert_eq!(minted.number, number);
        acknowledge(&mut recovery, 100, number);
        assert_eq!(recovery.unacknowledged(), 0);
    }
}
