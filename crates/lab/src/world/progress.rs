//! The liveness check: whether the calm is used.

use super::{Stage, World};
use crate::peers::Kind;
use crate::plan::{Ending, MS, SECOND, STALL_PTOS, Start, Time};
use crate::report::{Rule, Seconds, Violation};
use gapless_udx::{BlockedOn, Endpoint};

impl World<'_, '_> {
    /// The liveness check: in the calm something happens often enough, as long as there is something to do.
    pub(super) fn check_progress(&mut self) -> Result<(), Violation> {
        let progress = self.hosts.iter().map(|host| host.app.progress()).sum();
        let is_idle = !self.has_something_to_do();
        let waited = if std::mem::replace(&mut self.was_idle, is_idle) {
            0
        } else {
            self.now.saturating_sub(self.last_progress.0)
        };
        self.look_at_rest(is_idle);
        let goes_on = progress != self.last_progress.1;
        if goes_on || is_idle {
            self.last_progress = (self.now, progress);
        }
        let has_to_go_on = matches!(self.scenario.ending, Ending::Close { .. });
        if !self.is_calm || !has_to_go_on || self.is_out_of_allowance() {
            return Ok(());
        }
        self.longest_wait = self.longest_wait.max(waited);
        self.measure_stall(waited, goes_on);
        let took = self.now.saturating_sub(self.scenario.calm_from);
        let is_late = took > self.scenario.finish_within || waited > self.scenario.patience;
        if is_late && self.is_held_back() {
            self.given_up = true;
            self.stage = Stage::Done;
            return Ok(());
        }
        if took > self.scenario.finish_within && !self.scenario.is_poisoned() {
            let detail = format!(
                "not over {} into the calm{}",
                Seconds(took),
                self.describe()
            );
            return Err(self.violation(None, (Rule::Progress, detail)));
        }
        let has_model = self.hosts.iter().any(|host| host.machine.kind().is_some());
        let stalls = !has_model && self.longest_stall > STALL_PTOS * 1_000;
        if waited <= self.scenario.patience && !stalls {
            return Ok(());
        }
        if self.scenario.is_poisoned() {
            self.stage = Stage::Done;
            return Ok(());
        }
        let detail = format!(
            "nothing happened for {}, the longest probe timeout was {}{}",
            Seconds(waited),
            Seconds(self.longest_pto),
            self.describe()
        );
        Err(self.violation(None, (Rule::Progress, detail)))
    }

    /// Whether a stream is underway: who waits for the time of the next one waits by intention.
    fn has_something_to_do(&self) -> bool {
        let mut plans = self.scenario.streams.iter().zip(&self.over);
        plans.any(|(plan, &over)| {
            let is_due = match plan.start {
                Start::At(at) => at <= self.now,
                Start::After(before) => self.over[before],
            };
            is_due && !over
        })
    }

    /// What is held when nothing was to be done for long.
    fn look_at_rest(&mut self, is_idle: bool) {
        if !is_idle {
            self.busy_at = self.now;
        } else if self.now - self.busy_at > REST {
            for (most, host) in self.at_rest.iter_mut().zip(&self.hosts) {
                let held = host.machine.ours().map_or(0, Endpoint::memory);
                *most = (*most).max(held);
            }
        }
    }

    /// UDX 11: a JS acceptor that nobody answered goes on at three times what comes, for ever.
    fn is_held_back(&self) -> bool {
        self.hosts[1].machine.kind() == Some(Kind::Js) && self.watch.is_held_back(1)
    }

    fn measure_stall(&mut self, waited: Time, goes_on: bool) {
        let ptos = self.hosts.iter().filter_map(|host| {
            let connection = host.machine.connection()?;
            u64::try_from(connection.stats().pto.as_nanos()).ok()
        });
        let pto = ptos.max().unwrap_or(0);
        self.longest_pto = self.longest_pto.max(pto);
        let measure = self.longest_pto.max(self.scenario.round_trip).max(1);
        let intended = self.scenario.rests + self.spare_timeouts * measure;
        let mut unintended = waited.saturating_sub(intended);
        if unintended > measure {
            self.asks_every = self.asks_every.max(self.pause_between_questions());
        }
        unintended = unintended.saturating_sub(self.asks_every);
        let stall = unintended.saturating_mul(1_000) / measure;
        if unintended > 0 && !self.scenario.is_poisoned() {
            self.longest_stall = self.longest_stall.max(stall);
        }
        if goes_on {
            self.longest_pto = pto;
            self.asks_every = 0;
        }
    }

    /// How long it may take until somebody who waits for an answer asks again, where that is not the probe timeout's business.
    ///
    /// Limits, challenges and the questions for them have no numbers, so the probe timeout does not repeat them. If the faults took the last
    /// ones, nothing happens before the next question, which may be many timeouts of a short path away; the answer then comes within
    /// a round trip.
    fn pause_between_questions(&self) -> Time {
        let pauses = self.hosts.iter().filter_map(|host| {
            let connection = host.machine.connection()?;
            match connection.blocked_on(host.machine.at(self.now)) {
                BlockedOn::PeerStreamWindow => Some(LIMIT_ASKED_EVERY),
                BlockedOn::PathValidation => Some(CHALLENGED_EVERY),
                _ => None,
            }
        });
        pauses.max().unwrap_or(0)
    }
}

/// UDX 10.1: who has data and no credit says so at least that often, as all others do.
const LIMIT_ASKED_EVERY: Time = 500 * MS;
/// UDX 11: the pause between challenges doubles up to this, as that between probes does: V18 leaves few of them, which have to last.
const CHALLENGED_EVERY: Time = 2 * SECOND;

/// Longer than anything that was finished is remembered but for closed connections.
const REST: Time = 20 * SECOND;
