//! Which repositories are served, under which names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The served repositories by name. A name leads nowhere but through this map, so no request can reach another path.
#[derive(Clone, Debug, Default)]
pub struct Repositories(BTreeMap<String, Repository>);

/// A repository on disk, bare or with a worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    git_dir: PathBuf,
    work_tree: Option<PathBuf>,
}

/// Why a path is no repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path cannot be reached.
    #[error("{path} cannot be opened", path = path.display())]
    Unreachable {
        /// The path asked for.
        path: PathBuf,
        /// The system's answer.
        #[source]
        error: std::io::Error,
    },
    /// There is a directory, but no Git repository in it.
    #[error("{path} is no Git repository", path = path.display())]
    NotARepository {
        /// The path asked for.
        path: PathBuf,
        /// What gitoxide found missing.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a name cannot be given to a repository.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Empty, longer than 255 bytes, beginning or ending with a slash, or holding a control character.
    #[error("'{0}' cannot be a repository's name")]
    BadName(String),
    /// Another repository has this name already.
    #[error("two repositories would be served as '{0}'")]
    Taken(String),
}

/// Longest name in bytes: the limit of a file name on the usual systems, far below that of a request.
const MAX_NAME: usize = 255;

impl Repositories {
    /// No repository yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `repository` under `name`.
    ///
    /// # Errors
    ///
    /// See [`AddError`]; the map is unchanged then.
    pub fn add(&mut self, name: &str, repository: Repository) -> Result<(), AddError> {
        let slash_at_edge = name.starts_with('/') || name.ends_with('/');
        if name.is_empty()
            || name.len() > MAX_NAME
            || slash_at_edge
            || name.contains(char::is_control)
        {
            return Err(AddError::BadName(name.to_owned()));
        }
        if self.0.contains_key(name) {
            return Err(AddError::Taken(name.to_owned()));
        }
        self.0.insert(name.to_owned(), repository);
        Ok(())
    }

    /// The repository of this name.
    pub fn get(&self, name: &str) -> Option<&Repository> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Repository)> {
        self.0
            .iter()
            .map(|(name, repository)| (name.as_str(), repository))
    }
}

impl Repository {
    /// Finds the repository at `path`: a bare one, one with a worktree (its top directory or its `.git`), a linked worktree or a
    /// submodule. Parent directories are not searched.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let canonical = path
            .canonicalize()
            .map_err(|error| OpenError::Unreachable {
                path: path.to_owned(),
                error,
            })?;
        // Only where its parts are: what is in its configuration, and whether it may be trusted, is for the serving git.
        let dot_git = canonical.join(".git");
        let (directory, kind) = match gix::discover::is_git(&dot_git) {
            Ok(kind) => (dot_git, kind),
            Err(_) => {
                let kind = gix::discover::is_git(&canonical);
                let kind = kind.map_err(|error| not_a_repository(path, error.into()))?;
                (canonical.clone(), kind)
            }
        };
        // The path is absolute: there is nothing to be relative to.
        let found = gix::discover::repository::Path::from_dot_git_dir(directory, kind, &canonical)
            .ok_or_else(|| not_a_repository(path, "its parts cannot be located".into()))?;
        let (git_dir, work_tree) = found.into_repository_and_work_tree_directories();
        Ok(Self { git_dir, work_tree })
    }

    /// The directory with `HEAD` and `objects`.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The checked-out files, if there are any.
    pub fn work_tree(&self) -> Option<&Path> {
        self.work_tree.as_deref()
    }
}

fn not_a_repository(path: &Path, error: Box<dyn std::error::Error + Send + Sync>) -> OpenError {
    OpenError::NotARepository {
        path: path.to_owned(),
        error,
    }
}

/// The name a path suggests, as `git clone` would choose the directory: the last component, without `.git`.
pub fn default_name(path: &Path) -> Option<String> {
    let canonical = path.canonicalize().ok();
    let mut path = canonical.as_deref().unwrap_or(path);
    if path.file_name()? == ".git" {
        path = path.parent()?;
    }
    let name = path.file_name()?.to_str()?;
    Some(name.strip_suffix(".git").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Repository {
        Repository {
            git_dir: "/nowhere".into(),
            work_tree: None,
        }
    }

    #[test]
    fn names_are_checked_and_unique() {
        let mut repositories = Repositories::new();
        repositories.add("team/a", repository()).unwrap();
        assert_eq!(
            repositories.add("team/a", repository()),
            Err(AddError::Taken("team/a".into()))
        );
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", "/a", "a/", "a\nb", "a\0", long.as_str()] {
            assert_eq!(
                repositories.add(name, repository()),
                Err(AddError::BadName(name.into()))
            );
        }
        assert_eq!(
            repositories
                .iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>(),
            ["team/a"]
        );
        assert!(repositories.get("team/a/../a").is_none());
        assert!(repositories.get("../team/a").is_none());
    }

    #[test]
    fn names_follow_the_path() {
        let name = |path| default_name(Path::new(path));
        assert_eq!(name("/nowhere/project").as_deref(), Some("project"));
        assert_eq!(name("/nowhere/project.git").as_deref(), Some("project"));
        assert_eq!(name("/nowhere/project/.git").as_deref(), Some("project"));
        assert_eq!(name("/"), None);
    }

    #[test]
    fn a_plain_directory_is_no_repository() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            Repository::open(directory.path()),
            Err(OpenError::NotARepository { .. })
        ));
        let missing = directory.path().join("missing");
        assert!(matches!(
            Repository::open(&missing),
            Err(OpenError::Unreachable { .. })
        ));
    }
}
