//! Goodput, waiting, short transfers and fairness of Gapless and of other transports over modelled paths, in virtual time.
//!
//! Virtual time is exact: the same command gives the same figures on any machine, but for some octets of quinn's, which draws keys.
#![forbid(unsafe_code)]

mod cell;
mod engine;
mod grid;
mod job;
mod markdown;
mod ours;
mod page;
mod path;
mod quinn;
mod report;
mod rows;
mod smoltcp;
mod snapshot;
mod source;
mod tcp;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use grid::Selection;

#[derive(Parser)]
#[command(
    name = "cargo xtask compare",
    bin_name = "cargo xtask compare",
    about = "Gapless and other transports over modelled paths, in virtual time",
    after_help = "Examples:\n  cargo xtask compare goodput --loss 0,20 --rtt 20,100 --rate 10\n  cargo xtask compare short --kind cubic,quinn-cubic\n  \
                  cargo xtask compare fairness --rate 100 --format csv\n  cargo xtask compare all\n  cargo xtask compare losing"
)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Share of the link that a bulk transfer reaches, its wait in the queue, and what it loses there
    Goodput(Table),
    /// Time until 10 KB, 100 KB and 1 MB are delivered
    Short(Table),
    /// What two and four transfers get of one link
    Fairness(Table),
    /// All three into files, going on where an interrupted run of the same commit was
    All(All),
    /// Writes the tables and the page again, from the files of `all`
    Render(Render),
    /// The cells in which ours delivers less than quinn with the same controller, from the files of `all`
    Losing(Losing),
    /// Every packet of one run
    Trace(trace::Trace),
    /// Compares the figures of the committed snapshot, which tests assert, with those of today
    Snapshot(Snapshot),
}

#[derive(Args)]
struct Snapshot {
    /// Writes today's figures instead
    #[arg(long)]
    write: bool,
}

#[derive(Args)]
struct Table {
    #[command(flatten)]
    selection: Selection,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Threads [all processors]
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum Format {
    /// Columns for a terminal
    Table,
    /// Comma-separated values, for plots and comparisons
    Csv,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    Goodput,
    Short,
    Fairness,
}

#[derive(Args)]
struct All {
    /// Only these tables
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    #[command(flatten)]
    selection: Selection,
    /// Where the files go
    #[arg(long, default_value = "target/compare")]
    out: PathBuf,
    /// Threads [all processors]
    #[arg(long)]
    jobs: Option<usize>,
    /// Run again what the journal has
    #[arg(long)]
    again: bool,
}

#[derive(Args)]
struct Render {
    /// Where the files are
    #[arg(long, default_value = "target/compare")]
    from: PathBuf,
}

#[derive(Args)]
struct Losing {
    /// Where the files are
    #[arg(long, default_value = "target/compare")]
    from: PathBuf,
    /// Percent of quinn's goodput that do not count
    #[arg(long, default_value_t = 0.0)]
    margin: f64,
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Goodput(table) => {
            let rows = rows::bulk(&table.run(Selection::bulk)?);
            table.print(&rows, report::bulk)
        }
        What::Short(table) => {
            let rows = rows::short(&table.run(Selection::short)?);
            table.print(&rows, report::short)
        }
        What::Fairness(table) => {
            let rows = rows::fairness(&table.run(Selection::fairness)?);
            table.print(&rows, report::fairness)
        }
        What::All(all) => all.run(),
        What::Render(Render { from }) => render(&from),
        What::Losing(Losing { from, margin }) => {
            let rows = rows::read(&from.join(GOODPUT))?;
            print!("{}", report::losing(&rows, margin));
            Ok(())
        }
        What::Trace(trace) => trace.run(),
        What::Snapshot(Snapshot { write: true }) => snapshot::write(),
        What::Snapshot(Snapshot { write: false }) => snapshot::check(),
    }
}

/// Names of the files.
const GOODPUT: &str = "goodput.csv";
const SHORT: &str = "short.csv";
const FAIRNESS: &str = "fairness.csv";
const TABLES: &str = "tables.md";
const PAGE: &str = "page.html";
const COMMIT: &str = "commit";

impl Table {
    fn run(&self, jobs: impl Fn(&Selection) -> Vec<job::Job>) -> Result<grid::Results> {
        grid::run(jobs(&self.selection), threads(self.jobs), None)
    }

    fn print<R: serde::Serialize>(&self, rows: &[R], table: impl Fn(&[R]) -> String) -> Result<()> {
        match self.format {
            Format::Table => print!("{}", table(rows)),
            Format::Csv => rows::print(std::io::stdout().lock(), rows)?,
        }
        Ok(())
    }
}

impl All {
    fn run(&self) -> Result<()> {
        std::fs::create_dir_all(&self.out)?;
        let commit = source::commit()?;
        let directory = FilePath::new("target/compare");
        let ours = directory.join(format!("ours-{commit}.txt"));
        let others = directory.join(format!("others-{}.txt", source::others()?));
        // What was measured with other code counts for nothing.
        if self.again || commit.ends_with(source::CHANGED) {
            let _ = std::fs::remove_file(&ours);
        }
        if self.again {
            let _ = std::fs::remove_file(&others);
        }
        let selection = &self.selection;
        let wants = |part| self.only.is_empty() || self.only.contains(&part);
        let mut jobs = Vec::new();
        if wants(Part::Goodput) {
            jobs.extend(selection.bulk());
        }
        if wants(Part::Short) {
            jobs.extend(selection.short());
        }
        if wants(Part::Fairness) {
            jobs.extend(selection.fairness());
        }
        if jobs.is_empty() {
            bail!("nothing to run");
        }
        eprintln!("{} runs at commit {commit}", jobs.len());
        let journals = grid::Journals::open(&ours, &others)?;
        let results = grid::run(jobs, threads(self.jobs), Some(journals))?;
        rows::write(&self.out.join(GOODPUT), &rows::bulk(&results))?;
        rows::write(&self.out.join(SHORT), &rows::short(&results))?;
        rows::write(&self.out.join(FAIRNESS), &rows::fairness(&results))?;
        std::fs::write(self.out.join(COMMIT), commit)?;
        render(&self.out)
    }
}

/// Writes what is for reading out of what was measured.
fn render(files: &FilePath) -> Result<()> {
    let commit = std::fs::read_to_string(files.join(COMMIT))
        .with_context(|| format!("nothing was measured into {}", files.display()))?;
    let commit = commit.trim().to_string();
    let bulk = rows::read(&files.join(GOODPUT))?;
    let short = rows::read(&files.join(SHORT))?;
    let fairness = rows::read(&files.join(FAIRNESS))?;
    let tables = markdown::tables(&commit, &bulk, &short, &fairness);
    std::fs::write(files.join(TABLES), tables)?;
    let measured = page::Measured {
        commit,
        bulk,
        short,
        fairness,
    };
    std::fs::write(files.join(PAGE), page::html(&measured))?;
    eprintln!("wrote {}", files.display());
    Ok(())
}

fn threads(chosen: Option<usize>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    chosen.unwrap_or_else(all)
}
