//! Writing big-endian fields into a caller's buffer.

/// A buffer that fills from the front. A write that does not fit answers `None` and writes nothing.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
    written: usize,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            rest: buffer,
            written: 0,
        }
    }

    pub(super) fn array<const N: usize>(&mut self, octets: [u8; N]) -> Option<()> {
        let rest = core::mem::take(&mut self.rest);
        match rest.split_first_chunk_mut() {
            Some((head, tail)) => {
                *head = octets;
                self.rest = tail;
                self.written = self.written.saturating_add(N);
                Some(())
            }
            None => {
                // Too short: nothing fits any more.
                None
            }
        }
    }

    pub(super) fn u16(&mut self, value: u16) -> Option<()> {
        self.array(value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> Option<()> {
        self.array(value.to_be_bytes())
    }

    #[cfg(test)]
    pub(super) const fn written(&self) -> usize {
        self.written
    }
}
