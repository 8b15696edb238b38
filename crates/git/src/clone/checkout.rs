//! Writes HEAD's files.

use std::sync::atomic::AtomicBool;

use gix::Count;
use gix::progress::tree::Item;

use super::{CloneError, failed, progress::CHECKED_OUT_FILES};

/// What was written.
#[derive(Default)]
pub(super) struct CheckedOut {
    pub(super) files: u64,
    pub(super) collisions: Vec<String>,
}

/// Checks HEAD out into the repository's empty worktree and writes the index. Nothing to do while HEAD is unborn.
pub(super) fn checkout(
    repository: &gix::Repository,
    progress: &mut Item,
    interrupt: &AtomicBool,
) -> Result<CheckedOut, CloneError> {
    const DOING: &str = "checking out";
    let Some(work_tree) = repository.workdir() else {
        return Ok(CheckedOut::default());
    };
    let mut head = repository.head().map_err(|error| failed(DOING, error))?;
    if head.is_unborn() {
        return Ok(CheckedOut::default());
    }
    let commit = head
        .peel_to_commit()
        .map_err(|error| failed(DOING, error))?;
    let tree = commit.tree_id().map_err(|error| failed(DOING, error))?;
    let mut index = repository
        .index_from_tree(&tree)
        .map_err(|error| failed(DOING, error))?;

    let source = gix::worktree::stack::state::attributes::Source::IdMapping;
    let mut options = repository
        .checkout_options(source)
        .map_err(|error| failed(DOING, error))?;
    options.destination_is_initially_empty = true;
    let objects = repository.objects.clone().into_arc();
    let objects = objects.map_err(|error| failed(DOING, gix::Error::from_error(error)))?;
    let files = progress.add_child_with_id("files", CHECKED_OUT_FILES);
    files.init(Some(index.entries().len()), gix::progress::count("files"));
    let bytes = progress.add_child("bytes");
    let outcome = gix::worktree::state::checkout(
        &mut index, work_tree, objects, &files, &bytes, interrupt, options,
    )
    .map_err(|error| failed(DOING, error))?;
    if let Some(first) = outcome.errors.first() {
        let first = format!("{}: {}", first.path, first.error);
        return Err(CloneError::Checkout {
            count: outcome.errors.len(),
            first,
        });
    }
    if let Some(first) = outcome.delayed_paths_unprocessed.first() {
        let first = format!("{first}: its filter process never delivered it");
        return Err(CloneError::Checkout {
            count: outcome.delayed_paths_unprocessed.len(),
            first,
        });
    }
    let written = u64::try_from(Count::step(&files)).unwrap_or(u64::MAX);
    index
        .write(gix::index::write::Options::default())
        .map_err(|error| failed(DOING, error))?;
    let collisions = outcome
        .collisions
        .into_iter()
        .map(|collision| collision.path.to_string())
        .collect();
    Ok(CheckedOut {
        files: written,
        collisions,
    })
}
