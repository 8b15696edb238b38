//! `gapless lab`: what the command line asks for, as a scenario of the simulator.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use gapless::link::Profile;
use gapless_lab::udx::{Algorithm, Version, VersionChoice};
use gapless_lab::{MS, Pause, Scenario, StreamPlan, Time};

use crate::args::{Common, UdxVersion, parse_size, parse_time};
use crate::failure::{Failure, Kind};

/// `gapless lab`.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// The path from the dialer to the acceptor, written as for --impair
    ///
    /// Without it the value of --impair, or else delay=20ms,rate=20mbit.
    #[arg(long, value_name = "SPEC")]
    pub path: Option<Profile>,
    /// The path back; without it the same as --path
    #[arg(long, value_name = "SPEC")]
    pub back: Option<Profile>,
    /// Bytes to move in each direction, over all streams
    #[arg(long, value_name = "SIZE", default_value = "4MB", value_parser = parse_size)]
    pub bytes: u64,
    /// Streams to move them on, side by side
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_STREAMS))]
    pub streams: u32,
    /// Which way
    #[arg(long, value_enum, default_value_t = Direction::Up)]
    pub direction: Direction,
    /// The congestion controller at both ends
    #[arg(long, value_enum, default_value_t = Controller::Cubic)]
    pub controller: Controller,
    /// Readers rest after every 64 KiB, for 100 ms or for the time given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "100ms", value_parser = parse_time)]
    pub slow_reader: Option<Duration>,
    /// Run the scenario that a seed draws, of path, applications and callers, instead of one by the options above
    #[arg(long, value_name = "NUMBER", conflicts_with = "replay", conflicts_with_all = BY_OPTIONS)]
    pub seed: Option<u64>,
    /// Run the scenario that a file decides on: what a failing run left behind, or any bytes
    #[arg(long, value_name = "FILE", conflicts_with_all = BY_OPTIONS)]
    pub replay: Option<PathBuf>,
    /// Where to write the picture [default: gapless-lab.html]
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Write a line for every packet to this file; - is standard output
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// Which way the data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From the dialer.
    Up,
    /// To the dialer.
    Down,
    /// Both at the same time.
    Both,
}

/// Which congestion controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Controller {
    /// RFC 9438.
    Cubic,
    /// RFC 9002's.
    Newreno,
    /// Version 3.
    Bbr,
}

/// What a seed or a file decides by itself.
const BY_OPTIONS: [&str; 7] = [
    "path",
    "back",
    "bytes",
    "streams",
    "direction",
    "controller",
    "slow_reader",
];
/// Each takes one of the protocol's streams.
const MOST_STREAMS: i64 = 1000;
/// A reader that rests does so each time after this much.
const SLOW_READER_TAKES: u64 = 64 * 1024;
/// An ordinary line far enough away that something can be seen.
const DEFAULT_PATH: &str = "delay=20ms,rate=20mbit";
/// Files of decisions are some hundred bytes; much more is no such file.
const MOST_REPLAYED: u64 = 1 << 20;

impl LabArgs {
    /// The scenario.
    ///
    /// # Errors
    ///
    /// If the file to replay cannot be read.
    pub fn scenario(&self, common: &Common) -> Result<Scenario, Failure> {
        if let Some(seed) = self.seed {
            return Ok(Scenario::from_seed(seed));
        }
        if let Some(file) = &self.replay {
            return replayed(file);
        }
        let there = self.path.clone().or_else(|| common.impair.clone());
        let there = match there {
            Some(path) => path,
            None => DEFAULT_PATH.parse::<Profile>().map_err(|error| {
                Failure::new(Kind::Other, format!("the default path is none: {error}"))
            })?,
        };
        let back = self.back.clone().unwrap_or_else(|| there.clone());
        let patience = patience(&there).max(patience(&back));
        let of_back = Scenario::plain(back.seed, &back, self.plans()).patience;
        let mut scenario = Scenario::plain(there.seed, &there, self.plans());
        scenario.patience = scenario.patience.max(of_back).saturating_add(patience);
        scenario.faults[1] = back.clone();
        scenario.calm[1] = back;
        scenario.check_every = CHECK_EVERY;
        for host in &mut scenario.hosts {
            let connection = &mut host.config.connection;
            connection.algorithm = match self.controller {
                Controller::Cubic => Algorithm::Cubic,
                Controller::Newreno => Algorithm::NewReno,
                Controller::Bbr => Algorithm::Bbr,
            };
            connection.idle_timeout = common.idle_timeout;
        }
        Ok(match common.udx_version {
            UdxVersion::Auto => scenario,
            UdxVersion::V3 => scenario.speaking(VersionChoice::Only(Version::V3)),
            UdxVersion::V2 => scenario.speaking(VersionChoice::Only(Version::V2)),
        })
    }

    /// Bytes that the applications will have read in all, where that is known beforehand.
    pub fn expected(&self, scenario: &Scenario) -> Option<u64> {
        let known = self.seed.is_none() && self.replay.is_none();
        let bytes = scenario.streams.iter();
        known.then(|| {
            bytes
                .map(|it| it.there.write.bytes + it.back.write.bytes)
                .sum()
        })
    }

    /// What this run is called, above its picture.
    pub fn heading(&self, scenario: &Scenario) -> String {
        match (&self.seed, &self.replay) {
            (Some(seed), _) => format!("seed {seed}"),
            (None, Some(file)) => format!("replay of {}", file.display()),
            (None, None) => format!("gapless lab: {}", scenario.faults[0]),
        }
    }

    fn plans(&self) -> Vec<StreamPlan> {
        let count = u64::from(self.streams);
        (0..count)
            .map(|index| {
                // What does not go into equal parts goes into the first ones.
                let share = self.bytes / count + u64::from(index < self.bytes % count);
                let (up, down) = match self.direction {
                    Direction::Up => (share, 0),
                    Direction::Down => (0, share),
                    Direction::Both => (share, share),
                };
                // A stream begins with the four bytes by which the other side knows it.
                let mut plan = StreamPlan::bulk(up.max(4), down);
                if let Some(rest) = self.slow_reader {
                    let pause = Pause {
                        every: SLOW_READER_TAKES,
                        time: nanos(rest),
                    };
                    plan.there.read.pause = Some(pause);
                    plan.back.read.pause = Some(pause);
                }
                plan
            })
            .collect()
    }
}

/// How much longer than usual a path may keep a run waiting by its own rules.
fn patience(path: &Profile) -> Time {
    let downs = path.blackouts.iter().map(|it| nanos(it.length));
    downs.fold(0, Time::saturating_add)
}

fn replayed(file: &std::path::Path) -> Result<Scenario, Failure> {
    let cure = "give the .bytes file that a failing run of the lab left behind";
    let unreadable = |error: std::io::Error| {
        let cause = format!("{} cannot be read: {error}", file.display());
        Failure::new(Kind::Other, cause).cure(cure)
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MOST_REPLAYED {
        let cause = format!(
            "{} has {size} bytes, which are no decisions of a run",
            file.display()
        );
        return Err(Failure::new(Kind::Other, cause).cure(cure));
    }
    Ok(Scenario::from_bytes(
        &std::fs::read(file).map_err(unreadable)?,
    ))
}

fn nanos(time: Duration) -> Time {
    u64::try_from(time.as_nanos()).unwrap_or(3_600_000 * MS)
}

/// The engines check themselves after every so many steps: each would take most of the time.
const CHECK_EVERY: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn scenario(arguments: &[&str]) -> Scenario {
        let all = ["gapless", "lab"].iter().chain(arguments);
        let cli = Cli::try_parse_from(all).unwrap();
        let Command::Lab(args) = cli.command else {
            panic!("not the lab");
        };
        args.scenario(&cli.common).unwrap()
    }

    #[test]
    fn options_become_a_scenario() {
        let plain = scenario(&[]);
        assert_eq!(plain.faults[0].to_string(), DEFAULT_PATH);
        assert_eq!(plain.streams.len(), 1);
        let both = scenario(&["--bytes", "10", "--streams", "3", "--direction", "both"]);
        let sizes = |of: fn(&StreamPlan) -> u64| both.streams.iter().map(of).collect::<Vec<_>>();
        assert_eq!(sizes(|it| it.back.write.bytes), [4, 3, 3]);
        assert_eq!(sizes(|it| it.there.write.bytes), [4, 4, 4]);
        let bad = scenario(&[
            "--path",
            "loss=1%",
            "--back",
            "blackout=1s+9s",
            "--controller",
            "bbr",
        ]);
        assert_eq!(bad.faults[0].to_string(), "loss=1%");
        assert_eq!(bad.calm[1].to_string(), "blackout=1s+9s");
        assert!(bad.patience > 9_000 * MS);
        assert_eq!(bad.hosts[1].config.connection.algorithm, Algorithm::Bbr);
        let impaired = scenario(&["--impair", "loss=3%", "--udx-version", "2", "--slow-reader"]);
        assert_eq!(impaired.faults[0].to_string(), "loss=3%");
        let choice = impaired.hosts[0].config.connection.version;
        assert_eq!(choice, VersionChoice::Only(Version::V2));
        let pause = impaired.streams[0].there.read.pause.map(|it| it.time);
        assert_eq!(pause, Some(100 * MS));
        let seed = scenario(&["--seed", "7"]);
        assert_eq!(seed.streams, Scenario::from_seed(7).streams);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for arguments in [
            &["--seed", "7", "--path", "loss=1%"][..],
            &["--seed", "7", "--replay", "x"],
            &["--seed", "7", "--bytes", "1MB"],
            &["--replay", "x", "--controller", "bbr"],
            &["--streams", "0"],
            &["--streams", "5000"],
            &["--controller", "vegas"],
            &["--path", "wind=5"],
        ] {
            let all = ["gapless", "lab"].iter().chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
