//! The simulation: virtual time jumps from one happening to the next, and after each wake of a host all rules are checked.

use super::engine::Engine;
use super::forge::forge;
use super::host::Host;
use super::log::describe;
use super::ours::{Ours, PORT};
use super::packet::{Seen, too_big};
use super::plan::{Forgery, TcpScenario};
use super::seeds::{Make, TcpReport};
use super::watch::Watch;
use crate::log::{Log, Sink};
use crate::plan::{Ending, STALL_PTOS, Start, Time};
use crate::report::{Rule, Seconds, Violation};
use crate::watch::Fault;
use gapless_link::{HEADER_BYTES, Link, Random};
use std::net::SocketAddr;

pub(super) fn run(
    scenario: &TcpScenario,
    other: Option<Make>,
    sink: Option<Sink<'_>>,
) -> Result<TcpReport, Violation> {
    let mut world = World::new(scenario, other, sink);
    world.run()?;
    Ok(world.report())
}

struct World<'a, 'b> {
    scenario: &'a TcpScenario,
    now: Time,
    hosts: [Host; 2],
    /// By the host that sends into it.
    links: [Link; 2],
    /// What routers say to hosts, and when it arrives.
    told: Vec<(Time, usize, Vec<u8>)>,
    watch: Watch,
    log: Log<'b>,
    random: Random,
    routes_done: usize,
    is_calm: bool,
    /// The application of one side hangs, and the other's has closed everything.
    has_hung: bool,
    /// By plan: over for both applications.
    over: Vec<bool>,
    streams_over: Option<Time>,
    stage: Stage,
    last_progress: (Time, u64),
    was_idle: bool,
    longest_wait: Time,
    longest_timeout: Time,
    longest_stall: u64,
    steps: u64,
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The connections are underway.
    Streams,
    /// One side ended all of them at this time, or vanished; the other has to learn of it.
    Ending(Time),
    /// Nobody wants anything any more; the stacks have to forget them.
    Draining(Time),
    Done,
}

impl<'a, 'b> World<'a, 'b> {
    fn new(scenario: &'a TcpScenario, other: Option<Make>, sink: Option<Sink<'b>>) -> Self {
        let mut random = Random::for_purpose(scenario.seed, 400);
        let foreign = other.map(|make| (scenario.other(), make));
        let hosts = [0, 1].map(|index| {
            let address = scenario.address(index);
            let seed = [random.bits(), random.bits()];
            let engine: Box<dyn Engine> = match foreign {
                Some((place, make)) if place == index => {
                    make(&scenario.hosts[index], address, seed[0])
                }
                _ => Box::new(Ours::new(&scenario.hosts[index], address, seed)),
            };
            let remote = SocketAddr::new(scenario.address(1 - index), PORT);
            Host::new(scenario, index, engine, remote)
        });
        let link = |index: usize| Link::new(&scenario.faults[index], index as u64);
        Self {
            scenario,
            now: 0,
            hosts,
            links: [link(0), link(1)],
            told: Vec::new(),
            watch: Watch::new(scenario),
            log: Log::new(sink),
            random,
            routes_done: 0,
            is_calm: false,
            has_hung: false,
            over: vec![false; scenario.streams.len()],
            streams_over: None,
            stage: Stage::Streams,
            last_progress: (0, 0),
            was_idle: false,
            longest_wait: 0,
            longest_timeout: 0,
            longest_stall: 0,
            steps: 0,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        while self.stage != Stage::Done {
            let Some(next) = self.next_time() else {
                let detail = format!("nothing will ever happen again{}", self.describe());
                return Err(self.violation(None, (Rule::Progress, detail)));
            };
            self.now = self.now.max(next);
            self.watch.at(self.now);
            self.turn_events();
            self.deliver();
            self.wake_hosts()?;
            self.advance()?;
            if self.steps > MOST_STEPS {
                let detail = format!("it never ends{}", self.describe());
                return Err(self.violation(None, (Rule::Work, detail)));
            }
        }
        Ok(())
    }

    fn next_time(&self) -> Option<Time> {
        let links = self.links.iter().filter_map(Link::next_delivery);
        let hosts = self.hosts.iter().filter_map(Host::wake_at);
        let told = self.told.iter().map(|(at, ..)| *at);
        let calm = (!self.is_calm).then_some(self.scenario.calm_from);
        let routes = self.scenario.routes.get(self.routes_done);
        let ending = match self.scenario.ending {
            Ending::Abort { at, .. } | Ending::Vanish { at, .. } => Some(at),
            Ending::Close { .. } => None,
        };
        let ending = ending.filter(|_| self.stage == Stage::Streams);
        let hangs = self.scenario.hangs.filter(|_| !self.has_hung);
        let turns = [calm, routes.map(|route| route.at), ending, hangs];
        let turns = turns.into_iter().flatten();
        let bound = self.bound().filter(|&at| at > self.now);
        links
            .chain(hosts)
            .chain(told)
            .chain(turns)
            .chain(bound)
            .min()
    }

    /// When it is too late for what is waited for: nothing else may happen by then.
    fn bound(&self) -> Option<Time> {
        match self.stage {
            Stage::Streams => None,
            Stage::Ending(since) => Some(since + self.scenario.notice_within + 1),
            Stage::Draining(since) => Some(since + self.drain_within() + 1),
            Stage::Done => None,
        }
    }

    fn turn_events(&mut self) {
        while let Some(route) = self
            .scenario
            .routes
            .get(self.routes_done)
            .filter(|route| route.at <= self.now && !self.is_calm)
        {
            self.routes_done += 1;
            for (link, profile) in self.links.iter_mut().zip(&route.paths) {
                link.set_profile(profile);
            }
            let [there, back] = &route.paths;
            self.log
                .line(self.now, || format!("another route: {there}; {back}"));
        }
        if !self.is_calm && self.scenario.calm_from <= self.now {
            self.is_calm = true;
            self.routes_done = self.scenario.routes.len();
            self.last_progress.0 = self.now;
            for (link, profile) in self.links.iter_mut().zip(&self.scenario.calm) {
                link.set_profile(profile);
            }
            self.log.line(self.now, || "the calm begins".into());
        }
        if self.stage != Stage::Streams {
            return;
        }
        self.hang();
        match self.scenario.ending {
            Ending::Abort { host, at } if at <= self.now => {
                self.log
                    .line(self.now, || format!("host {host} ends everything"));
                let now = self.now;
                let ending = &mut self.hosts[host];
                ending.app.abort(now, &mut *ending.engine);
                ending.wake_by(now);
                self.end(1 - host);
            }
            Ending::Vanish { host, at } if at <= self.now => {
                self.log.line(self.now, || format!("host {host} vanishes"));
                self.hosts[host].vanished = true;
                self.end(1 - host);
            }
            _ => {}
        }
    }

    fn hang(&mut self) {
        let is_due = self.scenario.hangs.is_some_and(|at| at <= self.now);
        let Ending::Vanish { host, .. } = self.scenario.ending else {
            return;
        };
        if !is_due || self.has_hung {
            return;
        }
        self.has_hung = true;
        self.log.line(self.now, || {
            format!("the application of host {host} hangs, the other one leaves")
        });
        self.hosts[host].hangs = true;
        let now = self.now;
        let other = &mut self.hosts[1 - host];
        other.app.leave(now, &mut *other.engine);
        other.wake_by(now);
    }

    fn end(&mut self, left: usize) {
        self.stage = Stage::Ending(self.now);
        let host = &mut self.hosts[left];
        host.app.retire(self.now, &mut *host.engine);
        host.wake_by(self.now);
    }

    fn deliver(&mut self) {
        for sender in 0..2 {
            let receiver = 1 - sender;
            while let Some(delivery) = self.links[sender].poll(self.now) {
                let packet = delivery.payload;
                // RFC 1071's sum finds one changed octet always and several nearly always; what it cannot find, a link's own would.
                if delivery.damaged && Seen::read(&packet).is_some() {
                    continue;
                }
                let is_there = !self.hosts[receiver].vanished;
                self.log.line(self.now, || {
                    let what = if is_there { "receives" } else { "is gone" };
                    format!("  {receiver} {what}  {}", describe(&packet))
                });
                if !is_there {
                    continue;
                }
                let (before, behind) = self.forgeries(receiver, &packet, delivery.damaged);
                self.forged_arrive(receiver, before);
                self.hosts[receiver].arrive(self.now, packet);
                self.forged_arrive(receiver, behind);
            }
        }
        let now = self.now;
        let mut told = std::mem::take(&mut self.told);
        told.retain(|(at, host, packet)| {
            let is_due = *at <= now;
            if is_due {
                self.hosts[*host].arrive(now, packet.clone());
            }
            !is_due
        });
        self.told.extend(told);
    }

    fn forged_arrive(&mut self, receiver: usize, forged: Vec<Vec<u8>>) {
        for packet in forged {
            self.log.line(self.now, || {
                format!("  {receiver} is sent by a forger  {}", describe(&packet))
            });
            self.hosts[receiver].arrive(self.now, packet);
        }
    }

    /// What arrives before a packet, and behind it.
    fn forgeries(
        &mut self,
        receiver: usize,
        packet: &[u8],
        damaged: bool,
    ) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        if damaged {
            return (before, behind);
        }
        self.watch.delivered(receiver, packet);
        let chances = Forgery::ALL.into_iter().zip(self.scenario.forged);
        for (forgery, one_in) in chances {
            let has_connection = self.watch.has_connection(receiver, packet);
            if one_in == 0 || !has_connection || self.random.below(one_in.into()) > 0 {
                continue;
            }
            let Some(seen) = Seen::read(packet) else {
                continue;
            };
            let mut known = self.watch.known(receiver, &seen);
            // What the host has not looked at yet may make it promise more before it looks at this.
            known.fills &= self.hosts[receiver].has_seen_all();
            let forged = forge(forgery, packet, &seen, &known);
            if forgery.comes_first() {
                before.extend(forged);
            } else {
                behind.extend(forged);
            }
        }
        (before, behind)
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
        for packet in &departing {
            self.send(index, packet)?;
        }
        let woken = woken.and_then(|()| self.check_beliefs(index));
        woken.map_err(|(rule, detail)| {
            let detail = format!("{detail}{}", self.describe());
            self.violation(Some(index), (rule, detail))
        })
    }

    fn check_beliefs(&self, index: usize) -> Result<(), Fault> {
        let held = self.hosts[index].engine.held();
        let held = held.into_iter().map(|(_, connection)| connection);
        held.filter(|connection| connection.state().is_synchronized())
            .try_for_each(|connection| {
                let (ports, delivered) = connection.delivered_for_tests();
                self.watch.believes(index, ports, delivered)
            })
    }

    fn send(&mut self, index: usize, packet: &[u8]) -> Result<(), Violation> {
        let line = |log: &mut Log<'_>, now| {
            log.line(now, || format!("{index} sends  {}", describe(packet)));
        };
        if self.hosts[index].engine.ours().is_some() {
            if let Err(fault) = self.watch.sent(index, packet) {
                line(&mut self.log, self.now);
                return Err(self.violation(Some(index), fault));
            }
        } else {
            self.watch.overheard(index, packet);
        }
        let link = &mut self.links[index];
        let mtu = link.profile().mtu.map(|mtu| mtu - HEADER_BYTES as u16);
        let is_too_big = mtu.is_some_and(|mtu| packet.len() > mtu.into());
        link.send(self.now, packet, ());
        line(&mut self.log, self.now);
        if let Some(said) = mtu
            .filter(|_| is_too_big)
            .and_then(|mtu| too_big(packet, mtu))
        {
            let delay = u64::try_from(link.profile().delay.as_nanos()).unwrap_or(0);
            self.told.push((self.now + delay, index, said));
        }
        Ok(())
    }

    /// Looks at what was reached.
    fn advance(&mut self) -> Result<(), Violation> {
        let mut changed = false;
        for plan in 0..self.over.len() {
            let over = self
                .hosts
                .iter()
                .all(|host| host.vanished || host.app.is_over(plan));
            changed |= over != self.over[plan];
            self.over[plan] = over;
        }
        if changed {
            let now = self.now;
            self.hosts.iter_mut().for_each(|host| host.wake_by(now));
        }
        let all_over = self.over.iter().all(|&over| over);
        match self.stage {
            Stage::Streams => {
                self.check_progress()?;
                let has_strangers = self.hosts.iter().any(|host| host.app.has_strangers());
                if all_over && !has_strangers && self.scenario.ends_well() {
                    self.streams_over = Some(self.now);
                    self.stage = Stage::Draining(self.now);
                }
            }
            Stage::Ending(since) => {
                let mut left = self.hosts.iter().filter(|host| !host.vanished);
                if all_over && left.all(|host| !host.app.has_strangers()) {
                    self.stage = Stage::Draining(self.now);
                } else if self.now - since > self.scenario.notice_within {
                    let detail = format!("one side never learned of the end{}", self.describe());
                    return Err(self.violation(None, (Rule::Delivery, detail)));
                }
            }
            Stage::Draining(since) => self.advance_draining(since)?,
            Stage::Done => {}
        }
        Ok(())
    }

    fn drain_within(&self) -> Time {
        let nanos = |time: std::time::Duration| time.as_nanos() as Time;
        let configs = self
            .scenario
            .hosts
            .iter()
            .map(|host| &host.config.connection);
        let waits = configs.map(|it| 3 * nanos(it.time_wait) + nanos(it.fin_wait_timeout));
        self.scenario.notice_within + waits.max().unwrap_or(0)
    }

    fn advance_draining(&mut self, since: Time) -> Result<(), Violation> {
        let ours = |host: &&Host| !host.vanished && host.engine.ours().is_some();
        if self
            .hosts
            .iter()
            .filter(ours)
            .any(|host| host.engine.connections() > 0)
        {
            if self.now - since > self.drain_within() {
                let detail = format!("a connection is never forgotten{}", self.describe());
                return Err(self.violation(None, (Rule::Memory, detail)));
            }
            return Ok(());
        }
        for index in 0..2 {
            let Some(stack) = self.hosts[index].engine.ours() else {
                continue;
            };
            let held = stack.memory();
            let bound = IDLE_MEMORY + (self.over.len() + 1) * IDLE_SLOT;
            if held > bound && !self.hosts[index].vanished {
                let detail = format!("{held} bytes are held without any connection");
                return Err(self.violation(Some(index), (Rule::Memory, detail)));
            }
        }
        self.stage = Stage::Done;
        Ok(())
    }

    /// The liveness check: in the calm something happens often enough, as long as there is something to do.
    fn check_progress(&mut self) -> Result<(), Violation> {
        let progress = self.hosts.iter().map(|host| host.app.progress()).sum();
        let is_idle = !self.has_something_to_do();
        let waited = if std::mem::replace(&mut self.was_idle, is_idle) {
            0
        } else {
            self.now.saturating_sub(self.last_progress.0)
        };
        let goes_on = progress != self.last_progress.1;
        if goes_on || is_idle {
            self.last_progress = (self.now, progress);
        }
        if !self.is_calm || !self.scenario.ends_well() {
            return Ok(());
        }
        self.longest_wait = self.longest_wait.max(waited);
        self.measure_stall(waited, goes_on);
        let took = self.now.saturating_sub(self.scenario.calm_from);
        if took > self.scenario.finish_within {
            let detail = format!(
                "not over {} into the calm{}",
                Seconds(took),
                self.describe()
            );
            return Err(self.violation(None, (Rule::Progress, detail)));
        }
        let stalls = self.hosts.iter().all(|host| host.engine.ours().is_some())
            && self.longest_stall > STALL_PTOS * 1_000;
        if waited <= self.scenario.patience && !stalls {
            return Ok(());
        }
        let detail = format!(
            "nothing happened for {}, the longest timeout was {}{}",
            Seconds(waited),
            Seconds(self.longest_timeout),
            self.describe()
        );
        Err(self.violation(None, (Rule::Progress, detail)))
    }

    /// Whether a connection is underway: who waits for the time of the next one waits by intention.
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

    fn measure_stall(&mut self, waited: Time, goes_on: bool) {
        let stacks = self.hosts.iter().filter_map(|host| host.engine.ours());
        let timeouts = stacks.map(|stack| stack.longest_timeout_for_tests().as_nanos() as Time);
        let timeout = timeouts.max().unwrap_or(0);
        self.longest_timeout = self.longest_timeout.max(timeout);
        let unintended = waited.saturating_sub(self.scenario.rests);
        let measure = self.longest_timeout.max(self.scenario.round_trip).max(1);
        if unintended > 0 {
            let stall = unintended.saturating_mul(1_000) / measure;
            self.longest_stall = self.longest_stall.max(stall);
        }
        if goes_on {
            self.longest_timeout = timeout;
        }
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
        for (index, host) in self.hosts.iter().enumerate() {
            let wake = host.wake_at().map(|at| Seconds(at).to_string());
            text.push_str(&format!("\n  {index}: next wake {wake:?}"));
            let now = gapless_tcp::Instant::from_nanos(self.now);
            for (handle, connection) in host.engine.held() {
                text.push_str(&format!(
                    "\n    connection {handle}: {:?}, blocked on {:?}, ended {:?}",
                    connection.state(),
                    connection.blocked_on(now),
                    connection.ended()
                ));
            }
            text.push_str(&host.app.describe(&*host.engine));
        }
        text
    }

    fn report(&self) -> TcpReport {
        let outcomes = self.hosts.each_ref().map(|host| {
            (0..self.over.len())
                .map(|plan| host.app.outcome(plan))
                .collect()
        });
        TcpReport {
            lasted: self.now,
            streams_over: self.streams_over,
            longest_wait: self.longest_wait,
            longest_stall: self.longest_stall,
            steps: self.steps,
            links: self.links.each_ref().map(|link| *link.counters()),
            memory: self.hosts.each_ref().map(|host| host.most_memory),
            outcomes,
        }
    }
}

/// More than anything takes that comes to an end: who writes octet by octet, and rests in between, takes four million.
const MOST_STEPS: u64 = 10_000_000;
/// Octets of an empty stack: tables that have grown.
const IDLE_MEMORY: usize = 16 * 1024;
/// For each connection that there was at once.
const IDLE_SLOT: usize = 1024;
