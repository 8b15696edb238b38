//! What the observer finds.

use super::*;
use crate::plan::StreamPlan;
use gapless_link::Profile;
use gapless_udx::wire::{Encoder, ExtraRanges, Header, VERSION};

const STREAM: u32 = 0x8000_0001;
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4001);

fn watch() -> Watch {
    let scenario = Scenario::plain(1, &Profile::default(), vec![StreamPlan::bulk(10, 10)]);
    let mut watch = Watch::new(&scenario);
    // Enough for the acceptor to answer.
    watch.sides[1].paths.entry(PEER).or_default().received = 1_000_000;
    watch
}

fn packet(number: u32, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut buffer = vec![0; 2000];
    let mut encoder = Encoder::new(&mut buffer, Version::V3);
    let header = Header {
        version: VERSION,
        destination: ConnectionId::new(&[1; 8]).unwrap(),
        source: ConnectionId::new(&[2; 8]).unwrap(),
        number: number.into(),
        destination_stream: STREAM,
        source_stream: STREAM,
    };
    encoder.header(&header).unwrap();
    for frame in frames {
        encoder.frame(frame).unwrap();
    }
    let len = encoder.written();
    buffer.truncate(len);
    buffer
}

fn stream(offset: u64, len: usize) -> Frame<'static> {
    let data = &[0; 1400][..len];
    Frame::Stream(Stream {
        syn: false,
        fin: false,
        offset,
        data,
    })
}

fn fin(offset: u64) -> Frame<'static> {
    Frame::Stream(Stream {
        syn: false,
        fin: true,
        offset,
        data: &[],
    })
}

fn ack(largest: u32, first: u32) -> Frame<'static> {
    let extra = ExtraRanges::NONE;
    Frame::Ack(Ack {
        largest: largest.into(),
        delay_ms: 0,
        first,
        extra,
    })
}

/// The rule that the last packet breaks, after all others broke none. Each is a host that sends and what.
fn broken(packets: &[(usize, Vec<u8>)]) -> Option<Rule> {
    let mut watch = watch();
    let (last, before) = packets.split_last().unwrap();
    for (host, packet) in before {
        watch.sent(*host, PEER, packet).unwrap();
        watch.delivered(1 - host, PEER, packet);
    }
    watch
        .sent(last.0, PEER, &last.1)
        .err()
        .map(|(rule, _)| rule)
}

#[test]
fn a_number_used_twice_is_found() {
    let again = |number| {
        broken(&[
            (0, packet(7, &[stream(0, 10)])),
            (0, packet(number, &[stream(0, 10)])),
        ])
    };
    assert_eq!(again(7), Some(Rule::Books));
    assert_eq!(again(3), Some(Rule::Books));
    assert_eq!(again(8), None);
    assert_eq!(again(100), None);
}

#[test]
fn numbers_are_held_apart_from_the_headers_of_packets_without_one() {
    let acknowledgement = packet(0, &[ack(7, 1)]);
    let data = packet(7, &[stream(0, 10)]);
    assert_eq!(
        broken(&[(0, data.clone()), (1, data), (0, acknowledgement)]),
        None
    );
}

#[test]
fn an_acknowledgement_of_what_never_came_is_found() {
    let data = || (0, packet(7, &[stream(0, 10)]));
    assert_eq!(broken(&[data(), (1, packet(0, &[ack(7, 1)]))]), None);
    for (largest, first) in [(8, 1), (7, 2), (8, 2), (6, 1)] {
        let broken = broken(&[data(), (1, packet(0, &[ack(largest, first)]))]);
        assert_eq!(
            broken,
            Some(Rule::Acknowledgement),
            "{largest} down {first}"
        );
    }
}

#[test]
fn other_boundaries_are_found() {
    let then = |offset, len| {
        let first = [
            (0, packet(0, &[stream(0, 10)])),
            (0, packet(1, &[stream(10, 10)])),
        ];
        broken(&[
            first[0].clone(),
            first[1].clone(),
            (0, packet(2, &[stream(offset, len)])),
        ])
    };
    assert_eq!(then(5, 10), Some(Rule::Wire));
    assert_eq!(then(0, 20), Some(Rule::Wire));
    assert_eq!(then(30, 5), Some(Rule::Wire));
    assert_eq!(then(10, 10), None);
    assert_eq!(then(10, 3), None);
    assert_eq!(then(12, 3), Some(Rule::Wire));
    assert_eq!(then(20, 5), None);
}

#[test]
fn data_beyond_a_limit_is_found_and_an_update_allows_it() {
    let mut packets: Vec<(usize, Vec<u8>)> = (0..64)
        .map(|index| (0, packet(index, &[stream(u64::from(index) * 1024, 1024)])))
        .collect();
    packets.push((0, packet(64, &[stream(65_536, 1)])));
    assert_eq!(broken(&packets), Some(Rule::InFlight));
    let update = packet(
        0,
        &[Frame::WindowUpdate {
            limit: 65_537.into(),
        }],
    );
    packets.insert(64, (1, update));
    assert_eq!(broken(&packets), None);
    packets.push((0, packet(65, &[stream(65_537, 1)])));
    assert_eq!(broken(&packets), Some(Rule::InFlight));
}

#[test]
fn a_limit_that_moves_back_is_found() {
    let update = |limit: u32| {
        (
            1,
            packet(
                0,
                &[Frame::WindowUpdate {
                    limit: limit.into(),
                }],
            ),
        )
    };
    assert_eq!(broken(&[update(100_000), update(100_000)]), None);
    assert_eq!(
        broken(&[update(100_000), update(99_999)]),
        Some(Rule::Window)
    );
}

#[test]
fn an_end_that_moves_is_found() {
    let data = || (0, packet(0, &[stream(0, 10)]));
    assert_eq!(
        broken(&[
            data(),
            (0, packet(1, &[fin(10)])),
            (0, packet(2, &[fin(10)]))
        ]),
        None
    );
    assert_eq!(
        broken(&[data(), (0, packet(1, &[fin(9)]))]),
        Some(Rule::Wire)
    );
    let behind = [
        data(),
        (0, packet(1, &[fin(10)])),
        (0, packet(2, &[stream(10, 1)])),
    ];
    assert_eq!(broken(&behind), Some(Rule::Wire));
}

#[test]
fn amplification_is_found_until_the_address_is_proven() {
    let mut watch = watch();
    watch.sides[1].paths.clear();
    let small = packet(0, &[Frame::Ping]);
    watch.delivered(1, PEER, &small);
    let large = packet(0, &[stream(0, 4 * small.len())]);
    assert_eq!(watch.sent(1, PEER, &large).unwrap_err().0, Rule::Wire);
    let response = |nonce| packet(0, &[Frame::PathResponse { nonce }]);
    watch.delivered(1, PEER, &response(1));
    assert!(watch.sent(1, PEER, &large).is_err(), "nobody asked");
    let challenge = packet(0, &[Frame::PathChallenge { nonce: 2 }]);
    watch.sides[1].paths.entry(PEER).or_default().sent = 0;
    watch.sent(1, PEER, &challenge).unwrap();
    watch.delivered(1, PEER, &response(2));
    assert_eq!(
        watch.sent(1, PEER, &packet(1, &[stream(0, 4 * small.len())])),
        Ok(())
    );
}

#[test]
fn what_is_no_packet_or_a_strange_one_is_found() {
    assert_eq!(broken(&[(0, vec![1, 2, 3])]), Some(Rule::Wire));
    let mut strange = packet(1, &[stream(0, 1)]);
    strange[3] = 4;
    assert_eq!(broken(&[(0, strange)]), Some(Rule::Wire));
    let mut other_id = packet(1, &[stream(0, 1)]);
    other_id[6] ^= 1;
    assert_eq!(
        broken(&[(0, packet(0, &[stream(0, 1)])), (0, other_id)]),
        Some(Rule::Wire)
    );
}

#[test]
fn numbers_may_wrap_on_the_wire() {
    let mut scenario = Scenario::plain(1, &Profile::default(), vec![]);
    for host in &mut scenario.hosts {
        host.config.connection.first_number = (1 << 32) - 2;
    }
    let mut watch = Watch::new(&scenario);
    for (index, number) in [u32::MAX - 1, u32::MAX, 0, 1].into_iter().enumerate() {
        let data = packet(number, &[stream(index as u64, 1)]);
        assert_eq!(watch.sent(0, PEER, &data), Ok(()));
        watch.delivered(1, PEER, &data);
    }
    watch.sides[1].paths.entry(PEER).or_default().proven = true;
    assert_eq!(watch.sent(1, PEER, &packet(0, &[ack(1, 4)])), Ok(()));
    assert!(watch.sent(1, PEER, &packet(0, &[ack(1, 5)])).is_err());
}
