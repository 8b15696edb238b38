//! What we promise to take: the receive window and its right edge (RFC 9293 3.8.6, RFC 7323 section 2).

use crate::wire::MAX_WINDOW_SHIFT;
use core::ops::Range;
use gapless_seq::{mark, sabotage};

/// The receiving side's promise.
///
/// Three positions: up to `read` the application has everything, up to `next` (RCV.NXT) everything arrived, and up to `edge` the peer may
/// send. The edge is the greatest one that was ever put on the wire, after the rounding that the shift forces; it never moves left,
/// and whatever lies inside is taken (R4; RFC 7323 2.4). It is never more than `limit` and one rounding beyond `read` (R5).
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    read: u64,
    next: u64,
    edge: u64,
    limit: u32,
    /// Octets that there is memory for; what is more is not promised.
    room: u32,
    shift: u8,
    scales: bool,
}

impl ReceiveWindow {
    /// Before anything was promised; `next` is the position behind the peer's SYN. `shift` is that of our option, if both sides had one
    /// (RFC 7323 2.2).
    pub(crate) fn new(next: u64, limit: u64, shift: Option<u8>) -> Self {
        Self {
            read: next,
            next,
            edge: next,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            room: u32::MAX,
            shift: shift.map_or(0, |shift| shift.min(MAX_WINDOW_SHIFT)),
            scales: shift.is_some(),
        }
    }

    /// Whether windows are shifted, be it by nothing.
    pub(crate) const fn scales(&self) -> bool {
        self.scales
    }

    /// The least shift with which the field can tell `limit` (RFC 7323 2.3).
    pub(crate) fn shift_for(limit: u64) -> u8 {
        (0..MAX_WINDOW_SHIFT)
            .find(|shift| limit.wrapping_shr(u32::from(*shift)) <= u64::from(u16::MAX))
            .unwrap_or(MAX_WINDOW_SHIFT)
    }

    /// Octets that may wait to be read.
    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    /// From now on more may wait. Less is not possible: the edge was promised.
    pub(crate) fn grow(&mut self, limit: u32) {
        self.limit = self.limit.max(limit);
    }

    /// From now on nothing is promised beyond so many octets; what was promised is.
    pub(crate) const fn set_room(&mut self, room: u32) {
        self.room = room;
    }

    /// How large the window may be now.
    fn most(&self) -> u32 {
        self.limit.min(self.room)
    }

    /// RCV.NXT.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Up to here the application has read.
    pub(crate) const fn read(&self) -> u64 {
        self.read
    }

    /// The positions that the peer may use.
    pub(crate) const fn open(&self) -> Range<u64> {
        self.next..self.edge
    }

    /// Octets that the buffer must be able to hold from `read` on, at most.
    pub(crate) fn bound(&self) -> u64 {
        u64::from(self.limit).saturating_add(self.slack())
    }

    /// Everything up to `next` arrived.
    pub(crate) fn advance(&mut self, next: u64) {
        self.next = self.next.max(next);
        // A FIN is no octet of the buffer: it may lie at the edge (C7).
        self.edge = self.edge.max(self.next);
    }

    /// The application took what lies below `read`.
    pub(crate) fn consume(&mut self, read: u64) {
        self.read = self.read.max(read).min(self.next);
    }

    /// The window in a SYN or SYN|ACK: not shifted, on the wire and in the books (R6; RFC 7323 2.2).
    pub(crate) fn advertise_unshifted(&mut self) -> u16 {
        let window = u64::from(self.most()).min(u64::from(u16::MAX));
        let shift: u8 = sabotage!(SynWindowShifted, self.shift, 0);
        self.edge = self.edge.max(
            self.next
                .saturating_add(window.wrapping_shl(u32::from(shift))),
        );
        u16::try_from(window).unwrap_or(u16::MAX)
    }

    /// The field for a segment that leaves now; books what it promises.
    pub(crate) fn advertise(&mut self, mss: u64) -> u16 {
        let (field, edge) = self.offer(mss);
        self.edge = self.edge.max(edge);
        field
    }

    /// Whether the peer should be told at once: the window grew by what is worth a segment, or it was closed and is open again (RFC 9293
    /// 3.8.6.2.2; C5, C6).
    pub(crate) fn wants_update(&self, mss: u64) -> bool {
        let (_, edge) = self.offer(mss);
        let growth = edge.saturating_sub(self.edge);
        growth >= self.worthwhile(mss)
    }

    /// The field, and the edge that the peer computes from it.
    fn offer(&self, mss: u64) -> (u16, u64) {
        let room_ends = self.read.saturating_add(u64::from(self.most()));
        let room_ends = sabotage!(
            EdgeFromFreeSpace,
            room_ends.saturating_sub(self.next.saturating_sub(self.read)),
            room_ends
        );
        let growth = room_ends.saturating_sub(self.edge);
        // RFC 9293 3.8.6.2.2: the edge stays where it is until it can move by a useful amount.
        let wanted = if growth >= self.worthwhile(mss) || sabotage!(EdgeFromFreeSpace) {
            room_ends
        } else {
            self.edge
        };
        let window = wanted.saturating_sub(self.next);
        let rounded_down = window.wrapping_shr(u32::from(self.shift));
        // RFC 7323 2.4: rounded down, the edge would move left; rounded up it may lie beyond the buffer's end. Then it seems to
        // move left by less than a step, and what was promised before is taken all the same.
        let rounded_up = window
            .saturating_add(self.slack())
            .wrapping_shr(u32::from(self.shift));
        let fits = self.edge_of(rounded_up) <= self.read.saturating_add(self.bound());
        let seems_less = self.edge_of(rounded_down) < self.edge;
        mark!(RoundedUp, seems_less && fits);
        let field = if seems_less && fits {
            rounded_up
        } else {
            rounded_down
        };
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        (field, self.edge_of(u64::from(field)))
    }

    fn edge_of(&self, field: u64) -> u64 {
        let window = field
            .min(u64::from(u16::MAX))
            .wrapping_shl(u32::from(self.shift));
        self.next.saturating_add(window)
    }

    /// What a rounding can add, octets.
    fn slack(&self) -> u64 {
        let step = 1_u64.wrapping_shl(u32::from(self.shift));
        step.saturating_sub(1)
    }

    /// RFC 9293 3.8.6.2.2: half of the buffer or a segment, whichever is less; at least one octet.
    fn worthwhile(&self, mss: u64) -> u64 {
        u64::from(self.most().wrapping_shr(1)).min(mss).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSS: u64 = 1460;

    #[test]
    fn the_shift_is_the_least_that_tells_the_limit() {
        for (limit, shift) in [
            (0, 0),
            (1, 0),
            (65_535, 0),
            (65_536, 1),
            (65_537, 1),
            (524_288, 4),
            (1 << 20, 5),
            (1 << 30, 14),
            (u64::MAX, 14),
        ] {
            assert_eq!(ReceiveWindow::shift_for(limit), shift, "limit {limit}");
        }
    }

    #[test]
    fn the_window_of_a_syn_is_not_shifted() {
        let mut window = ReceiveWindow::new(1, 1 << 20, Some(5));
        assert_eq!(window.advertise_unshifted(), 65_535);
        assert_eq!(window.open(), 1..65_536);
        // The first that is shifted tells the rest.
        assert_eq!(window.advertise(MSS), (1 << 20 >> 5) as u16);
        assert_eq!(window.open(), 1..1 + (1 << 20));
    }

    #[test]
    fn small_growth_is_not_told_and_large_growth_is() {
        let mut window = ReceiveWindow::new(0, 10_000, None);
        assert_eq!(window.advertise(MSS), 10_000);
        window.advance(10_000);
        assert_eq!(window.advertise(MSS), 0);
        window.consume(MSS - 1);
        assert!(!window.wants_update(MSS));
        assert_eq!(window.advertise(MSS), 0);
        window.consume(MSS);
        assert!(window.wants_update(MSS));
        assert_eq!(window.advertise(MSS), 1460);
        assert!(!window.wants_update(MSS));
    }

    /// The reads of C6: half of a tiny buffer is worth telling.
    #[test]
    fn a_tiny_window_is_told_by_halves() {
        let mut window = ReceiveWindow::new(0, 6, None);
        window.advertise(MSS);
        window.advance(6);
        assert_eq!(window.advertise(MSS), 0);
        window.consume(2);
        assert!(!window.wants_update(MSS));
        window.consume(3);
        assert!(window.wants_update(MSS));
        assert_eq!(window.advertise(MSS), 3);
    }

    #[test]
    fn a_fin_at_the_edge_moves_nothing_left() {
        let mut window = ReceiveWindow::new(0, 6, None);
        window.advertise(MSS);
        window.advance(6);
        window.advance(7);
        assert_eq!(window.open(), 7..7);
        assert_eq!(window.advertise(MSS), 0);
    }

    proptest! {
        /// What the peer may use is never more than the buffer has room for, and never becomes less; and it stays inside what the peer
        /// computes from the fields, of which the greatest counts.
        #[test]
        fn promises_are_kept_and_bounded(
            shift in 0_u8..=14,
            limit in prop::sample::select(alloc::vec![1_u64, 2, 60, 65_535, 131_072, 262_144, 1 << 20, 1 << 24]),
            steps in prop::collection::vec((1_u64..3000, 0_u64..5000, any::<bool>()), 1..300),
        ) {
            let mut window = ReceiveWindow::new(1, limit, Some(shift));
            let mut promised = 1 + u64::from(window.advertise_unshifted());
            for (arrives, is_read, told) in steps {
                // A peer that uses all it was ever promised, in order.
                let next = window.next() + arrives.min(promised - window.next());
                window.advance(next);
                window.consume((window.read() + is_read).min(next));
                if told {
                    let field = window.advertise(MSS);
                    let seen = next + (u64::from(field) << shift);
                    promised = promised.max(seen);
                    // Never a step or more to the left.
                    prop_assert!(seen + (1 << shift) > promised);
                }
                prop_assert_eq!(window.open(), next..promised);
                prop_assert!(promised - window.read() <= window.bound());
            }
        }

        /// With a reader that keeps up, the edge never even seems to move left.
        #[test]
        fn no_edge_moves_left_while_it_is_read(
            shift in 0_u8..=14,
            sizes in prop::collection::vec(1_u64..=1460, 1..200),
        ) {
            let limit = 65_535 << shift;
            let mut window = ReceiveWindow::new(7, limit, Some(shift));
            let mut edge = 7;
            for size in sizes {
                let next = window.next() + size;
                window.advance(next);
                window.consume(next);
                let seen = next + (u64::from(window.advertise(MSS)) << shift);
                prop_assert!(seen >= edge);
                edge = seen;
            }
        }
    }
}
