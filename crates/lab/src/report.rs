//! What came of a run.

use crate::app::StreamOutcome;
use crate::peers::Kind;
use crate::plan::{SECOND, Time};
use gapless_link::Counters;
use gapless_udx::Stats;
use std::fmt::{self, Display, Formatter};

/// What is checked. The numbers are those of the design's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// 1: every byte is delivered once and in order, or both sides learn of an error.
    Delivery,
    /// 2: what every minted number carried is acknowledged, or still in the sent log; and all else that the engine knows of its
    /// own books.
    Books,
    /// 3: once the path delivers again, progress follows.
    Progress,
    /// 4: memory stays under its bound.
    Memory,
    /// 5: what is in flight never exceeds what congestion and flow control allow.
    InFlight,
    /// 6: other polling delivers the same bytes.
    Polling,
    /// 7: an advertised limit never moves back.
    Window,
    /// 8: only what was received is acknowledged.
    Acknowledgement,
    /// 9: at one instant a bounded number of packets, and then a deadline in the future.
    Timers,
    /// A packet that the specification does not allow.
    Wire,
    /// The engine panicked.
    Panic,
    /// A third party slowed, ended or moved a connection that it has no part in.
    Harm,
    /// An address that never proved itself was sent more than three times what came from it.
    Amplification,
    /// A packet cost more than a bounded amount of work.
    Work,
    /// A path that is fit for it was not used, or less than it could be.
    Speed,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When.
    pub at: Time,
    /// By whose engine, if that is known.
    pub host: Option<usize>,
    /// What happened.
    pub detail: String,
}

/// What a run that broke no rule came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// How long it took, in virtual time.
    pub lasted: Time,
    /// When the last stream was over, if all came to be.
    pub streams_over: Option<Time>,
    /// How long it took until both sides knew of the end.
    pub learned_within: Option<Time>,
    /// The connection ended in an error that could not be helped: V18 left our side nothing to send, and a model nothing to say.
    pub given_up: bool,
    /// It was cut off ([`crate::Scenario::steps_at_most`]).
    pub cut_off: bool,
    /// The longest time in the calm in which nothing happened while something was left to do.
    pub longest_wait: Time,
    /// The same without what was intended ([`crate::Scenario::rests`]), in thousandths of the engines' longest probe timeout meanwhile.
    pub longest_stall: u64,
    /// Steps of the simulation: wakes of a host.
    pub steps: u64,
    /// What each link did, dialer's first.
    pub links: [Counters; 2],
    /// Most bytes that each engine held.
    pub memory: [usize; 2],
    /// What each engine said of its connection at last.
    pub engines: [Stats; 2],
    /// Most bytes that each engine held in silences longer than the run's patience, with a connection alive.
    pub at_rest: [usize; 2],
    /// What each application saw of each stream.
    pub outcomes: [Vec<Option<StreamOutcome>>; 2],
}

/// What a seed was run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Two UDX engines of ours.
    Udx,
    /// A UDX engine of ours and the model of another implementation.
    Against(Kind),
    /// A UDX engine of ours and a peer that lies.
    Hostile,
    /// Two TCP stacks of ours.
    Tcp,
    /// A TCP stack of ours and another one, by name.
    TcpAgainst(&'static str),
}

/// A seed whose run broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Of what runs.
    pub runs: Runs,
    /// What it broke.
    pub violation: Violation,
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Self::Delivery => "1: every byte once and in order, or an error on both sides",
            Self::Books => "2: what a number carried is acknowledged or in the sent log",
            Self::Progress => "3: progress once the path delivers again",
            Self::Memory => "4: memory under its bound",
            Self::InFlight => "5: in flight only what congestion and flow control allow",
            Self::Polling => "6: the same bytes however it is polled",
            Self::Window => "7: a limit never moves back",
            Self::Acknowledgement => "8: only what was received is acknowledged",
            Self::Timers => "9: bounded work at one instant, then a deadline in the future",
            Self::Wire => "packets as the specification says",
            Self::Panic => "no panic",
            Self::Harm => "others' connections are left alone",
            Self::Amplification => "at most three times to whom is not proven",
            Self::Work => "bounded work for each packet",
            Self::Speed => "what the path allows is used",
        }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let who = match self.host {
            Some(0) => " by the dialer",
            Some(_) => " by the acceptor",
            None => "",
        };
        write!(
            f,
            "broken{who} at {}: ({}): {}",
            Seconds(self.at),
            self.rule.name(),
            self.detail
        )
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            runs,
            violation,
        } = self;
        write!(
            f,
            "seed {seed}: {violation}\n    replay: cargo xtask lab {runs}--seed {seed} --log"
        )
    }
}

/// The options of `cargo xtask lab` for them, each with a space behind it.
impl Display for Runs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udx => Ok(()),
            Self::Against(kind) => write!(f, "--against {kind} "),
            Self::Hostile => write!(f, "--hostile "),
            Self::Tcp => write!(f, "--tcp "),
            Self::TcpAgainst(name) => write!(f, "--tcp --against {name} "),
        }
    }
}

impl std::error::Error for Violation {}
impl std::error::Error for Failure {}

/// A time as people read it.
pub(crate) struct Seconds(pub(crate) Time);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0 / SECOND, self.0 % SECOND);
        write!(f, "{seconds}.{:06} s", rest / 1000)
    }
}
