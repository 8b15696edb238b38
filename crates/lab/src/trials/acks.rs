//! Trials of acknowledgements that wait for a timer.

use super::{Draw, Expected, MEGABIT, Trial, round_trip, time_for, turns};
use crate::plan::{MS, Pause, SECOND, Scenario, StreamPlan, WritePlan};
use gapless_link::Share;
use gapless_udx::{Version, VersionChoice};

/// Small messages in one direction, or in both, each long after the one before: nothing but the timer of delayed ACKs answers them.
pub(super) fn drip(number: u64, draw: &mut Draw) -> Trial {
    let path = draw.path(number, 10 * MEGABIT, &[5, 20, 80]);
    let mut plan = turns(0);
    let every = draw.between(150, 400) * MS;
    for direction in [&mut plan.there, &mut plan.back] {
        direction.write = WritePlan {
            piece: (100, 100),
            pause: Some(Pause {
                every: 100,
                time: every,
            }),
            ..WritePlan::bulk(100 * 12)
        };
    }
    if draw.one_in(2) {
        plan.back.write = WritePlan::bulk(1);
    }
    let mut scenario = Scenario::plain(number, &path, vec![plan]);
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(16 * every + 20 * round_trip(&path) + SECOND),
        nothing_lost: [true, true],
        ..Expected::default()
    };
    Trial {
        name: "what is alone is answered in time",
        scenario,
        expected,
    }
}

/// Small messages in both directions, on their way at the same time, and now and then a train of packets, after which a receiver awaits more of
/// them before it answers. Each message is then answered by the timer of delayed ACKs, at a side that has data of its own in flight, whose
/// timer runs, too.
pub(super) fn crossing(number: u64, draw: &mut Draw) -> Trial {
    let path = draw.path(number, 100 * MEGABIT, &[40, 80]);
    let at_pauses = |every: u64, time: u64, bytes: u64| WritePlan {
        piece: (every as usize, every as usize),
        pause: Some(Pause { every, time }),
        // A FIN would be answered at once.
        finish_delay: SECOND,
        ..WritePlan::bulk(bytes)
    };
    let (mut messages, mut trains) = (turns(0), turns(0));
    // Never at the same pace: what arrives as something is sent rides with it.
    let pauses = [draw.between(150, 180) * MS, draw.between(190, 230) * MS];
    let train = draw.between(15_000, 30_000);
    let pairs = [
        (&mut messages.there, &mut trains.there),
        (&mut messages.back, &mut trains.back),
    ];
    for ((message, bulk), pause) in pairs.into_iter().zip(pauses) {
        message.write = at_pauses(100, pause, 6_000);
        bulk.write = at_pauses(train, 8 * pause, 6 * train);
    }
    let mut scenario = Scenario::plain(number, &path, vec![messages, trains]);
    draw.settings(&mut scenario);
    let expected = Expected {
        within: Some(80 * pauses[1]),
        nothing_lost: [true, true],
        ..Expected::default()
    };
    Trial {
        name: "the timer of acknowledgements is their own",
        scenario,
        expected,
    }
}

/// A transfer whose packets come quickly, and perhaps some of them late: what answers them is counted.
pub(super) fn few(number: u64, draw: &mut Draw) -> Trial {
    let rate = 50 * MEGABIT;
    let path = draw.path(number, rate, &[20, 40]);
    let bytes = 3 << 20;
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, 1)]);
    draw.settings(&mut scenario);
    let is_v3 = scenario.hosts[0].config.connection.version == VersionChoice::Only(Version::V3);
    // In version 2 each that comes behind a missing one is answered.
    let shuffled = is_v3 && draw.one_in(2);
    if shuffled {
        for profile in scenario.faults.iter_mut().chain(&mut scenario.calm) {
            profile.reorder = Share::from_percent(4);
        }
    }
    // UDX 4.2: every ten packets between our own, but eight in each round trip while the window is small; every second one otherwise; and
    // one for each gap, and for each that fills it.
    let usual = if is_v3 { 15 } else { 54 };
    let expected = Expected {
        within: Some(2 * time_for(bytes, rate) + 60 * round_trip(&path) + SECOND),
        answers: Some(if shuffled { usual + 3 } else { usual }),
        ..Expected::default()
    };
    Trial {
        name: "answers are as few as may be",
        scenario,
        expected,
    }
}
