//! Trials of connections that end.

use super::{Draw, Expected, MEGABIT, Trial, round_trip, turns};
use crate::plan::{MS, Pause, Restart, SECOND, Scenario, Start, StreamPlan, WritePlan};
use gapless_link::Share;
use gapless_udx::{Version, VersionChoice};

/// A side is started anew amid a conversation, or amid a transfer, and knows nothing of the connection.
///
/// With a reset secret, and in the version that has tokens, the other learns it as soon as it is certain; otherwise by the silence. Half of the
/// time somebody sends copies of all packets from elsewhere and back to where they came from, which nobody there knows either: nobody's
/// connection ends by that, before or after.
pub(super) fn restart(number: u64, draw: &mut Draw) -> Trial {
    let path = draw.path(number, 2 * MEGABIT, &[5, 20, 80]);
    let at = draw.between(5_000, 8_000) * MS;
    let mut plan = turns(0);
    let is_late = draw.one_in(2);
    let write = if is_late || draw.one_in(2) {
        WritePlan::bulk(64 << 20)
    } else {
        WritePlan {
            piece: (500, 500),
            pause: Some(Pause {
                every: 500,
                time: draw.between(200, 500) * MS,
            }),
            ..WritePlan::bulk(1 << 20)
        }
    };
    (plan.there.write, plan.back.write) = (write, write);
    let host = draw.between(0, 1) as usize;
    let mut streams = vec![plan];
    if is_late {
        // Its first packet looks like that of a connection, but for its number.
        streams.push(StreamPlan {
            opener: 1 - host,
            start: Start::At(at + draw.between(0, 2_000) * MS),
            ..StreamPlan::bulk(2_000, 2_000)
        });
    }
    let mut scenario = Scenario::plain(number, &path, streams);
    draw.settings(&mut scenario);
    scenario.restart = Some(Restart { host, at });
    scenario.copyist = draw.one_in(2);
    let has_secret = !draw.one_in(4);
    for (index, host) in scenario.hosts.iter_mut().enumerate() {
        host.config.reset_secret = has_secret.then_some([7 + index as u8; 32]);
    }
    let connection = &scenario.hosts[0].config.connection;
    let is_told = has_secret && connection.version == VersionChoice::Only(Version::V3);
    let idle = connection.idle_timeout.as_nanos() as u64;
    // UDX 14: an ID has to be unknown for 3 s; probes come at twice the time of the one before.
    let learned = if is_told { 8 * SECOND } else { idle + SECOND };
    let expected = Expected {
        learned_within: Some(learned + 3 * round_trip(&path)),
        ..Expected::default()
    };
    Trial {
        name: "who lost its state says so",
        scenario,
        expected,
    }
}

/// Both sides close at once, and hear of each other's end when they are at theirs: nobody answers that (R12).
pub(super) fn both(number: u64, draw: &mut Draw) -> Trial {
    let mut path = draw.path(number, 10 * MEGABIT, &[5, 20, 80]);
    path.loss = Share::from_percent(draw.pick(&[0, 0, 20]));
    let bytes = draw.between(1, 100_000);
    let mut scenario = Scenario::plain(number, &path, vec![StreamPlan::bulk(bytes, bytes)]);
    draw.settings(&mut scenario);
    scenario.closes_both = true;
    Trial {
        name: "two ends answer each other no more",
        scenario,
        expected: Expected::default(),
    }
}
