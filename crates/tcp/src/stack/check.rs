//! What must hold of a stack whenever anybody can look, for tests and the simulator.

use super::{Kind, Stack};
use gapless_recovery::Instant;

impl Stack {
    /// Connections that begin from now on have this initial number, later ones a later one, and timestamps from this value on: where numbers wrap
    /// is where to look.
    #[doc(hidden)]
    pub fn begin_at_for_tests(&mut self, initial: u32, clock: u32) {
        self.secret.begin_at(initial, clock);
    }

    /// The longest retransmission timeout of all connections, those that the application let go of included.
    #[doc(hidden)]
    #[must_use]
    pub fn longest_timeout_for_tests(&self) -> core::time::Duration {
        let timeouts = self
            .slots
            .connections()
            .map(|connection| connection.stats().timeout);
        timeouts.max().unwrap_or_default()
    }

    /// The first rule that does not hold, in words.
    ///
    /// # Errors
    /// What is broken.
    #[doc(hidden)]
    pub fn check(&self, now: Instant) -> Result<(), &'static str> {
        for connection in self.slots.connections() {
            connection.check(now)?;
        }
        let mut open = 0_usize;
        let mut held = 0_usize;
        for slot in 0..self.slots.len() {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            let Some(entry) = self.slots.get(slot) else {
                return Err("a slot is not there");
            };
            held = held.saturating_add(super::octets(entry.held));
            let is_over = entry
                .connection()
                .is_some_and(|connection| connection.state() == crate::State::Closed);
            if !matches!(entry.kind, Kind::Free) && !is_over {
                open = open.saturating_add(1);
                let found = self.table.find(entry.hash, |other| other == slot);
                if found.is_none() {
                    return Err("a connection is not in the table");
                }
            }
        }
        if open > self.table.len() {
            return Err("there are more connections than the table knows");
        }
        if held != self.budget.held() {
            return Err("the books of memory are not the sum of what connections hold");
        }
        if self.half_open > open {
            return Err("more are counted as half open than there are");
        }
        Ok(())
    }
}
