//! The receiving half of a stream. RFC 9000 3.2, as far as UDX 8 has it.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

use super::position;
use super::recv_buffer::{BLOCK, RecvBuffer, Refused, memory_bound};
use super::window::{ReceiveWindow, WindowConfig};

/// What became of a STREAM frame that may be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Accepted {
    /// Bytes not received before.
    pub(crate) newly: u64,
    /// A read would have been blocked before, and is not now.
    pub(crate) became_readable: bool,
    /// The final size is known, by this frame or an earlier one.
    pub(crate) fin_known: bool,
}

/// Why a STREAM frame was not taken. Nothing of it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecvError {
    /// More than a window beyond the limit. The sender is at fault: reset with code 3. UDX D14.
    BeyondLimit,
    /// Bytes beyond the final size, or a final size below bytes received: the sender is at fault, reset with
    /// code 4. UDX 18.4, RFC 9000 4.5.
    BeyondFinalSize,
    /// Another final size than before: the sender is at fault, reset with code 4. UDX 18.4.
    FinalSizeChanged,
    /// Beyond the limit, by less than is worth a reset, but more than there is memory for. The packet
    /// must not be acknowledged (V13).
    Overshoot,
    /// More runs beyond holes than are kept. The packet must not be acknowledged (V13).
    TooFragmented,
    /// The allocator refused. The packet must not be acknowledged (V13).
    OutOfMemory,
}

impl RecvError {
    /// The code to reset the stream with; `None` when the frame is no fault of the sender's, and its packet is
    /// to be dropped without an acknowledgement, so that the frame comes again (V13). UDX 15.
    pub(crate) fn reset_code(self) -> Option<u32> {
        match self {
            Self::BeyondLimit => Some(3),
            Self::BeyondFinalSize | Self::FinalSizeChanged => Some(4),
            Self::Overshoot | Self::TooFragmented | Self::OutOfMemory => None,
        }
    }
}

impl From<Refused> for RecvError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooFragmented => Self::TooFragmented,
            Refused::TooFar => Self::Overshoot,
            Refused::OutOfMemory => Self::OutOfMemory,
        }
    }
}

/// Why there is nothing to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadError {
    /// Nothing yet.
    Blocked,
    /// The sender gave the stream up, with this code.
    Reset(u32),
    /// This side gave it up.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Bytes are taken and kept until they are read.
    Receiving,
    /// The application wants no more: bytes are taken and dropped.
    Stopped,
    /// RESET_STREAM came.
    Reset(u32),
}

/// The bytes received and not yet read, the final size, and the limit promised.
///
/// Memory: at most [`memory_bound`](Self::memory_bound) of the window, whatever arrives. A stream that
/// has handed out what it received holds none.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct RecvHalf {
    buffer: RecvBuffer,
    window: ReceiveWindow,
    final_size: Option<u64>,
    state: State,
}

impl RecvHalf {
    /// A half that has received nothing, at the limit that every sender assumes.
    pub(crate) fn new(config: &WindowConfig) -> Self {
        Self {
            buffer: RecvBuffer::new(),
            window: ReceiveWindow::new(config),
            final_size: None,
            state: State::Receiving,
        }
    }

    /// A half whose bytes below `position` were received and read.
    pub(crate) fn at(config: &WindowConfig, position: u64) -> Self {
        Self {
            buffer: RecvBuffer::at(position),
            window: ReceiveWindow::at(config, position),
            ..Self::new(config)
        }
    }

    /// Takes a STREAM frame's content. After an error the stream is as before.
    pub(crate) fn on_data(
        &mut self,
        now: Instant,
        offset: u64,
        data: &[u8],
        fin: bool,
    ) -> Result<Accepted, RecvError> {
        if self.state != State::Receiving {
            mark!(DataDropped);
            // UDX 8.4: acknowledged and dropped.
            return Ok(Accepted {
                fin_known: self.final_size.is_some(),
                ..Accepted::default()
            });
        }
        let end = offset
            .checked_add(position(data.len()))
            .ok_or(RecvError::BeyondLimit)?;
        self.check_final_size(end, fin)?;
        self.check_limit(end)?;
        let was_readable = self.is_readable();
        let newly = self
            .buffer
            .insert(offset, data)
            .inspect_err(|_refused| mark!(TooFragmented, *_refused == Refused::TooFragmented))?;
        mark!(OvershootStored, newly > 0 && end > self.window.limit());
        if fin {
            self.final_size = Some(end);
            self.window.close();
        }
        if newly > 0 {
            self.window.on_data(now, self.buffer.highest());
        }
        Ok(Accepted {
            newly,
            became_readable: !was_readable && self.is_readable(),
            fin_known: self.final_size.is_some(),
        })
    }

    /// Takes up to `max` bytes, no more than lie together in one block; call again for more. `None` at
    /// the end of the stream, as often as asked. Follow with [`on_consumed`](Self::on_consumed).
    pub(crate) fn read(&mut self, max: usize) -> Result<Option<Bytes>, ReadError> {
        match self.state {
            State::Reset(code) => return Err(ReadError::Reset(code)),
            State::Stopped => return Err(ReadError::Stopped),
            State::Receiving => {}
        }
        let ends_early = sabotage!(FinUnordered) && self.has_end() && self.buffer.readable() == 0;
        if self.is_finished() || ends_early {
            return Ok(None);
        }
        match self.buffer.read(max) {
            Some(bytes) => Ok(Some(bytes)),
            None if self.buffer.readable() > 0 => Ok(Some(Bytes::new())),
            None => Err(ReadError::Blocked),
        }
    }

    /// Whether bytes up to `end` are going to need a block of memory.
    pub(crate) fn wants_block(&self, end: u64) -> bool {
        self.state == State::Receiving && self.buffer.wants_block(end)
    }

    /// Gives the memory for it, instead of the allocator.
    pub(crate) fn supply(&mut self, block: BytesMut) {
        self.buffer.supply(block);
    }

    /// Whether the bytes read last were the last ones of their block.
    pub(crate) fn is_between_blocks(&self) -> bool {
        self.buffer.is_between_blocks()
    }

    /// Whether a read would not be blocked: bytes, the end, or an error are there.
    pub(crate) fn is_readable(&self) -> bool {
        self.state != State::Receiving || self.buffer.readable() > 0 || self.is_finished()
    }

    /// Whether nothing is left to receive or to read.
    pub(crate) fn is_finished(&self) -> bool {
        self.state != State::Receiving || self.final_size == Some(self.buffer.consumed())
    }

    /// Whether every byte up to the final size was received, read or not. RFC 9000 3.2 "Data Recvd".
    pub(crate) fn is_complete(&self) -> bool {
        self.final_size == Some(self.buffer.edge())
    }

    /// Whether the end of the stream is known.
    pub(crate) fn has_end(&self) -> bool {
        self.final_size.is_some()
    }

    /// The size that the sender's FIN stated, in bytes.
    #[cfg(test)]
    pub(crate) fn final_size(&self) -> Option<u64> {
        self.final_size
    }

    /// RESET_STREAM came. What was not read is dropped, except when all of the stream is here: then
    /// the reset has nothing to take back (RFC 9000 3.2). Returns whether the half was reset by it.
    pub(crate) fn on_reset(&mut self, code: u32) -> bool {
        let applies = self.state == State::Receiving && !self.is_complete();
        mark!(ResetTooLate, self.state == State::Receiving && !applies);
        if applies {
            self.state = State::Reset(code);
            self.forget();
        }
        applies
    }

    /// The application wants no more. Returns whether the sender must be told, that is, whether it may
    /// still have something to send.
    pub(crate) fn stop(&mut self) -> bool {
        let wanted = self.state == State::Receiving;
        let tell = wanted && !self.is_complete();
        if wanted && !self.is_finished() {
            self.state = State::Stopped;
            self.forget();
        }
        tell
    }

    /// Raises the window to the configured first one, once: after the stream's first data, or
    /// earlier towards a peer that keeps limits of streams not yet used (D19). Whether an update is due.
    pub(crate) fn open_window(&mut self, now: Instant, budget: &mut u64) -> bool {
        self.window.open(now, self.buffer.consumed(), budget)
    }

    /// After reads: raises the limit when it is time to. Whether an update is due.
    pub(crate) fn on_consumed(&mut self, now: Instant, rtt: Duration, budget: &mut u64) -> bool {
        self.window
            .on_consumed(now, rtt, self.buffer.consumed(), budget)
    }

    /// See [`ReceiveWindow::suit`].
    pub(crate) fn suit(&mut self, insistent: bool, max: u64) {
        self.window.suit(insistent, max);
    }

    /// STREAM_DATA_BLOCKED came: an update with the limit as it is is due. D13.
    pub(crate) fn on_blocked(&mut self) {
        self.window.restate();
    }

    /// The limit promised.
    #[cfg(test)]
    pub(crate) fn limit(&self) -> u64 {
        self.window.limit()
    }

    /// Whether [`take_update`](Self::take_update) has one.
    pub(crate) fn is_update_due(&self) -> bool {
        self.window.is_due()
    }

    /// The limit for a WINDOW_UPDATE, if one is due; put `Wire32::truncate` of it on the wire.
    pub(crate) fn take_update(&mut self) -> Option<u64> {
        self.window.take_update()
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.window.next_deadline()
    }

    /// V5: says the limit again after a silence. Whether an update is due.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> bool {
        self.window.on_timeout(now)
    }

    /// The window and its bookkeeping.
    pub(crate) fn window(&self) -> &ReceiveWindow {
        &self.window
    }

    /// The reassembly buffer and its positions.
    pub(crate) fn buffer(&self) -> &RecvBuffer {
        &self.buffer
    }

    /// The most bytes of memory the half can come to hold at its present window.
    pub(crate) fn memory_bound(&self) -> usize {
        memory_bound(self.window.window().saturating_add(BLOCK))
    }

    // UDX 18.4, RFC 9000 4.5
    fn check_final_size(&self, end: u64, fin: bool) -> Result<(), RecvError> {
        match self.final_size {
            Some(size) if fin && end != size => {
                mark!(EndMoved);
                Err(RecvError::FinalSizeChanged)
            }
            Some(size) if end > size => {
                mark!(DataBeyondEnd);
                Err(RecvError::BeyondFinalSize)
            }
            None if fin && end < self.buffer.highest() => Err(RecvError::BeyondFinalSize),
            _ => Ok(()),
        }
    }

    /// D14: a Dart sender that found no credit for 30 s sends one fragment all the same. So what is a
    /// little beyond is stored (one block more than the window, a dozen of those
    /// fragments), what is more is refused, and only what is wildly beyond is an error.
    fn check_limit(&self, end: u64) -> Result<(), RecvError> {
        let window = self.window.window();
        let consumed = self.buffer.consumed();
        if end > self.window.limit().saturating_add(window) {
            mark!(DataBeyondLimit);
            return Err(RecvError::BeyondLimit);
        }
        if end > consumed.saturating_add(window).saturating_add(BLOCK) {
            mark!(OvershootRefused);
            return Err(RecvError::Overshoot);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.buffer.discard();
        self.window.close();
    }
}
