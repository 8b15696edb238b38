//! The beginning of a connection, from either side (RFC 9293 3.5).

use super::ecn::Notification;
use super::habits::Habits;
use super::plan::HEADER;
use super::stamps::Stamps;
use super::timers::Timers;
use super::{Config, Connection, Receiving, Record, Sending, State};
use crate::receive::{ReceiveBuffer, ReceiveWindow, Tuning};
use crate::send::SendBuffer;
use crate::wire::{Header, Options};
use core::time::Duration;
use gapless_recovery::{Config as RecoveryConfig, Instant, MtuConfig, Numbering, Recovery};
use gapless_seq::{Wire32, mark, sabotage};

/// The two ports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ports {
    /// Ours.
    pub local: u16,
    /// The peer's.
    pub remote: u16,
}

/// What the stack gives a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The ports.
    pub ports: Ports,
    /// Our initial number (RFC 6528): not to be guessed.
    pub initial: u32,
    /// Where our timestamps begin: not to be guessed either (RFC 7323 7.1).
    pub clock_offset: u32,
    /// The largest segment, header included, that the first link takes: its MTU less the IP header.
    pub path: u16,
}

/// Assumed of a peer that does not say (RFC 9293 3.7.1, MUST-15). 1220 of an IPv6 peer, which the stack says by its header.
const DEFAULT_MSS: u16 = 536;

/// What a peer may say at least: less would be headers only (A14, G11). Linux has the same floor.
const LEAST_MSS: u16 = 48;

/// Positions begin one round up, so that a number just before the first has a position as well.
const ROUND: u64 = 1 << 32;

impl Connection {
    /// An active open: a SYN is to be sent.
    #[must_use]
    pub fn connect(config: &Config, now: Instant, opening: &Opening) -> Self {
        let until = now.saturating_add(config.connect_timeout);
        let mut connection = Self::new(config, now, opening, State::SynSent);
        connection.timers.user = Some(until);
        connection
    }

    /// A passive open: the peer's SYN came, and is to be answered by a SYN|ACK.
    #[must_use]
    pub fn accept(config: &Config, now: Instant, opening: &Opening, syn: &Header) -> Self {
        let until = now.saturating_add(config.connect_timeout);
        let mut connection = Self::new(config, now, opening, State::SynReceived);
        connection.timers.user = Some(until);
        connection.on_peer_syn(now, syn);
        connection
    }

    fn new(config: &Config, now: Instant, opening: &Opening, state: State) -> Self {
        let first = ROUND.saturating_add(u64::from(opening.initial));
        Self {
            state,
            ports: opening.ports,
            recovery: recovery(config, now, first, opening.path),
            out: Sending {
                first,
                una: first,
                max: first,
                repeated: first,
                repeated_at: None,
                rewound: 0,
                window: 0,
                max_window: 0,
                updated_by: (0, 0),
                shift: 0,
                ecn: Notification::default(),
                mss: DEFAULT_MSS,
                path: opening.path,
                buffer: SendBuffer::new(first.saturating_add(1), config.send_buffer),
                is_shut: false,
                owes_probe: false,
                owes_question: false,
                questions: 0,
                reset: None,
                challenged: None,
            },
            inward: Receiving {
                first: 0,
                buffer: ReceiveBuffer::new(0, 0, None),
                tuning: Tuning::new(),
                has_sack: false,
                stamps: None,
                clock_offset: opening.clock_offset,
                last_acknowledged: 0,
                owed_now: 0,
                segments: 0,
                quick: config.quick_acks,
                is_shut: false,
            },
            timers: Timers::default(),
            ended: None,
            config: Habits::new(config),
        }
    }

    /// Our SYN left before there was a connection: a cookie brought it back (RFC 4987 3.6).
    pub(crate) fn syn_was_sent(&mut self, now: Instant) {
        let _ = self.send_syn(now);
    }

    /// Whether this number of ours is in flight: a stranger who forges an ICMP error does not know (RFC 5927 4.1).
    pub(crate) fn has_in_flight(&self, sequence: Wire32) -> bool {
        let sequence = sequence.expand(self.out.una);
        self.out.una <= sequence && sequence < self.out.max
    }

    /// A router says how large a segment may be (RFC 1191, RFC 8201): never less than what every path carries, and never more than before.
    pub(crate) fn on_too_big(&mut self, now: Instant, segment: u32) {
        let segment = u16::try_from(segment).unwrap_or(u16::MAX);
        mark!(PathLowered, segment < self.path_mtu());
        self.recovery.on_size_limit(now, segment, false);
    }

    /// The options that we offer, or of those offered take: the same place for both roles (C19, C20).
    pub(super) fn syn_options(&self, now: Instant) -> Options {
        let answers = self.state != State::SynSent;
        let mss = self.out.path.saturating_sub(HEADER);
        let stamps = self.inward.stamps.as_ref();
        Options {
            mss: core::num::NonZeroU16::new(mss),
            window_scale: self
                .offered_shift()
                .filter(|_| !answers || self.has_scale()),
            sack_permitted: self.config.sack && (!answers || self.inward.has_sack),
            timestamps: match (stamps, answers) {
                (Some(stamps), _) => Some(stamps.current(now)),
                (None, false) if self.config.timestamps => Some(crate::wire::Timestamps {
                    value: super::stamps::clock(now, self.inward.clock_offset),
                    echo: Wire32::default(),
                }),
                _ => None,
            },
            user_timeout: self.user_timeout_of_syn(),
            ..Options::NONE
        }
    }

    fn offered_shift(&self) -> Option<u8> {
        let shift = ReceiveWindow::shift_for(u64::from(self.config.receive_buffer));
        self.config.window_scale.then_some(shift)
    }

    /// Whether both sides shift their windows: told by the receive window, which shifts only then.
    const fn has_scale(&self) -> bool {
        self.inward.buffer.window().scales()
    }

    /// Takes the peer's SYN: its number, its window and what it offers.
    pub(super) fn on_peer_syn(&mut self, now: Instant, syn: &Header) {
        let options = &syn.options;
        let first = ROUND.saturating_add(u64::from(u32::from(syn.sequence)));
        let ours = self.offered_shift();
        // RFC 7323 2.2: only if both offer it; and never in a SYN itself (R6).
        let shifts = options.window_scale.zip(ours);
        if shifts.is_none() {
            self.config.receive_buffer = self.config.receive_buffer.min(u32::from(u16::MAX));
        }
        let limit = self
            .config
            .first_receive_buffer
            .min(self.config.receive_buffer);
        let next = first.saturating_add(1);
        self.inward.first = first;
        let shift = sabotage!(ScaleUnasked, ours, shifts.map(|(_, ours)| ours));
        let grant = self.inward.buffer.grant();
        self.inward.buffer = ReceiveBuffer::new(next, limit.into(), shift);
        self.inward.buffer.set_grant(grant);
        self.inward.last_acknowledged = next;
        let is_permitted = options.sack_permitted || sabotage!(BlocksUnasked);
        self.inward.has_sack = self.config.sack && is_permitted;
        self.inward.stamps = options
            .timestamps
            .filter(|_| self.config.timestamps)
            .map(|stamps| Stamps::new(now, self.inward.clock_offset, stamps.value));
        self.negotiate_ecn(syn.flags);
        self.take_user_timeout(now, options);
        if !self.inward.has_sack {
            self.recovery.set_cumulative();
            if self.inward.stamps.is_none() {
                // RFC 5682: timestamps tell more, and sooner (RFC 3522).
                self.recovery.set_forward();
            }
        }
        self.out.shift = shifts.map_or(0, |(theirs, _)| theirs);
        self.out.mss = options
            .mss
            .map_or(DEFAULT_MSS, |mss| mss.get().max(LEAST_MSS));
        // RFC 9293 3.7.1: what it takes is reckoned without options, whatever the path carries.
        let most = sabotage!(SizeIgnored, u16::MAX, self.out.mss.saturating_add(HEADER));
        self.recovery.on_size_limit(now, most, true);
        let segments = first_flight(self.recovery.mtu().saturating_sub(HEADER));
        self.recovery.set_initial_window(segments);
        self.out.window = u64::from(syn.window);
        self.out.max_window = self.out.window;
        self.out.updated_by = (first, self.out.una);
    }
}

/// RFC 6928 section 2: min(10 MSS, max(2 MSS, 14600)) octets, in segments.
fn first_flight(mss: u16) -> u32 {
    let segments = FIRST_FLIGHT.checked_div(u32::from(mss)).unwrap_or(10);
    segments.clamp(2, 10)
}

/// RFC 6928 section 2, octets.
const FIRST_FLIGHT: u32 = 14_600;

/// RFC 1191 section 3 knows no MTU below 68, and some routers said 0; RFC 5927 7.2 asks for a floor. The default MTU of IPv4 less its header:
/// what is left when nothing larger passes.
const LEAST_PATH: u16 = 556;

fn recovery(config: &Config, now: Instant, first: u64, path: u16) -> Recovery<Record> {
    let recovery = recovery_config(config, first, path);
    match config.controller {
        Some(make) => Recovery::with_controller(&recovery, now, make(&recovery)),
        None => Recovery::new(&recovery, now),
    }
}

fn recovery_config(config: &Config, first: u64, path: u16) -> RecoveryConfig {
    RecoveryConfig {
        numbering: Numbering::Reuse,
        first_number: first,
        // RFC 6298 2.1: a first timeout of one second, which is three times the guess.
        initial_rtt: Duration::from_micros(333_333),
        // The peers' timers: 40 ms, and up to 200 ms where nothing is in a hurry. RFC 8985 7.2 reckons with 200 ms for a lone segment;
        // what a timeout of less costs is one repetition.
        max_ack_delay: Duration::ZERO,
        // RFC 6298 2.4 says one second; Linux and with it the rest of the world 200 ms.
        min_pto: Duration::from_millis(200),
        // RFC 6298 2.5: at least 60 s.
        max_pto: Duration::from_secs(60),
        algorithm: config.algorithm,
        // Nobody can guess it, and that is more than is asked for here.
        seed: first,
        pacing: config.pacing,
        mtu: MtuConfig {
            base: path.min(LEAST_PATH),
            max: path,
            // RFC 4821 7.2, RFC 1191 section 3: routers usually report what does not pass, so the link's size comes first.
            first: path,
            search: config.probe_path,
            ..MtuConfig::default()
        },
        max_records: config.max_segments,
        ..RecoveryConfig::default()
    }
}
