use std::time::Duration;

/// Bytes that IPv4 and UDP put before each datagram's payload. Rate, queue and MTU count them, as a real path does. (Over IPv6 it
/// would be 48; the model does not tell the families apart.)
pub const HEADER_BYTES: u64 = 28;

/// How bad a path is. [`Profile::default`] is a perfect one: nothing is lost, nothing takes time.
///
/// Written and read as text, the form that `--impair` takes:
///
/// ```
/// use gapless_link::Profile;
///
/// let text = "loss=2%,burst=4,delay=20ms,jitter=5ms,rate=50mbit,queue=100ms,blackout=5s+2s,seed=7";
/// let profile: Profile = text.parse()?;
/// assert_eq!(profile.to_string(), text);
/// # Ok::<(), gapless_link::ParseError>(())
/// ```
///
/// | Key | Example | Meaning |
/// |---|---|---|
/// | `loss` | `2%` | share of the datagrams that vanish |
/// | `burst` | `4` | mean number of datagrams in a row that are bad ones (Gilbert's model); without it, each is lost on its own |
/// | `within` | `60%` | share of the bad ones that is lost (Gilbert and Elliott's model); default all |
/// | `stray` | `0.1%` | share of the others that is lost (likewise) |
/// | `delay` | `20ms` | time that each datagram travels |
/// | `jitter` | `5ms` | more time on top, evenly between nothing and this; the order is kept |
/// | `order` | `free` | jitter does not keep the order |
/// | `spike` | `5s+500ms:2s` | what is sent from 5 s on for 500 ms takes 2 s more; several are joined by `/` |
/// | `reorder` | `1%` | share of the datagrams that are held back, so that later ones overtake them |
/// | `duplicate` | `1%` | share of the datagrams that arrive twice |
/// | `corrupt` | `0.1%` | share of the datagrams damaged by flipped bits (and dropped by UDP's checksum) |
/// | `truncate` | `0.1%` | share of the datagrams cut short (and dropped likewise) |
/// | `rate` | `50mbit` | what the bottleneck carries per second, IP and UDP headers included |
/// | `queue` | `100ms`, `64kib` | what may wait before the bottleneck; needs `rate`; default 100 ms worth, at least 64 KiB |
/// | `aqm` | `codel` | what waits too long is dropped (RFC 8289); needs `rate`; default is a tail |
/// | `cross` | `5mbit`, `5mbit:200ms+300ms` | others send so much through the bottleneck, on for 200 ms and off for 300 ms on average; needs `rate` |
/// | `mtu` | `1500` | largest packet in bytes, IP and UDP headers included |
/// | `blackout` | `5s+2s` | the path is down from 5 s on for 2 s; several are joined by `/` |
/// | `checksum` | `off` | damaged datagrams are delivered as they are; for tests of robustness only |
/// | `seed` | `7` | another course of the same chances |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Share of the datagrams that vanish.
    pub loss: Share,
    /// Mean length of a burst of losses in datagrams, from 1; `None`: each is lost on its own. With a burst of 1 no two losses
    /// follow each other. A burst ends when nothing is sent for 100 ms: who backs off does not prolong it.
    pub burst: Option<u32>,
    /// Share of the datagrams within a burst that is lost. Means nothing without `burst`.
    pub within: Share,
    /// Share of the datagrams between bursts that is lost. Means nothing without `burst`.
    pub stray: Share,
    /// Time each datagram travels.
    pub delay: Duration,
    /// Additional time, drawn evenly from zero to this for each datagram.
    pub jitter: Duration,
    /// Whether a datagram waits behind those sent before it, whatever its jitter. Default true.
    pub keeps_order: bool,
    /// Times at which datagrams take longer.
    pub spikes: Vec<Spike>,
    /// Share of the datagrams that are held back, by an even draw up to [`Profile::hold`], while later ones pass.
    pub reorder: Share,
    /// Share of the datagrams that arrive twice. The copy comes up to [`Profile::hold`] later.
    pub duplicate: Share,
    /// Share of the datagrams in which one to three bits flip.
    pub corrupt: Share,
    /// Share of the datagrams that lose their tail.
    pub truncate: Share,
    /// Capacity of the bottleneck in bits per second; `None`: no bottleneck.
    pub rate: Option<u64>,
    /// What may wait before the bottleneck; `None`: 100 ms worth of `rate`, at least 64 KiB. Means nothing without `rate`.
    pub queue: Option<Queue>,
    /// What is dropped of that which waits. Means nothing without `rate`.
    pub aqm: Aqm,
    /// What others send through the bottleneck. Means nothing without `rate`.
    pub cross: Option<Cross>,
    /// Largest packet in bytes, headers included; larger ones vanish. `None`: any size passes.
    pub mtu: Option<u16>,
    /// Times at which the path is down.
    pub blackouts: Vec<Blackout>,
    /// Whether the receiver's checksum drops damaged datagrams, as UDP's does. Default true.
    pub checksum: bool,
    /// Start of the random numbers.
    pub seed: u64,
}

impl Profile {
    /// How long a datagram is held back at most when it is reordered, and how much later a duplicate comes at most:
    /// the largest of delay, jitter and 1 ms. Of the order of the travel time, so that whole flights of datagrams overtake.
    pub fn hold(&self) -> Duration {
        self.delay.max(self.jitter).max(Duration::from_millis(1))
    }

    /// Bytes that may wait before the bottleneck, headers included; `None` if there is no bottleneck.
    pub fn queue_bytes(&self) -> Option<u64> {
        let rate = self.rate?;
        let worth = |time: Duration| {
            u64::try_from(time.as_nanos().saturating_mul(rate.into()) / 8 / 1_000_000_000)
                .unwrap_or(u64::MAX)
        };
        Some(match self.queue {
            Some(Queue::Bytes(bytes)) => bytes,
            Some(Queue::Time(time)) => worth(time),
            None => worth(DEFAULT_QUEUE_TIME).max(DEFAULT_QUEUE_BYTES),
        })
    }

    /// What the spikes add to the time of a datagram sent at `now` (nanoseconds since the caller's zero).
    pub fn spike_at(&self, now: u64) -> Duration {
        let at_once = self.spikes.iter().filter(|spike| {
            let time = spike.time;
            time.contains(Duration::from_nanos(now))
        });
        at_once.map(|spike| spike.adds).max().unwrap_or_default()
    }

    /// Whether the path is down at `now` (nanoseconds since the caller's zero).
    pub fn is_down(&self, now: u64) -> bool {
        self.blackouts
            .iter()
            .any(|blackout| blackout.contains(Duration::from_nanos(now)))
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            loss: Share::NONE,
            burst: None,
            within: Share::ALL,
            stray: Share::NONE,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            keeps_order: true,
            spikes: Vec::new(),
            reorder: Share::NONE,
            duplicate: Share::NONE,
            corrupt: Share::NONE,
            truncate: Share::NONE,
            rate: None,
            queue: None,
            aqm: Aqm::DropTail,
            cross: None,
            mtu: None,
            blackouts: Vec::new(),
            checksum: true,
            seed: 0,
        }
    }
}

/// A share of the whole, in millionths: exact, so that what is printed reads back as the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// Never.
    pub const NONE: Self = Self(0);
    /// Always.
    pub const ALL: Self = Self(1_000_000);

    /// `millionths` of the whole; all of it if that is more.
    pub const fn from_millionths(millionths: u32) -> Self {
        if millionths > Self::ALL.0 {
            Self::ALL
        } else {
            Self(millionths)
        }
    }

    /// `percent` of the whole; all of it if that is more.
    pub const fn from_percent(percent: u32) -> Self {
        Self::from_millionths(percent.saturating_mul(10_000))
    }

    /// From 0 to 1,000,000.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

/// What may wait before a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// This many bytes, IP and UDP headers included.
    Bytes(u64),
    /// As many bytes as the bottleneck carries in this time.
    Time(Duration),
}

/// How a queue chooses what it drops (active queue management, RFC 7567).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aqm {
    /// What it has no room for.
    #[default]
    DropTail,
    /// Also what has waited for too long (RFC 8289), with the target of 5 ms and the interval of 100 ms.
    Codel,
}

/// What others send through a bottleneck, in packets of 1500 bytes at even distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cross {
    /// In bits per second, headers included.
    pub rate: u64,
    /// How long they send and how long they pause, each from half of this to one and a half times; `None`: they always send.
    pub bursts: Option<(Duration, Duration)>,
}

/// A time in which datagrams take longer, as when a phone changes its cell (RFC 4015 1). Those behind wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// When.
    pub time: Blackout,
    /// How much longer.
    pub adds: Duration,
}

/// A time in which the path is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blackout {
    /// When it begins, counted from the caller's zero.
    pub from: Duration,
    /// How long it lasts.
    pub length: Duration,
}

impl Blackout {
    fn contains(&self, time: Duration) -> bool {
        time.checked_sub(self.from)
            .is_some_and(|since| since < self.length)
    }
}

/// What routers of a good size hold; less makes any burst a loss, much more is bufferbloat.
const DEFAULT_QUEUE_TIME: Duration = Duration::from_millis(100);
/// On slow links 100 ms would be a handful of packets: no real queue is so small.
const DEFAULT_QUEUE_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_follows_the_rate_but_stays_useful() {
        let queue = |rate, queue| {
            Profile {
                rate,
                queue,
                ..Profile::default()
            }
            .queue_bytes()
        };
        assert_eq!(queue(None, Some(Queue::Bytes(5))), None);
        assert_eq!(queue(Some(100_000_000), None), Some(1_250_000));
        assert_eq!(queue(Some(1_000_000), None), Some(65_536));
        assert_eq!(
            queue(Some(8_000_000), Some(Queue::Time(Duration::from_millis(5)))),
            Some(5_000)
        );
        assert_eq!(queue(Some(8_000_000), Some(Queue::Bytes(7))), Some(7));
        assert_eq!(
            queue(Some(u64::MAX), Some(Queue::Time(Duration::MAX))),
            Some(u64::MAX)
        );
    }

    #[test]
    fn shares_never_pass_the_whole() {
        assert_eq!(Share::from_percent(50).millionths(), 500_000);
        assert_eq!(Share::from_percent(u32::MAX), Share::ALL);
        assert_eq!(Share::from_millionths(1_000_001), Share::ALL);
    }

    #[test]
    fn a_blackout_holds_its_beginning_but_not_its_end() {
        let profile = Profile {
            blackouts: vec![Blackout {
                from: Duration::from_nanos(10),
                length: Duration::from_nanos(5),
            }],
            ..Profile::default()
        };
        let down: Vec<u64> = (0..20).filter(|&now| profile.is_down(now)).collect();
        assert_eq!(down, [10, 11, 12, 13, 14]);
    }
}
