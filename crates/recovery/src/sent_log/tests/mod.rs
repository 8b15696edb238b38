//! Tests of the sent log as a whole.

mod exhaustive;
