//! One run of the grid, and what it gave as numbers that a journal can hold.

use std::fmt;

use anyhow::{Context, Result, ensure};

use crate::cell::{self, Bulk, SAMPLES, Short};
use crate::engine::{Kind, Time};
use crate::path::{Path, SECOND};
use crate::world::Waits;

/// What is measured.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) enum Measure {
    /// One transfer that never ends, for a time.
    Bulk { kind: Kind, time: Time },
    /// One transfer of so many bytes, to a peer that was met before or not.
    Short { kind: Kind, bytes: u64, known: bool },
    /// Several transfers at once.
    Compete { kinds: Vec<Kind>, time: Time },
}

/// What is measured, where, and with which chances.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) struct Job {
    pub(crate) measure: Measure,
    pub(crate) path: Path,
    pub(crate) seed: u64,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Bulk(Bulk),
    Short(Short),
    /// Bytes of each transfer in each part of the time.
    Compete(Vec<[u64; SAMPLES as usize]>),
}

impl Job {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let Job { path, seed, .. } = self;
        let outcome = match &self.measure {
            Measure::Bulk { kind, time } => {
                cell::bulk(*kind, path, *time, *seed).map(Outcome::Bulk)
            }
            Measure::Short { kind, bytes, known } => {
                cell::short(*kind, path, *known, *bytes, *seed).map(Outcome::Short)
            }
            Measure::Compete { kinds, time } => {
                cell::compete(kinds, path, *time, *seed).map(Outcome::Compete)
            }
        };
        outcome.with_context(|| self.to_string())
    }

    /// Whether our code has a part in it.
    pub(crate) fn has_ours(&self) -> bool {
        match &self.measure {
            Measure::Bulk { kind, .. } | Measure::Short { kind, .. } => kind.is_ours(),
            Measure::Compete { kinds, .. } => kinds.iter().any(|kind| kind.is_ours()),
        }
    }

    /// About how many packets it moves, for telling how much is left.
    pub(crate) fn cost(&self) -> f64 {
        let packets = self.path.capacity() as f64 / 1500.0;
        match &self.measure {
            Measure::Bulk { kind, time } => {
                let share = self.path.theory(*kind).unwrap_or(100.0) / 100.0;
                share * packets * (*time as f64 / SECOND as f64) + 100.0
            }
            Measure::Short { bytes, .. } => *bytes as f64 / 1500.0 + 100.0,
            Measure::Compete { time, .. } => packets * (*time as f64 / SECOND as f64),
        }
    }
}

/// One line, the same for the same job and another for any other: what a journal finds it by.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.measure {
            Measure::Bulk { kind, time } => write!(f, "bulk {kind:?} {time}")?,
            Measure::Short { kind, bytes, known } => {
                let known = if *known { " known" } else { "" };
                write!(f, "short {kind:?} {bytes}{known}")?;
            }
            Measure::Compete { kinds, time } => write!(f, "compete {kinds:?} {time}")?,
        }
        write!(f, " at {}, seed {}", self.path.describe(), self.seed)
    }
}

impl Outcome {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        match self {
            Outcome::Bulk(bulk) => vec![
                bulk.delivered,
                bulk.delivered_late,
                bulk.time,
                bulk.waits.mean,
                bulk.waits.most_of_all,
                bulk.waits.longest,
                bulk.packets,
                bulk.overflow,
                u64::from(bulk.over),
            ],
            Outcome::Short(short) => vec![short.whole, short.opening],
            Outcome::Compete(shares) => shares.concat(),
        }
    }

    /// What `numbers` gave for an outcome of this job.
    pub(crate) fn from_numbers(job: &Job, numbers: &[u64]) -> Result<Self> {
        Ok(match &job.measure {
            Measure::Bulk { .. } => {
                let numbers = numbers.first_chunk().context("too few numbers")?;
                let [
                    delivered,
                    delivered_late,
                    time,
                    mean,
                    most_of_all,
                    longest,
                    packets,
                    overflow,
                    over,
                ] = *numbers;
                Outcome::Bulk(Bulk {
                    delivered,
                    delivered_late,
                    time,
                    waits: Waits {
                        mean,
                        most_of_all,
                        longest,
                    },
                    packets,
                    overflow,
                    over: over != 0,
                })
            }
            Measure::Short { .. } => {
                let [whole, opening] = *numbers.first_chunk().context("too few numbers")?;
                Outcome::Short(Short { whole, opening })
            }
            Measure::Compete { kinds, .. } => {
                let (shares, rest) = numbers.as_chunks();
                ensure!(
                    shares.len() == kinds.len() && rest.is_empty(),
                    "other transfers"
                );
                Outcome::Compete(shares.to_vec())
            }
        })
    }
}
