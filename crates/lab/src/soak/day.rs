//! One connection that lives for hours: bursts of mixed streams, long silences between them, blackouts, another address now and
//! then, and numbers and positions that pass 2^32.

use crate::plan::{
    DirectionPlan, Ending, MS, Pause, ReadPlan, SECOND, Scenario, Start, StreamPlan, Time,
    WriteEnd, WritePlan,
};
use gapless_link::{Blackout, Profile, Random};
use std::time::Duration;

/// So many hours of one connection, of which most are silence.
pub fn one_connection(hours: u64) -> Scenario {
    let mut random = Random::for_purpose(SEED, 0xda1);
    let mut path: Profile = PATH.parse().unwrap_or_default();
    for hour in 0..hours {
        // Shorter than the idle timeout, and so that a packet comes in between.
        let from = hour * HOUR + random.between(0, HOUR - 30 * SECOND);
        path.blackouts.push(Blackout {
            from: Duration::from_nanos(from),
            length: Duration::from_nanos(random.between(SECOND, LONGEST_BLACKOUT)),
        });
    }
    let mut streams = Vec::new();
    for period in 0..hours * PERIODS_AN_HOUR {
        let at = period * PERIOD + random.between(0, 2 * SECOND);
        burst(&mut streams, period, at);
    }
    let mut scenario =
        Scenario::plain(SEED, &path, streams).beginning_at(FIRST_POSITION, FIRST_NUMBER);
    // One in three hours, a little after a silence began or in the middle of a burst.
    scenario.moves = (0..hours / 3)
        .map(|turn| {
            turn * 3 * HOUR + random.between(0, 2) * PERIOD + random.between(SECOND, 300 * SECOND)
        })
        .collect();
    // A blackout, the timeout that has grown in it, and the search for a peer that moved (UDX 11).
    scenario.patience += LONGEST_BLACKOUT + 20 * SECOND;
    scenario.rests += LONGEST_BLACKOUT;
    scenario.ending = Ending::Close { host: 1 };
    scenario.check_every = 50;
    scenario
}

/// What a program does in one go: a transfer both ways, a conversation, a question with a long answer and a slow reader, a
/// trickle, and now and then a stream that is given up.
fn burst(streams: &mut Vec<StreamPlan>, period: u64, at: Time) {
    let opener = usize::from(!period.is_multiple_of(2));
    let start = Start::At(at);
    let mut add = |plan: StreamPlan| {
        streams.push(StreamPlan {
            opener,
            start,
            ..plan
        });
    };
    add(StreamPlan::bulk(TRANSFER, TRANSFER));
    let mut conversation = StreamPlan::bulk(50 * 1024, 50 * 1024);
    conversation.there.write.piece = (1024, 1024);
    conversation.there.write.lead = Some(1024);
    conversation.back.write.lead = Some(0);
    add(conversation);
    let mut question = StreamPlan::bulk(200, 300_000);
    question.back.write.after_end = true;
    question.back.read = ReadPlan {
        size: 4096,
        pause: Some(Pause {
            every: 64 * 1024,
            time: 200 * MS,
        }),
        ..ReadPlan::FAST
    };
    add(question);
    let trickle = DirectionPlan {
        write: WritePlan {
            piece: (1, 700),
            pause: Some(Pause {
                every: 1_000,
                time: 2 * SECOND,
            }),
            ..WritePlan::bulk(30_000)
        },
        read: ReadPlan::FAST,
    };
    add(StreamPlan {
        there: trickle,
        back: trickle,
        ..StreamPlan::bulk(0, 0)
    });
    match period % 6 {
        2 => {
            let mut given_up = StreamPlan::bulk(200_000, 1_000_000);
            given_up.there.write.end = WriteEnd::Reset(9);
            add(given_up);
        }
        5 => {
            let mut unwanted = StreamPlan::bulk(1_000_000, 1_000);
            unwanted.there.read.stop = Some((100_000, 11));
            add(unwanted);
        }
        _ => {}
    }
}

const SEED: u64 = 86_400;
const HOUR: Time = 3_600 * SECOND;
const PERIODS_AN_HOUR: u64 = 5;
const PERIOD: Time = HOUR / PERIODS_AN_HOUR;
/// Bytes each way in each burst.
const TRANSFER: u64 = 500_000;
/// UDX 7.5: 30 s end a connection.
const LONGEST_BLACKOUT: Time = 20 * SECOND;
/// A path that spoils everything a little.
const PATH: &str = "loss=0.5%,burst=2,delay=15ms,jitter=3ms,reorder=0.5%,duplicate=0.5%,corrupt=0.1%,rate=50mbit,seed=24";
/// The window's field is used up within each transfer, and the numbers within the first hours.
const FIRST_POSITION: u64 = (1 << 32) - 100_000;
const FIRST_NUMBER: u64 = (1 << 32) - 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::AT_REST;
    use crate::world::run;
    use gapless_udx::{Version, VersionChoice};

    #[test]
    fn hours_of_one_connection_leave_nothing_behind() {
        for version in [Version::V3, Version::V2] {
            let scenario = one_connection(4).speaking(VersionChoice::Only(version));
            let report = run(&scenario).unwrap_or_else(|broken| panic!("{version:?}: {broken}"));
            assert!(report.lasted >= 3 * HOUR);
            let numbers = report.links[0].offered;
            assert!(
                numbers > 5_000,
                "{version:?}: {numbers} do not pass the wrap"
            );
            assert!(
                report
                    .at_rest
                    .iter()
                    .all(|&held| held > 0 && held <= AT_REST),
                "{version:?}: {:?} between bursts",
                report.at_rest
            );
        }
    }
}
