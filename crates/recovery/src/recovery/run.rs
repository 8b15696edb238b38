//! Runs: packets of one size that leave together, as a device takes them that cuts large ones up.

use gapless_seq::sabotage;

use crate::config::Class;
use crate::time::Instant;

use super::Recovery;

/// Packets of one size.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Run {
    /// Bytes of each, all counted.
    pub bytes: u32,
    /// Numbers of each; see [`Recovery::commit_span`].
    pub span: u64,
    /// Of these at most.
    pub most: u64,
}

impl<R> Recovery<R> {
    /// Commits reliable packets that leave behind one that left at the same time: as many as [`may_send`](Self::may_send), asked before each,
    /// would have let go, each as by [`commit_span`](Self::commit_span). `what` says what the one with this number carries. How many there were;
    /// none as well where only single questions have an answer: when nothing is in flight, something is lost, or a probe is owed.
    pub fn commit_run(&mut self, now: Instant, run: Run, mut what: impl FnMut(u64) -> R) -> u64 {
        let now = self.advance(now);
        let is_plain = !self.pto.owes_probe()
            && !self.cumulative.is_urgent()
            && !self.cumulative.forward().is_open()
            && self.log.queued() == 0
            && self.log.packets_in_flight() > 0;
        if !is_plain {
            return 0;
        }
        let most = run.most.min(self.allowed(now, run.bytes));
        let in_flight = self.log.bytes_in_flight();
        let mut bytes = 0_u64;
        let mut packets = 0_u64;
        while packets < most {
            let with_it = bytes.saturating_add(u64::from(run.bytes));
            let snapshot = self
                .rate
                .on_sent(now, false, in_flight.saturating_add(with_it));
            let carried = what(self.log.next_number());
            let minted =
                self.log
                    .commit(run.span, Class::Reliable, run.bytes, now, snapshot, carried);
            if minted.is_err() {
                break;
            }
            bytes = with_it;
            packets = packets.saturating_add(1);
        }
        if packets > 0 {
            self.after_sending(now, packets, bytes, in_flight);
        }
        packets
    }

    /// How many packets of this size window and pacer let go now, with something in flight.
    fn allowed(&self, now: Instant, bytes: u32) -> u64 {
        let room = self.congestion_window().saturating_sub(self.in_flight());
        let by_window = room.checked_div(u64::from(bytes)).unwrap_or(0);
        let by_window = sabotage!(WindowIgnored, u64::MAX, by_window);
        by_window.min(self.pacer.allowed(now, bytes))
    }
}
