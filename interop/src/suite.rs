//! Which cells run, and running them.

use crate::abilities;
use crate::cell::{Cell, Direction, Link, Settings, Verdict};
use crate::child::Program;
use crate::document;
use crate::golang;
use crate::kind::Kind;
use crate::libp2p;
use crate::overview;
use crate::plan::{Choice, Scenario};
use crate::record::Record;
use crate::table::{self, Results};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::collections::VecDeque;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  cargo xtask interop                                  the whole table; an hour or more
  cargo xtask interop --quick                          what CI runs, in some minutes
  cargo xtask interop --list                           peers and scenarios, without running any
  cargo xtask interop --peer gapless --scenario 64mib  one row, all links and directions
  cargo xtask interop --peer model-go-v3 --link bad    one peer over the worst link
  cargo xtask interop --overview > table.md            the whole on one page
  cargo xtask interop --results found.json --write docs/udx.md --write docs/interop.md
                                                       the tables of the documents; can be broken off and gone on with

The exit code is 0 if no cell failed. What a peer cannot do is no failure: its cell says n/a and where that
is written. A peer that cannot be had is skipped, which the table and its last lines say.";

/// What to run, and how to tell.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Only this peer; can be given several times
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// Only this scenario; can be given several times
    #[arg(long, value_enum, value_name = "SCENARIO", hide_possible_values = true)]
    scenario: Vec<Scenario>,
    /// Only this link; can be given several times. Default: clean, loss1, bad
    #[arg(long, value_enum, value_name = "LINK")]
    link: Vec<Link>,
    /// Only this version of the wire; can be given several times
    #[arg(long, value_enum, value_name = "VERSION")]
    version: Vec<Choice>,
    /// A bounded choice of cells, for CI
    #[arg(long)]
    quick: bool,
    /// Try what a peer cannot do, too, to see what becomes of it
    #[arg(long)]
    all: bool,
    /// Print peers, scenarios and the number of cells, and run nothing
    #[arg(long)]
    list: bool,
    /// Print one JSON object per cell instead of the table
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table in Markdown, which is the default
    #[arg(long)]
    markdown: bool,
    /// Print how many cells passed instead, on one page
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    overview: bool,
    /// Keep what is found in this file, an object of JSON for each cell as it comes. Cells that stand there are not run again
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Run nothing: the tables are of what the file has
    #[arg(long, requires = "results")]
    known: bool,
    /// Write the tables into this document, between its marks; can be given several times
    #[arg(long, value_name = "DOCUMENT", requires = "results")]
    write: Vec<PathBuf>,
    /// Seed of contents and of the links' chances
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cells at once. More than one on two cores makes the speeds worthless
    #[arg(long, default_value_t = 1, value_name = "N")]
    jobs: usize,
    /// Write down every packet that passes the relay, a file for each cell in this directory
    #[arg(long, value_name = "DIRECTORY")]
    packets: Option<PathBuf>,
    /// Seconds that an idle connection is left alone. Peers of version 3 give up after 30
    #[arg(long, default_value_t = 33, value_name = "SECONDS")]
    idle: u64,
    /// go-libp2p: two idle minutes and dead peers with the usual timeouts, instead of shortened ones
    #[arg(long)]
    long: bool,
}

/// Cells that mostly wait, at once.
const WAITING: usize = 12;

/// Runs what the options choose; whether nothing failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let peers = options.peers()?;
    let cells: Vec<Cell> = peers.iter().flat_map(|peer| options.cells(*peer)).collect();
    if options.list {
        list(&peers, &cells);
        return Ok(true);
    }
    let mut results = Results::default();
    let programs = match options.only_libp2p() {
        true => Programs::new(),
        false => prepare(&peers, &mut results)?,
    };
    let cells = cells.into_iter();
    let cells = cells.filter(|cell| programs.iter().any(|(kind, _)| *kind == cell.peer));
    let mut record = options.results.as_deref().map(Record::open).transpose()?;
    results.cells = run_all(options, cells.collect(), &programs, record.as_mut())?;
    for document in &options.write {
        let commits = record.as_ref().map(Record::commits).unwrap_or_default();
        document::write(document, &results, &commits)?;
    }
    if let Some(wanted) = options.libp2p() {
        match libp2p::run(&wanted) {
            Ok(found) => {
                results.skipped.extend(found.skipped());
                results.libp2p = Some(found);
            }
            Err(error) => results.skip(libp2p::NAME, &error),
        }
    }
    let table = if options.json {
        results.json()
    } else if options.overview {
        overview::overview(&results)
    } else {
        results.markdown()
    };
    let mut output = std::io::stdout().lock();
    output.write_all(table.as_bytes())?;
    eprintln!("\n{}", results.summary());
    Ok(results.failures() == 0)
}

impl Options {
    fn peers(&self) -> Result<Vec<Kind>> {
        if self.peer.is_empty() {
            return Ok(Kind::all());
        }
        let known = |name: &String| {
            Kind::by_name(name).with_context(|| format!("no peer is called {name:?}: see --list"))
        };
        let names = self.peer.iter().filter(|name| *name != libp2p::NAME);
        names.map(known).collect()
    }

    fn only_libp2p(&self) -> bool {
        !self.peer.is_empty() && self.peer.iter().all(|name| name == libp2p::NAME)
    }

    /// What to do with go-libp2p, whose scenarios are others.
    fn libp2p(&self) -> Option<libp2p::Options> {
        let wanted = match self.peer.is_empty() {
            // Its rows are not kept in the file.
            true => self.scenario.is_empty() && self.results.is_none(),
            false => self.peer.iter().any(|name| name == libp2p::NAME),
        };
        let or = |chosen: &[Link], default: &[Link]| match chosen {
            [] => default.to_vec(),
            chosen => chosen.to_vec(),
        };
        let (links, versions) = match self.quick {
            true => (or(&self.link, &[Link::Bad]), vec![Choice::V3, Choice::V2]),
            false => (
                or(&self.link, &[Link::Clean, Link::Loss1, Link::Bad]),
                vec![Choice::V3, Choice::V2, Choice::Discover],
            ),
        };
        let versions = match &self.version[..] {
            [] => versions,
            chosen => chosen.to_vec(),
        };
        wanted.then_some(libp2p::Options {
            links,
            versions,
            quick: self.quick,
            long: self.long,
            seed: self.seed,
        })
    }

    /// The cells of one peer, in the order of the table.
    fn cells(&self, peer: Kind) -> Vec<Cell> {
        let mut cells = Vec::new();
        for version in versions(peer) {
            for scenario in Scenario::ALL {
                for direction in Direction::ALL {
                    for link in [Link::Direct, Link::Clean, Link::Loss1, Link::Bad] {
                        let cell = Cell {
                            peer,
                            version,
                            scenario,
                            direction,
                            link,
                        };
                        if self.wants(&cell) {
                            cells.push(cell);
                        }
                    }
                }
            }
        }
        cells
    }

    fn wants(&self, cell: &Cell) -> bool {
        fn chosen<T: PartialEq>(list: &[T], this: &T) -> bool {
            list.is_empty() || list.contains(this)
        }
        // The acceptor follows: what it would do with another version is the dialer's choice.
        let dialers = cell.version != Choice::Discover
            || cell.direction.ours_dials
                && matches!(
                    cell.scenario,
                    Scenario::OneByte | Scenario::WindowAndOne | Scenario::OneMebibyte
                );
        let link = if self.link.is_empty() {
            cell.link != Link::Direct || is_reference(cell)
        } else {
            self.link.contains(&cell.link)
        };
        dialers
            && link
            && chosen(&self.scenario, &cell.scenario)
            && chosen(&self.version, &cell.version)
            && (!self.quick || is_quick(cell))
    }
}

/// In which versions ours talks to a peer.
fn versions(peer: Kind) -> Vec<Choice> {
    let mut versions = peer.wire().to_vec();
    versions.push(Choice::Discover);
    versions
}

/// Speed without the relay, to compare with.
fn is_reference(cell: &Cell) -> bool {
    cell.peer == Kind::Own && cell.scenario == Scenario::Bulk && cell.direction.ours_dials
}

/// What CI runs of the table: every peer, role, and kind of end, over the best and the worst link; little that takes long.
fn is_quick(cell: &Cell) -> bool {
    let own = cell.peer == Kind::Own;
    let scenario = match cell.scenario {
        Scenario::WindowAndOne | Scenario::EightStreams | Scenario::Reset => true,
        Scenario::OneByte => cell.link == Link::Clean,
        Scenario::OneMebibyte
        | Scenario::HundredStreams
        | Scenario::HalfClose
        | Scenario::FinWithData => cell.link == Link::Bad,
        Scenario::Bulk => own && cell.link == Link::Clean,
        Scenario::SlowReader => own && cell.direction.ours_dials,
        Scenario::PeerKilled => cell.direction.ours_dials,
        Scenario::Idle => false,
    };
    scenario
        && !abilities::depends_on_the_machine(cell)
        && matches!(cell.link, Link::Clean | Link::Bad)
}

fn list(peers: &[Kind], cells: &[Cell]) {
    println!("peers:");
    for peer in peers {
        let versions: Vec<&str> = versions(*peer).into_iter().map(Choice::name).collect();
        println!("  {:<20} version {}", peer.name(), versions.join(", "));
    }
    println!(
        "  {:<20} version 3, 2, discover, with scenarios of its own",
        libp2p::NAME
    );
    println!("scenarios:");
    for scenario in Scenario::ALL {
        let count = cells
            .iter()
            .filter(|cell| cell.scenario == scenario)
            .count();
        println!("  {:<20} {count} cells", scenario.name());
    }
    println!("{} cells", cells.len());
}

type Programs = Vec<(Kind, Program)>;

/// What each peer is started as; those that cannot be had are skipped, and said so.
fn prepare(peers: &[Kind], results: &mut Results) -> Result<Programs> {
    let this = std::env::current_exe()?;
    let mut programs = Vec::new();
    for peer in peers {
        let name = peer.name();
        match peer {
            Kind::Program(go) => {
                eprintln!("building {name}");
                match golang::build(*go, &name) {
                    Ok(program) => programs.push((*peer, program)),
                    Err(error) => {
                        eprintln!("SKIPPED {name}: {error:#}");
                        results
                            .skipped
                            .push((name.to_owned(), format!("{error:#}")));
                    }
                }
            }
            Kind::Own | Kind::Model(_) => {
                let arguments = vec!["peer".to_owned(), name];
                let path = this.clone();
                programs.push((*peer, Program { path, arguments }));
            }
        }
    }
    if programs.is_empty() {
        bail!("none of the peers can be had");
    }
    Ok(programs)
}

/// Runs all cells; those that mostly wait beside the others.
fn run_all(
    options: &Options,
    cells: Vec<Cell>,
    programs: &Programs,
    record: Option<&mut Record>,
) -> Result<Vec<(Cell, Verdict)>> {
    let count = cells.len();
    let known = |cell: &Cell| record.as_ref().and_then(|record| record.verdict(cell));
    let done: HashMap<_, _> = cells
        .iter()
        .enumerate()
        .filter_map(|(place, cell)| Some((place, (*cell, known(cell)?))))
        .collect();
    let numbered = cells.into_iter().enumerate();
    let numbered = numbered.filter(|(place, _)| !options.known && !done.contains_key(place));
    let (waiting, working): (VecDeque<_>, VecDeque<_>) =
        numbered.partition(|(_, cell)| cell.scenario.mostly_waits());
    let (waiting, working) = (Mutex::new(waiting), Mutex::new(working));
    let (done, record) = (Mutex::new(done), Mutex::new((record, Ok(()))));
    let settings = Settings {
        seed: options.seed,
        idle: Duration::from_secs(options.idle),
        all: options.all,
        packets: options.packets.clone(),
    };
    let began = Instant::now();
    let work = |queue: &Mutex<VecDeque<(usize, Cell)>>| {
        loop {
            let next = lock(queue).pop_front();
            let Some((place, cell)) = next else { return };
            let program = programs.iter().find(|(kind, _)| *kind == cell.peer);
            let Some((_, program)) = program else {
                continue;
            };
            let verdict = cell.run(program, &settings);
            let mut done = lock(&done);
            let seconds = began.elapsed().as_secs();
            eprintln!(
                "[{:>4}/{count} {seconds:>4} s] {}",
                done.len() + 1,
                table::line(&cell, &verdict)
            );
            if let (Some(record), written) = &mut *lock(&record)
                && written.is_ok()
            {
                *written = record.add(&cell, &verdict);
            }
            done.insert(place, (cell, verdict));
        }
    };
    let waiters = WAITING.min(lock(&waiting).len());
    std::thread::scope(|scope| {
        for _ in 0..waiters {
            scope.spawn(|| work(&waiting));
        }
        // CI asks whether, not how fast.
        let least = if options.quick { 2 } else { 1 };
        for _ in 0..options.jobs.max(least) {
            scope.spawn(|| work(&working));
        }
    });
    let mut done: Vec<_> = std::mem::take(&mut *lock(&done)).into_iter().collect();
    done.sort_unstable_by_key(|(place, _)| *place);
    std::mem::replace(&mut lock(&record).1, Ok(()))?;
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
