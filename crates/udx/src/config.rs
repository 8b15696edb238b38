//! What the application may set.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use gapless_recovery::Algorithm;

use crate::error::ConnectError;
use crate::limits::Limits;
use crate::wire::Version;

/// Settings of an [`Endpoint`](crate::Endpoint).
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Bounds on memory and work.
    pub limits: Limits,
    /// Settings of every connection, dialed or accepted, unless
    /// [`connect_with`](crate::Endpoint::connect_with) says otherwise.
    pub connection: ConnectionConfig,
    /// Whether packets of unknown connections may open one.
    pub accept: bool,
    /// The wire versions in which a connection may be opened from outside: an accepted connection has the
    /// version of its first packet (UDX 13). What comes in another one is told these.
    pub accept_versions: Vec<Version>,
    /// With a secret, peers are told how to recognise that this endpoint lost its state, and
    /// are told so after a restart with the same secret (UDX 14). No two endpoints that run at the same time may have the same one:
    /// who sees a packet to the one could have the other disown it (RFC 9000 21.11).
    pub reset_secret: Option<[u8; 32]>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            limits: Limits::default(),
            connection: ConnectionConfig::default(),
            accept: true,
            accept_versions: vec![Version::V3, Version::V2],
            reset_secret: None,
        }
    }
}

/// In which wire version a dialer speaks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VersionChoice {
    /// It asks: its first packet carries no data and opens the connection in either version, and the peer's
    /// first answer tells which one it is (UDX 13). Costs one round trip before the first data.
    #[default]
    Discover,
    /// This one and no other. The first packet carries data.
    Only(Version),
}

/// Settings of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// The wire version of a dialed connection; an accepted one has the version of its first packet.
    pub version: VersionChoice,
    /// Without any packet from the peer for this long, or for three PTOs if that is longer, the
    /// connection is over (UDX 7.5: 30 s in every implementation).
    pub idle_timeout: Duration,
    /// Asks "are you there" after this long without a packet from the peer. UDX 18.6: 10 s,
    /// since no implementation but JS does, and all give up after 30 s.
    pub keep_alive: Option<Duration>,
    /// How long a dial goes on without any answer (UDX 18.2: 30 s at most).
    pub dial_timeout: Duration,
    /// The congestion controller.
    pub algorithm: Algorithm,
    /// Round trip time assumed before the first sample. 100 ms makes the first repetition of
    /// an unanswered dial come after some 300 ms (UDX 18.2).
    pub initial_rtt: Duration,
    /// Spreads datagrams over the round trip.
    pub pacing: bool,
    /// Bytes of UDP payload sent before anything is known of the path. V10: 1232 is what IPv6
    /// guarantees; 1200 leaves room for a tunnel.
    pub base_datagram: u16,
    /// Bytes of UDP payload that the search for the path's size ends at: 1472 is Ethernet with
    /// IPv4, and what peers are known to accept.
    pub max_datagram: u16,
    /// Whether to search for the path's size (RFC 8899).
    pub mtu_search: bool,
    /// Bytes of the window advertised for a stream once it carries data. The protocol gives
    /// 65,536 before that.
    pub initial_stream_window: u64,
    /// Bytes the peer is told that it may have in flight (MAX_DATA), rounded to 64 KiB.
    pub max_in_flight: u64,
    /// Whether what travels on the streams is authenticated end to end (Noise, TLS), so that a wrong byte cannot pass unnoticed there.
    /// It matters with Dart peers of wire version 2 only, which take numbers for packets that they never send again. Such a number is passed
    /// once something proves that no data will come under it, or once the path has lost nothing for so long that data would have come again: 3 s
    /// or some more. Else the connection ends with
    /// [`CloseReason::MissingPacket`](crate::CloseReason::MissingPacket) after 150 s. If this is set, a suspicion is enough after 3 s:
    /// nearly always right, and if it is wrong, bytes are missing in the stream until the late packet ends the connection.
    /// The default is `false`: never a wrong byte.
    pub streams_are_authenticated: bool,
    /// Number of the first numbered packet in both directions. Anything but 0 is for tests:
    /// both sides must agree.
    pub first_number: u64,
    /// Position of the first byte of every stream in both directions, at most 2^52. Anything but 0 is for
    /// tests of long streams: both sides must agree.
    pub first_position: u64,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        ConnectionConfig {
            version: VersionChoice::default(),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(10)),
            dial_timeout: Duration::from_secs(30),
            algorithm: Algorithm::Cubic,
            initial_rtt: Duration::from_millis(100),
            pacing: true,
            base_datagram: 1200,
            max_datagram: 1472,
            mtu_search: true,
            initial_stream_window: 1 << 20,
            max_in_flight: 16 << 20,
            streams_are_authenticated: false,
            first_number: 0,
            first_position: 0,
        }
    }
}

/// The least that a path must carry for a SYN, an announcement and some data.
pub(crate) const LEAST_DATAGRAM: u16 = 256;

impl ConnectionConfig {
    /// Whether the settings can be kept.
    pub(crate) fn validate(&self) -> Result<(), ConnectError> {
        let sizes = LEAST_DATAGRAM <= self.base_datagram && self.base_datagram <= self.max_datagram;
        // R12: two sides that ask at once after each answer would never stop.
        let asks = self.keep_alive.is_none_or(|pause| !pause.is_zero());
        let times = !self.idle_timeout.is_zero() && !self.dial_timeout.is_zero() && asks;
        let first = self.first_number < u64::MAX >> 1 && self.first_position <= 1 << 52;
        if sizes && times && first {
            Ok(())
        } else {
            Err(ConnectError::InvalidConfig)
        }
    }
}
