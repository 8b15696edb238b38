//! What the engines counted, collected after each run.

use gapless_lab::MarkTally;
use std::sync::Mutex;

/// Collects from all threads.
#[derive(Default)]
pub(crate) struct Collector {
    tally: Mutex<MarkTally>,
    /// TCP's marks, instead of UDX's.
    is_tcp: bool,
}

impl Collector {
    /// For runs of TCP.
    pub(crate) fn of_tcp() -> Self {
        Self {
            is_tcp: true,
            ..Self::default()
        }
    }

    /// A run has ended on this thread.
    pub(crate) fn collect(&self, seed: u64) {
        self.take(Some(seed));
    }

    /// The same of a trial, which belongs to the seeds but is none.
    pub(crate) fn collect_trial(&self) {
        self.take(None);
    }

    fn take(&self, seed: Option<u64>) {
        let Ok(mut tally) = self.tally.lock() else {
            return;
        };
        if seed.is_some() {
            tally.add_run();
        }
        if self.is_tcp {
            for hits in gapless_tcp::marks::take() {
                tally.add(seed, "tcp", hits.name, hits.sentence, hits.count);
            }
            return;
        }
        let seq = gapless_seq::marks::take().map(|hits| ("seq", hits));
        let recovery = gapless_recovery::marks::take().map(|hits| ("recovery", hits));
        let udx = gapless_udx::marks::take().map(|hits| ("udx", hits));
        for (of, hits) in seq.chain(recovery).chain(udx) {
            tally.add(seed, of, hits.name, hits.sentence, hits.count);
        }
    }

    pub(crate) fn tally(self) -> MarkTally {
        self.tally.into_inner().unwrap_or_default()
    }
}
