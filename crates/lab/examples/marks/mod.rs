//! What the engines counted, collected after each run.

use gapless_lab::MarkTally;
use std::sync::Mutex;

/// Collects from all threads.
#[derive(Default)]
pub(crate) struct Collector(Mutex<MarkTally>);

impl Collector {
    /// A run has ended on this thread.
    pub(crate) fn collect(&self, seed: u64) {
        self.take(Some(seed));
    }

    /// The same of a trial, which belongs to the seeds but is none.
    pub(crate) fn collect_trial(&self) {
        self.take(None);
    }

    fn take(&self, seed: Option<u64>) {
        let Ok(mut tally) = self.0.lock() else { return };
        if seed.is_some() {
            tally.add_run();
        }
        let seq = gapless_seq::marks::take().map(|hits| ("seq", hits));
        let recovery = gapless_recovery::marks::take().map(|hits| ("recovery", hits));
        let udx = gapless_udx::marks::take().map(|hits| ("udx", hits));
        for (of, hits) in seq.chain(recovery).chain(udx) {
            tally.add(seed, of, hits.name, hits.sentence, hits.count);
        }
    }

    pub(crate) fn tally(self) -> MarkTally {
        self.0.into_inner().unwrap_or_default()
    }
}
