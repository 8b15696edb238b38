//! Packets that nobody sent, made from some that somebody did.

use super::packet::{ACK, FIN, PSH, RST, SYN, Seen, URG, mend};
use super::plan::Forgery;

/// The forgery on `real`, of which `seen` tells; `None` where it would be none, or do what its name does not say. `expected` is the number
/// that its receiver expects next, with everything that arrived so far.
pub(crate) fn forge(
    forgery: Forgery,
    real: &[u8],
    seen: &Seen<'_>,
    expected: u32,
) -> Option<Vec<u8>> {
    if seen.has(SYN) || seen.has(RST) || !seen.has(ACK) {
        return None;
    }
    let segment = real.len() - seen.header - seen.payload.len();
    let mut forged = real.to_vec();
    let body = segment + seen.header;
    match forgery {
        Forgery::AckOfUnsent => {
            put(
                &mut forged,
                segment + 8,
                seen.acknowledgment.wrapping_add(FAR),
            );
        }
        Forgery::SackOfUnsent => {
            forged = with_block(real, segment, seen)?;
        }
        Forgery::Reset => {
            forged.truncate(body);
            // Not the next one, and behind everything that came.
            put(&mut forged, segment + 4, expected.wrapping_add(NEAR));
            forged[segment + 13] = RST;
        }
        Forgery::ResetBeyond => {
            forged.truncate(body);
            put(&mut forged, segment + 4, expected.wrapping_add(BEYOND));
            forged[segment + 13] = RST;
        }
        Forgery::Syn => {
            forged.truncate(body);
            forged[segment + 13] = SYN;
        }
        Forgery::BeyondWindow => {
            put(&mut forged, segment + 4, expected.wrapping_add(BEYOND));
            forged[segment + 13] &= !FIN;
        }
        Forgery::Old => {
            let (value, _) = seen.stamps?;
            let at = stamps_at(&forged[segment + 20..body])? + segment + 20;
            put(&mut forged, at, value.wrapping_sub(1 << 29));
            if seen.payload.is_empty() {
                return None;
            }
            forged[body..].iter_mut().for_each(|octet| *octet ^= 0x5a);
            forged[segment + 13] &= !FIN;
        }
        Forgery::Urgent => {
            forged[segment + 13] |= URG;
            forged[segment + 18..segment + 20].copy_from_slice(&[0, 5]);
        }
        Forgery::Half => {
            let half = seen.payload.len() / 2;
            if half == 0 {
                return None;
            }
            forged.drain(body..body + half);
            put(
                &mut forged,
                segment + 4,
                seen.sequence.wrapping_add(half as u32),
            );
            forged[segment + 13] &= !PSH;
        }
    }
    mend(&mut forged);
    Some(forged)
}

/// Its options are a selective acknowledgement of what will be sent next, perhaps, and of much more.
fn with_block(real: &[u8], segment: usize, seen: &Seen<'_>) -> Option<Vec<u8>> {
    let header = seen.header + BLOCK.len() + 8;
    if header > 60 {
        return None;
    }
    let end = segment + seen.header;
    let mut forged = real[..end].to_vec();
    forged[segment + 12] = (header as u8 / 4) << 4 | forged[segment + 12] & 0x0f;
    forged.extend_from_slice(&BLOCK);
    forged.extend_from_slice(&seen.acknowledgment.wrapping_add(1).to_be_bytes());
    forged.extend_from_slice(&seen.acknowledgment.wrapping_add(FAR).to_be_bytes());
    Some(forged)
}

/// Two fillers, the kind, and the length with one block (RFC 2018 section 3).
const BLOCK: [u8; 4] = [1, 1, 5, 10];

/// Where the value stands in options.
fn stamps_at(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            0 => return None,
            1 => at += 1,
            8 => return Some(at + 2),
            _ => at += usize::from(*options.get(at + 1)?).max(2),
        }
    }
}

fn put(packet: &mut [u8], at: usize, number: u32) {
    packet[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

/// More than any of the lab's senders has in flight.
const FAR: u32 = 1 << 24;
/// In every window but the least.
const NEAR: u32 = 3;
/// In no window of the lab.
const BEYOND: u32 = 1 << 22;
