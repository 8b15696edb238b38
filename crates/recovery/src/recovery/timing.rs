//! Deadlines and what is due at them.

use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::config::Class;
use crate::event::{Event, count};
use crate::num::nanos;
use crate::time::Instant;

use super::Recovery;
use super::acking::NO_EPISODE;
use super::cumulative::Evidence;

/// A lost transmission is remembered this many timeouts after its sending: a late acknowledgement comes within a few round trips.
const MEMORY_TIMEOUTS: u64 = 4;
/// ... and at least this long, ns: on short paths the delays of the machines, not of the path, make acknowledgements late.
const MIN_MEMORY: u64 = 10_000_000;
/// When nothing is in flight for this long, the log's memory is given back. Long enough that request and response do not
/// allocate anew each time, short enough that idle connections cost nothing.
const RELEASE_AFTER: Duration = Duration::from_secs(1);

impl<R> Recovery<R> {
    /// When [`Recovery::on_timeout`] is to be called: for a loss that is to be declared, for the probe timeout, or once after the
    /// end of all traffic to give memory back. The pacer's times are not among them ([`Recovery::may_send`] tells those).
    /// `None` if there is nothing to wait for. May change after every call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.loss_time.is_some() {
            // RFC 9002 6.2.1: the probe timeout is not set while the loss timer is.
            return self.loss_time;
        }
        if self.is_waiting() && !(sabotage!(PtoOnce) && self.pto.count() > 0) {
            return Some(self.pto.deadline(&self.rtt));
        }
        self.release_at
    }

    /// Does what is due at `now` and nothing else. Afterwards [`Recovery::next_deadline`] lies in the future (R9).
    pub fn on_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        if let Some(loss_time) = self.loss_time {
            if loss_time <= now {
                let _lost = self.find_losses(now, 0, true, Evidence::Later);
                mark!(LossTimerFired, _lost > 0);
                // What was found is to be sent again; its answer is waited for from now on.
                self.pto.restart(now);
            }
        } else if self.is_waiting() && self.pto.deadline(&self.rtt) <= now {
            self.on_probe_timeout(now);
        }
        if self.release_at.is_some_and(|at| at <= now) {
            mark!(MemoryReleased);
            self.release_at = None;
            self.log.trim(Instant::MAX);
            self.log.release_memory();
            self.repairs.release();
        }
        self.forget_old(now);
        self.note_idle();
    }

    /// R10: something outstanding, in flight or waiting to be sent again, keeps a timer armed.
    fn is_waiting(&self) -> bool {
        self.log.packets_in_flight() > 0 || self.log.unacknowledged() > 0
    }

    fn on_probe_timeout(&mut self, now: Instant) {
        if self.log.unacknowledged() == 0 {
            return self.expire(now);
        }
        // Whatever is overdue: a small packet may have been lost by chance, and the probes that carry new data by their size.
        let suspect = self.log.largest_in_flight();
        mark!(PtoWithNothingInFlight, self.log.packets_in_flight() == 0);
        self.pto.on_timeout(now);
        self.probing_since = self.log.next_order();
        count(&mut self.stats.ptos, 1);
        self.events.push(Event::PtoFired {
            count: self.pto.count(),
        });
        if self.cumulative.is_on() {
            return self.on_cumulative_timeout(now, self.pto.count() > 1);
        }
        // Each timeout is a suspicion of its own, for it waited for an answer to all that was sent before.
        self.suspect(now, suspect, self.log.next_order());
    }

    /// Only pings, probes and repetitions of what has arrived are in flight: nobody needs them, so their time simply ends.
    /// Without any answer there is no sign of congestion in that.
    fn expire(&mut self, now: Instant) {
        let timeout = self.pto.duration(&self.rtt);
        let mut lost_probe = None;
        let (mut packets, mut bytes) = (0_u64, 0_u64);
        let (mut largest, mut newest) = (0_u32, 0_u64);
        let survivor = self.log.lose_while(u64::MAX, |lost| {
            let sent = lost.transmission;
            if sent.sent_at.saturating_add(timeout) > now {
                return None;
            }
            if sent.class == Class::MtuProbe {
                lost_probe = Some(lost.order);
            } else {
                packets = packets.saturating_add(1);
                bytes = bytes.saturating_add(u64::from(sent.bytes));
                largest = largest.max(if sent.foreign { 0 } else { sent.bytes });
                newest = lost.order;
            }
            Some(NO_EPISODE)
        });
        if let Some(order) = lost_probe {
            count(&mut self.stats.mtu_probes_lost, 1);
            self.mtu.on_probe_lost(now, order);
        }
        if packets > 0 {
            mark!(PingsExpired);
            count(&mut self.stats.packets_lost, packets);
            count(&mut self.stats.bytes_lost, bytes);
            let by_timer = true;
            self.events.push(Event::Lost {
                packets,
                bytes,
                by_timer,
            });
            self.suspect(now, largest, newest);
        }
        self.pto.restart(survivor.unwrap_or(now));
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        // RFC 3522, RFC 5682: what such a timeout took for lost may be on its way, until the answers tell.
        let is_open = self.pto.count() > 0 || self.cumulative.forward().is_open();
        if self.cumulative.is_on() && is_open {
            // But for what there is no room: full books would keep everything from being sent.
            return self.log.trim(Instant::ZERO);
        }
        let memory = self
            .rtt
            .timeout()
            .saturating_mul(MEMORY_TIMEOUTS)
            .max(MIN_MEMORY);
        self.log
            .trim(now.saturating_sub(Duration::from_nanos(memory)));
    }

    pub(super) fn note_idle(&mut self) {
        if self.is_waiting() || (self.log.memory() == 0 && self.repairs.memory() == 0) {
            self.release_at = None;
        } else if self.release_at.is_none() {
            let wait = RELEASE_AFTER.max(Duration::from_nanos(nanos(self.pto())));
            self.release_at = Some(self.now.saturating_add(wait));
        }
    }
}
