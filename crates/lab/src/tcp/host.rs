//! One host of TCP: an engine, its application, and a caller with manners of its own.

use super::app::App;
use super::engine::{Engine, Handle};
use super::plan::TcpScenario;
use crate::check::{Flight, Told};
use crate::machine::Clock;
use crate::plan::{Manners, Time};
use crate::report::Rule;
use crate::rounds::Rounds;
use crate::watch::Fault;
use gapless_link::Random;
use gapless_tcp::{BlockedOn, ConnectionStats, State};
use std::collections::HashMap;
use std::net::SocketAddr;

pub(crate) struct Host {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) app: App,
    manners: Manners,
    clock: Clock,
    random: Random,
    inbox: Vec<Vec<u8>>,
    wake_at: Option<Time>,
    /// A host that vanished hears nothing and says nothing.
    pub(crate) vanished: bool,
    /// Its application does nothing any more.
    pub(crate) hangs: bool,
    rounds: Rounds,
    flights: HashMap<Handle, Flight>,
    paces: bool,
    /// Without SACK, what is in flight is a guess that duplicates correct (RFC 5681 3.2, the inflated window).
    knows_flight: bool,
    memory_bound: usize,
    pub(crate) most_memory: usize,
}

impl Host {
    pub(crate) fn new(
        scenario: &TcpScenario,
        index: usize,
        engine: Box<dyn Engine>,
        remote: SocketAddr,
    ) -> Self {
        let plan = &scenario.hosts[index];
        Self {
            engine,
            app: App::new(scenario, index, remote),
            manners: plan.manners,
            clock: Clock {
                tick: plan.manners.tick,
            },
            random: Random::for_purpose(scenario.seed, 300 + index as u64),
            inbox: Vec::new(),
            wake_at: Some(0),
            vanished: false,
            hangs: false,
            rounds: Rounds::default(),
            flights: HashMap::new(),
            paces: plan.config.connection.pacing,
            knows_flight: scenario.hosts.iter().all(|host| {
                host.config.connection.sack && host.config.max_half_open >= scenario.streams.len()
            }),
            memory_bound: plan.memory_bound,
            most_memory: 0,
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

    /// Whether it has looked at everything that arrived.
    pub(crate) fn has_seen_all(&self) -> bool {
        self.inbox.is_empty()
    }

    pub(crate) fn arrive(&mut self, now: Time, packet: Vec<u8>) {
        self.inbox.push(packet);
        let wait = self
            .random
            .below(self.manners.receive_wait.saturating_add(1));
        self.wake_by(now.saturating_add(wait));
    }

    /// Lets the engine and the application do all they can at `now`. Packets to send are appended to `out`. `elsewhere` are the octets that
    /// the other application has moved.
    pub(crate) fn wake(
        &mut self,
        now: Time,
        over: &[bool],
        elsewhere: u64,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<(), Fault> {
        let mut packets = self.manners.batches;
        let mut drained = true;
        loop {
            self.count_round(now, elsewhere)?;
            let mut active = false;
            if self.manners.application_first {
                active |= self.act(now, over)?;
            }
            active |= !self.inbox.is_empty();
            self.receive(now, &mut packets, out);
            self.serve_timers(now);
            active |= self.act(now, over)?;
            let before = out.len();
            drained &= self.transmit(now, &mut packets, out);
            active |= out.len() > before;
            active |= self.act(now, over)?;
            if !active || !drained {
                break;
            }
        }
        if drained {
            self.check_drained(now)?;
        }
        self.plan_wake(now, drained);
        self.check_books(now)
    }

    fn act(&mut self, now: Time, over: &[bool]) -> Result<bool, Fault> {
        if self.hangs {
            return Ok(false);
        }
        self.app
            .act(now, &mut *self.engine, over)
            .map_err(|complaint| (Rule::Delivery, complaint))
    }

    /// R8: what an engine does at one instant comes to an end.
    fn count_round(&mut self, now: Time, elsewhere: u64) -> Result<(), Fault> {
        if self.rounds.may_go_on(now, || self.app.moved() + elsewhere) {
            return Ok(());
        }
        let deadline = self.engine.next_deadline(now);
        let detail = format!("no end of work at one instant; its deadline is {deadline:?}");
        Err((Rule::Timers, detail))
    }

    fn receive(&mut self, now: Time, packets: &mut usize, out: &mut Vec<Vec<u8>>) {
        for packet in std::mem::take(&mut self.inbox) {
            self.engine.handle(now, &packet);
            if self.manners.send_after_each {
                self.transmit(now, packets, out);
            }
        }
    }

    fn serve_timers(&mut self, now: Time) {
        let deadline = self.engine.next_deadline(now);
        if deadline.is_some_and(|deadline| deadline <= now) || self.manners.early.is_some() {
            self.engine.handle_timeout(now);
            if self.manners.twice {
                self.engine.handle_timeout(now);
            }
        }
    }

    /// True if the engine has nothing more to send.
    fn transmit(&mut self, now: Time, packets: &mut usize, out: &mut Vec<Vec<u8>>) -> bool {
        let most = out.len() + MAX_PACKETS_AT_ONCE;
        while *packets > 0 && out.len() < most {
            let mut next = self.engine.poll_transmit(now);
            if next.is_none() && self.manners.twice {
                next = self.engine.poll_transmit(now);
            }
            let Some(packet) = next else {
                return true;
            };
            *packets -= 1;
            out.push(packet);
        }
        *packets > 0
    }

    /// R9, R10: with nothing to send, the deadline lies in the future; and what is not sent waits for something.
    fn check_drained(&mut self, now: Time) -> Result<(), Fault> {
        let Some(stack) = self.engine.ours() else {
            return Ok(());
        };
        let told = self.clock.at(now);
        if let Some(past) = stack.next_deadline().filter(|&deadline| deadline <= told) {
            let deadlines = self.engine.held().into_iter().map(|(handle, connection)| {
                let deadline = connection.next_deadline(told);
                format!(
                    "\n    connection {handle}: {:?} {deadline:?}",
                    connection.state()
                )
            });
            let deadlines: String = deadlines.collect();
            let detail =
                format!("nothing to send at {told:?}, and a deadline at {past:?}{deadlines}");
            return Err((Rule::Timers, detail));
        }
        for (handle, connection) in self.engine.held() {
            let blocked = connection.blocked_on(told);
            // A pacer may let go a little before the time for which it asks to be asked again.
            if blocked == BlockedOn::Nothing && !self.paces {
                let detail = format!("connection {handle} sends nothing and waits for nothing");
                return Err((Rule::Timers, detail));
            }
            if let BlockedOn::Pacer(until) = blocked
                && until <= told
            {
                let detail = format!("connection {handle} waits for a time that has come");
                return Err((Rule::Timers, detail));
            }
        }
        Ok(())
    }

    fn check_books(&mut self, now: Time) -> Result<(), Fault> {
        let Some(stack) = self.engine.ours() else {
            return Ok(());
        };
        let checked = stack.check(self.clock.at(now));
        checked.map_err(|broken| (Rule::Books, broken.to_string()))?;
        let memory = stack.memory();
        self.most_memory = self.most_memory.max(memory);
        if memory > self.memory_bound {
            let detail = format!("{memory} bytes are held, {} are allowed", self.memory_bound);
            return Err((Rule::Memory, detail));
        }
        for (handle, connection) in self.engine.held() {
            if connection.state() == State::Closed {
                continue;
            }
            let ConnectionStats {
                in_flight,
                congestion_window,
                segment,
                recovery,
                ..
            } = connection.stats();
            let told = Told {
                in_flight,
                window: congestion_window,
                mtu: u64::from(segment) + OPTIONS,
                timeouts: recovery.ptos,
            };
            let flight = self.flights.entry(handle).or_default();
            // Where it sends between the packets that it receives, each may have made the window smaller.
            if !self.manners.send_after_each && self.knows_flight {
                flight.judge(told, 0)?;
            }
        }
        Ok(())
    }

    fn plan_wake(&mut self, now: Time, drained: bool) {
        let manners = self.manners;
        let late = self.random.below(manners.late.saturating_add(1));
        let deadline = self.engine.next_deadline(now);
        let engine = deadline.map(|deadline| deadline.max(now).saturating_add(late));
        let early = manners
            .early
            .filter(|_| engine.is_some())
            .map(|within| now.saturating_add(self.random.between(1, within)));
        let rest = (!drained).then(|| {
            now.saturating_add(1)
                .saturating_add(self.random.below(manners.transmit_wait.saturating_add(1)))
        });
        let app = self.app.next_wake(now).filter(|_| !self.hangs);
        self.wake_at = [engine, early, rest, app].into_iter().flatten().min();
    }
}

/// Far more than all windows of the lab hold.
const MAX_PACKETS_AT_ONCE: usize = 100_000;
/// What a segment costs besides.
const OPTIONS: u64 = 20 + 12;
