//! Numbers of version 2 that no data will ever come under, and what proves it (UDX2 H6).
//!
//! Dart takes a number for its ping call, for a probe of the path's size and, in 2.0.1 and 2.0.2, for each WINDOW_UPDATE and RESET_STREAM, and
//! sends none of these again: whoever waits for such a number waits for ever. The same Dart, and its 2.0.0 with window updates, repeats on
//! control packets the number of its last data packet, which may be the one that was lost. The two look alike, and time does not tell
//! them apart: a packet may be lost as often as it is sent, and the tenth repetition comes two minutes after the first. Whoever takes data
//! that are late for a number that was burnt hands out a stream with a hole. So a number is passed on proof, or if the path was seen to
//! lose nothing while data would have come again (`listening`). This is a proof:
//!
//! - UDX2 3: an MTU_PROBE always has a fresh number, and nobody sends it again;
//! - UDX2 3, 4.2: Dart's ACK bears the number of the last packet that it registered to be sent again, and numbers are registered in
//!   their order as they are taken. An ACK that was sent after a control packet with `n` and bears less than `n` says that `n` was taken and not
//!   registered. It was sent after it if it acknowledges a packet of ours that was first sent once the control packet was here;
//! - H6: what one WINDOW_UPDATE or RESET_STREAM of a release does, all of them do: after one proof theirs are all proven.
//!
//! All of this presumes that a peer is what it does; one that lies harms its own streams only.

use alloc::collections::BTreeMap;

use gapless_seq::{RangeSet, mark};

/// Suspicions that are kept: as many as a Dart awaits answers for in a round trip, and some. 40 bytes each.
const MOST_SUSPECTS: usize = 16;

/// What bore a number without data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bearer {
    /// MTU_PROBE: nothing else has its number.
    SizeProbe,
    /// WINDOW_UPDATE or RESET_STREAM: a fresh number or the last one, according to the release.
    StreamControl,
    /// PING, which is either a call or a probe, and what nobody numbers.
    Other,
}

/// What is known of numbers that were seen on control packets.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(crate) struct Burnt {
    suspects: BTreeMap<u64, Suspect>,
    proven: RangeSet<16>,
    /// This peer takes a number for each WINDOW_UPDATE and RESET_STREAM.
    by_stream_control: bool,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
struct Suspect {
    bearer: Bearer,
    /// Our next number when it came: what has this one or a higher one was first sent later.
    next: u64,
}

impl Burnt {
    /// Whether no data will come under this number.
    pub(crate) fn is_proven(&self, number: u64) -> bool {
        self.proven.contains(number)
    }

    /// Whether it was seen on a control packet, and on nothing that says more of it.
    pub(crate) fn is_suspected(&self, number: u64) -> bool {
        self.suspects.contains_key(&number)
    }

    /// A number was seen on a control packet. `next` is our own next number.
    pub(crate) fn note(&mut self, number: u64, bearer: Bearer, next: u64) {
        let is_proven = bearer == Bearer::SizeProbe
            || (bearer == Bearer::StreamControl && self.by_stream_control);
        if is_proven {
            return self.prove(number);
        }
        // A packet that comes twice says when it was here first.
        self.suspects
            .entry(number)
            .or_insert(Suspect { bearer, next });
        if self.suspects.len() > MOST_SUSPECTS {
            // The lowest matter first.
            self.suspects.pop_last();
        }
    }

    /// A lone ACK came that bears `last`, and acknowledges our number `acked`. True if that proves something.
    pub(crate) fn note_last(&mut self, last: u64, acked: u64) -> bool {
        let after = last.saturating_add(1);
        let mut proved = false;
        while let Some((number, bearer)) = self
            .suspects
            .range(after..)
            .find(|(_, suspect)| suspect.next <= acked)
            .map(|(number, suspect)| (*number, suspect.bearer))
        {
            mark!(NumberProvenBurnt);
            proved = true;
            self.by_stream_control |= bearer == Bearer::StreamControl;
            self.prove(number);
        }
        if proved && self.by_stream_control {
            self.prove_all_stream_control();
        }
        proved
    }

    /// A suspicion is acted upon without a proof. UDX2 H6: if it is right, it is for all that look like it; if it is wrong, bytes are
    /// missing already, and there is nothing left to be right about.
    pub(crate) fn believe(&mut self, number: u64) {
        let suspect = self.suspects.get(&number);
        if suspect.is_some_and(|suspect| suspect.bearer == Bearer::StreamControl) {
            self.by_stream_control = true;
            self.prove_all_stream_control();
        }
    }

    /// Data came under it.
    pub(crate) fn clear(&mut self, number: u64) {
        self.suspects.remove(&number);
        let _ = self.proven.remove(number..number.saturating_add(1));
    }

    /// Their turn is over.
    pub(crate) fn forget_below(&mut self, number: u64) {
        if self
            .suspects
            .first_key_value()
            .is_some_and(|(first, _)| *first < number)
        {
            self.suspects = self.suspects.split_off(&number);
        }
        if !self.proven.is_empty() {
            self.proven.remove_below(number);
        }
    }

    fn prove(&mut self, number: u64) {
        self.suspects.remove(&number);
        let range = number..number.saturating_add(1);
        if self.proven.insert(range.clone()).is_err() {
            // The lowest matter first. What is forgotten is missing, and ends the connection (H17).
            self.proven.pop_last();
            let _ = self.proven.insert(range);
        }
    }

    fn prove_all_stream_control(&mut self) {
        while let Some(number) = self
            .suspects
            .iter()
            .find(|(_, suspect)| suspect.bearer == Bearer::StreamControl)
            .map(|(number, _)| *number)
        {
            self.prove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspected(numbers: &[(u64, Bearer)]) -> Burnt {
        let mut burnt = Burnt::default();
        for &(number, bearer) in numbers {
            burnt.note(number, bearer, 7);
        }
        burnt
    }

    // UDX2 3, 4.2
    #[test]
    fn an_ack_with_a_lower_number_proves_it_if_it_was_sent_later() {
        for bearer in [Bearer::Other, Bearer::StreamControl] {
            let mut burnt = suspected(&[(5, bearer)]);
            assert!(!burnt.note_last(4, 6), "it may have been sent before");
            assert!(!burnt.note_last(5, 7), "data have that number");
            assert!(!burnt.note_last(6, 7), "it may be either");
            assert!(!burnt.is_proven(5) && burnt.is_suspected(5));
            assert!(burnt.note_last(4, 7));
            assert!(burnt.is_proven(5) && !burnt.is_suspected(5));
            assert!(!burnt.note_last(4, 7), "nothing is left to prove");
        }
    }

    // UDX2 H6
    #[test]
    fn one_window_update_proves_all_and_a_ping_none() {
        use Bearer::{Other, StreamControl};
        let mut burnt = suspected(&[(3, StreamControl), (5, Other), (6, StreamControl)]);
        burnt.note(8, StreamControl, 20);
        assert!(burnt.note_last(5, 7), "6 only by its own");
        for (number, proven) in [(3, true), (5, false), (6, true), (8, true)] {
            assert_eq!(burnt.is_proven(number), proven, "{number}");
        }
        burnt.note(9, StreamControl, 30);
        burnt.note(10, Other, 30);
        assert!(burnt.is_proven(9) && !burnt.is_proven(10));
        let mut burnt = suspected(&[(3, Other), (4, StreamControl)]);
        assert!(burnt.note_last(3, 7) && burnt.is_proven(4));
        let mut burnt = suspected(&[(3, StreamControl), (4, Other)]);
        assert!(burnt.note_last(3, 7) && burnt.is_proven(4));
        assert!(!burnt.is_proven(3), "a ping says nothing of window updates");
    }

    #[test]
    fn a_packet_that_comes_twice_says_when_it_was_here_first() {
        let mut burnt = suspected(&[(5, Bearer::Other)]);
        burnt.note(5, Bearer::Other, 100);
        assert!(burnt.note_last(4, 7));
    }

    #[test]
    fn what_is_known_is_bounded_and_the_lowest_matter_first() {
        for bearer in [Bearer::Other, Bearer::SizeProbe] {
            let mut burnt = Burnt::default();
            (1..10_000)
                .rev()
                .step_by(2)
                .for_each(|number| burnt.note(number, bearer, 0));
            let known = |number| burnt.is_suspected(number) || burnt.is_proven(number);
            assert!(known(1) && !known(9_999));
            assert_eq!((1..10_000).filter(|number| known(*number)).count(), 16);
            burnt.forget_below(10_000);
            assert_eq!((burnt.suspects.len(), burnt.proven.len()), (0, 0));
        }
    }
}
