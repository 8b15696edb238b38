//! Explicit congestion notification (RFC 3168 section 6.1): routers mark instead of dropping, and the peer tells of it.

use super::{Connection, State};
use crate::wire::{Ecn, Flags, Segment};
use core::ops::Range;
use gapless_recovery::Instant;

/// What both sides agreed on, and what is owed of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notification {
    /// Both sides know it.
    is_agreed: bool,
    /// The SYN with the offer left once: it is not offered again, in case that was its end (RFC 3168 6.1.1.1).
    was_offered: bool,
    /// Marks came from the peer, who has not said that it reduced its window (6.1.3).
    echoes: bool,
    /// Reductions of our window that the peer knows of (6.1.2).
    told: u64,
    /// Data that left with the codepoint were acknowledged.
    is_proven: bool,
    /// The first that left with it were not.
    is_dropped: bool,
    /// The codepoint of the segment that was written last.
    current: Ecn,
}

impl Notification {
    pub(super) const fn begin_segment(&mut self) {
        self.current = Ecn::NotCapable;
    }
}

impl Connection {
    /// The codepoint with which the segment that [`poll_transmit`](Self::poll_transmit) wrote last is to leave, in the header of its packet.
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        self.out.ecn.current
    }

    /// RFC 3168 6.1.1, and 6.1.1.1 for peers that send back every bit of a SYN.
    pub(super) fn negotiate_ecn(&mut self, syn: Flags) {
        let (echo, reduced) = (syn.has(Flags::ECE), syn.has(Flags::CWR));
        self.out.ecn.is_agreed = if self.state == State::SynSent && syn.has(Flags::ACK) {
            self.out.ecn.was_offered && echo && !reduced
        } else {
            echo && reduced
        };
        self.out.ecn.told = self.recovery.stats().congestion_events;
    }

    /// The bits of a SYN, which itself never is to be marked (6.1.1).
    pub(super) fn ecn_of_syn(&mut self, answers: bool) -> Flags {
        if answers {
            return Flags::NONE.with_if(self.out.ecn.is_agreed, Flags::ECE);
        }
        let offers = self.config.ecn && !self.out.ecn.was_offered;
        self.out.ecn.was_offered |= offers;
        Flags::NONE.with_if(offers, Flags::ECE | Flags::CWR)
    }

    /// New data may be marked; what is sent again, probes of a closed window and what has no data may not (6.1.4 to 6.1.6). The first
    /// after a reduction of the window tells of it (6.1.2).
    pub(super) fn ecn_of_new(&mut self, data: Range<u64>) -> Flags {
        let reductions = self.recovery.stats().congestion_events;
        if !self.out.ecn.is_agreed || data.is_empty() || self.out.window == 0 {
            return Flags::NONE;
        }
        if !self.out.ecn.is_dropped {
            self.out.ecn.current = Ecn::Capable0;
        }
        let is_news = core::mem::replace(&mut self.out.ecn.told, reductions) != reductions;
        Flags::NONE.with_if(is_news, Flags::CWR)
    }

    /// 6.1.3.
    pub(super) fn ecn_of_acknowledgment(&self) -> Flags {
        Flags::NONE.with_if(self.out.ecn.echoes, Flags::ECE)
    }

    /// A timeout before anything that left with the codepoint was acknowledged: perhaps the path drops it. What is sent again goes without,
    /// and now what is new does as well.
    pub(super) fn suspect_ecn(&mut self) {
        let is_tried = self.out.ecn.is_agreed && !self.out.ecn.is_proven;
        if is_tried && self.is_outstanding() && self.recovery.pto_count() > 0 {
            self.out.ecn.is_dropped = true;
        }
    }

    /// What a segment of the peer tells that was found acceptable: whether its packet was marked, and whether ours were.
    pub(super) fn take_ecn(&mut self, now: Instant, segment: &Segment<'_>, ecn: Ecn) {
        if !self.out.ecn.is_agreed {
            return;
        }
        self.out.ecn.is_proven |= self.out.una > self.out.first.saturating_add(1);
        let flags = segment.header.flags;
        let has_data = !segment.payload.is_empty();
        if flags.has(Flags::CWR) {
            self.out.ecn.echoes = false;
        }
        if ecn == Ecn::Congestion && has_data {
            // Told at once: the sooner the better, and never more often than data come.
            let is_news = !core::mem::replace(&mut self.out.ecn.echoes, true);
            if is_news {
                self.owe_acknowledgment();
            }
        }
        if flags.has(Flags::ECE) {
            self.recovery.on_congestion_told(now);
        }
    }
}
