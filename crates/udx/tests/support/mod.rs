//! Two engines and the wire between them.
#![allow(dead_code, unreachable_pub)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use gapless_udx::{
    Connection, ConnectionHandle, Endpoint, EndpointConfig, Event, Instant, ReadError, Received,
    StreamId, Version, VersionChoice, WriteError,
};

/// One way, in nanoseconds.
const DELAY: u64 = 10_000_000;

/// Steps before a run counts as endless.
const MAX_STEPS: usize = 2_000_000;

/// When it arrives, its serial, whether at the client, and what it is.
type InFlight = (u64, u64, bool, Vec<u8>);

pub struct Pair {
    pub now: Instant,
    pub client: Endpoint,
    pub server: Endpoint,
    pub connection: Option<ConnectionHandle>,
    /// Nothing is delivered.
    pub cut: bool,
    wire: BinaryHeap<Reverse<InFlight>>,
    sent: u64,
    server_events: Vec<(ConnectionHandle, Event)>,
    client_events: Vec<(ConnectionHandle, Event)>,
}

pub fn client_address() -> SocketAddr {
    "10.0.0.1:1000".parse().unwrap()
}

pub fn server_address() -> SocketAddr {
    "10.0.0.2:2000".parse().unwrap()
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (31 * i + i / 251) as u8).collect()
}

/// All that can be read now.
pub fn read_all(connection: &mut Connection, id: StreamId) -> Vec<u8> {
    let mut data = Vec::new();
    while let Ok(Some(bytes)) = connection.read(id, usize::MAX) {
        data.extend_from_slice(&bytes);
    }
    data
}

impl Pair {
    /// A dialer of version 3, as one that knows its peer.
    pub fn new() -> Self {
        let mut client = EndpointConfig::default();
        client.connection.version = VersionChoice::Only(Version::V3);
        Pair::with(client, EndpointConfig::default())
    }

    pub fn with(client: EndpointConfig, server: EndpointConfig) -> Self {
        Pair {
            now: Instant::from_nanos(1_000_000_000),
            client: Endpoint::new(client, [1; 32]),
            server: Endpoint::new(server, [2; 32]),
            connection: None,
            cut: false,
            wire: BinaryHeap::new(),
            sent: 0,
            server_events: Vec::new(),
            client_events: Vec::new(),
        }
    }

    pub fn dial(&mut self) -> (ConnectionHandle, StreamId) {
        let handle = self.client.connect(self.now, server_address()).unwrap();
        self.connection = Some(handle);
        (handle, self.client().open().unwrap())
    }

    pub fn client(&mut self) -> &mut Connection {
        self.client
            .connection_mut(self.connection.unwrap())
            .unwrap()
    }

    pub fn accept_stream(&mut self) -> (ConnectionHandle, StreamId) {
        let handle = self.server.accept().unwrap();
        let id = self
            .server
            .connection_mut(handle)
            .unwrap()
            .accept()
            .unwrap();
        (handle, id)
    }

    pub fn server_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.server_events)
            .into_iter()
            .map(|(_, event)| event)
            .collect()
    }

    pub fn client_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.client_events)
            .into_iter()
            .map(|(_, event)| event)
            .collect()
    }

    /// Hands what the client sends to the server at once; how many datagrams.
    pub fn step_client(&mut self) -> usize {
        let before = self.sent;
        self.pump(false);
        while let Some(Reverse((_, _, to_client, data))) = self.wire.pop() {
            assert!(!to_client);
            self.deliver(false, &data);
        }
        (self.sent - before) as usize
    }

    fn pump(&mut self, server: bool) {
        let mut buffer = vec![0; 65_536];
        let endpoint = if server {
            &mut self.server
        } else {
            &mut self.client
        };
        let mut trains = 0;
        while let Some(transmit) = endpoint.poll_transmit(self.now, &mut buffer) {
            trains += 1;
            assert!(trains < 10_000, "R8: sending does not end");
            for datagram in buffer[..transmit.len].chunks(transmit.segment_size) {
                self.sent += 1;
                if !self.cut {
                    let at = self.now.as_nanos() + DELAY;
                    self.wire
                        .push(Reverse((at, self.sent, server, datagram.to_vec())));
                }
            }
        }
        let deadline = endpoint.next_deadline();
        assert!(
            deadline.is_none_or(|at| at > self.now),
            "R9: {deadline:?} at {:?}",
            self.now
        );
        endpoint.check().unwrap();
        while let Some(event) = endpoint.poll_event() {
            let events = if server {
                &mut self.server_events
            } else {
                &mut self.client_events
            };
            events.push(event);
        }
    }

    fn deliver(&mut self, to_client: bool, data: &[u8]) {
        let (endpoint, from) = if to_client {
            (&mut self.client, server_address())
        } else {
            (&mut self.server, client_address())
        };
        let received = Received {
            from,
            ecn: None,
            segment_size: data.len(),
            data,
        };
        endpoint.handle(self.now, received);
    }

    /// Runs until nothing is in the air and nothing is due within five seconds.
    pub fn run(&mut self) {
        let settled = if self.cut { 40 } else { 5 };
        self.run_until(|pair, next| {
            pair.wire.is_empty() && next > pair.now + Duration::from_secs(settled)
        });
    }

    pub fn run_for(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        self.run_until(|_, next| next > end);
        self.now = end;
    }

    fn run_until(&mut self, done: impl Fn(&Pair, Instant) -> bool) {
        for _ in 0..MAX_STEPS {
            self.pump(false);
            self.pump(true);
            let arrival = self
                .wire
                .peek()
                .map(|Reverse((at, ..))| Instant::from_nanos(*at));
            let deadlines = [
                arrival,
                self.client.next_deadline(),
                self.server.next_deadline(),
            ];
            let Some(next) = deadlines.into_iter().flatten().min() else {
                return;
            };
            if done(self, next) {
                return;
            }
            self.now = self.now.max(next);
            while let Some(Reverse((at, ..))) = self.wire.peek() {
                if *at > self.now.as_nanos() {
                    break;
                }
                let Reverse((_, _, to_client, data)) = self.wire.pop().unwrap();
                self.deliver(to_client, &data);
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
        panic!("no end after {MAX_STEPS} steps");
    }

    /// Sends `data` both ways on the stream, ends both directions and checks what arrives.
    pub fn transfer_both(&mut self, stream: StreamId, data: &[u8]) -> (ConnectionHandle, StreamId) {
        let mut out = bytes::Bytes::copy_from_slice(data);
        let mut back = out.clone();
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        let mut there: Option<(ConnectionHandle, StreamId)> = None;
        for _ in 0..100_000 {
            let client = self.client();
            let finished = write(client, stream, &mut out);
            let client_done = read(client, stream, &mut at_client);
            if there.is_none()
                && let Some(handle) = self.server.accept()
            {
                let id = self
                    .server
                    .connection_mut(handle)
                    .unwrap()
                    .accept()
                    .unwrap();
                there = Some((handle, id));
            }
            let mut server_done = false;
            if let Some((handle, id)) = there {
                let server = self.server.connection_mut(handle).unwrap();
                write(server, id, &mut back);
                server_done = read(server, id, &mut at_server);
            }
            if finished && client_done && server_done {
                break;
            }
            self.run_some();
        }
        assert!(
            at_server == data,
            "{} of {} bytes",
            at_server.len(),
            data.len()
        );
        assert!(
            at_client == data,
            "{} of {} bytes",
            at_client.len(),
            data.len()
        );
        self.run();
        there.unwrap()
    }

    fn run_some(&mut self) {
        let start = self.now;
        self.run_until(|pair, next| pair.now > start || next > start + Duration::from_secs(60));
    }
}

fn write(connection: &mut Connection, id: StreamId, data: &mut bytes::Bytes) -> bool {
    while !data.is_empty() {
        match connection.write(id, data) {
            Ok(_) => {}
            Err(WriteError::Blocked) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    connection.finish(id).unwrap();
    true
}

fn read(connection: &mut Connection, id: StreamId, to: &mut Vec<u8>) -> bool {
    loop {
        match connection.read(id, usize::MAX) {
            Ok(Some(bytes)) => to.extend_from_slice(&bytes),
            Ok(None) => return true,
            Err(ReadError::Blocked) => return false,
            Err(error) => panic!("{error}"),
        }
    }
}
