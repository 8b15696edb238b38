//! Virtual time: transfers that share a bottleneck.

use anyhow::{Result, bail};
use gapless_link::{Link, Profile};

use crate::engine::{End, Packet, Time, Transfer};

/// Both directions of a path and who uses it.
pub(crate) struct World {
    pub(crate) now: Time,
    there: Link<Underway>,
    back: Link<Underway>,
    flows: Vec<Flow>,
    /// Of the data's direction.
    delay: Time,
    waits: Vec<u32>,
    scratch: Vec<Packet>,
    trace: Option<Trace>,
}

/// One transfer in the world.
struct Flow {
    transfer: Box<dyn Transfer>,
    /// When each end looks next: it said so, or something came for it.
    wake: [Time; 2],
    opened: Option<Time>,
}

/// Called with each packet sent or arrived.
pub(crate) type Trace = Box<dyn FnMut(&Seen<'_>)>;

/// A packet as a trace sees it.
pub(crate) struct Seen<'a> {
    pub(crate) now: Time,
    pub(crate) from: End,
    pub(crate) arrived: bool,
    pub(crate) packet: &'a Packet,
}

#[derive(Clone, Debug)]
struct Underway {
    flow: usize,
    sent_at: Time,
    packet: Packet,
}

/// How long data packets waited in the queue and at the bottleneck.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Waits {
    pub(crate) mean: Time,
    /// 95 of 100 packets waited no longer.
    pub(crate) most_of_all: Time,
    pub(crate) longest: Time,
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
            waits: Vec::new(),
            scratch: Vec::new(),
            trace: None,
        }
    }

    pub(crate) fn set_trace(&mut self, trace: Trace) {
        self.trace = Some(trace);
    }

    /// Adds a transfer that begins now; its number.
    pub(crate) fn add(&mut self, transfer: Box<dyn Transfer>) -> usize {
        self.flows.push(Flow {
            transfer,
            wake: [self.now; 2],
            opened: None,
        });
        self.flows.len() - 1
    }

    /// How many were added.
    pub(crate) fn transfers(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn delivered(&self, flow: usize) -> u64 {
        self.flows[flow].transfer.delivered()
    }

    /// Whether a transfer's connection was given up.
    pub(crate) fn is_over(&self, flow: usize) -> bool {
        self.flows[flow].transfer.is_over()
    }

    /// When the sender's data could leave for the first time.
    pub(crate) fn opened(&self, flow: usize) -> Option<Time> {
        self.flows[flow].opened
    }

    pub(crate) fn waits(&self) -> Waits {
        let mut sorted = self.waits.clone();
        sorted.sort_unstable();
        let total: u64 = sorted.iter().map(|wait| u64::from(*wait)).sum();
        let nanos = |micros: Option<&u32>| micros.map_or(0, |micros| u64::from(*micros) * 1000);
        Waits {
            mean: total * 1000 / (sorted.len() as u64).max(1),
            most_of_all: nanos(sorted.get(sorted.len() * 95 / 100)),
            longest: nanos(sorted.last()),
        }
    }

    /// Packets lost in the bottleneck's queue, and all that were sent there.
    pub(crate) fn overflow(&self) -> (u64, u64) {
        let counters = self.there.counters();
        (counters.queue_dropped, counters.offered)
    }

    /// Goes on until `done` or `end`; whether it was done.
    pub(crate) fn run(&mut self, end: Time, mut done: impl FnMut(&World) -> bool) -> Result<bool> {
        let (mut at, mut rounds) = (self.now, 0);
        while self.now <= end {
            for flow in 0..self.flows.len() {
                for side in End::BOTH {
                    if self.flows[flow].wake[side as usize] <= self.now {
                        self.work(flow, side)?;
                    }
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
        let flows = self.flows.iter().flat_map(|flow| flow.wake);
        let links = [self.there.next_delivery(), self.back.next_delivery()];
        flows
            .chain(links.into_iter().flatten())
            .min()
            .unwrap_or(Time::MAX)
    }

    fn deliver(&mut self) -> Result<()> {
        while let Some(arrived) = self.there.poll(self.now) {
            let waited = self.now - arrived.tag.sent_at - self.delay;
            self.waits
                .push(u32::try_from(waited / 1000).unwrap_or(u32::MAX));
            self.hand(End::Receiver, arrived.tag)?;
        }
        while let Some(arrived) = self.back.poll(self.now) {
            self.hand(End::Sender, arrived.tag)?;
        }
        Ok(())
    }

    fn hand(&mut self, to: End, underway: Underway) -> Result<()> {
        let Underway { flow, packet, .. } = underway;
        if let Some(trace) = &mut self.trace {
            let from = match to {
                End::Sender => End::Receiver,
                End::Receiver => End::Sender,
            };
            trace(&Seen {
                now: self.now,
                from,
                arrived: true,
                packet: &packet,
            });
        }
        let flow = &mut self.flows[flow];
        flow.wake[to as usize] = self.now;
        flow.transfer.handle(to, self.now, &packet)
    }

    /// Lets one end of a flow do all it can now.
    fn work(&mut self, flow: usize, end: End) -> Result<()> {
        let now = self.now;
        let Flow {
            transfer,
            wake,
            opened,
        } = &mut self.flows[flow];
        let link = match end {
            End::Sender => &mut self.there,
            End::Receiver => &mut self.back,
        };
        loop {
            if transfer.deadline(end, now).is_some_and(|at| at <= now) {
                transfer.handle_timeout(end, now)?;
            }
            transfer.act(end)?;
            transfer.transmit(end, now, &mut self.scratch)?;
            if self.scratch.is_empty() {
                break;
            }
            for packet in self.scratch.drain(..) {
                if let Some(trace) = &mut self.trace {
                    trace(&Seen {
                        now,
                        from: end,
                        arrived: false,
                        packet: &packet,
                    });
                }
                send(link, now, flow, packet);
            }
        }
        if opened.is_none() && transfer.is_open() {
            *opened = Some(now);
        }
        // An engine that asks for a time that has come was asked already.
        let next = transfer.deadline(end, now).unwrap_or(Time::MAX);
        wake[end as usize] = next.max(now + 1);
        Ok(())
    }
}

fn send(link: &mut Link<Underway>, sent_at: Time, flow: usize, packet: Packet) {
    // The link counts sizes; the bytes travel beside.
    let shown = &NOTHING[..packet.size.min(NOTHING.len())];
    let underway = Underway {
        flow,
        sent_at,
        packet,
    };
    link.send(sent_at, shown, underway);
}

/// Larger than any packet that the path takes.
static NOTHING: [u8; 2048] = [0; 2048];
