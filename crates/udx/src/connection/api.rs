//! What the application does with a connection.

use bytes::Bytes;
use core::net::SocketAddr;

use gapless_recovery::Instant;
use gapless_seq::mark;

use super::streams::StreamId;
use super::{Connection, Side};
use crate::error::{CloseReason, OpenError, ReadError, WriteError, code};
use crate::stream;

/// Bytes a stream may always have written and unacknowledged, whatever the others have.
const LEAST_SEND_CAPACITY: u64 = 64 << 10;

/// Bytes it may have at first, before the congestion window says what the path takes: enough that
/// the application is not woken for every few packets.
const INITIAL_SEND_CAPACITY: u64 = 256 << 10;

/// Windows it may have once that is known. A packet that is lost twice is here after three round trips, and until then nothing behind it
/// leaves the buffer, while each round trip sends another window: with fewer, the sender has nothing to send several times a minute on
/// a path that loses two of a hundred.
const BUFFERED_WINDOWS: u64 = 4;

impl Connection {
    /// Opens a stream. The first one of a dialed connection is the one that its first packet opens.
    ///
    /// # Errors
    ///
    /// [`OpenError::Limit`] until the peer lets us have more.
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.closed.is_some() {
            return Err(OpenError::Closed);
        }
        if let Some(first) = self.streams.first.take() {
            return Ok(StreamId(first));
        }
        if !self.streams.may_open() {
            mark!(OpenBlocked);
            self.streams.open_waiting = true;
            return Err(OpenError::Limit);
        }
        let id = self.streams.open();
        self.streams.queue(id);
        Ok(StreamId(id))
    }

    /// A stream that the peer opened, in the order in which they came. May answer differently after
    /// `Endpoint::handle`, which announces each by `Event::StreamOpened`.
    pub fn accept(&mut self) -> Option<StreamId> {
        self.streams.incoming.pop_front().map(StreamId)
    }

    /// Takes bytes from the front of `data` into the stream's send buffer, without a copy where they
    /// are a kilobyte or more. Returns how many: at least one, unless `data` is empty.
    ///
    /// # Errors
    ///
    /// [`WriteError::Blocked`] while the buffer is full; `Event::Writable` follows.
    pub fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        if self.closed.is_some() {
            return Err(WriteError::Closed);
        }
        let capacity = self.send_capacity();
        let stream = self.streams.get_mut(id.0).ok_or(WriteError::Unknown)?;
        let before = stream.send.buffer().len();
        let written = stream.send.write(data, capacity);
        let after = stream.send.buffer().len();
        mark!(WriteBlocked, written == Err(stream::WriteError::Blocked));
        stream.write_waiting = written == Err(stream::WriteError::Blocked);
        self.streams.buffered = self
            .streams
            .buffered
            .saturating_add(after.saturating_sub(before));
        if before == 0 && after > 0 {
            self.streams.writers = self.streams.writers.saturating_add(1);
        }
        self.streams.queue(id.0);
        if self.rules.reports_blocked && stream_is_blocked(&self.streams, id) {
            // The update that allows more may have been lost: only asking helps (D13).
            self.streams.queue_control(id.0);
        }
        written.map_err(|error| self.write_error(id, error))
    }

    /// How many bytes [`write`](Self::write) would take now.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); after [`WriteError::Blocked`], `Event::Writable` follows.
    pub fn write_capacity(&mut self, id: StreamId) -> Result<usize, WriteError> {
        if self.closed.is_some() {
            return Err(WriteError::Closed);
        }
        let capacity = self.send_capacity();
        let stream = self.streams.get_mut(id.0).ok_or(WriteError::Unknown)?;
        let room = stream.send.room(capacity);
        stream.write_waiting = room == Err(stream::WriteError::Blocked);
        let room = room.map(|room| usize::try_from(room).unwrap_or(usize::MAX));
        room.map_err(|error| self.write_error(id, error))
    }

    /// What a stream may have in its send buffer: [`BUFFERED_WINDOWS`], so that an acknowledgement always finds more to send, shared
    /// fairly where the connection's bound is near.
    fn send_capacity(&self) -> u64 {
        let writers = u64::from(self.streams.writers).max(1);
        let share = self.limits.send_buffer.checked_div(writers).unwrap_or(0);
        let useful = self
            .recovery
            .congestion_window()
            .saturating_mul(BUFFERED_WINDOWS)
            .max(INITIAL_SEND_CAPACITY);
        useful.min(share).max(LEAST_SEND_CAPACITY)
    }

    fn write_error(&self, id: StreamId, error: stream::WriteError) -> WriteError {
        match error {
            // What no buffer could be found for is as if the buffer were full.
            stream::WriteError::Blocked | stream::WriteError::OutOfMemory => WriteError::Blocked,
            stream::WriteError::Reset(code) => WriteError::Reset(code),
            stream::WriteError::TooLong => WriteError::Finished,
            stream::WriteError::Finished => {
                let state = self.streams.get(id.0).map(|stream| stream.send.state());
                match state {
                    Some(stream::SendState::Reset(code)) => WriteError::Reset(code),
                    _ => WriteError::Finished,
                }
            }
        }
    }

    /// Ends this side's direction of the stream after what was written. A second time does nothing.
    ///
    /// # Errors
    ///
    /// [`WriteError::Reset`] and the like when the end cannot be delivered.
    pub fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        if self.closed.is_some() {
            return Err(WriteError::Closed);
        }
        let stream = self.streams.get_mut(id.0).ok_or(WriteError::Unknown)?;
        let finished = stream.send.finish();
        self.streams.queue(id.0);
        match finished {
            Err(stream::FinishError::Reset(code)) => Err(WriteError::Reset(code)),
            Ok(()) | Err(stream::FinishError::Finished) => Ok(()),
        }
    }

    /// Whether all that was written, and the end, were acknowledged.
    #[must_use]
    pub fn is_acknowledged(&self, id: StreamId) -> bool {
        self.streams
            .get(id.0)
            .is_some_and(|stream| stream.send.is_acknowledged())
    }

    /// Takes at most `max` bytes that arrived in order; fewer where a block ends. `None` at the end
    /// of the stream, again and again. What arrived before the connection was closed can still be
    /// read.
    ///
    /// # Errors
    ///
    /// [`ReadError::Blocked`] while nothing is there; `Event::Readable` follows.
    pub fn read(&mut self, id: StreamId, max: usize) -> Result<Option<Bytes>, ReadError> {
        let closed = self.closed.is_some();
        let gone = if closed {
            ReadError::Closed
        } else {
            ReadError::Unknown
        };
        let stream = self.streams.get_mut(id.0).ok_or(gone)?;
        let read = stream.recv.read(max);
        stream.read_waiting = read == Err(stream::ReadError::Blocked);
        match read {
            Ok(read) => {
                if !closed {
                    if let Some(last) = &read
                        && stream.recv.is_between_blocks()
                    {
                        self.streams.blocks.lend(self.clock.now, last);
                    }
                    self.on_consumed(id);
                }
                Ok(read)
            }
            Err(stream::ReadError::Blocked) if closed => Err(ReadError::Closed),
            Err(stream::ReadError::Blocked) => Err(ReadError::Blocked),
            Err(stream::ReadError::Reset(code)) => Err(ReadError::Reset(code)),
            Err(stream::ReadError::Stopped) => Err(ReadError::Reset(0)),
        }
    }

    /// Whether what was read gave the connection something to say: a larger window, mostly. While not, whoever only reads need not
    /// have the endpoint polled.
    #[must_use]
    pub fn has_to_answer_reading(&self) -> bool {
        // In version 2 room may let packets that waited for it have their effect, which is acknowledged.
        !self.streams.control.is_empty() || self.v2.is_some()
    }

    fn on_consumed(&mut self, id: StreamId) {
        let (now, rtt) = (self.clock.now, self.recovery.rtt().smoothed());
        let mut growth = self.streams.growth;
        let due = self
            .streams
            .get_mut(id.0)
            .is_some_and(|stream| stream.recv.on_consumed(now, rtt, &mut growth));
        self.streams.growth = growth;
        if due {
            self.streams.queue_control(id.0);
        }
        if self.v2.is_some() {
            self.on_room();
        }
    }

    /// Gives the stream up, in both directions (UDX 8.4). What was not delivered is lost.
    pub fn reset(&mut self, id: StreamId, code: u32) {
        if self.closed.is_none() {
            self.abort_stream(id.0, code);
        }
    }

    /// Asks the peer to give the stream up; what still comes is dropped. Peers answer by ending
    /// both directions (UDX 8.4).
    pub fn stop(&mut self, id: StreamId, code: u32) {
        if self.closed.is_none() {
            self.stop_stream(id.0, code);
        }
    }

    /// The application is done with the stream. What it wrote is still delivered, and the end after it;
    /// what it has not read is dropped, and the peer is told so once that is done.
    pub fn release_stream(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return;
        };
        stream.released = true;
        stream.read_waiting = false;
        stream.write_waiting = false;
        // UDX 8.4: telling the peer now would take back what this side wrote; see `reap_ending`.
        if stream.recv.stop() {
            stream.drops_rest.get_or_insert(code::NONE);
        }
        let _ = stream.send.finish();
        self.streams.queue(id.0);
        self.streams.ending.push(id.0);
        self.reap_ending();
    }

    /// Closes the connection at once. What was not delivered is lost, on both sides (V21): to end
    /// gracefully, finish the streams and wait until they are acknowledged.
    pub fn close(&mut self, now: Instant, code: u32, reason: &[u8]) {
        self.clock.now = self.clock.now.max(now);
        self.terminate(CloseReason::Local { code }, Some(code), reason);
    }

    /// Asks the peer whether it is there; `Event::Pong` follows. Works with every peer (D7).
    pub fn ping(&mut self, now: Instant) {
        self.clock.now = self.clock.now.max(now);
        if self.closed.is_none() && self.clock.pinged.is_none() {
            self.clock.pinged = Some(self.clock.now);
            if self.may_ask() {
                self.path.ask(self.clock.now);
            }
        }
    }

    /// Where packets are sent.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.path.remote()
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Why it is over, if it is.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.closed.as_ref().map(|closed| &closed.reason)
    }

    /// Whether anything valid came from the peer.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.side == Side::Acceptor || self.clock.answered
    }
}

fn stream_is_blocked(streams: &super::streams::Streams, id: StreamId) -> bool {
    let stream = streams.get(id.0);
    stream.is_some_and(|stream| stream.send.is_blocked_by_limit())
}
