//! From which of its addresses a socket that is bound to all of them answers whom.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Peers remembered before all are forgotten; some 100 bytes each. Forgetting costs nothing but the system's choice of an
/// address until the peer's next datagram.
const MOST: usize = 65_536;

/// A peer that sent to one of this host's addresses expects answers from that one: a NAT or firewall between them lets no other
/// pass, and it would look like a move (UDX 11).
#[derive(Default)]
pub(super) struct Origins(HashMap<SocketAddr, IpAddr>);

impl Origins {
    pub(super) fn note(&mut self, peer: SocketAddr, here: IpAddr) {
        if self.0.get(&peer) == Some(&here) {
            return;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(peer, here);
    }

    pub(super) fn of(&self, peer: &SocketAddr) -> Option<IpAddr> {
        self.0.get(peer).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_counts_and_memory_is_bounded() {
        let mut origins = Origins::default();
        let peer = |n: u32| SocketAddr::from((n.to_be_bytes(), 9));
        let here = |n: u8| IpAddr::from([10, 0, 0, n]);
        origins.note(peer(1), here(1));
        origins.note(peer(1), here(2));
        assert_eq!(origins.of(&peer(1)), Some(here(2)));
        assert_eq!(origins.of(&peer(2)), None);
        for n in 0..200_000 {
            origins.note(peer(n), here(3));
            assert!(origins.0.len() <= MOST);
        }
        assert_eq!(origins.of(&peer(199_999)), Some(here(3)));
    }
}
