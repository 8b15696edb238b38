//! Ends of all kinds.

use super::{Connection, Reset, State};
use crate::stack::Linger;
use core::time::Duration;
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

    /// Gives it up without a word: our address is gone.
    pub(crate) fn end_silently(&mut self, now: Instant) {
        self.out.reset = None;
        self.end(now, CloseReason::Aborted);
    }

    /// A RST is to be sent, although it is over.
    pub(crate) const fn owes_reset(&self) -> bool {
        self.out.reset.is_some()
    }

    /// Something is to be said or read before only late segments can come.
    pub(crate) fn owes_anything(&self) -> bool {
        self.owes_reset() || self.inward.owed_now > 0 || self.inward.buffer.readable() > 0
    }

    /// What answers late segments when nothing else is left.
    pub(crate) fn lingering(&self, now: Instant, time_wait: Duration) -> Linger {
        let until = self.timers.time_wait;
        Linger {
            sequence: self.next(),
            acknowledgment: self.inward.buffer.window().next(),
            window: 0,
            stamps: self
                .inward
                .stamps
                .as_ref()
                .map(|stamps| stamps.current(now)),
            until: until.unwrap_or_else(|| now.saturating_add(time_wait)),
        }
    }

    /// What ICMP says (RFC 5461, RFC 5927 section 5): a hard error ends what is being opened; everything else may pass by itself.
    pub(crate) fn on_unreachable(&mut self, now: Instant, is_hard: bool) {
        if is_hard && self.state == State::SynSent {
            self.end(now, CloseReason::Refused);
        }
    }

    /// Ends it; the first reason counts.
    pub(super) fn end(&mut self, now: Instant, reason: CloseReason) {
        self.enter(now, State::Closed);
        self.ended.get_or_insert(reason);
        self.inward.owed_now = 0;
        self.release_buffers();
    }
}
