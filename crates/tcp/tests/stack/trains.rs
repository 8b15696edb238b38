//! Segment trains (TSO, GSO), packets that a device put together (GRO), and batches: they change what is copied and summed, never what is said.

use crate::net::{address, end, settings};
use gapless_tcp::wire::{Checksum, Flags, Packet, Segment, Verify};
use gapless_tcp::{Arrival, Checksums, Config, Id, Instant, Stack, StackConfig, Trains};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

/// A client and a server, and what lies between them.
struct Pair {
    stacks: [Stack; 2],
    client: Id,
    server: Option<Id>,
    now: Instant,
}

fn host(index: usize, is_v6: bool) -> IpAddr {
    if is_v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1 + index as u16).into()
    } else {
        address(index)
    }
}

impl Pair {
    fn new(config: &StackConfig, is_v6: bool) -> Self {
        let mut stacks = [0, 1].map(|index| {
            let mut stack = Stack::new(config.clone(), [index as u64, 99]);
            stack.add_address(host(index, is_v6)).unwrap();
            stack
        });
        stacks[1].listen(None, Some(80), 16, false).unwrap();
        let now = Instant::from_nanos(100_000_000_000);
        let to = SocketAddr::new(host(1, is_v6), 80);
        let client = stacks[0].connect(now, None, to).unwrap();
        Self {
            stacks,
            client,
            server: None,
            now,
        }
    }

    /// What one side sends now, cut up.
    fn fetch(&mut self, side: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = vec![0; 65_535];
        while let Some(transmit) = self.stacks[side].poll_train(self.now, &mut buffer) {
            let size = transmit.segment_size.map(NonZeroU16::get);
            let headers = usize::from(transmit.headers);
            packets.extend(cut(&buffer[..transmit.length], headers, size));
        }
        packets
    }

    fn read(&mut self) -> Vec<u8> {
        if self.server.is_none() {
            self.server = self.stacks[1].accept().map(|(id, _)| id);
        }
        let mut octets = vec![0; 1 << 20];
        let read = self
            .server
            .and_then(|id| self.stacks[1].read(id, &mut octets).ok());
        octets.truncate(read.unwrap_or(0));
        octets
    }
}

/// Does what a device does, on octets and with nothing of the engine but its sums.
fn cut(packet: &[u8], headers: usize, size: Option<u16>) -> Vec<Vec<u8>> {
    let Some(size) = size else {
        return vec![packet.to_vec()];
    };
    let (head, data) = packet.split_at(headers);
    let is_v6 = head[0] >> 4 == 6;
    let tcp = if is_v6 { 40 } else { 20 };
    let first = u32::from_be_bytes(head[tcp + 4..tcp + 8].try_into().unwrap());
    let pieces: Vec<&[u8]> = data.chunks(usize::from(size)).collect();
    assert!(pieces.len() > 1, "a train has several segments");
    let mut segments = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let mut segment = head.to_vec();
        segment.extend_from_slice(piece);
        let number = first.wrapping_add((index * usize::from(size)) as u32);
        segment[tcp + 4..tcp + 8].copy_from_slice(&number.to_be_bytes());
        if index > 0 {
            segment[tcp + 13] &= !0x80; // CWR
        }
        if index + 1 < pieces.len() {
            segment[tcp + 13] &= !0x09; // FIN, PSH
        }
        let length = segment.len() - if is_v6 { 40 } else { 0 };
        let at = if is_v6 { 4 } else { 2 };
        segment[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        if !is_v6 {
            segment[10..12].fill(0);
            let mut sum = Checksum::new();
            sum.add(&segment[..20]);
            segment[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        }
        segment[tcp + 16..tcp + 18].fill(0);
        let addresses = Packet::parse(&segment, Verify::Here).unwrap();
        let (source, destination) = (addresses.source, addresses.destination);
        let mut sum = Checksum::pseudo_header(source, destination, 6, segment.len() - tcp);
        sum.add(&segment[tcp..]);
        let sum = sum.finish().to_be_bytes();
        segment[tcp + 16..tcp + 18].copy_from_slice(&sum);
        segments.push(segment);
    }
    segments
}

fn config(trains: Option<Trains>, mtu: u16, nagle: bool) -> StackConfig {
    let defaults = settings();
    StackConfig {
        connection: Config {
            nagle,
            ..defaults.connection
        },
        mtu,
        trains,
        ..defaults
    }
}

fn flags(packet: &[u8]) -> Flags {
    let packet = Packet::parse(packet, Verify::Here).unwrap();
    let (source, destination) = (packet.source, packet.destination);
    let segment = Segment::parse(source, destination, packet.payload, Verify::Here).unwrap();
    segment.header.flags
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A train that is cut up is the segments that would have left by themselves, octet for octet, over a path that loses and marks: in both
    /// directions, from the SYN to the FIN.
    #[test]
    fn a_train_cut_up_is_the_single_segments(
        segments in 1_u16..60,
        octets in prop::sample::select(vec![0_u16, 4000, 20_000, u16::MAX]),
        mtu in prop::sample::select(vec![1280_u16, 1500, 9000]),
        is_v6 in any::<bool>(),
        ecn in any::<bool>(),
        nagle in any::<bool>(),
        (sack, timestamps) in any::<(bool, bool)>(),
        writes in prop::collection::vec((0_usize..60_000, 0_u64..30, any::<bool>()), 1..30),
        lost in prop::collection::vec(0_usize..40, 0..20),
    ) {
        let trains = Trains { octets, segments: NonZeroU16::new(segments).unwrap() };
        let mut pairs = [None, Some(trains)].map(|trains| {
            let mut config = config(trains, mtu, nagle);
            config.connection.ecn = ecn;
            config.connection.sack = sack;
            config.connection.timestamps = timestamps;
            Pair::new(&config, is_v6)
        });
        let (mut written, mut read, mut number) = (Vec::new(), Vec::new(), 0_usize);
        let mut steps = writes.into_iter();
        for round in 0..400 {
            let step = steps.next();
            for side in [0, 1] {
                let [single, train] = &mut pairs;
                let packets = single.fetch(side);
                prop_assert_eq!(&packets, &train.fetch(side), "side {}, round {}", side, round);
                for mut packet in packets {
                    number += 1;
                    // The beginning is not what this is about.
                    if round > 3 && round < 60 && lost.contains(&(number % 41)) {
                        continue;
                    }
                    if ecn && !is_v6 && number % 97 == 0 && packet[1] & 3 != 0 {
                        packet[1] |= 3;
                        packet[10..12].fill(0);
                        let mut sum = Checksum::new();
                        sum.add(&packet[..20]);
                        packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
                    }
                    for pair in &mut pairs {
                        pair.stacks[1 - side].handle(pair.now, &packet);
                    }
                }
            }
            for (index, pair) in pairs.iter_mut().enumerate() {
                if let Some((length, _, _)) = step {
                    let chunk: Vec<u8> = (0..length).map(|n| (n * 31 + round) as u8).collect();
                    let taken = pair.stacks[0].write(pair.client, &chunk).unwrap_or(0);
                    if index == 0 {
                        written.extend_from_slice(&chunk[..taken]);
                    }
                } else {
                    pair.stacks[0].shutdown(pair.now, pair.client);
                }
                if step.is_none_or(|(.., reads)| reads) {
                    let octets = pair.read();
                    if index == 0 {
                        read.extend_from_slice(&octets);
                    }
                }
                let rest = if round < 100 { 20 } else { 200 };
                pair.now += Duration::from_millis(step.map_or(rest, |(_, millis, _)| millis));
                for stack in &mut pair.stacks {
                    stack.on_timeout(pair.now);
                    stack.check(pair.now).map_err(TestCaseError::fail)?;
                }
            }
        }
        prop_assert_eq!(read, written);
    }
}

/// A client with much to send and a wide window, and the first packet that it writes then.
fn flooded(config: &StackConfig) -> Pair {
    let mut pair = Pair::new(config, false);
    for _ in 0..40 {
        pair.stacks[0].write(pair.client, &[7; 20_000]).unwrap_or(0);
        for side in [0, 1] {
            for packet in pair.fetch(side) {
                pair.stacks[1 - side].handle(pair.now, &packet);
            }
        }
        pair.read();
        pair.now += Duration::from_millis(10);
        for stack in &mut pair.stacks {
            stack.on_timeout(pair.now);
        }
    }
    pair
}

#[test]
fn a_device_is_told_what_it_needs() {
    let trains = Some(Trains::default());
    for send in [Verify::Here, Verify::Device] {
        let mut config = config(trains, 1500, true);
        config.checksums = Checksums {
            send,
            receive: send,
        };
        let mut pair = Pair::new(&config, false);
        let mut buffer = vec![0; 65_535];
        let transmit = pair.stacks[0].poll_train(pair.now, &mut buffer).unwrap();
        assert_eq!(transmit.segment_size, None, "a SYN is no train");
        assert_eq!(usize::from(transmit.headers), transmit.length);
        let checksum = transmit.checksum.map(|sum| (sum.start, sum.offset));
        assert_eq!(checksum, (send == Verify::Device).then_some((20, 16)));
    }
}

#[test]
fn limits_of_the_device_are_kept() {
    for (octets, segments, most) in [
        (u16::MAX, u16::MAX, 52 + 45 * 1448),
        (10_000, u16::MAX, 52 + 6 * 1448),
        (u16::MAX, 3, 52 + 3 * 1448),
        (0, u16::MAX, 1500),
        (u16::MAX, 1, 1500),
    ] {
        let trains = Trains {
            octets,
            segments: NonZeroU16::new(segments).unwrap(),
        };
        let mut pair = flooded(&config(Some(trains), 1500, true));
        pair.stacks[0].write(pair.client, &[1; 100_000]).unwrap();
        let mut buffer = vec![0; 65_535];
        let transmit = pair.stacks[0].poll_train(pair.now, &mut buffer).unwrap();
        assert_eq!(
            transmit.length, most,
            "{octets} octets, {segments} segments"
        );
        assert_eq!(transmit.segment_size.is_some(), most > 1500);
        assert!(!flags(&buffer[..transmit.length]).has(Flags::PSH));
        // A shorter buffer is a limit as well, and one that is too short for a packet gets none.
        let short = pair.stacks[0].poll_train(pair.now, &mut buffer[..3200]);
        assert!(short.is_some_and(|short| short.length <= 3200));
        assert_eq!(
            pair.stacks[0].poll_train(pair.now, &mut buffer[..1499]),
            None
        );
    }
}

#[test]
fn without_a_device_that_cuts_there_are_no_trains() {
    let mut pair = flooded(&config(None, 1500, true));
    pair.stacks[0].write(pair.client, &[1; 100_000]).unwrap();
    let mut buffer = vec![0; 65_535];
    let transmit = pair.stacks[0].poll_train(pair.now, &mut buffer).unwrap();
    assert_eq!((transmit.length, transmit.segment_size), (1500, None));
}

/// A receiver whose device puts segments together, or whose sender's device never cut them.
#[test]
fn what_a_device_put_together_is_taken_and_acknowledged_at_once() {
    let mut pair = flooded(&config(Some(Trains::default()), 1500, false));
    pair.read();
    let mut octets = vec![1; 41 * 1448];
    assert_eq!(pair.stacks[0].write(pair.client, &octets), Ok(octets.len()));
    let mut buffer = vec![0; 65_535];
    let transmit = pair.stacks[0].poll_train(pair.now, &mut buffer).unwrap();
    assert_eq!(transmit.segment_size.map(NonZeroU16::get), Some(1448));
    assert_eq!(transmit.length, 52 + octets.len());
    assert!(flags(&buffer[..transmit.length]).has(Flags::PSH));
    // Its one checksum is looked at, unless the device says that it was.
    buffer[transmit.length - 1] ^= 1;
    let dropped = pair.stacks[1].stats().dropped;
    let packet = &buffer[..transmit.length];
    let arrival = Arrival::from(packet);
    pair.stacks[1].handle_batch(pair.now, [arrival]);
    assert_eq!(pair.stacks[1].stats().dropped, dropped + 1);
    let checksum = Verify::Device;
    pair.stacks[1].handle_batch(pair.now, [Arrival { packet, checksum }]);
    assert_eq!(pair.stacks[1].stats().dropped, dropped + 1);
    octets[41 * 1448 - 1] ^= 1;
    assert_eq!(pair.read(), octets);
    // No delay of the acknowledgment: there is more than one segment in it.
    assert_eq!(pair.fetch(1).len(), 1);
}

#[test]
fn a_batch_is_its_packets_one_after_the_other() {
    let mut pairs = [0, 1].map(|_| flooded(&config(None, 1500, true)));
    for pair in &mut pairs {
        pair.stacks[0].write(pair.client, &[5; 50_000]).unwrap();
    }
    let [one, other] = &mut pairs;
    let packets = one.fetch(0);
    assert_eq!(packets, other.fetch(0));
    assert!(packets.len() > 20);
    for packet in &packets {
        one.stacks[1].handle(one.now, packet);
    }
    let arrivals = packets.iter().map(|packet| Arrival::from(&packet[..]));
    other.stacks[1].handle_batch(other.now, arrivals);
    assert_eq!(one.read(), other.read());
    assert_eq!(one.fetch(1), other.fetch(1));
    assert_eq!(one.stacks[1].stats(), other.stacks[1].stats());
}

/// What is remembered of the last segment names no connection that is over: another one has the same ends.
#[test]
fn a_new_connection_of_the_same_ends_is_found() {
    let mut pair = Pair::new(&config(None, 1500, true), false);
    let local = {
        for side in [0, 1, 0] {
            for packet in pair.fetch(side) {
                pair.stacks[1 - side].handle(pair.now, &packet);
            }
        }
        let (_, tuple) = pair.stacks[1].accept().unwrap();
        tuple.remote
    };
    pair.stacks[0].abort(pair.now, pair.client);
    for packet in pair.fetch(0) {
        pair.stacks[1].handle(pair.now, &packet);
    }
    pair.now += Duration::from_secs(1);
    pair.client = pair.stacks[0]
        .connect(pair.now, Some(local), end(1, 80))
        .unwrap();
    for side in [0, 1, 0] {
        for packet in pair.fetch(side) {
            pair.stacks[1 - side].handle(pair.now, &packet);
        }
    }
    assert!(pair.stacks[1].accept().is_some());
}
