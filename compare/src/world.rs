//! Virtual time: transfers that share a bottleneck.

use anyhow::{Result, bail};
use gapless_link::{Link, Profile};

use crate::engine::{End, Packet, Time, Transfer};

/// One transfer in the world.
pub(crate) struct Flow {
    pub(crate) transfer: Box<dyn Transfer>,
    /// When both ends look next, because they said so.
    wake: Time,
}

/// Both directions of a path and who uses it.
pub(crate) struct World {
    pub(crate) now: Time,
    there: Link<Underway>,
    back: Link<Underway>,
    flows: Vec<Flow>,
    /// Of the data's direction.
    delay: Time,
    travel: Travel,
}

#[derive(Clone, Debug)]
struct Underway {
    flow: usize,
    sent_at: Time,
    packet: Packet,
}

/// How long data packets were underway.
#[derive(Clone, Copy, Debug, Default)]
struct Travel {
    packets: u64,
    nanos: u64,
}

/// A transport that does so many rounds of work at one instant goes round in circles.
const MAX_ROUNDS: u32 = 100_000;

impl World {
    pub(crate) fn new(there: &Profile, back: &Profile) -> Self {
        World {
            now: 0,
            there: Link::new(there, 0),
            back: Link::new(back, 1),
            flows: Vec::new(),
            delay: u64::try_from(there.delay.as_nanos()).unwrap_or(u64::MAX),
            travel: Travel::default(),
        }
    }

    /// Adds a transfer that begins now; its number.
    pub(crate) fn add(&mut self, transfer: Box<dyn Transfer>) -> usize {
        let wake = self.now;
        self.flows.push(Flow { transfer, wake });
        self.flows.len() - 1
    }

    pub(crate) fn delivered(&self, flow: usize) -> u64 {
        self.flows[flow].transfer.delivered()
    }

    /// Nanoseconds that a data packet waited in the queue and at the bottleneck, on average.
    pub(crate) fn mean_wait(&self) -> u64 {
        let mean = self.travel.nanos / self.travel.packets.max(1);
        mean.saturating_sub(self.delay)
    }

    /// Packets lost in the bottleneck's queue, of all that were sent there.
    pub(crate) fn overflow(&self) -> (u64, u64) {
        let counters = self.there.counters();
        (counters.queue_dropped, counters.offered)
    }

    /// Goes on until `done` or `end`; whether it was done.
    pub(crate) fn run(&mut self, end: Time, mut done: impl FnMut(&World) -> bool) -> Result<bool> {
        let (mut at, mut rounds) = (self.now, 0);
        while self.now <= end {
            for flow in 0..self.flows.len() {
                if self.flows[flow].wake <= self.now {
                    self.work(flow)?;
                }
            }
            if done(self) {
                return Ok(true);
            }
            let next = self.next_time().max(self.now);
            if next == at {
                rounds += 1;
                if rounds > MAX_ROUNDS {
                    bail!("a transport goes round in circles at {} ns", self.now);
                }
            } else {
                (at, rounds) = (next, 0);
            }
            if next > end {
                break;
            }
            self.now = next;
            self.deliver()?;
        }
        self.now = end;
        Ok(done(self))
    }

    fn next_time(&self) -> Time {
        let flows = self.flows.iter().map(|flow| flow.wake);
        let links = [self.there.next_delivery(), self.back.next_delivery()];
        flows
            .chain(links.into_iter().flatten())
            .min()
            .unwrap_or(Time::MAX)
    }

    fn deliver(&mut self) -> Result<()> {
        while let Some(arrived) = self.there.poll(self.now) {
            let Underway {
                flow,
                sent_at,
                packet,
            } = arrived.tag;
            self.travel.packets += 1;
            self.travel.nanos += self.now - sent_at;
            self.flows[flow]
                .transfer
                .handle(End::Receiver, self.now, &packet)?;
            self.flows[flow].wake = self.now;
        }
        while let Some(arrived) = self.back.poll(self.now) {
            let Underway { flow, packet, .. } = arrived.tag;
            self.flows[flow]
                .transfer
                .handle(End::Sender, self.now, &packet)?;
            self.flows[flow].wake = self.now;
        }
        Ok(())
    }

    /// Lets both ends of a flow do all they can now.
    fn work(&mut self, flow: usize) -> Result<()> {
        let mut out = Vec::new();
        loop {
            let transfer = &mut self.flows[flow].transfer;
            for end in [End::Sender, End::Receiver] {
                if transfer.deadline(end).is_some_and(|at| at <= self.now) {
                    transfer.handle_timeout(end, self.now)?;
                }
            }
            transfer.act(self.now)?;
            let mut sent = false;
            transfer.transmit(End::Sender, self.now, &mut out)?;
            for packet in out.drain(..) {
                sent = true;
                send(&mut self.there, self.now, flow, packet);
            }
            transfer.transmit(End::Receiver, self.now, &mut out)?;
            for packet in out.drain(..) {
                sent = true;
                send(&mut self.back, self.now, flow, packet);
            }
            if !sent {
                break;
            }
        }
        let transfer = &mut self.flows[flow].transfer;
        let deadlines = [
            transfer.deadline(End::Sender),
            transfer.deadline(End::Receiver),
        ];
        let earliest = deadlines.into_iter().flatten().min().unwrap_or(Time::MAX);
        // An engine that asks for a time that has come was asked already.
        self.flows[flow].wake = earliest.max(self.now + 1);
        Ok(())
    }
}

fn send(link: &mut Link<Underway>, sent_at: Time, flow: usize, packet: Packet) {
    // The link counts sizes; the bytes travel beside.
    let shown = vec![0; packet.size];
    let underway = Underway {
        flow,
        sent_at,
        packet,
    };
    link.send(sent_at, &shown, underway);
}
