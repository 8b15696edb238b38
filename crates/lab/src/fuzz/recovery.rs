//! Loss recovery driven in any order, its books compared after each step.

use super::script::Script;
use gapless_recovery::{Algorithm, Bbr, Class, Config, Instant, Numbering, Recovery};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is sent, acknowledged and lost as the bytes say.
struct Run {
    recovery: Recovery<u32>,
    reuse: bool,
    now: Instant,
    next: u32,
    /// What is waited for.
    waits: BTreeSet<u32>,
    first: u64,
}

pub(super) fn recovery(data: &[u8]) {
    let mut script = Script(data);
    let mut run = Run::new(&mut script);
    while let Some(step) = script.byte() {
        run.step(step, &mut script);
        run.compare();
    }
    run.end();
}

impl Run {
    fn new(script: &mut Script<'_>) -> Self {
        let reuse = script.pick(2) == 1;
        let algorithms = [Algorithm::Cubic, Algorithm::NewReno, Algorithm::Bbr];
        let algorithm = algorithms[script.pick(algorithms.len())];
        let first = script.place().min(u64::MAX >> 1);
        let config = Config {
            numbering: if reuse {
                Numbering::Reuse
            } else {
                Numbering::Fresh
            },
            algorithm,
            first_number: first,
            max_records: 40,
            pacing: script.pick(2) == 1,
            ..Config::default()
        };
        let now = Instant::from_nanos(1_000_000_000);
        let recovery = match algorithm {
            Algorithm::Bbr => Recovery::with_controller(&config, now, Box::new(Bbr::new(&config))),
            _ => Recovery::new(&config, now),
        };
        Self {
            recovery,
            reuse,
            now,
            next: 0,
            waits: BTreeSet::new(),
            first,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let size = 100 + 11 * u32::from(script.byte().unwrap_or(0));
        match step % 12 {
            0..=2 => self.commit(size, script),
            3 => {
                let passed = 1_u64 << (script.byte().unwrap_or(0) % 34);
                self.now += Duration::from_nanos(passed);
            }
            4 | 5 => self.acknowledge(script),
            6 => {
                if let Some(at) = self.recovery.next_deadline() {
                    self.now = self.now.max(at);
                }
                self.recovery.on_timeout(self.now);
            }
            7 => {
                let lost = self.recovery.next_lost().map(|(id, _)| id);
                let probe = self.recovery.probe_candidate().map(|(id, _)| id);
                if let Some(id) = lost.or(probe) {
                    let _ = self.recovery.resend(self.now, id, size);
                }
            }
            8 => self.split(),
            9 => {
                let gone = script.pick(64) as u32;
                self.recovery.abandon(|what| *what == gone);
                if !self.reuse {
                    self.waits.remove(&gone);
                }
            }
            10 => {
                self.recovery.on_app_limited();
                let _ = self.recovery.poll_mtu_probe(self.now);
            }
            _ => match script.pick(8) {
                0 => self.recovery.on_path_change(self.now),
                1 => self.recovery.skip_number(),
                2 => self
                    .recovery
                    .on_rtt_sample(self.now, Duration::from_millis(size.into())),
                _ => while self.recovery.poll_event().is_some() {},
            },
        }
    }

    fn commit(&mut self, size: u32, script: &mut Script<'_>) {
        let span = 1 + script.pick(3) as u64;
        let sent = self
            .recovery
            .commit_span(self.now, Class::Reliable, size, span, self.next);
        if sent.is_ok() {
            self.waits.insert(self.next);
            self.next += 1;
        }
    }

    fn split(&mut self) {
        let Some((id, &what)) = self.recovery.next_lost() else {
            return;
        };
        let (head, tail) = (self.next, self.next + 1);
        let split = if self.reuse {
            self.recovery.split_span(id, 1, head, tail)
        } else {
            self.recovery.split(id, head, tail)
        };
        if split.is_ok() {
            self.next += 2;
            self.waits.remove(&what);
            self.waits.extend([head, tail]);
        }
    }

    /// Ranges below what was sent, and now and then a little above.
    fn acknowledge(&mut self, script: &mut Script<'_>) {
        let sent = self.recovery.next_number() - self.first;
        let mut ranges = Vec::new();
        let mut top = sent.saturating_sub(script.pick(8) as u64) + script.pick(40) as u64 / 39;
        for _ in 0..=script.pick(4) {
            let length = 1 + script.pick(9) as u64;
            let bottom = top.saturating_sub(length);
            if top > bottom {
                ranges.push(self.first + bottom..=self.first + top - 1);
            }
            top = bottom.saturating_sub(1 + script.pick(5) as u64);
        }
        let Some(largest) = ranges.first().map(|range| *range.end()) else {
            return;
        };
        let books = |recovery: &Recovery<u32>| {
            let flight = (recovery.bytes_in_flight(), recovery.unacknowledged());
            (
                flight,
                recovery.stats().packets_acked,
                recovery.rtt().samples(),
            )
        };
        let before = books(&self.recovery);
        let mut arrived = Vec::new();
        let delay = Duration::from_millis(script.pick(30) as u64);
        let answer = self
            .recovery
            .on_ack(self.now, largest, delay, ranges.into_iter(), |what| {
                arrived.push(what);
            });
        // R3
        let unsent = largest >= self.first + sent;
        assert_eq!(answer.is_err(), unsent, "{answer:?} to {largest}");
        if unsent {
            assert!(arrived.is_empty());
            assert_eq!(books(&self.recovery), before);
        }
        for what in arrived {
            assert!(self.waits.remove(&what), "{what} arrived out of nothing");
        }
    }

    fn compare(&self) {
        self.recovery.check().expect("the books agree");
        let held: BTreeSet<u32> = self.recovery.records().map(|(_, what)| *what).collect();
        assert_eq!(held, self.waits, "what is waited for (P1)");
        let waiting = self.recovery.has_unacknowledged() || self.recovery.bytes_in_flight() > 0;
        if waiting && self.recovery.next_lost().is_none() && !self.recovery.owes_probe() {
            assert!(self.recovery.next_deadline().is_some(), "no timer (R10)");
        }
    }

    /// Sent again and acknowledged, nothing is left.
    fn end(mut self) {
        for _ in 0..4 {
            self.now += Duration::from_secs(60);
            self.recovery.on_timeout(self.now);
            while let Some((id, _)) = self.recovery.next_lost() {
                if self.recovery.resend(self.now, id, 100).is_err() {
                    break;
                }
            }
            let next = self.recovery.next_number();
            if next > self.first {
                let all = std::iter::once(self.first..=next - 1);
                let waits = &mut self.waits;
                let answer =
                    self.recovery
                        .on_ack(self.now, next - 1, Duration::ZERO, all, |what| {
                            waits.remove(&what);
                        });
                assert!(answer.is_ok(), "{answer:?}");
            }
            self.compare();
        }
        assert!(self.waits.is_empty(), "{:?} never arrived", self.waits);
        assert_eq!(self.recovery.bytes_in_flight(), 0);
    }
}
