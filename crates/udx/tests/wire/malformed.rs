//! Every reason to reject a datagram, by name.

use std::collections::HashSet;

use gapless_udx::wire::{Datagram, DecodeError, Dialect, Field, Frame, kind};

/// A header with ids of `D` and `S` bytes, by claim, over `rest`.
fn with_ids(d: u8, s: u8, rest: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0, 0, 0, 3, d];
    datagram.resize(datagram.len() + usize::from(d), 0xd1);
    datagram.push(s);
    datagram.resize(datagram.len() + usize::from(s), 0x51);
    datagram.extend_from_slice(rest);
    datagram
}

/// A packet of these frame bytes about stream 5 to 6.
fn packet(frames: &[u8]) -> Vec<u8> {
    let mut rest = vec![0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 6];
    rest.extend_from_slice(frames);
    with_ids(8, 8, &rest)
}

/// Variants and fields as numbers; whoever adds one is led here.
fn reason(error: DecodeError) -> usize {
    let field = |field| match field {
        Field::DestinationId => 0,
        Field::SourceId => 1,
        Field::Number => 2,
        Field::DestinationStream => 3,
        Field::SourceStream => 4,
    };
    match error {
        DecodeError::TooShort { .. } => 0,
        DecodeError::UnknownFrame { .. } => 1,
        DecodeError::TruncatedFrame { .. } => 2,
        DecodeError::NewConnectionIdTooLong { .. } => 3,
        DecodeError::FieldPastEnd(past) => 4 + field(past),
        DecodeError::ConnectionIdTooLong { field: long, .. } => 9 + field(long),
    }
}

/// Ids are fields 0 and 1: the other three of `ConnectionIdTooLong` cannot be.
const REASONS: usize = 11;

#[test]
fn each_reason_has_a_name() {
    use DecodeError::{
        ConnectionIdTooLong, FieldPastEnd, NewConnectionIdTooLong, TooShort, TruncatedFrame,
        UnknownFrame,
    };
    let mut long_id = vec![kind::NEW_CONNECTION_ID];
    long_id.resize(17, 0);
    long_id.push(21);
    long_id.resize(18 + 21 + 16, 0);

    let cases = [
        (vec![], TooShort { len: 0 }),
        (vec![0, 0, 0], TooShort { len: 3 }),
        (vec![0, 0, 0, 3], TooShort { len: 4 }),
        (with_ids(0, 0, &[0; 11]), TooShort { len: 17 }),
        (vec![0, 0, 0, 0, 0], TooShort { len: 5 }),
        (
            with_ids(21, 0, &[0; 12]),
            ConnectionIdTooLong {
                field: Field::DestinationId,
                len: 21,
            },
        ),
        (
            with_ids(0, 255, &[0; 12]),
            ConnectionIdTooLong {
                field: Field::SourceId,
                len: 255,
            },
        ),
        (
            vec![0, 0, 0, 0, 21, 0],
            ConnectionIdTooLong {
                field: Field::DestinationId,
                len: 21,
            },
        ),
        (
            vec![0, 0, 0, 0, 0, 99],
            ConnectionIdTooLong {
                field: Field::SourceId,
                len: 99,
            },
        ),
        (
            with_ids(20, 0, &[])[..18].to_vec(),
            FieldPastEnd(Field::DestinationId),
        ),
        (
            with_ids(13, 0, &[])[..18].to_vec(),
            FieldPastEnd(Field::SourceId),
        ),
        (
            with_ids(8, 8, &[])[..18].to_vec(),
            FieldPastEnd(Field::SourceId),
        ),
        (vec![0, 0, 0, 0, 8, 1], FieldPastEnd(Field::DestinationId)),
        (vec![0, 0, 0, 0, 1, 8], FieldPastEnd(Field::SourceId)),
        (with_ids(8, 8, &[0; 3]), FieldPastEnd(Field::Number)),
        (
            with_ids(8, 8, &[0; 4]),
            FieldPastEnd(Field::DestinationStream),
        ),
        (with_ids(8, 8, &[0; 11]), FieldPastEnd(Field::SourceStream)),
        (packet(&[0x0c]), UnknownFrame { kind: 0x0c }),
        (packet(&[kind::PING, 0x12]), UnknownFrame { kind: 0x12 }),
        (packet(&[0xff; 30]), UnknownFrame { kind: 0xff }),
        (
            packet(&[kind::ACK, 0, 0]),
            TruncatedFrame { kind: kind::ACK },
        ),
        (packet(&long_id), NewConnectionIdTooLong { len: 21 }),
    ];
    let mut seen = HashSet::new();
    for (datagram, expected) in cases {
        let error = Datagram::decode(&datagram).expect_err("malformed");
        assert_eq!(error, expected, "{datagram:02x?}");
        assert!(!error.to_string().is_empty());
        seen.insert(reason(error));
    }
    assert_eq!(seen, (0..REASONS).collect());
}

#[test]
fn each_frame_is_refused_one_byte_short() {
    let whole: [(u8, usize); 15] = [
        (kind::ACK, 12),
        (kind::STREAM, 12),
        (kind::WINDOW_UPDATE, 5),
        (kind::MAX_DATA, 9),
        (kind::RESET_STREAM, 5),
        (kind::MAX_STREAMS, 5),
        (kind::PATH_CHALLENGE, 9),
        (kind::PATH_RESPONSE, 9),
        (kind::CONNECTION_CLOSE, 11),
        (kind::STOP_SENDING, 9),
        (kind::DATA_BLOCKED, 9),
        (kind::STREAM_DATA_BLOCKED, 13),
        (kind::NEW_CONNECTION_ID, 34),
        (kind::RETIRE_CONNECTION_ID, 9),
        (kind::PING, 1),
    ];
    for (kind, len) in whole {
        let mut frame = vec![0; len];
        frame[0] = kind;
        assert!(Datagram::decode(&packet(&frame)).is_ok(), "{kind:#x}");
        for short in 1..len {
            let datagram = packet(&frame[..short]);
            let error = Datagram::decode(&datagram).expect_err("cut");
            assert_eq!(
                error,
                DecodeError::TruncatedFrame { kind },
                "{short} of {len} bytes"
            );
        }
    }
    // What a length byte promises has to be there too.
    for (kind, len, at, value) in [
        (kind::ACK, 12 + 5, 7, 1),
        (kind::STREAM, 12 + 1, 11, 1),
        (kind::CONNECTION_CLOSE, 11 + 1, 10, 1),
        (kind::NEW_CONNECTION_ID, 34 + 1, 17, 1),
    ] {
        let mut frame = vec![0; len];
        frame[0] = kind;
        frame[at] = value;
        assert!(Datagram::decode(&packet(&frame)).is_ok(), "{kind:#x}");
        let error = Datagram::decode(&packet(&frame[..len - 1]))
            .expect_err("cut")
            .to_owned();
        assert_eq!(error, DecodeError::TruncatedFrame { kind });
    }
}

/// UDX 2.1: data in front of one bad byte do not count.
#[test]
fn one_bad_frame_spoils_the_packet() {
    let mut frames = vec![kind::STREAM, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'x'];
    assert!(Datagram::decode(&packet(&frames)).is_ok());
    frames.push(0x0c);
    let error = Datagram::decode(&packet(&frames)).expect_err("0x0c is no frame");
    assert_eq!(error, DecodeError::UnknownFrame { kind: 0x0c });
}

/// D4: 0x0c means STOP_SENDING only with exactly eight bytes behind it, a stream in the header, and a sender that may be Dart.
#[test]
fn the_old_stop_sending_of_dart() {
    let stop = [0x0c, 0, 0, 0, 7, 0, 0, 0, 9];
    let no_stream = with_ids(8, 8, &[&[0; 12][..], &stop].concat());
    let one_stream = with_ids(
        8,
        8,
        &[&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &stop].concat(),
    );
    let unknown = Some(DecodeError::UnknownFrame { kind: 0x0c });

    let as_dart = |datagram: &[u8]| Datagram::decode_as(datagram, Dialect::Dart30).err();
    assert_eq!(as_dart(&packet(&stop)), None);
    assert_eq!(as_dart(&one_stream), None);
    assert_eq!(as_dart(&packet(&[&[kind::PING][..], &stop].concat())), None);
    assert_eq!(as_dart(&no_stream), unknown);
    assert_eq!(as_dart(&packet(&stop[..8])), unknown);
    assert_eq!(
        as_dart(&packet(&[&stop[..], &[kind::PADDING]].concat())),
        unknown
    );
    assert_eq!(Datagram::decode(&packet(&stop)).err(), unknown);

    let datagram = packet(&stop);
    let Ok(Datagram::Packet(old)) = Datagram::decode_as(&datagram, Dialect::Dart30) else {
        panic!("a packet")
    };
    assert!(old.speaks_dart30());
    assert!(old.frames().eq([Frame::StopSending { stream: 7, code: 9 }]));

    let datagram = packet(&[&[kind::STOP_SENDING][..], &stop[1..]].concat());
    let Ok(Datagram::Packet(new)) = Datagram::decode_as(&datagram, Dialect::Dart30) else {
        panic!("a packet")
    };
    assert!(!new.speaks_dart30());
    assert!(new.frames().eq(old.frames()));
}
