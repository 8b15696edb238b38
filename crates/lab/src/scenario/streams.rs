//! What the applications exchange.

use crate::app::NAME_BYTES;
use crate::choices::{Draw, MOST};
use crate::plan::{
    DirectionPlan, MS, Pause, ReadPlan, SECOND, Start, StreamPlan, Time, WriteEnd, WritePlan,
};
use gapless_link::Random;

impl Draw<'_> {
    pub(crate) fn streams(&mut self) -> Vec<StreamPlan> {
        let planned = self.plan(plan);
        let share = planned.map_or(0, |(count, budget)| budget * 2 / count / SHARE_STEP);
        let share = self.proposed(MOST, |_| share) * SHARE_STEP;
        let mut left = MOST_BYTES;
        let mut streams: Vec<StreamPlan> = Vec::new();
        while streams.len() < MOST_STREAMS {
            let place = streams.len();
            let goes_on = planned.map(|(count, _)| (place as u64) < count);
            let next = self.span(|draw| {
                // The first one comes in any case; that it has a decision, too, lets it be left out for the second.
                let comes = draw.planned(goes_on) || place == 0;
                comes.then(|| draw.stream(place, share.min(left / 2)))
            });
            let Some(next) = next else { break };
            left -= (next.there.write.bytes + next.back.write.bytes).min(left);
            streams.push(next);
        }
        streams
    }

    fn stream(&mut self, place: usize, share: u64) -> StreamPlan {
        let mut plan = StreamPlan {
            opener: usize::from(self.one_in(3)),
            start: self.start(place),
            there: self.direction(share),
            back: self.direction(share),
        };
        let least = NAME_BYTES as u64;
        plan.there.write.bytes = plan.there.write.bytes.max(least);
        match self.below(5) {
            // An echo, or messages in turns: the opener leads.
            3 => {
                plan.back.write.bytes = plan.there.write.bytes;
                plan.back.write.lead = Some(0);
                plan.there.write.lead = self.one_in(2).then(|| self.scaled(16, 8192).max(least));
            }
            // The answer comes after the whole question.
            4 => plan.back.write.after_end = true,
            _ => {}
        }
        if self.one_in(8) {
            self.abort(&mut plan);
        }
        plan
    }

    fn start(&mut self, place: usize) -> Start {
        if self.one_in(3) {
            // The first one decides the same, so that any of them can be left out.
            let before = self.below(place.max(1) as u64) as usize;
            return if place > 0 {
                Start::After(before)
            } else {
                Start::At(0)
            };
        }
        Start::At(if self.one_in(2) {
            self.between(0, 3 * SECOND)
        } else {
            0
        })
    }

    fn direction(&mut self, share: u64) -> DirectionPlan {
        let bytes = if self.chance(5, 6) {
            self.between(0, share)
        } else {
            self.between(0, 20)
        };
        let high = self.scaled_down(70_000, 1);
        let low = if self.one_in(2) {
            high - self.between(0, high - 1)
        } else {
            high
        };
        // Tiny pieces of much would only take time.
        let floor = (bytes / 500).max(1);
        DirectionPlan {
            write: WritePlan {
                bytes,
                piece: (low.max(floor) as usize, high.max(floor) as usize),
                pause: self.pause(bytes),
                lead: None,
                after_end: false,
                finish_delay: self.rest(4, SECOND),
                end: WriteEnd::Finish,
            },
            read: ReadPlan {
                size: self.scaled_down(70_000, 1_000) as usize,
                pause: self.pause(bytes),
                delay: self.rest(5, 2 * SECOND),
                stop: None,
            },
        }
    }

    fn rest(&mut self, one_in: u64, up_to: Time) -> Time {
        if self.one_in(one_in) {
            self.scaled(MS, up_to)
        } else {
            0
        }
    }

    /// At most some tens of rests, and in sum at most a few seconds.
    fn pause(&mut self, bytes: u64) -> Option<Pause> {
        self.one_in(4).then(|| Pause {
            every: (bytes / self.between(1, 30)).max(1),
            time: self.scaled(MS / 10, 200 * MS),
        })
    }

    fn abort(&mut self, plan: &mut StreamPlan) {
        let code = self.between(1, 1000) as u32;
        let direction = if self.one_in(2) {
            &mut plan.back
        } else {
            &mut plan.there
        };
        if self.one_in(2) {
            let after = self.between(0, direction.write.bytes);
            direction.read.stop = Some((after, code));
        } else {
            direction.write.end = WriteEnd::Reset(code);
        }
    }
}

/// How many streams a seed wants, and the bytes for all of them.
fn plan(random: &mut Random) -> (u64, u64) {
    let count = match random.below(8) {
        0..=2 => 1,
        3..=5 => random.between(2, 5),
        6 => random.between(6, 12),
        // More than may be open at once, now and then.
        _ if random.below(8) == 0 => random.between(100, MOST_STREAMS as u64),
        _ => random.between(13, 60),
    };
    let scale = 1_000 << random.below(8);
    (count, random.between(scale, (scale * 2).min(200_000)))
}

/// Bytes of all streams together: what takes an optimised build some milliseconds.
const MOST_BYTES: u64 = 800_000;
/// A stream's share is decided on in steps of so many bytes.
const SHARE_STEP: u64 = 8;
const MOST_STREAMS: usize = 300;
