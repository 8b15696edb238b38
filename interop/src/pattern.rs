//! Contents that both sides can compute, and their hash.

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

/// Bytes that are made, and written, at once.
const CHUNK: u64 = 64 << 10;

/// SHA-256 of what was sent or received.
pub(crate) type Hash = [u8; 32];

/// What travels on one stream: its index, then words of splitmix64, little-endian.
pub(crate) struct Pattern {
    state: u64,
    index: Option<u8>,
    left: u64,
    /// Made, but not given out: what the last word was longer than.
    rest: BytesMut,
}

impl Pattern {
    /// `bytes` in all for the stream `index` of a cell with this seed.
    pub(crate) fn new(seed: u64, index: u8, bytes: u64) -> Self {
        Self {
            state: seed ^ (u64::from(index) << 56),
            index: Some(index),
            left: bytes,
            rest: BytesMut::new(),
        }
    }

    /// The next piece, empty at the end.
    pub(crate) fn next(&mut self) -> Bytes {
        let size = usize::try_from(self.left.min(CHUNK)).unwrap_or_default();
        let mut chunk = std::mem::take(&mut self.rest);
        chunk.reserve((size + 9).saturating_sub(chunk.len()));
        if size > 0
            && let Some(index) = self.index.take()
        {
            chunk.put_u8(index);
        }
        while chunk.len() < size {
            chunk.put_u64_le(self.word());
        }
        self.rest = chunk.split_off(size);
        self.left -= size as u64;
        chunk.freeze()
    }

    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// The hash of a whole pattern.
pub(crate) fn expected(seed: u64, index: u8, bytes: u64) -> Hash {
    let mut pattern = Pattern::new(seed, index, bytes);
    let mut seen = Seen::default();
    loop {
        let chunk = pattern.next();
        if chunk.is_empty() {
            return seen.hash();
        }
        seen.take(&chunk);
    }
}

/// What was received so far.
#[derive(Default)]
pub(crate) struct Seen {
    digest: Sha256,
    bytes: u64,
}

impl Seen {
    pub(crate) fn take(&mut self, chunk: &[u8]) {
        self.digest.update(chunk);
        self.bytes += chunk.len() as u64;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn hash(self) -> Hash {
        self.digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The Go programs have the same lines in a test of theirs.
    #[test]
    fn the_pattern_is_the_one_that_other_languages_make() {
        let cases = [
            (
                1,
                0,
                1,
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                1,
                7,
                20,
                "2be12392d2807b392d4ea55e60191dd347bc0217d8b5f1c4573f206969b49375",
            ),
            (
                u64::MAX,
                99,
                200_000,
                "bf8d8f649480a107134666ffe27c2b1614653ea2f8367fac5df3dd43471d5cc5",
            ),
        ];
        for (seed, index, bytes, hash) in cases {
            assert_eq!(
                hex(expected(seed, index, bytes)),
                hash,
                "{seed} {index} {bytes}"
            );
        }
    }

    #[test]
    fn pieces_join_without_a_seam() {
        let mut pattern = Pattern::new(5, 3, 3 * CHUNK + 5);
        let mut all = Vec::new();
        loop {
            let chunk = pattern.next();
            if chunk.is_empty() {
                break;
            }
            all.extend_from_slice(&chunk);
        }
        assert_eq!(all.len() as u64, 3 * CHUNK + 5);
        let mut state = 5 ^ (3 << 56);
        for word in all[1..].chunks(8) {
            let mut one = Pattern {
                state,
                index: None,
                left: 8,
                rest: BytesMut::new(),
            };
            assert_eq!(word, &one.next()[..word.len()]);
            state = one.state;
        }
    }
}
