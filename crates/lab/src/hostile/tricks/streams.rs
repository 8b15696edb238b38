//! Lies about streams: their bytes, their ends, and which there are.

use crate::hostile::forge::{FIN, Forge, SYN};
use crate::hostile::peer::{Hostile, Line};
use crate::plan::Time;

impl Hostile {
    /// Data as they should be, after those before.
    pub(super) fn data(&mut self, at: usize, len: usize) {
        let place = self.line(at);
        let bytes = self.bytes(len);
        let number = self.foes[at].take_number();
        let line = &mut self.foes[at].streams[place];
        let offset = line.offset;
        line.offset += len as u64;
        let ids = line.ids();
        self.piece(at, number, ids, 0, offset, &bytes);
    }

    fn piece(
        &mut self,
        at: usize,
        number: u32,
        ids: (u32, u32),
        flags: u8,
        offset: u64,
        data: &[u8],
    ) {
        let mut forge = Forge::new(&self.foes[at].ids, number, ids);
        forge.stream(flags, offset, data);
        self.shoot(at, forge.done());
    }

    /// One piece of the stream in `place`, under the next number.
    fn put(&mut self, at: usize, place: usize, flags: u8, offset: u64, data: &[u8]) {
        let number = self.foes[at].take_number();
        let ids = self.foes[at].streams[place].ids();
        self.piece(at, number, ids, flags, offset, data);
    }

    fn add_line(&mut self, at: usize) -> usize {
        let line = self.new_line();
        let streams = &mut self.foes[at].streams;
        if streams.len() >= MOST_LINES {
            streams.remove(0);
        }
        streams.push(line);
        streams.len() - 1
    }

    pub(super) fn honest_data(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..8 {
            let len = 1 + self.below(1_100) as usize;
            self.data(at, len);
        }
    }

    pub(super) fn stream_flood(&mut self, now: Time) {
        let at = self.foe(now);
        let count = self.pick(&[10, 100, 300]);
        let flags = self.pick(&[SYN, 0, SYN | FIN]);
        for n in 0..count {
            let line = Line {
                source: if self.one_in(2) {
                    self.word()
                } else {
                    1_001 + 2 * n
                },
                ..self.new_line()
            };
            let number = self.foes[at].take_number();
            self.piece(at, number, line.ids(), flags, 0, b"x");
        }
    }

    pub(super) fn stream_churn(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..20 {
            let place = self.add_line(at);
            let request = self.request();
            self.put(at, place, SYN, 0, &request);
            let ids = self.foes[at].streams[place].ids();
            let mut forge = Forge::new(&self.foes[at].ids, 0, ids);
            forge.reset(7);
            self.shoot(at, forge.done());
        }
    }

    pub(super) fn fragments(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let from = self.foes[at].streams[place].offset + 1 + self.below(50_000);
        let room = self.pick(&[1, 20, 80]);
        for packet in 0..20 {
            let ids = self.foes[at].streams[place].ids();
            let number = self.foes[at].take_number();
            let mut forge = Forge::new(&self.foes[at].ids, number, ids);
            for n in 0..room {
                forge.stream(0, from + 2 * (packet * room + n), b"y");
            }
            self.shoot(at, forge.done());
        }
    }

    pub(super) fn sparse(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let ids = self.foes[at].streams[place].ids();
        let number = self.foes[at].take_number();
        let mut forge = Forge::new(&self.foes[at].ids, number, ids);
        let step = self.pick(&[16_384, 4_096, 65_536]);
        for n in 1..100 {
            forge.stream(0, n * step, b"z");
        }
        self.shoot(at, forge.done());
    }

    pub(super) fn overlap(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let end = self.foes[at].streams[place].offset;
        for _ in 0..5 {
            let offset = self.below(end + 2_000);
            let len = self.below(1_000) as usize;
            let bytes = self.bytes(len);
            self.put(at, place, 0, offset, &bytes);
        }
    }

    pub(super) fn recut(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let from = self.foes[at].streams[place].offset;
        let bytes = self.bytes(1_500);
        for (begin, end) in [(500, 1_000), (500, 1_500), (0, 800), (0, 1), (700, 1_200)] {
            if self.one_in(4) {
                continue;
            }
            // The same number for other bytes (UDX2 H7), or another one.
            if self.one_in(2) {
                self.foes[at].number = self.foes[at].number.wrapping_sub(1);
            }
            self.put(at, place, 0, from + begin, &bytes[begin as usize..end]);
        }
        self.foes[at].streams[place].offset = from + 1_500;
    }

    pub(super) fn fin_overtakes(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..10 {
            let place = self.add_line(at);
            let size = self.wild();
            self.put(at, place, FIN, size, &[]);
            if self.one_in(2) {
                let request = self.request();
                self.put(at, place, SYN, 0, &request);
            }
        }
    }

    pub(super) fn fin_other_sizes(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let size = self.foes[at].streams[place].offset;
        for _ in 0..3 {
            let other = self.pick(&[size, size + 1, size.saturating_sub(1), 0, u64::MAX - 1]);
            let data: &[u8] = if self.one_in(2) { b"end" } else { b"" };
            self.put(at, place, FIN, other, data);
        }
    }

    pub(super) fn beyond_final(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        let size = self.foes[at].streams[place].offset;
        self.put(at, place, FIN, size, &[]);
        for _ in 0..3 {
            let beyond = self.below(100_000);
            self.put(at, place, 0, size + beyond, b"after all");
        }
    }

    pub(super) fn beyond_window(&mut self, now: Time) {
        let at = self.foe(now);
        let place = self.line(at);
        for _ in 0..5 {
            let offset = match self.below(3) {
                0 => 65_536 + self.below(200_000),
                1 => self.foes[at].streams[place].offset + self.below(32 << 20),
                _ => self.wild(),
            };
            self.put(at, place, 0, offset, b"far out");
        }
    }

    pub(super) fn other_streams(&mut self, now: Time) {
        let at = self.foe(now);
        for _ in 0..5 {
            let mut ids = (self.small_or_any(), self.small_or_any());
            if let Some(other) = self
                .foes
                .iter()
                .flat_map(|foe| foe.streams.first().copied())
                .next()
            {
                ids = match self.below(4) {
                    0 => (other.destination, ids.1),
                    1 => (ids.0, other.source),
                    2 => (other.source, other.destination),
                    _ => ids,
                };
            }
            let number = self.foes[at].take_number();
            let mut forge = Forge::new(&self.foes[at].ids, number, ids);
            match self.below(5) {
                0 => forge.window(self.below(1 << 32) as u32),
                1 => forge.stream_blocked(ids.0, 0),
                2 => forge.stop(ids.0, 3),
                3 => forge.reset(3),
                _ => forge.stream(self.below(4) as u8, self.below(3), b"whose?"),
            };
            self.shoot(at, forge.done());
        }
    }

    fn small_or_any(&mut self) -> u32 {
        let any = self.word();
        self.pick(&[0, 1, 2, 3, 4, any, any | 1 << 31])
    }

    pub(super) fn reset_all(&mut self, now: Time) {
        let at = self.foe(now);
        self.line(at);
        let streams = self.foes[at].streams.clone();
        for line in streams.iter().rev().take(30) {
            let mut forge = Forge::new(&self.foes[at].ids, 0, line.ids());
            match self.below(3) {
                0 => forge.reset(1),
                1 => forge.stop(line.source, 1),
                _ => forge.reset(1).stop(line.source, 1).reset(2),
            };
            self.shoot(at, forge.done());
        }
        if self.one_in(2) {
            self.foes[at].streams.clear();
        }
    }
}

/// Streams of a connection that are remembered.
const MOST_LINES: usize = 2_000;
