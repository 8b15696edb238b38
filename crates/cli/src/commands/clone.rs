//! `gapless clone`.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gapless_git::{
    CloneError, CloneRequest, Cloned, Head, Refusal, Repositories, Server, ServerConfig,
};
use libp2p::identity::Keypair;

use super::serve;
use crate::address::Target;
use crate::args::{CloneArgs, Common};
use crate::failure::{Failure, Kind, with_causes};
use crate::identity;
use crate::node::{self, Event, LinkStats, Node, NodeConfig};
use crate::output::{self, Output};
use crate::progress::Display;

pub(super) async fn run(common: &Common, args: CloneArgs, output: Output) -> Result<(), Failure> {
    let CloneArgs {
        source,
        directory,
        loopback,
    } = args;
    if loopback {
        clone_loopback(common, Path::new(&source), directory, output).await
    } else {
        let target: Target = source.parse()?;
        clone_remote(common, &target, directory, output).await
    }
}

async fn clone_remote(
    common: &Common,
    target: &Target,
    directory: Option<PathBuf>,
    output: Output,
) -> Result<(), Failure> {
    let Some(name) = target.name.clone() else {
        return Err(no_name(target));
    };
    let directory =
        directory.or_else(|| gapless_git::default_name(Path::new(&name)).map(PathBuf::from));
    let directory = directory.ok_or_else(no_directory)?;
    let request = CloneRequest {
        name,
        url: target.url(),
        target: directory,
    };
    check_target(&request)?;
    let keypair = identity::load_or_create(common.identity.as_deref())?;
    let node = Node::start(&keypair, NodeConfig::from(common))?;
    let started = Instant::now();
    let (node, cloned) = clone(node, target, request, output).await?;
    let link = node.newest_stats();
    report(output, &cloned, started.elapsed(), link.as_ref());
    node.close().await;
    Ok(())
}

/// Both ends in this program, with keys for this once, and a real UDP socket between them.
async fn clone_loopback(
    common: &Common,
    path: &Path,
    directory: Option<PathBuf>,
    output: Output,
) -> Result<(), Failure> {
    serve::require_git().await?;
    let repository = serve::open(path)?;
    let name = gapless_git::default_name(path).unwrap_or_else(|| "repository".to_owned());
    // The address is gone when the program ends: what can be fetched from later is the path.
    let url = std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string();
    let directory = directory.unwrap_or_else(|| PathBuf::from(&name));
    let request = CloneRequest {
        name: name.clone(),
        url,
        target: directory,
    };
    check_target(&request)?;
    let mut repositories = Repositories::new();
    repositories
        .add(&name, repository)
        .map_err(|error| Failure::new(Kind::Address, error.to_string()))?;

    // The path has to be bad once: the client's end spoils both directions.
    let clean = NodeConfig {
        impair: None,
        ..NodeConfig::from(common)
    };
    let mut server = Node::start(&Keypair::generate_ed25519(), clean)?;
    serve::offer(
        &server,
        Server::new(repositories, ServerConfig::default()),
        HashSet::new(),
        None,
    )?;
    server
        .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await?;
    let address = loop {
        match server.event().await {
            Some(Event::Listening(address)) => break address,
            Some(_) => {}
            None => {
                return Err(Failure::new(
                    Kind::Other,
                    "the server's network task has ended",
                ));
            }
        }
    };
    let target = serve::url(server.identity(), &address, &name);
    let client = Node::start(&Keypair::generate_ed25519(), NodeConfig::from(common))?;
    let started = Instant::now();
    let (client, cloned) = clone(client, &target, request, output).await?;
    // The server's end has sent the data.
    report(
        output,
        &cloned,
        started.elapsed(),
        server.newest_stats().as_ref(),
    );
    client.close().await;
    server.close().await;
    Ok(())
}

/// Dials, clones, and gives the node back with its connection still there to be looked at.
async fn clone(
    mut node: Node,
    target: &Target,
    request: CloneRequest,
    output: Output,
) -> Result<(Node, Cloned), Failure> {
    let connecting = async {
        let link = node.dial(target).await?;
        node.open(&link, node::GIT).await
    };
    let stream = super::unless_interrupted(connecting).await?;
    let mut display = Display::new(output);
    let cloned = gapless_git::clone(
        stream,
        request,
        |progress| display.show(&progress),
        super::interrupted(),
    )
    .await;
    drop(display);
    match cloned {
        Ok(cloned) => Ok((node, cloned)),
        Err(CloneError::Connection(error)) => {
            let cause = node.disconnect_cause(target.peer);
            let failure = node::connection_lost(cause.unwrap_or_else(|| error.to_string()));
            node.close().await;
            Err(failure)
        }
        Err(error) => {
            node.close().await;
            Err(failure(error))
        }
    }
}

fn check_target(request: &CloneRequest) -> Result<(), Failure> {
    gapless_git::check_target(&request.target).map_err(failure)
}

fn failure(error: CloneError) -> Failure {
    let cause = with_causes(&error);
    match error {
        CloneError::TargetNotEmpty(_) => {
            Failure::new(Kind::Target, cause).cure("Name another directory, or empty this one.")
        }
        CloneError::Target { .. } => Failure::new(Kind::Target, cause)
            .cure("Name a directory that can be written, with enough room."),
        CloneError::Environment(_) | CloneError::Name(_) => Failure::new(Kind::Address, cause),
        CloneError::Refused(refusal) => refused(&refusal),
        CloneError::Connection(_) => node::connection_lost(cause),
        CloneError::Git { .. } | CloneError::Checkout { .. } => {
            Failure::new(Kind::Repository, cause)
                .cure("Ask the operator to run `git fsck --full` on the original.")
        }
        CloneError::Cancelled => Failure::new(
            Kind::Interrupted,
            "interrupted; nothing is left of the clone",
        ),
        _ => Failure::new(Kind::Other, cause),
    }
}

fn refused(refusal: &Refusal) -> Failure {
    let kind = match refusal {
        Refusal::UnknownRepository { .. } => Kind::UnknownRepository,
        Refusal::PushNotAllowed { .. } => Kind::PushNotAllowed,
        Refusal::TooBusy => Kind::Busy,
        Refusal::GitMissing => Kind::NoGit,
        Refusal::BadRequest => Kind::Unsupported,
        _ => Kind::Repository,
    };
    // The refusals' own words say what to do.
    Failure::new(kind, format!("the server refused: {refusal}"))
}

/// A URL without the repository's name.
pub(super) fn no_name(target: &Target) -> Failure {
    Failure::new(Kind::Address, format!("{target} names no repository")).cure(
        "Append its name: udx://PEER@HOST:PORT/NAME. `gapless serve` prints the complete URL.",
    )
}

fn no_directory() -> Failure {
    Failure::new(Kind::Target, "the repository's name suggests no directory")
        .cure("Name one: gapless clone URL DIR.")
}

fn report(output: Output, cloned: &Cloned, time: Duration, stats: Option<&LinkStats>) {
    let rate = output::rate(cloned.received, time);
    output.say(
        || text(cloned, time, rate, stats),
        || object(cloned, time, rate, stats),
    );
}

fn text(cloned: &Cloned, time: Duration, rate: u64, stats: Option<&LinkStats>) -> String {
    let mut text = format!(
        "{}: {} in {}, {}/s",
        cloned.target.display(),
        output::bytes(cloned.received),
        output::time(time),
        output::bytes(rate),
    );
    if let Some(stats) = stats {
        text.push_str(&format!("; {}", output::path(stats)));
    }
    for path in &cloned.collisions {
        text.push_str(&format!(
            "\nwarning: {path} was left out: another file holds its name"
        ));
    }
    text
}

fn object(
    cloned: &Cloned,
    time: Duration,
    rate: u64,
    stats: Option<&LinkStats>,
) -> serde_json::Value {
    let (head, kind) = match &cloned.head {
        Head::Branch(name) => (name, "branch"),
        Head::Detached(id) => (id, "detached"),
        Head::Unborn(name) => (name, "unborn"),
    };
    serde_json::json!({
        "event": "done",
        "directory": cloned.target.display().to_string(),
        "head": head,
        "head_kind": kind,
        "refs": cloned.refs,
        "objects": cloned.objects,
        "files": cloned.files,
        "collisions": cloned.collisions,
        "bytes_received": cloned.received,
        "bytes_sent": cloned.sent,
        "time_us": output::micros(time),
        "bytes_per_second": rate,
        "path": stats.map(output::path_json),
    })
}
