//! Deterministic network simulator in virtual time with invariant checks.
#![forbid(unsafe_code)]
