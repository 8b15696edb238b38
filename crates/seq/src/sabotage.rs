//! Sabotage: known defects that can be switched on, to see whether a simulator finds them.
//!
//! A lab that catches nothing proves nothing. Only its builds have the feature `sabotage`. Without it the question whether a defect
//! is on is the constant `false`.

/// A known defect, where it would be: one of the list that the calling crate declares with [`defects!`](crate::defects) in its
/// module `sabotage`.
///
/// - `sabotage!(Name)`: whether it is on;
/// - `sabotage!(Name, wrong)`: does `wrong` if it is on;
/// - `sabotage!(Name, wrong, right)`: `wrong` if it is on, else `right`.
///
/// Under the feature `sabotage` only; without it, `false`, nothing, and `right`.
#[cfg(feature = "sabotage")]
// The list is the calling crate's own.
#[allow(clippy::crate_in_macro_def)]
#[macro_export]
macro_rules! sabotage {
    ($name:ident) => {
        crate::sabotage::Defect::$name.is_on()
    };
    ($name:ident, $wrong:expr) => {
        if $crate::sabotage!($name) {
            $wrong;
        }
    };
    ($name:ident, $wrong:expr, $right:expr) => {
        if $crate::sabotage!($name) {
            $wrong
        } else {
            $right
        }
    };
}

/// A known defect, where it would be. Without the feature `sabotage` it is never on: `sabotage!(Name)` is `false`,
/// `sabotage!(Name, wrong)` nothing, and `sabotage!(Name, wrong, right)` is `right`.
#[cfg(not(feature = "sabotage"))]
#[macro_export]
macro_rules! sabotage {
    ($name:ident) => {
        false
    };
    ($name:ident, $wrong:expr) => {{}};
    // A block, for which `let x = sabotage!(…, x)` is not `let x = x`.
    ($name:ident, $wrong:expr, $right:expr) => {{ $right }};
}

/// Declares the defects of a crate, each with a sentence as its documentation: the enum `Defect`; `list`, their names and sentences;
/// and `switch`, which turns one on, on the thread that calls it and on no other.
#[cfg(feature = "sabotage")]
#[macro_export]
macro_rules! defects {
    ($($(#[doc = $sentence:literal])+ $name:ident,)+) => {
        /// A defect that can be switched on.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Defect {
            $($(#[doc = $sentence])+ $name,)+
        }

        impl Defect {
            const ALL: &[(Defect, &'static str, &'static str)] =
                &[$((Defect::$name, stringify!($name), concat!($($sentence),+)),)+];

            #[inline]
            pub(crate) fn is_on(self) -> bool {
                ON.get() == Some(self)
            }
        }

        /// The names of all defects of this crate, and what is wrong with each.
        pub fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
            Defect::ALL.iter().map(|(_, name, sentence)| (*name, sentence.trim_start()))
        }

        /// Switches this defect on and all others of this crate off, for this thread. False if none has this name: then all are
        /// off.
        pub fn switch(name: &str) -> bool {
            let known = Defect::ALL.iter().find(|(_, known, _)| *known == name);
            ON.set(known.map(|(defect, ..)| *defect));
            known.is_some()
        }

        $crate::std::thread_local! {
            static ON: core::cell::Cell<Option<Defect>> = const { core::cell::Cell::new(None) };
        }
    };
}
