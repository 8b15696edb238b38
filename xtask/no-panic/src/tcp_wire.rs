//! The public functions of `gapless_tcp::wire`: every octet that a network delivers goes through them first.

use core::hint::black_box;
use core::net::IpAddr;
use gapless_tcp::wire::{
    Checksum, Flags, Header, IcmpError, Options, Packet, PacketHeader, SackBlock, SackBlocks,
    Segment, Verify, header_len, is_answerable,
};

#[unsafe(no_mangle)]
fn tcp_wire_parse(octets: &[u8], verify: Verify) -> bool {
    let Ok(packet) = Packet::parse(octets, verify) else {
        return false;
    };
    black_box(IcmpError::parse(&packet, verify));
    black_box(is_answerable(&packet.source));
    match Segment::parse(packet.source, packet.destination, packet.payload, verify) {
        Ok(segment) => black_box(segment).length() > 0,
        Err(error) => {
            let _ = black_box(error);
            false
        }
    }
}

#[unsafe(no_mangle)]
fn tcp_wire_write(
    buffer: &mut [u8],
    packet: &PacketHeader,
    segment: &Header,
    verify: Verify,
) -> Option<usize> {
    black_box((packet.is_empty(), segment.is_empty(), segment.len()));
    black_box((packet.len(), header_len(&packet.destination)));
    let length = packet.write(buffer, verify)?;
    let rest = buffer.get_mut(length..)?;
    segment.write(packet.source, packet.destination, rest, verify)
}

#[unsafe(no_mangle)]
fn tcp_wire_options(octets: &[u8], blocks: &[SackBlock]) -> usize {
    let mut options = black_box(Options::parse(octets));
    options.sack = blocks.iter().copied().collect::<SackBlocks>();
    for block in blocks {
        black_box(options.sack.push(*block));
    }
    for block in options.sack.iter() {
        black_box(block);
    }
    black_box((options.sack.len(), options.sack.is_empty()));
    options.encoded_len()
}

#[unsafe(no_mangle)]
fn tcp_wire_values(octets: &[u8], source: IpAddr, destination: IpAddr, bits: [u8; 2]) -> u16 {
    let [left, right] = bits.map(Flags::from_octet);
    black_box((left | right, left.has(right), left.without(right)));
    black_box((left.with_if(octets.is_empty(), right), left.octet()));
    let mut sum = Checksum::pseudo_header(source, destination, left.octet(), octets.len());
    sum.add(octets);
    black_box(Checksum::new().finish());
    sum.finish()
}
