//! The self check: what must always hold, computed anew from the ground.

use crate::sent_log::LogBroken;

use super::Recovery;

/// An invariant that does not hold.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum Broken {
    /// The bytes or packets in flight are not the sum of what is in flight.
    InFlight,
    /// A reliable record is neither in flight nor waiting to be sent again: it would never arrive (P1).
    RecordForgotten,
    /// A record waits to be sent again although it is in flight, or the queue's count is wrong.
    Queue,
    /// The order of age or the count of records is wrong.
    Records,
    /// A number beyond the last was minted, or spans do not line up.
    Numbers,
    /// Something is outstanding and no timer is armed (R10).
    NoTimer,
    /// Something below the cursor is in flight: its loss would never be noticed.
    Cursor,
}

impl<R> Recovery<R> {
    /// Verifies the whole state. Linear; for tests and simulations.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), Broken> {
        self.log.check().map_err(|broken| match broken {
            LogBroken::InFlight => Broken::InFlight,
            LogBroken::RecordForgotten => Broken::RecordForgotten,
            LogBroken::Queue => Broken::Queue,
            LogBroken::Records => Broken::Records,
            LogBroken::Numbers => Broken::Numbers,
            LogBroken::Cursor => Broken::Cursor,
        })?;
        let outstanding = self.log.packets_in_flight() > 0 || self.log.unacknowledged() > 0;
        if outstanding && self.next_deadline().is_none() {
            return Err(Broken::NoTimer);
        }
        Ok(())
    }
}
