//! Every sequence of decisions, for worlds that cannot be cloned.

/// The decisions of one run, and then of the next, until there is none left.
///
/// A run asks [`pick`](Self::pick) wherever something may go one way or another; it has to be the same run whenever the answers are
/// the same. The first run gets zeros; each further one repeats the one before up to its last decision that has another
/// answer.
///
/// ```
/// use gapless_worlds::Choices;
///
/// let mut choices = Choices::new();
/// let mut runs = Vec::new();
/// while choices.begin() {
///     let first = choices.pick(2);
///     // What comes later may depend on what came before.
///     runs.push((first, if first == 1 { choices.pick(3) } else { 0 }));
/// }
/// assert_eq!(runs, [(0, 0), (1, 0), (1, 1), (1, 2)]);
/// ```
#[derive(Debug, Default)]
pub struct Choices {
    /// What was picked, of how many.
    made: Vec<(usize, usize)>,
    at: usize,
    begun: bool,
}

impl Choices {
    /// Before the first run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the next run; false if there is none.
    pub fn begin(&mut self) -> bool {
        if std::mem::replace(&mut self.begun, true) {
            self.made.truncate(self.at);
            loop {
                match self.made.last_mut() {
                    None => return false,
                    Some((picked, of)) if *picked + 1 < *of => {
                        *picked += 1;
                        break;
                    }
                    Some(_) => self.made.pop(),
                };
            }
        }
        self.at = 0;
        true
    }

    /// One of `0..of`.
    ///
    /// # Panics
    /// If `of` is 0, or the run is not the same as before up to here.
    pub fn pick(&mut self, of: usize) -> usize {
        assert!(of > 0, "a decision needs an answer");
        let picked = match self.made.get(self.at) {
            Some((picked, before)) => {
                assert_eq!(*before, of, "the run differs from the one before");
                *picked
            }
            None => {
                self.made.push((0, of));
                0
            }
        };
        self.at += 1;
        picked
    }

    /// Whether the run has come to where no run was before: what it picks next, it picks for the first time.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.at == self.made.len()
    }

    /// What this run picked.
    pub fn picked(&self) -> impl Iterator<Item = usize> + '_ {
        self.made[..self.at].iter().map(|(picked, _)| *picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_comes_once_in_order() {
        let mut choices = Choices::new();
        let mut runs = Vec::new();
        while choices.begin() {
            let run: Vec<usize> = (0..4).map(|_| choices.pick(3)).collect();
            assert!(choices.picked().eq(run.iter().copied()));
            runs.push(run);
        }
        assert_eq!(runs.len(), 81);
        assert!(runs.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_run_without_decisions_is_one_run() {
        let mut choices = Choices::new();
        assert!(choices.begin());
        assert!(!choices.begin());
    }

    #[test]
    fn a_run_that_ends_early_leaves_out_what_would_follow() {
        let mut choices = Choices::new();
        let mut runs = 0;
        while choices.begin() {
            runs += 1;
            if choices.pick(2) == 0 {
                continue;
            }
            choices.pick(5);
        }
        assert_eq!(runs, 6);
    }
}
