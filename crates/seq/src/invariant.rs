//! What an engine does when it finds itself wrong.

/// Whether a broken [`invariant!`](crate::invariant) panics: the feature `strict`.
///
/// On in tests, in the lab and under the fuzzer, where the first broken invariant must be seen. Off
/// in production, where a panic in a kernel would be the very accident that this project exists to
/// prevent: there the `otherwise` of each invariant ends one connection and the rest lives on.
pub const STRICT: bool = cfg!(feature = "strict");

/// Checks that something holds which only a bug of ours could break.
///
/// `invariant!(condition, otherwise)` evaluates `condition` once. When it is false, it panics under
/// the feature `strict` (naming the condition and the place), and otherwise evaluates `otherwise`,
/// usually a `return` that closes the connection with an internal error. What follows
/// `otherwise` is state for the message, in the form of [`format_args!`]; it is evaluated only
/// before that panic.
///
/// It is no check of a peer's or a caller's input: those are not invariants but ordinary errors.
///
/// ```
/// #[derive(Debug, PartialEq)]
/// struct Internal;
///
/// fn free(in_flight: &mut u64, bytes: u64) -> Result<(), Internal> {
///     gapless_seq::invariant!(bytes <= *in_flight, return Err(Internal), "{bytes} of {in_flight}");
///     *in_flight = in_flight.saturating_sub(bytes);
///     Ok(())
/// }
///
/// let mut in_flight = 1200;
/// assert_eq!(free(&mut in_flight, 1200), Ok(()));
/// if !gapless_seq::STRICT {
///     assert_eq!(free(&mut in_flight, 1), Err(Internal));
/// }
/// ```
#[macro_export]
macro_rules! invariant {
    ($condition:expr, $otherwise:expr $(,)?) => {
        $crate::invariant!($condition, $otherwise, "no state given")
    };
    ($condition:expr, $otherwise:expr, $($state:tt)+) => {
        if $condition {
        } else {
            if $crate::STRICT {
                $crate::broken(stringify!($condition), format_args!($($state)+));
            }
            $otherwise;
        }
    };
}

/// The panic of [`invariant!`](crate::invariant). Without `strict` its body is empty, so that no
/// panic stays in the program even where the compiler would keep the call.
#[doc(hidden)]
#[cold]
#[inline(never)]
#[track_caller]
#[cfg_attr(feature = "strict", allow(clippy::panic))]
pub fn broken(condition: &str, state: core::fmt::Arguments<'_>) {
    #[cfg(feature = "strict")]
    panic!("broken invariant: {condition} ({state})");
    #[cfg(not(feature = "strict"))]
    let _ = (condition, state);
}
