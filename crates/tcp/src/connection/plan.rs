//! What leaves next: asked without side effects, then done once (STYLE: pure questions first).

use super::{Connection, Record, State};
use gapless_recovery::{Instant, Permission, RecordId};
use gapless_seq::{mark, sabotage};

/// A segment to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Our SYN for the first time.
    Syn,
    /// A record that was lost, or that a timeout asks for.
    Again(RecordId, Record),
    /// Octets never sent, up to this position; and the FIN behind them.
    New {
        /// Behind the last octet.
        end: u64,
        /// With the FIN.
        fin: bool,
    },
    /// Octets never sent, up to this position, in a segment that is larger than what the path is known to take.
    PathProbe {
        /// Behind the last octet.
        end: u64,
    },
    /// No number: an acknowledgment.
    Acknowledgment,
    /// No number: a question whether the peer is there (RFC 9293 3.8.4).
    Question,
}

/// Why nothing leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Idle {
    /// Nothing to send.
    Nothing,
    /// The peer's window has no room.
    Window,
    /// The congestion window has none.
    Congestion,
    /// Not before this time.
    Pacer(Instant),
    /// A small segment waits for an acknowledgment (RFC 9293 3.7.4, 3.8.6.2.1).
    Nagle,
}

impl Connection {
    pub(super) fn plan(&self, now: Instant) -> Option<Plan> {
        self.plan_data(now).ok().or_else(|| self.plan_control())
    }

    fn plan_control(&self) -> Option<Plan> {
        if self.inward.owed_now > 0 && self.may_acknowledge() {
            return Some(Plan::Acknowledgment);
        }
        if self.owes_user_timeout() && self.state != State::TimeWait {
            return Some(Plan::Acknowledgment);
        }
        (self.out.owes_question && self.state.is_synchronized()).then_some(Plan::Question)
    }

    /// Whether an acknowledgment means something: the peer's number is known (B6).
    pub(super) const fn may_acknowledge(&self) -> bool {
        !matches!(self.state, State::SynSent | State::Closed)
    }

    /// What takes numbers.
    pub(super) fn plan_data(&self, now: Instant) -> Result<Plan, Idle> {
        if matches!(self.state, State::TimeWait | State::Closed) {
            return Err(Idle::Nothing);
        }
        if self.next() == self.out.first {
            return Ok(Plan::Syn);
        }
        if self.recovery.prefers_new()
            && let Ok(plan) = self.plan_new(now)
        {
            return Ok(plan);
        }
        if let Some((id, record)) = self.recovery.next_lost() {
            self.permit(now, self.size_of(record))?;
            return Ok(Plan::Again(id, *record));
        }
        match self.plan_new(now) {
            Err(idle) if self.recovery.owes_probe() => match self.recovery.probe_candidate() {
                Some((id, record)) => Ok(Plan::Again(id, *record)),
                None => Err(idle),
            },
            other => other,
        }
    }

    /// RFC 9293 3.8.6.2.1, "when to send data".
    fn plan_new(&self, now: Instant) -> Result<Plan, Idle> {
        if !self.state.may_transmit() {
            return Err(Idle::Nothing);
        }
        let next = self.next();
        let written = self.out.buffer.end();
        let queued = written.saturating_sub(next);
        let fin_waits = self.out.is_shut && next <= written;
        if queued == 0 && !fin_waits {
            return Err(Idle::Nothing);
        }
        // P1: what is new has no number without a record; a timeout that finds no room repeats what is old.
        if !self.recovery.has_room() {
            return Err(Idle::Congestion);
        }
        let room = self.window_room();
        let payload = u64::from(self.payload_limit());
        let length = queued.min(payload).min(room);
        let end = next.saturating_add(length);
        // The FIN takes a number of the window as well (B8), but no room at the peer: with the last octets it goes along.
        let fin =
            fin_waits && end == written && (length < room || length > 0 || self.out.owes_probe);
        if length == 0 && !fin {
            return self.plan_window_probe(next, written);
        }
        let is_last = end == written;
        let is_full = length == payload;
        let outstanding = self.is_outstanding();
        // Nagle, and the sender's part against silly windows: full segments, or the last one when nothing is in flight, or half of
        // the largest window that the peer ever offered.
        let half = length >= self.out.max_window.wrapping_shr(1).max(1);
        let small_is_fine = fin
            || (is_last && (!self.config.nagle || !outstanding && !sabotage!(NagleForEver)))
            || half;
        if !is_full && !small_is_fine && !self.out.owes_probe {
            mark!(NagleHolds, is_last);
            mark!(SillyWindowAvoided, !is_last);
            return Err(if is_last { Idle::Nagle } else { Idle::Window });
        }
        self.permit(now, self.cost(length))?;
        Ok(Plan::New { end, fin })
    }

    /// RFC 4821 7.4, RFC 8899: new data in one larger segment, when enough follows it that its loss shows without a timeout.
    pub(super) fn plan_path_probe(&mut self, now: Instant) -> Option<Plan> {
        let next = self.next();
        let queued = self.out.buffer.end().saturating_sub(next);
        let tail = u64::from(self.payload_limit()).saturating_mul(PROBE_TAIL);
        let open = self.window_room().min(queued);
        if open <= tail || !self.state.may_transmit() || self.recovery.next_lost().is_some() {
            return None;
        }
        let size = self.recovery.poll_mtu_probe(now)?;
        let payload = u64::from(
            size.saturating_sub(HEADER)
                .saturating_sub(self.stamps_length()),
        );
        let is_larger = payload > u64::from(self.payload_limit());
        let has_tail = payload.saturating_add(tail) <= open;
        (is_larger && has_tail && self.permit(now, u32::from(size)).is_ok()).then(|| {
            Plan::PathProbe {
                end: next.saturating_add(payload),
            }
        })
    }

    /// RFC 9293 3.8.6.1: one octet beyond the closed window, or the FIN; neither cwnd nor pacer count (C16).
    fn plan_window_probe(&self, next: u64, written: u64) -> Result<Plan, Idle> {
        if !self.out.owes_probe {
            return Err(Idle::Window);
        }
        mark!(WindowProbed);
        let end = next.saturating_add(1).min(written);
        Ok(Plan::New {
            end,
            fin: self.out.is_shut && end == written,
        })
    }

    /// Numbers that the peer's window leaves: never negative (A3).
    pub(super) fn window_room(&self) -> u64 {
        let edge = self.out.una.saturating_add(self.out.window);
        sabotage!(
            RoomWraps,
            edge.wrapping_sub(self.next()),
            edge.saturating_sub(self.next())
        )
    }

    /// The most octets that a segment may carry (RFC 9293 3.7.1, Eff.snd.MSS; RFC 6691): at least one (R18).
    pub(super) fn payload_limit(&self) -> u16 {
        let path = self.path_mtu().saturating_sub(HEADER);
        let most = sabotage!(SizeIgnored, path, self.out.mss.min(path));
        let stamps = sabotage!(StampsNotCounted, 0, self.stamps_length());
        most.saturating_sub(stamps).max(1)
    }

    const fn stamps_length(&self) -> u16 {
        if self.inward.stamps.is_some() {
            STAMPS
        } else {
            0
        }
    }

    fn permit(&self, now: Instant, bytes: u32) -> Result<(), Idle> {
        match self.recovery.may_send(now, bytes) {
            Permission::Now | Permission::Probe => Ok(()),
            Permission::Congestion | Permission::LogFull => Err(Idle::Congestion),
            Permission::Pacer(at) => Err(Idle::Pacer(at)),
        }
    }

    /// What a segment of so many octets costs the congestion window: all of it.
    pub(super) fn cost(&self, octets: u64) -> u32 {
        let header = u64::from(HEADER.saturating_add(self.stamps_length()));
        u32::try_from(octets.saturating_add(header)).unwrap_or(u32::MAX)
    }

    pub(super) fn size_of(&self, record: &Record) -> u32 {
        let start = record.start.max(self.out.una);
        self.cost(record.end.saturating_sub(start))
    }
}

/// Octets of a header without options.
pub(crate) const HEADER: u16 = 20;
/// Full segments that follow a probe of the path at least: what makes its loss show (RFC 5681 3.2).
const PROBE_TAIL: u64 = 3;
/// The timestamps of each segment, with their padding.
const STAMPS: u16 = 12;
