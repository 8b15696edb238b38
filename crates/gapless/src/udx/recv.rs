//! The receiving half of a stream.

use super::connection::ConnectionInner;
use super::error::{ClosedStream, ReadError, ReadExactError, ReadToEndError};
use super::shared::State;
use super::streams::Sending;
use super::wakes::Wakes;
use bytes::{Buf, Bytes};
use gapless_udx::{self as engine, StreamId};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes taken from the engine for a smaller read, so that small reads do not lock each time. They count as read towards the peer.
const READ_AHEAD: usize = 16 * 1024;

/// Bytes taken from the engine under one lock.
const MOST_TAKEN: usize = 1 << 20;

/// The receiving half of a stream.
///
/// A peer sends no more than the stream's window ahead of what is read here: reading slowly slows the peer down.
///
/// Dropping it before the end throws away what still comes, quietly, as long as the sending half is in use: UDX can only end both
/// directions together (its answer to STOP_SENDING is a reset). Once the sending half is dropped too and all that was written on it
/// has arrived, a peer that still sends is stopped. Whoever wants the peer to stop at once says so by [`stop`](Self::stop).
///
/// It is an `AsyncRead` of tokio and of futures; the end of the stream is the end of file.
pub struct RecvStream {
    connection: Arc<ConnectionInner>,
    id: StreamId,
    /// Taken from the engine, not yet from here.
    ahead: VecDeque<Bytes>,
    /// What comes after `ahead`: the end or an error, once known.
    last: Option<Result<(), ReadError>>,
}

impl RecvStream {
    pub(crate) fn new(connection: Arc<ConnectionInner>, id: StreamId) -> Self {
        Self {
            connection,
            id,
            ahead: VecDeque::new(),
            last: None,
        }
    }

    /// The stream's identity, the same on both of its halves, unknown to the peer.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// What the engine calls the stream. To be asked under its lock.
    fn name(&self) -> StreamId {
        self.connection.name(self.id)
    }

    /// Reads some bytes into `buffer`; `None` is the end of the stream.
    ///
    /// Cancel-safe: a dropped future has read nothing.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, ReadError> {
        if buffer.is_empty() {
            return Ok(Some(0));
        }
        let read = std::future::poll_fn(|cx| self.poll_fill(cx, buffer)).await?;
        Ok((read > 0).then_some(read))
    }

    /// Reads at most `max` bytes, without copying them; `None` is the end of the stream.
    ///
    /// Cancel-safe: a dropped future has read nothing.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, ReadError> {
        std::future::poll_fn(|cx| self.poll_read_chunk(cx, max)).await
    }

    /// [`read_chunk`](Self::read_chunk) for futures written by hand.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn poll_read_chunk(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        if max == 0 {
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        if self.ahead.is_empty() {
            ready!(self.poll_take(cx, 1, max));
        }
        let Some(front) = self.ahead.front_mut() else {
            return Poll::Ready(self.last.clone().unwrap_or(Ok(())).map(|()| None));
        };
        if front.len() > max {
            return Poll::Ready(Ok(Some(front.split_to(max))));
        }
        Poll::Ready(Ok(self.ahead.pop_front()))
    }

    /// Fills the whole `buffer`.
    ///
    /// Not cancel-safe: a dropped future may have read any part.
    ///
    /// # Errors
    ///
    /// The stream ended before, or see [`ReadError`]. What was read by then is in `buffer`.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ReadExactError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest).await? {
                Some(read) => filled += read,
                None => return Err(ReadExactError::FinishedEarly(filled)),
            }
        }
        Ok(())
    }

    /// Reads to the end of the stream, `limit` bytes at most.
    ///
    /// Not cancel-safe: what a dropped future has read is lost.
    ///
    /// # Errors
    ///
    /// The stream is longer than `limit`, or see [`ReadError`]. What was read by then is lost.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, ReadToEndError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.read_chunk(MOST_TAKEN).await? {
            if chunk.len() > limit.saturating_sub(all.len()) {
                return Err(ReadToEndError::TooLong);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// Asks the peer to send no more, with a code. What has not been read is thrown away.
    ///
    /// In UDX peers answer by resetting the stream, which ends **both** directions: what the sending half has not delivered yet
    /// is lost too.
    ///
    /// # Errors
    ///
    /// The stream has ended already, or its connection is over.
    pub fn stop(&mut self, code: u32) -> Result<(), ClosedStream> {
        if self.last.is_some() {
            return Err(ClosedStream);
        }
        self.ahead.clear();
        self.last = Some(Err(ReadError::Stopped));
        self.connection.operate(|state, handle, _, _| {
            let connection = state.engine.connection_mut(handle);
            let connection = connection.ok_or(ClosedStream)?;
            connection.stop(self.name(), code);
            if let Some(told) = state.told(handle) {
                told.stopped(self.name(), code);
            }
            Ok(())
        })
    }

    /// Copies into `buffer` what there is, at least one byte; 0 is the end.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, ReadError>> {
        if self.ahead.is_empty() {
            ready!(self.poll_take(cx, buffer.len(), buffer.len().max(READ_AHEAD)));
        }
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some(front) = self.ahead.front_mut() else {
                break;
            };
            let size = rest.len().min(front.len());
            if let Some(rest) = rest.get_mut(..size) {
                front.copy_to_slice(rest);
            }
            filled += size;
            if front.is_empty() {
                self.ahead.pop_front();
            }
        }
        match (filled, &self.last) {
            (0, Some(Err(error))) => Poll::Ready(Err(error.clone())),
            _ => Poll::Ready(Ok(filled)),
        }
    }

    /// Takes chunks of at most `max` bytes from the engine until `enough` bytes are there, or no more have come.
    ///
    /// Ready as soon as there is anything, or nothing more will come.
    fn poll_take(&mut self, cx: &mut Context<'_>, enough: usize, max: usize) -> Poll<()> {
        if self.last.is_some() {
            return Poll::Ready(());
        }
        let mut wakes = Wakes::default();
        let (place, mut state) = self.connection.lock();
        let handle = place.handle;
        let mut taken = 0;
        while taken < enough.min(MOST_TAKEN) {
            let read = match state.engine.connection_mut(handle) {
                Some(connection) => connection.read(self.name(), max),
                None => Err(engine::ReadError::Closed),
            };
            match read {
                Ok(Some(chunk)) => {
                    taken += chunk.len();
                    self.ahead.push_back(chunk);
                }
                Ok(None) => {
                    self.last = Some(Ok(()));
                    break;
                }
                Err(engine::ReadError::Blocked) => break,
                Err(error) => {
                    let name = self.name();
                    self.last = Some(Err(read_error(&mut state, handle, name, error)));
                    break;
                }
            }
        }
        let waits = taken == 0 && self.last.is_none();
        if waits && let Some(stream) = state.stream_mut(handle, self.name()) {
            stream.reader = Some(cx.waker().clone());
        }
        // Waiting asks for the peer, who knows nothing yet of an early dial. What was read may owe him a larger window; mostly it
        // does not, and then the driver sleeps on.
        let unheard = waits && state.is_unanswered(handle);
        let connection = state.engine.connection(handle);
        if unheard || connection.is_some_and(engine::Connection::has_to_answer_reading) {
            state.rouse(&mut wakes);
        }
        drop(state);
        wakes.wake(&place.shared);
        if unheard {
            self.connection.early.begin();
        }
        if waits {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// The engine's refusal in this layer's words.
fn read_error(
    state: &mut State,
    handle: engine::ConnectionHandle,
    id: StreamId,
    error: engine::ReadError,
) -> ReadError {
    match error {
        engine::ReadError::Reset(code) => {
            match state.stream_mut(handle, id).map(|stream| stream.send) {
                Some(Sending::Reset) => ReadError::Stopped,
                _ => ReadError::Reset(code),
            }
        }
        engine::ReadError::Closed => ReadError::ConnectionLost(state.error_of(handle)),
        _ => ReadError::Stopped,
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        let ended = self.last.is_some();
        self.connection.operate(|state, handle, now, _| {
            let State {
                engine,
                connections,
                ..
            } = state;
            if let Some(entry) = connections.get_mut(&handle) {
                let connection = engine.connection_mut(handle);
                entry.streams.drop_receiving(self.name(), ended, connection);
            }
            state.tidy(handle, self.name(), now);
        });
    }
}

impl tokio::io::AsyncRead for RecvStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.ahead.is_empty() {
            let room = buffer.remaining();
            ready!(this.poll_take(cx, room, room.max(READ_AHEAD)));
        }
        let mut filled = false;
        while buffer.remaining() > 0
            && let Some(front) = this.ahead.front_mut()
        {
            let size = buffer.remaining().min(front.len());
            buffer.put_slice(&front.split_to(size));
            filled = true;
            if front.is_empty() {
                this.ahead.pop_front();
            }
        }
        match &this.last {
            Some(Err(error)) if !filled => Poll::Ready(Err(error.clone().into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl futures_io::AsyncRead for RecvStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.get_mut().poll_fill(cx, buffer).map_err(Into::into)
    }
}

impl std::fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvStream")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Endpoint};
    use std::net::Ipv4Addr;

    /// A chunk, if one has come already, without a turn of any other task in between.
    fn take(stream: &mut RecvStream, max: usize) -> Option<Bytes> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match stream.poll_read_chunk(&mut cx, max) {
            Poll::Ready(Ok(chunk)) => chunk,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => None,
        }
    }

    /// The driver sleeps, and so nobody has asked for it.
    async fn asleep(connection: &Connection) {
        let sleeps = || {
            let (_, state) = connection.inner.lock();
            !state.driver.roused && !state.driver.running
        };
        while !sleeps() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn is_roused(connection: &Connection) -> bool {
        connection.inner.lock().1.driver.roused
    }

    /// Reading wakes the driver when the peer is owed a larger window, and not before.
    #[tokio::test]
    async fn the_driver_sleeps_while_reading_gives_nothing_to_send() {
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        let server = Endpoint::server(any_port).unwrap();
        let client = Endpoint::client(any_port).unwrap();
        let dial = client.connect(server.local_addr().unwrap()).unwrap();
        let (near, far) = tokio::join!(dial, server.accept());
        let (near, far) = (near.unwrap(), far.unwrap());
        let (mut send, _recv) = near.open_bi().await.unwrap();
        send.write_chunk(vec![7; 1 << 20].into()).await.unwrap();
        let (_send, mut recv) = far.accept_bi().await.unwrap();

        let mut read = 0;
        let mut reads = 0;
        loop {
            asleep(&far).await;
            if let Some(chunk) = take(&mut recv, 1000) {
                read += chunk.len();
                reads += 1;
            }
            if is_roused(&far) {
                break;
            }
            assert!(read < 1 << 20, "the window is never enlarged");
        }
        assert!(
            reads > 30,
            "roused by read number {reads}, after {read} bytes"
        );
    }
}
