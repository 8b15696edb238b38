//! One stream as an application drives it.

use super::{Complaint, NAME_BYTES, ReadState, StreamOutcome, WriteState};
use crate::pattern::Pattern;
use crate::plan::{ReadPlan, StreamPlan, Time, WriteEnd, WritePlan};
use bytes::Bytes;
use gapless_link::Random;
use gapless_udx::{ReadError, WriteError};
use std::fmt::Debug;

/// What an application calls. A stream is one of many on a connection, or a connection of TCP.
pub(crate) trait Streams {
    /// Names a stream.
    type Key: Copy + Debug;

    /// Up to `max` bytes; `None` at the end.
    fn read(
        &mut self,
        now: Time,
        stream: Self::Key,
        max: usize,
    ) -> Result<Option<Bytes>, ReadError>;

    /// Takes from `data` what was written.
    fn write(
        &mut self,
        now: Time,
        stream: Self::Key,
        data: &mut Bytes,
    ) -> Result<usize, WriteError>;

    /// Nothing more will be written.
    fn finish(&mut self, now: Time, stream: Self::Key) -> Result<(), WriteError>;

    /// Ends both directions at once.
    fn reset(&mut self, now: Time, stream: Self::Key, code: u32);

    /// The reader wants no more.
    fn stop(&mut self, now: Time, stream: Self::Key, code: u32);

    /// The application is done with it.
    fn release(&mut self, now: Time, stream: Self::Key);

    /// Whether the application hears of it, and waits for it, when all that it wrote is acknowledged.
    fn tells_acknowledgement(&self, stream: Self::Key) -> bool;

    /// Whether a reader who wants no more ends both directions, and a writer who is then cut off seems to have come to his end.
    fn stops_both(&self) -> bool {
        false
    }
}

pub(crate) struct StreamRun<K> {
    id: K,
    /// The codes with which the plan lets this stream be ended early.
    codes: Vec<u32>,
    writer: Writer,
    reader: Reader,
    released: bool,
}

struct Writer {
    plan: WritePlan,
    content: Content,
    written: u64,
    /// Made, and not yet taken by the engine.
    pending: Bytes,
    /// The engine said that it will say when to go on.
    blocked: bool,
    /// Rests until then.
    rests_until: Option<Time>,
    rest_at: u64,
    state: WriteState,
}

struct Reader {
    plan: ReadPlan,
    content: Content,
    read: u64,
    blocked: bool,
    rests_until: Option<Time>,
    rest_at: u64,
    state: ReadState,
}

/// What a direction carries: the opening one begins with the plan's name.
#[derive(Clone, Copy)]
struct Content {
    name: Option<[u8; NAME_BYTES]>,
    pattern: Pattern,
    len: u64,
}

impl<K: Copy + Debug> StreamRun<K> {
    pub(crate) fn new(
        seed: u64,
        index: usize,
        plan: &StreamPlan,
        id: K,
        opener: bool,
        now: Time,
    ) -> Self {
        let (write, read) = plan.of(opener);
        let content = |back: bool, len: u64| Content {
            name: (!back).then(|| (index as u32).to_be_bytes()),
            pattern: Pattern::new(seed, index, back),
            len,
        };
        let (there, back) = (plan.there, plan.back);
        let codes = [there, back]
            .iter()
            .flat_map(|direction| {
                let reset = match direction.write.end {
                    WriteEnd::Reset(code) => Some(code),
                    WriteEnd::Finish => None,
                };
                reset
                    .into_iter()
                    .chain(direction.read.stop.map(|(_, code)| code))
            })
            .collect();
        let (out, inward) = if opener { (false, true) } else { (true, false) };
        let len = |back: bool| {
            if back {
                plan.back.write.bytes
            } else {
                plan.there.write.bytes
            }
        };
        Self {
            id,
            codes,
            writer: Writer {
                plan: write,
                content: content(out, len(out)),
                written: 0,
                pending: Bytes::new(),
                blocked: false,
                rests_until: None,
                rest_at: write.pause.map_or(u64::MAX, |pause| pause.every),
                state: WriteState::Writing,
            },
            reader: Reader {
                plan: read,
                content: content(inward, len(inward)),
                // The name was read to find the plan.
                read: if opener { 0 } else { NAME_BYTES as u64 },
                blocked: false,
                rests_until: (read.delay > 0).then(|| now.saturating_add(read.delay)),
                rest_at: read.pause.map_or(u64::MAX, |pause| pause.every),
                state: ReadState::Reading,
            },
            released: false,
        }
    }

    pub(crate) fn id(&self) -> K {
        self.id
    }

    pub(crate) fn readable(&mut self) {
        self.reader.blocked = false;
    }

    pub(crate) fn writable(&mut self) {
        self.writer.blocked = false;
    }

    pub(crate) fn try_anyway(&mut self) {
        self.reader.blocked = false;
        self.writer.blocked = false;
    }

    pub(crate) fn acknowledged(&mut self) -> Result<(), Complaint> {
        match self.writer.state {
            WriteState::Finished => self.writer.state = WriteState::Acknowledged,
            WriteState::Acknowledged => return Err("a stream was acknowledged twice".into()),
            WriteState::Writing => return Err("a stream was acknowledged before its end".into()),
            WriteState::Reset(_) | WriteState::Refused(_) | WriteState::Closed => {}
        }
        Ok(())
    }

    /// Waits to hear that all it wrote is acknowledged.
    pub(crate) fn awaits_acknowledgement(&self) -> bool {
        self.writer.state == WriteState::Finished
    }

    pub(crate) fn reset_by_peer(&mut self, now: Time, code: u32) -> Result<(), Complaint> {
        self.check_code(code)?;
        self.ended_by_peer(now, code);
        Ok(())
    }

    /// The same, whoever asked for it.
    pub(crate) fn ended_by_peer(&mut self, now: Time, code: u32) {
        // Who waits for an event is woken by that event, and learns it from the call it then makes. Who waits for something
        // that cannot come any more, or for nothing, learns it here.
        let writer = &mut self.writer;
        let waits_for_event = writer.blocked && writer.state == WriteState::Writing;
        if !waits_for_event && matches!(writer.state, WriteState::Writing | WriteState::Finished) {
            writer.state = WriteState::Refused(code);
        }
        if self.reader.rests_until.is_some() {
            self.reader.rests_until = Some(now);
        }
    }

    pub(crate) fn closed(&mut self) {
        if matches!(
            self.writer.state,
            WriteState::Writing | WriteState::Finished
        ) {
            self.writer.state = WriteState::Closed;
        }
        if self.reader.state == ReadState::Reading {
            self.reader.state = ReadState::Closed;
        }
        self.released = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        !matches!(
            self.writer.state,
            WriteState::Writing | WriteState::Finished
        ) && self.reader.state != ReadState::Reading
    }

    /// Over, and not because the connection is.
    pub(crate) fn is_over_well(&self) -> bool {
        let Self { writer, reader, .. } = self;
        self.is_over() && writer.state != WriteState::Closed && reader.state != ReadState::Closed
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released
    }

    /// A rest that is over and was not followed by anything waits for an event now, and wakes nobody.
    pub(crate) fn next_wake(&self, now: Time) -> Option<Time> {
        let Self { writer, reader, .. } = self;
        let write = writer
            .rests_until
            .filter(|_| writer.state == WriteState::Writing);
        let read = reader
            .rests_until
            .filter(|_| reader.state == ReadState::Reading);
        write
            .into_iter()
            .chain(read)
            .filter(|&until| until > now)
            .min()
    }

    /// Whether [`Self::act`] would try anything.
    pub(crate) fn wants_to_act(&self, now: Time) -> bool {
        self.wants_to_read(now) || self.wants_to_write(now) || self.is_over()
    }

    /// Reads and writes what goes. The result counts what happened.
    pub(crate) fn act(
        &mut self,
        now: Time,
        machine: &mut impl Streams<Key = K>,
        random: &mut Random,
    ) -> Result<u64, Complaint> {
        let mut progress = 0;
        loop {
            let before = progress;
            while self.wants_to_read(now) {
                progress += self.read_once(now, machine)?;
            }
            while self.wants_to_write(now) {
                progress += self.write_once(now, machine, random)?;
            }
            if progress == before {
                break;
            }
        }
        if self.is_over() {
            machine.release(now, self.id);
            self.released = true;
            progress += 1;
        }
        Ok(progress)
    }

    pub(crate) fn outcome(&self) -> StreamOutcome {
        StreamOutcome {
            written: self.writer.written,
            write: self.writer.state,
            read: self.reader.read,
            read_state: self.reader.state,
        }
    }

    /// Bytes written and read so far: no more than the plan has.
    pub(crate) fn moved(&self) -> u64 {
        self.writer.written + self.reader.read
    }

    pub(crate) fn describe(&self) -> String {
        let Self {
            id, writer, reader, ..
        } = self;
        format!(
            "{id:?} wrote {}/{} ({:?}{}{}), read {}/{} ({:?}{}{})",
            writer.written,
            writer.plan.bytes,
            writer.state,
            if writer.blocked { ", blocked" } else { "" },
            if writer.rests_until.is_some() {
                ", resting"
            } else {
                ""
            },
            reader.read,
            reader.content.len,
            reader.state,
            if reader.blocked { ", blocked" } else { "" },
            if reader.rests_until.is_some() {
                ", resting"
            } else {
                ""
            },
        )
    }

    fn wants_to_read(&self, now: Time) -> bool {
        let reader = &self.reader;
        reader.state == ReadState::Reading
            && !reader.blocked
            && reader.rests_until.is_none_or(|until| until <= now)
    }

    fn read_once(
        &mut self,
        now: Time,
        machine: &mut impl Streams<Key = K>,
    ) -> Result<u64, Complaint> {
        let reader = &mut self.reader;
        reader.rests_until = None;
        if let Some((_, code)) = reader.plan.stop.filter(|&(after, _)| reader.read >= after) {
            machine.stop(now, self.id, code);
            reader.state = ReadState::Stopped(code);
            if machine.stops_both() {
                self.writer.state = WriteState::Reset(code);
            }
            return Ok(1);
        }
        match machine.read(now, self.id, reader.plan.size) {
            Ok(Some(bytes)) => reader.take(now, &bytes),
            Ok(None) if reader.read == reader.content.len => {
                reader.state = ReadState::Ended;
                Ok(1)
            }
            Ok(None) if machine.stops_both() && !self.codes.is_empty() => {
                reader.state = ReadState::Reset(self.codes[0]);
                Ok(1)
            }
            Ok(None) => Err(format!(
                "it ended after {} of {} bytes",
                reader.read, reader.content.len
            )),
            Err(ReadError::Blocked) => {
                reader.blocked = true;
                Ok(0)
            }
            Err(ReadError::Reset(code)) => {
                reader.state = ReadState::Reset(code);
                self.check_code(code)?;
                Ok(1)
            }
            Err(ReadError::Closed) => {
                reader.state = ReadState::Closed;
                Ok(1)
            }
            Err(error) => Err(format!("a read failed: {error}")),
        }
    }

    fn wants_to_write(&self, now: Time) -> bool {
        let writer = &self.writer;
        writer.state == WriteState::Writing
            && !writer.blocked
            && writer.rests_until.is_none_or(|until| until <= now)
            && (!writer.plan.after_end || self.reader.state != ReadState::Reading)
            && (writer.written < self.may_write() || writer.written == writer.plan.bytes)
    }

    /// Bytes that may have been written by now.
    fn may_write(&self) -> u64 {
        let Self { writer, reader, .. } = self;
        let lead = writer
            .plan
            .lead
            .filter(|_| reader.state == ReadState::Reading);
        lead.map_or(u64::MAX, |lead| reader.read.saturating_add(lead))
            .min(writer.plan.bytes)
    }

    fn write_once(
        &mut self,
        now: Time,
        machine: &mut impl Streams<Key = K>,
        random: &mut Random,
    ) -> Result<u64, Complaint> {
        let may_write = self.may_write();
        let writer = &mut self.writer;
        if writer.written == writer.plan.bytes {
            return self.end(now, machine);
        }
        writer.rests_until = None;
        if writer.pending.is_empty() {
            let (low, high) = writer.plan.piece;
            let piece = random
                .between(low as u64, high as u64)
                .min(may_write - writer.written);
            writer.pending = writer.content.bytes(writer.written, piece as usize);
        }
        let before = writer.pending.len();
        let answer = machine.write(now, self.id, &mut writer.pending);
        match answer {
            Ok(0) => Err("a write took nothing and did not say that it is blocked".into()),
            Ok(taken) if writer.pending.len() + taken != before => Err(format!(
                "a write says it took {taken} bytes, but took {}",
                before - writer.pending.len()
            )),
            Ok(taken) => {
                writer.took(now, taken as u64);
                Ok(taken as u64)
            }
            Err(WriteError::Blocked) => {
                writer.blocked = true;
                Ok(0)
            }
            Err(WriteError::Reset(code)) => {
                writer.state = WriteState::Refused(code);
                self.check_code(code)?;
                Ok(1)
            }
            Err(WriteError::Closed) => {
                writer.state = WriteState::Closed;
                Ok(1)
            }
            Err(error) => Err(format!("a write failed: {error}")),
        }
    }

    fn end(&mut self, now: Time, machine: &mut impl Streams<Key = K>) -> Result<u64, Complaint> {
        let writer = &mut self.writer;
        if writer.plan.finish_delay > 0 && writer.rests_until.is_none() {
            writer.rests_until = Some(now.saturating_add(writer.plan.finish_delay));
            return Ok(1);
        }
        match writer.plan.end {
            WriteEnd::Finish => match machine.finish(now, self.id) {
                // A model's application is never told of the acknowledgement.
                Ok(()) if !machine.tells_acknowledgement(self.id) => {
                    writer.state = WriteState::Acknowledged;
                }
                Ok(()) => writer.state = WriteState::Finished,
                // Only another side's reset may be in the way, and the plan knows whether there is one.
                Err(error) if self.codes.is_empty() => {
                    return Err(format!("finishing failed: {error:?}"));
                }
                Err(_) => writer.state = WriteState::Refused(self.codes[0]),
            },
            WriteEnd::Reset(code) => {
                machine.reset(now, self.id, code);
                writer.state = WriteState::Reset(code);
                // UDX 8.4: RESET_STREAM ends both directions at once.
                if self.reader.state == ReadState::Reading {
                    self.reader.state = ReadState::Stopped(code);
                }
            }
        }
        Ok(1)
    }

    fn check_code(&self, code: u32) -> Result<(), Complaint> {
        if self.codes.contains(&code) {
            Ok(())
        } else {
            Err(format!(
                "it was reset with code {code}, and nobody asked for that"
            ))
        }
    }
}

impl Writer {
    fn took(&mut self, now: Time, bytes: u64) {
        self.written += bytes;
        if let Some(pause) = self.plan.pause.filter(|_| self.written >= self.rest_at) {
            self.rest_at = self.written.saturating_add(pause.every);
            self.rests_until = Some(now.saturating_add(pause.time));
        }
    }
}

impl Reader {
    fn take(&mut self, now: Time, bytes: &[u8]) -> Result<u64, Complaint> {
        if bytes.is_empty() {
            return Err("a read gave no bytes and did not say that it is blocked".into());
        }
        if bytes.len() > self.plan.size {
            return Err(format!(
                "a read of {} bytes gave {}",
                self.plan.size,
                bytes.len()
            ));
        }
        if let Some(at) = self.content.first_wrong(self.read, bytes) {
            return Err(format!(
                "byte {at} is wrong, of {} read at {}",
                bytes.len(),
                self.read
            ));
        }
        self.read += bytes.len() as u64;
        if let Some(pause) = self.plan.pause.filter(|_| self.read >= self.rest_at) {
            self.rest_at = self.read.saturating_add(pause.every);
            self.rests_until = Some(now.saturating_add(pause.time));
        }
        Ok(bytes.len() as u64)
    }
}

impl Content {
    fn bytes(&self, offset: u64, len: usize) -> Bytes {
        let bytes = self.pattern.bytes(offset, len);
        match self.name.filter(|_| offset < NAME_BYTES as u64) {
            None => bytes,
            Some(name) => {
                let mut bytes = bytes.to_vec();
                for (byte, named) in bytes.iter_mut().zip(&name[offset as usize..]) {
                    *byte = *named;
                }
                bytes.into()
            }
        }
    }

    /// The offset of the first byte that should not be there.
    fn first_wrong(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let excess = offset.saturating_add(bytes.len() as u64) > self.len;
        let expected_name = self.name.iter().flatten().skip(offset as usize);
        let named = (offset..)
            .zip(bytes.iter().zip(expected_name))
            .find(|(_, (byte, expected))| byte != expected)
            .map(|(at, _)| at);
        let skip = self.name.map_or(0, |name| {
            (name.len() as u64)
                .saturating_sub(offset)
                .min(bytes.len() as u64)
        });
        named
            .or_else(|| {
                self.pattern
                    .first_wrong(offset + skip, &bytes[skip as usize..])
            })
            .or(excess.then_some(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::DirectionPlan;

    fn reader(len: u64) -> Reader {
        Reader {
            plan: ReadPlan::FAST,
            content: content(len),
            read: 0,
            blocked: false,
            rests_until: None,
            rest_at: u64::MAX,
            state: ReadState::Reading,
        }
    }

    fn content(len: u64) -> Content {
        Content {
            name: Some(7_u32.to_be_bytes()),
            pattern: Pattern::new(1, 7, false),
            len,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read_in_any_pieces() {
        let whole = content(1000).bytes(0, 1000);
        assert_eq!(whole[..4], 7_u32.to_be_bytes());
        for piece in [1, 3, 7, 100, 999, 1000] {
            let mut reader = reader(1000);
            for bytes in whole.chunks(piece) {
                assert_eq!(content(1000).bytes(reader.read, bytes.len()), bytes);
                assert_eq!(reader.take(0, bytes), Ok(bytes.len() as u64));
            }
            assert_eq!(reader.read, 1000);
        }
    }

    #[test]
    fn bytes_lost_doubled_swapped_or_too_many_are_found() {
        let whole = content(1000).bytes(0, 1000);
        let complains = |bytes: &[u8]| reader(1000).take(0, bytes).is_err();
        assert!(!complains(&whole));
        assert!(complains(&whole[1..]), "the first byte is lost");
        assert!(
            complains(&[&whole[..500], &whole[501..]].concat()),
            "a byte is lost"
        );
        assert!(
            complains(&[&whole[..500], &whole[499..]].concat()),
            "a byte came twice"
        );
        assert!(
            complains(&[&whole[..100], &whole[200..300], &whole[100..200]].concat()),
            "swapped"
        );
        assert!(complains(&content(2000).bytes(0, 1001)), "one too many");
        assert!(complains(&[]), "nothing");
        let mut named_wrong = whole.to_vec();
        named_wrong[2] ^= 1;
        assert!(complains(&named_wrong), "another name");
    }

    #[test]
    fn both_sides_of_a_plan_fit_each_other() {
        let mut plan = StreamPlan::bulk(100, 200);
        plan.back = DirectionPlan {
            read: ReadPlan {
                size: 9,
                ..ReadPlan::FAST
            },
            ..plan.back
        };
        let (write, read) = plan.of(true);
        assert_eq!((write.bytes, read.size), (100, 9));
        let (write, read) = plan.of(false);
        assert_eq!((write.bytes, read.size), (200, ReadPlan::FAST.size));
        assert!(!plan.is_aborted());
        plan.back.write.end = WriteEnd::Reset(1);
        assert!(plan.is_aborted());
    }
}
