//! An application of TCP: dials and accepts connections, and drives each as planned, as the application of UDX does its streams.

use super::draw::CUT;
use super::engine::{Engine, Handle, Read, Standing, Write};
use super::plan::TcpScenario;
use crate::app::{NAME_BYTES, StreamOutcome, StreamRun, Streams};
use crate::plan::{Start, StreamPlan, Time};
use bytes::{Buf, Bytes};
use gapless_link::Random;
use gapless_udx::{ReadError, WriteError};
use std::collections::HashMap;
use std::net::SocketAddr;

/// What an application found wrong.
pub(crate) type Complaint = String;

/// The application of one host.
pub(crate) struct App {
    host: usize,
    seed: u64,
    plans: Vec<StreamPlan>,
    remote: SocketAddr,
    impatient: bool,
    ends_well: bool,
    /// Its stack may answer SYNs by cookies.
    bakes: bool,
    /// SYNs wait for it.
    holds: bool,
    /// The plan that both sides dial, and when the one does that does not open it, unless it has done so.
    crossed: Option<(usize, Time)>,
    has_crossed: bool,
    habits: Habits,
    random: Random,
    /// By place in the plans.
    runs: Vec<Option<StreamRun<Handle>>>,
    by_handle: HashMap<Handle, usize>,
    strangers: Vec<Stranger>,
    /// It dials no more, and takes no more.
    retired: bool,
    progress: u64,
    calls: u64,
    tried_at: Option<Time>,
}

/// How it treats connections.
#[derive(Clone, Copy)]
struct Habits {
    closes: bool,
    leaves_early: bool,
    ends_well: bool,
}

/// A connection that came and did not yet say which of the plans it is.
struct Stranger {
    handle: Handle,
    name: Vec<u8>,
    blocked: bool,
    /// Its handshake is through.
    opened: bool,
}

/// An engine, as the driver of a stream calls it.
struct Calls<'a> {
    engine: &'a mut dyn Engine,
    habits: Habits,
}

impl App {
    pub(crate) fn new(scenario: &TcpScenario, host: usize, remote: SocketAddr) -> Self {
        let plan = &scenario.hosts[host];
        Self {
            host,
            seed: scenario.seed,
            plans: scenario.streams.clone(),
            remote,
            impatient: plan.manners.impatient,
            ends_well: scenario.ends_well(),
            bakes: scenario.bakes()[host],
            holds: plan.holds,
            crossed: scenario.crossed,
            has_crossed: false,
            habits: Habits {
                closes: plan.closes,
                leaves_early: plan.leaves_early,
                ends_well: scenario.ends_well(),
            },
            random: Random::for_purpose(scenario.seed, 100 + host as u64),
            runs: scenario.streams.iter().map(|_| None).collect(),
            by_handle: HashMap::new(),
            strangers: Vec::new(),
            retired: false,
            progress: 0,
            calls: 0,
            tried_at: None,
        }
    }

    /// Octets written and read so far: no more than the plans have.
    pub(crate) fn moved(&self) -> u64 {
        self.runs.iter().flatten().map(StreamRun::moved).sum()
    }

    /// Acts on all events and does whatever can be done. True if anything happened or the engine was called. `over`: by plan,
    /// whether it is over on both sides.
    pub(crate) fn act(
        &mut self,
        now: Time,
        engine: &mut dyn Engine,
        over: &[bool],
    ) -> Result<bool, Complaint> {
        let before = (self.progress, self.calls);
        let mut events = 0_usize;
        while let Some(handle) = engine.poll_changed() {
            events += 1;
            self.on_changed(now, engine, handle)?;
        }
        if !engine.has_events() {
            self.ask(now, engine)?;
        }
        self.accept(now, engine);
        self.dial_due(now, engine, over)?;
        self.cross(now, engine);
        self.meet_strangers(now, engine)?;
        self.move_bytes(now, engine)?;
        Ok(events > 0 || (self.progress, self.calls) != before)
    }

    /// When the application wants to act of its own accord, after `now`.
    pub(crate) fn next_wake(&self, now: Time) -> Option<Time> {
        let dials = self
            .plans
            .iter()
            .filter(|plan| self.opens(plan) && !self.retired);
        let dials = dials.filter_map(|plan| match plan.start {
            Start::At(at) => Some(at).filter(|&at| at > now),
            Start::After(_) => None,
        });
        let dials = dials.chain(self.crosses_at().filter(|&at| at > now));
        let runs = self.runs.iter().flatten();
        dials.chain(runs.filter_map(|run| run.next_wake(now))).min()
    }

    /// Ends everything at once.
    pub(crate) fn abort(&mut self, now: Time, engine: &mut dyn Engine) {
        let runs = self.runs.iter().flatten().filter(|run| !run.is_released());
        let strangers = self.strangers.iter().map(|stranger| stranger.handle);
        for handle in runs.map(StreamRun::id).chain(strangers) {
            engine.abort(now, handle);
        }
        self.leave(now, engine);
    }

    /// Lets go of everything at once.
    pub(crate) fn leave(&mut self, now: Time, engine: &mut dyn Engine) {
        self.retire(now, engine);
        for run in self.runs.iter_mut().flatten() {
            if !run.is_released() {
                engine.release(now, run.id());
                run.closed();
            }
        }
        for stranger in self.strangers.drain(..) {
            engine.release(now, stranger.handle);
        }
        self.progress += 1;
    }

    /// Dials no more and takes no more.
    pub(crate) fn retire(&mut self, now: Time, engine: &mut dyn Engine) {
        self.retired = true;
        engine.unlisten(now);
    }

    /// Grows with every octet moved and every change of state.
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    /// Whether the connection of this plan is over here. One that never came counts as over if it was ended before it could.
    pub(crate) fn is_over(&self, plan: usize) -> bool {
        match &self.runs[plan] {
            Some(run) => run.is_over(),
            None => self.retired || self.plans[plan].is_aborted() && !self.opens(&self.plans[plan]),
        }
    }

    /// Connections that came and are not known to be over. Of old copies of SYNs, which nobody answers, only those who hold SYNs
    /// know.
    pub(crate) fn has_strangers(&self) -> bool {
        self.strangers.iter().any(|stranger| stranger.opened)
    }

    pub(crate) fn outcome(&self, plan: usize) -> Option<StreamOutcome> {
        self.runs[plan].as_ref().map(StreamRun::outcome)
    }

    /// One line on each connection that is not over.
    pub(crate) fn describe(&self, engine: &dyn Engine) -> String {
        let mut lines = String::new();
        for (plan, run) in self.runs.iter().enumerate() {
            match run {
                Some(run) if !run.is_over_well() => {
                    let standing = engine.standing(run.id());
                    lines.push_str(&format!("\n    {plan}: {} {standing:?}", run.describe()));
                }
                None if self.opens(&self.plans[plan]) => {
                    lines.push_str(&format!("\n    {plan}: not dialed"));
                }
                _ => {}
            }
        }
        for Stranger { handle, name, .. } in &self.strangers {
            lines.push_str(&format!(
                "\n    connection {handle}: nameless after {} bytes",
                name.len()
            ));
        }
        lines
    }

    fn opens(&self, plan: &StreamPlan) -> bool {
        plan.opener == self.host
    }

    fn on_changed(
        &mut self,
        now: Time,
        engine: &mut dyn Engine,
        handle: Handle,
    ) -> Result<(), Complaint> {
        let standing = engine.standing(handle);
        let mut opened = true;
        if let Some(stranger) = self.strangers.iter_mut().find(|it| it.handle == handle) {
            stranger.blocked = false;
            stranger.opened |= engine.has_opened(handle);
            opened = stranger.opened;
        }
        // Who dialed one that was never opened says so.
        if standing == Standing::TimedOut && self.ends_well && opened {
            return Err(format!("connection {handle} timed out"));
        }
        let Some(&plan) = self.by_handle.get(&handle) else {
            return Ok(());
        };
        let Some(run) = self.runs[plan].as_mut().filter(|run| !run.is_released()) else {
            return Ok(());
        };
        run.try_anyway();
        match standing {
            Standing::Flushed | Standing::Finished if run.awaits_acknowledgement() => {
                run.acknowledged()?;
                self.progress += 1;
            }
            Standing::Reset | Standing::TimedOut => {
                if self.ends_well {
                    let told = run.reset_by_peer(now, CUT);
                    told.map_err(|complaint| format!("stream {plan}: {complaint}"))?;
                } else {
                    run.ended_by_peer(now, CUT);
                }
                self.progress += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// An engine without events: whatever could have happened is asked for.
    fn ask(&mut self, now: Time, engine: &mut dyn Engine) -> Result<(), Complaint> {
        for stranger in &mut self.strangers {
            stranger.blocked = false;
        }
        let progress = self.progress;
        let runs = self.runs.iter().flatten().filter(|run| !run.is_released());
        let handles: Vec<Handle> = runs.map(|run| run.id()).collect();
        for handle in handles {
            let standing = engine.standing(handle);
            self.on_changed(now, engine, handle)?;
            if matches!(standing, Standing::Reset | Standing::TimedOut) {
                // It says so each time.
                self.progress = progress;
            }
        }
        Ok(())
    }

    fn accept(&mut self, now: Time, engine: &mut dyn Engine) {
        while let Some(handle) = engine.accept(now) {
            self.calls += 1;
            let plan = self.crossed.map(|(plan, _)| plan).filter(|&plan| {
                engine.is_crossed(handle)
                    && self.opens(&self.plans[plan])
                    && self.runs[plan].is_none()
            });
            match plan {
                // The other side was first.
                Some(plan) => self.begin(now, plan, handle, true),
                None => {
                    let opened = !self.holds || engine.has_opened(handle);
                    self.meet(handle, opened);
                }
            }
        }
    }

    fn meet(&mut self, handle: Handle, opened: bool) {
        self.progress += 1;
        self.strangers.push(Stranger {
            handle,
            name: Vec::new(),
            blocked: false,
            opened,
        });
    }

    /// Dials what the other side opens.
    fn cross(&mut self, now: Time, engine: &mut dyn Engine) {
        if self.crosses_at().is_none_or(|at| at > now) {
            return;
        }
        self.has_crossed = true;
        self.calls += 1;
        if let Some(handle) = engine.cross(now, self.remote) {
            self.meet(handle, false);
        }
    }

    /// When it does, if it has not, and has not been dialed either.
    fn crosses_at(&self) -> Option<Time> {
        let (plan, at) = self.crossed?;
        let is_open = self.has_crossed || self.retired || self.runs[plan].is_some();
        (!self.opens(&self.plans[plan]) && !is_open).then_some(at)
    }

    fn dial_due(
        &mut self,
        now: Time,
        engine: &mut dyn Engine,
        over: &[bool],
    ) -> Result<(), Complaint> {
        for index in 0..self.plans.len() {
            let plan = self.plans[index];
            let is_due = match plan.start {
                Start::At(at) => at <= now,
                Start::After(before) => over[before],
            };
            if !is_due || self.retired || self.runs[index].is_some() || !self.opens(&plan) {
                continue;
            }
            let is_crossed = self.crossed.is_some_and(|(plan, _)| plan == index);
            let handle = if is_crossed {
                // If there is one, the other side was first, and it will be accepted.
                let Some(handle) = engine.cross(now, self.remote) else {
                    continue;
                };
                handle
            } else {
                let handle = engine.connect(now, self.remote);
                handle.ok_or("a dial was refused")?
            };
            self.calls += 1;
            self.begin(now, index, handle, true);
        }
        Ok(())
    }

    fn begin(&mut self, now: Time, plan: usize, handle: Handle, opener: bool) {
        self.by_handle.insert(handle, plan);
        let run = StreamRun::new(self.seed, plan, &self.plans[plan], handle, opener, now);
        self.runs[plan] = Some(run);
        self.progress += 1;
    }

    /// Reads the names of connections that came.
    fn meet_strangers(&mut self, now: Time, engine: &mut dyn Engine) -> Result<(), Complaint> {
        let mut index = 0;
        while index < self.strangers.len() {
            if self.strangers[index].blocked {
                index += 1;
                continue;
            }
            self.calls += u64::from(engine.has_events());
            let stranger = &mut self.strangers[index];
            let handle = stranger.handle;
            match engine.read(now, handle, NAME_BYTES - stranger.name.len()) {
                Read::Data(bytes) => {
                    stranger.name.extend_from_slice(&bytes);
                    self.progress += 1;
                }
                Read::Pending => stranger.blocked = true,
                Read::End | Read::Failed => {
                    // Cut off before it was named: allowed where plans do so, and the opener's side knows. So it does of one that was
                    // never opened.
                    let is_cut = self.plans.iter().any(StreamPlan::is_aborted);
                    if !is_cut && self.ends_well && !self.bakes && stranger.opened {
                        return Err("a connection ended before its name".into());
                    }
                    engine.release(now, handle);
                    self.strangers.swap_remove(index);
                    self.progress += 1;
                    continue;
                }
            }
            if let Ok(name) = <[u8; NAME_BYTES]>::try_from(&*self.strangers[index].name) {
                self.strangers.swap_remove(index);
                self.recognise(now, engine, u32::from_be_bytes(name), handle)?;
            }
        }
        Ok(())
    }

    fn recognise(
        &mut self,
        now: Time,
        engine: &mut dyn Engine,
        name: u32,
        handle: Handle,
    ) -> Result<(), Complaint> {
        let plan = name as usize;
        match self.runs.get(plan) {
            None => Err(format!("a connection is called {name:#x}")),
            // RFC 4987 3.6: who remembers nothing cannot tell a late copy of what brought the cookie back from the first.
            Some(Some(_)) if self.bakes => {
                engine.abort(now, handle);
                engine.release(now, handle);
                Ok(())
            }
            Some(Some(_)) => Err(format!("connection {plan} came twice")),
            Some(None) if self.opens(&self.plans[plan]) => {
                Err(format!("connection {plan} came back"))
            }
            Some(None) => {
                self.begin(now, plan, handle, false);
                Ok(())
            }
        }
    }

    fn move_bytes(&mut self, now: Time, engine: &mut dyn Engine) -> Result<(), Complaint> {
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
            self.calls += u64::from(engine.has_events());
            let mut calls = Calls {
                engine: &mut *engine,
                habits: self.habits,
            };
            let moved = run.act(now, &mut calls, &mut self.random);
            self.progress += moved.map_err(|complaint| format!("stream {plan}: {complaint}"))?;
        }
        Ok(())
    }
}

impl Streams for Calls<'_> {
    type Key = Handle;

    fn read(&mut self, now: Time, stream: Handle, max: usize) -> Result<Option<Bytes>, ReadError> {
        match self.engine.read(now, stream, max) {
            Read::Data(bytes) => Ok(Some(bytes.into())),
            Read::End if self.habits.ends_well => Ok(None),
            // Everybody is being cut off: an end may be that of what was written by then.
            Read::End => Err(ReadError::Closed),
            Read::Pending => Err(ReadError::Blocked),
            Read::Failed if self.habits.ends_well => Err(ReadError::Reset(CUT)),
            Read::Failed => Err(ReadError::Closed),
        }
    }

    fn write(&mut self, now: Time, stream: Handle, data: &mut Bytes) -> Result<usize, WriteError> {
        match self.engine.write(now, stream, data) {
            Write::Taken(taken) => {
                data.advance(taken.min(data.len()));
                Ok(taken)
            }
            Write::Full => Err(WriteError::Blocked),
            Write::Failed if self.habits.ends_well => Err(WriteError::Reset(CUT)),
            Write::Failed => Err(WriteError::Closed),
        }
    }

    fn finish(&mut self, now: Time, stream: Handle) -> Result<(), WriteError> {
        self.engine.shutdown(now, stream);
        Ok(())
    }

    fn reset(&mut self, now: Time, stream: Handle, _code: u32) {
        self.engine.abort(now, stream);
    }

    fn stop(&mut self, now: Time, stream: Handle, _code: u32) {
        // Closing is what releasing it does.
        if !self.habits.closes {
            self.engine.abort(now, stream);
        }
    }

    fn release(&mut self, now: Time, stream: Handle) {
        self.engine.release(now, stream);
    }

    fn tells_acknowledgement(&self, _stream: Handle) -> bool {
        !self.habits.leaves_early
    }

    fn stops_both(&self) -> bool {
        true
    }
}
