//! The loads under which two real transports failed: one fell silent for ever after a large transfer, the other brought down its
//! kernel while a repository was cloned. As streams of an engine in the lab; what Noise and Yamux make of them is tested over
//! real sockets.

use crate::plan::{
    DirectionPlan, MS, Pause, ReadPlan, SECOND, Start, StreamPlan, WriteEnd, WritePlan,
};

/// A load by name.
#[derive(Clone, Debug)]
pub struct Load {
    /// For messages and the command line.
    pub name: &'static str,
    /// What the applications do.
    pub streams: Vec<StreamPlan>,
}

/// A path on which nothing is lost but what the queue cannot hold.
pub const CLEAN: &str = "delay=10ms,rate=100mbit";
/// A path that spoils everything a little.
pub const SPOILED: &str =
    "loss=2%,burst=3,delay=20ms,jitter=5ms,reorder=2%,duplicate=1%,corrupt=0.1%,rate=50mbit,seed=7";

/// All loads.
pub fn all() -> Vec<Load> {
    let load = |name, streams| Load { name, streams };
    vec![
        load("transfer-then-another", transfer_then_another()),
        load("framed-messages", framed_messages()),
        load("rapid-and-delayed-writes", rapid_and_delayed_writes()),
        load("both-ways-repeated", both_ways_repeated()),
        load("reading-after-fin", reading_after_fin()),
        load("eof-pending", eof_pending()),
        load("reset", reset()),
        load("stop", stop()),
        load("half-close", half_close()),
        load("sideband-slow-reader", sideband_slow_reader()),
    ]
}

/// Loads that take minutes even in an optimised build.
pub fn long() -> Vec<Load> {
    vec![Load {
        name: "ten-gigabytes",
        streams: vec![StreamPlan::bulk(10_000_000_000, 1)],
    }]
}

/// A path that is never in the way: what a long load takes is the engines' work.
pub const WIDE: &str = "delay=5ms,rate=1gbit";

/// 100 MB on a stream that closes, then a second stream opens and transfers. Between the two, the transport of the document had
/// lost so many acknowledgements, each with a number of its own, that nothing was ever delivered again.
fn transfer_then_another() -> Vec<StreamPlan> {
    let first = StreamPlan::bulk(100_000_000, 4_000);
    let second = StreamPlan::bulk(1_000_000, 1_000_000);
    vec![first, after(0, second)]
}

/// 100 messages of 1 KiB, each answered before the next is sent.
fn framed_messages() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(100 * 1024, 100 * 1024);
    plan.there.write.piece = (1024, 1024);
    plan.there.write.lead = Some(1024);
    plan.back.write.piece = (1024, 1024);
    plan.back.write.lead = Some(0);
    vec![plan]
}

/// Writes as fast as they go and writes with pauses take turns, on one stream and then on the next.
fn rapid_and_delayed_writes() -> Vec<StreamPlan> {
    let delayed = |every, time| DirectionPlan {
        write: WritePlan {
            piece: (1, 3_000),
            pause: Some(Pause { every, time }),
            ..WritePlan::bulk(60_000)
        },
        read: ReadPlan::FAST,
    };
    let rapid = DirectionPlan {
        write: WritePlan {
            piece: (1, 200),
            ..WritePlan::bulk(60_000)
        },
        read: ReadPlan::FAST,
    };
    let stream = |there, back| StreamPlan {
        there,
        back,
        ..StreamPlan::bulk(0, 0)
    };
    vec![
        stream(rapid, delayed(5_000, 100 * MS)),
        after(0, stream(delayed(2_000, 50 * MS), rapid)),
        after(1, stream(rapid, rapid)),
        after(
            2,
            stream(delayed(20_000, SECOND), delayed(20_000, 700 * MS)),
        ),
    ]
}

/// 500 KB both ways at once, on one stream after the other.
fn both_ways_repeated() -> Vec<StreamPlan> {
    let stream = StreamPlan::bulk(500_000, 500_000);
    (0..6)
        .map(|index| match index {
            0 => stream,
            _ => after(index - 1, stream),
        })
        .collect()
}

/// The end of the stream has long arrived when the first byte is read.
fn reading_after_fin() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(40_000, 40_000);
    plan.there.read.delay = 3 * SECOND;
    plan.back.read.delay = 4 * SECOND;
    vec![plan]
}

/// All bytes were read and the reader waits for more when the end arrives.
fn eof_pending() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(40_000, 40_000);
    plan.there.write.finish_delay = SECOND;
    plan.back.write.finish_delay = 2 * SECOND;
    vec![plan]
}

/// The writer gives up in the middle; other streams do not notice.
fn reset() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(200_000, 1_000_000);
    plan.there.write.end = WriteEnd::Reset(9);
    vec![
        plan,
        StreamPlan::bulk(300_000, 300_000),
        after(0, StreamPlan::bulk(50_000, 50_000)),
    ]
}

/// The reader wants no more.
fn stop() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(1_000_000, 1_000);
    plan.there.read.stop = Some((100_000, 11));
    vec![
        plan,
        StreamPlan::bulk(300_000, 300_000),
        after(0, StreamPlan::bulk(50_000, 50_000)),
    ]
}

/// One direction ends long before the other begins.
fn half_close() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(50_000, 500_000);
    plan.back.write.after_end = true;
    vec![plan]
}

/// What a clone is: packets of Git's side band, nearly 64 KiB each, through a reader that takes them in small bites and rests.
fn sideband_slow_reader() -> Vec<StreamPlan> {
    let mut plan = StreamPlan::bulk(1_000, 3_000_000);
    plan.back.write.after_end = true;
    plan.back.write.piece = (65_520, 65_520);
    plan.back.read = ReadPlan {
        size: 4096,
        pause: Some(Pause {
            every: 65_520,
            time: 30 * MS,
        }),
        ..ReadPlan::FAST
    };
    vec![plan]
}

fn after(before: usize, plan: StreamPlan) -> StreamPlan {
    StreamPlan {
        start: Start::After(before),
        ..plan
    }
}
