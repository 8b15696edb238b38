use crate::Share;

/// A seeded generator of random numbers: the same seed gives the same numbers on every platform.
///
/// xoshiro256++ 1.0 by Blackman and Vigna, its state filled by splitmix64 as they advise. Fast, with good statistics, and not for
/// secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator that begins at `seed`. Neighbouring seeds give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        Self {
            state: std::array::from_fn(|_| splitmix(&mut counter)),
        }
    }

    /// A generator for one of many purposes under one seed, unrelated to those for other purposes.
    pub fn for_purpose(seed: u64, purpose: u64) -> Self {
        let mut counter = purpose;
        Self::new(seed ^ splitmix(&mut counter))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to `bound`, `bound` itself excluded; 0 if `bound` is 0. The bias is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` if `high` is not above it.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            None => low,
            Some(u64::MAX) => self.bits(),
            Some(span) => low + self.below(span + 1),
        }
    }

    /// True with the probability `share`.
    pub fn chance(&mut self, share: Share) -> bool {
        // Nothing is drawn for what cannot happen: switching one impairment on leaves the others' numbers alone.
        share != Share::NONE
            && self.below(Share::ALL.millionths().into()) < share.millionths().into()
    }

    /// Random bytes to the end of `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.bits().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

fn splitmix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *counter;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_numbers() {
        let mut counter = 1_234_567;
        let numbers: [u64; 3] = std::array::from_fn(|_| splitmix(&mut counter));
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn xoshiro_gives_the_published_numbers() {
        let mut random = Random {
            state: [1, 2, 3, 4],
        };
        let numbers: [u64; 4] = std::array::from_fn(|_| random.bits());
        assert_eq!(
            numbers,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386
            ]
        );
    }

    #[test]
    fn bounds_are_kept_at_the_ends_of_the_range() {
        let mut random = Random::new(1);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        assert_eq!(random.between(7, 7), 7);
        assert_eq!(random.between(9, 3), 9);
        assert!(random.between(u64::MAX - 1, u64::MAX) >= u64::MAX - 1);
        random.between(0, u64::MAX);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10) as usize] += 1;
        }
        assert!(
            seen.iter().all(|&count| (850..1150).contains(&count)),
            "{seen:?}"
        );
    }

    #[test]
    fn purposes_and_neighbouring_seeds_differ() {
        let first = |mut random: Random| random.bits();
        let all = [
            first(Random::new(0)),
            first(Random::new(1)),
            first(Random::for_purpose(0, 0)),
            first(Random::for_purpose(0, 1)),
            first(Random::for_purpose(1, 0)),
        ];
        for (index, number) in all.iter().enumerate() {
            assert!(!all[..index].contains(number));
        }
    }

    #[test]
    fn fill_covers_an_odd_length() {
        let mut bytes = [0; 1003];
        Random::new(5).fill(&mut bytes);
        assert!(bytes[990..].iter().any(|&byte| byte != 0));
        let mut again = [0; 1003];
        Random::new(5).fill(&mut again);
        assert_eq!(bytes, again);
    }
}
