//! Streams that block, as those of `std::net`: for threads.
//!
//! Somebody else has to move packets meanwhile, a thread that owns the device for instance.

use crate::{AcceptError, Host, Listener, Sockets, Stream, System};
use alloc::sync::Arc;
use alloc::task::Wake;
use core::net::SocketAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

/// A [`Stream`] whose calls wait for as long as it takes, or as they were told.
///
/// Its clones are the same stream, with times of their own.
#[derive(Debug)]
pub struct TcpStream<H: Host = System> {
    stream: Arc<Stream<H>>,
    times: Mutex<Times>,
}

/// How long calls wait; `None`: as long as it takes.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    read: Option<Duration>,
    write: Option<Duration>,
}

impl<H: Host> From<Stream<H>> for TcpStream<H> {
    fn from(stream: Stream<H>) -> Self {
        Self {
            stream: Arc::new(stream),
            times: Mutex::default(),
        }
    }
}

impl<H: Host> TcpStream<H> {
    /// Dials, and waits for an answer.
    ///
    /// # Errors
    /// [`ConnectError`](crate::ConnectError), as `std::io` has it.
    pub fn connect(sockets: &Sockets<H>, remote: SocketAddr) -> io::Result<Self> {
        let stream = block_on(sockets.connect(None, remote), None);
        Ok(stream.ok_or(ErrorKind::TimedOut)??.into())
    }

    /// As [`connect`](Self::connect), but no longer than this.
    ///
    /// # Errors
    /// [`ConnectError`](crate::ConnectError), as `std::io` has it, and `TimedOut`.
    pub fn connect_timeout(
        sockets: &Sockets<H>,
        remote: SocketAddr,
        timeout: Duration,
    ) -> io::Result<Self> {
        let stream = block_on(sockets.connect(None, remote), Some(timeout));
        Ok(stream.ok_or(ErrorKind::TimedOut)??.into())
    }

    /// What does not block.
    #[must_use]
    pub fn stream(&self) -> &Stream<H> {
        &self.stream
    }

    /// Another handle on the same stream.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            times: Mutex::new(self.times()),
        }
    }

    /// How long a read waits before it fails with `WouldBlock`, as on Unix; `None`: as long as it takes.
    ///
    /// # Errors
    /// Zero is no time to wait.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(|times| &mut times.read, timeout)
    }

    /// How long a write waits for room, likewise.
    ///
    /// # Errors
    /// Zero is no time to wait.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(|times| &mut times.write, timeout)
    }

    /// Ends one direction or both; see [`Stream::shutdown`] and [`Stream::shutdown_read`].
    pub fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Read {
            self.stream.shutdown();
        }
        if how != Shutdown::Write {
            self.stream.shutdown_read();
        }
    }

    /// Copies what could be read, and leaves it to be read.
    ///
    /// # Errors
    /// [`ReadError`](crate::ReadError), as `std::io` has it.
    pub fn peek(&self, to: &mut [u8]) -> io::Result<usize> {
        let peeked = block_on(self.stream.peek(to), self.times().read);
        Ok(peeked.ok_or(ErrorKind::WouldBlock)??)
    }

    /// Waits until the peer has acknowledged everything; see [`Stream::delivered`]. `flush` does nothing, as that of `std::net`.
    ///
    /// # Errors
    /// [`WriteError`](crate::WriteError), as `std::io` has it.
    pub fn deliver(&self) -> io::Result<()> {
        let delivered = block_on(self.stream.delivered(), self.times().write);
        Ok(delivered.ok_or(ErrorKind::WouldBlock)??)
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(
        &self,
        which: impl FnOnce(&mut Times) -> &mut Option<Duration>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "zero is no time to wait",
            ));
        }
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *which(&mut times) = timeout;
        Ok(())
    }
}

impl<H: Host> Read for &TcpStream<H> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = block_on(self.stream.read(to), self.times().read);
        Ok(read.ok_or(ErrorKind::WouldBlock)??)
    }
}

impl<H: Host> Write for &TcpStream<H> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = block_on(self.stream.write(octets), self.times().write);
        Ok(written.ok_or(ErrorKind::WouldBlock)??)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<H: Host> Read for TcpStream<H> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        (&*self).read(to)
    }
}

impl<H: Host> Write for TcpStream<H> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        (&*self).write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Listener`] whose calls wait.
#[derive(Debug)]
pub struct TcpListener<H: Host = System> {
    listener: Listener<H>,
}

impl<H: Host> From<Listener<H>> for TcpListener<H> {
    fn from(listener: Listener<H>) -> Self {
        Self { listener }
    }
}

impl<H: Host> TcpListener<H> {
    /// The next connection, and who opened it.
    ///
    /// # Errors
    /// [`AcceptError`], as `std::io` has it.
    pub fn accept(&self) -> io::Result<(TcpStream<H>, SocketAddr)> {
        let stream = self.wait()?;
        let from = stream.peer_addr();
        Ok((stream.into(), from))
    }

    /// One connection after the other, for ever.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<TcpStream<H>>> {
        core::iter::repeat_with(|| Ok(self.wait()?.into()))
    }

    fn wait(&self) -> io::Result<Stream<H>> {
        let stream: Option<Result<_, AcceptError>> = block_on(self.listener.accept(), None);
        Ok(stream.ok_or(ErrorKind::WouldBlock)??)
    }
}

/// Sleeps until the future is ready; `None` if that takes longer than `timeout`.
fn block_on<F: Future>(future: F, timeout: Option<Duration>) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
