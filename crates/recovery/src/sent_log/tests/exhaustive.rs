//! The sent log against a list of what happened, in every order of sending, loss, acknowledgement and repetition.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use gapless_worlds::{Found, World, expect, hashed, search};

use super::super::{CommitError, Lost, NeverSent, ResendError, SentLog};
use crate::config::{Class, Config, Numbering};
use crate::rate::Snapshot;
use crate::time::Instant;

/// Where numbers start: zero, where 16, 31 and 32 bits wrap, and where 64 bits end.
const STARTS: [u64; 5] = [0, (1 << 16) - 3, (1 << 31) - 3, (1 << 32) - 3, u64::MAX - 4];

/// In the smaller worlds of every test run: zero and the wrap of the wire's numbers.
const FEW_STARTS: [u64; 2] = [0, (1 << 32) - 3];

/// Which episode of congestion losses belong to: not the log's business.
const EPISODE: u32 = 7;

/// A log and a list of what went through it.
#[derive(Clone, Debug, Hash)]
struct LogWorld {
    log: SentLog<u8>,
    bounds: Bounds,
    /// By what they carry.
    records: Vec<Record>,
    /// In the order of sending.
    sent: Vec<Sent>,
    /// Records to be sent again.
    queue: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Bounds {
    numbering: Numbering,
    first: u64,
    transmissions: usize,
    records: usize,
    /// Rare things happen as well: what is never repeated, numbers for nothing, records that are split or given up, transmissions that
    /// are forgotten.
    rare: bool,
}

#[derive(Clone, Debug, Hash)]
struct Record {
    class: Class,
    /// Its first number, counted from the first of all, and how many it has.
    start: u64,
    span: u64,
    /// It waits for an acknowledgement.
    waits: bool,
    /// Its newest transmission and the one before, as places in the list.
    latest: Option<usize>,
    previous: Option<usize>,
}

#[derive(Clone, Debug, Hash)]
struct Sent {
    what: u8,
    state: State,
    remembered: bool,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq)]
enum State {
    Flies,
    Lost,
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// A new record with so many numbers.
    Commit(u64),
    CommitOnce,
    Skip,
    /// These numbers are acknowledged, early or late, for the first time or again.
    Acknowledge(u64, u64),
    /// A number that was never sent is.
    AcknowledgeUnsent,
    LoseOldest,
    Resend,
    /// The oldest record is sent again although it was not lost.
    Probe,
    Split,
    Abandon(u8),
    Trim,
}

/// What an acknowledgement showed: the transmission, whether it had been lost, what arrived by it.
type Shown = (Option<usize>, bool, Option<u8>);

impl LogWorld {
    fn new(bounds: Bounds) -> Self {
        let config = Config {
            numbering: bounds.numbering,
            first_number: bounds.first,
            last_number: u64::MAX,
            max_records: 64,
            ..Config::default()
        };
        Self {
            log: SentLog::new(&config),
            bounds,
            records: Vec::new(),
            sent: Vec::new(),
            queue: Vec::new(),
        }
    }

    fn is_fresh(&self) -> bool {
        self.bounds.numbering == Numbering::Fresh
    }

    /// Numbers minted.
    fn minted(&self) -> u64 {
        if self.is_fresh() {
            self.sent.len() as u64
        } else {
            let ends = self.records.iter().map(|record| record.start + record.span);
            ends.max().unwrap_or(0)
        }
    }

    /// Whether so many more numbers exist: `u64::MAX` is none.
    fn has_numbers(&self, span: u64) -> bool {
        let after = u128::from(self.bounds.first) + u128::from(self.minted()) + u128::from(span);
        after <= u128::from(u64::MAX)
    }

    fn push_sent(&mut self, what: u8) {
        let place = self.sent.len();
        self.sent.push(Sent {
            what,
            state: State::Flies,
            remembered: true,
        });
        let record = &mut self.records[usize::from(what)];
        record.previous = record.latest;
        record.latest = Some(place);
    }

    fn commit(&mut self, span: u64, class: Class) -> Result<(), String> {
        let before = format!("{:?}", self.log);
        let what = self.records.len() as u8;
        let start = self.minted();
        let committed = self.log.commit(
            span,
            class,
            size(self.sent.len()),
            Instant::ZERO,
            snapshot(),
            what,
        );
        if !self.has_numbers(span) {
            expect(
                committed.err(),
                Some(CommitError::NumbersExhausted),
                "commit",
            )?;
            return expect(format!("{:?}", self.log), before, "after an error");
        }
        let number = committed.map_err(|error| format!("commit: {error:?}"))?;
        expect(number.number, self.bounds.first + start, "minted")?;
        self.records.push(Record {
            class,
            start,
            span,
            waits: true,
            latest: None,
            previous: None,
        });
        self.push_sent(what);
        Ok(())
    }

    fn skip(&mut self) {
        let possible = self.has_numbers(1) && self.is_fresh();
        self.log.skip_number();
        if possible {
            self.sent.push(Sent {
                what: NOTHING,
                state: State::Over,
                remembered: true,
            });
        }
    }

    fn acknowledge(&mut self, first: u64, last: u64) -> Result<(), String> {
        let expected = if self.is_fresh() {
            self.expect_fresh(first, last)
        } else {
            self.expect_reused(first, last)
        };
        let base = self.bounds.first;
        let origin = if self.is_fresh() { base } else { 0 };
        let mut shown: Vec<Shown> = Vec::new();
        let range = base + first..=base + last;
        let answer =
            self.log
                .acknowledge(base + last, core::iter::once(range), |delivered, what| {
                    let forgotten = delivered.transmission.record == super::super::RecordId::NONE;
                    let place = (!forgotten).then(|| (delivered.order - origin) as usize);
                    shown.push((place, delivered.was_lost.is_some(), what));
                });
        expect(answer, Ok(()), "acknowledgement")?;
        expect(shown, expected, "what was acknowledged")
    }

    fn expect_fresh(&mut self, first: u64, last: u64) -> Vec<Shown> {
        let mut expected = Vec::new();
        for place in first as usize..=last as usize {
            let sent = &mut self.sent[place];
            if sent.state == State::Over || !sent.remembered {
                continue;
            }
            let was_lost = sent.state == State::Lost;
            sent.state = State::Over;
            let what = sent.what;
            let arrived = self.arrive(what);
            expected.push((Some(place), was_lost, arrived.then_some(what)));
        }
        expected
    }

    fn expect_reused(&mut self, first: u64, last: u64) -> Vec<Shown> {
        let mut expected = Vec::new();
        let mut covered: Vec<usize> = (0..self.records.len())
            .filter(|what| {
                let record = &self.records[*what];
                record.waits && first <= record.start && record.start + record.span <= last + 1
            })
            .collect();
        covered.sort_by_key(|what| self.records[*what].start);
        for what in covered {
            let Record {
                latest, previous, ..
            } = self.records[what];
            self.arrive(what as u8);
            if let Some(previous) = previous
                && self.sent[previous].state == State::Lost
            {
                self.sent[previous].state = State::Over;
            }
            let place = latest.filter(|place| {
                let sent = &self.sent[*place];
                sent.remembered && sent.state != State::Over
            });
            let was_lost = place.is_some_and(|place| self.sent[place].state == State::Lost);
            if let Some(place) = place {
                self.sent[place].state = State::Over;
            }
            expected.push((place, was_lost, Some(what as u8)));
        }
        expected
    }

    /// Whether the record was waited for.
    fn arrive(&mut self, what: u8) -> bool {
        self.queue.retain(|queued| *queued != what);
        let record = self.records.get_mut(usize::from(what));
        record.is_some_and(|record| core::mem::replace(&mut record.waits, false))
    }

    fn acknowledge_unsent(&mut self) -> Result<(), String> {
        let before = format!("{:?}", self.log);
        let unsent = self.bounds.first.saturating_add(self.minted());
        let named = core::iter::once(self.bounds.first..=unsent);
        let answer = self.log.acknowledge(unsent, named, |_, _| ());
        expect(answer, Err(NeverSent), "an acknowledgement of the unsent")?;
        expect(format!("{:?}", self.log), before, "after an error")
    }

    fn lose_oldest(&mut self) -> Result<(), String> {
        let mut lost = None;
        let end = self.log.next_order();
        self.log.lose_while(end, |candidate: Lost<'_>| {
            if lost.is_some() {
                return None;
            }
            lost = Some(candidate.transmission.bytes);
            Some(EPISODE)
        });
        let oldest = self.sent.iter().position(|sent| sent.state == State::Flies);
        expect(lost, oldest.map(size), "the oldest in flight")?;
        let Some(place) = oldest else { return Ok(()) };
        self.sent[place].state = State::Lost;
        let what = self.sent[place].what;
        let record = &mut self.records[usize::from(what)];
        if !record.waits || record.latest != Some(place) {
            return Ok(());
        }
        if record.class == Class::Reliable {
            self.queue.push(what);
        } else {
            record.waits = false;
        }
        Ok(())
    }

    fn resend(&mut self, probe: bool) -> Result<(), String> {
        let candidate = if probe {
            self.log.probe_candidate(u64::MAX)
        } else {
            self.log.next_lost()
        };
        let Some((id, &what)) = candidate else {
            let waiting = self
                .records
                .iter()
                .any(|record| record.waits && record.class == Class::Reliable);
            return expect(probe && waiting, false, "a record without a probe");
        };
        if !probe {
            expect(Some(&what), self.queue.first(), "the first to repeat")?;
        }
        let possible = !self.is_fresh() || self.has_numbers(1);
        let answer = self
            .log
            .resend(id, size(self.sent.len()), Instant::ZERO, snapshot());
        if !possible {
            return expect(answer, Err(ResendError::NumbersExhausted), "resend");
        }
        let number = answer.map_err(|error| format!("resend: {error:?}"))?;
        let record = &self.records[usize::from(what)];
        expect(record.waits, true, "only what is waited for is repeated")?;
        let expected = if self.is_fresh() {
            self.sent.len() as u64
        } else {
            record.start
        };
        expect(number, self.bounds.first + expected, "the number again")?;
        // RFC 8985 6.1: under one number, the last transmission stands for all.
        if !self.is_fresh()
            && let Some(latest) = record.latest
            && self.sent[latest].state == State::Flies
        {
            self.sent[latest].state = State::Over;
        }
        self.queue.retain(|queued| *queued != what);
        self.push_sent(what);
        Ok(())
    }

    fn split(&mut self) -> Result<(), String> {
        let Some((id, &what)) = self.log.next_lost() else {
            return Ok(());
        };
        let (head, tail) = (self.records.len() as u8, self.records.len() as u8 + 1);
        let record = self.records[usize::from(what)].clone();
        let possible = self.is_fresh() || record.span == 2;
        let answer = self.log.split(id, 1, head, tail);
        expect(answer.is_ok(), possible, "split")?;
        if !possible {
            return Ok(());
        }
        self.arrive(what);
        for start in [record.start, record.start + 1] {
            self.records.push(Record {
                start,
                span: 1,
                waits: true,
                latest: None,
                previous: None,
                class: Class::Reliable,
            });
        }
        self.queue.splice(0..0, [head, tail]);
        Ok(())
    }

    fn abandon(&mut self, what: u8) {
        self.log.abandon(|carried| *carried == what);
        if self.is_fresh() {
            self.arrive(what);
        }
    }

    fn trim(&mut self) {
        self.log.trim(Instant::MAX);
        for sent in &mut self.sent {
            if sent.state == State::Flies {
                break;
            }
            sent.remembered = false;
        }
    }

    fn compare(&self) -> Result<(), String> {
        self.log.check().map_err(|broken| format!("{broken:?}"))?;
        let flies = |sent: &&(usize, &Sent)| sent.1.state == State::Flies;
        let places: Vec<(usize, &Sent)> = self.sent.iter().enumerate().collect();
        let bytes: u64 = places
            .iter()
            .filter(flies)
            .map(|(place, _)| u64::from(size(*place)))
            .sum();
        let packets = places.iter().filter(flies).count() as u64;
        let flight = (self.log.bytes_in_flight(), self.log.packets_in_flight());
        expect(flight, (bytes, packets), "in flight")?;
        let waits: Vec<u8> = (0..)
            .zip(&self.records)
            .filter(|(_, record)| record.waits)
            .map(|(what, _)| what)
            .collect();
        let mut held: Vec<u8> = self.log.iter().map(|(_, what)| *what).collect();
        held.sort_unstable();
        expect(held, waits.clone(), "what is waited for")?;
        let reliable = waits
            .iter()
            .filter(|what| self.records[usize::from(**what)].class == Class::Reliable);
        expect(self.log.unacknowledged(), reliable.count(), "records")?;
        expect(self.log.queued(), self.queue.len(), "queued")?;
        let first = self.log.next_lost().map(|(_, what)| *what);
        expect(first, self.queue.first().copied(), "first queued")?;
        let next = self.bounds.first + self.minted();
        expect(self.log.next_number(), next, "the next number")
    }
}

impl World for LogWorld {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let Bounds {
            transmissions,
            records,
            rare,
            ..
        } = self.bounds;
        let mut actions = Vec::new();
        let minted = self.minted();
        for first in 0..minted {
            actions.extend((first..minted).map(|last| Action::Acknowledge(first, last)));
        }
        actions.extend([Action::AcknowledgeUnsent, Action::LoseOldest]);
        if self.sent.len() < transmissions {
            actions.extend([Action::Resend, Action::Probe]);
            if self.records.len() < records {
                actions.push(Action::Commit(1));
                if !self.is_fresh() {
                    actions.push(Action::Commit(2));
                }
            }
        }
        if rare {
            actions.push(Action::Trim);
            if self.sent.len() < transmissions && self.is_fresh() {
                actions.push(Action::Skip);
                if self.records.len() < records {
                    actions.push(Action::CommitOnce);
                }
            }
            if self.records.len() + 1 < records {
                actions.push(Action::Split);
            }
            actions.extend((0..self.records.len() as u8).map(Action::Abandon));
        }
        actions
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Commit(span) => self.commit(span, Class::Reliable)?,
            Action::CommitOnce => self.commit(1, Class::Once)?,
            Action::Skip => self.skip(),
            Action::Acknowledge(first, last) => self.acknowledge(first, last)?,
            Action::AcknowledgeUnsent => self.acknowledge_unsent()?,
            Action::LoseOldest => self.lose_oldest()?,
            Action::Resend => self.resend(false)?,
            Action::Probe => self.resend(true)?,
            Action::Split => self.split()?,
            Action::Abandon(what) => self.abandon(what),
            Action::Trim => self.trim(),
        }
        // It counts for ever, and nothing depends on it.
        self.log.work = 0;
        self.compare()
    }

    fn fingerprint(&self) -> u128 {
        hashed(self)
    }

    /// P1: whatever happened, losing what flies and repeating what is lost brings every record to its acknowledgement.
    fn calm(&self) -> Result<(), String> {
        // Near the end of the numbers there may be none left to repeat under.
        if self.bounds.first > u64::MAX >> 1 {
            return Ok(());
        }
        let mut log = self.log.clone();
        let mut arrived: Vec<u8> = Vec::new();
        log.lose_while(log.next_order(), |_| Some(EPISODE));
        while let Some((id, _)) = log.next_lost() {
            log.resend(id, 1, Instant::ZERO, snapshot())
                .map_err(|error| format!("in the calm: {error:?}"))?;
        }
        let Some(last) = log.next_number().checked_sub(1) else {
            return Ok(());
        };
        if last >= self.bounds.first {
            let all = core::iter::once(self.bounds.first..=last);
            log.acknowledge(last, all, |_, what| arrived.extend(what))
                .map_err(|error| format!("in the calm: {error:?}"))?;
        }
        let left: Vec<String> = log.iter().map(|(_, what)| what.to_string()).collect();
        expect(left, Vec::new(), "never acknowledged")?;
        expect(
            (log.bytes_in_flight(), log.packets_in_flight()),
            (0, 0),
            "never landed",
        )
    }
}

/// What a number for nothing carries.
const NOTHING: u8 = u8::MAX;

/// No two sets of transmissions have the same size.
fn size(place: usize) -> u32 {
    1 << place
}

fn snapshot() -> Snapshot {
    Snapshot {
        delivered: 0,
        delivered_at: Instant::ZERO,
        first_sent_at: Instant::ZERO,
        lost: 0,
        in_flight: 0,
        app_limited: false,
    }
}

fn explore(
    numbering: Numbering,
    starts: &[u64],
    transmissions: usize,
    records: usize,
    rare: bool,
) -> Found {
    let kind = if rare {
        "all that is rare"
    } else {
        "repetition"
    };
    let name = format!("sent log, {numbering:?}, {kind}");
    let starts: Vec<LogWorld> = starts
        .iter()
        .map(|first| {
            LogWorld::new(Bounds {
                numbering,
                first: *first,
                transmissions,
                records,
                rare,
            })
        })
        .collect();
    search(&name, transmissions, starts)
}

#[test]
fn a_number_for_each_transmission() {
    explore(Numbering::Fresh, &FEW_STARTS, 4, 3, false).at_least(9_000);
    explore(Numbering::Fresh, &FEW_STARTS, 3, 3, true).at_least(50_000);
}

#[test]
fn a_number_for_each_record() {
    explore(Numbering::Reuse, &FEW_STARTS, 4, 3, false).at_least(20_000);
    explore(Numbering::Reuse, &FEW_STARTS, 3, 4, true).at_least(34_000);
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_a_number_for_each_transmission() {
    explore(Numbering::Fresh, &STARTS, 5, 3, false).at_least(200_000);
    explore(Numbering::Fresh, &FEW_STARTS[1..], 6, 3, false).at_least(100_000);
    explore(Numbering::Fresh, &FEW_STARTS[1..], 4, 3, true).at_least(26_000);
}

#[test]
#[ignore = "larger: cargo xtask worlds"]
fn full_a_number_for_each_record() {
    explore(Numbering::Reuse, &STARTS, 5, 3, false).at_least(200_000);
    explore(Numbering::Reuse, &FEW_STARTS, 6, 3, false).at_least(380_000);
    explore(Numbering::Reuse, &FEW_STARTS[1..], 4, 4, true).at_least(17_000);
}

// The bounds above are small; this keeps the helpers honest about what they say.
#[test]
fn sizes_tell_transmissions_apart() {
    let all: Vec<u32> = (0..8).map(size).collect();
    assert_eq!(all, vec![1, 2, 4, 8, 16, 32, 64, 128]);
}
