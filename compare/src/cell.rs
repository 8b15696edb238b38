//! One measurement: transports, a path, and what they delivered.

use anyhow::{Result, bail};
use gapless_udx::Algorithm;
use smoltcp::socket::tcp::CongestionControl;

use crate::engine::{Kind, Time, Transfer};
use crate::ours::Udx;
use crate::path::{Path, SECOND};
use crate::quinn::{Control, Quinn};
use crate::smoltcp::Smoltcp;
use crate::tcp::Tcp;
use crate::world::{Waits, World};

/// A transfer of `bytes` that begins at `now`. To a `known` peer, what a program remembers of an earlier connection shortens the opening:
/// its version, or a session of TLS. TCP remembers nothing.
pub(crate) fn transfer(
    kind: Kind,
    path: &Path,
    known: bool,
    bytes: u64,
    now: Time,
    seed: u64,
) -> Result<Box<dyn Transfer>> {
    let window = path.window();
    let udx = |algorithm| Udx::new(algorithm, window, known, bytes, now, seed);
    let quinn = |control| Quinn::new(control, window, known, bytes, now, seed);
    let smoltcp = |control| {
        let buffer = usize::try_from(window)?;
        Smoltcp::new(control, buffer, bytes, now, seed)
    };
    let tcp = |algorithm| Tcp::new(algorithm, window, bytes, now, seed);
    Ok(match kind {
        Kind::Cubic => Box::new(udx(Algorithm::Cubic)?),
        Kind::NewReno => Box::new(udx(Algorithm::NewReno)?),
        Kind::Bbr => Box::new(udx(Algorithm::Bbr)?),
        Kind::QuinnCubic => Box::new(quinn(Control::Cubic)?),
        Kind::QuinnNewReno => Box::new(quinn(Control::NewReno)?),
        Kind::QuinnBbr => Box::new(quinn(Control::Bbr)?),
        Kind::SmoltcpCubic => Box::new(smoltcp(CongestionControl::Cubic)?),
        Kind::SmoltcpReno => Box::new(smoltcp(CongestionControl::Reno)?),
        Kind::Tcp => Box::new(tcp(Algorithm::Cubic)?),
        Kind::TcpBbr => Box::new(tcp(Algorithm::Bbr)?),
    })
}

/// What a bulk transfer reached.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Bulk {
    /// Bytes that were read, opening included.
    pub(crate) delivered: u64,
    /// Of these, in the second half of the time.
    pub(crate) delivered_late: u64,
    pub(crate) time: Time,
    pub(crate) waits: Waits,
    /// Data packets that were sent.
    pub(crate) packets: u64,
    /// Of these, lost for want of room in the queue.
    pub(crate) overflow: u64,
    /// Whether the transport gave its connection up before the time was over.
    pub(crate) over: bool,
}

impl Bulk {
    /// Of the path's rate, headers included.
    pub(crate) fn percent(&self, path: &Path) -> f64 {
        share(self.delivered, self.time, path)
    }

    /// The same of the second half.
    pub(crate) fn late_percent(&self, path: &Path) -> f64 {
        share(self.delivered_late, self.time / 2, path)
    }
}

fn share(bytes: u64, time: Time, path: &Path) -> f64 {
    let seconds = time as f64 / SECOND as f64;
    bytes as f64 * 100.0 / seconds / path.capacity() as f64
}

/// Sends as much as goes through in `time`.
pub(crate) fn bulk(kind: Kind, path: &Path, time: Time, seed: u64) -> Result<Bulk> {
    let (there, back) = path.profiles(seed)?;
    let mut world = World::new(&there, &back);
    let flow = world.add(transfer(kind, path, false, ENDLESS, 0, seed)?);
    world.run(time / 2, |_| false)?;
    let early = world.delivered(flow);
    world.run(time, |_| false)?;
    let (overflow, packets) = world.overflow();
    Ok(Bulk {
        delivered: world.delivered(flow),
        delivered_late: world.delivered(flow) - early,
        time,
        waits: world.waits(),
        packets,
        overflow,
        over: world.is_over(flow),
    })
}

/// How long a short transfer took.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Short {
    /// From the dial until the last byte is read.
    pub(crate) whole: Time,
    /// Until the sender's data might leave: the opening.
    pub(crate) opening: Time,
}

/// Dials and sends `bytes`.
pub(crate) fn short(kind: Kind, path: &Path, known: bool, bytes: u64, seed: u64) -> Result<Short> {
    let (there, back) = path.profiles(seed)?;
    let mut world = World::new(&there, &back);
    let flow = world.add(transfer(kind, path, known, bytes, 0, seed)?);
    if !world.run(PATIENCE, |world| world.delivered(flow) >= bytes)? {
        bail!("{} did not deliver {bytes} bytes in 600 s", kind.name());
    }
    Ok(Short {
        whole: world.now,
        opening: world.opened(flow).unwrap_or_default(),
    })
}

/// Parts of the time of competing transfers for which it is noted what each delivered.
pub(crate) const SAMPLES: u64 = 60;

/// What each of several transfers gets of one bottleneck: bytes in each of the parts of `time`. They begin one after the other, a tenth
/// of the time apart.
pub(crate) fn compete(
    kinds: &[Kind],
    path: &Path,
    time: Time,
    seed: u64,
) -> Result<Vec<[u64; SAMPLES as usize]>> {
    let (there, back) = path.profiles(seed)?;
    let mut world = World::new(&there, &back);
    let mut before = vec![0; kinds.len()];
    let mut shares = vec![[0; SAMPLES as usize]; kinds.len()];
    for sample in 0..SAMPLES {
        let begun = world.transfers();
        if let Some(kind) = kinds.get(begun)
            && sample == begun as u64 * SAMPLES / 10
        {
            let seed = seed.wrapping_add(begun as u64 * 1000);
            world.add(transfer(*kind, path, false, ENDLESS, world.now, seed)?);
        }
        world.run(time / SAMPLES * (sample + 1), |_| false)?;
        for flow in 0..world.transfers() {
            let delivered = world.delivered(flow);
            shares[flow][sample as usize] = delivered - before[flow];
            before[flow] = delivered;
        }
    }
    Ok(shares)
}

/// More than any path carries in the time.
const ENDLESS: u64 = u64::MAX >> 1;
/// How long a short transfer may take.
const PATIENCE: Time = 600 * SECOND;
