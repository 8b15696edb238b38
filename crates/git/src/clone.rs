//! Copies a repository from a stream into a directory, with gitoxide.

mod checkout;
mod fetch;
mod place;
mod progress;
mod refs;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::bridge::{Bridge, Observer, bridge};
use crate::request::{Refusal, RequestError};
use place::Place;
pub use place::check_target;
pub use progress::{Progress, RemoteWork};
pub use refs::Head;

/// What to clone, and where to.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// The repository's name at the server.
    pub name: String,
    /// Kept as the URL of the remote `origin`, for later fetches.
    pub url: String,
    /// The directory to make. It may exist if it is empty.
    pub target: PathBuf,
}

/// A finished clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloned {
    /// Where it is, as an absolute path.
    pub target: PathBuf,
    /// What HEAD points to.
    pub head: Head,
    /// Remote-tracking branches and tags.
    pub refs: usize,
    /// Objects in the received pack.
    pub objects: u64,
    /// Bytes read from the stream.
    pub received: u64,
    /// Bytes written to the stream.
    pub sent: u64,
    /// Files checked out.
    pub files: u64,
    /// Paths left out of the worktree because another path holds their place, as two names that differ only in case do on some
    /// file systems.
    pub collisions: Vec<String>,
}

/// Why a clone failed. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloneError {
    /// The target exists and is no empty directory.
    #[error("{path} exists already and is not an empty directory", path = _0.display())]
    TargetNotEmpty(PathBuf),
    /// A directory or file of the clone cannot be made.
    #[error("{path} cannot be written", path = path.display())]
    Target {
        /// The path that failed.
        path: PathBuf,
        /// The system's answer.
        #[source]
        error: io::Error,
    },
    /// A variable of the environment would redirect the clone into another repository.
    #[error("the environment variable {0} points to another repository: unset it first")]
    Environment(&'static str),
    /// The name cannot be asked for.
    #[error("the repository's name cannot be sent")]
    Name(#[from] RequestError),
    /// The server refused, or its git did.
    #[error("the server refused: {0}")]
    Refused(Refusal),
    /// The connection ended before all was received.
    #[error("the connection ended before the repository was received")]
    Connection(#[source] io::Error),
    /// What was received is no sound repository, or gitoxide could not store it.
    #[error("{doing} failed: {details}")]
    Git {
        /// What was being done.
        doing: &'static str,
        /// gitoxide's words.
        details: String,
    },
    /// Files could not be checked out.
    #[error("{count} files could not be checked out, the first: {first}")]
    Checkout {
        /// How many.
        count: usize,
        /// Path and reason of the first.
        first: String,
    },
    /// `cancelled` completed, or the future was dropped.
    #[error("cancelled")]
    Cancelled,
}

/// How often progress is reported: faster than an eye follows, slow enough to cost nothing.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Variables which gitoxide obeys, as git does, and that name parts of a repository.
const REDIRECTING: [&str; 3] = ["GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE"];

/// Clones the repository at the other end of `stream` into a directory with a worktree.
///
/// References end up as `git clone` leaves them: the server's branches under `refs/remotes/origin/`, all its tags, its HEAD's
/// branch checked out and tracking. `report` hears what is going on about ten times a second.
///
/// The clone grows in a directory `.gapless-clone-…` beside its target and is renamed when it is complete; that directory is
/// removed whatever happens, save that the process is killed without notice (SIGKILL, power). When `cancelled` completes, the
/// clone ends with [`CloneError::Cancelled`] after the removal; when the future is dropped, the removal follows on a thread of
/// the runtime.
///
/// # Errors
///
/// See [`CloneError`].
pub async fn clone<S>(
    stream: S,
    request: CloneRequest,
    mut report: impl FnMut(Progress),
    cancelled: impl Future<Output = ()>,
) -> Result<Cloned, CloneError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    if let Some(variable) = REDIRECTING
        .into_iter()
        .find(|variable| std::env::var_os(variable).is_some())
    {
        return Err(CloneError::Environment(variable));
    }
    let Bridge {
        reader,
        writer,
        observer,
        stop,
    } = bridge(stream, Handle::current());
    let stopper = Stopper {
        interrupt: Arc::new(AtomicBool::new(false)),
        stop,
    };
    let tree = gix::progress::tree::Root::new();
    let job = Job {
        request,
        root: tree.add_child("clone"),
        interrupt: Arc::clone(&stopper.interrupt),
        observer: Arc::clone(&observer),
    };
    let mut work = tokio::task::spawn_blocking(move || job.run(reader, writer));
    let mut sampler = progress::Sampler::new(tree, observer);
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(cancelled);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result.unwrap_or_else(|error| Err(failed("cloning", gix::Error::from_error(error)))),
            () = &mut cancelled, if !stopper.stopped() => stopper.stop(),
            _ = ticks.tick() => report(sampler.sample()),
        }
    }
}

/// Stops the blocking work, also when the future that waits for it is dropped.
struct Stopper {
    interrupt: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
}

impl Stopper {
    fn stop(&self) {
        self.interrupt.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the blocking thread works with.
struct Job {
    request: CloneRequest,
    root: gix::progress::tree::Item,
    interrupt: Arc<AtomicBool>,
    observer: Arc<Observer>,
}

impl Job {
    fn run<R, W>(self, reader: R, writer: W) -> Result<Cloned, CloneError>
    where
        R: io::Read + Send,
        W: io::Write + Send,
    {
        let Self {
            request,
            root,
            interrupt,
            observer,
        } = self;
        let place = Place::prepare(&request.target)?;
        let result = Self::fill(place.work(), &request, root, &interrupt, reader, writer);
        if interrupt.load(Ordering::Relaxed) {
            return Err(CloneError::Cancelled);
        }
        // gitoxide reports a broken stream as broken data; the stream itself knows better. But a refusal is followed by the end
        // of the stream as well.
        let cloned = match (result, observer.take_end()) {
            (Err(CloneError::Git { .. }), Some(error)) => {
                return Err(CloneError::Connection(error));
            }
            (result, _) => result?,
        };
        let target = place.commit()?;
        Ok(Cloned {
            target,
            received: observer.received(),
            sent: observer.sent(),
            ..cloned
        })
    }

    fn fill<R, W>(
        work: &Path,
        request: &CloneRequest,
        mut root: gix::progress::tree::Item,
        interrupt: &AtomicBool,
        reader: R,
        writer: W,
    ) -> Result<Cloned, CloneError>
    where
        R: io::Read + Send,
        W: io::Write + Send,
    {
        let repository = fetch::init(work)?;
        let fetched = fetch::fetch(&repository, request, &mut root, interrupt, reader, writer)?;
        let head = refs::set_head(&repository, &fetched.remote_refs, &request.url)?;
        refs::write_config(&repository, &request.url, &head)?;
        let checked_out = checkout::checkout(&repository, &mut root, interrupt)?;
        Ok(Cloned {
            target: PathBuf::new(),
            head,
            refs: fetched.refs,
            objects: fetched.objects,
            received: 0,
            sent: 0,
            files: checked_out.files,
            collisions: checked_out.collisions,
        })
    }
}

/// gitoxide's error with all its causes, in one line.
fn failed(doing: &'static str, error: impl Into<gix::Error>) -> CloneError {
    let error = error.into();
    let refusal = error.iter_errors().find_map(err_line);
    if let Some(text) = refusal {
        return CloneError::Refused(Refusal::parse(&text));
    }
    let details = error
        .iter_errors()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    CloneError::Git { doing, details }
}

/// The text of an `ERR` pkt-line, if that is what the error is.
fn err_line(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use gix::protocol::transport::packetline::read::Error as ErrLine;
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    let line = match inner {
        Some(inner) => inner.downcast_ref::<ErrLine>(),
        None => error.downcast_ref::<ErrLine>(),
    };
    line.map(|line| line.message.to_string())
}
