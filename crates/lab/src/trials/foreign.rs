//! Trials with models of other implementations, whose ways have to be allowed for.

use super::{Draw, Expected, MEGABIT, Trial, round_trip};
use crate::peers::Kind;
use crate::plan::{MS, Pause, SECOND, Scenario, StreamPlan};
use gapless_link::Blackout;
use std::time::Duration;

/// Several streams at once to a Go that orders each stream by the numbers of the connection (UDX2 D10).
pub(super) fn two_senders(number: u64, draw: &mut Draw) -> Trial {
    let path = draw.path(number, 10 * MEGABIT, &[5, 20]);
    let streams = vec![StreamPlan::bulk(30_000, 0); draw.between(2, 4) as usize];
    let mut scenario = Scenario::plain(number, &path, streams);
    towards_early_go(&mut scenario);
    let expected = Expected {
        within: Some(20 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "early Go is sent one stream at a time",
        scenario,
        expected,
    }
}

/// Many small packets to a Go that forgets what is late by more than some hundred numbers (UDX2 H4, H16), and one is lost.
pub(super) fn many_numbers(number: u64, draw: &mut Draw) -> Trial {
    let delay = draw.between(150, 200);
    let clear = draw.path(number, 100 * MEGABIT, &[delay]);
    let mut plan = StreamPlan::bulk(200_000, 0);
    plan.there.write.piece = (20, 20);
    plan.there.write.pause = Some(Pause {
        every: 20,
        time: MS * 4 / 10,
    });
    let mut scenario = Scenario::plain(number, &clear, vec![plan]);
    scenario.hosts[0].config.connection.pacing = false;
    scenario.faults[0].blackouts = vec![Blackout {
        from: Duration::from_nanos(8 * round_trip(&clear) + draw.between(0, 20) * MS),
        length: Duration::from_nanos(2 * MS),
    }];
    scenario.calm = scenario.faults.clone();
    towards_early_go(&mut scenario);
    let expected = Expected {
        within: Some(60 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "Go is sent no more numbers than it can order",
        scenario,
        expected,
    }
}

/// A reader that read nothing for long reads all, and the update that says so is lost. Early Go never asks (UDX2 H14).
pub(super) fn lost_update(number: u64, draw: &mut Draw) -> Trial {
    let mut path = draw.path(number, 10 * MEGABIT, &[5, 20]);
    let mut plan = StreamPlan::bulk(10, 300_000);
    plan.back.read.delay = SECOND;
    let clear = path.clone();
    path.blackouts = vec![Blackout {
        from: Duration::from_nanos(SECOND - 10 * MS),
        length: Duration::from_nanos(draw.between(100, 300) * MS),
    }];
    let mut scenario = Scenario::plain(number, &clear, vec![plan]);
    scenario.faults[0] = path.clone();
    scenario.calm[0] = path;
    towards_early_go(&mut scenario);
    let expected = Expected {
        within: Some(20 * SECOND),
        ..Expected::default()
    };
    Trial {
        name: "a window is said until it is heard",
        scenario,
        expected,
    }
}

fn towards_early_go(scenario: &mut Scenario) {
    scenario.hosts[1].model = Some(Kind::GoV2Early);
    scenario.patience += 60 * SECOND;
    scenario.rests = scenario.patience;
}
