//! A peer: a process that is told its part on the command line and tells how it went, line by line.
//!
//! Its standard output: `listening ADDRESS` if it accepts, then `done`, `done NOTE` or `failed REASON`. It closes its connection and ends
//! when its standard input ends, so that none outlives the harness, however that ends.

use crate::plan::Plan;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Starting a process and binding a socket is a matter of milliseconds, on a machine that is not overloaded.
const START: Duration = Duration::from_secs(20);

/// To say goodbye. A process that takes longer is killed, and nobody minds.
const GOODBYE: Duration = Duration::from_millis(500);

/// How a peer is started, but for its plan.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// A peer that runs. Dropped, it is killed.
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a peer says of its part.
pub(crate) type Report = Result<Option<String>>;

impl Peer {
    pub(crate) fn start(program: &Program, plan: &Plan) -> Result<Self> {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments);
        command.arg(serde_json::to_string(plan)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.kill_on_drop(true).spawn();
        let mut child = child.with_context(|| format!("starting {}", program.path.display()))?;
        let output = child.stdout.take().context("a process without output")?;
        Ok(Self {
            input: child.stdin.take(),
            lines: BufReader::new(output).lines(),
            child,
        })
    }

    /// Where an acceptor listens.
    pub(crate) async fn listening(&mut self) -> Result<SocketAddr> {
        let line = timeout(START, self.line())
            .await
            .context("the peer does not start")??;
        let address = line.strip_prefix("listening ");
        let address = address.with_context(|| format!("the peer says {line:?}"))?;
        Ok(address.parse()?)
    }

    /// What the peer says of its part, once it is done with it.
    pub(crate) async fn report(&mut self) -> Report {
        let line = self.line().await?;
        if let Some(note) = line.strip_prefix("done") {
            let note = note.trim();
            return Ok((!note.is_empty()).then(|| note.to_owned()));
        }
        match line.strip_prefix("failed ") {
            Some(reason) => bail!("{reason}"),
            None => bail!("it says {line:?}"),
        }
    }

    async fn line(&mut self) -> Result<String> {
        let line = self
            .lines
            .next_line()
            .await
            .context("reading from the peer")?;
        match line {
            Some(line) => Ok(line),
            None => bail!("it ended: {}", self.child.wait().await?),
        }
    }

    /// Has it close its connection and end.
    pub(crate) async fn end(mut self) {
        drop(self.input.take());
        let _ = timeout(GOODBYE, self.child.wait()).await;
    }

    /// Kills it, without a word to anybody.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing the peer")
    }
}
