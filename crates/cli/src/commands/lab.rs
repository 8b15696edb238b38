//! `gapless lab`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gapless_lab::picture::{self, Title};
use gapless_lab::{Observers, Progress, Report, Scenario, Sink, Trace, Violation, run_observed};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::lab::LabArgs;
use crate::output::{self, Output};

/// What a run came to.
type Outcome = Result<Report, Violation>;

pub(super) async fn run(common: &Common, args: LabArgs, output: Output) -> Result<(), Failure> {
    let scenario = args.scenario(common)?;
    let picture = args
        .picture
        .clone()
        .unwrap_or_else(|| PathBuf::from(PICTURE));
    // What cannot be written is better known before the run than after it.
    let mut page = create(&picture, "--picture")?;
    let log = match &args.log {
        Some(path) => Some(sink(path)?),
        None => None,
    };
    let shown = Display::new(output, args.expected(&scenario));
    let title = Title {
        heading: args.heading(&scenario),
        replay: Some(command()),
        failure: None,
    };
    let (trace, outcome) = in_the_background(scenario, log, shown).await?;
    let html = picture::html(&trace, &title);
    page.write_all(html.as_bytes())
        .and_then(|()| page.flush())
        .map_err(|error| unwritable(&picture, "--picture", &error))?;
    report(&trace, &outcome, &picture, output);
    match outcome {
        Ok(_) => Ok(()),
        Err(violation) => Err(broken(&violation, &picture)),
    }
}

/// Beside the runtime, which can be interrupted meanwhile; the program's end ends the thread.
async fn in_the_background(
    scenario: Scenario,
    mut log: Option<Box<dyn Write + Send>>,
    mut shown: Display,
) -> Result<(Trace, Outcome), Failure> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut trace = Trace::new();
        let is_logged = log.is_some();
        let mut line = |line: &str| {
            if let Some(log) = &mut log {
                // A reader that had enough closes the pipe: no reason to fail.
                let _ = writeln!(log, "{line}");
            }
        };
        let mut progress = |progress| shown.show(progress);
        let log_lines: Option<Sink<'_>> = if is_logged { Some(&mut line) } else { None };
        let observers = Observers {
            log: log_lines,
            trace: Some(&mut trace),
            progress: Some(&mut progress),
        };
        let outcome = run_observed(&scenario, observers);
        // The log is whole before anything else is said.
        drop(log);
        drop(shown);
        drop(done.send((trace, outcome)));
    });
    result.await.map_err(|_| {
        Failure::new(Kind::Other, "the engine panicked in this run")
            .cure("this is a bug: report it with the command line")
    })
}

fn sink(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::new(std::io::stdout())));
    }
    Ok(Box::new(create(path, "--log")?))
}

fn create(path: &Path, option: &str) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path).map_err(|error| unwritable(path, option, &error))?;
    Ok(BufWriter::new(file))
}

fn unwritable(path: &Path, option: &str, error: &std::io::Error) -> Failure {
    let cause = format!("{} cannot be written: {error}", path.display());
    Failure::new(Kind::Target, cause).cure(format!("name another file with {option}"))
}

fn broken(violation: &Violation, picture: &Path) -> Failure {
    let cause = violation.to_string();
    let cause = cause.strip_prefix("broken").unwrap_or(&cause);
    let cure = format!(
        "the picture {} shows what led to it; --log FILE gives every packet. A path that is down for longer than \
         --idle-timeout ends any connection",
        picture.display()
    );
    Failure::new(Kind::Rule, format!("a rule of the lab was broken{cause}")).cure(cure)
}

fn report(trace: &Trace, outcome: &Outcome, picture: &Path, output: Output) {
    let lasted = trace.lasted();
    output.say(
        || {
            format!(
                "{}picture: {}",
                picture::text(trace).trim_start(),
                picture.display()
            )
        },
        || {
            let hosts = trace.hosts().iter().map(|host| {
                serde_json::json!({
                    "stream_bytes": host.sent.bytes(),
                    "datagrams": host.totals.datagrams,
                    "lost": host.totals.all_lost(),
                    "sent_again": host.totals.again,
                    "needlessly": host.totals.needless,
                })
            });
            serde_json::json!({
                "event": "done",
                "rules_kept": outcome.is_ok(),
                "virtual_time_us": lasted / 1000,
                "hosts": hosts.collect::<Vec<_>>(),
                "picture": picture.display().to_string(),
            })
        },
    );
}

/// How this program was called, for the picture.
fn command() -> String {
    let quoted = |argument: String| {
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_=,.%/+:".contains(it);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|it| quoted(it.to_string_lossy().into_owned()));
    let words: Vec<String> = std::iter::once("gapless".into()).chain(arguments).collect();
    words.join(" ")
}

/// How far a run is: a line on a terminal that changes, or objects for scripts.
struct Display {
    output: Output,
    bar: ProgressBar,
    expected: Option<u64>,
    said: Instant,
}

impl Display {
    fn new(output: Output, expected: Option<u64>) -> Self {
        let bar = if output.is_json() {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self {
            output,
            bar,
            expected,
            said: Instant::now(),
        }
    }

    fn show(&mut self, progress: Progress) {
        if self.said.elapsed() < SHOW_EVERY {
            return;
        }
        self.said = Instant::now();
        let Progress { now, read } = progress;
        if self.output.is_json() {
            let object = || {
                serde_json::json!({
                    "event": "progress",
                    "virtual_time_us": now / 1000,
                    "read": read,
                    "of": self.expected,
                })
            };
            self.output.say(String::new, object);
            return;
        }
        let of = self
            .expected
            .map_or_else(String::new, |of| format!(" of {}", output::bytes(of)));
        let time = output::time(Duration::from_nanos(now));
        self.bar.tick();
        self.bar.set_message(format!(
            "{time} of virtual time, {}{of} read",
            output::bytes(read)
        ));
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where the picture is written.
const PICTURE: &str = "gapless-lab.html";
/// Fast enough to be seen moving.
const SHOW_EVERY: Duration = Duration::from_millis(200);
