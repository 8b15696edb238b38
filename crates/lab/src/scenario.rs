//! Scenarios out of a seed or out of bytes: every number is drawn, in ranges that networks, applications and callers really have,
//! and the ends of those ranges more often than chance would give them.

mod hosts;
mod path;
mod streams;

use crate::bounds;
use crate::choices::{Choices, Draw, MOST};
use crate::peers::Kind;
use crate::plan::{Ending, HostPlan, MS, Manners, SECOND, Scenario, StreamPlan, Time};
use gapless_link::Profile;
use gapless_udx::{EndpointConfig, Limits, VersionChoice};
use std::ops::Range;
use std::time::Duration;

impl Scenario {
    /// The scenario of a seed. The same on every platform.
    pub fn from_seed(seed: u64) -> Self {
        draw(Draw::from_seed(seed), None).0
    }

    /// The scenario that these bytes decide on: [`Self::choices`] of it, or any others.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        draw(Draw::from_bytes(bytes), None).0
    }

    /// The scenario of a seed with a peer of that kind: it dials in every second one. Half of the paths lose packets.
    pub fn against(kind: Kind, seed: u64) -> Self {
        draw(Draw::from_seed(seed), Some((kind, seed))).0
    }

    /// The scenario that these bytes decide on, with a peer of that kind.
    pub fn against_from_bytes(kind: Kind, bytes: &[u8]) -> Self {
        draw(Draw::from_bytes(bytes), Some((kind, 0))).0
    }

    /// The decisions that give this scenario again: [`Self::from_bytes`], or [`Self::against_from_bytes`] if a model is in it. Of one
    /// that was changed after it was drawn, they are those of the one that was drawn; of one that was not drawn, none.
    pub fn choices(&self) -> &[u8] {
        self.choices.bytes()
    }

    /// The same run with the engines polled in another way, if the scenario asks for it: it has to deliver the same bytes.
    #[must_use]
    pub fn with_other_manners(&self) -> Option<Self> {
        let mut other = self.clone();
        for (host, manners) in other.hosts.iter_mut().zip(self.other_manners?) {
            host.manners = manners;
        }
        other.other_manners = None;
        Some(other)
    }

    /// A scenario without chance: these streams, over this path in both directions, polled well.
    pub fn plain(seed: u64, path: &Profile, streams: Vec<StreamPlan>) -> Self {
        let faults = [path.clone(), path.clone()];
        let config = EndpointConfig::default();
        let host = HostPlan {
            memory_bound: memory_bound(&config.limits, streams.len()),
            manners: Manners::GOOD,
            config,
            model: None,
        };
        Self {
            seed,
            // The path never gets better: all has to come through as it is.
            calm: faults.clone(),
            patience: bounds::patience(&faults, &streams, 4, 0),
            rests: bounds::longest_rest(&streams),
            round_trip: bounds::round_trip(&faults),
            finish_within: Time::MAX,
            faults,
            calm_from: 0,
            hosts: [host.clone(), host],
            streams,
            routes: Vec::new(),
            moves: Vec::new(),
            ending: Ending::Close { host: 0 },
            other_manners: None,
            check_every: 1,
            optimist: false,
            copyist: false,
            closes_both: false,
            restart: None,
            steps_at_most: None,
            choices: Choices::default(),
        }
    }

    /// The same with another choice of the wire version.
    #[must_use]
    pub fn speaking(mut self, choice: VersionChoice) -> Self {
        for host in &mut self.hosts {
            host.config.connection.version = choice;
        }
        self
    }

    /// The same with streams and numbers that begin there, as if much had gone before.
    #[must_use]
    pub fn beginning_at(mut self, position: u64, number: u64) -> Self {
        for host in &mut self.hosts {
            host.config.connection.first_position = position;
            host.config.connection.first_number = number;
        }
        self
    }
}

/// A scenario, and which of its decisions belong together. `against`: with a peer of that kind; a seed also decides by its number.
pub(crate) fn draw(
    mut draw: Draw<'_>,
    against: Option<(Kind, u64)>,
) -> (Scenario, Vec<Range<usize>>) {
    let mut scenario = scenario(&mut draw);
    if let Some((kind, seed)) = against {
        scenario.fit(kind, seed, &mut draw);
    }
    let (choices, spans) = draw.end();
    scenario.choices = choices;
    (scenario, spans)
}

fn scenario(draw: &mut Draw<'_>) -> Scenario {
    // The order is by weight: who shrinks a scenario tries the first decisions first.
    let streams = draw.streams();
    let calm_from = draw.between(200 * MS, 12 * SECOND);
    let ending = draw.ending(calm_from);
    let moves = draw.moves(calm_from);
    let seed = draw.below(MOST) << 16 | draw.below(MOST);
    let (faults, routes, calm) = draw.paths(seed, calm_from);
    let mut hosts = draw.hosts(&streams, calm_from);
    let other_manners = draw
        .one_in(POLLED_TWICE)
        .then(|| [draw.manners(calm_from), draw.manners(calm_from)]);
    let manners = hosts.iter().map(|host| host.manners);
    let manners: Vec<Manners> = manners.chain(other_manners.into_iter().flatten()).collect();
    let lateness = bounds::lateness(&faults, &routes, &manners);
    let timeouts = 1 + u64::from(bounds::narrows(&faults, &routes, &calm));
    let mut patience = bounds::patience(&calm, &streams, timeouts, lateness);
    let mut rests = bounds::longest_rest(&streams) + lateness;
    if !moves.is_empty() {
        // Who moved and has nothing to say is found again by his keep-alive; who moved twice, once the address before is given up.
        let asks = draw.between(SECOND, 10 * SECOND);
        hosts[0].config.connection.keep_alive = Some(Duration::from_nanos(asks));
        patience += asks + CANDIDATE_LIFETIME;
        rests += asks + CANDIDATE_LIFETIME;
    }
    let transfer = bounds::transfer(&calm, &streams, &manners);
    Scenario {
        seed,
        patience,
        rests,
        round_trip: bounds::round_trip(&calm),
        finish_within: patience + transfer,
        faults,
        routes,
        calm_from,
        calm,
        hosts,
        moves,
        ending,
        streams,
        other_manners,
        check_every: 1,
        optimist: false,
        copyist: false,
        closes_both: false,
        restart: None,
        steps_at_most: None,
        choices: Choices::default(),
    }
}

impl Draw<'_> {
    fn moves(&mut self, calm_from: Time) -> Vec<Time> {
        let count =
            |random: &mut gapless_link::Random| [0, 0, 0, 0, 0, 0, 1, 2][random.below(8) as usize];
        let mut moves = self.some(MOST_MOVES, count, |draw| draw.between(0, calm_from));
        moves.sort_unstable();
        moves
    }

    pub(crate) fn ending(&mut self, calm_from: Time) -> Ending {
        let kind = self.proposed(3, |random| match random.below(12) {
            0 => 1,
            1 => 2,
            _ => 0,
        });
        let host = self.below(2) as usize;
        match kind {
            0 => Ending::Close { host },
            1 => Ending::Abort {
                host,
                at: self.between(0, calm_from),
            },
            _ => Ending::Vanish {
                host,
                at: self.between(0, calm_from),
            },
        }
    }
}

/// The arithmetic of [`Limits`], for one connection with so many streams.
pub fn memory_bound(limits: &Limits, streams: usize) -> usize {
    const BASE: usize = 512 * 1024;
    /// The protocol's window, two blocks and the books of ranges.
    const PER_STREAM: usize = (64 + 2 * 16 + 16) * 1024;
    const PER_RECORD: usize = 256;
    let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    BASE.saturating_add(bytes(limits.send_buffer))
        .saturating_add(bytes(limits.receive_growth))
        .saturating_add(limits.early_bytes)
        .saturating_add(limits.max_records.saturating_mul(PER_RECORD))
        .saturating_add(streams.saturating_mul(PER_STREAM))
}

/// One in so many scenarios is run a second time under other manners.
const POLLED_TWICE: u64 = 8;
const MOST_MOVES: usize = 2;
/// An engine asks one new address at a time whether the peer is there, for so long (UDX 11).
pub(crate) const CANDIDATE_LIFETIME: Time = 5 * SECOND;
