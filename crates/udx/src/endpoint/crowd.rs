//! Connections that others opened: which the application has not accepted yet, and which never proved their address.
//!
//! A first packet costs its sender nothing and can come from any address (UDX2 H19). Whoever answers the challenge in the first
//! answer to it is really there; the others are a crowd that may not keep anybody out. So where a limit is reached, the one that
//! has stood there longest without a proof makes room.

use alloc::collections::BTreeMap;

use super::table::ConnectionHandle;

#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// What the next one to arrive is counted as.
    next: u64,
    /// In order of arrival, which is the order of `accept`.
    waiting: BTreeMap<u64, ConnectionHandle>,
    /// In order of arrival.
    unproven: BTreeMap<u64, ConnectionHandle>,
    /// When those of either arrived.
    arrivals: BTreeMap<ConnectionHandle, u64>,
}

impl Crowd {
    /// Connections that wait to be accepted.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Connections whose peer never proved its address.
    pub(crate) fn unproven(&self) -> usize {
        self.unproven.len()
    }

    /// The one that has been unproven for longest.
    pub(crate) fn oldest_unproven(&self) -> Option<ConnectionHandle> {
        self.unproven.values().next().copied()
    }

    /// The same of those that wait to be accepted. They are accepted in order, so they came behind all others.
    pub(crate) fn oldest_unproven_waiting(&self) -> Option<ConnectionHandle> {
        let first = *self.waiting.keys().next()?;
        self.unproven
            .range(first..)
            .map(|(_, handle)| *handle)
            .next()
    }

    pub(crate) fn is_waiting(&self, handle: ConnectionHandle) -> bool {
        let arrival = self.arrivals.get(&handle);
        arrival.is_some_and(|arrival| self.waiting.contains_key(arrival))
    }

    pub(crate) fn arrive(&mut self, handle: ConnectionHandle) {
        let arrival = self.next;
        self.next = arrival.wrapping_add(1);
        self.waiting.insert(arrival, handle);
        self.unproven.insert(arrival, handle);
        self.arrivals.insert(handle, arrival);
    }

    /// The next one to be accepted.
    pub(crate) fn accept(&mut self) -> Option<ConnectionHandle> {
        let (arrival, handle) = self.waiting.pop_first()?;
        if !self.unproven.contains_key(&arrival) {
            self.arrivals.remove(&handle);
        }
        Some(handle)
    }

    /// Its peer answered a challenge.
    pub(crate) fn prove(&mut self, handle: ConnectionHandle) {
        let Some(arrival) = self.arrivals.get(&handle).copied() else {
            return;
        };
        self.unproven.remove(&arrival);
        if !self.waiting.contains_key(&arrival) {
            self.arrivals.remove(&handle);
        }
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, handle: ConnectionHandle) {
        if let Some(arrival) = self.arrivals.remove(&handle) {
            self.waiting.remove(&arrival);
            self.unproven.remove(&arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::super::table::Table;
    use super::*;
    use crate::config::ConnectionConfig;
    use crate::connection::{Connection, Start};
    use crate::limits::Limits;
    use crate::wire::Version;

    fn handles(count: u64) -> Vec<ConnectionHandle> {
        let mut table = Box::new(Table::default());
        let connection = |n: u64| {
            let start = Start {
                now: gapless_recovery::Instant::ZERO,
                local_id: crate::wire::ConnectionId::new(&n.to_be_bytes()).unwrap(),
                peer_id: crate::wire::ConnectionId::new(&[9; 8]).unwrap(),
                remote: ([127, 0, 0, 1], 1).into(),
                seed: n,
                nonce_key: [0; 32],
                token: None,
            };
            let config = alloc::sync::Arc::new(ConnectionConfig::default());
            Connection::accept_from(start, config, &Limits::default(), Version::V3)
        };
        (0..count)
            .map(|n| {
                let connection = connection(n);
                table.insert(connection.local_id(), connection)
            })
            .collect()
    }

    #[test]
    fn the_oldest_without_a_proof_is_found_and_the_proven_are_not() {
        let handles = handles(5);
        let mut crowd = Crowd::default();
        handles.iter().for_each(|handle| crowd.arrive(*handle));
        crowd.prove(handles[0]);
        assert_eq!(crowd.oldest_unproven(), Some(handles[1]));
        assert_eq!(crowd.accept(), Some(handles[0]), "in order of arrival");
        assert_eq!(crowd.accept(), Some(handles[1]));
        assert_eq!(
            crowd.oldest_unproven(),
            Some(handles[1]),
            "accepted is not proven"
        );
        assert_eq!(crowd.oldest_unproven_waiting(), Some(handles[2]));
        assert!(crowd.is_waiting(handles[2]) && !crowd.is_waiting(handles[1]));
        assert_eq!((crowd.waiting(), crowd.unproven()), (3, 4));
    }

    #[test]
    fn nothing_is_left_of_those_that_are_gone() {
        let handles = handles(3);
        let mut crowd = Crowd::default();
        handles.iter().for_each(|handle| crowd.arrive(*handle));
        crowd.prove(handles[0]);
        crowd.forget(handles[1]);
        assert_eq!(crowd.accept(), Some(handles[0]));
        assert_eq!(crowd.accept(), Some(handles[2]));
        crowd.prove(handles[2]);
        assert_eq!(crowd.accept(), None);
        assert!(crowd.arrivals.is_empty() && crowd.unproven.is_empty());
    }
}
