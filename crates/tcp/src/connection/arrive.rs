//! Segments that arrive (RFC 9293 3.10.7): the verdict of `judge`, carried out.

use super::judge::{Disposition, Numbers};
use super::plan::HEADER;
use super::{CloseReason, Connection, Reset, State};
use crate::receive::Accepted;
use crate::wire::{Ecn, Flags, Segment};
use core::time::Duration;
use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

/// Acknowledgments to strangers, or to a peer that is out of step: at most one in this time (R12; RFC 5961 section 7, for each
/// connection by itself, because a common limit tells a stranger about others: CVE-2016-5696).
const CHALLENGE_INTERVAL: Duration = Duration::from_secs(1);

/// Acknowledgments owed at once at most: those that say the same matter to a peer that counts duplicates, and three are enough for it.
pub(super) const MOST_OWED: u8 = 4;

impl Connection {
    /// Takes a segment that the stack found to be this connection's.
    pub fn on_segment(&mut self, now: Instant, segment: &Segment<'_>) {
        self.on_marked_segment(now, segment, Ecn::NotCapable);
    }

    /// As [`on_segment`](Self::on_segment), with the codepoint of its packet.
    pub fn on_marked_segment(&mut self, now: Instant, segment: &Segment<'_>, ecn: Ecn) {
        let (disposition, numbers) = self.judge(now, segment);
        match disposition {
            Disposition::Take => {
                self.take(now, segment, numbers);
                self.take_ecn(now, segment, ecn);
            }
            Disposition::TakeSyn { acknowledges } => self.take_syn(now, segment, acknowledges),
            Disposition::TakeCrossed => {
                mark!(CrossedSyn);
                let acknowledgment = self.out.max;
                self.establish(now);
                self.acknowledge(now, acknowledgment, segment);
                self.owe_acknowledgment();
            }
            Disposition::Repeat => {
                mark!(OutsideAnswered);
                self.inward
                    .buffer
                    .note_duplicate(numbers.sequence, segment.payload);
                self.owe_another();
                self.heard(now);
                self.take_crossing(now, segment, numbers);
            }
            Disposition::Old => {
                mark!(StampOld);
                self.owe_another();
            }
            Disposition::Challenge => {
                self.challenge(now);
                self.take_crossing(now, segment, numbers);
            }
            Disposition::PeerReset => {
                let reason = self.reason_of_reset();
                self.end(now, reason);
            }
            Disposition::AnswerReset { sequence } => {
                self.out.reset = Some(Reset {
                    sequence,
                    has_ack: false,
                });
            }
            Disposition::Drop => {}
        }
        // R10: a window that closed has its timer before anybody asks what to send.
        self.arm_persist(now);
    }

    /// RFC 9293 3.10.7.4, "second": after both FINs a RST changes nothing any more, unless it keeps data from arriving that the
    /// application believes to be on their way.
    fn reason_of_reset(&self) -> CloseReason {
        match self.state {
            State::SynSent | State::SynReceived => CloseReason::Refused,
            State::Closing | State::LastAck if self.has_delivered() => CloseReason::Finished,
            _ => CloseReason::Reset,
        }
    }

    /// RFC 9293 3.10.7.3, "fourth".
    fn take_syn(&mut self, now: Instant, segment: &Segment<'_>, acknowledges: bool) {
        self.on_peer_syn(now, &segment.header);
        if !acknowledges {
            // Both sides opened at once: our SYN goes again, as SYN|ACK.
            self.enter(now, State::SynReceived);
            self.owe_acknowledgment();
            return;
        }
        let acknowledgment = self.out.max;
        self.establish(now);
        self.acknowledge(now, acknowledgment, segment);
        // Counted from what it acknowledges.
        self.out.window = u64::from(segment.header.window);
        // Data and FIN in a SYN come again if they are not taken; they are taken (RFC 9293 3.10.7.3, "fifth").
        let start = self.inward.first.saturating_add(1);
        self.take_text(now, start, segment);
        self.owe_acknowledgment();
    }

    fn take(&mut self, now: Instant, segment: &Segment<'_>, numbers: Numbers) {
        self.heard(now);
        self.note_stamps(now, segment, numbers.sequence);
        self.take_user_timeout(now, &segment.header.options);
        let Some(acknowledgment) = numbers.acknowledgment else {
            return;
        };
        if self.state == State::SynReceived {
            // RFC 9293 3.10.7.4, "fifth": the window of the peer's SYN was not shifted, that of this segment is.
            self.establish(now);
        }
        let is_duplicate = self.is_duplicate(acknowledgment, segment);
        self.acknowledge(now, acknowledgment, segment);
        if is_duplicate {
            self.recovery.on_duplicate(now);
        }
        self.update_window(numbers, segment);
        // "sixth": the urgent pointer means nothing; urgent data are data (G15).
        self.take_text(now, numbers.sequence, segment);
    }

    /// R15: when both sides crossed (closes, probes of closed windows), each one's segments lie outside of the other's window; if
    /// their acknowledgments did not count, they would answer each other for ever.
    fn take_crossing(&mut self, now: Instant, segment: &Segment<'_>, numbers: Numbers) {
        if let Some(acknowledgment) = numbers.acknowledgment
            && self.state.is_synchronized()
            && self.out.una <= acknowledgment
            && acknowledgment <= self.out.max
            && numbers.end <= self.inward.buffer.window().open().end.saturating_add(1)
        {
            self.acknowledge(now, acknowledgment, segment);
            // A probe of a closed window stands at exactly the next number, and may tell of an open one the other way.
            if numbers.sequence == self.inward.buffer.window().next() {
                self.update_window(numbers, segment);
            }
        }
    }

    fn establish(&mut self, now: Instant) {
        self.timers.user = None;
        self.enter(now, State::Established);
        if self.out.is_shut {
            self.enter(now, State::Established.after_shutdown());
        }
        self.arm_keep_alive(now);
    }

    /// "seventh" and "eighth": data and FIN.
    fn take_text(&mut self, now: Instant, start: u64, segment: &Segment<'_>) {
        let fin = segment.header.flags.has(Flags::FIN);
        if segment.payload.is_empty() && !fin {
            return;
        }
        if !self.state.takes_data() {
            // The peer's FIN was seen: what comes behind it is nothing, and what comes again is answered.
            self.owe_acknowledgment();
            return;
        }
        if self.inward.is_shut && self.brings_news(start, segment) {
            // RFC 9293 3.6.1: nobody here will read it, and the peer has to know.
            mark!(DataForNobody);
            self.abort(now);
            return;
        }
        self.tune_window(now, segment);
        match self.inward.buffer.accept(start, segment.payload, fin) {
            Ok(accepted) if accepted.ended => {
                self.enter(now, self.state.after_fin());
                self.owe_acknowledgment();
            }
            Ok(accepted) => self.owe_for(now, segment, accepted),
            // As if it had been lost (R17); the acknowledgment tells what is here.
            Err(_) => self.owe_another(),
        }
    }

    /// The window grows as far as the path and the application ask for it. What the segment tells of the round trip is the time since the
    /// acknowledgment left that made the peer send it, if it did.
    fn tune_window(&mut self, now: Instant, segment: &Segment<'_>) {
        let read = self.inward.buffer.window().read();
        let limit = self.inward.buffer.window().limit();
        if limit >= self.config.receive_buffer {
            return;
        }
        let stamps = self.inward.stamps.as_ref();
        let echoed = stamps
            .zip(segment.header.options.timestamps)
            .and_then(|(ours, stamps)| ours.round_trip(now, stamps));
        let known = self.recovery.rtt().smoothed();
        let wanted = self.inward.tuning.on_data(now, read, echoed, known);
        let wanted = wanted.map(|wanted| u32::try_from(wanted).unwrap_or(u32::MAX));
        if let Some(wanted) = wanted.filter(|wanted| *wanted > limit) {
            mark!(WindowGrew);
            let wanted = wanted.min(self.config.receive_buffer);
            self.inward.buffer.window_mut().grow(wanted);
        }
    }

    fn brings_news(&self, start: u64, segment: &Segment<'_>) -> bool {
        let end = start.saturating_add(crate::num::wide(segment.payload.len()));
        !segment.payload.is_empty() && end > self.inward.buffer.window().next()
    }

    /// When a segment of data is acknowledged (RFC 5681 4.2, RFC 9293 3.8.6.3).
    fn owe_for(&mut self, now: Instant, segment: &Segment<'_>, accepted: Accepted) {
        let most = usize::from(self.out.path.saturating_sub(HEADER));
        let full = most.min(FULL);
        if accepted.newly == 0 || accepted.has_hole || !accepted.in_order {
            self.owe_another();
            return;
        }
        // What was owed for segments before this one would say the same, and seem to tell of a loss.
        self.inward.owed_now = self.inward.owed_now.min(1);
        // What is longer than a segment may be was put together of several by a device (GRO).
        let segments = match segment.payload.len() {
            length if length > most => 2,
            length if length >= full => 1,
            _ => 0,
        };
        self.inward.segments = self.inward.segments.saturating_add(segments);
        if self.inward.quick > 0 {
            self.inward.quick = self.inward.quick.saturating_sub(1);
            self.owe_acknowledgment();
        } else if self.inward.segments >= 2 {
            self.owe_acknowledgment();
        } else if self.timers.ack.is_none() {
            // C17: armed by the first and not put off by those that follow.
            let until = self.config.ack_delay.after(now);
            self.timers.ack = sabotage!(DelayedAckForgotten, None, Some(until));
        }
    }

    /// An acknowledgment leaves as soon as the caller asks.
    pub(super) fn owe_acknowledgment(&mut self) {
        self.inward.owed_now = self.inward.owed_now.max(1);
    }

    /// One more, although it says the same: the peer may count them (RFC 5681 3.2).
    fn owe_another(&mut self) {
        let most = if self.inward.has_sack { 1 } else { MOST_OWED };
        self.inward.owed_now = self.inward.owed_now.saturating_add(1).min(most);
    }

    /// RFC 5961 section 7.
    fn challenge(&mut self, now: Instant) {
        let is_free = self
            .out
            .challenged
            .is_none_or(|at| now.saturating_duration_since(at) >= CHALLENGE_INTERVAL);
        mark!(ChallengeHeldBack, !is_free);
        if is_free {
            mark!(Challenged);
            self.out.challenged = Some(now);
            self.owe_acknowledgment();
        }
    }

    /// The peer lives.
    fn heard(&mut self, now: Instant) {
        self.out.questions = 0;
        self.out.owes_question = false;
        self.arm_keep_alive(now);
        if self.state == State::TimeWait {
            // RFC 9293 3.10.7.4: the peer's FIN came again.
            self.timers.time_wait = Some(self.config.time_wait.after(now));
        }
    }

    pub(super) fn arm_keep_alive(&mut self, now: Instant) {
        let is_open = self.state.is_synchronized() && self.state != State::TimeWait;
        self.timers.keep_alive = self
            .config
            .keep_alive
            .filter(|_| is_open)
            .map(|keep_alive| keep_alive.idle.after(now));
    }

    /// RFC 7323 4.3 (2).
    fn note_stamps(&mut self, now: Instant, segment: &Segment<'_>, sequence: u64) {
        if let (Some(ours), Some(stamps)) = (
            self.inward.stamps.as_mut(),
            segment.header.options.timestamps,
        ) && sequence <= self.inward.last_acknowledged
        {
            ours.note(now, stamps);
        }
    }
}

/// A segment of more is a full one, whatever its sender may send.
const FULL: usize = 536;
