//! The marks of this crate.

crate::marks! {
    /// A full set dropped its lowest range for a higher one.
    LowestRangeDropped,
    /// A full set dropped what was to be inserted, which lay below all of it.
    LowRangeRefused,
    /// A full set refused one more range.
    SetFull,
}
