//! Where a clone grows until it is complete, so that a failed one leaves nothing behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::CloneError;

/// A directory that becomes the target when all went well, and vanishes otherwise.
///
/// Inside of a hidden temporary directory a plain one is made for the work: the temporary one is private to the user (0700), and
/// the clone's own permissions shall follow the umask.
#[derive(Debug)]
pub(super) struct Place {
    /// None once committed.
    temporary: Option<TempDir>,
    work: PathBuf,
    target: PathBuf,
    /// The target was an empty directory. It stays the same directory, for it may be a mount point or someone's current one.
    fill_existing: bool,
    /// Parents made on the way, outermost first.
    made: Vec<PathBuf>,
}

impl Place {
    pub(super) fn prepare(target: &Path) -> Result<Self, CloneError> {
        let (target, fill_existing) = examine(target)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| CloneError::Target { path, error }
        };
        let home = if fill_existing {
            target.as_path()
        } else {
            target.parent().unwrap_or(&target)
        };
        let made = make_parents(home).map_err(failed(home))?;
        let mut place = Self {
            temporary: None,
            work: PathBuf::new(),
            fill_existing,
            made,
            target: target.clone(),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".gapless-clone-")
            .tempdir_in(home)
            .map_err(failed(home))?;
        place.work = temporary.path().join("repository");
        place.temporary = Some(temporary);
        fs::create_dir(&place.work).map_err(failed(&place.work))?;
        Ok(place)
    }

    /// The directory to work in, empty at first.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Moves the finished work to the target; gives its path.
    pub(super) fn commit(mut self) -> Result<PathBuf, CloneError> {
        let moved = if self.fill_existing {
            self.fill()
        } else {
            fs::rename(&self.work, &self.target)
        };
        moved.map_err(|error| match error.kind() {
            // Somebody else was faster.
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => CloneError::TargetNotEmpty(self.target.clone()),
            _ => CloneError::Target {
                path: self.target.clone(),
                error,
            },
        })?;
        self.made.clear();
        Ok(self.target.clone())
    }

    /// Moves the entries one by one, `.git` last: until then no program takes the directory for a repository.
    fn fill(&self) -> io::Result<()> {
        let mut moved = Vec::new();
        let result = self.fill_noting(&mut moved);
        if result.is_err() {
            for path in moved {
                let back = self.work.join(path.file_name().unwrap_or_default());
                fs::rename(&path, back).ok();
            }
        }
        result
    }

    fn fill_noting(&self, moved: &mut Vec<PathBuf>) -> io::Result<()> {
        let names = fs::read_dir(&self.work)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        let (last, first): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == ".git");
        for name in first.into_iter().chain(last) {
            let to = self.target.join(&name);
            // A rename would silently replace a file that appeared meanwhile.
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(self.work.join(&name), &to)?;
            moved.push(to);
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take()
            && let Err(error) = temporary.close()
        {
            tracing::warn!(%error, "the unfinished clone could not be removed");
        }
        for directory in self.made.iter().rev() {
            fs::remove_dir(directory).ok();
        }
    }
}

/// Whether a clone could go to `target`: it does not exist, or is an empty directory. To be asked before the network is.
///
/// # Errors
///
/// [`CloneError::TargetNotEmpty`], or [`CloneError::Target`] when it cannot be read.
pub fn check_target(target: &Path) -> Result<(), CloneError> {
    examine(target).map(drop)
}

/// The absolute form of `target`, and whether it is an empty directory.
fn examine(target: &Path) -> Result<(PathBuf, bool), CloneError> {
    let failed = |error| CloneError::Target {
        path: target.to_owned(),
        error,
    };
    let absolute = std::path::absolute(target).map_err(failed)?;
    match fs::read_dir(&absolute) {
        Ok(mut entries) => match entries.next() {
            None => Ok((absolute, true)),
            Some(_) => Err(CloneError::TargetNotEmpty(absolute)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((absolute, false)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(CloneError::TargetNotEmpty(absolute))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Makes `directory` and its parents; gives those that did not exist.
fn make_parents(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut missing = directory
        .ancestors()
        .take_while(|path| !path.exists())
        .map(Path::to_owned)
        .collect::<Vec<_>>();
    missing.reverse();
    fs::create_dir_all(directory)?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    fn fill(place: &Place) {
        fs::create_dir(place.work().join(".git")).unwrap();
        fs::write(place.work().join("file"), "content").unwrap();
    }

    #[test]
    fn committing_makes_the_target() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("a/b/target");
        let place = Place::prepare(&target).unwrap();
        fill(&place);
        assert!(!target.exists());
        assert_eq!(place.commit().unwrap(), target);
        assert_eq!(names(&target), [".git", "file"]);
        assert_eq!(names(target.parent().unwrap()), ["target"]);
    }

    #[test]
    fn dropping_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::prepare(&home.path().join("a/b/target")).unwrap();
        fill(&place);
        drop(place);
        assert!(names(home.path()).is_empty());
    }

    #[test]
    fn an_empty_directory_is_filled_in_place() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::prepare(home.path()).unwrap();
        fill(&place);
        place.commit().unwrap();
        assert_eq!(names(home.path()), [".git", "file"]);

        let home = tempfile::tempdir().unwrap();
        drop(Place::prepare(home.path()).unwrap());
        assert!(names(home.path()).is_empty());
    }

    #[test]
    fn what_exists_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("mine"), "").unwrap();
        assert!(matches!(
            Place::prepare(home.path()),
            Err(CloneError::TargetNotEmpty(_))
        ));
        assert!(matches!(
            Place::prepare(&home.path().join("mine")),
            Err(CloneError::TargetNotEmpty(_))
        ));
        assert_eq!(names(home.path()), ["mine"]);
    }

    #[test]
    fn a_target_that_appears_meanwhile_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("target");
        let place = Place::prepare(&target).unwrap();
        fill(&place);
        fs::create_dir(&target).unwrap();
        fs::write(target.join("theirs"), "").unwrap();
        assert!(matches!(place.commit(), Err(CloneError::TargetNotEmpty(_))));
        assert_eq!(names(home.path()), ["target"]);
        assert_eq!(names(&target), ["theirs"]);

        let existing = tempfile::tempdir().unwrap();
        let place = Place::prepare(existing.path()).unwrap();
        fill(&place);
        fs::write(existing.path().join("file"), "theirs").unwrap();
        assert!(matches!(place.commit(), Err(CloneError::TargetNotEmpty(_))));
        assert_eq!(names(existing.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_follow_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let plain = home.path().join("plain");
        fs::create_dir(&plain).unwrap();
        let target = Place::prepare(&home.path().join("target"))
            .unwrap()
            .commit()
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain));
    }
}
