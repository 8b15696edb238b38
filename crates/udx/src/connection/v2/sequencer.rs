//! The receive order of version 2: numbered packets take effect in the order of their numbers, from the first one
//! on (UDX2 7, 15.4).
//!
//! The first number is agreed, not learned: whoever starts with the first packet that happens to arrive loses what was sent before it.
//! Pure data: which packet is next, what waits, and when waiting ends.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{RangeSet, mark, sabotage};

use super::burnt::{Bearer, Burnt};
use crate::wire::{Header, Ordered};

/// UDX2 H6: how long a number that only control packets carried holds up the others, where a guess may be wrong. A real packet
/// would have been sent again four times by then.
const BURNT_AFTER: Duration = Duration::from_secs(3);

/// UDX2 H6: how many packets must wait behind such a number.
const BURNT_BEHIND: usize = 2;

/// UDX2 H17: Go and Dart give a packet up after ten attempts, 128 s after the first, and go on in silence.
const LOST_AFTER: Duration = Duration::from_secs(150);

/// How far ahead of the next number a packet may be. More than any sender has outstanding; a number beyond is a lie.
const MOST_AHEAD: u64 = 1 << 16;

/// Memory of a waiting packet besides its data, in bytes: the entry, its place in the tree, the allocation.
const ENTRY: usize = 192;

/// The size of a stored frame without its data: flags and length.
const FRAME_HEAD: usize = 3;

const FIN: u8 = 1;
const SYN: u8 = 2;

/// What is received, what waits, and what is waited for.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Sequencer {
    /// The number whose turn it is.
    expected: u64,
    /// The first number of all, and the sender's ID of the stream that the packet with it named, once it had its turn.
    first: (u64, Option<u32>),
    /// When a packet came last that others had waited for.
    filled: Instant,
    /// Packets whose turn has not come, or that found no room in their stream when it came.
    waiting: BTreeMap<u64, Waiting>,
    /// Bytes held for them.
    bytes: usize,
    /// Numbers not below `expected` that only control packets carried (UDX2 H6).
    burnt: Burnt,
    /// Numbers that were given up as burnt.
    skipped: RangeSet<16>,
    /// A wrong byte would be noticed above, so that a suspicion is enough after [`BURNT_AFTER`].
    may_guess: bool,
}

/// The STREAM frames of a packet that waits.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) header: Header,
    arrived: Instant,
    /// One after another: flags, length, data.
    frames: Box<[u8]>,
}

/// Where a numbered packet stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// It is the one whose turn it is.
    Next,
    /// Its turn comes later.
    Ahead,
    /// It was received before.
    Old,
    /// It was given up as never sent (UDX2 H6), and here it is: its bytes are missing for good.
    GivenUp,
    /// Further ahead than anybody sends.
    Beyond,
}

/// What the time brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waited {
    /// Nothing.
    Nothing,
    /// The next number was given up as burnt (UDX2 H6).
    Skipped,
    /// The next number never came (UDX2 H17).
    InVain,
}

impl Sequencer {
    pub(crate) fn new(first_number: u64, may_guess: bool) -> Self {
        Sequencer {
            expected: first_number,
            first: (first_number, None),
            filled: Instant::ZERO,
            waiting: BTreeMap::new(),
            bytes: 0,
            burnt: Burnt::default(),
            skipped: RangeSet::new(),
            may_guess,
        }
    }

    /// Where wire numbers are expanded, and the number whose turn it is.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    pub(crate) fn place(&self, number: u64) -> Place {
        if number < self.expected {
            if sabotage!(DeliveredTwice) && number.saturating_add(1) == self.expected {
                Place::Next
            } else if self.skipped.contains(number) {
                Place::GivenUp
            } else {
                Place::Old
            }
        } else if self.waiting.contains_key(&number) {
            Place::Old
        } else if number == self.expected {
            Place::Next
        } else if number.saturating_sub(self.expected) > MOST_AHEAD {
            Place::Beyond
        } else {
            Place::Ahead
        }
    }

    /// Whether a packet that opens the stream `source` has the number with which another stream was opened: everybody else has one
    /// number for one packet.
    pub(crate) fn contradicts(&self, number: u64, source: u32) -> bool {
        let (first, opened) = self.first;
        number == first && source != 0 && opened.is_some_and(|opened| opened != source)
    }

    /// The packet whose turn it is names this stream.
    pub(crate) fn note_source(&mut self, source: u32) {
        let (first, opened) = &mut self.first;
        if self.expected == *first {
            opened.get_or_insert(source);
        }
    }

    /// A packet came whose turn it is. UDX2 H6: what was in its way is in nobody's way any more, and if a number behind it is missing, too,
    /// that one is head of the line from now on: a sender who has just sent the one again may be about to do so with the other.
    pub(crate) fn note_filled(&mut self, now: Instant) {
        if !self.waiting.is_empty() {
            self.filled = now;
        }
    }

    /// The packet whose turn it was has taken effect.
    pub(crate) fn advance(&mut self) {
        self.expected = self.expected.saturating_add(1);
        self.pass_burnt();
        self.burnt.forget_below(self.expected);
    }

    /// Passes the numbers that are next and that no data will come under. There is nothing to wait for.
    fn pass_burnt(&mut self) {
        while self.burnt.is_proven(self.expected) {
            self.pass();
        }
    }

    fn pass(&mut self) {
        mark!(NumberBurnt);
        let next = self.expected.saturating_add(1);
        self.skipped.insert_evicting_lowest(self.expected..next);
        self.expected = next;
    }

    /// Keeps a packet until its turn comes, if `room` bytes have room for it (UDX2 H21: what is not kept is not
    /// acknowledged either).
    pub(crate) fn keep<'a>(
        &mut self,
        now: Instant,
        number: u64,
        header: &Header,
        frames: impl Iterator<Item = Ordered<'a>> + Clone,
        room: usize,
    ) -> bool {
        let sizes = frames
            .clone()
            .map(|frame| frame.data.len().saturating_add(FRAME_HEAD));
        let size = sizes.fold(ENTRY, usize::saturating_add);
        if self.bytes.saturating_add(size) > room {
            return false;
        }
        let mut stored = Vec::new();
        if stored
            .try_reserve_exact(size.saturating_sub(ENTRY))
            .is_err()
        {
            return false;
        }
        for frame in frames {
            let Ok(len) = u16::try_from(frame.data.len()) else {
                return false;
            };
            stored.push((if frame.fin { FIN } else { 0 }) | (if frame.syn { SYN } else { 0 }));
            stored.extend_from_slice(&len.to_be_bytes());
            stored.extend_from_slice(frame.data);
        }
        let waiting = Waiting {
            header: *header,
            arrived: now,
            frames: stored.into_boxed_slice(),
        };
        self.put(number, waiting);
        true
    }

    /// The packet whose turn it is, if it waits.
    pub(crate) fn take_next(&mut self) -> Option<Waiting> {
        let entry = self.waiting.first_entry()?;
        if *entry.key() != self.expected {
            return None;
        }
        let waiting = entry.remove();
        self.bytes = self.bytes.saturating_sub(waiting.size());
        Some(waiting)
    }

    /// Whether the packet whose turn it is waits: its stream had no room for it.
    pub(crate) fn has_next(&self) -> bool {
        self.waiting
            .first_key_value()
            .is_some_and(|(number, _)| *number == self.expected)
    }

    /// Its stream had no room for what is left of it.
    pub(crate) fn put_back(&mut self, waiting: Waiting) {
        self.put(self.expected, waiting);
    }

    fn put(&mut self, number: u64, waiting: Waiting) {
        self.bytes = self.bytes.saturating_add(waiting.size());
        self.burnt.clear(number);
        self.waiting.insert(number, waiting);
    }

    /// A control packet other than a lone ACK carried this number: it may be one that no other packet has (UDX2 H6; Dart's
    /// ping takes one, and before 2.0.3 its window updates and resets did). UDX2 H5: it proves nothing else. `next` is our own next
    /// number. True if that of the packet whose turn it is was one.
    pub(crate) fn note_control(&mut self, number: u64, bearer: Bearer, next: u64) -> bool {
        if self.place(number) != Place::Next && self.place(number) != Place::Ahead {
            return false;
        }
        mark!(NumberPerhapsBurnt);
        self.burnt.note(number, bearer, next);
        self.pass_proven()
    }

    /// A lone ACK bears the number of the last packet with data, and was sent once our number `acked` had arrived. True if it proves that
    /// the number whose turn it is has no packet with data.
    pub(crate) fn note_last(&mut self, last: u64, acked: u64) -> bool {
        self.burnt.note_last(last, acked) && self.pass_proven()
    }

    fn pass_proven(&mut self) -> bool {
        let before = self.expected;
        self.pass_burnt();
        self.burnt.forget_below(self.expected);
        self.expected > before
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (number, first) = self.waiting.first_key_value()?;
        if *number == self.expected {
            return None;
        }
        Some(if self.may_guess() {
            first.arrived.max(self.filled).saturating_add(BURNT_AFTER)
        } else {
            first.arrived.saturating_add(LOST_AFTER)
        })
    }

    /// Gives up waiting, where it is time to. The packet after the hole says since when the hole is one.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Waited {
        if self.deadline().is_none_or(|at| at > now) {
            return Waited::Nothing;
        }
        if !self.may_guess() {
            return Waited::InVain;
        }
        // All of the hole is as old as its first number.
        mark!(NumberGuessed);
        self.pass_suspected();
        Waited::Skipped
    }

    /// Since when others have waited for a number that a control packet carried, and perhaps no data.
    pub(crate) fn suspected_since(&self) -> Option<Instant> {
        self.overtaken_since(self.expected)
            .filter(|_| self.burnt.is_suspected(self.expected))
    }

    /// When the next number that is here came, where it was not this one. This one was sent first before then.
    pub(crate) fn overtaken_since(&self, number: u64) -> Option<Instant> {
        let (next, waiting) = self.waiting.range(number..).next()?;
        (*next > number).then_some(waiting.arrived)
    }

    /// UDX2 H6: what is suspected and next is passed, as far as the first number that arrived or may be data.
    pub(crate) fn pass_suspected(&mut self) {
        let behind = self
            .waiting
            .first_key_value()
            .map_or(0, |(number, _)| *number);
        while self.expected < behind && self.burnt.is_suspected(self.expected) {
            self.burnt.believe(self.expected);
            self.pass();
            self.pass_burnt();
        }
        self.burnt.forget_below(self.expected);
    }

    fn may_guess(&self) -> bool {
        let holds_up = self.waiting.len() >= BURNT_BEHIND;
        self.may_guess && holds_up && self.burnt.is_suspected(self.expected)
    }

    /// Bytes held for packets that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Waiting {
    /// What is left of a packet of which the frames before took effect.
    pub(crate) fn rest(header: &Header, arrived: Instant, frames: &[u8]) -> Self {
        Waiting {
            header: *header,
            arrived,
            frames: frames.into(),
        }
    }

    pub(crate) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// The frames, and after each what is left from it on.
    pub(crate) fn frames(&self) -> Stored<'_> {
        Stored(&self.frames)
    }

    fn size(&self) -> usize {
        self.frames.len().saturating_add(ENTRY)
    }
}

/// Frames as they are stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored<'a>(&'a [u8]);

impl<'a> Stored<'a> {
    /// What was not yet taken.
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Stored<'a> {
    type Item = Ordered<'a>;

    fn next(&mut self) -> Option<Ordered<'a>> {
        let (&[flags, high, low], rest) = self.0.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        self.0 = rest;
        Some(Ordered {
            fin: flags & FIN != 0,
            syn: flags & SYN != 0,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ConnectionId;

    fn header() -> Header {
        Header {
            version: 2,
            destination: ConnectionId::EMPTY,
            source: ConnectionId::EMPTY,
            number: 0.into(),
            destination_stream: 2,
            source_stream: 1,
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn frame(data: &[u8]) -> Ordered<'_> {
        Ordered {
            fin: false,
            syn: false,
            data,
        }
    }

    fn keep(order: &mut Sequencer, ms: u64, number: u64, data: &[u8]) -> bool {
        order.keep(
            at(ms),
            number,
            &header(),
            [frame(data)].into_iter(),
            1 << 20,
        )
    }

    /// A ping bore the number.
    fn suspect(order: &mut Sequencer, number: u64) {
        assert!(!order.note_control(number, Bearer::Other, 0));
    }

    fn drain(order: &mut Sequencer) -> Vec<u8> {
        let mut data = Vec::new();
        while let Some(next) = order.take_next() {
            order.advance();
            next.frames()
                .for_each(|frame| data.extend_from_slice(frame.data));
        }
        data
    }

    /// What a number near the wrap is, everywhere: positions do not wrap.
    const FIRSTS: [u64; 3] = [0, (1 << 32) - 2, 1 << 40];

    #[test]
    fn packets_take_their_turn_by_number_from_the_first_on() {
        for first in FIRSTS {
            let mut order = Sequencer::new(first, false);
            assert_eq!(
                order.place(first + 1),
                Place::Ahead,
                "not the first one seen (UDX2 H9)"
            );
            for ahead in [3, 1, 2] {
                assert!(keep(&mut order, 0, first + ahead, &[ahead as u8]));
                assert!(order.take_next().is_none());
            }
            assert_eq!(order.place(first), Place::Next);
            assert_eq!(order.place(first + 2), Place::Old, "it waits");
            order.advance();
            assert_eq!(drain(&mut order), [1, 2, 3]);
            assert_eq!((order.expected(), order.bytes()), (first + 4, 0));
            assert_eq!(order.place(first + 1), Place::Old);
            assert_eq!(order.place(first + 4 + MOST_AHEAD + 1), Place::Beyond);
        }
    }

    #[test]
    fn all_frames_of_a_packet_wait_with_it() {
        let mut order = Sequencer::new(0, false);
        let frames = [
            Ordered {
                fin: false,
                syn: true,
                data: b"",
            },
            frame(b"data"),
            Ordered {
                fin: true,
                syn: false,
                data: b"end",
            },
        ];
        assert!(order.keep(at(0), 1, &header(), frames.into_iter(), 1 << 20));
        order.advance();
        let next = order.take_next().unwrap();
        assert_eq!(next.frames().collect::<Vec<_>>(), frames);
        // The first two found room, the last did not.
        let mut stored = next.frames();
        stored.by_ref().take(2).for_each(drop);
        order.put_back(Waiting::rest(
            &next.header,
            next.arrived(),
            stored.as_bytes(),
        ));
        assert!(order.has_next());
        let next = order.take_next().unwrap();
        assert_eq!(next.frames().collect::<Vec<_>>(), frames[2..]);
        assert_eq!(order.bytes(), 0);
    }

    // UDX2 H21
    #[test]
    fn what_waits_is_bounded_in_bytes_however_small_the_pieces() {
        let mut order = Sequencer::new(0, false);
        let room = 10_000;
        let kept = (1..60_000)
            .filter(|number| order.keep(at(0), *number, &header(), [frame(b"x")].into_iter(), room))
            .count();
        assert!((40..60).contains(&kept), "{kept}");
        assert!(order.bytes() <= room);
    }

    // UDX2 H6, U4
    #[test]
    fn a_number_that_only_a_ping_had_may_be_skipped_after_three_seconds() {
        let mut order = Sequencer::new(5, true);
        suspect(&mut order, 5);
        assert_eq!(order.deadline(), None, "nothing waits");
        assert!(keep(&mut order, 1000, 6, b"a"));
        assert_eq!(order.deadline(), Some(at(151_000)), "one is not enough");
        assert!(keep(&mut order, 1500, 7, b"b"));
        assert_eq!(order.deadline(), Some(at(4000)));
        assert_eq!(order.on_timeout(at(3999)), Waited::Nothing);
        assert_eq!(order.on_timeout(at(4000)), Waited::Skipped);
        assert_eq!(drain(&mut order), b"ab");
        assert_eq!(order.place(5), Place::GivenUp);
    }

    // UDX2 H6: Dart 2.0.1 burns a number with each window update.
    #[test]
    fn a_run_of_burnt_numbers_is_skipped_at_once_and_a_lost_one_behind_it_is_not() {
        let mut order = Sequencer::new(0, true);
        [0, 1, 2, 4]
            .into_iter()
            .for_each(|number| suspect(&mut order, number));
        assert!(keep(&mut order, 0, 5, b"a") && keep(&mut order, 0, 6, b"b"));
        assert_eq!(order.on_timeout(at(3000)), Waited::Skipped);
        assert_eq!(order.expected(), 3, "3 was on no control packet");
        assert_eq!(order.deadline(), Some(at(150_000)));
        assert_eq!(order.place(3), Place::Next);
        order.advance();
        assert_eq!(order.deadline(), Some(at(3000)));
        assert_eq!(order.on_timeout(at(4000)), Waited::Skipped);
        assert_eq!(drain(&mut order), b"ab");
    }

    // UDX2 H5, H6: a number on a probe may be lost data, and 3 s count from when it is the first that is missing.
    #[test]
    fn a_suspected_number_has_its_time_from_when_the_hole_before_it_is_filled() {
        let mut order = Sequencer::new(0, true);
        suspect(&mut order, 1);
        assert!(keep(&mut order, 0, 2, b"a") && keep(&mut order, 0, 3, b"b"));
        assert_eq!(order.deadline(), Some(at(150_000)), "0 is lost, not burnt");
        // 0 is sent again after 10 s, and 1 may follow at once.
        order.note_filled(at(10_000));
        order.advance();
        assert_eq!(order.deadline(), Some(at(13_000)));
        assert_eq!(order.on_timeout(at(12_999)), Waited::Nothing);
        assert_eq!(order.place(1), Place::Next);
        assert_eq!(order.on_timeout(at(13_000)), Waited::Skipped);
        assert_eq!(drain(&mut order), b"ab");
    }

    // UDX2 H5: the probe of a data packet has its number.
    #[test]
    fn data_that_come_under_a_suspected_number_clear_it() {
        let mut order = Sequencer::new(0, false);
        suspect(&mut order, 1);
        assert!(keep(&mut order, 0, 1, b"a"));
        assert!(keep(&mut order, 0, 2, b"b"));
        assert_eq!(order.deadline(), Some(at(150_000)), "0 is lost, not burnt");
        order.advance();
        assert_eq!(drain(&mut order), b"ab");
    }

    // UDX2 H5, H6: the tenth repetition of data may come after two minutes.
    #[test]
    fn a_suspicion_passes_nothing_where_a_wrong_byte_could_pass_unnoticed() {
        let mut order = Sequencer::new(0, false);
        suspect(&mut order, 0);
        assert!(keep(&mut order, 0, 1, b"b") && keep(&mut order, 0, 2, b"c"));
        assert_eq!(order.on_timeout(at(149_999)), Waited::Nothing);
        assert_eq!(order.place(0), Place::Next);
        assert_eq!(order.on_timeout(at(150_000)), Waited::InVain);
    }

    #[test]
    fn what_is_proven_is_passed_at_once_and_needs_nothing_behind_it() {
        let mut order = Sequencer::new(0, false);
        assert!(order.note_control(0, Bearer::SizeProbe, 0));
        assert_eq!((order.expected(), order.place(0)), (1, Place::GivenUp));
        // 2 and 3 have their turn when 1 had it.
        assert!(!order.note_control(3, Bearer::SizeProbe, 0));
        assert!(!order.note_control(2, Bearer::SizeProbe, 0));
        assert!(keep(&mut order, 0, 4, b"d"));
        assert_eq!(order.place(1), Place::Next);
        order.advance();
        assert_eq!(drain(&mut order), b"d");
        assert_eq!(order.deadline(), None);
    }

    #[test]
    fn data_win_over_a_proof() {
        let mut order = Sequencer::new(0, false);
        assert!(!order.note_control(1, Bearer::SizeProbe, 0));
        assert!(keep(&mut order, 0, 1, b"b"));
        order.advance();
        assert_eq!(drain(&mut order), b"b");
    }

    // UDX2 H17
    #[test]
    fn a_hole_that_is_never_filled_ends_in_an_error() {
        let mut order = Sequencer::new(0, false);
        assert!(keep(&mut order, 1000, 1, b"a"));
        assert_eq!(order.on_timeout(at(150_999)), Waited::Nothing);
        assert_eq!(order.on_timeout(at(151_000)), Waited::InVain);
    }
}
