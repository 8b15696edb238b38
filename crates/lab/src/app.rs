//! An application: opens and accepts streams, writes and reads as planned, and checks every byte it reads.
//!
//! It believes the engine's events: after `Blocked` it does not try again before it is told to. An event that never comes is
//! thereby a stall that the run notices.

mod stream;

pub(crate) use stream::{StreamRun, Streams};

use crate::machine::{Machine, StreamKey};
use crate::peers::Kind;
use crate::plan::{Scenario, Start, StreamPlan, Time};
use gapless_link::Random;
use gapless_udx::{CloseReason, Event, OpenError, ReadError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The application of one host.
pub(crate) struct App {
    dials: bool,
    seed: u64,
    plans: Arc<[StreamPlan]>,
    impatient: bool,
    ends_well: bool,
    random: Random,
    /// By place in the plans.
    runs: Vec<Option<StreamRun<StreamKey>>>,
    by_id: BTreeMap<StreamKey, usize>,
    strangers: Vec<Stranger>,
    opening_blocked: bool,
    closed: Option<CloseReason>,
    progress: u64,
    /// Times the engine's connection was called: it then wants to be asked again what it has to send.
    calls: u64,
    /// When the impatient one last tried.
    tried_at: Option<Time>,
    /// Events since they were last asked for, if anybody wants to know.
    told: Option<Vec<Event>>,
}

/// What an application found wrong.
pub(crate) type Complaint = String;

/// A stream that the peer opened and that did not yet say which of the plans it is.
struct Stranger {
    id: StreamKey,
    name: Vec<u8>,
    blocked: bool,
}

/// Bytes at the beginning of each stream that name its plan.
pub(crate) const NAME_BYTES: usize = 4;

impl App {
    pub(crate) fn new(scenario: &Scenario, host: usize) -> Self {
        Self {
            dials: host == 0,
            seed: scenario.seed,
            plans: scenario.streams.clone().into(),
            impatient: scenario.hosts[host].manners.impatient,
            ends_well: scenario.ends_well(),
            random: Random::for_purpose(scenario.seed, 100 + host as u64),
            runs: scenario.streams.iter().map(|_| None).collect(),
            by_id: BTreeMap::new(),
            strangers: Vec::new(),
            opening_blocked: false,
            closed: None,
            progress: 0,
            calls: 0,
            tried_at: None,
            told: None,
        }
    }

    /// Whether the engine's events are kept for [`told`](Self::told).
    pub(crate) fn tells_events(&mut self, tells: bool) {
        self.told = tells.then(Vec::new);
    }

    /// The events of the run's connection since the last call.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Bytes read so far.
    pub(crate) fn read(&self) -> u64 {
        let runs = self.runs.iter().flatten();
        runs.map(|run| run.outcome().read).sum()
    }

    /// Bytes written and read so far: no more than the plans have.
    pub(crate) fn moved(&self) -> u64 {
        self.runs.iter().flatten().map(StreamRun::moved).sum()
    }

    /// Acts on all events and does whatever can be done. True if anything happened or the engine was called. `over`: by plan,
    /// whether the stream is over on both sides.
    pub(crate) fn act(
        &mut self,
        now: Time,
        machine: &mut Machine,
        over: &[bool],
    ) -> Result<bool, Complaint> {
        let before = (self.progress, self.calls);
        let mut events = 0_usize;
        while let Some((is_ours, event)) = machine.poll_event() {
            events += 1;
            if let Some(told) = self.told.as_mut().filter(|_| is_ours) {
                told.push(event.clone());
            }
            self.on_event(now, machine, is_ours, event)?;
        }
        if machine.kind().is_some() {
            self.ask_model(machine)?;
        }
        if self.closed.is_none() {
            self.open_due(now, machine, over)?;
            self.meet_strangers(now, machine)?;
            self.move_bytes(now, machine)?;
        }
        Ok(events > 0 || (self.progress, self.calls) != before)
    }

    /// When the application wants to act of its own accord, after `now`.
    pub(crate) fn next_wake(&self, now: Time) -> Option<Time> {
        if self.closed.is_some() {
            return None;
        }
        let openings = self
            .plans
            .iter()
            .filter(|plan| self.opens(plan))
            .filter_map(|plan| match plan.start {
                Start::At(at) => Some(at),
                Start::After(_) => None,
            })
            .filter(|&at| at > now);
        let runs = self
            .runs
            .iter()
            .flatten()
            .filter_map(|run| run.next_wake(now));
        openings.chain(runs).min()
    }

    /// Grows with every byte moved and every change of state.
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    /// Whether the stream of this plan is over here. One that never came counts as over if it was ended before it could.
    pub(crate) fn is_over(&self, plan: usize) -> bool {
        match &self.runs[plan] {
            Some(run) => run.is_over(),
            None => self.plans[plan].is_aborted() && !self.opens(&self.plans[plan]),
        }
    }

    /// What both directions of this plan's stream came to, as seen from here: bytes written, read, and how each ended.
    pub(crate) fn outcome(&self, plan: usize) -> Option<StreamOutcome> {
        self.runs[plan].as_ref().map(StreamRun::outcome)
    }

    /// One line on each stream that is not over.
    pub(crate) fn describe(&self) -> String {
        let mut lines = String::new();
        let mut line = |text: String| {
            lines.push_str("\n    ");
            lines.push_str(&text);
        };
        if let Some(reason) = &self.closed {
            line(format!("connection closed: {reason:?}"));
        }
        for (plan, run) in self.runs.iter().enumerate() {
            match run {
                Some(run) if !run.is_over_well() => {
                    line(format!("stream {plan}: {}", run.describe()))
                }
                None if self.opens(&self.plans[plan]) => line(format!(
                    "stream {plan}: not opened (opening blocked: {})",
                    self.opening_blocked
                )),
                _ => {}
            }
        }
        for stranger in &self.strangers {
            let Stranger { id, name, blocked } = stranger;
            line(format!(
                "stream {id:?}: nameless after {} bytes, blocked: {blocked}",
                name.len()
            ));
        }
        lines
    }

    fn opens(&self, plan: &StreamPlan) -> bool {
        (plan.opener == 0) == self.dials
    }

    fn on_event(
        &mut self,
        now: Time,
        machine: &mut Machine,
        is_ours: bool,
        event: Event,
    ) -> Result<(), Complaint> {
        if event == Event::Incoming {
            return self.on_incoming(machine);
        }
        if !is_ours {
            return Ok(());
        }
        match event {
            Event::StreamOpened => self.accept_streams(machine),
            Event::StreamsAvailable => self.opening_blocked = false,
            Event::Readable(id) => match self.run_of(StreamKey::Ours(id)) {
                Some(run) => run.readable(),
                None => self.stranger_readable(StreamKey::Ours(id)),
            },
            Event::Writable(id) => {
                if let Some(run) = self.run_of(StreamKey::Ours(id)) {
                    run.writable();
                }
            }
            Event::Acknowledged(id) => {
                if let Some(run) = self.run_of(StreamKey::Ours(id)) {
                    run.acknowledged()?;
                    self.progress += 1;
                }
            }
            Event::Reset { id, code } => {
                if let Some(run) = self.run_of(StreamKey::Ours(id)) {
                    run.reset_by_peer(now, code)?;
                    self.progress += 1;
                }
            }
            Event::Closed => {
                let reason = machine
                    .connection()
                    .and_then(|connection| connection.close_reason().cloned())
                    .ok_or("a closed connection gives no reason")?;
                self.on_closed(reason)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn on_incoming(&mut self, machine: &mut Machine) -> Result<(), Complaint> {
        loop {
            let had_one = machine.has_connection();
            if !machine.accept() {
                return Ok(());
            }
            if self.dials && machine.kind().is_none() {
                return Err("the dialer was dialed".into());
            }
            // V3: at a peer that remembers no closed connection, a late SYN revives it, whoever dialed it once.
            let may_be_revived = self.closed.is_some() || machine.kind().is_some();
            if had_one && !may_be_revived && self.ends_well {
                return Err("one dial became two connections".into());
            }
            if !had_one {
                self.progress += 1;
                self.accept_streams(machine);
            }
        }
    }

    /// A model has no events: whatever could have happened is asked for.
    fn ask_model(&mut self, machine: &mut Machine) -> Result<(), Complaint> {
        self.on_incoming(machine)?;
        self.accept_streams(machine);
        self.opening_blocked = false;
        self.runs
            .iter_mut()
            .flatten()
            .for_each(StreamRun::try_anyway);
        for stranger in &mut self.strangers {
            stranger.blocked = false;
        }
        match machine.model_closed() {
            Some(reason) if self.closed.is_none() => self.on_closed(reason),
            _ => Ok(()),
        }
    }

    fn on_closed(&mut self, reason: CloseReason) -> Result<(), Complaint> {
        if self.closed.is_some() {
            return Err("a connection closed twice".into());
        }
        self.closed = Some(reason);
        self.progress += 1;
        self.runs.iter_mut().flatten().for_each(StreamRun::closed);
        Ok(())
    }

    /// Before each call. A model does not want to be asked again for it: that would never end.
    fn note_call(&mut self, machine: &Machine) {
        self.calls += u64::from(machine.kind().is_none());
    }

    fn run_of(&mut self, id: StreamKey) -> Option<&mut StreamRun<StreamKey>> {
        let &plan = self.by_id.get(&id)?;
        self.runs[plan].as_mut()
    }

    fn accept_streams(&mut self, machine: &mut Machine) {
        self.note_call(machine);
        while let Some(id) = machine.accept_stream() {
            self.progress += 1;
            self.strangers.push(Stranger {
                id,
                name: Vec::new(),
                blocked: false,
            });
        }
    }

    fn stranger_readable(&mut self, id: StreamKey) {
        if let Some(stranger) = self.strangers.iter_mut().find(|stranger| stranger.id == id) {
            stranger.blocked = false;
        }
    }

    fn open_due(
        &mut self,
        now: Time,
        machine: &mut Machine,
        over: &[bool],
    ) -> Result<(), Complaint> {
        for index in 0..self.plans.len() {
            let plan = self.plans[index];
            let is_due = match plan.start {
                Start::At(at) => at <= now,
                Start::After(before) => over[before],
            };
            if !is_due || self.runs[index].is_some() || !self.opens(&plan) || self.opening_blocked {
                continue;
            }
            if !machine.has_connection() {
                return Ok(());
            }
            self.note_call(machine);
            match machine.open(now) {
                Ok(id) => self.begin(now, index, id, true)?,
                Err(OpenError::Limit) => self.opening_blocked = true,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        now: Time,
        plan: usize,
        id: StreamKey,
        opener: bool,
    ) -> Result<(), Complaint> {
        if self.by_id.insert(id, plan).is_some() {
            return Err(format!("two streams have the ID {id:?}"));
        }
        let run = StreamRun::new(self.seed, plan, &self.plans[plan], id, opener, now);
        self.runs[plan] = Some(run);
        self.progress += 1;
        Ok(())
    }

    /// Reads the names of streams that were opened by the peer.
    fn meet_strangers(&mut self, now: Time, machine: &mut Machine) -> Result<(), Complaint> {
        let mut index = 0;
        let has_ghosts = self.has_ghosts(machine);
        while index < self.strangers.len() {
            if self.strangers[index].blocked {
                index += 1;
                continue;
            }
            self.note_call(machine);
            let stranger = &mut self.strangers[index];
            match machine.read(now, stranger.id, NAME_BYTES - stranger.name.len()) {
                Ok(Some(bytes)) => {
                    stranger.name.extend_from_slice(&bytes);
                    self.progress += 1;
                }
                Err(ReadError::Blocked) => stranger.blocked = true,
                Ok(None) if has_ghosts => {
                    self.strangers.swap_remove(index);
                    continue;
                }
                Ok(None) => return Err("a stream ended before its name".into()),
                Err(ReadError::Reset(_) | ReadError::Closed) => {
                    // Ended before it was named: allowed where plans abort, and the opener's side knows.
                    if !self.plans.iter().any(StreamPlan::is_aborted) && self.ends_well {
                        return Err("a stream was reset before its name".into());
                    }
                    machine.release(now, stranger.id);
                    self.strangers.swap_remove(index);
                    self.progress += 1;
                    continue;
                }
                Err(error) => return Err(format!("an accepted stream cannot be read: {error}")),
            }
            if let Ok(name) = <[u8; NAME_BYTES]>::try_from(&*self.strangers[index].name) {
                let id = self.strangers.swap_remove(index).id;
                let known = self.recognise(now, u32::from_be_bytes(name), id);
                if !has_ghosts {
                    known?;
                }
            }
        }
        Ok(())
    }

    /// V4: whether late packets of a stream may open another one. (It may be over before its application has read all.)
    fn has_ghosts(&self, machine: &Machine) -> bool {
        let revives = |kind: Kind| kind.abilities().revives_streams;
        machine.kind().is_some_and(revives) && self.runs.iter().any(Option::is_some)
    }

    fn recognise(&mut self, now: Time, name: u32, id: StreamKey) -> Result<(), Complaint> {
        let plan = name as usize;
        match self.runs.get(plan) {
            None => Err(format!("a stream is called {name:#x}")),
            Some(Some(_)) => Err(format!("stream {plan} came twice")),
            Some(None) if self.opens(&self.plans[plan]) => Err(format!("stream {plan} came back")),
            Some(None) => self.begin(now, plan, id, false),
        }
    }

    fn move_bytes(&mut self, now: Time, machine: &mut Machine) -> Result<(), Complaint> {
        // Once at an instant: it would never end otherwise.
        let tries_anyway = self.impatient && self.tried_at != Some(now);
        self.tried_at = Some(now);
        for (plan, run) in self.runs.iter_mut().enumerate() {
            let Some(run) = run.as_mut().filter(|run| !run.is_released()) else {
                continue;
            };
            if tries_anyway && self.random.below(4) == 0 {
                run.try_anyway();
            }
            if !run.wants_to_act(now) {
                continue;
            }
            self.calls += u64::from(machine.kind().is_none());
            self.progress += run
                .act(now, machine, &mut self.random)
                .map_err(|complaint| format!("stream {plan}: {complaint}"))?;
        }
        Ok(())
    }
}

/// What one side of a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOutcome {
    /// Bytes that the engine took.
    pub written: u64,
    /// How writing ended.
    pub write: WriteState,
    /// Bytes read, all of them right.
    pub read: u64,
    /// How reading ended.
    pub read_state: ReadState,
}

/// Where a writer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteState {
    /// Not at the end.
    Writing,
    /// Finished; the peer has not acknowledged all of it.
    Finished,
    /// Finished and acknowledged.
    Acknowledged,
    /// Reset by this side, with this code.
    Reset(u32),
    /// Reset or stopped by the other side, with this code.
    Refused(u32),
    /// The connection ended first.
    Closed,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Not at the end.
    Reading,
    /// All was read.
    Ended,
    /// Stopped or reset by this side, with this code.
    Stopped(u32),
    /// Reset by the other side, with this code.
    Reset(u32),
    /// The connection ended first.
    Closed,
}
