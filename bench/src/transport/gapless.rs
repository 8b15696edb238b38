//! UDX by this project, with default settings.

use anyhow::{Context, Result};
use bytes::Bytes;
use gapless::{Endpoint, RecvStream, SendStream};
use tokio::sync::mpsc::UnboundedSender;

use super::{Connected, Incoming, Outgoing, PIECE, Transport};

pub(crate) struct Gapless;

impl Transport for Gapless {
    type Out = SendStream;
    type In = RecvStream;

    async fn listen(&self, streams: UnboundedSender<RecvStream>) -> Result<String> {
        let endpoint = Endpoint::server("127.0.0.1:0".parse()?)?;
        let address = endpoint.local_addr()?;
        tokio::spawn(async move {
            let connection = endpoint.accept().await.context("closed")?;
            while let Ok((_, stream)) = connection.accept_bi().await {
                streams.send(stream)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        Ok(address.to_string())
    }

    async fn connect(&self, to: &str, streams: usize) -> Result<Connected<SendStream>> {
        let endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        let connection = endpoint.connect(to.parse()?)?.await?;
        let mut opened = Vec::new();
        for _ in 0..streams {
            opened.push(connection.open_bi().await?.0);
        }
        Ok(Connected {
            streams: opened,
            datagram: Box::new(move || Some(u64::from(connection.stats().mtu))),
        })
    }
}

impl Outgoing for SendStream {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.write_chunk(data).await?)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(SendStream::finish(self)?)
    }
}

impl Incoming for RecvStream {
    async fn read(&mut self) -> Result<Option<usize>> {
        let chunk = self.read_chunk(PIECE).await?;
        Ok(chunk.map(|chunk| chunk.len()))
    }
}
