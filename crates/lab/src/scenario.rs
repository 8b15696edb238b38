//! Scenarios out of a seed: every number is drawn, in ranges that networks, applications and callers really have, and the ends
//! of those ranges more often than chance would give them.

use crate::app::NAME_BYTES;
use crate::bounds;
use crate::plan::{
    DirectionPlan, Ending, HostPlan, MS, Manners, Pause, ReadPlan, SECOND, Scenario, Start,
    StreamPlan, Time, WriteEnd, WritePlan,
};
use gapless_link::{Blackout, Profile, Queue, Random, Share};
use gapless_udx::{Algorithm, EndpointConfig, Limits, Version, VersionChoice};
use std::time::Duration;

impl Scenario {
    /// The scenario of a seed. The same on every platform.
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw(Random::for_purpose(seed, 1));
        let calm_from = draw.between(200 * MS, 12 * SECOND);
        let there = draw.faults(seed, calm_from);
        let mut back = if draw.one_in(3) {
            there.clone()
        } else {
            draw.faults(seed, calm_from)
        };
        let poisoned = draw.one_in(20);
        let mut faults = [there, back.clone()];
        if poisoned {
            faults.iter_mut().for_each(|profile| draw.poison(profile));
            back.checksum = false;
        }
        let mut calm = faults.each_ref().map(calm);
        if draw.one_in(12) {
            // Another route, on which large packets vanish without a word (RFC 8899: a black hole).
            let mtu = draw.between(LEAST_MTU, 1500) as u16;
            for profile in &mut calm {
                profile.mtu = Some(profile.mtu.map_or(mtu, |before| before.min(mtu)));
            }
        }
        let streams = draw.streams();
        let moves = draw.moves(calm_from);
        let mut hosts = draw.hosts(&streams);
        let mut patience = bounds::patience(&calm, &streams, 1);
        if !moves.is_empty() {
            // Who moved and has nothing to say is found again by his keep-alive; who moved twice, once the address before is given up.
            let asks = draw.between(SECOND, 10 * SECOND);
            hosts[0].config.connection.keep_alive = Some(Duration::from_nanos(asks));
            patience += asks + CANDIDATE_LIFETIME;
        }
        draw_version(seed, &mut hosts);
        let transfer = bounds::transfer(&calm, &streams, &hosts);
        Self {
            seed,
            patience,
            finish_within: patience + transfer,
            faults,
            calm_from,
            calm,
            hosts,
            moves,
            ending: draw.ending(calm_from),
            streams,
            check_every: 1,
        }
    }

    /// The same run with the engines polled in another way: it has to deliver the same bytes.
    #[must_use]
    pub fn with_other_manners(&self) -> Self {
        let mut draw = Draw(Random::for_purpose(self.seed, 2));
        let mut other = self.clone();
        for host in &mut other.hosts {
            host.manners = draw.manners();
        }
        other
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
            patience: bounds::patience(&faults, &streams, 4),
            finish_within: Time::MAX,
            faults,
            calm_from: 0,
            hosts: [host.clone(), host],
            streams,
            moves: Vec::new(),
            ending: Ending::Close { host: 0 },
            check_every: 1,
        }
    }
}

/// In which wire version the hosts speak, and where their streams begin. Drawn apart from all else: whatever the version,
/// a seed has the same path and the same streams.
fn draw_version(seed: u64, hosts: &mut [HostPlan; 2]) {
    let mut draw = Draw(Random::for_purpose(seed, 3));
    let both = vec![Version::V3, Version::V2];
    let (choice, accepted) = match draw.0.below(10) {
        0..=3 => (VersionChoice::Only(Version::V3), both),
        4..=5 => (VersionChoice::Discover, both),
        6..=8 => (VersionChoice::Only(Version::V2), both),
        // The dialer is told by a version negotiation.
        _ => (VersionChoice::Discover, vec![Version::V2]),
    };
    let first_position = draw.pick(&[0, 0, 1 << 31, 1 << 32, 1 << 40]);
    let first_position = u64::saturating_sub(first_position, draw.between(0, 100_000));
    for host in hosts {
        host.config.connection.version = choice;
        host.config.connection.first_position = first_position;
        host.config.accept_versions.clone_from(&accepted);
    }
}

impl Scenario {
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

/// What the path is once it delivers again: as far and as narrow as before, but nothing is lost except where too much comes.
fn calm(faults: &Profile) -> Profile {
    Profile {
        delay: faults.delay,
        jitter: faults.jitter / 4,
        rate: faults.rate,
        mtu: faults.mtu,
        ..Profile::default()
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

/// What every datagram may be from the beginning: 1200 bytes and their headers.
const LEAST_MTU: u64 = 1228;
/// An engine asks one new address at a time whether the peer is there, for so long (UDX 11).
const CANDIDATE_LIFETIME: Time = 5 * SECOND;

struct Draw(Random);

impl Draw {
    fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.between(low, high)
    }

    /// Each power of two between as likely as another.
    fn scaled(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let steps = u64::from((high / low).max(1).ilog2());
        let base = low << self.0.between(0, steps);
        self.0.between(base, (base * 2).min(high))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.below(from.len() as u64) as usize]
    }

    fn share(&mut self, up_to_percent: u32) -> Share {
        Share::from_millionths(self.between(0, u64::from(up_to_percent) * 10_000) as u32)
    }

    fn faults(&mut self, seed: u64, calm_from: Time) -> Profile {
        let up_to = self.pick(&[0, 200 * 1000, 2 * MS, 20 * MS, 100 * MS, 300 * MS]);
        let delay = self.between(up_to / 2, up_to);
        let rate = match self.0.below(4) {
            0 => None,
            _ => Some(self.scaled(1_000_000, 1_000_000_000)),
        };
        let loss = match self.0.below(6) {
            0 => Share::NONE,
            1..=3 => self.share(5),
            4 => self.share(20),
            _ => self.share(45),
        };
        let burst = (self.one_in(3) && loss != Share::NONE).then(|| self.between(1, 30) as u32);
        Profile {
            loss,
            burst,
            delay: Duration::from_nanos(delay),
            jitter: if self.one_in(2) {
                Duration::ZERO
            } else {
                Duration::from_nanos(self.between(0, delay))
            },
            reorder: if self.one_in(2) {
                Share::NONE
            } else {
                self.share(20)
            },
            duplicate: if self.one_in(2) {
                Share::NONE
            } else {
                self.share(20)
            },
            corrupt: if self.one_in(2) {
                Share::NONE
            } else {
                self.share(3)
            },
            truncate: if self.one_in(3) {
                self.share(3)
            } else {
                Share::NONE
            },
            rate,
            queue: rate.and(self.queue()),
            mtu: self.mtu(),
            blackouts: self.blackouts(calm_from),
            checksum: true,
            seed,
        }
    }

    fn queue(&mut self) -> Option<Queue> {
        match self.0.below(3) {
            0 => None,
            1 => Some(Queue::Time(Duration::from_nanos(
                self.between(MS, 300 * MS),
            ))),
            _ => Some(Queue::Bytes(self.scaled(3_000, 1 << 20))),
        }
    }

    fn mtu(&mut self) -> Option<u16> {
        match self.0.below(3) {
            0 => Some(self.between(LEAST_MTU, 1500) as u16),
            _ => None,
        }
    }

    /// Shorter than any idle timeout.
    fn blackouts(&mut self, calm_from: Time) -> Vec<Blackout> {
        let count = self.pick(&[0, 0, 0, 1, 1, 2]);
        (0..count)
            .map(|_| Blackout {
                from: Duration::from_nanos(self.between(0, calm_from)),
                length: Duration::from_nanos(self.scaled(10 * MS, 8 * SECOND)),
            })
            .collect()
    }

    fn poison(&mut self, profile: &mut Profile) {
        profile.checksum = false;
        profile.corrupt = self.share(30);
        profile.truncate = self.share(10);
        profile.loss = self.share(2);
        profile.burst = None;
    }

    fn streams(&mut self) -> Vec<StreamPlan> {
        let count = match self.0.below(8) {
            0..=2 => 1,
            3..=5 => self.between(2, 5),
            6 => self.between(6, 12),
            // More than may be open at once, now and then.
            _ if self.one_in(8) => self.between(100, 300),
            _ => self.between(13, 60),
        };
        let budget = self.scaled(1_000, 200_000);
        let mut streams: Vec<StreamPlan> = Vec::new();
        for index in 0..count {
            let start = if index > 0 && self.one_in(3) {
                Start::After(self.0.below(index) as usize)
            } else {
                Start::At(if self.one_in(2) {
                    0
                } else {
                    self.between(0, 3 * SECOND)
                })
            };
            let share = budget * 2 / count;
            streams.push(self.stream(start, share));
        }
        streams
    }

    fn stream(&mut self, start: Start, share: u64) -> StreamPlan {
        let mut plan = StreamPlan {
            opener: usize::from(self.one_in(3)),
            start,
            there: self.direction(share),
            back: self.direction(share),
        };
        let least = NAME_BYTES as u64;
        plan.there.write.bytes = plan.there.write.bytes.max(least);
        match self.0.below(5) {
            // An echo, or messages in turns: the opener leads.
            0 => {
                plan.back.write.bytes = plan.there.write.bytes;
                plan.back.write.lead = Some(0);
                plan.there.write.lead = self.one_in(2).then(|| self.scaled(16, 8192).max(least));
            }
            // The answer comes after the whole question.
            1 => plan.back.write.after_end = true,
            _ => {}
        }
        if self.one_in(8) {
            self.abort(&mut plan);
        }
        plan
    }

    fn direction(&mut self, share: u64) -> DirectionPlan {
        let bytes = if self.one_in(6) {
            self.between(0, 20)
        } else {
            self.between(0, share)
        };
        let high = self.scaled(1, 70_000) as usize;
        let low = if self.one_in(2) {
            high
        } else {
            self.between(1, high as u64) as usize
        };
        // Tiny pieces of much would only take time.
        let floor = (bytes / 500) as usize;
        DirectionPlan {
            write: WritePlan {
                bytes,
                piece: (low.max(floor).max(1), high.max(floor).max(1)),
                pause: self.pause(bytes),
                lead: None,
                after_end: false,
                finish_delay: if self.one_in(4) {
                    self.scaled(MS, SECOND)
                } else {
                    0
                },
                end: WriteEnd::Finish,
            },
            read: ReadPlan {
                size: self.scaled(1_000, 70_000) as usize,
                pause: self.pause(bytes),
                delay: if self.one_in(5) {
                    self.scaled(MS, 2 * SECOND)
                } else {
                    0
                },
                stop: None,
            },
        }
    }

    /// At most some tens of rests, and in sum at most a few seconds.
    fn pause(&mut self, bytes: u64) -> Option<Pause> {
        self.one_in(4).then(|| Pause {
            every: (bytes / self.between(1, 30)).max(1),
            time: self.scaled(MS / 10, 200 * MS),
        })
    }

    fn abort(&mut self, plan: &mut StreamPlan) {
        let code = self.between(1, 1000) as u32;
        let direction = if self.one_in(2) {
            &mut plan.there
        } else {
            &mut plan.back
        };
        if self.0.below(2) == 0 {
            direction.write.end = WriteEnd::Reset(code);
        } else {
            let after = self.0.below(direction.write.bytes + 1);
            direction.read.stop = Some((after, code));
        }
    }

    fn hosts(&mut self, streams: &[StreamPlan]) -> [HostPlan; 2] {
        let first_number = self.first_number();
        [(); 2].map(|()| {
            let mut config = self.config();
            config.connection.first_number = first_number;
            HostPlan {
                memory_bound: memory_bound(&config.limits, streams.len()),
                manners: self.manners(),
                config,
                model: None,
            }
        })
    }

    /// Half of them begin where something wraps, or shortly before.
    fn first_number(&mut self) -> u64 {
        let edge = self.pick(&[0, 0, 0, 1_u64 << 31, 1 << 32, 1 << 16]);
        edge.saturating_sub(self.between(0, 150))
    }

    fn config(&mut self) -> EndpointConfig {
        let mut config = EndpointConfig::default();
        let connection = &mut config.connection;
        connection.algorithm = self.pick(&[
            Algorithm::Cubic,
            Algorithm::Cubic,
            Algorithm::NewReno,
            Algorithm::Bbr,
        ]);
        connection.pacing = !self.one_in(4);
        connection.mtu_search = !self.one_in(4);
        if self.one_in(3) {
            connection.initial_stream_window = self.scaled(1 << 16, 1 << 22);
        }
        if self.one_in(3) {
            connection.max_in_flight = self.scaled(1 << 16, 1 << 22);
        }
        if self.one_in(4) {
            connection.keep_alive = None;
        }
        let limits = &mut config.limits;
        if self.one_in(2) {
            limits.send_buffer = self.scaled(2_000, 1 << 20);
        }
        if self.one_in(2) {
            limits.receive_growth = self.scaled(1, 1 << 20);
        }
        if self.one_in(2) {
            // Not below what the protocol promises to a peer that was not told otherwise (UDX 8.5).
            limits.max_streams = 128;
        }
        if self.one_in(3) {
            limits.max_segments = self.scaled(1, 64) as usize;
        }
        config
    }

    fn manners(&mut self) -> Manners {
        if self.one_in(3) {
            return Manners::GOOD;
        }
        Manners {
            late: if self.one_in(2) {
                0
            } else {
                self.scaled(MS / 100, 50 * MS)
            },
            early: self.one_in(4).then(|| self.scaled(MS, 500 * MS)),
            twice: self.one_in(3),
            receive_wait: if self.one_in(2) {
                0
            } else {
                self.scaled(MS / 100, 30 * MS)
            },
            coalesce: self.one_in(2),
            send_after_each: self.one_in(3),
            buffer: self.pick(&[1500, 1500, 3000, 10_000, 64 * 1024]),
            batches: self.pick(&[1, 2, 10, usize::MAX, usize::MAX]),
            transmit_wait: if self.one_in(2) {
                0
            } else {
                self.scaled(MS / 100, 5 * MS)
            },
            application_first: self.one_in(3),
            impatient: self.one_in(4),
        }
    }

    fn moves(&mut self, calm_from: Time) -> Vec<Time> {
        let count = self.pick(&[0, 0, 0, 0, 0, 0, 1, 2]);
        let mut moves: Vec<Time> = (0..count).map(|_| self.between(0, calm_from)).collect();
        moves.sort_unstable();
        moves
    }

    fn ending(&mut self, calm_from: Time) -> Ending {
        let host = self.0.below(2) as usize;
        let at = self.between(0, calm_from);
        match self.0.below(12) {
            0 => Ending::Abort { host, at },
            1 => Ending::Vanish { host, at },
            _ => Ending::Close { host },
        }
    }
}
