//! One deadline for each purpose, and their minimum.

use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

use super::send::CONTROL_ROOM;
use super::{Connection, MAX_TRACE_EVENTS, Side};
use crate::error::{CloseReason, code};
use crate::event::Event;

/// How long a dialer hears nothing before it asks an acceptor that has not proved its address.
const UNPROVEN_PAUSE: Duration = Duration::from_secs(1);

/// As soon as a dialer has sent so many bytes, it leaves an acceptor enough for an answer and a few challenges.
const UNPROVEN_BYTES: u64 = 400;

impl Connection {
    /// When `handle_timeout` or `poll_transmit` has something to do.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        // What an unproven address may not be sent yet waits for packets from there, not for a time.
        let may_speak = self.path.allowance() >= CONTROL_ROOM;
        let spoken = |at: Option<Instant>| at.filter(|_| may_speak);
        let deadlines = [
            Some(self.idle_deadline()),
            self.dial_deadline(),
            self.keep_alive_deadline(),
            self.recovery.next_deadline(),
            self.path.deadline(now, self.challenge_len()),
            self.acks
                .deadline()
                .filter(|_| self.may_acknowledge())
                .filter(|_| !sabotage!(TimerShared) || self.recovery.next_deadline().is_none()),
            spoken(self.streams.look_at),
            spoken(self.next_ending()),
            self.streams.blocks.deadline(),
            spoken(self.owed.data_blocked_at),
            self.clock.paced_until.filter(|at| *at > now),
            self.clock.opening_until.filter(|at| *at > now),
            self.v2.as_ref().and_then(|v2| v2.deadline()),
            self.listening_deadline(),
            spoken(self.generation_deadline()),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due. Harmless early, late, and twice.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.clock.now = now;
        if self.closed.is_some() {
            return;
        }
        if self.dial_deadline().is_some_and(|at| at <= now) {
            mark!(NoAnswer);
            let reason = if self.refused_version {
                CloseReason::VersionMismatch
            } else {
                CloseReason::NoAnswer
            };
            return self.terminate(reason, Some(code::TIMEOUT), b"");
        }
        // UDX 7.5: silent.
        if self.idle_deadline() <= now {
            mark!(IdleTimeout);
            return self.terminate(CloseReason::IdleTimeout, Some(code::TIMEOUT), b"");
        }
        self.recovery.on_timeout(now);
        self.drain_recovery_events();
        self.streams.on_timeout(now);
        self.streams.blocks.expire(now);
        self.on_order_timeout();
        self.listen();
        self.on_generation_timeout();
        if self.closed.is_some() {
            return;
        }
        if self.keep_alive_deadline().is_some_and(|at| at <= now) {
            mark!(UnprovenAsked, self.is_perhaps_unproven());
            mark!(KeepAliveAsked, !self.is_perhaps_unproven());
            // D7: a challenge is what every peer answers; and it is repeated until then.
            self.clock.keep_alive_asked = Some(now);
            if self.may_ask() {
                self.path.ask(now);
            }
        }
    }

    /// UDX 7.5: the greater of the timeout and three RTO without a packet.
    fn idle_deadline(&self) -> Instant {
        // Without backoff: a silent peer must not prolong its own life.
        let three_rto = self.recovery.pto_base().saturating_mul(3);
        let timeout: Duration = self.config.idle_timeout.max(three_rto);
        self.clock.heard.saturating_add(timeout)
    }

    fn dial_deadline(&self) -> Option<Instant> {
        let deadline = self.clock.opened.saturating_add(self.config.dial_timeout);
        (!self.clock.answered).then_some(deadline)
    }

    /// V17
    fn keep_alive_deadline(&self) -> Option<Instant> {
        let waiting = self.clock.answered && self.clock.keep_alive_asked.is_none();
        let soon = self.is_perhaps_unproven().then_some(UNPROVEN_PAUSE);
        let interval = soon.or(self.config.keep_alive)?;
        waiting.then(|| self.clock.heard.saturating_add(interval))
    }

    /// RFC 9002 6.2.2.1: an acceptor that has not proved our address may send three times what it received, and once its challenges are lost it
    /// waits for more from us. A dialer that sent next to nothing and was not challenged keeps it from waiting for ever.
    fn is_perhaps_unproven(&self) -> bool {
        self.side == Side::Dialer
            && !self.clues.challenged
            && self.counts.bytes_sent < UNPROVEN_BYTES
    }

    pub(super) fn drain_recovery_events(&mut self) {
        while let Some(event) = self.recovery.poll_event() {
            if self.events.len() < MAX_TRACE_EVENTS {
                self.events.push_back(Event::Recovery(event));
            }
        }
    }
}
