//! Version 2: its hazards (UDX2 14, H), the differences between its peers (UDX2 13, D), and what the history of its peers adds
//! (U), each as a test that fails if the rule is broken.

mod acks;
mod burnt;
mod frames;
mod generation;
mod listening;
mod liveness;
mod numbers;
mod opening;
mod order;
mod outside;
mod own;
mod replay;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use gapless_udx::StreamId;
use gapless_udx::wire::{Frame, Ordered};

use crate::rig::{Hand, MS, Rig, Seen, ack, syn};

/// The first stream of a Go dialer, as destination and source.
const GO: (u32, u32) = (0, 1);

/// The stream of a Dart dialer: the ID that it gives the acceptor, and its own.
const DART: (u32, u32) = (0x1234_5678, 0x0765_4321);

/// What Dart allows to be in flight (UDX2 5.3).
const DART_MAX_DATA: u64 = 1_048_576;

/// A path on which an answer takes no time is no path: tests that count packets let this pass between.
const ROUND: Duration = Duration::from_millis(20);

/// UDX2 5.2: the connection alone.
fn go_dials(rig: &mut Rig) -> Hand {
    rig.dialed_by(Hand::version2(1), (0, 0), &[syn(b"")])
}

/// The connection and a stream 1->0 that begins with `first`; the address is proven. Nothing that the endpoint sent is
/// acknowledged.
fn go_opens(rig: &mut Rig, first: &[u8]) -> (Hand, StreamId) {
    let hand = go_dials(rig);
    hand.send(rig, 1, GO, &[syn(first)]);
    let seen = rig.sent();
    hand.prove(rig, &seen);
    let id = rig.accept();
    (hand, id)
}

/// As [`go_opens`], and the endpoint's SYN is acknowledged.
fn go_is_open(rig: &mut Rig, first: &[u8]) -> (Hand, StreamId) {
    let (hand, id) = go_opens(rig, first);
    hand.send(rig, 0, (id.wire_id(), GO.1), &[ack(0, 1)]);
    rig.wait(MS);
    rig.sent();
    (hand, id)
}

/// UDX2 5.3: connection and stream in one packet, and two more with the limits.
fn dart_dials(rig: &mut Rig) -> Hand {
    let hand = rig.dialed_by(Hand::version2(1), DART, &[syn(b"")]);
    let limit = DART_MAX_DATA;
    hand.send(rig, 0, (0, 0), &[Frame::MaxData { limit }]);
    hand.send(rig, 0, (0, 0), &[Frame::MaxStreams { count: 100 }]);
    hand
}

/// A Dart dialer whose address is proven, and the stream that it opened.
fn dart_opens(rig: &mut Rig) -> (Hand, StreamId) {
    let hand = dart_dials(rig);
    let seen = rig.sent();
    hand.prove(rig, &seen);
    let id = rig.accept();
    (hand, id)
}

/// As [`dart_opens`], and the endpoint's SYN is acknowledged.
fn dart_is_open(rig: &mut Rig) -> (Hand, StreamId) {
    let (hand, id) = dart_opens(rig);
    hand.send(rig, 0, (0, 0), &[ack(0, 1)]);
    rig.wait(MS);
    rig.sent();
    (hand, id)
}

/// What a peer of version 2 knows of this side's numbered packets.
#[derive(Default)]
struct Heard {
    packets: BTreeMap<u32, Numbered>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Numbered {
    len: usize,
    ids: (u32, u32),
    part: Ordered<'static>,
}

impl Heard {
    /// Takes what was sent; gives the numbers among it in order of sending. H7: what a number names never changes, and Go's
    /// filter knows a packet by its size too.
    fn take(&mut self, seen: &[Seen]) -> Vec<u32> {
        let numbered: Vec<&Seen> = seen.iter().filter(|seen| seen.is_numbered()).collect();
        for seen in &numbered {
            let packet = Numbered {
                len: seen.len,
                ids: seen.ids(),
                part: seen.ordered().unwrap(),
            };
            let known = self.packets.entry(seen.number()).or_insert(packet);
            assert_eq!(*known, packet, "number {}", seen.number());
        }
        numbered.iter().map(|seen| seen.number()).collect()
    }

    /// What the stream's packets carry, up to the first number that is missing on the connection, and whether it ends there.
    fn stream(&self, source: u32) -> (Vec<u8>, bool) {
        let (mut bytes, mut ended) = (Vec::new(), false);
        for (expected, (number, packet)) in (0..).zip(&self.packets) {
            if *number != expected {
                break;
            }
            if packet.ids.1 == source {
                assert!(!ended || packet.part.data.is_empty(), "data after the end");
                bytes.extend_from_slice(packet.part.data);
                ended |= packet.part.fin;
            }
        }
        (bytes, ended)
    }

    /// Lets time pass in rounds and acknowledges each number by itself, as Dart does, until nothing was sent for a second.
    fn acknowledge_all(&mut self, rig: &mut Rig, hand: &Hand) {
        for number in self.packets.keys() {
            hand.send(rig, 0, (0, 0), &[ack(*number, 1)]);
        }
        let mut quiet = 0;
        for _ in 0..5000 {
            rig.wait(ROUND);
            let sent = rig.sent();
            let numbers = self.take(&sent);
            quiet = if numbers.is_empty() { quiet + 1 } else { 0 };
            if quiet == 50 {
                return;
            }
            for number in numbers {
                hand.send(rig, 0, (0, 0), &[ack(number, 1)]);
            }
        }
        panic!("it does not end");
    }
}

/// Numbers of the packets with data, SYN or FIN.
fn numbers(seen: &[Seen]) -> Vec<u32> {
    let numbered = seen.iter().filter(|seen| seen.is_numbered());
    numbered.map(Seen::number).collect()
}

/// The limits that were announced, with when.
fn limits(seen: &[Seen]) -> Vec<u32> {
    let limits = seen.iter().flat_map(|seen| &seen.frames);
    let limits = limits.filter_map(|frame| match frame {
        Frame::WindowUpdate { limit } => Some(limit.raw() as u32),
        _ => None,
    });
    limits.collect()
}
