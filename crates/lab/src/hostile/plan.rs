//! What one hostile run consists of, drawn from its seed.

use super::app::{Greed, draw_greed};
use super::peer::VERSIONS;
use super::tricks::Trick;
use crate::plan::{MS, Time};
use gapless_link::{Profile, Queue, Random, Share};
use gapless_udx::{EndpointConfig, Limits, Version, VersionChoice};
use std::time::Duration;

/// How the hostile peer acknowledges what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckManner {
    Never,
    /// Each packet by itself.
    Each,
    /// Everything up to it, received or not.
    All,
    /// The same, twice, and late by its own account.
    Twice,
}

/// How it answers challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Never,
    Here,
    Wrong,
    /// From another address of its own.
    Elsewhere,
}

/// The attack.
#[derive(Clone, Debug)]
pub(crate) struct HostilePlan {
    pub(super) seed: u64,
    pub(super) tricks: Vec<Trick>,
    pub(super) versions: &'static [u32],
    pub(super) acks: AckManner,
    pub(super) answers: Answers,
    /// Connections it keeps at once.
    pub(super) connections: usize,
    /// It answers who dials it.
    pub(super) listens: bool,
    pub(super) begins: Time,
    /// Longest time between two tricks.
    pub(super) gap: Time,
    /// Datagrams it sends at most by its own will.
    pub(super) shots: u64,
}

/// One run: the attack, and what is attacked.
#[derive(Clone, Debug)]
pub(crate) struct HostileScenario {
    pub(super) seed: u64,
    pub(super) attack: HostilePlan,
    /// The victim's settings.
    pub(super) config: EndpointConfig,
    /// What the victim's application makes of strangers.
    pub(super) greed: Greed,
    /// The path between the honest sides, in both directions.
    pub(super) path: Profile,
    /// The path from the hostile side.
    pub(super) hostile_path: Profile,
    /// Streams, bytes there and bytes back of the honest transfers: the one that the victim dials, and the one it accepts.
    pub(super) transfers: [(usize, u64, u64); 2],
    /// When the honest side dials.
    pub(super) dials_at: Time,
    /// Connections that the victim makes to the hostile side.
    pub(super) lured: usize,
    /// More first packets come in a round trip than the victim's limits allow for: then honest sides may be kept out.
    pub(super) overrun: bool,
    /// In which version the honest sides dial.
    pub(super) version: VersionChoice,
}

impl HostileScenario {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut draw = Draw(Random::for_purpose(seed, 500));
        let path = draw.path(seed);
        let hostile_path = Profile {
            delay: Duration::from_micros(draw.between(0, 20_000)),
            reorder: Share::from_millionths(draw.pick(&[0, 0, 100_000])),
            seed,
            ..Profile::default()
        };
        let overrun = draw.0.below(8) == 0;
        Self {
            seed,
            overrun,
            version: draw.pick(&[
                VersionChoice::Only(Version::V3),
                VersionChoice::Only(Version::V3),
                VersionChoice::Only(Version::V2),
                VersionChoice::Discover,
            ]),
            attack: draw.attack(seed),
            config: draw.config(overrun),
            greed: draw_greed(&mut draw.0),
            hostile_path,
            transfers: [draw.transfer(&path), draw.transfer(&path)],
            path,
            dials_at: draw.between(0, 200) * MS,
            lured: draw.pick(&[0, 0, 1, 3]),
        }
    }

    /// Whether the honest path takes nothing away: then the attack may not cost the honest sides any time.
    pub(super) fn is_clean(&self) -> bool {
        self.path.queue.is_some()
    }
}

struct Draw(Random);

impl Draw {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.between(low, high)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.below(from.len() as u64) as usize]
    }

    fn path(&mut self, seed: u64) -> Profile {
        let dirty = self.0.below(4) == 0;
        let percent = |share| Share::from_millionths(share * 10_000);
        Profile {
            delay: Duration::from_micros(self.pick(&[500, 5_000, 20_000, 50_000])),
            rate: Some(self.pick(&[2_000_000, 5_000_000, 10_000_000])),
            // So large that nothing is lost in it: what is lost there, and when, is chance, and not the attacker's doing.
            queue: (!dirty).then_some(Queue::Bytes(16 << 20)),
            loss: percent(if dirty { self.between(0, 3) as u32 } else { 0 }),
            reorder: percent(if dirty { self.between(0, 3) as u32 } else { 0 }),
            seed,
            ..Profile::default()
        }
    }

    /// What takes some tenths of a second, so that a millisecond is no large part of it.
    fn transfer(&mut self, path: &Profile) -> (usize, u64, u64) {
        let streams = self.pick(&[1, 1, 2, 5]);
        let millis = self.between(200, 500);
        let bytes = path.rate.unwrap_or(0) / 8 * millis / 1000 / streams as u64;
        (streams, bytes, self.between(0, 2) * bytes / 2)
    }

    fn attack(&mut self, seed: u64) -> HostilePlan {
        let count = self.pick(&[1, 2, 3, 6, Trick::ALL.len()]);
        let tricks = if count == Trick::ALL.len() {
            Trick::ALL.to_vec()
        } else {
            (0..count).map(|_| self.pick(&Trick::ALL)).collect()
        };
        HostilePlan {
            seed,
            tricks,
            versions: self.pick(&VERSIONS),
            acks: self.pick(&[
                AckManner::Each,
                AckManner::Each,
                AckManner::All,
                AckManner::Twice,
                AckManner::Never,
            ]),
            answers: self.pick(&[
                Answers::Here,
                Answers::Here,
                Answers::Here,
                Answers::Never,
                Answers::Wrong,
                Answers::Elsewhere,
            ]),
            connections: self.pick(&[1, 2, 8]),
            listens: self.0.below(8) != 0,
            begins: self.between(0, 50) * MS,
            gap: self.pick(&[MS / 10, MS, 5 * MS]),
            shots: self.pick(&[300, 1_000, 3_000]),
        }
    }

    fn config(&mut self, overrun: bool) -> EndpointConfig {
        let mut config = EndpointConfig {
            reset_secret: (self.0.below(2) == 0).then_some([7; 32]),
            accept_versions: vec![Version::V3, Version::V2],
            ..EndpointConfig::default()
        };
        // Small, so that every bound is reached; an honest side alone needs less.
        config.limits = Limits {
            max_connections: if overrun {
                self.pick(&[32, 256])
            } else {
                5_000
            },
            accept_backlog: if overrun {
                self.pick(&[16, 256])
            } else {
                4_000
            },
            half_open: if overrun {
                self.pick(&[16, 256])
            } else {
                4_000
            },
            max_streams: self.pick(&[16, 128, 1_024]),
            receive_growth: self.pick(&[1 << 16, 1 << 20, 4 << 20]),
            max_stream_window: self.pick(&[1 << 17, 1 << 20, 16 << 20]),
            send_buffer: self.pick(&[1 << 18, 1 << 20]),
            max_records: self.pick(&[500, 4_000]),
            early_bytes: self.pick(&[10_000, 1 << 20]),
            early_ids: self.pick(&[8, 256]),
            closed_ids: self.pick(&[64, 16_384]),
            ..config.limits
        };
        // No draw of its own. An honest side is mixed with others here, so that both ways with suspected numbers are taken.
        config.connection.streams_are_authenticated = overrun || config.reset_secret.is_some();
        config.connection.keep_alive =
            (self.0.below(3) != 0).then(|| Duration::from_millis(self.between(300, 10_000)));
        config
    }
}
