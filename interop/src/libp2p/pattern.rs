//! Bytes that tell where they belong, so that any loss, repetition or mix-up shows; the Go host makes the same.

/// A stream of bytes that its seed determines.
#[derive(Clone)]
pub(super) struct Pattern(u64);

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            // Knuth's linear congruential generator; its upper bits are good enough to look at.
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}
