//! Segment trains: segments that leave one after the other, written as one large segment for a device that cuts it up (segmentation offload: TSO, GSO).

use super::plan::Plan;
use super::{Connection, Record, State};
use crate::wire::{Flags, Header};
use core::num::NonZeroU16;
use core::ops::Range;
use gapless_recovery::{Class, Instant, Run};

/// What [`Connection::poll_train`] wrote.
///
/// A device that cuts a train makes of it segments that begin with copies of its header. Each has the number of its first octet, and a checksum of its
/// own; FIN and PSH belong to the last one alone, CWR to the first one alone. URG is never set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Train {
    /// Octets, header included.
    pub length: usize,
    /// Octets of the header.
    pub header: usize,
    /// Octets of data that each segment has; the last one may have fewer. `None`: it is one segment.
    pub segment_size: Option<NonZeroU16>,
}

/// What one call may write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Octets of the buffer.
    pub(super) octets: usize,
    pub(super) segments: NonZeroU16,
}

/// A segment or a train that is about to be written.
pub(super) struct Outgoing {
    pub(super) header: Header,
    /// Positions in the send buffer.
    pub(super) data: Range<u64>,
    /// Of each segment, if there are several.
    pub(super) size: Option<NonZeroU16>,
}

impl From<(Header, Range<u64>)> for Outgoing {
    fn from((header, data): (Header, Range<u64>)) -> Self {
        Self {
            header,
            data,
            size: None,
        }
    }
}

impl Connection {
    /// Joins to a segment of new data those that would follow it now: full ones, and behind them a shorter one. Each was asked for and committed
    /// as if it left by itself. Headers of segments of one instant differ only in what a device changes; blocks (RFC 2018) are the exception,
    /// because each finds room beside the data or not: while there are some, segments go alone. A probe of the path leaves where it
    /// would have left: the first segment may be what it waited for, and those behind it only take of what it needs.
    pub(super) fn couple(
        &mut self,
        now: Instant,
        (header, data): (Header, Range<u64>),
        limits: Limits,
    ) -> Outgoing {
        let mut outgoing = Outgoing::from((header, data));
        let size = self.payload_limit();
        let room = crate::num::wide(limits.octets.saturating_sub(header.len()));
        let is_full = length(&outgoing.data) == u64::from(size);
        let is_alone = limits.segments == NonZeroU16::MIN
            || header.flags.has(Flags::FIN)
            || header.flags.has(Flags::SYN)
            || !header.options.sack.is_empty()
            || (self.inward.has_sack && self.inward.buffer.has_blocks())
            || self.state == State::SynReceived;
        let Some(size) = NonZeroU16::new(size).filter(|_| is_full && !is_alone) else {
            return outgoing;
        };
        if self.plan_path_probe(now).is_some() {
            return outgoing;
        }
        let mut left = self.commit_full(now, &mut outgoing, size, limits, room);
        while left > 0 {
            left = left.saturating_sub(1);
            let has_room = length(&outgoing.data).saturating_add(u64::from(size.get())) <= room;
            let end = outgoing.data.end;
            if !has_room || end == self.out.buffer.end() {
                break;
            }
            let Ok(Plan::New { end: next, fin }) = self.plan_data(now) else {
                break;
            };
            if next == end || self.commit_new(now, next, fin, Class::Reliable).is_none() {
                break;
            }
            // It tells the same as the one before it, to a peer that may count.
            self.note_acknowledged();
            outgoing.data.end = next;
            outgoing.size = Some(size);
            outgoing.header.flags = header.flags | self.flags_of_end(&(end..next), fin);
            if next.saturating_sub(end) < u64::from(size.get()) || fin {
                break;
            }
        }
        outgoing
    }

    /// Those of them behind which there is more: full ones without question, of which only recovery has to say how many may leave. How many
    /// segments the train may have beside these.
    fn commit_full(
        &mut self,
        now: Instant,
        outgoing: &mut Outgoing,
        size: NonZeroU16,
        limits: Limits,
        room: u64,
    ) -> u16 {
        let others = limits.segments.get().saturating_sub(1);
        let octets_each = u64::from(size.get());
        let next = outgoing.data.end;
        let behind = self.out.buffer.end().saturating_sub(next).saturating_sub(1);
        let octets = behind
            .min(self.window_room())
            .min(room.saturating_sub(length(&outgoing.data)));
        let most = octets
            .checked_div(octets_each)
            .unwrap_or(0)
            .min(u64::from(others));
        let run = Run {
            bytes: self.cost(octets_each),
            span: octets_each,
            most,
        };
        if most == 0 || self.next() != next {
            return others;
        }
        let committed = self.recovery.commit_run(now, run, |start| Record {
            start,
            end: start.saturating_add(octets_each),
            syn: false,
            fin: false,
        });
        if committed == 0 {
            return others;
        }
        self.out.owes_probe = false;
        self.out.max = self.out.max.max(self.next());
        for _ in 0..committed.min(u64::from(super::arrive::MOST_OWED)) {
            self.note_acknowledged();
        }
        outgoing.data.end = self.next();
        outgoing.size = Some(size);
        let committed = u16::try_from(committed).unwrap_or(u16::MAX);
        others.saturating_sub(committed)
    }
}

fn length(data: &Range<u64>) -> u64 {
    data.end.saturating_sub(data.start)
}
