//! An outsider, who sends from any address and does not see what is exchanged, changes nothing for a connection: it is not closed,
//! not stalled, not sent elsewhere, and not slower.

use gapless_lab::{Outsider, OutsiderReport, run_outsider};
use gapless_udx::{Version, VersionChoice};

const VERSIONS: [VersionChoice; 3] = [
    VersionChoice::Only(Version::V3),
    VersionChoice::Only(Version::V2),
    VersionChoice::Discover,
];

fn reports(outsider: Outsider, seeds: u64) -> Vec<OutsiderReport> {
    let seeds = VERSIONS
        .into_iter()
        .flat_map(|version| (0..seeds).map(move |seed| (version, seed)));
    seeds
        .map(|(version, seed)| {
            run_outsider(outsider, version, seed)
                .unwrap_or_else(|violation| panic!("{version:?}, seed {seed}: {violation}"))
        })
        .collect()
}

#[test]
fn guesses_reach_nobody() {
    for report in reports(Outsider::Guesses, 2) {
        assert!(report.shots > 10_000, "{report:?}");
        assert_eq!(report.connections, [2, 2], "{report:?}");
        // A guess may be told which versions are spoken, or that its connection is unknown: ten times a second.
        assert!(report.answers < 20 * 10, "{report:?}");
        assert!(report.amplification <= 1_000, "{report:?}");
    }
}

#[test]
fn first_packets_from_everywhere_keep_nobody_out() {
    for report in reports(Outsider::HalfOpen, 1) {
        assert!(report.shots > 10_000, "{report:?}");
        assert!(report.amplification <= 3_000, "{report:?}");
    }
}

#[test]
fn recorded_packets_are_worth_nothing_elsewhere() {
    for outsider in [
        Outsider::Replays,
        Outsider::Duplicates,
        Outsider::DuplicatesFromEverywhere,
    ] {
        for report in reports(outsider, 2) {
            assert!(report.shots > 500, "{outsider:?}: {report:?}");
            assert!(report.amplification <= 3_000, "{outsider:?}: {report:?}");
            // A challenge now and then, an answer to a challenge, a CONNECTION_CLOSE after the end.
            assert!(
                report.answers * 4 < report.shots,
                "{outsider:?}: {report:?}"
            );
        }
    }
}
