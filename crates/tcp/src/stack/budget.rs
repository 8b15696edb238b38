//! What connections may hold in memory: all of them together, and those with one peer.

use super::Tuple;
use super::table::Table;
use crate::num::index;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// No peer, or no further one.
const NONE: u32 = u32::MAX;

/// Who shares a budget: a host, or in IPv6 all that share the first 64 bits, because whoever has one address there has all of them (RFC 4291
/// 2.5.4, RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// A peer with connections, TIME-WAIT included.
#[derive(Debug)]
struct Peer {
    network: IpAddr,
    hash: u32,
    /// Octets that its connections hold.
    held: usize,
    /// How many it has; 0 if this place is free.
    connections: u32,
    next_free: u32,
}

/// The allocator refused, or there are as many peers as a `u32` counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// The books: each operation takes the same time however many peers and connections there are.
#[derive(Debug)]
pub(super) struct Budget {
    /// Octets that all may hold, and one peer.
    limits: [usize; 2],
    held: usize,
    table: Table,
    peers: Vec<Peer>,
    free: u32,
}

impl Budget {
    pub(super) const fn new(table: Table, all: usize, peer: usize) -> Self {
        Self {
            limits: [all, peer],
            held: 0,
            table,
            peers: Vec::new(),
            free: NONE,
        }
    }

    /// Octets that all connections hold.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Octets that the connections with this peer hold.
    pub(super) fn held_by(&self, address: IpAddr) -> usize {
        let place = self.find(address).and_then(|place| self.get(place));
        place.map_or(0, |peer| peer.held)
    }

    /// Octets that connections with this peer may hold more.
    pub(super) fn left_for(&self, address: IpAddr) -> usize {
        self.left(self.find(address).unwrap_or(NONE))
    }

    /// The same for a peer by its place.
    pub(super) fn left(&self, place: u32) -> usize {
        let [all, peer] = self.limits;
        let held = self.get(place).map_or(0, |peer| peer.held);
        let all = all.saturating_sub(self.held);
        all.min(peer.saturating_sub(held))
    }

    /// Another connection with this peer. Its place, until [`leave`](Self::leave).
    pub(super) fn join(&mut self, address: IpAddr) -> Result<u32, Full> {
        let place = match self.find(address) {
            Some(place) => place,
            None => self.add(network(address))?,
        };
        if let Some(peer) = self.get_mut(place) {
            peer.connections = peer.connections.saturating_add(1);
        }
        Ok(place)
    }

    /// A connection holds `now` octets and no longer `before`.
    pub(super) fn change(&mut self, place: u32, before: usize, now: usize) {
        self.held = self.held.saturating_sub(before).saturating_add(now);
        if let Some(peer) = self.get_mut(place) {
            peer.held = peer.held.saturating_sub(before).saturating_add(now);
        }
    }

    /// A connection that held so many octets is gone.
    pub(super) fn leave(&mut self, place: u32, held: usize) {
        self.change(place, held, 0);
        let free = self.free;
        let Some(peer) = self.get_mut(place) else {
            return;
        };
        peer.connections = peer.connections.saturating_sub(1);
        if peer.connections == 0 {
            let hash = peer.hash;
            peer.next_free = free;
            self.free = place;
            self.table.remove(hash, place);
        }
    }

    /// Heap memory of the books, octets.
    pub(super) fn memory(&self) -> usize {
        let peers = self.peers.capacity().saturating_mul(size_of::<Peer>());
        self.table.memory().saturating_add(peers)
    }

    fn add(&mut self, network: IpAddr) -> Result<u32, Full> {
        let hash = self.hash(network);
        let peer = Peer {
            network,
            hash,
            held: 0,
            connections: 0,
            next_free: NONE,
        };
        let place = match self.get(self.free).map(|peer| peer.next_free) {
            Some(next) => {
                let place = self.free;
                self.table.insert(hash, place).map_err(|_| Full)?;
                self.free = next;
                if let Some(entry) = self.get_mut(place) {
                    *entry = peer;
                }
                return Ok(place);
            }
            None => u32::try_from(self.peers.len()).map_err(|_| Full)?,
        };
        if place == NONE {
            return Err(Full);
        }
        self.table.insert(hash, place).map_err(|_| Full)?;
        // The growing path, which can fail, is only left out of the program if it is seen here that there is room.
        if self.peers.try_reserve(1).is_err() || self.peers.len() == self.peers.capacity() {
            self.table.remove(hash, place);
            return Err(Full);
        }
        self.peers.push(peer);
        Ok(place)
    }

    fn find(&self, address: IpAddr) -> Option<u32> {
        let network = network(address);
        self.table.find(self.hash(network), |place| {
            self.get(place).is_some_and(|peer| peer.network == network)
        })
    }

    /// With the key of the connections' table: nobody can put all his addresses into one place.
    fn hash(&self, network: IpAddr) -> u32 {
        let end = SocketAddr::new(network, 0);
        self.table.hash(&Tuple {
            local: end,
            remote: end,
        })
    }

    fn get(&self, place: u32) -> Option<&Peer> {
        self.peers.get(index(u64::from(place)))
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut Peer> {
        self.peers.get_mut(index(u64::from(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    fn host(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn addresses_of_one_network_share_in_ipv6_and_not_in_ipv4() {
        let mut budget = Budget::new(Table::new([1, 2]), 1000, 100);
        let six = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 1, 2, 3, last));
        let place = budget.join(six(1)).unwrap();
        assert_eq!(budget.join(six(2)), Ok(place));
        budget.change(place, 0, 70);
        assert_eq!((budget.left_for(six(3)), budget.held_by(six(4))), (30, 70));
        let place = budget.join(host(1)).unwrap();
        budget.change(place, 0, 60);
        assert_eq!(
            (budget.left_for(host(1)), budget.left_for(host(2))),
            (40, 100)
        );
    }

    proptest! {
        /// Against a model with one number for each connection.
        #[test]
        fn the_books_are_the_sum_of_what_is_in_them(
            steps in prop::collection::vec((0_u8..6, 0_usize..8, 0_usize..500), 1..200),
        ) {
            let mut budget = Budget::new(Table::new([3, 4]), 1000, 300);
            let mut connections: Vec<(u8, u32, usize)> = Vec::new();
            for (last, which, octets) in steps {
                match connections.get_mut(which) {
                    None => connections.push((last, budget.join(host(last)).unwrap(), 0)),
                    Some(_) if octets % 5 == 0 => {
                        let (_, place, held) = connections.swap_remove(which);
                        budget.leave(place, held);
                    }
                    Some((_, place, held)) => {
                        budget.change(*place, *held, octets);
                        *held = octets;
                    }
                }
                let mut sums: BTreeMap<u8, usize> = BTreeMap::new();
                for (last, _, held) in &connections {
                    *sums.entry(*last).or_default() += held;
                }
                let all: usize = sums.values().sum();
                prop_assert_eq!(budget.held(), all);
                for last in 0..6 {
                    let held = sums.get(&last).copied().unwrap_or(0);
                    prop_assert_eq!(budget.held_by(host(last)), held);
                    let left = 300_usize.saturating_sub(held).min(1000_usize.saturating_sub(all));
                    prop_assert_eq!(budget.left_for(host(last)), left);
                }
                prop_assert!(budget.peers.len() <= 6);
            }
        }
    }
}
