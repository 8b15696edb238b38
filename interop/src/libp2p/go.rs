//! The go-libp2p host: building it, as far as its modules can be had, and telling it what to do.

use crate::golang;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The transport for UDX, which is not to be had everywhere.
const TRANSPORT: &str = "github.com/stephanfeb/go-libp2p-udx-transport@latest";

/// An address as go-libp2p announces it over UDX, in every identify message of the host's.
pub(super) const ANNOUNCED: &str = "/ip4/192.0.2.7/udp/9000/udx";

/// From the start of the process to its listening.
const START: Duration = Duration::from_secs(30);

/// What the host could be built with.
pub(super) struct Built {
    pub(super) program: PathBuf,
    /// Why it has no transport for UDX of its own, if it has none.
    pub(super) without_udx: Option<String>,
}

/// Builds the host with the transport for UDX if that can be had, and without it otherwise.
pub(super) fn build() -> Result<Built> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go-libp2p");
    let target = golang::target_directory()?
        .join("interop")
        .join("go-libp2p");
    std::fs::create_dir_all(&target)?;
    // The module file that names the transport lies beside the program: the one in the tree compiles everywhere.
    for file in ["go.mod", "go.sum"] {
        std::fs::copy(source.join(file), target.join(file)).context("copying the module file")?;
    }
    let modfile = format!("-modfile={}", target.join("go.mod").display());
    let output = |name: &str| target.join(name).display().to_string();
    let udx = output("host-udx");
    let with_udx = golang::run(&source, &["get", &modfile, TRANSPORT]).and_then(|()| {
        golang::run(
            &source,
            &["build", &modfile, "-tags", "udx", "-o", &udx, "."],
        )
    });
    let Err(error) = with_udx else {
        return Ok(Built {
            program: udx.into(),
            without_udx: None,
        });
    };
    let tcp = output("host");
    golang::run(&source, &["build", "-o", &tcp, "."]).context("building the go-libp2p host")?;
    Ok(Built {
        program: tcp.into(),
        without_udx: Some(format!("{error:#}")),
    })
}

/// A host that runs. Dropped, it is killed.
pub(super) struct Host {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) ready: Ready,
}

/// What it says of itself at first.
#[derive(Deserialize)]
pub(super) struct Ready {
    pub(super) peer: String,
    /// Where it listens, as a multiaddr.
    address: String,
    pub(super) announced: Vec<String>,
    pub(super) transport: String,
    pub(super) version: String,
}

impl Host {
    pub(super) async fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["-announce", ANNOUNCED]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .context("starting the go-libp2p host")?;
        let input = child.stdin.take().context("a process without input")?;
        let output = child.stdout.take().context("a process without output")?;
        let mut lines = BufReader::new(output).lines();
        let line = timeout(START, lines.next_line())
            .await
            .context("the go-libp2p host does not start")??;
        let ready = serde_json::from_str(&line.context("the go-libp2p host ended at once")?)?;
        Ok(Self {
            child,
            input,
            lines,
            ready,
        })
    }

    /// Where it listens, over TCP or UDP.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let mut parts = self.ready.address.split('/').skip(1);
        let (Some("ip4"), Some(ip), Some("tcp" | "udp"), Some(port)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            bail!("the host listens at {}", self.ready.address);
        };
        Ok(SocketAddr::new(ip.parse()?, port.parse()?))
    }

    /// How an address of this kind is written for it.
    pub(super) fn multiaddr(&self, at: SocketAddr) -> String {
        let (ip, port) = (at.ip(), at.port());
        match self.ready.transport.as_str() {
            "udx" => format!("/ip4/{ip}/udp/{port}/udx"),
            _ => format!("/ip4/{ip}/tcp/{port}"),
        }
    }

    /// Has it do something with our Swarm; gives its answer.
    pub(super) async fn order(
        &mut self,
        what: &str,
        ours: &str,
        more: Value,
        within: Duration,
    ) -> Result<Value> {
        let mut order =
            json!({ "do": what, "peer": ours, "within_ms": u64::try_from(within.as_millis())? });
        if let (Some(order), Some(more)) = (order.as_object_mut(), more.as_object()) {
            order.extend(more.clone());
        }
        self.input
            .write_all(format!("{order}\n").as_bytes())
            .await
            .context("telling the go-libp2p host")?;
        // It knows the limit, too; what it says then is worth more than that it says nothing.
        let line = timeout(within + START, self.lines.next_line()).await;
        let line = line.with_context(|| format!("no answer to {what}"))??;
        let answer: Value = serde_json::from_str(&line.context("the go-libp2p host has ended")?)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("the go-libp2p host, {what}: {error}"),
            None => Ok(answer),
        }
    }

    /// SIGKILL: without a word to anybody.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .context("killing the go-libp2p host")
    }
}
