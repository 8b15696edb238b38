//! R8: what an engine does at one instant comes to an end.

use crate::plan::Time;

/// Counts rounds of receiving, acting and sending at the latest instant.
///
/// On a path without any delay a whole conversation is one instant, and each message of it a round. It ends, because its bytes do;
/// so what may not go on is work that moves none of them, which nothing else would end.
#[derive(Default)]
pub(crate) struct Rounds {
    at: Time,
    count: u32,
    /// Bytes that both applications had moved before the first of them.
    moved: u64,
}

impl Rounds {
    /// Another one, when both applications have moved so many bytes. False if there were too many that moved none.
    pub(crate) fn may_go_on(&mut self, now: Time, moved: impl FnOnce() -> u64) -> bool {
        let is_new = self.at != now;
        if is_new || self.count >= MAX_ROUNDS_AT_ONCE {
            let moved = moved();
            if is_new || moved > self.moved {
                *self = Self {
                    at: now,
                    count: 0,
                    moved,
                };
            }
        }
        self.count += 1;
        self.count <= MAX_ROUNDS_AT_ONCE
    }
}

/// Rounds at one instant in which no application moves a byte. Each round moves something, at least one batch of packets or one event;
/// nothing that an application of the lab does makes so many of them without its bytes.
pub(crate) const MAX_ROUNDS_AT_ONCE: u32 = 1_000;
