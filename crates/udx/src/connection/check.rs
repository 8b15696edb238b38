//! The connection's books compared with each other, for tests and the lab.

use gapless_recovery::Instant;

use super::{Carried, Connection};
use crate::error::Broken;

impl Connection {
    /// What must hold between any two calls.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Broken> {
        if self.closed.is_some() {
            return Ok(());
        }
        self.recovery
            .check()
            .map_err(|_| Broken("recovery contradicts itself"))?;
        self.check_records()?;
        self.check_queues()?;
        let mut buffered = 0_u64;
        for (_, stream) in self.streams.iter() {
            buffered = buffered.saturating_add(stream.send.buffer().len());
            let memory = stream.recv.buffer().memory();
            ensure(
                memory <= stream.recv.memory_bound(),
                "a stream holds more than its bound (P5)",
            )?;
        }
        ensure(
            buffered == self.streams.buffered,
            "buffered bytes are miscounted",
        )?;
        // R10: whatever is outstanding or sendable has a timer.
        let outstanding = self.recovery.has_unacknowledged();
        ensure(
            !outstanding || self.recovery.next_deadline().is_some(),
            "unacknowledged, but no timer",
        )?;
        ensure(
            self.next_deadline(now).is_some(),
            "a live connection without a timer",
        )
    }

    /// P1: every record names bytes that can be sent again.
    fn check_records(&self) -> Result<(), Broken> {
        for (_, carried) in self.recovery.records() {
            let Carried::Stream { id, piece } = carried else {
                continue;
            };
            let Some(stream) = self.streams.get(*id) else {
                return Err(Broken("a record of a stream that is gone"));
            };
            let held = stream.send.buffer();
            let range = piece.range();
            let covered =
                piece.len == 0 || (held.start() <= range.start && range.end <= held.end());
            ensure(covered, "a record whose bytes were let go")?;
        }
        Ok(())
    }

    /// A stream that has something to send stands in the queue.
    fn check_queues(&self) -> Result<(), Broken> {
        for (id, stream) in self.streams.iter() {
            let stands = self.streams.sending.contains(&id);
            ensure(
                stands == stream.queued,
                "the sending queue and its marks differ",
            )?;
            ensure(
                stands || !stream.send.has_next(),
                "something to send, but not in the queue",
            )?;
            let stands = self.streams.control.contains(&id);
            ensure(
                stands == stream.control_queued,
                "the control queue and its marks differ",
            )?;
            ensure(
                stands || !stream.recv.is_update_due(),
                "a window update that nobody sends",
            )?;
        }
        Ok(())
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        // What `size_of::<Recovery>` counts is part of the connection itself.
        let recovery = self
            .recovery
            .memory()
            .saturating_sub(size_of_val(&self.recovery));
        let events = self
            .events
            .capacity()
            .saturating_mul(size_of::<crate::Event>());
        let v2 = self.v2.as_ref().map_or(0, |v2| v2.memory());
        [
            size_of::<Self>(),
            recovery,
            events,
            self.streams.memory(),
            v2,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

fn ensure(holds: bool, what: &'static str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(what)) }
}
