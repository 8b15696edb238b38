//! What the engine tells about itself.

use crate::ring::Ring;

/// Most events kept for the caller; the oldest are dropped beyond. Enough for what one acknowledgement can cause, many times.
const MAX_EVENTS: usize = 64;

/// Something that happened. Nothing depends on reading them.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Transmissions were declared lost.
    Lost {
        /// How many.
        packets: u64,
        /// Their bytes.
        bytes: u64,
        /// A timer and not an acknowledgement told.
        by_timer: bool,
    },
    /// The probe timeout fired, for this many times in a row.
    PtoFired {
        /// Timeouts since the last progress.
        count: u32,
    },
    /// The window was reduced.
    CongestionEvent {
        /// Bytes, after the reduction.
        window: u64,
    },
    /// Every loss behind the last reduction was an error; the reduction was taken back.
    SpuriousLossUndone {
        /// Bytes, after the return.
        window: u64,
    },
    /// RFC 9002 7.6: nothing passed for a long time; the window is minimal.
    PersistentCongestion,
    /// The window no longer doubles each round.
    SlowStartExit {
        /// Bytes.
        window: u64,
    },
    /// The largest datagram changed.
    MtuChanged {
        /// UDP payload bytes before.
        from: u16,
        /// UDP payload bytes now.
        to: u16,
    },
    /// Large datagrams no longer pass; records that are too large for the base size must be split.
    BlackHole {
        /// UDP payload bytes that no longer pass.
        from: u16,
        /// UDP payload bytes now.
        to: u16,
    },
}

#[derive(Debug)]
pub(crate) struct Events(Ring<Event>);

impl Events {
    pub(crate) const fn new() -> Self {
        Events(Ring::starting_at(0))
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.0.len() >= MAX_EVENTS {
            self.0.pop_front();
        }
        // Without memory for it an event is not told; nothing depends on it.
        let _ = self.0.push(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.0.pop_front();
        self.0.release();
        event
    }

    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }
}

/// Counters over the life of a connection. They saturate.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Stats {
    /// Transmissions, the repeated ones included.
    pub packets_sent: u64,
    /// Transmissions that were acknowledged.
    pub packets_acked: u64,
    /// Transmissions that were declared lost, rightly or not; MTU probes excepted.
    pub packets_lost: u64,
    /// Transmissions of records that had been sent before.
    pub packets_resent: u64,
    /// Losses that a late acknowledgement disproved.
    pub spurious_losses: u64,
    /// Probe timeouts.
    pub ptos: u64,
    /// Reductions of the window.
    pub congestion_events: u64,
    /// Reductions that were taken back.
    pub congestion_undone: u64,
    /// RFC 9002 7.6.
    pub persistent_congestion: u64,
    /// MTU probes sent.
    pub mtu_probes_sent: u64,
    /// MTU probes lost.
    pub mtu_probes_lost: u64,
    /// Falls to the base size.
    pub black_holes: u64,
    /// Bytes of all transmissions.
    pub bytes_sent: u64,
    /// Bytes of repeated transmissions.
    pub bytes_resent: u64,
    /// Bytes of acknowledged transmissions.
    pub bytes_acked: u64,
    /// Bytes of transmissions declared lost.
    pub bytes_lost: u64,
    /// Acknowledgements refused because they named what was never sent.
    pub acks_refused: u64,
}

pub(crate) fn count(counter: &mut u64, by: u64) {
    *counter = counter.saturating_add(by);
}
