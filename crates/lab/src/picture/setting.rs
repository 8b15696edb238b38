//! What all parts of a picture share: the times that are shown, the names of streams, the path's troubles.

use super::plot::{Axis, Band, Color, Mark, Unit};
use super::words::HOSTS;
use crate::plan::{Scenario, Time};
use crate::trace::{HostTrace, Trace, What};
use gapless_link::Profile;
use gapless_udx::{Algorithm, Event, RecoveryEvent};
use std::collections::BTreeMap;

/// A trace and what is read off it once.
pub(super) struct Setting<'a> {
    pub(super) trace: &'a Trace,
    /// The end of what is shown: the last thing that happened.
    pub(super) until: Time,
    /// By host and its ID of the stream.
    names: BTreeMap<(usize, u32), usize>,
}

/// All charts of a run are zoomed together.
pub(super) const GROUP: &str = "run";

impl<'a> Setting<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        Self {
            trace,
            until: last_happening(trace).max(1),
            names: names(trace.hosts()),
        }
    }

    pub(super) fn scenario(&self) -> Option<&'a Scenario> {
        self.trace.scenario()
    }

    pub(super) fn host(&self, host: usize) -> &'a HostTrace {
        &self.trace.hosts()[host]
    }

    /// `stream 3`: both sides' IDs of one stream have one name.
    pub(super) fn stream(&self, host: usize, id: u32) -> String {
        match self.names.get(&(host, id)) {
            Some(name) => format!("stream {name}"),
            None => format!("stream {id:#x}"),
        }
    }

    pub(super) fn time_axis(&self) -> Axis {
        Axis::linear("time", Unit::Seconds, 0.0, seconds(self.until))
    }

    /// When the way from `host`, and the way back, were down.
    pub(super) fn bands(&self, host: usize) -> Vec<Band> {
        let [there, back] = [self.downs(host), self.downs(1 - host)];
        let band = |(from, to): &(Time, Time), name: &str, color| Band {
            from: seconds(*from),
            to: seconds(*to),
            color,
            name: name.into(),
        };
        let both = there.iter().filter(|it| back.contains(it));
        let both = both.map(|it| band(it, "the path is down", Color::Red));
        let only = there.iter().filter(|it| !back.contains(it));
        let name = format!("the way from the {} is down", HOSTS[host]);
        let only = only.map(|it| band(it, &name, Color::Red));
        let others = back.iter().filter(|it| !there.contains(it));
        let name = format!("the way to the {} is down", HOSTS[host]);
        let others = others.map(|it| band(it, &name, Color::Orange));
        both.chain(only).chain(others).collect()
    }

    /// The profiles of the way from `host`, each with the time for which it was in force.
    fn profiles(&self, host: usize) -> Vec<(&'a Profile, Time, Time)> {
        let Some(scenario) = self.scenario() else {
            return Vec::new();
        };
        let calm = scenario.calm_from;
        let routes = scenario.routes.iter().filter(|route| route.at < calm);
        let changes = routes.map(|route| (&route.paths[host], route.at));
        let mut profiles = vec![(&scenario.faults[host], 0)];
        profiles.extend(changes);
        profiles.push((&scenario.calm[host], calm));
        let ends = profiles.iter().skip(1).map(|it| it.1).chain([Time::MAX]);
        let spans = profiles.iter().zip(ends);
        let spans = spans.map(|(&(profile, from), to)| (profile, from, to));
        spans
            .filter(|it| it.1 < it.2 && it.1 < self.until)
            .collect()
    }

    /// Bits per second of the way from `host` over time, where it has a rate.
    pub(super) fn link_rates(&self, host: usize) -> Vec<(f64, f64)> {
        let rates = self
            .profiles(host)
            .into_iter()
            .flat_map(|(profile, from, to)| {
                let rate = profile.rate.map(|rate| rate as f64);
                let ends = [from, to.min(self.until)].map(seconds);
                rate.into_iter()
                    .flat_map(move |rate| ends.map(|at| (at, rate)))
            });
        rates.collect()
    }

    /// When the way from `host` was down, as far as it is shown.
    pub(super) fn downs(&self, host: usize) -> Vec<(Time, Time)> {
        let mut downs = Vec::new();
        for (profile, from, to) in self.profiles(host) {
            for blackout in &profile.blackouts {
                let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos());
                let begin = nanos(blackout.from).unwrap_or(Time::MAX);
                let end = begin.saturating_add(nanos(blackout.length).unwrap_or(Time::MAX));
                let span = (begin.max(from), end.min(to).min(self.until));
                if span.0 < span.1 && downs.len() < MOST_DOWNS {
                    downs.push(span);
                }
            }
        }
        downs
    }

    /// What happened to the host or to the path, as lines.
    pub(super) fn marks(&self, host: usize) -> Vec<Mark> {
        let kinds: [Kind; 8] = [
            (REDUCED, Color::Red, |what| {
                matches!(
                    what,
                    What::Engine(Event::Recovery(RecoveryEvent::CongestionEvent { .. }))
                )
            }),
            ("reduction taken back", Color::Green, |what| {
                matches!(
                    what,
                    What::Engine(Event::Recovery(RecoveryEvent::SpuriousLossUndone { .. }))
                )
            }),
            ("probe timeout", Color::Orange, is_timeout),
            ("persistent congestion", Color::Pink, |what| {
                matches!(
                    what,
                    What::Engine(Event::Recovery(RecoveryEvent::PersistentCongestion))
                )
            }),
            ("datagram size changed", Color::Grey, |what| {
                matches!(
                    what,
                    What::Engine(Event::Recovery(
                        RecoveryEvent::MtuChanged { .. } | RecoveryEvent::BlackHole { .. }
                    ))
                )
            }),
            ("address changed", Color::Teal, |what| {
                matches!(what, What::Moved(_) | What::Engine(Event::Moved { .. }))
            }),
            ("another route", Color::Blue, |what| {
                matches!(what, What::Route)
            }),
            ("the calm begins", Color::Violet, |what| {
                matches!(what, What::Calm)
            }),
        ];
        let marks = kinds.map(|(name, color, is)| self.mark(Some(host), name, color, is));
        // To BBR a loss is no reason to reduce anything: there they would only cover the rest.
        let is_hidden = |mark: &Mark| self.is_bbr(host) && mark.name == REDUCED;
        let is_shown = |mark: &Mark| !mark.at.is_empty() && !is_hidden(mark);
        marks.into_iter().filter(is_shown).collect()
    }

    /// Times of one kind of happening; those of the path, too.
    pub(super) fn mark(
        &self,
        host: Option<usize>,
        name: &str,
        color: Color,
        is: impl Fn(&What) -> bool,
    ) -> Mark {
        let is_meant = |of: Option<usize>| host.is_none() || of.is_none() || of == host;
        let at = self.trace.happenings().iter().filter(|it| {
            // Whoever plans no faults begins in the calm, which is then nothing to tell.
            is_meant(it.host) && is(&it.what) && !(it.what == What::Calm && it.at == 0)
                || matches!(it.what, What::Moved(_)) && is(&it.what)
        });
        Mark {
            at: at.map(|it| seconds(it.at)).collect(),
            color,
            name: name.into(),
        }
    }

    pub(super) fn is_bbr(&self, host: usize) -> bool {
        let scenario = self.scenario();
        let algorithm = scenario.map(|it| it.hosts[host].config.connection.algorithm);
        algorithm == Some(Algorithm::Bbr)
    }

    /// How much of a time the way from `host` or the way back was down.
    pub(super) fn down_within(&self, host: usize, from: Time, to: Time) -> Time {
        let overlap = |&(begin, end): &(Time, Time)| end.min(to).saturating_sub(begin.max(from));
        let of = |host: usize| self.downs(host).iter().map(overlap).sum::<Time>();
        of(host).max(of(1 - host))
    }

    /// Where stream positions begin.
    pub(super) fn first_position(&self, host: usize) -> u64 {
        let scenario = self.scenario();
        scenario.map_or(0, |it| it.hosts[host].config.connection.first_position)
    }

    /// Bits per second of the way from `host`, at the end of the run.
    pub(super) fn link_rate(&self, host: usize) -> Option<u64> {
        self.profiles(host).last().and_then(|it| it.0.rate)
    }
}

pub(super) fn is_timeout(what: &What) -> bool {
    matches!(
        what,
        What::Engine(Event::Recovery(RecoveryEvent::PtoFired { .. }))
    )
}

/// A kind of happening: its name, and how it is told from others.
type Kind = (&'static str, Color, fn(&What) -> bool);

/// For an axis.
pub(super) fn seconds(time: Time) -> f64 {
    time as f64 / 1e9
}

fn last_happening(trace: &Trace) -> Time {
    let times = trace
        .datagrams()
        .iter()
        .flat_map(|it| [Some(it.sent), it.arrived, it.copy]);
    let last = times.flatten().max().unwrap_or(0);
    let told = trace
        .happenings()
        .iter()
        .filter(|it| !matches!(it.what, What::Moved(_)));
    let told = told.map(|it| it.at).max().unwrap_or(0);
    let broken = match trace.outcome() {
        Some(Err(violation)) => violation.at,
        _ => 0,
    };
    last.max(told).max(broken)
}

fn names(hosts: &[HostTrace]) -> BTreeMap<(usize, u32), usize> {
    let mut names = BTreeMap::new();
    for (host, trace) in hosts.iter().enumerate() {
        for (id, stream) in trace.sent.streams() {
            let known = stream
                .peer()
                .and_then(|peer| names.get(&(1 - host, peer)).copied());
            let next = names.values().max().map_or(1, |&last| last + 1);
            names.insert((host, id), known.unwrap_or(next));
        }
    }
    names
}

const REDUCED: &str = "window reduced";
/// Bands that can still be told apart.
const MOST_DOWNS: usize = 200;
