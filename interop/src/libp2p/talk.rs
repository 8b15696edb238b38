//! What our Swarm and the Go host do with each other over one connection.

use super::go::{ANNOUNCED, Host};
use super::swarm::{
    AGENT, BEFORE_RESET, BehaviourEvent, ECHO, Event, OPENER_RESETS, Ours, PERF, RESET,
    SERVER_RESETS, THERE, exchange, zeros,
};
use anyhow::{Context, Result, bail, ensure};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Stream, identify};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What is tried on a connection, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Identify,
    Ping,
    Perf,
    Echo,
    Streams,
    Reset,
}

/// Bytes moved one way and the time that took, or something else worth telling.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) note: Option<String>,
}

/// How much is carried.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// For echo on one stream, and for perf in each direction.
    pub(super) bulk: u64,
    pub(super) streams: usize,
    /// On each of them; the n-th carries n bytes more.
    pub(super) each: u64,
}

impl Topic {
    pub(super) const ALL: [Self; 6] = [
        Self::Identify,
        Self::Ping,
        Self::Perf,
        Self::Echo,
        Self::Streams,
        Self::Reset,
    ];

    pub(super) fn name(self, load: Load) -> String {
        let megabytes = load.bulk as f64 / 1e6;
        match self {
            Self::Identify => "identify".to_owned(),
            Self::Ping => "ping".to_owned(),
            Self::Perf => format!("perf, {megabytes:.0} MB up and down"),
            Self::Echo => format!("echo, {megabytes:.0} MB"),
            Self::Streams => format!("{} streams", load.streams),
            Self::Reset => "reset of a stream".to_owned(),
        }
    }
}

/// Two hosts with a connection.
pub(super) struct Talk<'a> {
    pub(super) ours: &'a mut Ours,
    pub(super) host: &'a mut Host,
    pub(super) load: Load,
    /// How long anything may take on the slowest machine that is expected to run it.
    pub(super) limit: Duration,
}

impl Talk<'_> {
    /// Our side has the active part: asks, sends, opens, resets first.
    pub(super) async fn ours(&mut self, topic: Topic) -> Result<Told> {
        let limit = self.limit;
        let done = timeout(limit, async {
            match topic {
                Topic::Identify => self.identified().await,
                Topic::Ping => self.pinged().await,
                Topic::Perf => self.perf().await,
                Topic::Echo => self.echo(1, self.load.bulk).await,
                Topic::Streams => self.echo(self.load.streams, self.load.each).await,
                Topic::Reset => self.resets().await,
            }
        });
        match done.await {
            Ok(told) => told,
            Err(_) => bail!("not done after {limit:?}: {}", self.state()),
        }
    }

    /// The Go host has.
    pub(super) async fn theirs(&mut self, topic: Topic) -> Result<Told> {
        let load = self.load;
        let (what, more, bytes) = match topic {
            Topic::Identify => ("identify", json!({}), 0),
            Topic::Ping => ("ping", json!({ "count": 5 }), 0),
            Topic::Perf => (
                "perf",
                json!({ "upload": load.bulk, "download": load.bulk }),
                2 * load.bulk,
            ),
            Topic::Echo => ("echo", json!({ "bytes": load.bulk }), load.bulk),
            Topic::Streams => (
                "streams",
                json!({ "count": load.streams, "bytes": load.each }),
                load.each * load.streams as u64,
            ),
            Topic::Reset => ("reset", json!({}), 0),
        };
        let peer = self.ours.peer.to_string();
        let answer = self.host.order(what, &peer, more, self.limit).await;
        let answer = answer.with_context(|| self.state())?;
        let mut told = Told {
            bytes,
            seconds: answer["seconds"].as_f64().unwrap_or_default(),
            note: None,
        };
        match topic {
            Topic::Identify => {
                ensure!(answer["agent"] == AGENT, "{answer}");
                let protocols = answer["protocols"].as_array().context("no protocols")?;
                ensure!(
                    protocols.iter().any(|protocol| *protocol == *PERF.as_ref()),
                    "{answer}"
                );
            }
            Topic::Ping => told.note = answer["longest_us"].as_u64().map(micros),
            Topic::Reset => ensure!(
                answer["connections"] == 1,
                "the connection did not outlive the reset: {answer}"
            ),
            _ => {}
        }
        Ok(told)
    }

    /// What stands where nothing moves.
    pub(super) fn state(&self) -> String {
        let connections = self.ours.handle.connections();
        format!("our Swarm's connections: {connections:?}")
    }

    fn peer(&self) -> Result<PeerId> {
        Ok(self.host.ready.peer.parse()?)
    }

    /// The message of a host that announces an address over UDX, which nothing here can express: what else it says arrives.
    async fn identified(&mut self) -> Result<Told> {
        let announced = &self.host.ready.announced;
        ensure!(
            announced.iter().any(|address| address == ANNOUNCED),
            "it announces {announced:?}"
        );
        let readable = announced
            .iter()
            .filter(|address| !address.contains("/udx"))
            .count();
        let info = self
            .ours
            .wait("identify message", self.limit, identify_info)
            .await?;
        ensure!(info.agent_version == "gapless-interop-go", "{info:?}");
        ensure!(info.protocols.contains(&PERF), "{info:?}");
        ensure!(info.listen_addrs.len() == readable, "{info:?}");
        ensure!(
            self.ours.handle.connections().len() == 1,
            "{}",
            self.state()
        );
        Ok(Told {
            note: Some(format!("{readable} of {} addresses read", announced.len())),
            ..Told::default()
        })
    }

    async fn pinged(&mut self) -> Result<Told> {
        let mut longest = Duration::ZERO;
        for _ in 0..3 {
            let rtt = self.ours.wait("ping", self.limit, |event| match event {
                SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
                    Some(event.result.map_err(anyhow::Error::from))
                }
                event => lost(&event),
            });
            longest = longest.max(rtt.await?);
        }
        Ok(Told {
            note: Some(micros(u64::try_from(longest.as_micros())?)),
            ..Told::default()
        })
    }

    async fn perf(&mut self) -> Result<Told> {
        let mut stream = self.ours.open(self.peer()?, PERF).await?;
        let began = Instant::now();
        stream.write_all(&self.load.bulk.to_be_bytes()).await?;
        zeros(&mut stream, self.load.bulk).await?;
        stream.close().await?;
        let came = futures::io::copy(&mut stream, &mut futures::io::sink()).await?;
        ensure!(
            came == self.load.bulk,
            "{came} bytes came, not {}",
            self.load.bulk
        );
        Ok(Told {
            bytes: 2 * self.load.bulk,
            seconds: began.elapsed().as_secs_f64(),
            note: None,
        })
    }

    async fn echo(&mut self, streams: usize, bytes: u64) -> Result<Told> {
        let mut opened = Vec::new();
        for number in 0..streams {
            let stream = self.open_echo().await;
            opened.push(stream.with_context(|| format!("stream {number}"))?);
        }
        let began = Instant::now();
        let exchanges = opened
            .into_iter()
            .zip(0..)
            .map(|(stream, number)| async move {
                let exchanged = exchange(stream, number, bytes + number).await;
                exchanged.with_context(|| format!("stream {number}"))
            });
        futures::future::try_join_all(exchanges).await?;
        Ok(Told {
            bytes: bytes * streams as u64,
            seconds: began.elapsed().as_secs_f64(),
            note: None,
        })
    }

    async fn open_echo(&self) -> Result<Stream> {
        let mut stream = self.ours.open(self.peer()?, ECHO).await?;
        let mut first = [0; 1];
        stream
            .read_exact(&mut first)
            .await
            .context("the echo did not begin")?;
        ensure!(first[0] == THERE, "the echo began with {}", first[0]);
        Ok(stream)
    }

    async fn resets(&mut self) -> Result<Told> {
        let peer = self.peer()?;
        let mut stream = self.ours.open(peer, RESET).await?;
        stream.write_all(&[SERVER_RESETS]).await?;
        // Rust's Yamux shows a reset to a reader as an end; a writer learns of it.
        while stream.write_all(&[0; BEFORE_RESET]).await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let mut stream = self.ours.open(peer, RESET).await?;
        stream.write_all(&[OPENER_RESETS]).await?;
        zeros(&mut stream, BEFORE_RESET as u64).await?;
        // Yamux resets a stream that is dropped before its end.
        drop(stream);
        let seen = self
            .host
            .order(
                "seen-reset",
                &self.ours.peer.to_string(),
                json!({}),
                self.limit,
            )
            .await?;
        ensure!(seen["reset"] == true, "the Go host saw an end, not a reset");

        // And the connection goes on.
        exchange(self.open_echo().await?, 5, 10_000).await?;
        ensure!(
            self.ours.handle.connections().len() == 1,
            "{}",
            self.state()
        );
        Ok(Told::default())
    }
}

fn identify_info(event: Event) -> Option<Result<identify::Info>> {
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            info, ..
        })) => Some(Ok(info)),
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Error {
            error, ..
        })) => Some(Err(error.into())),
        event => lost(&event),
    }
}

/// The end of a connection that nobody wanted to end.
pub(super) fn lost<T>(event: &Event) -> Option<Result<T>> {
    match event {
        SwarmEvent::ConnectionClosed { cause, .. } => {
            Some(Err(anyhow::anyhow!("the connection ended: {cause:?}")))
        }
        SwarmEvent::OutgoingConnectionError { error, .. } => {
            Some(Err(anyhow::anyhow!("the dial failed: {error:?}")))
        }
        SwarmEvent::IncomingConnectionError { error, .. } => Some(Err(anyhow::anyhow!(
            "an incoming connection failed: {error:?}"
        ))),
        _ => None,
    }
}

fn micros(count: u64) -> String {
    format!("{:.1} ms", count as f64 / 1e3)
}
