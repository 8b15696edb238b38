//! Who sees every packet on the wire, and knows what may stand there: nothing here asks an engine.

use super::packet::{ACK, FIN, RST, SYN, Seen};
use super::plan::TcpScenario;
use crate::plan::{SECOND, StreamPlan, Time};
use crate::report::Rule;
use crate::spans::Spans;
use crate::watch::Fault;
use gapless_tcp::Ports;
use std::collections::{HashMap, HashSet};

pub(crate) struct Watch {
    /// Octets of the largest packet, by host.
    mtus: [usize; 2],
    /// By host: it may answer SYNs by cookies, and knows nothing of those that it did.
    bakes: [bool; 2],
    /// By host: how long it remembers a connection that it closed first, if nobody cuts any off.
    time_waits: [Option<Time>; 2],
    now: Time,
    /// By the ports of host 0 and host 1.
    flows: HashMap<(u16, u16), [Side; 2]>,
}

/// One side of a connection. Positions are counted from its SYN, which stands at 0.
#[derive(Default)]
struct Side {
    /// Initial numbers that it told, and what it offered with each: several if SYNs were answered by cookies, which offer less.
    told: Vec<(u32, Offer)>,
    /// One of them counts for good: the connection went on with it.
    is_settled: bool,
    /// Its octets, from position 1 on.
    sent: Vec<u8>,
    fin: Option<u64>,
    /// Behind the last position that it sent.
    max: u64,
    /// What it acknowledged, and up to where it let the other side send: positions of the other side.
    acknowledged: u64,
    edge: u64,
    /// Positions of the other side that arrived here.
    got: Spans,
    /// Up to where the other side let it send, as far as it was told.
    may: u64,
    /// Timestamps of the other side that arrived here.
    stamps: HashSet<u32>,
    stamp: Option<u32>,
    /// Behind the last of its positions that the other side acknowledged, as far as it was told.
    taken: u64,
    /// It sent its FIN before it acknowledged the other one.
    closed_first: bool,
    /// It is in TIME-WAIT until then.
    waits_until: Option<Time>,
    /// It sent a RST.
    has_reset: bool,
    /// One arrived here.
    was_reset: bool,
}

/// What a SYN offers.
#[derive(Clone, Copy, Default)]
struct Offer {
    mss: Option<u16>,
    scale: Option<u8>,
    sack: bool,
    stamps: bool,
}

impl Watch {
    pub(crate) fn new(scenario: &TcpScenario) -> Self {
        Self {
            mtus: scenario.hosts.each_ref().map(|host| host.config.mtu.into()),
            bakes: scenario.bakes(),
            time_waits: scenario.hosts.each_ref().map(|host| {
                let wait = host.config.connection.time_wait.as_nanos() as Time;
                let is_cut = scenario.streams.iter().any(StreamPlan::is_aborted);
                (!is_cut && scenario.ends_well()).then(|| wait.saturating_sub(SECOND))
            }),
            now: 0,
            flows: HashMap::new(),
        }
    }

    /// What follows happens at this time.
    pub(crate) fn at(&mut self, now: Time) {
        self.now = now;
    }

    /// A host of ours sends this.
    pub(crate) fn sent(&mut self, host: usize, packet: &[u8]) -> Result<(), Fault> {
        if packet.len() > self.mtus[host] {
            let detail = format!("{} octets on a link of {}", packet.len(), self.mtus[host]);
            return Err((Rule::Wire, detail));
        }
        let Some(seen) = Seen::read(packet) else {
            return Err((Rule::Wire, "it is no segment, or a sum is wrong".into()));
        };
        let (bakes, now) = (self.bakes[host], self.now);
        let sides = self.sides(host, &seen);
        note_start(sides, host, &seen);
        judge(sides, host, &seen, (bakes, now))?;
        note(sides, host, &seen);
        Ok(())
    }

    /// A host that is not ours sends this.
    pub(crate) fn overheard(&mut self, host: usize, packet: &[u8]) {
        if let Some(seen) = Seen::read(packet) {
            let sides = self.sides(host, &seen);
            note_start(sides, host, &seen);
            note(sides, host, &seen);
        }
    }

    /// This arrived at a host as it was sent.
    pub(crate) fn delivered(&mut self, host: usize, packet: &[u8]) {
        let Some(seen) = Seen::read(packet) else {
            return;
        };
        let until = self.time_waits[host].map(|wait| self.now + wait);
        let [ours, theirs] = ends(self.sides(1 - host, &seen), host);
        if seen.has(RST) {
            ours.was_reset = true;
            return;
        }
        let at = if seen.has(SYN) {
            0
        } else {
            position(theirs.first(), seen.sequence)
        };
        ours.got.insert(at..at + seen.length());
        let shift = shift(theirs, ours, &seen);
        let acknowledged = if seen.has(ACK) {
            position(ours.nearest(seen.acknowledgment), seen.acknowledgment)
        } else {
            1
        };
        ours.may = ours
            .may
            .max(acknowledged + (u64::from(seen.window) << shift));
        ours.stamps.extend(seen.stamps.map(|(value, _)| value));
        if seen.has(ACK) && ours.is_settled {
            ours.taken = ours.taken.max(acknowledged);
        }
        // RFC 9293 3.4.2: both FINs are through.
        let got = ours.got.end_of(0);
        let has_both =
            theirs.fin.is_some_and(|fin| fin < got) && ours.fin.is_some_and(|fin| fin < ours.taken);
        let is_first = ours.closed_first && !ours.was_reset;
        if has_both && is_first && ours.waits_until.is_none() {
            ours.waits_until = until;
        }
    }

    /// What somebody who sees all packets knows when this one is about to arrive at a host.
    pub(crate) fn known(&mut self, host: usize, seen: &Seen<'_>) -> Known {
        let [ours, theirs] = ends(self.sides(1 - host, seen), host);
        let start = position(theirs.first(), seen.sequence);
        // What did not arrive is not for a forger to bring.
        let from = start.saturating_sub(OVERLAP).max(1);
        let has_all = from < start && ours.got.covers(from..start);
        let places = from as usize - 1..(start as usize).max(1) - 1;
        let before = theirs.sent.get(places).filter(|_| has_all);
        Known {
            expected: theirs.first().wrapping_add(ours.got.end_of(0) as u32),
            before: before.unwrap_or_default().to_vec(),
            fills: start + seen.payload.len() as u64 == ours.edge,
        }
    }

    /// Rule 2: a host takes nothing for delivered that did not arrive, or nobody would send it again. `delivered`: all before this number it does.
    pub(crate) fn believes(&self, host: usize, ports: Ports, delivered: u32) -> Result<(), Fault> {
        let ports = [ports.local, ports.remote];
        let Some(sides) = self.flows.get(&(ports[host], ports[1 - host])) else {
            return Ok(());
        };
        let (ours, theirs) = (&sides[host], &sides[1 - host]);
        let believed = position(ours.first(), delivered);
        let arrived = theirs.got.end_of(0);
        if ours.is_settled && believed > arrived {
            let detail = format!("{believed} counts as delivered, and {arrived} arrived");
            return Err((Rule::Books, detail));
        }
        Ok(())
    }

    /// Whether a host has more of this connection than a listener: what a stranger sends then means something else.
    pub(crate) fn has_connection(&mut self, host: usize, packet: &[u8]) -> bool {
        Seen::read(packet).is_some_and(|seen| {
            let [ours, _] = ends(self.sides(1 - host, &seen), host);
            let was_cut = ours.has_reset || ours.was_reset;
            ours.acknowledged > 0 && ours.fin.is_none() && !was_cut
        })
    }

    /// Of the connection that a packet by `sender` belongs to.
    fn sides(&mut self, sender: usize, seen: &Seen<'_>) -> &mut [Side; 2] {
        let ports = [seen.from.port(), seen.to.port()];
        let key = (ports[sender], ports[1 - sender]);
        self.flows.entry(key).or_default()
    }
}

/// What a forger makes use of.
pub(crate) struct Known {
    /// The number that the receiver expects next, with everything that arrived.
    pub(crate) expected: u32,
    /// Octets that were sent right before this segment's.
    pub(crate) before: Vec<u8>,
    /// Its octets end where the window does that the receiver told.
    pub(crate) fills: bool,
}

impl Side {
    /// The initial number that counts.
    fn first(&self) -> u32 {
        self.told.first().map_or(0, |(first, _)| *first)
    }

    /// What it offered with that.
    fn offer(&self) -> Offer {
        self.told
            .first()
            .map_or(Offer::default(), |(_, offer)| *offer)
    }

    fn has_told(&self, number: u32) -> bool {
        self.told.iter().any(|(first, _)| *first == number)
    }

    /// The one that this number belongs to.
    fn nearest(&self, number: u32) -> u32 {
        let told = self.told.iter().map(|(first, _)| *first);
        told.min_by_key(|first| number.wrapping_sub(*first))
            .unwrap_or(0)
    }

    /// From now on it counts alone.
    fn settle(&mut self, number: u32) {
        if !self.is_settled && !self.told.is_empty() {
            let nearest = self.nearest(number);
            self.told.retain(|(first, _)| *first == nearest);
            self.is_settled = true;
        }
    }

    /// A SYN that does not belong to the connection, which has gone on with other numbers: an old copy of the other side's SYN came when
    /// it was over, and began another one (RFC 9293 3.4.1). The other side, in TIME-WAIT, answers with the numbers of the first.
    fn begins_anew(&self, seen: &Seen<'_>) -> bool {
        self.is_settled && seen.has(SYN) && !self.has_told(seen.sequence)
    }

    /// Whether it may have forgotten the connection, as far as the wire tells.
    fn may_be_over(&self, other: &Self) -> bool {
        let is_closed = self.fin.is_some_and(|fin| other.acknowledged > fin);
        is_closed || self.has_reset || self.was_reset
    }
}

/// Of host `host` and the other one.
fn ends(sides: &mut [Side; 2], host: usize) -> [&mut Side; 2] {
    let [first, second] = sides;
    if host == 0 {
        [first, second]
    } else {
        [second, first]
    }
}

/// No connection of the lab carries so much that it would not be clear.
fn position(first: u32, number: u32) -> u64 {
    let offset = number.wrapping_sub(first) as i32;
    u64::try_from(offset).unwrap_or(u64::MAX >> 1)
}

/// What its windows are shifted by.
fn shift(side: &Side, other: &Side, seen: &Seen<'_>) -> u8 {
    match (side.offer().scale, other.offer().scale) {
        (Some(scale), Some(_)) if !seen.has(SYN) => scale,
        _ => 0,
    }
}

/// Which initial numbers are meant.
fn note_start(sides: &mut [Side; 2], host: usize, seen: &Seen<'_>) {
    let [ours, theirs] = ends(sides, host);
    if seen.has(RST) {
        return;
    }
    if !seen.has(SYN) {
        ours.settle(seen.sequence);
        theirs.settle(seen.acknowledgment);
    } else if !ours.is_settled && !ours.has_told(seen.sequence) {
        ours.told.push((seen.sequence, Offer::default()));
    }
}

fn judge(
    sides: &mut [Side; 2],
    host: usize,
    seen: &Seen<'_>,
    (bakes, now): (bool, Time),
) -> Result<(), Fault> {
    let [ours, theirs] = ends(sides, host);
    let wire = |detail: String| Err((Rule::Wire, detail));
    if seen.has(RST) {
        return Ok(());
    }
    if ours.told.is_empty() {
        return wire("a segment of a connection that never began".into());
    }
    if seen.has(SYN) && !seen.payload.is_empty() {
        return wire("a SYN with data".into());
    }
    if ours.begins_anew(seen) {
        // RFC 9293 3.4.2: that is what TIME-WAIT is for; no port is dialed twice, so it was an old SYN.
        if ours.waits_until.is_some_and(|until| now < until) && !ours.has_reset {
            return wire("another connection begins in TIME-WAIT".into());
        }
        return judge_anew(ours, theirs, seen, bakes);
    }
    if seen.has(ACK) {
        judge_acknowledgment(ours, theirs, seen)?;
        // RFC 4987 3.6: a late copy of what brought a cookie back opens the connection again, with the same numbers.
        if !(bakes && ours.may_be_over(theirs)) {
            judge_order(ours, theirs, seen)?;
            judge_window(ours, theirs, seen)?;
        }
        judge_blocks(ours, theirs, seen)?;
    } else if !seen.has(SYN) {
        return wire("neither SYN nor ACK".into());
    }
    judge_stamps(ours, theirs, seen)?;
    if seen.has(SYN) {
        return Ok(());
    }
    judge_data(ours, theirs, seen)
}

/// Nobody has two connections between the same ends at once, and the lab's applications dial no port twice: it has to be an answer.
fn judge_anew(ours: &Side, theirs: &Side, seen: &Seen<'_>, bakes: bool) -> Result<(), Fault> {
    let acknowledged = position(theirs.first(), seen.acknowledgment);
    if !seen.has(ACK) || acknowledged != 1 {
        return Err((Rule::Wire, "a SYN that answers none".into()));
    }
    if !bakes && !ours.may_be_over(theirs) {
        let detail = "another initial number in the middle of a connection";
        return Err((Rule::Wire, detail.into()));
    }
    judge_stamps(ours, theirs, seen)
}

/// Rule 8: only what arrived is acknowledged.
fn judge_acknowledgment(ours: &Side, theirs: &Side, seen: &Seen<'_>) -> Result<(), Fault> {
    let first = theirs.nearest(seen.acknowledgment);
    let acknowledged = position(first, seen.acknowledgment);
    let arrived = ours.got.end_of(0);
    if theirs.told.is_empty() || acknowledged > arrived {
        let detail = format!("{acknowledged} is acknowledged, and {arrived} arrived");
        return Err((Rule::Acknowledgement, detail));
    }
    Ok(())
}

/// RFC 9293 3.4: what was acknowledged stays so.
fn judge_order(ours: &Side, theirs: &Side, seen: &Seen<'_>) -> Result<(), Fault> {
    let acknowledged = position(theirs.nearest(seen.acknowledgment), seen.acknowledgment);
    if acknowledged < ours.acknowledged && !seen.has(SYN) {
        let before = ours.acknowledged;
        let detail = format!("{acknowledged} is acknowledged, after {before} was");
        return Err((Rule::Acknowledgement, detail));
    }
    Ok(())
}

/// Rule 7: by less than a step, a window that is rounded down may seem to become smaller (RFC 7323 2.4).
fn judge_window(ours: &Side, theirs: &Side, seen: &Seen<'_>) -> Result<(), Fault> {
    let acknowledged = position(theirs.nearest(seen.acknowledgment), seen.acknowledgment);
    // Behind the other side's end a window means nothing.
    if seen.has(SYN) || theirs.fin.is_some_and(|fin| fin < acknowledged) {
        return Ok(());
    }
    let shift = shift(ours, theirs, seen);
    let edge = acknowledged + (u64::from(seen.window) << shift);
    if edge + (1 << shift) <= ours.edge {
        let detail = format!(
            "the window ends at {edge}, after {} was promised",
            ours.edge
        );
        return Err((Rule::Window, detail));
    }
    Ok(())
}

/// RFC 2018: of what arrived, and RFC 2883: what came twice only in the first one.
fn judge_blocks(ours: &Side, theirs: &Side, seen: &Seen<'_>) -> Result<(), Fault> {
    let agreed = ours.offer().sack && theirs.offer().sack;
    if !seen.sack.is_empty() && !agreed {
        return Err((Rule::Wire, "blocks that nobody permitted".into()));
    }
    let acknowledged = position(theirs.first(), seen.acknowledgment);
    for (place, &(left, right)) in seen.sack.iter().enumerate() {
        let range = position(theirs.first(), left)..position(theirs.first(), right);
        let is_new = range.start > acknowledged;
        if range.is_empty() || !ours.got.covers(range.clone()) || !(is_new || place == 0) {
            let detail = format!("block {place} tells of {range:?} behind {acknowledged}");
            return Err((Rule::Acknowledgement, detail));
        }
    }
    Ok(())
}

/// RFC 7323 3.2: in all segments if both sides have them, else in none.
fn judge_stamps(ours: &Side, theirs: &Side, seen: &Seen<'_>) -> Result<(), Fault> {
    let agreed = ours.offer().stamps && theirs.offer().stamps;
    let Some((value, echo)) = seen.stamps else {
        return if agreed && !seen.has(SYN) {
            Err((Rule::Wire, "a segment without timestamps".into()))
        } else {
            Ok(())
        };
    };
    if !agreed && !seen.has(SYN) {
        return Err((Rule::Wire, "timestamps that nobody agreed on".into()));
    }
    if let Some(before) = ours
        .stamp
        .filter(|&before| (value.wrapping_sub(before) as i32) < 0)
    {
        return Err((Rule::Wire, format!("the timestamp {value} after {before}")));
    }
    if seen.has(ACK) && !ours.stamps.contains(&echo) {
        return Err((Rule::Wire, format!("the timestamp {echo} that never came")));
    }
    Ok(())
}

fn judge_data(ours: &Side, theirs: &Side, seen: &Seen<'_>) -> Result<(), Fault> {
    let wire = |detail: String| Err((Rule::Wire, detail));
    let start = position(ours.first(), seen.sequence);
    let end = start + seen.payload.len() as u64;
    let has_fin = seen.has(FIN);
    if seen.length() == 0 {
        return if start > ours.max.max(1) {
            wire(format!(
                "an empty segment at {start}, and {} was sent",
                ours.max
            ))
        } else {
            Ok(())
        };
    }
    let known = ours.sent.len() as u64 + 1;
    if start == 0 || start > known {
        return wire(format!("{start} is sent, and nothing from {known} on"));
    }
    let again = &ours.sent[start as usize - 1..];
    if again
        .iter()
        .zip(seen.payload)
        .any(|(one, other)| one != other)
    {
        return wire(format!("{start}..{end} is sent again with other octets"));
    }
    if ours
        .fin
        .is_some_and(|fin| end > fin || has_fin && end != fin)
        || has_fin && end < known
    {
        return wire(format!(
            "{start}..{end} (FIN: {has_fin}) and the end at {:?}",
            ours.fin
        ));
    }
    // RFC 9293 3.8.6.1: one octet beyond asks whether the window is open; the number of a FIN needs no room.
    let beyond = end.saturating_sub(ours.may);
    if beyond > 1 || beyond == 1 && seen.payload.len() > 1 {
        let detail = format!(
            "{start}..{end} is sent, and the window ends at {}",
            ours.may
        );
        return Err((Rule::InFlight, detail));
    }
    // RFC 9293 3.7.1, RFC 6691: options count. 536 octets if the peer does not say.
    let most = usize::from(theirs.offer().mss.unwrap_or(536).max(LEAST_MSS)) + 20;
    if seen.payload.len() > 1 && seen.header + seen.payload.len() > most {
        let length = seen.payload.len();
        return wire(format!(
            "{length} octets behind {}, for {most}",
            seen.header
        ));
    }
    Ok(())
}

fn note(sides: &mut [Side; 2], host: usize, seen: &Seen<'_>) {
    let [ours, theirs] = ends(sides, host);
    if seen.has(RST) {
        ours.has_reset = true;
        return;
    }
    if ours.begins_anew(seen) {
        ours.stamp = seen.stamps.map(|(value, _)| value).or(ours.stamp);
        return;
    }
    if seen.has(SYN) {
        let offer = Offer {
            mss: seen.mss,
            scale: seen.scale,
            sack: seen.sack_permitted,
            stamps: seen.stamps.is_some(),
        };
        let mut told = ours.told.iter_mut();
        if let Some(told) = told.find(|(first, _)| *first == seen.sequence) {
            told.1 = offer;
        }
        ours.max = ours.max.max(1);
        // The window of a SYN is not shifted (RFC 7323 2.2).
        ours.edge = ours.edge.max(1 + u64::from(seen.window));
    } else {
        let start = position(ours.first(), seen.sequence);
        let known = ours.sent.len() as u64 + 1;
        if !seen.payload.is_empty() && start <= known {
            let new = seen.payload.get((known - start) as usize..);
            ours.sent.extend_from_slice(new.unwrap_or_default());
        }
        let acknowledged = position(theirs.first(), seen.acknowledgment);
        if seen.has(FIN) && ours.fin.is_none() {
            let has = ours.acknowledged.max(acknowledged);
            ours.closed_first = theirs.fin.is_none_or(|fin| has <= fin);
        }
        if seen.has(FIN) {
            ours.fin = Some(start + seen.payload.len() as u64);
        }
        ours.max = ours.max.max(start + seen.length());
        let shift = shift(ours, theirs, seen);
        ours.acknowledged = ours.acknowledged.max(acknowledged);
        ours.edge = ours
            .edge
            .max(acknowledged + (u64::from(seen.window) << shift));
    }
    ours.stamp = seen.stamps.map(|(value, _)| value).or(ours.stamp);
}

/// Octets that a forger remembers.
const OVERLAP: u64 = 16;
/// Linux's floor, and ours: nobody can mean less.
const LEAST_MSS: u16 = 48;

#[cfg(test)]
mod tests;
