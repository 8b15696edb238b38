//! What is hardly a packet any more, or too much of one.

use crate::hostile::forge::Forge;
use crate::hostile::peer::Hostile;
use crate::plan::Time;

impl Hostile {
    /// A packet that was sent before, or a new one.
    fn model(&mut self, at: usize) -> Vec<u8> {
        let count = self.foes[at].sent.len() as u64;
        if count == 0 || self.one_in(4) {
            return self.any_packet(at);
        }
        let place = self.below(count) as usize;
        self.foes[at].sent[place].clone()
    }

    pub(super) fn truncated(&mut self, now: Time) {
        let at = self.foe(now);
        let mut packet = self.model(at);
        let len = self.below(packet.len() as u64 + 1) as usize;
        packet.truncate(len);
        let from = self.foes[at].from;
        self.shoot_from(from, packet);
    }

    pub(super) fn mutated(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..5 {
            let mut packet = self.model(at);
            // The destination id stays: what reaches no connection does little.
            let head = 5 + self.foes[at].ids.destination.len();
            let room = packet.len().saturating_sub(head) as u64;
            for _ in 0..=self.below(4) {
                let place = head + self.below(room) as usize;
                let bits = self.random.bits() as u8;
                if let Some(byte) = packet.get_mut(place) {
                    *byte = bits;
                }
            }
            let from = self.foes[at].from;
            self.shoot_from(from, packet);
        }
    }

    pub(super) fn huge(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let line = self.foes[at].streams[place];
        let number = self.foes[at].take_number();
        let mut forge = Forge::new(&self.foes[at].ids, number, line.ids());
        match self.below(4) {
            0 => {
                let data = self.bytes(65_000);
                forge.stream(0, line.offset, &data);
            }
            1 => {
                forge.raw(&vec![0; 65_000]);
            }
            2 => {
                // A byte in each of five thousand places.
                for n in 0..5_000 {
                    forge.stream(0, line.offset + n * 3_000, b"f");
                }
            }
            _ => {
                while forge.len() < 65_000 {
                    forge.ack(5, 0, 1, &[(1, 1); 255]);
                }
            }
        }
        self.shoot(at, forge.done());
    }

    pub(super) fn empty(&mut self, now: Time) {
        let at = self.foe(now);
        for len in [0, 1, 4, 5, 17] {
            let from = self.pick_address(at);
            let mut packet = Forge::new(&self.foes[at].ids, 0, (0, 0)).done();
            packet.truncate(len);
            self.shoot_from(from, packet);
        }
        let nothing = Forge::new(&self.foes[at].ids, 0, (0, 0)).done();
        self.shoot(at, nothing);
    }

    pub(super) fn garbage(&mut self, _now: Time) {
        let len = self.below(2_000) as usize;
        let mut noise = self.bytes(len);
        if self.one_in(2) && len > 4 {
            let version = self.version();
            noise[..4].copy_from_slice(&version.to_be_bytes());
        }
        let from = self.forged_address();
        self.shoot_from(from, noise);
    }

    pub(super) fn many_frames(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let line = self.foes[at].streams[place];
        let number = self.foes[at].take_number();
        let mut forge = Forge::new(&self.foes[at].ids, number, line.ids());
        let kind = self.below(7);
        while forge.len() < 1_450 {
            match kind {
                0 => forge.ping(),
                1 => forge.stream(0, line.offset, b""),
                2 => forge.reset(1),
                3 => forge.window(u32::MAX / 3),
                4 => forge.max_data(1 << 52),
                5 => forge.ack(3, 0, 2, &[]),
                _ => forge.stop(line.source, 4),
            };
        }
        self.shoot(at, forge.done());
    }

    pub(super) fn random_frames(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..5 {
            let packet = self.any_packet(at);
            self.shoot(at, packet);
        }
    }

    /// Any frames with any fields, in a packet of the connection.
    fn any_packet(&mut self, at: usize) -> Vec<u8> {
        let ids = match self.foes[at].streams.last().copied() {
            Some(line) if !self.one_in(4) => line.ids(),
            _ => (self.word(), self.word()),
        };
        let number = match self.below(3) {
            0 => self.word(),
            _ => self.foes[at].take_number(),
        };
        let mut forge = Forge::new(&self.foes[at].ids, number, ids);
        for _ in 0..=self.below(5) {
            self.any_frame(&mut forge);
        }
        forge.done()
    }

    fn any_frame(&mut self, forge: &mut Forge) {
        let (long, other, word, small) = (self.wild(), self.wild(), self.word(), self.word() as u8);
        let len = self.below(40) as usize;
        let bytes = self.bytes(len);
        match self.below(17) {
            0 => forge.ping(),
            1 => forge.ack(long as u32, other as u16, word, &[(small, long as u32)]),
            2 => forge.stream(small & 3, long, &bytes),
            3 => forge.stream(small, other % 100_000, &bytes),
            4 => forge.window(long as u32),
            5 => forge.max_data(long),
            6 => forge.reset(word),
            7 => forge.max_streams(long as u32),
            8 => forge.challenge(long),
            9 => forge.response(long),
            // Rarely: it ends the fun.
            10 if small < 20 => forge.close(word, &bytes),
            10 => forge.raw(&[0x0c, 0, 0, 0, 1, 0, 0, 0, 2]),
            11 => forge.stop(word, 5),
            12 => forge.data_blocked(long),
            13 => forge.stream_blocked(word, long),
            14 => forge.new_id(long, &bytes[..len.min(20)], [small; 16]),
            15 => forge.retire_id(long),
            _ => forge.raw(&[0; 3]),
        };
    }
}
