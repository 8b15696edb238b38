//! The life of a stream between two engines, model-checked: opened, written, finished, reset and stopped from both ends, while
//! datagrams overtake each other, arrive once, twice or never, and time passes.
//!
//! The engines themselves are the actors, no model of them: a state of the search is the list of steps that led to it, and what follows
//! is found by taking them again. Two states are one if both engines, both applications and the wire between them print the same.
//! `stateright` does the search. Its liveness properties are not used (it can miss counterexamples to them where paths meet);
//! that everything ends is a safety property here: in every state, a calm network and applications that finish what they began
//! are tried to the end.

use crate::duo::{ACCEPTOR, AppStream, DIALER, Duo, Ended, Flying, Setup};
use gapless_udx::Version;
use gapless_worlds::{Found, fingerprint, fingerprint_at, report};
use stateright::{Checker, Model, Property};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// In the calm, everything is over after so long.
const PATIENCE: Duration = Duration::from_secs(25);

/// Times that something happens until then; more is no end.
const MOST_ROUNDS: usize = 2_000;

/// Bytes of one write.
const BYTES: &[u8] = b"abc";

/// What may happen, and how often.
#[derive(Clone, Copy, Debug)]
struct World {
    setup: Setup,
    /// The connection was used before; else the stream's first packet opens it.
    established: bool,
    budget: Budget,
}

/// How often something may still happen.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// Calls of the applications, readings apart.
    calls: u8,
    /// So many datagrams of a direction may come next: with one, none overtakes another.
    near: usize,
    losses: u8,
    copies: u8,
    timeouts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The application of this side does something with its stream.
    Call(usize, Call),
    /// The datagram at this place among all on their way, the oldest first.
    Arrives(usize),
    IsLost(usize),
    /// It arrives, and will again.
    Copied(usize),
    /// Nothing comes until the next deadline.
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Write,
    Finish,
    Reset,
    Stop,
    Read,
}

/// What the steps led to.
#[derive(Debug)]
struct Scene {
    duo: Duo,
    flying: Vec<Flying>,
    left: Budget,
}

/// A state of the search: how to come there, and what tells it from others.
#[derive(Clone)]
struct State {
    path: Vec<Step>,
    print: u128,
    next: Vec<Step>,
    wrong: Option<String>,
}

impl Scene {
    fn new(world: &World) -> Result<Self, String> {
        let mut scene = Self {
            duo: Duo::new(world.setup),
            flying: Vec::new(),
            left: world.budget,
        };
        if world.established {
            scene.duo.open(DIALER);
            scene.duo.hosts[DIALER].write(0, BYTES);
            scene.calm()?;
            // Their story is told.
            scene
                .duo
                .hosts
                .iter_mut()
                .for_each(|host| host.streams.clear());
            scene.flying.clear();
        }
        if !scene.duo.open(DIALER) {
            return Err("no stream can be opened".into());
        }
        Ok(scene)
    }

    fn after(world: &World, path: &[Step]) -> Result<Self, String> {
        let mut scene = Self::new(world)?;
        path.iter().try_for_each(|step| scene.take(*step))?;
        Ok(scene)
    }

    fn next(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (side, host) in self.duo.hosts.iter().enumerate() {
            let Some(stream) = host.streams.first() else {
                continue;
            };
            let mut call = |call| steps.push(Step::Call(side, call));
            if stream.ended.is_none() {
                call(Call::Read);
            }
            if self.left.calls == 0 {
                continue;
            }
            let open = !stream.finished && stream.reset.is_none();
            if open {
                call(Call::Finish);
                if stream.wrote.is_empty() {
                    call(Call::Write);
                }
            }
            if stream.reset.is_none() {
                call(Call::Reset);
                if stream.stopped.is_none() {
                    call(Call::Stop);
                }
            }
        }
        for place in self.near() {
            steps.push(Step::Arrives(place));
            if self.left.losses > 0 {
                steps.push(Step::IsLost(place));
            }
            if self.left.copies > 0 {
                steps.push(Step::Copied(place));
            }
        }
        if self.left.timeouts > 0 && self.duo.next_deadline().is_some() {
            steps.push(Step::Timeout);
        }
        steps
    }

    /// What tells this state from others. In which order datagrams of different directions left makes no difference, nor when: that they
    /// arrive is a step. What the engines count for those who look at them decides nothing.
    fn fingerprint(&self) -> u128 {
        let towards = |to| {
            let all = self.flying.iter().filter(move |flying| flying.to == to);
            all.map(|flying| &flying.data).collect::<Vec<_>>()
        };
        let flying = [DIALER, ACCEPTOR].map(towards);
        let now = self.duo.now.as_nanos();
        let without = ["stats", "counts", "config", "shared"];
        fingerprint_at(&(&self.duo, flying, self.left), now, PATIENCE, &without)
    }

    /// The datagrams that may come next: of each direction the first few.
    fn near(&self) -> Vec<usize> {
        let mut near = Vec::new();
        for to in [DIALER, ACCEPTOR] {
            let places = (0..self.flying.len()).filter(|place| self.flying[*place].to == to);
            near.extend(places.take(self.left.near));
        }
        near
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Call(side, call) => self.call(side, call),
            Step::Arrives(place) => {
                let flying = self.flying.remove(place);
                self.duo.deliver(&flying);
            }
            Step::IsLost(place) => {
                self.left.losses -= 1;
                self.flying.remove(place);
            }
            Step::Copied(place) => {
                self.left.copies -= 1;
                let flying = self.flying[place].clone();
                self.duo.deliver(&flying);
            }
            Step::Timeout => {
                self.left.timeouts -= 1;
                if let Some(at) = self.duo.next_deadline() {
                    self.duo.pass(at);
                }
            }
        }
        self.send()
    }

    fn call(&mut self, side: usize, call: Call) {
        if call != Call::Read {
            self.left.calls -= 1;
        }
        let host = &mut self.duo.hosts[side];
        match call {
            Call::Write => host.write(0, BYTES),
            Call::Finish => host.finish(0),
            Call::Reset => host.reset(0, 10 + side as u32),
            Call::Stop => host.stop(0, 20 + side as u32),
            Call::Read => host.read(0),
        }
    }

    fn send(&mut self) -> Result<(), String> {
        let sent = self.duo.sent()?;
        self.flying.extend(sent);
        Ok(())
    }

    /// From here on the network delivers, and the applications finish and read what is open. Everything has to end, the same way
    /// on both sides.
    fn calm(&mut self) -> Result<(), String> {
        let end = self.duo.now + PATIENCE;
        self.send()?;
        for _ in 0..MOST_ROUNDS {
            for host in &mut self.duo.hosts {
                for stream in 0..host.streams.len() {
                    host.read(stream);
                    let AppStream {
                        finished, reset, ..
                    } = host.streams[stream];
                    if !finished && reset.is_none() {
                        host.finish(stream);
                    }
                }
            }
            let over = self.is_over();
            self.send()?;
            if over && self.flying.is_empty() {
                return self.agree();
            }
            let next = if self.flying.is_empty() {
                self.duo.next_deadline()
            } else {
                Some(self.duo.now + crate::duo::DELAY)
            };
            let next = next
                .filter(|next| *next <= end)
                .ok_or_else(|| format!("stuck: {:#?}", self.streams()))?;
            self.duo.pass(next);
            for flying in std::mem::take(&mut self.flying) {
                self.duo.deliver(&flying);
            }
            if !self.duo.is_alive() {
                return Err("a connection came to an end".into());
            }
        }
        Err("no end".into())
    }

    fn streams(&self) -> [&Vec<AppStream>; 2] {
        self.duo.hosts.each_ref().map(|host| &host.streams)
    }

    fn is_over(&mut self) -> bool {
        self.duo.hosts.iter_mut().all(|host| {
            (0..host.streams.len())
                .all(|stream| host.streams[stream].ended.is_some() && host.has_sent(stream))
        })
    }

    /// Who reads to the end has all that was written, and who is told a code has one that somebody gave.
    fn agree(&self) -> Result<(), String> {
        let [dialer, acceptor] = self.streams();
        if acceptor.len() > dialer.len() {
            return Err("a stream that nobody opened".into());
        }
        for (dialed, accepted) in dialer.iter().zip(acceptor) {
            agree(dialed, accepted).and_then(|()| agree(accepted, dialed))?;
        }
        // A stream that the acceptor never heard of was given up before anything of it was sent.
        let unheard = &dialer[acceptor.len()..];
        let untouched = |s: &AppStream| s.reset.is_none() && s.stopped.is_none();
        if unheard.iter().any(untouched) {
            return Err(format!("the acceptor never heard of {unheard:?}"));
        }
        Ok(())
    }
}

fn agree(reader: &AppStream, writer: &AppStream) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {reader:?} of {writer:?}"));
    if !writer.wrote.starts_with(&reader.read) {
        return wrong("bytes that were not written");
    }
    let own = [reader.reset, reader.stopped];
    let others = [writer.reset, writer.stopped];
    let given_up = own.iter().chain(&others).any(Option::is_some);
    match reader.ended {
        None => wrong("no end"),
        Some(Ended::End) if reader.read != writer.wrote => wrong("an end before the end"),
        Some(Ended::End) => Ok(()),
        Some(_) if !given_up => wrong("a reset out of nothing"),
        Some(Ended::Reset(code)) => {
            // What this side gave up itself it reads no more, without the peer's word for it.
            let known = own.iter().chain(&others).any(|given| *given == Some(code));
            let silent = code == 0 && own.iter().any(Option::is_some);
            if known || silent {
                Ok(())
            } else {
                wrong("a code that nobody gave")
            }
        }
        // It is forgotten: this side gave it up.
        Some(Ended::Closed) if own.iter().any(Option::is_some) => Ok(()),
        Some(Ended::Closed) => wrong("a stream was forgotten"),
    }
}

impl World {
    fn state(&self, path: Vec<Step>) -> State {
        match Scene::after(self, &path) {
            Ok(scene) => State {
                print: scene.fingerprint(),
                next: scene.next(),
                wrong: None,
                path,
            },
            // Nothing follows, and it is like no other.
            Err(wrong) => State {
                print: fingerprint(&path),
                next: Vec::new(),
                wrong: Some(wrong),
                path,
            },
        }
    }

    fn calm(&self, state: &State) -> Result<(), String> {
        if let Some(wrong) = &state.wrong {
            return Err(wrong.clone());
        }
        Scene::after(self, &state.path)?.calm()
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.state(Vec::new())]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend(&state.next);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut path = state.path.clone();
        path.push(step);
        let next = self.state(path);
        // A step that changes nothing leads nowhere.
        (next.print != state.print).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no rule is broken", |_, state: &State| {
                state.wrong.is_none()
            }),
            Property::always("all ends, and both ends agree", |world: &World, state| {
                world.calm(state).is_ok()
            }),
            // The search comes to what it is about.
            Property::sometimes(
                "one side resets, the other has read",
                |world: &World, state: &State| {
                    let Ok(scene) = Scene::after(world, &state.path) else {
                        return false;
                    };
                    let [dialer, acceptor] = scene.streams();
                    dialer.first().is_some_and(|s| s.reset.is_some())
                        && acceptor.first().is_some_and(|s| s.ended.is_some())
                },
            ),
        ]
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("path", &self.path)
            .field("wrong", &self.wrong)
            .finish()
    }
}

fn explore(version: Version, established: bool, budget: Budget, what: &str) -> Found {
    let begin = std::time::Instant::now();
    let world = World {
        setup: Setup {
            version,
            first_number: (1 << 32) - 2,
            first_position: if version == Version::V3 {
                (1 << 32) - 2
            } else {
                0
            },
        },
        established,
        budget,
    };
    // Two searchers, as there are two cores: what is found does not depend on it.
    let checker = world.checker().threads(2).spawn_bfs().join();
    let kind = if established { "old" } else { "new" };
    let name = format!("life of a stream, {what}, {kind} connection {version:?}");
    let found = Found {
        states: checker.unique_state_count() as u64,
        steps: checker.state_count() as u64,
        longest: checker.max_depth() as u64,
    };
    report(&name, usize::from(budget.calls), found, begin.elapsed());
    for name in ["no rule is broken", "all ends, and both ends agree"] {
        if let Some(path) = checker.discovery(name) {
            let state = path.last_state();
            let wrong = world.calm(state).err();
            panic!(
                "{world:?}: not so: {name}: {}\nafter {:?}",
                wrong.unwrap_or_default(),
                state.path
            );
        }
    }
    checker.assert_any_discovery("one side resets, the other has read");
    found
}

#[test]
fn a_stream_ends_whatever_happens_to_it() {
    let budget = Budget {
        calls: 1,
        near: 1,
        losses: 1,
        copies: 0,
        timeouts: 0,
    };
    for version in [Version::V3, Version::V2] {
        explore(version, false, budget, "a loss").at_least(1_400);
    }
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_a_stream_ends_whatever_happens_to_it() {
    let budget = Budget {
        calls: 1,
        near: 1,
        losses: 1,
        copies: 0,
        timeouts: 0,
    };
    // Together they are a thousand thousand states and more, of which each costs a millisecond: the lives of two engines.
    let waits = Budget {
        timeouts: 1,
        ..budget
    };
    let calls = Budget { calls: 2, ..budget };
    let overtakes = Budget {
        near: usize::MAX,
        ..budget
    };
    for version in [Version::V3, Version::V2] {
        for (established, least) in [(false, 30_000), (true, 8_500)] {
            explore(version, established, waits, "a loss and a timeout").at_least(least);
        }
        for (established, least) in [(false, 31_000), (true, 19_000)] {
            explore(version, established, calls, "two calls and a loss").at_least(least);
        }
        for established in [false, true] {
            let what = "a loss and any order";
            explore(version, established, overtakes, what).at_least(2_000);
        }
    }
}

/// A disagreement has to be seen as one.
#[test]
fn what_the_ends_say_is_compared() {
    let mut scene = Scene::new(&World {
        setup: Setup {
            version: Version::V3,
            first_number: 0,
            first_position: 0,
        },
        established: false,
        budget: Budget {
            calls: 9,
            near: 1,
            losses: 0,
            copies: 0,
            timeouts: 0,
        },
    })
    .expect("a scene");
    scene.take(Step::Call(DIALER, Call::Write)).expect("a step");
    scene.calm().expect("all is well");
    let stream = scene.duo.hosts[ACCEPTOR].streams[0].clone();
    assert_eq!((&stream.read[..], stream.ended), (BYTES, Some(Ended::End)));
    for spoil in [
        |stream: &mut AppStream| stream.read.push(1),
        |stream: &mut AppStream| stream.read.clear(),
        |stream: &mut AppStream| stream.ended = Some(Ended::Reset(7)),
        |stream: &mut AppStream| stream.ended = None,
    ] {
        scene.duo.hosts[ACCEPTOR].streams[0] = stream.clone();
        spoil(&mut scene.duo.hosts[ACCEPTOR].streams[0]);
        assert!(scene.agree().is_err());
    }
}
