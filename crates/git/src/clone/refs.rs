//! HEAD, its branch and the configuration, as `git clone` leaves them.

use std::io::Write;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::protocol::handshake::Ref;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};

use super::{CloneError, failed};

/// What HEAD points to after a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A branch, checked out.
    Branch(String),
    /// A commit without a branch, checked out: its hexadecimal name.
    Detached(String),
    /// A branch that has no commit yet: the repository is empty, or its HEAD names a branch it does not have.
    Unborn(String),
}

/// Where branches of the server go.
pub(super) const FETCH_REFSPEC: &str = "+refs/heads/*:refs/remotes/origin/*";
const REMOTE: &str = "origin";
const BRANCHES: &[u8] = b"refs/heads/";

/// The server's HEAD, in terms of its own references.
enum RemoteHead {
    Branch { name: BString, id: ObjectId },
    Detached(ObjectId),
    Unborn(BString),
    Unknown,
}

/// Points HEAD where the server's HEAD points.
pub(super) fn set_head(
    repository: &gix::Repository,
    remote_refs: &[Ref],
    url: &str,
) -> Result<Head, CloneError> {
    let edits = Edits {
        log: super::fetch::log_message(url),
    };
    let default = default_branch(repository);
    match remote_head(remote_refs, default.as_bstr()) {
        RemoteHead::Branch { name, id } => {
            let branch = full_name(&name)?;
            let short = name.strip_prefix(BRANCHES).unwrap_or(&name).as_bstr();
            let tracking = full_name(format!("refs/remotes/{REMOTE}/{short}").as_bytes())?;
            let remote_head = full_name(format!("refs/remotes/{REMOTE}/HEAD").as_bytes())?;
            apply(
                repository,
                vec![
                    edits.symbolic(remote_head, tracking),
                    edits.direct(branch.clone(), id),
                ],
            )?;
            apply(repository, vec![edits.symbolic(head()?, branch)])?;
            // The branch is on HEAD's log too, as if it had been checked out from nothing.
            apply(repository, vec![edits.log_only(head()?, id)])?;
            Ok(Head::Branch(short.to_string()))
        }
        RemoteHead::Detached(id) => {
            apply(repository, vec![edits.direct(head()?, id)])?;
            Ok(Head::Detached(id.to_string()))
        }
        RemoteHead::Unborn(name) => {
            apply(repository, vec![edits.symbolic(head()?, full_name(&name)?)])?;
            Ok(Head::Unborn(
                name.strip_prefix(BRANCHES)
                    .unwrap_or(&name)
                    .as_bstr()
                    .to_string(),
            ))
        }
        RemoteHead::Unknown => Ok(Head::Unborn(default.to_string())),
    }
}

/// Appends the remote and the branch to the repository's configuration file.
pub(super) fn write_config(
    repository: &gix::Repository,
    url: &str,
    head: &Head,
) -> Result<(), CloneError> {
    let path = repository.git_dir().join("config");
    let mut config = gix::config::File::default();
    let failed = |error| failed("writing the configuration", error);
    config
        .set_raw_value_by("remote", REMOTE, "url", url)
        .map_err(failed)?;
    config
        .set_raw_value_by("remote", REMOTE, "fetch", FETCH_REFSPEC)
        .map_err(failed)?;
    if let Head::Branch(name) | Head::Unborn(name) = head {
        let merge = format!("refs/heads/{name}");
        config
            .set_raw_value_by("branch", name.as_str(), "remote", REMOTE)
            .map_err(failed)?;
        config
            .set_raw_value_by("branch", name.as_str(), "merge", merge.as_str())
            .map_err(failed)?;
    }
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(&config.to_bstring()))
        .map_err(|error| CloneError::Target { path, error })
}

/// Git's rules for a clone: the branch that HEAD names; or else, when HEAD is a commit, a branch on that commit, with a
/// preference for the default one; or else the commit itself.
fn remote_head(refs: &[Ref], default: &BStr) -> RemoteHead {
    let head = refs.iter().find(|reference| name_of(reference) == "HEAD");
    match head {
        Some(Ref::Symbolic { target, object, .. }) => {
            if target.starts_with(BRANCHES) && find(refs, target.as_bstr()).is_some() {
                RemoteHead::Branch {
                    name: target.clone(),
                    id: *object,
                }
            } else {
                RemoteHead::Detached(*object)
            }
        }
        Some(Ref::Unborn { target, .. }) if target.starts_with(BRANCHES) => {
            RemoteHead::Unborn(target.clone())
        }
        Some(Ref::Direct { object, .. } | Ref::Peeled { object, .. }) => {
            branch_at(refs, default, object).map_or(RemoteHead::Detached(*object), |name| {
                RemoteHead::Branch { name, id: *object }
            })
        }
        Some(Ref::Unborn { .. }) | None => RemoteHead::Unknown,
    }
}

fn branch_at(refs: &[Ref], default: &BStr, id: &ObjectId) -> Option<BString> {
    let mut names = vec![];
    for reference in refs {
        let name = name_of(reference);
        if name.starts_with(BRANCHES) && find(refs, name) == Some(*id) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let preferred = [default, b"master".as_bstr()];
    let preferred = preferred.into_iter().find_map(|wanted| {
        names
            .iter()
            .find(|name| name.strip_prefix(BRANCHES) == Some(wanted.as_bytes()))
            .copied()
    });
    preferred
        .or_else(|| names.first().copied())
        .map(ToOwned::to_owned)
}

fn find(refs: &[Ref], wanted: &BStr) -> Option<ObjectId> {
    refs.iter()
        .find(|reference| name_of(reference) == wanted)
        .and_then(|reference| match reference {
            Ref::Direct { object, .. }
            | Ref::Symbolic { object, .. }
            | Ref::Peeled { object, .. } => Some(*object),
            Ref::Unborn { .. } => None,
        })
}

fn name_of(reference: &Ref) -> &BStr {
    reference.unpack().0
}

/// The branch that `git init` has given the new repository.
fn default_branch(repository: &gix::Repository) -> BString {
    let name = repository.head_name().ok().flatten();
    name.map_or_else(|| "main".into(), |name| name.shorten().to_owned())
}

fn head() -> Result<FullName, CloneError> {
    full_name(b"HEAD")
}

fn full_name(name: &[u8]) -> Result<FullName, CloneError> {
    FullName::try_from(name.as_bstr())
        .map_err(|error| failed("reading the server's HEAD", gix::Error::from_error(error)))
}

fn apply(repository: &gix::Repository, edits: Vec<RefEdit>) -> Result<(), CloneError> {
    repository
        .edit_references(edits)
        .map_err(|error| failed("writing HEAD", error))?;
    Ok(())
}

/// Makes reference edits that share a log message.
struct Edits {
    log: BString,
}

impl Edits {
    fn direct(&self, name: FullName, id: ObjectId) -> RefEdit {
        self.edit(name, Target::Object(id), RefLog::AndReference)
    }

    fn symbolic(&self, name: FullName, target: FullName) -> RefEdit {
        self.edit(name, Target::Symbolic(target), RefLog::AndReference)
    }

    fn log_only(&self, name: FullName, id: ObjectId) -> RefEdit {
        self.edit(name, Target::Object(id), RefLog::Only)
    }

    fn edit(&self, name: FullName, new: Target, mode: RefLog) -> RefEdit {
        let log = LogChange {
            mode,
            force_create_reflog: false,
            message: self.log.clone(),
        };
        RefEdit {
            change: Change::Update {
                log,
                expected: PreviousValue::Any,
                new,
            },
            name,
            deref: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[byte; 20])
    }

    fn direct(name: &str, byte: u8) -> Ref {
        Ref::Direct {
            full_ref_name: name.into(),
            object: id(byte),
        }
    }

    fn symbolic(target: &str, byte: u8) -> Ref {
        Ref::Symbolic {
            full_ref_name: "HEAD".into(),
            target: target.into(),
            tag: None,
            object: id(byte),
        }
    }

    fn decided(refs: &[Ref]) -> String {
        match remote_head(refs, "main".into()) {
            RemoteHead::Branch { name, .. } => format!("branch {name}"),
            RemoteHead::Detached(_) => "detached".into(),
            RemoteHead::Unborn(name) => format!("unborn {name}"),
            RemoteHead::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn a_symbolic_head_names_its_branch() {
        assert_eq!(
            decided(&[symbolic("refs/heads/dev", 1), direct("refs/heads/dev", 1)]),
            "branch refs/heads/dev"
        );
        assert_eq!(
            decided(&[symbolic("refs/other/dev", 1), direct("refs/heads/dev", 1)]),
            "detached"
        );
    }

    #[test]
    fn a_detached_head_prefers_the_default_branch() {
        let refs = [
            direct("HEAD", 1),
            direct("refs/heads/a", 1),
            direct("refs/heads/main", 1),
            direct("refs/heads/master", 1),
        ];
        assert_eq!(decided(&refs), "branch refs/heads/main");
        let refs = [
            direct("HEAD", 1),
            direct("refs/heads/a", 1),
            direct("refs/heads/main", 2),
            direct("refs/heads/master", 1),
        ];
        assert_eq!(decided(&refs), "branch refs/heads/master");
        let refs = [
            direct("HEAD", 1),
            direct("refs/heads/b", 1),
            direct("refs/heads/a", 1),
            direct("refs/tags/0", 1),
        ];
        assert_eq!(decided(&refs), "branch refs/heads/a");
        assert_eq!(
            decided(&[direct("HEAD", 1), direct("refs/heads/a", 2)]),
            "detached"
        );
    }

    #[test]
    fn an_empty_repository_has_an_unborn_head() {
        let unborn = |target: &str| Ref::Unborn {
            full_ref_name: "HEAD".into(),
            target: target.into(),
        };
        assert_eq!(
            decided(&[unborn("refs/heads/trunk")]),
            "unborn refs/heads/trunk"
        );
        assert_eq!(decided(&[unborn("refs/else")]), "unknown");
        assert_eq!(decided(&[]), "unknown");
    }
}
