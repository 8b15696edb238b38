//! What an engine waited for, and where it stood still.

use super::sample::Sample;
use crate::plan::Time;
use gapless_udx::BlockedOn;

/// What one engine waited for over a run.
#[derive(Clone, Debug)]
pub struct Waits {
    /// By reason, in the order in which they came.
    totals: Vec<(BlockedOn, Time)>,
    spans: Vec<Wait>,
    stalls: Vec<Stall>,
    now: Option<(Time, BlockedOn)>,
    /// Since when nothing went forward, and what happened from then on.
    still: Option<Still>,
    acked: u64,
}

/// A time with one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// From.
    pub from: Time,
    /// To.
    pub to: Time,
    /// What was waited for.
    pub reason: BlockedOn,
}

/// A time in which an engine had something to send or to be acknowledged, and none of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Whose.
    pub host: usize,
    /// When the last progress before it was.
    pub from: Time,
    /// When it went on, or the run ended.
    pub to: Time,
    /// It went on.
    pub went_on: bool,
    /// What was waited for, longest first.
    pub reasons: Vec<(BlockedOn, Time)>,
    /// Probe timeouts in it.
    pub timeouts: u64,
    /// Datagrams that each host sent in it, the staller's own first, and those of them that were lost.
    pub datagrams: [(u64, u64); 2],
    /// Round trip time that was known at its end.
    pub rtt: Option<Time>,
    /// The datagrams around it, by [`Datagram::id`](super::Datagram::id).
    pub around: Vec<u64>,
}

/// A stall that may still become one.
#[derive(Clone, Debug)]
struct Still {
    from: Time,
    reasons: Vec<(BlockedOn, Time)>,
    timeouts: u64,
    datagrams: [(u64, u64); 2],
}

/// Since the start of the run, by host: datagrams sent, and lost.
pub(super) type Counts = [(u64, u64); 2];

impl Waits {
    pub(super) fn new() -> Self {
        Self {
            totals: Vec::new(),
            spans: Vec::new(),
            stalls: Vec::new(),
            now: None,
            still: None,
            acked: 0,
        }
    }

    /// How long it waited for what, longest first.
    pub fn totals(&self) -> Vec<(BlockedOn, Time)> {
        let mut totals = self.totals.clone();
        totals.sort_by_key(|&(_, time)| std::cmp::Reverse(time));
        totals
    }

    /// When it waited for what. Of a long run, short times are counted to those before them.
    pub fn spans(&self) -> &[Wait] {
        &self.spans
    }

    /// The longest stalls, in the order of time.
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    pub(super) fn stalls_mut(&mut self) -> &mut [Stall] {
        &mut self.stalls
    }

    /// After a wake of the host. True if a stall was over by it that is one of the longest.
    pub(super) fn update(&mut self, host: usize, sample: &Sample, counts: Counts) -> bool {
        self.pass(sample.at);
        let is_idle = matches!(sample.blocked, BlockedOn::NothingToSend | BlockedOn::Closed);
        let went_on = sample.acked > self.acked;
        self.acked = sample.acked;
        let mut found = false;
        if went_on || is_idle {
            found = self.close(host, sample, counts, true);
        }
        if !is_idle && self.still.is_none() {
            self.still = Some(Still {
                from: sample.at,
                reasons: Vec::new(),
                timeouts: sample.timeouts,
                datagrams: counts,
            });
        }
        self.now = Some((sample.at, sample.blocked));
        found
    }

    /// At the end of the run.
    pub(super) fn finish(&mut self, host: usize, sample: &Sample, counts: Counts) -> bool {
        self.pass(sample.at);
        self.close(host, sample, counts, false)
    }

    /// Counts the time until now to what was waited for.
    fn pass(&mut self, at: Time) {
        let Some((since, reason)) = self.now else {
            return;
        };
        if at <= since {
            return;
        }
        add(&mut self.totals, reason, at - since);
        if let Some(still) = &mut self.still {
            add(&mut still.reasons, reason, at - since);
        }
        match self.spans.last_mut() {
            Some(last) if last.reason == reason && last.to == since => last.to = at,
            _ => self.spans.push(Wait {
                from: since,
                to: at,
                reason,
            }),
        }
        if self.spans.len() > SPANS_KEPT {
            self.join_spans();
        }
        self.now = Some((at, reason));
    }

    /// Joins neighbours two by two, under the reason of the longer one.
    fn join_spans(&mut self) {
        let joined = self.spans.chunks(2).map(|pair| match pair {
            [a, b] => Wait {
                from: a.from,
                to: b.to,
                reason: if b.to - b.from > a.to - a.from {
                    b.reason
                } else {
                    a.reason
                },
            },
            _ => pair[0],
        });
        self.spans = joined.collect();
    }

    fn close(&mut self, host: usize, sample: &Sample, counts: Counts, went_on: bool) -> bool {
        let Some(still) = self.still.take() else {
            return false;
        };
        let length = sample.at.saturating_sub(still.from);
        let usual = sample.rtt.map_or(0, |rtt| rtt.saturating_mul(2)) + USUAL;
        if length < usual {
            return false;
        }
        let mut reasons = still.reasons;
        reasons.sort_by_key(|&(_, time)| std::cmp::Reverse(time));
        let since = |of: usize| {
            let (before, after) = (still.datagrams[of], counts[of]);
            (after.0 - before.0, after.1 - before.1)
        };
        self.stalls.push(Stall {
            host,
            from: still.from,
            to: sample.at,
            went_on,
            reasons,
            timeouts: sample.timeouts - still.timeouts,
            datagrams: [since(host), since(1 - host)],
            rtt: sample.rtt,
            around: Vec::new(),
        });
        if self.stalls.len() > STALLS_KEPT {
            let length = |stall: &Stall| stall.to - stall.from;
            let shortest = (0..self.stalls.len()).min_by_key(|&it| length(&self.stalls[it]));
            self.stalls.remove(shortest.unwrap_or(0));
        }
        self.stalls.last().is_some_and(|last| last.to == sample.at)
    }
}

fn add(to: &mut Vec<(BlockedOn, Time)>, reason: BlockedOn, time: Time) {
    match to.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, total)) => *total += time,
        None => to.push((reason, time)),
    }
}

/// A sender whose acknowledgements are held back by 25 ms (UDX 4.2) and a poll on each side is not standing still.
const USUAL: Time = 40 * crate::plan::MS;
/// The longest ones of each host.
const STALLS_KEPT: usize = 6;
/// Times of one reason that are drawn.
const SPANS_KEPT: usize = 8_000;
