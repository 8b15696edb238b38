//! One deadline for each purpose (R10, R11): none is ever shared, and each says in which states it may run.

use super::State;
use gapless_recovery::Instant;

/// What is waited for, beside what recovery waits for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// An acknowledgement that may wait for another segment (RFC 9293 3.8.6.3).
    pub(super) ack: Option<Instant>,
    /// The peer's window is closed and nothing is in flight that would be answered (RFC 9293 3.8.6.1).
    pub(super) persist: Option<Instant>,
    /// The peer is silent (RFC 9293 3.8.4).
    pub(super) keep_alive: Option<Instant>,
    /// Something sent is not acknowledged (RFC 9293 3.8.3, R2).
    pub(super) user: Option<Instant>,
    /// Buffers are empty and hold memory.
    pub(super) release: Option<Instant>,
    /// The peer seems to have thrown away what it had told to hold (RFC 2018 section 8).
    pub(super) renege: Option<Instant>,
    /// The peer's FIN does not come.
    pub(super) fin_wait: Option<Instant>,
    /// RFC 9293 3.4.2.
    pub(super) time_wait: Option<Instant>,
}

impl Timers {
    /// The earliest.
    pub(super) fn next(&self) -> Option<Instant> {
        [
            self.ack,
            self.persist,
            self.keep_alive,
            self.user,
            self.release,
            self.renege,
            self.fin_wait,
            self.time_wait,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ends those that have no business in this state (R11, S3).
    pub(super) fn on_state(&mut self, state: State) {
        if !state.may_transmit() {
            self.persist = None;
        }
        if state != State::FinWait2 {
            self.fin_wait = None;
        }
        if state != State::TimeWait {
            self.time_wait = None;
        }
        if matches!(state, State::TimeWait | State::Closed) {
            self.user = None;
            self.renege = None;
            self.keep_alive = None;
        }
        if state == State::Closed {
            self.ack = None;
        }
    }
}

/// Whether this deadline has come; it is over then.
pub(super) fn is_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    let due = timer.is_some_and(|at| at <= now);
    if due {
        *timer = None;
    }
    due
}
