//! Marks: rare branches that are counted where engines are simulated.
//!
//! A simulator that never took a branch says nothing about it, so the lab asks which ones its runs took. Only its builds have the
//! feature `marks`. Without it a mark is nothing at all: neither a counter nor its condition is compiled.

/// Counts that a branch was taken: `mark!(Name)`, or `mark!(Name, condition)` where a condition tells. `Name` is one of the list
/// that the calling crate declares with [`marks!`](crate::marks) in its module `marks`.
///
/// Under the feature `marks` only; without it the condition is not evaluated.
#[cfg(feature = "marks")]
// The list is the calling crate's own.
#[allow(clippy::crate_in_macro_def)]
#[macro_export]
macro_rules! mark {
    ($name:ident) => {
        crate::marks::Mark::$name.hit()
    };
    ($name:ident, $condition:expr) => {
        if $condition {
            crate::marks::Mark::$name.hit();
        }
    };
}

/// Counts that a branch was taken: `mark!(Name)`, or `mark!(Name, condition)` where a condition tells.
///
/// Under the feature `marks` only; without it the condition is not evaluated.
#[cfg(not(feature = "marks"))]
#[macro_export]
macro_rules! mark {
    ($name:ident $(, $condition:expr)?) => {{}};
}

/// How often a mark was hit on the thread that asks.
#[cfg(feature = "marks")]
#[derive(Clone, Copy, Debug)]
pub struct Hits {
    /// The mark.
    pub name: &'static str,
    /// What its branch is for.
    pub sentence: &'static str,
    /// How often.
    pub count: u64,
}

/// Declares the marks of a crate, each with a sentence as its documentation: the enum `Mark`, and `take`, which tells and forgets
/// what was counted on the thread that calls it. Each thread counts by itself, so that runs side by side do not see each other.
#[cfg(feature = "marks")]
#[macro_export]
macro_rules! marks {
    ($($(#[doc = $sentence:literal])+ $name:ident,)+) => {
        /// A branch that a simulation has to take now and then.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Mark {
            $($(#[doc = $sentence])+ $name,)+
        }

        impl Mark {
            const ALL: &[(&'static str, &'static str)] = &[$((stringify!($name), concat!($($sentence),+)),)+];

            #[allow(clippy::as_conversions)]
            pub(crate) fn hit(self) {
                COUNTS.with(|counts| {
                    if let Some(count) = counts.get(self as usize) {
                        count.set(count.get().saturating_add(1));
                    }
                });
            }
        }

        /// All marks of this crate and how often each was hit on this thread, which counts from zero again.
        pub fn take() -> impl Iterator<Item = $crate::Hits> {
            (0_usize..).zip(Mark::ALL).map(|(index, (name, sentence))| $crate::Hits {
                name,
                sentence: sentence.trim_start(),
                count: COUNTS.with(|counts| counts.get(index).map_or(0, |count| count.take())),
            })
        }

        $crate::std::thread_local! {
            static COUNTS: [core::cell::Cell<u64>; Mark::ALL.len()] =
                const { [const { core::cell::Cell::new(0) }; Mark::ALL.len()] };
        }
    };
}
