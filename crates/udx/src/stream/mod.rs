//! One stream's two halves: reassembly and its window, and the send queue with what of it is
//! promised, sent and acknowledged.
//!
//! Pure data: positions are `u64` from the start of the stream, time is an argument, and nothing here
//! knows frames, packet numbers or stream ids. The connection moves bytes and verdicts
//! between these values and the wire.

mod blocks;
mod recv;
mod recv_buffer;
mod send;
mod send_buffer;
mod trial;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use blocks::Blocks;
pub(crate) use recv::{ReadError, RecvError, RecvHalf};
pub(crate) use send::{Discipline, FinishError, Piece, SendHalf, SendState, WriteError};
pub(crate) use window::WindowConfig;

/// The limit of every stream in each direction before anybody has said anything, in bytes: what all
/// peers assume. UDX 10.1.
pub(crate) const INITIAL_LIMIT: u64 = 65_536;

/// No stream goes beyond this position: JavaScript peers hold 64 bit fields in doubles and drop the
/// packet of a larger one. UDX 2.3, V14.
pub(crate) const MAX_POSITION: u64 = crate::wire::MAX_VALUE;

/// The longest piece of a stream in one frame, in bytes: the length field has 16 bits. UDX 2.3.
pub(crate) const MAX_PIECE: usize = 65_535;

fn position(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Saturates where a position does not fit, which then fails the length check that follows.
fn size(positions: u64) -> usize {
    usize::try_from(positions).unwrap_or(usize::MAX)
}
