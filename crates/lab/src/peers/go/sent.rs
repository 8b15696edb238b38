//! What Go has sent and nobody acknowledged: numbers, timers, how ACKs are read, what is sent again and when.

use super::Generation;
use crate::peers::wire::Frame;
use gapless_udx::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) struct Sent {
    generation: Generation,
    next: u32,
    /// The last number that something new took; -1 at first.
    last_new: i64,
    /// By the number that each has now.
    packets: BTreeMap<u32, SentPacket>,
    timers: BTreeSet<(Instant, u32)>,
}

#[derive(Clone)]
pub(super) struct SentPacket {
    pub(super) frames: Vec<Frame>,
    pub(super) destination: u32,
    pub(super) source: u32,
    pub(super) size: u64,
    pub(super) sent_at: Instant,
    timer: Instant,
    /// Times that the timer, or anything at all, had it sent again.
    timeouts: u32,
    resent: Option<(u32, Instant)>,
}

impl Sent {
    pub(super) fn new(generation: Generation) -> Self {
        Self {
            generation,
            next: 0,
            last_new: -1,
            packets: BTreeMap::new(),
            timers: BTreeSet::new(),
        }
    }

    pub(super) fn last_new(&self) -> i64 {
        self.last_new
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|&(at, _)| at)
    }

    pub(super) fn take_number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    pub(super) fn register(
        &mut self,
        now: Instant,
        timeout: Duration,
        number: u32,
        (destination, source): (u32, u32),
        frames: Vec<Frame>,
        size: u64,
    ) {
        self.last_new = number.into();
        let packet = SentPacket {
            frames,
            destination,
            source,
            size,
            sent_at: now,
            timer: now + timeout,
            timeouts: 0,
            resent: None,
        };
        self.insert(number, packet);
    }

    /// Drops everything, as a closed connection does.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.timers.clear();
    }

    /// Takes out what an ACK acknowledges.
    pub(super) fn acknowledge(
        &mut self,
        largest: u32,
        first: u32,
        extra: &[(u8, u32)],
    ) -> Vec<(u32, SentPacket)> {
        let mut acked = Vec::new();
        let mut cursor = i64::from(largest);
        self.take_down(cursor, first, &mut acked);
        cursor -= i64::from(first);
        for &(gap, length) in extra {
            let top = cursor - i64::from(gap);
            self.take_down(top, length, &mut acked);
            cursor = top - i64::from(length);
            if self.generation.is_v2() {
                // UDX2 4.3, H12: from the second extra range on one number too low, and one more for each further range.
                cursor -= 1;
            }
        }
        acked
    }

    /// What an ACK shows to be lost. The gaps are walked correctly (UDX2 4.3).
    pub(super) fn lost(
        &self,
        now: Instant,
        (timeout, loss_delay): (Duration, Duration),
        (largest, first): (u32, u32),
        extra: &[(u8, u32)],
    ) -> Vec<u32> {
        let mut lost = Vec::new();
        let mut cursor = i64::from(largest) - i64::from(first);
        for &(gap, length) in extra {
            for number in (cursor - i64::from(gap) + 1..=cursor).rev() {
                let Some((number, packet)) = u32::try_from(number)
                    .ok()
                    .and_then(|number| Some((number, self.packets.get(&number)?)))
                else {
                    continue;
                };
                let behind = i64::from(largest) - i64::from(number);
                // UDX2 4.3: no reordering threshold in version 2. UDX 5: three numbers or 9/8 of a round trip.
                let is_suspect =
                    self.generation.is_v2() || behind >= 3 || now - packet.sent_at >= loss_delay;
                if is_suspect && !packet.was_just_resent(now, timeout) {
                    lost.push(number);
                }
            }
            cursor -= i64::from(gap) + i64::from(length);
        }
        lost
    }

    /// Sends it again: under which number, if it is to be sent. `timeout` is the present one.
    pub(super) fn resend(
        &mut self,
        now: Instant,
        number: u32,
        timeout: Duration,
    ) -> Option<(u32, SentPacket)> {
        let mut packet = self.packets.get(&number)?.clone();
        let count = packet.resent.map_or(0, |(count, _)| count) + 1;
        if self.generation.is_v2() {
            packet.resent = Some((count, now));
            self.packets.insert(number, packet.clone());
            return Some((number, packet));
        }
        self.remove(number);
        if packet.was_just_resent(now, timeout) {
            // Sooner than a timeout that has grown since the timer was set.
            packet.timer = packet.resent.map_or(now, |(_, at)| at) + timeout;
            self.insert(number, packet);
            return None;
        }
        // UDX 5: the record moves to a fresh number, the old one is forgotten.
        packet.resent = Some((count, now));
        packet.sent_at = now;
        packet.timer = now + backoff(timeout, count, timeout.max(MAX_BACKOFF_V3));
        let fresh = self.take_number();
        self.insert(fresh, packet.clone());
        Some((fresh, packet))
    }

    /// The numbers whose timers are due. Version 2 gives up after ten attempts, in silence (H17).
    pub(super) fn due(&mut self, now: Instant, timeout: Duration) -> Vec<u32> {
        let due: Vec<u32> = self
            .timers
            .iter()
            .take_while(|&&(at, _)| at <= now)
            .map(|&(_, number)| number)
            .collect();
        if !self.generation.is_v2() {
            return due;
        }
        let mut resent = Vec::new();
        for number in due {
            let Some(mut packet) = self.remove(number) else {
                continue;
            };
            packet.timeouts += 1;
            if packet.timeouts <= ATTEMPTS_V2 {
                packet.timer = now + backoff(timeout, packet.timeouts, MAX_BACKOFF_V2);
                self.insert(number, packet);
                resent.push(number);
            }
        }
        resent
    }

    fn take_down(&mut self, top: i64, count: u32, acked: &mut Vec<(u32, SentPacket)>) {
        let Ok(top) = u32::try_from(top) else {
            return;
        };
        // A real Go loops over every number of the range (H20); what it finds is the same.
        let low = i64::from(top) - i64::from(count) + 1;
        let low = u32::try_from(low).unwrap_or(0);
        let numbers: Vec<u32> = match count {
            0 => Vec::new(),
            _ => self.packets.range(low..=top).map(|(&it, _)| it).collect(),
        };
        for number in numbers.into_iter().rev() {
            acked.extend(self.remove(number).map(|packet| (number, packet)));
        }
    }

    fn insert(&mut self, number: u32, packet: SentPacket) {
        self.timers.insert((packet.timer, number));
        self.packets.insert(number, packet);
    }

    fn remove(&mut self, number: u32) -> Option<SentPacket> {
        let packet = self.packets.remove(&number)?;
        self.timers.remove(&(packet.timer, number));
        Some(packet)
    }
}

impl SentPacket {
    /// Whatever asks for it, once per timeout is enough.
    fn was_just_resent(&self, now: Instant, timeout: Duration) -> bool {
        self.resent.is_some_and(|(_, at)| now - at < timeout)
    }
}

/// The wait after so many times sent again (UDX 5, UDX2 8).
fn backoff(timeout: Duration, count: u32, most: Duration) -> Duration {
    let factor = 1_u32
        .checked_shl(count.saturating_sub(1))
        .unwrap_or(u32::MAX);
    timeout
        .saturating_mul(factor)
        .min(most)
        .max(Duration::from_millis(200))
}

/// UDX2 8.
const ATTEMPTS_V2: u32 = 10;
const MAX_BACKOFF_V2: Duration = Duration::from_secs(30);
/// UDX 5.
const MAX_BACKOFF_V3: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn left(generation: Generation) -> Vec<u32> {
        let mut sent = Sent::new(generation);
        for _ in 0..22 {
            let number = sent.take_number();
            let timeout = Duration::from_millis(300);
            sent.register(
                Instant::ZERO,
                timeout,
                number,
                (0, 1),
                vec![Frame::syn()],
                38,
            );
        }
        sent.acknowledge(21, 1, &[(1, 4), (1, 4), (1, 9)]);
        sent.packets.into_keys().collect()
    }

    /// UDX2 4.3, corpus U11: 20, 15 and 10 are missing; early Go takes 10 for acknowledged, and never sends it again.
    #[test]
    fn version_2_forgets_a_packet_that_is_missing() {
        assert_eq!(left(Generation::V2Early), [8, 9, 14, 15, 20]);
        let v3 = Generation::V3 {
            acknowledges_ping: false,
        };
        assert_eq!(left(v3), [0, 10, 15, 20]);
    }
}
