//! The facade: one connection's recovery, of the parts that the other files hold.

mod acking;
mod check;
mod cumulative;
mod forward;
mod rewind;
mod run;
mod spurious;
mod timing;

use alloc::boxed::Box;
use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::config::{Class, Config};
use crate::congestion::{CongestionPhase, Control, Controller};
use crate::event::{Event, Events, Stats, count};
use crate::loss::{Episode, PersistentCongestion, Rack};
use crate::mtu::MtuSearch;
use crate::pacer::Pacer;
use crate::prr::Prr;
use crate::pto::Pto;
use crate::rate::{DeliveryRate, Snapshot};
use crate::rtt::Rtt;
use crate::sent_log::{CommitError, Number, RecordId, ResendError, SentLog, SplitError};
use crate::time::Instant;

pub use acking::{AckError, AckOutcome};
pub use check::Broken;
pub use run::Run;

pub use spurious::Echo;

use cumulative::{Cumulative, Evidence};
use spurious::Repairs;

/// Whether a packet may leave.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Permission {
    /// Yes.
    Now,
    /// Yes, as a probe that a timeout owes, or as what the peer's duplicates ask for: neither window nor pacer apply. Lost records come first, then new data, then
    /// [`Recovery::probe_candidate`].
    Probe,
    /// Not before an acknowledgement or a loss makes room in the congestion window.
    Congestion,
    /// Not before this time, which lies in the future.
    Pacer(Instant),
    /// Not before an acknowledgement: the sent log holds `max_records`.
    LogFull,
}

/// Loss recovery and congestion control of one connection on one path. `R` says what a packet carried.
#[derive(Debug)]
pub struct Recovery<R> {
    log: SentLog<R>,
    rtt: Rtt,
    rack: Rack,
    episode: Episode,
    persistent: PersistentCongestion,
    pto: Pto,
    prr: Option<Prr>,
    control: Control,
    rate: DeliveryRate,
    pacer: Pacer,
    mtu: MtuSearch,
    events: Events,
    stats: Stats,
    /// The latest time any call brought; time never goes back.
    now: Instant,
    /// When the oldest transmission in question counts as lost.
    loss_time: Option<Instant>,
    /// When unused memory is given back.
    release_at: Option<Instant>,
    /// The window was full when the transmission before this order was sent.
    limited_until: u64,
    /// Where the last timeout stood: a probe repeats something older than this.
    probing_since: u64,
    cumulative: Cumulative,
    repairs: Repairs,
}

/// The least window in which a probe of the path's size is sent, in packets of the known size: itself, which is larger, and two at
/// least for data beside it.
const MTU_PROBE_WINDOW: u64 = 4;

/// A path is probed once this many packets were acknowledged: one more than open a connection.
const PROBE_AFTER: u64 = 2;

impl<R> Recovery<R> {
    /// The state at the start of a connection. Allocates nothing.
    #[must_use]
    pub fn new(config: &Config, now: Instant) -> Self {
        Self::build(config, now, Control::new(config))
    }

    /// As [`Recovery::new`], with a controller of the caller's own.
    #[must_use]
    pub fn with_controller(config: &Config, now: Instant, controller: Box<dyn Controller>) -> Self {
        Self::build(config, now, Control::Custom(controller))
    }

    fn build(config: &Config, now: Instant, control: Control) -> Self {
        let rtt = Rtt::new(config.initial_rtt);
        let mut pacer = Pacer::new(config.pacing, now, control.window());
        let rate = control
            .get()
            .pacing_rate()
            .unwrap_or_else(|| Pacer::rate_for(control.window(), rtt.smoothed_nanos(), true));
        pacer.set_rate(now, rate, u64::from(config.mtu.start()));
        Recovery {
            log: SentLog::new(config),
            rtt,
            rack: Rack::new(),
            episode: Episode::new(),
            persistent: PersistentCongestion::new(),
            pto: Pto::new(now, config),
            prr: None,
            control,
            rate: DeliveryRate::new(now),
            pacer,
            mtu: MtuSearch::new(&config.mtu),
            events: Events::new(),
            stats: Stats::default(),
            now,
            loss_time: None,
            release_at: None,
            limited_until: 0,
            probing_since: 0,
            cumulative: Cumulative::default(),
            repairs: Repairs::new(),
        }
    }

    /// Whether a packet of `bytes` may leave at `now`. May change after every call that changes anything, and with time.
    #[must_use]
    pub fn may_send(&self, now: Instant, bytes: u32) -> Permission {
        if self.pto.owes_probe() || self.cumulative.is_urgent() {
            return Permission::Probe;
        }
        if self.log.is_full() && self.log.queued() == 0 {
            mark!(LogFull);
            return Permission::LogFull;
        }
        if self.cumulative.forward().waits() {
            return Permission::Congestion;
        }
        let in_flight = self.in_flight();
        // A window smaller than a packet must not stop an idle sender for ever.
        let full = in_flight.saturating_add(u64::from(bytes)) > self.congestion_window();
        if in_flight > 0 && full && !sabotage!(WindowIgnored) {
            mark!(WindowFull);
            return Permission::Congestion;
        }
        self.pacer
            .blocked_until(now.max(self.now), bytes)
            .map_or(Permission::Now, Permission::Pacer)
    }

    /// Whether [`Recovery::commit`] finds room in the sent log: a probe may leave whatever the window says, but not without a record.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.log.is_full()
    }

    /// A timeout asks for a packet that the peer must answer.
    #[must_use]
    pub fn owes_probe(&self) -> bool {
        self.pto.owes_probe()
    }

    /// The next record to send again, if any was lost.
    #[must_use]
    pub fn next_lost(&self) -> Option<(RecordId, &R)> {
        // A peer that tells nothing of what arrived behind a hole waits for the oldest, however often it was lost.
        let oldest = self.log.oldest_lost();
        oldest
            .filter(|_| self.cumulative.is_on())
            .or_else(|| self.log.next_lost())
    }

    /// The record for a probe when nothing is lost and nothing is new: the oldest unacknowledged reliable one that was not sent
    /// since the timeout.
    #[must_use]
    pub fn probe_candidate(&self) -> Option<(RecordId, &R)> {
        self.log.probe_candidate(self.probing_since)
    }

    /// As [`probe_candidate`](Self::probe_candidate), but if a timeout sends two, the second one is the newest unacknowledged record. For
    /// peers that tell only the highest ranges of what they have, under [`Numbering::Reuse`](crate::Numbering::Reuse): they cannot tell that
    /// they have the oldest ones, so that repeating these alone would go on for ever, but of the newest they tell always.
    #[must_use]
    pub fn probe_of_either_end(&self) -> Option<(RecordId, &R)> {
        self.log.probe_of_either_end(self.probing_since)
    }

    /// A record for a probe that cannot wait until the older ones were acknowledged: an unacknowledged one of this sort that was not
    /// sent since the timeout. Looks at every record.
    #[must_use]
    pub fn probe_of(&self, is: impl Fn(&R) -> bool) -> Option<(RecordId, &R)> {
        self.log.probe_of(self.probing_since, is)
    }

    /// The number the next [`Recovery::commit`] will mint. Numbers below it have been sent.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.log.next_number()
    }

    /// The lowest number that is not acknowledged, or [`Recovery::next_number`] if all are. Under
    /// [`Numbering::Reuse`](crate::Numbering::Reuse) only; under [`Numbering::Fresh`](crate::Numbering::Fresh), where nothing
    /// waits for a certain number, always the next one.
    #[must_use]
    pub fn oldest_number(&self) -> u64 {
        self.log.oldest_number()
    }

    /// Bytes sent and neither acknowledged nor declared lost.
    #[must_use]
    pub fn bytes_in_flight(&self) -> u64 {
        self.log.bytes_in_flight()
    }

    /// How many bytes may be in flight.
    #[must_use]
    pub fn congestion_window(&self) -> u64 {
        self.prr
            .as_ref()
            .map_or_else(|| self.control.window(), Prr::window)
    }

    /// Where slow start ends, bytes; `u64::MAX` when not yet known.
    #[must_use]
    pub fn ssthresh(&self) -> u64 {
        self.control.get().ssthresh()
    }

    /// What the congestion controller is doing.
    #[must_use]
    pub fn phase(&self) -> CongestionPhase {
        self.control.get().phase()
    }

    /// What the path delivers by the controller's model, bytes per second; `None` without a model or before a sample.
    #[must_use]
    pub fn bandwidth(&self) -> Option<u64> {
        self.control.get().bandwidth()
    }

    /// The rate over which transmissions are spread, bytes per second; `None` without pacing.
    #[must_use]
    pub fn pacing_rate(&self) -> Option<u64> {
        self.pacer.rate()
    }

    /// The round trip time.
    #[must_use]
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// The largest datagram (UDP payload) that the path is known to carry.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.mtu.current()
    }

    /// Whether a reliable record waits for acknowledgement.
    #[must_use]
    pub fn has_unacknowledged(&self) -> bool {
        self.log.unacknowledged() > 0
    }

    /// How many reliable records wait for acknowledgement.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.log.unacknowledged()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The probe timeout, backoff included.
    #[must_use]
    pub fn pto(&self) -> Duration {
        self.pto.duration(&self.rtt)
    }

    /// The probe timeout without backoff (RFC 9002 6.2.1).
    #[must_use]
    pub fn pto_base(&self) -> Duration {
        Duration::from_nanos(self.pto.unbacked(&self.rtt))
    }

    /// Probe timeouts since the peer last acknowledged something.
    #[must_use]
    pub fn pto_count(&self) -> u32 {
        self.pto.count()
    }

    /// Whether a loss is being repaired.
    #[must_use]
    pub fn in_recovery(&self) -> bool {
        self.prr.is_some()
    }

    /// The live records of every class, in no particular order.
    pub fn records(&self) -> impl Iterator<Item = (RecordId, &R)> {
        self.log.iter()
    }

    /// Heap memory held, bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.log
            .memory()
            .saturating_add(self.repairs.memory())
            .saturating_add(self.events.memory())
    }

    /// Steps taken over acknowledgement ranges since the start: the work that a peer could cause.
    #[must_use]
    pub fn ack_work(&self) -> u64 {
        self.log.work()
    }

    /// Registers what goes out and mints its number (P1): the only way to get one. Charges `bytes`, the whole datagram.
    ///
    /// Asks neither window nor pacer: that is [`Recovery::may_send`]'s part.
    ///
    /// # Errors
    /// [`CommitError`]; nothing is changed then.
    pub fn commit(
        &mut self,
        now: Instant,
        class: Class,
        bytes: u32,
        what: R,
    ) -> Result<Number, CommitError> {
        self.commit_span(now, class, bytes, 1, what)
    }

    /// As [`Recovery::commit`], with `span` consecutive numbers for the record: under
    /// [`Numbering::Reuse`](crate::Numbering::Reuse) a number may name a byte. Under
    /// [`Numbering::Fresh`](crate::Numbering::Fresh) a span is always one number, whatever is asked.
    ///
    /// # Errors
    /// [`CommitError`]; nothing is changed then.
    pub fn commit_span(
        &mut self,
        now: Instant,
        class: Class,
        bytes: u32,
        span: u64,
        what: R,
    ) -> Result<Number, CommitError> {
        let now = self.advance(now);
        let before = self.before_sending(now, bytes);
        let order = self.log.next_order();
        let number = self
            .log
            .commit(span, class, bytes, now, before.snapshot, what)?;
        match class {
            Class::Reliable => {
                self.pto.on_sent(
                    now,
                    before.nothing_in_flight || before.nothing_unacknowledged,
                );
            }
            Class::Once => self.pto.on_sent(
                now,
                before.nothing_in_flight && before.nothing_unacknowledged,
            ),
            Class::MtuProbe => {
                if self.log.has_reused() {
                    let alone = before.nothing_in_flight || before.nothing_unacknowledged;
                    self.pto.on_sent(now, alone);
                } else if before.nothing_in_flight && before.nothing_unacknowledged {
                    self.pto.restart(now);
                }
                self.mtu.on_probe_sent(order, bytes);
                count(&mut self.stats.mtu_probes_sent, 1);
            }
        }
        self.cumulative.on_new();
        self.after_sending(now, 1, u64::from(bytes), before.in_flight);
        Ok(number)
    }

    /// Leaves the next number out, for a wire that gives it another meaning. Nothing is sent under it, and nothing waits for it.
    /// Under [`Numbering::Reuse`](crate::Numbering::Reuse), where every number must arrive, it does nothing.
    pub fn skip_number(&mut self) {
        self.log.skip_number();
    }

    /// Sends a record again. The number to send it under: a fresh one, or under
    /// [`Numbering::Reuse`](crate::Numbering::Reuse) the first of those it has.
    ///
    /// # Errors
    /// [`ResendError`]; nothing is changed then.
    pub fn resend(&mut self, now: Instant, id: RecordId, bytes: u32) -> Result<u64, ResendError> {
        let now = self.advance(now);
        let before = self.before_sending(now, bytes);
        let number = self.log.resend(id, bytes, now, before.snapshot)?;
        self.pto.on_sent(now, before.nothing_in_flight);
        self.cumulative.on_resent();
        count(&mut self.stats.packets_resent, 1);
        count(&mut self.stats.bytes_resent, u64::from(bytes));
        self.after_sending(now, 1, u64::from(bytes), before.in_flight);
        Ok(number)
    }

    /// Replaces a record that is too large for the path by two. They are the next to be sent; transmissions of the old one no
    /// longer count for anything. Under [`Numbering::Reuse`](crate::Numbering::Reuse) see [`Recovery::split_span`].
    ///
    /// # Errors
    /// [`SplitError`]; nothing is changed then.
    pub fn split(&mut self, id: RecordId, head: R, tail: R) -> Result<(), SplitError> {
        self.log.split(id, 0, head, tail)
    }

    /// As [`Recovery::split`]; the head keeps the first `head_span` of the record's numbers.
    ///
    /// # Errors
    /// [`SplitError`]; nothing is changed then.
    pub fn split_span(
        &mut self,
        id: RecordId,
        head_span: u64,
        head: R,
        tail: R,
    ) -> Result<(), SplitError> {
        self.log.split(id, head_span, head, tail)
    }

    /// Forgets the records for which `f` holds: they are not sent again and not reported as acknowledged. For
    /// [`Numbering::Fresh`](crate::Numbering::Fresh) only; does nothing otherwise. Linear in the number of records.
    pub fn abandon(&mut self, f: impl FnMut(&R) -> bool) {
        self.log.abandon(f);
        self.note_idle();
    }

    /// The window has room and there is nothing to send: what is measured from now on is the application's rate, not the path's.
    pub fn on_app_limited(&mut self) {
        let in_flight = self.log.bytes_in_flight();
        if in_flight < self.congestion_window() {
            mark!(AppLimited);
            self.rate.on_app_limited(in_flight);
        }
    }

    /// The size of an MTU probe to send now, if one is due. It is to be committed with [`Class::MtuProbe`] and exactly that many
    /// bytes; under [`Numbering::Reuse`](crate::Numbering::Reuse) it carries what has to arrive, and is sent again in smaller pieces.
    pub fn poll_mtu_probe(&mut self, now: Instant) -> Option<u16> {
        let now = self.advance(now);
        // A probe in times of loss would be judged wrongly, and in a small window it would take the place of data.
        let least = MTU_PROBE_WINDOW.saturating_mul(u64::from(self.mtu.current()));
        let calm = self.pto.count() == 0
            && self.log.queued() == 0
            && self.cumulative.would_tell(self.log.next_number());
        // What opened the connection is answered, but the first flight of data is still to come: it goes first.
        let flowing = self.stats.packets_acked >= PROBE_AFTER;
        let confirmed = flowing && calm && self.congestion_window() >= least;
        self.mtu.poll(now, confirmed)
    }

    /// Nothing larger than `size` passes, as a router says, or reaches the peer, who never takes more (`for_ever`). The router is believed
    /// down to the base size, and for ten minutes (RFC 8201 section 4).
    pub fn on_size_limit(&mut self, now: Instant, size: u16, for_ever: bool) {
        let now = self.advance(now);
        if let Some(change) = self.mtu.on_limit(now, size, for_ever) {
            self.control.get_mut().on_mtu(change.to);
            self.events.push(Event::MtuChanged {
                from: change.from,
                to: change.to,
            });
            self.update_pacer();
        }
    }

    /// So many packets of the size that is known now make the first window: for a caller who learned of the size after the first packet. Does
    /// nothing once the window was reduced.
    pub fn set_initial_window(&mut self, packets: u32) {
        let bytes = u64::from(self.mtu.current()).saturating_mul(u64::from(packets));
        self.control.get_mut().on_initial_window(bytes);
        self.update_pacer();
    }

    /// The peer is reached by another path: round trip time, window and MTU start afresh, records stay, and what was sent on the old
    /// path neither fills nor reduces the new window.
    pub fn on_path_change(&mut self, now: Instant) {
        let now = self.advance(now);
        mark!(PathChanged);
        self.log.leave_path();
        self.rtt.reset();
        self.episode.on_path_change(self.log.next_order());
        self.persistent = PersistentCongestion::new();
        self.prr = None;
        self.pto.reset(now);
        self.control.get_mut().on_path_change(now);
        if let Some(change) = self.mtu.on_path_change() {
            mark!(MtuLowered);
            self.control.get_mut().on_mtu(change.to);
            self.events.push(Event::MtuChanged {
                from: change.from,
                to: change.to,
            });
        }
        self.update_pacer();
        self.pacer.reset(now);
        self.find_losses(now, 0, true, Evidence::Later);
    }

    /// Starts anew as `config` says, for a caller who learned from its peer's first answer how numbers are to be used: books, window
    /// and the search for the path's size. What waited for an acknowledgement is forgotten, since that answer shows that it
    /// arrived. The round trip time, the counts and the events stay.
    pub fn restart(&mut self, config: &Config, now: Instant) {
        let now = self.advance(now);
        mark!(BooksBegunAnew);
        let anew = Recovery::new(config, now);
        let before = core::mem::replace(self, anew);
        if let Control::Custom(mut controller) = before.control {
            controller.on_path_change(now);
            self.control = Control::Custom(controller);
        }
        self.rtt = before.rtt;
        self.events = before.events;
        self.stats = before.stats;
        self.update_pacer();
    }

    /// Replaces [`Config::min_pto`], for a caller who has learned how soon the peer acknowledges.
    pub fn set_min_pto(&mut self, min: Duration) {
        self.pto.set_min(min);
    }

    /// The peer acknowledges within one `share`th of its smoothed round trip time, and [`Config::max_ack_delay`] at most; 0 takes the
    /// promise back. The probe timeout then waits no longer for a delayed acknowledgement than the peer can delay it.
    pub fn set_ack_delay_share(&mut self, share: u32) {
        self.pto.set_ack_delay_share(share);
    }

    /// A round trip time that the caller measured by other means (timestamps, a challenge).
    pub fn on_rtt_sample(&mut self, now: Instant, sample: Duration) {
        let now = self.advance(now);
        self.rtt.sample(now, sample, Duration::ZERO);
        self.persistent.on_sample(now);
        self.update_pacer();
    }

    /// A round trip time that an echoed timestamp told together with an acknowledgement. Karn's rule is about answers that may mean
    /// one transmission or another; an echo means one, so the timeout's backoff ends as well (RFC 7323 section 4).
    pub fn on_echo(&mut self, now: Instant, sample: Duration) {
        self.on_rtt_sample(now, sample);
        self.pto.on_progress(self.now, true);
    }

    /// The next thing to report, oldest first. At most 64 are kept.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    fn before_sending(&mut self, now: Instant, bytes: u32) -> Before {
        let nothing_in_flight = self.log.packets_in_flight() == 0;
        if nothing_in_flight && self.rate.is_app_limited() {
            self.control.get_mut().on_restart(now);
            self.update_pacer();
        }
        let with_it = self.log.bytes_in_flight().saturating_add(u64::from(bytes));
        Before {
            in_flight: self.log.bytes_in_flight(),
            nothing_in_flight,
            nothing_unacknowledged: self.log.unacknowledged() == 0,
            snapshot: self.rate.on_sent(now, nothing_in_flight, with_it),
        }
    }

    /// `bytes` of so many packets left.
    fn after_sending(&mut self, now: Instant, packets: u64, bytes: u64, in_flight_before: u64) {
        self.control.on_sent(now, bytes, in_flight_before);
        self.pacer.on_sent(now, bytes);
        if let Some(prr) = &mut self.prr {
            prr.on_sent(bytes);
        }
        // With room for less than two packets the window counts as used: what is to be sent next may be larger than one.
        let room = u64::from(self.mtu.current()).saturating_mul(2);
        if self.log.bytes_in_flight().saturating_add(room) > self.congestion_window() {
            self.limited_until = self.log.next_order();
        }
        self.release_at = None;
        self.cumulative.on_sent();
        count(&mut self.stats.packets_sent, packets);
        count(&mut self.stats.bytes_sent, bytes);
    }

    fn update_pacer(&mut self) {
        let control = self.control.get();
        let rate = control.pacing_rate().unwrap_or_else(|| {
            Pacer::rate_for(
                control.window(),
                self.rtt.smoothed_nanos(),
                control.in_slow_start(),
            )
        });
        self.pacer
            .set_rate(self.now, rate, u64::from(self.mtu.current()));
    }
}

/// The state a packet leaves from.
struct Before {
    in_flight: u64,
    nothing_in_flight: bool,
    nothing_unacknowledged: bool,
    snapshot: Snapshot,
}
