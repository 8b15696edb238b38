//! Lies about what arrived, made from packets that a peer really sent.

use crate::watch::decode;
use gapless_seq::Wire32;
use gapless_udx::wire::{Ack, Datagram, Encoder, ExtraRanges, Frame, Header, Version};

/// What `real` acknowledges, and more than was ever sent (R3): `next` is the number that comes next. `None` if it acknowledges
/// nothing.
pub(crate) fn ack_of_unsent(real: &[u8], next: u64) -> Option<Vec<u8>> {
    let Ok(Datagram::Packet(packet)) = decode(real) else {
        return None;
    };
    let is_ack = |frame| matches!(frame, Frame::Ack(_));
    if !packet.frames().any(is_ack) {
        return None;
    }
    let header = Header {
        number: Wire32::new(0),
        ..*packet.header()
    };
    let ack = Ack {
        largest: Wire32::truncate(next + 5),
        delay_ms: 0,
        first: 200,
        extra: ExtraRanges::NONE,
    };
    let mut forged = vec![0; 100];
    let mut encoder = Encoder::new(&mut forged, Version::from_wire(header.version)?);
    encoder.header(&header).ok()?;
    encoder.frame(&Frame::Ack(ack)).ok()?;
    let len = encoder.written();
    forged.truncate(len);
    Some(forged)
}
