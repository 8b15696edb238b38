//! Soaks: what only shows when something goes on for long, or is done very often, with every check on.

mod crowd;
mod day;

pub use crowd::{Crowd, CrowdReport};
pub use day::one_connection;

/// What an engine may hold that has nothing to do, in bytes, with a connection alive: its tables keep the room that they once had.
pub const AT_REST: usize = 64 * 1024;
