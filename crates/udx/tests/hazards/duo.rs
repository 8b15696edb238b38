//! Two endpoints and a wire whose every datagram a test may judge.

use std::net::SocketAddr;
use std::time::Duration;

use gapless_udx::{Connection, ConnectionHandle, EndpointConfig, Instant, StreamId};

use crate::rig::{Rig, home};

/// Where the dialing endpoint is.
pub(crate) fn dialer_address() -> SocketAddr {
    "10.0.0.1:1000".parse().unwrap()
}

/// One way.
const DELAY: Duration = Duration::from_millis(10);

/// What happens to a datagram: to the acceptor or not, its serial in that direction, its bytes.
pub(crate) type Judge = Box<dyn FnMut(bool, usize, &[u8]) -> bool>;

pub(crate) struct Duo {
    pub(crate) dialer: Rig,
    pub(crate) acceptor: Rig,
    /// What the acceptor sees as the dialer's address.
    pub(crate) dialer_at: SocketAddr,
    /// Whether a datagram passes.
    pub(crate) passes: Judge,
    in_flight: Vec<(Instant, bool, SocketAddr, Vec<u8>)>,
    counts: [usize; 2],
    /// Sizes of all datagrams sent, dropped or not: to the acceptor, and to the dialer.
    pub(crate) sizes: [Vec<usize>; 2],
}

impl Duo {
    pub(crate) fn new() -> Self {
        Duo::with(EndpointConfig::default(), EndpointConfig::default())
    }

    pub(crate) fn with(dialer: EndpointConfig, acceptor: EndpointConfig) -> Self {
        Duo {
            dialer: Rig::seeded(dialer, 1),
            acceptor: Rig::seeded(acceptor, 2),
            dialer_at: dialer_address(),
            passes: Box::new(|_, _, _| true),
            in_flight: Vec::new(),
            counts: [0; 2],
            sizes: [Vec::new(), Vec::new()],
        }
    }

    pub(crate) fn dial(&mut self) -> (ConnectionHandle, StreamId) {
        let now = self.dialer.now;
        let handle = self.dialer.endpoint.connect(now, home()).unwrap();
        let connection = self.dialer.endpoint.connection_mut(handle).unwrap();
        (handle, connection.open().unwrap())
    }

    /// Dials, says "x", and runs until the other side has it: its stream.
    pub(crate) fn opened(&mut self) -> (StreamId, StreamId) {
        let (_, stream) = self.dial();
        self.dialer.write(stream, b"x");
        self.run(Duration::from_millis(500));
        let there = self.acceptor.accept();
        assert_eq!(self.acceptor.read(there), b"x");
        self.run(Duration::from_millis(100));
        (stream, there)
    }

    pub(crate) fn there(&mut self) -> &mut Connection {
        self.acceptor.connection()
    }

    fn collect(&mut self) {
        for (to_acceptor, rig) in [(true, &mut self.dialer), (false, &mut self.acceptor)] {
            rig.drain();
            for (at, to, datagram) in rig.raw.drain(..) {
                let side = usize::from(!to_acceptor);
                let serial = self.counts[side];
                self.counts[side] += 1;
                self.sizes[side].push(datagram.len());
                let arrives = to_acceptor || to == self.dialer_at;
                if arrives && (self.passes)(to_acceptor, serial, &datagram) {
                    let from = if to_acceptor { self.dialer_at } else { home() };
                    self.in_flight
                        .push((at + DELAY, to_acceptor, from, datagram));
                }
            }
        }
        self.in_flight.sort_by_key(|(at, ..)| *at);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.dialer.now + time;
        for _ in 0..1_000_000 {
            self.collect();
            let arrival = self.in_flight.first().map(|(at, ..)| *at);
            let deadlines = [
                arrival,
                self.dialer.endpoint.next_deadline(),
                self.acceptor.endpoint.next_deadline(),
            ];
            let next = deadlines.into_iter().flatten().min();
            let Some(now) = next.filter(|at| *at <= end) else {
                self.dialer.now = end;
                self.acceptor.now = end;
                return;
            };
            self.dialer.now = now;
            self.acceptor.now = now;
            while self.in_flight.first().is_some_and(|(at, ..)| *at <= now) {
                let (_, to_acceptor, from, datagram) = self.in_flight.remove(0);
                let rig = if to_acceptor {
                    &mut self.acceptor
                } else {
                    &mut self.dialer
                };
                rig.give(from, &datagram);
            }
            self.dialer.endpoint.handle_timeout(now);
            self.acceptor.endpoint.handle_timeout(now);
        }
        panic!("a busy loop at {:?}", self.dialer.now);
    }
}
