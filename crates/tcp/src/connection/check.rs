//! What must hold whenever anybody can look (R2, R5, R10), for tests and the simulator.

use super::plan::Idle;
use super::{Connection, Ports, State};
use crate::wire::Timestamps;
use gapless_recovery::Instant;
use gapless_seq::Wire32;

impl Connection {
    /// RCV.NXT and SND.UNA as they stand on the wire: what a forger would have to guess.
    #[doc(hidden)]
    #[must_use]
    pub fn numbers_for_tests(&self) -> [u32; 2] {
        [self.inward.buffer.window().next(), self.out.una].map(|at| Wire32::truncate(at).into())
    }

    /// Its ports, and as it stands on the wire the number up to which everything that it sent counts as delivered.
    #[doc(hidden)]
    #[must_use]
    pub fn delivered_for_tests(&self) -> (Ports, u32) {
        let oldest = self.recovery.oldest_number().max(self.out.una);
        (self.ports, Wire32::truncate(oldest).into())
    }

    /// Timestamps that the peer could send now.
    #[doc(hidden)]
    #[must_use]
    pub fn stamps_for_tests(&self) -> Option<Timestamps> {
        let ours = self.inward.stamps.as_ref()?.current(Instant::ZERO);
        Some(Timestamps {
            value: ours.echo,
            echo: ours.value,
        })
    }

    /// The first rule that does not hold, in words.
    ///
    /// # Errors
    /// What is broken.
    pub fn check(&self, now: Instant) -> Result<(), &'static str> {
        let next = self.next();
        if !(self.out.una <= next && next <= self.out.max) {
            return Err("R2: SND.UNA <= SND.NXT <= SND.MAX");
        }
        let window = self.inward.buffer.window();
        // The number of a FIN takes no room.
        let fin = u64::from(self.inward.buffer.has_ended());
        let promised = window.open().end.saturating_sub(fin);
        if promised > window.read().saturating_add(window.bound()) {
            return Err("R5: more is promised than the buffer may hold");
        }
        if self.recovery.check().is_err() {
            return Err("the sent log is broken");
        }
        let waits = self.is_outstanding() || matches!(self.plan_data(now), Err(Idle::Window));
        if waits && self.state != State::Closed && self.next_deadline(now).is_none() {
            return Err("R10: something waits, and no timer is armed");
        }
        // C17; what has no room beside data goes with an acknowledgment of its own.
        let is_untold = self.inward.last_acknowledged < window.next();
        let is_owed = self.inward.owed_now > 0 || self.timers.ack.is_some();
        if is_untold && !is_owed && self.state.takes_data() {
            return Err("R10: an acknowledgment is held back, and no timer is armed");
        }
        Ok(())
    }
}
