//! The sending half of a stream. RFC 9000 3.1, as far as UDX 8 has it.

use alloc::boxed::Box;
use core::ops::Range;
use core::time::Duration;

use bytes::{Buf, Bytes};
use gapless_recovery::Instant;
use gapless_seq::{Wire32, invariant, mark, sabotage};

use super::send_buffer::SendBuffer;
use super::trial::Trial;
use super::{INITIAL_LIMIT, MAX_PIECE, MAX_POSITION, position, size};

/// How long after the first STREAM_DATA_BLOCKED the second follows. UDX D13: 250 to 500 ms.
const FIRST_BLOCKED_REPEAT: Duration = Duration::from_millis(250);

/// How long after each further one the next follows. UDX D13.
const BLOCKED_REPEAT: Duration = Duration::from_millis(500);

/// What one STREAM frame says: a record, which is sent again as it is, whatever was written or acknowledged
/// since (V1). The bytes stay in the stream's buffer until a number of the record is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// Position of the first byte.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) len: u16,
    /// Opens the stream.
    pub(crate) syn: bool,
    /// Ends the stream: `offset + len` is the final size.
    pub(crate) fin: bool,
}

impl Piece {
    /// The positions of its bytes.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.end()
    }

    /// One past its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

/// What an acknowledged piece changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Acked {
    /// Bytes at the front of the buffer that were let go.
    pub(crate) freed: u64,
    /// A write was blocked, and there is room again.
    pub(crate) writable: bool,
    /// By this piece the peer is known to have the stream that this side opens. (D19: a Dart peer drops
    /// what else came with the opening packet, so it is time to say the limit again.)
    pub(crate) opened: bool,
    /// By this piece all bytes and the FIN are acknowledged.
    pub(crate) completed: bool,
    /// By this piece the last that a stream which was given up still owed is acknowledged.
    pub(crate) settled: bool,
}

/// Why nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WriteError {
    /// The buffer is full.
    Blocked,
    /// This side has finished or reset the stream.
    Finished,
    /// The peer does not want the stream, by RESET_STREAM or STOP_SENDING with this code.
    Reset(u32),
    /// The stream has all the bytes that a stream can have (V14).
    TooLong,
    /// The allocator refused.
    OutOfMemory,
}

/// Why a stream cannot be finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FinishError {
    /// It was already, or this side has reset it.
    Finished,
    /// The peer does not want the stream, by RESET_STREAM or STOP_SENDING with this code.
    Reset(u32),
}

/// Where the half stands. RFC 9000 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendState {
    /// Nothing was sent yet.
    Ready,
    /// Something was sent, the FIN not.
    Sending,
    /// The FIN was sent, not all of it is acknowledged.
    FinSent,
    /// All bytes and the FIN are acknowledged.
    Acknowledged,
    /// Given up by this side with this code.
    Reset(u32),
    /// Given up by the peer with this code.
    Stopped(u32),
}

/// What the peer's way to order data asks of a sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Discipline {
    /// Frames say where their data belong: version 3.
    #[default]
    Free,
    /// A number names its bytes for ever: version 2. What was sent stays until it is acknowledged, even when the
    /// stream is given up, because all that follows waits for it (UDX2 H7).
    Ordered,
    /// The same towards a Go of version 2:
    /// - nothing follows the SYN, nor the first data, before it is acknowledged, because what overtakes it is lost (UDX2 H9, H10);
    /// - the FIN goes alone once everything is acknowledged, because there it ends the stream at once (UDX2 H8, D16).
    Careful,
    /// The same towards one that may be early Go, or Dart: an acknowledgement is credit, because windows are granted on receipt but
    /// updates cease (UDX2 9.3, H13).
    Cautious,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Syn {
    /// Goes with the next piece.
    Needed,
    Sent,
    /// As sent; and a FIN may overtake it, since the peer keeps such a FIN.
    Assumed,
    /// The peer knows the stream: it has opened it, or acknowledged that we did.
    Known,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fin {
    /// More may be written.
    Open,
    /// All is written.
    Wanted,
    Sent,
    Acked,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum GivenUp {
    Here(u32),
    ByPeer(u32),
}

/// The bytes written and not yet acknowledged, what of them was sent, and how far the peer lets us go.
///
/// The first transmission of each byte is taken from [`next`](Self::next); what is lost is sent again by its
/// [`Piece`], which is always still in the buffer while it is unacknowledged.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct SendHalf {
    buffer: SendBuffer,
    /// One past the last byte sent.
    sent: u64,
    limit: u64,
    /// What goes beyond the limit of a peer that cannot be asked (UDX D14); `None` where it can.
    trial: Option<Box<Trial>>,
    discipline: Discipline,
    /// Data were acknowledged (UDX2 H9).
    proven: bool,
    /// The SYN is sent even when the stream was given up before: the connection's number 0 depends on it.
    must_open: bool,
    syn: Syn,
    fin: Fin,
    given_up: Option<GivenUp>,
    /// A write was refused; the capacity that it named.
    wants_room: Option<u64>,
    /// When STREAM_DATA_BLOCKED is to be said again; `None` while it was not said.
    blocked_repeat: Option<Instant>,
}

impl SendHalf {
    /// A half that has sent nothing. `needs_syn`: this side opens the stream, so its first piece carries
    /// SYN; otherwise the peer has opened it.
    ///
    /// The first byte is at `position`, which is 0 but in tests.
    pub(crate) fn starting_at(position: u64, needs_syn: bool, discipline: Discipline) -> Self {
        Self {
            buffer: SendBuffer::at(position),
            sent: position,
            limit: position.saturating_add(INITIAL_LIMIT),
            trial: None,
            discipline,
            proven: false,
            must_open: false,
            syn: if needs_syn { Syn::Needed } else { Syn::Known },
            fin: Fin::Open,
            given_up: None,
            wants_room: None,
            blocked_repeat: None,
        }
    }

    /// A half at position 0 of version 3.
    #[cfg(test)]
    pub(crate) fn new(needs_syn: bool) -> Self {
        Self::starting_at(0, needs_syn, Discipline::Free)
    }

    /// A half that is known to the peer and whose bytes below `position` are acknowledged.
    #[cfg(test)]
    pub(crate) fn at(position: u64) -> Self {
        Self::starting_at(position, false, Discipline::Free)
    }

    /// Takes from the front of `data` what fits into `capacity` bytes of written and unacknowledged ones; no
    /// copy of writes of 1 KiB and more. Returns how many bytes it took: at least one, or `data` was empty.
    ///
    /// After `Blocked`, [`Acked::writable`] tells once when it is worth another try.
    pub(crate) fn write(&mut self, data: &mut Bytes, capacity: u64) -> Result<usize, WriteError> {
        let room = match self.room(capacity) {
            Err(WriteError::Blocked) if data.is_empty() => return Ok(0),
            room => size(room?),
        };
        let len = data.len().min(room);
        self.buffer
            .push(data.slice(..len))
            .map_err(|_| WriteError::OutOfMemory)?;
        data.advance(len);
        Ok(len)
    }

    /// How many bytes a [`write`](Self::write) would take now: at least one.
    pub(crate) fn room(&mut self, capacity: u64) -> Result<u64, WriteError> {
        match self.given_up {
            Some(GivenUp::Here(_)) => return Err(WriteError::Finished),
            Some(GivenUp::ByPeer(code)) => return Err(WriteError::Reset(code)),
            None if self.fin != Fin::Open => return Err(WriteError::Finished),
            None => {}
        }
        let possible = MAX_POSITION.saturating_sub(self.buffer.end());
        if possible == 0 {
            return Err(WriteError::TooLong);
        }
        let room = capacity.saturating_sub(self.buffer.len());
        if room == 0 {
            self.wants_room = Some(capacity);
            return Err(WriteError::Blocked);
        }
        Ok(room.min(possible))
    }

    /// The peer keeps a FIN that overtakes the SYN: it need not wait (V12).
    pub(crate) fn assume_open(&mut self) {
        if self.syn == Syn::Sent {
            self.syn = Syn::Assumed;
        }
    }

    /// From now on data are sent so.
    pub(crate) fn set_discipline(&mut self, discipline: Discipline) {
        self.discipline = discipline;
    }

    /// The peer's limits are said once and cannot be asked for (UDX D14). The stream began at `position`.
    pub(crate) fn try_limits(&mut self, position: u64) {
        self.trial
            .get_or_insert_with(|| Box::new(Trial::new(position)));
    }

    /// The first frame shall have a SYN, although the peer opened the stream (UDX2 D4). For a half that has sent nothing.
    pub(crate) fn answer_syn(&mut self) {
        if self.syn == Syn::Known && !self.proven && !self.is_outstanding() {
            self.syn = Syn::Needed;
            self.must_open = true;
        }
    }

    /// Whether the half was asked to answer the peer's SYN by one of its own.
    pub(crate) fn answers_syn(&self) -> bool {
        self.must_open
    }

    /// The half's SYN opens the connection: it is sent whatever becomes of the stream.
    pub(crate) fn open_connection(&mut self) {
        self.must_open = true;
    }

    /// Whether the frame that opens the stream was sent, by either side.
    pub(crate) fn is_opened(&self) -> bool {
        self.syn != Syn::Needed
    }

    /// All is written: the FIN follows the last byte.
    pub(crate) fn finish(&mut self) -> Result<(), FinishError> {
        match self.given_up {
            Some(GivenUp::Here(_)) => Err(FinishError::Finished),
            Some(GivenUp::ByPeer(code)) => Err(FinishError::Reset(code)),
            None if self.fin != Fin::Open => Err(FinishError::Finished),
            None => {
                self.fin = Fin::Wanted;
                Ok(())
            }
        }
    }

    /// The next piece that was never sent, with at most `max_payload` bytes. Pure: it is sent when
    /// [`on_sent`](Self::on_sent) says so, and asking again gives the same until then.
    pub(crate) fn next(&self, max_payload: usize) -> Option<Piece> {
        if self.given_up.is_some() {
            return (self.must_open && self.syn == Syn::Needed).then_some(Piece {
                offset: self.sent,
                len: 0,
                syn: true,
                fin: false,
            });
        }
        let len = self
            .unsent()
            .min(self.credit())
            .min(position(max_payload.min(MAX_PIECE)));
        let syn = self.syn == Syn::Needed;
        mark!(AckIsCredit, self.sent.saturating_add(len) > self.limit);
        mark!(
            FinHeldBack,
            self.discipline == Discipline::Free
                && self.fin == Fin::Wanted
                && len == self.unsent()
                && self.syn == Syn::Sent
        );
        let fin = match self.discipline {
            // V12, D22: a FIN ahead of the frame that opens the stream is forgotten by Go and JavaScript peers.
            Discipline::Free | Discipline::Ordered => {
                self.fin == Fin::Wanted
                    && len == self.unsent()
                    && (self.syn != Syn::Sent || sabotage!(FinOvertakes))
            }
            // UDX2 H9, H10
            Discipline::Careful | Discipline::Cautious
                if !self.proven && self.is_outstanding() && !sabotage!(FirstDataNotAwaited) =>
            {
                mark!(FirstDataAwaited, len > 0);
                return None;
            }
            // UDX2 H8, D16
            Discipline::Careful | Discipline::Cautious => {
                mark!(FinAlone, self.fin == Fin::Wanted && !self.buffer.is_empty());
                self.fin == Fin::Wanted && self.buffer.is_empty() && self.syn == Syn::Known
            }
        };
        (len > 0 || syn || fin).then_some(Piece {
            offset: self.sent,
            len: u16::try_from(len).unwrap_or(u16::MAX),
            syn,
            fin,
        })
    }

    /// Whether [`next`](Self::next) has a piece.
    pub(crate) fn has_next(&self) -> bool {
        self.next(1).is_some()
    }

    /// A piece from [`next`](Self::next) has got its number.
    pub(crate) fn on_sent(&mut self, piece: &Piece) {
        invariant!(
            piece.offset == self.sent,
            return,
            "{piece:?} at {}",
            self.sent
        );
        // A peer that says late that it is another one takes back the credit of UDX2 9.3. The end needs none.
        invariant!(
            piece.len == 0 || piece.end() <= self.reach(),
            return,
            "{piece:?} to {}",
            self.reach()
        );
        self.sent = piece.end();
        if piece.syn {
            self.syn = Syn::Sent;
        }
        if piece.fin {
            self.fin = Fin::Sent;
        }
    }

    /// Fills `target`, of the length of a piece, with its bytes. False if they are not held, which is true of
    /// acknowledged pieces and streams given up only.
    pub(crate) fn copy_to(&mut self, offset: u64, target: &mut [u8]) -> bool {
        self.buffer.copy_to(offset, target)
    }

    /// A number of the piece's record was acknowledged.
    pub(crate) fn on_acked(&mut self, piece: &Piece) -> Acked {
        if self.given_up.is_some() && self.discipline == Discipline::Free {
            return Acked::default();
        }
        let before = self.is_acknowledged();
        let opened = piece.syn && self.syn != Syn::Known;
        if piece.syn {
            self.syn = Syn::Known;
        }
        if piece.fin {
            self.fin = Fin::Acked;
        }
        self.proven |= piece.len > 0;
        let freed = self.buffer.on_acked(piece.range());
        if self.given_up.is_some() {
            mark!(GivenUpSettled, !self.is_outstanding());
            return Acked {
                freed,
                settled: !self.is_outstanding(),
                ..Acked::default()
            };
        }
        let writable = self.has_room_again();
        if writable {
            self.wants_room = None;
        }
        Acked {
            freed,
            writable,
            opened,
            completed: !before && self.is_acknowledged(),
            settled: false,
        }
    }

    /// The piece cut in two, for a path that has become too small for it; `None` if `head` bytes leave
    /// nothing for one of them. The caller must no longer count acknowledgements of the piece's old
    /// numbers (UDX 9).
    ///
    /// A FIN that went with SYN does not go with the tail (V12): it becomes unsent and comes by
    /// [`next`](Self::next) when the SYN is acknowledged.
    pub(crate) fn split(&mut self, piece: &Piece, head: u16) -> Option<(Piece, Piece)> {
        let tail = piece.len.checked_sub(head).filter(|tail| *tail > 0)?;
        if head == 0 {
            return None;
        }
        let delayed = piece.fin && piece.syn && self.syn == Syn::Sent;
        if delayed && self.fin == Fin::Sent {
            self.fin = Fin::Wanted;
        }
        let first = Piece {
            len: head,
            fin: false,
            ..*piece
        };
        let second = Piece {
            offset: first.end(),
            len: tail,
            syn: false,
            fin: piece.fin && !delayed,
        };
        Some((first, second))
    }

    /// WINDOW_UPDATE came: the limit is the candidate nearest to the one held, and only grows. Whether it grew.
    pub(crate) fn on_limit(&mut self, limit: Wire32) -> bool {
        // UDX 10.1
        let limit = limit.expand(self.limit);
        let grew = limit > self.limit;
        if grew {
            self.limit = limit;
            self.blocked_repeat = None;
        }
        if let Some(trial) = &mut self.trial {
            trial.on_answer(grew);
        }
        grew
    }

    /// The position that the peer lets us reach.
    #[cfg(test)]
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether there are bytes to send and no credit for any.
    pub(crate) fn is_blocked_by_limit(&self) -> bool {
        self.given_up.is_none() && self.unsent() > 0 && self.credit() == 0
    }

    /// Whether STREAM_DATA_BLOCKED is to be sent now: at once when blocked, then after 250 ms and every
    /// 500 ms (D13).
    pub(crate) fn is_blocked_due(&self, now: Instant) -> bool {
        self.is_blocked_by_limit() && self.blocked_repeat.is_none_or(|at| at <= now)
    }

    /// The limit to name in STREAM_DATA_BLOCKED, if one is due; it counts as sent. After some without an answer a
    /// [`next`](Self::next) piece may be there, beyond the limit (D14).
    pub(crate) fn take_blocked(&mut self, now: Instant) -> Option<u64> {
        if !self.is_blocked_due(now) {
            return None;
        }
        let is_known = !self.is_outstanding();
        if let Some(trial) = &mut self.trial {
            trial.on_question(now, self.sent, is_known, self.limit);
        }
        let pause = match self.blocked_repeat {
            None => FIRST_BLOCKED_REPEAT,
            Some(_) => BLOCKED_REPEAT,
        };
        self.blocked_repeat = Some(now.saturating_add(pause));
        Some(self.limit)
    }

    /// When the next STREAM_DATA_BLOCKED is due; `None` while not blocked, and while the first is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.blocked_repeat.filter(|_| self.is_blocked_by_limit())
    }

    /// This side gives the stream up. Returns whether the peer must be told: not if it has everything,
    /// or was told already.
    pub(crate) fn reset(&mut self, code: u32) -> bool {
        self.give_up(GivenUp::Here(code))
    }

    /// RESET_STREAM or STOP_SENDING came. Returns whether the half was given up by it; to STOP_SENDING the
    /// answer then is RESET_STREAM with the same code (UDX 8.4).
    pub(crate) fn on_refused(&mut self, code: u32) -> bool {
        self.give_up(GivenUp::ByPeer(code))
    }

    /// Where the half stands.
    pub(crate) fn state(&self) -> SendState {
        match self.given_up {
            Some(GivenUp::Here(code)) => SendState::Reset(code),
            Some(GivenUp::ByPeer(code)) => SendState::Stopped(code),
            None if self.is_acknowledged() => SendState::Acknowledged,
            None if matches!(self.fin, Fin::Sent | Fin::Acked) => SendState::FinSent,
            None if !self.proven && !self.is_outstanding() => SendState::Ready,
            None => SendState::Sending,
        }
    }

    /// Whether all bytes, the FIN and the SYN are acknowledged. The SYN too where a FIN may overtake it: a record must not
    /// outlive its stream, and of a stream without bytes the peer knows nothing before the SYN comes.
    pub(crate) fn is_acknowledged(&self) -> bool {
        // What was given up is not in the buffer either.
        self.given_up.is_none()
            && self.fin == Fin::Acked
            && self.syn == Syn::Known
            && self.buffer.is_empty()
    }

    /// Whether nothing is left to send or to wait for.
    pub(crate) fn is_finished(&self) -> bool {
        // UDX2 H7: what a number carried has to arrive, wanted or not.
        let unopened = self.must_open && self.syn == Syn::Needed;
        let owes = unopened || (self.discipline != Discipline::Free && self.is_outstanding());
        (self.given_up.is_some() && !owes) || self.is_acknowledged()
    }

    /// Whether something was sent and is not acknowledged.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.sent > self.buffer.start()
            || matches!(self.syn, Syn::Sent | Syn::Assumed)
            || self.fin == Fin::Sent
    }

    /// Bytes written and never sent.
    pub(crate) fn unsent(&self) -> u64 {
        self.buffer.end().saturating_sub(self.sent)
    }

    /// The bytes written and not yet acknowledged.
    pub(crate) fn buffer(&self) -> &SendBuffer {
        &self.buffer
    }

    fn credit(&self) -> u64 {
        self.reach().saturating_sub(self.sent)
    }

    /// How far the half may send.
    fn reach(&self) -> u64 {
        let tried = self.trial.as_ref().map_or(0, |trial| trial.reach());
        match self.discipline {
            Discipline::Free | Discipline::Ordered | Discipline::Careful => self.limit.max(tried),
            // UDX2 9.3
            Discipline::Cautious => self
                .buffer
                .acknowledged()
                .saturating_add(INITIAL_LIMIT)
                .max(self.limit),
        }
    }

    /// Not at each acknowledgement, which would wake the writer for every other packet: at an eighth of the
    /// capacity, or when it alone holds the stream up.
    fn has_room_again(&self) -> bool {
        self.wants_room.is_some_and(|capacity| {
            let room = capacity.saturating_sub(self.buffer.len());
            room > 0 && (room >= capacity >> 3 || self.unsent() == 0)
        })
    }

    fn give_up(&mut self, by: GivenUp) -> bool {
        let applies = self.given_up.is_none() && !self.is_acknowledged();
        if applies {
            self.given_up = Some(by);
            match self.discipline {
                Discipline::Free => self.buffer.discard(),
                Discipline::Ordered | Discipline::Careful | Discipline::Cautious => {
                    self.buffer.truncate(self.sent);
                }
            }
            self.sent = self.buffer.end();
            self.wants_room = None;
            self.blocked_repeat = None;
        }
        applies
    }
}
