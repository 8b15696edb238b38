//! Many connections of one endpoint: all are opened, all transfer, all are closed, and then the same again.

use crate::pattern::Pattern;
use crate::plan::{MS, SECOND, Time};
use crate::report::{Rule, Violation};
use bytes::Bytes;
use gapless_link::{Link, Profile};
use gapless_udx::{
    CloseReason, ConnectionConfig, ConnectionHandle, Endpoint, EndpointConfig, Event, Instant,
    ReadError, Received, StreamId, Version, VersionChoice, WriteError,
};
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};

/// So many connections between two endpoints, so often.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Alive at one time.
    pub connections: usize,
    /// How often all of them are opened and closed.
    pub rounds: usize,
    /// Bytes each way on the stream of each.
    pub bytes: u64,
    /// The path that they share.
    pub path: Profile,
    /// The wire version.
    pub version: Version,
}

/// What became of them.
#[derive(Clone, Debug)]
pub struct CrowdReport {
    /// Virtual time.
    pub lasted: Time,
    /// Connections opened and closed again.
    pub connections: usize,
    /// Bytes read by both sides, each of them the right one.
    pub bytes: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Most bytes that each endpoint held.
    pub most_memory: [usize; 2],
    /// Bytes that each held at the end of each round.
    pub after_rounds: Vec<[usize; 2]>,
}

impl Crowd {
    /// A thousand connections, three times.
    pub fn thousand() -> Self {
        Self {
            connections: 1_000,
            rounds: 3,
            bytes: 40_000,
            path: PATH.parse().unwrap_or_default(),
            version: Version::V3,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(&self) -> Result<CrowdReport, Violation> {
        let mut table = Table::new(self);
        for round in 0..self.rounds {
            table.round(round)?;
        }
        Ok(table.report)
    }
}

struct Table<'a> {
    plan: &'a Crowd,
    now: Time,
    sides: [Side; 2],
    links: [Link; 2],
    steps: u64,
    report: CrowdReport,
}

/// One endpoint and its application.
struct Side {
    endpoint: Endpoint,
    talks: HashMap<ConnectionHandle, Talk>,
    /// Connections of which something is to be asked.
    due: BTreeSet<ConnectionHandle>,
    closed: usize,
}

/// One connection of one side.
#[derive(Default)]
struct Talk {
    stream: Option<StreamId>,
    /// Its place in the round; the acceptor reads it from the stream.
    index: Option<usize>,
    head: Vec<u8>,
    read: u64,
    /// What is yet to be written; `None` before there is anything.
    out: Option<Bytes>,
    is_finished: bool,
    is_done: bool,
}

impl<'a> Table<'a> {
    fn new(plan: &'a Crowd) -> Self {
        let side = |seed: u8| {
            let connection = ConnectionConfig {
                version: VersionChoice::Only(plan.version),
                ..ConnectionConfig::default()
            };
            let config = EndpointConfig {
                connection,
                accept_versions: vec![Version::V3, Version::V2],
                ..EndpointConfig::default()
            };
            Side {
                endpoint: Endpoint::new(config, [seed; 32]),
                talks: HashMap::new(),
                due: BTreeSet::new(),
                closed: 0,
            }
        };
        Self {
            plan,
            now: 0,
            sides: [side(1), side(2)],
            links: [0, 1].map(|direction| Link::new(&plan.path, direction)),
            steps: 0,
            report: CrowdReport {
                lasted: 0,
                connections: 0,
                bytes: 0,
                datagrams: 0,
                most_memory: [0; 2],
                after_rounds: Vec::new(),
            },
        }
    }

    fn round(&mut self, round: usize) -> Result<(), Violation> {
        let count = self.plan.connections;
        let begin = self.now;
        let mut dialed = 0;
        // Open and transfer.
        while self.sides.iter().any(|side| side.done() < count) {
            let next_dial = (dialed < count).then(|| begin + dialed as u64 * DIAL_EVERY);
            self.step(next_dial)?;
            if next_dial.is_some_and(|at| at <= self.now) {
                self.dial(round, dialed)?;
                dialed += 1;
            }
            if self.now - begin > ROUND_WITHIN {
                return Err(self.broken(Rule::Progress, format!("{:?} are done", self.done())));
            }
        }
        let alive = self
            .sides
            .each_ref()
            .map(|side| side.endpoint.connections().count());
        if alive != [count; 2] {
            return Err(self.broken(Rule::Delivery, format!("{alive:?} connections are alive")));
        }
        self.check_all()?;
        // Close.
        let now = Instant::from_nanos(self.now);
        let dialer = &mut self.sides[0];
        for handle in dialer.talks.keys() {
            if let Some(connection) = dialer.endpoint.connection_mut(*handle) {
                connection.close(now, 0, b"");
            }
        }
        let closing = self.now;
        while self.sides.iter().any(|side| !side.is_at_rest()) {
            if self.now - closing > REST_WITHIN || !self.step(None)? {
                let held = self.sides.each_ref().map(|side| side.endpoint.memory());
                let closed = self.sides.each_ref().map(|side| side.closed);
                let detail = format!("{held:?} bytes are held, {closed:?} connections are closed");
                return Err(self.broken(Rule::Memory, detail));
            }
        }
        let held = self.sides.each_ref().map(|side| side.endpoint.memory());
        self.report.after_rounds.push(held);
        self.report.connections += count;
        self.report.lasted = self.now;
        for side in &mut self.sides {
            if side.closed != count {
                let detail = format!("{} of {count} were closed", side.closed);
                return Err(Violation {
                    rule: Rule::Delivery,
                    at: self.now,
                    host: None,
                    detail,
                });
            }
            side.closed = 0;
        }
        Ok(())
    }

    fn done(&self) -> [usize; 2] {
        self.sides.each_ref().map(Side::done)
    }

    fn dial(&mut self, round: usize, index: usize) -> Result<(), Violation> {
        let now = Instant::from_nanos(self.now);
        let side = &mut self.sides[0];
        let dialed = side.endpoint.connect(now, address(1));
        let handle = dialed.map_err(|error| Violation {
            rule: Rule::Delivery,
            at: self.now,
            host: Some(0),
            detail: format!("dial {index} of round {round}: {error}"),
        })?;
        let mut first = (index as u32).to_be_bytes().to_vec();
        first.extend_from_slice(&content(index, false).bytes(0, self.plan.bytes as usize));
        let stream = side
            .endpoint
            .connection_mut(handle)
            .and_then(|connection| connection.open().ok());
        side.talks.insert(
            handle,
            Talk {
                stream,
                index: Some(index),
                out: Some(first.into()),
                ..Talk::default()
            },
        );
        side.due.insert(handle);
        self.work(0)
    }

    /// Goes on to the next time at which something happens, `also` at the latest. False if nothing will.
    fn step(&mut self, also: Option<Time>) -> Result<bool, Violation> {
        let deadlines = self
            .sides
            .iter()
            .filter_map(|side| side.endpoint.next_deadline());
        let deadlines = deadlines.map(Instant::as_nanos);
        let arrivals = self.links.iter().filter_map(Link::next_delivery);
        let Some(next) = deadlines.chain(arrivals).chain(also).min() else {
            return Ok(false);
        };
        self.now = self.now.max(next);
        self.steps += 1;
        let now = Instant::from_nanos(self.now);
        for sender in 0..2 {
            let receiver = &mut self.sides[1 - sender].endpoint;
            while let Some(delivery) = self.links[sender].poll(self.now) {
                receiver.handle(
                    now,
                    Received {
                        from: address(sender),
                        ecn: None,
                        segment_size: delivery.payload.len().max(1),
                        data: &delivery.payload,
                    },
                );
            }
        }
        for index in 0..2 {
            let endpoint = &mut self.sides[index].endpoint;
            if endpoint.next_deadline().is_some_and(|at| at <= now) {
                endpoint.handle_timeout(now);
            }
            self.work(index)?;
        }
        if self.steps.is_multiple_of(CHECK_EVERY) {
            self.check_all()?;
        }
        Ok(true)
    }

    /// Lets the application of a side do what it can, and sends what comes of it.
    fn work(&mut self, index: usize) -> Result<(), Violation> {
        let (now, plan) = (self.now, self.plan);
        let side = &mut self.sides[index];
        let mut buffer = vec![0; 64 * 1024];
        loop {
            side.hear();
            let mut active = false;
            while let Some(handle) = side.due.pop_first() {
                active = true;
                let served = side.serve(handle, plan);
                let bytes = served.map_err(|(rule, detail)| Violation {
                    rule,
                    at: now,
                    host: Some(index),
                    detail,
                })?;
                self.report.bytes += bytes;
            }
            while let Some(sent) = side
                .endpoint
                .poll_transmit(Instant::from_nanos(now), &mut buffer)
            {
                active = true;
                for datagram in buffer[..sent.len].chunks(sent.segment_size.max(1)) {
                    self.report.datagrams += 1;
                    self.links[index].send(now, datagram, ());
                }
            }
            if !active {
                return Ok(());
            }
        }
    }

    fn check_all(&mut self) -> Result<(), Violation> {
        for index in 0..2 {
            let endpoint = &self.sides[index].endpoint;
            if let Err(broken) = endpoint.check() {
                return Err(self.broken(Rule::Books, broken.to_string()));
            }
            let held = endpoint.memory();
            self.report.most_memory[index] = self.report.most_memory[index].max(held);
        }
        Ok(())
    }

    fn broken(&self, rule: Rule, detail: String) -> Violation {
        Violation {
            rule,
            at: self.now,
            host: None,
            detail,
        }
    }
}

impl Side {
    fn done(&self) -> usize {
        self.talks.values().filter(|talk| talk.is_done).count()
    }

    /// No connection, nobody who has to be told of the end of one, and not a byte held.
    fn is_at_rest(&self) -> bool {
        self.endpoint.is_idle()
            && self.endpoint.connections().next().is_none()
            && self.endpoint.memory() == 0
    }

    /// Whom something happened to.
    fn hear(&mut self) {
        while let Some(handle) = self.endpoint.accept() {
            self.talks.insert(handle, Talk::default());
            self.due.insert(handle);
        }
        while let Some((handle, event)) = self.endpoint.poll_event() {
            if event != Event::Incoming {
                self.due.insert(handle);
            }
        }
    }

    /// Reads and writes what goes on one connection. Gives the bytes read.
    fn serve(&mut self, handle: ConnectionHandle, plan: &Crowd) -> Result<u64, (Rule, String)> {
        let (Some(talk), Some(connection)) = (
            self.talks.get_mut(&handle),
            self.endpoint.connection_mut(handle),
        ) else {
            return Ok(0);
        };
        if let Some(reason) = connection.close_reason() {
            let well = matches!(
                reason,
                CloseReason::Local { code: 0 } | CloseReason::Peer { code: 0, .. }
            );
            if !well || !talk.is_done {
                return Err((Rule::Delivery, format!("a connection ended: {reason:?}")));
            }
            self.closed += 1;
            self.talks.remove(&handle);
            self.endpoint.release(handle);
            return Ok(0);
        }
        let dials = talk.head.is_empty() && talk.index.is_some();
        talk.stream = talk.stream.or_else(|| connection.accept());
        let Some(stream) = talk.stream else {
            return Ok(0);
        };
        let before = talk.read;
        loop {
            match connection.read(stream, 64 * 1024) {
                Ok(Some(bytes)) => talk.take(dials, &bytes)?,
                Ok(None) => {
                    talk.end(dials, plan)?;
                    break;
                }
                Err(ReadError::Blocked | ReadError::Unknown) => break,
                Err(error) => return Err((Rule::Delivery, format!("a read failed: {error}"))),
            }
        }
        while let Some(out) = talk.out.as_mut().filter(|out| !out.is_empty()) {
            match connection.write(stream, out) {
                Ok(_) => {}
                Err(WriteError::Blocked) => break,
                Err(error) => return Err((Rule::Delivery, format!("a write failed: {error}"))),
            }
        }
        if talk.out.as_ref().is_some_and(Bytes::is_empty) && !talk.is_finished {
            talk.is_finished = true;
            let finished = connection.finish(stream);
            finished.map_err(|error| (Rule::Delivery, format!("finishing failed: {error}")))?;
        }
        // The acceptor has said all; that it was heard it learns by the close.
        talk.is_done |= !dials && talk.is_finished;
        Ok(talk.read - before)
    }
}

impl Talk {
    fn take(&mut self, dials: bool, bytes: &[u8]) -> Result<(), (Rule, String)> {
        let mut bytes = bytes;
        if !dials && self.head.len() < 4 {
            let (head, rest) = bytes.split_at(bytes.len().min(4 - self.head.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            let name = <[u8; 4]>::try_from(&*self.head).ok();
            self.index = name.map(|name| u32::from_be_bytes(name) as usize);
        }
        let index = self.index.unwrap_or(usize::MAX);
        if let Some(at) = content(index, dials).first_wrong(self.read, bytes) {
            return Err((Rule::Delivery, format!("byte {at} of {index} is wrong")));
        }
        self.read += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self, dials: bool, plan: &Crowd) -> Result<(), (Rule, String)> {
        if self.read != plan.bytes {
            let detail = format!("{:?} ended after {} bytes", self.index, self.read);
            return Err((Rule::Delivery, detail));
        }
        if dials {
            self.is_done = true;
        } else if self.out.is_none() {
            let back = content(self.index.unwrap_or(0), true);
            self.out = Some(back.bytes(0, plan.bytes as usize));
        }
        Ok(())
    }
}

/// What the stream of a connection carries.
fn content(index: usize, back: bool) -> Pattern {
    Pattern::new(SEED, index, back)
}

fn address(side: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1 + side as u8), 4001).into()
}

const SEED: u64 = 1_000;
/// Dials of one round come one after another.
const DIAL_EVERY: Time = MS;
const ROUND_WITHIN: Time = 600 * SECOND;
/// A closed connection is remembered for 35 s or three timeouts (V3).
const REST_WITHIN: Time = 60 * SECOND;
/// All connections are looked at, which takes time.
const CHECK_EVERY: u64 = 2_000;
const PATH: &str =
    "loss=0.5%,delay=10ms,jitter=2ms,reorder=0.5%,duplicate=0.5%,rate=500mbit,seed=9";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_come_and_go_and_leave_nothing_behind() {
        for version in [Version::V3, Version::V2] {
            let crowd = Crowd {
                connections: 100,
                rounds: 3,
                bytes: 5_000,
                version,
                ..Crowd::thousand()
            };
            let report = crowd
                .run()
                .unwrap_or_else(|broken| panic!("{version:?}: {broken}"));
            assert_eq!(report.connections, 300);
            assert_eq!(report.bytes, 300 * 2 * 5_000);
            assert_eq!(report.after_rounds, [[0; 2]; 3]);
            assert!(report.most_memory.iter().all(|&held| held > 100 * 1_000));
        }
    }
}
