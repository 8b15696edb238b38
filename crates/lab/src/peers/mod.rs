//! Models of the other implementations, each with its known defects, for the engine to be run against.

pub mod wire;
