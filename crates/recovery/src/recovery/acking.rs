//! Acknowledgements and the losses they reveal.

use core::ops::RangeInclusive;
use core::time::Duration;

use gapless_seq::{mark, sabotage};

use crate::config::Class;
use crate::congestion::{Ack, Congestion, LostPacket};
use crate::event::{Event, count};
use crate::num::{index, nanos};
use crate::prr::{Prr, Step};
use crate::rate::{RateSample, Snapshot};
use crate::sent_log::{Delivered, Lost, NeverSent};
use crate::time::Instant;

use super::Recovery;
use super::cumulative::Evidence;
use super::spurious::Echo;

/// What an acknowledgement changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct AckOutcome {
    /// Records that were handed back.
    pub newly_acked_records: usize,
    /// Bytes of newly acknowledged transmissions.
    pub newly_acked_bytes: u64,
    /// The round trip time it showed.
    pub rtt_sample: Option<Duration>,
    /// It disproved a loss.
    pub spurious: bool,
    /// Transmissions it revealed as lost.
    pub lost: usize,
}

/// Why an acknowledgement was refused. Nothing was changed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum AckError {
    /// It names a number that was never sent (R3).
    NeverSent,
}

/// Timeouts in a row after which the least round trip time of before decides nothing any more.
const TIMEOUTS_OF_ANOTHER_PATH: u32 = 2;

/// What one acknowledgement delivered, summed up.
#[derive(Default)]
struct Tally {
    records: usize,
    packets: u64,
    /// Of this path only.
    bytes: u64,
    largest_packet: u32,
    /// Order, time and state of the newest transmission.
    newest: Option<(u64, Instant, Snapshot)>,
    rtt_sample: Option<Duration>,
    reordered: bool,
    unambiguous: bool,
    spurious: u64,
    /// Every loss of the last episode was an error.
    undone: bool,
    /// What a timeout took for lost is on its way.
    revived: bool,
    probe: Option<u64>,
}

impl<R> Recovery<R> {
    /// Takes an acknowledgement that arrived at `now`. `ranges` are inclusive and descending, as on the wire; any number of them
    /// may repeat what earlier ones said, and their length costs nothing. `largest` is the number whose arrival the peer measured
    /// `ack_delay` from. `acked` gets what each newly acknowledged record carried.
    ///
    /// Cost: the newly acknowledged transmissions and the number of ranges.
    ///
    /// # Errors
    /// [`AckError::NeverSent`] if any number was never sent: then nothing at all is believed, and nothing changed.
    pub fn on_ack(
        &mut self,
        now: Instant,
        largest: u64,
        ack_delay: Duration,
        ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
        acked: impl FnMut(R),
    ) -> Result<AckOutcome, AckError> {
        self.on_echoing_ack(now, largest, ack_delay, ranges, None, acked)
    }

    /// As [`Recovery::on_ack`], for an acknowledgement that tells which transmission of a record it answers.
    ///
    /// # Errors
    /// As [`Recovery::on_ack`].
    pub fn on_echoing_ack(
        &mut self,
        now: Instant,
        largest: u64,
        ack_delay: Duration,
        ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
        echo: Option<Echo>,
        mut acked: impl FnMut(R),
    ) -> Result<AckOutcome, AckError> {
        let now = self.advance(now);
        let prior_in_flight = self.in_flight();
        let mut tally = Tally::default();
        let Recovery {
            log,
            rack,
            episode,
            rtt,
            pto,
            cumulative,
            repairs,
            ..
        } = self;
        let prior_newest = rack.newest();
        // What is faster than any round trip before answers an earlier transmission; but not when timeouts in a row have passed without a
        // clear answer: then that one is long gone, and the path may have become a little shorter. Held to the old time, every
        // answer to a repetition would count for nothing, and only probes would be sent.
        let min_rtt = if pto.count() < TIMEOUTS_OF_ANOTHER_PATH {
            rtt.min_nanos()
        } else {
            mark!(LeastRttDoubted);
            0
        };
        let result = log.acknowledge(largest, ranges, |delivered, what| {
            let echoed = echo.is_some_and(|echo| echo.is_of_earlier(&delivered));
            tally.add(now, &delivered, prior_newest, min_rtt, echoed);
            let early = tally.early_answer(now, &delivered, min_rtt, echoed);
            if early.is_none() && delivered.ambiguous {
                repairs.note(&delivered);
            }
            for lost_in in [delivered.was_lost, early].into_iter().flatten() {
                mark!(LossDisproved, delivered.was_lost.is_some());
                mark!(LossDisprovedByEarlyAnswer, delivered.was_lost.is_none());
                tally.spurious = tally.spurious.saturating_add(1);
                tally.undone |= if echoed && cumulative.is_of_timeout(lost_in) {
                    // RFC 3522, RFC 4015: the timeout was too early, for all that it took for lost.
                    tally.revived = true;
                    episode.on_all_spurious(lost_in)
                } else {
                    episode.on_spurious(lost_in)
                };
            }
            if let Some(what) = what {
                tally.records = tally.records.saturating_add(1);
                acked(what);
            }
        });
        if let Err(NeverSent) = result {
            mark!(AckOfUnsentRefused);
            count(&mut self.stats.acks_refused, 1);
            return Err(AckError::NeverSent);
        }
        if tally.packets == 0 {
            return Ok(AckOutcome::default());
        }
        Ok(self.digest(now, ack_delay, prior_in_flight, &tally))
    }

    fn digest(
        &mut self,
        now: Instant,
        ack_delay: Duration,
        prior_in_flight: u64,
        tally: &Tally,
    ) -> AckOutcome {
        count(&mut self.stats.packets_acked, tally.packets);
        count(&mut self.stats.bytes_acked, tally.bytes);
        if let Some(sample) = tally.rtt_sample {
            self.rtt.sample(now, sample, ack_delay);
            self.persistent.on_sample(now);
        }
        self.rate.on_delivered(now, tally.bytes);
        self.note_order(tally);
        self.pto.on_progress(now, tally.unambiguous);
        if tally.undone {
            self.undo(now);
        }
        if tally.revived {
            self.log.revive();
        }
        let (evidence, delivered) = self.on_cumulative_progress(tally.bytes, tally.packets);
        if self.prr.is_some() && self.is_repaired() {
            self.prr = None;
        }
        let lost = self.find_losses(now, delivered, false, evidence);
        self.cumulative.note_urgent(evidence, lost);
        self.tell_controller(now, prior_in_flight, tally);
        self.note_sizes(now, tally);
        self.update_pacer();
        self.forget_old(now);
        self.note_idle();
        AckOutcome {
            newly_acked_records: tally.records,
            newly_acked_bytes: tally.bytes,
            rtt_sample: tally.rtt_sample,
            spurious: tally.spurious > 0,
            lost: index(lost),
        }
    }

    fn is_repaired(&self) -> bool {
        if self.cumulative.is_on() {
            self.cumulative.is_over(self.log.oldest_number())
        } else {
            self.rack.newest() >= self.episode.end()
        }
    }

    fn note_order(&mut self, tally: &Tally) {
        if let Some((newest, ..)) = tally.newest {
            self.rack.on_delivered(newest);
        }
        if tally.reordered {
            self.rack.on_reordering();
        }
        if tally.spurious > 0 {
            self.rack.on_spurious(self.log.next_order());
            count(&mut self.stats.spurious_losses, tally.spurious);
        }
    }

    pub(super) fn undo(&mut self, now: Instant) {
        mark!(SpuriousLossUndone);
        self.prr = None;
        self.control.get_mut().on_spurious_congestion(now);
        count(&mut self.stats.congestion_undone, 1);
        self.events.push(Event::SpuriousLossUndone {
            window: self.control.window(),
        });
    }

    fn tell_controller(&mut self, now: Instant, prior_in_flight: u64, tally: &Tally) {
        let Some((newest, sent_at, snapshot)) = tally.newest else {
            return;
        };
        let rate: Option<RateSample> = self.rate.sample(sent_at, &snapshot, self.rtt.min_nanos());
        let (delivered, lost) = self.rate.totals();
        let in_flight = self.in_flight();
        let control = self.control.get_mut();
        let slow_start = control.in_slow_start();
        // Half a window is enough in slow start: the window doubles within the round that fills it.
        let window_limited = newest < self.limited_until
            || (slow_start && prior_in_flight.saturating_mul(2) > control.window());
        control.on_ack(&Ack {
            now,
            bytes: tally.bytes,
            prior_in_flight,
            in_flight,
            newest,
            next: self.log.next_order(),
            rtt: &self.rtt,
            rtt_sample: tally.rtt_sample,
            rate,
            sent: snapshot.state(),
            delivered,
            lost,
            window_limited,
            in_recovery: self.prr.is_some(),
        });
        if slow_start && !control.in_slow_start() {
            self.events.push(Event::SlowStartExit {
                window: control.window(),
            });
        }
        if control.limits_samples() {
            self.rate.on_app_limited(self.log.bytes_in_flight());
        }
    }

    fn note_sizes(&mut self, now: Instant, tally: &Tally) {
        self.mtu.on_acked(tally.largest_packet);
        if let Some(change) = tally
            .probe
            .and_then(|order| self.mtu.on_probe_acked(now, order))
        {
            mark!(MtuRaised);
            self.control.get_mut().on_mtu(change.to);
            self.events.push(Event::MtuChanged {
                from: change.from,
                to: change.to,
            });
        }
    }

    /// Declares lost what the evidence says, arms the timer for what RACK does not say yet, and tells the controller. `delivered`
    /// are the bytes of the acknowledgement that caused this. Returns the number of losses.
    pub(super) fn find_losses(
        &mut self,
        now: Instant,
        delivered: u64,
        by_timer: bool,
        evidence: Evidence,
    ) -> u64 {
        let delay = self.rack.delay(&self.rtt);
        let prior_in_flight = self.in_flight();
        let next = self.log.next_order();
        let timeout = self.pto.unbacked(&self.rtt);
        let in_recovery = self.episode.is_repairing(self.rack.newest());
        let is_cumulative = self.cumulative.is_on();
        let mut losses = Losses::default();
        let mut probe_lost = None;
        let super::Recovery {
            log,
            rack,
            episode,
            persistent,
            control,
            rate,
            ..
        } = self;
        let control = control.get_mut();
        let oldest = log.oldest_order();
        let below = match evidence {
            // RFC 8985 needs a peer that tells what arrived behind a hole.
            Evidence::Later if is_cumulative => 0,
            Evidence::Later => sabotage!(NoFastRetransmit, 0, rack.newest()),
            Evidence::Waits => oldest.map_or(0, |oldest| oldest.saturating_add(1)),
            Evidence::Timeout { .. } => u64::MAX,
        };
        let survivor = log.lose_while(below, |lost: Lost<'_>| {
            let transmission = lost.transmission;
            let is_lost = match evidence {
                Evidence::Later => {
                    // RFC 8985 6.2: recovery lasts until what was sent again has arrived.
                    let repairs = in_recovery || transmission.repeated;
                    rack.is_lost(lost.order, transmission.sent_at, now, delay, repairs)
                }
                Evidence::Waits => oldest == Some(lost.order),
                Evidence::Timeout { .. } => true,
            };
            if !is_lost {
                return None;
            }
            if transmission.class == Class::MtuProbe {
                // RFC 8899 3 point 7: no sign of congestion.
                probe_lost = Some(lost.order);
                return Some(NO_EPISODE);
            }
            losses.packets = losses.packets.saturating_add(1);
            losses.bytes = losses.bytes.saturating_add(u64::from(transmission.bytes));
            if transmission.foreign {
                mark!(OldPathLost);
                return Some(NO_EPISODE);
            }
            let bytes = u64::from(transmission.bytes);
            rate.on_lost(bytes);
            let (total_delivered, total_lost) = rate.totals();
            control.on_lost(&LostPacket {
                now,
                bytes,
                order: lost.order,
                sent: transmission.snapshot.state(),
                delivered: total_delivered,
                lost: total_lost,
            });
            losses.largest = losses.largest.max(transmission.bytes);
            losses.newest = lost.order;
            losses.persistent |=
                persistent.on_loss(transmission.sent_at, lost.after_delivered, timeout);
            if evidence == (Evidence::Timeout { again: true }) {
                // RFC 5681 3.1, equation 4 and below it: the first timeout reduced ssthresh, the others hold it.
                return Some(NO_EPISODE);
            }
            losses.begins |= episode.on_loss(lost.order, next);
            Some(episode.id())
        });
        self.loss_time = survivor
            .filter(|_| evidence == Evidence::Later)
            .map(|sent_at| sent_at.saturating_add(Duration::from_nanos(delay)));
        if let Some(order) = probe_lost {
            count(&mut self.stats.mtu_probes_lost, 1);
            self.mtu.on_probe_lost(now, order);
        }
        self.react(now, prior_in_flight, delivered, by_timer, &losses);
        losses.packets
    }

    fn react(
        &mut self,
        now: Instant,
        prior_in_flight: u64,
        delivered: u64,
        by_timer: bool,
        losses: &Losses,
    ) {
        if losses.packets > 0 {
            count(&mut self.stats.packets_lost, losses.packets);
            count(&mut self.stats.bytes_lost, losses.bytes);
            self.events.push(Event::Lost {
                packets: losses.packets,
                bytes: losses.bytes,
                by_timer,
            });
        }
        if losses.begins {
            self.begin_episode(now, prior_in_flight, delivered, losses.bytes);
        }
        if losses.persistent && !sabotage!(PersistentIgnored) {
            // RFC 9002 7.6.2.
            mark!(PersistentCongestion);
            self.persistent.reset();
            self.episode.keep();
            self.prr = None;
            self.control.get_mut().on_persistent_congestion(now);
            count(&mut self.stats.persistent_congestion, 1);
            self.events.push(Event::PersistentCongestion);
        }
        let in_flight = self.in_flight();
        if let Some(prr) = &mut self.prr {
            prr.on_ack(&Step {
                delivered,
                in_flight,
                ssthresh: self.control.window(),
                mtu: u64::from(self.mtu.current()),
                safe: delivered > 0 && losses.packets == 0,
            });
        }
        self.suspect(now, losses.largest, losses.newest);
        self.update_pacer();
    }

    /// The peer tells that a router marked what was sent (RFC 3168 6.1.2): the same reduction as for a loss, once for each round trip, and
    /// nothing to repair.
    pub fn on_congestion_told(&mut self, now: Instant) {
        let now = self.advance(now);
        let next = self.log.next_order();
        if !self.episode.on_told(self.rack.newest(), next) {
            return;
        }
        let in_flight = self.in_flight();
        self.begin_episode(now, in_flight, 0, 0);
        let losses = Losses::default();
        self.react(now, in_flight, 0, false, &losses);
    }

    fn begin_episode(&mut self, now: Instant, prior_in_flight: u64, delivered: u64, lost: u64) {
        let flight = prior_in_flight.saturating_add(delivered);
        let control = self.control.get_mut();
        let slow_start = control.in_slow_start();
        control.on_congestion(&Congestion {
            now,
            in_flight: flight,
            lost,
        });
        let paced = self.pacer.rate().is_some();
        self.prr = control
            .wants_rate_reduction()
            .then(|| Prr::new(flight, control.window(), paced));
        self.rack.on_recovery();
        count(&mut self.stats.congestion_events, 1);
        self.events.push(Event::CongestionEvent {
            window: control.window(),
        });
        if slow_start {
            mark!(SlowStartLeftByLoss);
            self.events.push(Event::SlowStartExit {
                window: control.window(),
            });
        }
    }

    /// A large packet was lost or is overdue: perhaps its size is the cause. `order`: the newest of those lost.
    pub(super) fn suspect(&mut self, now: Instant, bytes: u32, order: u64) {
        let next = self.log.next_order();
        if let Some(change) = self.mtu.on_suspicion(now, bytes, order, next) {
            self.control.get_mut().on_mtu(change.to);
            mark!(BlackHoleFound);
            count(&mut self.stats.black_holes, 1);
            self.events.push(Event::BlackHole {
                from: change.from,
                to: change.to,
            });
            self.events.push(Event::MtuChanged {
                from: change.from,
                to: change.to,
            });
        }
    }
}

/// Marks losses that belong to no episode: identifiers start at one and a wrap is 2^32 reductions away.
pub(super) const NO_EPISODE: u32 = 0;

#[derive(Default)]
struct Losses {
    packets: u64,
    bytes: u64,
    largest: u32,
    newest: u64,
    begins: bool,
    persistent: bool,
}

impl Tally {
    fn add(
        &mut self,
        now: Instant,
        delivered: &Delivered<'_>,
        prior_newest: u64,
        min_rtt: u64,
        echoed: bool,
    ) {
        let transmission = delivered.transmission;
        self.packets = self.packets.saturating_add(1);
        self.unambiguous |= !delivered.ambiguous;
        if transmission.class == Class::MtuProbe {
            self.probe = Some(delivered.order);
        }
        if transmission.foreign {
            mark!(OldPathAcked);
            return;
        }
        self.bytes = self.bytes.saturating_add(u64::from(transmission.bytes));
        self.largest_packet = self.largest_packet.max(transmission.bytes);
        // RFC 8985 6.2 step 2: an answer faster than any round trip answers an earlier transmission.
        let too_fast = delivered.ambiguous
            && (echoed || nanos(now.saturating_duration_since(transmission.sent_at)) < min_rtt);
        mark!(AnswerTooFast, too_fast);
        if !too_fast
            && self
                .newest
                .is_none_or(|(newest, ..)| delivered.order > newest)
        {
            self.newest = Some((delivered.order, transmission.sent_at, transmission.snapshot));
        }
        if delivered.order < prior_newest && delivered.was_lost.is_none() && !delivered.ambiguous {
            self.reordered = true;
        }
        // Karn: a sample only where the answer can mean one transmission alone.
        mark!(KarnRefusedSample, delivered.largest && delivered.ambiguous);
        if delivered.largest && (!delivered.ambiguous || sabotage!(KarnIgnored)) {
            self.rtt_sample = Some(now.saturating_duration_since(transmission.sent_at));
        }
    }

    /// RFC 8985 6.2 step 2 turned round: the answer came too soon for the repetition, so the one declared lost had arrived.
    fn early_answer(
        &self,
        now: Instant,
        delivered: &Delivered<'_>,
        min_rtt: u64,
        echoed: bool,
    ) -> Option<u32> {
        let too_fast =
            nanos(now.saturating_duration_since(delivered.transmission.sent_at)) < min_rtt;
        delivered
            .previous_lost
            .filter(|_| echoed || (too_fast && min_rtt != u64::MAX))
            .map(|previous| previous.episode)
    }
}
