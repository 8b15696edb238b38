//! What a segment means, decided without changing anything (RFC 9293 3.10.7.3 and 3.10.7.4, RFC 5961, RFC 7323 section 5).

use super::stamps::Paws;
use super::{Connection, State};
use crate::wire::{Flags, Segment};
use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

/// What is to become of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Disposition {
    /// All of it counts: acknowledgment, window, data, FIN.
    Take,
    /// SYN-SENT: the peer's SYN. With an acknowledgment of ours, or crossing it.
    TakeSyn {
        /// Whether ours is acknowledged.
        acknowledges: bool,
    },
    /// SYN-RECEIVED, both sides having dialed at once: the peer's SYN|ACK.
    TakeCrossed,
    /// Nothing in it is new, and its sender has to be told where we are; never held back (R13). Its acknowledgment counts nevertheless (R15).
    Repeat,
    /// A number of an earlier round (RFC 7323 5.3): as [`Repeat`](Self::Repeat), but its acknowledgment is as old as the rest of it, and
    /// may have come around to name what is in flight now.
    Old,
    /// It may be a stranger's: the real peer answers an acknowledgment with what proves itself (RFC 5961). Limited (R12).
    Challenge,
    /// The peer ended the connection.
    PeerReset,
    /// The peer is confused about what we are: a RST at what it acknowledges tells it.
    AnswerReset {
        /// Its acknowledgment field.
        sequence: u64,
    },
    /// It means nothing.
    Drop,
}

/// The numbers of a segment, as positions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Numbers {
    /// SEG.SEQ.
    pub(super) sequence: u64,
    /// SEG.SEQ + SEG.LEN.
    pub(super) end: u64,
    /// SEG.ACK, if there is one.
    pub(super) acknowledgment: Option<u64>,
}

impl Connection {
    /// RFC 9293 3.10.7.
    pub(super) fn judge(&self, now: Instant, segment: &Segment<'_>) -> (Disposition, Numbers) {
        let numbers = self.numbers(segment);
        let disposition = match self.state {
            State::Closed => Disposition::Drop,
            State::SynSent => self.judge_in_syn_sent(segment, numbers),
            _ => self.judge_otherwise(now, segment, numbers),
        };
        (disposition, numbers)
    }

    fn numbers(&self, segment: &Segment<'_>) -> Numbers {
        let header = &segment.header;
        let expected = self.inward.buffer.window().next();
        let sequence = sabotage!(
            WrapIgnored,
            expected & !u64::from(u32::MAX) | u64::from(u32::from(header.sequence)),
            header.sequence.expand(expected)
        );
        let has_ack = header.flags.has(Flags::ACK);
        Numbers {
            sequence,
            end: sequence.saturating_add(segment.length()),
            acknowledgment: has_ack.then(|| header.acknowledgment.expand(self.out.una)),
        }
    }

    /// RFC 9293 3.10.7.3.
    fn judge_in_syn_sent(&self, segment: &Segment<'_>, numbers: Numbers) -> Disposition {
        let flags = segment.header.flags;
        // "first": exactly what was sent may be acknowledged (A4, A5).
        let ours = self.out.first.saturating_add(1);
        if let Some(acknowledgment) = numbers.acknowledgment
            && (acknowledgment != ours || self.out.max != ours)
        {
            return if flags.has(Flags::RST) {
                Disposition::Drop
            } else {
                Disposition::AnswerReset {
                    sequence: acknowledgment,
                }
            };
        }
        let acknowledges = numbers.acknowledgment.is_some();
        // "second"; without an acknowledgment anybody may have sent it.
        if flags.has(Flags::RST) {
            return if acknowledges {
                Disposition::PeerReset
            } else {
                Disposition::Drop
            };
        }
        // "fourth" and "fifth". A FIN or an ACK alone is nothing (A7, C28).
        if flags.has(Flags::SYN) {
            Disposition::TakeSyn { acknowledges }
        } else {
            Disposition::Drop
        }
    }

    /// RFC 9293 3.10.7.4.
    fn judge_otherwise(
        &self,
        now: Instant,
        segment: &Segment<'_>,
        numbers: Numbers,
    ) -> Disposition {
        let flags = segment.header.flags;
        let is_reset = flags.has(Flags::RST);
        if let Some(verdict) = self.judge_stamps(now, segment) {
            return verdict;
        }
        if is_reset && sabotage!(ResetUnchecked) {
            return Disposition::PeerReset;
        }
        if self.is_crossed(flags, numbers) {
            return Disposition::TakeCrossed;
        }
        if !self.is_acceptable(segment, numbers) {
            // "If the RST bit is set, drop"; and it refreshes nothing (B5).
            return if is_reset {
                mark!(ResetIgnored);
                Disposition::Drop
            } else {
                self.judge_unacceptable(segment, numbers)
            };
        }
        if flags.has(Flags::SYN) && sabotage!(SynEnds) {
            return Disposition::PeerReset;
        }
        if is_reset && self.state == State::TimeWait {
            // RFC 1337 section 3: TIME-WAIT keeps old copies from harm, and a copy of a SYN would end it. The peer, who has forgotten us, answers
            // it; we say where we are; it takes that for a mistake and sends exactly this.
            mark!(ResetIgnored);
            return Disposition::Drop;
        }
        if is_reset {
            // RFC 5961 3.2: only at exactly the next number; elsewhere in the window it is challenged.
            let next = self.inward.buffer.window().next();
            return if numbers.sequence == next || sabotage!(ResetInWindow) {
                Disposition::PeerReset
            } else {
                mark!(ResetChallenged);
                Disposition::Challenge
            };
        }
        // RFC 5961 4.2: whatever the number.
        if flags.has(Flags::SYN) {
            return Disposition::Challenge;
        }
        self.judge_acknowledgment(numbers)
    }

    /// RFC 7323 3.2 and 5.3. `None`: go on.
    fn judge_stamps(&self, now: Instant, segment: &Segment<'_>) -> Option<Disposition> {
        let ours = self.inward.stamps.as_ref()?;
        let header = &segment.header;
        // A RST need not have them, and is not refused for old ones.
        if header.flags.has(Flags::RST) || header.flags.has(Flags::SYN) {
            return None;
        }
        match header.options.timestamps {
            None => Some(Disposition::Drop),
            Some(stamps) if ours.judge(now, stamps) == Paws::Old => Some(Disposition::Old),
            Some(_) => None,
        }
    }

    /// RFC 9293 3.5, figure 8: the SYN was seen already and lies outside of the window, but its acknowledgment is the first of ours (R15). Two
    /// that answered each other's SYN|ACK by asking for an acknowledgment would do so for ever.
    fn is_crossed(&self, flags: Flags, numbers: Numbers) -> bool {
        self.state == State::SynReceived
            && flags.has(Flags::SYN)
            && !flags.has(Flags::RST)
            && numbers.sequence == self.inward.first
            && numbers.acknowledgment == Some(self.out.max)
    }

    /// RFC 9293 3.4, "a segment is judged to occupy a portion of valid receive sequence space"; with the edge that was really
    /// advertised (R4), and one wider than the RFC: an empty segment behind a full window of lost data stands at the edge itself.
    fn is_acceptable(&self, segment: &Segment<'_>, numbers: Numbers) -> bool {
        let open = self.inward.buffer.window().open();
        let Numbers { sequence, end, .. } = numbers;
        if sequence == end {
            return open.start <= sequence && sequence <= open.end;
        }
        if segment.payload.is_empty() {
            // A FIN takes no room (C7).
            return open.start <= sequence && sequence <= open.end;
        }
        let edge = sabotage!(BeyondWindowTaken, u64::MAX, open.end);
        sequence < edge && open.start < end
    }

    fn judge_unacceptable(&self, segment: &Segment<'_>, numbers: Numbers) -> Disposition {
        let next = self.inward.buffer.window().next();
        let is_syn = segment.header.flags.has(Flags::SYN);
        // RFC 9293 3.10.7.4: the peer's SYN again, because our answer was lost.
        let syn_again = is_syn
            && self.state == State::SynReceived
            && numbers.sequence == self.inward.first
            && segment.payload.is_empty();
        // Data that came before, or a probe of a closed window: they ask for an acknowledgment each (R13, B5).
        mark!(SynAgain, syn_again);
        mark!(FinAgain, is_fin_again(segment, numbers, next));
        let asks = !is_syn && !segment.payload.is_empty() || is_fin_again(segment, numbers, next);
        if syn_again || asks || is_keep_alive(segment, numbers, next) {
            Disposition::Repeat
        } else {
            Disposition::Challenge
        }
    }

    /// RFC 9293 3.10.7.4, "fifth".
    fn judge_acknowledgment(&self, numbers: Numbers) -> Disposition {
        let Some(acknowledgment) = numbers.acknowledgment else {
            return Disposition::Drop;
        };
        if self.state == State::SynReceived {
            // A5, G13: our SYN and nothing else.
            return if self.out.una < acknowledgment && acknowledgment <= self.out.max {
                Disposition::Take
            } else {
                Disposition::AnswerReset {
                    sequence: acknowledgment,
                }
            };
        }
        // R3: never what was not sent. RFC 5961 5.2: nor what lies further back than the peer could ever have sent.
        let oldest = self.out.una.saturating_sub(self.out.max_window);
        let most = sabotage!(UnsentAckBelieved, u64::MAX, self.out.max);
        if acknowledgment > most || acknowledgment < oldest {
            Disposition::Challenge
        } else {
            Disposition::Take
        }
    }
}

/// The peer's FIN again, because our acknowledgment was lost.
fn is_fin_again(segment: &Segment<'_>, numbers: Numbers, next: u64) -> bool {
    segment.header.flags.has(Flags::FIN) && numbers.end <= next
}

/// RFC 9293 3.8.4: one number before the next.
fn is_keep_alive(segment: &Segment<'_>, numbers: Numbers, next: u64) -> bool {
    !segment.header.flags.has(Flags::SYN) && numbers.sequence.saturating_add(1) == next
}
