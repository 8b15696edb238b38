//! One run of git: how it is started, heard and stopped.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::repository::Repository;
use crate::request::{Request, Service};

/// A running `git upload-pack` or `git receive-pack`. Dropping it tells git to stop.
pub(super) struct Child {
    process: tokio::process::Child,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    stderr: JoinHandle<String>,
}

/// How much of git's complaints is kept, in bytes: its last words hold the reason.
const MAX_STDERR: usize = 4096;
/// How long git may take to end after it closed its output. Hooks run before that.
const EXIT_GRACE: Duration = Duration::from_secs(10);
/// How long to wait for the end of stderr once git has ended: a process left behind by a hook may hold it open.
const STDERR_GRACE: Duration = Duration::from_secs(1);

/// Variables that would make git work on another repository than the one it is told; `git rev-parse --local-env-vars` lists
/// them. They are set, for instance, when the server is started by a hook.
const LOCAL_VARIABLES: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_WORK_TREE",
];

impl Child {
    /// Starts git for a request on a repository. Must be called in a tokio runtime.
    pub(super) fn spawn(
        git: &Path,
        request: &Request,
        repository: &Repository,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(git);
        match request.service {
            // `--strict`: this directory or none, no guessing of `.git` suffixes.
            Service::UploadPack => command.args(["upload-pack", "--strict"]),
            Service::ReceivePack => command.arg("receive-pack"),
        };
        command.arg(repository.git_dir());
        for variable in LOCAL_VARIABLES {
            command.env_remove(variable);
        }
        command.env_remove("GIT_NAMESPACE");
        trust(&mut command, repository);
        if request.version > 0 {
            command.env("GIT_PROTOCOL", format!("version={}", request.version));
        } else {
            command.env_remove("GIT_PROTOCOL");
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Elsewhere `Drop` below asks politely instead.
        command.kill_on_drop(cfg!(not(unix)));
        let mut process = command.spawn()?;
        let stderr = process.stderr.take();
        Ok(Self {
            stdin: process.stdin.take(),
            stdout: process.stdout.take(),
            stderr: tokio::spawn(collect(stderr)),
            process,
        })
    }

    /// Waits for the end of a git that has closed its output; gives how it ended and its last words.
    pub(super) async fn finish(mut self) -> (ExitStatus, String) {
        self.stdin = None;
        self.stdout = None;
        let status = match tokio::time::timeout(EXIT_GRACE, self.process.wait()).await {
            Ok(Ok(status)) => status,
            // It closed its output and stays: nobody hears it any more.
            Ok(Err(_)) | Err(_) => {
                self.process.start_kill().ok();
                self.process.wait().await.unwrap_or_default()
            }
        };
        let words = match tokio::time::timeout(STDERR_GRACE, &mut self.stderr).await {
            Ok(Ok(words)) => words,
            Ok(Err(_)) | Err(_) => String::new(),
        };
        (status, words)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stderr.abort();
        terminate(&self.process);
    }
}

/// Asks git to end. After SIGTERM it stops `pack-objects` and removes what a push has brought so far; SIGKILL leaves both
/// behind. Tokio reaps the process.
#[cfg(unix)]
fn terminate(process: &tokio::process::Child) {
    let pid = process
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM)
    {
        tracing::debug!(%error, "git could not be told to stop");
    }
}

#[cfg(not(unix))]
fn terminate(_process: &tokio::process::Child) {}

/// Whoever names a repository to serve has decided to trust it, whoever owns its files; for git that is `safe.directory`. It is
/// given for these paths only, in the environment, behind whatever configuration the environment holds already.
fn trust(command: &mut Command, repository: &Repository) {
    let inherited = std::env::var("GIT_CONFIG_COUNT")
        .ok()
        .and_then(|count| count.parse::<usize>().ok())
        .unwrap_or(0);
    let paths = [Some(repository.git_dir()), repository.work_tree()];
    let mut count = inherited;
    for path in paths.into_iter().flatten() {
        command.env(format!("GIT_CONFIG_KEY_{count}"), "safe.directory");
        command.env(format!("GIT_CONFIG_VALUE_{count}"), path);
        count = count.saturating_add(1);
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
}

/// Reads stderr to its end and keeps the last part.
async fn collect(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else {
        return String::new();
    };
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(count) = stderr.read(&mut chunk).await {
        let Some(data) = chunk.get(..count).filter(|data| !data.is_empty()) else {
            break;
        };
        kept.extend_from_slice(data);
        let surplus = kept.len().saturating_sub(MAX_STDERR);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
