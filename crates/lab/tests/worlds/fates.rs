//! A whole conversation of two engines over a link that decides the fate of each of its first datagrams: every combination of fates,
//! then calm. In every end state all bytes are delivered.

use crate::duo::{ACCEPTOR, DIALER, Duo, Ended, Flying, Setup};
use gapless_udx::{Instant, Version};
use gapless_worlds::{Choices, Found, fingerprint, report};
use std::collections::HashSet;
use std::time::Duration;

/// What can become of a datagram. First what a good network does.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    IsLost,
    ComesTwice,
    /// After so many others of its direction.
    Behind(usize),
}

const FATES: [Fate; 5] = [
    Fate::Arrives,
    Fate::IsLost,
    Fate::ComesTwice,
    Fate::Behind(1),
    Fate::Behind(2),
];

/// What waits for others that never come arrives this late.
const AT_LAST: Duration = Duration::from_millis(1500);

/// Nothing may take longer: the faults are over within the first datagrams, and no peer's patience is.
const PATIENCE: Duration = Duration::from_secs(25);

/// Times that something happens in one run; more is no end.
const MOST_ROUNDS: usize = 2_000;

/// Wire numbers wrap after two packets, windows after some bytes.
const NEAR_WRAP: (u64, u64) = ((1 << 32) - 2, (1 << 32) - 1500);

const SETUPS: [(Version, (u64, u64)); 5] = [
    (Version::V3, NEAR_WRAP),
    (Version::V2, ((1 << 32) - 2, 0)),
    (Version::V3, (0, 0)),
    (Version::V2, (0, 0)),
    (Version::V3, ((1 << 31) - 2, (1 << 31) - 1500)),
];

/// A conversation under way.
#[derive(Debug)]
struct Talk {
    duo: Duo,
    /// In the order of sending, with how many of their direction they let pass.
    flying: Vec<(Flying, usize)>,
    /// Datagrams whose fate is still to be decided.
    undecided: usize,
    /// The question, whose length makes three packets of it, and the answer.
    question: Vec<u8>,
    answer: Vec<u8>,
}

/// How a run went.
enum Run {
    Ended,
    /// It came into a state in which another one had been.
    Known,
}

impl Talk {
    fn new(setup: Setup, packets: usize) -> Self {
        let mut duo = Duo::new(setup);
        assert!(duo.open(DIALER));
        let bytes = |len: usize| (0..len).map(|at| (at * 7 + at / 256) as u8).collect();
        let (question, answer): (Vec<u8>, Vec<u8>) = (bytes(2600), bytes(1300));
        duo.hosts[DIALER].write(0, &question);
        duo.hosts[DIALER].finish(0);
        Self {
            duo,
            flying: Vec::new(),
            undecided: packets,
            question,
            answer,
        }
    }

    fn run(&mut self, choices: &mut Choices, seen: &mut HashSet<u128>) -> Result<Run, String> {
        let end = self.duo.now + PATIENCE;
        for _ in 0..MOST_ROUNDS {
            self.use_streams();
            let over = self.is_over();
            // Whoever touches a connection has it asked again, so this comes last before the time is looked at.
            for flying in self.duo.sent()? {
                if self.undecided == 0 {
                    self.flying.push((flying, 0));
                    continue;
                }
                if choices.is_new() && !seen.insert(fingerprint(&(&self, &flying))) {
                    return Ok(Run::Known);
                }
                self.undecided -= 1;
                self.decide(flying, FATES[choices.pick(FATES.len())]);
            }
            if over && self.flying.is_empty() {
                return self.compare().map(|()| Run::Ended);
            }
            let arrival = self.flying.iter().map(|(flying, _)| flying.at).min();
            let next = [arrival, self.duo.next_deadline()]
                .into_iter()
                .flatten()
                .min()
                .filter(|next| *next <= end);
            let Some(next) = next else {
                let streams = self.duo.hosts.each_ref().map(|host| &host.streams);
                return Err(format!("stuck: {streams:#?}"));
            };
            self.duo.pass(next);
            self.arrive();
            if !self.duo.is_alive() {
                return Err("a connection came to an end".into());
            }
        }
        Err("no end".into())
    }

    fn decide(&mut self, flying: Flying, fate: Fate) {
        match fate {
            Fate::Arrives => self.flying.push((flying, 0)),
            Fate::IsLost => {}
            Fate::ComesTwice => {
                self.flying.push((flying.clone(), 0));
                self.flying.push((flying, 0));
            }
            Fate::Behind(others) => {
                let at = flying.at + AT_LAST;
                self.flying.push((Flying { at, ..flying }, others));
            }
        }
    }

    /// What is due, in the order of sending; and behind each what waited for it.
    fn arrive(&mut self) {
        let now = self.duo.now;
        while let Some(place) = self.flying.iter().position(|(flying, _)| flying.at <= now) {
            let (flying, _) = self.flying.remove(place);
            self.duo.deliver(&flying);
            for (waiting, behind) in &mut self.flying[..place] {
                if waiting.to == flying.to && *behind > 0 {
                    *behind -= 1;
                    if *behind == 0 {
                        waiting.at = now;
                    }
                }
            }
        }
    }

    /// The acceptor answers when it has the whole question.
    fn use_streams(&mut self) {
        for side in [DIALER, ACCEPTOR] {
            if !self.duo.hosts[side].streams.is_empty() {
                self.duo.hosts[side].read(0);
            }
        }
        let acceptor = &mut self.duo.hosts[ACCEPTOR];
        let asked = acceptor
            .streams
            .first()
            .is_some_and(|stream| stream.ended.is_some() && !stream.finished);
        if asked {
            acceptor.write(0, &self.answer);
            acceptor.finish(0);
        }
    }

    fn is_over(&mut self) -> bool {
        self.duo.hosts.iter_mut().all(|host| {
            let ended = host.streams.first().is_some_and(|s| s.ended.is_some());
            ended && host.has_sent(0)
        })
    }

    fn compare(&self) -> Result<(), String> {
        let expected = [&self.answer, &self.question];
        for (host, expected) in self.duo.hosts.iter().zip(expected) {
            let [stream] = &host.streams[..] else {
                return Err(format!("{} streams", host.streams.len()));
            };
            if stream.ended != Some(Ended::End) || stream.read != *expected {
                return Err(format!(
                    "read {} bytes, {:?}",
                    stream.read.len(),
                    stream.ended
                ));
            }
        }
        Ok(())
    }
}

fn explore(
    (version, (first_number, first_position)): (Version, (u64, u64)),
    packets: usize,
) -> Found {
    let begin = std::time::Instant::now();
    let setup = Setup {
        version,
        first_number,
        first_position,
    };
    let mut choices = Choices::new();
    let mut seen = HashSet::new();
    let mut found = Found::default();
    while choices.begin() {
        let mut talk = Talk::new(setup, packets);
        found.steps += 1;
        let run = talk.run(&mut choices, &mut seen);
        found.longest = found.longest.max(choices.picked().count() as u64);
        if let Err(wrong) = run {
            let fates: Vec<Fate> = choices.picked().map(|fate| FATES[fate]).collect();
            panic!("{setup:?}: {wrong}\nafter {fates:?}");
        }
    }
    found.states = seen.len() as u64;
    let name = format!("connection {version:?} from {first_number}, fates of datagrams");
    report(&name, packets, found, begin.elapsed());
    found
}

#[test]
fn whatever_becomes_of_the_first_datagrams_all_is_delivered() {
    for setup in &SETUPS[..2] {
        explore(*setup, 5).at_least(480);
    }
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_whatever_becomes_of_the_first_datagrams_all_is_delivered() {
    for setup in SETUPS {
        explore(setup, 7).at_least(5_000);
    }
}

/// The search would not notice anything if nothing could go wrong.
#[test]
fn a_network_that_loses_all_is_found() {
    let setup = Setup {
        version: Version::V3,
        first_number: 0,
        first_position: 0,
    };
    let mut talk = Talk::new(setup, usize::MAX);
    let mut choices = Choices::new();
    assert!(choices.begin());
    let end = talk.duo.now + PATIENCE;
    let mut lost = 0;
    while talk.duo.now < end && talk.duo.is_alive() {
        lost += talk.duo.sent().expect("no rule is broken").len();
        let next = talk.duo.next_deadline().unwrap_or(Instant::MAX);
        talk.duo.pass(next);
    }
    assert!(lost > 3, "it is sent again and again");
    assert!(!talk.is_over());
}
