//! One engine that is attacked, or talks to one that is: with its application, its books, and what each packet may cost.

use super::app::App;
use super::ledger::Ledger;
use super::{Fault, Meter, Shot};
use crate::plan::Time;
use crate::report::Rule;
use gapless_link::Random;
use gapless_udx::{Connection, Endpoint, EndpointConfig, Instant, Limits, Received};
use std::net::SocketAddr;

pub(super) struct Node {
    pub(super) address: SocketAddr,
    /// Where the honest side is.
    partner: SocketAddr,
    pub(super) endpoint: Endpoint,
    pub(super) app: App,
    pub(super) ledger: Ledger,
    limits: Limits,
    random: Random,
    inbox: Vec<(SocketAddr, Vec<u8>)>,
    wake_at: Option<Time>,
    /// Datagrams that arrived wait up to this long and are handed over together.
    pub(super) receive_wait: Time,
    meter: Option<Meter>,
    pub(super) costs: Costs,
    /// Allocations so far, and how many are allowed for what came so far.
    allocated: u64,
    allowed: u64,
    wakes: u64,
}

/// What the engine did, counted exactly.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Costs {
    pub(super) datagrams_in: u64,
    pub(super) datagrams_out: u64,
    /// Most allocations while one datagram was handled.
    pub(super) allocations: u64,
    /// Most bytes of memory held.
    pub(super) memory: usize,
    /// Most connections at once.
    pub(super) connections: usize,
}

impl Node {
    pub(super) fn new(
        address: SocketAddr,
        partner: SocketAddr,
        config: EndpointConfig,
        app: App,
        seed: u64,
        meter: Option<Meter>,
    ) -> Self {
        let mut random = Random::for_purpose(seed, 400 + u64::from(address.port()));
        let mut secret = [0; 32];
        random.fill(&mut secret);
        Self {
            address,
            partner,
            limits: config.limits,
            endpoint: Endpoint::new(config, secret),
            app,
            ledger: Ledger::default(),
            random,
            inbox: Vec::new(),
            wake_at: Some(0),
            receive_wait: 0,
            meter,
            costs: Costs::default(),
            allocated: 0,
            allowed: 0,
            wakes: 0,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        self.wake_at
    }

    pub(super) fn wake_by(&mut self, at: Time) {
        self.wake_at = Some(self.wake_at.map_or(at, |set| set.min(at)));
    }

    pub(super) fn arrive(&mut self, now: Time, from: SocketAddr, payload: Vec<u8>) {
        self.inbox.push((from, payload));
        self.wake_by(now + self.receive_wait);
    }

    /// Does all that can be done at `now`, and checks what must hold afterwards.
    pub(super) fn wake(&mut self, now: Time, out: &mut Vec<Shot>) -> Result<(), Fault> {
        self.wakes += 1;
        let begun = out.len();
        let arrived = self.inbox.len();
        for round in 0.. {
            let mut active = !self.inbox.is_empty();
            self.receive(now)?;
            let instant = Instant::from_nanos(now);
            if self
                .endpoint
                .next_deadline()
                .is_some_and(|at| at <= instant)
            {
                self.endpoint.handle_timeout(instant);
            }
            active |= self.app.act(now, &mut self.endpoint)?;
            let before = out.len();
            self.transmit(now, out)?;
            active |= out.len() > before;
            if !active {
                break;
            }
            if round > MAX_ROUNDS {
                return Err((Rule::Timers, "no end of work at one instant".into()));
            }
        }
        self.check(now, arrived, out.len() - begun)?;
        let engine = self.endpoint.next_deadline().map(Instant::as_nanos);
        let wakes = [engine.map(|at| at.max(now)), self.app.next_wake()];
        self.wake_at = wakes.into_iter().flatten().min();
        Ok(())
    }

    fn receive(&mut self, now: Time) -> Result<(), Fault> {
        let arrived = std::mem::take(&mut self.inbox);
        let mut rest = &arrived[..];
        while let Some((from, first)) = rest.first() {
            // As GRO does, but not always: one datagram by itself shows what that one costs.
            let like = rest
                .iter()
                .take_while(|(other, payload)| other == from && payload.len() == first.len());
            let count = if self.random.below(2) == 0 {
                like.take(64).count().max(1)
            } else {
                1
            };
            let (joined, later) = rest.split_at(count);
            rest = later;
            let data: Vec<u8> = joined
                .iter()
                .flat_map(|(_, payload)| payload.clone())
                .collect();
            for (from, payload) in joined {
                self.ledger.came(*from, payload);
            }
            self.costs.datagrams_in += count as u64;
            let before = self.meter.map(|meter| (meter.allocations)());
            let received = Received {
                from: *from,
                ecn: None,
                segment_size: first.len().max(1),
                data: &data,
            };
            self.endpoint.handle(Instant::from_nanos(now), received);
            if let (Some(meter), Some(before)) = (self.meter, before) {
                self.check_allocations((meter.allocations)() - before, count, data.len())?;
            }
        }
        Ok(())
    }

    /// P5: what a datagram makes the engine allocate is bounded by its size, and what a whole run of them does by theirs: a
    /// STREAM frame is at least 4 bytes, and takes a stream, a block, an event and their places in some trees and queues. One
    /// that others waited for, the first of a connection or a missing number of version 2, has those handled as well.
    fn check_allocations(&mut self, made: u64, count: usize, bytes: usize) -> Result<(), Fault> {
        let count = count as u64;
        let frames = bytes as u64 / LEAST_STREAM_FRAME;
        self.costs.allocations = self.costs.allocations.max(made / count);
        self.allocated += made;
        self.allowed += count * ALLOCATIONS_PER_DATAGRAM + frames * ALLOCATIONS_PER_FRAME;
        let at_once = (count + WAITING) * ALLOCATIONS_PER_DATAGRAM + frames * ALLOCATIONS_PER_FRAME;
        if made > at_once || self.allocated > self.allowed + WAITING {
            let detail = format!("{count} datagrams of {bytes} bytes took {made} allocations");
            return Err((Rule::Work, detail));
        }
        Ok(())
    }

    fn transmit(&mut self, now: Time, out: &mut Vec<Shot>) -> Result<(), Fault> {
        let mut buffer = vec![0; 64 * 1024];
        while let Some(transmit) = self
            .endpoint
            .poll_transmit(Instant::from_nanos(now), &mut buffer)
        {
            let size = transmit.segment_size.max(1);
            for payload in buffer[..transmit.len].chunks(size) {
                self.costs.datagrams_out += 1;
                self.ledger.went(transmit.to, payload)?;
                out.push(Shot {
                    from: self.address,
                    to: transmit.to,
                    payload: payload.to_vec(),
                });
            }
        }
        Ok(())
    }

    fn check(&mut self, now: Time, arrived: usize, left: usize) -> Result<(), Fault> {
        let deadline = self.endpoint.next_deadline().map(Instant::as_nanos);
        if let Some(at) = deadline.filter(|at| *at <= now) {
            let detail = format!("nothing to send, and a deadline at {at}");
            return Err((Rule::Timers, detail));
        }
        for handle in self.app.honest() {
            let remote = self
                .endpoint
                .connection(handle)
                .map(Connection::remote_address);
            if remote.is_some_and(|remote| remote != self.partner) {
                let detail = format!("an honest connection is sent to {remote:?}");
                return Err((Rule::Harm, detail));
            }
        }
        // R8. What one acknowledgement releases is a congestion window, and the log bounds that. All may be closed at once.
        let bound = (arrived + self.costs.connections + 1) * MOST_OUT;
        if left > bound {
            let detail = format!("{left} datagrams left at one instant after {arrived} came");
            return Err((Rule::Work, detail));
        }
        // Each look costs as much as there are connections.
        if !self
            .wakes
            .is_multiple_of(1 + self.costs.connections as u64 / 64)
        {
            return Ok(());
        }
        let checked = self.endpoint.check();
        checked.map_err(|broken| (Rule::Books, broken.to_string()))?;
        let connections = self.endpoint.connections().count();
        self.costs.connections = self.costs.connections.max(connections);
        let memory = self.endpoint.memory();
        self.costs.memory = self.costs.memory.max(memory);
        let bound = total_bound(&self.limits, connections);
        if memory > bound {
            let detail = format!("{memory} bytes for {connections} connections, bound {bound}");
            return Err((Rule::Memory, detail));
        }
        Ok(())
    }
}

/// The arithmetic of [`Limits`] for a whole endpoint.
fn total_bound(limits: &Limits, connections: usize) -> usize {
    let streams = limits.max_streams as usize;
    let each = crate::memory_bound(limits, streams) - limits.early_bytes;
    let closed = limits.closed_ids * CLOSED_ID;
    connections
        .saturating_mul(each)
        .saturating_add(limits.early_bytes + closed + IDLE)
}

/// Rounds of receiving, acting and sending at one instant.
const MAX_ROUNDS: u32 = 1_000;
/// Bytes of a remembered closed connection, its reason included.
const CLOSED_ID: usize = 700;
/// Bytes of tables without content.
const IDLE: usize = 64 * 1024;
/// A datagram that opens a connection makes the connection, its books, a stream and a block.
const ALLOCATIONS_PER_DATAGRAM: u64 = 20;
/// Packets that may wait for one.
const WAITING: u64 = 1_024;
/// See [`Node::check_allocations`].
const ALLOCATIONS_PER_FRAME: u64 = 4;
const LEAST_STREAM_FRAME: u64 = 4;
/// Datagrams that one datagram or one timer may release.
const MOST_OUT: usize = 2_000;
