//! The end of connections that nobody holds any more: when all has arrived, or when they have had their time.

use super::error::ConnectionError;
use super::shared::State;
use super::wakes::Wakes;
use gapless_udx::{self as engine, ConnectionHandle, Instant};
use std::time::Duration;

/// Towards a peer that discards what its application has not read when a connection closes (UDX V21: Go, JS): how long the
/// close waits after everything was acknowledged and the peer's streams have ended. Its application reads within that.
const GRACE_AFTER_END: Duration = Duration::from_secs(1);

/// The same while the peer has not ended its streams. JS waits as long for its own acknowledgements (UDX 20).
const GRACE: Duration = Duration::from_secs(5);

/// A connection whose last handle is gone. It lives on until what was written has arrived.
pub(super) struct Dropped {
    /// When it has had its time.
    latest: Instant,
    /// Everything has arrived; only the peer's application may still read.
    settled: bool,
}

impl State {
    /// The last handle of a connection is gone: it is closed as soon as what was written has arrived.
    pub(crate) fn abandon(&mut self, handle: ConnectionHandle, now: Instant) {
        let latest = now.saturating_add(self.options.linger);
        if let Some(entry) = self.connections.get_mut(&handle) {
            entry.dropped = Some(Dropped {
                latest,
                settled: false,
            });
        }
        self.set_alarm(handle, latest);
        self.settle(handle, now);
    }

    /// Forgets a stream once both its ends are through and both its handles are gone.
    pub(crate) fn tidy(&mut self, handle: ConnectionHandle, id: engine::StreamId, now: Instant) {
        let Some(entry) = self.connections.get_mut(&handle) else {
            return;
        };
        let over = entry.over.is_some();
        if entry.streams.forget_if_done(id, over)
            && let Some(connection) = self.engine.connection_mut(handle)
        {
            connection.release_stream(id);
        }
        self.settle(handle, now);
    }

    /// Closes a connection that nobody holds, when it is time.
    pub(super) fn settle(&mut self, handle: ConnectionHandle, now: Instant) {
        let Some(entry) = self.connections.get_mut(&handle) else {
            return;
        };
        let Some(dropped) = &mut entry.dropped else {
            return;
        };
        if entry.over.is_some() {
            self.remove(handle);
            return;
        }
        if dropped.settled || !entry.streams.all_arrived() {
            return;
        }
        dropped.settled = true;
        let peer = self.engine.connection(handle).map(|c| c.peer());
        // V21: our own kind still reads what it has after a close; others discard it.
        let grace = if entry.streams.is_empty() && !entry.streams.any_ever()
            || peer == Some(engine::Peer::Own)
        {
            Duration::ZERO
        } else if entry.streams.all_ended() {
            GRACE_AFTER_END
        } else {
            GRACE
        };
        if grace.is_zero() {
            self.remove(handle);
        } else {
            let latest = dropped.latest;
            self.set_alarm(handle, now.saturating_add(grace).min(latest));
        }
    }

    pub(super) fn remove(&mut self, handle: ConnectionHandle) {
        if let Some(entry) = self.connections.remove(&handle) {
            if let Some(at) = entry.alarm {
                self.alarms.remove(&(at, handle));
            }
            self.dialing.remove(&handle);
            self.review(handle);
            self.engine.release(handle);
        }
    }

    pub(super) fn set_alarm(&mut self, handle: ConnectionHandle, at: Instant) {
        if let Some(entry) = self.connections.get_mut(&handle) {
            if let Some(old) = entry.alarm.replace(at) {
                self.alarms.remove(&(old, handle));
            }
            self.alarms.insert((at, handle));
        }
    }

    /// Something of this layer's own is due.
    pub(super) fn on_alarm(&mut self, handle: ConnectionHandle, now: Instant, wakes: &mut Wakes) {
        let Some(entry) = self.connections.get_mut(&handle) else {
            return;
        };
        entry.alarm = None;
        if entry.dropped.is_some() {
            self.remove(handle);
        } else if entry.refused && !entry.connected {
            let connection = self.engine.connection(handle);
            let only = connection.and_then(|connection| connection.version());
            let refused = true;
            entry.end(ConnectionError::NoAnswer { refused, only }, wakes);
            self.close(handle, now, 0, b"", wakes);
        }
    }
}
