//! What a run of TCP consists of, as plain data.

use crate::choices::Choices;
use crate::plan::{Ending, Manners, Route, StreamPlan, Time};
use gapless_link::Profile;
use gapless_tcp::StackConfig;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One run. The same scenario gives the same run, to the last packet.
#[derive(Clone, Debug)]
pub struct TcpScenario {
    /// Start of all random numbers: stacks, applications, manners. The links have seeds of their own.
    pub seed: u64,
    /// The connections, and what they carry.
    pub streams: Vec<StreamPlan>,
    /// Over IPv6.
    pub v6: bool,
    /// The path while it is bad, from host 0 to host 1 and back.
    pub faults: [Profile; 2],
    /// Other routes that the packets take, in the order of time.
    pub routes: Vec<Route>,
    /// When the calm begins.
    pub calm_from: Time,
    /// The path from then on.
    pub calm: [Profile; 2],
    /// Both hosts. Each may open connections.
    pub hosts: [TcpHost; 2],
    /// How it ends.
    pub ending: Ending,
    /// The connection of this place in the list is dialed by both sides, between the ports that they listen on; by the other one at this time.
    pub crossed: Option<(usize, Time)>,
    /// Before one side vanishes, from this time on, its application does nothing any more, while its stack goes on; and the other
    /// application closes all its connections.
    pub hangs: Option<Time>,
    /// Packets that somebody who sees all of them puts in between, one in so many that arrive; in the order of [`Forgery::ALL`], none if 0.
    pub forged: [u32; Forgery::ALL.len()],
    /// In the calm, something has to happen at least this often until all is done.
    pub patience: Time,
    /// How long nothing may happen by intention.
    pub rests: Time,
    /// How long a round trip takes in the calm when the queues are full.
    pub round_trip: Time,
    /// All connections have to be over for the applications this long after the calm began.
    pub finish_within: Time,
    /// After an early end, the other side has to know within this time.
    pub notice_within: Time,
    /// The run is repeated with the stacks polled in this way, and has to deliver the same octets.
    pub other_manners: Option<[Manners; 2]>,
    /// What it was drawn from.
    pub(crate) choices: Choices,
}

/// One host.
#[derive(Clone, Debug)]
pub struct TcpHost {
    /// Its stack.
    pub config: StackConfig,
    /// Where initial numbers and timestamps begin.
    pub begins_at: (u32, u32),
    /// Connections that may wait to be accepted.
    pub backlog: usize,
    /// SYNs wait for the application.
    pub holds: bool,
    /// A reader who wants no more closes the connection instead of resetting it.
    pub closes: bool,
    /// The application lets go of connections as soon as it has nothing more to do with them, instead of waiting for the last acknowledgment.
    pub leaves_early: bool,
    /// How it is polled.
    pub manners: Manners,
    /// Octets that the stack may hold at most.
    pub memory_bound: usize,
}

/// What somebody makes from a packet that has just arrived, and puts behind it. None may harm anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// An acknowledgment of what was never sent (R3).
    AckOfUnsent,
    /// A selective acknowledgement of what was never sent.
    SackOfUnsent,
    /// A RST in the window, and not at the next number (RFC 5961 3.2).
    Reset,
    /// A RST behind the window.
    ResetBeyond,
    /// A SYN in the window (RFC 5961 4.2).
    Syn,
    /// Data beyond the window.
    BeyondWindow,
    /// The same segment under a timestamp of long ago, with other data (RFC 7323 5.3).
    Old,
    /// The same segment again, marked as urgent.
    Urgent,
    /// The second half of the data again.
    Half,
    /// Some octets from before and the data, before the data themselves.
    Overlap,
    /// Data that fill the window, and others behind them, before the data themselves.
    Longer,
    /// Every second octet of the data by itself, before the data themselves: more pieces than anybody keeps.
    Crumbs,
}

impl Forgery {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AckOfUnsent,
        Self::SackOfUnsent,
        Self::Reset,
        Self::ResetBeyond,
        Self::Syn,
        Self::BeyondWindow,
        Self::Old,
        Self::Urgent,
        Self::Half,
        Self::Overlap,
        Self::Longer,
        Self::Crumbs,
    ];

    /// It arrives before what it is made from, not behind it.
    pub(crate) fn comes_first(self) -> bool {
        matches!(self, Self::Overlap | Self::Longer | Self::Crumbs)
    }
}

/// Octets of the least window beside another stack: two segments.
const LEAST_WINDOW: u32 = 3000;

impl TcpScenario {
    /// The decisions that give this scenario again.
    pub fn choices(&self) -> &[u8] {
        self.choices.bytes()
    }

    /// The same run with the stacks polled in another way, if the scenario asks for it: it has to deliver the same octets.
    #[must_use]
    pub fn with_other_manners(&self) -> Option<Self> {
        let mut other = self.clone();
        for (host, manners) in other.hosts.iter_mut().zip(self.other_manners?) {
            host.manners = manners;
        }
        other.other_manners = None;
        Some(other)
    }

    /// Cuts it to what another stack at one end can do: who believes no router, and every forger, is not tried with either.
    pub(crate) fn fit_other(&mut self) {
        self.forged = [0; Forgery::ALL.len()];
        self.other_manners = None;
        self.crossed = None;
        self.hangs = None;
        let paths = self.faults.iter_mut().chain(&mut self.calm);
        let routes = self.routes.iter_mut().flat_map(|route| &mut route.paths);
        paths.chain(routes).for_each(|profile| profile.mtu = None);
        // It is called as it wants to be: what it makes of bad manners is not what is asked here.
        self.hosts[self.other()].manners = Manners::GOOD;
        // What waits for room for whole segments, or leaves the least windows to its keep-alive timer, may have its reasons.
        let ours = &mut self.hosts[1 - self.other()];
        let config = &mut ours.config.connection;
        let missing = LEAST_WINDOW.saturating_sub(config.receive_buffer);
        config.receive_buffer += missing;
        ours.memory_bound += 2 * missing as usize * (self.streams.len() + 1);
    }

    /// Which host is the other stack's, if there is one: it dials in every second run.
    pub(crate) fn other(&self) -> usize {
        (self.seed % 2) as usize
    }

    /// Whether all connections have to come through.
    pub fn ends_well(&self) -> bool {
        matches!(self.ending, Ending::Close { .. })
    }

    /// By host: it may answer SYNs by cookies (RFC 4987), because more may be dialed at once than it keeps half open. One that holds them answers
    /// none before it has decided.
    pub(crate) fn bakes(&self) -> [bool; 2] {
        let streams = self.streams.len();
        self.hosts
            .each_ref()
            .map(|host| !host.holds && host.config.max_half_open < streams)
    }

    /// Addresses set aside for documentation (RFC 5737, RFC 3849).
    pub(crate) fn address(&self, host: usize) -> IpAddr {
        let last = 1 + host as u8;
        if self.v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into()
        } else {
            Ipv4Addr::new(192, 0, 2, last).into()
        }
    }
}
