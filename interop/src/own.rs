//! Gapless itself as the carrier.

use crate::app::{self, Failure};
use crate::plan::{Choice, Plan};
use anyhow::{Context, Result};
use bytes::Bytes;
use gapless::{
    ConnectionConfig, Endpoint, EndpointConfig, ReadError, RecvStream, SendStream, WriteError,
};
use gapless_udx::{Version, VersionChoice};
use std::net::{Ipv4Addr, SocketAddr};

pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An endpoint on loopback that accepts every version, with these settings for its connections.
pub(crate) fn endpoint(connection: ConnectionConfig) -> Result<Endpoint> {
    let config = EndpointConfig {
        connection,
        accept_versions: vec![Version::V3, Version::V2],
        ..EndpointConfig::default()
    };
    let endpoint = Endpoint::builder().config(config).bind(ANY_PORT);
    endpoint.context("binding a socket on loopback")
}

/// Settings that differ from those of every other user only in how the version is chosen.
pub(crate) fn config(choice: Choice) -> ConnectionConfig {
    ConnectionConfig {
        version: match choice {
            Choice::V3 => VersionChoice::Only(Version::V3),
            Choice::V2 => VersionChoice::Only(Version::V2),
            Choice::Discover => VersionChoice::Discover,
        },
        ..ConnectionConfig::default()
    }
}

/// The one connection of a plan, dialed or accepted.
pub(crate) async fn connect(endpoint: &Endpoint, plan: &Plan) -> Result<gapless::Connection> {
    let Some(address) = plan.dial else {
        return endpoint.accept().await.context("the endpoint is closed");
    };
    // Early, as an application does that has something to say at once: then data travel in the first packet.
    let connection = endpoint.connect(address)?.into_early();
    Ok(connection)
}

impl app::Connection for gapless::Connection {
    type Stream = Stream;

    async fn open(&self) -> Result<Stream> {
        let (send, recv) = self.open_bi().await?;
        Ok(Stream { send, recv })
    }

    async fn accept(&self) -> Result<Stream> {
        let (send, recv) = self.accept_bi().await?;
        Ok(Stream { send, recv })
    }

    async fn ping(&self) -> Result<()> {
        gapless::Connection::ping(self).await?;
        Ok(())
    }
}

pub(crate) struct Stream {
    send: SendStream,
    recv: RecvStream,
}

impl app::Stream for Stream {
    async fn write(&mut self, data: Bytes) -> Result<(), Failure> {
        Ok(self.send.write_chunk(data).await?)
    }

    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, Failure> {
        Ok(self.recv.read_chunk(max).await?)
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        let finished = self.send.finish();
        finished.map_err(|error| Failure::Other(error.to_string()))
    }

    async fn reset(&mut self, code: u32) {
        // Whatever ended it before, it is over.
        let _ = self.send.reset(code);
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Reset(code),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(code),
            error => Self::Other(error.to_string()),
        }
    }
}
