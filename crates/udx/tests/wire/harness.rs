//! What holds for any bytes that arrive: for the vectors, for random bytes and for a fuzzer.

use gapless_udx::wire::{
    AckRanges, Datagram, Dialect, EncodeError, Encoder, Frame, MAX_VALUE, Packet, Version,
    VersionNegotiation, kind, peek_destination, peek_ids,
};

/// Decodes `datagram` in every dialect. What is accepted can be written again, and is the same when it is read again.
pub(crate) fn check(datagram: &[u8]) {
    let _ = (peek_destination(datagram), peek_ids(datagram));
    for dialect in [Dialect::V3, Dialect::Dart30, Dialect::V2] {
        match Datagram::decode_as(datagram, dialect) {
            Err(_) => {}
            Ok(Datagram::VersionNegotiation(list)) => check_negotiation(&list, datagram),
            Ok(Datagram::Packet(packet)) => check_packet(&packet, datagram, dialect),
        }
    }
}

fn check_negotiation(list: &VersionNegotiation<'_>, datagram: &[u8]) {
    let versions: Vec<u32> = list.versions().collect();
    let mut buffer = vec![0; datagram.len()];
    let len =
        VersionNegotiation::encode(&mut buffer, list.destination, list.source, &versions).unwrap();
    assert!(
        datagram.len() - len < 4,
        "only what is short of a version is ignored"
    );
    assert_eq!(buffer[..len], datagram[..len]);
}

fn check_packet(packet: &Packet<'_>, datagram: &[u8], dialect: Dialect) {
    let version = dialect.version();
    assert_eq!(
        packet.header().encoded_len() + packet.payload().len(),
        datagram.len()
    );
    let said: usize = packet.frames().map(|frame| frame.encoded_len()).sum();
    assert_eq!(said, packet.payload().len(), "the frames are the payload");

    let largest_value = packet
        .frames()
        .map(|frame| check_frame(&frame))
        .max()
        .unwrap_or(0);
    let mut first = vec![0; datagram.len()];
    match encode(packet, version, &mut first) {
        Ok(len) => assert_eq!(len, datagram.len(), "nothing gets longer or shorter"),
        Err(error) => {
            assert_eq!(error, EncodeError::ValueTooLarge);
            assert!(largest_value > MAX_VALUE, "{packet:?}");
            return;
        }
    }
    // UDX2 D1: such a frame is written with Go's number, whichever it came with, and read by its surroundings.
    if dialect == Dialect::V2
        && packet
            .frames()
            .any(|frame| frame.kind() > kind::CONNECTION_CLOSE)
    {
        return;
    }
    let reader = match version {
        Version::V2 => Dialect::V2,
        _ => Dialect::V3,
    };
    let Ok(Datagram::Packet(again)) = Datagram::decode_as(&first, reader) else {
        panic!("{packet:?} does not survive")
    };
    assert_eq!(again.header(), packet.header());
    assert!(
        again.frames().eq(packet.frames()),
        "{packet:?} became {again:?}"
    );
    let mut second = vec![0; datagram.len()];
    assert_eq!(encode(&again, version, &mut second), Ok(first.len()));
    assert_eq!(first, second);
}

/// Checks what can be said of one frame, and gives its largest 64 bit value.
fn check_frame(frame: &Frame<'_>) -> u64 {
    match frame {
        Frame::Ack(ack) => {
            let raw = u64::from(u32::from(ack.largest));
            for largest in [raw, raw + (1 << 32), u64::MAX, 0] {
                check_ranges(ack.ranges(largest), largest);
            }
            0
        }
        Frame::Stream(stream) => stream.end(),
        Frame::MaxData { limit }
        | Frame::DataBlocked { limit }
        | Frame::StreamDataBlocked { limit, .. } => *limit,
        Frame::NewConnectionId {
            index,
            retire_below,
            ..
        } => *index.max(retire_below),
        Frame::RetireConnectionId { index } => *index,
        _ => 0,
    }
}

/// At most 256 ranges, none empty, each below the one before.
fn check_ranges(ranges: AckRanges<'_>, largest: u64) {
    let mut below = None;
    let mut count = 0;
    for range in ranges {
        assert!(!range.is_empty());
        let top = below.unwrap_or(u128::from(largest) + 1);
        assert!(
            u128::from(*range.end()) < top,
            "{range:?} is not below {top}"
        );
        below = Some(u128::from(*range.start()));
        count += 1;
    }
    assert!(count <= 256, "{count} ranges");
}

fn encode(packet: &Packet<'_>, version: Version, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let mut encoder = Encoder::new(buffer, version);
    encoder.header(packet.header())?;
    packet
        .frames()
        .try_for_each(|frame| encoder.frame(&frame))?;
    Ok(encoder.written())
}
