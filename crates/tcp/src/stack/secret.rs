//! Numbers that must not be guessed: initial numbers, ports, cookies (RFC 6528, RFC 6056, RFC 4987).

use super::Tuple;
use super::table::Table;
use crate::num::low;
use crate::wire::Header;
use core::fmt;
use core::hash::Hasher;
use gapless_recovery::Instant;
use siphasher::sip::SipHasher13;

/// Keys of our own, made from the caller's seed: each purpose has another.
pub(super) struct Secret {
    seed: [u64; 2],
    /// How many ports were asked for (RFC 6056 3.3.3, `next_ephemeral`).
    dialed: u64,
    /// Where the clock of initial numbers stood for the last one.
    last: Option<u64>,
    /// Where numbers and timestamps begin, if a test says so.
    start: Option<(u32, u32)>,
}

/// What a hash is for.
#[derive(Clone, Copy)]
enum Purpose {
    Table,
    Initial,
    Clock,
    Port,
    Cookie,
}

/// What is printed somewhere is no secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// What a cookie brought back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cookie {
    /// The peer's maximum segment size, rounded down to one that a cookie can say.
    pub(super) mss: u16,
}

/// The sizes that two bits can say: those of the least IPv4 host, of the least IPv6 link, of tunnels, and of Ethernet.
const SIZES: [u16; 4] = [536, 1220, 1400, 1460];

/// The clock of initial numbers ticks every 2^6 ns.
///
/// RFC 9293 3.4.1 says "roughly" 4 µs, for networks of its time: a connection that sends more than 250,000 octets a second is ahead of such a
/// clock. Then an old copy of its SYN, or the next dial from the same port, opens a connection whose numbers are those of the last one, and
/// acknowledgments and data of the last one fit. 64 ns are ahead of 15 million octets a second, and go round in 274 s, which is more than twice
/// the 120 s for which a segment may live. What is faster still, or older, timestamps tell apart: their clock goes on
/// from connection to connection (RFC 7323 5.8, RFC 6191). It is what Linux does.
const INITIAL_TICK: u32 = 6;

/// How far that clock moves with each initial number at least: the caller's may stand still between two, and between the same ends the second
/// number would be the first again. A whole conversation may pass in one tick of a coarse clock; then of all its acknowledgments only one
/// that names exactly this octet fits the next connection. 15,000 connections a second do not overtake the clock.
const INITIAL_STEP: u64 = 1024;

/// How long one time of a cookie lasts, ns. It is taken for this one and the one before.
const COOKIE_TICK: u64 = 64_000_000_000;

/// RFC 6335 6: the dynamic ports.
const FIRST_PORT: u16 = 49_152;
const PORTS: u16 = 16_384;

impl Secret {
    pub(super) const fn new(seed: [u64; 2]) -> Self {
        Self {
            seed,
            dialed: 0,
            last: None,
            start: None,
        }
    }

    pub(super) fn table(&self) -> Table {
        Table::new([self.plain(Purpose::Table, 0), self.plain(Purpose::Table, 1)])
    }

    /// RFC 6528 section 3: a clock and a hash of both ends.
    pub(super) fn initial(&mut self, now: Instant, tuple: &Tuple) -> u32 {
        let (begin, tick) = match self.start {
            // Slowly, so that many connections begin near the place that the test wants.
            Some((initial, _)) => (u64::from(initial), 12),
            None => (self.of(Purpose::Initial, tuple, 0), INITIAL_TICK),
        };
        let clock = now.as_nanos().wrapping_shr(tick);
        let least = self
            .last
            .map_or(0, |last| last.saturating_add(INITIAL_STEP));
        let clock = clock.max(least);
        self.last = Some(clock);
        low(begin.wrapping_add(clock))
    }

    /// RFC 7323 7.1.
    pub(super) fn clock_offset(&self, tuple: &Tuple) -> u32 {
        match self.start {
            Some((_, clock)) => clock,
            None => low(self.of(Purpose::Clock, tuple, 0)),
        }
    }

    /// Where numbers and timestamps begin from now on.
    pub(super) const fn begin_at(&mut self, initial: u32, clock: u32) {
        self.start = Some((initial, clock));
    }

    /// RFC 6056 3.3.3: ports in an order that depends on where one dials. `None` when all are tried.
    pub(super) fn ports(&mut self, tuple: &Tuple) -> impl Iterator<Item = u16> + use<> {
        let start = self.of(Purpose::Port, tuple, 0).wrapping_add(self.dialed);
        self.dialed = self.dialed.wrapping_add(1);
        (0..PORTS).map(move |step| {
            let offset = start.wrapping_add(u64::from(step)) & u64::from(PORTS.wrapping_sub(1));
            FIRST_PORT.saturating_add(u16::try_from(offset).unwrap_or(0))
        })
    }

    /// The initial number that says in itself what a half-open connection would have to remember (RFC 4987 3.6).
    pub(super) fn cookie(&self, now: Instant, tuple: &Tuple, syn: &Header) -> u32 {
        let offered = syn.options.mss.map_or(536, core::num::NonZeroU16::get);
        let size = SIZES.iter().rposition(|size| *size <= offered).unwrap_or(0);
        let time = time_of(now);
        self.bake(tuple, syn.sequence.into(), time, size)
    }

    /// What a cookie says that comes back with the third segment, if it is one of ours and fresh.
    pub(super) fn taste(&self, now: Instant, tuple: &Tuple, ack: &Header) -> Option<Cookie> {
        let cookie = u32::from(ack.acknowledgment).wrapping_sub(1);
        let initial = u32::from(ack.sequence).wrapping_sub(1);
        let size = usize::try_from(cookie.wrapping_shr(24) & 0b11).ok()?;
        let now = time_of(now);
        let is_ours = [now, now.wrapping_sub(1) & 0x3f]
            .into_iter()
            .any(|time| self.bake(tuple, initial, time, size) == cookie);
        let mss = SIZES.get(size).copied()?;
        is_ours.then_some(Cookie { mss })
    }

    /// Six bits of time, two of size, 24 of hash.
    fn bake(&self, tuple: &Tuple, initial: u32, time: u64, size: usize) -> u32 {
        let size = u32::try_from(size).unwrap_or(0) & 0b11;
        let salt = time
            .wrapping_shl(34)
            .wrapping_add(u64::from(size).wrapping_shl(32))
            .wrapping_add(u64::from(initial));
        let hash = low(self.of(Purpose::Cookie, tuple, salt)) & 0x00ff_ffff;
        low(time).wrapping_shl(26) | size.wrapping_shl(24) | hash
    }

    fn of(&self, purpose: Purpose, tuple: &Tuple, salt: u64) -> u64 {
        let key = [self.plain(purpose, 0), self.plain(purpose, 1)];
        Table::new(key)
            .full_hash(tuple)
            .wrapping_add(mix(key, salt))
    }

    fn plain(&self, purpose: Purpose, part: u8) -> u64 {
        let [first, second] = self.seed;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        let purpose = match purpose {
            Purpose::Table => 1,
            Purpose::Initial => 2,
            Purpose::Clock => 3,
            Purpose::Port => 4,
            Purpose::Cookie => 5,
        };
        hasher.write(&[purpose, part]);
        hasher.finish()
    }
}

fn mix([first, second]: [u64; 2], salt: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(second, first);
    hasher.write(&salt.to_be_bytes());
    hasher.finish()
}

fn time_of(now: Instant) -> u64 {
    now.as_nanos().checked_div(COOKIE_TICK).unwrap_or(0) & 0x3f
}
