//! 5.5.10 and 5.5.11: what loss tells about the path, for the moment and for long, and how an error about it is undone.

use gapless_seq::mark;

use crate::congestion::{Ack, LostPacket};
use crate::num::{nanos, scale};
use crate::time::Instant;

use super::cycle::Phase;
use super::{Bbr, UNBOUNDED};

/// 2.8: `BBR.LossThresh` is 2 %.
const LOSS_PERCENT: u64 = 2;
/// 2.8: `BBR.Beta`, in tenths.
const BETA_TENTHS: u64 = 7;
/// 5.3.1.3: `BBRStartupFullLossCnt`: so many separate losses in a round end `Startup`.
const STARTUP_LOSS_EVENTS: u32 = 6;

/// The bounds that hold until the next probing (`BBR.bw_shortterm`, `BBR.inflight_shortterm`).
#[derive(Clone, Debug)]
pub(super) struct ShortTerm {
    pub(super) bandwidth: u64,
    pub(super) in_flight: u64,
}

impl ShortTerm {
    pub(super) const fn new() -> Self {
        ShortTerm {
            bandwidth: UNBOUNDED,
            in_flight: UNBOUNDED,
        }
    }
}

/// What probing found to be too much (`BBR.inflight_longterm`), and how that bound rises again.
#[derive(Clone, Debug)]
pub(super) struct LongTerm {
    pub(super) in_flight: u64,
    /// `BBR.probe_up_acked_per_inc`: so many acknowledged bytes raise the bound by a packet.
    pub(super) acked_per_packet: u64,
    /// `BBR.bw_probe_up_acked`.
    pub(super) acked: u64,
    /// `BBR.bw_probe_up_rounds`.
    pub(super) rounds: u32,
    /// `BBR.prev_probe_too_high`.
    pub(super) probe_was_too_high: bool,
    /// `BBR.prev_probe_precautionary`.
    pub(super) probe_was_precautionary: bool,
    /// `BBR.is_bw_probe_sample`: what is acknowledged now was sent while probing.
    pub(super) is_probe_sample: bool,
}

impl LongTerm {
    pub(super) const fn new() -> Self {
        LongTerm {
            in_flight: UNBOUNDED,
            acked_per_packet: UNBOUNDED,
            acked: 0,
            rounds: 0,
            probe_was_too_high: false,
            probe_was_precautionary: false,
            is_probe_sample: false,
        }
    }
}

/// The delivery process of the last round, and its losses.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    /// `BBR.bw_latest`, bytes per second.
    bw_latest: u64,
    /// `BBR.inflight_latest`, bytes.
    in_flight_latest: u64,
    /// `BBR.loss_round_delivered`.
    round_delivered: u64,
    /// `BBR.loss_round_start`: the present acknowledgement ends a round of losses.
    pub(super) round_start: bool,
    /// `BBR.is_loss_in_round`.
    in_round: bool,
    /// Separate losses in the round, and the newest packet of the last one.
    events: u32,
    newest: Option<u64>,
    /// The round in which recovery began.
    recovering_since: Option<u64>,
    /// A reduced window is to grow back when recovery is over.
    pub(super) restore_after_recovery: bool,
    pub(super) restore_window: bool,
}

impl Loss {
    pub(super) fn is_recovering(&self) -> bool {
        self.recovering_since.is_some()
    }

    pub(super) fn enter_recovery(&mut self, round: u64) {
        self.recovering_since.get_or_insert(round);
    }

    /// `ResetCongestionSignals`.
    pub(super) fn reset_signals(&mut self) {
        self.in_round = false;
        self.events = 0;
        self.bw_latest = 0;
        self.in_flight_latest = 0;
    }

    /// The end of `UpdateCongestionSignals`: a round without loss ends recovery.
    pub(super) fn end_round(&mut self, round: u64) {
        if !self.in_round && self.recovering_since.is_some_and(|since| round > since) {
            self.recovering_since = None;
            self.restore_window = core::mem::take(&mut self.restore_after_recovery);
        }
        self.in_round = false;
        self.events = 0;
    }

    /// `AdvanceLatestDeliverySignals`.
    pub(super) fn advance_latest(&mut self, ack: &Ack<'_>) {
        if self.round_start {
            self.bw_latest = ack.delivery_rate();
            self.in_flight_latest = ack.delivered.saturating_sub(ack.sent.delivered);
        }
    }
}

/// 5.5.11.1: what an error would be undone to.
#[derive(Clone, Debug, Default)]
pub(super) struct Undo {
    pub(super) phase: Option<Phase>,
    saved: Option<(ShortTerm, u64)>,
}

/// What the path loses by chance, whatever is sent: measured in rounds in which no queue stood.
///
/// Not of the draft, which takes every loss for a sign of congestion and so falls to two thirds of a link that loses 2 %. Losses
/// that come without a queue as well are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Chance {
    /// Bytes sent in rounds without a queue, and of these those that were lost; old ones fade.
    sample_sent: u64,
    sample_lost: u64,
    /// Totals at the start of the round.
    delivered: u64,
    lost: u64,
    /// The least round trip time of the round, ns; 0 before the first.
    rtt: u64,
    /// The last one of all, ns.
    latest: u64,
}

/// A queue stands if the round's least round trip time exceeds the path's by more than an eighth and this, ns: half of the delay
/// that even a queue of a quarter of the path's capacity makes, and above what timers add.
const QUEUE_SHARE: u64 = 8;
const QUEUE_NOISE: u64 = 200_000;
/// A round fades by a sixteenth with each that follows: the estimate stands on the bytes of some sixteen rounds.
const CHANCE_GAIN_BITS: u32 = 4;
const CHANCE_UNIT_BITS: u32 = 16;
/// More than 20 % of chance loss is not believed.
const MAX_CHANCE: u64 = (1 << CHANCE_UNIT_BITS) / 5;
/// More than 10 % of chance loss is not made up for: it stays well below the quarter that probing adds.
const MAX_MADE_UP: u64 = (1 << CHANCE_UNIT_BITS) / 10;
/// A round may exceed what is expected of chance by so many standard deviations, and a packet: one in a thousand does.
const CHANCE_DEVIATIONS: u64 = 3;

impl Chance {
    fn sample_rtt(&mut self, rtt: u64) {
        self.latest = rtt;
        self.rtt = if self.rtt == 0 {
            rtt
        } else {
            self.rtt.min(rtt)
        };
    }

    /// The round is over; whether its losses were no more than chance explains.
    fn end_round(&mut self, ack: &Ack<'_>, min_rtt: u64, mtu: u64, probing: bool) -> bool {
        let lost = ack.lost.saturating_sub(self.lost);
        let sent = ack
            .delivered
            .saturating_sub(self.delivered)
            .saturating_add(lost);
        let by_chance = lost <= self.of(sent, mtu);
        // What probing loses may be its own doing, even before a queue is noticed that others keep standing.
        if !probing && self.rtt > 0 && self.rtt <= without_queue(min_rtt) {
            let fade = |sum: u64, new: u64| {
                sum.saturating_sub(sum >> CHANCE_GAIN_BITS)
                    .saturating_add(new)
            };
            self.sample_sent = fade(self.sample_sent, sent);
            self.sample_lost = fade(self.sample_lost, lost);
        }
        (self.delivered, self.lost, self.rtt) = (ack.delivered, ack.lost, 0);
        by_chance
    }

    /// Whether so much may be chance for all that is known at the start of a connection: no queue stands now, and it is not
    /// beyond belief.
    fn may_explain(&self, lost: u64, sent: u64, min_rtt: u64) -> bool {
        self.latest <= without_queue(min_rtt)
            && scale(lost, 1 << CHANCE_UNIT_BITS, sent.max(1)) <= MAX_CHANCE
    }

    /// The share that chance takes, in units of 1 / 2^16.
    fn share(&self) -> u64 {
        scale(
            self.sample_lost,
            1 << CHANCE_UNIT_BITS,
            self.sample_sent.max(1),
        )
        .min(MAX_CHANCE)
    }

    /// What has to be sent for chance to leave so much of it.
    pub(super) fn sent_for(&self, delivered: u64) -> u64 {
        let unit = 1 << CHANCE_UNIT_BITS;
        let taken = self.share().min(MAX_MADE_UP);
        scale(delivered, unit, unit.saturating_sub(taken))
    }

    /// What chance may have taken of so many bytes, with the spread of a Poisson distribution.
    fn of(&self, sent: u64, mtu: u64) -> u64 {
        if self.sample_lost == 0 {
            return 0;
        }
        let unit = 1 << CHANCE_UNIT_BITS;
        let expected = scale(sent, self.share(), unit);
        // The standard deviation in packets is the square root of their number; in bytes, that times their size.
        let deviation = expected.saturating_mul(mtu).isqrt();
        expected
            .saturating_add(deviation.saturating_mul(CHANCE_DEVIATIONS))
            .saturating_add(mtu)
    }
}

/// The longest round trip time that shows no queue.
fn without_queue(min_rtt: u64) -> u64 {
    min_rtt
        .saturating_add(min_rtt / QUEUE_SHARE)
        .saturating_add(QUEUE_NOISE)
}

impl Bbr {
    /// 5.5.10.3: `UpdateLatestDeliverySignals`.
    pub(super) fn update_latest_delivery(&mut self, ack: &Ack<'_>) {
        let loss = &mut self.loss;
        loss.bw_latest = loss.bw_latest.max(ack.delivery_rate());
        let delivered = ack.delivered.saturating_sub(ack.sent.delivered);
        loss.in_flight_latest = loss.in_flight_latest.max(delivered);
        loss.round_start = ack.sent.delivered >= loss.round_delivered;
        if loss.round_start {
            loss.round_delivered = ack.delivered;
        }
        if let Some(sample) = ack.rtt_sample {
            self.chance.sample_rtt(nanos(sample));
        }
        self.check_startup_loss(ack);
    }

    /// 5.3.1.3: `CheckStartupHighLoss`, at the end of a round with losses and before they are forgotten.
    fn check_startup_loss(&mut self, ack: &Ack<'_>) {
        if self.phase != Phase::Startup || self.full_pipe.reached || !self.loss.round_start {
            return;
        }
        let lasting = self
            .loss
            .recovering_since
            .is_some_and(|since| self.rounds.count > since);
        let lost = ack.lost.saturating_sub(ack.sent.lost);
        // Not of the draft: where no queue stands while the rate still doubles, the losses are not the path's limit. Held for it they
        // would end `Startup` at a few percent of the path's rate.
        let in_flight = ack.sent.in_flight;
        let by_chance = self.chance.may_explain(lost, in_flight, self.min_rtt.value);
        if lasting
            && self.loss.events >= STARTUP_LOSS_EVENTS
            && self.is_too_much(lost, in_flight)
            && !by_chance
        {
            mark!(BbrStartupLostTooMuch);
            self.undo.phase = Some(Phase::Startup);
            self.full_pipe.reached = true;
            self.long_term.in_flight = self.bdp(100).max(self.loss.in_flight_latest);
        }
    }

    /// Whether more than `BBR.LossThresh` of `in_flight` was lost, and more than by chance.
    pub(super) fn is_too_much(&self, lost: u64, in_flight: u64) -> bool {
        let chance = self.chance.of(in_flight, self.mtu);
        lost > scale(in_flight, LOSS_PERCENT, 100).saturating_add(chance)
    }

    /// 5.5.10.3: `AdaptLowerBoundsFromCongestion`, once a round.
    pub(super) fn adapt_short_term(&mut self, ack: &Ack<'_>) {
        let probing = self.phase.is_probing();
        let min_rtt = self.min_rtt.value;
        let by_chance = self.chance.end_round(ack, min_rtt, self.mtu, probing);
        if probing || !self.loss.in_round || by_chance {
            mark!(
                BbrChanceLoss,
                self.loss.in_round && !self.phase.is_probing()
            );
            return;
        }
        mark!(BbrShortTermLowered);
        let short = &mut self.short_term;
        if short.bandwidth == UNBOUNDED {
            short.bandwidth = self.bandwidth.max();
        }
        if short.in_flight == UNBOUNDED {
            short.in_flight = self.window;
        }
        short.bandwidth = self.loss.bw_latest.max(beta(short.bandwidth));
        short.in_flight = self.loss.in_flight_latest.max(beta(short.in_flight));
    }

    /// 5.5.10.2: `HandleLostPacket`.
    pub(super) fn handle_lost(&mut self, lost: &LostPacket) {
        self.note_loss(lost);
        if !self.long_term.is_probe_sample {
            return;
        }
        let since_sent = lost.lost.saturating_sub(lost.sent.lost);
        if self.is_too_much(since_sent, lost.sent.in_flight) {
            mark!(BbrTooMuchInFlight);
            let in_flight = in_flight_at_loss(lost, since_sent);
            self.handle_too_much_in_flight(lost.now, in_flight, lost.sent.app_limited);
        }
    }

    /// `NoteLoss`.
    fn note_loss(&mut self, lost: &LostPacket) {
        if !self.loss.in_round {
            self.loss.round_delivered = lost.delivered;
            self.save_for_undo();
        }
        self.loss.in_round = true;
        let follows = self
            .loss
            .newest
            .is_some_and(|newest| newest.saturating_add(1) == lost.order);
        if !follows {
            self.loss.events = self.loss.events.saturating_add(1);
        }
        self.loss.newest = Some(lost.order);
    }

    /// `HandleInflightTooHigh`.
    fn handle_too_much_in_flight(&mut self, now: Instant, in_flight: u64, app_limited: bool) {
        self.long_term.probe_was_too_high = true;
        self.long_term.is_probe_sample = false;
        if !app_limited {
            self.long_term.in_flight = in_flight.max(beta(self.target_in_flight()));
        }
        if self.phase == Phase::Up {
            self.undo.phase = Some(Phase::Up);
            self.start_down(now);
        }
    }

    /// 5.5.11.1: `SaveStateUponLoss`.
    fn save_for_undo(&mut self) {
        self.save_window();
        self.undo = Undo {
            phase: None,
            saved: Some((self.short_term.clone(), self.long_term.in_flight)),
        };
    }

    /// 5.5.11.2: `HandleSpuriousLossDetection`.
    pub(super) fn undo_loss(&mut self) {
        self.restore_window();
        self.loss.in_round = false;
        self.loss.events = 0;
        self.loss.recovering_since = None;
        self.loss.restore_after_recovery = false;
        self.full_pipe.reset(0);
        if let Some((short, long)) = self.undo.saved.take() {
            let bounds = &mut self.short_term;
            bounds.bandwidth = bounds.bandwidth.max(short.bandwidth);
            bounds.in_flight = bounds.in_flight.max(short.in_flight);
            self.long_term.in_flight = self.long_term.in_flight.max(long);
        }
        match self.undo.phase.take() {
            Some(Phase::Startup) if self.phase != Phase::Startup => {
                mark!(BbrStartupUndone);
                self.full_pipe.reached = false;
                if self.phase != Phase::ProbeRtt {
                    self.phase = Phase::Startup;
                }
            }
            Some(Phase::Up) if !matches!(self.phase, Phase::Up | Phase::ProbeRtt) => {
                mark!(BbrUpUndone);
                self.refill();
            }
            _ => {}
        }
    }
}

fn beta(value: u64) -> u64 {
    scale(value, BETA_TENTHS, 10)
}

/// `InflightAtLoss`: what was in flight when the losses crossed the threshold, which may have been within this packet.
fn in_flight_at_loss(lost: &LostPacket, since_sent: u64) -> u64 {
    let before = lost.sent.in_flight.saturating_sub(lost.bytes);
    let lost_before = since_sent.saturating_sub(lost.bytes);
    let prefix = scale(before, LOSS_PERCENT, 100).saturating_sub(lost_before);
    before.saturating_add(scale(prefix, 100, 100 - LOSS_PERCENT))
}
