//! What is measured, of any stack.

use std::time::{Duration, Instant as Wall};

use anyhow::{Result, bail, ensure};

use super::Settings;
use super::wire::Wire;
use crate::usage;

/// One stack, as its user sees it.
pub(crate) trait End: Sized {
    type Handle: Copy;

    /// `host` is 0 or 1: who dials, and who listens at the ports of [`port`].
    fn new(settings: Settings, host: usize) -> Result<Self>;
    fn dial(&mut self, now: Duration, index: usize) -> Result<Self::Handle>;
    /// Those that were dialed and are established now.
    fn accept(&mut self) -> Option<Self::Handle>;
    fn is_open(&self, handle: Self::Handle) -> bool;
    fn write(&mut self, handle: Self::Handle, octets: &[u8]) -> usize;
    /// How many octets there were; they are thrown away.
    fn read(&mut self, handle: Self::Handle, room: &mut [u8]) -> usize;
    /// The application is done with it.
    fn close(&mut self, now: Duration, handle: Self::Handle);
    /// Takes what arrived, does what is due, and sends what there is to send and room for. Whether anything moved.
    fn work(&mut self, now: Duration, arriving: &mut Wire, leaving: &mut Wire) -> bool;
    /// Octets of the heap that all connections hold, and what each is itself.
    fn memory(&self) -> usize;
}

/// Connections to one port at most: who dials has 16,384 ports of its own (RFC 6056 3.2).
pub(crate) const TO_A_PORT: usize = 10_000;

/// Where the connection of this number goes.
pub(crate) fn port(index: usize) -> u16 {
    7 + u16::try_from(index / TO_A_PORT).unwrap_or(0)
}

pub(crate) struct Bulk {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

pub(crate) struct Many {
    pub(crate) nanos: f64,
    pub(crate) memory: usize,
}

/// Octets of one write or read.
const CHUNK: usize = 64 << 10;

/// Packets in a device's ring.
const RING: usize = 64;

/// A measurement that stands still for so long is none.
const PATIENCE: Duration = Duration::from_secs(120);

struct Pair<E> {
    ends: [E; 2],
    there: Wire,
    back: Wire,
    epoch: Wall,
}

impl<E: End> Pair<E> {
    fn new(settings: Settings, ring: usize) -> Result<Self> {
        let largest = if settings.trains {
            usize::from(u16::MAX)
        } else {
            settings.mtu
        };
        Ok(Self {
            ends: [E::new(settings, 0)?, E::new(settings, 1)?],
            there: Wire::new(largest, ring),
            back: Wire::new(largest, ring),
            epoch: Wall::now(),
        })
    }

    fn now(&self) -> Duration {
        // No stack has to take the beginning of time.
        self.epoch.elapsed() + Duration::from_secs(1)
    }

    /// Lets both stacks work once.
    fn work(&mut self) -> bool {
        let now = self.now();
        let [one, other] = &mut self.ends;
        let moved = one.work(now, &mut self.back, &mut self.there);
        other.work(now, &mut self.there, &mut self.back) || moved
    }

    fn settle(&mut self) {
        while self.work() {}
    }

    fn connect(&mut self, index: usize) -> Result<[E::Handle; 2]> {
        let now = self.now();
        let dialed = self.ends[0].dial(now, index)?;
        loop {
            self.settle();
            if let Some(accepted) = self.ends[1].accept() {
                ensure!(self.ends[0].is_open(dialed), "one side is open");
                return Ok([dialed, accepted]);
            }
            self.check()?;
        }
    }

    fn check(&self) -> Result<()> {
        if self.epoch.elapsed() > PATIENCE {
            bail!("nothing happens any more");
        }
        Ok(())
    }
}

/// Moves octets one way and counts the processor time of it all.
pub(crate) fn bulk<E: End>(settings: Settings, bytes: u64) -> Result<Bulk> {
    let mut pair = Pair::<E>::new(settings, RING)?;
    let [dialed, accepted] = pair.connect(0)?;
    let chunk = vec![7; CHUNK];
    let mut room = vec![0; CHUNK];
    // The first tenth warms up: windows, caches and the pages of buffers.
    let (warm, total) = (bytes / 10, bytes + bytes / 10);
    let mut begin = None;
    let mut read = 0_u64;
    while read < total {
        if begin.is_none() && read >= warm {
            begin = Some((usage::cpu_time()?, read));
        }
        while pair.ends[0].write(dialed, &chunk) > 0 {}
        pair.work();
        loop {
            match pair.ends[1].read(accepted, &mut room) {
                0 => break,
                count => read += count as u64,
            }
        }
        pair.check()?;
    }
    let Some((cpu, from)) = begin else {
        bail!("too few octets to measure");
    };
    Ok(Bulk {
        bytes: read - from,
        time: usage::cpu_time()?.saturating_sub(cpu),
    })
}

/// Opens and closes connections, one after the other. How many per second of processor time.
pub(crate) fn opening<E: End>(settings: Settings, count: usize) -> Result<f64> {
    let mut pair = Pair::<E>::new(settings, RING)?;
    let cpu = usage::cpu_time()?;
    for index in 0..count {
        // Where a closed connection lingers, its port is not free.
        let [dialed, accepted] = pair.connect(index)?;
        let now = pair.now();
        pair.ends[0].close(now, dialed);
        pair.settle();
        pair.ends[1].close(now, accepted);
        pair.settle();
    }
    let spent = usage::cpu_time()?.saturating_sub(cpu);
    Ok(count as f64 / spent.as_secs_f64())
}

/// Octets for a connection of the side that accepts: idle after an exchange, and with a full receive buffer.
pub(crate) fn memory<E: End>(settings: Settings) -> Result<[usize; 2]> {
    let mut pair = Pair::<E>::new(settings, RING)?;
    let connections = (0..settings.connections)
        .map(|index| pair.connect(index))
        .collect::<Result<Vec<_>>>()?;
    let mut room = vec![0; CHUNK];
    for [dialed, accepted] in &connections {
        pair.ends[0].write(*dialed, &[1; 1000]);
        pair.settle();
        pair.ends[1].read(*accepted, &mut room);
        pair.settle();
    }
    // What is kept for a while after the last packet goes.
    std::thread::sleep(Duration::from_millis(2500));
    pair.settle();
    let idle = pair.ends[1].memory() / settings.connections;
    for [dialed, _] in &connections {
        while pair.ends[0].write(*dialed, &room) > 0 {
            pair.settle();
        }
    }
    pair.settle();
    Ok([idle, pair.ends[1].memory() / settings.connections])
}

/// What one exchange costs among so many connections, each time of another one.
pub(crate) fn many<E: End>(settings: Settings) -> Result<Many> {
    let count = settings.connections;
    let mut pair = Pair::<E>::new(settings, count + RING)?;
    let mut dialed = Vec::with_capacity(count);
    let mut accepted = Vec::with_capacity(count);
    for index in 0..count {
        let now = pair.now();
        dialed.push(pair.ends[0].dial(now, index)?);
        // Some at a time: a listener's queue has an end.
        if index % 1000 == 999 || index + 1 == count {
            pair.settle();
            accepted.extend(std::iter::from_fn(|| pair.ends[1].accept()));
        }
    }
    while accepted.len() < count {
        pair.settle();
        accepted.extend(std::iter::from_fn(|| pair.ends[1].accept()));
        pair.check()?;
    }
    std::thread::sleep(Duration::from_millis(1500));
    pair.settle();
    let memory = pair.ends[1].memory();
    let exchanges = (20_000_000 / (count + 100)).clamp(2000, 50_000);
    let mut room = [0; 64];
    let mut arrived = 0;
    let begin = usage::cpu_time()?;
    let mut place = 0;
    for _ in 0..exchanges {
        place = (place + 7919) % count;
        pair.ends[0].write(dialed[place], &[1]);
        pair.settle();
        if arrived % 64 == 0 {
            // Nobody reads each octet at once.
            for handle in &accepted[..accepted.len().min(4)] {
                pair.ends[1].read(*handle, &mut room);
            }
        }
        arrived += 1;
    }
    let spent = usage::cpu_time()?.saturating_sub(begin);
    Ok(Many {
        nanos: spent.as_secs_f64() * 1e9 / f64::from(arrived),
        memory,
    })
}
