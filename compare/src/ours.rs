//! Gapless UDX.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use gapless_udx::{
    Algorithm, ConnectionHandle, Endpoint, EndpointConfig, Instant, ReadError, Received, StreamId,
    Version, VersionChoice, WriteError,
};

use crate::engine::{End, Packet, Time, Transfer};

/// Bytes of one write.
const CHUNK: usize = 64 << 10;
/// Bytes of a record on average, at least: what the window holds has to fit the log of records.
const LEAST_RECORD: usize = 600;

pub(crate) struct Udx {
    sender: Endpoint,
    receiver: Endpoint,
    dialed: ConnectionHandle,
    sending: Option<StreamId>,
    accepted: Option<ConnectionHandle>,
    receiving: Option<StreamId>,
    left: u64,
    delivered: u64,
    buffer: Vec<u8>,
    chunk: Bytes,
}

impl Udx {
    /// `window` is what a stream may have underway, bytes. `known` peers need not be asked for their version.
    pub(crate) fn new(
        algorithm: Algorithm,
        window: u64,
        known: bool,
        bytes: u64,
        now: Time,
        seed: u64,
    ) -> Result<Self> {
        let mut config = EndpointConfig::default();
        if known {
            config.connection.version = VersionChoice::Only(Version::V3);
        }
        config.connection.algorithm = algorithm;
        config.connection.max_in_flight = window;
        config.limits.max_stream_window = window;
        config.limits.receive_growth = window * 2;
        config.limits.send_buffer = window;
        config.limits.max_records = usize::try_from(window)? / LEAST_RECORD;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut sender = Endpoint::new(config.clone(), key);
        key[31] = 1;
        let receiver = Endpoint::new(config, key);
        let dialed = sender.connect(Instant::from_nanos(now), address(End::Receiver))?;
        Ok(Udx {
            sender,
            receiver,
            dialed,
            sending: None,
            accepted: None,
            receiving: None,
            left: bytes,
            delivered: 0,
            buffer: vec![0; CHUNK],
            chunk: Bytes::from(vec![7; CHUNK]),
        })
    }

    fn endpoint(&mut self, end: End) -> &mut Endpoint {
        match end {
            End::Sender => &mut self.sender,
            End::Receiver => &mut self.receiver,
        }
    }

    fn write(&mut self) -> Result<()> {
        let connection = self
            .sender
            .connection_mut(self.dialed)
            .context("the dialed connection is gone")?;
        let id = match self.sending {
            Some(id) => id,
            None => *self.sending.insert(connection.open()?),
        };
        while self.left > 0 {
            let size = CHUNK.min(usize::try_from(self.left)?);
            match connection.write(id, &mut self.chunk.slice(..size)) {
                Ok(taken) => self.left -= taken as u64,
                Err(WriteError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        if self.accepted.is_none() {
            self.accepted = self.receiver.accept();
        }
        let Some(handle) = self.accepted else {
            return Ok(());
        };
        let connection = self
            .receiver
            .connection_mut(handle)
            .context("the accepted connection is gone")?;
        if self.receiving.is_none() {
            self.receiving = connection.accept();
        }
        let Some(id) = self.receiving else {
            return Ok(());
        };
        loop {
            match connection.read(id, usize::MAX) {
                Ok(Some(data)) => self.delivered += data.len() as u64,
                Ok(None) | Err(ReadError::Blocked) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn address(end: End) -> SocketAddr {
    match end {
        End::Sender => SocketAddr::from(([10, 0, 0, 1], 1)),
        End::Receiver => SocketAddr::from(([10, 0, 0, 2], 2)),
    }
}

impl Transfer for Udx {
    fn act(&mut self, end: End) -> Result<()> {
        if self.is_over() {
            return Ok(());
        }
        while self.endpoint(end).poll_event().is_some() {}
        match end {
            End::Sender => self.write(),
            End::Receiver => self.read(),
        }
    }

    fn handle(&mut self, end: End, now: Time, packet: &Packet) -> Result<()> {
        let from = match end {
            End::Sender => address(End::Receiver),
            End::Receiver => address(End::Sender),
        };
        let received = Received {
            from,
            ecn: None,
            segment_size: packet.bytes.len(),
            data: &packet.bytes,
        };
        self.endpoint(end)
            .handle(Instant::from_nanos(now), received);
        Ok(())
    }

    fn transmit(&mut self, end: End, now: Time, out: &mut Vec<Packet>) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let endpoint = self.endpoint(end);
        while let Some(train) = endpoint.poll_transmit(Instant::from_nanos(now), &mut buffer) {
            let data = buffer.get(..train.len).unwrap_or_default();
            out.extend(data.chunks(train.segment_size).map(Packet::datagram));
        }
        self.buffer = buffer;
        Ok(())
    }

    fn deadline(&mut self, end: End, _now: Time) -> Option<Time> {
        self.endpoint(end).next_deadline().map(|at| at.as_nanos())
    }

    fn handle_timeout(&mut self, end: End, now: Time) -> Result<()> {
        self.endpoint(end).handle_timeout(Instant::from_nanos(now));
        Ok(())
    }

    fn is_open(&self) -> bool {
        let connection = self.sender.connection(self.dialed);
        connection.is_some_and(|connection| connection.version().is_some())
    }

    fn is_over(&self) -> bool {
        let is_over = |endpoint: &Endpoint, handle: Option<ConnectionHandle>| {
            handle.is_some_and(|handle| {
                let connection = endpoint.connection(handle);
                connection.is_none_or(gapless_udx::Connection::is_closed)
            })
        };
        is_over(&self.sender, Some(self.dialed)) || is_over(&self.receiver, self.accepted)
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }
}
