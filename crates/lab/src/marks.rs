//! Which rare branches of the engines the runs took: a simulation that never took one says nothing about it.
//!
//! The engines count under their feature `marks`, which only the lab's own program and tests have; what they counted is
//! given to a [`MarkTally`] after each run, on the thread of the run.

use crate::peers::Kind;
use crate::peers::dart::Release;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// What kind of runs has to hit a mark. Each mark belongs to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkGroup {
    /// Two engines of ours over a bad path.
    Seeds,
    /// The same; but what is needed for it comes together only once in some thousand seeds.
    ManySeeds,
    /// An engine and the model of another implementation.
    Against(Kind),
    /// An engine and a peer that lies.
    Hostile,
    /// Two TCP stacks of ours, and perhaps a forger between them.
    Tcp,
    /// The same, once in some thousand seeds.
    TcpManySeeds,
    /// In loss recovery's or the sets' books, and what TCP never does, for this reason.
    NotTcp(&'static str),
}

/// What was counted of one mark.
#[derive(Clone, Copy, Debug)]
struct Entry {
    sentence: &'static str,
    /// How often the branch was taken.
    hits: u64,
    /// In how many runs, and the lowest seed of these.
    seeds: u64,
    first: Option<u64>,
}

/// The marks of all engines, summed over runs.
#[derive(Clone, Debug, Default)]
pub struct MarkTally {
    /// Of TCP's runs, instead of UDX's.
    is_tcp: bool,
    seeds: u64,
    /// By crate and name.
    entries: BTreeMap<(&'static str, &'static str), Entry>,
}

impl MarkGroup {
    /// The group of a mark.
    pub fn of(name: &str) -> Self {
        let listed = ELSEWHERE.iter().find(|(other, _)| *other == name);
        listed.map_or(Self::Seeds, |(_, group)| *group)
    }

    /// How many seeds have to hit all marks of the group: with fewer, a zero says nothing.
    pub fn least_seeds(self) -> u64 {
        match self {
            Self::Seeds => 4000,
            Self::ManySeeds | Self::TcpManySeeds => 50_000,
            Self::Against(_) => 1000,
            Self::Hostile | Self::Tcp => 2000,
            Self::NotTcp(_) => u64::MAX,
        }
    }
}

impl MarkTally {
    /// For TCP's runs.
    pub fn of_tcp() -> Self {
        Self {
            is_tcp: true,
            ..Self::default()
        }
    }

    /// A run of this seed is over.
    pub fn add_run(&mut self) {
        self.seeds += 1;
    }

    /// In the run of this seed, or in one of no seed, a mark of this crate was hit so often.
    pub fn add(
        &mut self,
        seed: Option<u64>,
        of: &'static str,
        name: &'static str,
        sentence: &'static str,
        hits: u64,
    ) {
        let entry = self.entries.entry((of, name)).or_insert(Entry {
            sentence,
            hits: 0,
            seeds: 0,
            first: None,
        });
        if hits > 0 {
            entry.hits += hits;
            entry.seeds += 1;
            entry.first = entry.first.into_iter().chain(seed).min();
        }
    }

    /// The marks of the group that no run has hit, if there were runs enough to say so.
    pub fn missing(&self, group: MarkGroup) -> Vec<&'static str> {
        if self.seeds < group.least_seeds() {
            return Vec::new();
        }
        let zero = |(&(of, name), entry): (&(&'static str, &'static str), &Entry)| {
            (entry.hits == 0 && self.group_of(of, name) == group).then_some(name)
        };
        self.entries.iter().filter_map(zero).collect()
    }

    /// Names in the list of groups that no engine has: a mark was renamed.
    pub fn unknown(&self) -> Vec<&'static str> {
        let known = |name: &str| self.entries.keys().any(|&(_, other)| other == name);
        let listed = if self.is_tcp { TCP } else { ELSEWHERE };
        let listed = listed.iter().map(|(name, _)| *name);
        listed.filter(|name| !known(name)).collect()
    }

    /// Marks that TCP never hits, and did.
    pub fn refuted(&self) -> Vec<&'static str> {
        let is_refuted = |(&(of, name), entry): (&(&'static str, &'static str), &Entry)| {
            let is_never = matches!(self.group_of(of, name), MarkGroup::NotTcp(_));
            (entry.hits > 0 && is_never).then_some(name)
        };
        self.entries.iter().filter_map(is_refuted).collect()
    }

    /// The group of a mark of this crate.
    fn group_of(&self, of: &str, name: &str) -> MarkGroup {
        if !self.is_tcp {
            return MarkGroup::of(name);
        }
        let listed = TCP.iter().find(|(other, _)| *other == name);
        listed
            .filter(|_| of != "tcp")
            .map_or(MarkGroup::Tcp, |(_, group)| *group)
    }
}

/// A line for each mark.
impl Display for MarkTally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12} {:>8} {:>8}  mark", "times", "seeds", "first")?;
        for ((of, name), entry) in &self.entries {
            let first = entry
                .first
                .map_or(String::from("-"), |seed| seed.to_string());
            let Entry {
                hits,
                seeds,
                sentence,
                ..
            } = entry;
            writeln!(
                f,
                "{hits:>12} {seeds:>8} {first:>8}  {of}::{name}: {sentence}"
            )?;
        }
        Ok(())
    }
}

/// The marks of other groups than [`MarkGroup::Seeds`].
const ELSEWHERE: &[(&str, MarkGroup)] = &[
    // Peers that tell only what came in order, and know no timestamps.
    ("TimeoutDisprovedByOrder", MarkGroup::Tcp),
    // Losses of BBR's probes that were none, rare orders of events, and long silences.
    ("BbrDrainTooLong", MarkGroup::ManySeeds),
    ("BbrProbeAgain", MarkGroup::ManySeeds),
    ("BbrProbeCautious", MarkGroup::ManySeeds),
    ("BbrProbeDone", MarkGroup::ManySeeds),
    ("BbrRateStale", MarkGroup::ManySeeds),
    ("BbrStartupUndone", MarkGroup::ManySeeds),
    ("BbrUpUndone", MarkGroup::ManySeeds),
    ("DataBlocked", MarkGroup::ManySeeds),
    ("DataBlockedReported", MarkGroup::ManySeeds),
    ("EarlyPacketsExpired", MarkGroup::ManySeeds),
    ("ForgottenAcked", MarkGroup::ManySeeds),
    ("NoAnswer", MarkGroup::ManySeeds),
    ("OpenBlocked", MarkGroup::ManySeeds),
    ("PtoWithNothingInFlight", MarkGroup::ManySeeds),
    ("SlowStartLeftByDelay", MarkGroup::ManySeeds),
    ("SpanUsedUp", MarkGroup::Hostile),
    ("StreamsOffered", MarkGroup::ManySeeds),
    ("WindowSaidEnough", MarkGroup::ManySeeds),
    // What is done for the sake of early Go.
    ("AckClipped", GO_EARLY),
    ("AckFrames", GO_EARLY),
    ("AckIsCredit", GO_EARLY),
    ("AckRepeated", GO_EARLY),
    ("RestDropped", GO_EARLY),
    ("StopSaidAsReset", GO_EARLY),
    ("SynAnswered", GO_EARLY),
    ("UnprovenAsked", GO_EARLY),
    ("WindowInsisted", GO_EARLY),
    ("WindowRepeated", GO_EARLY),
    // What late Go is known by.
    ("GoAsked", GO_LATE),
    ("GoIsLate", GO_LATE),
    ("OneSenderWaits", GO_LATE),
    // Numbers that only control packets had.
    ("NumberBurnt", DART_2_0_1),
    ("NumberPerhapsBurnt", DART_2_0_1),
    ("NumberProvenBurnt", DART_2_0_1),
    ("ListeningAnew", DART_2_0_1),
    ("ListeningBegun", DART_2_0_1),
    ("NumberPassedInSilence", DART_2_0_1),
    ("PeerIsDart", DART_2_0_1),
    ("NumberMissing", DART_1),
    // Lies, and limits that nobody reaches who keeps to them.
    ("AckAsked", MarkGroup::Hostile),
    ("AckOfUnsentRefused", MarkGroup::Hostile),
    ("AckedUnsent", MarkGroup::Hostile),
    ("AllowanceHoldsAck", MarkGroup::Hostile),
    ("BurntNumberCame", MarkGroup::Hostile),
    ("ChallengePreferred", MarkGroup::Hostile),
    ("ChallengesTooMany", MarkGroup::Hostile),
    ("ClosedForgotten", MarkGroup::Hostile),
    ("DataBeyondEnd", MarkGroup::Hostile),
    ("DataBeyondLimit", MarkGroup::Hostile),
    ("DisplacedAccepted", MarkGroup::Hostile),
    ("DisplacedWaiting", MarkGroup::Hostile),
    ("EarlyFinRefused", MarkGroup::Hostile),
    ("EarlyPacketRefused", MarkGroup::Hostile),
    ("EarlyPacketsEvicted", MarkGroup::Hostile),
    ("EndMoved", MarkGroup::Hostile),
    ("FirstPacketRefused", MarkGroup::Hostile),
    ("LogFull", MarkGroup::Hostile),
    ("LowRangeRefused", MarkGroup::Hostile),
    ("NumberGuessed", MarkGroup::Hostile),
    ("OrderBeyond", MarkGroup::Hostile),
    ("OrderBlocked", MarkGroup::Hostile),
    ("OrderFull", MarkGroup::Hostile),
    ("OrderUnblocked", MarkGroup::Hostile),
    ("OtherVersionIgnored", MarkGroup::Hostile),
    ("OverlapTrimmed", MarkGroup::Hostile),
    ("OvershootRefused", MarkGroup::Hostile),
    ("OvershootStored", MarkGroup::Hostile),
    ("PingNotAcknowledged", MarkGroup::Hostile),
    ("PingUnderZero", MarkGroup::Hostile),
    ("RefusalPostponed", MarkGroup::Hostile),
    ("StatelessLimited", MarkGroup::Hostile),
    ("StatelessResetTaken", MarkGroup::Hostile),
    ("StreamRefused", MarkGroup::Hostile),
    ("TooFragmented", MarkGroup::Hostile),
    ("UnprovenStreamsRefused", MarkGroup::Hostile),
    ("VersionRefused", MarkGroup::Hostile),
];

const GO_EARLY: MarkGroup = MarkGroup::Against(Kind::GoV2Early);
const GO_LATE: MarkGroup = MarkGroup::Against(Kind::GoV2Late);
const DART_2_0_1: MarkGroup = MarkGroup::Against(Kind::Dart(Release::V201));
const DART_1: MarkGroup = MarkGroup::Against(Kind::Dart(Release::Before200));

/// The marks of loss recovery and of the sets in TCP's runs, but for [`MarkGroup::Tcp`].
const TCP: &[(&str, MarkGroup)] = &[
    // Losses of BBR's probes that were none, books that are full, long rests and long searches.
    ("BbrChanceLoss", MarkGroup::TcpManySeeds),
    ("BbrDrainTooLong", MarkGroup::TcpManySeeds),
    ("BbrProbeAgain", MarkGroup::TcpManySeeds),
    ("BbrProbeCautious", MarkGroup::TcpManySeeds),
    ("BbrStartupLostTooMuch", MarkGroup::TcpManySeeds),
    ("BbrStartupUndone", MarkGroup::TcpManySeeds),
    ("CssLeft", MarkGroup::TcpManySeeds),
    ("CubicConvex", MarkGroup::TcpManySeeds),
    ("LogFull", MarkGroup::TcpManySeeds),
    ("MtuRefused", MarkGroup::TcpManySeeds),
    ("PtoWithNothingInFlight", MarkGroup::TcpManySeeds),
    ("ReorderingWindowForgotten", MarkGroup::TcpManySeeds),
    ("SlowStartLeftByDelay", MarkGroup::TcpManySeeds),
    ("AckDelayLong", NO_DELAY),
    (
        "AckOfUnsentRefused",
        MarkGroup::NotTcp("a segment is judged before (R3)"),
    ),
    ("BooksBegunAnew", ONE_DIALECT),
    (
        "LostButSentAgain",
        MarkGroup::NotTcp("of a record only the newest transmission counts (RFC 8985 6.1)"),
    ),
    ("LowestRangeDropped", NO_RANGES),
    ("LowRangeRefused", NO_RANGES),
    ("MtuLowered", ONE_PATH),
    ("NumberSkipped", ALL_ARRIVE),
    ("OldPathLost", ONE_PATH),
    ("OnceLost", ALL_ARRIVE),
    ("PathChanged", ONE_PATH),
    ("PingsExpired", ALL_ARRIVE),
    ("RecordAbandoned", ALL_ARRIVE),
    ("ResentFresh", ONE_DIALECT),
];

const NO_DELAY: MarkGroup = MarkGroup::NotTcp("an acknowledgment does not say how long it waited");
const NO_RANGES: MarkGroup = MarkGroup::NotTcp("what is behind holes has a set of its own");
const ONE_DIALECT: MarkGroup = MarkGroup::NotTcp("numbers are octets, and come again");
const ONE_PATH: MarkGroup =
    MarkGroup::NotTcp("a connection is its addresses, and moves to no others");
const ALL_ARRIVE: MarkGroup = MarkGroup::NotTcp("whatever has a number has to arrive");
