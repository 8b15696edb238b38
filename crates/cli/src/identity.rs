//! The key that others know this user by.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;

use crate::failure::{Failure, Kind};

/// Reads the identity from `file`, or from the user's own place, where it is made at first use.
///
/// A file named by the user is made too if it is not there. The format is libp2p's: a protobuf-encoded private key, which other
/// libp2p programs read as well.
///
/// # Errors
///
/// If the file cannot be read or made, holds no ed25519 key, or is open to others.
pub fn load_or_create(file: Option<&Path>) -> Result<Keypair, Failure> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => default_path()?,
    };
    match load(&path) {
        Err(LoadError::Missing) => create(&path),
        Err(LoadError::Failed(failure)) => Err(failure),
        Ok(keypair) => Ok(keypair),
    }
}

/// `$XDG_CONFIG_HOME/gapless/identity`, with the fallbacks of the XDG Base Directory Specification; `%APPDATA%` on Windows.
///
/// # Errors
///
/// If the environment names no home.
pub fn default_path() -> Result<PathBuf, Failure> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = if cfg!(windows) {
        variable("APPDATA")
    } else {
        variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))
    };
    let base = base.ok_or_else(|| {
        Failure::new(
            Kind::Identity,
            "the environment names no home directory to keep the identity in",
        )
        .cure("Set HOME, or say --identity FILE.")
    })?;
    Ok(base.join("gapless").join("identity"))
}

enum LoadError {
    Missing,
    Failed(Failure),
}

fn load(path: &Path) -> Result<Keypair, LoadError> {
    let failed = |cause: String, cure: &str| {
        LoadError::Failed(Failure::new(Kind::Identity, cause).cure(cure))
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LoadError::Missing),
        Err(error) => {
            let cause = format!("the identity {} cannot be read: {error}", path.display());
            return Err(failed(cause, "Name another with --identity FILE."));
        }
    };
    if let Some(mode) = open_to_others(path) {
        let path = path.display();
        let cause = format!(
            "others can read the identity {path} (its mode is {mode:04o}), so it proves nothing"
        );
        let cure = format!(
            "If you know that nobody has read it: chmod 600 {path}. Otherwise delete it: the next run makes a new one."
        );
        return Err(LoadError::Failed(
            Failure::new(Kind::Identity, cause).cure(cure),
        ));
    }
    let keypair = Keypair::from_protobuf_encoding(&bytes)
        .ok()
        .filter(|keypair| keypair.clone().try_into_ed25519().is_ok());
    keypair.ok_or_else(|| {
        let cause = format!(
            "{} holds no ed25519 key in libp2p's encoding",
            path.display()
        );
        failed(
            cause,
            "Name another file with --identity FILE; if it does not exist, it is made.",
        )
    })
}

fn create(path: &Path) -> Result<Keypair, Failure> {
    let keypair = Keypair::generate_ed25519();
    match write_new(path, &keypair) {
        Ok(()) => Ok(keypair),
        // Another process was first; its key counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match load(path) {
            Ok(keypair) => Ok(keypair),
            Err(LoadError::Failed(failure)) => Err(failure),
            Err(LoadError::Missing) => Err(cannot_create(path, &io::ErrorKind::NotFound.into())),
        },
        Err(error) => Err(cannot_create(path, &error)),
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Kind::Identity,
        format!("the identity {} cannot be made: {error}", path.display()),
    )
    .cure("Name a file that can be written with --identity FILE.")
}

/// Writes the key so that no other user can read it at any time, and no other process sees half of it.
fn write_new(path: &Path, keypair: &Keypair) -> io::Result<()> {
    let bytes = keypair.to_protobuf_encoding().map_err(io::Error::other)?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    make_private_directory(directory)?;
    // tempfile makes files with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

#[cfg(unix)]
fn make_private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

#[cfg(not(unix))]
fn make_private_directory(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)
}

/// The file's mode if group or others have any right to it.
#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_path: &Path) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_makes_it_and_later_ones_find_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/identity");
        let made = load_or_create(Some(&path)).unwrap();
        let found = load_or_create(Some(&path)).unwrap();
        assert_eq!(made.public(), found.public());
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn many_first_uses_at_once_agree() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        let peers = std::thread::scope(|scope| {
            let threads = (0..8)
                .map(|_| scope.spawn(|| load_or_create(Some(&path)).unwrap().public()))
                .collect::<Vec<_>>();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(peers.iter().all(|peer| *peer == peers[0]));
    }

    #[cfg(unix)]
    #[test]
    fn others_cannot_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/identity");
        load_or_create(Some(&path)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);

        for open in [0o640, 0o604, 0o644, 0o620] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(open)).unwrap();
            let failure = load_or_create(Some(&path)).unwrap_err();
            assert_eq!(failure.kind, Kind::Identity);
            assert!(failure.cure.unwrap().contains("chmod 600"));
        }
    }

    #[test]
    fn what_is_no_key_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        let file = tempfile::NamedTempFile::new_in(&home).unwrap();
        file.persist(&path).unwrap();
        std::fs::write(&path, "not a key").unwrap();
        assert_eq!(
            load_or_create(Some(&path)).unwrap_err().kind,
            Kind::Identity
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"not a key");
    }
}
