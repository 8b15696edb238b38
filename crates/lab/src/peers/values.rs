//! What numbers on the wire mean, for the models that read them rightly.

use super::wire::Frame;

/// Whether an ACK names `number`: exact arithmetic for any number of ranges (UDX2 4.4).
pub(crate) fn covers(ack: &Frame, number: u32) -> bool {
    let Frame::Ack {
        largest,
        first,
        extra,
        ..
    } = ack
    else {
        return false;
    };
    let number = i64::from(number);
    let mut top = i64::from(*largest);
    let mut bottom = top - i64::from(*first) + 1;
    if (bottom..=top).contains(&number) {
        return true;
    }
    extra.iter().any(|&(gap, length)| {
        top = bottom - 1 - i64::from(gap);
        bottom = top - i64::from(length) + 1;
        (bottom..=top).contains(&number)
    })
}

/// The position that is `value` modulo 2^32 and nearest to `near` (UDX 10.1).
pub(crate) fn nearest(value: u32, near: u64) -> u64 {
    let round = 1_u64 << 32;
    let base = near / round * round + u64::from(value);
    let candidates = [base.checked_sub(round), Some(base), base.checked_add(round)];
    let distance = |candidate: &u64| candidate.abs_diff(near);
    let best = candidates.into_iter().flatten().min_by_key(distance);
    best.unwrap_or(base)
}
