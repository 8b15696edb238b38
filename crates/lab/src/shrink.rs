//! Makes a failing scenario small, by making its decisions few and small ([`crate::choices`]): decisions that belong together are left
//! out, others become zero or smaller, as long as it still fails in the same way.

use crate::choices::Draw;
use crate::peers::Kind;
use crate::plan::Scenario;
use crate::report::Violation;
use crate::scenario::draw;
use crate::seeds::run_whole;
use std::collections::HashSet;
use std::ops::Range;

/// What a failing scenario was shrunk to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The decisions that are left.
    pub bytes: Vec<u8>,
    /// How it fails.
    pub violation: Violation,
    /// Runs that it took.
    pub runs: usize,
}

/// The smallest decisions found for which `fails` still holds, as it does for `bytes`. It is asked some thousand times at most.
pub fn shrink(bytes: &[u8], fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    Shrinker::new(bytes, |bytes| decided(bytes, None), fails).run()
}

/// Shrinks a scenario that breaks a rule to one that breaks the same rule in the same words, numbers apart; `None` if it does not
/// break it. `in_time` says whether there is time for another run.
pub fn shrink_failure(
    bytes: &[u8],
    against: Option<Kind>,
    broken: &Violation,
    in_time: impl Fn() -> bool,
) -> Option<Shrunk> {
    let run = |bytes: &[u8]| {
        let scenario = || match against {
            Some(kind) => Scenario::against_from_bytes(kind, bytes),
            None => Scenario::from_bytes(bytes),
        };
        run_whole(scenario).err()
    };
    shrink_run(bytes, |bytes| decided(bytes, against), run, broken, in_time)
}

/// The same for whatever `run` makes of the bytes. `decided` says how a scenario takes bytes: each decision within its range, none that
/// nobody asks for, and which of them belong together.
pub(crate) fn shrink_run(
    bytes: &[u8],
    decided: impl Fn(&[u8]) -> Decided,
    run: impl Fn(&[u8]) -> Option<Violation>,
    broken: &Violation,
    in_time: impl Fn() -> bool,
) -> Option<Shrunk> {
    let broken_by = |bytes: &[u8]| run(bytes).filter(|violation| is_same(violation, broken));
    let mut violation = broken_by(bytes)?;
    let mut runs = 1;
    let fails = |bytes: &[u8]| {
        if !in_time() {
            return false;
        }
        runs += 1;
        match broken_by(bytes) {
            Some(smaller) => {
                violation = smaller;
                true
            }
            None => false,
        }
    };
    let bytes = Shrinker::new(bytes, decided, fails).run();
    Some(Shrunk {
        bytes,
        violation,
        runs,
    })
}

/// Decisions as bytes, and which of them belong together and can be left out together.
pub(crate) type Decided = (Vec<u8>, Vec<Range<usize>>);

/// One rule can be broken for several reasons, which should not be taken for each other.
fn is_same(one: &Violation, other: &Violation) -> bool {
    let words = |violation: &Violation| {
        let first = violation.detail.lines().next().unwrap_or_default();
        first.replace(|c: char| c.is_ascii_digit(), "")
    };
    one.rule == other.rule && words(one) == words(other)
}

struct Shrinker<D, F> {
    decided: D,
    fails: F,
    best: Vec<u8>,
    /// Decisions of `best` that belong together.
    spans: Vec<Range<usize>>,
    tried: HashSet<Vec<u8>>,
    runs: usize,
}

impl<D: Fn(&[u8]) -> Decided, F: FnMut(&[u8]) -> bool> Shrinker<D, F> {
    fn new(bytes: &[u8], decided: D, fails: F) -> Self {
        let (best, spans) = decided(bytes);
        Self {
            decided,
            fails,
            best,
            spans,
            tried: HashSet::new(),
            runs: 0,
        }
    }

    fn run(mut self) -> Vec<u8> {
        loop {
            let before = self.best.clone();
            self.cut_the_end();
            self.leave_out_spans();
            self.put_zeros();
            self.say_no();
            self.lower();
            if self.best == before || self.is_out_of_runs() {
                return self.best;
            }
        }
    }

    fn is_out_of_runs(&self) -> bool {
        self.runs >= MOST_RUNS
    }

    /// Takes the candidate if it is simpler and fails as well.
    fn attempt(&mut self, candidate: &[u8]) -> bool {
        let (bytes, spans) = (self.decided)(candidate);
        let is_simpler = (bytes.len(), &bytes) < (self.best.len(), &self.best);
        if !is_simpler || self.is_out_of_runs() || !self.tried.insert(bytes.clone()) {
            return false;
        }
        self.runs += 1;
        let fails = (self.fails)(&bytes);
        if fails {
            (self.best, self.spans) = (bytes, spans);
        }
        fails
    }

    /// Behind the last byte all is zero.
    fn cut_the_end(&mut self) {
        let mut step = self.best.len();
        while step > 0 {
            let keep = self.best.len().saturating_sub(step);
            let candidate = self.best[..keep].to_vec();
            if !self.attempt(&candidate) {
                step /= 2;
            }
            step = step.min(self.best.len());
        }
    }

    /// Many neighbours at once, then fewer, from behind: what refers to an earlier one stays as it is.
    fn leave_out_spans(&mut self) {
        let mut at_once = self.spans.len();
        while at_once > 0 {
            let mut end = self.spans.len();
            while end >= at_once {
                let (first, last) = (&self.spans[end - at_once], &self.spans[end - 1]);
                let (begin, behind) = (first.start.min(last.start), first.end.max(last.end));
                let candidate = [&self.best[..begin], &self.best[behind..]].concat();
                self.attempt(&candidate);
                end = (end - at_once).min(self.spans.len());
            }
            at_once /= 2;
        }
    }

    fn put_zeros(&mut self) {
        for size in [64, 16, 8, 4, 2, 1] {
            let mut at = 0;
            while at < self.best.len() {
                let end = (at + size).min(self.best.len());
                if self.best[at..end].iter().any(|&byte| byte != 0) {
                    let mut candidate = self.best.clone();
                    candidate[at..end].fill(0);
                    self.attempt(&candidate);
                }
                at += size;
            }
        }
    }

    /// A yes becomes a no, and what was only asked because of the yes is left out: mostly one decision or two.
    fn say_no(&mut self) {
        let mut at = 0;
        while at < self.best.len() {
            for behind in 1..=MOST_BEHIND_YES {
                let end = at + 1 + behind;
                if self.best.get(at).is_some_and(|&byte| byte != 0) && end <= self.best.len() {
                    let candidate = [&self.best[..at], &[0], &self.best[end..]].concat();
                    self.attempt(&candidate);
                }
            }
            at += 1;
        }
    }

    /// Each byte as low as it goes, by halves.
    fn lower(&mut self) {
        let mut at = 0;
        while let Some(&byte) = self.best.get(at) {
            let mut low = 0;
            let mut high = byte;
            while low < high {
                let middle = low + (high - low) / 2;
                let mut candidate = self.best.clone();
                candidate[at] = middle;
                if self.attempt(&candidate) {
                    high = middle.min(self.best.get(at).copied().unwrap_or(0));
                } else {
                    low = middle + 1;
                }
                if at >= self.best.len() {
                    return;
                }
            }
            self.borrow(at);
            at += 1;
        }
    }

    /// Of a number of two bytes, a smaller high one with the largest low one, which is lowered next.
    fn borrow(&mut self, at: usize) {
        let mut candidate = self.best.clone();
        if let Some([high, low]) = candidate.get_mut(at..at + 2)
            && *high > 0
        {
            (*high, *low) = (*high - 1, u8::MAX);
            self.attempt(&candidate);
        }
    }
}

/// The bytes as the scenario takes them: each decision within its range, and none that nobody asks for.
fn decided(bytes: &[u8], against: Option<Kind>) -> Decided {
    let against = against.map(|kind| (kind, 0));
    let (scenario, spans) = draw(Draw::from_bytes(bytes), against);
    (scenario.choices().to_vec(), spans)
}

/// Most runs for one shrinking: some seconds in an optimised build.
const MOST_RUNS: usize = 3_000;
const MOST_BEHIND_YES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{StreamPlan, WriteEnd};
    use crate::report::Rule;
    use gapless_link::Share;

    fn size(scenario: &Scenario) -> (usize, u64) {
        let bytes = |plan: &StreamPlan| plan.there.write.bytes + plan.back.write.bytes;
        (
            scenario.streams.len(),
            scenario.streams.iter().map(bytes).sum(),
        )
    }

    /// A seed whose scenario is large and in which `is_wrong` is found, shrunk to what matters.
    fn shrunk(is_wrong: impl Fn(&Scenario) -> bool) -> (Scenario, Scenario) {
        let large = (0..).map(Scenario::from_seed).find(|scenario| {
            size(scenario).0 > 12 && size(scenario).1 > 20_000 && is_wrong(scenario)
        });
        let large = large.expect("seeds have everything");
        let bytes = shrink(large.choices(), |bytes| {
            is_wrong(&Scenario::from_bytes(bytes))
        });
        let small = Scenario::from_bytes(&bytes);
        assert!(is_wrong(&small), "it still fails");
        (large, small)
    }

    fn resets(plan: &StreamPlan) -> bool {
        matches!(plan.back.write.end, WriteEnd::Reset(_))
    }

    #[test]
    fn one_stream_and_nothing_else_is_left_of_many() {
        let (large, small) = shrunk(|scenario| scenario.streams.iter().any(resets));
        assert!(large.choices().len() > 200, "{}", large.choices().len());
        let decisions = small.choices().iter().filter(|&&byte| byte != 0);
        assert!(decisions.count() < 6, "{:?}", small.choices);
        let left = (small.streams.len(), small.faults[0].loss, small.moves.len());
        assert_eq!(left, (1, Share::NONE, 0), "{small:#?}");
        assert!(size(&small).1 < 10, "{small:#?}");
    }

    #[test]
    fn what_has_to_be_there_stays_and_is_as_small_as_it_can_be() {
        let (_, small) = shrunk(|scenario| {
            scenario.faults[0].loss >= Share::from_percent(3)
                && scenario
                    .streams
                    .iter()
                    .any(|plan| plan.back.write.bytes > 700)
                && size(scenario).0 >= 3
                && scenario.hosts[1].manners.twice
        });
        assert!(
            small.faults[0].loss < Share::from_millionths(30_020),
            "{small:#?}"
        );
        assert!((700..1_500).contains(&size(&small).1), "{small:#?}");
        assert_eq!(
            (small.streams.len(), small.faults[1].jitter.as_nanos()),
            (3, 0)
        );
    }

    #[test]
    fn what_does_not_break_the_rule_is_not_shrunk() {
        let bytes = Scenario::from_seed(1).choices().to_vec();
        let broken = violation("nothing");
        assert!(shrink_failure(&bytes, None, &broken, || true).is_none());
    }

    fn violation(detail: &str) -> Violation {
        Violation {
            rule: Rule::Memory,
            at: 0,
            host: None,
            detail: detail.into(),
        }
    }

    #[test]
    fn only_the_numbers_of_a_failure_may_change() {
        let broken = violation(
            "700 bytes are held, 600 are allowed
at 5",
        );
        let is_same = |detail| is_same(&violation(detail), &broken);
        assert!(is_same(
            "9 bytes are held, 8 are allowed
never"
        ));
        assert!(!is_same("9 bytes are held without any connection"));
        let elsewhere = Violation {
            rule: Rule::Panic,
            ..broken.clone()
        };
        assert!(!super::is_same(&elsewhere, &broken));
    }
}
