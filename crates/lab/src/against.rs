//! Scenarios with a model of another implementation at one end: those of the seeds, cut to what that peer can do.

use crate::bounds;
use crate::choices::Draw;
use crate::peers::{Abilities, Kind};
use crate::plan::{Ending, Manners, SECOND, Scenario, Start, StreamPlan, WriteEnd};
use crate::scenario::CANDIDATE_LIFETIME;
use gapless_link::{Aqm, Profile, Queue, Share};
use gapless_udx::{Version, VersionChoice};

impl Scenario {
    /// Puts a peer of that kind in the place of one host. The parity of a seed's number decides what bytes decide by themselves.
    pub(crate) fn fit(&mut self, kind: Kind, seed: u64, draw: &mut Draw<'_>) {
        let can = kind.abilities();
        let mut decide = |yes: bool| draw.proposed(2, |_| yes.into()) == 1;
        let model = usize::from(decide(seed.is_multiple_of(2)));
        let is_lossy = decide(!(seed / 2).is_multiple_of(2)) && can.repairs_losses;
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
        if let Ending::Abort { host, .. } = &mut self.ending
            && (is_lossy || !can.says_goodbye)
        {
            // V3: a peer that closed and whose goodbye is lost is revived by our next SYN, and then answers for a connection of which
            // it knows nothing.
            *host = 1 - model;
        }
        let slower = if kind.version() == 2 { 4 } else { 2 };
        let for_moves = if self.moves.is_empty() { 0 } else { for_moves };
        self.patience =
            bounds::patience(&self.calm, &self.streams, 1, 0) + can.patience * SECOND + for_moves;
        self.rests = self.patience;
        let manners = self.hosts.each_ref().map(|host| host.manners);
        self.finish_within =
            self.patience + slower * bounds::transfer(&self.calm, &self.streams, &manners);
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
            if is_lossy && !can.repeats_resets {
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
/// More than a peer lets wait takes only time.
const MOST_STREAMS: usize = 150;
