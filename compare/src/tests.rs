//! What must not get worse. Virtual time is exact, so a change of a figure is a change of the code.

use crate::cell::{bulk, compete, short};
use crate::engine::Kind;
use crate::path::{Path, SECOND};

/// 10 Mbit/s with a queue of what the path holds.
fn path(loss_permille: u32, rtt_ms: u32) -> Path {
    Path {
        loss_permille,
        rtt_ms,
        rate_mbit: 10,
        queue_percent: 100,
    }
}

fn percent(kind: Kind, path: &Path) -> f64 {
    bulk(kind, path, 20 * SECOND, 1).unwrap().percent(path)
}

#[test]
fn cubic_fills_a_clean_path_as_quinn_does() {
    for rtt in [20, 100] {
        let path = path(0, rtt);
        let (ours, theirs) = (
            percent(Kind::Cubic, &path),
            percent(Kind::QuinnCubic, &path),
        );
        assert!(ours > 91.0, "{rtt} ms: {ours}");
        assert!(ours > theirs - 2.0, "{rtt} ms: {ours} against {theirs}");
    }
}

#[test]
fn cubic_bears_chance_losses_nearly_as_quinn_does() {
    for (loss, least) in [(10, 0.9), (20, 0.85), (50, 0.8)] {
        let path = path(loss, 20);
        let (ours, theirs) = (
            percent(Kind::Cubic, &path),
            percent(Kind::QuinnCubic, &path),
        );
        assert!(ours > theirs * least, "{loss}: {ours} against {theirs}");
    }
}

#[test]
fn bbr_fills_a_path_that_loses_by_chance_and_keeps_its_queue_short() {
    for (loss, rtt, least) in [
        (0, 20, 90.0),
        (20, 20, 86.0),
        (20, 100, 78.0),
        (50, 20, 80.0),
    ] {
        let path = path(loss, rtt);
        let reached = bulk(Kind::Bbr, &path, 20 * SECOND, 1).unwrap();
        let percent = reached.percent(&path);
        assert!(percent > least, "{loss} {rtt}: {percent}");
        let queue = u64::from(rtt) * 1_000_000 / 2;
        assert!(reached.waits.mean < queue, "{loss} {rtt}: {reached:?}");
    }
}

#[test]
fn two_transfers_share_a_link() {
    for kind in [Kind::Cubic, Kind::Bbr] {
        let courses = compete(&[kind; 2], &path(0, 20), 60 * SECOND, 1).unwrap();
        let shares: Vec<u64> = courses
            .iter()
            .map(|course| course[30..].iter().sum())
            .collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(least * 3 > *most, "{kind:?}: {shares:?}");
    }
}

#[test]
fn ten_kilobytes_take_few_round_trips() {
    let path = path(0, 100);
    let took = short(Kind::Cubic, &path, false, 10_000, 1).unwrap().whole;
    // One for the question which version the peer speaks, a half for the data.
    assert!(took < 170_000_000, "{took} ns");
    assert_eq!(
        took,
        short(Kind::Cubic, &path, false, 10_000, 1).unwrap().whole,
        "virtual time is exact"
    );
}

#[test]
fn the_figures_are_those_of_the_snapshot() {
    if let Err(changes) = crate::snapshot::check() {
        panic!("{changes}");
    }
}
