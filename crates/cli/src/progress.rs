//! Shows a clone's progress: bars on a terminal, a line now and then elsewhere, objects for scripts.

use std::io::Write;
use std::time::{Duration, Instant};

use gapless_git::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{self, Output};

/// Follows one clone. Dropping it clears the bar.
pub struct Display {
    kind: Kind,
    /// The phase and its beginning: rates are of the phase, not of what the server needed before it.
    phase: Option<(&'static str, Instant)>,
    said: Option<Instant>,
}

enum Kind {
    Bar(ProgressBar),
    Lines,
    Json(Output),
}

/// Between two lines of the same phase: a log should tell that something moves, and not be filled by it.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Between two objects for a script that draws its own bar.
const JSON_EVERY: Duration = Duration::from_millis(500);
/// Before this, a rate would tell more about the clock than about the path.
const RATE_AFTER: Duration = Duration::from_millis(300);

impl Display {
    /// A bar if standard error is a terminal.
    pub fn new(output: Output) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let kind = if output.is_json() {
            Kind::Json(output)
        } else if bar.is_hidden() {
            Kind::Lines
        } else {
            Kind::Bar(bar)
        };
        Self {
            kind,
            phase: None,
            said: None,
        }
    }

    /// Shows what is going on.
    pub fn show(&mut self, progress: &Progress) {
        let name = phase(progress);
        let began = self.phase.filter(|(phase, _)| *phase == name);
        let new_phase = began.is_none();
        let (_, began) = *self.phase.insert(began.unwrap_or((name, Instant::now())));
        let view = View::new(progress, began.elapsed());
        let pause = match &self.kind {
            Kind::Bar(bar) => return view.draw(bar, new_phase),
            Kind::Lines => LINE_EVERY,
            Kind::Json(_) => JSON_EVERY,
        };
        if !new_phase && self.said.is_some_and(|said| said.elapsed() < pause) {
            return;
        }
        self.said = Some(Instant::now());
        match &self.kind {
            Kind::Json(output) => output.say(String::new, || view.json()),
            Kind::Lines | Kind::Bar(_) => drop(writeln!(std::io::stderr(), "{}", view.line())),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

fn phase(progress: &Progress) -> &'static str {
    match progress {
        Progress::Negotiating { .. } => "Negotiating",
        Progress::Receiving { .. } => "Receiving",
        Progress::Indexing { .. } => "Indexing",
        Progress::Checkout { .. } => "Checkout",
    }
}

/// A phase in numbers and words.
struct View {
    phase: &'static str,
    done: u64,
    total: Option<u64>,
    details: String,
    bytes: Option<u64>,
}

impl View {
    fn new(progress: &Progress, elapsed: Duration) -> Self {
        let plain = |done, total| Self {
            phase: phase(progress),
            done,
            total,
            details: String::new(),
            bytes: None,
        };
        match progress {
            Progress::Negotiating { remote: None } => plain(0, None),
            Progress::Negotiating {
                remote: Some(remote),
            } => Self {
                details: format!("server: {}", remote.action),
                ..plain(remote.done, remote.total)
            },
            Progress::Receiving {
                objects,
                total,
                bytes,
            } => {
                let mut details = output::bytes(*bytes);
                if elapsed >= RATE_AFTER {
                    let rate = output::bytes(output::rate(*bytes, elapsed));
                    details.push_str(&format!(", {rate}/s"));
                }
                Self {
                    details,
                    bytes: Some(*bytes),
                    ..plain(*objects, Some(*total))
                }
            }
            Progress::Indexing { done, total } => plain(*done, Some(*total)),
            Progress::Checkout { files, total } => plain(*files, Some(*total)),
        }
    }

    fn draw(self, bar: &ProgressBar, new_phase: bool) {
        if new_phase {
            bar.set_prefix(self.phase);
        }
        let style = match self.total {
            Some(total) => {
                bar.set_length(total);
                ProgressStyle::with_template("{prefix:<12} {wide_bar} {pos}/{len}  {msg}")
            }
            None => {
                bar.unset_length();
                ProgressStyle::with_template("{prefix:<12} {spinner} {msg}")
            }
        };
        // The templates are constants; were one wrong, the default style would do.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(self.done);
        bar.set_message(self.details);
        bar.tick();
    }

    fn line(&self) -> String {
        let mut line = self.phase.to_owned();
        if let Some(total) = self.total {
            line.push_str(&format!(" {}/{total}", self.done));
        }
        if !self.details.is_empty() {
            line.push_str(&format!(" ({})", self.details));
        }
        line
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "event": "progress",
            "phase": self.phase.to_ascii_lowercase(),
            "done": self.done,
            "total": self.total,
            "bytes": self.bytes,
            "details": self.details,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_git::RemoteWork;

    #[test]
    fn lines_say_what_is_known() {
        let line = |progress| View::new(&progress, Duration::from_secs(2)).line();
        assert_eq!(line(Progress::Negotiating { remote: None }), "Negotiating");
        let remote = Some(RemoteWork {
            action: "Counting objects".into(),
            done: 3,
            total: Some(9),
        });
        assert_eq!(
            line(Progress::Negotiating { remote }),
            "Negotiating 3/9 (server: Counting objects)"
        );
        let receiving = Progress::Receiving {
            objects: 5,
            total: 8,
            bytes: 4_000_000,
        };
        assert_eq!(line(receiving), "Receiving 5/8 (4.0 MB, 2.0 MB/s)");
        assert_eq!(
            line(Progress::Checkout { files: 1, total: 2 }),
            "Checkout 1/2"
        );
    }
}
