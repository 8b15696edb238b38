//! Dart's sending books: numbers, what is outstanding, timers, and what an ACK does to them (UDX2 4.4, 8; UDX 5).
//!
//! In version 3 the sender declines after each loss: the lost number is never acknowledged, so the cumulative point stays below it,
//! and what is sent again is not found in the table of sizes, so its bytes stay in flight for ever.

use super::release::{Bears, Release};
use crate::peers::values::covers;
use crate::peers::window::{Window, from_millis};
use crate::peers::wire::Frame;
use gapless_udx::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A packet without its connection: what is sent, and again.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) sequence: u32,
    pub(super) destination: u32,
    pub(super) source: u32,
    pub(super) frames: Vec<Frame>,
}

/// One space of numbers, the sending side.
pub(super) struct Sender {
    release: Release,
    next: u32,
    last: Option<u32>,
    sent: BTreeMap<u32, Outstanding>,
    /// When a number was first used, and for how many bytes. A packet that moves to another number leaves its entry behind.
    sizes: BTreeMap<u32, (Instant, u64)>,
    acknowledged: BTreeSet<u32>,
    /// All numbers below were acknowledged.
    cumulative: u32,
    /// ACKs in a row that did not move `cumulative`.
    duplicates: u32,
    pub(super) window: Window,
    probe_at: Option<Instant>,
    probes: u32,
}

struct Outstanding {
    draft: Draft,
    attempts: u32,
    due: Instant,
}

/// What an ACK did.
#[derive(Default)]
pub(super) struct Acknowledged {
    /// Bytes that are no longer unacknowledged.
    pub(super) freed: u64,
    /// The packet that three ACKs without progress call lost.
    pub(super) resend: Option<Draft>,
}

/// What a time brought.
#[derive(Default)]
pub(super) struct Due {
    pub(super) resend: Vec<Draft>,
    /// A PING is due, too.
    pub(super) probe: bool,
}

impl Sender {
    pub(super) fn new(release: Release) -> Self {
        Self {
            release,
            next: 0,
            last: None,
            sent: BTreeMap::new(),
            sizes: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            cumulative: 0,
            duplicates: 0,
            window: Window::new(INITIAL_RTT),
            probe_at: None,
            probes: 0,
        }
    }

    /// What the header of an unregistered packet bears.
    pub(super) fn number(&mut self, bears: Bears) -> u32 {
        match bears {
            Bears::Fresh => self.take(),
            Bears::Last => self.last.unwrap_or(0),
            Bears::Zero => 0,
        }
    }

    pub(super) fn has_outstanding(&self) -> bool {
        !self.sent.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let resends = self.sent.values().map(|packet| packet.due);
        resends.chain(self.probe_at).min()
    }

    /// Registers a packet and gives it its number.
    pub(super) fn commit(
        &mut self,
        now: Instant,
        destination: u32,
        source: u32,
        frames: Vec<Frame>,
    ) -> Draft {
        let sequence = self.take();
        let size = data_len(&frames);
        let draft = Draft {
            sequence,
            destination,
            source,
            frames,
        };
        self.last = Some(sequence);
        let outstanding = Outstanding {
            draft: draft.clone(),
            attempts: 0,
            due: now + self.timeout(),
        };
        self.sent.insert(sequence, outstanding);
        self.sizes.insert(sequence, (now, size));
        self.window.in_flight += size;
        self.probe_at = Some(now + self.timeout());
        draft
    }

    pub(super) fn on_ack(&mut self, now: Instant, ack: &Frame) -> Acknowledged {
        let Frame::Ack { largest, delay, .. } = ack else {
            return Acknowledged::default();
        };
        let newly: Vec<u32> = self
            .sent
            .keys()
            .copied()
            .filter(|&number| covers(ack, number))
            .collect();
        let before = self.cumulative;
        for number in &newly {
            self.sent.remove(number);
            self.acknowledged.insert(*number);
        }
        while self.acknowledged.remove(&self.cumulative) {
            self.cumulative += 1;
        }
        let advances = self.cumulative > before;
        let mut done = Acknowledged::default();
        for number in newly {
            // What was sent again in version 3 is not in the table: its bytes stay in flight.
            let Some((sent, size)) = self.sizes.remove(&number) else {
                continue;
            };
            done.freed += size;
            self.window.leave_flight(size);
            if advances && (before..self.cumulative).contains(&number) {
                self.window.sample(now, sent, *delay);
                self.window.grow(now, size, *largest);
            }
            self.probes = 0;
            self.probe_at = (self.window.in_flight > 0).then(|| now + self.timeout());
        }
        if advances {
            self.duplicates = 0;
        } else {
            self.duplicates += 1;
            if self.duplicates == 3 {
                let last = self.last.unwrap_or(0);
                self.window.shrink(now, last);
                done.resend = self.resend(now, self.cumulative);
            }
        }
        done
    }

    pub(super) fn on_time(&mut self, now: Instant) -> Due {
        let due: Vec<u32> = self
            .sent
            .iter()
            .filter(|(_, packet)| packet.due <= now)
            .map(|(number, _)| *number)
            .collect();
        let resend = due
            .into_iter()
            .filter_map(|number| self.resend_on_time(now, number))
            .collect();
        let probe = self.probe_at.is_some_and(|at| at <= now);
        if probe {
            self.plan_probe(now);
        }
        Due {
            resend,
            probe: probe && self.has_outstanding(),
        }
    }

    fn take(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// UDX2 8, UDX 5: in version 2 the same packet ten times, then it is dropped in silence; in version 3 under a fresh number for ever.
    fn resend_on_time(&mut self, now: Instant, number: u32) -> Option<Draft> {
        let timeout = self.timeout();
        let is_version_3 = self.release.is_version_3();
        let packet = self.sent.get_mut(&number)?;
        packet.attempts += 1;
        let attempts = packet.attempts;
        if !is_version_3 && attempts > ATTEMPTS {
            self.sent.remove(&number);
            return None;
        }
        let ceiling = if is_version_3 {
            timeout.max(BACKOFF_CEILING_3)
        } else {
            BACKOFF_CEILING_2
        };
        let backoff = timeout
            .saturating_mul(1 << (attempts - 1).min(16))
            .clamp(MIN_TIMEOUT, ceiling);
        packet.due = now + backoff;
        self.resend(now, number)
    }

    fn resend(&mut self, _now: Instant, number: u32) -> Option<Draft> {
        if !self.release.is_version_3() {
            return self.sent.get(&number).map(|packet| packet.draft.clone());
        }
        let mut packet = self.sent.remove(&number)?;
        let fresh = self.take();
        packet.draft.sequence = fresh;
        self.last = Some(fresh);
        let draft = packet.draft.clone();
        self.sent.insert(fresh, packet);
        Some(draft)
    }

    /// UDX2 8: after a timeout, doubled once, ten times; then a pause of four.
    fn plan_probe(&mut self, now: Instant) {
        self.probes += 1;
        let timeouts = if self.probes == PROBES { 4 } else { 2 };
        if self.probes == PROBES {
            self.probes = 0;
        }
        self.probe_at = self
            .has_outstanding()
            .then(|| now + self.timeout() * timeouts);
    }

    /// UDX2 8: whole milliseconds of the smoothed time and four variations, within bounds.
    fn timeout(&self) -> Duration {
        let rtt = &self.window.rtt;
        let millis = rtt.smoothed.floor() + 4.0 * rtt.variation.floor();
        from_millis(millis).clamp(MIN_TIMEOUT, MAX_TIMEOUT)
    }
}

/// Bytes of data: Dart counts nothing else.
pub(super) fn data_len(frames: &[Frame]) -> u64 {
    let len = |frame: &Frame| match frame {
        Frame::Stream { data, .. } => data.len() as u64,
        _ => 0,
    };
    frames.iter().map(len).sum()
}

/// Milliseconds before the first sample: a timeout of 300 ms (UDX 15).
const INITIAL_RTT: f64 = 100.0;
const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(5);
const BACKOFF_CEILING_2: Duration = Duration::from_secs(30);
const BACKOFF_CEILING_3: Duration = Duration::from_secs(2);
/// Resends of one packet in version 2.
const ATTEMPTS: u32 = 10;
/// Probes in a row.
const PROBES: u32 = 10;
