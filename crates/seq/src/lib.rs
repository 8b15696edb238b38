//! Wire sequence numbers as `u64` positions, windows, and bounded range sets.
//!
//! A number on the wire wraps; an engine's numbers never do. [`Wire`] is the only bridge: it is
//! expanded to the position nearest an expected one, and a position is truncated back to it. Wire
//! numbers have no order and no arithmetic, so nobody can subtract two of them in the wrong order.
//! Positions are plain `u64`; [`Window`] and [`RangeSet`] keep the pairs and sets of them that
//! transports need, in constant memory.
//!
//! Every function here is total: no input panics, overflows or loops without bound. `cargo xtask
//! no-panic` proves the first on the linked release code.
//!
//! ```
//! use gapless_seq::{RangeSet, Wire32};
//!
//! // The peer's counter wrapped: its 5 is our position 2^32 + 5.
//! let position = Wire32::from(5).expand(0xffff_fff0);
//! assert_eq!(position, 0x1_0000_0005);
//!
//! let mut received = RangeSet::<32>::new();
//! received.insert_one(position)?;
//! assert!(received.contains(position));
//! # Ok::<(), gapless_seq::Full>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "marks", feature = "sabotage"))]
#[doc(hidden)]
pub extern crate std;

mod invariant;
mod mark;
#[cfg(feature = "marks")]
pub mod marks;
mod ranges;
mod sabotage;
mod window;
mod wire;

pub use invariant::STRICT;
#[doc(hidden)]
pub use invariant::broken;
#[cfg(feature = "marks")]
pub use mark::Hits;
pub use ranges::{Full, Gaps, Inserted, Iter, RangeSet};
pub use window::Window;
pub use wire::{Wire, Wire8, Wire16, Wire32, Wire64};
