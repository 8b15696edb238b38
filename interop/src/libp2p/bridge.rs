//! Carries the bytes of each TCP connection over one stream of a UDX connection of its own: what UDX is to libp2p (UDX 20), so that
//! a host without a transport for UDX is reached through one.

use super::thread::Thread;
use crate::own;
use anyhow::{Context, Result};
use gapless::{Connection, ConnectionConfig, Endpoint, RecvStream, SendStream};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes read from TCP at once.
const BLOCK: usize = 64 << 10;

/// The code of an abort in libp2p (UDX 20).
const ABORTED: u32 = 1;

/// A bridge that runs, on a thread of its own. Dropped, it ends as a killed process ends: nobody is told.
pub(super) struct Bridge {
    _thread: Thread,
    /// Where it listens: for UDX or for TCP.
    pub(super) address: SocketAddr,
}

impl Bridge {
    /// UDX connections come in, TCP connections to `host` go out.
    pub(super) fn towards(host: SocketAddr, config: ConnectionConfig) -> Result<Self> {
        let (thread, address) = Thread::start("bridge", move || async move {
            let endpoint = own::endpoint(config)?;
            let address = endpoint.local_addr()?;
            tokio::spawn(async move {
                while let Some(connection) = endpoint.accept().await {
                    tokio::spawn(async move {
                        told("from UDX", carry_in(connection, host).await);
                    });
                }
            });
            Ok(address)
        })?;
        Ok(Self {
            _thread: thread,
            address,
        })
    }

    /// TCP connections come in, UDX connections to `swarm` go out.
    pub(super) fn from_host(swarm: SocketAddr, config: ConnectionConfig) -> Result<Self> {
        let (thread, address) = Thread::start("bridge", move || async move {
            let listener = TcpListener::bind(own::ANY_PORT).await?;
            let address = listener.local_addr()?;
            let endpoint = own::endpoint(config)?;
            tokio::spawn(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let endpoint = endpoint.clone();
                    tokio::spawn(async move {
                        told("from TCP", carry_out(tcp, &endpoint, swarm).await);
                    });
                }
            });
            Ok(address)
        })?;
        Ok(Self {
            _thread: thread,
            address,
        })
    }
}

/// Ends come in every form here, and are the scenarios' business; this is for whoever looks for the reason of a failure.
fn told(from: &str, carried: Result<()>) {
    if let Err(error) = carried
        && std::env::var_os("INTEROP_LOG").is_some()
    {
        eprintln!("bridge, a connection {from}: {error:#}");
    }
}

async fn carry_in(connection: Connection, host: SocketAddr) -> Result<()> {
    let stream = connection.accept_bi().await?;
    let tcp = TcpStream::connect(host).await.context("dialing the host")?;
    carry(tcp, connection, stream).await
}

async fn carry_out(tcp: TcpStream, endpoint: &Endpoint, swarm: SocketAddr) -> Result<()> {
    let connection = endpoint
        .connect(swarm)?
        .await
        .context("dialing the Swarm")?;
    let stream = connection.open_bi().await?;
    carry(tcp, connection, stream).await
}

/// Both directions, each until its end; an abort of either side aborts the other.
async fn carry(
    tcp: TcpStream,
    connection: Connection,
    (send, recv): (SendStream, RecvStream),
) -> Result<()> {
    tcp.set_nodelay(true)?;
    let (read, write) = tcp.into_split();
    let carried = tokio::try_join!(upwards(read, send), downwards(recv, write));
    match carried {
        Ok((read, write)) => {
            connection.close(0, b"");
            drop((read, write));
            Ok(())
        }
        Err(error) => {
            connection.close(ABORTED, b"aborted");
            Err(error)
        }
    }
}

async fn upwards(mut tcp: OwnedReadHalf, mut send: SendStream) -> Result<OwnedReadHalf> {
    let mut block = bytes::BytesMut::with_capacity(BLOCK);
    while tcp.read_buf(&mut block).await.context("reading from TCP")? > 0 {
        send.write_chunk(block.split().freeze()).await?;
        block.reserve(BLOCK);
    }
    send.finish()?;
    send.acknowledged().await?;
    Ok(tcp)
}

async fn downwards(mut recv: RecvStream, mut tcp: OwnedWriteHalf) -> Result<OwnedWriteHalf> {
    loop {
        match recv.read_chunk(BLOCK).await {
            Ok(Some(data)) => tcp.write_all(&data).await.context("writing to TCP")?,
            Ok(None) => {
                tcp.shutdown().await?;
                return Ok(tcp);
            }
            Err(error) => {
                // A host must not take the end of the connection for the end of the stream.
                let _ = tcp.as_ref().set_zero_linger();
                return Err(error.into());
            }
        }
    }
}
