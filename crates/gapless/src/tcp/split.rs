//! The two directions of a stream apart, as `tokio::net::tcp` has them.

use super::stream::{Inner, TcpStream};
use gapless_sockets::{Stream, System};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What comes; see [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a Stream<System>);

/// What goes; see [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a Stream<System>);

/// What comes; see [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<Inner>);

/// What goes; see [`TcpStream::into_split`]. Dropping it shuts the direction down.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    inner: Arc<Inner>,
    shuts_down: bool,
}

/// The halves are of different streams.
#[derive(Debug, thiserror::Error)]
#[error("the halves are of different streams")]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

pub(super) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let write = OwnedWriteHalf {
        inner: stream.inner.clone(),
        shuts_down: true,
    };
    (OwnedReadHalf(stream.inner), write)
}

impl OwnedReadHalf {
    /// Puts the halves together again.
    ///
    /// # Errors
    /// They are of different streams.
    pub fn reunite(self, mut write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &write.inner) {
            return Err(ReuniteError(self, write));
        }
        write.shuts_down = false;
        Ok(TcpStream { inner: self.0 })
    }

    /// See [`TcpStream::peek`].
    ///
    /// # Errors
    /// Those of reading.
    pub async fn peek(&self, to: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.stream.peek(to).await?)
    }

    /// Our end.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.stream.local_addr()
    }

    /// The peer's end.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.stream.peer_addr()
    }
}

impl OwnedWriteHalf {
    /// Drops it and leaves the direction open.
    pub fn forget(mut self) {
        self.shuts_down = false;
    }

    /// Our end.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.stream.local_addr()
    }

    /// The peer's end.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.inner.stream.peer_addr()
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shuts_down {
            self.inner.stream.shutdown();
        }
    }
}

/// A stream, or one direction of it.
trait Half {
    fn stream(&self) -> &Stream<System>;
}

macro_rules! half {
    ($half:ty, $stream:ident => $place:expr) => {
        impl Half for $half {
            fn stream(&self) -> &Stream<System> {
                let $stream = self;
                $place
            }
        }
    };
}

half!(ReadHalf<'_>, half => half.0);
half!(WriteHalf<'_>, half => half.0);
half!(TcpStream, whole => whole.stream());
half!(OwnedReadHalf, half => &half.0.stream);
half!(OwnedWriteHalf, half => &half.inner.stream);

macro_rules! reads {
    ($half:ty) => {
        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let to = buffer.initialize_unfilled();
                let read = ready!(Half::stream(&*self).poll_read(cx, to))?;
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    };
}

macro_rules! writes {
    ($half:ty) => {
        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                octets: &[u8],
            ) -> Poll<io::Result<usize>> {
                let written = ready!(Half::stream(&*self).poll_write(cx, octets))?;
                Poll::Ready(Ok(written))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Half::stream(&*self).shutdown();
                Poll::Ready(Ok(()))
            }
        }
    };
}

reads!(TcpStream);
writes!(TcpStream);
reads!(ReadHalf<'_>);
reads!(OwnedReadHalf);
writes!(WriteHalf<'_>);
writes!(OwnedWriteHalf);
