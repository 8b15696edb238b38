//! A peer whose limits are said once and cannot be asked for: Dart 3.0.0 (D13, D14).

use gapless_udx::wire::Frame;
use gapless_udx::{BlockedOn, StreamId};

use crate::rig::{Hand, MS, Rig, Seen, ack, syn};

/// The receiving side of a peer made by hand, with the windows of UDX 10.1.
struct Reader {
    hand: Hand,
    id: StreamId,
    /// Its own ID of the stream.
    source: u32,
    /// Bytes that came, all in order, and the highest position.
    received: u64,
    written: usize,
    window: u64,
    advertised: u64,
    /// Updates that never leave, counted from the first.
    loses: u32,
    updates: u32,
    /// It consumes what comes.
    reads: bool,
    /// It says its limit again when asked.
    answers: bool,
}

impl Reader {
    /// We dial it, and it is known by its SYN back.
    fn dart(rig: &mut Rig) -> Self {
        let reader = Reader::dialed(rig, 0x0765_4321);
        let ids = (reader.id.wire_id(), reader.source);
        reader.hand.send(rig, 0, ids, &[syn(b"")]);
        reader
    }

    /// Go, which takes what it is asked.
    fn go(rig: &mut Rig) -> Self {
        let mut reader = Reader::dialed(rig, 2);
        (reader.reads, reader.answers) = (false, true);
        let ids = (reader.id.wire_id(), reader.source);
        reader.hand.send(rig, 0, ids, &[ack(0, 1)]);
        reader
    }

    fn dialed(rig: &mut Rig, source: u32) -> Self {
        let (hand, id) = rig.dial();
        Reader {
            hand,
            id,
            source,
            received: 0,
            written: 0,
            window: 65_536,
            advertised: 65_536,
            loses: 0,
            updates: 0,
            reads: true,
            answers: false,
        }
    }

    /// Takes what was sent, and answers it.
    fn step(&mut self, rig: &mut Rig) {
        let seen = rig.sent();
        let is_asked = seen
            .iter()
            .any(|packet| packet.has(|frame| matches!(frame, Frame::StreamDataBlocked { .. })));
        for nonce in seen.iter().filter_map(Seen::challenge) {
            let response = Frame::PathResponse { nonce };
            self.hand.send(rig, 0, (0, 0), &[response]);
        }
        for packet in seen.iter().filter(|packet| packet.is_numbered()) {
            self.hand.send(rig, 0, (0, 0), &[ack(packet.number(), 1)]);
            let part = packet.stream().unwrap();
            if part.offset == self.received {
                self.received += part.data.len() as u64;
            }
        }
        if self.reads && self.advertised.saturating_sub(self.received) < self.window / 2 {
            self.window = (self.window * 2).min(4 << 20);
            self.advertised = self.received + self.window;
            self.updates += 1;
            if self.updates > self.loses {
                self.say_limit(rig);
            }
        }
        if self.answers && is_asked {
            self.say_limit(rig);
        }
        rig.wait(10 * MS);
    }

    fn say_limit(&self, rig: &mut Rig) {
        let limit = Frame::WindowUpdate {
            limit: (self.advertised as u32).into(),
        };
        let ids = (self.id.wire_id(), self.source);
        self.hand.send(rig, 0, ids, &[limit]);
    }

    /// Has `len` bytes written in all, and takes so many steps of 10 ms, or fewer if they came. Tells how many did.
    fn take(&mut self, rig: &mut Rig, len: usize, steps: u32) -> u64 {
        let data = vec![7; len];
        for _ in 0..steps {
            self.written += rig.write(self.id, &data[self.written..]);
            self.step(rig);
            if self.received == len as u64 {
                break;
            }
        }
        self.received
    }
}

#[test]
fn d14_a_limit_that_was_lost_and_cannot_be_asked_for_stops_no_stream() {
    for loses in 1..=2 {
        let mut rig = Rig::counted();
        let mut reader = Reader::dart(&mut rig);
        reader.loses = loses;
        assert_eq!(
            reader.take(&mut rig, 400_000, 12_000),
            400_000,
            "without the first {loses}"
        );
        assert!(reader.updates > loses);
    }
}

#[test]
fn d14_a_lost_limit_costs_a_few_seconds() {
    let mut rig = Rig::counted();
    let mut reader = Reader::dart(&mut rig);
    reader.loses = 1;
    assert_eq!(reader.take(&mut rig, 400_000, 800), 400_000);
}

/// A reader that rests is not flooded: as much more as it had promised, and a rest that grows.
#[test]
fn d14_what_goes_beyond_the_limit_of_a_resting_reader_is_bounded() {
    let mut rig = Rig::counted();
    let mut reader = Reader::dart(&mut rig);
    reader.reads = false;
    assert_eq!(reader.take(&mut rig, 400_000, 110), 65_536, "not at once");
    let now = rig.now;
    let blocked = rig.connection().blocked_on(now);
    assert_eq!(blocked, BlockedOn::PeerStreamWindow);
    let first = reader.take(&mut rig, 400_000, 2_000);
    assert!(first > 2 * 65_536, "enough to have it speak: {first}");
    assert!(first <= 2 * 65_536 + 1200, "{first}");
    let later = reader.take(&mut rig, 400_000, 30_000);
    // After 30 s, and 60, and 120.
    let series = 65_536 + 1200;
    assert!(later > first && later <= first + 3 * series, "{later}");
    // It reads again.
    reader.reads = true;
    assert_eq!(reader.take(&mut rig, 400_000, 1_000), 400_000);
}

#[test]
fn d14_who_answers_the_question_is_sent_nothing_beyond_the_limit() {
    for peer in [Reader::dart, Reader::go] {
        let mut rig = Rig::counted();
        let mut reader = peer(&mut rig);
        (reader.reads, reader.answers) = (false, true);
        assert_eq!(reader.take(&mut rig, 400_000, 6_000), 65_536);
    }
}

/// Only Dart of version 3 is known to take it.
#[test]
fn d14_others_are_sent_nothing_beyond_the_limit_though_they_answer_nothing() {
    let mut rig = Rig::counted();
    let mut reader = Reader::go(&mut rig);
    reader.answers = false;
    assert_eq!(reader.take(&mut rig, 400_000, 6_000), 65_536);
}
