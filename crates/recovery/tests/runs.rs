//! A run is its packets one after the other: the whole state is the same afterwards.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use gapless_recovery::{Algorithm, Class, Config, Instant, Numbering, Permission, Recovery, Run};
use proptest::prelude::*;
use std::time::Duration;

const SIZE: u32 = 1000;

/// What single questions and commits do. How many left.
fn one_by_one(recovery: &mut Recovery<u64>, now: Instant, most: u64) -> u64 {
    let mut sent = 0;
    while sent < most && recovery.has_room() && recovery.may_send(now, SIZE) == Permission::Now {
        let number = recovery.next_number();
        let minted = recovery.commit_span(now, Class::Reliable, SIZE, 7, number);
        assert!(minted.is_ok());
        sent += 1;
    }
    sent
}

fn as_run(recovery: &mut Recovery<u64>, now: Instant, most: u64) -> u64 {
    let run = Run {
        bytes: SIZE,
        span: 7,
        most,
    };
    recovery.commit_run(now, run, |number| number)
}

proptest! {
    #[test]
    fn a_run_is_its_packets_one_after_the_other(
        fresh in any::<bool>(),
        pacing in any::<bool>(),
        algorithm in prop::sample::select(vec![Algorithm::Cubic, Algorithm::NewReno]),
        steps in prop::collection::vec((0_u64..80, 0_u64..300, 0_u64..30, any::<bool>()), 1..60),
    ) {
        let config = Config {
            numbering: if fresh { Numbering::Fresh } else { Numbering::Reuse },
            pacing,
            algorithm,
            max_records: 64,
            ..Config::default()
        };
        let mut now = Instant::from_nanos(1_000_000_000);
        let [mut single, mut run] = [0, 1].map(|_| Recovery::<u64>::new(&config, now));
        for (most, acknowledged, millis, loses) in steps {
            if single.bytes_in_flight() == 0 || single.next_lost().is_some() || single.owes_probe() {
                // Where single questions are asked, a run has no answer.
                prop_assert_eq!(as_run(&mut run, now, most), 0);
                for recovery in [&mut single, &mut run] {
                    // The time of the call counts, whatever comes of it.
                    recovery.commit_run(now, Run { bytes: SIZE, span: 7, most: 0 }, |number| number);
                    if let Some((id, _)) = recovery.next_lost() {
                        recovery.resend(now, id, SIZE).unwrap();
                    } else if recovery.has_room() {
                        let number = recovery.next_number();
                        recovery.commit_span(now, Class::Reliable, SIZE, 7, number).unwrap();
                    }
                }
            } else {
                let sent = one_by_one(&mut single, now, most);
                prop_assert_eq!(as_run(&mut run, now, most), sent);
            }
            prop_assert_eq!(format!("{single:?}"), format!("{run:?}"));
            now += Duration::from_millis(millis);
            let next = single.next_number();
            let first = single.oldest_number().min(next.saturating_sub(acknowledged));
            let end = (first + acknowledged).min(next);
            for recovery in [&mut single, &mut run] {
                recovery.on_timeout(now);
                let start = if loses { first + acknowledged / 2 } else { first };
                if start < end {
                    recovery.on_ack(now, end - 1, Duration::ZERO, std::iter::once(start..=end - 1), |_| {}).unwrap();
                }
            }
            prop_assert_eq!(format!("{single:?}"), format!("{run:?}"));
        }
    }
}
