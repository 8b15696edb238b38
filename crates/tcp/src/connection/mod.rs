//! One connection (RFC 9293 section 3): an engine without I/O and without addresses, which are the stack's.
//!
//! Positions are `u64` inside: the first octet behind a SYN with the number `n` stands at `2^32 + n + 1`, and a number from the wire is
//! expanded near the position that is expected (R1, R7).

mod acknowledge;
mod arrive;
mod blocked;
mod calls;
mod check;
mod close;
mod config;
mod ecn;
mod habits;
mod judge;
mod open;
mod plan;
mod renege;
mod stamps;
mod state;
mod timers;
mod train;
mod transmit;
mod user_timeout;

use crate::receive::{ReceiveBuffer, Tuning};
use crate::send::SendBuffer;
use ecn::Notification;
use gapless_recovery::{Instant, Recovery};
use gapless_seq::{mark, sabotage};
use habits::Habits;
use stamps::Stamps;
use timers::Timers;

pub use blocked::{BlockedOn, ConnectionStats};
pub use calls::{ReadError, WriteError};
pub use close::CloseReason;
pub use config::{Config, KeepAlive, MakeController};
pub use open::{Opening, Ports};
pub use state::State;
pub use train::Train;
pub use transmit::Addresses;
pub use user_timeout::UserTimeoutOption;

pub(crate) use plan::HEADER;

/// What a number of ours carries (P1): kept until it is acknowledged. Its octets are in the send buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    /// The first position.
    start: u64,
    /// Behind the last octet of data.
    end: u64,
    syn: bool,
    fin: bool,
}

/// A TCP connection.
#[derive(Debug)]
pub struct Connection {
    config: Habits,
    state: State,
    ports: Ports,
    out: Sending,
    recovery: Recovery<Record>,
    inward: Receiving,
    timers: Timers,
    ended: Option<CloseReason>,
}

/// Section 3.3.1, "send sequence variables". SND.NXT is `recovery.next_number()`: nobody else mints.
#[derive(Debug)]
struct Sending {
    /// ISS.
    first: u64,
    /// SND.UNA.
    una: u64,
    /// Behind the last number that was ever transmitted (R3); beyond SND.NXT only after a peer threw away what it had told to hold.
    max: u64,
    /// SND.NXT when something was sent again last.
    repeated: u64,
    /// When that was.
    repeated_at: Option<Instant>,
    /// Numbers below were sent before the peer threw away what it had told to hold.
    rewound: u64,
    /// SND.WND, octets.
    window: u64,
    /// The greatest one.
    max_window: u64,
    /// SND.WL1 and SND.WL2.
    updated_by: (u64, u64),
    /// Of the peer's windows.
    shift: u8,
    /// RFC 3168.
    ecn: Notification,
    /// The peer's maximum segment size (RFC 9293 3.7.1).
    mss: u16,
    /// The largest segment, header included, that the first link takes. What the path takes recovery knows.
    path: u16,
    buffer: SendBuffer,
    /// The application sends no more: the FIN stands behind the last octet.
    is_shut: bool,
    /// The persist timer asks for a segment beyond the window.
    owes_probe: bool,
    /// The keep-alive timer asks for a question.
    owes_question: bool,
    /// Questions without an answer.
    questions: u32,
    /// A RST to be sent, at this number; with an ACK or without.
    reset: Option<Reset>,
    challenged: Option<Instant>,
}

/// A RST that is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reset {
    sequence: u64,
    has_ack: bool,
}

/// Section 3.3.1, "receive sequence variables", and what is owed to the peer.
#[derive(Debug)]
struct Receiving {
    /// IRS.
    first: u64,
    buffer: ReceiveBuffer,
    /// How large its window is to be.
    tuning: Tuning,
    /// RFC 2018: both sides permit it.
    has_sack: bool,
    /// RFC 7323: both sides have them.
    stamps: Option<Stamps>,
    /// Where the clock of our timestamps began.
    clock_offset: u32,
    /// The last acknowledgment that left (RFC 7323 4.3, Last.ACK.sent).
    last_acknowledged: u64,
    /// Acknowledgments that are to leave now, even if they say the same: who counts duplicates needs each.
    owed_now: u8,
    /// Full segments since the last acknowledgment.
    segments: u32,
    /// Segments that are still acknowledged at once.
    quick: u32,
    /// The application reads no more: what comes is answered by a RST (RFC 9293 3.6.1, RFC 1122 4.2.2.13).
    is_shut: bool,
}

impl Connection {
    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it ended, once it has.
    #[must_use]
    pub const fn ended(&self) -> Option<CloseReason> {
        self.ended
    }

    /// The ports of both sides.
    #[must_use]
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// Octets of the largest segment, header included, that the path is known to take.
    #[must_use]
    pub fn path_mtu(&self) -> u16 {
        self.recovery.mtu()
    }

    /// Heap memory held, octets.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.out
            .buffer
            .memory()
            .saturating_add(self.inward.buffer.memory())
            .saturating_add(self.recovery.memory())
    }

    /// So many octets of memory its buffers may take beside those that they hold.
    pub(crate) fn set_grant(&mut self, grant: usize) {
        let grant = u32::try_from(grant).unwrap_or(u32::MAX);
        self.out.buffer.set_grant(grant);
        self.inward.buffer.set_grant(grant);
    }

    /// Whether a buffer got less memory than it asked for since this was asked last.
    pub(crate) const fn take_starved(&mut self) -> bool {
        let out = self.out.buffer.take_starved();
        self.inward.buffer.take_starved() || out
    }

    /// SND.NXT.
    fn next(&self) -> u64 {
        self.recovery.next_number()
    }

    /// Whether a number was sent and not acknowledged.
    fn is_outstanding(&self) -> bool {
        self.out.una < self.next()
    }

    /// Whether every octet that was written is acknowledged.
    const fn has_delivered(&self) -> bool {
        self.out.una >= self.out.buffer.end()
    }

    /// Where our FIN stands or will stand, if the application sends no more.
    fn fin(&self) -> Option<u64> {
        self.out.is_shut.then(|| self.out.buffer.end())
    }

    /// Moves to another state; timers that have no business there end (R11).
    fn enter(&mut self, now: Instant, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.timers.on_state(state);
        mark!(ClosedAtOnce, state == State::Closing);
        match state {
            State::TimeWait => {
                let until = self.config.time_wait.after(now);
                self.timers.time_wait = Some(sabotage!(TimeWaitForgotten, Instant::MAX, until));
            }
            State::FinWait2 if self.inward.is_shut => {
                self.timers.fin_wait = Some(self.config.fin_wait_timeout.after(now));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred thousand of them, with their places in the stack, in less than 200 MB.
    #[test]
    fn a_connection_is_small() {
        assert!(
            size_of::<Connection>() <= 1744,
            "{}",
            size_of::<Connection>()
        );
    }
}
