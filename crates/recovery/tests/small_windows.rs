//! What decides in a window of a few packets, where a lossy path keeps every controller that takes losses for congestion.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use gapless_recovery::{Class, Config, Instant, Permission, Recovery};
use std::time::Duration;

const PACKET: u32 = 1200;
const RTT: Duration = Duration::from_millis(40);

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// A sender that knows its path and has a window of so many packets, all of them in flight since `at(100)` under the numbers
/// from 1 on.
fn sender(packets: u64) -> Recovery<u64> {
    let mut config = Config {
        pacing: false,
        initial_window_packets: u32::try_from(packets).unwrap(),
        ..Config::default()
    };
    config.mtu.search = false;
    let mut recovery = Recovery::new(&config, at(0));
    recovery.on_rtt_sample(at(0), RTT);
    recovery.commit(at(0), Class::Once, PACKET, 0).unwrap();
    // Not in use, so it does not grow by this.
    ack(&mut recovery, at(40), &[0]);
    fill(&mut recovery, at(100));
    assert_eq!(recovery.next_number(), packets + 1);
    recovery
}

/// Sends what is lost and what is new as far as the window goes; the numbers it went under.
fn fill(recovery: &mut Recovery<u64>, now: Instant) -> Vec<u64> {
    let first = recovery.next_number();
    while recovery.may_send(now, PACKET) == Permission::Now {
        match recovery.next_lost().map(|(id, _)| id) {
            Some(id) => drop(recovery.resend(now, id, PACKET).unwrap()),
            None => drop(recovery.commit(now, Class::Reliable, PACKET, 7).unwrap()),
        }
    }
    (first..recovery.next_number()).collect()
}

/// Acknowledges these numbers; how many losses that showed.
fn ack(recovery: &mut Recovery<u64>, now: Instant, numbers: &[u64]) -> usize {
    let ranges = numbers.iter().rev().map(|&number| number..=number);
    let largest = *numbers.last().unwrap();
    recovery
        .on_ack(now, largest, Duration::ZERO, ranges, |_| ())
        .unwrap()
        .lost
}

#[test]
fn a_repetition_lost_again_is_found_by_the_first_packet_behind_it() {
    let mut recovery = sender(10);
    assert_eq!(ack(&mut recovery, at(140), &[2, 3, 4]), 1);
    let again = fill(&mut recovery, at(140))[0];
    let behind = fill_until(&mut recovery, again + 1, at(141), &[5, 6, 7, 8, 9, 10]);
    // RFC 8985 6.2 step 4: not three packets later, of which a small window may not have so many.
    let arrived = [5, 6, 7, 8, 9, 10, behind];
    assert_eq!(ack(&mut recovery, at(181), &arrived), 1);
    assert_eq!(recovery.stats().ptos, 0);
    assert!(recovery.next_lost().is_some());
}

/// Acknowledges one after the other until something is sent as `number`.
fn fill_until(recovery: &mut Recovery<u64>, number: u64, now: Instant, acks: &[u64]) -> u64 {
    for &acked in acks {
        if recovery.next_number() > number {
            break;
        }
        ack(recovery, now, &[acked]);
        fill(recovery, now);
    }
    assert!(recovery.next_number() > number);
    number
}

#[test]
fn rfc9002_7_2_recovery_leaves_two_packets_whatever_was_lost() {
    let mut recovery = sender(4);
    assert_eq!(ack(&mut recovery, at(140), &[4]), 1);
    assert_eq!(fill(&mut recovery, at(140)).len(), 1);
    // The other two were lost as well, and one alone could be lost without a trace.
    let deadline = recovery.next_deadline().unwrap();
    recovery.on_timeout(deadline);
    assert_eq!(recovery.stats().packets_lost, 3);
    assert_eq!(recovery.stats().ptos, 0, "by time, not by a probe");
    assert!(recovery.congestion_window() >= 2 * u64::from(PACKET));
    assert_eq!(fill(&mut recovery, deadline).len(), 1);
    assert_eq!(recovery.bytes_in_flight(), 2 * u64::from(PACKET));
}
