//! Octets that tell where they belong.

/// The octet at this place of the stream with this number.
pub(crate) fn octet(stream: usize, place: usize) -> u8 {
    let mixed =
        (stream as u64 ^ (place as u64 / 7).rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8 ^ place as u8
}

pub(crate) fn fill(stream: usize, begin: usize, to: &mut [u8]) {
    for (place, to) in (begin..).zip(to) {
        *to = octet(stream, place);
    }
}

/// The first place at which it is not as it should be.
pub(crate) fn wrong(stream: usize, begin: usize, octets: &[u8]) -> Option<usize> {
    let mut places = (begin..).zip(octets);
    places
        .find(|(place, is)| octet(stream, *place) != **is)
        .map(|(place, _)| place)
}
