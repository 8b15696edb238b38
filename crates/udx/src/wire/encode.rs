//! Writing packets.

use core::ops::RangeInclusive;

use gapless_seq::Wire32;

use super::MAX_VALUE;
use super::ack::{Ack, ExtraRange, ExtraRanges};
use super::error::EncodeError;
use super::frame::{FIN, Frame, SYN, kind};
use super::header::Header;
use super::id::ConnectionId;
use super::version::Version;

/// Writes one packet into a buffer of the caller: the header, then frames (UDX 2.1).
///
/// Every method writes all of what it is given or nothing. The buffer's length bounds the packet: give it what the path carries.
#[derive(Debug)]
pub struct Encoder<'a> {
    buffer: &'a mut [u8],
    written: usize,
    version: Version,
    probed: bool,
}

impl<'a> Encoder<'a> {
    /// Starts at the front of `buffer`, with the frames of `version`.
    #[inline]
    #[must_use]
    pub const fn new(buffer: &'a mut [u8], version: Version) -> Self {
        Self {
            buffer,
            written: 0,
            version,
            probed: false,
        }
    }

    /// How many bytes are written.
    #[inline]
    #[must_use]
    pub const fn written(&self) -> usize {
        self.written
    }

    /// How many bytes can still be written.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> usize {
        if self.probed {
            0
        } else {
            self.buffer.len().saturating_sub(self.written)
        }
    }

    /// How much stream data fits into one more STREAM frame, in bytes; 0 also if only its header fits.
    #[inline]
    #[must_use]
    pub fn stream_room(&self) -> u16 {
        let room = self
            .remaining()
            .saturating_sub(self.version.stream_header_len());
        u16::try_from(room).unwrap_or(u16::MAX)
    }

    /// Writes the header. It comes first.
    ///
    /// # Errors
    /// [`EncodeError::NoRoom`].
    #[inline]
    pub fn header(&mut self, header: &Header) -> Result<(), EncodeError> {
        self.need(header.encoded_len())?;
        self.put_u32(header.version)?;
        self.put_id(&header.destination)?;
        self.put_id(&header.source)?;
        self.put_u32(header.number.into())?;
        self.put_u32(header.destination_stream)?;
        self.put_u32(header.source_stream)
    }

    /// Writes a frame of [`Frame::encoded_len`] bytes.
    ///
    /// # Errors
    /// [`EncodeError`] says why it was not written. Values above [`MAX_VALUE`] are refused (V14).
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<(), EncodeError> {
        check_version(frame, self.version)?;
        check_values(frame)?;
        self.need(frame.encoded_len())?;
        match *frame {
            Frame::Padding { len } => return self.put_zeros(len),
            Frame::Stream(stream) => {
                return self.stream(stream.syn, stream.fin, stream.offset, stream.data);
            }
            // The place is not written.
            Frame::Ordered(stream) => return self.stream(stream.syn, stream.fin, 0, stream.data),
            _ => self.put([frame.kind()])?,
        }
        match *frame {
            Frame::Padding { .. } | Frame::Stream(_) | Frame::Ordered(_) | Frame::Ping => Ok(()),
            Frame::Ack(ack) => {
                // At most 255: `ExtraRanges` holds no more.
                let count = u8::try_from(ack.extra.len()).unwrap_or(u8::MAX);
                self.put_ack_head(ack.largest, ack.delay_ms, count, ack.first)?;
                self.put_slice(ack.extra.as_wire())
            }
            Frame::WindowUpdate { limit } => self.put_u32(limit.into()),
            Frame::ResetStream { code: word } | Frame::MaxStreams { count: word } => {
                self.put_u32(word)
            }
            Frame::MtuProbe { size } => {
                self.put_zeros(size.saturating_sub(1))?;
                self.probed = true;
                Ok(())
            }
            Frame::MaxData { limit: value }
            | Frame::PathChallenge { nonce: value }
            | Frame::PathResponse { nonce: value }
            | Frame::DataBlocked { limit: value }
            | Frame::RetireConnectionId { index: value } => self.put(value.to_be_bytes()),
            Frame::ConnectionClose {
                code,
                frame_type,
                reason,
            } => {
                self.put_u32(code)?;
                self.put_u32(frame_type)?;
                self.put(
                    u16::try_from(reason.len())
                        .map_err(|_| EncodeError::DataTooLong)?
                        .to_be_bytes(),
                )?;
                self.put_slice(reason)
            }
            Frame::StopSending { stream, code } => {
                self.put_u32(stream)?;
                self.put_u32(code)
            }
            Frame::StreamDataBlocked { stream, limit } => {
                self.put_u32(stream)?;
                self.put(limit.to_be_bytes())
            }
            Frame::NewConnectionId {
                index,
                retire_below,
                ref id,
                token,
            } => {
                self.put(index.to_be_bytes())?;
                self.put(retire_below.to_be_bytes())?;
                self.put_id(id)?;
                self.put(token.0)
            }
        }
    }

    /// Writes the head of a STREAM frame and gives the room for its data, which the caller has to fill: the one copy of the
    /// payload on its way out. The room holds whatever the buffer held.
    ///
    /// Version 2 has no field for the offset: there the packets' numbers have to say it (UDX2 1).
    ///
    /// # Errors
    /// [`EncodeError::NoRoom`]; [`EncodeError::ValueTooLarge`] if the data end above [`MAX_VALUE`].
    #[inline]
    pub fn stream_header(
        &mut self,
        syn: bool,
        fin: bool,
        offset: u64,
        len: u16,
    ) -> Result<&mut [u8], EncodeError> {
        check_value(offset.saturating_add(len.into()))?;
        self.need(self.version.stream_header_len().saturating_add(len.into()))?;
        let flags = (if fin { FIN } else { 0 }) | (if syn { SYN } else { 0 });
        self.put([kind::STREAM, flags])?;
        match self.version {
            Version::V3 => self.put(offset.to_be_bytes())?,
            Version::V2 => {}
        }
        self.put(len.to_be_bytes())?;
        self.take(len.into())
    }

    /// Writes an ACK frame of the ranges, and says how many of them it holds.
    ///
    /// `ranges` are positions from the highest down, without overlap. Written are the first and at most `max_extra` after it. It
    /// ends early where the frame cannot go on: at a gap above 255 numbers (UDX 4.3), where the buffer ends, and at a range out of
    /// order. What is left out was not acknowledged by this frame.
    ///
    /// # Errors
    /// [`EncodeError::NoRange`] if there is none, [`EncodeError::NoRoom`] if not even the first fits.
    ///
    /// ```
    /// # use gapless_udx::wire::{Encoder, Version};
    /// let mut buffer = [0; 40];
    /// let mut encoder = Encoder::new(&mut buffer, Version::V3);
    /// assert_eq!(encoder.ack(25, [91..=100, 84..=88, 3..=82].into_iter(), 32), Ok(3));
    /// assert_eq!(encoder.written(), 12 + 2 * 5);
    /// ```
    pub fn ack(
        &mut self,
        delay_ms: u16,
        mut ranges: impl Iterator<Item = RangeInclusive<u64>>,
        max_extra: u8,
    ) -> Result<usize, EncodeError> {
        let first = ranges
            .find(|range| !range.is_empty())
            .ok_or(EncodeError::NoRange)?;
        self.need(Ack::encoded_len_with(0))?;
        let start = self.written;
        let (count, exact) = count_of(&first);
        self.put([kind::ACK])?;
        self.put_ack_head(Wire32::truncate(*first.end()), delay_ms, 0, count)?;

        let mut extra: u8 = 0;
        let mut bottom = *first.start();
        let mut ended = !exact;
        while !ended && extra < max_extra && self.need(ExtraRange::LEN).is_ok() {
            let Some(range) = ranges.next() else { break };
            let Some(gap) = gap_between(&range, bottom) else {
                break;
            };
            let (length, exact) = count_of(&range);
            self.put_slice(&ExtraRange { gap, length }.to_wire())?;
            extra = extra.saturating_add(1);
            bottom = *range.start();
            ended = !exact;
        }
        // The count stands before the ranges: it is known only now.
        if let Some(byte) = start
            .checked_add(ACK_COUNT_OFFSET)
            .and_then(|at| self.buffer.get_mut(at))
        {
            *byte = extra;
        }
        Ok(usize::from(extra).saturating_add(1))
    }

    /// Ends the packet with an MTU_PROBE that makes it `size` bytes in all (UDX 11).
    ///
    /// # Errors
    /// [`EncodeError::NoRoom`] if the buffer is shorter than `size`, or the packet has that size already.
    pub fn pad_probe(&mut self, size: usize) -> Result<(), EncodeError> {
        let size = size
            .checked_sub(self.written)
            .filter(|size| *size > 0)
            .ok_or(EncodeError::NoRoom)?;
        self.frame(&Frame::MtuProbe { size })
    }

    fn stream(
        &mut self,
        syn: bool,
        fin: bool,
        offset: u64,
        data: &[u8],
    ) -> Result<(), EncodeError> {
        let len = u16::try_from(data.len()).map_err(|_| EncodeError::DataTooLong)?;
        let room = self.stream_header(syn, fin, offset, len)?;
        copy(room, data);
        Ok(())
    }

    fn put_ack_head(
        &mut self,
        largest: Wire32,
        delay_ms: u16,
        count: u8,
        first: u32,
    ) -> Result<(), EncodeError> {
        self.put_u32(largest.into())?;
        self.put(delay_ms.to_be_bytes())?;
        self.put([count])?;
        self.put_u32(first)
    }

    #[inline]
    fn need(&self, len: usize) -> Result<(), EncodeError> {
        if self.probed {
            return Err(EncodeError::AfterProbe);
        }
        if len > self.remaining() {
            Err(EncodeError::NoRoom)
        } else {
            Ok(())
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&mut [u8], EncodeError> {
        let end = self.written.checked_add(len).ok_or(EncodeError::NoRoom)?;
        let room = self
            .buffer
            .get_mut(self.written..end)
            .ok_or(EncodeError::NoRoom)?;
        self.written = end;
        Ok(room)
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), EncodeError> {
        let room = self
            .buffer
            .get_mut(self.written..)
            .and_then(|rest| rest.first_chunk_mut())
            .ok_or(EncodeError::NoRoom)?;
        *room = bytes;
        self.written = self.written.saturating_add(N);
        Ok(())
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        copy(self.take(bytes.len())?, bytes);
        Ok(())
    }

    fn put_zeros(&mut self, len: usize) -> Result<(), EncodeError> {
        self.take(len)?.fill(0);
        Ok(())
    }

    #[inline]
    pub(super) fn put_u32(&mut self, word: u32) -> Result<(), EncodeError> {
        self.put(word.to_be_bytes())
    }

    #[inline]
    pub(super) fn put_id(&mut self, id: &ConnectionId) -> Result<(), EncodeError> {
        self.put([u8::try_from(id.len()).unwrap_or(u8::MAX)])?;
        self.put_slice(id.as_slice())
    }
}

/// Where an ACK frame counts its extra ranges (UDX 2.3).
const ACK_COUNT_OFFSET: usize = 7;

/// How many numbers a range has, and whether the wire can say so. It can say 2^32-1.
#[inline]
fn count_of(range: &RangeInclusive<u64>) -> (u32, bool) {
    let below_top = range.end().saturating_sub(*range.start());
    match u32::try_from(below_top)
        .ok()
        .and_then(|count| count.checked_add(1))
    {
        Some(count) => (count, true),
        None => (u32::MAX, false),
    }
}

/// How many numbers lie between `range` and the range above it, which begins at `bottom`.
#[inline]
fn gap_between(range: &RangeInclusive<u64>, bottom: u64) -> Option<u8> {
    if range.is_empty() {
        return None;
    }
    let gap = bottom.checked_sub(1)?.checked_sub(*range.end())?;
    u8::try_from(gap).ok()
}

/// V14: refuses what JS would drop the packet for.
#[inline]
fn check_value(value: u64) -> Result<(), EncodeError> {
    if value > MAX_VALUE {
        Err(EncodeError::ValueTooLarge)
    } else {
        Ok(())
    }
}

/// A STREAM frame of one version would be read as something else in the other.
fn check_version(frame: &Frame<'_>, version: Version) -> Result<(), EncodeError> {
    match (frame, version) {
        (Frame::Stream(_), Version::V2) | (Frame::Ordered(_), Version::V3) => {
            Err(EncodeError::OtherVersion)
        }
        _ => Ok(()),
    }
}

fn check_values(frame: &Frame<'_>) -> Result<(), EncodeError> {
    match frame {
        Frame::Stream(stream) if stream.data.len() > usize::from(u16::MAX) => {
            Err(EncodeError::DataTooLong)
        }
        Frame::Ordered(stream) if stream.data.len() > usize::from(u16::MAX) => {
            Err(EncodeError::DataTooLong)
        }
        Frame::ConnectionClose { reason, .. } if reason.len() > usize::from(u16::MAX) => {
            Err(EncodeError::DataTooLong)
        }
        Frame::Stream(stream) => check_value(stream.end()),
        Frame::MaxData { limit }
        | Frame::DataBlocked { limit }
        | Frame::StreamDataBlocked { limit, .. } => check_value(*limit),
        Frame::NewConnectionId {
            index,
            retire_below,
            ..
        } => check_value(*index.max(retire_below)),
        Frame::RetireConnectionId { index } => check_value(*index),
        // Nonces are bytes, not values; the others have 32 bits or fewer.
        Frame::Padding { .. }
        | Frame::Ping
        | Frame::Ordered(_)
        | Frame::Ack(_)
        | Frame::WindowUpdate { .. }
        | Frame::ResetStream { .. }
        | Frame::MaxStreams { .. }
        | Frame::MtuProbe { .. }
        | Frame::PathChallenge { .. }
        | Frame::PathResponse { .. }
        | Frame::ConnectionClose { .. }
        | Frame::StopSending { .. } => Ok(()),
    }
}

/// Copies where both have the same length; they do.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

const _: () = assert!(
    ExtraRanges::MAX == 255,
    "the count of extra ranges is one byte"
);
