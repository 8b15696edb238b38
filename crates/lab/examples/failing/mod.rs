//! What is left of a failing run: the smallest scenario that fails in the same way, as bytes, as a packet log and as a
//! picture.

use gapless_lab::peers::Kind;
use gapless_lab::picture::{self, Title};
use gapless_lab::{
    Failure, Runs, Scenario, Shrunk, Trace, Violation, run_logged, run_traced, shrink_failure,
};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Prints the failure of a seed, makes it small and keeps what it came to.
pub(crate) fn report(failure: &Failure) {
    let commit = commit().map_or(String::new(), |commit| format!("commit {commit}, "));
    println!("{commit}{failure}");
    let seed = failure.seed;
    let (name, scenario, against) = match failure.runs {
        Runs::Udx => (seed.to_string(), Scenario::from_seed(seed), None),
        Runs::Against(kind) => (
            format!("{kind}-{seed}"),
            Scenario::against(kind, seed),
            Some(kind),
        ),
        Runs::Hostile | Runs::Tcp | Runs::TcpAgainst(_) => {
            println!();
            return;
        }
    };
    small(&name, scenario.choices(), against, &failure.violation);
    println!();
}

/// Shrinks the run that these bytes decide on and writes what is left of it under that name.
pub(crate) fn small(name: &str, bytes: &[u8], against: Option<Kind>, broken: &Violation) {
    let begin = Instant::now();
    let in_time = || begin.elapsed() < LONGEST;
    let Some(shrunk) = shrink_failure(bytes, against, broken, in_time) else {
        println!("    its bytes alone do not break the rule: this is a bug of the lab");
        return;
    };
    match keep(name, &shrunk, against) {
        Ok(path) => {
            println!(
                "    shrunk from {} bytes of decisions to {} in {} runs: {}",
                bytes.len(),
                shrunk.bytes.len(),
                shrunk.runs,
                shrunk.violation
            );
            println!("    replay: {} --log", replay(against, &path));
            println!("    picture: {}", path.with_extension("html").display());
        }
        Err(error) => println!("    what it was shrunk to cannot be written: {error}"),
    }
}

/// Writes the decisions and the log of the run; where the decisions are.
fn keep(name: &str, shrunk: &Shrunk, against: Option<Kind>) -> io::Result<PathBuf> {
    let place = Path::new("target").join("lab");
    fs::create_dir_all(&place)?;
    let path = place.join(format!("{name}.bytes"));
    fs::write(&path, &shrunk.bytes)?;
    let scenario = match against {
        Some(kind) => Scenario::against_from_bytes(kind, &shrunk.bytes),
        None => Scenario::from_bytes(&shrunk.bytes),
    };
    let mut log = BufWriter::new(fs::File::create(path.with_extension("log"))?);
    write_log(&mut log, &scenario, &shrunk.violation)?;
    log.flush()?;
    let replay = replay(against, &path);
    let page = picture(&scenario, &shrunk.violation, name, replay);
    fs::write(path.with_extension("html"), page)?;
    Ok(path)
}

fn replay(against: Option<Kind>, path: &Path) -> String {
    let against = against.map_or(String::new(), |kind| format!("--against {kind} "));
    format!("cargo xtask lab {against}--replay {}", path.display())
}

/// The run as a page, up to where it breaks its rule or panics.
fn picture(scenario: &Scenario, broken: &Violation, name: &str, replay: String) -> String {
    let mut trace = Trace::new();
    // It is the other polling that fails, or the two together.
    for scenario in [Some(scenario.clone()), scenario.with_other_manners()] {
        let Some(scenario) = scenario else { break };
        let run = std::panic::AssertUnwindSafe(|| run_traced(&scenario, &mut trace));
        if !matches!(std::panic::catch_unwind(run), Ok(Ok(_))) {
            break;
        }
    }
    let title = Title {
        heading: format!("{name}: a rule broken"),
        replay: Some(replay),
        failure: Some(broken.to_string()),
    };
    picture::html(&trace, &title)
}

fn write_log(log: &mut impl Write, scenario: &Scenario, broken: &Violation) -> io::Result<()> {
    writeln!(log, "{broken}\n\n{scenario:#?}\n")?;
    // It is the other polling that fails, or the two together.
    for scenario in [Some(scenario.clone()), scenario.with_other_manners()] {
        let Some(scenario) = scenario else { break };
        let mut failed = Ok(());
        let mut sink = |line: &str| {
            if failed.is_ok() {
                failed = writeln!(log, "{line}");
            }
        };
        let run = std::panic::AssertUnwindSafe(|| run_logged(&scenario, Some(&mut sink)));
        let fails = !matches!(std::panic::catch_unwind(run), Ok(Ok(_)));
        failed?;
        if fails {
            break;
        }
        writeln!(log, "\nthe same, polled otherwise:\n")?;
    }
    Ok(())
}

/// Which commit this is, where git knows.
fn commit() -> Option<String> {
    let arguments = ["describe", "--always", "--dirty", "--exclude=*"];
    let said = Command::new("git").args(arguments).output().ok()?;
    let name = String::from_utf8(said.stdout).ok()?;
    (said.status.success() && !name.trim().is_empty()).then(|| name.trim().to_string())
}

/// Shrinking one failure takes no longer.
const LONGEST: Duration = Duration::from_secs(20);
