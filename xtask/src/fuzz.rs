//! `cargo xtask fuzz`: libFuzzer over the targets of `fuzz/`, and what it found.

use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 1.0, conflicts_with = "runs")]
    minutes: f64,
    /// Instead of minutes: so many inputs for each target, fewer for slow ones, the same ones each time for one program, corpus and --seed
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// What the inputs of --runs are drawn from
    #[arg(long, default_value_t = 1, requires = "runs", value_parser = clap::value_parser!(u32).range(1..))]
    seed: u32,
    /// Only these targets, instead of all
    #[arg(long = "target")]
    targets: Vec<String>,
    /// How many run at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Also the targets that need Git's and libp2p's libraries, which take minutes to build
    #[arg(long)]
    outer: bool,
    /// Print the names of the targets and end
    #[arg(long)]
    list: bool,
    /// Give this file to the one target, instead of fuzzing
    #[arg(long, requires = "targets")]
    replay: Option<PathBuf>,
    /// Afterwards keep in the committed corpus what covers something new, and nothing that does not
    #[arg(long)]
    merge: bool,
}

/// Targets that need the feature `outer` of `fuzz/Cargo.toml`.
const OUTER: [&str; 2] = ["address", "git_request"];

/// Bytes of an input at most. Whole conversations fit, and the corpus stays small.
const MOST_BYTES: u32 = 2048;

/// Bytes of an input that is kept in the corpus at most.
const MOST_KEPT: u32 = 600;

/// MiB of memory, and seconds for one input, beyond which it is a finding.
const MOST_MEMORY: u32 = 2000;
const MOST_SECONDS: u32 = 20;

/// Targets that take long for an input: so many times fewer of them.
const SLOW: [(&str, u64); 4] = [
    ("endpoint", 10),
    ("models", 2),
    ("tcp_stack", 20),
    ("whole_run", 200),
];

/// When fuzzing a target ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// After this time. What is tried is another thing each time, and what was found on other days is built upon.
    Minutes(f64),
    /// After so many inputs, which the committed corpus, the program and this seed decide on: who repeats it repeats it.
    Runs { count: u64, seed: u32 },
}

impl Bound {
    fn of(options: &Options, target: &str) -> Self {
        let slow = SLOW.iter().find(|(slow, _)| *slow == target);
        let fewer = slow.map_or(1, |(_, fewer)| *fewer);
        match options.runs {
            None => Self::Minutes(options.minutes),
            Some(runs) => Self::Runs {
                count: (runs / fewer).max(1),
                seed: options.seed,
            },
        }
    }

    /// What libFuzzer is told of it.
    fn arguments(self) -> Vec<String> {
        match self {
            Self::Minutes(minutes) => {
                let seconds = (minutes * 60.0).ceil().max(1.0) as u64;
                vec![format!("-max_total_time={seconds}")]
            }
            // Operands of comparisons depend on where memory lies and on the keys of hash tables, so what is mutated may not depend on
            // them; and no directory is read again, nor written to.
            Self::Runs { count, seed } => vec![
                format!("-runs={count}"),
                format!("-seed={seed}"),
                "-use_cmp=0".into(),
                "-reload=0".into(),
            ],
        }
    }
}

impl Display for Bound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minutes(minutes) => write!(f, "for {minutes} min"),
            Self::Runs { count, seed } => write!(f, "with {count} inputs of seed {seed}"),
        }
    }
}

/// How one target's run went.
struct Outcome {
    target: String,
    executions: u64,
    coverage: u64,
    corpus: u64,
    finding: Option<PathBuf>,
}

/// Where the parts of fuzzing are.
struct Places {
    fuzz: PathBuf,
    binaries: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let places = Places::new()?;
    let all = places.targets()?;
    if options.list {
        all.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let targets = chosen(options, &all)?;
    places.build(&targets)?;
    if let (Some(file), [target]) = (&options.replay, &targets[..]) {
        // The file is named from where the user stands, and cargo starts this at the root.
        return workspace::run(places.binary(target).arg(file));
    }
    ensure!(options.replay.is_none(), "--replay takes one --target");
    let outcomes = fuzz_all(&places, &targets, options)?;
    print_table(&outcomes);
    if options.merge {
        for target in &targets {
            places.merge(target)?;
        }
    }
    let found: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| outcome.finding.is_some())
        .collect();
    for Outcome {
        target, finding, ..
    } in &found
    {
        let file = finding.as_deref().unwrap_or(Path::new("?")).display();
        println!(
            "{target}: {file}\n  again:        cargo xtask fuzz --target {target} --replay {file}\n  when mended:  mv {file} fuzz/corpus/{target}/"
        );
    }
    if !found.is_empty() {
        bail!("{} targets found something", found.len());
    }
    Ok(())
}

fn chosen(options: &Options, all: &[String]) -> Result<Vec<String>> {
    if options.targets.is_empty() {
        let wanted = |target: &&String| options.outer || !OUTER.contains(&target.as_str());
        return Ok(all.iter().filter(wanted).cloned().collect());
    }
    for target in &options.targets {
        ensure!(
            all.contains(target),
            "there is no target `{target}`; there are {}",
            all.join(", ")
        );
    }
    Ok(options.targets.clone())
}

impl Places {
    fn new() -> Result<Self> {
        let fuzz = workspace::root()?.join("fuzz");
        let host = host()?;
        let binaries = fuzz.join("target").join(host).join("release");
        Ok(Self { fuzz, binaries })
    }

    /// The names of the programs in `fuzz_targets`.
    fn targets(&self) -> Result<Vec<String>> {
        let mut targets = Vec::new();
        for entry in fs::read_dir(self.fuzz.join("fuzz_targets"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                targets.extend(
                    path.file_stem()
                        .and_then(|stem| stem.to_str())
                        .map(str::to_owned),
                );
            }
        }
        targets.sort();
        Ok(targets)
    }

    /// Without a sanitizer, which needs no nightly compiler: the crates forbid unsafe code, so what there is to find are panics,
    /// overflows, endless loops and memory without bound.
    fn build(&self, targets: &[String]) -> Result<()> {
        let known = workspace::cargo(["fuzz", "--version"])?
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ensure!(
            known.is_ok_and(|status| status.success()),
            "cargo-fuzz is missing: cargo install cargo-fuzz --locked"
        );
        let mut build = workspace::cargo(["fuzz", "build", "--sanitizer", "none"])?;
        if targets
            .iter()
            .any(|target| OUTER.contains(&target.as_str()))
        {
            build.args(["--features", "outer"]);
        }
        if let [target] = targets {
            build.arg(target);
        }
        workspace::run(&mut build)
    }

    fn binary(&self, target: &str) -> Command {
        Command::new(self.binaries.join(target))
    }

    fn corpus(&self, target: &str) -> PathBuf {
        self.fuzz.join("corpus").join(target)
    }

    /// Where inputs go that cover something new, until they are merged.
    fn found(&self, target: &str) -> PathBuf {
        self.fuzz.join("target/found").join(target)
    }

    /// The committed corpus as libFuzzer's argument. Of a directory it takes the files as they come, which is another order on another
    /// machine.
    fn seed_inputs(&self, target: &str) -> Result<OsString> {
        let entries = fs::read_dir(self.corpus(target))?;
        let files: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut files = files?;
        files.sort();
        let names: Vec<&OsStr> = files.iter().map(|file| file.as_os_str()).collect();
        let lists = self.fuzz.join("target/inputs");
        fs::create_dir_all(&lists)?;
        let list = lists.join(target);
        fs::write(&list, names.join(OsStr::new(",")).as_encoded_bytes())?;
        let mut argument = OsString::from("-seed_inputs=@");
        argument.push(list);
        Ok(argument)
    }

    /// libFuzzer's own minimisation: for each thing that is covered, the smallest input that does.
    fn merge(&self, target: &str) -> Result<()> {
        let corpus = self.corpus(target);
        let merged = self.fuzz.join("target/merged").join(target);
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged)?;
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(self.found(target))?;
        let mut merge = self.binary(target);
        merge.args(["-set_cover_merge=1", &format!("-max_len={MOST_KEPT}")]);
        merge.arg(&merged).arg(&corpus).arg(self.found(target));
        merge.stdout(Stdio::null()).stderr(Stdio::null());
        workspace::run(&mut merge)?;
        fs::remove_dir_all(&corpus)?;
        fs::create_dir_all(&corpus)?;
        for entry in fs::read_dir(&merged)? {
            let entry = entry?;
            fs::copy(entry.path(), corpus.join(entry.file_name()))?;
        }
        println!("{target}: {} inputs", fs::read_dir(&corpus)?.count());
        Ok(())
    }
}

fn fuzz_all(places: &Places, targets: &[String], options: &Options) -> Result<Vec<Outcome>> {
    let waiting: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = waiting
                        .lock()
                        .ok()
                        .and_then(|mut waiting| waiting.pop_front());
                    let Some(target) = next else { return };
                    let bound = Bound::of(options, target);
                    println!("fuzzing {target} {bound}");
                    let outcome = fuzz(places, target, bound);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    let mut outcomes = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(outcomes)
}

fn fuzz(places: &Places, target: &str, bound: Bound) -> Result<Outcome> {
    let artifacts = places.fuzz.join("artifacts").join(target);
    let found = places.found(target);
    for directory in [&artifacts, &found, &places.corpus(target)] {
        fs::create_dir_all(directory)?;
    }
    let mut command = places.binary(target);
    command.args(bound.arguments()).args([
        format!("-max_len={MOST_BYTES}"),
        format!("-rss_limit_mb={MOST_MEMORY}"),
        format!("-timeout={MOST_SECONDS}"),
        "-print_final_stats=1".into(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    let words = places
        .fuzz
        .join("dictionaries")
        .join(format!("{target}.dict"));
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    match bound {
        Bound::Minutes(_) => command.arg(&found).arg(places.corpus(target)),
        Bound::Runs { .. } => command.arg(places.seed_inputs(target)?),
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let outcome = read(target, &text);
    if !output.status.success() {
        let tail: Vec<&str> = text.lines().rev().take(60).collect();
        tail.iter()
            .rev()
            .for_each(|line| eprintln!("{target}: {line}"));
        ensure!(
            outcome.finding.is_some(),
            "{target} ended with {} and left no file",
            output.status
        );
    }
    Ok(outcome)
}

/// What libFuzzer printed.
fn read(target: &str, text: &str) -> Outcome {
    let last = |word: &str| {
        let mut values = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(word)?;
            rest.split_whitespace()
                .next()?
                .split('/')
                .next()?
                .parse()
                .ok()
        });
        values.next_back().unwrap_or(0)
    };
    let finding = text.lines().find_map(|line| {
        line.split_once("Test unit written to ")
            .map(|(_, file)| file)
    });
    Outcome {
        target: target.to_owned(),
        executions: last("stat::number_of_executed_units:"),
        coverage: last(" cov: "),
        corpus: last(" corp: "),
        finding: finding.map(|file| PathBuf::from(file.trim())),
    }
}

fn print_table(outcomes: &[Outcome]) {
    println!(
        "\n{:14} {:>12} {:>9} {:>7}  finding",
        "target", "executions", "coverage", "corpus"
    );
    for outcome in outcomes {
        let finding = match &outcome.finding {
            Some(file) => file.display().to_string(),
            None => "none".into(),
        };
        println!(
            "{:14} {:>12} {:>9} {:>7}  {finding}",
            outcome.target, outcome.executions, outcome.coverage, outcome.corpus
        );
    }
}

/// The platform's name, by which cargo-fuzz sorts its programs.
fn host() -> Result<String> {
    let mut rustc = Command::new("rustc");
    let text = workspace::output(rustc.arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_counted_where_the_same_are_to_come_again() {
        let bound = |runs| {
            let options = Options {
                minutes: 0.5,
                runs,
                seed: 7,
                targets: Vec::new(),
                jobs: 1,
                outer: false,
                list: false,
                replay: None,
                merge: false,
            };
            ["wire", "whole_run"].map(|target| Bound::of(&options, target).arguments())
        };
        let timed = bound(None);
        assert_eq!(timed, [["-max_total_time=30"], ["-max_total_time=30"]]);
        let [quick, slow] = bound(Some(1000));
        assert_eq!((&*quick[0], &*slow[0]), ("-runs=1000", "-runs=5"));
        assert!([&quick, &slow].iter().all(|it| it[1] == "-seed=7"));
    }

    #[test]
    fn the_words_of_libfuzzer_are_read() {
        let text = "#512 pulse  cov: 40 ft: 53 corp: 9/80b\n#9 NEW    cov: 99 ft: 153 corp: 12/180b lim: 4\n\
                    stat::number_of_executed_units: 61234\nTest unit written to fuzz/artifacts/a/crash-1\n";
        let outcome = read("a", text);
        assert_eq!(
            (outcome.executions, outcome.coverage, outcome.corpus),
            (61_234, 99, 12)
        );
        assert_eq!(outcome.finding, Some("fuzz/artifacts/a/crash-1".into()));
        assert!(read("a", "Done").finding.is_none());
    }
}
