//! The UDX engine alone: two endpoints in one thread, joined by memory, without sockets and without
//! delay. What a packet costs in both engines together, copies included.

use std::net::SocketAddr;
use std::time::{Duration, Instant as Wall};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use gapless_udx::{
    Connection, ConnectionHandle, Endpoint, EndpointConfig, Instant, ReadError, Received, StreamId,
    WriteError,
};

/// What one run moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) bytes: u64,
    pub(crate) datagrams: u64,
    pub(crate) time: Duration,
}

/// Bytes of one write.
const CHUNK: usize = 64 << 10;

struct Side {
    endpoint: Endpoint,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Side {
    fn new(seed: u8, address: &str) -> Result<Self> {
        Ok(Side {
            endpoint: Endpoint::new(EndpointConfig::default(), [seed; 32]),
            address: address.parse()?,
            buffer: vec![0; 64 << 10],
        })
    }
}

/// Moves `bytes` over `streams` streams from a dialer to an acceptor.
pub(crate) fn run(bytes: u64, streams: usize) -> Result<Outcome> {
    let (mut client, mut server) = (Side::new(1, "10.0.0.1:1")?, Side::new(2, "10.0.0.2:2")?);
    let epoch = Wall::now();
    let now = || {
        let since = epoch.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    };
    let dialed = client.endpoint.connect(now(), server.address)?;
    let chunk = Bytes::from(vec![7; CHUNK]);
    let mut sending: Vec<(Option<StreamId>, u64)> =
        vec![(None, bytes.div_ceil(streams as u64)); streams];
    let mut accepted: Option<ConnectionHandle> = None;
    let mut receiving: Vec<StreamId> = Vec::new();
    let (mut received, mut datagrams) = (0_u64, 0_u64);
    let total: u64 = sending.iter().map(|(_, left)| left).sum();
    let start = Wall::now();
    while received < total {
        if start.elapsed() > Duration::from_secs(60) {
            bail!("stalled after {received} of {total} bytes");
        }
        let connection = client.endpoint.connection_mut(dialed).context("dialed")?;
        for (id, left) in &mut sending {
            write(connection, id, left, &chunk)?;
        }
        // One train at a time, read at once: as a socket would hand them over.
        while let Some(sent) = carry(now(), &mut client, &mut server) {
            datagrams += sent;
            if accepted.is_none() {
                accepted = server.endpoint.accept();
            }
            if let Some(handle) = accepted {
                let connection = server.endpoint.connection_mut(handle).context("accepted")?;
                while let Some(id) = connection.accept() {
                    receiving.push(id);
                }
                for id in &receiving {
                    received += read(connection, *id)?;
                }
            }
            while carry(now(), &mut server, &mut client).is_some() {}
        }
        client.endpoint.handle_timeout(now());
        server.endpoint.handle_timeout(now());
    }
    Ok(Outcome {
        bytes: total,
        datagrams,
        time: start.elapsed(),
    })
}

fn write(
    connection: &mut Connection,
    id: &mut Option<StreamId>,
    left: &mut u64,
    chunk: &Bytes,
) -> Result<()> {
    let id = match id {
        Some(id) => *id,
        None => *id.insert(connection.open()?),
    };
    while *left > 0 {
        let mut piece = chunk.slice(..CHUNK.min(usize::try_from(*left)?));
        match connection.write(id, &mut piece) {
            Ok(taken) => *left -= taken as u64,
            Err(WriteError::Blocked) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn read(connection: &mut Connection, id: StreamId) -> Result<u64> {
    let mut bytes = 0;
    loop {
        match connection.read(id, usize::MAX) {
            Ok(Some(data)) => bytes += data.len() as u64,
            Ok(None) | Err(ReadError::Blocked) => return Ok(bytes),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Hands over one train of what one side has to send now; how many datagrams.
fn carry(now: Instant, from: &mut Side, to: &mut Side) -> Option<u64> {
    let transmit = from.endpoint.poll_transmit(now, &mut from.buffer);
    while from.endpoint.poll_event().is_some() {}
    let transmit = transmit?;
    let data = from.buffer.get(..transmit.len).unwrap_or_default();
    let segment_size = transmit.segment_size;
    to.endpoint.handle(
        now,
        Received {
            from: from.address,
            ecn: None,
            segment_size,
            data,
        },
    );
    while to.endpoint.poll_event().is_some() {}
    Some(transmit.len.div_ceil(segment_size) as u64)
}
