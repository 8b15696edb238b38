//! Runs the programs as a user would: as processes, with homes of their own.
#![allow(dead_code, unreachable_pub)] // Each test program uses its part.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const GAPLESS: &str = env!("CARGO_BIN_EXE_gapless");
const HELPER: &str = env!("CARGO_BIN_EXE_git-remote-udx");
/// No test may hang: this is far beyond what any of them needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with everything of one test in it.
pub struct World {
    pub home: TempDir,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// It has to have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// It has to have failed with this code, naming cause and cure in these words.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for word in words {
            assert!(
                self.err.contains(word),
                "'{word}' is missing in: {}",
                self.err
            );
        }
        self
    }

    /// The last line of `--json`.
    #[track_caller]
    pub fn last_json(&self) -> Value {
        serde_json::from_str(self.out.lines().last().unwrap_or_default()).unwrap()
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// None, loudly, where no git is installed.
    pub fn with_git() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("SKIPPED: this test needs git, and none is installed");
            return None;
        }
        Some(Self::new())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.path()).unwrap();
        let mut names = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    /// `gapless` as the user `who`, in the world's directory.
    pub fn gapless_command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(GAPLESS);
        command.args(arguments);
        self.dress(&mut command, who);
        command
    }

    pub fn gapless(&self, who: &str, arguments: &[&str]) -> Said {
        run(self.gapless_command(who, arguments))
    }

    /// git in `directory` as the user `who`, with the helper in its PATH.
    pub fn try_git(&self, who: &str, directory: &str, arguments: &[&str]) -> Said {
        let mut command = Command::new("git");
        command.args(arguments);
        self.dress(&mut command, who);
        command.current_dir(self.path(directory));
        run(command)
    }

    #[track_caller]
    pub fn git(&self, directory: &str, arguments: &[&str]) -> String {
        self.try_git("somebody", directory, arguments).ok().out
    }

    fn dress(&self, command: &mut Command, who: &str) {
        let helpers = Path::new(HELPER).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(helpers).chain(std::env::split_paths(&path));
        command
            .current_dir(self.home.path())
            .env("PATH", std::env::join_paths(paths).unwrap())
            .env("XDG_CONFIG_HOME", self.path(&format!("config-{who}")))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", who)
            .env("GIT_AUTHOR_EMAIL", "author@example.org")
            .env("GIT_COMMITTER_NAME", who)
            .env("GIT_COMMITTER_EMAIL", "committer@example.org")
            .env("LC_ALL", "C")
            .env_remove("GAPLESS_IDENTITY")
            .env_remove("GAPLESS_IMPAIR")
            .env_remove("GAPLESS_IDLE_TIMEOUT")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
    }

    /// The identity of the user `who`.
    pub fn identity(&self, who: &str) -> String {
        self.gapless(who, &["id"]).ok().out.trim().to_owned()
    }

    /// A repository `name` with two commits.
    pub fn make_repository(&self, name: &str) {
        std::fs::create_dir(self.path(name)).unwrap();
        self.git(name, &["init", "-q", "-b", "main"]);
        self.commit(name, "README", b"hello\n");
        self.commit(name, "src/lib.rs", b"//! Nothing.\n");
        self.git(name, &["tag", "-a", "-m", "first", "v1"]);
    }

    pub fn commit(&self, repository: &str, file: &str, content: &[u8]) {
        let path = self.path(repository).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.git(repository, &["add", "-A"]);
        self.git(repository, &["commit", "-q", "-m", file]);
    }

    /// A repository whose pack has `size` bytes that nothing can compress, made without trying to.
    pub fn make_large_repository(&self, name: &str, size: usize) {
        self.make_repository(name);
        for (key, value) in [
            ("core.compression", "0"),
            ("core.looseCompression", "0"),
            ("pack.window", "0"),
        ] {
            self.git(name, &["config", key, value]);
        }
        let part = 1 << 20;
        for number in 0..size.div_ceil(part) {
            let content = noise(
                u64::try_from(number).unwrap(),
                part.min(size - number * part),
            );
            std::fs::write(self.path(name).join(format!("part-{number}")), content).unwrap();
        }
        self.commit(name, "large", b"");
    }

    /// The clone is sound, and its branches, tags and HEAD are the original's.
    #[track_caller]
    pub fn assert_same(&self, original: &str, clone: &str) {
        self.git(clone, &["fsck", "--full"]);
        assert_eq!(
            self.git(clone, &["rev-parse", "HEAD"]),
            self.git(original, &["rev-parse", "HEAD"])
        );
        let heads = |repository, prefix: &str| {
            let format = format!(
                "--format=%(objectname) %(refname:lstrip={})",
                prefix.split('/').count()
            );
            let listed = self.git(repository, &["for-each-ref", &format, prefix]);
            listed
                .lines()
                .filter(|line| !line.ends_with(" HEAD"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            heads(clone, "refs/remotes/origin"),
            heads(original, "refs/heads")
        );
        assert_eq!(heads(clone, "refs/tags"), heads(original, "refs/tags"));
        assert_eq!(self.git(clone, &["status", "--porcelain"]), "");
    }

    /// `gapless serve` as the user `who`, on a free port of 127.0.0.1 if nothing else is said.
    pub fn serve(&self, who: &str, arguments: &[&str]) -> Serving {
        let mut all = [&["serve", "--json"], arguments].concat();
        if !arguments.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        let mut command = self.gapless_command(who, &all);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut urls = Vec::new();
        loop {
            let line = lines.next().expect("the server ended").unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            match event["event"].as_str().unwrap() {
                "repository" => {
                    let url = event["urls"][0].as_str().unwrap().to_owned();
                    urls.push((event["name"].as_str().unwrap().to_owned(), url));
                }
                "serving" => {
                    let multiaddr = event["multiaddrs"][0].as_str().unwrap().to_owned();
                    // A full pipe would stop the server.
                    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect());
                    return Serving {
                        child,
                        urls,
                        multiaddr,
                        rest: Some(rest),
                    };
                }
                other => panic!("unexpected event {other}"),
            }
        }
    }
}

/// A running server; it is killed when dropped.
pub struct Serving {
    child: Child,
    urls: Vec<(String, String)>,
    pub multiaddr: String,
    rest: Option<std::thread::JoinHandle<Vec<String>>>,
}

impl Serving {
    pub fn url(&self, name: &str) -> &str {
        &self
            .urls
            .iter()
            .find(|(served, _)| served == name)
            .unwrap()
            .1
    }

    /// SIGKILL: no goodbye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C; gives what it said after it had begun to serve.
    #[cfg(unix)]
    pub fn interrupt(mut self) -> (Option<i32>, Vec<String>) {
        interrupt(&self.child);
        let code = wait(&mut self.child).code();
        (code, self.rest.take().unwrap().join().unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends SIGINT, as Ctrl-C does.
#[cfg(unix)]
pub fn interrupt(child: &Child) {
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
}

/// Waits for the end, but not for ever.
pub fn wait(child: &mut Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn run(mut command: Command) -> Said {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Both pipes are read while waiting, or a talkative program would stop.
    let out = read(child.stdout.take().unwrap());
    let err = read(child.stderr.take().unwrap());
    let status = wait(&mut child);
    let output = Output {
        status,
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
    };
    Said::new(&output)
}

fn read(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
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
