//! The public functions of `gapless_udx::wire`: every byte that a peer sends goes through them first.

use core::hint::black_box;
use core::ops::RangeInclusive;
use gapless_udx::wire::reset::{self, FILLER_LEN, Token};
use gapless_udx::wire::{
    Ack, ConnectionId, Datagram, Dialect, EncodeError, Encoder, ExtraRange, ExtraRanges, Frame,
    Header, Packet, Stream, Version, VersionNegotiation, peek_destination, peek_ids,
};

#[unsafe(no_mangle)]
fn wire_decode(datagram: &[u8], dialect: Dialect, largest: u64) -> bool {
    black_box((peek_destination(datagram), peek_ids(datagram)));
    black_box(Token::of(datagram) == Token::of(black_box(datagram)));
    let _ = black_box(Packet::decode_as(datagram, dialect));
    let (default, told) = (
        Datagram::decode(datagram),
        Datagram::decode_as(datagram, dialect),
    );
    for decoded in [default, told] {
        match decoded {
            Ok(Datagram::Packet(packet)) => look_at_packet(&packet, largest),
            Ok(Datagram::VersionNegotiation(offer)) => look_at_offer(&offer),
            Err(error) => drop(black_box(error)),
        }
    }
    true
}

fn look_at_packet(packet: &Packet<'_>, largest: u64) {
    let header = packet.header();
    black_box((header, header.encoded_len(), header.names_stream()));
    black_box((packet.payload(), packet.speaks_dart30()));
    for frame in packet.frames() {
        black_box((frame.kind(), frame.encoded_len()));
        black_box((frame.has_syn(), frame.is_numbered_stream()));
        match frame {
            Frame::Ack(ack) => look_at_ack(&ack, largest),
            Frame::Stream(stream) => drop(black_box((stream.end(), stream.is_numbered()))),
            Frame::Ordered(stream) => drop(black_box((stream.at(largest), stream.is_numbered()))),
            other => drop(black_box(other)),
        }
    }
}

fn look_at_ack(ack: &Ack<'_>, largest: u64) {
    for range in ack.ranges(largest) {
        black_box(range);
    }
    for extra in ack.extra.iter() {
        black_box(extra);
    }
    black_box((ack.encoded_len(), ack.extra.len(), ack.extra.is_empty()));
}

fn look_at_offer(offer: &VersionNegotiation<'_>) {
    for version in offer.versions() {
        black_box(offer.lists(version));
    }
    black_box((offer.destination, offer.source));
}

#[unsafe(no_mangle)]
fn wire_values(bytes: &[u8], version: u32, extra: &[[u8; ExtraRange::LEN]]) {
    if let Some(id) = ConnectionId::new(bytes) {
        black_box((
            id.as_slice(),
            id.len(),
            id.is_empty(),
            id == ConnectionId::EMPTY,
        ));
    }
    let known = Version::from_wire(version);
    black_box(known.map(|known| (known.wire(), known.dialect(), known.stream_header_len())));
    black_box((Dialect::Dart30.version(), ExtraRanges::new(extra)));
    black_box(Ack::encoded_len_with(extra.len()));
}

#[unsafe(no_mangle)]
fn wire_encode(
    buffer: &mut [u8],
    version: Version,
    header: &Header,
    frames: &[Frame<'_>],
    size: usize,
) -> usize {
    let mut encoder = Encoder::new(buffer, version);
    let _ = black_box(encoder.header(header));
    for frame in frames {
        let _ = black_box(encoder.frame(frame));
    }
    let _ = black_box(encoder.pad_probe(size));
    black_box((encoder.remaining(), encoder.stream_room()));
    encoder.written()
}

#[unsafe(no_mangle)]
fn wire_encode_ack(
    buffer: &mut [u8],
    delay_ms: u16,
    ranges: &[RangeInclusive<u64>],
    max_extra: u8,
) -> Result<usize, EncodeError> {
    Encoder::new(buffer, Version::V3).ack(delay_ms, ranges.iter().cloned(), max_extra)
}

#[unsafe(no_mangle)]
fn wire_encode_stream(buffer: &mut [u8], version: Version, stream: &Stream<'_>, len: u16) -> bool {
    let mut encoder = Encoder::new(buffer, version);
    let room = encoder.stream_header(stream.syn, stream.fin, stream.offset, len);
    room.map(|room| room.fill(0)).is_ok()
}

#[unsafe(no_mangle)]
fn wire_encode_other(
    buffer: &mut [u8],
    ids: &[ConnectionId; 2],
    versions: &[u32],
    token: Token,
    random: &[u8; FILLER_LEN],
) {
    let [destination, source] = *ids;
    black_box(VersionNegotiation::encoded_len(
        destination,
        source,
        versions.len(),
    ));
    let _ = black_box(VersionNegotiation::encode(
        buffer,
        destination,
        source,
        versions,
    ));
    black_box(reset::encode(buffer, versions.len(), token, random));
}
