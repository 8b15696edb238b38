//! A sending and a receiving half with a link between them that loses, repeats, delays and splits.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use gapless_seq::Wire32;
use proptest::prelude::*;

use super::{STARTS, bytes, ms};
use crate::stream::recv::RecvHalf;
use crate::stream::send::{Piece, SendHalf};
use crate::stream::window::WindowConfig;

/// Draws from a seed: the runs must be the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Pair {
    dice: Dice,
    now: u64,
    start: u64,
    size: u64,
    sender: SendHalf,
    receiver: RecvHalf,
    budget: u64,
    /// Sent, and neither acknowledged nor replaced.
    outstanding: Vec<Piece>,
    out: Vec<u8>,
    /// Nothing is lost any more.
    calm: bool,
}

impl Pair {
    fn new(seed: u64, start: u64, size: u64) -> Self {
        let config = WindowConfig {
            initial: 70_000,
            max: 300_000,
        };
        Self {
            dice: Dice(seed),
            now: 0,
            start,
            size,
            sender: SendHalf::at(start),
            receiver: RecvHalf::at(&config, start),
            budget: 150_000,
            outstanding: Vec::new(),
            out: Vec::new(),
            calm: false,
        }
    }

    fn arrives(&mut self) -> bool {
        self.calm || self.dice.roll(4) != 0
    }

    fn write(&mut self) {
        let end = self.sender.buffer().end();
        let most = 1 + self.dice.roll(9000);
        let left = self.start + self.size - end;
        let mut data = Bytes::from(bytes(end..end + left.min(most)));
        if left == 0 {
            let _ = self.sender.finish();
        } else {
            let _ = self.sender.write(&mut data, 100_000);
        }
    }

    /// Sends what is new; what it is in 1/4 of all cases does not arrive now.
    fn send(&mut self) {
        let max = 1 + self.dice.roll(2000) as usize;
        if let Some(piece) = self.sender.next(max) {
            assert!(piece.end() <= self.sender.limit());
            self.sender.on_sent(&piece);
            self.outstanding.push(piece);
            if self.arrives() {
                self.deliver(piece);
            }
        }
    }

    /// Sends something outstanding again, cut in two at times: so it comes late, twice and out of order.
    fn resend(&mut self) {
        let count = self.outstanding.len() as u64;
        if count == 0 {
            return;
        }
        let index = self.dice.roll(count) as usize;
        let mut piece = self.outstanding[index];
        if self.dice.roll(8) == 0 {
            let head = self.dice.roll(2000) as u16;
            if let Some((first, second)) = self.sender.split(&piece, head) {
                self.outstanding[index] = first;
                self.outstanding.push(second);
                piece = second;
            }
        }
        if self.arrives() {
            self.deliver(piece);
        }
    }

    fn deliver(&mut self, piece: Piece) {
        let mut data = vec![0; usize::from(piece.len)];
        assert!(self.sender.copy_to(piece.offset, &mut data));
        // The sender obeys the limit, so it is at fault in nothing; frames too many runs ahead come again.
        if let Err(error) = self
            .receiver
            .on_data(ms(self.now), piece.offset, &data, piece.fin)
        {
            assert_eq!(error.reset_code(), None);
            return;
        }
        assert!(self.receiver.buffer().memory() <= self.receiver.memory_bound());
        self.receiver.open_window(ms(self.now), &mut self.budget);
        if self.arrives() {
            self.sender.on_acked(&piece);
            self.outstanding.retain(|other| *other != piece);
        }
    }

    fn read(&mut self) {
        let max = self.dice.roll(40_000) as usize;
        if let Ok(Some(read)) = self.receiver.read(max) {
            self.out.extend(read);
        }
        self.receiver
            .on_consumed(ms(self.now), Duration::from_millis(5), &mut self.budget);
    }

    fn signal(&mut self) {
        self.receiver.on_timeout(ms(self.now));
        if self.sender.take_blocked(ms(self.now)).is_some() && self.arrives() {
            self.receiver.on_blocked();
        }
        if let Some(limit) = self.receiver.take_update()
            && self.arrives()
        {
            self.sender.on_limit(Wire32::truncate(limit));
        }
        assert!(self.sender.limit() <= self.receiver.limit());
    }

    fn step(&mut self) {
        match self.dice.roll(8) {
            0 => self.write(),
            1..=3 => self.send(),
            4 | 5 => self.resend(),
            6 => self.read(),
            _ => {
                self.now += self.dice.roll(300);
                self.signal();
            }
        }
    }

    fn run(mut self) {
        for _ in 0..3000 {
            self.step();
        }
        self.calm = true;
        for _ in 0..20_000 {
            if self.sender.is_acknowledged() && self.receiver.is_finished() {
                break;
            }
            self.step();
        }
        assert!(
            self.sender.is_acknowledged() && self.receiver.is_finished(),
            "stalled"
        );
        assert_eq!(self.out, bytes(self.start..self.start + self.size));
        assert_eq!(self.receiver.final_size(), Some(self.start + self.size));
        assert_eq!(
            self.receiver.buffer().memory() + self.sender.buffer().memory(),
            0
        );
        assert_eq!(self.budget + self.receiver.window().granted(), 150_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Everything arrives, once and in order, within a bounded number of steps after the losses end.
    #[test]
    fn every_byte_arrives_through_a_bad_link(
        seed in any::<u64>(),
        start in proptest::sample::select(&STARTS[..]),
        size in prop_oneof![0..2000_u64, 0..400_000_u64],
    ) {
        Pair::new(seed, start, size).run();
    }
}
