//! The JS sender's books: numbers, what is outstanding, loss by gaps and by time (UDX 3, 4.4, 5).

use crate::peers::values::covers;
use crate::peers::window::{Window, from_millis};
use crate::peers::wire::Frame;
use gapless_udx::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Recovery {
    next: u32,
    last: u32,
    /// By number. A packet that is sent again moves to a fresh one.
    sent: BTreeMap<u32, Sent>,
    pub(super) window: Window,
}

/// A packet that must arrive.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) destination: u32,
    pub(super) source: u32,
    pub(super) frames: Vec<Frame>,
    size: u64,
    at: Instant,
    resends: u32,
    resent_at: Instant,
    due: Instant,
}

/// A packet to be sent again, under its new number.
pub(super) type Again = (u32, Sent);

impl Recovery {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            last: 0,
            sent: BTreeMap::new(),
            window: Window::new(INITIAL_RTT),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sent.values().map(|packet| packet.due).min()
    }

    /// UDX 5: unlike the other peers' it has the delay of the receiver in it.
    pub(super) fn timeout(&self) -> Duration {
        let rtt = &self.window.rtt;
        let millis = rtt.smoothed.floor() + (4.0 * rtt.variation.floor()).max(1.0) + 25.0;
        from_millis(millis).clamp(MIN_TIMEOUT, MAX_TIMEOUT)
    }

    pub(super) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// A number for a PING or a probe: fresh, never 0, and nobody's afterwards.
    pub(super) fn untracked_number(&mut self) -> u32 {
        match self.number() {
            0 => self.number(),
            number => number,
        }
    }

    /// Charges a packet that left under `number`.
    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        number: u32,
        (destination, source): (u32, u32),
        frames: Vec<Frame>,
        size: usize,
    ) {
        let packet = Sent {
            destination,
            source,
            frames,
            size: size as u64,
            at: now,
            resends: 0,
            resent_at: now,
            due: now + self.timeout(),
        };
        self.last = number;
        self.sent.insert(number, packet);
        self.window.in_flight += size as u64;
        self.window.pace(now, size);
    }

    /// Gives what the ACK's gaps show to be lost.
    pub(super) fn on_ack(&mut self, now: Instant, ack: &Frame) -> Vec<Again> {
        let Frame::Ack { largest, delay, .. } = ack else {
            return Vec::new();
        };
        let (mut bytes, mut sampled) = (0, None);
        self.sent.retain(|number, packet| {
            let is_acknowledged = covers(ack, *number);
            if is_acknowledged {
                bytes += packet.size;
                sampled = sampled.or((number == largest).then_some(packet.at));
            }
            !is_acknowledged
        });
        self.window.leave_flight(bytes);
        if let Some(sent) = sampled {
            self.window.sample(now, sent, *delay);
            self.window.grow(now, bytes, *largest);
        }
        let lost = self.lost(now, ack);
        lost.into_iter()
            .filter_map(|number| {
                self.window.shrink(now, self.last);
                self.resend(now, number)
            })
            .collect()
    }

    pub(super) fn on_time(&mut self, now: Instant) -> Vec<Again> {
        let is_due = |(number, packet): (&u32, &Sent)| (packet.due <= now).then_some(*number);
        let due: Vec<u32> = self.sent.iter().filter_map(is_due).collect();
        let timeout = self.timeout();
        let mut again = Vec::new();
        for number in due {
            match self.resend(now, number) {
                Some(packet) => again.push(packet),
                None => {
                    if let Some(packet) = self.sent.get_mut(&number) {
                        packet.due = (packet.resent_at + timeout).max(now + GRANULARITY);
                    }
                }
            }
        }
        again
    }

    /// UDX 5: inside a gap between listed ranges, and three below the largest or older than 9/8 of a round trip.
    fn lost(&self, now: Instant, ack: &Frame) -> Vec<u32> {
        let Frame::Ack {
            largest,
            first,
            extra,
            ..
        } = ack
        else {
            return Vec::new();
        };
        let rtt = &self.window.rtt;
        let age = from_millis(rtt.smoothed.max(rtt.latest) * 9.0 / 8.0).max(GRANULARITY);
        let mut lost = Vec::new();
        let mut cursor = i64::from(*largest) - i64::from(*first);
        for &(gap, length) in extra {
            let low = cursor - i64::from(gap);
            for number in (low + 1..=cursor).rev() {
                let number = u32::try_from(number).ok();
                let Some((number, packet)) =
                    number.and_then(|number| Some((number, self.sent.get(&number)?)))
                else {
                    continue;
                };
                let is_behind = largest - number >= 3;
                let is_old = now.saturating_duration_since(packet.at) >= age;
                if (is_behind || is_old) && !self.was_just_resent(now, packet) {
                    lost.push(number);
                }
            }
            cursor = low - i64::from(length);
        }
        lost
    }

    fn was_just_resent(&self, now: Instant, packet: &Sent) -> bool {
        packet.resends > 0 && now.saturating_duration_since(packet.resent_at) < self.timeout()
    }

    /// UDX 5: the same frames, a fresh number; the bytes stay in flight. Once per timeout.
    fn resend(&mut self, now: Instant, number: u32) -> Option<Again> {
        if self.was_just_resent(now, self.sent.get(&number)?) {
            return None;
        }
        let timeout = self.timeout();
        let mut packet = self.sent.remove(&number)?;
        let ceiling = timeout.max(MAX_BACKOFF);
        let backoff = timeout.saturating_mul(1 << packet.resends.min(16));
        packet.resends += 1;
        packet.at = now;
        packet.resent_at = now;
        packet.due = now + backoff.clamp(MIN_TIMEOUT, ceiling);
        let fresh = self.number();
        self.sent.insert(fresh, packet.clone());
        Some((fresh, packet))
    }
}

/// Milliseconds before the first sample: a timeout of 1022 ms (UDX 15).
const INITIAL_RTT: f64 = 333.0;
const MIN_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
const GRANULARITY: Duration = Duration::from_millis(1);
