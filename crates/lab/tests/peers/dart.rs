//! Dart's models with each other: what works there works here.

use crate::table::{End, Table, Talk};
use gapless_lab::peers::Kind;
use gapless_lab::peers::dart::Release;
use gapless_link::Profile;
use gapless_udx::{Version, VersionChoice};
use std::time::Duration;

const RELEASES: [Release; 9] = [
    Release::Before200,
    Release::V200,
    Release::V201,
    Release::V202,
    Release::V203,
    Release::V203Repaired,
    Release::V203Probing,
    Release::V300,
    Release::V310,
];

fn pair(release: Release, writes: [usize; 2], link: &str) -> Table<'static> {
    let ends = [1, 2].map(|seed| End::model(Kind::Dart(release), seed));
    let talks = writes.map(|writes| Talk {
        writes,
        ..Talk::default()
    });
    let profile: Profile = link.parse().unwrap();
    Table::new(ends, talks, &profile)
}

/// One direction has no burnt numbers in its way: windows and limits are crossed many times.
#[test]
fn each_release_delivers_one_way() {
    for release in RELEASES {
        for writes in [[3_000_000, 0], [0, 3_000_000]] {
            let mut table = pair(release, writes, "delay=5ms");
            let is_over = table.run(Duration::from_secs(300));
            assert!(
                is_over && table.is_delivered(),
                "{release:?} {writes:?}: {:?}",
                table.seen
            );
        }
    }
}

/// Our engine on either side of version 3, over a good link: all is delivered both ways.
#[test]
fn ours_with_version_3() {
    for release in [Release::V300, Release::V310] {
        for dials in [0, 1] {
            let mut ends = [
                End::model(Kind::Dart(release), 7),
                End::ours(1, VersionChoice::Only(Version::V3)),
            ];
            ends.rotate_left(dials);
            let talks = [1_000_000, 700_000].map(|writes| Talk {
                writes,
                ..Talk::default()
            });
            let mut table = Table::new(ends, talks, &"delay=5ms".parse().unwrap());
            let is_over = table.run(Duration::from_secs(120));
            assert!(
                is_over && table.is_delivered(),
                "{release:?} {dials}: {:?}",
                table.seen
            );
        }
    }
}
