//! The kernel's TCP with CUBIC: a connection for each stream.

use anyhow::Result;
use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

use super::{Connected, Incoming, Outgoing, PIECE, Transport};

pub(crate) struct Tcp {
    /// The largest segment, where it is not to be the one of the interface.
    pub(crate) segment: Option<u32>,
}

/// A stream with the room that reads need.
pub(crate) struct Reader {
    stream: TcpStream,
    room: Box<[u8]>,
}

/// Linux takes it per socket; its default differs from machine to machine.
pub(super) fn use_cubic(socket: &SockRef<'_>) -> Result<()> {
    Ok(socket.set_tcp_congestion(b"cubic")?)
}

impl Tcp {
    fn socket(&self) -> Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        let reference = SockRef::from(&socket);
        use_cubic(&reference)?;
        if let Some(segment) = self.segment {
            reference.set_tcp_mss(segment)?;
        }
        Ok(socket)
    }
}

impl Transport for Tcp {
    type Out = TcpStream;
    type In = Reader;

    async fn listen(&self, streams: UnboundedSender<Reader>) -> Result<String> {
        let socket = self.socket()?;
        socket.bind("127.0.0.1:0".parse()?)?;
        let listener: TcpListener = socket.listen(1000)?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let room = vec![0; PIECE].into_boxed_slice();
                streams.send(Reader { stream, room })?;
            }
            Ok::<_, anyhow::Error>(())
        });
        Ok(address.to_string())
    }

    async fn connect(&self, to: &str, streams: usize) -> Result<Connected<TcpStream>> {
        let mut opened = Vec::new();
        for _ in 0..streams {
            opened.push(self.socket()?.connect(to.parse()?).await?);
        }
        let segment = match opened.first() {
            Some(stream) => SockRef::from(stream).tcp_mss().ok().map(u64::from),
            None => None,
        };
        Ok(Connected {
            streams: opened,
            datagram: Box::new(move || segment),
        })
    }
}

impl Outgoing for TcpStream {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.write_all(&data).await?)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(self.shutdown().await?)
    }
}

impl Incoming for Reader {
    async fn read(&mut self) -> Result<Option<usize>> {
        let bytes = self.stream.read(&mut self.room).await?;
        Ok((bytes > 0).then_some(bytes))
    }
}
