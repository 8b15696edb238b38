//! Segments that leave, and what is due at a time.

use super::plan::{Idle, Plan};
use super::timers::is_due;
use super::train::{Limits, Outgoing, Train};
use super::{CloseReason, Connection, Record, State};
use crate::num::index;
use crate::wire::{Flags, Header, MAX_SACK_BLOCKS, MIN_HEADER, Options, Verify};
use core::net::IpAddr;
use core::num::NonZeroU16;
use core::ops::Range;
use core::time::Duration;
use gapless_recovery::{Class, Instant, RecordId};
use gapless_seq::{Wire32, mark, sabotage};

/// Where segments go: for their checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// Ours.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
}

impl Connection {
    /// Writes the next segment, header and data, to the front of `buffer`. Its length, or `None` if nothing is to be sent now, or `buffer` is
    /// too short for a segment of the path's size. Call again until `None`: at one instant that comes soon (R8).
    ///
    /// May change its answer: after every call that changes anything, and at [`next_deadline`](Self::next_deadline).
    #[must_use]
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        addresses: Addresses,
        buffer: &mut [u8],
        verify: Verify,
    ) -> Option<usize> {
        let train = self.poll_train(now, addresses, buffer, verify, NonZeroU16::MIN)?;
        Some(train.length)
    }

    /// As [`poll_transmit`](Self::poll_transmit), and up to `most` segments at once, as one large segment for a device that cuts it up: those
    /// that single calls would have written one after the other now, as far as they find room in `buffer`.
    #[must_use]
    pub fn poll_train(
        &mut self,
        now: Instant,
        addresses: Addresses,
        buffer: &mut [u8],
        verify: Verify,
        most: NonZeroU16,
    ) -> Option<Train> {
        if buffer.len() < usize::from(self.out.path) {
            return None;
        }
        let limits = Limits {
            octets: buffer.len(),
            segments: most,
        };
        let Outgoing { header, data, size } = match self.out.reset.take() {
            Some(reset) => (self.reset_header(now, reset), 0..0).into(),
            None => self.next_segment(now, limits)?,
        };
        let header_length = header.len();
        let room = buffer.get_mut(header_length..)?;
        let length = index(data.end.saturating_sub(data.start));
        let copied = self.out.buffer.copy_to(data, room.get_mut(..length)?);
        gapless_seq::invariant!(copied == length, return None, "{copied} of {length} octets");
        let segment = buffer.get_mut(..header_length.saturating_add(length))?;
        header.write(addresses.local, addresses.remote, segment, verify)?;
        Some(Train {
            length: segment.len(),
            header: header_length,
            segment_size: size,
        })
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called and [`poll_transmit`](Self::poll_transmit) may have an answer again. `None` if
    /// there is nothing to wait for. May change after every call.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let paced = match self.plan_data(now) {
            Err(Idle::Pacer(at)) => Some(at),
            _ => None,
        };
        let recovery = self.recovery.next_deadline();
        let recovery = sabotage!(
            TimerShared,
            recovery.filter(|_| self.timers.next().is_none()),
            recovery
        );
        [self.timers.next(), recovery, paced]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due at `now`.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.recovery.on_timeout(now);
        self.suspect_ecn();
        if is_due(&mut self.timers.ack, now) {
            mark!(DelayedAck);
            self.owe_acknowledgment();
        }
        if is_due(&mut self.timers.persist, now) {
            self.out.owes_probe = true;
        }
        if is_due(&mut self.timers.renege, now) {
            self.send_all_again(now);
        }
        if is_due(&mut self.timers.keep_alive, now) {
            self.on_silence(now);
        }
        if is_due(&mut self.timers.user, now) {
            mark!(UserTimeout);
            self.abort(now);
            self.ended = Some(CloseReason::TimedOut);
        }
        if is_due(&mut self.timers.release, now) {
            self.release_buffers();
        }
        mark!(
            FinWaitEnded,
            self.timers.fin_wait.is_some_and(|at| at <= now)
        );
        if is_due(&mut self.timers.fin_wait, now) || is_due(&mut self.timers.time_wait, now) {
            self.end(now, CloseReason::Finished);
        }
        self.arm_persist(now);
    }

    /// RFC 9293 3.8.4.
    fn on_silence(&mut self, now: Instant) {
        let Some(keep_alive) = self.config.keep_alive else {
            return;
        };
        if self.out.questions >= keep_alive.probes {
            mark!(KeepAliveGaveUp);
            self.abort(now);
            self.ended = Some(CloseReason::TimedOut);
            return;
        }
        self.out.questions = self.out.questions.saturating_add(1);
        self.out.owes_question = true;
        mark!(KeepAliveAsked);
        self.timers.keep_alive = Some(keep_alive.interval.after(now));
    }

    /// R10: something waits for the peer's window, and nothing is in flight whose answer would tell of it.
    pub(super) fn arm_persist(&mut self, now: Instant) {
        let waits = !self.is_outstanding()
            && !self.out.owes_probe
            && matches!(self.plan_data(now), Err(Idle::Window));
        if !waits || sabotage!(NoWindowProbe) {
            self.timers.persist = None;
        } else if self.timers.persist.is_none() {
            self.timers.persist = Some(now.saturating_add(self.recovery.pto_base()));
        }
    }

    /// Who empties a buffer fills it again soon, or not for long: its memory is kept as long as recovery keeps that of its books.
    fn arm_release(&mut self, now: Instant) {
        let is_idle = self.out.buffer.is_idle() || self.inward.buffer.is_idle();
        if !is_idle {
            self.timers.release = None;
        } else if self.timers.release.is_none() {
            self.timers.release = Some(now.saturating_add(RELEASE_AFTER));
        }
    }

    pub(super) fn release_buffers(&mut self) {
        self.out.buffer.release();
        self.inward.buffer.release();
        // Nobody asks for them yet.
        while self.recovery.poll_event().is_some() {}
    }

    fn next_segment(&mut self, now: Instant, limits: Limits) -> Option<Outgoing> {
        let Some(plan) = self.plan_path_probe(now).or_else(|| self.plan(now)) else {
            if self.is_application_limited() {
                self.recovery.on_app_limited();
            }
            self.arm_persist(now);
            self.arm_release(now);
            return None;
        };
        self.out.ecn.begin_segment();
        let single = match plan {
            Plan::PathProbe { end } => self.send_new(now, end, false, Class::MtuProbe),
            Plan::Syn => self.send_syn(now),
            Plan::Again(id, record) => self.send_again(now, id, record),
            Plan::New { end, fin } => {
                let first = self.send_new(now, end, fin, Class::Reliable)?;
                return Some(self.couple(now, first, limits));
            }
            Plan::Acknowledgment => {
                let next = self.next();
                Some(self.segment(now, next..next, Flags::ACK))
            }
            Plan::Question => {
                self.out.owes_question = false;
                // One number before the next: what the peer has, so it answers.
                let sequence = self.next().saturating_sub(1);
                Some(self.segment(now, sequence..sequence, Flags::ACK))
            }
        };
        single.map(Outgoing::from)
    }

    /// Less than a segment waits: what the path delivers from now on is what the application writes.
    fn is_application_limited(&self) -> bool {
        let queued = self.out.buffer.end().saturating_sub(self.next());
        queued < u64::from(self.payload_limit())
            && self.state.may_transmit()
            && self.recovery.next_lost().is_none()
    }

    pub(super) fn send_syn(&mut self, now: Instant) -> Option<(Header, Range<u64>)> {
        let first = self.out.first;
        let record = Record {
            start: first,
            end: first,
            syn: true,
            fin: false,
        };
        let cost = self.cost(0);
        let minted = self
            .recovery
            .commit_span(now, Class::Reliable, cost, 1, record);
        minted.ok()?;
        self.out.max = self.next();
        Some((self.syn_header(now), 0..0))
    }

    fn send_new(
        &mut self,
        now: Instant,
        end: u64,
        fin: bool,
        class: Class,
    ) -> Option<(Header, Range<u64>)> {
        let start = self.next();
        self.commit_new(now, end, fin, class)?;
        self.start_user_timer(now);
        let flags = self.ecn_of_new(start..end);
        let (header, data) = self.data_segment(now, start..end, fin);
        Some((header.with_flags(flags), data))
    }

    /// Gives what is new its numbers. `None`: the books have no room.
    pub(super) fn commit_new(
        &mut self,
        now: Instant,
        end: u64,
        fin: bool,
        class: Class,
    ) -> Option<()> {
        let start = self.next();
        let record = Record {
            start,
            end,
            syn: false,
            fin,
        };
        let span = end.saturating_sub(start).saturating_add(u64::from(fin));
        let cost = self.cost(end.saturating_sub(start));
        let minted = self.recovery.commit_span(now, class, cost, span, record);
        minted.ok()?;
        self.out.owes_probe = false;
        self.out.max = self.out.max.max(self.next());
        Some(())
    }

    /// The same numbers again (P1), without what is acknowledged of them; cut in two if the path has become too small for it.
    fn send_again(
        &mut self,
        now: Instant,
        id: RecordId,
        record: Record,
    ) -> Option<(Header, Range<u64>)> {
        self.out.repeated = self.next();
        self.out.repeated_at = Some(now);
        self.start_user_timer(now);
        if record.syn {
            self.recovery.resend(now, id, self.cost(0)).ok()?;
            return Some((self.syn_header(now), 0..0));
        }
        let start = record.start.max(self.out.una);
        let limit = start.saturating_add(u64::from(self.payload_limit()));
        if record.end > limit {
            return self.send_first_part(now, id, record, limit);
        }
        let cost = self.size_of(&record);
        self.recovery.resend(now, id, cost).ok()?;
        let fin = record.fin && !sabotage!(FinSentOnce);
        Some(self.data_segment(now, start..record.end, fin))
    }

    fn data_segment(&mut self, now: Instant, data: Range<u64>, fin: bool) -> (Header, Range<u64>) {
        let flags = Flags::ACK | self.flags_of_end(&data, fin);
        self.segment(now, data, flags)
    }

    /// PSH on the last octets that were written (RFC 9293 3.9.1.2).
    pub(super) fn flags_of_end(&self, data: &Range<u64>, fin: bool) -> Flags {
        let is_last = data.end == self.out.buffer.end() && !data.is_empty();
        Flags::NONE
            .with_if(fin, Flags::FIN)
            .with_if(is_last, Flags::PSH)
    }

    /// It counts from the first transmission without an answer.
    fn start_user_timer(&mut self, now: Instant) {
        if self.timers.user.is_none() {
            self.rearm_user_timer(now);
        }
    }

    fn send_first_part(
        &mut self,
        now: Instant,
        id: RecordId,
        record: Record,
        limit: u64,
    ) -> Option<(Header, Range<u64>)> {
        let head = Record {
            end: limit,
            fin: false,
            ..record
        };
        let tail = Record {
            start: limit,
            ..record
        };
        let head_span = limit.saturating_sub(record.start);
        mark!(RecordCut);
        let (id, head) = match self.recovery.split_span(id, head_span, head, tail) {
            // What is lost comes first, and a probe is for the oldest: either way it is the head.
            Ok(()) => {
                let lost = self.recovery.next_lost();
                let (id, head) = lost.or_else(|| self.recovery.probe_candidate())?;
                (id, *head)
            }
            // The books are full. The rest of the record comes again when this part is acknowledged.
            Err(_) => (id, head),
        };
        self.recovery.resend(now, id, self.size_of(&head)).ok()?;
        let start = head.start.max(self.out.una);
        let has_fin = sabotage!(FinOnFirstPart, record.fin, false);
        let flags = Flags::ACK.with_if(has_fin, Flags::FIN);
        Some(self.segment(now, start..head.end, flags))
    }

    /// A SYN, or SYN|ACK if the peer's came.
    fn syn_header(&mut self, now: Instant) -> Header {
        let answers = self.state != State::SynSent;
        let window = if answers {
            self.note_acknowledged();
            self.inward.buffer.window_mut().advertise_unshifted()
        } else {
            u16::try_from(self.config.first_receive_buffer).unwrap_or(u16::MAX)
        };
        Header {
            flags: Flags::SYN.with_if(answers, Flags::ACK) | self.ecn_of_syn(answers),
            window,
            options: self.syn_options(now),
            ..self.bare(self.out.first)
        }
    }

    /// Every segment of a synchronized connection: with what is acknowledged and promised now (B3, C5, U29). It is never longer than the
    /// path takes: blocks that find no room beside the data go with an acknowledgment of their own.
    fn segment(&mut self, now: Instant, data: Range<u64>, flags: Flags) -> (Header, Range<u64>) {
        if self.state == State::SynReceived {
            return (self.syn_header(now), 0..0);
        }
        let window = self
            .inward
            .buffer
            .window_mut()
            .advertise(u64::from(self.out.mss));
        let mut options = Options {
            timestamps: self
                .inward
                .stamps
                .as_ref()
                .map(|stamps| stamps.current(now)),
            ..Options::NONE
        };
        let payload = index(data.end.saturating_sub(data.start));
        let room = self.room_beside(&options, payload);
        self.add_user_timeout(&mut options, room);
        let is_told = self.add_blocks(&mut options, payload);
        if is_told {
            self.note_acknowledged();
        }
        let header = Header {
            flags: flags | self.ecn_of_acknowledgment(),
            window,
            options,
            ..self.bare(data.start)
        };
        (header, data)
    }

    /// Whether everything is told that there is to tell.
    fn add_blocks(&mut self, options: &mut Options, payload: usize) -> bool {
        if !self.inward.has_sack || !self.inward.buffer.has_blocks() {
            return true;
        }
        if self.room_beside(options, payload) < MOST_SACK {
            mark!(BlocksWait);
            return false;
        }
        options.sack = self.inward.buffer.take_sack_blocks();
        true
    }

    /// Octets that more options may take beside these and so many octets of data.
    fn room_beside(&self, options: &Options, payload: usize) -> usize {
        let taken = MIN_HEADER
            .saturating_add(options.encoded_len())
            .saturating_add(payload);
        // RFC 6691: the peer's size is for data and options together.
        let peer = usize::from(self.out.mss).saturating_add(MIN_HEADER);
        usize::from(self.path_mtu()).min(peer).saturating_sub(taken)
    }

    /// What is owed to the peer is said by the segment that leaves.
    pub(super) fn note_acknowledged(&mut self) {
        self.timers.ack = None;
        self.inward.segments = 0;
        self.inward.owed_now = self.inward.owed_now.saturating_sub(1);
        self.inward.last_acknowledged = self.inward.buffer.window().next();
    }

    fn reset_header(&self, now: Instant, reset: super::Reset) -> Header {
        let timestamps = self.inward.stamps.as_ref().filter(|_| reset.has_ack);
        Header {
            flags: Flags::RST.with_if(reset.has_ack, Flags::ACK),
            options: Options {
                timestamps: timestamps.map(|stamps| stamps.current(now)),
                ..Options::NONE
            },
            acknowledgment: if reset.has_ack {
                Wire32::truncate(self.inward.buffer.window().next())
            } else {
                Wire32::default()
            },
            ..self.bare(reset.sequence)
        }
    }

    fn bare(&self, sequence: u64) -> Header {
        let knows_peer = self.state != State::SynSent;
        let next = self.inward.buffer.window().next();
        Header {
            source_port: self.ports.local,
            destination_port: self.ports.remote,
            sequence: Wire32::truncate(sequence),
            acknowledgment: Wire32::truncate(if knows_peer { next } else { 0 }),
            flags: Flags::NONE,
            window: 0,
            urgent: 0,
            options: Options::NONE,
        }
    }

    /// Octets that were written and are not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.out.buffer.len()
    }

    /// Octets in the receive buffer that can be read.
    #[must_use]
    pub fn readable(&self) -> u64 {
        self.inward.buffer.readable()
    }
}

/// How long empty buffers keep their memory: zeroing and copying it anew with each window costs more than everything else.
const RELEASE_AFTER: Duration = Duration::from_secs(1);

/// Octets of all blocks that a segment can have.
const MOST_SACK: usize = 4 + 8 * MAX_SACK_BLOCKS;
