//! Streams that go on beyond 2^32 bytes and numbers that go through the wrap, without the gigabytes before: positions and
//! numbers begin shortly below. `cargo xtask lab --load ten-gigabytes --wire 2` sends them all.

use gapless_lab::load::WIDE;

use gapless_lab::{Scenario, StreamPlan, run};
use gapless_link::Profile;
use gapless_udx::{Version, VersionChoice};

/// Where the window's field and the numbers are used up, on the wire.
const WRAP: u64 = 1 << 32;

fn through_the_wrap(choice: VersionChoice, path: &str) {
    let path: Profile = path.parse().expect("the path is written right");
    let streams = vec![StreamPlan::bulk(30_000_000, 5_000_000)];
    let mut scenario = Scenario::plain(1, &path, streams)
        .speaking(choice)
        .beginning_at(WRAP - 10_000_000, WRAP - 2_000);
    scenario.check_every = 50;
    let report = run(&scenario).unwrap_or_else(|violation| panic!("{choice:?}: {violation}"));
    assert!(report.streams_over.is_some());
}

#[test]
fn a_stream_and_its_numbers_pass_2_32_in_version_3() {
    through_the_wrap(VersionChoice::Only(Version::V3), WIDE);
}

#[test]
fn a_stream_and_its_numbers_pass_2_32_in_version_2() {
    through_the_wrap(VersionChoice::Only(Version::V2), WIDE);
}

#[test]
fn so_they_do_where_packets_are_lost() {
    let path = "loss=1%,delay=5ms,reorder=1%,duplicate=1%,rate=200mbit,seed=3";
    through_the_wrap(VersionChoice::Only(Version::V2), path);
    through_the_wrap(VersionChoice::Discover, path);
}
