//! Packets that nobody sent, made from some that somebody did.

use super::packet::{ACK, FIN, PSH, RST, SYN, Seen, URG, mend};
use super::plan::Forgery;
use super::watch::Known;

/// What becomes of `real`, of which `seen` tells; nothing where it would be no forgery, or do what its name does not say.
pub(crate) fn forge(forgery: Forgery, real: &[u8], seen: &Seen<'_>, known: &Known) -> Vec<Vec<u8>> {
    if seen.has(SYN) || seen.has(RST) || !seen.has(ACK) {
        return Vec::new();
    }
    match forgery {
        Forgery::Crumbs => crumbs(real, seen),
        _ => forge_one(forgery, real, seen, known).into_iter().collect(),
    }
}

fn forge_one(forgery: Forgery, real: &[u8], seen: &Seen<'_>, known: &Known) -> Option<Vec<u8>> {
    let expected = known.expected;
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
        Forgery::Overlap => {
            let overlap = known.before.len();
            if overlap == 0 || seen.payload.is_empty() {
                return None;
            }
            forged.splice(body..body, known.before.iter().copied());
            put(
                &mut forged,
                segment + 4,
                seen.sequence.wrapping_sub(overlap as u32),
            );
        }
        Forgery::Longer => {
            if !known.fills || seen.payload.is_empty() || seen.has(FIN) {
                return None;
            }
            forged.extend_from_slice(&[0x5a; BEHIND]);
        }
        // More than one packet.
        Forgery::Crumbs => return None,
    }
    mend(&mut forged);
    Some(forged)
}

/// From the last to the first, so that each is another piece.
fn crumbs(real: &[u8], seen: &Seen<'_>) -> Vec<Vec<u8>> {
    let body = real.len() - seen.payload.len();
    let segment = body - seen.header;
    let places = (1..seen.payload.len()).step_by(2).take(CRUMBS).rev();
    let crumb = |place: usize| {
        let mut forged = real[..body].to_vec();
        forged.push(seen.payload[place]);
        put(
            &mut forged,
            segment + 4,
            seen.sequence.wrapping_add(place as u32),
        );
        forged[segment + 13] &= !(FIN | PSH);
        mend(&mut forged);
        forged
    };
    places.map(crumb).collect()
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
/// Octets that lie beyond a window.
const BEHIND: usize = 40;
/// More pieces than are kept.
const CRUMBS: usize = 40;
/// In no window of the lab.
const BEYOND: u32 = 1 << 22;
