//! The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words.

use core::net::IpAddr;

/// A sum in the making. Pieces may be added in any order, but all except the last one must be of an even length.
///
/// ```
/// use gapless_tcp::wire::Checksum;
///
/// // RFC 1071 section 3.
/// let mut sum = Checksum::new();
/// sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
/// assert_eq!(sum.finish(), !0xddf2);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum {
    /// A sum of 32-bit words in the machine's own byte order: the ones' complement sum does not depend on it
    /// (RFC 1071 section 2 (B)), so no word has to be turned around.
    sum: u64,
}

impl Checksum {
    /// Nothing summed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { sum: 0 }
    }

    /// What TCP and ICMPv6 sum beside their own octets: addresses, protocol and length (RFC 9293 3.1, RFC 8200 8.1). Addresses of two
    /// families are no pair that anything was sent between; their sum fits no packet.
    #[must_use]
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let word = |octets: [u8; 4]| u64::from(u32::from_ne_bytes(octets));
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut sum = word(length.to_be_bytes()).wrapping_add(word([0, protocol, 0, 0]));
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => sum = sum.wrapping_add(word(address.octets())),
                IpAddr::V6(address) => {
                    let octets = address.octets();
                    let (words, _) = octets.as_chunks::<4>();
                    sum = words
                        .iter()
                        .fold(sum, |sum, octets| sum.wrapping_add(word(*octets)));
                }
            }
        }
        Self { sum }
    }

    /// Adds octets; an odd one at the end counts as the high half of a word.
    pub fn add(&mut self, octets: &[u8]) {
        let (blocks, rest) = octets.as_chunks::<64>();
        if !blocks.is_empty() {
            self.add_blocks(blocks);
        }
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            self.sum = self.sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.sum = fold_once(self.sum).wrapping_add(u64::from(u32::from_ne_bytes(last)));
    }

    /// Eight sums of words side by side and eight of their high halves, which the compiler makes vector instructions of. No carry is lost:
    /// what the first drop is known from the second, and neither of the halves' sums comes near its end within a chunk.
    fn add_blocks(&mut self, blocks: &[[u8; 64]]) {
        for chunk in blocks.chunks(CHUNK) {
            let (mut whole, mut high) = ([0_u64; 8], [0_u64; 8]);
            for block in chunk {
                let (words, _) = block.as_chunks::<8>();
                for ((word, whole), high) in words.iter().zip(&mut whole).zip(&mut high) {
                    let word = u64::from_ne_bytes(*word);
                    *whole = whole.wrapping_add(word);
                    *high = high.wrapping_add(word >> 32);
                }
            }
            let whole = whole.into_iter().fold(0, u64::wrapping_add);
            let high = high.into_iter().fold(0, u64::wrapping_add);
            let low = whole.wrapping_sub(high << 32);
            self.sum = fold_once(self.sum)
                .wrapping_add(fold_once(low))
                .wrapping_add(fold_once(high));
        }
    }

    /// The checksum as it is put into the field, in host order: 0 if what was summed holds its own right checksum.
    #[must_use]
    pub fn finish(self) -> u16 {
        let mut sum = self.sum;
        // 64 bits to 33, 32, 17 and 16.
        for (mask, bits) in [
            (0xffff_ffff, 32),
            (0xffff_ffff, 32),
            (0xffff, 16),
            (0xffff, 16),
        ] {
            sum = (sum & mask).wrapping_add(sum.wrapping_shr(bits));
        }
        let folded = u16::try_from(sum & 0xffff).unwrap_or(0);
        !u16::from_be_bytes(folded.to_ne_bytes())
    }
}

/// Blocks whose halves' sums stay below 2^56.
const CHUNK: usize = 1 << 20;

/// Keeps the sum far from its end: congruent, and below 2^33.
const fn fold_once(sum: u64) -> u64 {
    (sum & 0xffff_ffff).wrapping_add(sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn by_definition(octets: &[u8]) -> u16 {
        let mut sum = 0_u64;
        for pair in octets.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn checksum(octets: &[u8]) -> u16 {
        let mut sum = Checksum::new();
        sum.add(octets);
        sum.finish()
    }

    proptest! {
        #[test]
        fn it_is_the_defined_sum(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(checksum(&octets), by_definition(&octets));
        }

        #[test]
        fn pieces_sum_to_the_whole(
            octets in prop::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..150,
        ) {
            let cut = (cut * 2).min(octets.len() & !1);
            let mut sum = Checksum::new();
            sum.add(&octets[..cut]);
            sum.add(&octets[cut..]);
            prop_assert_eq!(sum.finish(), by_definition(&octets));
        }
    }

    #[test]
    fn carries_are_not_lost_in_what_is_long() {
        for length in [0, 1, 31, 32, 33, 63, 64, 65, 65_535, 65_536, 1 << 20] {
            let octets = alloc::vec![0xff_u8; length];
            assert_eq!(checksum(&octets), by_definition(&octets), "{length} octets");
        }
    }

    #[test]
    fn what_holds_its_checksum_sums_to_zero() {
        let mut octets = [1, 2, 3, 4, 0, 0, 7, 8, 9];
        let sum = checksum(&octets).to_be_bytes();
        octets[4..6].copy_from_slice(&sum);
        assert_eq!(checksum(&octets), 0);
    }
}
