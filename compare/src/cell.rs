//! One measurement: a transport, a path, and what it delivered.

use anyhow::{Result, bail};
use gapless_link::Profile;
use gapless_udx::Algorithm;

use crate::engine::{Kind, Time, Transfer};
use crate::ours::Udx;
use crate::quinn::Quinn;
use crate::world::World;

pub(crate) const SECOND: Time = 1_000_000_000;
pub(crate) const MS: Time = 1_000_000;

/// A path of the table.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Path {
    /// Tenths of a percent of the datagrams lost by chance, in each direction.
    pub(crate) loss_permille: u32,
    /// Round trip time, ms.
    pub(crate) rtt_ms: u32,
    /// Mbit/s.
    pub(crate) rate_mbit: u32,
    /// The queue, in hundredths of what the path holds (rate times round trip time).
    pub(crate) queue_percent: u32,
}

/// The least queue, bytes: ten full packets, below which no window could be sent at all.
const LEAST_QUEUE: u64 = 15_000;

impl Path {
    /// The data's direction. The way back has neither bottleneck nor queue.
    pub(crate) fn profiles(&self) -> Result<(Profile, Profile)> {
        let loss = f64::from(self.loss_permille) / 10.0;
        let half = f64::from(self.rtt_ms) / 2.0;
        let base = format!("loss={loss}%,delay={half}ms,seed=1");
        let there = format!(
            "{base},rate={}mbit,queue={}b",
            self.rate_mbit,
            self.queue_bytes()
        );
        Ok((there.parse()?, base.parse()?))
    }

    /// Rate times round trip time, bytes.
    pub(crate) fn bdp(&self) -> u64 {
        u64::from(self.rate_mbit) * 1_000_000 / 8 * u64::from(self.rtt_ms) / 1000
    }

    fn queue_bytes(&self) -> u64 {
        (self.bdp() * u64::from(self.queue_percent) / 100).max(LEAST_QUEUE)
    }

    /// Bytes per second that a full path delivers, headers included.
    pub(crate) fn capacity(&self) -> u64 {
        u64::from(self.rate_mbit) * 1_000_000 / 8
    }
}

/// A transfer of `bytes` that begins at `now`.
fn transfer(kind: Kind, bytes: u64, now: Time, seed: u64) -> Result<Box<dyn Transfer>> {
    Ok(match kind {
        Kind::Cubic => Box::new(Udx::new(Algorithm::Cubic, bytes, now, seed)?),
        Kind::NewReno => Box::new(Udx::new(Algorithm::NewReno, bytes, now, seed)?),
        Kind::Bbr => Box::new(Udx::new(Algorithm::Bbr, bytes, now, seed)?),
        Kind::QuinnCubic => Box::new(Quinn::new(false, bytes, now, seed)?),
        Kind::QuinnBbr => Box::new(Quinn::new(true, bytes, now, seed)?),
    })
}

/// What a bulk transfer reached.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Goodput {
    /// Bytes per second of the whole run, opening included.
    pub(crate) rate: u64,
    /// Mean wait in the queue and at the bottleneck.
    pub(crate) wait: Time,
    /// Packets lost for want of room, per mille.
    pub(crate) overflow_permille: u64,
}

impl Goodput {
    /// Of the path's rate, headers included.
    pub(crate) fn percent(&self, path: &Path) -> f64 {
        self.rate as f64 * 100.0 / path.capacity() as f64
    }
}

/// Sends as much as goes through in `time`.
pub(crate) fn goodput(kind: Kind, path: &Path, time: Time, seed: u64) -> Result<Goodput> {
    let (there, back) = path.profiles()?;
    let mut world = World::new(&there, &back);
    let bytes = u64::MAX >> 1;
    let flow = world.add(transfer(kind, bytes, 0, seed)?);
    world.run(time, |_| false)?;
    let delivered = world.delivered(flow);
    let rate = u128::from(delivered) * u128::from(SECOND) / u128::from(time);
    let (overflow, offered) = world.overflow();
    Ok(Goodput {
        rate: u64::try_from(rate)?,
        wait: world.mean_wait(),
        overflow_permille: overflow * 1000 / offered.max(1),
    })
}

/// How long `bytes` take from the first packet to the last byte read.
pub(crate) fn time_to_deliver(kind: Kind, path: &Path, bytes: u64, seed: u64) -> Result<Time> {
    let (there, back) = path.profiles()?;
    let mut world = World::new(&there, &back);
    let flow = world.add(transfer(kind, bytes, 0, seed)?);
    let limit = 600 * SECOND;
    if !world.run(limit, |world| world.delivered(flow) >= bytes)? {
        bail!("{} did not deliver {bytes} bytes in 600 s", kind.name());
    }
    Ok(world.now)
}

/// What each of several transfers gets of one bottleneck, bytes per second in the last half of `time`. They begin one after the
/// other, a tenth of the time apart.
pub(crate) fn shares(kinds: &[Kind], path: &Path, time: Time, seed: u64) -> Result<Vec<u64>> {
    let (there, back) = path.profiles()?;
    let mut world = World::new(&there, &back);
    let mut flows = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let seed = seed.wrapping_add(index as u64 * 1000);
        flows.push(world.add(transfer(*kind, u64::MAX >> 1, world.now, seed)?));
        world.run(time / 10 * (index as u64 + 1), |_| false)?;
    }
    world.run(time / 2, |_| false)?;
    let before: Vec<u64> = flows.iter().map(|flow| world.delivered(*flow)).collect();
    world.run(time, |_| false)?;
    let span = time / 2;
    Ok(flows
        .iter()
        .zip(before)
        .map(|(flow, before)| {
            let bytes = u128::from(world.delivered(*flow) - before);
            u64::try_from(bytes * u128::from(SECOND) / u128::from(span)).unwrap_or(u64::MAX)
        })
        .collect())
}
