//! The bytes that streams carry: known at every offset without being kept, so that both ends can make and check them alone.

use bytes::Bytes;

/// Endless bytes, different for each key, such that a byte in a wrong place is a wrong byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    key: u64,
}

impl Pattern {
    /// The pattern of one direction of one stream.
    pub(crate) fn new(seed: u64, stream: usize, back: bool) -> Self {
        let key = mix(seed) ^ mix((stream as u64) << 1 | u64::from(back));
        Self { key: mix(key) }
    }

    /// The bytes from `offset` on.
    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(len + 16);
        let mut word = offset / 8;
        while bytes.len() < len + 8 {
            bytes.extend_from_slice(&self.word(word));
            word += 1;
        }
        let begin = (offset % 8) as usize;
        Bytes::from(bytes).slice(begin..begin + len)
    }

    /// The offset of the first byte of `bytes`, which stand at `offset`, that is not the pattern's.
    pub(crate) fn first_wrong(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let head = bytes.len().min((8 - offset % 8) as usize % 8);
        let (head, rest) = bytes.split_at(head);
        if let Some(at) = self.first_wrong_slowly(offset, head) {
            return Some(at);
        }
        let mut at = offset + head.len() as u64;
        let mut words = rest.chunks_exact(8);
        for word in &mut words {
            if word != self.word(at / 8) {
                return self.first_wrong_slowly(at, word);
            }
            at += 8;
        }
        self.first_wrong_slowly(at, words.remainder())
    }

    fn first_wrong_slowly(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        (offset..)
            .zip(bytes)
            .find(|&(at, &byte)| self.word(at / 8)[(at % 8) as usize] != byte)
            .map(|(at, _)| at)
    }

    fn word(&self, index: u64) -> [u8; 8] {
        mix(self.key.wrapping_add(index)).to_le_bytes()
    }
}

/// The finaliser of splitmix64 over a step by the golden ratio: neighbours come out unrelated.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_piece_is_the_same_as_in_the_whole() {
        let pattern = Pattern::new(1, 2, false);
        let whole = pattern.bytes(0, 100);
        for begin in 0..40 {
            for len in 0..40 {
                let piece = pattern.bytes(begin as u64, len);
                assert_eq!(piece, whole[begin..begin + len]);
                assert_eq!(pattern.first_wrong(begin as u64, &piece), None);
            }
        }
    }

    #[test]
    fn the_first_wrong_byte_is_found_at_every_place() {
        let pattern = Pattern::new(1, 2, true);
        for begin in 0..9 {
            for wrong in 0..30 {
                let mut bytes = pattern.bytes(begin, 30).to_vec();
                bytes[wrong] ^= 1;
                bytes[29] ^= 2;
                assert_eq!(
                    pattern.first_wrong(begin, &bytes),
                    Some(begin + wrong as u64)
                );
            }
        }
    }

    #[test]
    fn patterns_of_streams_and_directions_differ_and_shifts_show() {
        let patterns = [(1, 0, false), (1, 0, true), (1, 1, false), (2, 0, false)]
            .map(|(seed, stream, back)| Pattern::new(seed, stream, back));
        for (index, pattern) in patterns.iter().enumerate() {
            for other in &patterns[..index] {
                assert!(other.first_wrong(0, &pattern.bytes(0, 16)).is_some());
            }
            for shift in 1..100 {
                assert!(pattern.first_wrong(0, &pattern.bytes(shift, 16)).is_some());
            }
        }
    }
}
