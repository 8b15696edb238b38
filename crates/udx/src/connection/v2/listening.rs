//! What a path that loses nothing says of a number that a control packet carried and no packet with data: that none will come (UDX2 H6).
//!
//! Where nothing proves such a number burnt (`burnt`), it may be that of data that were lost. Dart sends these again after its timeout, at
//! doubling pauses (UDX2 8): 1, 2, 4, 8 … timeouts after the first time, and never more than 30 s apart. So data that do not come while the path
//! loses nothing are no data. Whether it loses anything is found out by asking: as long as such a number holds up what arrived behind it,
//! the peer is asked one question after another ([`PATH_CHALLENGE`](crate::wire::Frame::PathChallenge), which every peer answers, D14). The number
//! is passed once each of them was answered the first time it was asked, for so long that several repetitions were due:
//!
//! - [`QUIET`], or [`QUIET_PTOS`], for four of them. Where each packet is lost with the chance `p`, the guess is wrong with that of five packets
//!   lost and some thirty in between that were not: 1 in 100 000 at the worst `p`, which is a seventh.
//! - [`QUIET_ROUGH`] where that count may be wrong. The pause after the `k`th repetition is `2^(k-1)` times a timeout that follows what Dart
//!   measures, lost packets among it, and may have become 5 s by now; then nothing is sure but that no pause is longer than 30 s. What makes
//!   timeouts long shows in data that come late or again, or in silence. It is over after [`ROUGH_NUMBERS`] packets without any of that, each of
//!   which Dart has measured.
//!
//! A question that had to be repeated, or went to another address, starts that time anew. Once the repetitions may be over, as Dart gives up after
//! ten, nothing is concluded any more ([`REPEATED_FOR`]): the number is missing (H17).
//!
//! This is no proof. What it lets pass wrongly ends the connection when the data come, as anything that was passed wrongly does. But
//! whoever was right about one WINDOW_UPDATE or RESET_STREAM is right about all of them, and who was wrong has nothing left to lose.

use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::mark;

use super::super::Connection;

/// UDX2 8: how long the path must have lost nothing. Dart's timeout is 200 to 300 ms on most paths: 0.3, 0.6, 1.2 and 2.4 s after the packet.
const QUIET: Duration = Duration::from_secs(3);

/// The same on a longer path, in probe timeouts of ours, which are made of the same times as Dart's: 1, 2, 4 and 8, and some.
const QUIET_PTOS: u32 = 15;

/// UDX2 8: the same where nothing is known of Dart's timeout: two of the longest pauses of 30 s, and a round trip or two.
const QUIET_ROUGH: Duration = Duration::from_secs(62);

/// How many questions that time is filled with.
const QUESTIONS: u32 = 16;

/// So many answers have to come in that time.
const ANSWERS: u32 = 12;

/// How long a path may take that became slower unnoticed: as long as a question waits at most before it is repeated.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// Dart's least timeout (UDX2 8): data that are late by so much were measured by it.
const LATE: Duration = Duration::from_millis(200);

/// After so many packets without anything late, Dart's timeout is what the path makes it (UDX2 8): each takes an eighth of what is too much in its
/// mean, and seven eighths to the power of 64 are less than a thousandth.
const ROUGH_NUMBERS: u64 = 64;

/// How long no datagram may come before that counts as a silence.
const SILENCE: Duration = Duration::from_secs(1);

/// UDX2 8: the last two of ten repetitions come 51 and 81 s after the packet if Dart's timeout is the least, so that a time of [`QUIET_ROUGH`]
/// which begins 38 s after it has them both.
const REPEATED_FOR: Duration = Duration::from_secs(100);

/// How the path has been, as far as it matters to a number that may be burnt.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// Since when every question was answered at once; `None` while nothing is asked.
    quiet_since: Option<Instant>,
    /// When the last question was due.
    asked: Instant,
    /// As long after that as the next one is.
    pause: Duration,
    /// Questions that were answered at once since then.
    answers: u32,
    /// How long a question waits at least for its answer before it is repeated.
    patience: Duration,
    /// Dart's timeout may be long while the number whose turn it is is below this one.
    rough_below: u64,
}

impl Listening {
    /// A datagram came from the peer after this time without any.
    pub(crate) fn note_heard(&mut self, silence: Duration, expected: u64) {
        // Whoever says nothing of its own speaks as often as it is asked.
        if silence > SILENCE.max(self.pause.saturating_mul(2)) {
            self.note_rough(expected);
        }
    }

    /// Data came so late that others had waited for them.
    pub(crate) fn note_late(&mut self, by: Duration, expected: u64) {
        if by >= LATE {
            self.note_rough(expected);
        }
    }

    /// Data came again.
    pub(crate) fn note_rough(&mut self, expected: u64) {
        self.rough_below = expected.saturating_add(ROUGH_NUMBERS);
    }

    /// For how long the path has to be quiet.
    fn quiet(&self, expected: u64, pto: Duration) -> Duration {
        let least = if expected < self.rough_below {
            QUIET_ROUGH
        } else {
            QUIET
        };
        least.max(pto.max(self.patience).saturating_mul(QUIET_PTOS))
    }

    /// When the next question is due.
    fn ask_at(&self) -> Option<Instant> {
        self.quiet_since?;
        Some(self.asked.saturating_add(self.pause))
    }

    /// A question is due. Counted from here also if another one is still out (R9).
    fn note_asked(&mut self, now: Instant, expected: u64, pto: Duration) {
        if self.quiet_since.is_none() {
            mark!(ListeningBegun);
            self.quiet_since = Some(now);
            self.answers = 0;
        }
        self.asked = now;
        let pause = self.quiet(expected, pto).checked_div(QUESTIONS);
        self.pause = pause.unwrap_or(LATE);
    }

    /// Nothing needs to be known.
    fn stop(&mut self) {
        self.quiet_since = None;
        self.pause = Duration::ZERO;
        self.patience = Duration::ZERO;
    }

    /// A question was answered, at once or not. True if the path has been quiet for long enough for data that were first sent by `since`.
    fn note_answer(
        &mut self,
        now: Instant,
        at_once: bool,
        (since, expected): (Instant, u64),
        pto: Duration,
    ) -> bool {
        let Some(quiet_since) = self.quiet_since else {
            return false;
        };
        if !at_once {
            mark!(ListeningAnew);
            self.quiet_since = Some(now);
            self.answers = 0;
            // It may have been repeated too early for a path that is slower than it was.
            let patience = self.patience.max(pto).saturating_mul(2);
            self.patience = patience.min(MOST_PATIENCE);
            return false;
        }
        self.answers = self.answers.saturating_add(1);
        let quiet = now.saturating_duration_since(quiet_since.max(since));
        let is_sure = quiet >= self.quiet(expected, pto) && self.answers >= ANSWERS;
        is_sure && !is_over(since, now)
    }
}

impl Connection {
    /// Asks, if something waits behind a number that may be burnt, and it is time. To be called after whatever may have changed that.
    pub(in super::super) fn listen(&mut self) {
        let (now, pto) = (self.clock.now, self.recovery.pto_base());
        let may_ask = self.may_ask() && self.path.is_validated();
        let Some(v2) = &mut self.v2 else { return };
        let expected = v2.order.expected();
        if !may_ask || v2.order.suspected_since().is_none_or(|at| is_over(at, now)) {
            return v2.listening.stop();
        }
        if v2.listening.ask_at().is_none_or(|at| at <= now) {
            v2.listening.note_asked(now, expected, pto);
            self.path.ask(now);
        }
    }

    /// How long a question is waited for before it is repeated.
    pub(in super::super) fn question_patience(&self) -> Duration {
        let patience = self.v2.as_ref().map(|v2| v2.listening.patience);
        patience.unwrap_or_default().max(self.recovery.pto())
    }

    /// When the next question is due.
    pub(in super::super) fn listening_deadline(&self) -> Option<Instant> {
        self.v2.as_ref()?.listening.ask_at()
    }

    /// UDX2 H6: a question was answered, at once or after it was repeated.
    pub(in super::super) fn on_listened(&mut self, at_once: bool) {
        let (now, pto) = (self.clock.now, self.recovery.pto_base());
        let Some(v2) = &mut self.v2 else { return };
        let Some(since) = v2.order.suspected_since() else {
            return;
        };
        let awaited = (since, v2.order.expected());
        if v2.listening.note_answer(now, at_once, awaited, pto) {
            mark!(NumberPassedInSilence);
            v2.order.pass_suspected();
            self.have_waiting_effect();
        }
    }

    /// What is known of the path is of another one.
    pub(in super::super) fn listen_anew(&mut self) {
        if let Some(v2) = &mut self.v2 {
            v2.listening.stop();
        }
    }
}

/// Whether what was first sent by then is not sent again any more.
fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= REPEATED_FOR
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const PTO: Duration = Duration::from_millis(150);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// Asks from `from` on for data of then, and is answered at once but for the questions in `lost`. When that is enough, in milliseconds.
    fn enough(listening: &mut Listening, from: u64, lost: &[usize]) -> Option<u64> {
        let mut now = at(from);
        for question in 0..1000 {
            listening.note_asked(now, 5, PTO);
            let answered = now.saturating_add(Duration::from_millis(40));
            let at_once = !lost.contains(&question);
            if listening.note_answer(answered, at_once, (at(from), 5), PTO) {
                let since = answered.saturating_duration_since(at(from));
                return u64::try_from(since.as_millis()).ok();
            }
            now = listening.ask_at().unwrap();
        }
        None
    }

    // UDX2 H6
    #[test]
    fn it_is_enough_once_four_repetitions_were_due() {
        let took = enough(&mut Listening::default(), 1000, &[]).unwrap();
        assert!((3000..3300).contains(&took), "{took}");
        let mut slow = Listening::default();
        slow.note_asked(at(0), 5, 4 * PTO);
        let mut until = |ms| slow.note_answer(at(ms), true, (at(0), 5), 4 * PTO);
        assert!((0..12).all(|_| !until(8990)) && until(9000));
    }

    #[test]
    fn a_question_that_was_repeated_starts_it_anew() {
        let took = enough(&mut Listening::default(), 0, &[9]).unwrap();
        // That it may have been repeated too early.
        assert!((6200..6800).contains(&took), "{took}");
        let some: Vec<usize> = (0..1000).step_by(12).collect();
        assert_eq!(enough(&mut Listening::default(), 0, &some), None);
    }

    #[test]
    fn it_takes_longer_where_the_peers_timeout_may_be_long() {
        let mut late = Listening::default();
        late.note_late(Duration::from_millis(199), 4);
        assert!(enough(&mut late, 0, &[]).unwrap() < 3300);
        late.note_late(Duration::from_millis(200), 4);
        let took = enough(&mut late, 0, &[]).unwrap();
        assert!((62_000..66_000).contains(&took), "{took}");
        // 64 packets later all is as it was.
        assert_eq!(late.quiet(67, PTO), QUIET_ROUGH);
        assert_eq!(late.quiet(68, PTO), QUIET);
    }

    #[test]
    fn and_after_a_silence() {
        for (silence, quiet) in [(1000, QUIET), (1001, QUIET_ROUGH)] {
            let mut listening = Listening::default();
            listening.note_heard(Duration::from_millis(silence), 5);
            assert_eq!(listening.quiet(5, PTO), quiet);
        }
        // Whoever is asked every four seconds and says nothing else is not silent.
        let mut listening = Listening::default();
        listening.note_rough(0);
        listening.note_asked(at(0), 5, PTO);
        listening.note_heard(Duration::from_secs(4), 50);
        assert_eq!(listening.quiet(64, PTO), QUIET);
        listening.stop();
        listening.note_heard(Duration::from_secs(4), 50);
        assert_eq!(listening.quiet(64, PTO), QUIET_ROUGH);
    }

    /// The answer takes longer than a question waits before it is repeated.
    #[test]
    fn on_a_path_that_became_slower_questions_wait_for_longer() {
        let mut listening = Listening::default();
        let mut waits = Vec::new();
        for _ in 0..6 {
            listening.note_asked(at(0), 5, PTO);
            assert!(!listening.note_answer(at(400), false, (at(0), 5), PTO));
            waits.push(listening.patience.as_millis());
        }
        assert_eq!(waits, [300, 600, 1200, 2000, 2000, 2000]);
        assert_eq!(listening.quiet(5, PTO), Duration::from_secs(30));
        listening.stop();
        assert_eq!(listening.quiet(5, PTO), QUIET);
    }

    // UDX2 H17
    #[test]
    fn what_is_not_repeated_any_more_is_missing_and_not_burnt() {
        assert!(enough(&mut Listening::default(), 0, &[]).is_some());
        for (since, is_in_time) in [(0, false), (1, true)] {
            let mut listening = Listening::default();
            listening.note_asked(at(90_000), 5, PTO);
            let mut until = |ms| listening.note_answer(at(ms), true, (at(since), 5), PTO);
            assert!((0..12).all(|_| !until(92_000)));
            assert_eq!(until(100_000), is_in_time);
        }
    }

    #[test]
    fn nothing_is_concluded_from_answers_while_nothing_was_asked() {
        let mut listening = Listening::default();
        let mut until = |ms| listening.note_answer(at(ms), true, (at(0), 5), PTO);
        assert!((0..20).all(|_| !until(9000)));
        listening.note_asked(at(9000), 5, PTO);
        listening.stop();
        assert_eq!(listening.ask_at(), None);
        let mut until = |ms| listening.note_answer(at(ms), true, (at(0), 5), PTO);
        assert!((0..20).all(|_| !until(20_000)));
    }
}
