//! What a connection may be told.

use super::UserTimeoutOption;
use alloc::boxed::Box;
use core::time::Duration;
use gapless_recovery::{Algorithm, Config as RecoveryConfig, Controller};

/// Limits and habits of a connection.
///
/// Memory: both buffers grow with what is in them, to `receive_buffer` (and one rounding of the window, at most 16 KiB) and `send_buffer`
/// octets, rounded up to a power of two. How much may be in them follows from the path: at first `first_receive_buffer` and
/// `first_send_buffer` octets, then twice of what the application takes out in a round trip, and twice the congestion window. The books of what is in flight to `max_segments` times some 200 octets; behind holes 600
/// octets. A connection that has waited for nothing for a second holds none of it. Times count in whole milliseconds, rounded up, and from
/// 49 days on as for ever.
#[derive(Clone, Debug)]
pub struct Config {
    /// Octets that may wait for the application to read them, at most. The shift of windows follows from it (RFC 7323 2.3).
    pub receive_buffer: u32,
    /// As many at first: the window grows when an application that keeps up is held back by it, and never becomes smaller again. From
    /// `receive_buffer` on it means that the window is as large as it gets from the beginning.
    pub first_receive_buffer: u32,
    /// Octets that may wait for the peer to acknowledge them, at most.
    pub send_buffer: u32,
    /// As many in any case; beyond, twice what the congestion window has room for: one half of it on its way, and one to follow. From
    /// `send_buffer` on it means that the path is not asked.
    pub first_send_buffer: u32,
    /// Segments that may be in flight.
    pub max_segments: usize,
    /// Offer windows beyond 64 KiB (RFC 7323 section 2).
    pub window_scale: bool,
    /// Offer timestamps (RFC 7323 section 3).
    pub timestamps: bool,
    /// Offer selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Offer explicit congestion notification (RFC 3168), which a path that marks instead of dropping rewards. Off, because there
    /// are still paths that drop a SYN with it: it costs those a timeout. A peer's offer is always taken.
    pub ecn: bool,
    /// Find out by larger segments what the path carries when it carried less before (RFC 4821, RFC 8899): every ten minutes, and soon after a
    /// black hole, in which large segments vanish without a report.
    pub probe_path: bool,
    /// Hold small segments back while others are in flight (RFC 896, RFC 9293 3.7.4).
    pub nagle: bool,
    /// How long an acknowledgement of a single segment may wait for another (RFC 9293 3.8.6.3: less than 500 ms).
    pub ack_delay: Duration,
    /// So many segments at the beginning are acknowledged at once, while the sender's window is small.
    pub quick_acks: u32,
    /// Which congestion controller. [`Algorithm::Bbr`] stands for CUBIC here: it lives in a box, see [`controller`](Self::controller).
    pub algorithm: Algorithm,
    /// Makes a congestion controller of the caller's own for each connection, instead of `algorithm`. The box is made by the caller, because
    /// making one can end the program, which the engine never does.
    ///
    /// ```
    /// use gapless_tcp::{Bbr, Config};
    ///
    /// let config = Config {
    ///     controller: Some(|recovery| Box::new(Bbr::new(recovery))),
    ///     ..Config::default()
    /// };
    /// # let _ = config;
    /// ```
    pub controller: Option<MakeController>,
    /// Spread segments over the round trip.
    pub pacing: bool,
    /// Ask whether a silent peer is still there (RFC 9293 3.8.4). Off by default, as the RFC demands.
    pub keep_alive: Option<KeepAlive>,
    /// The connection is given up when something sent was not acknowledged for so long (RFC 9293 3.8.3, R2; RFC 5482). `None`: never.
    pub user_timeout: Option<Duration>,
    /// Tell the peer how long we wait for acknowledgments, and listen to what it says of itself (RFC 5482). Off by default, as the RFC demands.
    pub user_timeout_option: Option<UserTimeoutOption>,
    /// The same while it is being opened (RFC 9293 3.8.3: at least three minutes).
    pub connect_timeout: Duration,
    /// How long we wait for the FIN of a peer to whom nobody here listens any more (R10, C31). RFC 9293 knows no such limit; every
    /// system has one, because the peer may be gone.
    pub fin_wait_timeout: Duration,
    /// Twice the maximum segment lifetime (RFC 9293 3.4.2 says four minutes, systems use one).
    pub time_wait: Duration,
}

impl Config {
    /// The window that our SYN tells, which is not shifted (RFC 7323 2.2).
    pub(crate) fn first_window(&self) -> u16 {
        let first = self.first_receive_buffer.min(self.receive_buffer);
        u16::try_from(first).unwrap_or(u16::MAX)
    }
}

/// Makes the congestion controller of a new connection.
pub type MakeController = fn(&RecoveryConfig) -> Box<dyn Controller>;

/// RFC 9293 3.8.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence after which the peer is asked first.
    pub idle: Duration,
    /// Time between questions.
    pub interval: Duration,
    /// Questions without an answer after which the connection is given up.
    pub probes: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            // RFC 9293 3.8.4: no less than two hours.
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            probes: 9,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receive_buffer: 1 << 20,
            // As much as a window tells that is not shifted; four rounds of slow start.
            first_receive_buffer: 1 << 16,
            send_buffer: 1 << 20,
            first_send_buffer: 1 << 16,
            max_segments: 8192,
            window_scale: true,
            timestamps: true,
            sack: true,
            ecn: false,
            probe_path: true,
            nagle: true,
            ack_delay: Duration::from_millis(40),
            quick_acks: 16,
            algorithm: Algorithm::Cubic,
            controller: None,
            pacing: true,
            keep_alive: None,
            // RFC 9293 3.8.3: at least 100 s; what Linux makes of it is some 15 minutes.
            user_timeout: Some(Duration::from_secs(900)),
            user_timeout_option: None,
            connect_timeout: Duration::from_secs(180),
            fin_wait_timeout: Duration::from_secs(60),
            time_wait: Duration::from_secs(60),
        }
    }
}
