//! Congestion control: how much may be in flight.

mod bbr;
mod cubic;
mod hystart;
mod new_reno;

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::config::{Algorithm, Config};
use crate::rate::{RateSample, SentState};
use crate::rtt::Rtt;
use crate::time::Instant;

pub use bbr::Bbr;
pub use cubic::Cubic;
pub use new_reno::NewReno;

/// An acknowledgement, as a controller sees it.
#[derive(Copy, Clone, Debug)]
pub struct Ack<'a> {
    /// When it arrived.
    pub now: Instant,
    /// Bytes it newly acknowledged.
    pub bytes: u64,
    /// Bytes in flight before it.
    pub prior_in_flight: u64,
    /// Bytes in flight after it.
    pub in_flight: u64,
    /// The newest transmission it acknowledged, counted in the order of sending.
    pub newest: u64,
    /// What the next transmission will be: a round ends when `newest` reaches the `next` of its start.
    pub next: u64,
    /// The estimate, this sample included.
    pub rtt: &'a Rtt,
    /// The sample it gave.
    pub rtt_sample: Option<Duration>,
    /// The delivery rate it shows.
    pub rate: Option<RateSample>,
    /// The state of the connection when the newest transmission was sent.
    pub sent: SentState,
    /// All bytes delivered so far, these included.
    pub delivered: u64,
    /// All bytes declared lost so far.
    pub lost: u64,
    /// The window, and not the application or flow control, kept the sender from sending more. A window
    /// that was not used must not grow (RFC 9002 7.8, RFC 9438 5.8).
    pub window_limited: bool,
    /// A loss is being repaired: proportional rate reduction governs the sending, and the window must not grow.
    pub in_recovery: bool,
}

impl Ack<'_> {
    /// Bytes per second of the sample, 0 without one.
    #[must_use]
    pub fn delivery_rate(&self) -> u64 {
        self.rate.map_or(0, |rate| rate.bytes_per_second())
    }
}

/// A transmission that was declared lost.
#[derive(Copy, Clone, Debug)]
pub struct LostPacket {
    /// When it was noticed.
    pub now: Instant,
    /// Its size.
    pub bytes: u64,
    /// Its place in the order of sending.
    pub order: u64,
    /// The state of the connection when it was sent.
    pub sent: SentState,
    /// All bytes delivered so far.
    pub delivered: u64,
    /// All bytes declared lost so far, these included.
    pub lost: u64,
}

/// The first loss of an episode of congestion.
#[derive(Copy, Clone, Debug)]
pub struct Congestion {
    /// When it was noticed.
    pub now: Instant,
    /// Bytes in flight before the loss was taken out.
    pub in_flight: u64,
    /// Bytes declared lost with it.
    pub lost: u64,
}

/// What a controller is doing: for those who watch it, since nothing depends on it.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum CongestionPhase {
    /// The window doubles each round.
    #[default]
    SlowStart,
    /// RFC 9406 4.2: slow start that seems to be over, and grows more slowly until that is certain.
    ConservativeSlowStart,
    /// The window grows as the controller's function says.
    Avoidance,
    /// BBR looks for the path's rate.
    Startup,
    /// BBR lets the queue run empty that `Startup` made.
    Drain,
    /// `ProbeBW_DOWN` of BBR: sends less than the path delivers.
    ProbeBwDown,
    /// `ProbeBW_CRUISE` of BBR: sends what the path delivers.
    ProbeBwCruise,
    /// `ProbeBW_REFILL` of BBR: fills the path before it is probed.
    ProbeBwRefill,
    /// `ProbeBW_UP` of BBR: asks whether the path carries more.
    ProbeBwUp,
    /// `ProbeRTT` of BBR: keeps little in flight to see the path's round trip time.
    ProbeRtt,
}

/// A congestion controller. All sizes are bytes.
///
/// It is told of episodes of congestion: the recovery engine decides what belongs together, runs proportional
/// rate reduction, and notices when an episode was an error. One with a model of the path may look at single losses, too.
///
/// It is not `Debug`: that would put formatting, which can panic, into each table of methods and so into every kernel.
pub trait Controller: Send + Sync {
    /// A packet left. `in_flight` is the amount without it.
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64);
    /// Packets were acknowledged.
    fn on_ack(&mut self, ack: &Ack<'_>);
    /// An episode of congestion begins.
    fn on_congestion(&mut self, congestion: &Congestion);
    /// A packet was declared lost. Comes before the episode it may begin.
    fn on_lost(&mut self, _lost: &LostPacket) {}
    /// The application sends again after it had nothing to send, and nothing is in flight.
    fn on_restart(&mut self, _now: Instant) {}
    /// All packets over a long time were lost (RFC 9002 7.6).
    fn on_persistent_congestion(&mut self, now: Instant);
    /// Every loss of the last episode was an error: state returns to what it was before.
    fn on_spurious_congestion(&mut self, now: Instant);
    /// The packet size changed.
    fn on_mtu(&mut self, mtu: u16);
    /// A new path: everything starts afresh.
    fn on_path_change(&mut self, now: Instant);
    /// What the window begins with became known when the peer had told its packets' size, bytes. Counts unless something was lost before.
    fn on_initial_window(&mut self, _bytes: u64) {}
    /// How many bytes may be in flight.
    fn window(&self) -> u64;
    /// Slow start ends here; `u64::MAX` when not yet known.
    fn ssthresh(&self) -> u64;
    /// Bytes per second, from a controller that governs by rate. `None`: derived from window and round trip time.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
    /// What the path delivers by the controller's model, bytes per second. `None` without a model or before a sample.
    fn bandwidth(&self) -> Option<u64> {
        None
    }
    /// What it is doing.
    fn phase(&self) -> CongestionPhase {
        if self.in_slow_start() {
            CongestionPhase::SlowStart
        } else {
            CongestionPhase::Avoidance
        }
    }
    /// Whether proportional rate reduction shall govern the sending during recovery.
    fn wants_rate_reduction(&self) -> bool {
        true
    }
    /// Whether what is delivered now shows the controller's caution and not the path's rate.
    fn limits_samples(&self) -> bool {
        false
    }
    /// Whether the window still doubles each round.
    fn in_slow_start(&self) -> bool {
        self.window() < self.ssthresh()
    }
}

/// The small ones by value, so that a connection allocates nothing for them.
pub(crate) enum Control {
    Cubic(Cubic),
    NewReno(NewReno),
    Custom(Box<dyn Controller>),
}

impl Control {
    pub(crate) fn new(config: &Config) -> Self {
        match config.algorithm {
            // BBR is too large to be held by value, and a box cannot be had here without a way to panic.
            Algorithm::Cubic | Algorithm::Bbr => Control::Cubic(Cubic::new(config)),
            Algorithm::NewReno => Control::NewReno(NewReno::new(config)),
        }
    }

    pub(crate) fn get(&self) -> &dyn Controller {
        match self {
            Control::Cubic(cubic) => cubic,
            Control::NewReno(new_reno) => new_reno,
            Control::Custom(custom) => custom.as_ref(),
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn Controller {
        match self {
            Control::Cubic(cubic) => cubic,
            Control::NewReno(new_reno) => new_reno,
            Control::Custom(custom) => custom.as_mut(),
        }
    }

    /// Asked for every packet, so without the detour through a table.
    pub(crate) fn window(&self) -> u64 {
        match self {
            Control::Cubic(cubic) => cubic.window(),
            Control::NewReno(new_reno) => new_reno.window(),
            Control::Custom(custom) => custom.window(),
        }
    }

    /// As `window`.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        match self {
            Control::Cubic(cubic) => cubic.on_sent(now, bytes, in_flight),
            Control::NewReno(new_reno) => new_reno.on_sent(now, bytes, in_flight),
            Control::Custom(custom) => custom.on_sent(now, bytes, in_flight),
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Control::Cubic(cubic) => cubic.fmt(f),
            Control::NewReno(new_reno) => new_reno.fmt(f),
            Control::Custom(custom) => f
                .debug_struct("Custom")
                .field("window", &custom.window())
                .finish_non_exhaustive(),
        }
    }
}

/// RFC 9002 7.2, RFC 5681: the window is never below two packets.
pub(crate) const MIN_WINDOW_PACKETS: u64 = 2;

/// What both built-in controllers share: the window, its limits and the first slow start.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    window: u64,
    ssthresh: u64,
    mtu: u64,
    initial: u64,
    max: u64,
    /// What one acknowledgement may add in slow start, in packets (L).
    limit: u64,
    hystart: hystart::HyStart,
}

impl Base {
    fn new(config: &Config) -> Self {
        let mtu = u64::from(config.mtu.start()).max(1);
        let least = mtu.saturating_mul(MIN_WINDOW_PACKETS);
        let initial = mtu
            .saturating_mul(u64::from(config.initial_window_packets))
            .max(least);
        Base {
            window: initial,
            ssthresh: u64::MAX,
            mtu,
            initial,
            // Fixed-point windows keep 10 bits of fraction.
            max: config.max_window.clamp(least, 1 << 48),
            // RFC 9406 4.3: no limit where a pacer spreads what an acknowledgement frees.
            limit: if config.pacing {
                u64::MAX
            } else {
                hystart::L_UNPACED
            },
            hystart: hystart::HyStart::new(),
        }
    }

    fn reset(&mut self) {
        self.window = self.initial;
        self.ssthresh = u64::MAX;
        self.hystart = hystart::HyStart::new();
    }

    /// RFC 6928 section 2: in packets of the size that the peer takes. A window that was reduced already, because what opened the
    /// connection was lost, stays reduced.
    fn begin_with(&mut self, bytes: u64) {
        let is_untouched = self.window == self.initial && self.ssthresh == u64::MAX;
        self.initial = bytes.max(self.min_window());
        if is_untouched {
            self.set_window(self.initial);
        }
    }

    fn min_window(&self) -> u64 {
        self.mtu.saturating_mul(MIN_WINDOW_PACKETS)
    }

    fn set_window(&mut self, window: u64) {
        self.window = window.clamp(self.min_window(), self.max.max(self.min_window()));
    }

    fn in_slow_start(&self) -> bool {
        self.window < self.ssthresh
    }

    /// The window in whole packets, to the nearest: RFC 9438 and RFC 5681 count segments. Bytes that make no packet are never sent, and
    /// to leave them out always would cost half a packet on average, an eighth of the window at 10 % of loss.
    fn whole_packets(&self) -> u64 {
        let rest = self.window.checked_rem(self.mtu).unwrap_or(0);
        let whole = self.window.saturating_sub(rest);
        if rest >= self.mtu.div_ceil(2) && whole.saturating_add(self.mtu) <= self.max {
            whole.saturating_add(self.mtu)
        } else {
            whole
        }
    }

    fn phase(&self) -> CongestionPhase {
        if !self.in_slow_start() {
            CongestionPhase::Avoidance
        } else if self.ssthresh == u64::MAX && self.hystart.is_conservative() {
            CongestionPhase::ConservativeSlowStart
        } else {
            CongestionPhase::SlowStart
        }
    }

    /// Slow start, RFC 5681 3.1 with the limit L of RFC 9406 4.2.
    fn slow_start(&mut self, ack: &Ack<'_>) {
        let growth = if self.ssthresh == u64::MAX {
            // RFC 9406 4.3: only in the first slow start, whose end is not known.
            self.hystart.on_ack(ack)
        } else {
            hystart::Growth::Full
        };
        let bytes = ack.bytes.min(self.mtu.saturating_mul(self.limit));
        match growth {
            hystart::Growth::Full => self.grow(bytes),
            hystart::Growth::Conservative => self.grow(bytes / hystart::CSS_GROWTH_DIVISOR),
            hystart::Growth::Stop => {
                mark!(SlowStartLeftByDelay);
                self.ssthresh = self.window;
            }
        }
    }

    fn grow(&mut self, bytes: u64) {
        // RFC 5681 3.1: slow start ends at ssthresh, not beyond.
        let window = self
            .window
            .saturating_add(sabotage!(NoSlowStart, 0, bytes))
            .min(self.ssthresh.max(self.window));
        self.set_window(window);
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{ack, congestion};
    use super::*;

    #[test]
    fn the_phase_follows_slow_start_its_doubt_and_its_end() {
        let config = Config::default();
        let controllers: [Box<dyn Controller>; 2] = [
            Box::new(Cubic::new(&config)),
            Box::new(NewReno::new(&config)),
        ];
        for mut controller in controllers {
            assert_eq!(controller.phase(), CongestionPhase::SlowStart);
            // RFC 9406 4.2: the round trip time rises by half.
            for (round, millis) in [40, 40, 60, 60].into_iter().enumerate() {
                let rtt = Rtt::new(Duration::from_millis(40));
                for packet in 0..10 {
                    let newest = u64::try_from(round).unwrap() * 10 + packet;
                    let mut ack = ack(Instant::ZERO, 1200, newest, newest + 10, &rtt);
                    ack.rtt_sample = Some(Duration::from_millis(millis));
                    controller.on_ack(&ack);
                }
            }
            assert_eq!(controller.phase(), CongestionPhase::ConservativeSlowStart);
            controller.on_congestion(&congestion(Instant::ZERO));
            assert_eq!(controller.phase(), CongestionPhase::Avoidance);
        }
    }

    #[test]
    fn rfc6928_2_the_first_window_may_become_known_late_but_not_after_a_loss() {
        let config = Config::default();
        for late in [false, true] {
            let controllers: [Box<dyn Controller>; 2] = [
                Box::new(Cubic::new(&config)),
                Box::new(NewReno::new(&config)),
            ];
            for mut controller in controllers {
                if late {
                    controller.on_congestion(&congestion(Instant::ZERO));
                }
                controller.on_mtu(500);
                let before = controller.window();
                controller.on_initial_window(1500);
                let expected = if late { before } else { 1500 };
                assert_eq!(controller.window(), expected);
            }
        }
    }

    #[test]
    fn rfc9406_4_2_an_unpaced_slow_start_grows_by_eight_packets_at_most() {
        let rtt = Rtt::new(Duration::from_millis(10));
        for (pacing, packets) in [(true, 20), (false, 8)] {
            let mut cubic = Cubic::new(&Config {
                pacing,
                ..Config::default()
            });
            let before = cubic.window();
            cubic.on_ack(&ack(Instant::ZERO, 20 * 1200, 20, 40, &rtt));
            assert_eq!(cubic.window() - before, packets * 1200);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// An acknowledgement of a full window's packet.
    pub(crate) fn ack<'a>(
        now: Instant,
        bytes: u64,
        newest: u64,
        next: u64,
        rtt: &'a Rtt,
    ) -> Ack<'a> {
        Ack {
            now,
            bytes,
            prior_in_flight: bytes,
            in_flight: 0,
            newest,
            next,
            rtt,
            rtt_sample: Some(rtt.latest()),
            rate: None,
            sent: SentState::default(),
            delivered: bytes,
            lost: 0,
            window_limited: true,
            in_recovery: false,
        }
    }

    pub(crate) fn congestion(now: Instant) -> Congestion {
        Congestion {
            now,
            in_flight: 0,
            lost: 0,
        }
    }
}
