//! The end of a run: both sides learn of it, for the right reason, and forget each other.

use super::{Stage, World};
use crate::plan::{Ending, SECOND, Time};
use crate::report::{Rule, Violation};
use gapless_udx::{CloseReason, Endpoint};

impl World<'_, '_> {
    pub(super) fn advance_ending(&mut self, since: Time) -> Result<(), Violation> {
        let all_know = self.hosts.iter().all(|host| {
            // H23: some never notice.
            let notices = host
                .machine
                .kind()
                .is_none_or(|kind| kind.abilities().notices_silence);
            host.vanished
                || host.app.closed().is_some()
                || !host.machine.has_connection()
                || !notices
        });
        if all_know {
            self.check_reasons()?;
            self.learned_within = Some(self.now - since);
            self.stage = Stage::Draining(self.now);
            self.hosts
                .iter_mut()
                .for_each(|host| host.wake_by(self.now));
            return Ok(());
        }
        let idle = self
            .scenario
            .hosts
            .each_ref()
            .map(|host| host.config.connection.idle_timeout);
        let bound = idle[0].max(idle[1]).as_nanos() as u64 + ENDING_SLACK;
        if self.now - since > bound && self.scenario.is_poisoned() {
            // A damaged ID makes another connection, which nobody knows how to end.
            self.stage = Stage::Done;
            return Ok(());
        }
        if self.now - since > bound {
            let detail = format!(
                "one side never learned that the connection ended{}",
                self.describe()
            );
            return Err(self.violation(None, (Rule::Delivery, detail)));
        }
        Ok(())
    }

    /// Both sides learned of the end; they also have to be told the right one.
    fn check_reasons(&self) -> Result<(), Violation> {
        if self.scenario.is_poisoned() {
            return Ok(());
        }
        let vanishes = matches!(self.scenario.ending, Ending::Vanish { .. });
        let kinds = self.hosts.iter().map(|host| host.machine.kind());
        let is_silent = kinds.flatten().any(|kind| !kind.abilities().says_goodbye);
        for (index, host) in self.hosts.iter().enumerate() {
            if host.machine.kind().is_some() {
                continue;
            }
            let fits = match host.app.closed() {
                None => true,
                // UDX 14: who was told a token before learns it by that; who was not is left to its patience.
                Some(CloseReason::StatelessReset) => self.tells_restart(1 - index),
                Some(CloseReason::IdleTimeout) if self.scenario.restart.is_some() => {
                    !self.tells_restart(1 - index)
                }
                Some(CloseReason::Local { .. }) => {
                    self.closed_by == Some(index) || self.scenario.closes_both
                }
                Some(CloseReason::Peer { .. }) => self.closed_by == Some(1 - index),
                // A CONNECTION_CLOSE can be lost for good while the path is bad, and is not believed from a new address (V6).
                Some(CloseReason::IdleTimeout | CloseReason::NoAnswer) => {
                    vanishes
                        || is_silent
                        || (self.closed_by == Some(1 - index)
                            && (self.ended_in_faults || !self.scenario.moves.is_empty()))
                }
                Some(_) => false,
            };
            if !fits {
                let detail = format!("the connection ended with {:?}", host.app.closed());
                return Err(self.violation(Some(index), (Rule::Delivery, detail)));
            }
        }
        Ok(())
    }

    pub(super) fn advance_draining(&mut self, since: Time) -> Result<(), Violation> {
        // Also a connection that comes to an acceptor only after its dialer has ended it.
        for host in &mut self.hosts {
            if host.app.closed().is_some() {
                host.machine.forget();
            }
        }
        let all_idle = self
            .hosts
            .iter()
            .all(|host| host.vanished || host.machine.is_idle());
        // R12: what is still underway is not answered. Models answer as they do.
        let has_model = self.hosts.iter().any(|host| host.machine.kind().is_some());
        let is_silent = has_model || self.links.iter().all(|link| link.next_delivery().is_none());
        if !all_idle || !is_silent {
            if self.now - since > DRAINING_BOUND {
                let detail = if all_idle {
                    "two ends answer each other for ever"
                } else {
                    "a released connection is never forgotten"
                };
                let detail = detail.to_string();
                return Err(self.violation(None, (Rule::Memory, detail)));
            }
            return Ok(());
        }
        for index in 0..2 {
            self.hosts[index].machine.outlive(self.now + MEMORY_OF_ALL);
            let host = &self.hosts[index];
            let held = host.machine.ours().map_or(0, Endpoint::memory);
            // A damaged ID makes another connection, which nobody here took: it holds what one holds.
            if held > IDLE_MEMORY && !host.vanished && !self.scenario.is_poisoned() {
                let detail = format!("{held} bytes are held without any connection");
                return Err(self.violation(Some(index), (Rule::Memory, detail)));
            }
            let checked = self.checks[index].check_books(host);
            checked.map_err(|fault| self.violation(Some(index), fault))?;
        }
        self.stage = Stage::Done;
        Ok(())
    }
}

/// Over the idle timeout, for the probe timeouts that count into it (UDX 7.5: three PTOs if that is longer).
const ENDING_SLACK: Time = 10 * SECOND;
/// A closed connection is remembered for 10 s or three PTOs (V3), and so long are packets of unknown connections kept (UDX 7.1).
const DRAINING_BOUND: Time = 60 * SECOND;
/// Longer than an endpoint remembers closed connections (35 s, V3) and early packets (10 s, UDX 7.1).
const MEMORY_OF_ALL: Time = 120 * SECOND;
/// What an endpoint may hold, in bytes, that has neither connections nor anything to remember.
const IDLE_MEMORY: usize = 256;
