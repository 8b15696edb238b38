//! The byte stream that carries one libp2p connection: the first UDX stream of a UDX connection.

use std::{
    fmt, io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _, future::BoxFuture};
use gapless::{Connection, ConnectionError, RecvStream, SendStream};

use crate::{socket::Socket, stats::Registration};

/// One libp2p connection before its upgrade: the first stream of a UDX connection, as raw bytes.
///
/// # Ending
///
/// - `poll_close` (`close().await`) sends the end of the stream and waits until the peer has acknowledged it and all
///   before it, at most [`Config::close_timeout`](crate::Config::close_timeout). Reading stays possible: this is a half
///   close.
/// - Dropping a closed stream, or one whose peer has ended it, is graceful: in the background the acknowledgement and the
///   peer's end are awaited, bounded too, and then the UDX connection is closed with code 0 (UDX 20, V21).
/// - Dropping a stream that neither side has ended aborts it: the stream is reset and the connection closed with code 1;
///   what was written and not yet acknowledged is lost.
///
/// # Cancellation
///
/// All methods are polled and keep no state of their own but the position in the closing: giving up a future that
/// reads, writes, flushes or closes loses nothing, and the next one goes on from there.
pub struct UdxStream {
    sending: Sending,
    recv: RecvStream,
    peer_ended: bool,
    close_timeout: Duration,
    connection: Connection,
    _registration: Registration,
    /// A socket that was bound for this connection alone. It is retired after the connection was let go, so it comes last.
    _socket: Option<Socket>,
}

enum Sending {
    Open(SendStream),
    Ending(BoxFuture<'static, io::Result<()>>),
    Ended,
}

impl UdxStream {
    pub(crate) fn new(
        (send, recv): (SendStream, RecvStream),
        connection: Connection,
        registration: Registration,
        close_timeout: Duration,
        socket: Option<Socket>,
    ) -> Self {
        Self {
            sending: Sending::Open(send),
            recv,
            peer_ended: false,
            close_timeout,
            connection,
            _registration: registration,
            _socket: socket,
        }
    }

    /// The UDX connection under this stream, for its statistics.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl AsyncRead for UdxStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let result = match ready!(Pin::new(&mut self.recv).poll_read(cx, buf)) {
            Err(_) if closed_cleanly_by_peer(&self.connection) => Ok(0),
            other => other,
        };
        self.peer_ended |= matches!(result, Ok(0)) && !buf.is_empty();
        Poll::Ready(result)
    }
}

impl AsyncWrite for UdxStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.sending {
            Sending::Open(send) => Pin::new(send).poll_write(cx, buf),
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.sending {
            Sending::Open(send) => Pin::new(send).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let within = self.close_timeout;
        self.sending.end(within);
        let result = match &mut self.sending {
            Sending::Ending(ending) => ready!(ending.poll_unpin(cx)),
            _ => return Poll::Ready(Ok(())),
        };
        self.sending = Sending::Ended;
        match result {
            Err(_) if closed_cleanly_by_peer(&self.connection) => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl Drop for UdxStream {
    fn drop(&mut self) {
        if let (Sending::Open(send), false) = (&mut self.sending, self.peer_ended) {
            let _ = send.reset(ABORTED);
            self.connection.close(ABORTED, b"aborted");
        }
    }
}

impl fmt::Debug for UdxStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdxStream")
            .field("remote", &self.connection.remote_address())
            .field("peer_ended", &self.peer_ended)
            .finish_non_exhaustive()
    }
}

impl Sending {
    /// Sends the end of the stream. From now on there is only its acknowledgement to wait for, at most `within`.
    fn end(&mut self, within: Duration) {
        match mem::replace(self, Self::Ended) {
            Self::Open(send) => *self = Self::Ending(end(send, within).boxed()),
            other => *self = other,
        }
    }
}

async fn end(mut send: SendStream, within: Duration) -> io::Result<()> {
    // Refused only where the stream is over already, and the wait tells how.
    let _ = send.finish();
    match tokio::time::timeout(within, send.acknowledged()).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// UDX 20: a CONNECTION_CLOSE with code 0 is a clean end, even where the FIN before it was lost.
fn closed_cleanly_by_peer(connection: &Connection) -> bool {
    matches!(
        connection.close_reason(),
        Some(ConnectionError::ClosedByPeer { code: CLEAN, .. })
    )
}

/// UDX 20: the code of a connection that both sides are done with.
const CLEAN: u32 = 0;

/// UDX 20: what js-libp2p resets and closes with on an abort.
const ABORTED: u32 = 1;
