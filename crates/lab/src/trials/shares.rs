//! Trials of what streams share.

use super::{Draw, Expected, MEGABIT, Trial, round_trip, time_for};
use crate::plan::{SECOND, Scenario, Start, StreamPlan};

/// One stream after another, each with more than a first window holds, on a path that is wide for it. What those before had of the receiver's budget
/// for windows and of the sender's room is there again for each.
pub(super) fn given_back(number: u64, draw: &mut Draw) -> Trial {
    let rate = 50 * MEGABIT;
    let path = draw.path(number, rate, &[20, 40]);
    let (count, bytes) = (draw.between(16, 20), 800_000);
    let mut streams = vec![StreamPlan::bulk(bytes, 1000); count as usize];
    for (place, stream) in streams.iter_mut().enumerate().skip(1) {
        stream.start = Start::After(place - 1);
    }
    let mut scenario = Scenario::plain(number, &path, streams);
    draw.settings(&mut scenario);
    for host in &mut scenario.hosts {
        host.config.limits.receive_growth = 2 << 20;
        host.config.limits.send_buffer = 512 << 10;
    }
    let each = time_for(bytes, rate) + 7 * round_trip(&path);
    let expected = Expected {
        within: Some(count * each + 2 * SECOND),
        nothing_lost: [true, false],
        ..Expected::default()
    };
    Trial {
        name: "what streams had comes back",
        scenario,
        expected,
    }
}
