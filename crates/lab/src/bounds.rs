//! How long the calm may take: stated from the path, the applications and the callers' manners, before the run.

use crate::plan::{MS, Manners, Route, SECOND, StreamPlan, Time, WritePlan};
use gapless_link::Profile;
use std::time::Duration;

/// How long a run may stand still in the calm.
///
/// A probe timeout has backed off to at most 2 s (UDX 5) when the calm begins, or to the timeout itself if that is longer; what
/// answers the probe tells what was lost, and that is sent again within some round trips. Two timeouts more cover a path on which large
/// packets vanish from now on: three of them in a row have to be lost before it is told from loss (RFC 8899 4.3). They cover a probe,
/// too, that a queue drops which is still full of what was sent before. `timeouts` is how many such rounds chance may undo, and one more
/// where the path [`narrows`].
///
/// `lateness` is how much longer a round trip may have been before ([`lateness`]): the estimate remembers it for a while, and what was
/// late then is still underway.
pub(crate) fn patience(
    calm: &[Profile; 2],
    streams: &[StreamPlan],
    timeouts: u64,
    lateness: Time,
) -> Time {
    let round_trip = round_trip(calm);
    let timeout = (2 * SECOND)
        .max(6 * round_trip)
        .max(round_trip + 5 * lateness);
    (timeouts + BLACK_HOLE - 1) * timeout + 8 * round_trip + lateness + longest_rest(streams)
}

/// Whether datagrams that passed once are too large for the calm.
///
/// Then the wait may be one timeout longer. Three timeouts in a row that lost large packets make a black hole (RFC 8899 4.3), and a
/// suspicion needs a large one that was not answered. When the calm begins, what is underway may be small; so the timeout that was
/// set before says nothing of the size. Only what it sends is large, the three that follow are the suspicions, and with the last of
/// them small packets go out again: four in all, where three are enough if something large was underway.
pub(crate) fn narrows(faults: &[Profile; 2], routes: &[Route], calm: &[Profile; 2]) -> bool {
    let before = routes.iter().map(|route| &route.paths).chain([faults]);
    before.into_iter().any(|paths| {
        let size = |profile: &Profile| profile.mtu.unwrap_or(u16::MAX);
        paths
            .iter()
            .zip(calm)
            .any(|(then, now)| size(then) > size(now))
    })
}

/// How long a round trip may have taken before the calm, where something made it longer than it is then: another route, a spike, a
/// caller who stood still.
pub(crate) fn lateness(faults: &[Profile; 2], routes: &[Route], manners: &[Manners]) -> Time {
    let routes = routes.iter().map(|route| round_trip(&route.paths));
    let routes = routes
        .max()
        .map_or(0, |longest| longest.max(round_trip(faults)));
    let spikes = faults.iter().map(|profile| {
        let adds = profile.spikes.iter().map(|spike| nanos(spike.adds));
        adds.max().unwrap_or(0)
    });
    let freezes = manners.iter().filter_map(|it| it.freeze);
    let freeze = freezes.map(|freeze| freeze.length).max();
    routes + spikes.sum::<Time>() + freeze.unwrap_or(0)
}

/// How long all streams may take one after the other, if no window is ever larger than two packets: nobody who repairs losses as
/// they are told is slower than that.
pub(crate) fn transfer(calm: &[Profile; 2], streams: &[StreamPlan], manners: &[Manners]) -> Time {
    transfer_in(PACKET, MAX_ACK_DELAY, calm, streams, manners)
}

/// The same with so many bytes in each packet, and acknowledgements that are held back for so long.
pub(crate) fn transfer_in(
    packet: u64,
    ack_delay: Time,
    calm: &[Profile; 2],
    streams: &[StreamPlan],
    manners: &[Manners],
) -> Time {
    let waits: Time = manners
        .iter()
        .map(|it| it.receive_wait + it.late + it.transmit_wait + it.tick)
        .sum();
    let round_trip = round_trip(calm) + waits + ack_delay;
    let rate = calm
        .iter()
        .filter_map(|profile| profile.rate)
        .min()
        .unwrap_or(u64::MAX);
    let per_packet = manners.iter().map(|it| it.transmit_wait).max().unwrap_or(0)
        + packet * 8 * SECOND / rate.max(1);
    let of_stream = |plan: &StreamPlan| {
        let directions = [plan.there, plan.back];
        let packets: u64 = directions
            .iter()
            .map(|it| it.write.bytes / packet + 2)
            .sum();
        let turns: u64 = directions.iter().map(|it| turns(&it.write)).sum();
        packets * per_packet + (packets / 2 + turns + OPENING_AND_ENDING) * round_trip + rests(plan)
    };
    streams.iter().map(of_stream).sum()
}

/// With what its queues add when they are full.
pub(crate) fn round_trip(calm: &[Profile; 2]) -> Time {
    let way = |profile: &Profile| {
        let queue = profile.queue_bytes().zip(profile.rate);
        let waits = queue.map_or(0, |(bytes, rate)| {
            bytes.saturating_mul(8 * SECOND) / rate.max(1)
        });
        nanos(profile.delay) + nanos(profile.jitter) + waits
    };
    way(&calm[0]) + way(&calm[1])
}

/// The longest time for which an application does nothing by intention.
pub(crate) fn longest_rest(streams: &[StreamPlan]) -> Time {
    let directions = streams.iter().flat_map(|plan| [plan.there, plan.back]);
    let rests = directions.flat_map(|direction| {
        let pauses = [direction.write.pause, direction.read.pause];
        let pauses = pauses.map(|pause| pause.map_or(0, |pause| pause.time));
        pauses
            .into_iter()
            .chain([direction.write.finish_delay, direction.read.delay])
    });
    rests.max().unwrap_or(0)
}

/// All rests of a stream's applications.
fn rests(plan: &StreamPlan) -> Time {
    let of_direction = |direction: &crate::plan::DirectionPlan| {
        let pauses = [direction.write.pause, direction.read.pause]
            .into_iter()
            .flatten();
        let pauses: Time = pauses
            .map(|pause| (direction.write.bytes / pause.every.max(1) + 1) * pause.time)
            .sum();
        pauses + direction.write.finish_delay + direction.read.delay
    };
    [plan.there, plan.back].iter().map(of_direction).sum()
}

/// Round trips of a writer who waits for an answer to each message.
fn turns(write: &WritePlan) -> u64 {
    match write.lead {
        Some(lead) if lead > 0 => write.bytes / lead + 1,
        _ => 0,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Timeouts until a black hole is found: [`crate::STALL_PTOS`].
const BLACK_HOLE: u64 = crate::STALL_PTOS;
/// Bytes of a stream in one packet, at the least.
const PACKET: u64 = 1100;
/// UDX 4.2: 25 ms.
const MAX_ACK_DELAY: Time = 25 * MS;
/// Round trips of each stream besides: until it is known, and until its end and its last acknowledgement are.
const OPENING_AND_ENDING: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_narrows_if_what_passed_once_is_too_large_in_the_calm() {
        let path = |mtu| Profile {
            mtu,
            ..Profile::default()
        };
        let both = |mtu| [path(mtu), path(mtu)];
        let route = |mtu| {
            let (at, paths) = (5, both(mtu));
            Route { at, paths }
        };
        assert!(!narrows(&both(None), &[], &both(None)));
        assert!(!narrows(&both(Some(1300)), &[], &both(Some(1300))));
        assert!(narrows(&both(None), &[], &both(Some(1499))));
        assert!(narrows(&both(None), &[], &[path(None), path(Some(1499))]));
        let routes = [route(Some(1400)), route(Some(1300))];
        assert!(narrows(&both(Some(1300)), &routes, &both(Some(1300))));
        assert!(!narrows(&both(Some(1300)), &routes, &both(Some(1400))));
    }
}
