//! Every packet of one run, for who wants to know where a figure comes from.

use std::io::{BufWriter, Write};

use anyhow::Result;
use gapless_udx::wire::{Datagram, Frame, Stream};
use smoltcp::wire::{Ipv4Packet, PrettyPrinter};

use crate::cell;
use crate::engine::{End, Kind};
use crate::path::{Path, SECOND};
use crate::world::{Seen, World};

/// One transport on one path.
#[derive(clap::Args)]
pub(crate) struct Trace {
    /// The transport
    #[arg(long, value_enum)]
    kind: Kind,
    /// Losses by chance in each direction, tenths of a percent
    #[arg(long, default_value_t = 0)]
    loss: u32,
    /// Round trip time, ms
    #[arg(long, default_value_t = 20)]
    rtt: u32,
    /// Rate of the bottleneck, Mbit/s
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Queue before it, percent of rate times round trip time
    #[arg(long, default_value_t = 100)]
    queue: u32,
    /// Virtual seconds
    #[arg(long, default_value_t = 1)]
    seconds: u64,
    /// Bytes that are sent [without end]
    #[arg(long)]
    bytes: Option<u64>,
    /// Another course of the same chances
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Trace {
    /// Prints a line for each packet sent and each arrived.
    pub(crate) fn run(&self) -> Result<()> {
        let path = Path {
            rate_mbit: self.rate,
            rtt_ms: self.rtt,
            queue_percent: self.queue,
            loss_permille: self.loss,
        };
        let (there, back) = path.profiles(self.seed)?;
        let mut world = World::new(&there, &back);
        let mut out = BufWriter::new(std::io::stdout());
        let kind = self.kind;
        world.set_trace(Box::new(move |seen| {
            // Who reads only the beginning closes the pipe.
            let _ = writeln!(out, "{}", line(kind, seen));
        }));
        let bytes = self.bytes.unwrap_or(u64::MAX >> 1);
        let flow = world.add(cell::transfer(kind, &path, false, bytes, 0, self.seed)?);
        world.run(self.seconds * SECOND, |world| {
            world.delivered(flow) >= bytes
        })?;
        let waits = world.waits();
        let (overflow, packets) = world.overflow();
        eprintln!(
            "{}, {}: {} bytes read in {:.3} s; {packets} packets sent, {overflow} found no room; waits of {:.1} ms, at most {:.1} ms",
            kind.name(),
            path.describe(),
            world.delivered(flow),
            world.now as f64 / SECOND as f64,
            waits.mean as f64 / 1e6,
            waits.longest as f64 / 1e6,
        );
        Ok(())
    }
}

fn line(kind: Kind, seen: &Seen<'_>) -> String {
    let way = match (seen.from, seen.arrived) {
        (End::Sender, false) => ">  ",
        (End::Sender, true) => "  >",
        (End::Receiver, false) => "  <",
        (End::Receiver, true) => "<  ",
    };
    let millis = seen.now as f64 / 1e6;
    format!("{millis:12.6} ms {way} {}", content(kind, seen))
}

fn content(kind: Kind, seen: &Seen<'_>) -> String {
    let size = format!("{:4} bytes", seen.packet.size);
    let bytes = &seen.packet.bytes;
    match kind {
        Kind::SmoltcpCubic | Kind::SmoltcpReno | Kind::Tcp | Kind::TcpBbr => {
            let packet = PrettyPrinter::<Ipv4Packet<&[u8]>>::new("", bytes).to_string();
            let segment = packet.lines().next_back().unwrap_or_default().trim();
            format!("{size} {segment}")
        }
        Kind::Cubic | Kind::NewReno | Kind::Bbr => match Datagram::decode(bytes) {
            Ok(Datagram::Packet(packet)) => {
                let frames: Vec<_> = packet.frames().map(frame).collect();
                let number = packet.header().number;
                format!("{size} {number:?} {}", frames.join(" "))
            }
            _ => size,
        },
        // Encrypted.
        Kind::QuinnCubic | Kind::QuinnNewReno | Kind::QuinnBbr => size,
    }
}

/// A frame without the bytes it carries.
fn frame(frame: Frame<'_>) -> String {
    match frame {
        Frame::Stream(Stream { offset, data, .. }) => {
            format!("data {offset}..{}", offset + data.len() as u64)
        }
        other => format!("{other:?}"),
    }
}
