//! ACK frames: read against arithmetic that cannot wrap, and written from sets of numbers.

use super::script::Script;
use gapless_seq::RangeSet;
use gapless_udx::wire::{Ack, ConnectionId, Encoder, Frame, Header, Packet, Version};
use std::ops::RangeInclusive;

/// A first byte tells whether the others are a frame from the wire or a set of numbers to be put there.
pub(super) fn acks(data: &[u8]) {
    let mut script = Script(data);
    let near = script.place();
    if script.byte().unwrap_or(0).is_multiple_of(2) {
        from_wire(script.0, near);
    } else {
        to_wire(&mut script, near);
    }
}

fn from_wire(body: &[u8], near: u64) {
    let mut datagram = vec![0; 64];
    let start = header(&mut datagram);
    datagram.truncate(start);
    datagram.push(ACK);
    datagram.extend_from_slice(body);
    let Ok(packet) = Packet::decode_as(&datagram, Version::V3.dialect()) else {
        return;
    };
    for frame in packet.frames() {
        if let Frame::Ack(ack) = frame {
            let largest = ack.largest.expand(near);
            let said: Vec<RangeInclusive<u64>> = ack.ranges(largest).collect();
            assert_eq!(said, meant(&ack, largest), "{ack:?} at {largest}");
        }
    }
}

/// UDX 2.3, word by word, in integers wide enough for all.
fn meant(ack: &Ack<'_>, largest: u64) -> Vec<RangeInclusive<u64>> {
    let mut meant = Vec::new();
    // One above the next number that is spoken of.
    let mut top = i128::from(largest) + 1;
    let spoken = std::iter::once((0, ack.first)).chain(ack.extra.iter().map(|r| (r.gap, r.length)));
    for (gap, length) in spoken {
        top -= i128::from(gap);
        let bottom = top - i128::from(length);
        if top > 0 && length > 0 {
            meant.push(bottom.max(0) as u64..=(top - 1) as u64);
        }
        top = bottom;
    }
    meant
}

fn to_wire(script: &mut Script<'_>, near: u64) {
    let mut set = RangeSet::<64>::new();
    let mut at = near;
    let room = 12 + script.byte().map_or(0, usize::from);
    let most = script.byte().unwrap_or(32);
    while let Some(step) = script.byte() {
        // Now and then a gap that one byte cannot state.
        let gap = if step == 255 { 300 } else { u64::from(step) };
        let start = at.saturating_add(gap);
        at = start.saturating_add(1 + u64::from(script.byte().unwrap_or(0)));
        if set.insert(start..at).is_err() {
            break;
        }
    }
    let mut datagram = vec![0; 64 + room];
    let start = header(&mut datagram);
    let mut encoder = Encoder::new(&mut datagram[..start + room], Version::V3);
    assert!(encoder.header(&HEADER).is_ok(), "there is room for it");
    let down = || {
        set.iter()
            .rev()
            .map(|range| range.start..=range.end.saturating_sub(1))
    };
    let Ok(count) = encoder.ack(7, down(), most) else {
        assert!(set.is_empty(), "the first range always has room");
        return;
    };
    let len = encoder.written();
    let packet = Packet::decode_as(&datagram[..len], Version::V3.dialect());
    let packet = packet.expect("what was written is read");
    let Some(Frame::Ack(ack)) = packet.frames().next() else {
        panic!("an ACK was written");
    };
    let largest = ack.largest.expand(at);
    let said: Vec<RangeInclusive<u64>> = ack.ranges(largest).collect();
    let said_all = said.iter().cloned().eq(down().take(count));
    assert!(said_all, "{said:?} of {set:?}");
    assert!(count <= usize::from(most) + 1);
}

fn header(buffer: &mut [u8]) -> usize {
    let mut encoder = Encoder::new(buffer, Version::V3);
    assert!(encoder.header(&HEADER).is_ok(), "there is room for it");
    encoder.written()
}

const HEADER: Header = Header {
    version: 3,
    destination: ConnectionId::EMPTY,
    source: ConnectionId::EMPTY,
    number: gapless_seq::Wire32::new(1),
    destination_stream: 2,
    source_stream: 3,
};

/// The type byte of an ACK.
const ACK: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_byte_is_that_of_an_ack() {
        let mut datagram = vec![0; 100];
        let start = header(&mut datagram);
        let mut encoder = Encoder::new(&mut datagram, Version::V3);
        encoder.header(&HEADER).unwrap();
        encoder.ack(0, [1..=2].into_iter(), 1).unwrap();
        assert_eq!(datagram[start], ACK);
    }
}
