//! From an empty repository to one with all objects and references.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::bstr::BString;
use gix::progress::tree::Item;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use gix::remote;
use gix::remote::fetch::Status;

use super::{CloneError, CloneRequest, failed};
use crate::request::{Request, Service};

/// What the fetch brought.
pub(super) struct Fetched {
    pub(super) remote_refs: Vec<Ref>,
    /// References written here.
    pub(super) refs: usize,
    /// Objects in the pack.
    pub(super) objects: u64,
}

/// An empty repository with a worktree at `work`, made with the user's configuration as `git init` would.
pub(super) fn init(work: &Path) -> Result<gix::Repository, CloneError> {
    let options = gix::create::Options {
        destination_must_be_empty: Some(true),
        ..Default::default()
    };
    let kind = gix::create::Kind::WithWorktree;
    let mut repository =
        gix::ThreadSafeRepository::init_opts(work, kind, options, gix::open::Options::default())
            .map_err(|error| failed("making the repository", error))?
            .to_thread_local();
    // References have a log, and its entries name someone even where nobody has told git a name.
    repository
        .committer_or_set_generic_fallback()
        .map_err(|error| failed("naming the committer", error))?;
    Ok(repository)
}

/// Fetches all branches and tags over the two ends of a stream.
pub(super) fn fetch<R, W>(
    repository: &gix::Repository,
    request: &CloneRequest,
    progress: &mut Item,
    interrupt: &AtomicBool,
    reader: R,
    writer: W,
) -> Result<Fetched, CloneError>
where
    R: io::Read + Send,
    W: io::Write + Send,
{
    // The transport writes the request itself; this checks the name first, for a better message.
    Request {
        service: Service::UploadPack,
        name: request.name.clone(),
        version: 2,
    }
    .encode()?;
    let path = format!("/{}", request.name);
    let host = None::<(String, Option<u16>)>;
    let transport = Connection::new(
        reader,
        writer,
        Protocol::V2,
        path,
        host,
        ConnectMode::Daemon,
        false,
    )
    .custom_url(Some(request.url.clone().into()));

    let remote = origin(repository, &request.url)?;
    // There is nobody to ask for a password: who may read, the transport has settled.
    let connection = remote
        .to_connection_with_transport(transport)
        .with_credentials(|_| Ok(None));
    // HEAD itself is wanted too: it may be detached, on a commit that no branch reaches.
    let options = remote::ref_map::Options {
        extra_refspecs: vec![head_refspec()?],
        ..Default::default()
    };
    let negotiated = connection
        .prepare_fetch(&mut *progress, options)
        .map_err(|error| failed("negotiating", error))?;
    if negotiated.ref_map().remote_refs.iter().all(is_unborn) {
        // There is nothing to ask for, and git's server expects no further word.
        let remote_refs = negotiated.ref_map().remote_refs.clone();
        return Ok(Fetched {
            remote_refs,
            refs: 0,
            objects: 0,
        });
    }
    let outcome = negotiated
        .with_write_packed_refs_only(true)
        .with_reflog_message(remote::fetch::RefLogMessage::Override {
            message: log_message(&request.url),
        })
        .receive(progress, interrupt)
        .map_err(|error| failed("receiving", error))?;
    let (objects, refs) = match &outcome.status {
        Status::Change {
            write_pack_bundle,
            update_refs,
            ..
        } => (
            u64::from(write_pack_bundle.index.num_objects),
            update_refs.edits.len(),
        ),
        Status::NoPackReceived { update_refs, .. } => (0, update_refs.edits.len()),
    };
    check_targets(repository, &outcome.ref_map.mappings)?;
    Ok(Fetched {
        remote_refs: outcome.ref_map.remote_refs,
        refs,
        objects,
    })
}

/// What git writes into the logs of references when it clones.
pub(super) fn log_message(url: &str) -> BString {
    format!("clone: from {url}").into()
}

/// The remote as `git clone` configures it.
fn origin<'repo>(
    repository: &'repo gix::Repository,
    url: &str,
) -> Result<gix::Remote<'repo>, CloneError> {
    let configure = |error| failed("configuring the remote", error);
    let remote = repository
        .remote_at_without_url_rewrite(url)
        .map_err(configure)?;
    let refspecs = [super::refs::FETCH_REFSPEC];
    let remote = remote
        .with_refspecs(refspecs, remote::Direction::Fetch)
        .map_err(|error| failed("configuring the remote", error))?;
    Ok(remote.with_fetch_tags(remote::fetch::Tags::All))
}

fn head_refspec() -> Result<gix::refspec::RefSpec, CloneError> {
    let parsed = gix::refspec::parse("HEAD".into(), gix::refspec::parse::Operation::Fetch);
    Ok(parsed
        .map_err(|error| failed("asking for HEAD", error))?
        .to_owned())
}

fn is_unborn(reference: &Ref) -> bool {
    matches!(reference, Ref::Unborn { .. })
}

/// The pack's own checks say that it is whole, not that it is the one asked for.
fn check_targets(
    repository: &gix::Repository,
    mappings: &[remote::fetch::refmap::Mapping],
) -> Result<(), CloneError> {
    for id in mappings.iter().filter_map(|mapping| mapping.remote.as_id()) {
        if !repository.has_object(id) {
            let details =
                format!("the server did not send {id}, to which one of its references points");
            return Err(CloneError::Git {
                doing: "checking",
                details,
            });
        }
    }
    Ok(())
}
