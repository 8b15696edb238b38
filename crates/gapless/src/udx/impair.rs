//! A bad network in user space: the endpoint's own datagrams, both ways, pass a model of a path.

use super::socket::Batch;
use gapless_link::{Counters, Delivery, Link, Profile};
use quinn_udp::EcnCodepoint;
use std::net::SocketAddr;

pub(super) struct Impairment {
    out: Link<SocketAddr>,
    back: Link<From>,
}

/// What travels along with a datagram that arrives.
#[derive(Clone)]
pub(super) struct From {
    pub(super) address: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
}

/// The two directions' chances are independent of each other.
const OUT: u64 = 0;
const BACK: u64 = 1;

impl Impairment {
    pub(super) fn new(profile: &Profile) -> Self {
        Self {
            out: Link::new(profile, OUT),
            back: Link::new(profile, BACK),
        }
    }

    /// Takes datagrams of `segment` bytes each on their way out.
    pub(super) fn send(&mut self, now: u64, to: SocketAddr, bytes: &[u8], segment: usize) {
        for datagram in bytes.chunks(segment.max(1)) {
            self.out.send(now, datagram, to);
        }
    }

    /// Takes datagrams from the socket.
    pub(super) fn receive(&mut self, now: u64, batch: &Batch<'_>) {
        for datagram in batch.data.chunks(batch.stride) {
            let from = From {
                address: batch.from,
                ecn: batch.ecn,
            };
            self.back.send(now, datagram, from);
        }
    }

    pub(super) fn poll_out(&mut self, now: u64) -> Option<Delivery<SocketAddr>> {
        self.out.poll(now)
    }

    pub(super) fn poll_back(&mut self, now: u64) -> Option<Delivery<From>> {
        self.back.poll(now)
    }

    /// When the next datagram leaves or arrives.
    pub(super) fn next_delivery(&self) -> Option<u64> {
        let both = [self.out.next_delivery(), self.back.next_delivery()];
        both.into_iter().flatten().min()
    }

    /// Whether no datagram waits to leave.
    pub(super) fn is_empty(&self) -> bool {
        self.out.next_delivery().is_none()
    }

    pub(super) fn counters(&self) -> (Counters, Counters) {
        (*self.out.counters(), *self.back.counters())
    }
}
