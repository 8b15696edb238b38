//! Lies about addresses, ids and versions.

use crate::hostile::forge::{Forge, Ids, SYN};
use crate::hostile::peer::Hostile;
use crate::plan::Time;

impl Hostile {
    pub(super) fn challenge_flood(&mut self, now: Time) {
        let at = self.foe(now);
        let each = self.pick(&[1, 4, 100]);
        let same = self.one_in(3);
        for _ in 0..10 {
            let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
            for _ in 0..each {
                let nonce = if same { 7 } else { self.random.bits() };
                forge.challenge(nonce);
            }
            let packet = forge.done();
            match self.below(3) {
                0 => self.shoot(at, packet),
                1 => {
                    let from = self.own_address();
                    self.shoot_from(from, packet);
                }
                _ => {
                    let from = self.forged_address();
                    self.shoot_from(from, packet);
                }
            }
        }
    }

    pub(super) fn response_guesses(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..10 {
            let nonce = self.wild();
            let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
            forge.response(nonce);
            let from = self.forged_address();
            self.shoot_from(from, forge.done());
        }
    }

    pub(super) fn address_hop(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..5 {
            self.foes[at].from = if self.one_in(3) {
                self.forged_address()
            } else {
                self.own_address()
            };
            self.data(at, 20);
        }
        if self.one_in(2) {
            self.foes[at].from = self.own_address();
        }
    }

    pub(super) fn new_id_flood(&mut self, now: Time) {
        let at = self.foe(now);
        for n in 0..10 {
            let own = self.foes[at].ids.source.clone();
            let len = self.below(21) as usize;
            let id = if self.one_in(2) { own } else { self.bytes(len) };
            let mut token = [0; 16];
            self.random.fill(&mut token);
            let index = self.pick(&[0, n, u64::MAX]);
            let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
            forge.new_id(index, &id, token);
            if self.one_in(3) {
                forge.retire_id(index);
            }
            self.shoot(at, forge.done());
            if self.one_in(5) {
                // Its own token, as if it had lost its state.
                let mut reset = self.bytes(30);
                reset.extend_from_slice(&token);
                self.shoot(at, reset);
            }
        }
    }

    /// The shortest own id and the longest one of the victim's peer make answers longer than questions.
    pub(super) fn amplify(&mut self, _now: Time) {
        let from = self.forged_address();
        let ids = Ids {
            version: self.version(),
            destination: self.bytes(1),
            source: self.bytes(20),
        };
        let mut forge = Forge::new(&ids, 0, (0, 1));
        forge.stream(SYN, 0, b"");
        self.shoot_from(from, forge.done());
        let short = Ids {
            source: Vec::new(),
            ..ids
        };
        for number in 1..8 {
            let elsewhere = self.forged_address();
            let mut forge = Forge::new(&short, number, (0, 1));
            match self.below(5) {
                0 => forge.challenge(u64::from(number)),
                1 => {
                    (0..5).for_each(|nonce| {
                        forge.challenge(nonce);
                    });
                    &mut forge
                }
                2 => forge.ping(),
                3 => forge.data_blocked(0).stream_blocked(1, 0),
                _ => forge.stream(SYN, 0, b"q"),
            };
            let to_from = if self.one_in(2) { from } else { elsewhere };
            self.shoot_from(to_from, forge.done());
        }
    }

    pub(super) fn guessed_resets(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..5 {
            let len = self.pick(&[38, 39, 40, 64, 1_200]);
            let mut reset = self.bytes(len);
            if self.one_in(2) {
                // As if for the very connection.
                let mut head = Forge::new(&self.foes[at].ids, 0, (0, 0)).done();
                head.truncate(len);
                reset[..head.len()].copy_from_slice(&head);
            }
            let from = self.pick_address(at);
            self.shoot_from(from, reset);
        }
    }

    pub(super) fn negotiation(&mut self, now: Time) {
        let at = self.foe(now);
        let ids = self.foes[at].ids.clone();
        let any = self.bytes(8);
        let (a, b) = match self.below(4) {
            0 => (&ids.destination, &ids.source),
            1 => (&ids.source, &ids.destination),
            2 => (&ids.destination, &any),
            _ => (&any, &any),
        };
        let count = self.pick(&[0, 1, 2, 3, 300]);
        let versions: Vec<u32> = (0..count).map(|n| n as u32).collect();
        let packet = Forge::negotiation(a, b, &versions);
        let from = self.pick_address(at);
        self.shoot_from(from, packet);
    }

    pub(super) fn other_versions(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let line = self.foes[at].streams[place];
        let any = self.word();
        let ids = Ids {
            version: self.pick(&[0, 1, 2, 3, 4, 0x0a0a_0a0a, any]),
            ..self.foes[at].ids.clone()
        };
        let number = self.foes[at].take_number();
        let mut forge = Forge::new(&ids, number, line.ids());
        match self.below(4) {
            0 => forge.stream(0, line.offset, b"other"),
            1 => forge.close(3, b"other version"),
            2 => forge.reset(1),
            _ => forge.ack(self.below(100) as u32, 0, 50, &[]),
        };
        let from = self.pick_address(at);
        self.shoot_from(from, forge.done());
    }

    pub(super) fn pick_address(&mut self, at: usize) -> std::net::SocketAddr {
        match self.below(3) {
            0 => self.forged_address(),
            1 => self.own_address(),
            _ => self.foes[at].from,
        }
    }
}
