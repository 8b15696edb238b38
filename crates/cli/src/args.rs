//! The command line of `gapless`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gapless::link::Profile;
use libp2p::PeerId;

use crate::address::DEFAULT_PORT;
use crate::failure::{self, Failure, Kind};
use crate::lab::LabArgs;

/// Git, ping and throughput over UDX: reliable streams over networks that lose, reorder, duplicate and delay packets.
#[derive(Debug, Parser)]
#[command(name = "gapless", version, propagate_version = true, arg_required_else_help = true, after_long_help = after_help())]
pub struct Cli {
    /// What all commands understand.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The key that others know you by; made if it does not exist [default: ~/.config/gapless/identity]
    #[arg(long, value_name = "FILE", global = true, env = "GAPLESS_IDENTITY")]
    pub identity: Option<PathBuf>,
    /// Spoil the program's own datagrams in both directions, as a bad path would
    ///
    /// Joined by commas: loss=2%, burst=4 (losses in a row), delay=20ms, jitter=5ms, reorder=1%, duplicate=1%,
    /// corrupt=0.1%, truncate=0.1%, rate=50mbit, queue=100ms, mtu=1400, blackout=5s+2s, seed=7.
    #[arg(long, value_name = "SPEC", global = true, env = "GAPLESS_IMPAIR")]
    pub impair: Option<Profile>,
    /// Give up a connection on which nothing was heard for so long
    #[arg(long, value_name = "TIME", global = true, env = "GAPLESS_IDLE_TIMEOUT", default_value = "30s", value_parser = parse_time)]
    pub idle_timeout: Duration,
    /// Speak only this wire version of UDX, dialing and accepting; auto finds out the peer's, and accepts both
    #[arg(
        long,
        value_name = "VERSION",
        global = true,
        env = "GAPLESS_UDX_VERSION",
        default_value = "auto"
    )]
    pub udx_version: UdxVersion,
    /// Print one JSON object per line on standard output, for scripts
    #[arg(long, global = true)]
    pub json: bool,
}

/// Which wire versions of UDX are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum UdxVersion {
    /// The one that the peer speaks.
    #[default]
    #[value(name = "auto")]
    Auto,
    /// Version 3, that of today.
    #[value(name = "3")]
    V3,
    /// Version 2, that of peers until 2026.
    #[value(name = "2")]
    V2,
}

impl Common {
    /// The options as the environment gives them, for programs whose arguments are others'.
    ///
    /// # Errors
    ///
    /// If a variable's value is no value of its option.
    pub fn from_environment() -> Result<Self, Failure> {
        #[derive(Parser)]
        struct OptionsOnly {
            #[command(flatten)]
            common: Common,
        }
        let parsed = OptionsOnly::try_parse_from(["gapless"]);
        Ok(parsed
            .map_err(|error| Failure::new(Kind::Other, error.to_string()))?
            .common)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show your identity
    Id,
    /// Serve Git repositories until Ctrl-C
    #[command(after_long_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Clone a Git repository
    #[command(after_long_help = CLONE_EXAMPLES)]
    Clone(CloneArgs),
    /// Measure round trips to a peer with libp2p's ping
    #[command(after_long_help = PING_EXAMPLES)]
    Ping(PingArgs),
    /// Measure throughput to a peer with libp2p's perf
    #[command(after_long_help = PERF_EXAMPLES)]
    Perf(PerfArgs),
    /// Simulate a transfer over a bad path in virtual time, and draw what happened
    #[command(after_long_help = LAB_EXAMPLES)]
    Lab(Box<LabArgs>),
}

/// `gapless serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Repositories, bare or with a worktree; NAME=PATH gives another name than the directory's
    #[arg(required = true, value_name = "[NAME=]REPO", value_parser = parse_served)]
    pub repositories: Vec<ServedPath>,
    /// Address and UDP port to listen on; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", default_values_t = [SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT))])]
    pub listen: Vec<SocketAddr>,
    /// Let this peer push (`gapless id` shows its identity); may be given several times
    #[arg(long, value_name = "PEER")]
    pub allow_push: Vec<PeerId>,
    /// How many Git programs may run at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub max_sessions: usize,
}

/// A repository to serve and its name, if the user gave one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedPath {
    /// The name before `=`.
    pub name: Option<String>,
    /// Where it is.
    pub path: PathBuf,
}

/// `gapless clone`.
#[derive(Debug, Args)]
pub struct CloneArgs {
    /// What to clone: a URL as `gapless serve` prints it, or, with --loopback, a path
    #[arg(value_name = "URL|PATH")]
    pub source: String,
    /// Where to; the repository's name if left out
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Serve the repository at PATH from this very program on 127.0.0.1, and clone it through a real UDP socket
    #[arg(long)]
    pub loopback: bool,
}

/// `gapless ping`.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// Whom to ping: a URL or a multiaddr
    #[arg(value_name = "URL|MULTIADDR")]
    pub target: String,
    /// How many round trips
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Time between two pings
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    pub interval: Duration,
}

/// `gapless perf`.
#[derive(Debug, Args)]
pub struct PerfArgs {
    /// Whom to measure with: a URL or a multiaddr
    #[arg(value_name = "URL|MULTIADDR")]
    pub target: String,
    /// Bytes to send, as 100MB or 64KiB
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = parse_size)]
    pub upload: u64,
    /// Bytes to receive
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = parse_size)]
    pub download: u64,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  gapless serve .
  gapless serve ~/src/project docs=/srv/git/documentation.git --listen '[::]:9000'
  gapless serve . --allow-push 12D3KooW…

Anybody who knows the address and the identity can read what is served; only peers named with --allow-push can write.";

const CLONE_EXAMPLES: &str = "\
Examples:
  gapless clone udx://12D3KooW…@192.0.2.7:9000/project
  gapless clone --loopback . /tmp/copy --impair loss=2%,delay=10ms,reorder=2%,duplicate=1%

With git-remote-udx in the PATH, git itself understands such URLs: git clone udx://…, git fetch, git push.";

const PING_EXAMPLES: &str = "\
Examples:
  gapless ping /ip4/192.0.2.7/udp/9000/udx/p2p/12D3KooW…
  gapless ping udx://12D3KooW…@example.org -n 20 --interval 200ms";

const PERF_EXAMPLES: &str = "\
Examples:
  gapless perf udx://12D3KooW…@192.0.2.7:9000
  gapless perf udx://12D3KooW…@192.0.2.7:9000 --upload 0 --download 1GB --impair loss=1%,delay=50ms";

const LAB_EXAMPLES: &str = "\
Examples:
  gapless lab --path loss=2%,delay=20ms,rate=50mbit
  gapless lab --path loss=2%,delay=20ms,rate=50mbit --controller bbr --bytes 30MB --picture bbr.html
  gapless lab --path delay=10ms,rate=50mbit --back loss=10%,delay=80ms --direction both --streams 8
  gapless lab --path delay=20ms,rate=20mbit,blackout=1s+2s --log packets.txt
  gapless lab --path delay=10ms --slow-reader=200ms
  gapless lab --seed 7

Nothing is sent: two engines talk in one process, and minutes of their time pass in a second. Open the picture in a browser; it
is one file, and docs/lab.md says how to read it. The same command gives the same run, to the last packet.";

fn after_help() -> String {
    let examples = "\
Examples:
  gapless id
  gapless serve ~/src/project
  gapless clone udx://12D3KooW…@192.0.2.7:9000/project
  gapless clone --loopback . /tmp/copy --impair loss=20%,delay=10ms
  gapless lab --path loss=2%,delay=20ms,rate=50mbit";
    format!("{examples}\n\n{}", failure::exit_codes())
}

/// `NAME=PATH` or `PATH`. A path with `=` in it can be written `./a=b`.
fn parse_served(text: &str) -> Result<ServedPath, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.contains('/') => {
            if name.is_empty() || path.is_empty() {
                return Err("a name and a path belong around the =".to_owned());
            }
            Ok(ServedPath {
                name: Some(name.to_owned()),
                path: path.into(),
            })
        }
        _ => Ok(ServedPath {
            name: None,
            path: text.into(),
        }),
    }
}

/// `30s`, `500ms`, `2m`, or seconds alone.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_number(text);
    let number: u64 = digits
        .parse()
        .map_err(|_| "give a time as 500ms, 30s or 2m".to_owned())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" | "" => number.checked_mul(1000),
        "m" | "min" => number.checked_mul(60_000),
        _ => return Err(format!("'{unit}' is no unit of time: ms, s and m are")),
    };
    let time = milliseconds
        .map(Duration::from_millis)
        .filter(|time| !time.is_zero() && *time <= MAX_TIME);
    time.ok_or_else(|| "the time has to be more than nothing and at most a day".to_owned())
}

/// Longest time that can be given; beyond it, timers begin to mean nothing.
const MAX_TIME: Duration = Duration::from_secs(86_400);

/// `100MB`, `64KiB`, or bytes alone.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_number(text);
    let number: u64 = digits
        .parse()
        .map_err(|_| "give a size as 100MB or 64KiB".to_owned())?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => {
            return Err(format!(
                "'{unit}' is no unit of size: kB, MB, GB, KiB, MiB and GiB are"
            ));
        }
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| "the size is too large".to_owned())
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_time("7"), Ok(Duration::from_secs(7)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for text in [
            "",
            "0",
            "x",
            "1h",
            "-1s",
            "99999999999999999999s",
            "18446744073709551615s",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("100MB"), Ok(100_000_000));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1 gb"), Ok(1_000_000_000));
        for text in ["", "MB", "1TBx", "1.5MB", "99999999999999GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn served_paths() {
        let named = ServedPath {
            name: Some("docs".into()),
            path: "/srv/d.git".into(),
        };
        assert_eq!(parse_served("docs=/srv/d.git"), Ok(named));
        assert_eq!(
            parse_served("./a=b"),
            Ok(ServedPath {
                name: None,
                path: "./a=b".into()
            })
        );
        assert!(parse_served("=x").is_err());
        assert!(parse_served("x=").is_err());
    }
}
