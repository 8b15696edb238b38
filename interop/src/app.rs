//! What the programs on both sides of a conversation do, whatever carries it.

mod bulk;
mod half_close;
mod idle;
mod reset;

use crate::plan::{Flow, Plan, Scenario};
use anyhow::Result;
use bytes::Bytes;
use std::cell::Cell;
use std::rc::Rc;

/// A connection of one implementation.
pub(crate) trait Connection: Clone + 'static {
    type Stream: Stream;

    async fn open(&self) -> Result<Self::Stream>;
    async fn accept(&self) -> Result<Self::Stream>;
    /// Asks "are you there", in the implementation's own way.
    async fn ping(&self) -> Result<()>;
}

/// A stream of one implementation, both of its directions.
pub(crate) trait Stream: 'static {
    /// Writes all of it.
    async fn write(&mut self, data: Bytes) -> Result<(), Failure>;
    /// Some bytes, at most `max`; `None` at the end.
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, Failure>;
    /// Ends the writing direction.
    async fn finish(&mut self) -> Result<(), Failure>;
    /// Ends both directions.
    async fn reset(&mut self, code: u32);
}

/// Why a stream did not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The other side reset it, with this code.
    Reset(u32),
    /// Anything else.
    Other(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the stream was reset with code {code}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

/// What is worth telling of a side that did its part.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Something to stand in the table beside the verdict.
    pub(crate) note: Option<String>,
}

/// Bytes moved so far, in either direction, for whoever watches.
pub(crate) type Progress = Rc<Cell<u64>>;

fn count(progress: &Progress, bytes: usize) {
    progress.set(progress.get() + bytes as u64);
}

/// Does one side's part of a plan. An error says what went wrong on this side.
pub(crate) async fn side<C: Connection>(
    connection: &C,
    plan: &Plan,
    progress: &Progress,
) -> Result<Outcome> {
    let opener = plan.dial.is_some();
    match (plan.scenario, opener) {
        (Scenario::HalfClose, true) => half_close::open(connection, plan).await,
        (Scenario::HalfClose, false) => half_close::accept(connection, plan).await,
        (Scenario::Reset, true) => reset::open(connection, plan).await,
        (Scenario::Reset, false) => reset::accept(connection, plan).await,
        (Scenario::Idle, true) => idle::open(connection, plan, progress).await,
        (_, true) => bulk::open(connection, plan, progress).await,
        (_, false) => bulk::accept(connection, plan, progress).await,
    }
}

impl Plan {
    /// Whether this side has the active part.
    fn is_active(&self) -> bool {
        (self.flow == Flow::Opener) == self.dial.is_some()
    }
}
