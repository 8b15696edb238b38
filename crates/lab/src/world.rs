//! The simulation: virtual time jumps from one happening to the next, and after each wake of a host all rules are checked.

mod ending;
mod progress;
mod restart;

use crate::bounds::narrows;
use crate::check::Check;
use crate::forge::ack_of_unsent;
use crate::host::{Arrived, Departing, Host};
use crate::log::{Sink, describe};
use crate::observe::{Observers, Progress, Watching};
use crate::peers::{Burns, Kind};
use crate::plan::{Ending, MS, Scenario, Time};
use crate::report::{Report, Rule, Seconds, Violation};
use crate::trace::{Fate, Trace, What};
use crate::watch::{Fault, Watch};
use gapless_link::{Aqm, Link};
use gapless_udx::{CloseReason, Ecn};
use std::iter;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Runs a scenario to its end.
///
/// # Errors
/// The first rule that was broken.
pub fn run(scenario: &Scenario) -> Result<Report, Violation> {
    run_logged(scenario, None)
}

/// As [`run`], and every packet becomes a line for `sink`.
///
/// # Errors
/// The first rule that was broken.
pub fn run_logged(scenario: &Scenario, sink: Option<Sink<'_>>) -> Result<Report, Violation> {
    let observers = Observers {
        log: sink,
        ..Observers::default()
    };
    run_observed(scenario, observers)
}

/// As [`run`], and what happens is recorded in `trace`; whatever was in it is gone.
///
/// # Errors
/// The first rule that was broken. The trace then ends there.
pub fn run_traced(scenario: &Scenario, trace: &mut Trace) -> Result<Report, Violation> {
    let observers = Observers {
        trace: Some(trace),
        ..Observers::default()
    };
    run_observed(scenario, observers)
}

/// As [`run`], and these look on.
///
/// # Errors
/// The first rule that was broken.
pub fn run_observed(
    scenario: &Scenario,
    mut observers: Observers<'_>,
) -> Result<Report, Violation> {
    if let Some(trace) = &mut observers.trace {
        trace.begin(scenario);
    }
    let mut world = World::new(scenario, observers.into());
    let result = world.run();
    let result = result.map(|()| world.report());
    let now = world.now;
    if let Some(trace) = &mut world.watching.trace {
        let links = world.links.each_ref().map(Link::counters);
        trace.end(now, &result, links);
    }
    result
}

struct World<'a, 'b> {
    scenario: &'a Scenario,
    now: Time,
    hosts: [Host; 2],
    checks: [Check; 2],
    /// By the host that sends into it.
    links: [Link<Ways>; 2],
    watch: Watch,
    watching: Watching<'b>,
    moves_done: usize,
    routes_done: usize,
    is_calm: bool,
    /// Who closed the connection, and whether that was before the calm.
    closed_by: Option<usize>,
    ended_in_faults: bool,
    /// By plan: over for both applications.
    over: Vec<bool>,
    over_since: Vec<Option<Time>>,
    streams_over: Option<Time>,
    learned_within: Option<Time>,
    stage: Stage,
    given_up: bool,
    last_progress: (Time, u64),
    /// Nothing was to be done at the latest step.
    was_idle: bool,
    longest_wait: Time,
    /// The longest probe timeout of both engines since the latest progress.
    longest_pto: Time,
    longest_stall: u64,
    /// Timeouts that a wait may take besides, because of what the path does.
    spare_timeouts: u64,
    /// The longest pause between questions of a side that had to ask since the latest progress.
    asks_every: Time,
    /// When something was last to be done, and the most bytes held when that was long ago.
    busy_at: Time,
    at_rest: [usize; 2],
    steps: u64,
    /// Datagrams so far.
    sent: u64,
}

/// What travels along with a datagram.
#[derive(Clone, Copy)]
struct Ways {
    from: SocketAddr,
    to: SocketAddr,
    ecn: Option<Ecn>,
    /// The trace's name for it.
    id: u64,
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The streams are underway.
    Streams,
    /// One side ended the connection at this time; the other has to learn of it.
    Ending(Time),
    /// Both know since then; the engines have to forget the connection.
    Draining(Time),
    Done,
}

impl<'a, 'b> World<'a, 'b> {
    fn new(scenario: &'a Scenario, watching: Watching<'b>) -> Self {
        let host = |index| {
            let mut host = Host::new(scenario, index, address(index));
            host.app.tells_events(watching.trace.is_some());
            host
        };
        let link = |index: usize| Link::new(&scenario.faults[index], index as u64);
        Self {
            scenario,
            now: 0,
            checks: [Check::new(scenario, 0), Check::new(scenario, 1)],
            hosts: [host(0), host(1)],
            links: [link(0), link(1)],
            watch: Watch::new(scenario),
            watching,
            moves_done: 0,
            routes_done: 0,
            is_calm: false,
            closed_by: None,
            ended_in_faults: false,
            over: vec![false; scenario.streams.len()],
            over_since: vec![None; scenario.streams.len()],
            streams_over: None,
            learned_within: None,
            stage: Stage::Streams,
            given_up: false,
            last_progress: (0, 0),
            was_idle: false,
            longest_wait: 0,
            longest_pto: 0,
            longest_stall: 0,
            spare_timeouts: narrows(&scenario.faults, &scenario.routes, &scenario.calm).into(),
            asks_every: 0,
            busy_at: 0,
            at_rest: [0; 2],
            steps: 0,
            sent: 0,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        let remote = self.hosts[1].address;
        let dialer = &mut self.hosts[0];
        let dialed = dialer.machine.dial(0, remote);
        dialed.map_err(|complaint| self.violation(Some(0), (Rule::Delivery, complaint)))?;
        while self.stage != Stage::Done && !self.is_cut_off() {
            let Some(next) = self.next_time() else {
                let fault = (
                    Rule::Progress,
                    format!("nothing will ever happen again{}", self.describe()),
                );
                return Err(self.violation(None, fault));
            };
            self.now = self.now.max(next);
            self.watch.tell(self.now);
            self.turn_events();
            self.deliver();
            self.wake_hosts()?;
            self.advance()?;
            self.tell_progress();
        }
        Ok(())
    }

    fn tell_progress(&mut self) {
        if let Some(progress) = &mut self.watching.progress
            && self.steps.is_multiple_of(STEPS_BETWEEN_TELLING)
        {
            let read = self.hosts.iter().map(|host| host.app.read());
            let (now, read) = (self.now, read.sum());
            progress(Progress { now, read });
        }
    }

    /// For the trace and the log.
    fn note(&mut self, host: Option<usize>, what: What, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.watching.trace {
            trace.happens(self.now, host, what);
        }
        self.watching.log.line(self.now, line);
    }

    fn is_cut_off(&self) -> bool {
        let most = self.scenario.steps_at_most;
        most.is_some_and(|most| self.steps >= most)
    }

    fn next_time(&self) -> Option<Time> {
        let links = self.links.iter().filter_map(Link::next_delivery);
        let hosts = self.hosts.iter().filter_map(Host::wake_at);
        links.chain(hosts).chain(self.next_turn()).min()
    }

    /// The next thing that the scenario wants.
    fn next_turn(&self) -> Option<Time> {
        let calm = (!self.is_calm).then_some(self.scenario.calm_from);
        let moves = self.scenario.moves.get(self.moves_done).copied();
        let ending = match self.scenario.ending {
            Ending::Abort { at, .. } | Ending::Vanish { at, .. } => Some(at),
            Ending::Close { .. } => None,
        };
        let route = self.scenario.routes.get(self.routes_done);
        let route = route.map(|route| route.at);
        let restart = self.scenario.restart.map(|restart| restart.at);
        let ending = ending.or(restart).filter(|&at| at > self.now);
        [calm, moves, route, ending].into_iter().flatten().min()
    }

    fn turn_events(&mut self) {
        let routes = &self.scenario.routes[self.routes_done..];
        if let Some(route) = routes
            .iter()
            .take_while(|route| route.at <= self.now)
            .last()
        {
            // Those of one instant are one change. The calm comes after all of them.
            self.routes_done += routes.iter().take_while(|it| it.at <= self.now).count();
            for (link, profile) in self.links.iter_mut().zip(&route.paths) {
                link.set_profile(profile);
            }
            let [there, back] = &route.paths;
            let line = || format!("another route: {there}; {back}");
            self.note(None, What::Route, line);
        }
        if !self.is_calm && self.scenario.calm_from <= self.now {
            self.is_calm = true;
            self.last_progress.0 = self.now;
            for (link, profile) in self.links.iter_mut().zip(&self.scenario.calm) {
                link.set_profile(profile);
            }
            self.note(None, What::Calm, || "the calm begins".into());
        }
        while self
            .scenario
            .moves
            .get(self.moves_done)
            .is_some_and(|&at| at <= self.now)
        {
            self.moves_done += 1;
            self.hosts[0].address =
                moved(self.hosts[0].address, self.scenario.seed, self.moves_done);
            let address = self.hosts[0].address;
            self.note(Some(0), What::Moved(address), || {
                format!("the dialer is now at {address}")
            });
        }
        self.restart_if_due();
        if self.stage == Stage::Streams {
            match self.scenario.ending {
                // Who has no connection yet closes it once it comes.
                Ending::Abort { host, at }
                    if at <= self.now && self.hosts[host].machine.has_connection() =>
                {
                    self.close(host, 77);
                }
                Ending::Vanish { host, at } if at <= self.now => {
                    self.hosts[host].vanished = true;
                    self.stage = Stage::Ending(self.now);
                    self.note(Some(host), What::Vanishes, || {
                        format!("{} vanishes", NAMES[host])
                    });
                }
                _ => {}
            }
        }
    }

    fn close(&mut self, host: usize, code: u32) {
        self.stage = Stage::Ending(self.now);
        self.closed_by = Some(host);
        self.ended_in_faults = !self.is_calm;
        self.note(Some(host), What::Closes, || {
            format!("{} closes the connection", NAMES[host])
        });
        for (index, side) in self.hosts.iter_mut().enumerate() {
            if index == host || self.scenario.closes_both {
                side.machine.close(self.now, code);
                side.wake_by(self.now);
            }
        }
    }

    fn deliver(&mut self) {
        for sender in 0..2 {
            while let Some(delivery) = self.links[sender].poll(self.now) {
                let Ways { from, to, ecn, id } = delivery.tag;
                let receiver = 1 - sender;
                let host = &mut self.hosts[receiver];
                let is_there = host.address == to && !host.vanished;
                if let Some(trace) = &mut self.watching.trace {
                    trace.arrives(self.now, id, sender, is_there, &delivery.payload);
                }
                if self.watching.log.is_on() {
                    let what = if is_there {
                        "receives"
                    } else {
                        "is not there to receive"
                    };
                    let damage = if delivery.damaged { "  [damaged]" } else { "" };
                    let text = describe(&delivery.payload);
                    self.watching.log.line(self.now, || {
                        format!("  {} {what:>8}  {text}{damage}", NAMES[receiver])
                    });
                }
                let copied = self.scenario.copyist.then(|| delivery.payload.clone());
                if is_there {
                    if !delivery.damaged {
                        self.watch.delivered(receiver, from, &delivery.payload);
                    }
                    let next = self.watch.next_number(receiver);
                    let forged = self
                        .scenario
                        .optimist
                        .then(|| ack_of_unsent(&delivery.payload, next));
                    let forged = forged.flatten();
                    if let Some(forged) = &forged {
                        self.watch.forged(receiver, from, forged.len());
                    }
                    for payload in iter::once(delivery.payload).chain(forged) {
                        host.arrive(self.now, Arrived { from, ecn, payload });
                    }
                }
                if let Some(payload) = copied {
                    self.copy(sender, to, &payload);
                }
            }
        }
    }

    fn wake_hosts(&mut self) -> Result<(), Violation> {
        // Which of two that wake at one instant goes first must not matter: it changes from step to step.
        let first = (self.steps % 2) as usize;
        for index in [first, 1 - first] {
            if self.hosts[index].wake_at().is_some_and(|at| at <= self.now) {
                self.wake(index)?;
            }
        }
        Ok(())
    }

    fn wake(&mut self, index: usize) -> Result<(), Violation> {
        self.steps += 1;
        let mut departing = Vec::new();
        let elsewhere = self.hosts[1 - index].app.moved();
        let woken = self.hosts[index].wake(self.now, &self.over, elsewhere, &mut departing);
        for datagram in &departing {
            self.send(index, datagram)?;
        }
        if let Some(trace) = &mut self.watching.trace {
            let host = &mut self.hosts[index];
            let told = host.app.told();
            trace.woken(self.now, index, &host.machine, told);
        }
        let poisoned = self.scenario.is_poisoned();
        match woken {
            // Bytes that arrive damaged without a checksum are wrong bytes.
            Err((Rule::Delivery, _)) if poisoned => self.stage = Stage::Done,
            Err(fault) => return Err(self.violation(Some(index), fault)),
            Ok(()) => {}
        }
        let checked = self.checks[index].after_wake(self.now, &self.hosts[index], &departing);
        checked.map_err(|fault| self.violation(Some(index), fault))?;
        self.check_answers(index)
    }

    /// Who asked for a stream's limit is told as soon as the caller's manners let the engine speak.
    fn check_answers(&self, index: usize) -> Result<(), Violation> {
        // Models name streams in ways of their own, and do what they do when they are told.
        let has_model = self.hosts.iter().any(|host| host.machine.kind().is_some());
        if self.stage != Stage::Streams || self.scenario.is_poisoned() || has_model {
            return Ok(());
        }
        let manners = &self.scenario.hosts[index].manners;
        let sends = manners.transmit_wait * (self.over.len() as u64 + 8);
        let stands_still = manners.freeze.map_or(0, |freeze| freeze.length);
        let patience = ANSWER_WITHIN + manners.late + manners.receive_wait + sends + stands_still;
        let told = self.watch.check_told(index, patience);
        told.map_err(|fault| self.violation(Some(index), fault))
    }

    /// In the calm, an engine forgets streams that are over for both applications.
    fn check_forgotten(&self) -> Result<(), Violation> {
        let calm = self.scenario.calm_from;
        let long_over = |since: &&Option<Time>| {
            since.is_some_and(|at| self.now.saturating_sub(at.max(calm)) > self.scenario.patience)
        };
        let over = self.over_since.iter().filter(long_over).count();
        if over == 0 || self.scenario.is_poisoned() {
            return Ok(());
        }
        for (index, host) in self.hosts.iter().enumerate() {
            let Some(connection) = host.machine.connection() else {
                continue;
            };
            // One stream is there from the dial on, used or not.
            let held = connection.stats().streams;
            if held > self.over.len() - over + 1 {
                let detail = format!(
                    "{held} streams are held, and {over} of {} were over long ago",
                    self.over.len()
                );
                return Err(self.violation(Some(index), (Rule::Memory, detail)));
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, datagram: &Departing) -> Result<(), Violation> {
        let Departing {
            to,
            ecn,
            ref payload,
        } = *datagram;
        if self.hosts[index].machine.kind().is_some() {
            self.watch.overheard(index, payload);
        } else if !self.scenario.is_poisoned() {
            let seen = self.watch.sent(index, to, payload);
            seen.map_err(|fault| {
                let text = describe(payload);
                self.watching
                    .log
                    .line(self.now, || format!("{} sends  {text}", NAMES[index]));
                self.violation(Some(index), fault)
            })?;
        }
        let from = self.hosts[index].address;
        let link = &mut self.links[index];
        let before = *link.counters();
        let id = self.sent;
        self.sent += 1;
        link.send(self.now, payload, Ways { from, to, ecn, id });
        let fate = match link.profile().aqm {
            Aqm::DropTail => Fate::told_by(&before, link.counters(), link.profile().checksum),
            // It may have been another one that was just decided on.
            Aqm::Codel => Fate::default(),
        };
        if let Some(trace) = &mut self.watching.trace {
            trace.sends(self.now, id, index, fate, payload);
        }
        self.watching.log.line(self.now, || {
            let fate = fate.note();
            format!("{} sends  {}{fate}", NAMES[index], describe(payload))
        });
        Ok(())
    }

    /// Looks at what was reached.
    fn advance(&mut self) -> Result<(), Violation> {
        self.note_what_is_over();
        match self.stage {
            Stage::Streams => self.advance_streams(),
            Stage::Ending(since) => self.advance_ending(since),
            Stage::Draining(since) => self.advance_draining(since),
            Stage::Done => Ok(()),
        }
    }

    fn note_what_is_over(&mut self) {
        let mut changed = false;
        for plan in 0..self.over.len() {
            let over = self.hosts.iter().all(|host| host.app.is_over(plan));
            changed |= over != self.over[plan];
            self.over[plan] = over;
        }
        if changed {
            let since = self.over_since.iter_mut().zip(&self.over);
            for (since, _) in since.filter(|(since, over)| **over && since.is_none()) {
                *since = Some(self.now);
            }
            self.hosts
                .iter_mut()
                .for_each(|host| host.wake_by(self.now));
        }
    }

    fn advance_streams(&mut self) -> Result<(), Violation> {
        let died = (0..2).find_map(|index| Some((index, self.hosts[index].app.closed()?.clone())));
        if let Some((index, reason)) = died {
            if self.scenario.is_poisoned() {
                self.stage = Stage::Done;
                return Ok(());
            }
            if self.is_out_of_allowance() {
                // The model may have noticed before; our side has to say that it is over.
                self.given_up =
                    matches!(self.hosts[1].app.closed(), Some(CloseReason::IdleTimeout));
                if self.given_up {
                    self.stage = Stage::Done;
                }
                return Ok(());
            }
            if self.is_for_burnt_numbers() {
                self.given_up = true;
                self.stage = Stage::Done;
                return Ok(());
            }
            let detail = format!("the connection ended: {reason:?}{}", self.describe());
            return Err(self.violation(Some(index), (Rule::Delivery, detail)));
        }
        self.check_progress()?;
        self.check_forgotten()?;
        if self.over.iter().all(|&over| over) && self.streams_over.is_none() {
            self.streams_over = Some(self.now);
        }
        match self.scenario.ending {
            Ending::Close { host } if self.streams_over.is_some() => {
                // A dialer that gave up all it began may be alone with its connection.
                let has_connection = self.hosts[host].machine.has_connection();
                self.close(if has_connection { host } else { 0 }, 0);
            }
            _ => {}
        }
        Ok(())
    }

    /// V18: a model that dialed has nothing more to say, and its address is not proven: our side may send it nothing, not even a
    /// challenge, until it is idle for too long. That is an end, and is counted.
    fn is_out_of_allowance(&self) -> bool {
        self.hosts[0].machine.kind().is_some() && self.watch.may_say_nothing(1)
    }

    /// UDX2 H6, H17: our side gave up, because of a number that the model had burnt where nothing told of it.
    fn is_for_burnt_numbers(&self) -> bool {
        let burns = |host: usize, kind: Kind| match kind.abilities().burns {
            Burns::None => false,
            Burns::Evidently => self.has_lost_packets_of(host),
            Burns::Ambiguously => true,
        };
        let kinds = self.hosts.iter().map(|host| host.machine.kind());
        let burns = kinds
            .enumerate()
            .any(|(host, kind)| kind.is_some_and(|kind| burns(host, kind)));
        let mut ours = self
            .hosts
            .iter()
            .filter(|host| host.machine.kind().is_none());
        burns && ours.any(|host| host.app.closed() == Some(&CloseReason::MissingPacket))
    }

    /// Whether the path has swallowed anything that this host sent, or brought it to where nobody is any more.
    fn has_lost_packets_of(&self, host: usize) -> bool {
        let of = self.links[host].counters();
        let dropped = of.lost + of.blacked_out + of.too_large + of.queue_dropped + of.aqm_dropped;
        dropped + of.corrupted + of.truncated > 0 || !self.scenario.moves.is_empty()
    }

    fn violation(&self, host: Option<usize>, (rule, detail): Fault) -> Violation {
        Violation {
            rule,
            at: self.now,
            host,
            detail,
        }
    }

    /// What both sides are at, for messages.
    fn describe(&self) -> String {
        let mut text = String::new();
        for (host, name) in self.hosts.iter().zip(NAMES) {
            text.push_str(&format!(
                "\n  {name}: next wake {:?}",
                host.wake_at().map(|at| Seconds(at).to_string())
            ));
            if let Some(connection) = host.machine.connection() {
                let blocked = connection.blocked_on(host.machine.at(self.now));
                text.push_str(&format!(", blocked on {blocked:?}"));
            }
            text.push_str(&host.app.describe());
        }
        text
    }

    fn report(&self) -> Report {
        let outcomes = self.hosts.each_ref().map(|host| {
            (0..self.over.len())
                .map(|plan| host.app.outcome(plan))
                .collect()
        });
        Report {
            lasted: self.now,
            streams_over: self.streams_over,
            learned_within: self.learned_within,
            given_up: self.given_up,
            cut_off: self.stage != Stage::Done,
            longest_wait: self.longest_wait,
            longest_stall: self.longest_stall,
            at_rest: self.at_rest,
            steps: self.steps,
            links: self.links.each_ref().map(|link| *link.counters()),
            memory: self.checks.each_ref().map(Check::most_memory),
            engines: self
                .checks
                .each_ref()
                .map(|check| check.last_stats().clone()),
            outcomes,
        }
    }
}

/// Addresses set aside for documentation (RFC 5737).
fn address(host: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1 + host as u8), 4001).into()
}

/// Where a host is after it moved so often: another port, or also another host, which is another path (RFC 9000 9.4).
fn moved(from: SocketAddr, seed: u64, moves: usize) -> SocketAddr {
    let host = match from.ip() {
        IpAddr::V4(ip) if (seed / 2 + moves as u64).is_multiple_of(2) => {
            let [.., last] = ip.octets();
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, last.wrapping_add(10)))
        }
        same => same,
    };
    SocketAddr::new(host, 4001 + moves as u16)
}

const NAMES: [&str; 2] = ["dialer  ", "acceptor"];
/// Often enough for a display that moves.
const STEPS_BETWEEN_TELLING: u64 = 512;
/// A wake at which the application reads may come first, in nanoseconds.
const ANSWER_WITHIN: Time = 50 * MS;
