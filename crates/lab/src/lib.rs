//! Deterministic network simulator in virtual time with invariant checks.
//!
//! Two engines run against each other over two modelled links ([`gapless_link`]). Time is a number that jumps from one happening
//! to the next, so minutes pass in milliseconds and the same [`Scenario`] gives the same run, to the last packet. After every
//! step the rules of the design are checked ([`Rule`]), by asking the engines ([`gapless_udx::Endpoint::check`]), by an observer
//! that reads every packet on the wire, and by applications that know each byte they are to read.
//!
//! A run has two phases. First the path is as bad as the scenario says; then comes the calm, in which it delivers. In the calm,
//! something has to happen within a stated time until everything is done: that is how a transport that fell silent for ever is
//! told from one that waits.
//!
//! ```
//! use gapless_lab::{Scenario, run, run_seed};
//!
//! // A seed is a scenario: path, applications, and how the engines are polled.
//! let report = run_seed(7)?;
//! // The same seed again is the same run.
//! assert_eq!(run(&Scenario::from_seed(7))?.lasted, report.lasted);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod against;
mod app;
mod bounds;
mod check;
mod choices;
mod forge;
pub mod fuzz;
mod host;
mod hostile;
mod judge;
pub mod load;
mod log;
mod machine;
mod marks;
mod observe;
mod pattern;
pub mod peers;
pub mod picture;
mod plan;
mod report;
mod rounds;
mod scenario;
mod seeds;
mod shrink;
pub mod soak;
mod spans;
pub mod tcp;
pub mod trace;
mod trials;
mod watch;
mod world;

pub use gapless_udx as udx;

pub use app::{ReadState, StreamOutcome, WriteState};
pub use hostile::{
    HostileReport, HostileSummary, Meter, Outsider, OutsiderReport, run_hostile_seed,
    run_hostile_seeds, run_outsider,
};
pub use log::{Sink, describe};
pub use marks::{MarkGroup, MarkTally};
pub use observe::{Observers, Progress};
pub use plan::{
    DirectionPlan, Ending, Freeze, HostPlan, MS, Manners, Pause, ReadPlan, Restart, Route, SECOND,
    STALL_PTOS, Scenario, Start, StreamPlan, Time, WriteEnd, WritePlan,
};
pub use report::{Failure, Report, Rule, Runs, Violation};
pub use scenario::memory_bound;
pub use seeds::{
    Summary, run_bytes, run_seed, run_seed_against, run_seeds, run_seeds_against, run_whole,
};
pub use shrink::{Shrunk, shrink, shrink_failure};
pub use trace::Trace;
pub use trials::{Trial, TrialFailure, run_trial, run_trials};
pub use world::{run, run_logged, run_observed, run_traced};
