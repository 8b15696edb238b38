//! What of a [`Config`] is asked again after the beginning, in few octets: each connection has its own.

use super::user_timeout::Exchange;
use super::{Config, KeepAlive};
use core::time::Duration;
use gapless_recovery::Instant;

/// A time in whole milliseconds, rounded up; what is longer than 49 days is for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Millis(u32);

impl Millis {
    /// No time is so long.
    pub(super) const FOREVER: Self = Self(u32::MAX);

    /// So much later than `now`.
    pub(super) fn after(self, now: Instant) -> Instant {
        now.saturating_add(self.duration())
    }

    /// As [`after`](Self::after), or `None` for ever.
    pub(super) fn end(self, now: Instant) -> Option<Instant> {
        (self != Self::FOREVER).then(|| self.after(now))
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0))
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(NANOS_PER_MILLI);
        Self(u32::try_from(millis).unwrap_or(u32::MAX))
    }
}

/// `None` is for ever.
impl From<Option<Duration>> for Millis {
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::FOREVER, Self::from)
    }
}

const NANOS_PER_MILLI: u128 = 1_000_000;

/// RFC 9293 3.8.4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) idle: Millis,
    pub(super) interval: Millis,
    pub(super) probes: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) receive_buffer: u32,
    pub(super) first_receive_buffer: u32,
    pub(super) first_send_buffer: u32,
    pub(super) ack_delay: Millis,
    pub(super) user_timeout: Millis,
    /// RFC 5482, if it is on.
    pub(super) exchange: Option<Exchange>,
    pub(super) fin_wait_timeout: Millis,
    pub(super) time_wait: Millis,
    pub(super) keep_alive: Option<Asking>,
    pub(super) window_scale: bool,
    pub(super) timestamps: bool,
    pub(super) sack: bool,
    pub(super) ecn: bool,
    pub(super) nagle: bool,
}

impl Habits {
    pub(super) fn new(config: &Config) -> Self {
        let asking = |keep_alive: KeepAlive| Asking {
            idle: keep_alive.idle.into(),
            interval: keep_alive.interval.into(),
            probes: keep_alive.probes,
        };
        Self {
            receive_buffer: config.receive_buffer,
            first_receive_buffer: config.first_receive_buffer.min(config.receive_buffer),
            first_send_buffer: config.first_send_buffer.min(config.send_buffer),
            ack_delay: config.ack_delay.into(),
            user_timeout: config.user_timeout.into(),
            exchange: config.user_timeout_option.as_ref().map(Exchange::new),
            fin_wait_timeout: config.fin_wait_timeout.into(),
            time_wait: config.time_wait.into(),
            keep_alive: config.keep_alive.map(asking),
            window_scale: config.window_scale,
            timestamps: config.timestamps,
            sack: config.sack,
            ecn: config.ecn,
            nagle: config.nagle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_and_bounded() {
        let now = Instant::from_nanos(5);
        for (nanos, millis) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
            let end = Millis::from(Duration::from_nanos(nanos)).end(now);
            assert_eq!(end, Some(now + Duration::from_millis(millis)));
        }
        let year = Duration::from_secs(365 * 24 * 3600);
        assert_eq!(Millis::from(year).end(now), None);
        assert_eq!(Millis::FOREVER.end(now), None);
    }
}
