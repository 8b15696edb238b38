//! Exhaustive search of small worlds: every order of everything that can happen.
//!
//! Random tests ask whether a rare order occurs in a long run; here every order occurs, in a world so small that there is an end to
//! them. [`search`] is for values that can be cloned. States are told apart by what they print under `Debug`, so a state that
//! was reached twice is continued once, and actions that change nothing cost nothing: most searches run until nothing new can
//! happen, not to a depth. [`Choices`] is for what cannot be cloned.
//!
//! ```
//! use gapless_worlds::{World, search};
//!
//! /// Three flags that can be set in any order.
//! #[derive(Clone, Debug)]
//! struct Flags([bool; 3]);
//!
//! impl World for Flags {
//!     type Action = usize;
//!     fn actions(&self) -> Vec<usize> {
//!         vec![0, 1, 2]
//!     }
//!     fn act(&mut self, flag: usize) -> Result<(), String> {
//!         self.0[flag] = true;
//!         Ok(())
//!     }
//! }
//!
//! let found = search("flags", 3, [Flags([false; 3])]);
//! assert_eq!((found.states, found.steps), (8, 24));
//! ```
#![forbid(unsafe_code)]

mod choices;

pub use choices::Choices;

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{Debug, Write};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A state of a small world, and what can happen in it.
pub trait World: Clone + Debug {
    /// Something that can happen.
    type Action: Copy + Debug;

    /// All that can happen now. The search tries each of them.
    fn actions(&self) -> Vec<Self::Action>;

    /// Lets it happen, and compares what there is with what there should be.
    ///
    /// # Errors
    /// What is wrong.
    fn act(&mut self, action: Self::Action) -> Result<(), String>;

    /// What tells this state from others: all that it prints, unless there is something faster.
    fn fingerprint(&self) -> u128 {
        fingerprint(self)
    }

    /// Asked in every state: whether all comes to a good end if nothing bad happens any more.
    ///
    /// # Errors
    /// What never ends.
    fn calm(&self) -> Result<(), String> {
        Ok(())
    }
}

/// How large a world was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// States that differ.
    pub states: u64,
    /// Actions that were tried.
    pub steps: u64,
    /// Actions one after another, at most, on the way to a state that was new.
    pub longest: u64,
}

impl Found {
    /// A search that has become smaller without anybody noticing proves less than it says.
    ///
    /// # Panics
    /// If there were fewer states.
    pub fn at_least(self, states: u64) {
        assert!(
            self.states >= states,
            "the world has shrunk from {states} states to {}",
            self.states
        );
    }
}

/// Tries everything that can happen from these states on, and prints a line for the table of `cargo xtask worlds`. `packets` is the
/// size of the world as the table names it.
///
/// # Panics
/// If something is wrong in a state, with the actions that led there.
pub fn search<W: World>(name: &str, packets: usize, starts: impl IntoIterator<Item = W>) -> Found {
    let begin = Instant::now();
    let mut seen = HashSet::new();
    let mut found = Found::default();
    for start in starts {
        if let Err(wrong) = start.calm() {
            panic!("{name}: {wrong}\nat the start: {start:#?}");
        }
        if seen.insert(start.fingerprint()) {
            found.states += 1;
            from(name, start, &mut seen, &mut found);
        }
    }
    report(name, packets, found, begin.elapsed());
    found
}

/// For a world's rules: that something is what it should be.
///
/// # Errors
/// What it is instead.
pub fn expect<T: PartialEq + Debug>(is: T, should: T, what: &str) -> Result<(), String> {
    if is == should {
        Ok(())
    } else {
        Err(format!("{what}: {is:?} instead of {should:?}"))
    }
}

/// Prints a line for the table of `cargo xtask worlds`.
pub fn report(name: &str, packets: usize, found: Found, took: Duration) {
    let Found {
        states,
        steps,
        longest,
    } = found;
    println!(
        "\nworld\t{name}\t{packets}\t{states}\t{steps}\t{longest}\t{}",
        took.as_millis()
    );
}

/// What tells states apart: 128 bits of all that the value prints. Among a thousand million states, two different ones are taken for
/// one with a chance of 10^-21.
pub fn fingerprint(state: &impl Debug) -> u128 {
    let mut text = Text(twins());
    let written = write!(text, "{state:?}");
    assert!(written.is_ok(), "a hash takes every text");
    both(&text.0)
}

/// The same for values that hold points in time, printed as `Instant(nanoseconds)`: what tells states apart is how far each is from
/// `now`, not where on the clock, and beyond `far` it makes no difference any more. So a world in which time passes has an end.
/// Fields with one of the names of `without` count for nothing: what an engine has counted for those who look at it later.
pub fn fingerprint_at(state: &impl Debug, now: u64, far: Duration, without: &[&str]) -> u128 {
    let text = format!("{state:?}");
    let far = i128::try_from(far.as_nanos()).unwrap_or(i128::MAX);
    let mut told = Text(twins());
    let mut tell = |part: &str| {
        let written = told.write_str(part);
        assert!(written.is_ok(), "a hash takes every text");
    };
    let mut rest = &text[..];
    // Both begin with a letter behind what is none; each is looked for at its first.
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        let (before, word) = rest.split_at(at);
        let end = word.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let (word, after) = word.split_at(end.unwrap_or(word.len()));
        tell(before);
        tell(word);
        rest = after;
        if word == "Instant"
            && let Some((number, after)) = after.strip_prefix('(').and_then(|it| it.split_once(')'))
            && let Ok(at) = number.parse::<u64>()
        {
            tell(
                &(i128::from(at) - i128::from(now))
                    .clamp(-far, far)
                    .to_string(),
            );
            rest = after;
        } else if let Some(value) = after.strip_prefix(": ")
            && without.contains(&word)
        {
            rest = &value[value_length(value)..];
        }
    }
    tell(rest);
    both(&told.0)
}

/// How long what a field prints is: to the comma or the bracket behind it.
fn value_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let end = text.find(|letter| match letter {
        '(' | '[' | '{' => {
            depth += 1;
            false
        }
        ')' | ']' | '}' if depth > 0 => {
            depth -= 1;
            false
        }
        ')' | ']' | '}' => true,
        ',' => depth == 0,
        _ => false,
    });
    end.unwrap_or(text.len())
}

/// The same for values whose parts can be hashed, some ten times faster.
pub fn hashed(state: &impl Hash) -> u128 {
    let mut hashers = twins();
    hashers.iter_mut().for_each(|hasher| state.hash(hasher));
    both(&hashers)
}

/// Two that give different answers to the same question.
fn twins() -> [DefaultHasher; 2] {
    let mut twins = [DefaultHasher::new(), DefaultHasher::new()];
    twins[1].write_u8(1);
    twins
}

fn both(twins: &[DefaultHasher; 2]) -> u128 {
    u128::from(twins[0].finish()) << 64 | u128::from(twins[1].finish())
}

struct Text([DefaultHasher; 2]);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0
            .iter_mut()
            .for_each(|hash| hash.write(text.as_bytes()));
        Ok(())
    }
}

/// A state and what was not yet tried in it.
struct Open<W: World> {
    state: W,
    left: std::vec::IntoIter<W::Action>,
    /// What led to it.
    by: Option<W::Action>,
}

/// Into the depth: what is kept is one path, however many states there are.
fn from<W: World>(name: &str, start: W, seen: &mut HashSet<u128>, found: &mut Found) {
    let left = start.actions().into_iter();
    let mut path = vec![Open {
        state: start,
        left,
        by: None,
    }];
    while let Some(open) = path.last_mut() {
        let Some(action) = open.left.next() else {
            path.pop();
            continue;
        };
        found.steps += 1;
        let mut state = open.state.clone();
        let acted = guarded(|| state.act(action));
        let new = acted.is_err() || seen.insert(state.fingerprint());
        if !new {
            continue;
        }
        let fine = acted.and_then(|()| guarded(|| state.calm()));
        if let Err(wrong) = fine {
            let mut trace: Vec<W::Action> = path.iter().filter_map(|open| open.by).collect();
            trace.push(action);
            panic!("{name}: {wrong}\nafter {trace:?}\nin {state:#?}");
        }
        found.states += 1;
        found.longest = found.longest.max(path.len() as u64);
        assert!(
            found.states < MOST_STATES,
            "{name}: {MOST_STATES} states and no end; something in them counts for ever? {state:#?}"
        );
        let left = state.actions().into_iter();
        path.push(Open {
            state,
            left,
            by: Some(action),
        });
    }
}

/// A broken invariant of the engine panics; the path to it is wanted all the same.
fn guarded(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).into()));
        Err(words.unwrap_or_else(|| "a panic without words".into()))
    })
}

/// A search whose memory (some 40 bytes for each state) is about to be a nuisance.
const MOST_STATES: u64 = 30_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that goes up by one or two, to ten, and must not be `forbidden`.
    #[derive(Clone, Debug)]
    struct Steps {
        at: u32,
        forbidden: u32,
    }

    impl World for Steps {
        type Action = u32;

        fn actions(&self) -> Vec<u32> {
            [1, 2]
                .into_iter()
                .filter(|step| self.at + step <= 10)
                .collect()
        }

        fn act(&mut self, step: u32) -> Result<(), String> {
            self.at += step;
            if self.at == self.forbidden {
                return Err("forbidden".into());
            }
            Ok(())
        }

        fn calm(&self) -> Result<(), String> {
            assert_ne!(self.at, self.forbidden + 1, "the place behind it");
            Ok(())
        }
    }

    #[test]
    fn every_state_is_reached_once() {
        let start = Steps {
            at: 0,
            forbidden: 20,
        };
        let found = search("steps", 10, [start.clone(), start]);
        assert_eq!((found.states, found.steps), (11, 9 * 2 + 1));
        assert_eq!(found.longest, 10);
        found.at_least(11);
    }

    /// Printed as engines print theirs.
    #[derive(Clone, Copy, Debug)]
    struct Instant(#[expect(dead_code, reason = "it is printed")] u64);

    #[test]
    fn times_tell_states_apart_by_how_far_they_are() {
        let at = |times: [u64; 2], now| {
            let [one, other] = times.map(Instant);
            let state = ("a", one, 'b', Some(other));
            fingerprint_at(&state, now, Duration::from_nanos(10), &[])
        };
        assert_eq!(at([5, 8], 7), at([105, 108], 107));
        assert_ne!(at([5, 8], 7), at([5, 8], 6));
        assert_ne!(at([5, 8], 7), at([5, 9], 7));
        // Both are long ago, and both are far away.
        assert_eq!(at([5, 80], 60), at([50, 130], 60));
        assert_ne!(at([5, 80], 60), at([51, 130], 60));
    }

    #[test]
    fn what_is_left_out_does_not_tell_states_apart() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "they are printed")]
        struct Counted {
            at: u8,
            stats: Option<[u8; 2]>,
            left: Vec<(u8, u8)>,
        }
        let print = |at, stats, left, without: &[&str]| {
            let left = vec![(1, left)];
            let state = (Counted { at, stats, left }, 7);
            fingerprint_at(&state, 0, Duration::ZERO, without)
        };
        let one = print(1, None, 2, &["stats"]);
        assert_eq!(one, print(1, Some([3, 4]), 2, &["stats"]));
        assert_ne!(one, print(2, None, 2, &["stats"]));
        assert_ne!(one, print(1, None, 3, &["stats"]));
        assert_eq!(print(1, None, 2, &["left"]), print(1, None, 3, &["left"]));
        assert_ne!(print(1, None, 2, &[]), print(1, Some([3, 4]), 2, &[]));
    }

    #[test]
    #[should_panic(expected = "the world has shrunk from 12 states to 11")]
    fn a_smaller_search_is_noticed() {
        let start = Steps {
            at: 0,
            forbidden: 20,
        };
        search("steps", 10, [start]).at_least(12);
    }

    #[test]
    #[should_panic(expected = "forbidden\nafter [1, 1, 1]")]
    fn a_failure_tells_its_path() {
        let start = Steps {
            at: 0,
            forbidden: 3,
        };
        search("steps", 10, [start]);
    }

    #[test]
    #[should_panic(expected = "the place behind it")]
    fn a_panic_is_a_failure_with_a_path() {
        let start = Steps {
            at: 3,
            forbidden: 4,
        };
        let mut other = start.clone();
        other.at = 5;
        search("steps", 10, [other]);
    }
}
