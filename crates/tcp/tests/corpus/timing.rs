//! Timers, deadlines and time itself; and answers to answers.

use super::script::*;
use gapless_tcp::wire::{Header, Options};
use gapless_tcp::{Config, Instant, State};
use std::collections::VecDeque;
use std::time::Duration;

const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

/// An engine in this state; with `queued` octets that the peer's window of `window` lets go or not.
fn reach(state: State, queued: usize, window: u16) -> Script {
    match state {
        State::SynSent => return Script::dialing(plain(), 5, 6),
        State::SynReceived => return Script::dialed(plain(), 5, 6, window, Options::NONE),
        _ => {}
    }
    let may_wait = !matches!(state, State::FinWait2 | State::TimeWait);
    // A FIN takes a number of the window.
    let first = if may_wait { window } else { window.max(1) };
    let mut script = Script::established(plain(), first);
    let peer_closes = |script: &mut Script, ack| {
        script.send(FIN | ACK, 1, ack, window, b"");
        script.fetch();
    };
    if matches!(state, State::CloseWait | State::LastAck) {
        peer_closes(&mut script, 1);
    }
    if may_wait && queued > 0 {
        script.write(&vec![3; queued]);
    }
    if !matches!(state, State::Established | State::CloseWait) {
        script.engine.shutdown(script.now);
        script.fetch();
    }
    match state {
        State::FinWait2 => script.send(ACK, 1, 2, window, b""),
        State::Closing => peer_closes(&mut script, 1),
        State::TimeWait => peer_closes(&mut script, 2),
        _ => {}
    }
    assert_eq!(script.engine.state(), state);
    script
}

fn everywhere(mut act: impl FnMut(State, Script)) {
    for state in STATES {
        for queued in [0, 1, 3000, 40_000] {
            for window in [0, 1, 10, 60_000] {
                act(state, reach(state, queued, window));
            }
        }
    }
}

/// R8: with every timer due at once, what leaves at one instant is a window and a few at most.
#[test]
fn r8_egress_at_one_instant_is_bounded() {
    everywhere(|state, mut script| {
        for time in [ms(0), ms(1), ms(300), ms(3_600_000), ms(31_536_000_000)] {
            script.pass(time);
            script.engine.on_timeout(script.now);
            let sent = script.fetch().len();
            assert!(sent <= 30, "{sent} in {state:?} after {time:?}");
        }
    });
}

/// R9, B6, B10, B11: who serves a deadline is not asked again at the same instant (`fetch` and `wait` look), and a silent peer costs few.
#[test]
fn r9_deadlines_lie_ahead() {
    everywhere(|state, mut script| {
        script.fetch();
        let mut served = 0;
        while let Some(at) = script.engine.next_deadline(script.now) {
            assert!(at > script.now, "{state:?}");
            script.now = at;
            script.engine.on_timeout(at);
            // Twice changes nothing (P6).
            script.engine.on_timeout(at);
            script.fetch();
            served += 1;
            assert!(served < 300, "{state:?} never comes to rest");
        }
        let rests = matches!(
            script.engine.state(),
            State::Closed | State::Established | State::CloseWait | State::FinWait2
        );
        assert!(rests, "{state:?} became {:?}", script.engine.state());
    });
}

/// R10, G4: whatever happened before, what waits for a peer that says nothing any more is repeated, and then given up.
#[test]
fn r10_what_waits_is_given_up_in_the_end() {
    let config = Config {
        user_timeout: Some(ms(100_000)),
        receive_buffer: 3000,
        ..plain()
    };
    for seed in 0..400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |end: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % end
        };
        let mut script = Script::established(config.clone(), [0, 1, 100, 9000][below(4) as usize]);
        let (mut sent, mut acked) = (1_u32, 1_u32);
        for _ in 0..40 {
            match below(8) {
                0 => {
                    let _ = script.engine.write(&vec![1; below(2000) as usize]);
                }
                1 => drop(script.read(below(2000) as usize)),
                2 if below(6) == 0 => script.engine.shutdown(script.now),
                3 => drop(script.wait(ms(below(2000)))),
                4 => {
                    let length = below(600) as usize;
                    script.send(ACK, sent, acked, below(5000) as u16, &vec![2; length]);
                }
                5 => script.send(ACK, sent, acked, [0, 50, 9000][below(3) as usize], b""),
                6 if below(8) == 0 => script.send(FIN | ACK, sent, acked, 900, b""),
                _ => {
                    for segment in script.fetch() {
                        let end = segment.seq + segment.len() as u32;
                        acked = acked.max(end + u32::from(segment.flags.has(FIN)));
                        sent = sent.max(segment.ack);
                    }
                }
            }
        }
        script.fetch();
        script.wait(ms(4_000_000));
        let waits = script.engine.unacknowledged() > 0 || !script.engine.is_flushed();
        let is_over = script.engine.ended().is_some();
        assert!(
            !waits || is_over,
            "seed {seed}: {:?}",
            script.engine.state()
        );
    }
}

/// A10: everything can be printed at any time.
#[test]
fn a10_every_state_can_be_printed() {
    everywhere(|_, mut script| {
        assert!(format!("{:?}", script.engine).len() > 100);
        script.fetch();
        script.send(ACK, 1, 1, 0, b"abc");
        script.send(ACK, 5, 2, 9000, b"abc");
        assert!(format!("{:?}", script.engine).len() > 100);
    });
}

/// A12: round trips of any length are measured, and then nothing is repeated before its time.
#[test]
fn a12_round_trips_of_any_length() {
    for millis in [1, 50, 900, 1000, 1100, 10_000, 40_000] {
        let round_trip = ms(millis);
        let config = Config {
            connect_timeout: ms(1_000_000),
            ..plain()
        };
        let mut script = Script::dialing(config, 3, 4);
        script.fetch();
        script.wait(round_trip);
        script.send(SYN | ACK, 0, 1, 9000, b"");
        script.fetch();
        let mut repeated = Vec::new();
        for round in 0..12_u32 {
            script.write(&[1; 100]);
            assert_eq!(script.fetch_one().seq, 1 + 100 * round);
            repeated.push(script.wait(round_trip).len());
            script.send(ACK, 1, 101 + 100 * round, 9000, b"");
        }
        assert_eq!(repeated[8..], [0; 4], "{millis} ms: {repeated:?}");
    }
}

/// B12, M4: time that stands still, goes back, or jumps a year, and calls that come twice or not at all.
#[test]
fn b12_time_that_stands_still_or_jumps() {
    let config = Config {
        user_timeout: None,
        ..plain()
    };
    let mut script = Script::established(config, 9000);
    let begin = script.now;
    let times = [
        begin,
        Instant::ZERO,
        begin,
        begin + Duration::from_secs(365 * 24 * 3600),
        begin + ms(1),
        begin + Duration::from_secs(2 * 365 * 24 * 3600),
    ];
    for (round, time) in (0_u32..).zip(times) {
        script.now = time;
        script.write(b"abc");
        for _ in 0..3 {
            script.engine.on_timeout(time);
            script.engine.on_timeout(time);
        }
        let sent = script.fetch();
        assert!(
            sent.iter().any(|sent| sent.seq == 1 + 3 * round),
            "{sent:?}"
        );
        script.send(ACK, 1 + round, 4 + 3 * round, 9000, b"x");
        assert_eq!(script.engine.unacknowledged(), 0);
        assert_eq!(script.fetch_one().ack, 2 + round);
    }
    assert_eq!(script.read(10), b"xxxxxx");
}

/// C12, RFC 6298 5.3: in a steady flow each acknowledgment gives those behind it their whole time.
#[test]
fn c12_a_new_acknowledgment_restarts_the_timer() {
    let mut script = Script::established(plain(), 60_000);
    let mut answers: VecDeque<(u32, u32)> = VecDeque::new();
    let mut repeated = 0;
    let mut highest = 0;
    // A segment every 50 ms, each acknowledged 150 ms later: without the restart the timer of the first would fire, 200 ms after it.
    for step in 0..200_u32 {
        script.write(&[1; 100]);
        let mut sent = script.fetch();
        sent.extend(script.wait(ms(50)).into_iter().map(|(_, sent)| sent));
        for sent in sent {
            if sent.seq < highest && step > 40 {
                repeated += 1;
            }
            highest = highest.max(sent.seq + 100);
        }
        answers.push_back((step + 2, 101 + 100 * step));
        while let Some((_, ack)) = answers.pop_front_if(|(due, _)| *due <= step) {
            script.send(ACK, 1, ack, 60_000, b"");
        }
    }
    assert_eq!(repeated, 0);
}

/// C20, RFC 5681 section 2: what brings data, another window or a FIN is no duplicate.
#[test]
fn c20_window_updates_are_no_duplicates() {
    let mut script = Script::established(plain(), 10_000);
    script.write(&[1; 3000]);
    assert_eq!(script.fetch().len(), 6);
    for window in [10_001, 10_002, 10_003, 10_004, 10_005] {
        script.send(ACK, 1, 1, window, b"");
    }
    for at in 0..5_u32 {
        script.send(ACK, 1 + at, 1, 10_005, b"x");
    }
    let sent = script.fetch();
    assert!(sent.iter().all(|sent| sent.len() == 0), "{sent:?}");
}

/// C35: the congestion window is kept, which only packets can show: ten segments at first, two at most after a timeout.
#[test]
fn c35_the_congestion_window_holds_segments_back() {
    let mut script = Script::dialing(plain(), 3, 4);
    script.fetch();
    script.send_with(SYN | ACK, 0, 1, 60_000, b"", mss(1000));
    script.fetch();
    script.write(&[1; 60_000]);
    let sent = script.fetch();
    assert_eq!(sent.len(), 10);
    let later = script.wait(ms(400));
    assert!(later.len() <= 2, "{}", later.len());
}

/// RFC 6928 section 2: segments of the size that the peer takes, of both roles; of jumbo frames two.
#[test]
fn rfc6928_2_the_first_flight_counts_the_peers_segments() {
    for (path, size, segments) in [
        (1480, 1460, 10),
        (1480, 536, 10),
        (8980, 1460, 10),
        (8980, 4000, 3),
        (8980, 8960, 2),
    ] {
        let mut dialing = Script::dialing_on(plain(), 3, 4, path);
        dialing.fetch();
        dialing.send_with(SYN | ACK, 0, 1, 60_000, b"", mss(size));
        let syn = Header {
            window: 60_000,
            options: mss(size),
            ..header(SYN, 4, 0)
        };
        let mut dialed = Script::dialed_on(plain(), 3, 4, path, syn);
        dialed.fetch();
        dialed.send(ACK, 1, 1, 60_000, b"");
        for script in [&mut dialing, &mut dialed] {
            script.fetch();
            script.write(&[1; 60_000]);
            let sent = script.fetch();
            assert_eq!(sent.len(), segments, "{size} on {path}");
            assert!(sent.iter().all(|sent| sent.len() == usize::from(size)));
        }
    }
}

/// C36: a test that waits for a segment fails if there is none.
#[test]
#[should_panic(expected = "[]")]
fn c36_silence_is_no_success() {
    Script::established(plain(), 1000).fetch_one();
}

/// B4: two engines of which each believes the other to stand elsewhere come to rest: an answer a second and side at most.
#[test]
fn b4_a_desynchronised_pair_is_quiet() {
    const APART: u32 = 1 << 30;
    let mut one = Script::established_at(plain(), 1000, 1000, 5000, Options::NONE);
    let mut other =
        Script::established_at(plain(), 1000, 5000 + APART, 1000 + APART, Options::NONE);
    one.write(b"lost in space");
    other.write(b"so are we");
    let mut exchanged = 0;
    for _ in 0..1000 {
        let sent = [one.wait(ms(10)), other.wait(ms(10))];
        let [first, second] = sent.map(|sent| sent.into_iter().map(|(_, sent)| sent));
        let mut waiting: VecDeque<(bool, Sent)> = VecDeque::new();
        waiting.extend(
            one.fetch()
                .into_iter()
                .chain(first)
                .map(|sent| (true, sent)),
        );
        waiting.extend(
            other
                .fetch()
                .into_iter()
                .chain(second)
                .map(|sent| (false, sent)),
        );
        while let Some((by_one, sent)) = waiting.pop_front() {
            let (to, shift) = if by_one {
                (&mut other, 0_u32.wrapping_sub(APART))
            } else {
                (&mut one, APART)
            };
            let (seq, ack) = (sent.seq.wrapping_add(shift), sent.ack.wrapping_add(shift));
            to.send(sent.flags, seq, ack, 1000, &sent.payload);
            waiting.extend(to.fetch().into_iter().map(|answer| (!by_one, answer)));
            exchanged += 1;
            assert!(exchanged < 400, "a war");
        }
    }
    assert!(exchanged > 10, "{exchanged}");
}

/// G7: a box in the middle that answers every challenge with another wrong RST gets one a second, and each connection counts for itself
/// (CVE-2016-5696).
#[test]
fn g7_wrong_resets_are_not_answered_for_ever() {
    let mut scripts = [(); 2].map(|()| Script::established(plain(), 1000));
    for script in &mut scripts {
        let mut answers = 0;
        for _ in 0..300 {
            script.send(RST, 700, 1, 0, b"");
            answers += script.fetch().len() + script.wait(ms(10)).len();
        }
        assert_eq!(answers, 3);
    }
}

/// G13, A5: the same state from the other side: both dialed at once.
#[test]
fn g13_bad_acknowledgments_after_crossing_syns() {
    for start in STARTS {
        let mut script = Script::dialing(plain(), start, 9);
        script.fetch_one();
        script.send(SYN, 0, 0, 1000, b"");
        assert_eq!(script.fetch_one().flags, SYN | ACK);
        for ack in [u32::MAX, 0, 2, 1 << 31] {
            script.send(ACK, 1, ack, 1000, b"");
            assert_eq!(script.engine.state(), State::SynReceived, "ack {ack}");
            let sent = script.fetch_one();
            assert_eq!((sent.flags, sent.seq), (RST, ack));
        }
        script.send(ACK, 1, 1, 1000, b"");
        assert_eq!(script.engine.state(), State::Established);
    }
}

/// C27: who was restarted and dials anew meets the old connection, resets it, and gets through.
#[test]
fn c27_half_open_peers_are_reset() {
    let mut script = Script::dialing(plain(), 100, 7);
    script.fetch_one();
    for old in [5_000_000, u32::MAX - 90, 1 << 31] {
        script.send(ACK, 3_000_000, old, 1000, b"");
        let sent = script.fetch_one();
        assert_eq!((sent.flags, sent.seq), (RST, old));
    }
    script.send(SYN | ACK, 0, 1, 1000, b"");
    assert_eq!(script.engine.state(), State::Established);
}

/// W2: flushed means acknowledged, with the FIN if there is one.
#[test]
fn w2_flushed_means_acknowledged() {
    let mut script = Script::established(plain(), 1000);
    assert!(script.engine.is_flushed());
    script.write(b"abc");
    assert!(!script.engine.is_flushed());
    script.fetch_one();
    assert!(!script.engine.is_flushed());
    script.send(ACK, 1, 4, 1000, b"");
    assert!(script.engine.is_flushed());
    script.engine.shutdown(script.now);
    script.fetch_one();
    assert!(!script.engine.is_flushed());
    script.send(ACK, 1, 5, 1000, b"");
    assert!(script.engine.is_flushed());
}

/// Buffers that are filled and emptied keep their memory, and an idle connection has none.
#[test]
fn empty_buffers_give_their_memory_back_after_a_second() {
    let mut script = Script::established(plain(), 60_000);
    for round in 0..3_u32 {
        script.send(ACK, 1 + 3000 * round, 1 + 3000 * round, 60_000, &[1; 3000]);
        script.write(&[2; 3000]);
        script.fetch();
        assert_eq!(script.read(5000).len(), 3000);
        script.send(ACK, 3001 + 3000 * round, 3001 + 3000 * round, 60_000, b"");
        script.fetch();
        script.wait(ms(900));
        assert!(script.engine.memory() >= 8192, "{}", script.engine.memory());
    }
    script.wait(ms(1100));
    assert_eq!(script.engine.memory(), 0);
    assert_eq!(script.engine.next_deadline(script.now), None);
}
