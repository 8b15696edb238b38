//! Repositories to serve, streams to serve them on, and git itself as the judge of clones.
#![allow(dead_code, unreachable_pub)] // Each test program uses its part.

use std::path::{Path, PathBuf};
use std::process::Command;

use gapless_git::{
    Access, CloneError, CloneRequest, Cloned, Progress, Repositories, Repository, ServeError,
    Served, Server, ServerConfig,
};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

/// What the clones are told to remember as their origin.
pub const URL: &str = "udx://12D3KooWPeer@127.0.0.1:9000/repo";

/// A directory with an original repository `origin` in it.
pub struct World {
    pub home: TempDir,
}

impl World {
    /// None, loudly, where no git is installed.
    pub fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("SKIPPED: this test needs git, and none is installed");
            return None;
        }
        let world = Self {
            home: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(world.origin()).unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["config", "user.name", "Somebody"]);
        world.git(&["config", "user.email", "somebody@example.org"]);
        world.git(&["config", "commit.gpgsign", "false"]);
        Some(world)
    }

    pub fn origin(&self) -> PathBuf {
        self.path("origin")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs git in the original.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.origin(), arguments)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.origin().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    /// Serves the original, as `repo`.
    pub fn server(&self) -> Server {
        server(&self.origin(), ServerConfig::default())
    }

    /// Clones the original over a stream into the directory `name`.
    pub async fn clone(&self, name: &str) -> Result<Cloned, CloneError> {
        let (stream, _serving) = serve(&self.server(), Access::ReadOnly, 1 << 16);
        self.clone_from(stream, "repo", name).await
    }

    pub async fn clone_from(
        &self,
        stream: DuplexStream,
        repository: &str,
        name: &str,
    ) -> Result<Cloned, CloneError> {
        clone_reporting(stream, repository, &self.path(name), |_| {}).await
    }

    /// What is in the world's directory.
    pub fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.path()).unwrap();
        let mut names = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    /// The clone is sound, and in nothing different from what `git clone` makes.
    pub fn assert_as_git_would(&self, clone: &str) {
        let theirs = format!("{clone}-by-git");
        let origin = format!("file://{}", self.origin().display());
        git(self.home.path(), &["clone", "-q", &origin, &theirs]);
        let (ours, theirs) = (self.path(clone), self.path(&theirs));
        git(&ours, &["fsck", "--full", "--strict"]);
        for question in [
            &[
                "for-each-ref",
                "--format=%(refname) %(objectname) %(symref)",
            ][..],
            &["ls-files", "-s"],
            &["status", "--porcelain", "--branch"],
            &["log", "--all", "--oneline"],
            &["config", "--get-regexp", "^branch\\..*"],
            &["config", "remote.origin.fetch"],
        ] {
            assert_eq!(
                try_git(&ours, question),
                try_git(&theirs, question),
                "git {question:?}"
            );
        }
        let head =
            |repository: &Path| std::fs::read_to_string(repository.join(".git/HEAD")).unwrap();
        assert_eq!(head(&ours), head(&theirs));
        assert_eq!(git(&ours, &["config", "remote.origin.url"]).trim(), URL);
        assert_eq!(git(&ours, &["count-objects"]), "0 objects, 0 kilobytes\n");
    }
}

pub fn server(path: &Path, config: ServerConfig) -> Server {
    let mut repositories = Repositories::new();
    repositories
        .add("repo", Repository::open(path).unwrap())
        .unwrap();
    Server::new(repositories, config)
}

/// A stream at whose other end `server` serves.
pub fn serve(
    server: &Server,
    access: Access,
    buffer: usize,
) -> (DuplexStream, JoinHandle<Result<Served, ServeError>>) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    let server = server.clone();
    (
        ours,
        tokio::spawn(async move { server.serve(theirs, access).await }),
    )
}

pub async fn clone_reporting(
    stream: DuplexStream,
    repository: &str,
    target: &Path,
    report: impl FnMut(Progress),
) -> Result<Cloned, CloneError> {
    let request = CloneRequest {
        name: repository.to_owned(),
        url: URL.to_owned(),
        target: target.to_owned(),
    };
    gapless_git::clone(stream, request, report, std::future::pending()).await
}

/// Runs git and gives its output; it has to succeed.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    try_git(directory, arguments).unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
}

/// Runs git without the user's own configuration.
pub fn try_git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .current_dir(directory)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Bytes that do not compress, the same in every run.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
