//! Dials that are written on before the peer has answered: what they were told is told again, if it takes a second attempt.

use super::connection::{Connection, ConnectionInner};
use super::dial::{Dialer, Wanted};
use super::shared::{Entry, Shared};
use super::streams::Streams;
use super::wakes::{Wake, Wakes};
use bytes::Bytes;
use gapless_udx::{self as engine, ConnectionHandle, StreamId, VersionChoice};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use tokio::sync::Notify;

/// What a connection has to know of being an early dial; nothing, mostly.
#[derive(Default)]
pub(super) struct Early {
    /// What the application says is noted down.
    telling: AtomicBool,
    /// The application has said something: only now packets leave.
    begun: Arc<Notify>,
    /// Where the connection went on.
    moved: OnceLock<Moved>,
}

struct Moved {
    second: Connection,
    /// What the streams are called there that had been opened before.
    names: HashMap<StreamId, StreamId>,
}

impl Early {
    pub(super) fn is_telling(&self) -> bool {
        self.telling.load(Ordering::Relaxed)
    }

    /// Something was asked of the connection.
    pub(super) fn begin(&self) {
        if self.is_telling() {
            self.begun.notify_one();
        }
    }

    pub(super) fn moved(&self) -> Option<&Connection> {
        self.moved.get().map(|moved| &moved.second)
    }

    /// What a stream is called where the connection is now.
    pub(super) fn name(&self, id: StreamId) -> StreamId {
        let name = self.moved.get().and_then(|moved| moved.names.get(&id));
        name.copied().unwrap_or(id)
    }
}

/// What the application said on each stream, in the order in which they were opened.
#[derive(Default)]
pub(crate) struct Told {
    streams: Vec<(StreamId, Said)>,
}

/// Bounded by the stream's send buffer, which gives nothing free without an answer.
#[derive(Default)]
struct Said {
    written: Vec<Bytes>,
    reset: Option<u32>,
    stopped: Option<u32>,
}

impl Told {
    pub(super) fn opened(&mut self, id: StreamId) {
        self.streams.push((id, Said::default()));
    }

    pub(super) fn written(&mut self, id: StreamId, data: Bytes) {
        self.on(id, |said| said.written.push(data));
    }

    pub(super) fn reset(&mut self, id: StreamId, code: u32) {
        self.on(id, |said| said.reset = Some(code));
    }

    pub(super) fn stopped(&mut self, id: StreamId, code: u32) {
        self.on(id, |said| said.stopped = Some(code));
    }

    fn on(&mut self, id: StreamId, what: impl FnOnce(&mut Said)) {
        let stream = self.streams.iter_mut().find(|(known, _)| *known == id);
        if let Some((_, said)) = stream {
            what(said);
        }
    }

    /// Says all of it on a connection that has said nothing; gives the streams' names there. `None` if that cannot be, which leaves
    /// a connection of no use.
    fn repeat(
        self,
        streams: &Streams,
        connection: &mut engine::Connection,
    ) -> Option<HashMap<StreamId, StreamId>> {
        let mut names = HashMap::new();
        for (old, said) in self.streams {
            let id = connection.open().ok()?;
            names.insert(old, id);
            for mut data in said.written {
                while !data.is_empty() {
                    connection.write(id, &mut data).ok()?;
                }
            }
            if streams.is_finished(old) {
                connection.finish(id).ok()?;
            }
            if let Some(code) = said.reset {
                connection.reset(id, code);
            }
            if let Some(code) = said.stopped {
                connection.stop(id, code);
            }
        }
        Some(names)
    }
}

/// Has a dial that was not answered yet tried again, in the other version, once it has been silent for the patience of its endpoint.
pub(super) fn attend(dialer: Dialer, wanted: Wanted, first: &Connection, fallback: VersionChoice) {
    let inner = &first.inner;
    {
        let mut state = inner.shared.lock();
        match state.connections.get_mut(&inner.handle) {
            Some(entry) if !entry.connected => entry.told = Some(Box::default()),
            _ => return,
        }
    }
    inner.early.telling.store(true, Ordering::Relaxed);
    let attempt = Attempt {
        handle: inner.handle,
        shared: inner.shared.clone(),
        begun: inner.early.begun.clone(),
        first: Arc::downgrade(inner),
    };
    let runtime = dialer.ports.maker().runtime.clone();
    runtime.spawn(async move { attempt.attend(dialer, wanted, fallback).await });
}

/// The first attempt, which this does not keep alive.
struct Attempt {
    shared: Arc<Shared>,
    handle: ConnectionHandle,
    begun: Arc<Notify>,
    first: Weak<ConnectionInner>,
}

impl Attempt {
    async fn attend(self, dialer: Dialer, wanted: Wanted, fallback: VersionChoice) {
        self.begun.notified().await;
        let decided = async {
            self.decided().await;
            None
        };
        let second = earlier(decided, try_again(&dialer, &wanted, fallback)).await;
        let Some(first) = self.first.upgrade() else {
            return;
        };
        first.early.telling.store(false, Ordering::Relaxed);
        let moved = second.is_some_and(|second| go_on_with(&first, second));
        if !moved && let Some(entry) = first.shared.lock().connections.get_mut(&first.handle) {
            entry.told = None;
        }
    }

    /// Waits until the first attempt was answered, or is over.
    async fn decided(&self) {
        loop {
            let Some(signals) = self.first.upgrade().map(|first| first.signals.clone()) else {
                return;
            };
            let (connected, closed) = (signals.connected.notified(), signals.closed.notified());
            {
                let state = self.shared.lock();
                let entry = state.connections.get(&self.handle);
                // A port that nobody listens at is not asked again.
                let waits =
                    |entry: &Entry| !entry.connected && entry.over.is_none() && !entry.refused;
                if !entry.is_some_and(waits) {
                    return;
                }
            }
            earlier(connected, closed).await;
        }
    }
}

/// What the one of two futures gives that ends first.
async fn earlier<R>(one: impl Future<Output = R>, other: impl Future<Output = R>) -> R {
    let (mut one, mut other) = (pin!(one), pin!(other));
    std::future::poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => other.as_mut().poll(cx),
    })
    .await
}

/// A second attempt that was answered.
async fn try_again(dialer: &Dialer, wanted: &Wanted, version: VersionChoice) -> Option<Connection> {
    let patience = dialer.patience();
    tokio::time::sleep(patience).await;
    let left = dialer.time_after(wanted, patience)?;
    let second = dialer.second(wanted, version, left).ok()?;
    match second.established().await {
        Ok(()) => Some(second),
        // The first attempt ends when its own time is over, and tells.
        Err(_) => std::future::pending().await,
    }
}

/// Moves a connection to where it was answered; whether that was possible.
fn go_on_with(first: &ConnectionInner, second: Connection) -> bool {
    let (mut wakes, mut there_wakes) = (Wakes::default(), Wakes::default());
    let there = second.inner.clone();
    if Arc::ptr_eq(&first.shared, &there.shared) {
        return false;
    }
    // The only place with two locks; a second attempt's port never has a second attempt of its own.
    let mut old = first.shared.lock();
    let mut new = there.shared.lock();
    let Some(entry) = old.connections.get_mut(&first.handle) else {
        return false;
    };
    let Some(told) = entry.told.take() else {
        return false;
    };
    let connection = new.engine.connection_mut(there.handle);
    let names = connection.and_then(|connection| told.repeat(&entry.streams, connection));
    let Some(names) = names else {
        return false;
    };
    entry.streams.wake_all(&mut wakes);
    let streams = std::mem::take(&mut entry.streams);
    if let Some(entry) = new.connections.get_mut(&there.handle) {
        entry.streams = streams.renamed(&names);
    }
    wakes.add(Wake::Connection(first.signals.clone()));
    new.rouse(&mut there_wakes);
    // From here on the lock of the old place leads nowhere.
    let _ = first.early.moved.set(Moved { second, names });
    old.remove(first.handle);
    old.rouse(&mut wakes);
    drop((old, new));
    wakes.wake(&first.shared);
    there_wakes.wake(&there.shared);
    true
}
