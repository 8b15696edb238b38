//! `gapless serve`, and serving in general.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use gapless_git::{
    Access, Repositories, Repository, ServeError, Served, Server, ServerConfig, default_name,
};
use libp2p::PeerId;
use libp2p_udx::UdxAddr;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::address::{Host, Target};
use crate::args::{Common, ServeArgs, ServedPath};
use crate::failure::{Failure, Kind, with_causes};
use crate::identity;
use crate::node::{self, Event, Node, NodeConfig, Stream};
use crate::output::{self, Output};
use crate::perf;

/// The addresses of all interfaces come one by one; what comes within this time of the first is printed together.
const GATHER: Duration = Duration::from_millis(300);
/// Throughput measurements at the same time: each takes what the link can carry.
const MAX_MEASUREMENTS: usize = 4;

pub(super) async fn run(common: &Common, args: ServeArgs, output: Output) -> Result<(), Failure> {
    require_git().await?;
    let repositories = open_all(&args.repositories)?;
    let keypair = identity::load_or_create(common.identity.as_deref())?;
    let mut node = Node::start(&keypair, NodeConfig::from(common))?;
    let config = ServerConfig {
        max_sessions: args.max_sessions,
        ..ServerConfig::default()
    };
    let server = Server::new(repositories, config);
    let writers = args.allow_push.into_iter().collect();
    offer(&node, server.clone(), writers, Some(output))?;
    for address in args.listen {
        node.listen(address).await?;
    }
    tokio::select! {
        () = announce(&mut node, &server, output) => {}
        () = super::interrupted() => {}
    }
    output.say(
        || "Ending.".to_owned(),
        || serde_json::json!({ "event": "ending" }),
    );
    node.close().await;
    Ok(())
}

/// Answers Git requests and throughput measurements on `node`, from now on. Must come before listening: peers that are
/// connected already would not be offered it.
pub(super) fn offer(
    node: &Node,
    server: Server,
    writers: HashSet<PeerId>,
    report_to: Option<Output>,
) -> Result<(), Failure> {
    let writers = Arc::new(writers);
    node.accept(node::GIT, move |peer, stream| {
        let access = if writers.contains(&peer) {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        serve_git(server.clone(), peer, stream, access, report_to)
    })?;
    let slots = Arc::new(Semaphore::new(MAX_MEASUREMENTS));
    node.accept(node::PERF, move |peer, stream| {
        let slots = Arc::clone(&slots);
        async move {
            let Ok(_slot) = slots.acquire().await else {
                return;
            };
            match perf::serve(stream).await {
                Ok((received, sent)) => tracing::info!(%peer, received, sent, "measured"),
                Err(error) => tracing::info!(%peer, %error, "a measurement was cut off"),
            }
        }
    })
}

async fn serve_git(
    server: Server,
    peer: PeerId,
    stream: Stream,
    access: Access,
    report_to: Option<Output>,
) {
    let started = Instant::now();
    let result = server.serve(stream, access).await;
    if let Some(output) = report_to {
        report(output, peer, &result, started.elapsed());
    }
}

fn report(output: Output, peer: PeerId, result: &Result<Served, ServeError>, time: Duration) {
    match result {
        Ok(Served {
            request,
            received,
            sent,
        }) => output.say(
            || {
                let (service, name) = (request.service, &request.name);
                let [received, sent] = [*received, *sent].map(output::bytes);
                format!(
                    "{peer}  {service} {name}: {sent} sent, {received} received in {}",
                    output::time(time)
                )
            },
            || {
                serde_json::json!({
                    "event": "session",
                    "peer": peer.to_string(),
                    "service": request.service.as_str(),
                    "repository": request.name,
                    "bytes_received": received,
                    "bytes_sent": sent,
                    "time_us": output::micros(time),
                })
            },
        ),
        Err(error) => output.say(
            || format!("{peer}  {}", with_causes(error)),
            || {
                serde_json::json!({
                    "event": "session-failed",
                    "peer": peer.to_string(),
                    "reason": with_causes(error),
                })
            },
        ),
    }
}

/// Prints where the repositories can be had, until the node ends.
async fn announce(node: &mut Node, server: &Server, output: Output) {
    let mut fresh = Vec::new();
    let mut deadline = None;
    let peer = node.identity();
    loop {
        tokio::select! {
            event = node.event() => match event {
                Some(Event::Listening(address)) => {
                    fresh.push(address);
                    deadline.get_or_insert_with(|| Instant::now() + GATHER);
                }
                Some(_) => {}
                None => return,
            },
            () = sleep_until(deadline) => {
                deadline = None;
                print_addresses(peer, server, &mut fresh, output);
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn print_addresses(peer: PeerId, server: &Server, fresh: &mut Vec<UdxAddr>, output: Output) {
    // What others can use comes first.
    fresh.sort_by_key(|address| {
        (
            address.socket_addr().ip().is_loopback(),
            address.socket_addr(),
        )
    });
    let addresses = std::mem::take(fresh);
    for (name, repository) in server.repositories().iter() {
        let urls = addresses
            .iter()
            .map(|address| url(peer, address, name).to_string())
            .collect::<Vec<_>>();
        let path = repository.work_tree().unwrap_or(repository.git_dir());
        output.say(
            || format!("{name}  ({})\n  {}", path.display(), urls.join("\n  ")),
            || {
                serde_json::json!({
                    "event": "repository",
                    "name": name,
                    "path": path.display().to_string(),
                    "urls": urls,
                })
            },
        );
    }
    let multiaddrs = addresses
        .iter()
        .map(|address| address.with_peer(peer).to_string())
        .collect::<Vec<_>>();
    output.say(
        || format!("This peer\n  {}\nServing until Ctrl-C.", multiaddrs.join("\n  ")),
        || serde_json::json!({ "event": "serving", "peer": peer.to_string(), "multiaddrs": multiaddrs }),
    );
}

/// The URL of a repository at one of our addresses.
pub(super) fn url(peer: PeerId, address: &UdxAddr, name: &str) -> Target {
    let socket = address.socket_addr();
    Target {
        peer,
        host: Host::Ip(socket.ip()),
        port: socket.port(),
        name: Some(name.to_owned()),
    }
}

fn open_all(paths: &[ServedPath]) -> Result<Repositories, Failure> {
    let mut repositories = Repositories::new();
    for ServedPath { name, path } in paths {
        let repository = open(path)?;
        let name = match name.clone().or_else(|| default_name(path)) {
            Some(name) => name,
            None => {
                return Err(bad_name(format!(
                    "{} suggests no name to serve it by",
                    path.display()
                )));
            }
        };
        repositories
            .add(&name, repository)
            .map_err(|error| bad_name(error.to_string()))?;
    }
    Ok(repositories)
}

/// Opens a repository that shall be served.
pub(super) fn open(path: &Path) -> Result<Repository, Failure> {
    Repository::open(path).map_err(|error| {
        Failure::new(Kind::Address, with_causes(&error))
            .cure("Name a Git repository: its top directory, or a bare one.")
    })
}

fn bad_name(cause: String) -> Failure {
    Failure::new(Kind::Address, cause).cure("Give it another name: gapless serve NAME=PATH.")
}

/// Serving runs the system's git; better said at once than to the first client.
pub(super) async fn require_git() -> Result<(), Failure> {
    let version = tokio::process::Command::new("git")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    match version {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(no_git(format!("`git --version` failed ({status})"))),
        Err(error) => Err(no_git(format!("git cannot be run: {error}"))),
    }
}

fn no_git(cause: String) -> Failure {
    Failure::new(Kind::NoGit, cause)
        .cure("Serving needs git: install it, and see that it is in the PATH.")
}
