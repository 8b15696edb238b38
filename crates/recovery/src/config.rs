//! What a caller may choose, with its reasons.

use core::time::Duration;

/// How a repeated transmission is called on the wire.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum Numbering {
    /// Each transmission has a number of its own (UDX version 3, QUIC). Holes are harmless.
    Fresh,
    /// A record keeps the numbers it got at first (TCP, UDX version 2). Every number must arrive.
    Reuse,
}

/// What becomes of a record whose transmission is lost.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum Class {
    /// Sent again until it is acknowledged.
    Reliable,
    /// Never sent again (a ping). Its loss still tells about congestion.
    Once,
    /// Larger than what the path is known to carry. Its loss tells only about its size (RFC 8899 section 3 point 7). Never sent again under
    /// [`Numbering::Fresh`]; under [`Numbering::Reuse`], where every number must arrive, as [`Class::Reliable`] from then on.
    MtuProbe,
}

/// The built-in congestion controllers.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
pub enum Algorithm {
    /// RFC 9438, with HyStart++ (RFC 9406) in the first slow start.
    #[default]
    Cubic,
    /// RFC 9002 section 7 (the Reno of RFC 6582 over packets), with HyStart++.
    NewReno,
    /// BBR version 3, draft-ietf-ccwg-bbr-06: by a model of the path, for links that lose by chance. Needs pacing.
    ///
    /// It is held in a box, which only the caller can make: give [`Bbr`](crate::Bbr) to
    /// [`Recovery::with_controller`](crate::Recovery::with_controller). [`Recovery::new`](crate::Recovery::new) takes CUBIC instead.
    Bbr,
}

/// Limits of one connection's recovery.
///
/// Memory: a record costs about 72 bytes and the payload `R`, a transmission 56 bytes. The sent log holds at most
/// `max_records` records and twice as many transmissions, hence at most
/// `max_records * (72 + size_of::<R>() + 112)` bytes, rounded up to a power of two; nothing while idle.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a repeated transmission is called.
    pub numbering: Numbering,
    /// The first number that is minted.
    pub first_number: u64,
    /// The last number that is minted; `u64::MAX` itself is never minted.
    pub last_number: u64,
    /// Round trip time assumed before the first sample.
    pub initial_rtt: Duration,
    /// Longest time for which the peer holds back an acknowledgement on purpose.
    pub max_ack_delay: Duration,
    /// Floor of the probe timeout.
    pub min_pto: Duration,
    /// Ceiling of the probe timeout's backoff. A single unbacked timeout may be longer on a slow path.
    pub max_pto: Duration,
    /// Ceiling of a single timeout: samples of the round trip time that are much too long, because a peer held acknowledgements back
    /// and did not say so, must not stop a sender for as long.
    pub max_timeout: Duration,
    /// Which congestion controller.
    pub algorithm: Algorithm,
    /// What BBR draws its times of probing from, so that flows do not probe together.
    pub seed: u64,
    /// Congestion window at the start, in packets of the base size.
    pub initial_window_packets: u32,
    /// The congestion window never exceeds this, in bytes.
    pub max_window: u64,
    /// Whether transmissions are spread over the round trip.
    pub pacing: bool,
    /// The search for the largest datagram.
    pub mtu: MtuConfig,
    /// Most records that wait for acknowledgement at a time.
    pub max_records: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            numbering: Numbering::Fresh,
            first_number: 0,
            last_number: u64::MAX.saturating_sub(1),
            // With RFC 9002's variance of half the guess this makes a first timeout of 300 ms, which UDX
            // peers use (UDX 18.2 point 4).
            initial_rtt: Duration::from_millis(100),
            // UDX 4.2: the peers' timer is at most 25 ms.
            max_ack_delay: Duration::from_millis(25),
            // UDX 18.5: the peers' own floor.
            min_pto: Duration::from_millis(200),
            // UDX 5: the peers repeat at least every 2 s.
            max_pto: Duration::from_secs(2),
            // RFC 6298 2.5: at least 60 s, if there is one.
            max_timeout: Duration::from_secs(60),
            algorithm: Algorithm::Cubic,
            seed: 0,
            // RFC 6928 and RFC 9002 7.2.
            initial_window_packets: 10,
            // Beyond every flow control window of this project (16 MiB), within what arithmetic keeps exact.
            max_window: 1 << 32,
            pacing: true,
            mtu: MtuConfig::default(),
            max_records: 32_768,
        }
    }
}

/// Limits of the path MTU search, RFC 8899. Sizes are whole UDP payloads, in bytes.
#[derive(Clone, Debug)]
pub struct MtuConfig {
    /// BASE_PLPMTU: works on every path that is to be supported.
    pub base: u16,
    /// MAX_PLPMTU: never probed beyond.
    pub max: u16,
    /// The size to begin with, if it is more than the base: where routers report, or a peer has taken it, the largest is a good guess.
    pub first: u16,
    /// Whether to search at all; without it the size stays at `base`.
    pub search: bool,
    /// MAX_PROBES: losses of one size until it counts as too large. RFC 8899 5.1.2 says 3.
    pub max_probes: u8,
    /// PMTU_RAISE_TIMER: after a finished search, when to try larger sizes again. RFC 8899 5.1.1 says 600 s.
    pub raise_after: Duration,
    /// After a black hole, when to search again; doubles with each black hole up to `raise_after`, until what vanished passes again.
    pub retry_after: Duration,
}

impl Default for MtuConfig {
    fn default() -> Self {
        MtuConfig {
            // UDX V10: at most 1200 until probed.
            base: 1200,
            first: 0,
            // Ethernet's 1500 less the IPv4 and UDP headers.
            max: 1472,
            search: true,
            max_probes: 3,
            raise_after: Duration::from_secs(600),
            // A blackout looks like a black hole, and so do three timeouts by chance, which a path that loses a tenth of its packets
            // sees every few minutes. RFC 8899 5.3.3 searches anew as soon as the base is confirmed; a probe costs one packet.
            retry_after: Duration::from_secs(1),
        }
    }
}

impl MtuConfig {
    /// The size to begin with, brought into its range.
    pub(crate) fn start(&self) -> u16 {
        self.first.min(self.max).max(self.base)
    }
}
