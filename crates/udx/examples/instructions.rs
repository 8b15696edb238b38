//! A fixed transfer between two engines in memory and virtual time, so that its instructions can be counted:
//!
//!     cargo build --release -p gapless-udx --example instructions
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/instructions 1
//!
//! The argument is the number of streams. Nothing here depends on the machine's clock or load, so two commits can be compared
//! instruction by instruction (`docs/benchmarks.md`).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use bytes::Bytes;
use gapless_udx::{
    Connection, ConnectionHandle, Endpoint, EndpointConfig, Instant, ReadError, Received, StreamId,
    WriteError,
};
use std::error::Error;
use std::net::SocketAddr;

/// Bytes moved, over all streams.
const TOTAL: u64 = 64 << 20;

/// Bytes of one write.
const CHUNK: usize = 64 << 10;

/// What a round takes, of writing, carrying and reading: 0.1 ms, a local network's round trip.
const ROUND: u64 = 100_000;

/// A transfer that makes no headway for so many rounds never will.
const PATIENCE: u64 = 1_000_000;

struct Side {
    endpoint: Endpoint,
    address: SocketAddr,
    buffer: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let streams: u64 = std::env::args().nth(1).map_or(Ok(1), |n| n.parse())?;
    let side = |seed, address: &str| -> Result<Side, Box<dyn Error>> {
        Ok(Side {
            endpoint: Endpoint::new(EndpointConfig::default(), [seed; 32]),
            address: address.parse()?,
            buffer: vec![0; CHUNK],
        })
    };
    let (mut client, mut server) = (side(1, "10.0.0.1:1")?, side(2, "10.0.0.2:2")?);
    let mut now = Instant::from_nanos(1_000_000_000);
    let dialed = client.endpoint.connect(now, server.address)?;
    let chunk = Bytes::from(vec![7; CHUNK]);
    let mut sending = vec![(None, TOTAL / streams); usize::try_from(streams)?];
    let mut accepted: Option<ConnectionHandle> = None;
    let (mut receiving, mut received, mut datagrams, mut rounds) = (Vec::new(), 0, 0, 0);
    while received < TOTAL / streams * streams {
        rounds += 1;
        if rounds > PATIENCE {
            return Err(format!("stalled after {received} bytes").into());
        }
        let connection = client.endpoint.connection_mut(dialed).ok_or("closed")?;
        for (id, left) in &mut sending {
            write(connection, id, left, &chunk)?;
        }
        while let Some(sent) = carry(now, &mut client, &mut server) {
            datagrams += sent;
            accepted = accepted.or_else(|| server.endpoint.accept());
            let connection = accepted.and_then(|handle| server.endpoint.connection_mut(handle));
            if let Some(connection) = connection {
                while let Some(id) = connection.accept() {
                    receiving.push(id);
                }
                for id in &receiving {
                    received += read(connection, *id)?;
                }
            }
            while carry(now, &mut server, &mut client).is_some() {}
        }
        now = now.saturating_add(std::time::Duration::from_nanos(ROUND));
        client.endpoint.handle_timeout(now);
        server.endpoint.handle_timeout(now);
    }
    println!("{received} bytes in {datagrams} datagrams and {rounds} rounds");
    Ok(())
}

fn write(
    connection: &mut Connection,
    id: &mut Option<StreamId>,
    left: &mut u64,
    chunk: &Bytes,
) -> Result<(), Box<dyn Error>> {
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

fn read(connection: &mut Connection, id: StreamId) -> Result<u64, Box<dyn Error>> {
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
    let received = Received {
        from: from.address,
        ecn: None,
        segment_size: transmit.segment_size,
        data: from.buffer.get(..transmit.len).unwrap_or_default(),
    };
    to.endpoint.handle(now, received);
    while to.endpoint.poll_event().is_some() {}
    Some(transmit.len.div_ceil(transmit.segment_size) as u64)
}
