//! TCP as an engine beside smoltcp's: two stacks in one thread, joined by memory. What an octet, a connection and a packet cost in both stacks
//! together, and what connections weigh.

mod measure;
mod ours;
mod theirs;
mod wire;

use std::fmt::Write;

use anyhow::Result;
use clap::Args;

use crate::usage;
use measure::Bulk;
use ours::Ours;
use theirs::Theirs;

#[derive(Args)]
pub(crate) struct Options {
    /// Megabytes of each transfer.
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Rounds of the whole table; medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Core to keep to.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Only this part: `bulk`, `open`, `memory` or `many`.
    #[arg(long)]
    only: Option<String>,
    /// Only this MTU of `bulk`.
    #[arg(long)]
    mtu: Option<usize>,
    /// Only our stack, for a profiler.
    #[arg(long)]
    ours: bool,
    /// The largest number of connections.
    #[arg(long, default_value_t = 100_000)]
    most: usize,
}

/// What the stacks are told alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Octets of the largest packet.
    pub(crate) mtu: usize,
    /// Whether the device carries segments as they were written together, without cutting them up. smoltcp knows no such device.
    pub(crate) trains: bool,
    /// Whether checksums are computed and looked at, or a device does both.
    pub(crate) checksums: bool,
    /// Octets of each buffer.
    pub(crate) buffer: usize,
    /// For many small exchanges: no Nagle, no delay of acknowledgments.
    pub(crate) prompt: bool,
    pub(crate) connections: usize,
}

const MTUS: [usize; 3] = [1500, 9000, 65_535];

/// Connections at which one packet is measured. smoltcp looks at every socket for every packet, so that the largest number would take it hours.
const MANY: [usize; 4] = [10, 1000, 10_000, 100_000];
const MANY_OF_THEIRS: usize = 10_000;

pub(crate) fn run(options: &Options) -> Result<()> {
    usage::pin(options.core)?;
    let wants = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    if wants("bulk") {
        print!("{}", bulk(options)?);
    }
    if wants("open") {
        print!("{}", opening(options)?);
    }
    if wants("memory") {
        print!("{}", memory(options)?);
    }
    if wants("many") {
        print!("{}", many(options)?);
    }
    Ok(())
}

impl Options {
    /// What smoltcp's figure is, if it is wanted.
    fn theirs(&self, measure: impl FnOnce() -> Result<f64>) -> Result<f64> {
        if self.ours { Ok(f64::NAN) } else { measure() }
    }
}

/// Medians over the rounds, each of the measurements in turn.
fn rounds<const N: usize>(
    options: &Options,
    mut measurements: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[f64; N]> {
    let mut figures = [const { Vec::new() }; N];
    for _ in 0..options.rounds.max(1) {
        for (figures, measure) in figures.iter_mut().zip(&mut measurements) {
            figures.push(measure()?);
        }
    }
    Ok(figures.map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    }))
}

fn bulk(options: &Options) -> Result<String> {
    let mut text = String::from(
        "\nMegabytes per second of processor time, both stacks in one thread\n\n\
         |    MTU | checksums | gapless TCP | with trains |  smoltcp | ratio | with trains |\n\
         |-------:|-----------|------------:|------------:|---------:|------:|------------:|\n",
    );
    let wants = |mtu: &usize| options.mtu.is_none_or(|only| only == *mtu);
    for mtu in MTUS.into_iter().filter(wants) {
        for checksums in [true, false] {
            let settings = Settings {
                mtu,
                trains: false,
                checksums,
                buffer: 1 << 20,
                prompt: false,
                connections: 2,
            };
            let bytes = options.megabytes * 1_000_000;
            let rate = |bulk: Bulk| bulk.bytes as f64 / 1e6 / bulk.time.as_secs_f64();
            let coupled = Settings {
                trains: true,
                ..settings
            };
            let [ours, trains, theirs] = rounds(
                options,
                [
                    &mut || measure::bulk::<Ours>(settings, bytes).map(rate),
                    &mut || measure::bulk::<Ours>(coupled, bytes).map(rate),
                    &mut || options.theirs(|| measure::bulk::<Theirs>(settings, bytes).map(rate)),
                ],
            )?;
            let who = if checksums { "computed" } else { "offloaded" };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {mtu:>6} | {who:<9} | {ours:>11.0} | {trains:>11.0} | {theirs:>8.0} | {:>5.2} | {:>11.2} |",
                ours / theirs,
                trains / theirs
            );
        }
    }
    Ok(text)
}

fn opening(options: &Options) -> Result<String> {
    let settings = Settings {
        mtu: 1500,
        trains: false,
        checksums: true,
        buffer: 4096,
        prompt: true,
        connections: 60_000,
    };
    let [ours, theirs] = rounds(
        options,
        [
            &mut || measure::opening::<Ours>(settings, 20_000),
            &mut || options.theirs(|| measure::opening::<Theirs>(settings, 20_000)),
        ],
    )?;
    Ok(format!(
        "\nConnections opened and closed, one after the other, per second of processor time: gapless {ours:.0}, smoltcp {theirs:.0}\n"
    ))
}

fn memory(options: &Options) -> Result<String> {
    let mut text = String::from(
        "\nOctets of memory for each connection of one stack\n\n\
         |              | gapless TCP |  smoltcp |\n\
         |--------------|------------:|---------:|\n",
    );
    let settings = Settings {
        mtu: 1500,
        trains: false,
        checksums: true,
        buffer: 64 << 10,
        prompt: true,
        connections: 1000,
    };
    let ours = measure::memory::<Ours>(settings)?;
    let theirs = if options.ours {
        [0; 2]
    } else {
        measure::memory::<Theirs>(settings)?
    };
    for (name, ours, theirs) in [
        ("idle", ours[0], theirs[0]),
        ("64 KiB unread", ours[1], theirs[1]),
    ] {
        let _ = writeln!(text, "| {name:<13} | {ours:>10} | {theirs:>8} |");
    }
    Ok(text)
}

fn many(options: &Options) -> Result<String> {
    let mut text = String::from(
        "\nNanoseconds of processor time for a packet of one octet and its acknowledgment, in both stacks together\n\n\
         | connections | gapless TCP |  smoltcp | gapless: megabytes of one stack |\n\
         |------------:|------------:|---------:|--------------------------------:|\n",
    );
    for connections in MANY.into_iter().filter(|many| *many <= options.most) {
        let settings = Settings {
            mtu: 1500,
            trains: false,
            checksums: true,
            buffer: 1024,
            prompt: true,
            connections,
        };
        let ours = measure::many::<Ours>(settings)?;
        let theirs = if options.ours || connections > MANY_OF_THEIRS {
            None
        } else {
            Some(measure::many::<Theirs>(settings)?)
        };
        let theirs = theirs.map_or("-".to_owned(), |theirs| format!("{:.0}", theirs.nanos));
        let _ = writeln!(
            text,
            "| {connections:>11} | {:>11.0} | {theirs:>8} | {:>31.1} |",
            ours.nanos,
            ours.memory as f64 / 1e6
        );
    }
    Ok(text)
}
