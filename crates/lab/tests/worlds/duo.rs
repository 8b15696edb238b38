//! Two endpoints and what lies between them, step by step.

use crate::watch::Watch;
use bytes::Bytes;
use gapless_udx::{
    Connection, ConnectionConfig, ConnectionHandle, Endpoint, EndpointConfig, Instant, ReadError,
    Received, StreamId, Version, VersionChoice, WriteError,
};
use std::net::SocketAddr;
use std::time::Duration;

/// One way, in the calm.
pub(crate) const DELAY: Duration = Duration::from_millis(10);

/// Trains at one instant; more is no end (R8).
const MOST_TRAINS: usize = 100;

/// How both sides are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) version: Version,
    /// The first number of each direction, and the position of the first byte of each stream.
    pub(crate) first_number: u64,
    pub(crate) first_position: u64,
}

/// One side: its engine, and its application's view of each stream.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) endpoint: Endpoint,
    pub(crate) handle: Option<ConnectionHandle>,
    pub(crate) streams: Vec<AppStream>,
    watch: Watch,
}

/// What an application did with a stream, and what it saw.
#[derive(Clone, Debug)]
pub(crate) struct AppStream {
    pub(crate) id: StreamId,
    pub(crate) wrote: Vec<u8>,
    pub(crate) read: Vec<u8>,
    pub(crate) finished: bool,
    /// It gave the stream up, or asked its peer to, with this code.
    pub(crate) reset: Option<u32>,
    pub(crate) stopped: Option<u32>,
    pub(crate) ended: Option<Ended>,
}

/// How reading came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    End,
    Reset(u32),
    Closed,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flying {
    pub(crate) to: usize,
    pub(crate) at: Instant,
    pub(crate) data: Vec<u8>,
}

/// Both sides and the time.
#[derive(Debug)]
pub(crate) struct Duo {
    pub(crate) now: Instant,
    pub(crate) hosts: [Host; 2],
}

/// Who dials, and who is dialed.
pub(crate) const DIALER: usize = 0;
pub(crate) const ACCEPTOR: usize = 1;

impl Duo {
    /// The dialer has dialed; nothing was sent yet.
    pub(crate) fn new(setup: Setup) -> Self {
        let config = EndpointConfig {
            connection: ConnectionConfig {
                version: VersionChoice::Only(setup.version),
                first_number: setup.first_number,
                first_position: setup.first_position,
                // Neither is what the searches are about, and both make packets.
                mtu_search: false,
                keep_alive: None,
                pacing: false,
                ..ConnectionConfig::default()
            },
            accept_versions: vec![setup.version],
            ..EndpointConfig::default()
        };
        let host = |seed| Host {
            endpoint: Endpoint::new(config.clone(), [seed; 32]),
            handle: None,
            streams: Vec::new(),
            watch: Watch::new(setup.first_number),
        };
        let mut duo = Self {
            now: Instant::from_nanos(1_000_000_000),
            hosts: [host(1), host(2)],
        };
        let dialed = duo.hosts[DIALER]
            .endpoint
            .connect(duo.now, address(ACCEPTOR));
        duo.hosts[DIALER].handle = Some(dialed.expect("a dial"));
        duo
    }

    /// Takes what came and what was dialed.
    pub(crate) fn accept(&mut self) {
        for host in &mut self.hosts {
            let accepted = host.endpoint.accept();
            host.handle = host.handle.or(accepted);
            while let Some(id) = host.connection().and_then(Connection::accept) {
                host.streams.push(AppStream::new(id));
            }
        }
    }

    /// Opens a stream; false if that is not possible.
    pub(crate) fn open(&mut self, side: usize) -> bool {
        let host = &mut self.hosts[side];
        let opened = host.connection().and_then(|c| c.open().ok());
        host.streams.extend(opened.map(AppStream::new));
        opened.is_some()
    }

    /// All that wants to leave, with the rules of sending checked: an end (R8), a deadline in the future (R9), engines whose
    /// books agree, and what the watch knows.
    pub(crate) fn sent(&mut self) -> Result<Vec<Flying>, String> {
        let mut out = Vec::new();
        for side in [DIALER, ACCEPTOR] {
            let host = &mut self.hosts[side];
            let mut buffer = [0; 2048];
            let mut trains = 0;
            while let Some(transmit) = host.endpoint.poll_transmit(self.now, &mut buffer) {
                trains += 1;
                if trains > MOST_TRAINS {
                    return Err("sending does not end (R8)".into());
                }
                for data in buffer[..transmit.len].chunks(transmit.segment_size) {
                    host.watch.see(data)?;
                    out.push(Flying {
                        to: 1 - side,
                        at: self.now + DELAY,
                        data: data.to_vec(),
                    });
                }
            }
            while host.endpoint.poll_event().is_some() {}
            if host
                .endpoint
                .next_deadline()
                .is_some_and(|at| at <= self.now)
            {
                return Err("a deadline that does not lie in the future (R9)".into());
            }
            host.endpoint.check().map_err(|broken| broken.to_string())?;
        }
        Ok(out)
    }

    pub(crate) fn deliver(&mut self, flying: &Flying) {
        let data = &flying.data;
        let received = Received {
            from: address(1 - flying.to),
            ecn: None,
            segment_size: data.len().max(1),
            data,
        };
        self.hosts[flying.to].endpoint.handle(self.now, received);
        self.accept();
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.hosts.iter().map(|host| host.endpoint.next_deadline());
        deadlines.flatten().min()
    }

    pub(crate) fn pass(&mut self, until: Instant) {
        self.now = self.now.max(until);
        for host in &mut self.hosts {
            host.endpoint.handle_timeout(self.now);
        }
    }

    /// No connection has come to an end by itself.
    pub(crate) fn is_alive(&self) -> bool {
        self.hosts.iter().all(|host| {
            let connection = host
                .handle
                .and_then(|handle| host.endpoint.connection(handle));
            connection.is_none_or(|connection| !connection.is_closed())
        })
    }
}

impl Host {
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.endpoint.connection_mut(self.handle?)
    }

    pub(crate) fn write(&mut self, stream: usize, data: &[u8]) {
        let id = self.streams[stream].id;
        let mut bytes = Bytes::copy_from_slice(data);
        let written = self.connection().map(|c| c.write(id, &mut bytes));
        if let Some(Ok(len)) = written {
            self.streams[stream].wrote.extend_from_slice(&data[..len]);
        }
    }

    pub(crate) fn finish(&mut self, stream: usize) {
        let id = self.streams[stream].id;
        let _ = self.connection().map(|c| c.finish(id));
        self.streams[stream].finished = true;
    }

    pub(crate) fn reset(&mut self, stream: usize, code: u32) {
        let id = self.streams[stream].id;
        if let Some(connection) = self.connection() {
            connection.reset(id, code);
        }
        self.streams[stream].reset = Some(code);
    }

    pub(crate) fn stop(&mut self, stream: usize, code: u32) {
        let id = self.streams[stream].id;
        if let Some(connection) = self.connection() {
            connection.stop(id, code);
        }
        self.streams[stream].stopped = Some(code);
    }

    /// Reads all that is there.
    pub(crate) fn read(&mut self, stream: usize) {
        let id = self.streams[stream].id;
        while self.streams[stream].ended.is_none() {
            let read = self.connection().map(|c| c.read(id, usize::MAX));
            let stream = &mut self.streams[stream];
            match read {
                Some(Ok(Some(bytes))) => stream.read.extend_from_slice(&bytes),
                Some(Ok(None)) => stream.ended = Some(Ended::End),
                Some(Err(ReadError::Reset(code))) => stream.ended = Some(Ended::Reset(code)),
                Some(Err(ReadError::Blocked)) | None => return,
                Some(Err(_)) => stream.ended = Some(Ended::Closed),
            }
        }
    }

    /// Whether nothing is left to do for the stream's own direction: all is acknowledged, or it was given up.
    pub(crate) fn has_sent(&mut self, stream: usize) -> bool {
        let id = self.streams[stream].id;
        let Some(connection) = self.connection() else {
            return false;
        };
        let gone = matches!(
            connection.write_capacity(id),
            Err(WriteError::Unknown | WriteError::Reset(_) | WriteError::Closed)
        );
        gone || connection.is_acknowledged(id)
    }
}

impl AppStream {
    fn new(id: StreamId) -> Self {
        Self {
            id,
            wrote: Vec::new(),
            read: Vec::new(),
            finished: false,
            reset: None,
            stopped: None,
            ended: None,
        }
    }
}

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 4000).into()
}
