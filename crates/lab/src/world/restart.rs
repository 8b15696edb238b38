//! A side that loses its state, and somebody beside the path who sends copies.

use super::{NAMES, Stage, World};
use crate::host::{Arrived, Host};
use crate::trace::What;
use crate::watch::decode;
use gapless_udx::Version;
use gapless_udx::wire::Datagram;
use std::net::{Ipv4Addr, SocketAddr};

impl World<'_, '_> {
    pub(super) fn restart_if_due(&mut self) {
        let due = self
            .scenario
            .restart
            .filter(|restart| restart.at <= self.now);
        let Some(restart) = due.filter(|_| self.stage == Stage::Streams) else {
            return;
        };
        let index = restart.host;
        self.stage = Stage::Ending(self.now);
        self.note(Some(index), What::Restarts, || {
            format!("{} is started anew", NAMES[index])
        });
        let address = self.hosts[index].address;
        // Nothing that it drew before may come again.
        let seed = self.scenario.seed.wrapping_add(RESTARTED);
        let mut host = Host::seeded(self.scenario, index, address, seed);
        host.app.tells_events(self.watching.trace.is_some());
        host.wake_by(self.now);
        self.hosts[index] = host;
        self.watch.restarted(index);
    }

    /// Whether a restart of this side is told to the other: version 2 has no tokens.
    pub(super) fn tells_restart(&self, index: usize) -> bool {
        let restarts = self.scenario.restart.is_some_and(|it| it.host == index);
        let has_secret = self.scenario.hosts[index].config.reset_secret.is_some();
        restarts && has_secret && self.watch.version(1 - index) == Some(Version::V3)
    }

    /// What the copyist makes of a datagram that has come to the end of its way, `to`.
    pub(super) fn copy(&mut self, sender: usize, to: SocketAddr, payload: &[u8]) {
        let packet = decode(payload).ok();
        // Who relayed a challenge and its answer would be a router, and may be one.
        if to == copyist() && packet.is_some() {
            return;
        }
        // His own first packet would open another connection at its sender.
        let opens = packet.is_some_and(|packet| match packet {
            Datagram::Packet(packet) => packet.frames().any(|frame| frame.has_syn()),
            Datagram::VersionNegotiation(_) => false,
        });
        for host in [1 - sender, sender] {
            if opens && host == sender {
                continue;
            }
            self.watch.forged(host, copyist(), payload.len());
            let copy = Arrived {
                from: copyist(),
                ecn: None,
                payload: payload.to_vec(),
            };
            self.hosts[host].arrive(self.now, copy);
        }
    }
}

/// Where the copyist is.
pub(super) fn copyist() -> SocketAddr {
    (Ipv4Addr::new(198, 51, 100, 66), 6666).into()
}

/// What the seed of a host grows by when it is started anew.
const RESTARTED: u64 = 0x5eed;
