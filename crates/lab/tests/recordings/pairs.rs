//! Two models of early Go against each other: what was measured between two of the real ones.

use gapless_lab::peers::{Connection, Foreign, Kind, Read, Stream, foreign};
use gapless_udx::Instant;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

struct Pair {
    now: Instant,
    peers: [Box<dyn Foreign + Send>; 2],
    dialed: Connection,
    /// How often each datagram with data arrives. ACKs that came twice would each be answered twice (H15), and those again.
    copies: usize,
}

impl Pair {
    fn new(copies: usize) -> Self {
        let mut peers = [1, 2].map(|seed| foreign(Kind::GoV2Early, seed));
        let dialed = peers[0].connect(Instant::ZERO, address(1));
        Self {
            now: Instant::ZERO,
            peers,
            dialed,
            copies,
        }
    }

    fn write(&mut self, stream: Stream, data: &[u8]) {
        let written = self.peers[0].write(self.now, self.dialed, stream, data);
        assert_eq!(written, data.len());
    }

    /// A second, in ways of 10 ms.
    fn run(&mut self) {
        for _ in 0..100 {
            self.now += Duration::from_millis(10);
            for side in 0..2 {
                self.peers[side].handle_timeout(self.now);
            }
            let mut ways: Vec<(usize, Vec<u8>)> = Vec::new();
            for side in 0..2 {
                while let Some((_, datagram)) = self.peers[side].poll_transmit(self.now) {
                    ways.push((side, datagram));
                }
            }
            for (side, datagram) in ways {
                let copies = if datagram.len() > LARGEST_ACK {
                    self.copies
                } else {
                    1
                };
                for _ in 0..copies {
                    self.peers[1 - side].handle(self.now, address(side), &datagram);
                }
            }
        }
    }

    /// What the acceptor's application gets of each stream.
    fn read(&mut self) -> Vec<Vec<u8>> {
        let accepted = self.peers[1].accept().expect("a connection");
        let mut streams = Vec::new();
        while let Some(stream) = self.peers[1].accept_stream(accepted) {
            let mut bytes = Vec::new();
            while let Read::Data(data) = self.peers[1].read(self.now, accepted, stream, 1 << 16) {
                bytes.extend(data);
            }
            streams.push(bytes);
        }
        streams
    }
}

/// Bytes of an ACK with five extra ranges.
const LARGEST_ACK: usize = 46 + 5 * 5;

fn address(side: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 4001 + side as u16).into()
}

/// U7: what comes twice is delivered once.
#[test]
fn u7_duplicates_are_delivered_once() {
    let mut pair = Pair::new(2);
    let stream = pair.peers[0].open(pair.now, pair.dialed).unwrap();
    let data: Vec<u8> = (0..20_000_u32).map(|at| at as u8).collect();
    pair.write(stream, &data);
    pair.run();
    assert_eq!(pair.read(), [data]);
}

/// U10, H11: each stream takes the connection's numbers for its own. Of two that take turns only what came before the first turn
/// of the other arrives; one after the other arrives.
#[test]
fn u10_streams_that_take_turns_stall() {
    for (turns, arrives) in [(true, [1000, 1000]), (false, [5000, 5000])] {
        let mut pair = Pair::new(1);
        let streams = [(); 2].map(|()| pair.peers[0].open(pair.now, pair.dialed).unwrap());
        let order: Vec<Stream> = match turns {
            true => streams.repeat(5),
            false => streams.iter().flat_map(|&it| [it; 5]).collect(),
        };
        for stream in order {
            pair.write(stream, &[7; 1000]);
        }
        pair.run();
        let lengths: Vec<usize> = pair.read().iter().map(Vec::len).collect();
        assert_eq!(lengths, arrives, "in turns: {turns}");
    }
}
