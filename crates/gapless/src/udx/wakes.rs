//! Whom the driver and the handles wake, and what tasks wait for.

use super::shared::Shared;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::Notify;

/// What tasks wait for on a connection as a whole.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) connected: Notify,
    pub(crate) stream_opened: Notify,
    pub(crate) streams_available: Notify,
    pub(crate) pong: Notify,
    pub(crate) closed: Notify,
}

impl Signals {
    pub(super) fn all(&self) {
        self.connected.notify_waiters();
        self.stream_opened.notify_waiters();
        self.streams_available.notify_waiters();
        self.pong.notify_waiters();
        self.closed.notify_waiters();
    }
}

/// Whom to wake once the lock is released: a waker may run anything, also code that takes the lock.
#[derive(Default)]
pub(crate) struct Wakes(Vec<Wake>);

pub(super) enum Wake {
    Task(Waker),
    Stream(Arc<Notify>),
    Signal(Arc<Signals>, fn(&Signals) -> &Notify),
    Connection(Arc<Signals>),
    Incoming,
    Idle,
}

impl Wakes {
    pub(super) fn add(&mut self, wake: Wake) {
        self.0.push(wake);
    }

    pub(crate) fn task(&mut self, waker: Option<Waker>) {
        self.0.extend(waker.map(Wake::Task));
    }

    pub(crate) fn stream(&mut self, changed: Option<&Arc<Notify>>) {
        self.0.extend(changed.cloned().map(Wake::Stream));
    }

    pub(crate) fn wake(&mut self, shared: &Shared) {
        for wake in self.0.drain(..) {
            match wake {
                Wake::Task(waker) => waker.wake(),
                Wake::Stream(changed) => changed.notify_waiters(),
                Wake::Signal(signals, which) => which(&signals).notify_waiters(),
                Wake::Connection(signals) => signals.all(),
                Wake::Incoming => shared.incoming.notify_waiters(),
                Wake::Idle => shared.idle.notify_waiters(),
            }
        }
    }
}
