//! The whole table: which runs there are, and how they are run on all processors, with a journal to go on from.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path as FilePath;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::engine::Kind;
use crate::job::{Job, Measure, Outcome};
use crate::path::Path;

/// What was measured: each job with what it gave, in the order of the jobs.
pub(crate) type Results = Vec<(Job, Outcome)>;

/// Which part of the table.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Selection {
    /// Only these transports
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) kind: Vec<Kind>,
    /// Losses by chance in each direction, tenths of a percent [bulk: 0,1,10,20,50,100; short: 0,10,50; fairness: 0]
    #[arg(long, value_delimiter = ',')]
    pub(crate) loss: Vec<u32>,
    /// Round trip times, ms [bulk, short: 1,20,100,300; fairness: 20,100]
    #[arg(long, value_delimiter = ',')]
    pub(crate) rtt: Vec<u32>,
    /// Rates of the bottleneck, Mbit/s [bulk: 1,10,100,1000; short: 1,10,100; fairness: 10]
    #[arg(long, value_delimiter = ',')]
    pub(crate) rate: Vec<u32>,
    /// Queues before it, percent of rate times round trip time [bulk, fairness: 25,100,400; short: 100]
    #[arg(long, value_delimiter = ',')]
    pub(crate) queue: Vec<u32>,
    /// Virtual seconds of each run [bulk: 20 and 100 round trips at least, at 1 Gbit/s 5 and 50; fairness: 60 and 300]
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Runs of a cell with losses, whose median counts [bulk: 5, 3 for BBR and 1 for BBR at 1 Gbit/s; short: 21]
    #[arg(long)]
    pub(crate) seeds: Option<u64>,
    /// Only every other step of each axis, up to 100 Mbit/s, and one seed: about a minute
    #[arg(long)]
    pub(crate) quick: bool,
}

impl Selection {
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        if self.kind.is_empty() {
            Kind::ALL.to_vec()
        } else {
            self.kind.clone()
        }
    }

    pub(crate) fn bulk(&self) -> Vec<Job> {
        let mut axes = self.axes(
            &[0, 1, 10, 20, 50, 100],
            &[1, 20, 100, 300],
            &[1, 10, 100, 1000],
            &[25, 100, 400],
        );
        if self.quick {
            axes.retain(|path| path.rate_mbit < 1000 && path.loss_permille != 100);
        }
        let mut jobs = Vec::new();
        for path in axes {
            for kind in self.kinds() {
                let many = match (kind.bears_loss(), path.rate_mbit < 1000) {
                    (false, _) => 5,
                    (true, true) => 3,
                    (true, false) => 1,
                };
                let time = self.time(path.bulk_time());
                let measure = Measure::Bulk { kind, time };
                self.repeat(&mut jobs, &measure, path, many);
            }
        }
        jobs
    }

    pub(crate) fn short(&self) -> Vec<Job> {
        let paths = self.axes(&[0, 10, 50], &[1, 20, 100, 300], &[1, 10, 100], &[100]);
        let mut jobs = Vec::new();
        for path in paths {
            for kind in self.kinds() {
                for bytes in SIZES {
                    let cold = Measure::Short {
                        kind,
                        bytes,
                        known: false,
                    };
                    self.repeat(&mut jobs, &cold, path, 21);
                    if kind.remembers() {
                        let known = Measure::Short {
                            kind,
                            bytes,
                            known: true,
                        };
                        self.repeat(&mut jobs, &known, path, 21);
                    }
                }
            }
        }
        jobs
    }

    pub(crate) fn fairness(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for path in self.axes(&[0], &[20, 100], &[10], &[25, 100, 400]) {
            for kinds in groups(&self.kinds()) {
                let time = self.time(path.fairness_time());
                self.repeat(&mut jobs, &Measure::Compete { kinds, time }, path, 1);
            }
        }
        jobs
    }

    fn time(&self, usual: u64) -> u64 {
        self.seconds
            .map_or(usual, |seconds| seconds * crate::path::SECOND)
    }

    fn axes(&self, losses: &[u32], rtts: &[u32], rates: &[u32], queues: &[u32]) -> Vec<Path> {
        let every = |usual: &[u32]| -> Vec<u32> {
            let step = if self.quick { 2 } else { 1 };
            usual.iter().step_by(step).copied().collect()
        };
        let chosen = |chosen: &Vec<u32>, usual: &[u32]| match chosen.is_empty() {
            true => every(usual),
            false => chosen.clone(),
        };
        let (losses, rtts) = (chosen(&self.loss, losses), chosen(&self.rtt, rtts));
        let (rates, queues) = (chosen(&self.rate, rates), chosen(&self.queue, queues));
        let mut paths = Vec::new();
        for rate_mbit in rates {
            for rtt_ms in rtts.iter().copied() {
                for queue_percent in queues.iter().copied() {
                    paths.extend(losses.iter().map(|&loss_permille| Path {
                        rate_mbit,
                        rtt_ms,
                        queue_percent,
                        loss_permille,
                    }));
                }
            }
        }
        paths
    }

    /// Chances make no difference where nothing is lost.
    fn repeat(&self, jobs: &mut Vec<Job>, measure: &Measure, path: Path, usual: u64) {
        let seeds = match path.loss_permille {
            0 => 1,
            _ if self.quick => 1,
            _ => self.seeds.unwrap_or(usual),
        };
        jobs.extend((1..=seeds).map(|seed| Job {
            measure: measure.clone(),
            path,
            seed,
        }));
    }
}

/// Bytes of the short transfers.
pub(crate) const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// Two and four of a kind, and each of ours beside those that it may meet.
fn groups(kinds: &[Kind]) -> Vec<Vec<Kind>> {
    let mut groups = Vec::new();
    for &kind in kinds {
        groups.push(vec![kind; 2]);
        groups.push(vec![kind; 4]);
        if kind.is_ours() {
            groups.push(vec![kind, Kind::QuinnCubic]);
        }
    }
    if kinds.contains(&Kind::Bbr) {
        groups.push(vec![Kind::Bbr, Kind::Cubic]);
        groups.push(vec![Kind::QuinnBbr, Kind::QuinnCubic]);
    }
    if kinds.contains(&Kind::Cubic) {
        groups.push(vec![
            Kind::Cubic,
            Kind::Cubic,
            Kind::QuinnCubic,
            Kind::QuinnCubic,
        ]);
    }
    groups
}

/// Runs what the journals do not have. Without journals, runs everything.
pub(crate) fn run(jobs: Vec<Job>, threads: usize, journals: Option<Journals>) -> Result<Results> {
    let mut journals = journals;
    let known = journals
        .as_mut()
        .map(|journals| std::mem::take(&mut journals.known))
        .unwrap_or_default();
    let mut done = Vec::new();
    let mut open = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        match known.get(&job.to_string()) {
            Some(numbers) => done.push((index, Outcome::from_numbers(job, numbers)?)),
            None => open.push((index, job)),
        }
    }
    // The longest first, so that all threads end together.
    open.sort_by(|(_, one), (_, other)| other.cost().total_cmp(&one.cost()));
    let shared = Mutex::new(Shared {
        progress: Progress::new(open.iter().map(|(_, job)| job.cost()).sum(), open.len()),
        open: open.into_iter(),
        journals,
        done,
        failed: None,
    });
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| work(&shared));
        }
    });
    let shared = shared
        .into_inner()
        .unwrap_or_else(|poison| poison.into_inner());
    if let Some(error) = shared.failed {
        return Err(error);
    }
    let mut done = shared.done;
    done.sort_by_key(|(index, _)| *index);
    Ok(jobs
        .into_iter()
        .zip(done.into_iter().map(|(_, outcome)| outcome))
        .collect())
}

struct Shared<'a> {
    open: std::vec::IntoIter<(usize, &'a Job)>,
    journals: Option<Journals>,
    progress: Progress,
    done: Vec<(usize, Outcome)>,
    failed: Option<anyhow::Error>,
}

fn work(shared: &Mutex<Shared<'_>>) {
    loop {
        let next = {
            let mut shared = shared.lock().unwrap_or_else(|poison| poison.into_inner());
            match shared.failed {
                Some(_) => None,
                None => shared.open.next(),
            }
        };
        let Some((index, job)) = next else { return };
        let outcome = job.run();
        let mut shared = shared.lock().unwrap_or_else(|poison| poison.into_inner());
        let noted = outcome.and_then(|outcome| {
            if let Some(journals) = &mut shared.journals {
                journals.note(job, &outcome)?;
            }
            shared.done.push((index, outcome));
            Ok(())
        });
        shared.progress.advance(job.cost());
        if let Err(error) = noted {
            shared.failed.get_or_insert(error);
        }
    }
}

/// Files with a line for each run that is over: who was interrupted goes on where he was. One is for runs with our code, which changes
/// with every commit, one for those without.
pub(crate) struct Journals {
    ours: File,
    others: File,
    known: HashMap<String, Vec<u64>>,
}

impl Journals {
    pub(crate) fn open(ours: &FilePath, others: &FilePath) -> Result<Self> {
        let mut known = HashMap::new();
        let mut open = |path: &FilePath| -> Result<File> {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            known.extend(text.lines().filter_map(parse));
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let (ours, others) = (open(ours)?, open(others)?);
        Ok(Journals {
            ours,
            others,
            known,
        })
    }

    fn note(&mut self, job: &Job, outcome: &Outcome) -> Result<()> {
        let numbers: Vec<_> = outcome.numbers().iter().map(u64::to_string).collect();
        // In one call, so that an interrupted line is the last one; the leading newline ends one of an earlier run.
        let line = format!("\n{job}: {} .", numbers.join(" "));
        let file = match job.has_ours() {
            true => &mut self.ours,
            false => &mut self.others,
        };
        file.write_all(line.as_bytes())?;
        Ok(())
    }
}

/// `None` for a line that was not written to its end.
fn parse(line: &str) -> Option<(String, Vec<u64>)> {
    let (job, numbers) = line.strip_suffix(" .")?.rsplit_once(": ")?;
    let numbers = numbers.split(' ').map(|number| number.parse().ok());
    Some((job.to_string(), numbers.collect::<Option<_>>()?))
}

/// Says on standard error how far it is.
struct Progress {
    started: Instant,
    said: Instant,
    cost: f64,
    spent: f64,
    jobs: usize,
    over: usize,
}

impl Progress {
    fn new(cost: f64, jobs: usize) -> Self {
        let now = Instant::now();
        Progress {
            started: now,
            said: now,
            cost,
            spent: 0.0,
            jobs,
            over: 0,
        }
    }

    fn advance(&mut self, cost: f64) {
        self.over += 1;
        self.spent += cost;
        let terminal = std::io::stderr().is_terminal();
        let pause = Duration::from_secs(if terminal { 1 } else { 30 });
        let last = self.over == self.jobs;
        if self.said.elapsed() < pause && !last {
            return;
        }
        self.said = Instant::now();
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = elapsed * (self.cost - self.spent).max(0.0) / self.spent.max(1.0);
        let line = format!(
            "{} of {} runs, {:.0} % of the packets, {elapsed:.0} s, about {left:.0} s left",
            self.over,
            self.jobs,
            self.spent * 100.0 / self.cost.max(1.0),
        );
        match (terminal, last) {
            (true, false) => eprint!("\r{line}   "),
            (true, true) => eprintln!("\r{line}   "),
            (false, _) => eprintln!("{line}"),
        }
    }
}
