//! Lies about what arrived, what may be sent, and which numbers there are.

use crate::hostile::forge::Forge;
use crate::hostile::peer::Hostile;
use crate::plan::Time;

impl Hostile {
    fn ack(&mut self, at: usize, largest: u32, delay: u16, first: u32, extra: &[(u8, u32)]) {
        let ids = match self.below(3) {
            0 => self.foes[at]
                .streams
                .first()
                .map_or((0, 0), |line| line.ids()),
            _ => (0, 0),
        };
        // D5: what stands in the header of an ACK means nothing.
        let number = if self.one_in(4) { self.word() } else { 0 };
        let mut forge = Forge::new(&self.foes[at].ids, number, ids);
        forge.ack(largest, delay, first, extra);
        self.shoot(at, forge.done());
    }

    fn largest(&self, at: usize) -> u32 {
        self.foes[at].largest.unwrap_or(0)
    }

    pub(super) fn ack_unsent(&mut self, now: Time) {
        let at = self.foe(now);
        let beyond = self.pick(&[1, 2, 1_000, 1 << 30, 1 << 31, (1 << 31) + 1, u32::MAX - 1]);
        let largest = self.largest(at).wrapping_add(beyond);
        let first = self.pick(&[0, 1, 2, u32::MAX]);
        self.ack(at, largest, 0, first, &[]);
    }

    pub(super) fn ack_huge(&mut self, now: Time) {
        let at = self.foe(now);
        let largest = self.largest(at);
        let count = self.pick(&[0, 1, 31, 255]);
        let gap = self.pick(&[0, 1, 255]);
        let length = self.pick(&[0, 1, 1 << 31, u32::MAX]);
        let first = self.pick(&[0, 1, u32::MAX]);
        self.ack(at, largest, 0, first, &vec![(gap, length); count]);
    }

    pub(super) fn ack_delay(&mut self, now: Time) {
        let at = self.foe(now);
        let delay = self.pick(&[65_535, 65_534, 10_000, 1]);
        let largest = self.largest(at);
        self.ack(at, largest, delay, 1, &[]);
    }

    pub(super) fn ack_twice(&mut self, now: Time) {
        let at = self.foe(now);
        let largest = self.largest(at);
        for _ in 0..2 {
            self.ack(at, largest, 0, largest.saturating_add(1), &[]);
        }
    }

    pub(super) fn ack_optimistic(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..4 {
            let ahead = 1 + self.below(20) as u32;
            let largest = self.largest(at).wrapping_add(ahead);
            self.ack(at, largest, 0, ahead + 1, &[]);
        }
    }

    pub(super) fn ack_scattered(&mut self, now: Time) {
        let at = self.foe(now);
        let largest = self.largest(at);
        let count = self.pick(&[5, 32, 255]);
        let (gap, length) = self.pick(&[(1, 1), (2, 1), (1, 3)]);
        self.ack(at, largest, 3, 1, &vec![(gap, length); count]);
    }

    pub(super) fn window_wild(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let ids = self.foes[at].streams[place].ids();
        for _ in 0..3 {
            let limit = self.wild() as u32;
            let mut forge = Forge::new(&self.foes[at].ids, 0, ids);
            forge.window(limit);
            self.shoot(at, forge.done());
        }
    }

    pub(super) fn max_wild(&mut self, now: Time) {
        let at = self.foe(now);
        let (data, streams) = (self.wild(), self.wild() as u32);
        let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
        forge.max_data(data).max_streams(streams);
        self.shoot(at, forge.done());
    }

    pub(super) fn blocked_flood(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let ids = self.foes[at].streams[place].ids();
        for _ in 0..10 {
            let limit = self.wild();
            let mut forge = Forge::new(&self.foes[at].ids, 0, ids);
            forge.stream_blocked(ids.1, limit).data_blocked(limit);
            self.shoot(at, forge.done());
        }
    }

    pub(super) fn ping_flood(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..10 {
            let number = match self.below(4) {
                0 => 0,
                1 => self.word(),
                2 => self.foes[at].number.wrapping_sub(1),
                _ => self.foes[at].take_number(),
            };
            let mut forge = Forge::new(&self.foes[at].ids, number, (0, 0));
            forge.ping();
            self.shoot(at, forge.done());
        }
    }

    pub(super) fn wrap_numbers(&mut self, now: Time) {
        let at = self.foe(now);
        let near = self.pick(&[0_u32, 1 << 31, u32::MAX]);
        self.foes[at].number = near.wrapping_sub(3);
        for _ in 0..6 {
            self.data(at, 10);
        }
    }

    pub(super) fn jump_numbers(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..4 {
            let jump = self.pick(&[1 << 31, (1 << 31) - 1, 1 << 16, u32::MAX, 1 << 30]);
            self.foes[at].number = self.foes[at].number.wrapping_add(jump);
            self.data(at, 10);
        }
    }
}
