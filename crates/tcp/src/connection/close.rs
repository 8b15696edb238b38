//! Ends of all kinds.

use super::{Connection, Reset, State};
use gapless_recovery::Instant;

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// Both sides sent all they had and acknowledged it.
    Finished,
    /// The peer refused to open it.
    Refused,
    /// The peer reset it.
    Reset,
    /// We reset it: the application wanted it, or closed it while the peer was still sending.
    Aborted,
    /// The peer did not acknowledge for too long, or did not answer at all.
    TimedOut,
}

impl Connection {
    /// Gives the connection up, with a RST if the peer may know of it (RFC 9293 3.10.5). One that does not acknowledge our FIN gets it too,
    /// which the RFC leaves out: it may be waiting for something that will never come.
    pub fn abort(&mut self, now: Instant) {
        let tells = matches!(
            self.state,
            State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
        );
        if tells {
            self.out.reset = Some(Reset {
                sequence: self.next(),
                has_ack: true,
            });
        }
        self.end(now, CloseReason::Aborted);
    }

    /// Ends it; the first reason counts.
    pub(super) fn end(&mut self, now: Instant, reason: CloseReason) {
        self.enter(now, State::Closed);
        self.ended.get_or_insert(reason);
        self.inward.owed_now = 0;
    }
}
