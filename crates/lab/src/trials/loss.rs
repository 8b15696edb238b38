//! Trials of losses that are found by what came later.

use super::{Draw, Expected, MEGABIT, MESSAGE, Trial, round_trip, turns};
use crate::plan::{MS, Pause, SECOND, Scenario, WritePlan};
use gapless_link::Share;

/// Trains of packets, each long after the one before, on a path that loses some of them and brings others late. Of the losses in a train tell the
/// packets behind, whatever comes late besides; only where the last of a train is lost, nothing does.
pub(super) fn bursts(number: u64, draw: &mut Draw) -> Trial {
    let mut path = draw.path(number, 100 * MEGABIT, &[20, 40]);
    path.loss = Share::from_percent(4);
    path.reorder = Share::from_percent(15);
    let train = 20 * MESSAGE;
    let every = 6 * round_trip(&path) + 200 * MS;
    let mut plan = turns(0);
    plan.there.write = WritePlan {
        piece: (train as usize, train as usize),
        pause: Some(Pause {
            every: train,
            time: every,
        }),
        ..WritePlan::bulk(train * TRAINS)
    };
    let mut scenario = Scenario::plain(number, &path, vec![plan]);
    draw.settings(&mut scenario);
    scenario.rests = every;
    let expected = Expected {
        within: Some((TRAINS + 20) * 2 * every + 20 * SECOND),
        timeouts: Some(TRAINS / 3),
        ..Expected::default()
    };
    Trial {
        name: "late packets hide no loss",
        scenario,
        expected,
    }
}

/// On some of the trains there is a timeout, for its last packet or for the end of what is repeated. Chance alone brings one to a quarter of them in one run of
/// three hundred.
const TRAINS: u64 = 240;
