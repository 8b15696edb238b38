//! The sending half of a stream.

use super::connection::ConnectionInner;
use super::error::{ClosedStream, WriteError};
use super::shared::State;
use super::streams::Sending;
use bytes::Bytes;
use gapless_udx::{self as engine, ConnectionHandle, StreamId};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Most bytes taken from a borrowed buffer at once: what a copy under way in one core's cache can be, and one lock's worth.
const MOST_COPIED: usize = 64 * 1024;

/// The sending half of a stream.
///
/// Writing fills the connection's send buffer; the data leaves as the network and the peer allow. Dropping it
/// [finishes](Self::finish) the stream, so a half that ends early must say so by [`reset`](Self::reset).
///
/// It is an `AsyncWrite` of tokio and of futures. For these, shutting down or closing is [`finish`](Self::finish), and flushing does
/// nothing: what was written is on its way already. To know that it arrived, wait for [`acknowledged`](Self::acknowledged).
pub struct SendStream {
    connection: Arc<ConnectionInner>,
    id: StreamId,
}

impl SendStream {
    pub(crate) fn new(connection: Arc<ConnectionInner>, id: StreamId) -> Self {
        Self { connection, id }
    }

    /// The stream's identity, the same on both of its halves, unknown to the peer.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// What the engine calls the stream. To be asked under its lock.
    fn name(&self) -> StreamId {
        self.connection.name(self.id)
    }

    /// Writes some bytes, at least one unless `data` is empty; says how many.
    ///
    /// Waits while the send buffer is full. Cancel-safe: a dropped future has written nothing.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; nothing was written then.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        std::future::poll_fn(|cx| self.poll_write_slice(cx, data)).await
    }

    /// Writes all of `data`.
    ///
    /// Not cancel-safe: a dropped future may have written any part of it.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; a part may have been written.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<(), WriteError> {
        while !data.is_empty() {
            let written = self.write(data).await?;
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes all of `data` without copying it.
    ///
    /// Not cancel-safe: a dropped future may have written any part of it. [`write_all_chunks`](Self::write_all_chunks) is.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; a part may have been written.
    pub async fn write_chunk(&mut self, data: Bytes) -> Result<(), WriteError> {
        self.write_all_chunks(&mut [data]).await
    }

    /// Writes all chunks in order without copying them, and leaves in `chunks` what is not written.
    ///
    /// Cancel-safe in that sense: after a dropped future, and after an error, `chunks` holds exactly what was not written.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub async fn write_all_chunks(&mut self, chunks: &mut [Bytes]) -> Result<(), WriteError> {
        for chunk in chunks {
            while !chunk.is_empty() {
                std::future::poll_fn(|cx| self.poll_write_chunk(cx, chunk)).await?;
            }
        }
        Ok(())
    }

    /// Writes from the front of `chunk` what fits, without copying it, and leaves the rest there.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; nothing was taken then.
    pub fn poll_write_chunk(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<Result<usize, WriteError>> {
        if chunk.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let early = self.connection.early.is_telling().then(|| chunk.clone());
        self.connection.operate(|state, handle, _, _| {
            let connection = state.engine.connection_mut(handle);
            let written = connection.map(|connection| connection.write(self.name(), chunk));
            if let (Some(whole), Some(told), Some(Ok(len))) = (early, state.told(handle), &written)
            {
                told.written(self.name(), whole.slice(..(*len).min(whole.len())));
            }
            let answer = written.unwrap_or(Err(engine::WriteError::Closed));
            self.or_wait(state, handle, cx, answer)
        })
    }

    fn poll_write_slice(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, WriteError>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Copied without the lock, and no more than will be taken.
        let room = ready!(self.poll_room(cx))?.clamp(1, MOST_COPIED);
        let mut chunk = Bytes::copy_from_slice(data.get(..room).unwrap_or(data));
        self.poll_write_chunk(cx, &mut chunk)
    }

    /// How much the engine would take now.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, WriteError>> {
        self.connection.operate(|state, handle, _, _| {
            let connection = state.engine.connection_mut(handle);
            let room = connection.map(|connection| connection.write_capacity(self.name()));
            let answer = room.unwrap_or(Err(engine::WriteError::Closed));
            self.or_wait(state, handle, cx, answer)
        })
    }

    /// The engine's answer in this layer's words; has the task woken when there is room again.
    fn or_wait(
        &self,
        state: &mut State,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
        answer: Result<usize, engine::WriteError>,
    ) -> Poll<Result<usize, WriteError>> {
        match answer {
            Err(engine::WriteError::Blocked) => {
                if let Some(stream) = state.stream_mut(handle, self.name()) {
                    stream.writer = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            answer => Poll::Ready(answer.map_err(|error| self.error(state, handle, error))),
        }
    }

    /// The engine's refusal in this layer's words.
    fn error(
        &self,
        state: &mut State,
        handle: ConnectionHandle,
        error: engine::WriteError,
    ) -> WriteError {
        match error {
            engine::WriteError::Reset(code) => {
                match state
                    .stream_mut(handle, self.name())
                    .map(|stream| stream.send)
                {
                    Some(Sending::Reset) => WriteError::Finished,
                    _ => WriteError::Stopped(code),
                }
            }
            engine::WriteError::Closed => WriteError::ConnectionLost(state.error_of(handle)),
            _ => WriteError::Finished,
        }
    }

    /// Ends the stream: the peer reads its end after all that was written.
    ///
    /// Returns at once; [`acknowledged`](Self::acknowledged) tells when the peer has everything. The receiving half goes on.
    ///
    /// # Errors
    ///
    /// The stream was finished or reset before, or its connection is over.
    pub fn finish(&mut self) -> Result<(), ClosedStream> {
        self.connection.operate(|state, handle, _, _| {
            let connection = state.engine.connection_mut(handle);
            let finished = connection.map(|connection| connection.finish(self.name()));
            match (finished, state.stream_mut(handle, self.name())) {
                (Some(Ok(())), Some(stream)) if stream.send == Sending::Open => {
                    stream.send = Sending::Finished;
                    Ok(())
                }
                _ => Err(ClosedStream),
            }
        })
    }

    /// Gives the stream up: what is not delivered yet will not be, and the peer learns the code.
    ///
    /// In UDX that ends **both** directions: the receiving half of this stream ends too, here and at the peer.
    ///
    /// # Errors
    ///
    /// The stream was reset before, everything was delivered already, or its connection is over.
    pub fn reset(&mut self, code: u32) -> Result<(), ClosedStream> {
        self.connection.operate(|state, handle, now, wakes| {
            match state.stream_mut(handle, self.name()) {
                Some(stream) if matches!(stream.send, Sending::Open | Sending::Finished) => {
                    stream.send = Sending::Reset;
                    wakes.task(stream.reader.take());
                    wakes.stream(stream.changed.as_ref());
                }
                _ => return Err(ClosedStream),
            }
            let connection = state.engine.connection_mut(handle).ok_or(ClosedStream)?;
            connection.reset(self.name(), code);
            if let Some(told) = state.told(handle) {
                told.reset(self.name(), code);
            }
            state.tidy(handle, self.name(), now);
            Ok(())
        })
    }

    /// Waits until the peer has acknowledged everything written and the end of the stream.
    ///
    /// That means the peer's transport has it, not that its application has read it. Call [`finish`](Self::finish) first, or it
    /// waits for somebody else to do so. Cancel-safe. The future does not borrow the stream.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]: the stream was reset by either side, or the connection is over.
    pub fn acknowledged(
        &self,
    ) -> impl Future<Output = Result<(), WriteError>> + Send + Sync + 'static {
        let (connection, id) = (self.connection.clone(), self.id);
        async move { fate(&connection, id).await }
    }

    /// Waits until the peer stops or resets the stream, and gives its code; `None` once it has acknowledged everything.
    ///
    /// Cancel-safe. The future does not borrow the stream.
    ///
    /// # Errors
    ///
    /// This side reset the stream, or the connection is over.
    pub fn stopped(
        &self,
    ) -> impl Future<Output = Result<Option<u32>, WriteError>> + Send + Sync + 'static {
        let (connection, id) = (self.connection.clone(), self.id);
        async move {
            match fate(&connection, id).await {
                Ok(()) => Ok(None),
                Err(WriteError::Stopped(code)) => Ok(Some(code)),
                Err(error) => Err(error),
            }
        }
    }
}

/// Waits for what becomes of a sending half.
async fn fate(connection: &ConnectionInner, id: StreamId) -> Result<(), WriteError> {
    loop {
        let changed = {
            let (place, mut state) = connection.lock();
            let over = state.connections.get(&place.handle);
            let over = over.and_then(|entry| entry.over.clone());
            let Some(stream) = state.stream_mut(place.handle, connection.name(id)) else {
                // Forgotten: it went its whole way, or went with its connection.
                return over.map_or(Ok(()), |error| Err(error.into()));
            };
            match (stream.send, over) {
                (Sending::Acknowledged, _) => return Ok(()),
                (Sending::Stopped(code), _) => return Err(WriteError::Stopped(code)),
                (Sending::Reset, _) => return Err(WriteError::Finished),
                (_, Some(error)) => return Err(error.into()),
                (Sending::Open | Sending::Finished, None) => stream.changed().notified_owned(),
            }
        };
        changed.await;
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.connection.operate(|state, handle, now, _| {
            let State {
                engine,
                connections,
                ..
            } = state;
            if let Some(entry) = connections.get_mut(&handle) {
                let connection = engine.connection_mut(handle);
                entry.streams.drop_sending(self.name(), connection);
            }
            state.tidy(handle, self.name(), now);
        });
    }
}

impl tokio::io::AsyncWrite for SendStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_slice(cx, data)
            .map_err(Into::into)
    }

    /// Does nothing: what was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// [`finish`](SendStream::finish), without waiting for the acknowledgement.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().shut_down())
    }
}

impl futures_io::AsyncWrite for SendStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(self, cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(self, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(self, cx)
    }
}

impl SendStream {
    /// As `finish`, but a second end of an ended stream is no error, as sockets have it.
    fn shut_down(&mut self) -> io::Result<()> {
        if self.finish().is_ok() {
            return Ok(());
        }
        let (place, mut state) = self.connection.lock();
        let handle = place.handle;
        let send = state
            .stream_mut(handle, self.name())
            .map(|stream| stream.send);
        match send {
            Some(Sending::Finished | Sending::Acknowledged) => Ok(()),
            Some(Sending::Stopped(code)) => Err(WriteError::Stopped(code).into()),
            Some(Sending::Reset) => Err(WriteError::Finished.into()),
            Some(Sending::Open) | None => Err(state.error_of(handle).into()),
        }
    }
}

impl std::fmt::Debug for SendStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendStream")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
