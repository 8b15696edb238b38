//! What engines report, as `tracing` events.

use gapless_udx::{ConnectionHandle, Event};

pub(super) fn event(connection: ConnectionHandle, event: &Event) {
    match event {
        Event::Incoming | Event::Connected | Event::Closed => {
            tracing::debug!(target: "gapless", ?connection, ?event);
        }
        Event::Moved { from, to } => {
            tracing::debug!(target: "gapless", ?connection, %from, %to, "the peer moved");
        }
        Event::Refused(what) => {
            tracing::debug!(target: "gapless", ?connection, %what, "refused something of the peer's");
        }
        Event::Recovery(what) => tracing::trace!(target: "gapless", ?connection, ?what),
        _ => tracing::trace!(target: "gapless", ?connection, ?event),
    }
}
