//! The application's calls (RFC 9293 3.10.2 to 3.10.5).

use super::{CloseReason, Connection, State};
use core::time::Duration;
use gapless_recovery::Instant;
use gapless_seq::mark;

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing has arrived yet.
    #[error("nothing has arrived yet")]
    WouldBlock,
    /// The connection broke before the peer's end of the stream.
    #[error("the connection ended before the stream did")]
    Ended(CloseReason),
}

/// Why nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum WriteError {
    /// The send buffer is full.
    #[error("the send buffer is full")]
    WouldBlock,
    /// We said that we send no more.
    #[error("the stream was shut down for writing")]
    ShutDown,
    /// The connection is over.
    #[error("the connection is over")]
    Ended(CloseReason),
}

impl Connection {
    /// Takes as many octets as the send buffer has room for. How many.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(&mut self, octets: &[u8]) -> Result<usize, WriteError> {
        if let Some(reason) = self.ended {
            return Err(WriteError::Ended(reason));
        }
        if self.out.is_shut || !self.state.may_write() {
            return Err(WriteError::ShutDown);
        }
        self.out.buffer.set_limit(self.send_limit());
        match self.out.buffer.write(octets) {
            0 if !octets.is_empty() => Err(WriteError::WouldBlock),
            written => Ok(written),
        }
    }

    /// What waits to be sent is twice what may be on its way: then something is there for each acknowledgment, and no more memory held than
    /// the path can use. It follows the window down as well as up.
    fn send_limit(&self) -> u32 {
        let window = self.recovery.congestion_window().saturating_mul(2);
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        mark!(SendBufferGrew, window > self.config.first_send_buffer);
        window.max(self.config.first_send_buffer)
    }

    /// Takes up to `to.len()` octets out. How many; none at the end of the peer's stream.
    ///
    /// # Errors
    /// [`ReadError`]. What arrived before the connection ended can be read first.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, ReadError> {
        let read = self.inward.buffer.read(to);
        if read > 0 {
            if self.state == State::Closed {
                self.release_buffers();
            }
            // C5, C6: a sender that stands before a closed window learns of it now.
            if self.state.takes_data()
                && self
                    .inward
                    .buffer
                    .window()
                    .wants_update(u64::from(self.payload_limit()))
            {
                mark!(UpdateOwed);
                self.owe_acknowledgment();
            }
            return Ok(read);
        }
        if self.inward.buffer.has_ended() || to.is_empty() {
            return Ok(0);
        }
        match self.ended {
            Some(reason) => Err(ReadError::Ended(reason)),
            None => Err(ReadError::WouldBlock),
        }
    }

    /// What could be read now, in two pieces because the buffer is a ring; nothing is taken out.
    #[must_use]
    pub fn peek(&self) -> (&[u8], &[u8]) {
        self.inward.buffer.peek()
    }

    /// We send no more: the FIN follows what was written (RFC 9293 3.10.4). Reading goes on.
    pub fn shutdown(&mut self, now: Instant) {
        if self.out.is_shut || self.state == State::Closed {
            return;
        }
        self.out.is_shut = true;
        if !matches!(self.state, State::SynSent | State::SynReceived) {
            self.enter(now, self.state.after_shutdown());
        }
    }

    /// The application is done with it: it sends no more and reads no more. What was written is still delivered. If something that arrived was not
    /// read, or arrives from now on, the peer gets a RST, because nobody will ever see it (RFC 9293 3.6.1).
    pub fn close(&mut self, now: Instant) {
        self.inward.is_shut = true;
        if self.state == State::SynSent {
            self.end(now, CloseReason::Aborted);
            return;
        }
        if self.inward.buffer.readable() > 0 {
            mark!(ClosedUnread);
            self.abort(now);
            return;
        }
        self.shutdown(now);
        if self.state == State::FinWait2 {
            self.timers.fin_wait = Some(self.config.fin_wait_timeout.after(now));
        }
    }

    /// Whether a small segment waits for the acknowledgment of others (RFC 896, RFC 9293 3.7.4).
    pub const fn set_nagle(&mut self, nagle: bool) {
        self.config.nagle = nagle;
    }

    /// Whether one does.
    #[must_use]
    pub const fn has_nagle(&self) -> bool {
        self.config.nagle
    }

    /// Whether [`read`](Self::read) would say something else than to wait.
    #[must_use]
    pub fn may_read(&self) -> bool {
        let buffer = &self.inward.buffer;
        buffer.readable() > 0 || buffer.has_ended() || self.ended.is_some()
    }

    /// Whether [`write`](Self::write) would say something else than to wait, unless the allocator refuses.
    #[must_use]
    pub fn may_write(&self) -> bool {
        let waits = self.ended.is_none() && !self.out.is_shut && self.state.may_write();
        !waits || self.out.buffer.has_room(self.send_limit())
    }

    /// How long something sent may go unacknowledged before the connection is given up, from now on (RFC 9293 3.9.1.8); `None`: for ever. What
    /// is outstanding counts from now. The peer is not told of it, see [`advertise_user_timeout`](Self::advertise_user_timeout), and what it tells of
    /// itself changes nothing any more (RFC 5482 3.1). While the connection is being opened
    /// [`Config::connect_timeout`](crate::Config::connect_timeout) goes on to count.
    pub fn set_user_timeout(&mut self, now: Instant, timeout: Option<Duration>) {
        self.config.user_timeout = timeout.into();
        self.keep_user_timeout();
        if self.state.is_synchronized() {
            self.rearm_user_timer(now);
        }
    }

    /// Whether everything that was written, and the end of the stream if it was shut down, is acknowledged.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        let all = self
            .fin()
            .map_or(self.out.buffer.end(), |fin| fin.saturating_add(1));
        self.out.una >= all
    }
}
