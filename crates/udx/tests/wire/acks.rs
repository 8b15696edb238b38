//! ACK ranges, against a model that knows nothing of wrapping.

use std::ops::RangeInclusive;

use gapless_udx::wire::{Ack, Datagram, EncodeError, Encoder, ExtraRanges, Frame, Header, Version};
use proptest::prelude::*;

const HEADER: Header = Header {
    version: 3,
    destination: gapless_udx::wire::ConnectionId::EMPTY,
    source: gapless_udx::wire::ConnectionId::EMPTY,
    number: gapless_seq::Wire32::new(0),
    destination_stream: 0,
    source_stream: 0,
};

/// UDX 2.3 as it is written, in numbers that can be negative.
fn model(largest: u64, first: u32, extra: &[(u8, u32)]) -> Vec<RangeInclusive<u64>> {
    let mut ranges = Vec::new();
    let mut list = |top: i128, length: u32| {
        let bottom = (top - i128::from(length) + 1).max(0);
        if let (Ok(bottom), Ok(top)) = (u64::try_from(bottom), u64::try_from(top))
            && bottom <= top
        {
            ranges.push(bottom..=top);
        }
    };
    let mut cursor = i128::from(largest);
    list(cursor, first);
    cursor -= i128::from(first);
    for (gap, length) in extra {
        let top = cursor - i128::from(*gap);
        list(top, *length);
        cursor = top - i128::from(*length);
    }
    ranges
}

fn wire(extra: &[(u8, u32)]) -> Vec<[u8; 5]> {
    let wire = |(gap, length): &(u8, u32)| {
        let [a, b, c, d] = length.to_be_bytes();
        [*gap, a, b, c, d]
    };
    extra.iter().map(wire).collect()
}

fn lengths() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..60u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn positions() -> impl Strategy<Value = u64> {
    let near = |at: u64| (at - 600)..=(at + 600);
    prop_oneof![
        0..4000u64,
        near(1 << 32),
        near(7 << 32),
        (u64::MAX - 600)..=u64::MAX
    ]
}

proptest! {
    #[test]
    fn ranges_are_as_the_specification_walks_them(
        largest in positions(),
        first in lengths(),
        extra in prop::collection::vec((any::<u8>(), lengths()), 0..=255),
    ) {
        let bytes = wire(&extra);
        let ack = Ack {
            largest: gapless_seq::Wire32::truncate(largest),
            delay_ms: 0,
            first,
            extra: ExtraRanges::new(&bytes).unwrap(),
        };
        let ranges = ack.ranges(largest);
        prop_assert_eq!(ranges.clone().collect::<Vec<_>>(), model(largest, first, &extra));
        let (low, high) = ranges.size_hint();
        prop_assert!(low <= ranges.clone().count() && ranges.count() <= high.unwrap());
    }

    /// What is encoded from ranges is read as a first part of these ranges, as long as the frame can carry it.
    #[test]
    fn an_encoded_history_is_read_back(
        largest in positions(),
        steps in prop::collection::vec((1..400u64, 1..300u64), 1..300),
        max_extra in any::<u8>(),
        room in 0..1400usize,
    ) {
        let mut history = Vec::new();
        let mut top = Some(largest);
        for (length, gap) in steps {
            let Some(bottom) = top.and_then(|top| top.checked_sub(length - 1)) else { break };
            history.push(bottom..=bottom + (length - 1));
            top = bottom.checked_sub(gap + 1);
        }
        let mut buffer = vec![0; HEADER.encoded_len() + room];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        encoder.header(&HEADER).unwrap();
        let written = encoder.ack(7, history.iter().cloned(), max_extra);
        let len = encoder.written();
        if history.is_empty() {
            prop_assert_eq!(written, Err(EncodeError::NoRange));
            return Ok(());
        }
        if room < 12 {
            prop_assert_eq!(written, Err(EncodeError::NoRoom));
            prop_assert_eq!(len, HEADER.encoded_len());
            return Ok(());
        }
        let written = written.unwrap();
        prop_assert_eq!(len - HEADER.encoded_len(), Ack::encoded_len_with(written - 1));

        let Ok(Datagram::Packet(packet)) = Datagram::decode(&buffer[..len]) else { panic!() };
        let Some(Frame::Ack(ack)) = packet.frames().next() else { panic!() };
        prop_assert_eq!(ack.delay_ms, 7);
        prop_assert_eq!(ack.largest.expand(largest), largest);
        let read: Vec<_> = ack.ranges(largest).collect();
        prop_assert_eq!(&read[..], &history[..written]);

        let next_gap = history.get(written).map(|next| *history[written - 1].start() - *next.end() - 1);
        let ended = next_gap.is_none_or(|gap| gap > 255);
        let full = written == usize::from(max_extra) + 1 || room - (len - HEADER.encoded_len()) < 5;
        prop_assert!(ended || full, "stopped at {} of {}", written, history.len());
    }
}

/// What no caller should give is written as far as it makes sense, and never read as more than was meant.
#[test]
fn odd_histories() {
    let encode = |ranges: &[RangeInclusive<u64>], largest: u64| {
        let mut buffer = [0; 100];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        encoder.header(&HEADER).unwrap();
        encoder.ack(0, ranges.iter().cloned(), 255).unwrap();
        let len = encoder.written();
        let Ok(Datagram::Packet(packet)) = Datagram::decode(&buffer[..len]) else {
            panic!()
        };
        let Some(Frame::Ack(ack)) = packet.frames().next() else {
            panic!()
        };
        ack.ranges(largest).collect::<Vec<_>>()
    };
    let long = 5 << 32;
    // Adjacent, ascending, overlapping, empty in the middle, down to zero.
    assert_eq!(encode(&[8..=9, 6..=7], 9), [8..=9, 6..=7]);
    assert_eq!(encode(&[4..=5, 8..=9], 5), [4..=5]);
    assert_eq!(encode(&[4..=9, 3..=6], 9), [4..=9]);
    #[expect(clippy::reversed_empty_ranges)]
    let empty = 3..=2;
    assert_eq!(encode(&[empty.clone(), 4..=9, empty, 0..=1], 9), [4..=9]);
    assert_eq!(encode(&[4..=9, 0..=1], 9), [4..=9, 0..=1]);
    assert_eq!(encode(&[0..=0, 0..=0], 0), [0..=0]);
    // More numbers than a length can say: the highest, and nothing after them.
    let most = u64::from(u32::MAX);
    assert_eq!(encode(&[2..=long, 0..=0], long), [long - (most - 1)..=long]);
    assert_eq!(
        encode(&[long..=long, 2..=long - 2, 0..=0], long),
        [long..=long, long - 2 - (most - 1)..=long - 2]
    );
    assert_eq!(
        encode(&[0..=u64::MAX], u64::MAX),
        [u64::MAX - (most - 1)..=u64::MAX]
    );
}
