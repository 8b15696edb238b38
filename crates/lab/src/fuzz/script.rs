//! Bytes as a list of decisions.

/// Reads numbers off the front. At the end all is zero.
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn pick(&mut self, count: usize) -> usize {
        usize::from(self.byte().unwrap_or(0)) % count.max(1)
    }

    pub(super) fn bytes(&mut self) -> &'a [u8] {
        // Mostly short: a packet has to fit into what a fuzzer likes to make.
        let len = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// A position near a place where something wraps.
    pub(super) fn place(&mut self) -> u64 {
        const PLACES: [u64; 6] = [0, 1 << 8, 1 << 16, 1 << 31, 1 << 32, u64::MAX - (1 << 20)];
        let place = PLACES[self.pick(PLACES.len())];
        place
            .saturating_sub(16)
            .saturating_add(self.pick(32) as u64)
    }
}
