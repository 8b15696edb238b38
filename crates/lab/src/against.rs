//! Scenarios with a model of another implementation at one end: those of the seeds, cut to what that peer can do.

use crate::bounds;
use crate::choices::Draw;
use crate::peers::{Abilities, Burns, Kind};
use crate::plan::{Ending, Manners, SECOND, Scenario, Start, StreamPlan, Time, WriteEnd};
use crate::scenario::CANDIDATE_LIFETIME;
use gapless_link::{Aqm, Profile, Queue, Share};
use gapless_udx::{ConnectionConfig, Version, VersionChoice};

impl Scenario {
    /// Puts a peer of that kind in the place of one host. The parity of a seed's number decides what bytes decide by themselves.
    pub(crate) fn fit(&mut self, kind: Kind, seed: u64, draw: &mut Draw<'_>) {
        let can = kind.abilities();
        let mut decide = |yes: bool| draw.proposed(2, |_| yes.into()) == 1;
        let model = usize::from(decide(seed.is_multiple_of(2)));
        let is_lossy = decide(!(seed / 2).is_multiple_of(2));
        let is_known = decide(seed.is_multiple_of(3));
        self.other_manners = None;
        self.routes.clear();
        for profile in &mut self.faults {
            profile.spikes.clear();
            profile.keeps_order = true;
        }
        for host in &mut self.hosts {
            host.manners.freeze = None;
        }
        let asks = self.hosts[0].config.connection.keep_alive;
        let for_moves = CANDIDATE_LIFETIME + asks.map_or(0, |asks| asks.as_nanos() as u64);
        for profile in self.faults.iter_mut().chain(&mut self.calm) {
            fit_path(profile, can, is_lossy);
        }
        if !can.survives_moves[model] {
            self.moves.clear();
        }
        self.fit_streams(can, model, is_lossy);
        let choice = if is_known && kind.version() == 3 {
            VersionChoice::Only(Version::V3)
        } else {
            VersionChoice::Discover
        };
        for host in &mut self.hosts {
            // Peers begin at 0, and compare plain numbers (UDX 3, UDX2 3).
            host.config.connection.first_number = 0;
            host.config.connection.first_position = 0;
            host.config.connection.version = choice;
            host.config.accept_versions = vec![Version::V3, Version::V2];
        }
        self.hosts[model].model = Some(kind);
        // It is called as it wants to be: what a peer makes of bad manners is not what is asked here.
        self.hosts[model].manners = Manners::GOOD;
        // V3: a peer that closed and whose goodbye is lost is revived by our next SYN, and then answers for a connection of which it
        // knows nothing. One that says none is revived by a SYN that is late.
        let late =
            |profile: &Profile| profile.duplicate != Share::NONE || profile.reorder != Share::NONE;
        let is_late = is_lossy || self.faults.iter().any(late);
        match &mut self.ending {
            Ending::Abort { host, .. } if is_lossy || !can.says_goodbye => *host = 1 - model,
            Ending::Close { host } if is_late && !can.says_goodbye => *host = 1 - model,
            _ => {}
        }
        // V17: nobody else says anything on a connection where nothing happens, and a rest may be longer than the idle timeout.
        let ours = &mut self.hosts[1 - model].config.connection;
        ours.keep_alive = ours.keep_alive.or(ConnectionConfig::default().keep_alive);
        let slower = if kind.version() == 2 { 4 } else { 2 };
        let for_moves = if self.moves.is_empty() { 0 } else { for_moves };
        self.patience =
            bounds::patience(&self.calm, &self.streams, 1, 0) + can.patience * SECOND + for_moves;
        self.rests = self.patience;
        let manners = self.hosts.each_ref().map(|host| host.manners);
        self.finish_within = self.patience
            + slower * bounds::transfer(&self.calm, &self.streams, &manners)
            + self.waits(can, model);
    }

    /// How long defects of the model at `model` may keep all of its streams waiting.
    fn waits(&self, can: Abilities, model: usize) -> Time {
        let listened = can.burns == Burns::Ambiguously;
        let each = u64::from(can.declines) * DECLINED + u64::from(listened) * LISTENED;
        let streams = self.streams.iter();
        let directions = streams.map(|plan| plan.of(plan.opener == model));
        directions
            .map(|(write, _)| {
                // UDX 5.3: as many fragments as the application makes at the worst.
                let fragment = (write.piece.0 as u64).clamp(1, FRAGMENT);
                (write.bytes / fragment + 2) * each
            })
            .sum()
    }

    fn fit_streams(&mut self, can: Abilities, model: usize, is_lossy: bool) {
        self.streams
            .truncate(can.streams_for_life.min(MOST_STREAMS));
        let at_once = can.streams_at_once;
        for index in 0..self.streams.len() {
            if let Some(before) = index.checked_sub(at_once) {
                self.streams[index].start = Start::After(before);
            }
            let plan = &mut self.streams[index];
            // UDX2 5.3, 15.2: the dial opens it.
            if can.streams_for_life == 1 || (model == 0 && !can.hears_first_packet) {
                plan.opener = 0;
            }
            if is_lossy && can.declines {
                let own = if plan.opener == model {
                    &mut plan.there
                } else {
                    &mut plan.back
                };
                own.write.bytes = own.write.bytes.min(MOST_DECLINED);
            }
            // UDX2 6.4, UDX 8.4: said once, and at a moment when nobody is there to hear it.
            if !can.repeats_resets && (is_lossy || !self.moves.is_empty()) {
                without_stop(plan, [true; 2]);
                plan.there.write.end = WriteEnd::Finish;
                plan.back.write.end = WriteEnd::Finish;
            }
            // A model's application cannot stop one direction.
            let reads_there = 1 - plan.opener;
            without_stop(plan, [reads_there == model, reads_there != model]);
        }
    }
}

fn fit_path(profile: &mut Profile, can: Abilities, is_lossy: bool) {
    let least = can.datagram + HEADERS;
    profile.mtu = profile.mtu.filter(|&mtu| mtu >= least);
    profile.checksum = true;
    if !is_lossy {
        profile.loss = Share::NONE;
        profile.burst = None;
        profile.within = Share::ALL;
        profile.stray = Share::NONE;
        profile.aqm = Aqm::DropTail;
        profile.cross = None;
        profile.corrupt = Share::NONE;
        profile.truncate = Share::NONE;
        profile.queue = Some(Queue::Bytes(AMPLE_QUEUE));
        profile.blackouts.clear();
    }
}

fn without_stop(plan: &mut StreamPlan, directions: [bool; 2]) {
    for (direction, without) in [&mut plan.there, &mut plan.back]
        .into_iter()
        .zip(directions)
    {
        if without {
            direction.read.stop = None;
        }
    }
}

/// Holds all that a scenario carries.
const AMPLE_QUEUE: u64 = 1 << 20;
/// Of IPv4 and UDP.
const HEADERS: u16 = 28;
/// Bytes of data in Dart's largest packet.
const FRAGMENT: u64 = 1384;
/// UDX 5.3: between two fragments of a Dart that has declined.
const DECLINED: Time = 31 * SECOND;
/// UDX2 H6: as long as our side listens to the path for each number that may be burnt, where no other one says anything of it.
const LISTENED: Time = 66 * SECOND;
/// More of a stream that may come so slowly takes only time.
const MOST_DECLINED: u64 = 30_000;
/// More than a peer lets wait takes only time.
const MOST_STREAMS: usize = 150;
