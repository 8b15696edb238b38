//! A thread with a runtime of its own, so that what runs on it can be killed like a process.

use anyhow::{Context, Result};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Runs until it is dropped. Then everything on it is gone at once, and nobody is told.
pub(super) struct Thread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts one, does `setup` on it, and gives what that gave.
    pub(super) fn start<T, S>(
        name: &str,
        setup: impl FnOnce() -> S + Send + 'static,
    ) -> Result<(Self, T)>
    where
        T: Send + 'static,
        S: Future<Output = Result<T>>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async move {
                let made = setup().await;
                let goes_on = made.is_ok();
                let _ = ready.send(made);
                if goes_on {
                    // An error is the end, too.
                    let _ = stopped.await;
                }
            });
        })?;
        let thread = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        let made = is_ready.recv().context("the thread ended at once")??;
        Ok((thread, made))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there is on the terminal already.
            let _ = thread.join();
        }
    }
}
