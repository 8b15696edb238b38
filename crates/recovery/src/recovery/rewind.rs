//! Numbers that are minted again.

use crate::time::Instant;

use super::Recovery;
use super::cumulative::Evidence;

impl<R> Recovery<R> {
    /// The peer threw away what it had acknowledged selectively, as RFC 2018 section 8 allows it to: everything from `number` on is
    /// forgotten as if it had been lost, and minted again as the caller sends it again. The promise of each number stays: the
    /// caller sends under it what it carried before. A `number` beyond the next one leaves those between out, because the peer has
    /// what they carried. For [`Numbering::Reuse`](crate::Numbering::Reuse) only; does nothing otherwise.
    pub fn rewind(&mut self, now: Instant, number: u64) {
        let now = self.advance(now);
        self.find_losses(now, 0, true, Evidence::Timeout { again: false });
        self.log.rewind(number);
        self.pto.restart(now);
        self.note_idle();
    }
}
