//! Connections by the thousand, old ones, others', and packets that were sent before.

use crate::hostile::forge::{Forge, Ids, SYN};
use crate::hostile::peer::Hostile;
use crate::plan::Time;

impl Hostile {
    /// Whoever listens hears of nothing but these: as many as a limit allows at once.
    pub(super) fn half_open(&mut self, _now: Time) {
        let count = self.pick(&[5, 50, 200]);
        for _ in 0..count {
            let from = if self.one_in(10) {
                self.own_address()
            } else {
                self.forged_address()
            };
            let len = self.pick(&[0, 1, 8, 8, 8, 20]);
            let ids = Ids {
                version: self.version(),
                destination: self.bytes(len),
                source: self.bytes(8),
            };
            let streams = self.pick(&[(0, 0), (0, 1), (1 << 31, (1 << 31) + 1)]);
            let mut forge = Forge::new(&ids, 0, streams);
            let data = if self.one_in(2) {
                self.request()
            } else {
                Vec::new()
            };
            forge.stream(SYN, 0, &data);
            self.shoot_from(from, forge.done());
        }
    }

    pub(super) fn early_flood(&mut self, _now: Time) {
        let version = self.version();
        let id = self.bytes(8);
        for _ in 0..30 {
            let destination = if self.one_in(2) {
                id.clone()
            } else {
                self.bytes(8)
            };
            let ids = Ids {
                version,
                destination,
                source: self.bytes(8),
            };
            let number = self.word();
            let mut forge = Forge::new(&ids, number, (0, 1));
            let len = self.below(1_000) as usize;
            let data = self.bytes(len);
            forge.stream(0, 0, &data);
            let from = self.forged_address();
            self.shoot_from(from, forge.done());
        }
    }

    pub(super) fn late_syn(&mut self, now: Time) {
        if self.graveyard.is_empty() || self.one_in(4) {
            let at = self.foe(now);
            let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
            forge.close(0, b"");
            self.shoot(at, forge.done());
            self.bury(at);
        }
        let at = self.below(self.graveyard.len() as u64) as usize;
        let old = self.graveyard[at].clone();
        for packet in old.sent.into_iter().take(5) {
            let from = if self.one_in(2) {
                old.from
            } else {
                self.own_address()
            };
            self.shoot_from(from, packet);
        }
    }

    pub(super) fn reopen(&mut self, now: Time) {
        let at = self.foe(now);
        let words = self.bytes(600);
        let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
        forge.close(self.word(), &words);
        self.shoot(at, forge.done());
        let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 1));
        forge.stream(SYN, 0, b"once more");
        self.shoot(at, forge.done());
        if self.one_in(2) {
            self.bury(at);
        }
    }

    pub(super) fn other_ids(&mut self, now: Time) {
        let at = self.foe(now);
        let other = self.below(self.foes.len() as u64) as usize;
        let mut ids = self.foes[at].ids.clone();
        match self.below(4) {
            0 => ids.destination = self.foes[other].ids.destination.clone(),
            1 => ids.source = self.foes[other].ids.source.clone(),
            2 => std::mem::swap(&mut ids.destination, &mut ids.source),
            _ => {
                let len = self.below(21) as usize;
                ids.source = self.bytes(len);
            }
        }
        let number = self.foes[at].take_number();
        let mut forge = Forge::new(&ids, number, (0, 1));
        forge.stream(SYN, 0, b"wrong house").ack(3, 0, 4, &[]);
        let from = self.pick_address(at);
        self.shoot_from(from, forge.done());
    }

    pub(super) fn replay_own(&mut self, now: Time) {
        let at = self.foe(now);
        let count = self.foes[at].sent.len() as u64;
        for _ in 0..10.min(count) {
            let place = self.below(count) as usize;
            let packet = self.foes[at].sent[place].clone();
            let from = self.pick_address(at);
            self.shoot_from(from, packet);
        }
    }

    pub(super) fn replay_victims(&mut self, now: Time) {
        let at = self.foe(now);
        let count = self.foes[at].got.len() as u64;
        for _ in 0..10.min(count) {
            let place = self.below(count) as usize;
            let packet = self.foes[at].got[place].clone();
            let from = self.pick_address(at);
            self.shoot_from(from, packet);
        }
    }
}
