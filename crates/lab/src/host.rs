//! One end: an engine, its application, and a caller with manners of its own.

use crate::app::App;
use crate::machine::Machine;
use crate::plan::{Manners, Scenario, Time};
use crate::report::Rule;
use crate::rounds::Rounds;
use crate::watch::Fault;
use gapless_link::Random;
use gapless_udx::{BlockedOn, Ecn, Instant, Received};
use std::net::SocketAddr;

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) machine: Machine,
    pub(crate) app: App,
    manners: Manners,
    random: Random,
    inbox: Vec<Arrived>,
    wake_at: Option<Time>,
    /// A host that vanished hears nothing and says nothing.
    pub(crate) vanished: bool,
    rounds: Rounds,
    /// The largest congestion window in the latest wake, where it sends between the datagrams that it receives: each of them may make it
    /// smaller than what is in flight by then.
    pub(crate) widest: u64,
}

/// A datagram that reached a host.
pub(crate) struct Arrived {
    pub(crate) from: SocketAddr,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) payload: Vec<u8>,
}

/// A datagram that a host sends.
pub(crate) struct Departing {
    pub(crate) to: SocketAddr,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) payload: Vec<u8>,
}

impl Host {
    pub(crate) fn new(scenario: &Scenario, index: usize, address: SocketAddr) -> Self {
        Self::seeded(scenario, index, address, scenario.seed)
    }

    /// One that draws other numbers than the scenario's seed would have it.
    pub(crate) fn seeded(
        scenario: &Scenario,
        index: usize,
        address: SocketAddr,
        seed: u64,
    ) -> Self {
        let plan = &scenario.hosts[index];
        let mut bytes = [0; 32];
        Random::for_purpose(seed, 200 + index as u64).fill(&mut bytes);
        Self {
            address,
            machine: Machine::new(plan.config.clone(), bytes, plan.model, plan.manners.tick),
            app: App::new(scenario, index),
            manners: plan.manners,
            random: Random::for_purpose(seed, 300 + index as u64),
            inbox: Vec::new(),
            wake_at: Some(0),
            vanished: false,
            rounds: Rounds::default(),
            widest: 0,
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        let at = self.wake_at.filter(|_| !self.vanished)?;
        Some(self.manners.freeze.map_or(at, |freeze| freeze.thaws(at)))
    }

    /// Something outside happened: the host looks at `now` at the latest.
    pub(crate) fn wake_by(&mut self, now: Time) {
        self.wake_at = Some(self.wake_at.map_or(now, |at| at.min(now)));
    }

    pub(crate) fn arrive(&mut self, now: Time, datagram: Arrived) {
        self.inbox.push(datagram);
        let wait = self
            .random
            .below(self.manners.receive_wait.saturating_add(1));
        self.wake_by(now.saturating_add(wait));
    }

    /// Lets the engine and the application do all they can at `now`. Datagrams to send are appended to `out`. `elsewhere` are the bytes
    /// that the other application has moved.
    pub(crate) fn wake(
        &mut self,
        now: Time,
        over: &[bool],
        elsewhere: u64,
        out: &mut Vec<Departing>,
    ) -> Result<(), Fault> {
        let mut batches = self.manners.batches;
        let mut drained = true;
        self.widest = 0;
        loop {
            self.count_round(now, elsewhere)?;
            let mut active = false;
            if self.manners.application_first {
                active |= self.act(now, over)?;
            }
            active |= !self.inbox.is_empty();
            self.receive(now, over, &mut batches, out)?;
            self.serve_timers(now);
            active |= self.act(now, over)?;
            let before = out.len();
            drained &= self.transmit(now, &mut batches, out);
            active |= out.len() > before;
            // Sending makes events too: it may find out that a time has come.
            active |= self.act(now, over)?;
            if !active || !drained {
                break;
            }
        }
        if drained {
            self.check_drained(now)?;
        }
        self.plan_wake(now, drained);
        Ok(())
    }

    fn act(&mut self, now: Time, over: &[bool]) -> Result<bool, Fault> {
        self.app
            .act(now, &mut self.machine, over)
            .map_err(|complaint| (Rule::Delivery, complaint))
    }

    /// R8: what an engine does at one instant comes to an end.
    fn count_round(&mut self, now: Time, elsewhere: u64) -> Result<(), Fault> {
        if self.rounds.may_go_on(now, || self.app.moved() + elsewhere) {
            return Ok(());
        }
        let deadline = self.machine.next_deadline();
        let detail = format!("no end of work at one instant; its deadline is {deadline:?}");
        Err((Rule::Timers, detail))
    }

    fn receive(
        &mut self,
        now: Time,
        over: &[bool],
        batches: &mut usize,
        out: &mut Vec<Departing>,
    ) -> Result<(), Fault> {
        let arrived = std::mem::take(&mut self.inbox);
        let mut rest = &arrived[..];
        let mut joined = Vec::new();
        while let Some(first) = rest.first() {
            let count = if self.manners.coalesce && self.machine.kind().is_none() {
                coalescible(rest)
            } else {
                1
            };
            let (now_handled, later) = rest.split_at(count);
            rest = later;
            joined.clear();
            now_handled
                .iter()
                .for_each(|datagram| joined.extend_from_slice(&datagram.payload));
            self.machine.receive(
                now,
                Received {
                    from: first.from,
                    ecn: first.ecn,
                    segment_size: first.payload.len().max(1),
                    data: &joined,
                },
            );
            if self.manners.send_after_each {
                self.transmit(now, batches, out);
            }
            if self.machine.kind().is_some() {
                // V11: a program whose accepting thread waits takes each stream as it comes.
                self.act(now, over)?;
            }
        }
        Ok(())
    }

    fn serve_timers(&mut self, now: Time) {
        let deadline = self.machine.next_deadline();
        let is_due = deadline.is_some_and(|deadline| deadline.as_nanos() <= now);
        if is_due || self.manners.early.is_some() {
            self.machine.handle_timeout(now);
            if self.manners.twice {
                self.machine.handle_timeout(now);
            }
        }
    }

    /// True if the engine has nothing more to send.
    fn transmit(&mut self, now: Time, batches: &mut usize, out: &mut Vec<Departing>) -> bool {
        let instant = self.machine.at(now);
        if self.manners.send_after_each {
            let connection = self.machine.connection();
            let window = connection.map_or(0, |connection| connection.stats().congestion_window);
            self.widest = self.widest.max(window);
        }
        let ours = match &mut self.machine {
            Machine::Ours(ours) => &mut ours.endpoint,
            Machine::Model(model) => {
                let sent = std::iter::from_fn(|| model.poll_transmit(now));
                out.extend(sent.map(|(to, payload)| Departing {
                    to,
                    ecn: None,
                    payload,
                }));
                return true;
            }
        };
        let mut buffer = vec![0; self.manners.buffer];
        while *batches > 0 {
            let mut next = ours.poll_transmit(instant, &mut buffer);
            if next.is_none() && self.manners.twice {
                next = ours.poll_transmit(instant, &mut buffer);
            }
            let Some(transmit) = next else {
                return true;
            };
            *batches -= 1;
            let size = transmit.segment_size.max(1);
            out.extend(
                buffer[..transmit.len]
                    .chunks(size)
                    .map(|payload| Departing {
                        to: transmit.to,
                        ecn: transmit.ecn,
                        payload: payload.to_vec(),
                    }),
            );
        }
        false
    }

    /// R9: with nothing to send, the deadline lies in the future; and what is not sent waits for something.
    fn check_drained(&self, now: Time) -> Result<(), Fault> {
        let deadline = self.machine.next_deadline().map(Instant::as_nanos);
        if let Some(past) = deadline.and_then(|deadline| now.checked_sub(deadline)) {
            let detail = format!("nothing to send, and a deadline that is {past} ns past");
            return Err((Rule::Timers, detail));
        }
        let blocked = self
            .machine
            .connection()
            .map(|connection| connection.blocked_on(self.machine.at(now)));
        if blocked == Some(BlockedOn::Nothing) {
            let detail = "nothing was sent, and nothing is waited for".to_string();
            return Err((Rule::Timers, detail));
        }
        Ok(())
    }

    fn plan_wake(&mut self, now: Time, drained: bool) {
        let manners = self.manners;
        let late = self.random.below(manners.late.saturating_add(1));
        let engine = self
            .machine
            .next_deadline()
            .map(|deadline| deadline.as_nanos().max(now).saturating_add(late));
        let early = manners
            .early
            .filter(|_| engine.is_some())
            .map(|within| now.saturating_add(self.random.between(1, within)));
        let rest = (!drained).then(|| {
            now.saturating_add(1)
                .saturating_add(self.random.below(manners.transmit_wait.saturating_add(1)))
        });
        self.wake_at = [engine, early, rest, self.app.next_wake(now)]
            .into_iter()
            .flatten()
            .min();
    }
}

/// How many datagrams from the front are one receive with a segment size: equal in size, the last one may be shorter.
fn coalescible(datagrams: &[Arrived]) -> usize {
    let Some(first) = datagrams.first() else {
        return 0;
    };
    let size = first.payload.len();
    let like_first = |next: &&Arrived| next.from == first.from && next.ecn == first.ecn;
    let equal = datagrams
        .iter()
        .take(MAX_COALESCED)
        .take_while(like_first)
        .take_while(|next| next.payload.len() == size)
        .count();
    let shorter = datagrams
        .get(equal)
        .filter(like_first)
        .is_some_and(|last| equal < MAX_COALESCED && (1..size).contains(&last.payload.len()));
    equal + usize::from(shorter)
}

/// What Linux joins at most in one receive.
const MAX_COALESCED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Freeze, MS, StreamPlan};
    use crate::rounds::MAX_ROUNDS_AT_ONCE;
    use gapless_link::Profile;

    fn host(manners: Manners) -> Host {
        let mut scenario = Scenario::plain(1, &Profile::default(), vec![StreamPlan::bulk(1, 1)]);
        scenario.hosts[0].manners = manners;
        Host::new(&scenario, 0, ([192, 0, 2, 1], 4001).into())
    }

    #[test]
    fn work_without_an_end_at_one_instant_is_found() {
        let mut host = host(Manners::GOOD);
        for _ in 0..MAX_ROUNDS_AT_ONCE {
            assert!(host.count_round(5, 7).is_ok());
        }
        assert_eq!(
            host.count_round(5, 7).map_err(|(rule, _)| rule),
            Err(Rule::Timers)
        );
        assert!(host.count_round(6, 7).is_ok(), "another instant");
    }

    #[test]
    fn a_conversation_at_one_instant_ends_with_its_bytes() {
        let mut host = host(Manners::GOOD);
        for round in 0..5 * MAX_ROUNDS_AT_ONCE {
            assert!(host.count_round(5, u64::from(round)).is_ok());
        }
        let last = u64::from(5 * MAX_ROUNDS_AT_ONCE);
        let more = (0..=2 * MAX_ROUNDS_AT_ONCE).find_map(|_| host.count_round(5, last).err());
        assert_eq!(more.map(|(rule, _)| rule), Some(Rule::Timers));
    }

    #[test]
    fn a_deadline_that_is_not_in_the_future_is_found() {
        let mut host = host(Manners::GOOD);
        let remote = ([192, 0, 2, 2], 4001).into();
        host.machine.dial(0, remote).expect("it dials");
        // Nothing was sent, and it is said to have nothing to send.
        assert_eq!(
            host.check_drained(0).map_err(|(rule, _)| rule),
            Err(Rule::Timers)
        );
        let mut out = Vec::new();
        host.transmit(0, &mut usize::MAX.clone(), &mut out);
        assert!(!out.is_empty() && host.check_drained(0).is_ok());
        assert!(
            host.check_drained(100_000 * MS).is_err(),
            "its probe is overdue"
        );
    }

    #[test]
    fn who_stands_still_wakes_afterwards() {
        let freeze = Freeze {
            from: 10,
            length: 5,
        };
        let mut host = host(Manners {
            freeze: Some(freeze),
            ..Manners::GOOD
        });
        let mut wakes = |at| {
            host.wake_at = Some(at);
            host.wake_at()
        };
        assert_eq!([9, 10, 14, 15].map(&mut wakes), [9, 15, 15, 15].map(Some));
    }

    #[test]
    fn a_clock_in_steps_shows_a_time_no_earlier_than_it_is() {
        let host = host(Manners {
            tick: 4,
            ..Manners::GOOD
        });
        let shown = [0, 3, 4, 9].map(|now| host.machine.at(now).as_nanos());
        assert_eq!(shown, [0, 0, 4, 8]);
    }
}
