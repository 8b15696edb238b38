//! Scenarios of TCP out of a seed or out of bytes. What TCP shares with UDX is drawn as there.

use super::plan::{Forgery, TcpHost, TcpScenario};
use crate::bounds;
use crate::choices::{Draw, MOST};
use crate::plan::{
    Ending, MS, Manners, ReadPlan, SECOND, Start, StreamPlan, Time, WriteEnd, WritePlan,
};
use gapless_link::Profile;
use gapless_tcp::{Algorithm, Bbr, Config, KeepAlive, MakeController, StackConfig};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

impl TcpScenario {
    /// The scenario of a seed. The same on every platform.
    pub fn from_seed(seed: u64) -> Self {
        draw(Draw::from_seed(seed)).0
    }

    /// The scenario that these bytes decide on: [`Self::choices`] of it, or any others.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        draw(Draw::from_bytes(bytes)).0
    }
}

/// A scenario, and which of its decisions belong together.
pub(crate) fn draw(mut draw: Draw<'_>) -> (TcpScenario, Vec<Range<usize>>) {
    let mut scenario = scenario(&mut draw);
    let (choices, spans) = draw.end();
    scenario.choices = choices;
    (scenario, spans)
}

fn scenario(draw: &mut Draw<'_>) -> TcpScenario {
    // The order is by weight: who shrinks a scenario tries the first decisions first.
    let mut streams = draw.streams();
    let calm_from = draw.between(200 * MS, 12 * SECOND);
    let ending = draw.ending(calm_from);
    let seed = draw.below(MOST) << 16 | draw.below(MOST);
    let v6 = draw.one_in(3);
    let (mut faults, mut routes, mut calm) = draw.paths(seed, calm_from);
    let all = faults.iter_mut().chain(&mut calm);
    let all = all.chain(routes.iter_mut().flat_map(|route| &mut route.paths));
    all.for_each(|profile| fit_path(profile, v6));
    let has_tiny = draw.one_in(16);
    fit_streams(&mut streams, has_tiny);
    // Whose RST is lost is found out by asking.
    let is_cut =
        streams.iter().any(StreamPlan::is_aborted) || !matches!(ending, Ending::Close { .. });
    let mut hosts = [(); 2].map(|()| draw.tcp_host(&streams, calm_from, v6, has_tiny, is_cut));
    let other_manners = draw
        .one_in(POLLED_TWICE)
        .then(|| [draw.manners(calm_from), draw.manners(calm_from)]);
    let forged = Forgery::ALL.map(|_| {
        if draw.one_in(8) {
            draw.pick(&[200, 50, 10, 3])
        } else {
            0
        }
    });
    let crossed = draw.crossed(&streams, &hosts);
    let hangs = draw.hangs(ending);
    draw.brim(&mut streams, &hosts);
    hosts
        .iter_mut()
        .for_each(|host| host.config.connection.ecn = draw.one_in(4));
    let manners = hosts.iter().map(|host| host.manners);
    let manners: Vec<Manners> = manners.chain(other_manners.into_iter().flatten()).collect();
    let lateness = bounds::lateness(&faults, &routes, &manners);
    let round_trip = bounds::round_trip(&calm);
    let asking = longest(&hosts, |config| config.keep_alive.map_or(0, asks));
    let delay = longest(&hosts, |config| nanos(config.ack_delay));
    let rests = bounds::longest_rest(&streams) + lateness + delay + if is_cut { asking } else { 0 };
    let patience = patience(calm_from, round_trip, lateness) + rests;
    let packet = hosts.iter().map(least_packet).min().unwrap_or(1);
    let transfer = bounds::transfer_in(packet, delay, &calm, &streams, &manners);
    let giving_up = longest(&hosts, |config| {
        let user = config.user_timeout.map_or(0, nanos);
        user.max(nanos(config.connect_timeout)) + config.keep_alive.map_or(0, asks)
    });
    TcpScenario {
        seed,
        patience,
        rests,
        round_trip,
        finish_within: patience + transfer,
        notice_within: patience + giving_up,
        streams,
        v6,
        faults,
        routes,
        calm_from,
        calm,
        hosts,
        ending,
        crossed,
        hangs,
        forged,
        other_manners,
        choices: crate::choices::Choices::default(),
    }
}

/// A timeout doubles (RFC 6298 5.5): the one that runs when the calm begins is at most as long as all before it together and the first. Of
/// what it sends, a queue that is still full may drop one, and another one waits for its own timeout.
fn patience(calm_from: Time, round_trip: Time, lateness: Time) -> Time {
    let first = SECOND + 6 * round_trip + 5 * lateness;
    let timeout = (2 * (calm_from + first)).min(LONGEST_TIMEOUT.max(first));
    3 * timeout + 8 * round_trip + lateness
}

impl Draw<'_> {
    fn tcp_host(
        &mut self,
        streams: &[StreamPlan],
        calm_from: Time,
        v6: bool,
        has_tiny: bool,
        is_cut: bool,
    ) -> TcpHost {
        let config = self.stack_config(v6, has_tiny, is_cut);
        let begins_at = (self.edge_of_numbers(), self.edge_of_numbers());
        TcpHost {
            memory_bound: memory_bound(&config, streams.len()),
            begins_at,
            backlog: self.pick(&[1024, 1024, 400]),
            holds: self.one_in(6),
            closes: self.one_in(2),
            leaves_early: self.one_in(2),
            manners: self.manners(calm_from),
            config,
        }
    }

    /// Both sides dial the first connection (RFC 9293 3.5, figure 8). Not where a SYN may wait, or is answered by a cookie: who remembers
    /// nothing of his answer dials besides, and his own dial contradicts it.
    fn crossed(&mut self, streams: &[StreamPlan], hosts: &[TcpHost; 2]) -> Option<(usize, Time)> {
        let wanted = self.one_in(12);
        let later = self.between(0, 10 * MS);
        let first = streams.first().filter(|plan| !plan.is_aborted())?;
        let Start::At(at) = first.start else {
            return None;
        };
        let is_fine = |host: &TcpHost| !host.holds && host.config.max_half_open >= streams.len();
        (wanted && hosts.iter().all(is_fine)).then_some((0, at + later))
    }

    /// An application hangs some round trips before its host vanishes.
    fn hangs(&mut self, ending: Ending) -> Option<Time> {
        let wanted = self.one_in(2);
        let before = self.between(0, 3 * SECOND);
        match ending {
            Ending::Vanish { at, .. } if wanted => Some(at.saturating_sub(before)),
            _ => None,
        }
    }

    /// The first connection brings as much as the window takes, to a reader who rests; its end comes later, and finds the window closed.
    fn brim(&mut self, streams: &mut [StreamPlan], hosts: &[TcpHost; 2]) {
        let wanted = self.one_in(16);
        let finish_delay = self.between(10 * MS, 500 * MS);
        let delay = self.between(SECOND, 4 * SECOND);
        let Some(plan) = streams.first_mut().filter(|plan| !plan.is_aborted()) else {
            return;
        };
        let buffer = hosts[1 - plan.opener].config.connection.receive_buffer;
        if !wanted || !BRIM.contains(&buffer) {
            return;
        }
        let bytes = buffer.into();
        plan.there.write = WritePlan {
            finish_delay,
            ..WritePlan::bulk(bytes)
        };
        plan.there.read = ReadPlan {
            delay,
            ..ReadPlan::FAST
        };
        if plan.back.write.lead == Some(0) {
            plan.back.write.bytes = bytes;
        }
    }

    /// Half of them begin where something wraps, or shortly before.
    fn edge_of_numbers(&mut self) -> u32 {
        let edge = self.pick(&[0, 0, 0, 1_u32 << 31, 1 << 30, 1 << 16, 77_777_777]);
        edge.wrapping_sub(self.between(0, 200_000) as u32)
    }

    fn stack_config(&mut self, v6: bool, has_tiny: bool, is_cut: bool) -> StackConfig {
        let mut config = StackConfig {
            connection: self.connection_config(has_tiny, is_cut),
            ..StackConfig::default()
        };
        let least = if v6 { 1280 } else { 576 };
        config.mtu = match self.below(6) {
            0..=2 => 1500,
            3 => 9000,
            _ => 1500 - self.between(0, 1500 - least) as u16,
        };
        config.any_address = self.one_in(8);
        // While cookies are underway, who asks for a connection that is gone gets no answer (RFC 4987 3.6): nobody is cut off then.
        let half_open = self.pick(&[1024, 1024, 1024, 0, 2]);
        config.max_half_open = if is_cut { 1024 } else { half_open };
        config
    }

    fn connection_config(&mut self, has_tiny: bool, is_cut: bool) -> Config {
        let [sack, timestamps, window_scale] = [(); 3].map(|()| !self.one_in(4));
        let nagle = self.one_in(2);
        let algorithm = self.pick(&ALGORITHMS);
        let mut config = Config {
            sack,
            timestamps,
            window_scale,
            nagle,
            algorithm,
            controller: (algorithm == Algorithm::Bbr).then_some(BBR),
            pacing: !self.one_in(4),
            ack_delay: Duration::from_nanos(self.pick(&[40 * MS, 200 * MS, 499 * MS, 0])),
            quick_acks: self.pick(&[16, 16, 0, 1]),
            ..Config::default()
        };
        if has_tiny {
            config.receive_buffer = self.between(1, 100) as u32;
        } else if self.one_in(2) {
            config.receive_buffer = self.scaled_down(1 << 20, 600) as u32;
        }
        if self.one_in(2) {
            config.send_buffer = self.scaled_down(1 << 20, 600) as u32;
        }
        if self.one_in(3) {
            config.max_segments = self.scaled_down(8192, 4) as usize;
        }
        config.user_timeout = (!self.one_in(4))
            .then(|| Duration::from_nanos(self.between(150 * SECOND, 900 * SECOND)));
        if is_cut || self.one_in(3) {
            config.keep_alive = Some(KeepAlive {
                idle: Duration::from_nanos(self.between(SECOND, 30 * SECOND)),
                interval: Duration::from_nanos(self.between(6 * SECOND, 10 * SECOND)),
                // Longer than everything that is bad about a path lasts, and its echo in timeouts.
                probes: 12,
            });
        }
        // Long enough for a FIN whose acknowledgment is lost to come again, and again (RFC 9293 3.4.2 asks for four minutes).
        config.time_wait = Duration::from_nanos(self.between(40 * SECOND, 120 * SECOND));
        config.fin_wait_timeout = Duration::from_nanos(self.between(30 * SECOND, 60 * SECOND));
        config
    }
}

/// A link counts UDP and IP headers besides; these are whole packets. And no IPv6 link is narrower than 1280 (RFC 8200 section 5).
fn fit_path(profile: &mut Profile, v6: bool) {
    let least = if v6 { 1280 } else { 0 };
    profile.mtu = profile
        .mtu
        .map(|mtu| mtu.max(least) + gapless_link::HEADER_BYTES as u16);
}

/// TCP has no codes: who is cut off is cut off.
fn fit_streams(streams: &mut [StreamPlan], has_tiny: bool) {
    for plan in streams {
        for direction in [&mut plan.there, &mut plan.back] {
            if let WriteEnd::Reset(code) = &mut direction.write.end {
                *code = CUT;
            }
            if let Some((_, code)) = &mut direction.read.stop {
                *code = CUT;
            }
            if has_tiny {
                direction.write.bytes = direction.write.bytes.min(MOST_TINY);
            }
        }
        // Who answers with what he got needs as much to answer with.
        if plan.back.write.lead == Some(0) {
            plan.back.write.bytes = plan.there.write.bytes;
        }
    }
}

/// The arithmetic of [`Config`] and [`StackConfig`], for so many connections.
fn memory_bound(config: &StackConfig, streams: usize) -> usize {
    const BASE: usize = 64 * 1024;
    /// A slot, the connection, and what is behind holes.
    const PER_CONNECTION: usize = 4096;
    /// Of the window.
    const ROUNDING: usize = 16 * 1024;
    /// A record, what it carries, and two transmissions.
    const PER_SEGMENT: usize = 72 + 40 + 112;
    let Config {
        receive_buffer,
        send_buffer,
        max_segments,
        ..
    } = config.connection;
    let receive = (receive_buffer as usize + ROUNDING).next_power_of_two();
    let send = (send_buffer as usize).next_power_of_two();
    let books = max_segments.next_power_of_two() * PER_SEGMENT;
    BASE + (streams + 1) * (PER_CONNECTION + receive + send + books)
}

fn least_packet(host: &TcpHost) -> u64 {
    // A window is told by halves, and a segment of the least peer carries so much (RFC 9293 3.7.1).
    let halves = u64::from(host.config.connection.receive_buffer) / 2;
    let segments = host.config.connection.max_segments as u64 / 2;
    halves
        .min(LEAST_SEGMENT)
        .min(LEAST_SEGMENT * segments)
        .max(1)
}

fn longest(hosts: &[TcpHost; 2], of: impl Fn(&Config) -> Time) -> Time {
    let all = hosts.iter().map(|host| of(&host.config.connection));
    all.max().unwrap_or(0)
}

/// How long a connection is held on to whose peer is silent.
fn asks(keep_alive: KeepAlive) -> Time {
    nanos(keep_alive.idle) + nanos(keep_alive.interval) * u64::from(keep_alive.probes + 1)
}

fn nanos(time: Duration) -> Time {
    u64::try_from(time.as_nanos()).unwrap_or(Time::MAX)
}

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Cubic,
    Algorithm::Cubic,
    Algorithm::NewReno,
    Algorithm::Bbr,
];
/// The one that an engine does not make by itself.
const BBR: MakeController = |recovery| Box::new(Bbr::new(recovery));
/// In the place of a code.
pub(crate) const CUT: u32 = 1;
/// One in so many scenarios is run a second time under other manners.
const POLLED_TWICE: u64 = 8;
/// RFC 6298 2.5.
const LONGEST_TIMEOUT: Time = 60 * SECOND;
/// Octets of a buffer that one connection fills: more than its name and a half of them, and no more than a window says unshifted.
const BRIM: RangeInclusive<u32> = 16..=20_000;
/// Octets through tiny windows.
const MOST_TINY: u64 = 600;
/// RFC 9293 3.7.1, less the timestamps.
const LEAST_SEGMENT: u64 = 524;
