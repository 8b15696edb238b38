//! Our Swarm with a real go-libp2p host: Noise, Yamux, identify, ping, perf, streams and their ends, over UDX.
//!
//! UDX carries in libp2p what TCP carries: the bytes of one connection in one stream (UDX 20). Where the Go transport for UDX can be had,
//! the host speaks UDX itself. Where not, the host speaks TCP on loopback to a [`bridge::Bridge`] beside it, which carries those bytes
//! over real UDX connections of ours, through the same relay: then all above UDX is go-libp2p's, and UDX is ours at both ends. The
//! table says which it was.

mod bridge;
mod go;
mod pattern;
mod swarm;
mod talk;
mod thread;

use crate::cell::Link;
use crate::own;
use crate::plan::Choice;
use crate::relay::Relay;
use anyhow::{Context, Result, bail, ensure};
use bridge::Bridge;
use gapless::ConnectionConfig;
use go::{Built, Host};
use libp2p::swarm::SwarmEvent;
use serde_json::json;
use std::fmt::Write;
use std::time::{Duration, Instant};
use swarm::{Event, Manners, Ours};
use talk::{Load, Talk, Told, Topic, lost};

/// What the peer is called.
pub(crate) const NAME: &str = "go-libp2p";

/// What to run.
pub(crate) struct Options {
    pub(crate) links: Vec<Link>,
    pub(crate) versions: Vec<Choice>,
    /// Less of everything, for CI.
    pub(crate) quick: bool,
    /// Idle and dead peers with the usual timeouts: minutes.
    pub(crate) long: bool,
    pub(crate) seed: u64,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    rows: Vec<Row>,
    /// Release of go-libp2p, and what carried it.
    carrier: String,
    /// Why the host has no transport for UDX of its own, if it has none.
    without_udx: Option<String>,
}

struct Row {
    version: Choice,
    link: Link,
    ours_dials: bool,
    what: String,
    /// Who has the active part.
    active: &'static str,
    verdict: Result<Told, String>,
}

/// Runs everything. An error: the host cannot be had at all.
pub(crate) fn run(options: &Options) -> Result<Found> {
    eprintln!("building {NAME}");
    let built = go::build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut found = Found {
        without_udx: built.without_udx.clone(),
        ..Found::default()
    };
    let mut cells = Vec::new();
    for version in &options.versions {
        for link in &options.links {
            for ours_dials in [true, false] {
                // An acceptor follows: what it would find out is the dialer's choice.
                if ours_dials || *version != Choice::Discover {
                    cells.push((*version, *link, ours_dials));
                }
            }
        }
    }
    for (version, link, ours_dials) in cells {
        let cell = Cell {
            options,
            built: &built,
            version,
            link,
            ours_dials,
        };
        runtime.block_on(cell.all(&mut found));
    }
    Ok(found)
}

/// One pair of hosts and the path between them.
struct Cell<'a> {
    options: &'a Options,
    built: &'a Built,
    version: Choice,
    link: Link,
    ours_dials: bool,
}

/// Everything of one conversation.
struct Stage {
    ours: Ours,
    host: Host,
    bridge: Option<Bridge>,
    relay: Relay,
}

impl Cell<'_> {
    async fn all(&self, found: &mut Found) {
        self.talk(found).await;
        self.silence(found).await;
    }

    /// One connection, and everything that is tried on it, by each side.
    async fn talk(&self, found: &mut Found) {
        let manners = self.manners(ConnectionConfig::default(), Duration::from_millis(200));
        let mut stage = match self.stage(&manners).await {
            Ok(stage) => stage,
            Err(error) => return self.note(found, "connect".to_owned(), "dialer", Err(error)),
        };
        found.carrier = stage.carrier();
        let load = self.load();
        let mut talk = Talk {
            ours: &mut stage.ours,
            host: &mut stage.host,
            load,
            limit: self.limit(),
        };
        for topic in Topic::ALL {
            let ours = talk.ours(topic).await;
            let gone = ours.is_err();
            self.note(found, topic.name(load), "ours", ours);
            let theirs = talk.theirs(topic).await;
            let gone = gone || theirs.is_err();
            self.note(found, topic.name(load), "go-libp2p", theirs);
            if gone {
                // What follows would only repeat it.
                return;
            }
        }
        let checked = stage.check(self.version);
        self.note(
            found,
            "the version, and one connection".to_owned(),
            "both",
            checked,
        );
    }

    /// A connection that is idle for longer than both idle timeouts; then one side dies.
    async fn silence(&self, found: &mut Found) {
        let (idle, config) = self.idle();
        for dies in ["go-libp2p", "ours"] {
            let manners = self.manners(config.clone(), Duration::from_secs(3600));
            let staged = self.stage(&manners).await;
            let mut stage = match staged {
                Ok(stage) => stage,
                Err(error) => return self.note(found, "connect".to_owned(), "dialer", Err(error)),
            };
            // Once is enough, and it takes its time.
            if dies == "go-libp2p" {
                let rested = stage.rest(idle).await;
                self.note(
                    found,
                    format!("idle for {} s", idle.as_secs()),
                    "nobody",
                    rested,
                );
            }
            // UDX 7.5: or three PTOs if that is longer; and the checks of everybody in between.
            let within = config.idle_timeout + Duration::from_secs(8);
            let noticed = match dies {
                "ours" => stage.lose_ours(within).await,
                _ => stage.lose_host(within).await,
            };
            self.note(found, format!("{dies} killed"), "nobody", noticed);
        }
    }

    async fn stage(&self, manners: &Manners) -> Result<Stage> {
        let mut ours = Ours::start(manners)?;
        let mut host = Host::start(&self.built.program).await?;
        let relay = Relay::start(self.link.profile(self.options.seed), false, None)?;
        let bridged = self.built.without_udx.is_some();
        let config = ConnectionConfig {
            version: own::config(self.version).version,
            ..manners.connection.clone()
        };
        let (there, us) = (host.ready.peer.parse()?, ours.peer.to_string());
        let bridge;
        if self.ours_dials {
            let host_at = host.address()?;
            bridge = bridged
                .then(|| Bridge::towards(host_at, config))
                .transpose()?;
            relay.set_target(bridge.as_ref().map_or(host_at, |bridge| bridge.address));
            ours.dial(there, relay.front())?;
        } else {
            relay.set_target(ours.address);
            bridge = bridged
                .then(|| Bridge::from_host(relay.front(), config))
                .transpose()?;
            let at = bridge
                .as_ref()
                .map_or(relay.front(), |bridge| bridge.address);
            let at = json!({ "address": host.multiaddr(at) });
            host.order("connect", &us, at, TO_CONNECT).await?;
        }
        let established = |event: Event| match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => Some(Ok(peer_id)),
            event => lost(&event),
        };
        let connected = ours.wait("connection", TO_CONNECT, established).await?;
        ensure!(connected == there, "connected with {connected}");
        Ok(Stage {
            ours,
            host,
            bridge,
            relay,
        })
    }

    fn manners(&self, connection: ConnectionConfig, pings: Duration) -> Manners {
        Manners {
            version: self.version,
            connection,
            pings,
        }
    }

    /// How long nobody speaks, and with which timeouts.
    fn idle(&self) -> (Duration, ConnectionConfig) {
        if self.options.long {
            return (Duration::from_secs(120), ConnectionConfig::default());
        }
        let config = ConnectionConfig {
            idle_timeout: Duration::from_secs(6),
            keep_alive: Some(Duration::from_secs(2)),
            ..ConnectionConfig::default()
        };
        (Duration::from_secs(14), config)
    }

    fn load(&self) -> Load {
        let bulk = match (self.options.quick, self.link) {
            (false, _) => 100_000_000,
            (true, Link::Bad) => 5_000_000,
            (true, _) => 20_000_000,
        };
        Load {
            bulk,
            streams: 200,
            each: 20_000,
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(if self.options.quick { 60 } else { 300 })
    }

    fn note(&self, found: &mut Found, what: String, active: &'static str, verdict: Result<Told>) {
        let verdict = verdict.map_err(|error| format!("{error:#}"));
        let row = Row {
            version: self.version,
            link: self.link,
            ours_dials: self.ours_dials,
            what,
            active,
            verdict,
        };
        eprintln!("[{NAME}] {}", row.line());
        found.rows.push(row);
    }
}

impl Stage {
    fn carrier(&self) -> String {
        let release = &self.host.ready.version;
        let by = match self.bridge {
            None => "its own transport for UDX",
            Some(_) => {
                "TCP to a bridge that carries each connection's bytes over one stream of our UDX"
            }
        };
        format!("go-libp2p {release}, by {by}")
    }

    /// Whether it was all one connection, in the version that was to be, and whether the relay could do its part.
    fn check(&mut self, version: Choice) -> Result<Told> {
        let connections = self.ours.handle.connections();
        let [connection] = &connections[..] else {
            bail!("{connections:?}");
        };
        let spoken = connection.version.context("no version")?.wire();
        let right = match version {
            Choice::V3 => spoken == 3,
            Choice::V2 => spoken == 2,
            Choice::Discover => true,
        };
        ensure!(right, "version {spoken}");
        ensure!(!self.relay.failed(), "the relay failed");
        let [out, back] = self.relay.counters();
        Ok(Told {
            note: Some(format!(
                "version {spoken}; the relay lost {} of {} datagrams",
                out.lost + back.lost,
                out.offered + back.offered
            )),
            ..Told::default()
        })
    }

    /// Nobody says anything for so long; then it still works.
    async fn rest(&mut self, time: Duration) -> Result<Told> {
        let load = Load {
            bulk: 10_000,
            streams: 1,
            each: 1,
        };
        let limit = Duration::from_secs(20);
        tokio::time::sleep(time).await;
        let Self { ours, host, .. } = self;
        let mut talk = Talk {
            ours,
            host,
            load,
            limit,
        };
        talk.ours(Topic::Echo).await?;
        talk.theirs(Topic::Echo).await?;
        Ok(Told::default())
    }

    /// The host's process is killed, and what carries UDX for it: nobody is told. Our Swarm has to notice.
    async fn lose_host(mut self, within: Duration) -> Result<Told> {
        drop(self.bridge.take());
        self.host.kill().await?;
        let killed = Instant::now();
        let closed = |event| matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(Ok(()));
        self.ours
            .wait("end of the connection", within, closed)
            .await?;
        Ok(noticed(killed.elapsed()))
    }

    /// Our Swarm is killed. The host has to notice.
    async fn lose_ours(self, within: Duration) -> Result<Told> {
        let Self {
            ours,
            mut host,
            bridge,
            relay,
        } = self;
        let us = ours.peer.to_string();
        drop(ours);
        let killed = Instant::now();
        // A Go transport has the timeout of its own, 30 s (UDX 7.5).
        let within = if bridge.is_some() {
            within
        } else {
            within.max(Duration::from_secs(40))
        };
        host.order("wait-closed", &us, json!({}), within).await?;
        drop((bridge, relay));
        Ok(noticed(killed.elapsed()))
    }
}

fn noticed(after: Duration) -> Told {
    Told {
        note: Some(format!("noticed after {:.1} s", after.as_secs_f64())),
        ..Told::default()
    }
}

impl Row {
    fn direction(&self) -> &'static str {
        if self.ours_dials {
            "ours dials"
        } else {
            "go-libp2p dials"
        }
    }

    fn result(&self) -> String {
        match &self.verdict {
            Err(reason) => format!("**fail**: {}", reason.replace(['|', '\n'], " ")),
            Ok(told) => {
                let mut text = "pass".to_owned();
                if told.bytes > 0 {
                    let rate = told.bytes as f64 / 1e6 / told.seconds.max(1e-9);
                    let _ = write!(text, " {rate:.1} MB/s");
                }
                if let Some(note) = &told.note {
                    let _ = write!(text, ", {note}");
                }
                text
            }
        }
    }

    fn line(&self) -> String {
        let (version, link) = (self.version.name(), self.link.name());
        format!(
            "{version} · {link} · {} · {} · {}: {}",
            self.direction(),
            self.what,
            self.active,
            self.result()
        )
    }
}

impl Found {
    pub(crate) fn failures(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict.is_err()).count()
    }

    /// The part that could not be had: go-libp2p with UDX of its own.
    pub(crate) fn skipped(&self) -> Option<(String, String)> {
        let reason = self.without_udx.clone()?;
        Some((format!("{NAME} with a UDX of its own"), reason))
    }

    pub(crate) fn passed(&self) -> usize {
        self.rows.len() - self.failures()
    }

    /// One line per row.
    pub(crate) fn json(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let (verdict, told, reason) = match &row.verdict {
                Ok(told) => ("pass", Some(told), None),
                Err(reason) => ("fail", None, Some(reason)),
            };
            let line = json!({
                "peer": NAME,
                "carrier": self.carrier,
                "version": row.version.name(),
                "link": row.link.name(),
                "ours": if row.ours_dials { "dials" } else { "accepts" },
                "scenario": row.what,
                "active": row.active,
                "verdict": verdict,
                "bytes": told.map(|told| told.bytes),
                "seconds": told.map(|told| told.seconds),
                "note": told.and_then(|told| told.note.clone()),
                "reason": reason,
            });
            let _ = writeln!(text, "{line}");
        }
        text
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("\n#### {NAME}\n\n{}.\n", self.carrier);
        let mut part = None;
        for row in &self.rows {
            let this = (row.version, row.link, row.ours_dials);
            if part != Some(this) {
                let (version, link) = (row.version.name(), row.link.name());
                let _ = write!(
                    text,
                    "\nVersion {version}, {link}, {}:\n\n| scenario | active | result |\n|---|---|---|\n",
                    row.direction()
                );
                part = Some(this);
            }
            let _ = writeln!(text, "| {} | {} | {} |", row.what, row.active, row.result());
        }
        text
    }
}

/// To dial with all upgrades over the worst link, also where the version has to be found out by a second attempt.
const TO_CONNECT: Duration = Duration::from_secs(40);
