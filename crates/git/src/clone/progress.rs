//! From gitoxide's progress tree to what a person wants to see.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gix::progress::prodash::progress::{Id, Key, Task};
use gix::progress::tree;

use crate::bridge::Observer;

/// What a clone is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Request, references, and the server's preparation of the pack.
    Negotiating {
        /// What the server says it does.
        remote: Option<RemoteWork>,
    },
    /// The pack is coming in.
    Receiving {
        /// Objects received.
        objects: u64,
        /// Objects in the pack.
        total: u64,
        /// Bytes read from the stream.
        bytes: u64,
    },
    /// Deltas are resolved and the pack's index is made.
    Indexing {
        /// Objects done.
        done: u64,
        /// Objects in the pack.
        total: u64,
    },
    /// Files are written.
    Checkout {
        /// Files done.
        files: u64,
        /// Files to write.
        total: u64,
    },
}

/// A step of the server, as its git reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteWork {
    /// In git's words: `Counting objects`, `Compressing objects`.
    pub action: String,
    /// Objects done.
    pub done: u64,
    /// Objects to do, when git knows.
    pub total: Option<u64>,
}

// gitoxide's names of the tasks in its tree (`gix_protocol::fetch::ProgressId`, `gix_pack::index::write::ProgressId`).
const REMOTE: Id = *b"FERP";
const RECEIVED_OBJECTS: Id = *b"IWIO";
const RESOLVED_OBJECTS: Id = *b"IWRO";
/// Our own task, see `checkout`.
pub(super) const CHECKED_OUT_FILES: Id = *b"GLCO";

/// Looks at the tree now and then.
pub(super) struct Sampler {
    tree: Arc<tree::Root>,
    observer: Arc<Observer>,
    tasks: Vec<(Key, Task)>,
    last: Progress,
}

impl Sampler {
    pub(super) fn new(tree: Arc<tree::Root>, observer: Arc<Observer>) -> Self {
        Self {
            tree,
            observer,
            tasks: Vec::new(),
            last: Progress::Negotiating { remote: None },
        }
    }

    /// What is going on now. Between two tasks it is still the last one.
    pub(super) fn sample(&mut self) -> Progress {
        self.tree.sorted_snapshot(&mut self.tasks);
        if let Some((files, total)) = self.step(CHECKED_OUT_FILES) {
            self.last = Progress::Checkout {
                files,
                total: total.unwrap_or(files),
            };
        } else if let Some((done, total)) = self.step(RESOLVED_OBJECTS) {
            self.last = Progress::Indexing {
                done,
                total: total.unwrap_or(done),
            };
        } else if let Some((objects, total)) = self.step(RECEIVED_OBJECTS) {
            let bytes = self.observer.received();
            self.last = Progress::Receiving {
                objects,
                total: total.unwrap_or(objects),
                bytes,
            };
        } else if let Progress::Negotiating { remote } = &mut self.last {
            *remote = self
                .tasks
                .iter()
                .find(|(_, task)| task.id == REMOTE)
                .and_then(remote_work);
        }
        self.last.clone()
    }

    fn step(&self, id: Id) -> Option<(u64, Option<u64>)> {
        self.tasks
            .iter()
            .find(|(_, task)| task.id == id)
            .and_then(|(_, task)| step(task))
    }
}

fn step(task: &Task) -> Option<(u64, Option<u64>)> {
    let value = task.progress.as_ref()?;
    let done = u64::try_from(value.step.load(Ordering::Relaxed)).ok()?;
    Some((
        done,
        value.done_at.and_then(|total| u64::try_from(total).ok()),
    ))
}

fn remote_work((_, task): &(Key, Task)) -> Option<RemoteWork> {
    let (done, total) = step(task)?;
    // gitoxide names the task `remote: Counting objects`.
    let action = task.name.rsplit(": ").next().unwrap_or(&task.name);
    Some(RemoteWork {
        action: action.to_owned(),
        done,
        total,
    })
}
