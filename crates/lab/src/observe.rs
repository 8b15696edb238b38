//! Who looks on while a scenario runs.

use crate::log::{Log, Sink};
use crate::plan::Time;
use crate::trace::Trace;

/// Those who want to know what happens in a run. Each costs nothing when it is not there.
#[derive(Default)]
pub struct Observers<'a> {
    /// Takes a line for every packet.
    pub log: Option<Sink<'a>>,
    /// Takes everything, to be drawn.
    pub trace: Option<&'a mut Trace>,
    /// Is called now and then.
    pub progress: Option<&'a mut dyn FnMut(Progress)>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Virtual time.
    pub now: Time,
    /// Bytes that the applications have read of all streams.
    pub read: u64,
}

/// The same, as the simulation holds them.
pub(crate) struct Watching<'a> {
    pub(crate) log: Log<'a>,
    pub(crate) trace: Option<&'a mut Trace>,
    pub(crate) progress: Option<&'a mut dyn FnMut(Progress)>,
}

impl<'a> From<Observers<'a>> for Watching<'a> {
    fn from(observers: Observers<'a>) -> Self {
        let Observers {
            log,
            trace,
            progress,
        } = observers;
        Self {
            log: Log::new(log),
            trace,
            progress,
        }
    }
}
