//! One cell of the table: one conversation with one peer over one link.

use crate::abilities;
use crate::app::{self, Progress};
use crate::child::{Peer, Program};
use crate::kind::Kind;
use crate::own;
use crate::plan::{Choice, Flow, Plan, Scenario};
use crate::relay::Relay;
use anyhow::{Context, Result, bail, ensure};
use gapless::ConnectionConfig;
use gapless_link::{Profile, Share};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// One conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) peer: Kind,
    pub(crate) version: Choice,
    pub(crate) scenario: Scenario,
    pub(crate) direction: Direction,
    pub(crate) link: Link,
}

/// Who dials, and who has the active part: sends, ends first, resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) ours_dials: bool,
    pub(crate) ours_active: bool,
}

impl Direction {
    pub(crate) const ALL: [Self; 4] = [
        Self {
            ours_dials: true,
            ours_active: true,
        },
        Self {
            ours_dials: true,
            ours_active: false,
        },
        Self {
            ours_dials: false,
            ours_active: true,
        },
        Self {
            ours_dials: false,
            ours_active: false,
        },
    ];

    /// As the protocol of the programs has it.
    fn flow(self) -> Flow {
        if self.ours_dials == self.ours_active {
            Flow::Opener
        } else {
            Flow::Acceptor
        }
    }

    /// What it is called with this scenario.
    pub(crate) fn name(self, scenario: Scenario) -> String {
        let dials = if self.ours_dials {
            "ours dials"
        } else {
            "ours accepts"
        };
        let part = match scenario {
            Scenario::HalfClose => ["ours ends first", "peer ends first"],
            Scenario::Reset => ["ours resets", "peer resets"],
            _ => ["to the peer", "from the peer"],
        };
        let part = part[usize::from(!self.ours_active)];
        format!("{dials}, {part}")
    }
}

/// The path between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Link {
    /// No relay: loopback itself.
    Direct,
    /// The relay, without harm.
    Clean,
    /// 1% of the datagrams are lost.
    Loss1,
    /// 5% are lost, 5% reordered, 5% duplicated.
    Bad,
}

impl Link {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Clean => "clean",
            Self::Loss1 => "1% loss",
            Self::Bad => "5% loss + 5% reorder + 5% duplicate",
        }
    }

    pub(crate) fn profile(self, seed: u64) -> Profile {
        let percent = Share::from_percent;
        let clean = Profile {
            seed,
            ..Profile::default()
        };
        match self {
            Self::Direct | Self::Clean => clean,
            Self::Loss1 => Profile {
                loss: percent(1),
                ..clean
            },
            Self::Bad => Profile {
                loss: percent(5),
                reorder: percent(5),
                duplicate: percent(5),
                ..clean
            },
        }
    }
}

/// How a cell ended.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Pass {
        /// From the first packet to the last thing checked.
        seconds: f64,
        /// What was to be moved.
        bytes: u64,
        note: Option<String>,
    },
    Fail(String),
    /// The peer cannot do that; why, and where that is written.
    NotPossible(&'static str),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} · {} · {} · {} · {}",
            self.peer.name(),
            self.version.name(),
            self.scenario.name(),
            self.direction.name(self.scenario),
            self.link.name()
        )
    }
}

impl Cell {
    /// Runs the conversation on a runtime of its own.
    pub(crate) fn run(&self, program: &Program, settings: &Settings) -> Verdict {
        if let Some(reason) = abilities::not_possible(self)
            && !settings.all
        {
            return Verdict::NotPossible(reason);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let ran = runtime
            .context("a runtime")
            .and_then(|runtime| runtime.block_on(Conversation::new(self, settings)?.hold(program)));
        ran.unwrap_or_else(|error| Verdict::Fail(format!("{error:#}")))
    }

    /// Chances and contents: the same for the same cell and seed, whatever else runs.
    fn seed(&self, base: u64) -> u64 {
        let hash = Sha256::digest(format!("{base} {self}"));
        hash.first_chunk()
            .map_or(base, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// What holds for all cells.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// How long an idle connection is left alone.
    pub(crate) idle: Duration,
    /// Whether that is tried, too, which the peer cannot do.
    pub(crate) all: bool,
    /// Where each cell's packets are written down.
    pub(crate) packets: Option<PathBuf>,
}

struct Conversation<'a> {
    cell: &'a Cell,
    relay: Relay,
    /// Both sides' part, without where to dial.
    plan: Plan,
}

impl<'a> Conversation<'a> {
    fn new(cell: &'a Cell, settings: &Settings) -> Result<Self> {
        let seed = cell.seed(settings.seed);
        let tap = cell.scenario == Scenario::FinWithData;
        let (streams, bytes) = cell.scenario.load();
        let log = settings.packets.as_ref().map(|directory| {
            let path = directory.join(format!("{}.txt", cell.to_string().replace(" · ", "_")));
            File::create(&path).with_context(|| format!("writing {}", path.display()))
        });
        let log = log.transpose()?;
        Ok(Self {
            cell,
            relay: Relay::start(cell.link.profile(seed), tap, log)?,
            plan: Plan {
                scenario: cell.scenario,
                flow: cell.direction.flow(),
                dial: None,
                streams,
                bytes,
                seed,
                idle_ms: u64::try_from(settings.idle.as_millis())?,
                version: cell.version,
            },
        })
    }

    async fn hold(self, program: &Program) -> Result<Verdict> {
        let endpoint = own::endpoint(self.config())?;
        let (mut ours, mut theirs) = (self.plan.clone(), self.plan.clone());
        let mut peer;
        if self.cell.direction.ours_dials {
            peer = Peer::start(program, &theirs)?;
            ours.dial = Some(self.reach(peer.listening().await?));
        } else {
            theirs.dial = Some(self.reach(endpoint.local_addr()?));
            peer = Peer::start(program, &theirs)?;
        }
        let dialed = timeout(TO_CONNECT, own::connect(&endpoint, &ours)).await;
        let connection = match dialed {
            Ok(connection) => connection?,
            Err(_) => match timeout(TO_REPORT, peer.report()).await {
                Ok(Err(error)) => bail!("the peer did not dial: {error:#}"),
                _ => bail!("the peer did not dial within {TO_CONNECT:?}"),
            },
        };
        let verdict = if self.cell.scenario == Scenario::PeerKilled {
            self.until_noticed(&connection, &ours, &mut peer).await
        } else {
            self.until_done(&connection, &ours, &mut peer).await
        };
        // Both are done: now goodbyes may overtake what they like.
        if self.cell.direction.ours_dials {
            connection.close(0, b"");
            let _ = timeout(TO_SAY_GOODBYE, endpoint.wait_idle()).await;
            peer.end().await;
        } else {
            peer.end().await;
            connection.close(0, b"");
        }
        endpoint.close(0, b"");
        ensure!(!self.relay.failed(), "the relay failed");
        let [out, back] = self.relay.counters();
        verdict.with_context(|| {
            format!(
                "the relay lost {} of {} datagrams to the acceptor and {} of {} to the dialer",
                out.lost, out.offered, back.lost, back.offered
            )
        })
    }

    /// Both do their part, and say so.
    async fn until_done(
        &self,
        connection: &gapless::Connection,
        plan: &Plan,
        peer: &mut Peer,
    ) -> Result<Verdict> {
        let began = Instant::now();
        let limit = self.limit();
        let progress = Progress::default();
        let (ours, theirs) = {
            let ours = async {
                tokio::select! {
                    outcome = app::side(connection, plan, &progress) => outcome,
                    () = no_headway(&progress, limit) => {
                        let (spent, state) = (began.elapsed(), stuck(connection, &progress));
                        Err(anyhow::anyhow!("not done after {spent:.0?}: {state}"))
                    }
                }
            };
            let mut ours = std::pin::pin!(ours);
            let mut theirs = std::pin::pin!(peer.report());
            tokio::select! {
                outcome = &mut ours => {
                    // What this side sent last may still wait in its buffers.
                    let left = limit.saturating_sub(began.elapsed()) + TO_REPORT;
                    (outcome, timeout(left, theirs).await)
                }
                report = &mut theirs => match report {
                    Ok(note) => (ours.await, Ok(Ok(note))),
                    // This side would wait in vain; what it saw meanwhile is worth telling, too.
                    Err(error) => match timeout(TO_REPORT, ours).await {
                        Ok(outcome) => (outcome, Ok(Err(error))),
                        Err(_) => bail!("the peer: {error:#}; here: {}", stuck(connection, &progress)),
                    },
                },
            }
        };
        let ours = match (ours, &theirs) {
            (Err(here), Ok(Err(there))) => bail!("{here:#}; the peer: {there:#}"),
            (ours, _) => ours?,
        };
        let theirs = theirs.with_context(|| {
            let state = stuck(connection, &progress);
            format!("this side is done, and the peer says nothing: {state}")
        })?;
        let theirs = theirs.context("the peer")?;
        // The side that writes last knows least: only when both are done, all is delivered.
        let seconds = began.elapsed().as_secs_f64();
        if !self.fin_came_with_data() {
            // The bytes arrived; what is missing is the packet that the scenario is about.
            return match abilities::no_fin_with_data(self.cell) {
                Some(reason) => Ok(Verdict::NotPossible(reason)),
                None => bail!("the bytes arrived, but no packet had data and the end"),
            };
        }
        Ok(Verdict::Pass {
            seconds,
            bytes: plan.bytes.saturating_mul(plan.streams.into()),
            note: ours.note.or(theirs),
        })
    }

    /// The peer is killed in the middle; this side has to notice.
    async fn until_noticed(
        &self,
        connection: &gapless::Connection,
        plan: &Plan,
        peer: &mut Peer,
    ) -> Result<Verdict> {
        let progress = Progress::default();
        let side = app::side(connection, plan, &progress);
        let mut side = std::pin::pin!(side);
        let flowing = async {
            while progress.get() < KILLED_AFTER {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            outcome = &mut side => bail!("over before the peer was killed: {:?}", outcome.err()),
            () = flowing => {}
            () = tokio::time::sleep(TO_FLOW) => {
                bail!("no transfer to kill the peer in: {}", stuck(connection, &progress))
            }
        }
        peer.kill().await?;
        let killed = Instant::now();
        match timeout(TO_NOTICE, side).await {
            Ok(Ok(_)) => bail!("this side says that all is done"),
            Ok(Err(_)) => {
                let seconds = killed.elapsed().as_secs_f64();
                Ok(Verdict::Pass {
                    seconds,
                    bytes: 0,
                    note: Some(format!("noticed after {seconds:.1} s")),
                })
            }
            Err(_) => bail!("silence: {}", stuck(connection, &progress)),
        }
    }

    /// Where to dial to reach `acceptor`.
    fn reach(&self, acceptor: std::net::SocketAddr) -> std::net::SocketAddr {
        self.relay.set_target(acceptor);
        match self.cell.link {
            Link::Direct => acceptor,
            Link::Clean | Link::Loss1 | Link::Bad => self.relay.front(),
        }
    }

    fn fin_came_with_data(&self) -> bool {
        let direction = self.cell.direction;
        let from_dialer = direction.ours_dials == direction.ours_active;
        self.cell.scenario != Scenario::FinWithData
            || self.cell.link == Link::Direct
            || self.relay.fins_with_data(from_dialer) > 0
    }

    fn config(&self) -> ConnectionConfig {
        let config = own::config(self.cell.version);
        if self.cell.scenario != Scenario::PeerKilled {
            return config;
        }
        ConnectionConfig {
            idle_timeout: KILLED_IDLE,
            keep_alive: Some(KILLED_IDLE / 3),
            ..config
        }
    }

    /// How long the cell may take on the slowest machine that is expected to run it.
    fn limit(&self) -> Duration {
        let slow = match self.cell.link {
            Link::Direct | Link::Clean => 1,
            Link::Loss1 => 2,
            Link::Bad => 4,
        };
        let seconds = match self.cell.scenario {
            Scenario::Bulk => 60 * slow,
            Scenario::SlowReader | Scenario::HundredStreams => 20 * slow,
            Scenario::Idle => self.plan.idle().as_secs() + 20,
            Scenario::Reset => 40,
            _ => 10 * slow + 5,
        };
        Duration::from_secs(seconds)
    }
}

/// Ends when the time is up and nothing moves any more, or when even what moves has had far too long: a path and a sender may be slow.
async fn no_headway(progress: &Progress, limit: Duration) {
    let began = Instant::now();
    tokio::time::sleep(limit).await;
    while began.elapsed() < LONGEST * limit {
        let before = progress.get();
        tokio::time::sleep(STILL).await;
        if progress.get() == before {
            return;
        }
    }
}

/// What a connection that does not go on says of itself.
fn stuck(connection: &gapless::Connection, progress: &Progress) -> String {
    format!(
        "{} bytes moved, {} is {:?}, blocked on {:?}, {:?}",
        progress.get(),
        connection.remote_address(),
        connection.peer(),
        connection.blocked_on(),
        connection.stats(),
    )
}

/// A transfer that is late has to move within this: two of the longest timeouts that any peer has (UDX 5: 30 s, Dart).
const STILL: Duration = Duration::from_secs(60);

/// Limits that a transfer may take if it moves all the time: what 64 MiB take Dart's senders over loss.
const LONGEST: u32 = 10;

/// From the start of a peer's process to its first packet here.
const TO_CONNECT: Duration = Duration::from_secs(20);

/// From the end of this side's part to the peer's word on it. Its last packets may be lost several times.
const TO_REPORT: Duration = Duration::from_secs(10);

const TO_SAY_GOODBYE: Duration = Duration::from_millis(200);

/// When the peer is killed: several packets into the transfer, and less than what Dart sends when a busy machine makes it take
/// late acknowledgements for losses (UDX 5).
const KILLED_AFTER: u64 = 8 << 10;

/// How long a transfer may take to get there.
const TO_FLOW: Duration = Duration::from_secs(20);

/// The idle timeout where the peer is killed; the usual 30 s would only take longer.
const KILLED_IDLE: Duration = Duration::from_secs(5);

/// By then, at the latest, the application knows: idle timeout, or three PTOs of 2 s (UDX 7.5), and the checks between.
const TO_NOTICE: Duration = Duration::from_secs(9);
