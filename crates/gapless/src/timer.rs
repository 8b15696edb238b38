//! One timer for everything: set rarely, although the deadline changes with almost every datagram.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// A timer may wake its owner early, but never late (beyond tokio's granularity of 1 ms).
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// When `sleep` ends, as long as it has not.
    armed: Option<Instant>,
}

impl Timer {
    /// Must be called within a runtime.
    pub(crate) fn new() -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
        }
    }

    /// Ready when `deadline` has passed; otherwise the task will be woken by then.
    pub(crate) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        // A later deadline keeps the earlier alarm: most deadlines move on long before they are reached, and one early wake-up
        // costs less than setting the timer anew for each of them.
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.set(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            self.armed = None;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            self.set(deadline);
        }
        Poll::Pending
    }

    fn set(&mut self, deadline: Instant) {
        self.armed = Some(deadline);
        self.sleep.as_mut().reset(deadline.into());
    }
}
