//! What dials teach: in which version a peer answers, and that nobody listens.

use super::shared::State;
use gapless_udx::{self as engine, ConnectionHandle, Instant, Version};
use std::net::IpAddr;

impl State {
    /// Remembers which version a peer answered a dial in.
    pub(super) fn learn(&self, handle: ConnectionHandle) {
        if let Some((connection, version)) = self.dialed(handle) {
            let remote = connection.remote_address();
            self.versions.learn(remote, version, connection.peer());
        }
    }

    /// At the end of a dialed connection: what became of what was known, whoever ended it.
    pub(super) fn review(&self, handle: ConnectionHandle) {
        let Some((connection, version)) = self.dialed(handle) else {
            return;
        };
        let remote = connection.remote_address();
        if connection.is_established() {
            let kind = connection.peer();
            self.versions.recognise(remote, version, kind);
        } else {
            self.versions.doubt(remote, version);
        }
    }

    /// A dialed connection with its version, if that is decided.
    fn dialed(&self, handle: ConnectionHandle) -> Option<(&engine::Connection, Version)> {
        let connection = self.engine.connection(handle);
        let dialed = connection.filter(|c| c.side() == engine::Side::Dialer)?;
        Some((dialed, dialed.version()?))
    }

    /// The network reports that `host` (or something in front of it) does not take datagrams.
    pub(crate) fn on_unreachable(&mut self, host: IpAddr, now: Instant) {
        let patience = self.options.refusal_patience;
        for handle in self.dialing.clone() {
            let remote = self.engine.connection(handle).map(|c| c.remote_address());
            let Some(entry) = self.connections.get_mut(&handle) else {
                continue;
            };
            // Only a hint, and anybody can forge it: it shortens the wait for an answer, no more.
            if remote.is_some_and(|remote| remote.ip() == host) && !entry.refused {
                entry.refused = true;
                self.set_alarm(handle, now.saturating_add(patience));
            }
        }
    }
}
