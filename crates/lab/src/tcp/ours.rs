//! Our stack as the lab calls it.

use super::engine::{Engine, Handle, Read, Standing, Write};
use super::plan::TcpHost;
use crate::machine::Clock;
use crate::plan::Time;
use gapless_tcp::{
    CloseReason, Connection, Id, Instant, ListenerId, ReadError, Stack, State, WriteError,
};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// The port that both hosts listen on.
pub(crate) const PORT: u16 = 7;

pub(crate) struct Ours {
    stack: Stack,
    clock: Clock,
    ids: Vec<Id>,
    handles: HashMap<Id, Handle>,
    /// They came from the port that the other side listens on.
    crossed: HashSet<Handle>,
    address: IpAddr,
    listener: Option<ListenerId>,
    /// SYNs are answered only after they were accepted.
    holds: bool,
    mtu: usize,
}

impl Ours {
    pub(crate) fn new(plan: &TcpHost, address: IpAddr, seed: [u64; 2]) -> Self {
        let mut stack = Stack::new(plan.config.clone(), seed);
        let (initial, clock) = plan.begins_at;
        stack.begin_at_for_tests(initial, clock);
        // There is room: nothing was taken yet.
        let _ = stack.add_address(address);
        let listener = stack
            .listen(None, Some(PORT), plan.backlog, plan.holds)
            .ok();
        Self {
            stack,
            clock: Clock {
                tick: plan.manners.tick,
            },
            ids: Vec::new(),
            handles: HashMap::new(),
            crossed: HashSet::new(),
            address,
            listener,
            holds: plan.holds,
            mtu: plan.config.mtu.into(),
        }
    }

    fn enter(&mut self, id: Id) -> Handle {
        let handle = self.ids.len();
        self.ids.push(id);
        self.handles.insert(id, handle);
        handle
    }

    fn at(&self, now: Time) -> Instant {
        self.clock.at(now)
    }

    fn connection(&self, handle: Handle) -> Option<&Connection> {
        self.stack.connection(*self.ids.get(handle)?)
    }
}

impl Engine for Ours {
    fn handle(&mut self, now: Time, packet: &[u8]) {
        self.stack.handle(self.clock.at(now), packet);
    }

    fn poll_transmit(&mut self, now: Time) -> Option<Vec<u8>> {
        let mut packet = vec![0; self.mtu];
        let length = self.stack.poll_transmit(self.clock.at(now), &mut packet)?;
        packet.truncate(length);
        Some(packet)
    }

    fn handle_timeout(&mut self, now: Time) {
        self.stack.on_timeout(self.clock.at(now));
    }

    fn next_deadline(&mut self, _now: Time) -> Option<Time> {
        let deadline = self.stack.next_deadline()?;
        Some(self.clock.shows(deadline).as_nanos())
    }

    fn connect(&mut self, now: Time, remote: SocketAddr) -> Option<Handle> {
        let id = self.stack.connect(self.clock.at(now), None, remote).ok()?;
        Some(self.enter(id))
    }

    fn cross(&mut self, now: Time, remote: SocketAddr) -> Option<Handle> {
        let local = SocketAddr::new(self.address, PORT);
        let now = self.clock.at(now);
        let id = self.stack.connect(now, Some(local), remote).ok()?;
        Some(self.enter(id))
    }

    fn is_crossed(&self, connection: Handle) -> bool {
        self.crossed.contains(&connection)
    }

    fn has_opened(&self, connection: Handle) -> bool {
        let state = self.connection(connection).map(Connection::state);
        state.is_none_or(|state| {
            !matches!(state, State::SynSent | State::SynReceived | State::Closed)
        })
    }

    fn accept(&mut self, now: Time) -> Option<Handle> {
        let (id, tuple) = self.stack.accept()?;
        if self.holds {
            self.stack.answer(self.clock.at(now), id);
        }
        let handle = self.enter(id);
        if tuple.remote.port() == PORT {
            self.crossed.insert(handle);
        }
        Some(handle)
    }

    fn poll_changed(&mut self) -> Option<Handle> {
        loop {
            let id = self.stack.poll_changed()?;
            if let Some(handle) = self.handles.get(&id) {
                return Some(*handle);
            }
        }
    }

    fn has_events(&self) -> bool {
        true
    }

    fn read(&mut self, _now: Time, connection: Handle, max: usize) -> Read {
        let mut octets = vec![0; max];
        match self.stack.read(self.ids[connection], &mut octets) {
            Ok(0) => Read::End,
            Ok(read) => {
                octets.truncate(read);
                Read::Data(octets)
            }
            Err(ReadError::WouldBlock) => Read::Pending,
            Err(ReadError::Ended(_)) => Read::Failed,
        }
    }

    fn write(&mut self, _now: Time, connection: Handle, octets: &[u8]) -> Write {
        match self.stack.write(self.ids[connection], octets) {
            Ok(taken) => Write::Taken(taken),
            Err(WriteError::WouldBlock) => Write::Full,
            Err(WriteError::ShutDown | WriteError::Ended(_)) => Write::Failed,
        }
    }

    fn shutdown(&mut self, now: Time, connection: Handle) {
        self.stack
            .shutdown(self.clock.at(now), self.ids[connection]);
    }

    fn abort(&mut self, now: Time, connection: Handle) {
        self.stack.abort(self.clock.at(now), self.ids[connection]);
    }

    fn release(&mut self, now: Time, connection: Handle) {
        self.stack.release(self.clock.at(now), self.ids[connection]);
    }

    fn standing(&self, connection: Handle) -> Standing {
        match self.connection(connection) {
            None => Standing::Finished,
            Some(connection) => match connection.ended() {
                None if connection.is_flushed() => Standing::Flushed,
                None => Standing::Open,
                Some(CloseReason::Finished) => Standing::Finished,
                Some(CloseReason::TimedOut) => Standing::TimedOut,
                Some(_) => Standing::Reset,
            },
        }
    }

    fn connections(&self) -> usize {
        self.stack.connections()
    }

    fn ours(&self) -> Option<&Stack> {
        Some(&self.stack)
    }

    fn held(&self) -> Vec<(Handle, &Connection)> {
        let all = self.ids.iter().enumerate();
        all.filter_map(|(handle, &id)| Some((handle, self.stack.connection(id)?)))
            .collect()
    }

    fn unlisten(&mut self, now: Time) {
        let now = self.at(now);
        if let Some(listener) = self.listener.take() {
            self.stack.unlisten(now, listener);
        }
    }
}
