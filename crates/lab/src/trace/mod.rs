//! What happened in a run, as values: every datagram with its fate and what it carried, what the engines told, and the numbers
//! they gave of themselves.
//!
//! A trace stays under a bound of memory however long the run is: of datagrams without anything remarkable, and of samples, every
//! second one is left out each time the bound is reached. Counts are always of all.

mod keep;
mod packet;
mod reader;
mod sample;
mod wait;

pub use keep::Thinned;
pub use packet::{Acked, Content, Data, Datagram, Fate, Loss, Piece};
pub use reader::{INITIAL_LIMIT, Sent, StreamSent};
pub use sample::Sample;
pub use wait::{Stall, Wait, Waits};

use crate::machine::Machine;
use crate::plan::{Scenario, Time};
use crate::report::{Report, Violation};
use gapless_link::{Aqm, Counters};
use gapless_udx::wire::Datagram as Wire;
use gapless_udx::{CongestionPhase, Endpoint, Event, Stats};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A record of one run, filled by [`run_traced`](crate::run_traced).
#[derive(Debug)]
pub struct Trace {
    scenario: Option<Box<Scenario>>,
    hosts: Vec<HostTrace>,
    datagrams: Vec<Datagram>,
    happenings: Vec<Happening>,
    happenings_left_out: u64,
    /// Of the datagrams without anything remarkable one of so many is kept, and of the others.
    strides: [u64; 2],
    limit: usize,
    /// Beyond so many datagrams some are left out.
    full_at: usize,
    next_id: u64,
    ended: Option<Time>,
    outcome: Option<Result<Report, Violation>>,
}

/// One host's part.
#[derive(Debug)]
pub struct HostTrace {
    /// What it sent.
    pub sent: Sent,
    /// Counts of all its datagrams.
    pub totals: Totals,
    /// Samples of its connection.
    pub samples: Thinned<Sample>,
    /// What it waited for.
    pub waits: Waits,
    /// The connection's last words about itself.
    pub stats: Option<Stats>,
    phase: Option<CongestionPhase>,
    latest: Option<Sample>,
}

/// Counts of the datagrams that one host sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams.
    pub datagrams: u64,
    /// Their bytes, of UDP payload.
    pub bytes: u64,
    /// Those that were lost, by the place of the reason in [`Loss::ALL`].
    pub lost: [u64; 6],
    /// Delivered with other bytes.
    pub damaged: u64,
    /// Delivered twice.
    pub twice: u64,
    /// Held back while others passed.
    pub held: u64,
    /// Datagrams and copies that reached the other host.
    pub arrived: u64,
    /// Datagrams that carried stream data, or the beginning or end of a stream.
    pub with_data: u64,
    /// Of these, sent again.
    pub again: u64,
    /// Of these, sent again although all of it had arrived.
    pub needless: u64,
    /// Stream bytes sent again.
    pub bytes_again: u64,
}

/// Something that happened beside the datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When.
    pub at: Time,
    /// To whom; `None` if to the path.
    pub host: Option<usize>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The path delivers from now on.
    Calm,
    /// Packets take another route from now on.
    Route,
    /// The host is at another address from now on.
    Moved(SocketAddr),
    /// The application closes the connection.
    Closes,
    /// The host is gone without a word.
    Vanishes,
    /// The host has lost its state and goes on without.
    Restarts,
    /// The engine tells.
    Engine(Event),
    /// The congestion controller does something else from now on.
    Phase(CongestionPhase),
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// An empty trace that keeps some 60,000 datagrams: about 30 MB at the most.
    pub fn new() -> Self {
        Self::keeping(60_000)
    }

    /// An empty trace that keeps about so many datagrams.
    pub fn keeping(datagrams: usize) -> Self {
        Self {
            scenario: None,
            hosts: Vec::new(),
            datagrams: Vec::new(),
            happenings: Vec::new(),
            happenings_left_out: 0,
            strides: [1; 2],
            limit: datagrams.max(LEAST_KEPT),
            full_at: datagrams.max(LEAST_KEPT),
            next_id: 0,
            ended: None,
            outcome: None,
        }
    }

    /// The scenario that was run.
    pub fn scenario(&self) -> Option<&Scenario> {
        self.scenario.as_deref()
    }

    /// What came of it; `None` after a panic.
    pub fn outcome(&self) -> Option<&Result<Report, Violation>> {
        self.outcome.as_ref()
    }

    /// How long the run was.
    pub fn lasted(&self) -> Time {
        let sent = self.datagrams.last().map(|datagram| datagram.sent);
        let happened = self.happenings.last().map(|happening| happening.at);
        let told = [self.ended, sent, happened];
        told.into_iter().flatten().max().unwrap_or(0)
    }

    /// The dialer and the acceptor; nobody before a run.
    pub fn hosts(&self) -> &[HostTrace] {
        &self.hosts
    }

    /// The datagrams that were kept, in the order of sending.
    pub fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }

    /// What else happened, in the order of time.
    pub fn happenings(&self) -> &[Happening] {
        &self.happenings
    }

    /// How many happenings were left out because there were too many.
    pub fn happenings_left_out(&self) -> u64 {
        self.happenings_left_out
    }

    /// How many datagrams were left out because there were too many: without anything remarkable, and others.
    pub fn datagrams_left_out(&self) -> u64 {
        self.next_id - self.datagrams.len() as u64
    }

    /// Whether lost or repeated datagrams had to be left out, too.
    pub fn left_out_notable(&self) -> bool {
        self.strides[1] > 1
    }

    /// A datagram by its ID, if it was kept.
    pub fn datagram(&self, id: u64) -> Option<&Datagram> {
        let index = self.datagrams.binary_search_by_key(&id, |it| it.id).ok()?;
        self.datagrams.get(index)
    }

    pub(crate) fn begin(&mut self, scenario: &Scenario) {
        *self = Self::keeping(self.limit);
        self.scenario = Some(Box::new(scenario.clone()));
        self.hosts = (0..2).map(|host| HostTrace::new(scenario, host)).collect();
    }

    /// A host sends a datagram; `id` counts them.
    pub(crate) fn sends(&mut self, now: Time, id: u64, sender: usize, fate: Fate, bytes: &[u8]) {
        self.next_id = id + 1;
        let mut content = self.hosts[sender].sent.sends(bytes);
        if let Some(content) = &mut content {
            self.hosts[1 - sender].sent.spoken_of(bytes, content);
        }
        let datagram = Datagram {
            id,
            sender,
            sent: now,
            fate,
            arrived: None,
            copy: None,
            unheard: false,
            bytes: bytes.len(),
            content,
        };
        self.hosts[sender].totals.count(&datagram);
        self.datagrams.push(datagram);
        if self.datagrams.len() > self.full_at {
            self.thin_out();
        }
    }

    /// A datagram arrives, where a host is or is no longer.
    pub(crate) fn arrives(&mut self, now: Time, id: u64, sender: usize, heard: bool, bytes: &[u8]) {
        self.hosts[sender].totals.arrived += 1;
        let Ok(index) = self.datagrams.binary_search_by_key(&id, |it| it.id) else {
            return self.arrives_unseen(now, sender, heard, bytes);
        };
        let datagram = &mut self.datagrams[index];
        if datagram.arrived.is_none() {
            datagram.arrived = Some(now);
        } else {
            datagram.copy = Some(now);
        }
        datagram.unheard |= !heard;
        let undamaged = heard && !datagram.fate.damaged;
        if let Some(content) = datagram.content.as_ref().filter(|_| undamaged) {
            self.hosts[sender].sent.reached(now, content);
            if let Ok(Wire::Packet(packet)) = crate::watch::decode(bytes) {
                self.hosts[1 - sender].sent.hears(now, &packet, content);
            }
        }
    }

    /// One that was left out while it was underway. Only what its acknowledgements say is still known.
    fn arrives_unseen(&mut self, now: Time, sender: usize, heard: bool, bytes: &[u8]) {
        if let Ok(Wire::Packet(packet)) = crate::watch::decode(bytes)
            && heard
        {
            let content = Content {
                version: packet.header().version,
                number: None,
                pieces: Vec::new(),
            };
            self.hosts[1 - sender].sent.hears(now, &packet, &content);
        }
    }

    /// A host was woken and did all it could.
    pub(crate) fn woken(&mut self, now: Time, host: usize, machine: &Machine, told: Vec<Event>) {
        for event in told {
            if !matches!(event, Event::Readable(_) | Event::Writable(_)) {
                self.happens(now, Some(host), What::Engine(event));
            }
        }
        let Some(connection) = machine.connection() else {
            return;
        };
        let memory = machine.ours().map_or(0, Endpoint::memory);
        let sample = Sample::of(connection, memory, now);
        let counts = self.counts();
        let this = &mut self.hosts[host];
        this.stats = Some(connection.stats());
        let stalled = this.waits.update(host, &sample, counts);
        let phase = sample.phase;
        if this
            .latest
            .as_ref()
            .is_none_or(|latest| !sample.says_the_same(latest))
        {
            this.samples.push(sample.clone());
            this.latest = Some(sample);
        }
        let changed = this.phase.replace(phase).is_none_or(|it| it != phase);
        if stalled {
            self.note_around(host);
        }
        if changed {
            self.happens(now, Some(host), What::Phase(phase));
        }
    }

    pub(crate) fn happens(&mut self, at: Time, host: Option<usize>, what: What) {
        if self.happenings.len() < HAPPENINGS_KEPT || what.is_rare() {
            self.happenings.push(Happening { at, host, what });
        } else {
            self.happenings_left_out += 1;
        }
    }

    pub(crate) fn end(
        &mut self,
        now: Time,
        outcome: &Result<Report, Violation>,
        links: [&Counters; 2],
    ) {
        self.ended = Some(now);
        for (sender, link) in links.into_iter().enumerate() {
            if self.is_managed(sender) {
                self.settle_managed(now, sender, link);
            }
        }
        self.outcome = Some(outcome.clone());
        let counts = self.counts();
        for host in 0..self.hosts.len() {
            let this = &mut self.hosts[host];
            let last = this.latest.clone();
            let stalled = last.is_some_and(|mut last| {
                last.at = now;
                this.waits.finish(host, &last, counts)
            });
            if stalled {
                self.note_around(host);
            }
        }
    }

    fn is_managed(&self, sender: usize) -> bool {
        let Some(scenario) = &self.scenario else {
            return false;
        };
        let routes = scenario.routes.iter().map(|route| &route.paths);
        let mut paths = [&scenario.faults, &scenario.calm].into_iter().chain(routes);
        paths.any(|path| path[sender].aqm == Aqm::Codel)
    }

    /// What a managed queue does to a datagram is known only later, and not of which: by the end, what has not arrived is lost.
    fn settle_managed(&mut self, now: Time, sender: usize, link: &Counters) {
        let of_sender = |it: &&mut Datagram| it.sender == sender && it.fate.lost.is_none();
        let travels = self.datagrams.iter().filter(|it| it.sender == sender);
        let travels = travels.filter_map(|it| Some(it.arrived? - it.sent));
        let longest = travels.max().unwrap_or(0);
        for datagram in self.datagrams.iter_mut().filter(of_sender) {
            if datagram.arrived.is_none() && datagram.sent.saturating_add(longest) < now {
                datagram.fate.lost = Some(Loss::Managed);
            }
        }
        let totals = &mut self.hosts[sender].totals;
        totals.lost = [
            link.lost,
            link.queue_dropped,
            link.blacked_out,
            link.too_large,
            link.corrupted + link.truncated,
            link.aqm_dropped,
        ];
        (totals.twice, totals.held) = (link.duplicated, link.reordered);
    }

    fn counts(&self) -> wait::Counts {
        let of = |host: usize| {
            let totals = self.hosts.get(host).map(|host| host.totals);
            let totals = totals.unwrap_or_default();
            (totals.datagrams, totals.lost.iter().sum())
        };
        [of(0), of(1)]
    }

    /// Remembers which datagrams belong to the stall that is over.
    fn note_around(&mut self, host: usize) {
        let Some(stall) = self.hosts[host].waits.stalls_mut().last_mut() else {
            return;
        };
        let place = |time: Time| self.datagrams.partition_point(|it| it.sent < time);
        let (from, to) = (place(stall.from), place(stall.to.saturating_add(1)));
        let before = self.datagrams[from.saturating_sub(BEFORE_STALL)..from].iter();
        let within = &self.datagrams[from..to];
        let (head, tail) = if within.len() > HEAD_OF_STALL + TAIL_OF_STALL {
            let tail = within.len() - TAIL_OF_STALL;
            (&within[..HEAD_OF_STALL], &within[tail..])
        } else {
            (within, &within[..0])
        };
        let around = before.chain(head).chain(tail);
        stall.around = around.map(|datagram| datagram.id).collect();
    }

    /// Leaves out every second of what there is most of.
    fn thin_out(&mut self) {
        let notable = self.datagrams.iter().filter(|it| it.is_notable()).count();
        let which = usize::from(self.datagrams.len() - notable < notable / 4);
        self.strides[which] *= 2;
        let [plain, notable] = self.strides;
        let stalls = self.hosts.iter().flat_map(|host| host.waits.stalls());
        let pinned: BTreeSet<u64> = stalls.flat_map(|stall| stall.around.clone()).collect();
        let recent = self.next_id.saturating_sub(RECENT);
        let underway = self.next_id.saturating_sub(UNDERWAY);
        self.datagrams.retain(|datagram| {
            let stride = if datagram.is_notable() {
                notable
            } else {
                plain
            };
            let is_underway = datagram.fate.lost.is_none() && datagram.arrived.is_none();
            datagram.id < OPENING
                || datagram.id >= recent
                || datagram.id.is_multiple_of(stride)
                || is_underway && datagram.id >= underway
                || pinned.contains(&datagram.id)
        });
        self.full_at = self.limit.max(self.datagrams.len() / 4 * 5);
    }
}

impl HostTrace {
    fn new(scenario: &Scenario, host: usize) -> Self {
        Self {
            sent: Sent::new(scenario, host),
            totals: Totals::default(),
            samples: Thinned::new(SAMPLES_KEPT),
            waits: Waits::new(),
            stats: None,
            phase: None,
            latest: None,
        }
    }
}

impl Totals {
    /// All that were lost.
    pub fn all_lost(&self) -> u64 {
        self.lost.iter().sum()
    }

    fn count(&mut self, datagram: &Datagram) {
        let Fate {
            lost,
            damaged,
            twice,
            held,
        } = datagram.fate;
        self.datagrams += 1;
        self.bytes += datagram.bytes as u64;
        if let Some(place) = lost.and_then(|why| Loss::ALL.iter().position(|&it| it == why)) {
            self.lost[place] += 1;
        }
        self.damaged += u64::from(damaged);
        self.twice += u64::from(twice);
        self.held += u64::from(held);
        let pieces = datagram.data();
        let again = pieces.clone().filter(|data| data.again);
        self.with_data += u64::from(pieces.clone().next().is_some());
        self.again += u64::from(datagram.is_again());
        let is_needless = datagram.is_again() && again.clone().all(|data| data.needless);
        self.needless += u64::from(is_needless);
        let bytes = again.map(|data| data.range.end - data.range.start);
        self.bytes_again += bytes.sum::<u64>();
    }
}

impl What {
    /// Never so often that it would fill a trace.
    fn is_rare(&self) -> bool {
        match self {
            Self::Engine(Event::Recovery(_)) | Self::Phase(_) => false,
            Self::Engine(event) => matches!(
                event,
                Event::Connected | Event::Version(_) | Event::Moved { .. } | Event::Closed
            ),
            Self::Calm
            | Self::Route
            | Self::Moved(_)
            | Self::Closes
            | Self::Vanishes
            | Self::Restarts => true,
        }
    }
}

/// Fewer would not show what a run is.
const LEAST_KEPT: usize = 2_000;
/// The first datagrams, which are always kept: the opening is what one looks at first.
const OPENING: u64 = 200;
/// The last ones, around which a stall may yet be found.
const RECENT: u64 = 600;
/// Datagrams that may be underway at a time and must be found when they arrive: what a link holds at the most (256 MiB).
const UNDERWAY: u64 = 200_000;
/// Around a stall: datagrams before it, and in it the first and the last ones.
const BEFORE_STALL: usize = 10;
const HEAD_OF_STALL: usize = 18;
const TAIL_OF_STALL: usize = 10;
/// Some for each pixel of a picture.
const SAMPLES_KEPT: usize = 12_000;
/// Rows that a browser can still show in a table.
const HAPPENINGS_KEPT: usize = 20_000;

#[cfg(test)]
mod tests;
