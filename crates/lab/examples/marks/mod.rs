//! What the engines counted, collected after each run.

use gapless_lab::MarkTally;
use std::sync::Mutex;

/// Collects from all threads.
#[derive(Default)]
pub(crate) struct Collector {
    tally: Mutex<MarkTally>,
    /// TCP's marks, instead of UDX's; recovery's and the sets' are both's.
    is_tcp: bool,
}

impl Collector {
    /// For runs of TCP.
    pub(crate) fn of_tcp() -> Self {
        Self {
            tally: Mutex::new(MarkTally::of_tcp()),
            is_tcp: true,
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
        let seq = gapless_seq::marks::take().map(|hits| ("seq", hits));
        let recovery = gapless_recovery::marks::take().map(|hits| ("recovery", hits));
        for (of, hits) in seq.chain(recovery) {
            tally.add(seed, of, hits.name, hits.sentence, hits.count);
        }
        if self.is_tcp {
            for hits in gapless_tcp::marks::take() {
                tally.add(seed, "tcp", hits.name, hits.sentence, hits.count);
            }
        } else {
            for hits in gapless_udx::marks::take() {
                tally.add(seed, "udx", hits.name, hits.sentence, hits.count);
            }
        }
    }

    pub(crate) fn tally(self) -> MarkTally {
        self.tally.into_inner().unwrap_or_default()
    }
}
