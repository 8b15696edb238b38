//! Wire sequence numbers as u64 positions, windows, and bounded range sets.
#![no_std]
#![forbid(unsafe_code)]
